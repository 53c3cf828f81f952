"""Fitting laws to tables of runs."""
