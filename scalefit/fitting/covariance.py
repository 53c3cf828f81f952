"""Uncertainty of the parameters: the sandwich covariance, and intervals from standard errors.

The plain Hessian error is never given: on a penalty close to the absolute value it is 2 to 3 times too small.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scalefit._typing import AnyArray, Array
from scalefit.fitting.power_sum import model_of
from scalefit.fitting.problem import Problem
from scalefit.laws._base import Law

if TYPE_CHECKING:
    import pandas as pd

#: Share of the information that curvature must leave in every direction to be counted under a narrow penalty.
_KEPT = 0.5


def free_covariance(problem: Problem, x: Array, held: AnyArray, tangent: Array | None = None) -> Array:
    """Sandwich covariance (p, p) of the free vector at x (p,); NaN for parameters held at a bound.

    Each run's score is divided by one minus its leverage (HC3 of MacKinnon & White 1985,
    doi:10.1016/0304-4076(85)90158-7), because a run that pulls the law towards itself hides its own noise. On a penalty
    close to the absolute value it is not: there a score is clipped however far the run lies, and the runs that hide are
    those fitted exactly, which the bread leaves out. A prior's mean is one more measurement, with its covariance.
    """
    problem = problem.bands(x)[-1]
    basis = np.eye(x.size)[:, ~held] if tangent is None else tangent
    found = bread(problem, x, basis.shape[1])
    if found is None:
        return np.full((x.size, x.size), np.nan)
    w = np.ones(problem.loss.size) if problem.weights is None else problem.weights
    psi, _, least_squares = problem.objective.slopes(found.residual)
    known, slopes = basis.T @ found.known @ basis, basis.T @ found.slopes
    scores = slopes * (w * psi)
    if not found.narrow:
        scores = scores / _one_minus_leverage(slopes, np.ravel(w * least_squares), known)
    middle = basis.T @ found.hessian @ basis
    meat = scores @ scores.T
    if problem.penalty is not None:
        meat += problem.penalty.scale * known
    inverse = np.linalg.pinv(middle, hermitian=True)
    cov = basis @ inverse @ meat @ inverse @ basis.T
    if tangent is None and held.any():
        cov[held, :], cov[:, held] = np.nan, np.nan
    return np.asarray(cov)


@dataclass(frozen=True, slots=True, eq=False)
class Bread:
    """What a sandwich is made of: expected Hessian (p, p), residuals (n,), slopes (p, n), the prior's part (p, p)."""

    hessian: Array
    residual: Array
    slopes: Array
    known: Array
    #: Whether the penalty is close to the absolute value: the window is wider than Huber's band.
    narrow: bool


def bread(problem: Problem, x: Array, n_free: int) -> Bread | None:
    """Expected Hessian at x (p,) and what goes with it; None where it is not finite.

    With 39 of 240 runs inside Huber's band the exact Hessian is a very noisy estimate of the density of residuals near
    zero, which is what the bread needs. So it is estimated within a window that holds the share of residuals of Hall &
    Sheather (1988, J. R. Stat. Soc. B 50, 381), without the runs that a law of `n_free` parameters can fit exactly
    (Koenker 2005, Quantile Regression, doi:10.1017/CBO9780511754098, section 3.4).
    """
    with np.errstate(all="ignore"):
        residual, slopes = problem.jacobian(x[None])
        _, _, exact, _ = model_of(problem).evaluate(x[None], None)
    r, jac, hessian = residual[0], slopes[0], exact[0]
    if not (np.isfinite(jac).all() and np.isfinite(hessian).all()):
        return None
    goal = problem.objective
    known = np.zeros((x.size, x.size)) if problem.penalty is None else problem.penalty.precision(x)
    if goal.kind != "huber":
        return Bread(hessian, r, jac, known, narrow=False)
    w = np.ones(r.size) if problem.weights is None else problem.weights
    width, share = _window(np.sort(np.abs(r[w > 0])), n_free, goal.tau)
    narrow = width > goal.delta
    inside = goal.slopes(r)[1]
    curvature = hessian - known - (jac * (w * inside)) @ jac.T
    density = (np.abs(r) <= width) * (share * goal.steepest / width) if narrow else inside
    hessian = (jac * (w * density)) @ jac.T + known
    # At the truth scores average out and curvature with them: where it takes most of what is known, that is chance.
    if _least_ratio(hessian + curvature, hessian) >= (_KEPT if narrow else 1e-9):
        hessian = hessian + curvature
    return Bread(hessian, r, jac, known, narrow)


def _least_ratio(matrix: Array, reference: Array) -> float:
    """Smallest ratio of two quadratic forms, where the reference (p, p) is positive."""
    size = np.sqrt(np.maximum(np.diag(reference), 1e-300))
    values, vectors = np.linalg.eigh(reference / size[:, None] / size)
    seen = values > 1e-12 * values[-1]
    basis = vectors[:, seen] / np.sqrt(values[seen])
    return float(np.linalg.eigvalsh(basis.T @ (matrix / size[:, None] / size) @ basis)[0])


def _hall_sheather(tau: float) -> float:
    """Bandwidth at a quantile, for intervals of level 0.95, times the cube root of the number of runs."""
    from scipy.special import ndtri

    z = float(ndtri(tau))
    return float(1.96 ** (2 / 3) * (1.5 * np.exp(-z * z) / (2 * np.pi) / (2 * z * z + 1)) ** (1 / 3))


def _window(sizes: Array, n_free: int, tau: float) -> tuple[float, float]:
    """Half-width of the window for the density at zero, and the share of the runs within that tell of it.

    A window that stays at the median does not narrow as runs grow in number: the density is then too low, the more so
    where the noise differs between runs, and errors stay too large.
    """
    n = sizes.size
    fitted_exactly = min(n_free, n - 1)
    held = min(1.0, 2 * _hall_sheather(tau) * float(n) ** (-1 / 3))
    width = float(np.quantile(sizes[fitted_exactly:], held))
    return width, held * n / (fitted_exactly + held * (n - fitted_exactly))


def _one_minus_leverage(jac: Array, weights: Array, known: Array) -> Array:
    """One minus each run's leverage (n,) in weighted least squares with slopes (p, n) and a prior's precision."""
    information = (jac * weights) @ jac.T + known
    size = np.sqrt(np.maximum(np.diag(information), 1e-300))
    inverse = np.linalg.pinv(information / size[:, None] / size, hermitian=True)
    scaled = jac / size[:, None]
    return np.asarray(np.maximum(1.0 - weights * np.einsum("in,ij,jn->n", scaled, inverse, scaled), 0.1))


def interval_around(law: type[Law], params: pd.Series[float], half: pd.Series[float]) -> pd.DataFrame:
    """Intervals ``lower`` and ``upper`` of half-widths `half`, in logarithms for what is positive by nature."""
    import pandas as pd

    names = [str(name) for name in params.index]
    log = np.array([law.parameters[name.split("[")[0]].log for name in names]) & (params.to_numpy() > 0)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        factor = np.exp(half / params)
        lower = np.where(log, params / factor, params - half)
        upper = np.where(log, params * factor, params + half)
    return pd.DataFrame({"lower": lower, "upper": upper}, index=names)
