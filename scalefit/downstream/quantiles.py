"""Any predictor's distribution for a new run, read off its own intervals."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from scalefit._typing import Array
from scalefit.errors import Note, ScalefitWarning
from scalefit.predictor import Predictor

#: Normal scores at which intervals are asked for: 90 % lies within 1.64, and 3.5 is 99.95 %.
SCORES = np.linspace(-3.5, 3.5, 29)


def quantile_table(of: Predictor, inputs: Mapping[str, Any]) -> tuple[Array, list[Note]]:
    """Quantiles (29, m) of a new run at m points, one row per normal score, and what the predictor says of them.

    Rows are NaN, all but the middle one, where the predictor gives no interval.
    """
    from scipy.special import ndtr

    rows, notes = {}, []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ScalefitWarning)  # what they warn of is in the notes
        for score in SCORES[SCORES > 0]:
            frame = of.predict_interval(level=float(2 * ndtr(score) - 1), **inputs)
            rows[score], rows[-score] = frame["upper"].to_numpy(float), frame["lower"].to_numpy(float)
            notes = list(frame.attrs.get("notes", ()))
    rows[0.0] = frame["loss"].to_numpy(float)
    table = np.stack([rows[_nearest(rows, score)] for score in SCORES])
    return np.where(np.isfinite(table).all(axis=0), np.maximum.accumulate(table, axis=0), table), notes


def _nearest(rows: Mapping[float, Any], score: float) -> float:
    return min(rows, key=lambda known: abs(known - score))


def draws_of(table: Array, scores: Array) -> Array:
    """Values (d, m) at normal scores (d,): one score moves every point, as a forecast's miss does."""
    return np.stack([np.interp(scores, SCORES, column) for column in table.T], axis=1)


def even_scores(n: int, seed: int) -> Array:
    """Normal scores (n,) that fill the distribution evenly, in random order."""
    from scipy.special import ndtri

    return np.asarray(np.random.default_rng(seed).permutation(ndtri((np.arange(n) + 0.5) / n)))
