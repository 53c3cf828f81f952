"""The loss near its optimum as a bowl in the logarithms of settings, fitted to every cell of a sweep at once.

With u the logarithm of each setting over its best value, the loss of a cell is

    L0 + sum_j h_jj f(u_j, p_j) + sum_(j<k) h_jk u_j u_k,    f(u, p) = (exp(p u) - p u - 1) / p^2,

which is a quadratic where p is 0, and else steeper on one side (Varian's linex function). Optimum and curvatures are
each cell's own; the shapes p, the noise and how fast the bowl stops being true are those of all cells together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from scalefit._typing import AnyArray, Array

#: Shapes that are tried; a shape other than 0 must earn its parameter (BIC).
_SHAPES = (-1.0, -0.5, 0.0, 0.5, 1.0, 1.5)
#: However much evidence there is for a shape, no loss has just that one: standard deviation of p.
_SHAPE_ERROR = 0.25
#: Excess loss, as a share of the loss, at which the misfit of the bowl is as large as the noise.
_REACHES = (np.inf, 0.08, 0.04, 0.02, 0.01, 0.005)
#: Degrees of freedom of the noise: single runs go wrong (a loss spike), and must not move an optimum.
_TAIL = 5.0
#: Where no run is left over to show the noise it is taken to be this share of the loss, as good as two runs.
_USUAL_NOISE, USUAL_RUNS = 0.001, 2.0
#: Curvatures of one sweep differ between cells by this much at least (as a share), however alike they look.
_LEAST_SPREAD, _FEW_SPREAD = 0.2, 0.5
#: An optimum beyond the runs of its cell is the bowl's word: its error is at least this share of the distance.
_BEYOND = 0.5
#: Rounds of fitting, fewer where quick, and Newton steps of each (guesses).
_ROUNDS, _QUICK, _NEWTON = 6, 3, 12
_FLAT, _STEP = 1e-9, 0.25


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Runs of c cells side by side, n of the largest: log settings (c, n, k), losses (c, n), and which are there."""

    x: Array
    y: Array
    there: AnyArray

    @classmethod
    def of(cls, settings: Sequence[Array], losses: Sequence[Array]) -> Cells:
        """From log settings (n_i, k) and losses (n_i,) of each cell."""
        c, n, k = len(losses), max(map(len, losses)), settings[0].shape[1]
        x, y, there = np.zeros((c, n, k)), np.zeros((c, n)), np.zeros((c, n), bool)
        for i, (one, loss) in enumerate(zip(settings, losses, strict=True)):
            x[i, : len(loss)], y[i, : len(loss)], there[i, : len(loss)] = one, loss, True
            x[i, len(loss) :] = one[0]
        return cls(x, y, there)

    @property
    def level(self) -> float:
        """A usual loss."""
        return float(np.median(self.y[self.there]))

    def ends(self) -> tuple[Array, Array]:
        """Smallest and largest of each setting, (c, k) each; runs that are not there repeat the first."""
        return self.x.min(axis=1), self.x.max(axis=1)

    def lowest(self) -> Array:
        """Settings (c, k) of the run with the lowest loss."""
        at = np.where(self.there, self.y, np.inf).argmin(axis=1)
        return np.asarray(self.x[np.arange(len(at)), at])


