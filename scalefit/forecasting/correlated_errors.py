r"""A law with errors that neighbours share: what a table of runs really says about a run beyond it.

Runs close in ln N and ln D miss a law by nearly the same amount, because what is missing is the law's form and not
luck. So the log losses are modelled as the law, plus a smooth discrepancy (a Gaussian process, as in Kennedy &
O'Hagan 2001, doi:10.1111/1467-9868.00294), plus noise:

.. math:: \ln L_i = \ln f(N_i, D_i) + d(\ln N_i, \ln D_i) + \epsilon_i

A hundred neighbouring runs then weigh little more than a few, which tempers the likelihood; the discrepancy of the
largest runs is added to the forecast and fades with distance; and its variance far from all runs is the law's
own error. Runs far above the compute frontier and small runs get larger error variance, because laws fit them worst.

The law's parameters are found under the noise that was learned from other tables, so that a clean table does not
overrule the prior. What is then left of the residuals is smoothed under the table's own noise
(:func:`scalefit.forecasting.own_noise.own_noise`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalefit._numeric import excess_over_hull, robust_sd
from scalefit._typing import Array
from scalefit.errors import FitError
from scalefit.fitting.problem import Problem
from scalefit.flops import QUANTITIES, SIZES

_FRONTIER_GRID = np.linspace(-4.0, 4.0, 33)
#: Most steps of a fit (a guess).
_STEPS = 400
#: Gain of a step [log posterior] that ends the search: far below what shows in a forecast, so that the linear algebra
#: of another processor, which takes other steps, ends at the same numbers.
_LEAST_GAIN = 1e-13
#: Largest move of a parameter in a step [log], and shorter steps tried where the posterior does not rise (guesses).
_LARGEST_MOVE = 2.0
_TRIALS = 12
#: Sizes of noise [sd] from which a run weighs less, as in Huber's loss, and from which it soon weighs nothing.
_HUBER, _GROSS = 2.0, 8.0
LEAST_SHARE = 1e-6  # least weight of a run, so that no variance is infinite
_STEP = 0.02  # of a standard deviation: its square is far below one, and far above rounding


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """Size and reach of a law's error, and the noise of runs about it, in units of the log loss.

    Parameters
    ----------
    amplitude : float
        Standard deviation of the discrepancy on the frontier.
    length : float
        Distance in ln N or ln D over which it keeps about half of its value.
    noise : float
        Standard deviation of the noise of the largest runs.
    growth : float
        Noise grows as (C / C_max)^-growth towards small runs.
    frontier : float
        Excess of the log loss over the best at the same compute, at which noise and discrepancy are sqrt(2) times
        larger.
    rounds : int
        Rounds of down-weighting outliers.
    """

    amplitude: float = 0.015
    length: float = 4.0
    noise: float = 0.004
    growth: float = 0.2
    frontier: float = 0.05
    rounds: int = 4


@dataclass(frozen=True, slots=True, eq=False)
class Frontier:
    """What the compute frontier of the runs was taken to be.

    Parameters
    ----------
    raised : ndarray (n,)
        By how much a run's log loss was raised before, as it is too low to be true.
    luck : float
        Distance above the frontier that is luck [log loss].
    """

    raised: Array
    luck: float = 0.0

    def above(self, problem: Problem) -> Array:
        """How far each run lies above it (n,) [log loss]."""
        log_loss = np.log(problem.loss) + self.raised
        return np.maximum(excess_over_hull(np.log(compute(problem.columns)), log_loss) - self.luck, 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class CorrelatedFit:
    """Optimum of a law with correlated errors, and what predictions need of it.

    Attributes
    ----------
    x : ndarray (p,)
        The law's free vector.
    cov : ndarray (p, p)
        Its posterior covariance.
    weight : ndarray (n,)
        Weight left to each run, 1 for all but outliers.
    frontier : Frontier
        What the compute frontier was taken to be.
    above : ndarray (n,)
        How far each run was taken to lie above it [log loss].
    alpha : ndarray (n,)
        Inverse covariance times the residuals.
    inverse : ndarray (n, n)
        Inverse covariance of the residuals.
    slopes : ndarray (n, p)
        Derivatives of the residuals.
    evidence : float
        Log posterior density at the optimum, up to a constant.
    converged : bool
        Whether the last round met its stopping test.
    """

    x: Array
    cov: Array
    weight: Array
    frontier: Frontier
    above: Array
    alpha: Array
    inverse: Array
    slopes: Array
    evidence: float
    converged: bool


def positions(problem: Problem, columns: Mapping[str, Array]) -> Array:
    """Return ln of each size among the law's inputs (n, k), in the problem's units."""
    return np.log(np.stack([columns[key] for key in sizes_of(problem)], axis=1))


def sizes_of(problem: Problem) -> list[str]:
    """Inputs whose logarithms say how near two runs are: sizes, and what else is positive in every run."""
    return [key for key in problem.law.inputs if key in QUANTITIES or (problem.columns[key] > 0).all()]


def compute(columns: Mapping[str, Array]) -> Array:
    """Training compute (n,) up to a constant factor; the first input for laws that know neither C nor N and D."""
    if "C" in columns:
        return np.asarray(columns["C"])
    known = [columns[key] for key in SIZES if key in columns] or list(columns.values())[:1]
    return np.asarray(np.prod(np.broadcast_arrays(*known), axis=0))


def excess(problem: Problem, x: Array, columns: Mapping[str, Array]) -> Array:
    """Log loss (n,) above the law's best at the same compute; zero for laws of compute."""
    if not set(SIZES) <= set(columns):
        return np.zeros(next(iter(columns.values())).size)
    params = problem.values(x[None], 0)
    shift = np.exp(_FRONTIER_GRID)[:, None]
    with np.errstate(all="ignore"):
        here = np.log(problem.law.evaluate(columns, params))[0]
        moved = {**columns, "N": columns["N"] * shift, "D": columns["D"] / shift}
        along = np.log(problem.law.evaluate(moved, params))
        gap = here - np.nanmin(along, axis=0)
    return np.asarray(np.maximum(np.nan_to_num(gap, nan=0.0, posinf=0.0), 0.0))


