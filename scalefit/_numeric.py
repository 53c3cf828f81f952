"""Small numerical helpers shared by several folders."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from scalefit._typing import AnyArray, Array

#: Points of the finer grids of a search, and how many grids there are in all.
_ZOOM, _ROUNDS = 17, 4


def excess_over_hull(log_c: Array, log_l: Array) -> Array:
    """Log loss (n,) above the lower convex hull of log loss over log compute.

    Runs of one budget have one compute, though 6 N D differs between them in its last bits: the hull would have edges
    there that are upright but for rounding.
    """
    log_c = levelled(log_c, least=1.0)
    corners: list[int] = []
    for i in np.lexsort((log_l, log_c)):
        if corners and log_c[i] <= log_c[corners[-1]]:
            continue
        while len(corners) > 1:
            a, b = corners[-2], corners[-1]
            if (log_l[b] - log_l[a]) * (log_c[i] - log_c[a]) < (log_l[i] - log_l[a]) * (log_c[b] - log_c[a]):
                break
            corners.pop()
        corners.append(int(i))
    hull = np.minimum.accumulate(log_l[corners])
    return np.asarray(np.maximum(log_l - np.interp(log_c, log_c[corners], hull), 0.0))


def levelled(values: AnyArray, step: float = 1e-9, least: float = 0.0) -> Array:
    """Values (n,) of which those that differ by rounding alone are equal.

    In order of size they part where two neighbours differ by more than `step` of the larger one (of `least`, where
    that is more), and what is not parted takes its smallest value. Digits that are rounded would do the same but for
    values beside the border of a digit, where the last bits decide.

    Examples
    --------
    >>> a, b = levelled(np.array([0.3, 0.1 + 0.2]))
    >>> bool(a == b)
    True
    """
    values = np.asarray(values, float)
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    left, right = ordered[:-1], ordered[1:]
    with np.errstate(invalid="ignore"):  # what is not a number is a level of its own, and so is infinity
        size = np.maximum(np.maximum(np.abs(left), np.abs(right)), least)
        parted = ~((right - left <= step * size) & np.isfinite(size) | (left == right))
    start = np.concatenate([np.ones(min(len(values), 1), bool), parted])
    found = np.empty_like(values)
    found[order] = ordered[np.flatnonzero(start)[np.cumsum(start) - 1]]
    return found


def settled(value: float) -> float:
    """Return `value` rounded to nine digits, so that comparisons and prints do not depend on the last bits."""
    return float(f"{value:.8e}") + 0.0


def settings(columns: Iterable[AnyArray], step: float = 1e-9) -> AnyArray:
    """Number (n,) of the setting of each row: equal where every column (n,) is, but for rounding.

    Examples
    --------
    >>> settings([np.array([0.3, 0.1 + 0.2, 0.4])]).tolist()
    [0, 0, 1]
    """
    found: AnyArray | None = None
    for column in columns:
        numeric = column.dtype.kind in "iufb"
        level = np.unique(levelled(column, step) if numeric else column.astype(str), return_inverse=True)[1].ravel()
        found = level if found is None else np.unique(found * (level.max() + 1) + level, return_inverse=True)[1].ravel()
    if found is None:
        raise ValueError("a setting needs a column")
    return found


def solve_nonnegative(gram: Array, moment: Array, free: int = 1) -> Array:
    r"""Minimise :math:`b^T G b/2 - m^T b` with all but the first `free` entries of b not negative, in a batch.

    Parameters
    ----------
    gram : Array, shape (..., p, p)
        Positive definite matrices; p is at most four here, so every active set is tried.
    moment : Array, shape (..., p)
        Right-hand sides.
    free : int
        How many leading entries may have either sign.

    Returns
    -------
    Array, shape (..., p)
        The exact minimisers.
    """
    p = gram.shape[-1]
    best = np.zeros(moment.shape)
    value = np.full(moment.shape[:-1], np.inf)
    for size in range(p - free, -1, -1):
        for extra in itertools.combinations(range(free, p), size):
            keep = [*range(free), *extra]
            if not keep:
                continue
            part = np.linalg.solve(gram[..., keep, :][..., keep], moment[..., keep, None])[..., 0]
            feasible = np.all(part[..., free:] >= 0, axis=-1)
            cost = np.where(feasible, -0.5 * np.sum(part * moment[..., keep], axis=-1), np.inf)
            better = cost < value
            value = np.where(better, cost, value)
            whole = np.zeros(moment.shape)
            whole[..., keep] = part
            best = np.where(better[..., None], whole, best)
        if np.all(np.isfinite(value)):
            break  # the full set, where feasible, is the optimum; smaller sets only matter elsewhere
    return best


def eliminate(systems: Array) -> tuple[Array, Array]:
    """Solve definite systems in place: pivots and solutions, both (p, ...); definite are those with positive pivots.

    `systems` (p, p + 1, ...) are matrices and right-hand sides. Written out over the small dimension: LAPACK's calls
    for a batch raise if one matrix fails, and cost more for each small matrix than its arithmetic.
    """
    p = len(systems)
    with np.errstate(all="ignore"):
        for j in range(p - 1):
            share = systems[j + 1 :, j] / systems[j, j]
            systems[j + 1 :, j + 1 :] -= share[:, None] * systems[j, j + 1 :]
        solution = systems[:, p]
        for j in range(p - 1, -1, -1):
            solution[j] /= systems[j, j]
            solution[:j] -= systems[:j, j] * solution[j]
    return np.einsum("ii...->i...", systems[:, :p]), solution


def median(values: Array) -> Array:
    """Median along the last axis, as `numpy.median` has it in a fifth of the time for hundreds of values."""
    ordered = np.sort(values, axis=-1)
    n, last = ordered.shape[-1], ordered[..., -1]
    middle = 0.5 * (ordered[..., (n - 1) // 2] + ordered[..., n // 2])
    return np.asarray(np.where(np.isnan(last), last, middle))


#: Standard deviations of normal values per median of their sizes, 1 / ppf(3/4): `scipy.stats.median_abs_deviation`
#: with ``scale="normal"``, whose import takes longer than a fit.
MAD_TO_SD = 1.482602218505602


def robust_sd(values: Array) -> float:
    """Standard deviation of normal values about zero, by the median of their sizes: half of them may be wild.

    Examples
    --------
    >>> round(robust_sd(np.array([-1.0, 1.0, -2.0, 2.0, 1e9])), 3)
    2.965
    """
    return MAD_TO_SD * float(median(np.abs(values)))


def rank_correlation(x: Array, y: Array) -> tuple[float, float]:
    """Spearman's rank correlation of x and y (n,), and its two-sided p by Student's t; NaN where one is constant.

    As `scipy.stats.spearmanr` has it, whose import takes longer than a report.

    Examples
    --------
    >>> rank_correlation(np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 3.0, 2.0, 4.0]))[0]
    0.8
    """
    from scipy.special import stdtr

    a, b = (_ranks(values) for values in (x, y))
    with np.errstate(all="ignore"):
        r = float(np.clip(a @ b / np.sqrt((a @ a) * (b @ b)), -1.0, 1.0))
        t = np.abs(r) * np.sqrt((x.size - 2) / np.float64((1.0 - r) * (1.0 + r)))
    return r, float(2 * stdtr(x.size - 2, -t))


def _ranks(values: Array) -> Array:
    """Ranks (n,) about their mean; equal values share theirs."""
    _, at, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - 0.5 * (counts - 1))[at.ravel()]
    return np.asarray(ranks - ranks.mean())


def means_differ(groups: Sequence[Array]) -> float:
    """Chance p of means as far apart in groups of one normal variable: one-way analysis of variance.

    As `scipy.stats.f_oneway` has it, whose import takes longer than a fit.
    """
    from scipy.special import fdtrc

    rows = np.concatenate(groups)
    centre = rows.mean()
    between = sum(group.size * (group.mean() - centre) ** 2 for group in groups)
    within = sum(float(((group - group.mean()) ** 2).sum()) for group in groups)
    above, below = len(groups) - 1, rows.size - len(groups)
    with np.errstate(all="ignore"):
        return float(fdtrc(above, below, np.float64(between / above) / (within / below)))


def lowest(f: Callable[[Array], Array], low: Array, high: Array, n: int) -> Array:
    """Argument (k,) of the lowest value of f between low and high: a grid of n, then ever finer ones, then a vertex."""
    rows = np.arange(low.size)
    for stage in range(_ROUNDS):
        grid = np.linspace(low, high, n if stage == 0 else _ZOOM, axis=1)
        value = f(grid)
        at = np.clip(np.argmin(value, axis=1), 1, grid.shape[1] - 2)
        low, high = grid[rows, at - 1], grid[rows, at + 1]
    with np.errstate(all="ignore"):
        left, middle, right = (value[rows, at + step] for step in (-1, 0, 1))
        bend = left - 2 * middle + right
        shift = np.where(bend > 0, 0.5 * (left - right) / bend, 0.0)
    half = 0.5 * (high - low)
    return np.asarray(grid[rows, at] + np.clip(np.nan_to_num(shift), -1.0, 1.0) * half)
