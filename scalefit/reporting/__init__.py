"""One self-contained HTML page about a table of runs: fit, figures, comparison, plans, and an interactive planner."""
