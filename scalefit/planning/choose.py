"""Inputs that a plan chooses beside N and D: experts, bits, vocabulary, within ranges and on a budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from scalefit._arguments import check_mapping, check_number
from scalefit.errors import ArgumentError, ScalefitError, arg
from scalefit.flops import QUANTITIES
from scalefit.predictor import Predictor

#: Values tried over a range, and rounds of them, each over the neighbourhood of the best so far.
_POINTS, _ROUNDS = 9, 8
#: Rounds over the inputs in turn, where several are chosen (a guess).
_SWEEPS = 3


def choose_inputs(
    predictor: Predictor, choose: Any, question: str, plan: Callable[[Predictor], tuple[float, int]]
) -> tuple[Predictor, dict[str, float]]:
    """Return the predictor with the inputs held at which its plan is best, and their values.

    Parameters
    ----------
    predictor : Predictor
        The law, with the inputs in `choose` free.
    choose : mapping of str to (float, float)
        From, to for each input; values between are tried over logarithms, whole numbers where the law asks for them.
    question : str
        What fixes the plan; only a budget, ``"C"``, makes plans comparable by what they reach.
    plan : callable
        Gives the target that a plan reaches, and its sense.

    Raises
    ------
    ArgumentError
        Another question than C, a range that is none, or an input that the law does not read or costs FLOP.
    """
    law, wanted = predictor.law, check_mapping("choose", choose, "{'n_experts': (1, 64)}")
    spans = {name: _span(predictor, name, value) for name, value in wanted.items()}
    if question != "C":
        raise ArgumentError(
            f"{arg('choose')} compares what inputs reach on one budget, and {arg(question)} fixes no budget",
            "no plan was made",
            f"Ask with {arg('C')}, or hold the inputs, {arg('at', {name: ... for name in spans})}",
        )
    best = {name: _rounded(law, name, float(np.sqrt(low * high))) for name, (low, high) in spans.items()}
    scores: dict[tuple[float, ...], float] = {}

    def score(values: Mapping[str, float]) -> float:
        key = tuple(values[name] for name in spans)
        if key not in scores:
            try:
                reached, sense = plan(predictor.at(**values))
                scores[key] = -sense * reached
            except ScalefitError:
                scores[key] = float("inf")
        return scores[key]

    for _ in range(_SWEEPS if len(spans) > 1 else 1):
        for name, span in spans.items():
            low, high = span
            for _ in range(_ROUNDS):
                grid = [_rounded(law, name, float(value)) for value in np.geomspace(low, high, _POINTS)]
                values = [score({**best, name: value}) for value in grid]
                at = int(np.argmin(values))
                best[name] = grid[at]
                points = np.geomspace(low, high, _POINTS)
                low, high = float(points[max(at - 1, 0)]), float(points[min(at + 1, _POINTS - 1)])
    if not np.isfinite(score(best)):
        plan(predictor.at(**best))  # raises what stands in the way
    return predictor.at(**best), best


def _span(predictor: Predictor, name: str, value: Any) -> tuple[float, float]:
    if name not in predictor.inputs or name in QUANTITIES:
        raise ArgumentError(
            f"{arg('choose', {name: ...})}: the plan finds N and D itself, and the law reads "
            f"{', '.join(predictor.inputs)}",
            "no plan was made",
            "Choose another input of the law",
        )
    try:
        low, high = (check_number(f"choose[{name!r}]", end) for end in value)
    except (TypeError, ValueError):
        low, high = 0.0, 0.0
    if not 0 < low < high < np.inf:
        raise ArgumentError(
            f"{arg('choose', {name: value})} must be a rising pair of positive numbers",
            "no plan was made",
            f"Give {arg('choose', {name: (1, 64)})}, for one",
        )
    return low, high


def _rounded(law: Any, name: str, value: float) -> float:
    """The value, a whole number where the law's declaration asks for one."""
    declared = None if law is None else law.declarations.get(name)
    return float(max(round(value), 1)) if declared is not None and declared.integer else value
