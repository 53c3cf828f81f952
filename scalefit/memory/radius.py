"""The radius of the ball around a pattern: by volume, critical, or measured from the patterns themselves.

The theory of Niu et al. (2024) is decided by this number: log Z moves by n times the logarithm of its change.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalefit._typing import AnyArray, Array, ArrayLike
from scalefit.errors import ArgumentError
from scalefit.memory import _patterns, partition
from scalefit.memory._checks import as_given, broadcast, first_bad, positive, reals, scalar


def volume_radius(n: ArrayLike) -> Any:
    """Return ``sqrt(n / (2 pi e))``, at which an n-ball has a volume of about ``1 / sqrt(n pi)`` (section 5).

    Examples
    --------
    >>> round(volume_radius(1024), 2)
    7.74
    """
    dims = positive("n", n, integer=True)
    return as_given(np.sqrt(dims / partition.TWO_PI_E), n)


def critical_radius(n: ArrayLike, n_patterns: ArrayLike = 1) -> Any:
    """Return the radius at which the exact partition function is 1, the only radius with a loss of 1 nat.

    Parameters
    ----------
    n : array_like
        Dimension of a pattern.
    n_patterns : array_like
        Number of patterns d, at least 1; broadcasts with `n`.

    Returns
    -------
    float or ndarray
        Radius [embedding distance]. Over sqrt(n) it tends to 0.258722, 6.92 % above ``1/sqrt(2 pi e)``.

    Raises
    ------
    ArgumentError
        A dimension or a count that makes no sense.

    Notes
    -----
    Newton's method on log r. The exact log Z is concave and increasing in log r, so from a start on the
    left, the radius at which the *volumes* sum to one, it climbs to the root without overshooting.

    Examples
    --------
    >>> round(critical_radius(10**8) / 1e4, 6)
    0.258722
    """
    dims = positive("n", n, integer=True)
    log_d = np.log(_at_least_one(n_patterns))
    dims, log_d = broadcast(n=dims, n_patterns=log_d)
    log_kappa = -(log_d + partition.log_volume_at(dims, np.zeros(dims.shape))) / dims
    for _ in range(100):
        log_integral = partition.log_integral_at(dims, log_kappa)
        # d log Z / d log r = n exp(-(log integral - (log volume - r^2)))
        r_squared = partition.radius_squared(dims, log_kappa)
        log_m = log_integral - partition.log_volume_at(dims, log_kappa) + r_squared
        step = -(log_d + log_integral) / (dims * np.exp(-log_m))
        log_kappa = log_kappa + step
        if np.all(np.abs(step) <= 4e-16 * (1.0 + np.abs(log_kappa))):
            break
    return as_given(np.exp(log_kappa) * np.sqrt(dims / partition.TWO_PI_E), n, n_patterns)


def _at_least_one(n_patterns: ArrayLike) -> Array:
    counts = positive("n_patterns", n_patterns)
    if not np.all(counts >= 1):
        raise ArgumentError(f"{first_bad('n_patterns', counts, counts >= 1)}; at least one must be stored.")
    return counts


@dataclass(frozen=True, eq=False)
class Separation:
    """What `separation` found.

    Attributes
    ----------
    min_distance : float
        Smallest distance between two patterns [embedding distance]; inf for a single pattern.
    closest_pair : tuple of int
        The two patterns at that distance; empty for a single pattern.
    largest_common_radius : float
        Half of `min_distance`: below it balls of one radius are disjoint.
    n_violations : int
        Number of pairs whose balls touch or overlap.
    violations : ndarray, shape (k, 2)
        The first of those pairs, ``i < j``, in order.
    """

    min_distance: float
    closest_pair: tuple[int, ...]
    largest_common_radius: float
    n_violations: int
    violations: AnyArray

    @property
    def well_separated(self) -> bool:
        """Whether Assumption 3 holds for the radii that were asked about."""
        return self.n_violations == 0

    def __str__(self) -> str:
        verdict = "well separated" if self.well_separated else f"{self.n_violations} pairs of balls overlap"
        return (
            f"{verdict}; the closest pair {self.closest_pair} is {self.min_distance:.6g} apart, "
            f"so a common radius must stay below {self.largest_common_radius:.6g}"
        )


def separation(patterns: ArrayLike, radii: ArrayLike = 0.0, *, max_pairs: int = 1000) -> Separation:
    """Check Assumption 3: closed balls around the patterns are disjoint.

    Exact for any number of patterns without a d x d matrix: patterns are sorted along their widest
    direction, and only blocks that are near enough in it are compared.

    Parameters
    ----------
    patterns : array_like, shape (d, n)
        Patterns, one a row.
    radii : array_like
        One radius, or one a pattern (d,) [embedding distance]. Zero finds duplicates.
    max_pairs : int
        Pairs listed at most; all are counted.

    Returns
    -------
    Separation

    Raises
    ------
    ArgumentError
        A negative radius, or a number of radii that is not d.

    Examples
    --------
    >>> found = separation([[0.0], [1.0], [5.0]], radii=0.6)
    >>> found.violations.tolist(), found.largest_common_radius
    ([[0, 1]], 0.5)
    """
    stored = np.asarray(_patterns.read_patterns(patterns), float)
    limit = int(scalar("max_pairs", max_pairs, integer=True))
    reach = reals("radii", radii)
    if reach.ndim > 1 or (reach.ndim == 1 and len(reach) != len(stored)):
        raise ArgumentError(f"radii have shape {reach.shape}; pass one number or {len(stored)}, one a pattern.")
    good = np.isfinite(reach) & (reach >= 0)
    if not good.all():
        raise ArgumentError(f"{first_bad('radii', reach, good)}; a radius is finite and not negative.")
    return _Sweep(stored, np.broadcast_to(reach, len(stored)), limit).run()


class _Sweep:
    """One pass over pairs of blocks, sorted along a direction; keeps the closest pair and the violations."""

    rows = 1024

    def __init__(self, patterns: Array, reach: Array, limit: int) -> None:
        self.unit = _unit(patterns)
        centred = patterns / self.unit
        centred -= centred.mean(axis=0)
        along = centred @ _widest_direction(centred)
        self.order: AnyArray = np.argsort(along, kind="stable")
        self.points = np.ascontiguousarray(centred[self.order])
        self.exact = patterns
        self.along, self.reach = along[self.order], reach[self.order]
        self.square = np.square(self.points).sum(axis=1)
        # The expansion |a|^2 + |b|^2 - 2ab only filters; this bounds its error, and what passes is
        # computed directly.
        self.slack = 4e-16 * (patterns.shape[1] + 8) * 4.0 * float(self.square.max())
        self.limit, self.best = limit, math.inf
        self.pair: tuple[int, ...] = ()
        self.count = 0
        self.listed: AnyArray = np.empty((0, 2), dtype=np.intp)

    def run(self) -> Separation:
        total, widest = len(self.points), float(self.reach.max())
        for first in range(0, total, self.rows):
            stop = min(first + self.rows, total)
            for second in range(first, total, self.rows):
                gap = self.unit * (self.along[second] - self.along[stop - 1])
                near = max(self.best, float(self.reach[first:stop].max()) + widest)
                if second > first and gap > near * (1.0 + 1e-9) + 1e-12 * self.unit * abs(self.along[-1]):
                    break
                self._compare(first, stop, second, min(second + self.rows, total))
        self.listed = self.listed[np.lexsort(self.listed.T[::-1])][: self.limit]
        return Separation(self.best, tuple(int(i) for i in self.pair), self.best / 2.0, self.count, self.listed)

    def _compare(self, i0: int, i1: int, j0: int, j1: int) -> None:
        left, right = self.points[i0:i1], self.points[j0:j1]
        rough = self.square[i0:i1, None] + self.square[None, j0:j1] - 2.0 * (left @ right.T)
        touching = self.reach[i0:i1, None] + self.reach[None, j0:j1]
        bar = np.square(np.maximum(touching, self._bar(rough, i0 == j0)) / self.unit) + self.slack
        a, b = np.nonzero(np.triu(rough <= bar, 1) if i0 == j0 else rough <= bar)
        for chunk in _patterns.query_chunks(len(a), left.shape[1]):
            i: AnyArray = self.order[i0 + a[chunk]]
            j: AnyArray = self.order[j0 + b[chunk]]
            distance = _lengths(self.exact[i] - self.exact[j])
            nearest = int(distance.argmin())
            if distance[nearest] < self.best:
                self.best = float(distance[nearest])
                self.pair = tuple(sorted((int(i[nearest]), int(j[nearest]))))
            over = distance <= touching[a[chunk], b[chunk]]
            self.count += int(over.sum())
            found = np.sort(np.column_stack([i[over], j[over]]), axis=1)
            self.listed = np.concatenate([self.listed, found])
            if len(self.listed) > 2 * self.limit:
                self.listed = self.listed[np.lexsort(self.listed.T[::-1])][: self.limit]

    def _bar(self, rough: Array, diagonal: bool) -> float:
        """Return a distance that the closest pair of this block cannot exceed if it is to be a new best."""
        if diagonal and len(rough) < 2:
            return 0.0
        smallest = rough[np.triu_indices(len(rough), 1)].min() if diagonal else rough.min()
        return min(self.best, self.unit * math.sqrt(max(float(smallest), 0.0) + 2.0 * self.slack))


def _lengths(differences: Array) -> Array:
    """Return row lengths without overflow or underflow of the squares."""
    scale = np.abs(differences).max(axis=1)
    safe = np.where(scale > 0, scale, 1.0)
    return np.asarray(scale * np.sqrt(np.square(differences / safe[:, None]).sum(axis=1)))


def _unit(patterns: Array) -> float:
    """Return a power of two above every number: dividing by it is exact, and squares then stay finite."""
    return float(2.0 ** min(math.frexp(float(np.abs(patterns).max()))[1], 1023))


def _widest_direction(centred: Array) -> Array:
    """Return a unit vector (n,) near the first principal direction; any unit vector keeps the sweep exact."""
    spread = np.square(centred).sum(axis=0)
    direction = np.zeros(centred.shape[1])
    direction[int(spread.argmax())] = 1.0
    for _ in range(5):
        image = centred.T @ (centred @ direction)
        length = float(np.linalg.norm(image))
        if not length > 0.0 or not math.isfinite(length):
            break
        direction = image / length
    return direction


def nearest_neighbour_distances(points: ArrayLike, *, drop_duplicates: bool = True) -> Array:
    """Return the distance from each point to its nearest other one; half of it is a measured radius.

    Section 6.1 of the paper takes the mean and median of these over last-layer activations.

    Parameters
    ----------
    points : array_like, shape (d, n)
        Activations, one a row; at least two different ones.
    drop_duplicates : bool
        Keep one of each set of equal rows: equal contexts have equal activations and say nothing of the
        radius.

    Returns
    -------
    ndarray, shape (k,)
        Distances [embedding distance], one a row that was kept, in the order of the rows.

    Raises
    ------
    ArgumentError
        Fewer than two rows are left.

    Examples
    --------
    >>> nearest_neighbour_distances([[0.0], [1.0], [1.0], [3.0]])
    array([1., 1., 2.])
    """
    stored = np.asarray(_patterns.read_patterns(points), float)
    if drop_duplicates:
        stored = stored[np.sort(np.unique(stored, axis=0, return_index=True)[1])]
    if len(stored) < 2:
        raise ArgumentError(f"{len(stored)} distinct point is left; a nearest neighbour needs at least two.")
    unit = _unit(stored)
    stored = stored / unit
    result = np.full(len(stored), np.inf)
    for chunk in _patterns.query_chunks(len(stored), stored.shape[1]):
        rows = np.arange(chunk.start, chunk.stop)
        for start, block in _patterns.pattern_blocks(stored, len(rows)):
            squares = _patterns.squared_distances(stored[chunk], block)
            own = (rows >= start) & (rows < start + len(block))
            squares[np.flatnonzero(own), rows[own] - start] = np.inf
            result[chunk] = np.minimum(result[chunk], squares.min(axis=1))
    return np.asarray(unit * np.sqrt(result))
