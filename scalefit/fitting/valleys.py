"""Points beside an optimum, along the valleys in which parameters trade off.

The penalty's kinks leave several minima along such a valley. Starts on both sides of one of them take fewer steps than
starts far from it, and find more of the others.
"""

from __future__ import annotations

import numpy as np

from scalefit._typing import Array
from scalefit.fitting.power_sum import model_of
from scalefit.fitting.problem import Problem

#: By how much of its value a quadratic model of the objective rises between an optimum and each of these points.
RISES = (0.1, 1.0)
#: Longest step to such a point in any free parameter: a factor of 50 where it is in logarithms.
_FARTHEST = 4.0


def steps_aside(
    problem: Problem,
    x: Array,
    value: Array,
    rise: float,
    box: tuple[Array, Array],
    *,
    weights: Array | None = None,
    valleys: int = 1,
) -> Array:
    """Steps (valleys, b, p) along the flattest directions of the least-squares matrix at optima x (b, p) of `value`.

    A parameter at an end of its `box` takes no part.
    """
    with np.errstate(all="ignore"):
        bent = np.nan_to_num(model_of(problem.bands(x[0])[-1]).evaluate(x, weights)[3])
        size = np.sqrt(np.maximum(np.einsum("bii->bi", bent), 1e-300))
        free = (x > box[0]) & (x < box[1])
        unit = bent / size[:, :, None] / size[:, None, :] * (free[:, :, None] & free[:, None, :])
        values, vectors = np.linalg.eigh(unit + 2.0 * np.eye(x.shape[1]) * ~free[:, :, None])
    far = np.sqrt(2 * rise * value[:, None] / np.maximum(values[:, :valleys], 1e-300))
    steps = np.moveaxis(vectors[:, :, :valleys] / size[:, :, None] * far[:, None], 2, 0)
    longest = np.maximum(np.abs(steps).max(axis=2, keepdims=True), 1e-300)
    return np.asarray(steps * np.minimum(1.0, _FARTHEST / longest))
