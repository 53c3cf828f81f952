"""Where fits start: variable projection over a small grid, the law's own starts, or a grid of its example values.

A law that is linear in some parameters once the others are given needs a grid over the others only: on each node the
linear ones are a small non-negative least-squares problem, reweighted towards least absolute errors.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np

from scalefit._numeric import eliminate, median
from scalefit._typing import Array
from scalefit.fitting.problem import DEAD, Problem

#: Runs and grid points of the search for starts, and rounds of weights (guesses).
_ROWS = 96
_NODES = 4096
_REWEIGHTS = 2
#: Linear parameters of which every support is tried.
_SUPPORTS = 5
#: Random nodes drawn for each start that is wanted, and how far off a line they lie, in their spread.
_DRAWN, _OFF = 16, 0.3


def find_starts(
    problem: Problem, n: int, given: Mapping[str, tuple[float, float]] | None = None, own: Array | None = None
) -> Array:
    """Return up to `n` distinct free vectors (n, p) within the bounds and worth polishing, best first."""
    return _worth_polishing(problem, n, problem.bounds(given), own)


def more_starts(problem: Problem, tried: Array, n: int, lower: Array, upper: Array, own: Array | None = None) -> Array:
    """Return up to `n` distinct free vectors (n, p) beside those tried (k, p), from random nodes and the law's own."""
    return _worth_polishing(problem, n, (lower, upper), own, tried)


def own_starts(problem: Problem) -> Array | None:
    """Free vectors (k, p) from the law's own starts, where it has any: for several calls of the two above."""
    if problem.law.starts is None:
        return None
    with np.errstate(all="ignore"):
        return _own_starts(_thin(problem))


def _worth_polishing(
    problem: Problem, n: int, box: tuple[Array, Array], own: Array | None, tried: Array | None = None
) -> Array:
    """The best `n` of the nodes of a grid, or, beside what was tried, of as many as are drawn."""
    small = _thin(problem)
    law, drawn = small.law, _DRAWN * n
    rng = None if tried is None else np.random.default_rng(len(tried))
    with np.errstate(all="ignore"):
        if law.starts is not None:
            nodes = _own_starts(small) if own is None else own
            nodes = nodes if rng is None else np.concatenate([nodes, _between(nodes, drawn, rng)])
        elif any(parameter.linear for parameter in law.parameters.values()):
            others = tuple(name for name, parameter in law.parameters.items() if not parameter.linear)
            nodes = _projected(
                small, _grid(small, others) if rng is None else _random(small, others, drawn, rng), box[1]
            )
        else:
            names = tuple(law.parameters)
            rows = _grid(small, names) if rng is None else _random(small, names, drawn, rng)
            nodes = _pack(small, [dict(zip(names, row, strict=True)) for row in rows])
        nodes = np.clip(nodes, *box)
        if tried is not None:
            nodes = nodes[(nodes[:, None] != tried).any(axis=2).all(axis=1)]
        score = small.value(nodes)
    score = np.where(np.isfinite(score), score, np.inf)
    return _distinct(nodes, score, n)


def _between(nodes: Array, m: int, rng: np.random.Generator) -> Array:
    """Random points (m, p) on the lines through two of some nodes (k, p) each, and a little off them.

    Coefficients that go with exponents stay with them on such a line.
    """
    one, other = nodes[rng.integers(len(nodes), size=(2, m))]
    apart = _OFF * nodes.std(axis=0) * rng.standard_normal(one.shape)
    return np.asarray(one + rng.uniform(-0.5, 1.5, (m, 1)) * (other - one) + apart)


def _random(problem: Problem, names: tuple[str, ...], m: int, rng: np.random.Generator) -> Array:
    """Random rows (m, k) between the starting values of free parameters and half as far beyond; fixed ones stay."""
    grid = _grid(problem, names)
    low, high = grid.min(axis=0, initial=np.inf), grid.max(axis=0, initial=-np.inf)
    out = np.empty((m, len(names)))
    for i, name in enumerate(names):
        parameter = problem.law.parameters[name]
        ends = np.array([low[i], high[i]])
        positive = low[i] > 0
        ends = np.log(ends) if positive else ends
        share = rng.uniform(-0.5, 1.5, m) if low[i] < high[i] else np.zeros(m)
        out[:, i] = ends[0] + share * (ends[1] - ends[0])
        out[:, i] = np.clip(np.exp(out[:, i]) if positive else out[:, i], *parameter.bounds)
    return out


def _thin(problem: Problem) -> Problem:
    """Return the problem on a spread-out subset of its runs."""
    if all(rows.size <= _ROWS for rows in problem.groups):
        return problem
    return subset(problem, _ROWS)


