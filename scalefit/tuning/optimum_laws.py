"""How the best value of a setting grows with N and D: a power law through optima that have errors, and scatter beyond.

ln optimum = a + n ln N + d ln D + bends + scatter + error of the cell. The scatter is not known either: everything is
averaged over it (a half-Cauchy prior), which is what makes intervals from few cells wide. Exponents have a wide prior
about 0, so that an input that hardly varied leaves its exponent open and predictions elsewhere wide; and the law may
bend a little, which is nothing among the cells and widens intervals beyond them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scalefit._typing import Array, ArrayLike
from scalefit.flops import SIZES

#: Standard deviations of priors: exponents; second derivatives in ln N and ln D; scale of the scatter (half-Cauchy).
EXPONENT, BEND, SCATTER = 0.7, 0.03, 0.1
_GRID = np.r_[0.0, np.geomspace(0.004, 3.0, 40)]
#: Standard deviation [log] of a prior that says nothing.
_ANYWHERE = 30.0


@dataclass(frozen=True, slots=True, eq=False)
class OptimumLaw:
    """ln y at ln N and ln D, averaged over the scatter.

    Attributes
    ----------
    inputs : tuple of str
        Which of N and D it depends on.
    centre : ndarray (2,)
        ln N and ln D that everything is measured from.
    scatter, weights : ndarray (t,)
        Values of the scatter, and how likely each is.
    mean, cov : ndarray (t, q), (t, q, q)
        Coefficients for each of them: a constant, the exponents of `inputs`, the bends.
    evidence : float
        Log likelihood of the optima, all else averaged.
    n : int
        Cells.
    """

    inputs: tuple[str, ...]
    centre: Array
    scatter: Array
    weights: Array
    mean: Array
    cov: Array
    evidence: float
    n: int

    def _mixture(self, N: ArrayLike, D: ArrayLike) -> tuple[Array, Array]:
        """Mean and variance (t, points) of ln y of a new cell."""
        x = law_columns(np.log(np.asarray(N, float)), np.log(np.asarray(D, float)), self.centre, self.inputs)
        variance = np.einsum("pi,tij,pj->tp", x, self.cov, x) + self.scatter[:, None] ** 2
        return self.mean @ x.T, variance

    def at(self, N: ArrayLike, D: ArrayLike) -> Array:
        """The law at N and D (points,)."""
        return np.asarray(np.exp(self.weights @ self._mixture(N, D)[0]))

    def interval(self, N: ArrayLike, D: ArrayLike, level: float) -> tuple[Array, Array]:
        """Interval of the optimum of a new cell at N and D."""
        mean, variance = self._mixture(N, D)
        sd, tail = np.sqrt(variance), 0.5 * (1 - level)
        low, high = _ends(self.weights, mean, sd, tail)
        return np.exp(low), np.exp(high)

    def draws(self, N: float, D: float, n: int, rng: np.random.Generator) -> Array:
        """Draws (n,) of ln y of a new cell."""
        mean, variance = self._mixture([N], [D])
        at = rng.choice(self.weights.size, size=n, p=self.weights)
        return np.asarray(mean[at, 0] + np.sqrt(variance[at, 0]) * rng.standard_normal(n))

    def exponent(self, name: str, level: float) -> tuple[float, float, float, float]:
        """Exponent of N or D at the centre of the cells, its interval, and the chance of one so far from 0 (p)."""
        if name not in self.inputs:
            return 0.0, 0.0, 0.0, np.nan
        from scipy.special import ndtr

        j = 1 + self.inputs.index(name)
        mean, sd = self.mean[:, j], np.sqrt(self.cov[:, j, j])
        tail = 0.5 * (1 - level)
        ends = [float(end[0]) for end in _ends(self.weights, mean[:, None], sd[:, None], tail)]
        below = float(self.weights @ ndtr(-mean / sd))
        return float(self.weights @ mean), ends[0], ends[1], min(1.0, 2 * min(below, 1 - below))

    @property
    def coefficient(self) -> float:
        """The c of c N^n D^d; the bends are left out."""
        mean = self.weights @ self.mean
        where = [SIZES.index(name) for name in self.inputs]
        return float(np.exp(mean[0] - mean[1 : 1 + len(where)] @ self.centre[where]))

    def scatter_interval(self, level: float) -> tuple[float, float, float]:
        """Scatter of ln optimum beyond the errors of the cells: the middle, and its interval."""
        mass = np.cumsum(self.weights)
        points = (0.5, 0.5 * (1 - level), 0.5 * (1 + level))
        middle, low, high = (float(np.interp(p, mass, self.scatter)) for p in points)
        return middle, low, high


def law_columns(log_N: Array, log_D: Array, centre: Array, inputs: tuple[str, ...]) -> Array:
    """A constant, the inputs, and half the squares and the products of the inputs: (points, q)."""
    x = {"N": np.atleast_1d(log_N - centre[0]), "D": np.atleast_1d(log_D - centre[1])}
    used = [x[name] for name in inputs]
    bends = [0.5 * one * one for one in used] + ([used[0] * used[1]] if len(used) == 2 else [])
    shape = np.broadcast_shapes(x["N"].shape, x["D"].shape)
    return np.stack([np.broadcast_to(one, shape) for one in (np.ones(1), *used, *bends)], axis=-1)


def _ends(weights: Array, mean: Array, sd: Array, tail: float) -> tuple[Array, Array]:
    """Points (points,) below and above which a share `tail` of mixtures lies; ``1 - tail`` may round to 1."""
    return _quantile(weights, mean, sd, tail), -_quantile(weights, -mean, sd, tail)


def _quantile(weights: Array, mean: Array, sd: Array, p: float) -> Array:
    """Quantile (points,) of mixtures of normals, weights (t,), mean and sd (t, points)."""
    from scipy.special import ndtr, ndtri

    ends = mean + sd * ndtri(p)
    low, high = ends.min(axis=0) - 1e-9, ends.max(axis=0) + 1e-9
    for _ in range(60):
        middle = 0.5 * (low + high)
        below = weights @ ndtr((middle - mean) / sd) < p
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.asarray(0.5 * (low + high))


def fit_optimum_law(
    N: ArrayLike,
    D: ArrayLike,
    log_optimum: ArrayLike,
    error: ArrayLike,
    inputs: tuple[str, ...] = SIZES,
    shared: ArrayLike | None = None,
    prior: tuple[float, float, float] = (EXPONENT, BEND, SCATTER),
) -> OptimumLaw:
    """Fit a law of optima.

    Parameters
    ----------
    N, D : array (n,)
        Size [parameters] and tokens [tokens] of each cell.
    log_optimum, error : array (n,)
        Logarithm of the best setting, and its standard error.
    inputs : tuple of str
        Those of N and D that it may depend on.
    shared : array (n, r), optional
        Errors that cells have in common: by how much each moves for one standard deviation of each of r causes.
    prior : (float, float, float)
        Standard deviations of exponents and bends, and scale of the scatter.

    Returns
    -------
    OptimumLaw

    Examples
    --------
    >>> N, D = np.array([1e8, 1e8, 1e9, 1e9, 3e8]), np.array([2e9, 2e10, 2e9, 2e10, 6e9])
    >>> law = fit_optimum_law(N, D, np.log(1.79 * N**-0.713 * D**0.307), np.full(5, 0.05))
    >>> round(law.exponent("N", 0.9)[0], 2)
    -0.71
    """
    log_N, log_D = np.log(np.asarray(N, float)), np.log(np.asarray(D, float))
    z, error = np.asarray(log_optimum, float), np.asarray(error, float)
    centre = np.array([log_N.mean(), log_D.mean()])
    x = law_columns(log_N, log_D, centre, inputs)
    bends = x.shape[1] - 1 - len(inputs)
    sd = np.r_[_ANYWHERE, np.full(len(inputs), prior[0]), np.full(bends, prior[1])]
    middle = float(np.median(z))
    common = np.zeros((z.size, z.size)) if shared is None else np.asarray(shared) @ np.asarray(shared).T
    covariance = common + np.eye(z.size) * (error**2 + 1e-10 + _GRID[:, None, None] ** 2)
    precise = np.linalg.inv(covariance)
    information = x.T @ precise @ x + np.diag(sd**-2.0)
    cov = np.linalg.inv(information)
    mean = np.einsum("tij,tj->ti", cov, x.T @ precise @ (z - middle))
    left = z - middle - mean @ x.T
    misfit = np.einsum("tn,tnm,tm->t", left, precise, left) + np.sum((mean / sd) ** 2, axis=1)
    log_like = -0.5 * (np.linalg.slogdet(covariance)[1] + misfit + np.linalg.slogdet(information)[1]) - np.log(sd).sum()
    log_like -= 0.5 * z.size * np.log(2 * np.pi)
    width = np.gradient(_GRID) / (1 + (_GRID / prior[2]) ** 2)
    posterior = log_like + np.log(width / width.sum())
    top = float(posterior.max())
    weights = np.exp(posterior - top)
    evidence = top + float(np.log(weights.sum()))
    mean[:, 0] += middle
    return OptimumLaw(inputs, centre, _GRID, weights / weights.sum(), mean, np.asarray(cov), evidence, z.size)


def p_droppable(law: OptimumLaw, without: OptimumLaw) -> float:
    """Probability of the law without an input, where both are as likely before the runs are looked at."""
    return float(1 / (1 + np.exp(np.clip(law.evidence - without.evidence, -700, 700))))
