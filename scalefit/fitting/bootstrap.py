"""Refits of resampled runs: bootstrap draws, influential runs, slopes of predictions."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from scalefit._arguments import check_count
from scalefit._typing import AnyArray, Array, Seed
from scalefit.errors import ArgumentError, arg
from scalefit.fitting.covariance import bread, free_covariance
from scalefit.fitting.frozen import Frozen
from scalefit.fitting.layout import in_raw_units, to_units, within_bounds
from scalefit.fitting.newton import Model, may_beat, minimise
from scalefit.fitting.objectives import Objective
from scalefit.fitting.power_sum import model_of
from scalefit.fitting.problem import Problem
from scalefit.fitting.solution import Solution
from scalefit.fitting.solver import EXACT, descend
from scalefit.fitting.starts import find_starts
from scalefit.fitting.valleys import RISES, steps_aside

#: Below this many runs a resample can end in a basin that is not its lowest, so it is searched from two more points.
_FEW_RUNS = 40
#: Share of the resamples that may fail to converge before it is warned of.
MANY_FAILED = 0.05
_MOST_WEIGHTS = 2e9  # resamples times runs: an hour
#: Resamples drawn and refitted together at most, and their weights: 16 MB. The last few searches of a group are as slow
#: as many, so groups are large.
_GROUP, _GROUP_WEIGHTS = 4096, 2_000_000
#: Steps on kept second derivatives, after which a search goes on with exact ones, for at most so many more; for draws
#: of many losses fewer: of a mixture of 17 domains, where shares close in on bounds, 600 gain .03 to .5 % over 20.
_ON_KEPT, _ON_EXACT, _ON_EXACT_OF_MANY = 40, 150, 20
#: Relative difference of values above which one basin is lower than another.
_LOWER = 1e-6
#: Steps after which a further search must promise to end lower than the one before.
_RACE = 40


def resample_counts(n_runs: int, n: int, seed: Seed, clusters: AnyArray | None = None) -> Array:
    """How often each run is drawn in each of `n` resamples (n, n_runs).

    With a ``RandomState`` resample k is ``rs.choice(n_runs, n_runs)``, as published bootstraps drew theirs. With
    clusters whole clusters are drawn.
    """
    units = n_runs if clusters is None else int(clusters.max()) + 1
    if isinstance(seed, np.random.RandomState):
        draws = (seed.choice(units, units) for _ in range(n))
        counts = np.stack([np.bincount(draw, minlength=units) for draw in draws])
    else:
        rng = _generator(seed)
        counts = rng.multinomial(units, np.full(units, 1.0 / units), size=n)
    return np.asarray(counts if clusters is None else counts[:, clusters], float)


def _generator(seed: int | np.random.Generator | None) -> np.random.Generator:
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError):
        raise ArgumentError(
            f"{arg('seed', seed)} must be a whole number, zero or more, or a Generator",
            "nothing was drawn",
            "Give one of these",
        ) from None


def bootstrap_draws(
    result: Solution,
    n: int,
    seed: Seed,
    clusters: AnyArray | None = None,
    progress: Callable[[int, int], None] | None = None,
    workers: int = 1,
) -> tuple[Array, int]:
    """Free vectors (n, p) of `n` case resamples, of whole clusters where labelled, and how many did not converge."""
    problem, workers = result.problem, check_count("workers", workers)
    if n * problem.loss.size > _MOST_WEIGHTS:
        raise ArgumentError(
            f"{arg('n', n)} resamples of {problem.loss.size} runs would take hours",
            "nothing was resampled",
            "Ask for a thousand to ten thousand",
        )
    if progress is not None and not callable(progress):
        raise ArgumentError(
            f"{arg('progress', progress)} cannot be called with what is done and the total",
            "nothing was resampled",
            "Leave it out",
        )
    rng = seed if isinstance(seed, np.random.RandomState) else _generator(seed)
    refits = _Refits(result)
    best_x, ok = np.empty((n, result.x.size)), np.zeros(n, bool)
    size = min(_group_of(problem.loss.size), max(1, -(-n // workers)))
    for rows, x, good in _in_groups(refits, _weights_in_groups(problem, n, size, rng, clusters), n, workers, progress):
        best_x[rows], ok[rows] = x, good
    if problem.penalty is not None:
        best_x = np.clip(best_x + _luck_of_prior(result, rng, n), *problem.bounds(result.bounds))
    return best_x, int((~ok).sum())


def refits(result: Solution, counts: Array) -> tuple[Array, int]:
    """Free vectors (n, p) of refits with each run as often as `counts` (n, n_runs) says; how many did not converge."""
    weights = counts if result.problem.weights is None else counts * result.problem.weights
    size, inner = _group_of(counts.shape[1]), _Refits(result, _ON_EXACT_OF_MANY)
    parts = [inner.run(weights[at : at + size]) for at in range(0, len(weights), size)]
    return np.concatenate([x for x, _ in parts]), sum(int((~ok).sum()) for _, ok in parts)


def _group_of(n_runs: int) -> int:
    """Resamples of a table that are refitted together."""
    return int(np.clip(_GROUP_WEIGHTS // n_runs, 8, _GROUP))


def _weights_in_groups(
    problem: Problem, n: int, size: int, rng: Any, clusters: AnyArray | None
) -> Iterator[tuple[slice, Array]]:
    """Rows of resamples and their weights (b, n_runs), `size` at a time: memory does not grow with `n`."""
    total = problem.loss.size
    eager = None
    if len(problem.groups) > 1 and clusters is None:
        # Resample within each series, so that every series keeps its size.
        eager = np.zeros((n, total))
        for members in problem.groups:
            eager[:, members] = resample_counts(members.size, n, rng)
    for start in range(0, n, size):
        rows = slice(start, min(start + size, n))
        # Draws in turn are those of one call.
        counts = resample_counts(total, rows.stop - start, rng, clusters) if eager is None else eager[rows]
        yield rows, counts if problem.weights is None else counts * problem.weights


def _in_groups(
    refits: _Refits,
    groups: Iterator[tuple[slice, Array]],
    n: int,
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> Iterator[tuple[slice, Array, AnyArray]]:
    """Rows of each group, its optima and whether they converged; by several threads where asked."""
    done = 0

    def told(part: int, _: int) -> None:
        if progress is not None and done + part < n:
            progress(done + part, n)

    if workers == 1:
        for rows, weights in groups:
            x, ok = refits.run(weights, told)
            done = rows.stop
            if progress is not None:
                progress(done, n)
            yield rows, x, ok
        return
    from concurrent.futures import Future, ThreadPoolExecutor

    stop = threading.Event()

    def checked(part: int, total: int) -> None:
        if stop.is_set():
            raise KeyboardInterrupt

    with ThreadPoolExecutor(workers) as pool:
        running: list[tuple[slice, Future[tuple[Array, AnyArray]]]] = []
        try:
            for rows, weights in groups:
                running.append((rows, pool.submit(refits.run, weights, checked)))
                if len(running) <= workers:  # a few groups ahead, so that their weights do not pile up
                    continue
                rows, future = running.pop(0)
                yield rows, *future.result()
                if progress is not None:
                    progress(rows.stop, n)
            for rows, future in running:
                yield rows, *future.result()
                if progress is not None:
                    progress(rows.stop, n)
        finally:
            # After an interrupt the threads end at their next finished problem, and what waits is never begun.
            stop.set()
            for _, future in running:
                future.cancel()


class _Refits:
    """Refits of one result to reweighted runs, all from its optimum."""

    def __init__(self, result: Solution, on_exact: int = _ON_EXACT) -> None:
        self.result, self.problem, self.on_exact = result, result.problem, on_exact
        self.lower, self.upper = self.problem.bounds(result.bounds)
        self.few = self.problem.loss.size < _FEW_RUNS
        self.model = warm_model(self.problem, result.x)
        # Where a bound binds or the runs leave parameters open, resamples have basins far apart.
        open_ones = self.few and (bool(result.certificate.at_bound) or not result.certificate.trusted)
        self.afar = find_starts(self.problem, 3, result.bounds) if open_ones else np.zeros((0, result.x.size))

    def run(self, weights: Array, progress: Callable[[int, int], None] | None = None) -> tuple[Array, AnyArray]:
        """Optima (b, p) for weights (b, n), and whether each search converged."""
        x, f, ok = self._near(weights, progress)
        x, f, ok = self._try(weights, x, f, ok, np.repeat(self.afar[:, None], len(weights), axis=1))
        if self.problem.penalty is None and len(self.problem.groups) == 1:
            self._within_bounds(weights, x, ok)
        return x, ok

    def _near(
        self, weights: Array, progress: Callable[[int, int], None] | None = None
    ) -> tuple[Array, Array, AnyArray]:
        """Ends of searches from the runs' optimum, and of few runs from beside these ends too."""
        x, f, ok = self._search(np.repeat(self.result.x[None], len(weights), axis=0), weights, progress=progress)
        again = np.arange(len(x) if self.few else 0)
        for rise in RISES:
            if again.size:
                at, first = x[again], f[again]
                (step,) = steps_aside(self.problem, at, first, rise, (self.lower, self.upper), weights=weights[again])
                x[again], f[again], ok[again] = self._try(
                    weights[again], at, first, ok[again], np.stack([at + step, at - step])
                )
                again = again[~ok[again] | (f[again] < first * (1 - _LOWER))]
        return x, f, ok

    def _try(self, weights: Array, x: Array, f: Array, ok: AnyArray, starts: Array) -> tuple[Array, Array, AnyArray]:
        """Ends, values and whether each converged, or those of searches from `starts` (k, b, p) that end lower."""
        for start in starts:
            other, value, good = self._search(np.clip(start, self.lower, self.upper), weights, bar=f)
            better = value < f * (1 - 1e-11)
            x, f, ok = np.where(better[:, None], other, x), np.where(better, value, f), np.where(better, good, ok)
        return x, f, ok

    def _search(
        self,
        starts: Array,
        weights: Array,
        bar: Array | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> tuple[Array, Array, AnyArray]:
        """Ends, values and whether each converged; on second derivatives that are kept where there are no closed forms.

        `bar` (b,) are values known: a search that does not promise to end lower is given up.
        """
        problem, lower, upper = self.problem, self.lower, self.upper
        if self.model is None:
            end = descend(problem, starts, lower, upper, weights=weights, bar=bar, bar_steps=_RACE, progress=progress)
            return end.x, end.value, end.converged
        floor = problem.cost_of(EXACT)
        end = minimise(
            self.model,
            starts,
            lower,
            upper,
            weights=weights,
            floor=floor,
            max_steps=_ON_KEPT,
            bar=bar,
            bar_steps=_ON_KEPT,
            progress=progress,
        )
        x, f, ok = end.x, end.value, end.converged
        late = np.flatnonzero(~ok if bar is None else ~ok & may_beat(f, end.decrement, bar))
        if late.size:
            end = descend(problem, x[late], lower, upper, weights=weights[late], max_steps=self.on_exact)
            x[late], f[late], ok[late] = end.x, end.value, end.converged
        return x, f, ok

    def _within_bounds(self, weights: Array, x: Array, ok: AnyArray) -> None:
        """Refit in the table's units, in place, where a coefficient left the law's bounds."""
        out = np.flatnonzero(~within_bounds(self.problem, x))
        if not out.size:
            return
        raw = in_raw_units(self.problem)
        lower, upper = raw.bounds(self.result.bounds)
        starts = np.clip(to_units(self.problem, raw, x[out]), lower, upper)
        end = descend(raw, starts, lower, upper, weights=weights[out])
        x[out], ok[out] = to_units(raw, self.problem, end.x), end.converged


def warm_model(problem: Problem, x: Array) -> Model | None:
    """Return a model for searches from near x (p,), where keeping second derivatives is cheaper and safe."""
    plain = len(problem.groups) == 1 and problem.penalty is None and len(problem.bands(x)) == 1
    return Frozen(problem, x) if plain and not problem.law.terms else None


def _luck_of_prior(result: Solution, rng: Any, n: int) -> Array:
    """Moves (n, p) of the optimum, to first order, where the prior's mean is drawn anew for each resample.

    The mean counts as one more measurement: held fast it would lend its certainty to every resample.
    """
    problem, moves = result.problem.bands(result.x)[-1], np.zeros((n, result.x.size))
    free = np.flatnonzero(~result.at_bound)
    found = bread(problem, result.x, free.size)
    if found is None or not free.size:
        return moves
    values, vectors = np.linalg.eigh(problem.penalty.scale * found.known)
    scores = rng.standard_normal((n, values.size)) * np.sqrt(np.maximum(values, 0.0)) @ vectors.T
    moves[:, free] = scores[:, free] @ np.linalg.pinv(found.hessian[np.ix_(free, free)], hermitian=True)
    return moves


def influence_of(result: Solution) -> tuple[str, float, float, AnyArray] | None:
    """Parameter most moved by dropping 2 % of the runs, its value without, the move in standard errors, the runs.

    The runs are picked by their one-step influence, all pulling the same way (Broderick, Giordano & Meager 2020,
    arXiv:2011.14999), and the move is measured by a refit without them.
    """
    problem, n = result.problem.bands(result.x)[-1], result.problem.loss.size
    if len(problem.groups) > 1 or result.tangent is not None or n < 20:
        return None
    names = [name for name in result.names if not problem.law.parameters[name].log]
    scale = np.sqrt(np.diag(free_covariance(problem, result.x, result.at_bound)))
    k = max(1, int(np.ceil(0.02 * n)))
    with np.errstate(all="ignore"):
        residual, slopes = problem.jacobian(result.x[None])
        _, _, hessian, information = model_of(problem).evaluate(result.x[None], None)
    psi = problem.objective.slopes(residual[0])[0] * (1.0 if problem.weights is None else problem.weights)
    steps = np.linalg.pinv(information[0], hermitian=True) @ (slopes[0] * psi)
    candidates = []
    for name in names:
        at = result.names.index(name)
        order = np.argsort(steps[at])
        candidates += [(name, at, order[:k]), (name, at, order[-k:])]
    if not candidates or not np.isfinite(scale).all():
        return None
    weights = np.repeat((np.ones(n) if problem.weights is None else problem.weights)[None], len(candidates), axis=0)
    for row, (_, _, runs) in zip(weights, candidates, strict=True):
        row[runs] = 0.0
    lower, upper = problem.bounds(result.bounds)
    starts = np.repeat(result.x[None], len(candidates), axis=0)
    ends = minimise(model_of(problem), starts, lower, upper, weights=weights)
    moves = []
    for i, (_, at, _) in enumerate(candidates):
        # The runs in question inflate the error they hide behind: measure by the error without them where smaller.
        without = free_covariance(replace(problem, weights=weights[i]), ends.x[i], result.at_bound)[at, at]
        moves.append(abs(ends.x[i, at] - result.x[at]) / min(scale[at], np.sqrt(without)))
    if np.isnan(moves).all():
        return None
    worst = int(np.nanargmax(moves))
    name, at, runs = candidates[worst]
    return name, float(ends.x[worst, at]), float(moves[worst]), np.sort(runs)


def prediction_slopes(result: Solution, columns: Mapping[str, Array], group: int, scale: Objective) -> Array:
    """Derivatives (m, p) of the prediction by the free vector, on the scale of an objective."""
    problem = result.problem
    scaled = {key: value / problem.units[key] for key, value in columns.items()}
    params = problem.values(result.x[None], group)
    value, slopes = problem.law.derivatives(scaled, params)
    out, steep = np.zeros((value.size, result.x.size)), scale.link_slope(value)
    for j, (name, parameter) in enumerate(problem.law.parameters.items()):
        at = int(problem.index[group, j])
        if at >= 0:
            factor = params[name] if parameter.log else 1.0
            out[:, at] += (slopes[j] * factor * steep).ravel()
    return out