def subset(problem: Problem, size: int, seed: int = 0) -> Problem:
    """Return the problem on at most `size` random runs of each series, always the same ones."""
    rng = np.random.default_rng(seed)
    picked = [np.sort(rng.choice(rows, size, replace=False)) if rows.size > size else rows for rows in problem.groups]
    rows = np.concatenate(picked)
    ends = np.cumsum([len(part) for part in picked])
    groups = tuple(np.arange(end - len(part), end) for part, end in zip(picked, ends, strict=True))
    return Problem(
        law=problem.law,
        columns={key: column[rows] for key, column in problem.columns.items()},
        loss=problem.loss[rows],
        objective=problem.objective,
        weights=None if problem.weights is None else problem.weights[rows],
        groups=groups,
        index=problem.index,
        fixed=problem.fixed,
        units=problem.units,
        penalty=problem.penalty,
    )


def _own_starts(problem: Problem) -> Array:
    law, names = problem.law, list(problem.law.parameters)
    assert law.starts is not None
    rows = [law.starts(problem.rows(rows), problem.loss[rows]) for rows in problem.groups]
    pooled = rows[0] if len(rows) == 1 else law.starts(dict(problem.columns), problem.loss)
    table = [dict(zip(names, row, strict=True)) for row in pooled]
    return _pack(problem, table)


def _grid(problem: Problem, names: tuple[str, ...]) -> Array:
    """Product of the starting values of free parameters; fixed ones stay; tied ones move together."""
    if not names:
        return np.zeros((1, 0))
    order = list(problem.law.parameters)
    seen: dict[int, str] = {}
    axes: dict[str, list[float]] = {}
    for name in names:
        j = order.index(name)
        at = int(problem.index[0, j])
        if at < 0:
            axes[name] = [float(problem.fixed[0, j])]
        elif at not in seen:
            seen[at] = name
            axes[name] = list(problem.law.parameters[name].starts)
    while np.prod([len(axis) for axis in axes.values()]) > _NODES:
        longest = max(axes, key=lambda key: len(axes[key]))
        axes[longest] = axes[longest][::2]
    product = np.array(list(itertools.product(*axes.values())))
    columns = []
    for name in names:
        j = order.index(name)
        at = int(problem.index[0, j])
        columns.append(product[:, list(axes).index(name if at < 0 else seen[at])])
    return np.stack(columns, axis=1)


def _projected(problem: Problem, nodes: Array, upper: Array) -> Array:
    """Nodes of the nonlinear parameters with the linear ones solved for, as free vectors."""
    law = problem.law
    linear = [name for name, parameter in law.parameters.items() if parameter.linear]
    others = tuple(name for name in law.parameters if name not in linear)
    order = list(law.parameters)
    vectors = np.full((nodes.shape[0], problem.n_free), np.nan)
    for i, name in enumerate(others):
        for group in range(len(problem.groups)):
            _place(problem, vectors, name, group, nodes[:, i])
    for group, rows in enumerate(problem.groups):
        columns, loss = problem.rows(rows), problem.loss[rows]
        params = {name: nodes[:, i : i + 1] for i, name in enumerate(others)}
        # With one of them at a time at 1 and the others at 0, the law is what each multiplies.
        units = {name: row[:, None, None] for name, row in zip(linear, np.eye(len(linear)), strict=True)}
        basis = np.broadcast_to(law.evaluate(columns, {**params, **units}), (len(linear), nodes.shape[0], loss.size))
        scale = loss if problem.objective.log else np.full_like(loss, np.abs(loss).mean())
        design = np.ascontiguousarray(np.swapaxes(basis, 0, 1)) / scale
        target = np.broadcast_to(loss / scale, (nodes.shape[0], loss.size))
        free = [i for i, name in enumerate(linear) if problem.index[group, order.index(name)] >= 0]
        for i, name in enumerate(linear):
            if i not in free:
                target = target - problem.fixed[group, order.index(name)] * design[:, i]
        weights = None if problem.weights is None else problem.weights[rows]
        robust = problem.objective.kind != "squared"
        tops = np.array([upper[problem.index[group, order.index(linear[i])]] for i in free])
        tops = np.where([law.parameters[linear[i]].log for i in free], np.exp(tops), tops)
        solved = _capped(design[:, free], target, weights, robust, tops)
        for i, k in enumerate(free):
            _place(problem, vectors, linear[k], group, solved[:, i])
    return vectors


