"""What it costs to train with other settings than the best: the bowl of a cell that was not swept, drawn many times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from scalefit._typing import Array
from scalefit.tuning.bowl import Bowls, Model, excess, to_lowest
from scalefit.tuning.optimum_laws import OptimumLaw, fit_optimum_law

#: Draws of an optimum: enough for its quantiles (a guess).
DRAWS = 4000
#: Curvatures: standard deviation of their exponents, of their bends, and scale of their scatter.
_PRIOR = (0.5, 0.03, 0.2)
#: Least relative error of a curvature: no bowl is known better (a guess).
_LEAST_ERROR = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class BowlLaw:
    """How the bowl changes with N and D: a power law for each curvature, and how settings go together.

    Attributes
    ----------
    curvatures : tuple of OptimumLaw
        Of each diagonal entry.
    together, spread : ndarray (k, k)
        Inverse hyperbolic tangent of the correlations, and their standard deviation over cells.
    model : Model
        Shapes, and the excess at which the bowl stops being true.
    """

    curvatures: tuple[OptimumLaw, ...]
    together: Array
    spread: Array
    model: Model

    def draws(self, N: float, D: float, n: int, rng: np.random.Generator) -> Array:
        """Curvatures (n, k, k) of a new cell."""
        root = np.exp(0.5 * np.stack([law.draws(N, D, n, rng) for law in self.curvatures], axis=1))
        k = root.shape[1]
        found = np.zeros((n, k, k))
        for i in range(k):
            found[:, i, i] = root[:, i] ** 2
            for j in range(i + 1, k):
                share = np.tanh(self.together[i, j] + self.spread[i, j] * rng.standard_normal(n))
                found[:, i, j] = found[:, j, i] = share * root[:, i] * root[:, j]
        return found

    def misfit(self, n: int, rng: np.random.Generator) -> Array:
        """Factors (n,) by which the loss above the optimum differs from the bowl's."""
        share = 0.0 if np.isinf(self.model.reach) else self.model.noise / self.model.reach
        return np.asarray(np.exp(share * rng.standard_normal(n)))


def fit_bowl_law(N: Array, D: Array, model: Model, bowls: Bowls) -> BowlLaw:
    """Fit the law to the bowls of the cells that bracket their optimum."""
    k = bowls.best.shape[1]
    diagonal = np.diagonal(bowls.curvature, axis1=1, axis2=2)
    which = [(i, j) for i in range(k) for j in range(i, k) if i == j or model.crossed]
    laws = []
    for i in range(k):
        relative = np.maximum(bowls.curvature_errors[:, which.index((i, i))] / diagonal[:, i], _LEAST_ERROR)
        laws.append(fit_optimum_law(N, D, np.log(diagonal[:, i]), relative, prior=_PRIOR))
    root = np.sqrt(diagonal)
    share = np.arctanh(np.clip(bowls.curvature / (root[:, :, None] * root[:, None, :]), -0.99, 0.99))
    spread = share.std(axis=0, ddof=1) if len(share) > 1 else np.zeros((k, k))
    return BowlLaw(tuple(laws), share.mean(axis=0), spread, model)


def draw_penalties(
    law: BowlLaw, optima: Mapping[str, OptimumLaw], N: float, D: float, settings: Mapping[str, float], seed: int = 0
) -> Array:
    """Draws (DRAWS,) of the loss above the optimum at N and D; settings not given are at their best."""
    rng = np.random.default_rng(seed)
    u = np.zeros((DRAWS, len(optima)))
    for j, (name, one) in enumerate(optima.items()):
        best = one.draws(N, D, DRAWS, rng)
        if name in settings:
            u[:, j] = np.log(settings[name]) - best
    return excess(u, law.draws(N, D, DRAWS, rng), law.model.shapes) * law.misfit(DRAWS, rng)


def draw_off(law: BowlLaw, N: float, D: float, j: int, factor: float, seed: int = 0) -> Array:
    """Draws (DRAWS,) of the loss above the optimum where setting j is `factor` times its best, the others at theirs."""
    rng = np.random.default_rng(seed)
    u = np.zeros((DRAWS, len(law.curvatures)))
    u[:, j] = np.log(factor)
    return excess(u, law.draws(N, D, DRAWS, rng), law.model.shapes) * law.misfit(DRAWS, rng)


def draw_conditional(
    law: BowlLaw, optima: Mapping[str, OptimumLaw], N: float, D: float, given: Mapping[str, float], seed: int = 0
) -> dict[str, Array]:
    """Draws (DRAWS,) of the logarithm of the best of the other settings where some are given."""
    rng = np.random.default_rng(seed)
    names = list(optima)
    best = np.stack([optima[name].draws(N, D, DRAWS, rng) for name in names], axis=1)
    curvature = law.draws(N, D, DRAWS, rng)
    held = [j for j, name in enumerate(names) if name in given]
    free = [j for j, name in enumerate(names) if name not in given]
    u = np.log([given[names[j]] for j in held]) - best[:, held]
    slope = np.einsum("nij,nj->ni", curvature[:, free][:, :, held], u)
    inner = curvature[:, free][:, :, free]
    closed = np.linalg.eigvalsh(inner)[:, 0] > 0
    moved = to_lowest(slope, inner, law.model.shapes[free], closed)
    return {names[j]: best[:, j] + moved[:, i] for i, j in enumerate(free)}
