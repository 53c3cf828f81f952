"""A law, a table and what is free: the objective, its gradient and its Hessian for a batch of parameter vectors.

Inside, inputs are measured in units of their geometric mean (the condition number falls from 1e13 to 1e3) and
parameters that are positive by nature are logarithms.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from scalefit._numeric import median
from scalefit._typing import AnyArray, Array
from scalefit.fitting.objectives import Objective
from scalefit.fitting.traced import Trace, can_trace, trace
from scalefit.laws._base import Law

#: Runs evaluated together: their work arrays stay in cache, and below the 128 KiB from which an allocator asks the
#: system for fresh pages each time.
BLOCK = 4_096
#: The same for many vectors at once: elements of one work array that stays in the second-level cache.
_ELEMENTS = 32_768
#: Of a traced law, as many fewer rows at once: slopes of every step are kept.
_TRACED = 4
#: Values, over runs and vectors, below which a law with slopes of its own is as quick by their differences.
_FEW = 2_048
_STEP = 1e-6
#: Logarithmic parameters whose lower bound is zero stop here: a component this small is dead.
DEAD = 1e-10


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """One fit: see the module's docstring.

    Parameters
    ----------
    law : type of Law
        The law.
    columns : mapping of str to ndarray (n,)
        Inputs, in the units of `units`.
    loss : ndarray (n,)
        Losses [nat/token].
    objective : Objective
        What is minimised.
    weights : ndarray (n,), optional
        Weights of the runs.
    groups : tuple of ndarray
        Row indices of each series; one group for a plain fit.
    index : ndarray of int (n_groups, n_law_params)
        Position of each law parameter in the free vector, -1 where fixed.
    fixed : ndarray (n_groups, n_law_params)
        Values of the fixed ones (natural, in `units`).
    units : mapping
        Unit of each input.
    penalty : Penalty, optional
        A prior, added to the objective.
    second_order : ndarray (p, p), optional
        The Hessian's term with second derivatives, where it is kept for a few steps on a large table.
    """

    law: type[Law]
    columns: Mapping[str, Array]
    loss: Array
    objective: Objective
    weights: Array | None
    groups: tuple[AnyArray, ...]
    index: AnyArray
    fixed: Array
    units: Mapping[str, float]
    penalty: Any = None
    second_order: Array | None = None
    _target: Array = field(init=False)
    _is_log: AnyArray = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_target", self.objective.link(self.loss))
        flags = np.array([parameter.log for parameter in self.law.parameters.values()])
        object.__setattr__(self, "_is_log", flags)

    @property
    def raw_columns(self) -> dict[str, Array]:
        """Inputs of the runs (n,) in parameters, tokens and FLOP, as the table has them."""
        return {key: np.asarray(value * self.units[key]) for key, value in self.columns.items()}

    @property
    def n_free(self) -> int:
        """Length of the free vector."""
        return int(self.index.max(initial=-1)) + 1

    def values(self, x: Array, group: int) -> dict[str, Array]:
        """Natural parameter values (b, 1) of one series, in `units`, from free vectors (b, p)."""
        out = {}
        for j, name in enumerate(self.law.parameters):
            at = self.index[group, j]
            if at < 0:
                out[name] = np.full((x.shape[0], 1), self.fixed[group, j])
            else:
                column = x[:, at : at + 1]
                out[name] = np.exp(column) if self._is_log[j] else column
        return out

    def free(self, params: Mapping[str, Any]) -> Array:
        """Internal values of a law's parameters (n_law_params, ...) from natural ones in `units`."""
        rows = []
        for name, parameter in self.law.parameters.items():
            value = np.asarray(params[name], float)
            dead = parameter.bounds[0] or DEAD
            rows.append(np.log(np.maximum(value, dead)) if parameter.log else value)
        return np.stack(np.broadcast_arrays(*rows))

    def free_vector(self, params: Mapping[str, Any]) -> Array:
        """Free vector (p,) of natural values in `units`, for a problem with one series."""
        inner = self.free(params)
        x = np.zeros(self.n_free)
        for j, at in enumerate(self.index[0]):
            if at >= 0:
                x[at] = inner[j]
        return x

    def bounds(self, given: Mapping[str, tuple[float, float]] | None = None) -> tuple[Array, Array]:
        """Internal bounds of the free vector, from natural ones."""
        given = given or {}
        lower, upper = np.full(self.n_free, -np.inf), np.full(self.n_free, np.inf)
        for j, (name, parameter) in enumerate(self.law.parameters.items()):
            low, high = given.get(name, parameter.bounds)
            if parameter.log:
                low, high = np.log(low if low > 0 else DEAD), np.log(high)
            for at in set(self.index[:, j].tolist()) - {-1}:
                lower[at], upper[at] = max(lower[at], low), min(upper[at], high)
        return lower, upper

    def residuals(self, x: Array) -> Array:
        """Residuals (b, n) at free vectors (b, p)."""
        out = np.empty((x.shape[0], self.loss.size))
        for group, rows in enumerate(self.groups):
            value = self.law.evaluate(self.rows(rows), self.values(x, group))
            out[:, rows] = self.objective.link(value) - self._target[rows]
        return out

    def value(self, x: Array, weights: Array | None = None) -> Array:
        """Objective (b,) at free vectors (b, p); weights (b, n) or (1, n) take the place of the problem's."""
        cost = self.objective.cost(self.residuals(x))
        if weights is None:
            weights = self.weights
        total = cost.sum(axis=1) if weights is None else (cost * weights).sum(axis=1)
        return np.asarray(total + self.penalty.value(x)) if self.penalty is not None else np.asarray(total)

    def cost_of(self, size: float) -> float:
        """Objective of a table on which every residual has this size."""
        total = self.loss.size if self.weights is None else float(self.weights.sum())
        return total * float(self.objective.cost(np.asarray(size)))

    def bands(self, x: Array) -> tuple[Problem, ...]:
        """Smooth problems that lead to this one from x (p,), the last as close to it as there are derivatives."""
        if self.objective.kind == "squared":
            return (self,)
        with np.errstate(all="ignore"):
            size = np.abs(self.residuals(x[None])[0])
        spread = float(median(size if self.weights is None else size[self.weights > 0]))
        found = self.objective.bands(max(spread, 1e-12) if np.isfinite(spread) else 1.0)
        return tuple(self if band == self.objective else replace(self, objective=band) for band in found)

    def jacobian(self, x: Array) -> tuple[Array, Array]:
        """Residuals (b, n) and their derivatives by the free vector (b, p, n)."""
        residual = np.empty((x.shape[0], self.loss.size))
        slopes = np.zeros((x.shape[0], self.n_free, self.loss.size))
        for group, rows in enumerate(self.groups):
            residual[:, rows], local = self._local(x, group, rows)
            for j, at in enumerate(self.index[group]):
                if at >= 0:
                    slopes[:, at, rows] += local[j]
        return residual, slopes

    def evaluate(self, x: Array, weights: Array | None) -> tuple[Array, Array, Array, Array]:
        """Objective (b,), gradient (b, p), Hessian and least-squares matrix (b, p, p); see newton.Model."""
        b, p = x.shape
        f, g = np.zeros(b), np.zeros((b, p))
        h, s = np.zeros((b, p, p)), np.zeros((b, p, p))
        if weights is None and self.weights is not None:
            weights = self.weights[None, :]
        for group, every in enumerate(self.groups):
            # Sums over a series touch its own parameters and the shared ones only, however many series there are.
            unique = np.unique(self.index[group][self.index[group] >= 0])
            square = (slice(None), unique[:, None], unique)
            exact = self.second_order is None and self._traces(b * every.size)
            moved = self._moved(x, unique) if self.second_order is None and not exact else None
            for rows in blocks(every, b * _TRACED if exact else b):
                if exact:
                    traced = self._traced(x[:, unique], group, rows, unique)
                    value = np.broadcast_to(traced.root.value, (b, rows.size))
                    residual = self.objective.link(value) - self._target[rows]
                    steep = np.broadcast_to(self.objective.link_slope(value), value.shape)
                    jac = traced.slopes(rows.size) * steep[:, None]
                else:
                    residual, jac = self.slopes(x if moved is None else moved.points, group, rows)
                    residual = residual[:b]
                psi, inside, irls = self.objective.slopes(residual)
                cost = self.objective.cost(residual)
                if weights is not None:
                    w = weights[:, rows]
                    psi, inside, irls, cost = w * psi, w * inside, w * irls, w * cost
                f += cost.sum(axis=1)
                if exact:
                    h[square] += traced.bent(psi * steep)
                    inside = inside + self.objective.link_bend(value) * psi
                if moved is not None:
                    h[square] += _curvature(moved, jac, psi)
                    jac = jac[:b]
                flat = np.swapaxes(jac, 1, 2)
                g[:, unique] += (jac @ psi[:, :, None])[:, :, 0]
                h[square] += (jac * inside[:, None, :]) @ flat
                s[square] += (jac * irls[:, None, :]) @ flat
        if self.second_order is not None:
            h += self.second_order
        if self.penalty is not None:
            f, g, h, s = self.penalty.add(x, f, g, h, s)
        return f, g, h, s

    def _traces(self, size: int) -> bool:
        """Whether second derivatives of `size` values are taken from the formula, not by differences of slopes."""
        return (self.law.gradient is None or size > _FEW) and can_trace(self.law)

    def _traced(self, x: Array, group: int, rows: AnyArray, unique: AnyArray) -> Trace:
        """Law at some runs of one series, from the free entries (b, q) that it depends on."""
        params: dict[str, int | float] = {}
        logs = [False] * unique.size
        for j, name in enumerate(self.law.parameters):
            at = self.index[group, j]
            params[name] = float(self.fixed[group, j]) if at < 0 else int(np.searchsorted(unique, at))
            if at >= 0:
                logs[int(params[name])] = bool(self._is_log[j])
        traced: Trace = trace(self.law, self.rows(rows), x, logs, params)
        return traced

    def curvature(self, x: Array) -> Array:
        """Term of the Hessian with second derivatives (p, p) at one free vector (p,)."""
        total = np.zeros((x.size, x.size))
        for group, every in enumerate(self.groups):
            unique = np.unique(self.index[group][self.index[group] >= 0])
            moved = self._moved(x[None], unique)
            for rows in blocks(every, 1):
                residual, jac = self.slopes(moved.points, group, rows)
                psi = self.objective.slopes(residual[:1])[0]
                psi = psi if self.weights is None else psi * self.weights[rows]
                total[unique[:, None], unique] += _curvature(moved, jac, psi)[0]
        return total

    def _moved(self, x: Array, unique: AnyArray) -> _Moved:
        """Free vectors (b, p) as they are and with each of some entries moved a little."""
        points = np.repeat(x[None], unique.size + 1, axis=0)
        step = _STEP * np.maximum(1.0, np.abs(x[:, unique]))
        for i, where in enumerate(unique):
            points[i + 1, :, where] += step[:, i]
        return _Moved(points.reshape(-1, x.shape[1]), step)

    def slopes(self, x: Array, group: int, rows: AnyArray) -> tuple[Array, Array]:
        """Residuals (b, m) of some runs of one series, and their slopes (b, q, m) by the free entries it depends on.

        Those entries are the sorted distinct ones of its index.
        """
        residual, local = self._local(x, group, rows)
        places = self.index[group]
        kept = [j for j, at in enumerate(places) if at >= 0]
        if len({int(places[j]) for j in kept}) == len(kept):
            return residual, np.stack([local[j] for j in sorted(kept, key=lambda j: int(places[j]))], axis=1)
        unique = np.unique(places[kept]).tolist()
        jac = np.zeros((x.shape[0], len(unique), rows.size))
        for j in kept:
            jac[:, unique.index(int(places[j]))] += local[j]
        return residual, jac

    def _local(self, x: Array, group: int, rows: AnyArray) -> tuple[Array, list[Array]]:
        """Residuals (b, n_s) of one series and their derivatives by the law's internal parameters."""
        params = self.values(x, group)
        value, slopes = self.law.derivatives(self.rows(rows), params)
        value = np.broadcast_to(value, (x.shape[0], rows.size))
        local, steep = [], self.objective.link_slope(value)
        for j, (name, slope) in enumerate(zip(params, slopes, strict=True)):
            factor = params[name] if self._is_log[j] else 1.0
            local.append(np.asarray(slope * (factor * steep)))
        return self.objective.link(value) - self._target[rows], local

    def rows(self, rows: AnyArray) -> dict[str, Array]:
        """Inputs of some runs."""
        if rows.size == self.loss.size and len(self.groups) == 1:
            return dict(self.columns)
        return {key: column[rows] for key, column in self.columns.items()}


@dataclass(frozen=True, slots=True, eq=False)
class _Moved:
    """Free vectors ((k + 1) b, p): b as they are, then with each of k entries moved by `step` (b, k)."""

    points: Array
    step: Array


def _curvature(moved: _Moved, jac: Array, psi: Array) -> Array:
    """Sum of psi times the residuals' second derivatives (b, k, k), by differences of the gradient."""
    b, k = moved.step.shape
    parts = jac.reshape(k + 1, b, k, -1)
    gradient = (parts @ np.broadcast_to(psi, (b, parts.shape[3]))[None, :, :, None])[..., 0]
    out = np.swapaxes((gradient[1:] - gradient[0]) / moved.step.T[:, :, None], 0, 1)
    return np.asarray(0.5 * (out + np.swapaxes(out, 1, 2)))


def blocks(rows: AnyArray, b: int) -> list[AnyArray]:
    """Rows in pieces that keep the work arrays of `b` vectors in cache."""
    size = block_size(b)
    return [rows] if rows.size <= size else np.array_split(rows, -(-rows.size // size))


def block_size(b: int) -> int:
    """Runs that are evaluated together for `b` vectors."""
    return max(128, min(BLOCK, _ELEMENTS // max(b, 1)))
