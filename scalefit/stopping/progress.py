r"""Progress of a run that repeats its data: a token seen again teaches less than a new one.

.. math:: S_{eff}(t) = \int_0^t \eta_\tau\, e^{-\max(e(\tau)-1,\,0)/R^*}\,d\tau

with e the passes over the data so far. The form is that of Muennighoff et al. (2023), arXiv:2305.16264, whose R* of
15.4 is for the ends of whole runs; along one run 8 forecasts better (`benchmarks/repeated.py`).
"""

from __future__ import annotations

import numpy as np

from scalefit._typing import Array, ArrayLike
from scalefit.schedules import Schedule

REPEATS_WORTH = 8.0  # R* [epochs]
GRID = 512  # points of the integral after the first pass


def effective_area(schedule: Schedule, steps: ArrayLike, epoch_steps: float | None) -> Array:
    """Area under a schedule with repeated data discounted.

    Parameters
    ----------
    schedule : Schedule
        What the rate follows; its area is progress while nothing repeats.
    steps : array_like, shape (n,)
        Where progress is wanted, in any order [steps].
    epoch_steps : float or None
        Steps of one pass over the data [steps]; None: nothing repeats.

    Returns
    -------
    Array, shape (n,)
        [steps at the peak rate]; the area itself within the first pass.

    Examples
    --------
    >>> constant = Schedule.constant(400)
    >>> effective_area(constant, [100, 400], epoch_steps=100).round(1).tolist()
    [100.0, 350.2]
    """
    t = np.asarray(steps, dtype=float)
    plain = schedule.area(t)
    if epoch_steps is None or not t.size or float(t.max()) <= epoch_steps:
        return plain
    end = float(t.max())
    at = np.unique(np.r_[np.linspace(epoch_steps, end, GRID), np.clip(schedule.knot_steps, epoch_steps, end)])
    slices = np.diff(schedule.area(at))
    worth = np.exp(-((at[:-1] + at[1:]) / 2 / epoch_steps - 1) / REPEATS_WORTH)
    beyond = np.interp(t, at, np.r_[0.0, np.cumsum(slices * worth)])
    return np.asarray(np.minimum(plain, float(schedule.area(epoch_steps))) + np.where(t > epoch_steps, beyond, 0.0))
