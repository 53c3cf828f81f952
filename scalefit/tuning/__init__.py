"""Learning rate, batch and other settings: the best of each cell of a sweep, and how it grows with N and D."""
