"""Size of a law's discrepancy on the runs of one table, whether their noise is even, and intervals from both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from scalefit._typing import Array
from scalefit.fitting.problem import Problem
from scalefit.forecasting.correlated_errors import (
    CorrelatedFit,
    Discrepancy,
    assemble,
    beyond,
    compute,
    kernel,
    positions,
    predict_correlated,
    sizes,
    skew,
)

#: Amplitudes that are weighed, in standard deviations of their logarithm.
_TRIED = np.linspace(-3.0, 3.0, 25)
#: Precision of parameters that neither runs nor prior tell, so that no determinant is zero.
_LOOSE = 1e-6
_LEAST_NOISE = 1e-6  # log loss


def own_discrepancy(
    problem: Problem, fitted: CorrelatedFit, own: Discrepancy, fit: CorrelatedFit, even: float, sd: float
) -> tuple[Discrepancy, CorrelatedFit, float]:
    """Return the amplitude that the runs show, if below that of other tables; the fit under it; the share of `even`.

    The amplitude is the root of the posterior mean of its square. Before the runs its logarithm is normal with `sd`,
    and the mean of its square is that of other tables, so uninformative runs leave it unchanged. The noise is that of
    `own` or, with a probability that the runs give, `even`: noise of the wrong kind looks like a discrepancy. What the
    runs do not show may still be there beyond them, so a larger amplitude is not taken, and the forecast itself stays
    under that of other tables.
    """
    if sd == 0:  # files from before it was learned from the table
        return own, fit, 0.0
    far, noise = sizes(problem, problem.columns, fitted.above, replace(own, amplitude=1.0))
    tried = own.amplitude * np.exp(sd * _TRIED - sd**2)
    kinds = (noise, np.full(noise.size, max(even, _LEAST_NOISE)))
    logs = np.array(
        [_evidence(problem, fitted.x, each / np.sqrt(fit.weight), far, own.length, tried) for each in kinds]
    )
    logs -= 0.5 * _TRIED**2
    weight = np.exp(logs - logs.max())
    amplitude = float(np.sqrt((weight * tried**2).sum() / weight.sum()))
    shown = replace(own, amplitude=min(amplitude, own.amplitude))
    sure = float(weight[1].sum() / weight.sum())
    return shown, assemble(problem, fitted.x, fit.weight, fitted.frontier, shown, fitted.converged), sure


def _evidence(problem: Problem, x: Array, noise: Array, far: Array, length: float, tried: Array) -> Array:
    """Log density of the runs under each amplitude, the law's parameters integrated out about x (p,)."""
    where = positions(problem, problem.columns)
    # One set of axes serves all amplitudes: those of the discrepancy in units of the noise.
    size, axes = np.linalg.eigh(kernel(where, where, length) * np.outer(far / noise, far / noise))
    residual, slopes = problem.jacobian(x[None])
    r, jac = axes.T @ (residual[0] / noise), axes.T @ (slopes[0].T / noise[:, None])
    pull, precision = np.zeros(x.size), _LOOSE * np.eye(x.size)
    if problem.penalty is not None:
        zero = np.zeros((1, x.size, x.size))
        _, g, _, s = problem.penalty.add(x[None], np.zeros(1), pull[None], zero, precision[None])
        pull, precision = g[0], s[0]
    out = []
    for amplitude in tried:
        share = 1.0 / (1.0 + amplitude**2 * np.maximum(size, 0.0))
        gradient, hessian = jac.T @ (share * r) + pull, jac.T @ (share[:, None] * jac) + precision
        missed = share @ r**2 - gradient @ np.linalg.solve(hessian, gradient)
        out.append(0.5 * (np.log(share).sum() - np.linalg.slogdet(hessian)[1] - missed))
    return np.asarray(np.array(out) - np.log(noise).sum())


def near_and_far(result: Any, scaled: Mapping[str, Array]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Forecast new runs under the table's own noise and discrepancy, and under those of other tables.

    The latter also has ``skew``, how far the posterior's mean lies above its mode (m,) [log loss].
    """
    (about, fit, even, _), (shown, refit, share) = result._own, result._shown
    near = predict_correlated(result.problem, fit, scaled, about, result.fitted)
    found = predict_correlated(result.problem, refit, scaled, shown, result.fitted)
    near |= {part: found[part] for part in ("parameter", "law")}
    # Where it is not clear that the noise is even, intervals allow for both kinds.
    near["noise"] = np.sqrt(share * even**2 + (1 - share) * np.maximum(near["noise"], even) ** 2)
    others = (result.problem, result.fitted, scaled, result.discrepancy)
    return near, {**predict_correlated(*others), "skew": skew(*others)}


def interval_parts(result: Any, scaled: Mapping[str, Array]) -> tuple[Array, ...]:
    """Loss (m,), standard deviations of its logarithm from parameters, law and noise, and the middle above it."""
    near, far = near_and_far(result, scaled)
    ratio = compute(scaled) / compute(result.problem.columns).max()
    distance = beyond(result.problem, scaled)
    parameter, law, noise = result.spread.parts(near, far, result._own[3], ratio, distance, result.widening)
    moved = result.spread.moved(far["skew"], far["parameter"], distance)
    # A larger run may have what those at the top have, or what the others have.
    spread = np.hypot(result.recipe_spread, abs(result.step.height) if result.step.told else 0.0)
    return np.exp(near["log_loss"]), parameter, np.hypot(law, spread), noise, moved
