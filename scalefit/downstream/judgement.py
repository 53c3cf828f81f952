"""Which tasks can be predicted: judged on the runs available, before anything is forecast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scalefit._typing import AnyArray, Array
from scalefit.downstream.curves import Curve

#: Models with a metric that a curve needs, with and without a known guessing rate.
FEWEST, FEWEST_UNKNOWN = 6, 8
#: Weight of flat and falling curves from which there is no relation.
_DOUBT = 0.05
#: Share of the variance that the curve must explain.
_EXPLAINED = 0.5
#: Skill against a flat line, on the models of lowest loss, below which a curve misleads.
_SKILL = -0.3
_AT_CHANCE = 2.0  # standard errors
#: Level of the intervals that are judged. One says nothing that is as wide as a guess at random between the best model
#: and perfect would be, unless it is narrow beside the way from guessing to perfect (choices: docs/downstream.md).
LEVEL = 0.9
_NARROW = 0.25


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether a task is predictable, why not, and the numbers behind it.

    Parameters
    ----------
    predictable : bool
        Whether it can be predicted: the metric is a curve in the loss, and that curve is determined as far
        ahead as coverage was measured.
    reason : str
        Why it cannot be predicted; else empty.
    explained : float
        Share of the variance that the median curve explains.
    skill : float
        1 minus the error of a curve from the other models relative to a flat line, on the third of lowest loss.
    """

    predictable: bool
    reason: str
    explained: float
    skill: float


def too_few(metric: Array, known: bool) -> str:
    """Say why a task has too little to fit; empty where it has enough."""
    n, needed = int(np.isfinite(metric).sum()), FEWEST if known else FEWEST_UNKNOWN
    if n < needed:
        return f"{n} models have it, and a curve needs {needed}"
    if np.ptp(metric[np.isfinite(metric)]) == 0:
        return "it is the same in every model"
    return ""


def says_nothing(lower: Array, upper: Array, best: float, chance: float) -> AnyArray:
    """Return which intervals (m,) of a share leave open all that was open without any model beyond the best.

    Parameters
    ----------
    lower, upper : ndarray (m,)
        Ends at the level ``LEVEL``; no interval (NaN) is none that says nothing.
    best : float
        Where the curve has come at the lowest loss seen.
    chance : float
        What guessing gets.
    """
    return np.asarray(upper - lower >= max(LEVEL * (1 - best), _NARROW * (1 - chance)))


def judge(loss: Array, metric: Array, curve: Curve, held: AnyArray, inner: Curve | None) -> Judgement:
    """Judge one task.

    Parameters
    ----------
    loss, metric : ndarray (n,)
        Of the models that have it, as a share of which more is better.
    curve : Curve
        Of all of them.
    held : ndarray (n,) of bool
        The models of lowest loss, which `inner` did not see.
    inner : Curve, optional
        Of the others; None where they are all alike.
    """
    total = float(((metric - metric.mean()) ** 2).sum())
    explained = 1.0 - float(((metric - curve.median(loss)) ** 2).sum()) / max(total, 1e-300)
    skill = np.nan if inner is None else _skill(loss, metric, held, inner)
    return Judgement(not (why := _why_not(loss, metric, curve, explained, skill)), why, explained, skill)


def _skill(loss: Array, metric: Array, held: AnyArray, inner: Curve) -> float:
    rest = np.argsort(np.where(held, np.inf, loss), kind="stable")[: max(2, int((~held).sum()) // 4)]
    flat = float(np.abs(metric[held] - metric[rest].mean()).mean())
    own = float(np.abs(metric[held] - inner.median(loss[held])).mean())
    return 1.0 - own / max(flat, 1e-12)


def _why_not(loss: Array, metric: Array, curve: Curve, explained: float, skill: float) -> str:
    weights = curve.weights
    best = metric[np.argsort(loss, kind="stable")[: max(3, len(metric) // 3)]]
    if curve.known is not None:
        error = float(best.std(ddof=1)) / np.sqrt(len(best))
        if best.mean() - curve.known <= _AT_CHANCE * error:
            return f"at chance: the best models have {best.mean():.3g}, guessing {curve.known:.3g}"
    if weights["wrong"] > max(0.5, weights["flat"]):
        return "it gets worse as the loss falls"
    if (none := weights["flat"] + weights["wrong"]) > _DOUBT:
        return f"no sure relation with the loss (a flat or falling curve keeps weight {none:.2f})"
    if explained < _EXPLAINED:
        return f"scatter: the loss explains {100 * max(explained, 0.0):.0f} % of its variance"
    if np.isnan(skill):
        return "not checked: the other models are all alike, so no curve of them could be tried on those of lowest loss"
    if skill < _SKILL:
        return f"held out: a curve missed the models of lowest loss by {1 - skill:.1f} times as much as a flat line"
    return ""
