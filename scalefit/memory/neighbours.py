"""Distances between patterns: whether they are well separated (Assumption 3), and the nearest of each.

Exact without a d x d matrix. Blocks of squared distances come from ``|a|^2 + |b|^2 - 2 a.b``, fast and rounded; what
that cannot decide is computed from the differences themselves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from scalefit._typing import AnyArray, Array, ArrayLike
from scalefit.errors import ArgumentError
from scalefit.memory import _patterns
from scalefit.memory._conventions import first_bad, reals, scalar

#: Dimensions up to which a k-d tree beats blocks of all distances.
_FEW_DIMENSIONS = 9
#: Distances, of points below 1 in size, whose squares leave the range of numbers with full digits.
_TOO_CLOSE = 1e-150


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
        """Whether Assumption 3 holds for the given radii."""
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
        Patterns, one per row.
    radii : array_like
        One radius, or one per pattern (d,) [embedding distance]. Zero finds duplicates.
    max_pairs : int
        Most pairs to list; all are counted.

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
        raise ArgumentError(
            f"radii have shape {reach.shape}",
            "nothing was counted",
            f"Pass one number or {len(stored)}, one per pattern",
        )
    good = np.isfinite(reach) & (reach >= 0)
    if not good.all():
        raise ArgumentError(
            f"{first_bad('radii', reach, good)}", "nothing was counted", "Give finite radii, zero or more"
        )
    return _Sweep(stored, np.broadcast_to(reach, len(stored)), limit).run()


def nearest_neighbour_distances(points: ArrayLike, *, drop_duplicates: bool = True) -> Array:
    """Return the distance from each point to its nearest other one; half of it is a measured radius.

    Section 6.1 of the paper takes the mean and median of these over last-layer activations.

    Parameters
    ----------
    points : array_like, shape (d, n)
        Activations, one per row; at least two different ones.
    drop_duplicates : bool
        Keep one of each set of equal rows: equal contexts have equal activations and say nothing about the
        radius.

    Returns
    -------
    ndarray, shape (k,)
        Distances [embedding distance], one per row that was kept, in the order of the rows.

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
        raise ArgumentError(
            f"{len(stored)} distinct point is left",
            "nothing was measured: a nearest neighbour needs two",
            "Give more points",
        )
    cloud = _Cloud(stored, sort=False)
    if stored.shape[1] <= _FEW_DIMENSIONS:
        found = _by_tree(cloud)
        if found is not None:
            return found
    nearest = np.full(len(stored), np.inf)
    for at, left in enumerate(cloud.blocks()):
        for right in cloud.blocks()[at:]:
            rough, slack = cloud.rough(left, right)
            known_left, known_right = (np.square(nearest[side] / cloud.unit) for side in (left, right))
            # A pair matters to a point where it may be the nearest of this block and nearer than any before.
            limit_left = np.minimum(rough.min(axis=1), known_left) + 2.0 * slack
            limit_right = np.minimum(rough.min(axis=0), known_right) + 2.0 * slack
            near = (rough <= limit_left[:, None]) | (rough <= limit_right[None, :])
            a, b = np.nonzero(near & np.isfinite(rough))
            distance = cloud.distances(a + left.start, b + right.start)
            np.minimum.at(nearest, a + left.start, distance)
            np.minimum.at(nearest, b + right.start, distance)
    return nearest


def _by_tree(cloud: _Cloud) -> Array | None:
    """Nearest distances by a k-d tree; None where points are so close that squares of differences vanish."""
    from scipy.spatial import cKDTree

    points = cloud.exact / cloud.unit
    order = np.arange(len(points))
    _, nearest = cKDTree(points, balanced_tree=False, compact_nodes=False).query(points, k=2)
    # A point is its own nearest, or shares that place with others that are equal to it.
    other = np.where(nearest[:, 0] == order, nearest[:, 1], nearest[:, 0])
    distance = cloud.distances(order, other)
    return None if bool((distance < _TOO_CLOSE * cloud.unit).any()) else distance


