"""The joint fit of two recipes: three widths of prior, several structures of error, all averaged by evidence.

No one of these is right for every table, and runs are too few to choose: a test before sharing exponents, and
bootstraps over pairs, give intervals that cover far too little where the laws differ by less than can be tested.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from scalefit._numeric import robust_sd
from scalefit._typing import AnyArray, Array
from scalefit.comparison.recipes_surfaces import WIDTHS, Path, Surface, Width

#: Prior weights of the widths up to the centre of the runs, and from the most expensive common run on, where the data
#: cannot vouch that the laws are the same; between the two they change with the log of compute.
PRIORS: dict[str, tuple[dict[Width, float], dict[Width, float]]] = {
    "law": ({"same": 0.1, "slight": 0.6, "wide": 0.3}, {"same": 0.0, "slight": 0.7, "wide": 0.3}),
    "nothing": ({"same": 1.0}, {"same": 1.0}),
    "data": ({"wide": 1.0}, {"wide": 1.0}),
}
_NOISE_DOF, _NOISE = 1.0, 0.003  # prior on the noise of the log loss: one run's worth, at 0.3 %
_KERNEL = 1.5  # e-folds over which a misfit of the law lasts
#: Most steps of a fit (a guess).
_MOST_STEPS = 80
#: Least degrees of freedom of an interval, where the runs leave fewer (a guess).
_LEAST_DOF = 0.8
#: Least share of a variance that is taken to go with the noise (a guess).
_LEAST_OF_NOISE = 0.05
_BY_PAIRS = 2  # differences of pairs that go into the multiplier and how it is split
_LEAST_WEIGHT = 0.2  # of a run, under heavy tails, below which it looks odd
_CHANCE = 0.01  # of setting a run aside in a table in which none is odd (a choice)
_BRANCHES = float(np.e**2)  # times the prior of errors shared by size, where runs are branches of one trunk


@dataclass(frozen=True, slots=True, eq=False)
class Mixture:
    """A quantity as a mixture of Student's t: centres, standard errors, degrees of freedom and weights, shape (k,)."""

    centres: Array
    errors: Array
    dof: Array
    weights: Array

    def below(self, value: float) -> float:
        """Probability that the quantity is below `value`."""
        from scipy.special import stdtr

        return float(self.weights @ stdtr(self.dof, (value - self.centres) / self.errors))

    def interval(self, level: float) -> tuple[float, float, float]:
        """Median, lower and upper end."""
        from scipy.special import stdtr

        wanted = np.array([0.5, (1 - level) / 2, (1 + level) / 2])
        reach = 60 * self.errors / np.minimum(self.dof, 1.0)
        low, high = np.full(3, (self.centres - reach).min()), np.full(3, (self.centres + reach).max())
        for _ in range(70):
            middle = (low + high) / 2
            less = stdtr(self.dof, (middle[:, None] - self.centres) / self.errors) @ self.weights < wanted
            low, high = np.where(less, middle, low), np.where(less, high, middle)
        median, lower, upper = ((low + high) / 2).tolist()
        return median, lower, upper

    def draws(self, n: int, rng: np.random.Generator) -> Array:
        """Independent draws, shape (n,)."""
        k = rng.choice(len(self.weights), n, p=self.weights)
        return np.asarray(self.centres[k] + self.errors[k] * rng.standard_t(self.dof[k]), float)


@dataclass(frozen=True, slots=True, eq=False)
class JointFit:
    """Every fit of one pair of recipes, stacked along the first axis (k fits)."""

    surface: Surface
    theta: Array
    cov: Array
    noise: Array
    dof: Array
    evidence: Array
    widths: tuple[Width, ...]
    structures: tuple[str, ...]
    differ: str

    def weights(self, vouched: float = 1.0) -> Array:
        """Posterior weight of each fit, from 1 where the runs vouch for equal laws to 0 where they do not."""
        within, beyond = PRIORS[self.differ]
        each = [vouched * within.get(w, 0.0) + (1 - vouched) * beyond.get(w, 0.0) for w in self.widths]
        with np.errstate(divide="ignore"):
            logs = self.evidence + np.log(each)
        weights = np.exp(logs - logs.max())
        return np.asarray(weights / weights.sum(), float)

    def mixture(self, quantity: Callable[[Array], Array], weights: Array) -> Mixture:
        """Any function of the parameters, by the delta method in each fit."""
        step, p = 1e-4, self.theta.shape[1]
        moves = step * np.eye(p)[:, None, :]
        slopes = (quantity(self.theta + moves) - quantity(self.theta - moves)) / (2 * step)  # (p, k)
        moved = np.einsum("kij,jk->ki", self.cov, slopes)
        variance = np.maximum(np.einsum("ik,ki->k", slopes, moved), 1e-24)
        spreads = np.array([self.surface.spreads(width) for width in self.widths])
        precision = np.where(spreads > 0, 1 / np.where(spreads > 0, spreads, 1) ** 2, 0)
        # What a prior alone limits has a known spread: only the rest grows with a noise that few runs show.
        of_noise = np.clip(1 - (moved**2 * precision).sum(axis=1) / variance, _LEAST_OF_NOISE, 1)
        dof = np.maximum(self.dof, _LEAST_DOF) / of_noise
        return Mixture(quantity(self.theta), np.sqrt(variance), dof, weights)

    def multiplier(self, C: float, path: Path, vouched: float) -> Mixture:
        """Log of the compute multiplier at `C` [FLOP]; `vouched` as in `weights`."""
        log_C = float(np.log(C))
        return self.mixture(lambda t: self.surface.log_multiplier(t, log_C, path), self.weights(vouched))

    def best(self) -> int:
        """The fit of greatest weight."""
        return int(np.argmax(self.weights()))


