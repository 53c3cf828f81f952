r"""The loss at the planned end, from the part of the curve that has been seen.

The law is `SaturatingCurve`, written around the present so that what is unknown is small and has a scale that
carries over from run to run:

.. math:: L(t) = \ell + s\,\frac{(S_1(t)/S_1(now))^{-a}-1}{a} - C\,[G_\rho(t)-G_\rho(now)]

:math:`\ell` is the loss now, s the slope per unit of log progress, C the gain of a whole anneal. Given the shape
:math:`(a,\rho)` the posterior is Gaussian; the shapes are averaged with their evidence, so that an anneal that has
been seen is believed and one that lies ahead comes from the prior.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scalefit._numeric import robust_sd, solve_nonnegative
from scalefit._typing import Array, ArrayLike
from scalefit.schedules import Schedule
from scalefit.stopping.annealing import anneal_response
from scalefit.stopping.priors import SATURATIONS, Priors
from scalefit.stopping.progress import effective_area

EXPONENTS = np.geomspace(0.15, 1.6, 16)

# Chosen on all sources together; the optimum is flat (docs/stopping.md lists the neighbours tried).
TAIL = 0.3  # points with less than this part of the present progress do not enter
MIN_TAIL_POINTS = 8  # unless there would be fewer than this
BINS = 24  # equal in the logarithm of the step plus the change of the rate
MISFIT = 0.003  # what no law of this form gets right [nat/token]
MISFIT_GROWTH = 0.6  # misfit grows as (S1(now)/S1)^this into the past
# The noise is not known: residuals this many times larger are allowed for, and weighed by the evidence.
NOISE_SCALES, NOISE_WEIGHTS = np.array([1.0, 2.5, 6.0, 15.0]), np.array([0.6, 0.25, 0.1, 0.05])
SPIKE_SIGMAS, SPIKE_LEAST = 6.0, 0.05  # a point this far from its neighbours is left out [-], [nat/token]
ASYMPTOTE_POINTS = 4  # with more evaluations the curve speaks for itself: the asymptote's prior widens with them
POINT_NOISE = 0.006  # least noise of one evaluation [nat/token]


@dataclass(frozen=True, slots=True)
class CurveSummary:
    """The tail of a curve in a few bins, with the law's responses at them.

    Shapes: bins (m,), responses (n_rho, m). ``epoch_steps``: steps of one pass over data that repeat.
    """

    area: Array
    loss: Array
    variance: Array
    response: Array
    step_now: float
    area_now: float
    response_now: Array
    n_points: int
    noise: float
    seen: float
    epoch_steps: float | None = None


def point_noise(loss: Array) -> float:
    """Standard deviation of one evaluation from second differences, robust to trend and spikes [nat/token]."""
    if len(loss) < 8:
        return 0.0
    second = loss[:-2] - 2 * loss[1:-1] + loss[2:]
    return robust_sd(second) / float(np.sqrt(6))


def _spikes(loss: Array, noise: float) -> npt.NDArray[np.bool_]:
    """Which points stand out from their neighbours, shape (n,); a steep but steady fall does not."""
    out = np.zeros(len(loss), dtype=bool)
    if len(loss) < 6:
        return out
    limit = max(SPIKE_SIGMAS * noise, SPIKE_LEAST)
    middle = np.median(np.lib.stride_tricks.sliding_window_view(loss, 5), axis=1)
    out[2:-2] = np.abs(loss[2:-2] - middle) > limit
    out[-2:] = loss[-2:] > np.median(loss[-6:-2]) + limit
    return out


def summarize(
    schedule: Schedule,
    steps: ArrayLike,
    loss: ArrayLike,
    *,
    sem: float = 0.0,
    counts: ArrayLike | None = None,
    tail: float = TAIL,
    epoch_steps: float | None = None,
) -> CurveSummary | None:
    """Reduce a curve to what the forecast needs.

    Parameters
    ----------
    schedule : Schedule
        The schedule.
    steps, loss : array_like, shape (n,)
        The curve so far, sorted [steps], [nat/token].
    sem : float
        Known standard error of one evaluation [nat/token].
    counts : array_like, shape (n,), optional
        How many values were averaged in each point.
    tail : float
        Points with less than this part of the present progress are left out.
    epoch_steps : float, optional
        Steps of one pass over the data, which then repeat [steps].

    Returns
    -------
    CurveSummary or None
        None while there is no point after the warm-up.
    """
    t, y = np.asarray(steps, dtype=float), np.asarray(loss, dtype=float)
    keep = (t >= schedule.warmup_end) & (t > 0)
    t, y = t[keep], y[keep]
    if not len(t):
        return None
    weight = np.ones(len(t)) if counts is None else np.asarray(counts, dtype=float)[keep]
    area = np.maximum(effective_area(schedule, t, epoch_steps), 1e-6)
    first = int(np.searchsorted(area, tail * area[-1]))
    first = max(0, min(first, len(t) - MIN_TAIL_POINTS))
    t, y, area, weight = t[first:], y[first:], area[first:], weight[first:]
    noise = float(np.hypot(POINT_NOISE, max(sem, point_noise(y[-200:]))))
    usual = ~_spikes(y, noise)
    t, y, area, weight = t[usual], y[usual], area[usual], weight[usual]
    # Progress slows down as the rate falls, but the loss does not: bins follow the rate as well.
    turned = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(schedule.lr(t))))])
    place = np.log(t / t[0]) / max(np.log(t[-1] / t[0]), 1e-9) + turned
    edges = np.linspace(0, place[-1], BINS + 1)
    where = np.clip(np.searchsorted(edges, place, side="right") - 1, 0, BINS - 1)
    total = np.bincount(where, weight, minlength=BINS)
    full = total > 0

    def mean(values: Array) -> Array:
        return np.asarray(np.bincount(where, weight * values, minlength=BINS)[full] / total[full])

    at = mean(t)
    responses = anneal_response(schedule, np.append(at, t[-1]), saturation=SATURATIONS)
    bin_area = np.maximum(effective_area(schedule, at, epoch_steps), 1e-6)
    variance = MISFIT**2 * (area[-1] / bin_area) ** (2 * MISFIT_GROWTH) + noise**2 / total[full]
    falls = schedule.decay_segments()
    all_fall = float(np.sum(np.maximum(falls[2] - falls[3], 0)))
    return CurveSummary(
        area=bin_area,
        loss=mean(y),
        variance=variance,
        response=responses[:, :-1] - responses[:, -1:],
        step_now=float(t[-1]),
        area_now=float(area[-1]),
        response_now=responses[:, -1],
        n_points=len(t),
        noise=noise,
        seen=float(np.clip((1 - schedule.lr(t[-1])) / all_fall, 0, 1)) if all_fall > 0 else 1.0,
        epoch_steps=epoch_steps,
    )


@dataclass(frozen=True, slots=True)
class Posterior:
    """Mean and standard deviation [nat/token] of the loss at the target steps, shape (k,), and of what it rests on.

    ``sd_gain`` is the part of ``sd`` that comes from what annealing will gain; ``misfit`` is the law's weighted
    residual on what has been seen.
    """

    mean: Array
    sd: Array
    sd_gain: Array
    slope: float
    gain: float
    log_exponent: float
    log_rho: float
    misfit: float


def extrapolate(seen: CurveSummary, schedule: Schedule, targets: ArrayLike, priors: Priors) -> Posterior:
    """Posterior of the loss at `targets` under `schedule`, which may differ from the past one after now.

    Parameters
    ----------
    seen : CurveSummary
        The curve so far.
    schedule : Schedule
        The schedule from now on; its past must be the run's.
    targets : array_like, shape (k,)
        Steps to predict [steps].
    priors : Priors
        What finished runs say.

    Returns
    -------
    Posterior
    """
    steps = np.atleast_1d(np.asarray(targets, dtype=float))
    fits = _fits(seen, priors)
    a, rho, b, p = EXPONENTS, SATURATIONS, fits.b, fits.weight
    ahead = np.maximum(effective_area(schedule, steps, seen.epoch_steps), 1e-6) / seen.area_now
    phi_ahead = (ahead[None] ** -a[:, None] - 1) / a[:, None]  # (n_a, k)
    gain_ahead = anneal_response(schedule, steps, saturation=rho) - seen.response_now[:, None]  # (n_rho, k)
    shape = (len(a), len(rho), len(steps))
    X = np.stack(
        [np.ones(shape), np.broadcast_to(phi_ahead[:, None], shape), -np.broadcast_to(gain_ahead[None], shape)],
        axis=-1,
    )
    each = np.einsum("aski,nasi->nask", X, b)
    variance = np.einsum("aski,nasij,askj->nask", X, fits.covariance, X)
    mean = np.einsum("nas,nask->k", p, each)
    total = np.einsum("nas,nask->k", p, variance + (each - mean) ** 2)
    level = each + b[..., 2, None] * gain_ahead[None, None]  # as if the rate stayed
    flat = np.einsum("aski,nasij,askj->nask", X[..., :2], fits.covariance[..., :2, :2], X[..., :2])
    flat = np.einsum("nas,nask->k", p, flat + (level - np.einsum("nas,nask->k", p, level)) ** 2)
    noise = seen.noise * float(np.sqrt(p.sum(axis=(1, 2)) @ NOISE_SCALES**2))
    return Posterior(
        mean=mean + float(seen.loss[-1]),
        sd=np.sqrt(total + MISFIT**2 + noise**2 / 4),
        sd_gain=np.sqrt(np.maximum(total - flat, 0.0)),
        slope=float((p * b[..., 1]).sum()),
        gain=float((p * b[..., 2]).sum()),
        log_exponent=float((p * np.log(a)[:, None]).sum()),
        log_rho=float((p * np.log(rho)).sum()),
        misfit=fits.misfit,
    )


@dataclass(frozen=True, slots=True)
class _Fits:
    """The law fitted to a digest under every noise scale, exponent a and rho: axes (n_k, n_a, n_rho).

    ``b`` (..., 3) holds the loss now less the last one seen, s and C; ``covariance`` (..., 3, 3) is theirs; ``weight``
    is the evidence, which sums to one; ``misfit`` is the best one's weighted residual.
    """

    b: Array
    covariance: Array
    weight: Array
    misfit: float


def _fits(seen: CurveSummary, priors: Priors) -> _Fits:
    """Gaussian posteriors of the linear part for every shape, and the shapes' evidence."""
    a, rho = EXPONENTS, SATURATIONS
    w = NOISE_SCALES[:, None] ** -2.0 / seen.variance  # (n_k, m)
    x = seen.area / seen.area_now
    phi = (x[None] ** -a[:, None] - 1) / a[:, None]  # (n_a, m)
    y = seen.loss - float(seen.loss[-1])

    centre = priors.gain * np.exp(priors.gain_slope * np.log(rho))
    spread = priors.gain_spread * centre
    shapes = (len(NOISE_SCALES), len(a), len(rho))
    gram, moment = np.zeros((*shapes, 3, 3)), np.zeros((*shapes, 3))
    wphi, wres = w[:, None] * phi, w[:, None] * seen.response  # (n_k, n_a, m), (n_k, n_rho, m)
    gram[..., 0, 0] = w.sum(axis=1)[:, None, None] + 1e-4
    gram[..., 0, 1] = gram[..., 1, 0] = wphi.sum(axis=-1)[:, :, None]
    gram[..., 0, 2] = gram[..., 2, 0] = -wres.sum(axis=-1)[:, None, :]
    gram[..., 1, 1] = (wphi * phi).sum(axis=-1)[:, :, None] + priors.slope_spread**-2
    gram[..., 1, 2] = gram[..., 2, 1] = -(wphi @ seen.response.T)
    gram[..., 2, 2] = (wres * seen.response).sum(axis=-1)[:, None, :] + spread**-2
    moment[..., 0] = (w @ y)[:, None, None]
    moment[..., 1] = (wphi @ y)[:, :, None] + priors.slope / priors.slope_spread**2
    moment[..., 2] = -(wres @ y)[:, None, :] + centre / spread**2
    # One pseudo-observation of the asymptote, l + b0 - s/a, shape (n_a,).
    precision = (priors.asymptote_spread * max(1.0, seen.n_points / ASYMPTOTE_POINTS)) ** -2
    target, lever = priors.asymptote - float(seen.loss[-1]), -1 / a[:, None]
    gram[..., 0, 0] += precision
    gram[..., 0, 1] += precision * lever
    gram[..., 1, 0] += precision * lever
    gram[..., 1, 1] += precision * lever**2
    moment[..., 0] += precision * target
    moment[..., 1] += precision * target * lever
    b = solve_nonnegative(gram, moment)
    covariance = np.linalg.inv(gram)

    constant = (
        precision * target**2
        + (w @ y**2)[:, None, None]
        + (priors.slope / priors.slope_spread) ** 2
        + (centre / spread) ** 2
    )
    chi2 = constant - 2 * (b * moment).sum(axis=-1) + np.einsum("...i,...ij,...j->...", b, gram, b)
    log_weight = (
        -0.5 * chi2
        - 0.5 * np.linalg.slogdet(gram)[1]
        - np.log(spread)
        - 0.5 * ((np.log(a) - np.log(priors.exponent)) / priors.exponent_spread)[:, None] ** 2
        - 0.5 * ((np.log(rho) - priors.log_rho) / priors.log_rho_spread) ** 2
        + (0.5 * np.log(w).sum(axis=1) + np.log(NOISE_WEIGHTS))[:, None, None]
    )
    p = np.exp(log_weight - log_weight.max())
    p /= p.sum()

    likely = p >= p.max() * (1 - 1e-9)  # of equals the first, on every processor
    best = np.unravel_index(int(np.argmax(likely)), p.shape)
    fitted = b[best][0] + b[best][1] * phi[best[1]] - b[best][2] * seen.response[best[2]]
    return _Fits(b, np.asarray(covariance), p, float(np.sqrt(np.mean((y - fitted) ** 2 / seen.variance))))
