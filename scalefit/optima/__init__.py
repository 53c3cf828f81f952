"""Compute-optimal sizes straight from runs: isoFLOP curves and the envelope of training curves."""
