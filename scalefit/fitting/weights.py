"""Weights of runs: as given, by a column, or by rule (a power of a column, or by distance from the frontier)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from scalefit._numeric import excess_over_hull
from scalefit._typing import AnyArray, Array, ArrayLike
from scalefit.errors import ArgumentError, arg

_POWER = re.compile(r"(.+?)\s*\^\s*([+-]?\d*\.?\d+)")
#: Excess of the log loss over the frontier at which a run counts half.
_HALF = 0.03


def is_rule(weights: object) -> bool:
    """Whether weights are a rule: ``"C^0.5"``, ``"loss_sem^-2"`` or ``"frontier"``."""
    return isinstance(weights, str) and (weights == "frontier" or _POWER.fullmatch(weights.strip()) is not None)


def weights_by_rule(rule: str, columns: Mapping[str, AnyArray]) -> Array:
    """Weights (n,) of runs.

    Parameters
    ----------
    rule : str
        ``"C^p"``: (C / C_max)^p, and so for any column. ``"frontier"``: 1 / (1 + (e / 0.03)²), with e the excess of
        the log loss over the lower convex hull of log loss against log compute: runs far from compute-optimal count
        little, because laws fit them worst.
    columns : mapping of str to ndarray (n,)
        ``loss`` and C [FLOP], which checked runs with N and D have.

    Raises
    ------
    ArgumentError
        The table has no compute, or no such column of positive numbers.
    """
    power = _POWER.fullmatch(rule.strip())
    name = "C" if power is None else power[1]
    if name not in columns:
        what = "the compute of each run" if name == "C" else f"a numeric column {name!r}"
        do = "Give C, or N and D." if name == "C" else f"The table has {', '.join(columns)}."
        raise ArgumentError(f"{arg('weights', rule)} needs {what}", "nothing was fitted", do)
    values = np.asarray(columns[name], float)
    if power is not None:
        if not (np.isfinite(values).all() and (values > 0).all()):
            raise ArgumentError(
                f"{arg('weights', rule)} needs positive numbers in {name}",
                "nothing was fitted",
                "Leave out the rows that have none",
            )
        return np.asarray((values / values.max()) ** float(power[2]))
    compute = values
    excess = excess_over_hull(np.log(compute), np.log(np.asarray(columns["loss"], float)))
    return np.asarray(1.0 / (1.0 + (excess / _HALF) ** 2))


def with_weights(runs: Any, weights: str | ArrayLike | None) -> Any:
    """Return the runs with an array of weights, or those of a named column, as their column ``weight``.

    As a column weights stay with their runs when rows are set aside, sorted or held out.
    """
    if isinstance(weights, str) and not is_rule(weights) and weights != "weight":
        if isinstance(runs, Mapping):
            return {**runs, "weight": runs[weights]} if weights in runs else runs
        there = hasattr(runs, "assign") and weights in runs.columns
        return runs.assign(weight=runs[weights]) if there else runs
    if weights is None or isinstance(weights, str):
        return runs
    values = _check_weights(_as_weights(_by_label(weights, runs)))
    if isinstance(runs, Mapping):
        return {**runs, "weight": values}
    if not hasattr(runs, "assign"):
        from scalefit.tables.runs import read_runs

        runs = read_runs(runs)
    if len(runs) != values.size:
        raise ArgumentError(
            f"weights has {values.size} entries, the table {len(runs)} runs", "nothing was fitted", "Give one per run"
        )
    return runs.assign(weight=values)


def _by_label(weights: Any, runs: Any) -> Any:
    """Put a Series of weights in the order of the runs: its labels say which run each weight is of."""
    if not (hasattr(weights, "reindex") and hasattr(runs, "assign")):
        return weights
    same = weights.index.is_unique and len(weights) == len(runs) and weights.index.isin(runs.index).all()
    return weights.reindex(runs.index) if same else weights


def _as_weights(weights: Any) -> Array:
    try:
        return np.asarray(weights, float)
    except (TypeError, ValueError, OverflowError):
        raise ArgumentError(
            f"{arg('weights', weights)} cannot be read",
            "nothing was fitted",
            "Give numbers, one per run, or a column's name",
        ) from None


def weights_of(columns: Mapping[str, AnyArray], weights: Any) -> Array | None:
    """Weights (n,) of checked runs that went through :func:`with_weights`; None if they have none.

    Raises
    ------
    ArgumentError
        The column is missing, or its values are not weights.
    """
    named = isinstance(weights, str) and not is_rule(weights)
    found = columns.get(weights if named else "weight")
    if named and found is None:
        raise ArgumentError(
            f"{arg('weights', weights)}: the table has no such numeric column",
            "nothing was fitted",
            "Name one, or pass an array",
        )
    if isinstance(weights, str) and is_rule(weights):
        found = (1.0 if found is None else found) * weights_by_rule(weights, columns)
    return None if found is None else _check_weights(np.asarray(found, float))


def _check_weights(weights: Array) -> Array:
    if not np.isfinite(weights).all() or (weights < 0).any() or not weights.any():
        raise ArgumentError(
            "weights holds NaN, infinity or negative numbers, or zeros alone",
            "nothing was fitted",
            "Give one per run, zero or more",
        )
    return weights
