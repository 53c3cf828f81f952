"""From a law or a table of runs to the next run: allocation, isoFLOP, envelope, deployment, repetition, design."""