class _Cloud:
    """Points in an order, with rounded squared distances of blocks and exact distances of pairs."""

    rows = 1024

    def __init__(self, patterns: Array, *, sort: bool) -> None:
        self.exact = patterns
        self.unit = _unit(patterns)
        points = patterns / self.unit
        centred = points - points.mean(axis=0)
        along = centred @ _widest_direction(centred)
        self.order: AnyArray = np.argsort(along, kind="stable") if sort else np.arange(len(patterns))
        self.along = along[self.order]
        self.points = np.ascontiguousarray(points[self.order])
        self.rounding = 16e-16 * (patterns.shape[1] + 8)
        #: Bound on the rounding of a difference along the direction.
        self.blur = self.rounding * math.sqrt(float(np.square(centred).sum(axis=1).max()))

    def blocks(self) -> list[slice]:
        return [slice(start, min(start + self.rows, len(self.exact))) for start in range(0, len(self.exact), self.rows)]

    def rough(self, left: slice, right: slice) -> tuple[Array, float]:
        """Squared distances (i, j) in squared units, infinite where a pair stands twice, and a bound on their error.

        They are taken about the middle of the first block: an outlier elsewhere, or an offset, costs no digits.
        """
        middle = self.points[left].mean(axis=0)
        a, b = self.points[left] - middle, self.points[right] - middle
        a2, b2 = np.square(a).sum(axis=1), np.square(b).sum(axis=1)
        squares = np.asarray(a2[:, None] + b2 - 2.0 * (a @ b.T))
        if left == right:
            squares[np.tril_indices(len(squares))] = np.inf
        return squares, self.rounding * max(float(a2.max()), float(b2.max()))

    def distances(self, i: AnyArray, j: AnyArray) -> Array:
        """Exact distances of pairs, by their numbers in the table that was given."""
        out = np.empty(len(i))
        for chunk in _patterns.query_chunks(len(i), self.exact.shape[1]):
            difference = self.exact[i[chunk]] / self.unit - self.exact[j[chunk]] / self.unit
            scale = np.abs(difference).max(axis=1)
            safe = np.where(scale > 0, scale, 1.0)
            out[chunk] = self.unit * scale * np.sqrt(np.square(difference / safe[:, None]).sum(axis=1))
        return out


class _Sweep:
    """One pass over pairs of blocks, sorted along a direction; keeps the closest pair and the violations."""

    def __init__(self, patterns: Array, reach: Array, limit: int) -> None:
        self.cloud = _Cloud(patterns, sort=True)
        self.reach = reach[self.cloud.order]
        self.differ = bool(np.ptp(reach) > 0)
        self.limit, self.best = limit, math.inf
        self.pair: tuple[int, ...] = ()
        self.count = 0
        self.listed: AnyArray = np.empty((0, 2), dtype=np.intp)

    def run(self) -> Separation:
        cloud, blocks, widest = self.cloud, self.cloud.blocks(), float(self.reach.max())
        for at, left in enumerate(blocks):
            for right in blocks[at:]:
                gap = cloud.along[right.start] - cloud.along[left.stop - 1]
                near = max(self.best, float(self.reach[left].max()) + widest) / cloud.unit
                if gap > near * (1.0 + 1e-9) + cloud.blur:
                    break
                self._compare(left, right)
        return Separation(self.best, self.pair, self.best / 2.0, self.count, self._sorted())

    def _compare(self, left: slice, right: slice) -> None:
        cloud = self.cloud
        rough, slack = cloud.rough(left, right)
        with np.errstate(over="ignore"):
            touching = self.reach[left, None] + self.reach[None, right] if self.differ else 2.0 * self.reach[:1]
        bar = np.square(touching / cloud.unit)
        certain = rough < bar - slack
        # Candidates for the closest pair: those that rounding cannot tell from the smallest of the block.
        smallest = min((self.best / cloud.unit) ** 2, float(rough.min())) + 2.0 * slack if self.best > 0 else -1.0
        unsure = ((rough <= smallest) | ((rough <= bar + slack) & ~certain)) & np.isfinite(rough)
        self.count += int(np.count_nonzero(certain & ~unsure))
        a, b = np.nonzero(unsure)
        i, j = cloud.order[left][a], cloud.order[right][b]
        distance = cloud.distances(i, j)
        if len(distance) and distance.min() < self.best:
            first = int(distance.argmin())
            self.best, self.pair = float(distance[first]), tuple(sorted((int(i[first]), int(j[first]))))
        over = distance <= np.broadcast_to(touching, rough.shape)[a, b]
        self.count += int(np.count_nonzero(over))
        self._list(i[over], j[over])
        if certain.any() and self._may_list(left, right):
            a, b = np.nonzero(certain & ~unsure)
            self._list(cloud.order[left][a], cloud.order[right][b])

    def _may_list(self, left: slice, right: slice) -> bool:
        """Whether a pair of these blocks could come before the last of a full list."""
        if len(self.listed) < self.limit:
            return True
        self.listed = self._sorted()
        return bool(min(self.cloud.order[left].min(), self.cloud.order[right].min()) <= self.listed[-1, 0])

    def _list(self, i: AnyArray, j: AnyArray) -> None:
        self.listed = np.concatenate([self.listed, np.sort(np.column_stack([i, j]), axis=1)])
        if len(self.listed) > 2 * self.limit:
            self.listed = self._sorted()

    def _sorted(self) -> AnyArray:
        return np.asarray(self.listed[np.lexsort(self.listed.T[::-1])][: self.limit])


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
