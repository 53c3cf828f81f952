"""The noise of a table's own runs, and how far they scatter about a law with correlated errors."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from scalefit._numeric import levelled, robust_sd
from scalefit._typing import AnyArray, Array
from scalefit.fitting.problem import Problem
from scalefit.forecasting.correlated_errors import (
    LEAST_SHARE,
    CorrelatedFit,
    Discrepancy,
    assemble,
    compute,
    covariance,
    excess,
    inverted,
    kept,
    normal_equations,
)

#: The table's own noise over the shipped one: rounds of its estimate, and what it is drawn towards, as by so many
#: runs. The median over twelve public tables is 0.6; the runs are a guess between 1 and 8, which changed little.
_NOISE_ROUNDS, _USUAL_NOISE, _NOISE_RUNS = 3, 0.6, 4.0
_LEAST_TOLD = 1e-12  # what runs tell that tell nothing [1 / log loss squared]
_ONE_SIZE = 0.97  # runs of at least this share of the largest N, or C, are of that size
#: Standard deviations of a step at the largest size from which it is told, and part of every interval: of 53 training
#: tables of the twelve public ones the largest has 1.6, of 168 simulated ones without a step 2.4.
STEP = 2.5


@dataclass(frozen=True, slots=True)
class Step:
    """How far the runs of most N, or C, lie above what the others say, and the sd of that [log loss]."""

    by: str
    height: float
    sd: float

    @property
    def told(self) -> bool:
        """Whether it is more than chance."""
        return abs(self.height) > STEP * self.sd


def own_noise(
    problem: Problem, fitted: CorrelatedFit, about: Discrepancy
) -> tuple[Discrepancy, CorrelatedFit, float, float]:
    """Sizes with the table's own noise, the fit under them at the same parameters, and the noise if it is even.

    The last is the part of even noise that the larger half of the runs shows too; of few runs hardly more than the
    shipped noise.

    What smoothing leaves of a run is a known mixture of every run's noise, whose median size is compared with what the
    mixture would have under the present noise; a few rounds settle it.
    """
    given = np.ones(problem.loss.size) if problem.weights is None else problem.weights / problem.weights.max()
    given, n, scale = np.maximum(given, LEAST_SHARE), problem.loss.size, 1.0
    for _ in range(_NOISE_ROUNDS):
        _, left, size, _ = _smoothed(problem, fitted.x, given, replace(about, noise=about.noise * scale), fitted.above)
        found = scale * robust_sd(left / size)
        logs = n * np.log(max(found, 1e-4)) + _NOISE_RUNS * np.log(_USUAL_NOISE)
        scale = float(np.exp(logs / (n + _NOISE_RUNS)))
    own = replace(about, noise=about.noise * scale)
    share, _, _, _ = _smoothed(problem, fitted.x, given, own, fitted.above)
    # Noise that does not shrink with size. The runs' own excess holds their noise, so a discrepancy that is larger
    # where it is large would take that noise up: here the law says how far a run is from the frontier.
    _, left, _, even = _smoothed(problem, fitted.x, given, own, excess(problem, fitted.x, problem.columns))
    reach = levelled(compute(problem.columns))  # the runs of the middle budget stay together
    seen = [robust_sd(left[rows] / even[rows]) for rows in (slice(None), reach >= np.median(reach))]
    free = max(n - fitted.x.size, 0)
    shown = np.sqrt((free * min(seen) ** 2 + _NOISE_RUNS * about.noise**2) / (free + _NOISE_RUNS))
    return own, assemble(problem, fitted.x, share, fitted.frontier, own, fitted.converged), seen[0], float(shown)


def oddness(problem: Problem, fitted: CorrelatedFit, about: Discrepancy) -> Array:
    """By how many sizes of the runs' noise each of them misses law and neighbours (n,), higher ones above zero.

    The law says how far each is from the frontier: a bad run, far above it, would excuse itself by its own loss.
    """
    given = np.ones(problem.loss.size) if problem.weights is None else problem.weights / problem.weights.max()
    above = excess(problem, fitted.x, problem.columns)
    _, left, size, _ = _smoothed(problem, fitted.x, np.maximum(given, LEAST_SHARE), about, above)
    missed = -left / size
    return np.asarray(missed / max(robust_sd(missed), 1.0))


def step_at_the_largest(
    problem: Problem, fitted: CorrelatedFit, own: Discrepancy, fit: CorrelatedFit, even: float
) -> Step:
    """The step in the loss at the largest size, or at the most compute, whichever is clearer.

    It is fitted beside the law's parameters and the discrepancy, which is smooth. The sd is infinite where more than
    half of the runs are there.
    """
    columns = {"C": compute(problem.columns)} | {key: problem.columns[key] for key in ("N",) if key in problem.columns}
    found = [Step("N", 0.0, np.inf)]
    for by, column in columns.items():
        largest = column >= _ONE_SIZE * column.max()
        if largest.mean() <= 0.5:
            found.append(Step(by, *_step(problem, fitted, own, fit, even, largest)))
    return max(found, key=lambda step: abs(step.height) / step.sd)


def _step(
    problem: Problem, fitted: CorrelatedFit, own: Discrepancy, fit: CorrelatedFit, even: float, largest: AnyArray
) -> tuple[float, float]:
    smooth, noise = covariance(problem, own, fitted.above)
    _, inverse = inverted(smooth + np.diag(np.maximum(noise, even) ** 2 / fit.weight))
    gradient, hessian, jac = normal_equations(problem, fitted.x, inverse)
    cov = np.linalg.pinv(hessian, hermitian=True)
    pulled = inverse @ largest
    pulled = pulled - inverse @ jac @ (cov @ (jac.T @ pulled))
    told = max(float(pulled[largest].sum()), _LEAST_TOLD)
    # Residuals are law minus runs.
    step = -float(pulled @ (problem.residuals(fitted.x[None])[0] - jac @ (cov @ gradient))) / told
    return step, told**-0.5


def _smoothed(
    problem: Problem, x: Array, given: Array, about: Discrepancy, above: Array
) -> tuple[Array, Array, Array, Array]:
    """Weights of the runs, what smoothing leaves of them, and its size: under that noise, and under 1 everywhere.

    Parameters move along by one Gauss-Newton step, and outliers are down-weighted in two rounds.
    """
    smooth, noise = covariance(problem, about, above)
    share = given
    for turn in range(3):
        variance = noise**2 / share
        _, inverse = inverted(smooth + np.diag(variance))
        gradient, hessian, jac = normal_equations(problem, x, inverse)
        cov = np.linalg.pinv(hessian, hermitian=True)
        pulled = inverse @ jac
        left = variance * (inverse @ (problem.residuals(x[None])[0] - jac @ (cov @ gradient)))
        if turn < 2:
            share = given * kept(left / noise)
    mixture = variance[:, None] * (inverse - pulled @ cov @ pulled.T)
    sizes_left = (
        np.sqrt(((mixture * each / np.sqrt(given)) ** 2).sum(axis=1)) for each in (noise, np.ones(noise.size))
    )
    size, even = (np.maximum(each, 1e-12) for each in sizes_left)
    return share, left, size, even


def left_over(problem: Problem, fitted: CorrelatedFit, about: Discrepancy) -> Array:
    """What law and discrepancy leave of each run (n,) [log loss]: ln of the forecast over the run."""
    _, noise = covariance(problem, about, fitted.above)
    return np.asarray(noise**2 / fitted.weight * fitted.alpha)


def scatter_of(problem: Problem, fitted: CorrelatedFit, about: Discrepancy, pivot: float) -> float:
    """Scatter of the runs about the forecast [log loss]: the mean of two logs, as each misses what the other sees.

    The median size of what smoothing leaves of the runs is their luck. How far the residuals exceed what laws miss
    elsewhere (1 if they do not; counted in pivots) is what the law misses of them, which neighbours share.
    """
    luck = robust_sd(left_over(problem, fitted, about))
    misfit = np.sqrt(max(float(problem.residuals(fitted.x[None])[0] @ fitted.alpha), 0.0) / problem.loss.size)
    return float(np.sqrt(luck * pivot * misfit))