def error_structures(distances: Array, is_b: AnyArray, cells: AnyArray, sizes: AnyArray) -> dict[str, Array]:
    """Return correlations of the errors between runs that these runs could have.

    Parameters
    ----------
    distances : ndarray, shape (n, n)
        Squared distance between runs in logs.
    is_b : ndarray of bool, shape (n,)
        Which runs are of B.
    cells : ndarray of bool, shape (n, n)
        Pairs of runs at the same N and D.
    sizes : ndarray of bool, shape (n, n)
        Pairs of runs of one recipe at the same N.

    Returns
    -------
    dict of str to ndarray, shape (n, n)
        Covariances up to a factor. ``pair``: a seed or data order that runs of one cell share; ``size``: a trunk that
        runs of one size branch off; ``law``: a misfit of the law that both recipes share, ``own`` with a tenth of its
        variance B's own.
    """
    n = len(distances)
    one, cell, size = np.eye(n), cells.astype(float), sizes.astype(float)
    found = {"independent": one}
    repeated = bool((cell.sum(1) > 1).any())
    if repeated:
        found |= {f"pair {r}": (1 - r) * one + r * cell for r in (0.5, 0.8, 0.95)}
    if (size.sum(1) > 1).any():
        found |= {f"size {r}": (1 - r) * one + r * size for r in (0.5, 0.8)}
    kernel = np.exp(-distances / (2 * _KERNEL**2))
    own = np.outer(is_b, is_b).astype(float)
    for t in (1, 3, 6):
        found[f"law {t}"] = one + t**2 * kernel
        if t > 1:
            found[f"law {t} own"] = one + t**2 * kernel * (1 + 0.1 * own)
    if repeated:
        found["law 3 pair 0.8"] = 0.2 * one + 9 * kernel + 0.8 * cell
    return {name: R + 1e-9 * one for name, R in found.items()}


def fit_jointly(
    surface: Surface,
    loss: Array,
    structures: Mapping[str, Array],
    differ: str,
    groups: int,
    contrasts: int,
    *,
    branches: bool = False,
) -> JointFit:
    """Fit every width of prior under every structure of error.

    Parameters
    ----------
    surface : Surface
        Of the n runs of both recipes.
    loss : ndarray, shape (n,)
        Observed losses.
    structures : mapping of str to ndarray, shape (n, n)
        From `error_structures`.
    differ : {"law", "nothing", "data"}
        Which widths take part.
    groups : int
        Number of (recipe, size) groups: what errors shared by size leave to count.
    contrasts : int
        Differences between runs of one cell: what errors shared within cells leave to count. That the two recipes go
        together is learned from these alone, and six pairs often do so by chance.
    branches : bool
        Runs of one size are branches of one trunk.
    """
    whitening = np.stack([np.linalg.inv(np.linalg.cholesky(R)) for R in structures.values()])
    fits = []
    widths = [w for w in WIDTHS if PRIORS[differ][0].get(w, 0.0) > 0]
    for width in widths:
        fits.append(_fit(surface, np.log(loss), surface.spreads(width), whitening))
    theta, cov, noise, dof, evidence = (np.concatenate(parts) for parts in zip(*fits, strict=True))
    names = tuple(structures) * len(widths)
    by_size = np.array([name.startswith("size") for name in names])
    dof = np.where(by_size, np.minimum(dof, max(groups - 3, 1)), dof)
    by_cell = np.array(["pair" in name for name in names])
    dof = np.where(by_cell, np.minimum(dof, max(contrasts - _BY_PAIRS, 1)), dof)
    if branches:
        evidence = evidence + np.log(_BRANCHES) * by_size
    told = tuple(width for width in widths for _ in structures)
    return JointFit(surface, theta, cov, noise, dof, evidence, told, names, differ)


