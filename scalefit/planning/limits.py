"""How far a plan extrapolates beyond the runs of its law, and the interval for its loss."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from scalefit._numeric import settled
from scalefit._text import count
from scalefit.errors import ArgumentError, Note, ScalefitWarning, arg, way
from scalefit.extrapolation import ABSURD, NEAR
from scalefit.flops import QUANTITIES, SIZES, convention, training_flops
from scalefit.planning.loss_surface import Surface, drawn_on
from scalefit.predictor import Predictor

#: More compute than this [FLOP] is refused under any law: a thousand times all that computers had done by 2025.
ABSOLUTE = 1e32
#: Shares of a plan's N or D that are compared with it, and a relative difference that is none.
_LESS = np.geomspace(1e-8, 1.0, 400)
_SAME = 1e-6


def largest(predictor: Predictor) -> dict[str, float]:
    """Largest N [parameters], D [tokens] and C [FLOP] that the law was fitted to; empty where that is not known."""
    return {key: span[1] for key, span in predictor.seen().items() if key in QUANTITIES}


def reach_notes(predictor: Predictor, N: float, D: float) -> list[Note]:
    """Say how far a plan extrapolates beyond the runs."""
    seen = largest(predictor)
    ratios = {
        key: settled(value / seen[key])
        for key, value in (("N", N), ("D", D), ("C", float(training_flops(N, D))))
        if key in seen
    }
    beyond = {key: ratio for key, ratio in ratios.items() if ratio > (NEAR if key == "C" else 1.0)}
    if not beyond or ("C" in ratios and "C" not in beyond):
        return []
    words = {"N": "parameters", "D": "tokens", "C": "compute"}
    # A forecast's own intervals are made for such jumps.
    call = way("sf.forecast", "scalefit forecast")
    better = "" if predictor.calibrated else f", or use {call} for intervals calibrated on such jumps"
    between = way("sf.next_runs", "scalefit next-runs")
    text = ", ".join(f"{ratio:.3g} times the {words[key]}" for key, ratio in sorted(beyond.items()))
    return [
        Note(
            "beyond_reach",
            "warning",
            f"The plan has {text} of the largest run behind the law: that is extrapolation, and nothing tests the "
            f"law's form there. Train something in between first ({between}){better}.",
            ratios,
        )
    ]


def held_notes(predictor: Predictor) -> list[Note]:
    """Say which of the inputs held or chosen lie outside the runs."""
    seen = predictor.seen()
    outside = {
        name: value
        for name, value in predictor.held_inputs.items()
        if name in seen and not seen[name][0] * (1 - 1e-9) <= value <= seen[name][1] * (1 + 1e-9)
    }
    if not outside:
        return []
    words = ", ".join(f"{name} {value:.4g} ({_span(seen[name])} there)" for name, value in outside.items())
    text = f"The plan leaves the runs behind the law in {words}: that is extrapolation. Train a run there first."
    return [Note("input_beyond_runs", "warning", text, outside)]


def _span(limits: tuple[float, float]) -> str:
    return f"{limits[0]:.4g}" if limits[0] == limits[1] else f"{limits[0]:.4g} to {limits[1]:.4g}"


def cost_notes(predictor: Predictor) -> list[Note]:
    """Say that a plan counts six FLOP per parameter, where the law's compute does not follow from its N and D."""
    law = predictor.law
    if law is None or convention(law.flops).computes:
        return []
    text = (
        f"C is six FLOP for each of N parameters and token, and N of the law {law.name} counts parameters that a token "
        "may not use: a run of this N and D costs less than C. Take C as a limit on N times D, or plan with a law of "
        "active parameters, such as joint_moe."
    )
    return [Note("idle_parameters", "warning", text)]


def past_best_notes(surface: Surface, N: float, D: float) -> list[Note]:
    """Say that less of N or D would do better, where the law rises in one of them."""
    flat, notes = np.ones_like(_LESS), []
    for name, sizes, tokens in (("D", N * flat, D * _LESS), ("N", N * _LESS, D * flat)):
        along = np.ravel(surface.first().worse(sizes, tokens))
        at = int(np.argmin(np.where(np.isfinite(along), along, np.inf)))
        if not along[at] < along[-1] - _SAME * abs(along[-1]):
            continue
        best, kind = (tokens[at], "tokens") if name == "D" else (sizes[at], "parameters")
        held, now = (f"N = {count(N)}", D) if name == "D" else (f"D = {count(D)}", N)
        value = float(-along[at] if surface.sense > 0 else along[at])
        text = (
            f"At {held} the law is best near {count(best)} {kind}, at {value:.4f}: the plan's {count(now)} make it "
            "worse and cost more. Spend less, or free what is held."
        )
        notes.append(Note("past_the_best", "warning", text, {name: float(best), "value": value}))
    return notes


def compute_notes(predictor: Predictor, C: float) -> list[Note]:
    """Say how far a budget lies beyond the runs of a law in C."""
    most = largest(predictor).get("C")
    ratio = None if most is None else settled(C / most)
    if ratio is None or ratio <= NEAR:
        return []
    text = (
        f"The plan has {ratio:.3g} times the compute of the largest run behind the law: that is extrapolation, "
        "which assumes that the law's form holds there. Train something in between first."
    )
    return [Note("beyond_reach", "warning", text, {"C": ratio})]


def refuse_absurd(predictor: Predictor, question: str, asked: float, named: str = "") -> None:
    """Refuse a budget, size or length far beyond what any law can predict; `named` is the argument's name.

    Raises
    ------
    ArgumentError
        With the largest run that the law has seen.
    """
    seen, named = largest(predictor), named or question
    limit = ABSOLUTE if question == "C" else 1e25
    if question in QUANTITIES and asked > limit:
        raise ArgumentError(
            f"{arg(named, shown=f'{asked:.3g}')} is more than anybody can train ({limit:.0e} is where plans end)",
            "no plan was made",
            "Check its unit",
        )
    if question in seen and settled(asked / seen[question]) > ABSURD:
        raise ArgumentError(
            f"{arg(named, shown=f'{asked:.3g}')} is {asked / seen[question]:.2g} times the largest run behind the law "
            f"({seen[question]:.3g}): no law is reliable there",
            "no plan was made",
            "Ask for less, or fit larger runs",
        )


def refuse_absurd_answer(predictor: Predictor, question: str, asked: float, C: float) -> None:
    """Refuse a question whose answer takes a budget that `refuse_absurd` would refuse.

    Raises
    ------
    ArgumentError
        With that budget and the largest run that the law has seen.
    """
    seen = largest(predictor)
    most = seen.get("C", np.inf)
    if "C" not in seen and set(SIZES) <= set(seen):
        most = float(training_flops(seen["N"], seen["D"]))
    if settled(C / most) > ABSURD:
        raise ArgumentError(
            f"{arg(question, shown=f'{asked:.6g}')} takes {C:.2g} FLOP under this law, {C / most:.2g} times the "
            f"largest run behind it ({most:.3g} FLOP): no law is reliable there",
            "no plan was made",
            f"Ask for something closer to the runs, or use {arg('C')}",
        )


def losses_between(
    predictor: Predictor, surface: Surface, N: float, D: float, loss: float, level: float, series: str | None
) -> tuple[float | None, float | None, list[Note]]:
    """Interval [nat/token] for the loss of a run at N and D: the result's own where it has one, else the draws'."""
    borrowed = any(note.code == "borrowed_repetition" for note in surface.notes)
    counted = drawn_on(predictor, surface.unique_tokens or D)
    # Where repetition is borrowed, the interval is that of as many fresh tokens, about the plan's loss.
    inputs: dict[str, Any] = {"N": N, "D": surface.fresh(D) if borrowed and not counted else D, **counted}
    if "unique_tokens" in predictor.inputs and surface.unique_tokens is not None:
        inputs["unique_tokens"] = min(D, surface.unique_tokens)
    if series is not None:
        inputs["series"] = series
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ScalefitWarning)
        frame = predictor.predict_interval(level=level, **inputs)
    row = frame.iloc[0]
    if not np.isnan(row["lower"]):
        notes = [note for note in frame.attrs.get("notes", ()) if note.code != "extrapolation"]
        notes += _taken_for_new(predictor, surface, D)
        moved = loss / float(row["loss"]) if borrowed else 1.0
        return moved * float(row["lower"]), moved * float(row["upper"]), notes
    if surface.n_rows < 3:
        return None, None, []
    k = surface.n_rows
    values = surface.loss(np.full((k, 1), N), np.full((k, 1), D))[1:, 0]
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high), []


def _taken_for_new(predictor: Predictor, surface: Surface, D: float) -> list[Note]:
    """Say that a plan takes more tokens for new than the runs of its forecast had, which repeated theirs."""
    had = predictor.conventions.get("unique_tokens")
    if had is None or surface.unique_tokens is not None or had >= D:
        return []
    text = (
        f"The runs repeated at most {count(had, 3)} distinct tokens; this plan takes all of its {count(D, 3)} tokens "
        f"for new. If there are fewer, pass {arg('unique_tokens', count(had, 3))} or what there is."
    )
    return [Note("taken_for_new", "warning", text, {"unique_tokens": float(had)})]
