"""Noise that runs share: found from the residuals, and intervals that allow for it and for bounds.

Runs of one budget or of one size often share part of their noise (a data order, a schedule, a code version). Taken one
by one they then seem to say more than they do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit._numeric import robust_sd
from scalefit._typing import AnyArray, Array
from scalefit.errors import ArgumentError, arg
from scalefit.fitting.covariance import bread, interval_around
from scalefit.fitting.identifiability import exponents_of
from scalefit.fitting.noise import with_compute

if TYPE_CHECKING:
    import pandas as pd

    from scalefit.fitting.solution import Solution

#: Likelihood ratio from which noise counts as shared: the 95 % point of chi square with one degree of freedom.
_DETECTED = 3.84
#: Shares of the variance that are tried.
_SHARES = np.linspace(0.0, 0.96, 25)
#: Values of an input closer than this are one level, and a level spans no more than that.
_STEP, _SPAN = np.log(1.02), np.log(1.1)
#: Robust standard error of an exponent from which its normal approximation fails, and refits drawn in its place.
_LOOSE, _REFITS = 0.1, 400
#: Runs above which no refits are drawn unasked: they take seconds, and exponents are then rarely loose.
_MOST_RUNS = 2_000
_LEAST_EIGENVALUE = 0.01
#: Clusters that are too few to draw from.
FEW_CLUSTERS = 8
_CLIP = 3.0


@dataclass(frozen=True, slots=True, eq=False)
class Shared:
    """Errors (p, p) for runs that share noise, and what gives their degrees of freedom in a direction."""

    by: str
    labels: AnyArray
    #: Likelihood ratio and share of the variance; NaN where the labels were given.
    ratio: float
    share: float
    n_clusters: int
    covariance: Array
    #: Per cluster: X' A X and X' A^2 X (G, p, p); inverse information (p, p), all in the free directions.
    first: Array
    second: Array
    inverse: AnyArray

    def degrees(self, directions: Array) -> Array:
        """Degrees of freedom (m,) for directions (m, p) of the free vector.

        Of Bell & McCaffrey (2002, Survey Methodology 28, 169): the mean and variance of the estimated variance, had
        the noise been independent, matched to chi square's.
        """
        out = np.empty(len(directions))
        for start in range(0, len(directions), 512):
            c = directions[start : start + 512] @ self.inverse
            own = np.einsum("mi,gij,mj->mg", c, self.second, c)
            u = np.einsum("gij,mj->mgi", self.first, c)
            matrix = -np.einsum("mgi,ij,mhj->mgh", u, self.inverse, u)
            at = np.arange(own.shape[1])
            matrix[:, at, at] += own
            square = (matrix**2).sum(axis=(1, 2))
            out[start : start + 512] = np.trace(matrix, axis1=1, axis2=2) ** 2 / np.maximum(square, 1e-300)
        return np.clip(out, 1.0, None)


def detect(result: Solution) -> Shared | None:
    """Grouping of the runs by C, N or D whose residuals resemble each other most, where they clearly do.

    A variance shared within groups is fitted by restricted maximum likelihood to the residuals, with the law's
    parameters free to first order (ratio of likelihoods against none; see Searle, Casella & McCulloch 1992).
    """
    problem = result.problem
    if len(problem.groups) > 1 or result.tangent is not None or problem.penalty is not None:
        return None
    with np.errstate(all="ignore"):
        residual, slopes = problem.jacobian(result.x[None])
    r, x = residual[0], slopes[0][~result.at_bound].T
    weights = np.ones(r.size) if problem.weights is None else problem.weights
    if problem.objective.lopsided:  # residuals of an edge of the runs have a mean of their own
        r = r - np.median(r)
    size = robust_sd(r)
    if size < 1e-9 or not np.isfinite(x).all() or r.size < result.n_free + 6:
        return None
    r, x = np.clip(r, -_CLIP * size, _CLIP * size) * np.sqrt(weights), x * np.sqrt(weights)[:, None]
    scale = np.sqrt((x**2).sum(axis=0))
    if (scale <= 0).any():
        return None
    x = x / scale
    best: tuple[float, float, str, AnyArray] | None = None
    for name, labels in _groupings(problem.raw_columns):
        ratio, share = _reml(r, x, labels)
        if ratio > _DETECTED and (best is None or ratio > best[0] + 1e-6):
            best = ratio, share, name, labels
    if best is None:
        return None
    return clustered(result, best[3], best[2], best[0], best[1])


def _groupings(columns: Any) -> list[tuple[str, AnyArray]]:
    """Levels of compute, size and tokens that recur: 3 or more, with 2 runs each and more."""
    columns = with_compute(columns)
    found = []
    for name in ("C", "N", "D"):
        if name not in columns:
            continue
        value = np.log(columns[name])
        order = np.argsort(value, kind="stable")
        level = np.r_[0, np.cumsum(np.diff(value[order]) > _STEP)]
        ends = np.flatnonzero(np.r_[True, np.diff(level) > 0, True])
        spans = value[order][ends[1:] - 1] - value[order][ends[:-1]]
        count = int(level[-1]) + 1
        labels = np.empty(value.size, int)
        labels[order] = level
        if 3 <= count <= value.size / 2 and spans.max() <= _SPAN:
            found.append((name, labels))
    return found


def _reml(r: Array, x: Array, labels: AnyArray) -> tuple[float, float]:
    """Likelihood ratio of a share of the variance within groups against none, and that share."""
    size = np.bincount(labels).astype(float)
    sums = np.zeros((size.size, x.shape[1]))
    np.add.at(sums, labels, x)
    total = np.bincount(labels, r)
    n, p = x.shape
    heights = []
    for rho in _SHARES:
        # V = (1 - rho) I + rho (same group): its inverse takes a share of each group's sum away.
        part = rho / (1 - rho + rho * size)
        xx = (x.T @ x - (sums * part[:, None]).T @ sums) / (1 - rho)
        xr = (x.T @ r - sums.T @ (part * total)) / (1 - rho)
        rr = (r @ r - total @ (part * total)) / (1 - rho)
        sign, logdet = np.linalg.slogdet(xx)
        left = rr - xr @ np.linalg.pinv(xx, hermitian=True) @ xr
        if sign <= 0 or left <= 0:
            return 0.0, 0.0
        volume = ((size - 1) * np.log1p(-rho) + np.log(1 - rho + rho * size)).sum()
        heights.append((n - p) * np.log(left / (n - p)) + volume + logdet)
    at = int(np.argmin(heights))
    return float(heights[0] - heights[at]), float(_SHARES[at])


def clustered(result: Solution, labels: AnyArray, by: str, ratio: float = np.nan, share: float = np.nan) -> Shared:
    """Robust errors by cluster: CR2 of Bell & McCaffrey (2002), on Huber's penalty by its working weights."""
    problem, x0 = result.problem.bands(result.x)[-1], result.x
    basis = np.eye(x0.size)[:, ~result.at_bound]
    found = bread(problem, x0, basis.shape[1])
    blank = np.full((x0.size, x0.size), np.nan)
    count = int(labels.max()) + 1
    if found is None or not basis.shape[1]:
        k = basis.shape[1]
        return Shared(
            by, labels, ratio, share, count, blank, np.zeros((count, k, k)), np.zeros((count, k, k)), np.eye(k)
        )
    w = np.ones(problem.loss.size) if problem.weights is None else problem.weights
    slopes = basis.T @ found.slopes
    middle = basis.T @ found.hessian @ basis
    level = (slopes * w) @ slopes.T
    unit = float(np.trace(np.linalg.pinv(level, hermitian=True) @ middle)) / len(middle)
    unit = max(unit, 1e-300)
    design = (slopes * np.sqrt(unit * w)).T
    score = w * problem.objective.slopes(found.residual)[0] / np.sqrt(unit * np.maximum(w, 1e-300))
    inverse = np.linalg.pinv(design.T @ design, hermitian=True)
    k = design.shape[1]
    first, second, meat = np.zeros((count, k, k)), np.zeros((count, k, k)), np.zeros((k, k))
    for g in range(count):
        rows = design[labels == g]
        values, vectors = np.linalg.eigh(np.eye(len(rows)) - rows @ inverse @ rows.T)
        values = np.maximum(values, _LEAST_EIGENVALUE)
        turned = vectors.T @ rows
        root = (turned / np.sqrt(values)[:, None]).T
        u = root @ (vectors.T @ score[labels == g])
        first[g], second[g] = root @ turned, (turned / values[:, None]).T @ turned
        meat += np.outer(u, u)
    bread_inverse = np.linalg.pinv(middle, hermitian=True)
    covariance = basis @ bread_inverse @ meat @ bread_inverse @ basis.T
    covariance[result.at_bound, :], covariance[:, result.at_bound] = np.nan, np.nan
    return Shared(by, labels, ratio, share, count, covariance, first, second, inverse)


