"""The loss of a larger run, with a calibrated interval."""
