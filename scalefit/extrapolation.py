"""How far beyond the runs: one set of thresholds, in multiples of the largest run, for fits, forecasts and plans."""

from __future__ import annotations

#: Up to here a prediction counts as near the runs; beyond, it is noted as extrapolation. A guess: half a decade, as
#: apart as neighbouring budgets of a sweep are.
NEAR = 3.0
#: The run in view where none is named, and the farthest that a comparison of recipes is read unasked. A guess: two
#: decades, as far as published sweeps plan ahead.
AHEAD = 100.0
#: Intervals of forecasts were calibrated on jumps up to here, the widest in the tables of benchmarks/forecast.py.
CALIBRATED = 500.0
#: From here on, a plan says so before its numbers, and a forecast decides nothing. A guess: three decades, twice the
#: calibrated jumps.
LEAP = 1e3
#: So far beyond, a plan is refused. A guess: no published law was ever tried over eight decades.
ABSURD = 1e8
