"""Figures of the associative-memory theory: one function computes a frozen record, another draws it."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalefit._typing import Array, ArrayLike, Seed
from scalefit.errors import ArgumentError
from scalefit.memory import (
    Demircigil,
    DistanceEnergy,
    Hopfield,
    KrotovHopfield,
    ModernHopfield,
    critical_radius,
    log_partition,
    loss,
    measure_capacity,
    volume_radius,
)
from scalefit.memory._conventions import positive
from scalefit.memory.recall import Network
from scalefit.plots._axes import COLOURS, DASHES, SMALL, axes_for, marker, new_grid

#: Patterns of figure 1 of Niu et al. (2024, arXiv:2405.08707): the plane on its left, the line on its right.
FIGURE_1_PLANE = ((-2.0, -0.5), (0.2, -0.3), (1.5, 1.5))
FIGURE_1_LINE = ((-2.0,), (0.0,), (1.0,))

#: The panels of figure 1 in its order: name to title.
PANELS = {
    "attraction": "(a) −LogSumExp",
    "regulariser": "(b) regularisation",
    "modern": "(c) MCHN energy",
    "distance": "(d) eq. 4",
}


@dataclass(frozen=True, eq=False)
class EnergyLandscapes:
    """Energies over a line or a plane.

    Attributes
    ----------
    patterns : ndarray, shape (d, 1 or 2)
        Stored patterns.
    axes : tuple of ndarray
        Grid along each dimension.
    energies : dict of str to ndarray
        Keys of `PANELS`; on a plane the first axis is the second coordinate, as drawing wants it.
    beta : float
        Inverse temperature of the first three.
    """

    patterns: Array
    axes: tuple[Array, ...]
    energies: Mapping[str, Array]
    beta: float


def energy_landscapes(
    patterns: ArrayLike = FIGURE_1_PLANE, *, beta: float = 1.0, margin: float = 1.5, resolution: int = 201
) -> EnergyLandscapes:
    """Compute figure 1 of Niu et al.: the terms of the modern Hopfield energy, their sum, and eq. 4.

    Parameters
    ----------
    patterns : array_like, shape (d, 1 or 2)
        Patterns on a line or a plane; `FIGURE_1_LINE` is the right half of the figure.
    beta : float
        Inverse temperature of the modern Hopfield network.
    margin : float
        How far the grid reaches beyond the patterns.
    resolution : int
        Points along each dimension.

    Returns
    -------
    EnergyLandscapes

    Raises
    ------
    ArgumentError
        Patterns of more than two dimensions.

    Examples
    --------
    >>> data = energy_landscapes(FIGURE_1_LINE, resolution=501)
    >>> x, energy = data.axes[0], data.energies["distance"]
    >>> bool(0 < x[energy.argmin()] < 1)  # between the two near patterns
    True
    """
    modern, distance = ModernHopfield(patterns, beta=beta), DistanceEnergy(patterns)
    stored = modern._stored
    if modern.dim > 2:
        raise ArgumentError(
            f"patterns have {modern.dim} dimensions", "nothing was drawn", "Give patterns of one or two"
        )
    n = int(positive("resolution", resolution, integer=True))
    low, high = stored.min(axis=0) - margin, stored.max(axis=0) + margin
    axes = tuple(np.linspace(a, b, n) for a, b in zip(low, high, strict=True))
    grid = np.stack(np.meshgrid(*axes), axis=-1)
    values = (modern.attraction(grid), modern.regulariser(grid), modern.energy(grid), distance.energy(grid))
    return EnergyLandscapes(stored, axes, dict(zip(PANELS, values, strict=True)), beta)


def plot_energy_landscapes(data: EnergyLandscapes | None = None, *, axes: Any = None) -> Any:
    """Draw the four panels of figure 1.

    Parameters
    ----------
    data : EnergyLandscapes, optional
        From `energy_landscapes`; the plane of figure 1 by default.
    axes : sequence of four matplotlib Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    ndarray of Axes
    """
    data = energy_landscapes() if data is None else data
    axes = new_grid(2, 2, (9.5, 7.6)) if axes is None else np.ravel(np.asarray(axes, dtype=object))
    if len(axes) != len(PANELS):
        raise ArgumentError(f"axes holds {len(axes)}", "nothing was drawn", f"Give {len(PANELS)}, one per panel")
    for ax, (name, title) in zip(axes, PANELS.items(), strict=True):
        energy = data.energies[name]
        if len(data.axes) == 1:
            ax.plot(data.axes[0], energy, color=COLOURS[0])
            ax.plot(data.patterns[:, 0], np.interp(data.patterns[:, 0], data.axes[0], energy), "o", color=COLOURS[1])
            ax.set_ylabel("energy [nat]")
        else:
            shown = ax.contourf(*data.axes, energy, levels=30, cmap="viridis")
            ax.figure.colorbar(shown, ax=ax, label="energy [nat]")
            ax.plot(data.patterns[:, 0], data.patterns[:, 1], "o", color="white", markeredgecolor="black")
            ax.set_ylabel("x₂")
        ax.set_xlabel("x" if len(data.axes) == 1 else "x₁")
        ax.set_title(title, fontsize=10)
    return axes


@dataclass(frozen=True, eq=False)
class LossAgainstRadius:
    """Loss of Proposition 4 as the radius of the balls changes.

    Attributes
    ----------
    dim, n_patterns : float
        n and d.
    radius : ndarray
        Radii [embedding distance].
    log_z, loss : ndarray
        Exact log Z, and log Z + 1/Z [nat/token].
    critical_radius, volume_radius : float
        Where Z = 1, and sqrt(n / 2 pi e).
    """

    dim: int
    n_patterns: float
    radius: Array
    log_z: Array
    loss: Array
    critical_radius: float
    volume_radius: float


def loss_against_radius(
    dim: int, n_patterns: float = 1, *, radius: ArrayLike | None = None, reach: float = 12.0
) -> LossAgainstRadius:
    """Compute the loss against the radius around its critical value.

    Parameters
    ----------
    dim : int
        Dimension n of a pattern.
    n_patterns : float
        Number of patterns d.
    radius : array_like, optional
        Radii [embedding distance]; by default those with log Z within about `reach` of zero, a range of only
        ``reach / n`` of the critical radius, because the loss is that sensitive to the radius.
    reach : float
        See `radius` [nat].

    Returns
    -------
    LossAgainstRadius

    Examples
    --------
    >>> data = loss_against_radius(768, 1e6)
    >>> round(float(data.loss.min()), 3), bool(abs(data.radius[data.loss.argmin()] / data.critical_radius - 1) < 1e-3)
    (1.0, True)
    """
    critical = float(critical_radius(dim, n_patterns))
    positive("reach", reach)
    step = np.linspace(-0.25 * reach, reach, 401) / dim
    radii = critical * np.exp(step) if radius is None else np.atleast_1d(positive("radius", radius))
    log_z = np.asarray(log_partition(dim, radii, n_patterns))
    return LossAgainstRadius(
        int(dim),
        float(n_patterns),
        radii,
        log_z,
        np.asarray(loss(log_z)),
        critical,
        float(volume_radius(dim)),
    )


def plot_loss_against_radius(data: LossAgainstRadius, *, ax: Any = None) -> Any:
    """Draw the loss against the radius, with the critical radius and the floor of 1 nat marked.

    Parameters
    ----------
    data : LossAgainstRadius
        From `loss_against_radius`.
    ax : matplotlib Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Axes
    """
    ax = axes_for(ax, (6.0, 4.0))
    shown = np.isfinite(data.loss) & (data.loss < 1e6)
    ax.plot(data.radius[shown], data.loss[shown], color=COLOURS[0], label="log Z + 1/Z, exact Z")
    ax.axhline(1.0, color="0.35", linestyle=":", label="1 nat/token (a hypothesis)")
    ax.axvline(data.critical_radius, color=COLOURS[1], label=f"critical radius {data.critical_radius:.4g}")
    low, high = ax.get_xlim()
    if low <= data.volume_radius <= high:
        ax.axvline(
            data.volume_radius, color=COLOURS[2], linestyle="--", label=f"volume radius {data.volume_radius:.4g}"
        )
    else:
        ax.plot([], [], " ", label=f"volume radius {data.volume_radius:.4g}: beyond the axis")
    ax.set_yscale("log")
    ax.set_xlabel("radius [embedding distance]")
    ax.set_ylabel("loss [nat/token]")
    ax.set_title(f"dimension n = {data.dim:,}, patterns d = {data.n_patterns:,.4g}", fontsize=10, loc="left")
    ax.legend(fontsize=SMALL)
    return ax


@dataclass(frozen=True, eq=False)
class CapacityAgainstDimension:
    """Table 1's capacity column: theory beside measurement.

    Attributes
    ----------
    dims : ndarray of int
        Dimensions n.
    measured, theory : dict of str to ndarray
        Patterns by network, one number per dimension; NaN in `measured` where the search reached its limit.
    corruption : float
        Share of flipped bits, or relative length of the noise, that had to be undone.
    limit : int
        Largest number of patterns that was tried.
    """

    dims: Array
    measured: Mapping[str, Array]
    theory: Mapping[str, Array]
    corruption: float
    limit: int


NETWORKS: Mapping[str, Network] = {
    "Hopfield 1982": Hopfield,
    "Krotov & Hopfield 2016, r = 3": functools.partial(KrotovHopfield, order=3),
    "Demircigil et al. 2017": Demircigil,
    "Ramsauer et al. 2020": ModernHopfield,
}


def capacity_against_dimension(
    dims: Sequence[int] = (8, 12, 16, 24, 32),
    networks: Mapping[str, Network] = NETWORKS,
    *,
    corruption: float = 0.1,
    scale: float = 2.0,
    max_patterns: int = 1 << 12,
    n_queries: int = 100,
    seed: Seed = 0,
) -> CapacityAgainstDimension:
    """Measure how many patterns each network recalls, beside the capacity that its source states.

    Parameters
    ----------
    dims : sequence of int
        Dimensions n.
    networks : mapping
        Name to a network's class, or to a function that makes a network from patterns.
    corruption, scale, max_patterns, n_queries, seed
        As in `scalefit.memory.measure_capacity`; real patterns lie on a sphere of radius ``scale * sqrt(n)``.

    Returns
    -------
    CapacityAgainstDimension

    Examples
    --------
    >>> data = capacity_against_dimension((8, 40), {"Hopfield": Hopfield}, n_queries=20)
    >>> bool(data.measured["Hopfield"][1] > data.measured["Hopfield"][0])
    True
    """
    sizes = positive("dims", dims, integer=True)
    measured: dict[str, Array] = {}
    theory: dict[str, Array] = {}
    for name, network in networks.items():
        found, parts = [], []
        for n in map(int, sizes):
            count = measure_capacity(
                network,
                n,
                corruption=corruption,
                max_patterns=max_patterns,
                n_queries=n_queries,
                scale=scale,
                seed=seed,
            )
            found.append(math.nan if count >= max_patterns else float(count))
            one = network(np.ones((1, n)))
            on_sphere = one if one.domain == "binary" else network(np.full((1, n), scale))
            parts.append(on_sphere.capacity(n, corruption=corruption))
        measured[name], theory[name] = np.array(found), np.array(parts)
    return CapacityAgainstDimension(sizes, measured, theory, corruption, max_patterns)


def plot_capacity(data: CapacityAgainstDimension, *, ax: Any = None) -> Any:
    """Draw theory as lines and measurement as dots; an arrow where the search reached its limit.

    Parameters
    ----------
    data : CapacityAgainstDimension
        From `capacity_against_dimension`.
    ax : matplotlib Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Axes
    """
    ax = axes_for(ax, (8.0, 4.5))
    for i, (name, measured) in enumerate(data.measured.items()):
        theory = np.where(np.isfinite(data.theory[name]), data.theory[name], np.nan)
        ax.plot(data.dims, theory, ls=DASHES[i % len(DASHES)], color=COLOURS[i % len(COLOURS)], label=f"{name}: theory")
        ax.plot(data.dims, measured, marker(i), color=COLOURS[i % len(COLOURS)], label=f"{name}: measured")
        beyond = data.dims[np.isnan(measured)]
        ax.plot(beyond, np.full(len(beyond), data.limit), "^", color=COLOURS[i % len(COLOURS)], markerfacecolor="none")
    ax.set_yscale("log")
    ax.set_xlabel("dimension n of a pattern")
    ax.set_ylabel("patterns")
    ax.set_title(
        f"recall of half from {data.corruption:.0%} corruption (△: above {data.limit:,})", fontsize=10, loc="left"
    )
    ax.legend(fontsize=SMALL, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax
