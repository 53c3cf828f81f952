"""Refits of resampled runs: bootstrap draws, influential runs, slopes of predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from scalefit._typing import AnyArray, Array, Seed
from scalefit.errors import ArgumentError
from scalefit.fitting.covariance import bread, free_covariance
from scalefit.fitting.newton import minimise
from scalefit.fitting.power_sum import model_of
from scalefit.fitting.solution import Solution
from scalefit.fitting.solver import descend

#: Below this many runs a resample can move to another basin, so several starts are tried for each.
_FEW_RUNS = 40
_MOST_WEIGHTS = 2e9  # resamples times runs: 16 GB


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
            f"seed={seed!r:.80} must be a whole number, zero or more, or a Generator. Nothing was drawn. Give one of "
            f"these."
        ) from None


def bootstrap_draws(
    result: Solution, n: int, seed: Seed, cluster: Any = None, progress: Callable[[int, int], None] | None = None
) -> tuple[Array, int]:
    """Free vectors (n, p) of `n` case resamples, and how many did not converge."""
    problem = result.problem
    if n * problem.loss.size > _MOST_WEIGHTS:
        raise ArgumentError(
            f"n={n!r:.20} resamples of {problem.loss.size} runs are more than memory holds; nothing was resampled. Ask "
            "for a thousand to ten thousand."
        )
    if progress is not None and not callable(progress):
        raise ArgumentError(
            f"progress={progress!r:.80} cannot be called with what is done and the total; nothing was resampled. "
            "Leave it out."
        )
    clusters = None
    if isinstance(cluster, str):
        raise ArgumentError(
            f"cluster={cluster!r} is a name, and a fit keeps no columns; nothing was resampled. Pass the labels: "
            f"cluster=runs[{cluster!r}]."
        )
    if cluster is not None:
        # A Series is matched by its index, because runs may have been set aside or sorted since.
        values = np.asarray(cluster.reindex(result.row_labels) if hasattr(cluster, "reindex") else cluster)
        if values.shape != (problem.loss.size,):
            raise ArgumentError(
                f"cluster has shape {values.shape}, the fit {problem.loss.size} runs; nothing was resampled. Give one "
                "label a run."
            )
        clusters = np.unique(values, return_inverse=True)[1]
        if clusters.max() + 1 < 8:
            raise ArgumentError(
                f"{clusters.max() + 1} clusters are too few, and nothing was resampled. Give 8 or more, or leave "
                "cluster= out."
            )
    rng = seed if isinstance(seed, np.random.RandomState) else _generator(seed)
    if len(problem.groups) > 1 and clusters is None:
        # Resample within each series, so that every series keeps its size.
        counts = np.zeros((n, problem.loss.size))
        for rows in problem.groups:
            counts[:, rows] = resample_counts(rows.size, n, rng)
    else:
        counts = resample_counts(problem.loss.size, n, rng, clusters)
    weights = counts if problem.weights is None else counts * problem.weights
    lower, upper = problem.bounds(result.bounds)
    starts = [result.x]
    if problem.loss.size < _FEW_RUNS:
        from scalefit.fitting.starts import find_starts

        starts += list(np.clip(find_starts(problem, 3), lower, upper))
    best_x, best_f, ok = np.empty((n, result.x.size)), np.full(n, np.inf), np.zeros(n, bool)
    for k, start in enumerate(starts):
        points = np.repeat(start[None], n, axis=0)
        share = _share(progress, k, len(starts))
        end = descend(problem, points, lower, upper, weights=weights, progress=share)
        better = end.value < best_f
        best_x[better], best_f[better], ok[better] = end.x[better], end.value[better], end.converged[better]
    if problem.penalty is not None:
        best_x = np.clip(best_x + _luck_of_prior(result, rng, n), lower, upper)
    return best_x, int((~ok).sum())


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


def _share(progress: Callable[[int, int], None] | None, part: int, parts: int) -> Callable[[int, int], None] | None:
    """Progress of one of several equal parts."""
    if progress is None:
        return None
    return lambda done, total: progress(part * total + done, parts * total)


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


def prediction_slopes(result: Solution, columns: Mapping[str, Array], group: int) -> Array:
    """Derivatives (m, p) of the predicted log loss by the free vector."""
    problem = result.problem
    scaled = {key: value / problem.units[key] for key, value in columns.items()}
    params = problem.values(result.x[None], group)
    value, slopes = problem.law.derivatives(scaled, params)
    out = np.zeros((value.size, result.x.size))
    for j, (name, parameter) in enumerate(problem.law.parameters.items()):
        at = int(problem.index[group, j])
        if at >= 0:
            factor = params[name] if parameter.log else 1.0
            out[:, at] += (slopes[j] * factor / value).ravel()
    return out
