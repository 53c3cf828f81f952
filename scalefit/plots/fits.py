"""Figures of a fit: losses over compute with the law's intervals, residuals, profiles.

What is drawn is a frozen record of numbers, which :mod:`scalefit.fitting.figures` computes; drawing takes an ``ax``.
Sizes are told apart by brightness and by labels on the curves, series by colour and marker, so that no figure needs the
reader to tell red from green.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit._latex import symbol
from scalefit._text import percent
from scalefit._typing import Array
from scalefit.plots._axes import (
    COLOURS,
    DASHES,
    INPUTS,
    LOSS,
    SMALL,
    axes_for,
    label_ends,
    log_axis,
    marker,
    note_in_corner,
    ramp,
    ramp_map,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


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
        The fitted law as math text, runs and objective.
    label : str
        What is predicted, with its unit.
    """

    axis: str
    x: Array
    loss: Array
    N: Array | None
    series: tuple[str, ...]
    curves: tuple[Curve, ...]
    level: float
    title: str
    label: str = LOSS


@dataclass(frozen=True, slots=True, eq=False)
class ProfileData:
    """What :func:`draw_profile` draws: the objective along one parameter, over its value at the optimum."""

    name: str
    value: Array
    excess: Array
    best: float
    interval: tuple[float, float]
    level: float


def draw_fit(data: FitData, ax: Axes | None = None, *, log_y: bool = False) -> Axes:
    """Draw runs and law; the bands are intervals for a new run."""
    axes = axes_for(ax, (7, 4.5))
    if data.axis == "loss":
        span = [min(data.x.min(), data.loss.min()), max(data.x.max(), data.loss.max())]
        axes.plot(span, span, color="0.6", lw=1, zorder=1)
    colours = _Colours(data)
    for curve in data.curves:
        colour = colours.of(curve.N, curve.series)
        axes.fill_between(curve.x, curve.lower, curve.upper, color=colour, alpha=0.15, lw=0)
        axes.plot(curve.x, curve.loss, color=colour, lw=1.6, ls=colours.dashes(curve.series))
    colours.scatter(axes, data)
    axes.set_title(data.title, fontsize=10, loc="left")
    if data.axis == "loss":
        axes.set_xlabel(f"predicted {data.label}")
    else:
        log_axis(axes, "x", data.axis)
    axes.set_ylabel(data.label)
    if log_y:
        log_axis(axes, "y", label=data.label)
    label_ends(axes, [(float(curve.x[-1]), float(curve.loss[-1]), curve.label) for curve in data.curves])
    if data.curves:
        note_in_corner(axes, f"bands: {percent(data.level)} for a new run")
    return axes


def draw_profile(data: ProfileData, ax: Axes | None = None) -> Axes:
    """Draw the objective along one parameter, the others refitted; the grey band is its interval."""
    axes = axes_for(ax, (7, 4.5))
    axes.axvspan(*data.interval, color="0.88", lw=0)
    axes.plot(data.value, 100 * data.excess, color=COLOURS[0], lw=1.8, marker=".", ms=4)
    axes.axvline(data.best, color=COLOURS[1], lw=1.2, ls="--")
    top = 100 * np.nanmax(np.interp(data.interval, data.value, data.excess)) * 2.5
    if np.isfinite(top) and top > 0:
        axes.set_ylim(-0.04 * top, top)
    axes.set_xlim(data.value[0], data.value[-1])
    axes.set_xlabel(symbol(data.name))
    axes.set_ylabel("objective above its minimum [%]")
    text = f"{symbol(data.name)} = {data.best:.3g}, {percent(data.level)} interval in grey"
    axes.set_title(text, fontsize=10, loc="left")
    return axes


class _Colours:
    """One colour per series, or brightness by size."""

    def __init__(self, data: FitData) -> None:
        from matplotlib.colors import LogNorm

        self.names = list(dict.fromkeys(data.series))
        self.norm: Any = None
        if data.N is not None and np.ptp(np.log(data.N)) > 0 and not self.names and data.axis != "N":
            self.norm = LogNorm(data.N.min(), data.N.max())

    def of(self, N: float, series: str) -> Any:
        if self.names:
            return COLOURS[self.names.index(series) % len(COLOURS)]
        return COLOURS[0] if self.norm is None or not np.isfinite(N) else ramp(float(self.norm(N)))

    def dashes(self, series: str) -> Any:
        return DASHES[self.names.index(series) % len(DASHES)] if self.names else "-"

    def scatter(self, axes: Axes, data: FitData) -> None:
        style: dict[str, Any] = {"s": 26, "edgecolor": "white", "linewidth": 0.4, "zorder": 3}
        if self.names:
            for k, name in enumerate(self.names):
                rows = np.array([label == name for label in data.series])
                colour = COLOURS[k % len(COLOURS)]
                axes.scatter(data.x[rows], data.loss[rows], color=colour, marker=marker(k), label=name, **style)
            axes.legend(frameon=False, loc="lower left", fontsize=SMALL)
        elif self.norm is None:
            axes.scatter(data.x, data.loss, color=COLOURS[0], **style)
        else:
            points = axes.scatter(data.x, data.loss, c=data.N, cmap=ramp_map(), norm=self.norm, **style)
            figure = axes.get_figure()
            if figure is not None:
                bar = figure.colorbar(points, ax=axes, label=INPUTS["N"], pad=0.01)
                log_axis(bar.ax, "y", "N")
