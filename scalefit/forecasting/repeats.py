"""Tokens that runs see more than once: what they are worth in a forecast, and how much is not known of it.

The centre counts effective tokens, by the published law of repetition. How far real runs lie from it was measured on
runs that a forecast had not seen: in parts of the gap between repeats that are worth nothing and repeats that are as
good as new, more with every epoch, and more where the model is large for the distinct tokens, which it then learns by
heart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scalefit._arguments import as_numbers
from scalefit._typing import AnyArray, Array
from scalefit.errors import ArgumentError, Note, arg, way
from scalefit.fitting.runs import Runs
from scalefit.flops import SIZES
from scalefit.laws import published
from scalefit.laws._base import Law

#: Standard deviation in parts of that gap: exp(first) repeats^second (1 + N/U)^third. Learned by
#: benchmarks/forecast_causes.py from runs of up to 64 epochs, with a forecast made of runs of one epoch.
SPREAD = (-5.27, 0.8, 0.6)
MOST_EPOCHS = 64.0
#: Noise of a run [log loss], against which a repeated run's weight falls.
_NOISE = 0.004
#: Share of new tokens from which a run repeats none (rounding).
_ALL_NEW = 0.99


@dataclass(frozen=True, slots=True, eq=False)
class Repeats:
    """What a table says of repeated tokens.

    Parameters
    ----------
    unique : float
        Most distinct tokens of any run, which new runs are taken to draw on [tokens].
    seen : ndarray (n,)
        Tokens that each run saw; the forecast counts effective ones [tokens].
    """

    unique: float
    seen: Array

    def part(self, rows: AnyArray) -> Repeats:
        """The same of some of the runs."""
        return replace(self, seen=self.seen[rows])


def effective(D: Array, unique: Array) -> Array:
    """Fresh tokens that D tokens drawn from `unique` are worth (Muennighoff et al. 2023, eq. 5)."""
    R_D = float(published("data_constrained", "muennighoff2023").constants.values["R_D"])
    unique = np.minimum(D, unique)
    return np.asarray(unique * (1 + R_D * -np.expm1(-(D / unique - 1) / R_D)))


def spread(
    N: Array, D: Array, unique: Array, log_loss: Callable[[Array, Array], Array], by: tuple[float, ...] = SPREAD
) -> Array:
    """Standard deviation (m,) of the log loss from what is not known of repeats; ``log_loss(N, D)`` has none."""
    once = np.minimum(D, unique)
    gap = np.maximum(log_loss(N, once) - log_loss(N, D), 0.0)
    return np.asarray(np.exp(by[0]) * (D / once - 1) ** by[1] * (1 + N / once) ** by[2] * gap)


def with_repeats(table: Runs) -> tuple[Runs, Repeats | None]:
    """Runs in effective tokens, those that repeat trusted less; as they are where none repeats."""
    unique = table.table.get("unique_tokens")
    if unique is None or not set(SIZES) <= set(table.columns) or "unique_tokens" in table.columns:
        return table, None
    N, D = table.columns["N"], table.columns["D"]
    unique = np.where(np.isfinite(unique), unique, D)
    if not (unique < _ALL_NEW * D).any():
        return table, None
    law = published("data_constrained", "muennighoff2023")
    unsure = spread(N, D, unique, lambda N, D: np.log(np.asarray(law.predict(N=N, D=D, unique_tokens=D))))
    weights = (1.0 if table.weights is None else table.weights) / (1 + (unsure / _NOISE) ** 2)
    columns = {**table.columns, "D": effective(D, unique)}
    most = float(unique.max())
    stated = {**table.conventions, "unique_tokens": most}  # so that a plan knows that the forecast draws on them
    return replace(table, columns=columns, weights=weights, conventions=stated), Repeats(most, D)


def repeats_notes(table: Runs, repeats: Repeats | None) -> list[Note]:
    """Say that runs saw tokens more than once, and what was made of it."""
    if repeats is None:
        return []
    epochs = repeats.seen / np.fmin(repeats.seen, table.table["unique_tokens"])
    other = way("unique_tokens=...", "--at N=...,D=...,unique_tokens=...")
    text = (
        f"{int((epochs > 1 / _ALL_NEW).sum())} of {epochs.size} runs saw tokens more than once, up to "
        f"{epochs.max():.3g} times. A token seen again counts for less (Muennighoff et al. 2023), and intervals of "
        f"runs that repeat are wider. New runs are taken to draw on {repeats.unique:.3g} distinct tokens: say "
        f"otherwise by {other}."
    )
    return [Note("repeated_tokens", "warning", text, {"n_runs": int((epochs > 1 / _ALL_NEW).sum())})]


def distinct(law: type[Law], repeats: Repeats | None, inputs: Mapping[str, Any]) -> tuple[dict[str, Any], Array | None]:
    """Inputs of a law that takes tokens for new, and the distinct tokens: as given, or those of the table if any."""
    if "unique_tokens" in law.inputs or not set(SIZES) <= set(law.inputs):
        return dict(inputs), None
    given = {key: value for key, value in inputs.items() if key != "unique_tokens"}
    asked = inputs.get("unique_tokens")
    if asked is None:
        return given, None if repeats is None else np.asarray(repeats.unique)
    unique = as_numbers("unique_tokens", asked)
    if not (np.isfinite(unique) & (unique > 0)).all():
        raise ArgumentError(
            f"{arg('unique_tokens', unique.tolist())} is not a number of tokens",
            "nothing was predicted",
            "Give the distinct tokens that the run draws on",
        )
    return given, unique


def point_notes(epochs: Array) -> list[Note]:
    """Say where a prediction repeats its data more often than any run that widths were learned from."""
    most = float(epochs.max(initial=1.0))
    if most <= MOST_EPOCHS:
        return []
    text = (
        f"A run sees its tokens up to {most:.3g} times; what that does was measured up to {MOST_EPOCHS:g} times. "
        f"Larger models may lose more than this interval says: watch the validation loss."
    )
    return [Note("many_epochs", "warning", text, {"epochs": most})]
