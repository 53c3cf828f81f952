"""Patterns and queries: how they are read, and sums over all patterns one block at a time.

Nothing here holds more than a few million numbers beside the patterns, whatever their count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from scalefit._typing import Array, ArrayLike
from scalefit.errors import ArgumentError
from scalefit.memory._conventions import reals

#: Numbers in one block of scores (32 MiB of float64).
_BLOCK = 1 << 22
_QUERIES = 4096

#: Scores of queries (q, n) against a block of patterns (b, n) that starts at an index; returns (q, b).
Scores = Callable[[Array, Array, int], Array]


def read_patterns(patterns: ArrayLike, *, binary: bool = False) -> Array:
    """Return patterns as a read-only (d, n) float array; a memory map stays one and is read in blocks."""
    mapped = isinstance(patterns, np.memmap) and patterns.dtype.kind == "f"
    stored = np.asarray(patterns)[...] if mapped else np.array(reals("patterns", patterns), float)
    if stored.ndim != 2 or 0 in stored.shape:
        raise ArgumentError(
            f"patterns have shape {stored.shape}",
            "nothing was stored",
            "Give a matrix (d patterns, n dimensions) with at least one of each. For d patterns of one dimension "
            "pass np.reshape(patterns, (-1, 1))",
        )
    for start, block in pattern_blocks(stored, 1):
        good = np.abs(block) == 1.0 if binary else np.isfinite(block)
        if not good.all():
            row, column = np.argwhere(~good)[0]
            raise ArgumentError(
                f"pattern {start + row} has the value {block[row, column]:g} in dimension {column}",
                "nothing was stored",
                f"Give {'-1 and +1 only' if binary else 'finite numbers'}",
            )
    stored.flags.writeable = False
    return stored


def read_queries(x: ArrayLike, n: int, *, binary: bool = False, name: str = "x") -> tuple[Array, tuple[int, ...]]:
    """Return queries as a (q, n) float array with the shape (...) that the answer must have."""
    queries = reals(name, x)
    if queries.ndim == 0 or queries.shape[-1] != n:
        raise ArgumentError(
            f"{name} has shape {queries.shape}; its last axis must have the patterns' width, {n}",
            "nothing was computed",
            f"Pass one of shape ({n},) or a batch (..., {n})",
        )
    good = np.abs(queries) == 1.0 if binary else np.isfinite(queries)
    if not good.all():
        rule = "-1 and +1 only" if binary else "finite numbers"
        raise ArgumentError(f"{name} holds {queries[~good][0]:g}", "nothing was computed", f"Give {rule}")
    return np.reshape(queries, (-1, n)), queries.shape[:-1]


def pattern_blocks(patterns: Array, n_queries: int) -> Iterator[tuple[int, Array]]:
    """Yield (start, block) over patterns so that a block of scores stays small."""
    rows = max(1, _BLOCK // max(n_queries, patterns.shape[1], 1))
    for start in range(0, len(patterns), rows):
        yield start, np.asarray(patterns[start : start + rows], float)


def query_chunks(n_queries: int, per_query: int = 1) -> Iterator[slice]:
    """Yield slices over queries; `per_query` numbers are held for each."""
    rows = max(1, min(_QUERIES, _BLOCK // max(per_query, 1)))
    for start in range(0, n_queries, rows):
        yield slice(start, min(start + rows, n_queries))


def overflow(patterns: Array, queries: Array) -> ArgumentError:
    """Return the error of an energy that is not finite."""
    return ArgumentError(
        f"The energy of a query overflows float64: patterns reach {np.abs(patterns).max():.3g} and queries "
        f"{np.abs(queries).max():.3g}",
        "nothing was returned",
        "Rescale both",
    )


def squared_distances(x: Array, block: Array) -> Array:
    """Return ``|x - p|^2`` for queries (q, n) and patterns (b, n) from the differences themselves.

    The expansion ``|x|^2 + |p|^2 - 2 x.p`` is faster and useless far from the origin: at 1e6 it is off by
    1e-4.
    """
    from scipy.spatial.distance import cdist

    return np.asarray(cdist(x, block, "sqeuclidean"), float)


def logsumexp_over(patterns: Array, x: Array, scores: Scores) -> Array:
    """Return ``log sum_i exp(score_i)`` for each query (q,)."""
    return _stream(patterns, x, scores, with_mean=False)[0]


def softmax_mean(patterns: Array, x: Array, scores: Scores) -> Array:
    """Return ``sum_i softmax(score)_i pattern_i`` for each query, (q, n)."""
    return _stream(patterns, x, scores, with_mean=True)[1]


def _stream(patterns: Array, x: Array, scores: Scores, *, with_mean: bool) -> tuple[Array, Array]:
    """One pass with a running maximum, so that no exponential overflows and no score is kept."""
    log_sum = np.empty(len(x))
    mean = np.empty(x.shape if with_mean else (0, 0))
    for chunk in query_chunks(len(x), x.shape[1]):
        queries = x[chunk]
        top = np.full(len(queries), -np.inf)
        total = np.zeros(len(queries))
        weighted = np.zeros(queries.shape)
        for start, block in pattern_blocks(patterns, len(queries)):
            with np.errstate(over="ignore", invalid="ignore"):
                score = scores(queries, block, start)
            best = np.maximum(top, score.max(axis=1))
            if not np.isfinite(best).all():
                raise overflow(block, queries)
            rescale = np.exp(top - best)
            weight = np.exp(score - best[:, None])
            total = total * rescale + weight.sum(axis=1)
            if with_mean:
                weighted = weighted * rescale[:, None] + weight @ block
            top = best
        log_sum[chunk] = top + np.log(total)
        if with_mean:
            mean[chunk] = weighted / total[:, None]
    return log_sum, mean
