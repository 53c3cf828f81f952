"""Comparing laws on held-out runs, and averaging their predictions."""
