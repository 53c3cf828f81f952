"""Runs beyond the largest: what a forecast is printed, drawn and registered for."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalefit._typing import Array
from scalefit.errors import ArgumentError
from scalefit.flops import SIZES, TRAIN
from scalefit.laws._base import Law

_POINTS = 129  # of a search over ln N at one budget
_STEPS = 12  # each narrows it 64 times, so the first few decide
_NARROW = 1e-4  # in ln N, where the search ends


def compute_optimal(law: type[Law], params: Any, budget: Array) -> dict[str, Array]:
    """Return the inputs (m,) with the lowest loss by a law at budgets (m,) [FLOP]."""
    if "C" in law.inputs:
        return {"C": budget}
    if set(law.inputs) != set(SIZES):
        raise ArgumentError(
            f"{law.name} reads {', '.join(law.inputs)}, so a budget alone fixes no run",
            "none was found",
            "Hold the other inputs with result.at(...), or give every input",
        )
    values = {str(key): float(value) for key, value in dict(params).items()}
    total = budget / TRAIN
    span = np.linspace(0.0, 1.0, _POINTS)[:, None]
    low, high = np.zeros(budget.size), np.log(total)
    for _ in range(_STEPS):
        at = low + (high - low) * span
        with np.errstate(all="ignore"):
            loss = law.evaluate({"N": np.exp(at), "D": total / np.exp(at)}, values)
        best = np.clip(np.nanargmin(loss, axis=0), 1, _POINTS - 2)
        if np.max(high - low) < _NARROW:
            break
        rows = np.arange(budget.size)
        low, high = at[best - 1, rows], at[best + 1, rows]
    N = np.exp(0.5 * (low + high))
    return {"N": N, "D": total / N}


def larger_runs(result: Any, ratio: Array) -> dict[str, Array]:
    """Return inputs (m,) of runs `ratio` (m,) times the largest of a forecast.

    Compute-optimal runs where the law's inputs say what a run costs; for a law of one other input, that input scaled.
    """
    seen = result.seen()
    if "C" not in seen and len(result.inputs) == 1:
        (name,) = result.inputs
        return {name: seen[name][1] * ratio}
    return compute_optimal(result.law, result.params, result.largest_compute * ratio)