@dataclass(frozen=True, slots=True, eq=False)
class Spread:
    """What the m curvatures of a cell are like before its runs are looked at: their mean and standard deviation."""

    mean: Array
    sd: Array


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """What cells share.

    Attributes
    ----------
    shapes : ndarray (k,)
        p of each setting; 0 is a quadratic.
    reach : float
        Excess loss at which the misfit of the bowl is as large as the noise.
    noise : float
        Scale of the noise at the optimum, in units of the loss.
    freedom : float
        Degrees of freedom that it rests on.
    spread : Spread or None
        Curvatures of the other cells.
    crossed : bool
        Whether the best of one setting may depend on another.
    shape_errors : ndarray (k,)
        Standard deviations of the shapes.
    """

    shapes: Array
    reach: float
    noise: float
    freedom: float
    spread: Spread | None = None
    crossed: bool = True
    shape_errors: Array | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Bowls:
    """The bowls of c cells.

    Attributes
    ----------
    best : ndarray (c, k)
        Logarithm of the best settings.
    cov : ndarray (c, k, k)
        Covariance of `best`, given the noise.
    curvature : ndarray (c, k, k)
        Second derivatives of the loss at the optimum.
    curvature_errors : ndarray (c, m)
        Standard errors of their upper triangle, row by row.
    loss, loss_se : ndarray (c,)
        Loss at the optimum, and its standard error.
    residuals, weights : ndarray (c, n)
        Loss above the bowl, and how much each run counts.
    closed : ndarray (c,) of bool
        Whether the bowl has a lowest point at all.
    shifts : ndarray (c, k, k)
        By how much `best` moves, in its second axis, for one standard deviation of the shape of the third; all cells
        move together.
    """

    best: Array
    cov: Array
    curvature: Array
    curvature_errors: Array
    loss: Array
    loss_se: Array
    residuals: Array
    weights: Array
    closed: AnyArray
    shifts: Array

    def part(self, rows: AnyArray) -> Bowls:
        """Some of the cells."""
        return Bowls(**{one.name: getattr(self, one.name)[rows] for one in fields(self)})

    def noise_errors(self, cells: Cells) -> Array:
        """Standard errors (c, k) of the best settings, the shapes being right; wider beyond the runs of a cell."""
        low, high = cells.ends()
        beyond = np.maximum(0.0, np.maximum(low - self.best, self.best - high))
        variance = np.diagonal(self.cov, axis1=1, axis2=2)
        return np.asarray(np.sqrt(variance + (_BEYOND * beyond) ** 2))

    def errors(self, cells: Cells) -> Array:
        """Standard errors (c, k) of the best settings: of the noise, and of the shapes."""
        return np.asarray(np.sqrt(self.noise_errors(cells) ** 2 + np.sum(self.shifts**2, axis=2)))


def rise(u: Array, shape: float) -> Array:
    """f(u, p) of the module's formula."""
    with np.errstate(over="ignore"):
        return np.asarray(0.5 * u * u if shape == 0 else (np.expm1(shape * u) - shape * u) / shape**2)


def pairs(k: int, crossed: bool) -> list[tuple[int, int]]:
    """Entries of the upper triangle of the curvatures that are fitted, row by row."""
    return [(i, j) for i in range(k) for j in range(i, k) if i == j or crossed]


def excess(u: Array, curvature: Array, shapes: Array) -> Array:
    """Loss above the optimum (...) at u (..., k) from it, for curvatures (..., k, k)."""
    total = np.zeros(np.broadcast_shapes(u.shape[:-1], curvature.shape[:-2]))
    for i in range(u.shape[-1]):
        total = total + curvature[..., i, i] * rise(u[..., i], float(shapes[i]))
        for j in range(i + 1, u.shape[-1]):
            total = total + curvature[..., i, j] * u[..., i] * u[..., j]
    return total


def _basis(u: Array, model: Model) -> Array:
    """Columns (..., 1 + k + m): one, u, and what each curvature multiplies."""
    bends = [
        rise(u[..., i], float(model.shapes[i])) if i == j else u[..., i] * u[..., j]
        for i, j in pairs(u.shape[-1], model.crossed)
    ]
    return np.stack([np.ones(u.shape[:-1]), *np.moveaxis(u, -1, 0), *bends], axis=-1)


def _square(entries: Array, k: int, crossed: bool) -> Array:
    found = np.zeros((*entries.shape[:-1], k, k))
    for m, (i, j) in enumerate(pairs(k, crossed)):
        found[..., i, j] = found[..., j, i] = entries[..., m]
    return found


