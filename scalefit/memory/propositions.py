"""Nearest-neighbour search and Propositions 1 to 3 of Niu et al. (2024), both sides of each.

Proposition 3 does not hold as printed; what follows from Propositions 1 and 2 is here beside it.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from scalefit._typing import Array, ArrayLike
from scalefit.memory import _patterns
from scalefit.memory._conventions import as_given, choice
from scalefit.memory.energies import ModernHopfield


class Bounds(NamedTuple):
    """An inequality ``lower <= value <= upper``, evaluated: floats for one query, arrays for a batch."""

    lower: Any
    value: Any
    upper: Any

    @property
    def holds(self) -> Any:
        """Whether the inequality holds, up to a relative rounding of 1e-9; one bool per query."""
        value = np.asarray(self.value)
        sides = [np.asarray(side) for side in (self.lower, self.upper)]
        slack = [1e-9 * (1.0 + np.abs(value) + np.where(np.isfinite(side), np.abs(side), 0.0)) for side in sides]
        inside = (sides[0] <= value + slack[0]) & (value <= sides[1] + slack[1])
        return bool(inside) if inside.ndim == 0 else inside


def nearest(patterns: ArrayLike, x: ArrayLike) -> Any:
    r"""Return ``g(x) = min_i |x - p_i|^2`` (eq. 3): the squared distance to the nearest pattern.

    Parameters
    ----------
    patterns : array_like, shape (d, n)
        Patterns, one per row.
    x : array_like, shape (..., n)
        Queries.

    Returns
    -------
    float or ndarray, shape (...)
        Squared Euclidean distances.

    Raises
    ------
    ArgumentError
        A shape or a value is not as described.

    Examples
    --------
    >>> nearest([[-2.0], [0.0], [1.0]], [[0.4], [5.0]])
    array([ 0.16, 16.  ])
    """
    stored = _patterns.read_patterns(patterns)
    queries, shape = _patterns.read_queries(x, stored.shape[1])
    return as_given(nearest_index(stored, queries)[0].reshape(shape), np.zeros(shape))


def nearest_index(patterns: Array, x: Array) -> tuple[Array, Any]:
    """Return the squared distance (q,) and the index (q,) of the nearest pattern of each query (q, n)."""
    best = np.full(len(x), np.inf)
    index = np.zeros(len(x), dtype=np.intp)
    for chunk in _patterns.query_chunks(len(x), x.shape[1]):
        queries = x[chunk]
        rows = np.arange(len(queries))
        for start, block in _patterns.pattern_blocks(patterns, len(queries)):
            distances = _patterns.squared_distances(queries, block)
            first = distances.argmin(axis=1)
            found = distances[rows, first]
            closer = found < best[chunk]
            best[chunk] = np.where(closer, found, best[chunk])
            index[chunk] = np.where(closer, first + start, index[chunk])
    if not np.isfinite(best).all():
        raise _patterns.overflow(patterns, x)
    return best, index


def proposition_1(patterns: ArrayLike, x: ArrayLike) -> Bounds:
    """Return ``g - log d <= E <= g``: E the energy of eq. 4, g the squared distance to the nearest.

    Parameters
    ----------
    patterns, x : array_like
        As in `nearest`.

    Returns
    -------
    Bounds
        Both sides and E, each of shape (...).

    Examples
    --------
    >>> proposition_1([[-2.0], [0.0], [1.0]], [0.4]).holds
    True
    """
    g, energy, _, network = _relative_energies(patterns, x)
    log_d = math.log(network.n_patterns)
    return Bounds(as_given(g - log_d, g), as_given(g + energy, g), as_given(g, g))


def proposition_2(patterns: ArrayLike, x: ArrayLike) -> Bounds:
    """Return ``0 <= |E - (2 E_MCHN - log d)| <= delta`` at beta = 2; delta is the spread of squared norms.

    Parameters
    ----------
    patterns, x : array_like
        As in `nearest`.

    Returns
    -------
    Bounds
        Zero, the distance between the two energies, and delta.

    Examples
    --------
    >>> proposition_2([[-2.0], [0.0], [1.0]], [0.4]).holds
    True
    """
    _, ours, theirs, network = _relative_energies(patterns, x)
    gap = np.abs(ours - theirs + math.log(network.n_patterns))
    zero = np.zeros(gap.shape)
    return Bounds(as_given(zero, gap), as_given(gap, gap), as_given(zero + _spread(network), gap))


def proposition_3(patterns: ArrayLike, x: ArrayLike, *, convention: str = "exact") -> Bounds:
    """Return the bounds on ``g - 2 E_MCHN`` at beta = 2: as they follow from Props. 1 and 2, or as printed.

    Parameters
    ----------
    patterns, x : array_like
        As in `nearest`.
    convention : {"exact", "paper", "sharp"}
        ``"exact"``: ``-delta - log d <= . <= delta``. ``"paper"``: ``-delta <= . <= delta + log d``,
        printed and false (two patterns on a line break it). ``"sharp"``: ``-delta - log d <= . <= 0``,
        since every term of the modern Hopfield sum is at most ``exp(-g)``.

    Returns
    -------
    Bounds
        Both sides and ``g - 2 E_MCHN``, each of shape (...).

    Examples
    --------
    >>> patterns, x = [[-1.0], [1.0]], [1.0]
    >>> proposition_3(patterns, x).holds, proposition_3(patterns, x, convention="paper").holds
    (True, False)
    """
    choice("convention", convention, ("exact", "paper", "sharp"))
    _, _, theirs, network = _relative_energies(patterns, x)
    value = -theirs
    delta, log_d = _spread(network), math.log(network.n_patterns)
    below = delta if convention == "paper" else delta + log_d
    above = {"exact": delta, "paper": delta + log_d, "sharp": 0.0}[convention]
    zero = np.zeros(np.shape(value))
    return Bounds(as_given(zero - below, value), as_given(value, value), as_given(zero + above, value))


def _relative_energies(patterns: ArrayLike, x: ArrayLike) -> tuple[Array, Array, Array, ModernHopfield]:
    """Return g, E - g and 2 E_MCHN - g, each (...): the differences by themselves, which stay exact where g is huge."""
    network = ModernHopfield(patterns, beta=2.0)
    stored = network._stored
    queries, shape = _patterns.read_queries(x, network.dim)
    g = nearest_index(stored, queries)[0]
    ours, theirs = np.empty(len(queries)), np.empty(len(queries))
    for chunk in _patterns.query_chunks(len(queries), network.dim):
        level = g[chunk, None]

        def nearness(q: Array, block: Array, start: int, level: Array = level) -> Array:
            return level - _patterns.squared_distances(q, block)

        def shortened(q: Array, block: Array, start: int, level: Array = level) -> Array:
            return level - _patterns.squared_distances(q, block) - network.shortfall(start, len(block))

        ours[chunk] = -_patterns.logsumexp_over(stored, queries[chunk], nearness)
        theirs[chunk] = -_patterns.logsumexp_over(stored, queries[chunk], shortened)
    theirs += math.log(network.n_patterns)
    return g.reshape(shape), ours.reshape(shape), theirs.reshape(shape), network


def _spread(network: ModernHopfield) -> float:
    """Return delta, the largest less the smallest squared norm of a pattern."""
    return float(np.ptp(network._norms))
