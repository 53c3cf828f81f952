"""Advice on a live run: schedules, curve laws, the forecast of the end, and rules with their evidence."""
