"""Figures: each has a data half and a drawing half."""
