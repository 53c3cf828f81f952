"""What annealing gives at each step of a schedule."""

from __future__ import annotations

import numpy as np

from scalefit._typing import Array, ArrayLike
from scalefit.schedules import Schedule

MIN_ETA = 1e-3  # rates below this part of the peak respond like it; keeps eta^-gamma finite at zero

# The response that the forecast uses; benchmarks/stopping_priors.py compares others on finished runs.
RESPONSE_RATE, RESPONSE_EXPONENT, RESPONSE_GAMMA = 0.1, 0.6, 0.3


def anneal_response(
    schedule: Schedule,
    steps: ArrayLike,
    *,
    rate: float = RESPONSE_RATE,
    exponent: float = RESPONSE_EXPONENT,
    gamma: float = RESPONSE_GAMMA,
    saturation: ArrayLike = 0.0,
) -> Array:
    r"""Share of a full anneal's gain that the schedule has collected at each step.

    .. math:: G(t) = \int_0^t [1-(1+c\,\eta^{-\gamma}S(\tau,t))^{-\beta}]\,(-dh(\eta_\tau)),\qquad
              h(\eta) = \log(1+\rho\eta)/\log(1+\rho)

    With :math:`\rho\to0` this is the multi-power law's response [1]_. :math:`\rho>0` says that the noise a large
    rate adds saturates, so that most of the gain comes when the rate is already small; on real runs that
    halves the residual of the fit for peak rates above the best one.

    Parameters
    ----------
    schedule : Schedule
        The schedule.
    steps : array_like, shape (n,)
        Where [steps].
    rate, exponent, gamma : float
        c [1/step], beta [-], gamma [-].
    saturation : array_like, shape (m,) or scalar
        rho [-].

    Returns
    -------
    Array, shape (m, n)
        Zero before the rate falls, below one afterwards; negative where the rate has risen.

    References
    ----------
    .. [1] Luo et al. (2025), arXiv:2503.12811, eq. 1; there h is the identity.
    """
    t = np.atleast_1d(np.asarray(steps, dtype=float))
    rho = np.maximum(np.atleast_1d(np.asarray(saturation, dtype=float)), 1e-6)[:, None]
    start, end, above, below = schedule.decay_segments()
    if not len(start):
        return np.zeros((len(rho), len(t)))
    drop = (np.log1p(rho * above) - np.log1p(rho * below)) / np.log1p(rho)  # (m, k)
    eta = np.maximum((above + below) / 2, MIN_ETA)
    since = schedule.area(t)[:, None] - schedule.area((start + end) / 2)
    since = np.maximum(since, (end - start) * eta / 4)  # a segment being walked through
    part = np.clip((t[:, None] - start) / (end - start), 0.0, 1.0)
    felt = part * (1 - (1 + rate * eta**-gamma * since) ** -exponent)  # (n, k)
    return np.asarray(drop @ felt.T)


def tissue_momentum(schedule: Schedule, steps: ArrayLike, decay: float = 0.999) -> Array:
    r"""Share of a full anneal's gain under Tissue et al.'s momentum, :math:`S_2(1-\lambda)`.

    Parameters
    ----------
    schedule : Schedule
        The schedule.
    steps : array_like, shape (n,)
        Where [steps].
    decay : float
        lambda of :math:`m_i=\lambda m_{i-1}+\eta_{i-1}-\eta_i`, :math:`S_2=\sum m_i`, per step.

    Returns
    -------
    Array, shape (n,)
        Between zero and one for a schedule that only decays.
    """
    t = np.atleast_1d(np.asarray(steps, dtype=float))[:, None]
    kappa = -np.log(decay)
    start, end, above, below = schedule.decay_segments()
    until = np.minimum(end, t)
    width = np.maximum(until - start, 0.0)
    lag = (np.exp(-kappa * np.maximum(t - until, 0)) - np.exp(-kappa * np.maximum(t - start, 0))) / kappa
    return np.asarray(((width - np.where(width > 0, lag, 0.0)) * (above - below) / (end - start)).sum(axis=1))
