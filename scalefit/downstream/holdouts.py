"""Within these runs: curves from the smaller models against the larger ones, by way of the loss and straight."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np

from scalefit._typing import AnyArray, Array
from scalefit.downstream.curves import Curve, Grid
from scalefit.downstream.judgement import too_few
from scalefit.downstream.models import AVERAGE, Models
from scalefit.errors import FitError, ScalefitWarning
from scalefit.flops import SIZES
from scalefit.forecasting.forecast import forecast

#: Share of the models held out, the largest first, and fewest of both kinds (guesses).
_HELD = 1 / 3
_FEWEST_LARGER, _FEWEST_MODELS = 3, 9
#: Weight of ln N against ln D in the one-step rival; C alone is 0.5.
_BALANCE = np.linspace(0.2, 0.8, 7)


def curves_of(loss: Array, models: Models, rows: AnyArray | Mapping[str, AnyArray] | None = None) -> dict[str, Curve]:
    """A curve in `loss` (n,) for every task that has enough models (among `rows`, of all or by task)."""
    grids: dict[bytes, Grid] = {}
    found = {}
    for seed, (name, metric) in enumerate(models.shares.items()):
        there = np.isfinite(metric)
        if rows is not None:
            there &= rows[name] if isinstance(rows, Mapping) else rows
        rate = models.guessing[name]
        if too_few(metric[there], rate is not None and rows is None) and (
            rows is None or not there.any() or np.ptp(metric[there]) == 0
        ):
            continue
        key = there.tobytes()
        if key not in grids:
            grids[key] = Grid(loss[there])
        found[name] = grids[key].fit(metric[there], rate, seed)
    return found


def lowest(values: Array) -> AnyArray:
    """Mask (n,) of the lowest third."""
    held = np.zeros(len(values), bool)
    held[np.argsort(values, kind="stable")[: max(_FEWEST_LARGER, int(len(values) * _HELD))]] = True
    return held


def held_out(loss: Array, metric: Array) -> AnyArray:
    """Mask (n,) of the models of lowest loss among those that have the metric."""
    held = np.isfinite(metric)
    held[held] = lowest(loss[held])
    return held


class Straight:
    """The one-step rival: the metric straight from N and D, with the same curves in one mixture of both.

    ln N and ln D are weighed as the average metric (or the only one) asks, and scaled to have the middle and range of
    the losses, so that the curves mean the same.
    """

    def __init__(self, models: Models, rows: AnyArray | None = None) -> None:
        chosen = np.ones(len(models.loss), bool) if rows is None else rows
        self._N, self._D = models.inputs["N"][chosen], models.inputs["D"][chosen]
        loss = models.loss[chosen]
        self._middle, self._range = float(np.median(loss)), float(np.ptp(loss))
        lead = models.shares[AVERAGE if AVERAGE in models.shares else next(iter(models.shares))]
        there = chosen & np.isfinite(lead)
        self.balance = 0.5
        if there.sum() >= _FEWEST_LARGER + 2 and np.ptp(lead[there]) > 0:
            self.balance = max(_BALANCE, key=lambda w: self._fits(float(w), models, lead, there))
        self.curves = curves_of(self.x(models.inputs["N"], models.inputs["D"]), models, rows)

    def x(self, N: Array, D: Array, balance: float | None = None) -> Array:
        """Stand-in for the loss (m,) at N [parameters] and D [tokens]."""
        w = self.balance if balance is None else balance
        own = -(w * np.log(self._N) + (1 - w) * np.log(self._D))
        asked = -(w * np.log(N) + (1 - w) * np.log(D))
        return np.asarray(self._middle + (asked - np.median(own)) * self._range / max(float(np.ptp(own)), 1e-12))

    def _fits(self, w: float, models: Models, lead: Array, there: AnyArray) -> float:
        x = self.x(models.inputs["N"], models.inputs["D"], w)[there]
        return -float(((Grid(x).fit(lead[there]).median(x) - lead[there]) ** 2).sum())


def compare_approaches(models: Models) -> dict[str, dict[str, float]]:
    """Mean absolute errors on the third of most compute, from the other models alone.

    Returns
    -------
    dict
        Task to ``two_step``, ``one_step`` and ``flat`` (the mean of the best quarter of the others), in the metric's
        own unit; empty where the table has no N and D, or the others are too few for a forecast of the loss.
    """
    C = models.C
    if C is None or len(C) < _FEWEST_MODELS:
        return {}
    held = lowest(-C)
    small = models.part(~held)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ScalefitWarning)
            first = forecast({**small.inputs, "loss": small.loss}, loss_unit=models.conventions.get("loss_unit"))
    except FitError:
        return {}
    N, D = (models.inputs[key][held] for key in SIZES)
    by_loss, straight = curves_of(models.loss, models, ~held), Straight(models, ~held)
    loss, x = np.asarray(first.predict(N=N, D=D), float), straight.x(N, D)
    unit, found = abs(models.span[1] - models.span[0]), {}
    for name in by_loss.keys() & straight.curves.keys():
        metric = models.shares[name]
        best = metric[~held][np.argsort(small.loss, kind="stable")]
        best = best[np.isfinite(best)]
        guesses = {
            "two_step": by_loss[name].median(loss),
            "one_step": straight.curves[name].median(x),
            "flat": np.full(len(loss), best[: max(2, len(best) // 4)].mean()),
        }
        if np.isfinite(metric[held]).any():
            found[name] = {
                approach: unit * float(np.nanmean(np.abs(g - metric[held]))) for approach, g in guesses.items()
            }
    return {name: found[name] for name in models.tasks if name in found}
