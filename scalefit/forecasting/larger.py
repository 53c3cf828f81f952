"""Runs beyond the largest, for which a forecast is printed, drawn and registered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from scalefit._arguments import check_quantity, multiple_of_largest
from scalefit._numeric import lowest
from scalefit._typing import Array
from scalefit.errors import ArgumentError, arg
from scalefit.extrapolation import times_largest
from scalefit.flops import CONVENTIONS, SIZES, TRAIN, FlopConvention
from scalefit.forecasting.repeats import counts_repeats, effective
from scalefit.laws._base import Law
from scalefit.laws._inputs import check_inputs

_POINTS = 97  # of the first grid over ln N


def best_sizes(
    loss: Callable[[Array, Array], Array], budget: Array, cost: FlopConvention = CONVENTIONS["6ND"]
) -> dict[str, Array]:
    """Return N and D (m,) with the lowest ``loss(N, D)`` (m, k) at budgets (m,) [FLOP], of at least one token.

    The cost of a run is taken to be in proportion to D.
    """

    def at(log_n: Array) -> Array:
        N = np.exp(log_n)
        with np.errstate(all="ignore"):
            value = np.asarray(loss(N, budget[:, None] / cost.train(N, 1.0)), float)
        return np.where(np.isnan(value), np.inf, value)

    N = np.exp(lowest(at, np.zeros(budget.size), np.log(budget / TRAIN), _POINTS))
    return {"N": N, "D": budget / cost.train(N, 1.0)}


def compute_optimal(
    law: type[Law], params: Any, budget: Array, cost: FlopConvention, unique: float | None = None
) -> dict[str, Array]:
    """Return the inputs (m,) with the lowest loss by a law at budgets (m,) [FLOP]; tokens beyond `unique` repeat."""
    if "C" not in law.inputs and set(law.inputs) != set(SIZES):
        raise ArgumentError(
            f"{law.name} reads {', '.join(law.inputs)}, so a budget alone fixes no run",
            "none was found",
            "Hold the other inputs with result.at(...), or give every input",
        )
    if not (np.isfinite(budget) & (budget > TRAIN)).all():
        raise ArgumentError(
            f"A budget of {float(budget[np.argmin(np.nan_to_num(budget, nan=-1.0))]):.3g} FLOP trains no model",
            "no run was found",
            "Give a finite one above 6 FLOP",
        )
    if "C" in law.inputs:
        return {"C": budget}
    if law.target.sense == 0:
        raise ArgumentError(
            f"{law.name} predicts {law.target.name}, a setting, by which no run of a budget is the best",
            "none was found",
            "Give N and D",
        )
    values = {str(key): float(value) for key, value in dict(params).items()}
    worth = (lambda D: D) if unique is None else lambda D: effective(D, np.asarray(unique))
    better = -law.target.sense  # what is minimised falls as the target gets better
    return best_sizes(lambda N, D: better * law.evaluate({"N": N, "D": worth(D)}, values), budget, cost)


def inputs_at(result: Any, point: Mapping[str, Any] | str) -> dict[str, float]:
    """Return all inputs of one run; ``{"C": ...}`` alone is the best N and D for that compute, by the law.

    ``"10x"`` is the best run of ten times the largest.
    """
    if not isinstance(point, Mapping):
        ratio = multiple_of_largest(point)
        if ratio is None:
            raise ArgumentError(
                f"{arg('at', point)} says no run", "nothing was predicted", "Give {'N': 7e9, 'D': 1.4e11} or '10x'"
            )
        return {key: float(value[0]) for key, value in larger_runs(result, np.array([ratio])).items()}
    given = {key: check_quantity(key, value) for key, value in times_largest(result.seen, point).items()}
    drawn_on = {}
    if "unique_tokens" in given and counts_repeats(result.law, result.conventions):
        drawn_on = {"unique_tokens": given.pop("unique_tokens")}
    if set(given) == {"C"} and "C" not in result.law.inputs:
        best = result.frontier(given["C"], **drawn_on)
        return {key: float(value[0]) for key, value in best.items()} | drawn_on
    if drawn_on and "D" not in result.law.inputs:  # N and D say what repeats, so they stay beside C
        return given | drawn_on
    return {key: float(value) for key, value in check_inputs(result.law, given, result.cost).items()} | drawn_on


def most_times(result: Any) -> float:
    """How many times the largest run a forecast reaches: a law's one input has a range, compute has no end.

    Nowhere, where the target is worse the larger that input is, as an error is with the loss: better runs have less.
    """
    seen = result.seen()
    if falls_short(result):
        return 1.0
    if "C" in seen or len(result.inputs) > 1:
        return float("inf")
    (name,) = result.inputs
    return float(result.law.declarations[name].range[1] / seen[name][1]) * (1 - 1e-12)  # whatever the rounding


def falls_short(result: Any) -> bool:
    """Whether a forecast is by one input, of which less is better."""
    sense = result.target.sense
    alone = "C" not in result.seen() and len(result.inputs) == 1
    return alone and result.law.direction.get(result.inputs[0], 0) * sense < 0


def larger_runs(result: Any, ratio: Array) -> dict[str, Array]:
    """Return inputs (m,) of runs `ratio` (m,) times the largest of a forecast.

    Compute-optimal runs where the law's inputs say what a run costs; for a law of one other input, that input scaled.
    """
    if not (np.isfinite(ratio) & (ratio > 0)).all():
        raise ArgumentError(
            f"{arg('ratio', ratio.tolist())} is not a multiple of the largest run",
            "no run was found",
            "Give positive numbers, such as 10",
        )
    seen = result.seen()
    if "C" not in seen and len(result.inputs) == 1:
        (name,) = result.inputs
        if falls_short(result) and (ratio > 1).any():
            raise ArgumentError(
                f"A run with more {name} is not better by {result.law.name}, so the best larger run is not a multiple "
                "of the largest",
                "no run was found",
                f"Give the {name} of the run",
            )
        return {name: seen[name][1] * ratio}
    return dict(result.frontier(result.largest_compute * ratio))
