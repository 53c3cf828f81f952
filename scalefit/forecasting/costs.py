"""What runs cost: compute as their table counts it, for the runs and beyond them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from scalefit._numeric import levelled
from scalefit._typing import Array
from scalefit.errors import Note
from scalefit.fitting.runs import Runs
from scalefit.flops import CONVENTIONS, SIZES, FlopConvention, training_flops

#: Scatter of C [ln] about a power of N times 6ND, above which the column is no cost of these runs (a guess: rounding
#: and restarts are less), and what [ln] is 6ND itself: FLOP are quoted to two digits.
_ERRATIC, _SAME = 0.2, 0.01


def with_costs(table: Runs) -> tuple[Runs, list[Note]]:
    """The runs, with what they cost over 6ND, by size, among the conventions where their table counts otherwise."""
    if not {*SIZES} <= {*table.table}:
        return table, []
    N, D, C = np.asarray(table.table["N"], float), np.asarray(table.table["D"], float), _counted(table)
    there = np.isfinite(C) & (C > 0) & (N > 0) & (D > 0)
    off = np.log(C[there] / training_flops(N[there], D[there]))
    if not off.size or np.abs(off).max() <= _SAME:
        return table, []
    log_n, at = np.unique(np.log(levelled(N[there])), return_inverse=True)
    rule = np.polyfit(log_n[at], off, 1 if log_n.size > 1 else 0)
    stated, middle = table.conventions.get("flops", "6ND"), float(np.exp(np.median(off)))
    if np.std(off - np.polyval(rule, log_n[at])) > _ERRATIC:
        text = "Column C follows no rule in N and D, so it was left out: compute is 6ND here. Check it."
        return table, [Note("inconsistent_compute", "warning", text, {"used": False})]
    ratio = np.exp(np.bincount(at, off) / np.bincount(at))
    conventions = {**table.conventions, "cost": {"N": np.exp(log_n).tolist(), "ratio": ratio.tolist()}}
    if stated != "6ND":
        return replace(table, conventions=conventions), []
    text = (
        f"C is {middle:.3g} times 6ND in the middle run. Compute is counted as the table does, also that of new runs. "
        f"Check what N, D and C count."
    )
    found = replace(table, conventions={**conventions, "flops": "logged"})
    return found, [Note("inconsistent_compute", "warning", text, {"used": True, "ratio": middle})]


def _counted(table: Runs) -> Array:
    """Compute of the runs (n,) [FLOP]: their column, or by the stated convention; NaN where unknown."""
    columns, rule = table.table, CONVENTIONS.get(str(table.conventions.get("flops", "6ND")))
    if "C" in columns:
        return np.asarray(columns["C"], float)
    if rule is None or not rule.computes or not {*rule.reads} <= {*columns}:
        return np.full(table.loss.size, np.nan)
    return rule.train(columns["N"], columns["D"], **{key: columns[key] for key in rule.reads})


def costs_of(conventions: Mapping[str, Any], usual: str = "6ND") -> FlopConvention:
    """What ties C to N and D for a forecast: the usual, or what its runs cost, by size; beyond them as the nearest."""
    cost = conventions.get("cost")
    if cost is None:
        return CONVENTIONS[usual]
    log_n, log_ratio = np.log(cost["N"]), np.log(cost["ratio"])

    def train(N: Any, D: Any) -> Array:
        return np.asarray(training_flops(N, D) * np.exp(np.interp(np.log(N), log_n, log_ratio)))

    return FlopConvention(str(conventions["flops"]), "compute as the runs' table counts it", function=train)


def counted(result: Any) -> dict[str, Array]:
    """Inputs of a forecast's runs (n,), and their C [FLOP] as their table counts it, where they say it."""
    columns, cost = dict(result.runs()), result.cost
    if "C" not in result.inputs and {*SIZES, *cost.reads} <= {*columns}:
        columns["C"] = cost.train(**{key: columns[key] for key in (*SIZES, *cost.reads)})
    return columns
