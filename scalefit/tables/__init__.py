"""Tables of runs: files, columns, rows and their checks."""
