"""Collecting: folders of finished runs, as trackers and trainers leave them, into one table for the fits."""