def _capped(design: Array, target: Array, weights: Array | None, robust: bool, tops: Array) -> Array:
    """Non-negative least squares (nodes, k) with upper limits (k,): what is above stays there, the others anew."""
    solved = _nonnegative(design, target, weights, robust)
    over = solved > tops
    if over.any():
        rows = np.flatnonzero(over.any(axis=1))
        held = np.where(over[rows], tops, 0.0)
        rest = target[rows] - np.einsum("nk,nki->ni", held, design[rows])
        again = _nonnegative(design[rows] * ~over[rows, :, None], rest, weights, robust)
        solved[rows] = np.where(over[rows], tops, np.minimum(again, tops))
    return solved


def _nonnegative(design: Array, target: Array, weights: Array | None, robust: bool) -> Array:
    """Non-negative least squares (nodes, k), by trying every support; reweighted towards absolute errors."""
    nodes, k, _ = design.shape
    if not k:  # all of them are fixed
        return np.zeros((nodes, 0))
    size = np.abs(design).mean(axis=2)
    size = np.where(np.isfinite(size) & (size > 0), size, 1.0)
    design = np.where(np.isfinite(design), design, 0.0) / size[:, :, None]
    sizes = range(1, k + 1) if k <= _SUPPORTS else (k,)
    supports = [support for size in sizes for support in itertools.combinations(range(k), size)]
    masks = np.zeros((k, len(supports), 1))
    for i, support in enumerate(supports):
        masks[list(support), i] = 1.0
    row_weights = np.ones_like(target) if weights is None else np.broadcast_to(weights, target.shape)
    best, every = np.zeros((nodes, k)), np.arange(nodes)
    for turn in range(_REWEIGHTS if robust else 1):
        w = row_weights
        if turn:
            residual = np.abs((best[:, None] @ design)[:, 0] - target)
            w = row_weights / np.maximum(residual, 1e-3 * median(residual)[:, None] + 1e-12)
        weighted = design * w[:, None, :]
        normal = (weighted @ np.swapaxes(design, 1, 2)).transpose(1, 2, 0)
        right = (weighted @ target[:, :, None])[:, :, 0].T
        systems = np.empty((k, k + 1, len(supports), nodes))
        systems[:, :k] = normal[:, :, None] * (masks[:, None] * masks)
        systems[:, k] = right[:, None] * masks
        diagonal = np.einsum("iisn->isn", systems[:, :k])
        # Relative, because reweighting towards absolute errors makes the rows' weights huge.
        diagonal += np.where(masks > 0, 1e-12 * diagonal.sum(axis=0) + 1e-300, 1.0)
        _, part = eliminate(systems)
        gain = -(part * right[:, None]).sum(axis=0)
        gain = np.where((part >= 0).all(axis=0) & np.isfinite(gain), gain, 0.0)
        at = gain.argmin(axis=0)
        best = (part[:, at, every] * (gain[at, every] < 0)).T
    # A component that is off would never come back in logarithms: leave it one percent of the loss.
    share = np.maximum(best, 0.01 * best.sum(axis=1, keepdims=True) / k)
    return np.asarray(share / size)


def _place(problem: Problem, vectors: Array, name: str, group: int, values: Array) -> None:
    j = list(problem.law.parameters).index(name)
    at = int(problem.index[group, j])
    if at >= 0:
        parameter = problem.law.parameters[name]
        vectors[:, at] = np.log(np.maximum(values, parameter.bounds[0] or DEAD)) if parameter.log else values


def _pack(problem: Problem, table: list[dict[str, float]]) -> Array:
    """Free vectors from rows of natural parameters, the same for every series."""
    vectors = np.zeros((len(table), problem.n_free))
    for name in problem.law.parameters:
        values = np.array([row[name] for row in table], float)
        for group in range(len(problem.groups)):
            _place(problem, vectors, name, group, values)
    return vectors


def _distinct(nodes: Array, score: Array, n: int) -> Array:
    """Pick the best nodes that are not neighbours of better ones (by scaled distance over the whole set)."""
    # Scores that agree to six digits keep the order of the grid, whatever the processor's rounding.
    with np.errstate(all="ignore"):
        rank = np.where(np.isfinite(score) & (score > 0), np.round(np.log(score), 6), score)
    order = np.argsort(rank, kind="stable")
    order = order[np.isfinite(score[order])][:512]
    if order.size == 0:
        return nodes[:1]
    spread = np.maximum(nodes[order].std(axis=0), 1e-9)
    nodes = nodes[order]
    picked: list[Array] = []
    apart = np.ones(order.size, bool)
    while apart.any() and len(picked) < n:
        picked.append(nodes[apart.argmax()])
        apart &= np.abs((nodes - picked[-1]) / spread).max(axis=1) > 0.4
    return np.array(picked)
