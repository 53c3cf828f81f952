"""Knots of a schedule: shapes of a cooldown, checks, and thinning of a logged rate."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from scalefit._arguments import check_count, check_numbers
from scalefit._typing import Array
from scalefit.errors import ArgumentError

Shape = Literal["linear", "1-sqrt", "exp"]

EXP_FLOOR = 0.01  # an exponential never reaches zero: asked to end at 0 it ends at 1 % of its peak


def decay(shape: Shape, x: Array, final: float) -> Array:
    """Rate relative to the start of a cooldown after the fraction `x` of it."""
    if shape == "linear":
        return final + (1 - final) * (1 - x)
    if shape == "1-sqrt":  # Haegele et al. (2024), arXiv:2405.18392
        return final + (1 - final) * (1 - np.sqrt(x))
    return np.asarray(max(final, EXP_FLOOR) ** x, dtype=float)


def thinned(steps: npt.ArrayLike, lr: npt.ArrayLike, max_knots: int) -> tuple[Array, Array]:
    """Steps in order and the rates logged there, at most `max_knots` of them: the turns, and the rest evenly."""
    logged, rates = check_numbers("steps", steps), check_numbers("lr", lr)
    if logged.shape != rates.shape:
        raise ArgumentError(
            f"{logged.size} steps and {rates.size} rates were given",
            "no schedule was made",
            "Give a rate for every step; NaN where none was logged",
        )
    x, first = np.unique(logged, return_index=True)
    y = rates[first]
    keep = np.isfinite(x) & np.isfinite(y)
    x, y = x[keep], y[keep]
    if len(x) > check_count("max_knots", max_knots, least=4):
        turns = np.flatnonzero(np.abs(np.diff(np.gradient(y, x))) > 1e-3 * y.max() / np.ptp(x)) + 1
        if len(turns) > max_knots // 2:
            turns = turns[np.linspace(0, len(turns) - 1, max_knots // 2).astype(int)]
        even = np.linspace(0, len(x) - 1, max_knots - len(turns)).astype(int)
        pick = np.unique(np.concatenate([even, turns]))
        x, y = x[pick], y[pick]
    return x, y


def check_knots(steps: npt.ArrayLike, lr: npt.ArrayLike) -> None:
    """Refuse what is not an increasing sequence of steps with a rate each."""
    x, y = np.asarray(steps, dtype=float), np.asarray(lr, dtype=float)
    if x.ndim != 1 or x.shape != y.shape or len(x) < 2:
        raise ArgumentError(
            f"Steps of shape {x.shape} and rates of shape {y.shape} make no schedule",
            "none was made",
            "Give two or more of each, as many steps as rates",
        )
    if not (np.all(np.isfinite(x)) and np.all(np.diff(x) > 0) and x[0] >= 0):
        raise ArgumentError(
            "The steps of a schedule must be finite, not negative, and strictly increasing",
            "none was made",
            "Correct them",
        )
    if not (np.all(np.isfinite(y)) and np.all(y >= 0) and y.max() > 0):
        raise ArgumentError(
            "The rates of a schedule must be finite, not negative, and not all zero", "none was made", "Correct them"
        )