def fit_given(cells: Cells, model: Model, start: Array, rounds: int = _ROUNDS) -> Bowls:
    """Fit all cells, given what they share.

    The basis is moved to its own lowest point until it stays there; each time errors grow with the fitted excess.
    """
    x, y, there = cells.x, cells.y, cells.there
    k = x.shape[2]
    low, high = cells.ends()
    room = 0.5 * (high - low) + 0.5
    ref = start
    above = np.where(there, y - np.where(there, y, np.inf).min(axis=1, keepdims=True), 0.0)
    tail = np.ones_like(y)
    for turn in range(rounds):
        columns = _basis(x - ref[:, None], model)
        weights = there / (1.0 + (above / model.reach) ** 2)
        weighted = columns * (weights * tail)[..., None]
        information = np.swapaxes(columns, 1, 2) @ weighted
        score = np.einsum("cnm,cn->cm", weighted, y)
        if model.spread is not None:
            precision = (model.noise / model.spread.sd) ** 2
            where = 1 + k + np.arange(len(precision))
            information[:, where, where] += precision
            score[:, where] += precision * model.spread.mean
        inverse = np.linalg.pinv(information, rcond=1e-12, hermitian=True)
        found = np.einsum("cij,cj->ci", inverse, score)
        fitted = np.einsum("cnm,cm->cn", columns, found)
        residuals = np.where(there, y - fitted, 0.0)
        tail = (_TAIL + 1) / (_TAIL + weights * (residuals / model.noise) ** 2)
        curvature = _square(found[:, 1 + k :], k, model.crossed)
        closed = np.linalg.eigvalsh(curvature)[:, 0] > _FLAT * np.abs(curvature).max(axis=(1, 2))
        slope = found[:, 1 : 1 + k]
        step = np.where(closed[:, None], to_lowest(slope, curvature, model.shapes, closed), 0.0)
        moved = np.clip(ref + step, low - room, high + room)
        u = moved - ref
        lowest = found[:, 0] + np.einsum("ci,ci->c", slope, u) + excess(u, curvature, model.shapes)
        floor = np.minimum(lowest, np.where(there, fitted, np.inf).min(axis=1))
        above = np.where(there, np.maximum(fitted - floor[:, None], 0.0), 0.0)
        if turn == rounds - 1 or (turn > 1 and np.abs(u).max() < 1e-3):
            break
        ref = moved
    cov = model.noise**2 * (_TAIL + 3) / (_TAIL + 1) * inverse
    spread_of_best = np.full((len(y), k, k), np.inf)
    bend = np.linalg.inv(curvature[closed])
    spread_of_best[closed] = bend @ cov[closed, 1 : 1 + k, 1 : 1 + k] @ bend
    errors = np.sqrt(np.maximum(np.diagonal(cov, axis1=1, axis2=2), 0.0))
    return Bowls(
        best=moved,
        cov=spread_of_best,
        curvature=curvature,
        curvature_errors=errors[:, 1 + k :],
        loss=found[:, 0],
        loss_se=errors[:, 0],
        residuals=residuals,
        weights=weights,
        closed=closed,
        shifts=np.zeros((len(y), k, k)),
    )


def to_lowest(slope: Array, curvature: Array, shapes: Array, closed: AnyArray) -> Array:
    """Step (c, k) from the point of reference to the lowest point, by Newton's method; open bowls stay."""
    k = slope.shape[1]
    curvature = np.where(closed[:, None, None], curvature, np.eye(k))
    along, diagonal = np.arange(k), np.diagonal(curvature, axis1=1, axis2=2)
    u = np.zeros_like(slope)
    for _ in range(_NEWTON):
        grow = np.exp(np.clip(shapes * u, -20, 20))
        curved = np.where(shapes == 0, u, (grow - 1) / np.where(shapes == 0, 1.0, shapes))
        gradient = slope + np.einsum("cij,cj->ci", curvature, u) + diagonal * (curved - u)
        hessian = curvature.copy()
        hessian[:, along, along] = diagonal * grow
        step = np.clip(-np.einsum("cij,cj->ci", np.linalg.pinv(hessian, hermitian=True), gradient), -1.0, 1.0)
        u = u + step
        if np.abs(step).max() < 1e-8:
            break
    return u


def log_likelihood(bowls: Bowls, model: Model) -> float:
    """Log likelihood of all runs: Student's t, whose scale grows with the excess."""
    weights = bowls.weights[bowls.weights > 0]
    z = bowls.residuals[bowls.weights > 0] ** 2 * weights / model.noise**2
    return float(np.sum(0.5 * np.log(weights) - np.log(model.noise) - 0.5 * (_TAIL + 1) * np.log1p(z / _TAIL)))


def _with_noise(cells: Cells, model: Model, start: Array, *, quick: bool = False) -> tuple[Model, Bowls]:
    """Fit all cells, with the noise that they show together; `quick` is near enough to compare models."""
    usual, k = _USUAL_NOISE * cells.level, cells.x.shape[2]
    cost = 1 + k + len(pairs(k, model.crossed))
    free = float(np.maximum(cells.there.sum(axis=1) - cost, 0).sum())
    turns = _QUICK if quick else _ROUNDS
    bowls = fit_given(cells, model, start, turns)
    for _ in range(2 if quick else 8):
        z = bowls.weights * bowls.residuals**2
        squares = float(np.sum(z * (_TAIL + 1) / (_TAIL + z / model.noise**2)))
        noise = float(np.sqrt((squares + USUAL_RUNS * usual**2) / (free + USUAL_RUNS)))
        done = abs(noise / model.noise - 1) < 0.01
        model = replace(model, noise=noise, freedom=free + USUAL_RUNS)
        bowls = fit_given(cells, model, bowls.best, turns)
        if done:
            break
    return model, bowls