def sizes(problem: Problem, columns: Mapping[str, Array], above: Array, about: Discrepancy) -> tuple[Array, Array]:
    """Standard deviations of discrepancy and noise (n,), (n,) of runs whose log loss is `above` the frontier (n,)."""
    far = np.hypot(1.0, above / about.frontier)
    reach = np.minimum(compute(columns) / compute(problem.columns).max(), 1.0)
    return about.amplitude * far, about.noise * far * reach**-about.growth


def kernel(a: Array, b: Array, length: float) -> Array:
    """Matern correlation of order 3/2 between positions (n, k) and (m, k)."""
    distance = np.sqrt(3.0 * ((a[:, None, :] - b[None]) ** 2).sum(axis=2)) / length
    return np.asarray((1.0 + distance) * np.exp(-distance))


def fit_correlated(problem: Problem, x: Array, about: Discrepancy, frontier: Frontier) -> CorrelatedFit:
    """Posterior mode of a law with correlated errors, by Gauss-Newton from x (p,).

    The problem's penalty is its prior, on the scale of a log-likelihood; its objective is not used.
    """
    smooth, noise = covariance(problem, about, frontier.above(problem))
    given = np.ones(noise.size) if problem.weights is None else problem.weights / problem.weights.max()
    given = np.maximum(given, LEAST_SHARE)
    share, converged = given, False
    for turn in range(about.rounds + 1):
        _, inverse = inverted(smooth + np.diag(noise**2 / share))
        x, converged = _climb(problem, x, inverse)
        if turn < about.rounds:
            # The part of a residual that its neighbours do not share is noise.
            share = given * kept(noise / share * (inverse @ problem.residuals(x[None])[0]))
    return assemble(problem, x, share, frontier, about, converged)


def kept(missed: Array) -> Array:
    """Weights (n,) of runs that miss by so many sizes of their noise (n,): less from two on, soon none from eight on.

    The latter counts what half of the runs miss by where that is more, so that a noisy table keeps its runs.
    """
    far = np.maximum(np.abs(missed), 1e-12)
    return np.asarray(np.minimum(1.0, _HUBER / far) * np.minimum(1.0, _GROSS * max(robust_sd(missed), 1.0) / far) ** 2)


