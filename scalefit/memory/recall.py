"""Measure how many patterns a network recalls: a test of the capacity column of Table 1."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalefit._arguments import check_number
from scalefit._typing import AnyArray, Array, Seed
from scalefit.errors import ArgumentError, arg
from scalefit.memory._conventions import generator, scalar
from scalefit.memory.network import BinaryEnergy, Energy
from scalefit.memory.propositions import nearest_index

#: Makes a network from patterns (d, n): a class, or a function for one with options.
Network = Callable[[Array], Energy]
#: Sets of patterns that a rate of recall is averaged over.
_SETS = 20


@dataclass(frozen=True, slots=True)
class Recall:
    """Share of stored patterns that a network finds again.

    Attributes
    ----------
    dim, n_patterns : int
        Dimension n and number d of the patterns that were stored.
    corruption : float
        Share of flipped bits, or the size of the noise over the size of a pattern.
    recovered : float
        Share of corrupted patterns that came back.
    n_queries : int
        Number of patterns that were tried.
    """

    dim: int
    n_patterns: int
    corruption: float
    recovered: float
    n_queries: int


def measure_recall(
    network: Network,
    dim: int,
    n_patterns: int,
    *,
    corruption: float = 0.1,
    n_queries: int = 200,
    closeness: float = 0.1,
    scale: float = 1.0,
    seed: Seed = 0,
) -> Recall:
    """Store random patterns, corrupt some, retrieve, and count those that come back.

    Parameters
    ----------
    network : callable
        One of the classes of `scalefit.memory`, or a function that makes a network from patterns.
    dim, n_patterns : int
        Dimension n and number d of patterns. Binary networks store random signs; real ones random points
        of the sphere of radius ``scale * sqrt(n)``.
    corruption : float
        Share of bits flipped in a binary pattern (rounded to whole bits); for a real one, length of the
        noise over the length of the pattern. In [0, 0.5).
    n_queries : int
        Patterns to try: those of one set, or of up to 20 new sets if one stores fewer.
    closeness : float
        A real pattern is recovered when retrieval ends within this share of its length, and nearer to it
        than to any other; a binary one when every bit is right.
    scale : float
        See `dim`.
    seed : int or Generator
        Seed of the random patterns and their corruption.

    Returns
    -------
    Recall

    Raises
    ------
    ArgumentError
        A count or a share outside its range.

    Examples
    --------
    >>> from scalefit.memory import Hopfield
    >>> measure_recall(Hopfield, dim=60, n_patterns=3).recovered
    1.0
    """
    if not callable(network):
        raise ArgumentError(
            f"{arg('network', network)} is not a network",
            "nothing was measured",
            "Pass a class such as Hopfield, or a function from patterns to one",
        )
    n, d = (int(scalar(name, v, integer=True)) for name, v in (("dim", dim), ("n_patterns", n_patterns)))
    wanted = int(scalar("n_queries", n_queries, integer=True))
    scalar("scale", scale)
    scalar("closeness", closeness)
    if not 0.0 <= check_number("corruption", corruption) < 0.5:
        raise ArgumentError(
            f"{arg('corruption', corruption)} is out of range", "nothing was measured", "Give a share in [0, 0.5)"
        )
    rng = generator(seed)
    n_sets = min(_SETS, -(-wanted // d))
    found = [_recover(network, n, d, corruption, min(wanted, d), closeness, scale, rng) for _ in range(n_sets)]
    recovered = np.concatenate(found)
    return Recall(n, d, float(corruption), float(recovered.mean()), len(recovered))


def _recover(
    network: Network, n: int, d: int, corruption: float, tries: int, closeness: float, scale: float, rng: Any
) -> AnyArray:
    """Store one set of patterns, and say of each that was tried whether it came back."""
    raw = rng.normal(size=(d, n))
    memory = network(np.where(raw < 0, -1.0, 1.0))
    if isinstance(memory, BinaryEnergy):
        chosen = memory._stored[:tries]
        flips = np.argsort(rng.normal(size=chosen.shape), axis=1) < round(corruption * n)
        return np.asarray((memory.retrieve(np.where(flips, -chosen, chosen)) == chosen).all(axis=1))
    length = scale * np.sqrt(n)
    points = raw * (length / np.linalg.norm(raw, axis=1, keepdims=True))
    chosen = points[:tries]
    noise = rng.normal(size=chosen.shape)
    noise *= corruption * length / np.linalg.norm(noise, axis=1, keepdims=True)
    found = network(points).retrieve(chosen + noise)
    close = np.linalg.norm(found - chosen, axis=1) <= closeness * length
    return np.asarray(close & (nearest_index(points, found)[1] == np.arange(tries)))


def measure_capacity(
    network: Network,
    dim: int,
    *,
    share: float = 0.5,
    corruption: float = 0.1,
    max_patterns: int = 1 << 16,
    n_queries: int = 200,
    closeness: float = 0.1,
    scale: float = 1.0,
    seed: Seed = 0,
) -> int:
    """Return how many patterns can be stored with `share` of them recovered: by doubling, then bisection.

    Parameters
    ----------
    network, dim, corruption, n_queries, closeness, scale, seed
        As in `measure_recall`.
    share : float
        Share of corrupted patterns that must come back, in (0, 1).
    max_patterns : int
        Where the search stops; the result is then this number, a lower limit.

    Returns
    -------
    int
        The largest number with at least `share` recovered, to within 5 %.

    Examples
    --------
    >>> from scalefit.memory import Hopfield
    >>> 5 < measure_capacity(Hopfield, dim=60) < 20
    True
    """
    if not 0.0 < check_number("share", share) < 1.0:
        raise ArgumentError(
            f"{arg('share', share)} is out of range", "nothing was measured", "Give a number between 0 and 1"
        )
    limit = int(scalar("max_patterns", max_patterns, integer=True))

    def recalls(count: int) -> bool:
        recall = measure_recall(
            network,
            dim,
            count,
            corruption=corruption,
            n_queries=n_queries,
            closeness=closeness,
            scale=scale,
            seed=seed,
        )
        return recall.recovered >= share

    good, bad = 0, 1
    while recalls(bad):
        good = bad
        if bad == limit:
            return limit
        bad = min(2 * bad, limit)
    while bad - good > max(1, good // 20):
        middle = (good + bad) // 2
        good, bad = (middle, bad) if recalls(middle) else (good, middle)
    return good