def _fit(
    surface: Surface, log_loss: Array, spreads: Array, whitening: Array
) -> tuple[Array, Array, Array, Array, Array]:
    """Maximum a posteriori under every structure at once, by Levenberg's steps on whitened residuals."""
    n, k, free = len(log_loss), len(whitening), np.flatnonzero(spreads > 0)
    prior, means = 1 / spreads[free] ** 2, surface.means[free]
    theta = np.tile(surface.start(np.exp(log_loss)), (k, 1))
    noise, damping = np.full(k, 1e-4), np.full(k, 1e-2)
    base = _NOISE_DOF * _NOISE**2

    def whitened(theta: Array) -> tuple[Array, Array]:
        fitted, slopes = surface.log_loss(theta)
        residuals = (whitening @ (log_loss - fitted)[..., None])[..., 0]
        return residuals, whitening @ slopes[..., free]

    def cost(residuals: Array, theta: Array) -> Array:
        return np.asarray((residuals**2).sum(1) / noise + ((theta[:, free] - means) ** 2 * prior).sum(1), float)

    def effective(curvature: Array) -> Array:
        full = curvature / noise[:, None, None]
        return np.asarray(np.trace(np.linalg.solve(full + np.diag(prior), full), axis1=1, axis2=2), float)

    residuals, slopes = whitened(theta)
    settled = False
    for step in range(_MOST_STEPS):
        curvature = slopes.transpose(0, 2, 1) @ slopes
        if step > 5:
            new_noise = ((residuals**2).sum(1) + base) / (n - effective(curvature) + _NOISE_DOF)
            settled = bool(np.abs(np.log(new_noise / noise)).max() < 1e-5)
            noise = new_noise
        hessian = curvature / noise[:, None, None] + np.diag(prior)
        downhill = (slopes.transpose(0, 2, 1) @ residuals[..., None])[..., 0] / noise[:, None]
        downhill = downhill - (theta[:, free] - means) * prior
        diagonal = np.einsum("kii->ki", hessian)
        damped = hessian + np.einsum("ki,ij->kij", damping[:, None] * diagonal, np.eye(len(free)))
        move = np.clip(np.linalg.solve(damped, downhill[..., None])[..., 0], -1, 1)
        trial = theta.copy()
        trial[:, free] += move
        trial_residuals, trial_slopes = whitened(trial)
        okay = cost(trial_residuals, trial) <= cost(residuals, theta) + 1e-12
        theta = np.where(okay[:, None], trial, theta)
        residuals = np.where(okay[:, None], trial_residuals, residuals)
        slopes = np.where(okay[:, None, None], trial_slopes, slopes)
        damping = np.where(okay, np.maximum(damping / 5, 1e-10), np.minimum(damping * 6, 1e6))
        if step > 8 and settled and np.abs(move * np.sqrt(diagonal)).max() < 1e-3:
            break
    curvature = slopes.transpose(0, 2, 1) @ slopes
    p_eff, rss = effective(curvature), (residuals**2).sum(1)
    noise = (rss + base) / (n - p_eff + _NOISE_DOF)
    hessian = curvature / noise[:, None, None] + np.diag(prior)
    cov = np.zeros((k, len(spreads), len(spreads)))
    cov[np.ix_(np.arange(k), free, free)] = np.linalg.inv(hessian)
    off = ((theta[:, free] - means) ** 2 * prior).sum(1)
    fit = n * np.log(noise) + (rss + base) / noise + off + np.linalg.slogdet(hessian)[1] - np.log(prior).sum()
    evidence = -0.5 * fit + np.linalg.slogdet(whitening)[1] - (_NOISE_DOF / 2 + 0.5) * np.log(noise)
    return theta, cov, np.sqrt(noise), n - p_eff + _NOISE_DOF, evidence


def outlying(surface: Surface, loss: Array) -> AnyArray:
    """Return which runs a fit with heavy tails gives next to no weight, shape (n,) of bool.

    Student's t with 4 degrees of freedom on a robust scale. Such weights all through would make the intervals too
    narrow, so they only say which runs to look at; those are set aside that a fit to the others rules out.
    """
    n = len(loss)
    weights = np.ones(n)
    for _ in range(5):
        theta, *_ = _fit(surface, np.log(loss), surface.spreads("slight"), np.diag(np.sqrt(weights))[None])
        residuals = np.log(loss) - surface.log_loss(theta)[0][0]
        taken = min(len(surface.names), n // 2)
        scale = max(robust_sd(residuals) * np.sqrt(n / (n - taken)), 5e-4)
        weights = np.minimum(5 / (4 + (residuals / scale) ** 2), 1)
    odd = np.asarray(weights < _LEAST_WEIGHT)
    return odd & _far_from_others(surface, loss, odd) if odd.any() else odd


def _far_from_others(surface: Surface, loss: Array, odd: AnyArray) -> AnyArray:
    """Return which of the runs that look odd the others rule out, shape (n,) of bool.

    Few runs leave small residuals for most and a large one by chance: one in six clean tables of six runs had one that
    looked odd. So a fit without them must place each further away than chance among n runs would.
    """
    from scipy.special import stdtr

    n = len(loss)
    kept = np.diag(np.where(odd, 1e-6, 1.0))[None]
    theta, cov, noise, dof, _ = _fit(surface, np.log(loss), surface.spreads("slight"), kept)
    free = dof[0] - odd.sum()
    if free < 1:
        return np.zeros(n, bool)
    fitted, slopes = surface.log_loss(theta)
    wider = dof[0] / free  # the noise was taken over all n runs
    variance = wider * (noise[0] ** 2 + np.einsum("ni,ij,nj->n", slopes[0], cov[0], slopes[0]))
    chance = 2 * stdtr(free, -np.abs(np.log(loss) - fitted[0]) / np.sqrt(variance))
    return np.asarray(chance < _CHANCE / n)