def assemble(
    problem: Problem, x: Array, share: Array, frontier: Frontier, about: Discrepancy, converged: bool
) -> CorrelatedFit:
    """Return the fit that ended at x (p,) with the given weights of the runs (n,)."""
    above = frontier.above(problem)
    smooth, noise = covariance(problem, about, above)
    root, inverse = inverted(smooth + np.diag(noise**2 / share))
    _, hessian, slopes = normal_equations(problem, x, inverse)
    evidence = -_value(problem, x, inverse) - float(np.log(np.diag(root)).sum())
    alpha = inverse @ problem.residuals(x[None])[0]
    cov = np.asarray(np.linalg.pinv(hessian, hermitian=True))
    return CorrelatedFit(x, cov, share, frontier, above, alpha, inverse, slopes, evidence, converged)


def beyond(problem: Problem, columns: Mapping[str, Array]) -> Array:
    """How far inputs lie beyond the largest run (m,): the largest ln ratio of N, D or C, 0 within."""
    out = np.log(np.maximum(compute(columns) / compute(problem.columns).max(), 1.0))
    for key in SIZES:
        if key in problem.columns:
            out = np.maximum(out, np.log(np.maximum(columns[key] / problem.columns[key].max(), 1.0)))
    return np.asarray(out)


def covariance(problem: Problem, about: Discrepancy, above: Array) -> tuple[Array, Array]:
    """Covariance of the discrepancy (n, n), and standard deviation of the noise (n,), of runs `above` the frontier."""
    where = positions(problem, problem.columns)
    amplitude, noise = sizes(problem, problem.columns, above, about)
    return kernel(where, where, about.length) * np.outer(amplitude, amplitude), noise


def _value(problem: Problem, x: Array, inverse: Array) -> float:
    """Minus the log posterior at x (p,), up to the determinant."""
    r = problem.residuals(x[None])[0]
    total = 0.5 * float(r @ inverse @ r)
    return total + float(problem.penalty.value(x[None])[0]) if problem.penalty is not None else total


def _climb(problem: Problem, x: Array, inverse: Array) -> tuple[Array, bool]:
    """Gauss-Newton with damping; returns the optimum and whether a stopping test was met."""
    lower, upper = problem.bounds()
    damping = 1e-3
    with np.errstate(all="ignore"):
        f = _value(problem, x, inverse)
        if not np.isfinite(f):
            raise FitError(
                f"{problem.law.name} has no finite likelihood near these runs",
                "nothing was forecast",
                "Check their units",
            )
        for _ in range(_STEPS):
            gradient, hessian, _ = normal_equations(problem, x, inverse)
            # A parameter that would leave its range stays: cut off alone, its step would spoil that of the others.
            held = ((x <= lower) & (gradient > 0)) | ((x >= upper) & (gradient < 0))
            gradient[held] = hessian[held] = hessian[:, held] = 0.0
            hessian[held, held] = 1.0
            for _ in range(_TRIALS):
                step = np.linalg.solve(hessian + damping * np.diag(np.diag(hessian) + 1e-12), -gradient)
                trial = np.clip(x + np.clip(step, -_LARGEST_MOVE, _LARGEST_MOVE), lower, upper)
                f_trial = _value(problem, trial, inverse)
                if f_trial <= f:
                    break
                damping = max(4.0 * damping, 1e-4)
            else:
                return x, True  # no step descends any more
            gain, x, f = f - f_trial, trial, f_trial
            damping *= 0.2
            if gain <= _LEAST_GAIN * max(f, 1.0):
                return x, True
    return x, False


def normal_equations(problem: Problem, x: Array, inverse: Array) -> tuple[Array, Array, Array]:
    """Gradient (p,), Gauss-Newton matrix (p, p) and slopes (n, p)."""
    residual, slopes = problem.jacobian(x[None])
    r, jac = residual[0], slopes[0].T
    pulled = inverse @ jac
    gradient, hessian = pulled.T @ r, jac.T @ pulled
    if problem.penalty is not None:
        zero = np.zeros((1, x.size, x.size))
        _, g, _, s = problem.penalty.add(x[None], np.zeros(1), gradient[None], zero, hessian[None])
        gradient, hessian = g[0], s[0]
    return gradient, hessian, jac


def inverted(matrix: Array) -> tuple[Array, Array]:
    """Cholesky factor and inverse."""
    from scipy.linalg import solve_triangular

    root = np.linalg.cholesky(matrix)
    back = solve_triangular(root, np.eye(len(root)), lower=True, check_finite=False)
    return np.asarray(root), np.asarray(back.T @ back)


