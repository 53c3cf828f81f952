"""Minimisation over shares that sum to 1 within bounds, many problems at once; distances from the runs' mixtures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from scalefit._typing import AnyArray, Array

#: Value (b,), gradient (b, n) and Hessian (b, n, n) at shares (b, n); the last argument is the barrier's weight.
Derivatives = Callable[[Array, float], tuple[Array, Array, Array]]
Value = Callable[[Array, float], Array]

#: Weights of the barrier, in units of the objective's scale; steps for each; halvings of a step.
_BARRIERS, _STEPS, _HALVINGS = np.geomspace(1e-1, 1e-9, 9), 14, 30
#: Share that a step keeps of the distance to a bound, and the decrease that it must bring.
_KEEP, _ARMIJO = 0.01, 1e-4
#: A share nearer to its bound than this is at it.
_SNAP = 5e-5


def minimise(
    value: Value, derivatives: Derivatives, starts: Array, lower: Array, upper: Array, scale: float = 1.0
) -> Array:
    """Shares (b, n) that minimise each of some functions from starts (b, n) inside the bounds (n,).

    A primal barrier with Newton's steps: exact for convex functions; from its start a local minimum for others.
    """
    free = upper - lower > 1e-12
    r = np.where(free, starts, lower)
    if free.sum() < 2:
        return r
    for mu in scale * _BARRIERS:
        for _ in range(_STEPS):
            f, g, h = derivatives(r, mu)
            below, above = r[:, free] - lower[free], upper[free] - r[:, free]
            g = g[:, free] + mu * (1 / above - 1 / below)
            h = h[:, free][:, :, free] + (mu * (1 / above**2 + 1 / below**2))[:, :, None] * np.eye(int(free.sum()))
            step, decrement = _step(g, h)
            if not (decrement > 1e-3 * mu).any():
                break
            room = np.where(step < 0, below, above) / np.maximum(np.abs(step), 1e-300)
            length = np.minimum(1.0, (1 - _KEEP) * room.min(axis=1))
            moving = decrement > 1e-3 * mu
            old = f + _barrier(below, above, mu)
            for _ in range(_HALVINGS):
                trial = r.copy()
                trial[:, free] += (np.where(moving, length, 0.0))[:, None] * step
                with np.errstate(all="ignore"):
                    new = value(trial, mu) + _barrier(trial[:, free] - lower[free], upper[free] - trial[:, free], mu)
                bad = moving & ~(new <= old - _ARMIJO * length * decrement)
                if not bad.any():
                    break
                length = np.where(bad, 0.5 * length, length)
            r = np.where((moving & ~bad)[:, None], trial, r)
            if not (moving & ~bad).any():
                break
    return r


def _barrier(below: Array, above: Array, mu: float) -> Array:
    with np.errstate(all="ignore"):
        return np.asarray(-mu * (np.log(below) + np.log(above)).sum(axis=1))


def _step(g: Array, h: Array) -> tuple[Array, Array]:
    """Newton steps (b, n) that keep the sum, and what each gains to first order (b,)."""
    size = 1 / np.sqrt(np.maximum(np.einsum("bii->bi", np.abs(h)), 1e-300))
    scaled = h * size[:, :, None] * size[:, None, :]
    values, vectors = np.linalg.eigh(scaled)
    values = np.maximum(np.abs(values), 1e-10)  # where a function is not convex, down all the same

    def solve(x: Array) -> Array:
        inner = np.einsum("bji,bj->bi", vectors, x * size) / values
        return np.asarray(np.einsum("bij,bj->bi", vectors, inner) * size)

    down, ones = solve(g), solve(np.ones_like(g))
    shift = down.sum(axis=1) / ones.sum(axis=1)
    step = -(down - shift[:, None] * ones)
    return step, -(g * step).sum(axis=1)


def interior(lower: Array, upper: Array) -> Array:
    """The point (n,) inside the bounds where each share has come as far from its lower one as every other."""
    width = upper - lower
    return np.asarray(lower + width * (1 - lower.sum()) / max(float(width.sum()), 1e-300))


def random_interior(lower: Array, upper: Array, n: int, rng: np.random.Generator) -> Array:
    """Points (n, k) spread over the shares within bounds."""
    centre, width = interior(lower, upper), upper - lower
    ends = lower + width * rng.dirichlet(np.full(lower.size, 0.5), n)
    move = ends - centre
    move -= (move.sum(axis=1, keepdims=True) * width) / max(float(width.sum()), 1e-300)
    with np.errstate(all="ignore"):
        room = np.where(move < 0, centre - lower, upper - centre) / np.maximum(np.abs(move), 1e-300)
    room = np.where(np.abs(move) < 1e-15, np.inf, room).min(axis=1)
    return np.asarray(centre + np.minimum(1.0, 0.9 * room)[:, None] * move)


def snapped(r: Array, lower: Array, upper: Array) -> Array:
    """Shares (b, n), with those very near a bound moved onto it and the largest adjusted."""
    out = np.where(r - lower < _SNAP, lower, np.where(upper - r < _SNAP, upper, r))
    inside = (out > lower) & (out < upper)
    at = np.argmax(np.where(inside, out, -1.0), axis=1)
    rows = np.flatnonzero(inside.any(axis=1))
    out[rows, at[rows]] += 1 - out[rows].sum(axis=1)
    return np.asarray(out)


def beyond_tried(point: Array, tried: Array) -> float:
    """Share of the tokens that would have to move for a mixture (n,) to be a blend of the runs' mixtures (m, n)."""
    from scipy.optimize import linprog

    m, n = tried.shape
    cost = np.r_[np.zeros(m), np.full(n, 0.5)]
    above = np.hstack([tried.T, -np.eye(n)])
    below = np.hstack([-tried.T, -np.eye(n)])
    total = np.r_[np.ones(m), np.zeros(n)][None]
    found = linprog(cost, np.vstack([above, below]), np.r_[point, -point], total, [1.0], method="highs")
    return float(max(found.fun, 0.0)) if found.success else float("nan")


def usual_distance(tried: Array, most: int = 40) -> Array:
    """How far each of up to `most` tried mixtures (m, n) is from a blend of the others."""
    m = len(tried)
    picked: AnyArray = np.unique(np.linspace(0, m - 1, min(m, most)).astype(int))
    return np.array([beyond_tried(tried[i], np.delete(tried, i, axis=0)) for i in picked])
