"""The layered structure (section 4.1 of Niu et al. 2024): patterns split over layers, retrieval layer by layer.

Eq. 6 minimises each layer's energy in a ball around the layer before. The paper writes that energy as
``exp(-g) / Z``, the *density*, largest at the patterns; minimised literally it walks away from them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalefit._typing import AnyArray, Array, ArrayLike, Seed
from scalefit.errors import ArgumentError, arg
from scalefit.memory import _patterns
from scalefit.memory._conventions import CONVENTIONS, Convention, as_given, choice, generator, reals, scalar
from scalefit.memory.energies import DistanceEnergy
from scalefit.memory.propositions import Bounds, nearest, nearest_index

ENERGIES = ("nearest", "distance")


def split_patterns(patterns: ArrayLike, n_layers: int, *, seed: Seed = None) -> list[Array]:
    """Split stored patterns over layers in near-equal parts.

    Parameters
    ----------
    patterns : array_like, shape (d, n)
        Patterns, one per row; at least one per layer.
    n_layers : int
        Number of layers l.
    seed : int or Generator, optional
        Shuffle first; without it the parts are consecutive.

    Returns
    -------
    list of ndarray
        l arrays (d_t, n).

    Raises
    ------
    ArgumentError
        Fewer patterns than layers.

    Examples
    --------
    >>> [len(part) for part in split_patterns([[0.0], [1.0], [2.0]], 2)]
    [2, 1]
    """
    stored = _patterns.read_patterns(patterns)
    layers = int(scalar("n_layers", n_layers, integer=True))
    if layers > len(stored):
        raise ArgumentError(
            f"{arg('n_layers', layers)} for {len(stored)} patterns",
            "nothing was split",
            "Give at least one pattern per layer",
        )
    order: AnyArray = np.arange(len(stored))
    if seed is not None:
        order = generator(seed).permutation(order)
    return [np.asarray(stored[part], float) for part in np.array_split(order, layers)]


def layer_energies(layers: Sequence[ArrayLike], x: ArrayLike, *, energy: str = "nearest") -> Array:
    """Return each layer's energy at queries.

    Parameters
    ----------
    layers : sequence of array_like (d_t, n)
        The patterns of each layer.
    x : array_like, shape (..., n)
        Queries.
    energy : {"nearest", "distance"}
        ``"nearest"``: squared distance to the layer's nearest pattern, g. ``"distance"``: eq. 4.

    Returns
    -------
    ndarray, shape (l, ...)
    """
    choice("energy", energy, ENERGIES)
    stored = _read_layers(layers)
    if energy == "nearest":
        return np.stack([np.asarray(nearest(part, x)) for part in stored])
    return np.stack([np.asarray(DistanceEnergy(part).energy(x)) for part in stored])


def global_energy(
    layers: Sequence[ArrayLike],
    x: ArrayLike,
    *,
    combine: str = "logsumexp",
    energy: str = "nearest",
    weights: ArrayLike | None = None,
) -> Any:
    """Return the energy of all layers together.

    Parameters
    ----------
    layers, x, energy
        As in `layer_energies`.
    combine : {"logsumexp", "sum"}
        ``"logsumexp"``: eq. 7, ``-log sum_t exp(-E_t)``. ``"sum"``: a linear combination, as in Krotov's
        hierarchical associative memory (2021, arXiv:2107.06446).
    weights : array_like, shape (l,), optional
        Weights of the linear combination; ones by default.

    Returns
    -------
    float or ndarray, shape (...)

    Raises
    ------
    ArgumentError
        Layers of different widths, an unknown word, weights that do not fit, or weights without ``combine="sum"``.

    Examples
    --------
    >>> layers, x = [[[0.0]], [[3.0]]], [1.0]
    >>> round(global_energy(layers, x), 6), global_energy(layers, x, combine="sum")
    (0.951413, 5.0)
    """
    choice("combine", combine, ("logsumexp", "sum"))
    energies = layer_energies(layers, x, energy=energy)
    shape = np.zeros(np.shape(x)[:-1])
    if combine == "logsumexp":
        if weights is not None:
            raise ArgumentError(
                f"weights belong to {arg('combine', 'sum')}; eq. 7 has none", "nothing was combined", "Leave them out"
            )
        return as_given(soft_minimum(energies), shape)
    factors = np.ones(len(energies)) if weights is None else reals("weights", weights)
    if factors.shape != (len(energies),) or not np.isfinite(factors).all():
        raise ArgumentError(
            f"{arg('weights', weights)} does not fit",
            "nothing was combined",
            f"Pass {len(energies)} finite numbers, one per layer",
        )
    return as_given(np.tensordot(factors, energies, axes=1), shape)


def global_energy_bounds(layers: Sequence[ArrayLike], x: ArrayLike, *, energy: str = "nearest") -> Bounds:
    """Return eq. 8: ``min_t E_t - log l <= E_global <= min_t E_t``.

    The right side is printed with a strict ``<``, which is false for one layer.

    Parameters
    ----------
    layers, x, energy
        As in `layer_energies`.

    Returns
    -------
    Bounds
        Both sides and the global energy, each of shape (...).

    Examples
    --------
    >>> global_energy_bounds([[[0.0]]], [1.0])
    Bounds(lower=1.0, value=1.0, upper=1.0)
    """
    energies = layer_energies(layers, x, energy=energy)
    least = energies.min(axis=0)
    shape = np.zeros(np.shape(x)[:-1])
    below = as_given(least - math.log(len(energies)), shape)
    return Bounds(below, as_given(soft_minimum(energies), shape), as_given(least, shape))


def soft_minimum(energies: Array) -> Array:
    """Return ``-log sum_t exp(-E_t)`` over the first axis."""
    least = energies.min(axis=0)
    return np.asarray(least - np.log(np.exp(least - energies).sum(axis=0)))


@dataclass(frozen=True, eq=False)
class Trajectory:
    """The path of queries through the layers.

    Attributes
    ----------
    points : ndarray, shape (l + 1, ..., n)
        x(0) ... x(l).
    global_energy : ndarray, shape (l + 1, ...)
        Eq. 7 at each point. It never rises under ``convention="exact"``.
    layer_energy : ndarray, shape (l, 2, ...)
        Each layer's own energy before and after its step; the second never exceeds the first under
        ``convention="exact"``, and is never below it under ``"paper"``.
    convention : str
        How the layers' energies were read.
    """

    points: Array
    global_energy: Array
    layer_energy: Array
    convention: str


def retrieve_layers(
    layers: Sequence[ArrayLike],
    x: ArrayLike,
    *,
    radius: ArrayLike = math.inf,
    energy: str = "nearest",
    convention: Convention = "exact",
) -> Trajectory:
    r"""Pass queries through the layers: eq. 6, ``x(t) = argmin E_t`` in the ball of radius delta at ``x(t-1)``.

    Parameters
    ----------
    layers : sequence of array_like (d_t, n)
        The patterns of each layer (see `split_patterns`).
    x : array_like, shape (..., n)
        Queries x(0).
    radius : array_like
        delta, one number or one per layer [embedding distance]; infinite by default. ``"paper"`` needs a
        finite one.
    energy : {"nearest", "distance"}
        Each layer's energy under ``"exact"``: g of its patterns, or eq. 4. The minimum of g over a ball is
        known in closed form; that of eq. 4 is found by majorization-minimization, which may end in a local
        one.
    convention : {"exact", "paper"}
        ``"exact"``: a layer's energy is as above, and a step that does not lower the energy of all layers together
        is halved until it does, and left out where it cannot (eq. 6 leaves delta free; without this a layer drags a
        query from another layer's pattern to its own). ``"paper"``: the energy is ``exp(-g)/Z`` as printed, so a
        step *maximises* g: it walks from the patterns to the edge of the ball.

    Returns
    -------
    Trajectory

    Raises
    ------
    ArgumentError
        Shapes that do not fit, a radius that is not positive, or an infinite one under ``"paper"``.

    Examples
    --------
    >>> layers = [[[0.0], [4.0]], [[10.0]]]
    >>> retrieve_layers(layers, [1.0], radius=0.6).points.ravel().round(3)
    array([1. , 0.4, 0.4])
    >>> retrieve_layers(layers, [1.0], radius=0.6, convention="paper").points.ravel()
    array([1. , 1.6, 1. ])
    """
    choice("energy", energy, ENERGIES)
    choice("convention", convention, CONVENTIONS)
    stored = _read_layers(layers)
    queries, shape = _patterns.read_queries(x, stored[0].shape[1])
    reach = _read_radii(radius, len(stored), convention)
    if convention == "paper":
        energy = "nearest"
    points, before_after = [queries], []
    total = [soft_minimum(layer_energies(stored, queries, energy=energy))]
    for part, delta in zip(stored, reach, strict=True):
        start = points[-1]
        if convention == "paper":
            after = _walk_away(part, start, float(delta))
            level = soft_minimum(layer_energies(stored, after, energy=energy))
        else:
            step = _step_to_nearest if energy == "nearest" else _step_down
            after, level = _guarded(stored, start, step(part, start, float(delta)), total[-1], energy)
        before_after.append([layer_energies([part], at, energy=energy)[0] for at in (start, after)])
        points.append(after)
        total.append(level)
    return Trajectory(
        np.stack(points).reshape(len(points), *shape, queries.shape[1]),
        np.stack(total).reshape(len(points), *shape),
        np.asarray(before_after).reshape(len(stored), 2, *shape),
        convention,
    )


def _step_to_nearest(part: Array, x: Array, delta: float) -> Array:
    """Return the minimum of g over the ball: towards the nearest pattern, and onto it where it is in reach."""
    square, index = nearest_index(part, x)
    return _towards(x, part[index], np.sqrt(square), delta)


def _step_down(part: Array, x: Array, delta: float) -> Array:
    """Minimise eq. 4 over the ball; its majorizer ``|x - m|^2`` is least at m, projected on the ball."""
    network = DistanceEnergy(part)
    current = np.array(x)
    for _ in range(1000):
        goal = network.update(current)
        new = _towards(x, goal, np.linalg.norm(goal - x, axis=-1), delta)
        moved = np.linalg.norm(new - current, axis=-1).max(initial=0.0)
        current = new
        if moved <= 1e-12 * (1.0 + np.abs(current).max(initial=0.0)):
            break
    return current


def _walk_away(part: Array, x: Array, delta: float) -> Array:
    """Climb g inside the ball by small steps away from the nearest pattern; keep the highest point met.

    Exact for one pattern; for several the ascent may end at a local maximum.
    """
    best, current = np.array(x), np.array(x)
    height = nearest_index(part, x)[0]
    n_steps = 100
    for _ in range(2 * n_steps):
        square, index = nearest_index(part, current)
        away = current - part[index]
        length = np.sqrt(square)
        away[length == 0.0, 0] = 1.0  # on a pattern every direction leads up
        current = current + delta / n_steps * away / np.where(length > 0, length, 1.0)[:, None]
        current = _towards(x, current, np.linalg.norm(current - x, axis=-1), delta)
        reached = nearest_index(part, current)[0]
        higher = reached > height
        best[higher], height = current[higher], np.maximum(height, reached)
    return best


def _guarded(layers: list[Array], start: Array, goal: Array, level: Array, energy: str) -> tuple[Array, Array]:
    """Halve each query's step until the energy of all layers falls; at last leave it where it is."""
    current = np.array(goal)
    reached = soft_minimum(layer_energies(layers, current, energy=energy))
    for halving in range(1, 31):
        rising = np.flatnonzero(reached >= level)
        if not len(rising):
            return current, reached
        current[rising] = start[rising] + 0.5**halving * (goal[rising] - start[rising])
        reached[rising] = soft_minimum(layer_energies(layers, current[rising], energy=energy))
    current[reached >= level] = start[reached >= level]
    return current, np.minimum(reached, level)


def _towards(x: Array, goal: Array, distance: Array, delta: float) -> Array:
    """Return the point of the ball of radius delta around x that is nearest to the goal."""
    share = np.ones(len(x))
    far = distance > delta
    share[far] = delta / distance[far]
    return np.where(far[:, None], x + share[:, None] * (goal - x), goal)


def _read_layers(layers: Sequence[ArrayLike]) -> list[Array]:
    if isinstance(layers, (str, bytes)) or not hasattr(layers, "__iter__"):
        raise ArgumentError(
            f"{arg('layers', layers)} is not a list of arrays",
            "nothing was computed",
            "Pass one array of patterns per layer (see split_patterns)",
        )
    stored = [np.asarray(_patterns.read_patterns(part), float) for part in layers]
    if not stored:
        raise ArgumentError(
            "layers is empty", "nothing was computed", "Pass one array of patterns per layer (see split_patterns)"
        )
    widths = sorted({part.shape[1] for part in stored})
    if len(widths) > 1:
        raise ArgumentError(f"The layers' patterns have widths {widths}", "nothing was computed", "Give all layers one")
    return stored


def _read_radii(radius: ArrayLike, n_layers: int, convention: str) -> Array:
    reach = reals("radius", radius)
    if reach.ndim > 1 or (reach.ndim == 1 and len(reach) != n_layers):
        raise ArgumentError(
            f"radius has shape {reach.shape}", "nothing was computed", f"Pass one number or {n_layers}, one per layer"
        )
    if not np.all(reach > 0):
        raise ArgumentError(
            f"{arg('radius', radius)} is out of range",
            "nothing was computed",
            "Give a positive one (infinite for no ball)",
        )
    if convention == "paper" and not np.isfinite(reach).all():
        raise ArgumentError(
            f"{arg('radius', shown='infinite')} under {arg('convention', 'paper')}, where a step never ends",
            "nothing was computed",
            "Pass a finite radius",
        )
    return np.broadcast_to(reach, n_layers)