def _curvatures(bowls: Bowls, crossed: bool) -> Spread | None:
    """Mean and spread of the curvatures over cells (DerSimonian and Laird 1986), entry by entry."""
    k = bowls.best.shape[1]
    where = pairs(k, crossed)
    used = np.flatnonzero(bowls.closed)
    if not used.size:
        return None
    means, sds = [], []
    for m, (i, j) in enumerate(where):
        v, e = bowls.curvature[used, i, j], np.maximum(bowls.curvature_errors[used, m] ** 2, 1e-300)
        w = 1 / e
        between = 0.0
        if len(v) > 1:
            surplus = float(w @ (v - float(w @ v / w.sum())) ** 2) - (len(v) - 1)
            between = max(0.0, surplus / float(w.sum() - (w**2).sum() / w.sum()))
        w = 1 / (e + between)
        means.append(float(w @ v / w.sum()))
        sds.append(float(np.sqrt(between + 1 / w.sum())))
    mean = np.array(means)
    sizes = np.array([np.sqrt(abs(mean[where.index((i, i))] * mean[where.index((j, j))])) for i, j in where])
    least = _FEW_SPREAD if len(used) < 3 else _LEAST_SPREAD
    return Spread(mean, np.maximum(np.array(sds), least * np.maximum(sizes, 1e-12)))


def fit_bowls(cells: Cells, *, shapes: AnyArray | None = None) -> tuple[Model, Bowls]:
    """Fit every cell, choosing by evidence what they share.

    Parameters
    ----------
    cells : Cells
        c cells with the same k settings.
    shapes : array (k,), optional
        Shapes to hold; those with most evidence where not given.

    Returns
    -------
    Model, Bowls
        The bowl of each cell is drawn towards the curvatures of the others as far as its runs leave room.
    """
    (c, _, k), level = cells.x.shape, cells.level
    sizes = cells.there.sum(axis=1)
    crossed = k > 1 and 2 * int((sizes >= 2 + k + len(pairs(k, True))).sum()) >= c
    held = np.zeros(k) if shapes is None else np.asarray(shapes, float)
    price = 0.5 * float(np.log(sizes.sum()))

    def tried(candidate: Model, start: Array) -> _Tried:
        fitted, bowls = _with_noise(cells, candidate, start, quick=True)
        return _Tried(log_likelihood(bowls, fitted) - price * np.count_nonzero(fitted.shapes), fitted, bowls)

    best = tried(Model(held, np.inf, _USUAL_NOISE * level, USUAL_RUNS, crossed=crossed), cells.lowest())

    def changed(j: int | None, value: float) -> _Tried:
        """The best so far with the shape of setting j, or else the reach, at another value."""
        if j is None:
            return tried(replace(best.model, reach=value), best.bowls.best)
        moved = np.where(np.arange(k) == j, value, best.model.shapes)
        return tried(replace(best.model, shapes=moved), best.bowls.best)

    for _ in range(2):
        before = best.score
        for share in _REACHES:
            best = max(best, changed(None, share * level))
        for j in range(k) if shapes is None else ():
            for shape in _SHAPES:
                best = max(best, changed(j, shape))
        if best.score - before < 1e-6:
            break
    spread_of_shapes, moves = np.zeros(k), np.zeros((c, k, k))
    for j in range(k) if shapes is None else ():
        others = [changed(j, shape) for shape in _SHAPES]
        likely = np.exp([min(one.score - best.score + price * (one.model.shapes[j] != 0), 0.0) for one in others])
        far = np.array([one.model.shapes[j] - best.model.shapes[j] for one in others])
        spread_of_shapes[j] = np.sqrt(likely @ far**2 / likely.sum() + _SHAPE_ERROR**2)
        at = float(best.model.shapes[j])
        low, high = (changed(j, at + step).bowls.best for step in (-_STEP, _STEP))
        moves[:, :, j] = (high - low) / (2 * _STEP) * spread_of_shapes[j]
    model = replace(best.model, spread=_curvatures(best.bowls, crossed), shape_errors=spread_of_shapes)
    model, bowls = _with_noise(cells, model, best.bowls.best)
    return model, replace(bowls, shifts=moves)


@dataclass(frozen=True, slots=True, eq=False)
class _Tried:
    """A model that was tried, and its evidence."""

    score: float
    model: Model
    bowls: Bowls

    def __lt__(self, other: _Tried) -> bool:
        return self.score < other.score
