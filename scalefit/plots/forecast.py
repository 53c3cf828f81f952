"""The forecast fan: runs, the law's frontier through and beyond them, and intervals that widen with compute."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scalefit._text import percent
from scalefit.plots._axes import COLOURS, SMALL, axes_for, log_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_forecast(data: Any, ax: Axes | None = None, *, log_y: bool = False) -> Axes:
    """Draw the fan of a :class:`scalefit.forecasting.figures.ForecastData` on `ax`, or on new axes."""
    ax = axes_for(ax, (7, 4.5))
    lines: list[Any] = []
    for i, (level, lower, upper) in enumerate(data.bands):
        style: dict[str, Any] = {"color": COLOURS[0], "alpha": 0.18 + 0.17 * i, "linewidth": 0}
        lines.append(ax.fill_between(data.fan_x, lower, upper, label=f"{percent(level)} interval", **style))
    ax.plot(data.fan_x, data.fan_loss, color=COLOURS[0], lw=1.8, label="forecast")
    kept = ~data.outlying
    ax.plot(data.x[kept], data.loss[kept], "o", color="black", markersize=3, label="runs")
    if not kept.all():
        ax.plot(data.x[~kept], data.loss[~kept], "x", color=COLOURS[1], markersize=5, label="outliers")
    ax.axvline(data.edge, color="0.35", linestyle=":", linewidth=1.2, label=data.edge_label)
    for i, (x, loss, lower, upper) in enumerate(data.points):
        entry = f"asked for, {percent(data.bands[0][0])}" if i == 0 else None
        style = {"color": COLOURS[1], "marker": "*", "ms": 11, "mec": "black", "mew": 0.6, "capsize": 4, "ls": "none"}
        ax.errorbar(x, loss, yerr=[[loss - lower], [upper - loss]], label=entry, zorder=4, **style)
    log_axis(ax, "x", data.axis, data.label)
    ax.set_ylabel(data.target)
    if log_y:
        log_axis(ax, "y", label=data.target)
    ax.set_title(data.title, fontsize=10, loc="left")
    ax.legend(fontsize=SMALL)
    return ax
