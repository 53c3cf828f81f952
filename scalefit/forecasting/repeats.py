"""Tokens that runs see more than once: what they are worth in a forecast, and how uncertain that is.

The centre counts effective tokens, by the published law of repetition. How far real runs lie from it was measured on
runs that a forecast had not seen: in parts of the gap between repeats that are worth nothing and repeats that are as
good as new. The error grows with every epoch, and with the model's size for the distinct tokens, which it memorises.
heart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scalefit._arguments import as_numbers, broadcast, check_quantity
from scalefit._typing import AnyArray, Array, ArrayLike
from scalefit.errors import ArgumentError, Note, arg, way
from scalefit.extrapolation import times_largest
from scalefit.fitting.runs import Runs
from scalefit.flops import SIZES, FlopConvention
from scalefit.laws import published
from scalefit.laws._base import Law
from scalefit.laws._inputs import check_inputs

#: Standard deviation in parts of that gap: exp(first) repeats^second (1 + N/U)^third. Learned by
#: benchmarks/forecast_causes.py from runs of up to 64 epochs, with a forecast made of runs of one epoch.
SPREAD = (-5.22, 0.8, 0.6)
MOST_EPOCHS = 64.0
#: Noise of a run [log loss], against which a repeated run's weight falls.
_NOISE = 0.004
#: ln N over which runs of some compute are looked for, at steps of .01.
_LINE = (0.0, 40.0, 4001)
#: A law of compute takes what repeats cost for half of the fall that it knows, as at the best N and D; elsewhere the
#: part of D lies between none and twice that: so much of it is the standard deviation of one spread evenly (1/sqrt 3).
_SHARE = 0.577
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
        Tokens that each run saw [tokens], or for a law of compute what it cost [FLOP]; the forecast counts effective
        ones.
    of : str
        Which of them: ``"D"`` or ``"C"``.
    given : bool
        Whether the distinct tokens were given (:meth:`ForecastResult.at`) and not read from the table.
    """

    unique: float
    seen: Array
    of: str = "D"
    given: bool = False

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


def with_repeats(table: Runs, *, on_line: bool) -> tuple[Runs, Repeats | None]:
    """Runs in effective tokens, those that repeat trusted less; as they are where none repeats.

    `on_line` says that N and D move together, so that a law of compute will be fitted.
    """
    unique = table.table.get("unique_tokens")
    if unique is None or not set(SIZES) <= set(table.columns) or "unique_tokens" in table.columns:
        return table, None
    N, D = table.columns["N"], table.columns["D"]
    unique = np.where(np.isfinite(unique), unique, D)
    if not (unique < _ALL_NEW * D).any():
        return table, None
    law = published("data_constrained", "muennighoff2023")
    unsure = _unsure(N, D, unique, lambda N, D: np.log(np.asarray(law.predict(N=N, D=D, unique_tokens=D))), on_line)
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


def distinct(repeats: Repeats | None, inputs: Mapping[str, Any]) -> tuple[dict[str, Any], Array | None]:
    """Inputs without the distinct tokens, and these: as given, or those of the table if any."""
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


def counts_repeats(law: type[Law], conventions: Mapping[str, Any]) -> bool:
    """Whether a forecast counts repeats: by a law of N and D that takes tokens for new, or along a line of both."""
    return "unique_tokens" not in law.inputs and ({*SIZES} <= {*law.inputs} or "line" in conventions)


def columns_of(result: Any, inputs: Mapping[str, ArrayLike]) -> tuple[tuple[int, ...], dict[str, Array], Array | None]:
    """Shape of the answer, flat inputs of a forecast (m,), and what repeats leave of its D or C (m,), if there are any.

    The inputs then hold N, D and ``unique_tokens`` as well.
    """
    law, cost, inputs = result.law, result.cost, times_largest(result.seen, inputs)
    if not counts_repeats(law, result.conventions):
        return *broadcast(check_inputs(law, inputs, cost)), None
    given, unique = distinct(result.repeats, inputs)
    columns = dict(check_inputs(law, given, cost))
    if unique is None:
        return *broadcast(columns), None
    if "D" not in columns:
        sizes = {key: as_numbers(key, given[key]) for key in SIZES if key in given}
        columns |= sizes if len(sizes) > 1 else along(result.conventions["line"], cost, columns["C"])
    shape, flat = broadcast({**columns, "unique_tokens": unique})
    worth = effective(flat["D"], flat["unique_tokens"])
    return shape, flat, worth if "D" in law.inputs else flat["C"] * worth / flat["D"]


def along(line: tuple[float, float], cost: FlopConvention, C: Array) -> dict[str, Array]:
    """N and D of runs of compute C [FLOP], where ln D follows ln N as the runs of a law of compute do."""
    log_n = np.linspace(*_LINE)
    log_c = np.log(cost.train(np.exp(log_n), np.exp(line[0] + line[1] * log_n)))
    order = np.argsort(log_c)
    at = np.interp(np.log(C), log_c[order], log_n[order])
    return {"N": np.exp(at), "D": np.exp(line[0] + line[1] * at)}


def widened(result: Any, flat: Mapping[str, Array], law: Array) -> tuple[Array, Array]:
    """Part of an interval that the law's form makes, widened by repeats (m,), and their epochs (m,)."""
    N, D, unique = (flat[key] for key in ("N", "D", "unique_tokens"))

    def log_new(N: Array, D: Array) -> Array:
        return np.asarray(np.log(result.predict(N=N, D=D, unique_tokens=D)))

    return np.hypot(law, _unsure(N, D, unique, log_new, "D" not in result.law.inputs)), D / unique


def _unsure(N: Array, D: Array, unique: Array, log_loss: Callable[[Array, Array], Array], on_line: bool) -> Array:
    """Standard deviation (m,) of the log loss from repeats; by a law of compute if `on_line`, more.

    Along a line nothing says what part of the fall is that of D.
    """
    found = spread(N, D, unique, log_loss)
    return np.hypot(found, _SHARE * (log_loss(N, effective(D, unique)) - log_loss(N, D))) if on_line else found


def drawing_on(result: Any, held: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """A forecast whose new runs draw on the distinct tokens held, if it counts repeats and they are; what else is."""
    rest = dict(held)
    if "unique_tokens" not in rest or not counts_repeats(result.law, result.conventions):
        return result, rest
    unique = check_quantity("unique_tokens", rest.pop("unique_tokens"))
    of = "D" if "D" in result.law.inputs else "C"
    known = result.repeats or Repeats(unique, result.problem.raw_columns[of], of)
    return replace(result, repeats=replace(known, unique=unique, given=True)), rest


def open_above(epochs: Array, half: Array) -> AnyArray:
    """Where repeats leave the upper end of an interval open (m,): it would be e times the loss that is forecast."""
    return np.asarray((epochs > 1) & (half > 1))


def point_notes(epochs: Array, unbounded: AnyArray) -> list[Note]:
    """Say where a prediction repeats its data more often than any run that widths were learned from."""
    most = float(epochs.max(initial=1.0))
    if most <= MOST_EPOCHS and not unbounded.any():
        return []
    text = f"A run sees its tokens up to {most:.3g} times; what that does was measured up to {MOST_EPOCHS:g} times. "
    if unbounded.any():
        text += (
            "A model that large memorises its tokens, and how far its loss then rises is not determined: the "
            "interval has no upper end. "
        )
    else:
        text += "Larger models may lose more than this interval says. "
    text += "Watch the validation loss, and keep the best checkpoint."
    return [Note("many_epochs", "warning", text, {"epochs": most, "open": bool(unbounded.any())})]