def predict_correlated(
    problem: Problem,
    fitted: CorrelatedFit,
    columns: Mapping[str, Array],
    about: Discrepancy,
    found: CorrelatedFit | None = None,
) -> dict[str, Any]:
    """Log loss of new runs and the standard deviations of its parts.

    `found` is the fit whose sizes the parameters were found under, where `fitted` has others.

    Returns
    -------
    dict of ndarray (m,)
        ``log_loss``, and ``parameter``, ``law`` and ``noise``: standard deviations of the log loss from the law's
        parameters, from its form, and from the luck of a run. ``squares`` (m, p) are the parts of the first one's
        square along directions of which the runs tell the share ``told`` (p,), and the prior the rest. ``luck`` (m,) is
        the standard deviation of the prediction if every run has noise of 1.
    """
    x = fitted.x
    params = problem.values(x[None], 0)
    value, parts = problem.law.derivatives(columns, params)
    value = np.broadcast_to(value, (1, next(iter(columns.values())).size))[0]
    slopes = np.zeros((value.size, x.size))
    for j, (name, parameter) in enumerate(problem.law.parameters.items()):
        at = int(problem.index[0, j])
        if at >= 0:
            factor = params[name] if parameter.log else 1.0
            slopes[:, at] += np.broadcast_to(parts[j] * factor / value, (1, value.size))[0]
    shared, amplitude, noise = _carried(problem, fitted, columns, about)
    # Residuals are law minus runs, so the discrepancy is subtracted.
    log_loss = np.log(value) - shared @ fitted.alpha
    left = slopes - shared @ fitted.inverse @ fitted.slopes
    axes, told = _directions(fitted)
    squares = (left @ axes) ** 2
    law = amplitude**2 - np.einsum("mi,mi->m", shared @ fitted.inverse, shared)
    source = found or fitted
    answer = left @ (source.cov @ source.slopes.T @ source.inverse) + shared @ fitted.inverse
    return {
        "log_loss": log_loss,
        "parameter": np.sqrt(squares.sum(axis=1)),
        "squares": squares,
        "told": told,
        "law": np.sqrt(np.maximum(law, 0.0)),
        "noise": noise,
        "luck": np.sqrt((answer**2).sum(axis=1)),
    }


def _carried(
    problem: Problem, fitted: CorrelatedFit, columns: Mapping[str, Array], about: Discrepancy
) -> tuple[Array, Array, Array]:
    """Covariance of the discrepancies of new and old runs (m, n), and sizes of the new one and of its noise (m,)."""
    there, here = positions(problem, columns), positions(problem, problem.columns)
    amplitude_here, _ = sizes(problem, problem.columns, fitted.above, about)
    amplitude, noise = sizes(problem, columns, excess(problem, fitted.x, columns), about)
    return kernel(there, here, about.length) * np.outer(amplitude, amplitude_here), amplitude, noise


def skew(problem: Problem, fitted: CorrelatedFit, columns: Mapping[str, Array], about: Discrepancy) -> Array:
    """How far the mean of the posterior lies above its mode (m,) [log loss], to second order.

    A fall that is slower than the most likely one costs more than a faster one gains, as the loss has a floor. Half of
    the second derivative along the posterior's axes is summed: the same by any axes, where whole steps of one standard
    deviation would hang on which of them the last bits choose.
    """
    shared, _, _ = _carried(problem, fitted, columns, about)
    axes = _STEP * _directions(fitted)[0]
    points = np.clip(fitted.x + np.concatenate([np.zeros((1, len(axes))), axes.T, -axes.T]), *problem.bounds())
    with np.errstate(all="ignore"):
        loss = problem.law.evaluate(columns, problem.values(points, 0))
        found = np.log(loss) - problem.residuals(points) @ (shared @ fitted.inverse).T
        above = (0.5 * found[1:].sum(axis=0) - len(axes) * found[0]) / _STEP**2
    return np.asarray(np.nan_to_num(above, nan=0.0, posinf=0.0, neginf=0.0))


def _directions(fitted: CorrelatedFit) -> tuple[Array, Array]:
    """Directions (p, p) whose outer products add up to the parameters' covariance, and what the runs tell of each (p,).

    A direction of which the runs tell nothing has the prior's variance, however much the runs scatter.
    """
    value, vector = np.linalg.eigh(fitted.cov)
    root = vector * np.sqrt(np.maximum(value, 0.0))
    pulled = fitted.slopes @ root
    told, axes = np.linalg.eigh(pulled.T @ fitted.inverse @ pulled)
    return np.asarray(root @ axes), np.clip(told, 0.0, 1.0)
