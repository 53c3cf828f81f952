"""A metric on a task over the loss, with its curve and band."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scalefit.plots._axes import COLOURS, SMALL, axes_for

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_downstream(data: Any, ax: Axes | None = None) -> Axes:
    """Draw a :class:`scalefit.downstream.figures.DownstreamFigure` on `ax`, or on new axes."""
    ax = axes_for(ax, (7, 4.5))
    ax.fill_between(data.grid, data.lower, data.upper, color=COLOURS[0], alpha=0.2, linewidth=0)
    ax.plot(data.grid, data.value, color=COLOURS[0], label="median curve")
    ax.plot(data.loss, data.metric, "o", color="black", markersize=3, label="models")
    ax.axhline(data.chance, color="0.35", linestyle=":", linewidth=1, label="guessing")
    ax.axvline(float(data.loss.min()), color="0.35", linewidth=0.7, label="lowest loss seen")
    ax.invert_xaxis()
    ax.set(xlabel=data.loss_label, ylabel=data.task)
    ax.set_title(data.title, fontsize=10, loc="left")
    ax.legend(fontsize=SMALL)
    return ax
