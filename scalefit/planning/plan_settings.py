"""Learning rate, batch and other settings of a plan, from a sweep of one's own."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from scalefit._text import count
from scalefit.errors import ArgumentError, Note, arg, way
from scalefit.flops import SIZES
from scalefit.planning.architecture import Architecture, count_of
from scalefit.tuning.result import Hyperparameters
from scalefit.tuning.words import setting_text


@dataclass(frozen=True, slots=True)
class PlannedSettings:
    """The settings of a plan.

    Attributes
    ----------
    values : dict of str to float
        Each setting with ``_lower`` and ``_upper``; ``batch_tokens`` where it is known; ``beyond``, how many times N
        or D lies outside the sweep.
    rule : str
        The sweep behind them.
    notes : tuple of Note
        What to know before using them.
    """

    values: dict[str, float]
    rule: str
    notes: tuple[Note, ...]


def check_hyperparameters(found: Any) -> Hyperparameters | None:
    """Return what ``sf.fit_hyperparameters`` gave, or None."""
    if found is None or isinstance(found, Hyperparameters):
        return found
    raise ArgumentError(
        f"{arg('hyperparameters', shown=type(found).__name__)} is not a fit of settings",
        "no plan was made",
        f"Pass what {way('sf.fit_hyperparameters', 'scalefit hyperparameters')} returned",
    )


def settings_for(
    found: Hyperparameters, N: float, D: float, params: str, shape: Architecture | None, level: float
) -> PlannedSettings:
    """The settings at a plan's N and D, N counted as the sweep counts it."""
    if math.isnan(N):
        raise ArgumentError(
            "The law reads C alone, so the plan has no N and D to find settings for",
            "no plan was made",
            (f"leave {arg('hyperparameters')} out", "fit a law in N and D"),
        )
    notes = []
    size = N
    if found.params != params:
        counted = None if shape is None else count_of(shape.counts, found.params)
        if counted is None:
            text = (
                f"The sweep's N counts {found.params} parameters and the plan's {params}: they are assumed to be the "
                "same. Count both the same way."
            )
            notes.append(Note("settings_count", "warning", text, {"params": found.params}))
        else:
            size = float(counted)
    row = found.predict(N=size, D=D, level=level).iloc[0]
    values = {str(key): float(value) for key, value in row.items() if key not in SIZES}
    cells = found.sweep.N[found.used], found.sweep.D[found.used]
    spans = ", ".join(
        f"{name} {count(float(seen.min()))} to {count(float(seen.max()))}"
        for name, seen in zip(SIZES, cells, strict=True)
    )
    rule = f"your sweep of {len(cells[0])} cells, {spans}"
    if values["beyond"] > 1:
        rule += f"; {values['beyond']:.2g} times beyond it"
    if not found.trusted:
        why = ", ".join(note.code for note in found.notes if note.severity == "error")
        text = f"The fitted settings are not to be trusted ({why}). They are given all the same. See their notes."
        notes.append(Note("settings_untrusted", "warning", text, {"codes": why}))
    return PlannedSettings(values, rule, tuple(notes))


def settings_text(found: Hyperparameters, planned: PlannedSettings) -> str:
    """The line of a printed plan."""
    listed = ", ".join(setting_text(name, planned.values, found.batch) for name in found.names)
    return f"{listed} ({planned.rule})"
