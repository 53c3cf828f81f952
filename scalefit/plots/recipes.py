"""The compute multiplier of recipes over a baseline, against compute."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scalefit.plots._axes import COLOURS, DASHES, SMALL, axes_for, log_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_recipes(data: Any, ax: Axes | None = None) -> Axes:
    """Draw the bands of a :class:`scalefit.comparison.recipes_result.RecipeFigure` on `ax`, or on new axes."""
    ax = axes_for(ax, (7, 4.5))
    for i, (label, C, middle, lower, upper) in enumerate(data.bands):
        colour = COLOURS[i % len(COLOURS)]
        ax.fill_between(C, lower, upper, color=colour, alpha=0.2, linewidth=0)
        ax.plot(C, middle, color=colour, ls=DASHES[i % len(DASHES)], lw=1.8, label=str(label))
    ax.axhline(1.0, color="black", linewidth=1)
    ax.axvline(data.largest, color="0.35", linestyle=":", linewidth=1, label="most expensive run of both")
    log_axis(ax, "x", "C")
    ax.set_title(data.title, fontsize=10, loc="left")
    log_axis(ax, "y", f"compute multiplier over {data.baseline}")
    ax.legend(fontsize=SMALL)
    return ax
