"""Damped Newton for many small problems at once: every start and every resample is a row of one batch.

The matrix is H + lambda S, the exact Hessian plus lambda times the matrix of iterated least squares: on a penalty
close to the absolute value least squares alone converges linearly, and the Hessian alone sees only the few runs
inside Huber's band. Stops are relative, because these objectives are about 1e-3 and an absolute test on the
gradient stops far from the optimum.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np

from scalefit._numeric import eliminate
from scalefit._typing import AnyArray, Array
from scalefit.fitting.arrow import Arrow, arrow_step

#: Problems evaluated together, and of few runs each more of them: their work arrays stay in the second-level cache, and
#: a call of numpy costs as much for a short array.
_CHUNK, _MOST, _ELEMENTS = 96, 512, 8192
_RELATIVE = 1e-12
_DECREMENT = 1e-14
_CAP = 5.0
_LIGHT = 1e3
#: Steps that a start far above the best goes on once another has converged; and more of them in a wider field, where
#: basins lie side by side.
_LOSER_STEPS, _WIDE_FIELD = (12, 40), 8
#: Objectives closer than this, relatively, are equal: which start wins must not hang on the last bits.
_TIE = 1e-11
#: Objectives closer than this, relatively, are the same optimum. Rivals that settle it come this near, and take two
#: more steps, which leave nothing of that.
AGREE, _NEARLY, _SETTLED_STEPS = 1e-8, 1e-4, 2
#: Nearly there, they lie this close to each other where the runs determine the optimum. Where rivals reach one
#: objective far apart, all go on: the certificate reads from their ends what the runs leave open.
_ONE_PLACE = 0.1
#: An entry of a matrix with unit diagonal that leaves no digit of the diagonal; the smallest eigenvalue to divide by.
_OUTWEIGHS, _FLATTEST = 1e16, 1e-6
#: Share of a diagonal that is left of it where a matrix is definite by more than rounding.
_LEAST_PIVOT = 1e-14


class Model(Protocol):
    """What the minimiser needs to know of an objective."""

    def evaluate(self, x: Array, weights: Array | None) -> tuple[Array, Array, Array, Array]:
        """Objective (b,), gradient (b, p), Hessian and least-squares matrix (b, p, p) at x (b, p)."""
        ...


@dataclass(frozen=True, slots=True)
class Minimum:
    """Where each problem ended.

    Attributes
    ----------
    x : ndarray (b, p)
        Parameters.
    value : ndarray (b,)
        Objective.
    decrement : ndarray (b,)
        Newton decrement -g·step at the end, relative to the objective.
    converged : ndarray of bool (b,)
        Whether a relative stopping test was met.
    steps : ndarray of int (b,)
        Evaluations used.
    """

    x: Array
    value: Array
    decrement: Array
    converged: AnyArray
    steps: AnyArray

    @property
    def lowest(self) -> int:
        """Position of the lowest objective; of those that differ by rounding, the converged first, then the first."""
        bar = float(self.value.min())
        ties = self.value <= bar + _TIE * abs(bar)
        if (ties & self.converged).any():
            ties = ties & self.converged
        return int(np.argmax(ties)) if ties.any() else 0

    @property
    def best(self) -> Array:
        """Parameters (p,) of the lowest objective."""
        return np.asarray(self.x[self.lowest])


def minimise(
    model: Model,
    starts: Array,
    lower: Array,
    upper: Array,
    *,
    weights: Array | None = None,
    floor: float = 0.0,
    max_steps: int = 150,
    rivals: bool = False,
    settled: int | None = None,
    bar: Array | None = None,
    bar_steps: int = 40,
    arrow: Arrow | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Minimum:
    """Minimise each row of a batch of problems.

    Parameters
    ----------
    model : Model
        The objective.
    starts : ndarray (b, p)
        Where each problem starts.
    lower, upper : ndarray (p,) or (b, p)
        Bounds; a parameter whose bounds coincide stays put.
    weights : ndarray (b, n), optional
        Weights of the runs, one row per problem.
    floor : float
        Objective below which a problem counts as solved exactly.
    rivals : bool
        The problems are starts of one objective: give up those that lag once one has converged.
    settled : int, optional
        Rivals at the lowest objective, nearly, and at one place, that settle it: two steps later those still above it
        are given up.
    bar : ndarray (b,), optional
        Value known for each problem: one that after `bar_steps` evaluations is far above it, or that four times its
        Newton decrement would not bring there, is given up.
    arrow : Arrow, optional
        What each series has of its own, where the matrix is an arrow.
    progress : callable, optional
        Told (done, total) whenever problems end.
    """
    total, p = starts.shape
    lower, upper = np.broadcast_to(lower, (total, p)), np.broadcast_to(upper, (total, p))
    out_x, out_f = starts.copy(), np.full(total, np.inf)
    out_d, out_c, out_n = np.full(total, np.inf), np.zeros(total, bool), np.zeros(total, int)
    together = _CHUNK if weights is None else max(_CHUNK, min(_MOST, _ELEMENTS // weights.shape[1]))
    ids = np.arange(min(together, total))
    queue = ids.size
    state = _fresh(ids, starts, lower, upper)
    race = _Race(settled, _LOSER_STEPS[total > _WIDE_FIELD]) if rivals else None
    with np.errstate(all="ignore"):
        while ids.size:
            f_t, g_t, h_t, s_t = model.evaluate(state.trial, None if weights is None else weights[ids])
            f_t = np.where(np.isfinite(f_t), f_t, np.inf)
            done, converged = state.step(f_t, g_t, h_t, s_t, floor, arrow, weights is not None)
            exhausted = state.count >= max_steps
            finished = done | exhausted
            if race is not None:
                finished = finished | race.lost(state.x, state.f, converged, out_x, out_f)
            if bar is not None:
                finished = finished | (~may_beat(state.f, state.decrement, bar[ids]) & (state.count >= bar_steps))
            if finished.any():
                at = ids[finished]
                out_x[at], out_f[at], out_n[at] = state.x[finished], state.f[finished], state.count[finished]
                out_d[at], out_c[at] = state.decrement[finished], converged[finished]
                fresh = np.arange(queue, min(queue + at.size, total))
                queue += fresh.size
                keep = ~finished
                ids = np.concatenate([ids[keep], fresh])
                if progress is not None:
                    progress(queue - ids.size, total)
                state = state.keep(keep)
                if fresh.size:
                    state = state.join(_fresh(fresh, starts, lower, upper))
    return Minimum(out_x, out_f, out_d, out_c, out_n)


def may_beat(value: Array, decrement: Array, bar: Array | float) -> AnyArray:
    """Which searches may end below `bar`: those near it that four times the Newton decrement would take there."""
    return np.asarray((value <= 1.2 * bar) & (value * (1.0 - 4.0 * np.abs(decrement)) <= bar))


@dataclass(slots=True)
class _Race:
    """Starts of one objective: how far the best is, and who need not go on."""

    settled: int | None
    patience: int
    best: float = np.inf
    tick: int = 0
    #: Steps that were taken when the first converged, and when as many as settle it were at the best objective.
    first_at: int | None = None
    settled_at: int | None = None

    def lost(self, x: Array, f: Array, converged: AnyArray, ended_x: Array, ended: Array) -> AnyArray:
        """Which of the searches at x (b, p) and f (b,) are given up; the other two are where the rest ended."""
        self.tick += 1
        if converged.any() and (value := float(f[converged].min())) < self.best:
            self.best = value
            self.first_at = self.tick if self.first_at is None else self.first_at
        if self.first_at is None:
            return np.zeros(f.size, bool)
        if self.settled is not None:
            near, same = (self.best + share * abs(self.best) for share in (_NEARLY, AGREE))
            if self.settled_at is None:
                there = np.concatenate([x[f <= near], ended_x[ended <= near]])
                if len(there) >= self.settled and np.ptp(there, axis=0).max() <= _ONE_PLACE:
                    self.settled_at = self.tick
            if self.settled_at is not None and self.tick - self.settled_at >= _SETTLED_STEPS:
                return np.asarray(f > same)
        over = self.tick - self.first_at > self.patience
        return np.asarray(f > 1.2 * self.best) if over else np.zeros(f.size, bool)


@dataclass(slots=True)
class _State:
    """The problems in flight; arrays over problems."""

    x: Array
    trial: Array
    lower: Array
    upper: Array
    f: Array
    g: Array
    h: Array
    s: Array
    damping: Array
    slope: Array
    decrement: Array
    count: AnyArray
    new: AnyArray

    def keep(self, mask: AnyArray) -> _State:
        return _State(*(getattr(self, name)[mask] for name in _State.__slots__))

    def join(self, other: _State) -> _State:
        pairs = ((getattr(self, name), getattr(other, name)) for name in _State.__slots__)
        return _State(*(np.concatenate(pair) for pair in pairs))

    def step(
        self, f: Array, g: Array, h: Array, s: Array, floor: float, arrow: Arrow | None, many: bool
    ) -> tuple[AnyArray, AnyArray]:
        """Take or refuse the trial, then propose the next one; returns (done, converged).

        `many` problems are written out over their small dimension; a few starts are as quick by eigenvalues.
        """
        self.count += 1
        decrease = self.f - f
        accept = self.new | (f <= self.f + 0.025 * np.minimum(self.slope, 0.0))
        moved = accept & ~self.new
        small = moved & (decrease <= _RELATIVE * np.abs(self.f))
        self.damping = np.where(moved & (decrease > -0.25 * self.slope), 0.2 * self.damping, self.damping)
        if not accept.all():
            self.damping = np.where(accept, self.damping, np.maximum(4 * self.damping, 1e-6))
            wide, cube = accept[:, None], accept[:, None, None]
            self.x = np.where(wide, self.trial, self.x)
            self.g, self.f = np.where(wide, g, self.g), np.where(accept, f, self.f)
            self.h, self.s = np.where(cube, h, self.h), np.where(cube, s, self.s)
        else:
            self.x, self.f, self.g, self.h, self.s = self.trial, f, g, h, s
        self.new = np.zeros_like(self.new)
        step, failed = self._solve(arrow, many)
        self.trial = np.minimum(np.maximum(self.x + step, self.lower), self.upper)
        self.slope = np.einsum("bi,bi->b", self.g, self.trial - self.x)
        self.decrement = -self.slope / np.maximum(np.abs(self.f), 1e-300)
        # A step cut off at bounds may climb: then the decrement is negative, which is not a sign of a minimum.
        gain = np.abs(self.decrement)
        # Under heavy damping every step is short, which says nothing of a minimum either.
        converged = ((gain <= _DECREMENT) | (small & (gain <= 1e-8))) & ~failed & (self.damping <= _LIGHT)
        converged |= self.f <= floor
        stuck = (self.damping > 1e10) | failed | ~np.isfinite(self.f)
        # No step is left that lowers f by more than rounding: that is a minimum if the decrement says so too.
        converged |= stuck & (gain <= 1e-9) & np.isfinite(self.f)
        return converged | stuck, converged

    def _solve(self, arrow: Arrow | None, many: bool) -> tuple[Array, AnyArray]:
        """Newton step of each problem with its damping, bent downhill where the matrix is not definite."""
        g, matrix = self.g, self.h + self.damping[:, None, None] * self.s
        low, high = self.x <= self.lower, self.x >= self.upper
        if (low | high).any():
            held = (low & (g > 0)) | (high & (g < 0)) | (self.lower == self.upper)
            g = np.where(held, 0.0, g)
            matrix = _hold(matrix, held)
        if arrow is None and not many:
            step, ok = _bent_step(matrix, g, 1e-9 + 1e-3 * self.damping)
        else:
            solve = _definite_step if arrow is None else partial(arrow_step, arrow=arrow)
            step, ok = solve(matrix, g, self.damping)
            if not ok.all():
                bad = ~ok
                step[bad], ok[bad] = _bent_step(matrix[bad], g[bad])
        size = np.abs(step).max(axis=1, initial=0.0)
        step *= np.minimum(1.0, _CAP / np.maximum(size, 1e-300))[:, None]
        return np.where(ok[:, None], step, 0.0), ~ok


def _fresh(ids: AnyArray, starts: Array, lower: Array, upper: Array) -> _State:
    b, p = ids.size, starts.shape[1]
    low, high = lower[ids], upper[ids]
    x = np.minimum(np.maximum(starts[ids], low), high)
    return _State(
        x=x,
        trial=x,
        lower=low,
        upper=high,
        f=np.full(b, np.inf),
        g=np.zeros((b, p)),
        h=np.zeros((b, p, p)),
        s=np.zeros((b, p, p)),
        damping=np.full(b, 0.1),
        slope=np.zeros(b),
        decrement=np.full(b, np.inf),
        count=np.zeros(b, int),
        new=np.ones(b, bool),
    )


def _hold(matrix: Array, held: AnyArray) -> Array:
    """Take held parameters out of a batch of matrices."""
    free = ~held
    out = matrix * (free[:, :, None] & free[:, None, :])
    at = np.arange(matrix.shape[1])
    out[:, at, at] += held
    return np.asarray(out)


def _bent_step(matrix: Array, g: Array, ridge: Array | None = None) -> tuple[Array, AnyArray]:
    """Step -|M|^-1 g of each problem, |M| with the sizes of M's eigenvalues at unit diagonal; whether it is finite.

    Damping until M is definite would stop every parameter for the sake of one that is nearly idle, and pass for
    convergence. With `ridge` (b,), definite matrices have that added to their unit diagonal, and their own eigenvalues.
    """
    diagonal = np.einsum("bii->bi", matrix)
    if ridge is not None:
        lifted = matrix.copy()
        np.einsum("bii->bi", lifted)[...] *= 1.0 + ridge[:, None]
        try:
            np.linalg.cholesky(lifted)  # a third of the price of eigenvalues, where all are definite
            return np.asarray(np.linalg.solve(lifted, -g[:, :, None])[:, :, 0]), np.asarray(np.ones(len(g), bool))
        except np.linalg.LinAlgError:
            pass
    size = np.sqrt(np.abs(diagonal))
    size = np.where(size > 0, size, 1.0)
    scaled, pull = matrix / (size[:, :, None] * size[:, None, :]), g / size
    ok: AnyArray = np.asarray((np.abs(scaled) < _OUTWEIGHS).all(axis=(1, 2)) & np.isfinite(g).all(axis=1))
    if not ok.all():
        scaled, pull = np.where(ok[:, None, None], scaled, np.eye(g.shape[1])), np.where(ok[:, None], pull, 0.0)
    values, vectors = np.linalg.eigh(scaled)
    sizes = np.maximum(np.abs(values), _FLATTEST)
    if ridge is not None:
        raised = values + ridge[:, None]
        definite = (raised[:, 0] > _LEAST_PIVOT) & (diagonal > 0).all(axis=1)
        sizes = np.where(definite[:, None], raised, sizes)
    along = (pull[:, None] @ vectors)[:, 0] / sizes
    return np.asarray(-(vectors @ along[:, :, None])[:, :, 0] / size), ok


def _definite_step(matrix: Array, g: Array, damping: Array) -> tuple[Array, AnyArray]:
    """Solve (M + (1e-9 + 1e-3 damping) diag M) step = -g for each problem; second result: M was definite.

    A matrix that is definite only by rounding gives a step uphill, and counts as not definite.
    """
    p = g.shape[1]
    m = np.empty((p, p + 1, g.shape[0]))
    m[:, :p], m[:, p] = matrix.transpose(1, 2, 0), -g.T
    diagonal = np.einsum("iib->ib", m[:, :p])
    least = _LEAST_PIVOT * np.abs(diagonal)
    diagonal *= 1.0 + 1e-9 + 1e-3 * damping
    pivots, step = eliminate(m)
    ok = ((pivots > least) & (pivots > 0) & np.isfinite(step)).all(axis=0)
    ok &= np.einsum("bi,ib->b", g, step) <= 0
    return np.where(ok, step, 0.0).T.copy(), ok
