"""Inputs that a plan chooses beside N and D: experts, bits, vocabulary, within ranges and on a budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from scalefit._arguments import check_mapping, check_number
from scalefit._typing import Array
from scalefit.errors import ArgumentError, Note, ScalefitError, arg
from scalefit.flops import QUANTITIES
from scalefit.laws._declarations import Input
from scalefit.predictor import Predictor

#: Values tried over a range, and rounds of them, each over the neighbourhood of the best so far.
_POINTS, _ROUNDS, _DECADE = 9, 8, 10.0
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
        Range of each input; values in between are tried, only whole numbers if the law asks for them.
    question : str
        What fixes the plan; only a budget, ``"C"``, makes plans comparable by what they reach.
    plan : callable
        Gives the target that a plan reaches, and its sense.

    Raises
    ------
    ArgumentError
        A question other than C, an invalid range, or an input that the law does not read or that costs FLOP.
    """
    law, wanted = predictor.law, check_mapping("choose", choose, "{'n_experts': (1, 64)}")
    spans = {name: _span(predictor, name, value) for name, value in wanted.items()}
    if question != "C":
        raise ArgumentError(
            f"{arg('choose')} compares what inputs reach on one budget, and {arg(question)} fixes no budget",
            "no plan was made",
            f"Ask with {arg('C')}, or hold the inputs, {arg('at', {name: ... for name in spans})}",
        )
    best = {name: _rounded(law, name, float(_between(*span)[_POINTS // 2])) for name, span in spans.items()}
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
                points = _between(low, high)
                grid = [_rounded(law, name, float(value)) for value in points]
                values = [score({**best, name: value}) for value in grid]
                at = int(np.argmin(values))
                best[name] = grid[at]
                low, high = float(points[max(at - 1, 0)]), float(points[min(at + 1, _POINTS - 1)])
    if not np.isfinite(score(best)):
        plan(predictor.at(**best))  # raises what stands in the way
    return predictor.at(**best), best


def chosen_notes(law: Any, chosen: Mapping[str, float], choose: Mapping[str, Any]) -> list[Note]:
    """Say which inputs were chosen at an end of their range: that the best is there may be the range's doing."""
    notes = []
    for name, value in chosen.items():
        low, high = (check_number(name, end) for end in choose[name])
        if value not in (_rounded(law, name, low), _rounded(law, name, high)):
            continue
        text = f"{name} is best at {value:.4g}, an end of the range that it was chosen from ({low:.4g} to {high:.4g}): "
        text += "the law may go on getting better past it."
        notes.append(Note("chosen_at_an_end", "info", text, {name: value}))
    return notes


def _between(low: float, high: float) -> Array:
    """Values over a range: over logarithms where it spans a decade, else evenly, as shares and ranges with zero."""
    return np.geomspace(low, high, _POINTS) if low > 0 and high >= _DECADE * low else np.linspace(low, high, _POINTS)


def _span(predictor: Predictor, name: str, value: Any) -> tuple[float, float]:
    if name in predictor.held_inputs:
        raise ArgumentError(
            f"{arg('choose', {name: ...})}: it is held at {predictor.held_inputs[name]:g}",
            "no plan was made",
            "Hold it or let it be chosen, not both",
        )
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
    declared = predictor.law.declarations.get(name) if predictor.law is not None else None
    declared = Input(name) if declared is None else declared
    if not (low < high and declared.admits([low, high]).all()):
        typical = tuple(declared.typical) or (1, 64)
        raise ArgumentError(
            f"{arg('choose', {name: value})} must be (from, to), rising, and {name} is {declared.allowed}",
            "no plan was made",
            f"Give {arg('choose', {name: (typical[0], typical[-1])})}, for one",
        )
    return low, high


def _rounded(law: Any, name: str, value: float) -> float:
    """The value, a whole number where the law's declaration asks for one."""
    declared = None if law is None else law.declarations.get(name)
    return float(round(value)) if declared is not None and declared.integer else value
