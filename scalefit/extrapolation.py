"""How far beyond the runs, in multiples of the largest run, for fits, forecasts and plans: one set of thresholds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from scalefit._arguments import multiple_of_largest
from scalefit.errors import ArgumentError, arg

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


def times_largest(seen: Callable[[], Mapping[str, tuple[float, float]]], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return inputs in which ``"10x"`` has become ten times that of the largest run, by what a result has seen.

    Examples
    --------
    >>> import scalefit as sf
    >>> times_largest(sf.published("chinchilla", "besiroglu2024").seen, {"N": "2x", "D": "1T"})
    {'N': 32400000000.0, 'D': '1T'}
    """
    found = dict(inputs)
    for name, value in inputs.items():
        ratio = multiple_of_largest(value)
        if ratio is not None:
            found[name] = ratio * _largest(seen(), name, value)
    return found


def _largest(seen: Mapping[str, tuple[float, float]], name: str, value: Any) -> float:
    """The largest value of an input, or of C, among the runs; refused where it is not known."""
    key = "C" if name == "budget" else name
    if key not in seen or not np.isfinite(seen[key][1]):
        raise ArgumentError(
            f"{arg(name, value)} is a multiple of the largest run, and its {key} is not known here",
            "nothing was computed",
            f"Give {key} as a number",
        )
    return float(seen[key][1])
