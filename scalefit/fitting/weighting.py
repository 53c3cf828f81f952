"""Weights of runs by rule: by compute, or by distance from the frontier."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from scalefit._typing import AnyArray, Array
from scalefit.errors import ArgumentError
from scalefit.fitting.discrepancy import seen_excess

_POWER = re.compile(r"C\s*\^\s*([+-]?\d*\.?\d+)")
#: Excess of the log loss over the frontier at which a run counts half.
_HALF = 0.03


def is_rule(weights: object) -> bool:
    """Whether weights are a rule: ``"C^0.5"`` or ``"frontier"``."""
    return isinstance(weights, str) and (weights == "frontier" or _POWER.fullmatch(weights.strip()) is not None)


def weights_by_rule(rule: str, columns: Mapping[str, AnyArray]) -> Array:
    """Weights (n,) of runs.

    Parameters
    ----------
    rule : str
        ``"C^p"``: (C / C_max)^p. ``"frontier"``: 1 / (1 + (e / 0.03)²), with e the excess of the log loss over the
        lower convex hull of log loss over log compute: runs far from compute-optimal count little, for there laws
        fit worst.
    columns : mapping of str to ndarray (n,)
        ``loss``, and C [FLOP] or N [parameters] and D [tokens].

    Raises
    ------
    ArgumentError
        The table has no compute.
    """
    if "C" in columns:
        compute = np.asarray(columns["C"], float)
    elif {"N", "D"} <= set(columns):
        compute = 6.0 * np.asarray(columns["N"], float) * np.asarray(columns["D"], float)
    else:
        raise ArgumentError(f"weights={rule!r} needs the compute of each run: give C, or N and D.")
    power = _POWER.fullmatch(rule.strip())
    if power is not None:
        return np.asarray((compute / compute.max()) ** float(power[1]))
    excess = seen_excess(np.log(compute), np.log(np.asarray(columns["loss"], float)))
    return np.asarray(1.0 / (1.0 + (excess / _HALF) ** 2))
