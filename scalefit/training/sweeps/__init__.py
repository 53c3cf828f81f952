"""Grids of runs, their workers and their tables."""
