r"""The likelihood that an objective stands for, and what follows from it: AIC, BIC, R².

Minimising a penalty ρ(r) is maximum likelihood for residuals of density exp(-ρ(r)/τ)/Z(τ): Gauss's for squares,
Laplace's for absolute values, Huber's own in between (Huber 1964, doi:10.1214/aoms/1177703732, section 6). The scale τ
is estimated too. Densities are those of the target itself (a fit on log loss carries the factor 1/loss), so that fits
with other objectives, or on another scale, compare. AIC: Akaike 1974 (doi:10.1109/TAC.1974.1100705); its correction for
few runs: Hurvich & Tsai 1989 (doi:10.1093/biomet/76.2.297); BIC: Schwarz 1978 (doi:10.1214/aos/1176344136).
"""

from __future__ import annotations

import math

import numpy as np

from scalefit._typing import Array
from scalefit.fitting.objectives import Objective
from scalefit.fitting.solution import Solution

_STEP = 0.05  # of ln |residual| in the integral of a density: the trapezoidal rule is exact to 1e-6 there
_BELOW, _ABOVE = 45.0, 30.0  # how far that integral goes, in ln |residual| about the residuals' size
_SCALES = 121  # points in ln τ at which it is taken; a cubic spline goes through them
_REACH = 14.0  # how far τ is searched on either side of the mean penalty, in ln τ
_EXACT = 1e-12  # residuals below this are rounding: a table without noise has no likelihood


def log_likelihood(objective: Objective, residual: Array, slope: Array, weights: Array | None = None) -> float:
    """Return the largest log likelihood of the targets behind residuals (n,), over the scale of their density.

    Parameters
    ----------
    objective : Objective
        Penalty of a residual.
    residual : ndarray (n,)
        Residuals on the objective's scale.
    slope : ndarray (n,)
        Derivative of that scale by the target, at the measured targets: 1/loss for log loss.
    weights : ndarray (n,), optional
        Weights of the runs: a run of weight w has the scale τ/w.

    Returns
    -------
    float
        NaN if every residual is zero.

    Examples
    --------
    >>> r = np.array([0.01, -0.02, 0.03, -0.01])
    >>> value = log_likelihood(Objective("squared"), r, np.ones(4))
    >>> bool(np.isclose(value, -2 * (np.log(2 * np.pi * np.mean(r**2)) + 1)))
    True
    """
    from scipy.interpolate import CubicSpline
    from scipy.optimize import minimize_scalar

    w = np.ones_like(residual) if weights is None else np.asarray(weights, float)
    kept = w > 0
    residual, slope, w = residual[kept], np.abs(slope[kept]), w[kept]
    cost = objective.cost(residual)
    middle = float(np.mean(w * cost))
    size = float(np.mean(np.abs(residual)))
    if size < _EXACT or middle <= 0:
        return math.nan
    spread = np.log(w)
    scales = np.linspace(-_REACH - spread.max(), _REACH - spread.min(), _SCALES) + math.log(middle)
    log_z = CubicSpline(scales, _log_normaliser(objective, scales, math.log(size)))

    def negative(log_tau: float) -> float:
        return float(np.sum(log_z(log_tau - spread)) + np.sum(w * cost) / math.exp(log_tau))

    bracket = (math.log(middle) - _REACH, math.log(middle) + _REACH)
    found = minimize_scalar(negative, bounds=bracket, method="bounded", options={"xatol": 1e-9})
    return float(np.sum(np.log(slope)) - found.fun)


def _log_normaliser(objective: Objective, log_tau: Array, log_size: float) -> Array:
    """Ln Z(τ) (m,) of the density exp(-ρ(r)/τ), by the trapezoidal rule in ln |r| on either side of zero."""
    u = np.arange(log_size - _BELOW, log_size + _ABOVE, _STEP)
    total = np.zeros_like(log_tau)
    for side in (1.0, -1.0):
        cost = objective.cost(side * np.exp(u))
        total += np.exp(u - cost / np.exp(log_tau)[:, None]).sum(axis=1)
    return np.log(total * _STEP)


def statistics(result: Solution) -> dict[str, float]:
    """Return the numbers that people expect of a fit; :attr:`scalefit.FitResult.statistics` explains them."""
    problem = result.problem
    residual = result.residuals
    target = np.asarray(problem.loss, float)
    weights = None if problem.weights is None else np.asarray(problem.weights, float)
    slope = np.broadcast_to(np.asarray(problem.objective.link_slope(target), float), target.shape)
    n, k = result.n_runs, result.n_free + 1  # the scale of the density is estimated too
    likelihood = log_likelihood(problem.objective, residual, slope, weights)
    aic = 2 * k - 2 * likelihood
    w = np.ones(n) if weights is None else weights
    linked = problem.objective.link(target)
    about = float(np.sum(w * (linked - np.average(linked, weights=w)) ** 2))
    return {
        "runs": float(n),
        "free parameters": float(result.n_free),
        "objective": result.objective_value,
        "log likelihood": likelihood,
        "AIC": aic,
        "AICc": aic + 2 * k * (k + 1) / (n - k - 1) if n > k + 1 else math.nan,
        "BIC": k * math.log(n) - 2 * likelihood,
        "R2": 1 - float(np.sum(w * residual**2)) / about if about > 0 else math.nan,
        "rms residual": float(np.sqrt(np.average(residual**2, weights=w))),
        "median residual": float(np.median(np.abs(residual))),
    }