def student(result: Solution, tail: float, directions: Array, shared: Shared | None = None) -> Array:
    """Student's t (m,) above which the share `tail` lies, for directions (m, p): by the runs' freedom or clusters'."""
    from scipy.special import stdtrit

    shared = result.shared_noise if shared is None and result.resamples is None else shared
    if shared is None:
        return np.full(len(directions), result._student(tail))
    return np.asarray(-stdtrit(np.minimum(shared.degrees(directions[:, ~result.at_bound]), result.n_runs), tail))


def labels_of(result: Solution, cluster: Any) -> AnyArray:
    """Whole numbers (n_runs,) from labels of the runs."""
    if isinstance(cluster, str):
        raise ArgumentError(
            f"{arg('cluster', cluster)} is a name, and a fit keeps no columns",
            "nothing was computed",
            f"Pass the labels, {arg('cluster', shown=f'runs[{cluster!r}]')}, or {arg('cluster', 'shared')}",
        )
    # A Series is matched by its index, because runs may have been set aside or sorted since.
    values = np.asarray(cluster.reindex(result.row_labels) if hasattr(cluster, "reindex") else cluster)
    if values.shape != (result.n_runs,):
        raise ArgumentError(
            f"cluster has shape {values.shape}, the fit {result.n_runs} runs",
            "nothing was computed",
            "Give one label for each run",
        )
    labels = np.unique(values, return_inverse=True)[1].ravel()
    if labels.max() < 2:
        raise ArgumentError(
            f"{labels.max() + 1} clusters are too few to show how clusters differ",
            "nothing was computed",
            f"Give 3 or more, or leave {arg('cluster')} out",
        )
    return np.asarray(labels)


