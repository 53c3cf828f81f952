"""The best settings of the cells of a sweep, and their laws, against training tokens."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalefit._text import count
from scalefit.plots._axes import COLOURS, axes_for, new_grid


def draw_hyperparameters(data: Any, ax: Any = None) -> Any:
    """Draw a :class:`scalefit.tuning.figures.HyperparameterFigure`.

    Parameters
    ----------
    data : HyperparameterFigure
        The numbers.
    ax : Axes, optional
        Where to draw a figure of one panel.

    Returns
    -------
    Axes or ndarray of Axes
        One per setting.
    """
    n = len(data.panels)
    axes = np.array([axes_for(ax, (6, 4.5))], object) if n == 1 or ax is not None else new_grid(1, n, (5.5 * n, 4.5))
    for axis, (name, points, lines) in zip(axes, data.panels, strict=False):
        sizes = np.array([line[0] for line in lines])
        for colour, (size, D, best, lower, upper) in zip(COLOURS, lines, strict=False):
            axis.fill_between(D, lower, upper, color=colour, alpha=0.15, linewidth=0)
            axis.plot(D, best, color=colour, label=f"N = {count(size)}")
        nearest = np.abs(np.log(points[0][:, None] / sizes)).argmin(axis=1)
        for i, (_, D, best, lower, upper) in enumerate(points.T):
            bar = [[best - lower], [upper - best]]
            axis.errorbar([D], [best], yerr=bar, color=COLOURS[nearest[i] % len(COLOURS)], marker="o", capsize=2)
        axis.set(xscale="log", yscale="log", xlabel="training tokens D", ylabel=f"best {name}", title=data.title)
        axis.legend(fontsize="small")
    return axes[0] if n == 1 or ax is not None else axes
