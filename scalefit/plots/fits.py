"""Figures of a fit: losses over compute with the law's intervals, residuals, profiles.

What is drawn is a frozen record of numbers, which :mod:`scalefit.fitting.figures` computes; drawing takes an ``ax``.
Sizes are told apart by brightness (viridis) and by labels on the curves, series by colour and marker (Okabe & Ito), so
that no figure needs the reader to tell red from green.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit._text import percent
from scalefit._typing import Array
from scalefit.plots._axes import COLOURS, INPUTS, MARKERS, axes_for

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MAP = "viridis"


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """The law along one line through its inputs.

    Parameters
    ----------
    label : str
        What is held along it.
    x, loss, lower, upper : ndarray (m,)
        Abscissa, predicted loss [nat/token], and the interval for a new run.
    N : float
        Size [parameters] held along it; NaN where none is.
    series : str
        Series it belongs to; empty for plain fits.
    """

    label: str
    x: Array
    loss: Array
    lower: Array
    upper: Array
    N: float = np.nan
    series: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class FitData:
    """What :func:`draw_fit` draws.

    Parameters
    ----------
    axis : str
        Input on the abscissa: ``"C"``, or the one input of a law in one variable, or ``"loss"`` for laws that read
        other columns, where predictions stand over measurements.
    x, loss : ndarray (n,)
        The runs.
    N : ndarray (n,) or None
        Their sizes [parameters].
    series : tuple of str
        Series by run; empty for plain fits.
    curves : tuple of Curve
        The law.
    level : float
        Coverage of the bands.
    title : str
        Law and objective.
    """

    axis: str
    x: Array
    loss: Array
    N: Array | None
    series: tuple[str, ...]
    curves: tuple[Curve, ...]
    level: float
    title: str


@dataclass(frozen=True, slots=True, eq=False)
class ProfileData:
    """What :func:`draw_profile` draws: the objective along one parameter, over its value at the optimum."""

    name: str
    value: Array
    excess: Array
    best: float
    interval: tuple[float, float]
    level: float


def draw_fit(data: FitData, ax: Axes | None = None) -> Axes:
    """Draw runs and law; the bands are intervals for a new run."""
    axes = axes_for(ax, (7, 4.5))
    if data.axis == "loss":
        span = [min(data.x.min(), data.loss.min()), max(data.x.max(), data.loss.max())]
        axes.plot(span, span, color="0.6", lw=1, zorder=1)
    colours = _Colours(data)
    for curve in data.curves:
        colour = colours.of(curve.N, curve.series)
        axes.fill_between(curve.x, curve.lower, curve.upper, color=colour, alpha=0.18, lw=0)
        axes.plot(curve.x, curve.loss, color=colour, lw=1.6)
    colours.scatter(axes, data)
    axes.set_title(data.title, fontsize="medium", loc="left")
    axes.set_xscale("linear" if data.axis == "loss" else "log")
    axes.set_xlabel("predicted loss [nat/token]" if data.axis == "loss" else INPUTS.get(data.axis, data.axis))
    axes.set_ylabel("loss [nat/token]")
    _label_ends(axes, data)
    if data.curves:
        note = f"bands: {percent(data.level)} for a new run"
        axes.text(0.985, 0.975, note, transform=axes.transAxes, ha="right", va="top", fontsize="small", color="0.3")
    return axes


def draw_profile(data: ProfileData, ax: Axes | None = None) -> Axes:
    """Draw the objective along one parameter, the others refitted; the grey band is its interval."""
    axes = axes_for(ax, (7, 4.5))
    axes.axvspan(*data.interval, color="0.88", lw=0)
    axes.plot(data.value, 100 * data.excess, color=COLOURS[0], lw=1.8)
    axes.axvline(data.best, color=COLOURS[1], lw=1.2, ls="--")
    top = 100 * np.nanmax(np.interp(data.interval, data.value, data.excess)) * 2.5
    if np.isfinite(top) and top > 0:
        axes.set_ylim(-0.04 * top, top)
    width = data.interval[1] - data.interval[0]
    if np.isfinite(width):
        axes.set_xlim(
            max(data.interval[0] - width / 2, data.value[0]), min(data.interval[1] + width / 2, data.value[-1])
        )
    axes.set_xlabel(data.name)
    axes.set_ylabel("objective over optimum [%]")
    axes.set_title(f"{data.name}: {percent(data.level)} interval in grey", fontsize="medium", loc="left")
    return axes


class _Colours:
    """One colour a series, or brightness by size."""

    def __init__(self, data: FitData) -> None:
        import matplotlib
        from matplotlib.colors import LogNorm

        self.names = list(dict.fromkeys(data.series))
        self.norm: Any = None
        if data.N is not None and np.ptp(np.log(data.N)) > 0 and not self.names:
            self.norm = LogNorm(data.N.min(), data.N.max() * 1.5)  # the map's palest end is not used
            self.map = matplotlib.colormaps[_MAP]

    def of(self, N: float, series: str) -> Any:
        if self.names:
            return COLOURS[self.names.index(series) % len(COLOURS)]
        return COLOURS[0] if self.norm is None or not np.isfinite(N) else self.map(self.norm(N))

    def scatter(self, axes: Axes, data: FitData) -> None:
        style: dict[str, Any] = {"s": 26, "edgecolor": "white", "linewidth": 0.4, "zorder": 3}
        if self.names:
            for k, name in enumerate(self.names):
                rows = np.array([label == name for label in data.series])
                colour, marker = COLOURS[k % len(COLOURS)], MARKERS[k % len(MARKERS)]
                axes.scatter(data.x[rows], data.loss[rows], color=colour, marker=marker, label=name, **style)
            axes.legend(frameon=False, loc="lower left")
        elif self.norm is None:
            axes.scatter(data.x, data.loss, color=COLOURS[0], **style)
        else:
            points = axes.scatter(data.x, data.loss, c=data.N, cmap=self.map, norm=self.norm, **style)
            figure = axes.get_figure()
            if figure is not None:
                figure.colorbar(points, ax=axes, label=INPUTS["N"], pad=0.01)


def _label_ends(axes: Axes, data: FitData) -> None:
    """Put each curve's label at its right end, unless that would write over another."""
    from matplotlib.patheffects import withStroke

    low, high = axes.get_ylim()
    if any(curve.label for curve in data.curves):
        axes.set_xlim(right=axes.get_xlim()[1] * 1.6)  # room for the last label
    taken: list[float] = []
    for curve in sorted(data.curves, key=lambda item: item.loss[-1]):
        height = (curve.loss[-1] - low) / (high - low)
        if not curve.label or any(abs(height - other) < 0.035 for other in taken):
            continue
        taken.append(height)
        axes.annotate(
            curve.label,
            (curve.x[-1], curve.loss[-1]),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize="small",
            color="0.2",
            zorder=4,
            path_effects=[withStroke(linewidth=2.5, foreground="white")],
        )
