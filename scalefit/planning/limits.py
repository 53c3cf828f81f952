"""How far a plan leaves the runs behind its law, and the interval for its loss."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from scalefit.errors import ArgumentError, Note, ScalefitWarning
from scalefit.planning.loss_surface import Surface

#: A plan this many times beyond the largest run says so; so far beyond that it is refused.
FAR, ABSURD = 3.0, 1e8
#: From this many times the largest run's compute on, a plan says so before its numbers.
LEAP = 1e3
#: More compute than this [FLOP] is refused under any law: a thousand times all that computers had done by 2025.
ABSOLUTE = 1e32


def largest(result: Any) -> dict[str, float]:
    """Largest N [parameters], D [tokens] and C [FLOP] that the law was fitted to; empty where that is not known."""
    for part in getattr(result, "results", ()):  # an average's, all of one table
        if found := largest(part):
            return found
    problem, constants = getattr(result, "problem", None), getattr(result, "constants", None)
    if problem is not None and {"N", "D"} <= set(problem.columns):
        columns = {key: problem.raw_columns[key] for key in ("N", "D")}
        columns["C"] = 6.0 * columns["N"] * columns["D"]
        return {key: float(value.max()) for key, value in columns.items()}
    if constants is not None and np.isfinite([constants.N[1], constants.D[1]]).all():
        return {"N": constants.N[1], "D": constants.D[1]}
    return {}


def reach_notes(result: Any, N: float, D: float) -> list[Note]:
    """Say by how much a plan leaves the data's reach."""
    seen = largest(result)
    ratios = {key: value / seen[key] for key, value in (("N", N), ("D", D), ("C", 6.0 * N * D)) if key in seen}
    beyond = {key: ratio for key, ratio in ratios.items() if ratio > (FAR if key == "C" else 1.0)}
    if not beyond or ("C" in ratios and "C" not in beyond):
        return []
    words = {"N": "parameters", "D": "tokens", "C": "compute"}
    # A forecast's own intervals are made for such jumps.
    better = "" if hasattr(result, "fitted") else ", or use sf.forecast for intervals calibrated on such jumps"
    text = ", ".join(f"{ratio:.3g} times the {words[key]}" for key, ratio in sorted(beyond.items()))
    return [
        Note(
            "beyond_reach",
            "warning",
            f"The plan has {text} of the largest run behind the law: that is extrapolation, and the law's form is "
            f"held for true. Train something in between first (sf.next_runs){better}.",
            ratios,
        )
    ]


def refuse_absurd(result: Any, question: str, asked: float, said: str = "") -> None:
    """Refuse a budget, size or length that no law could speak about; `said` is the argument's name, if another.

    Raises
    ------
    ArgumentError
        With the largest run that the law has seen.
    """
    seen, said = largest(result), said or question
    limit = ABSOLUTE if question == "C" else 1e25
    if question in ("C", "N", "D") and asked > limit:
        raise ArgumentError(
            f"{said}={asked:.3g} is more than anybody can train ({limit:.0e} is where plans end). No plan was "
            "made. Check its unit."
        )
    if question in seen and asked > ABSURD * seen[question]:
        raise ArgumentError(
            f"{said}={asked:.3g} is {asked / seen[question]:.2g} times the largest run behind the law "
            f"({seen[question]:.3g}): no law can speak about that, and no plan was made. Ask for less, or fit larger "
            "runs."
        )


def refuse_absurd_answer(result: Any, question: str, asked: float, C: float) -> None:
    """Refuse a question whose answer takes a budget that `refuse_absurd` would refuse.

    Raises
    ------
    ArgumentError
        With that budget and the largest run that the law has seen.
    """
    seen = largest(result)
    most = seen.get("C", 6.0 * seen["N"] * seen["D"] if seen else np.inf)
    if C > ABSURD * most:
        raise ArgumentError(
            f"{question}={asked:.6g} takes {C:.2g} FLOP under this law, {C / most:.2g} times the largest run behind it "
            f"({most:.3g} FLOP): no law can speak about that, and no plan was made. Ask for something nearer to the "
            f"runs, or with C=."
        )


def losses_between(
    result: Any, surface: Surface, N: float, D: float, loss: float, level: float, series: str | None
) -> tuple[float | None, float | None, list[Note]]:
    """Interval [nat/token] for the loss of a run at N and D: the result's own where it has one, else the draws'."""
    borrowed = any(note.code == "borrowed_repetition" for note in surface.notes)
    if hasattr(result, "predict_interval"):
        # Where repetition is borrowed, the interval is that of as many fresh tokens, about the plan's loss.
        inputs: dict[str, Any] = {"N": N, "D": surface.fresh(D) if borrowed else D}
        if "unique_tokens" in getattr(getattr(result, "law", None), "inputs", ()) and surface.unique_tokens is not None:
            inputs["unique_tokens"] = min(D, surface.unique_tokens)
        if series is not None:
            inputs["series"] = series
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ScalefitWarning)
            frame = result.predict_interval(level=level, **inputs)
        row = frame.iloc[0]
        notes = [note for note in frame.attrs.get("notes", ()) if note.code != "extrapolation"]
        moved = loss / float(row["loss"]) if borrowed else 1.0
        return moved * float(row["lower"]), moved * float(row["upper"]), notes
    if surface.n_rows < 3:
        return None, None, []
    k = surface.n_rows
    values = surface.loss(np.full((k, 1), N), np.full((k, 1), D))[1:, 0]
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high), []