def draws_for_intervals(result: Solution) -> Array | None:
    """Refits (n, p) where a parameter is at its bound or an exponent is loose: no covariance describes such a law."""
    if result.tangent is not None or len(result.problem.groups) > 1 or result.n_runs > _MOST_RUNS:
        return None
    certificate = result.certificate
    if not certificate.converged or certificate.undetermined:
        return None
    loose = [name for name in exponents_of(result.law) if name in result.names]
    errors = [float(result.std_errors[name]) for name in loose if np.isfinite(result.std_errors[name])]
    if not certificate.at_bound and max(errors, default=0.0) <= _LOOSE:
        return None
    from scalefit.fitting.bootstrap import bootstrap_draws

    shared = result.shared_noise
    labels = None if shared is None or shared.n_clusters < FEW_CLUSTERS else shared.labels
    return bootstrap_draws(result, _REFITS, result.seed, labels)[0]


def conf_int(result: Solution, level: float, cluster: Any) -> pd.DataFrame:
    """Intervals of the parameters; see :meth:`scalefit.FitResult.conf_int`."""
    import pandas as pd

    tail, names = (1 - level) / 2, list(result.params.index)
    draws = result.interval_draws if cluster is None else None
    if draws is not None:
        table = result.natural(draws)
        rows = [np.quantile(np.broadcast_to(table[name], draws.shape[:1]), [tail, 1 - tail]) for name in names]
        return pd.DataFrame(rows, index=names, columns=["lower", "upper"])
    shared = result.shared_noise if cluster is None else clustered(result, labels_of(result, cluster), "cluster")
    if shared is None or result.tangent is not None:
        half = result._student(tail) * result.std_errors
    else:
        jac = result.natural_slopes()
        cov = jac @ np.nan_to_num(shared.covariance) @ jac.T
        t = student(result, tail, jac, shared)
        half = pd.Series(t * np.sqrt(np.maximum(np.diag(cov), 0.0)), index=names)
        half[np.isnan(result.std_errors.to_numpy())] = np.nan
    frame = interval_around(result.law, result.params, half)
    for name in names:
        base = name.split("[")[0]
        low, high = (result.bounds or {}).get(base, result.law.parameters[base].bounds)
        frame.loc[name] = frame.loc[name].clip(low, high)
    return frame
