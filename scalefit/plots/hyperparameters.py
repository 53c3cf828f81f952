"""The best settings of the cells of a sweep, and their laws, against training tokens."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalefit._text import count
from scalefit.plots._axes import SMALL, axes_for, log_axis, marker, new_grid, ramp


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
        colours = ramp(np.linspace(0, 1, len(lines)))
        for k, (colour, (size, D, best, lower, upper)) in enumerate(zip(colours, lines, strict=True)):
            axis.fill_between(D, lower, upper, color=colour, alpha=0.15, linewidth=0)
            axis.plot(D, best, color=colour, marker=marker(k), markevery=[], label=f"N = {count(size)}")
        nearest = np.abs(np.log(points[0][:, None] / sizes)).argmin(axis=1)
        for i, (_, D, best, lower, upper) in enumerate(points.T):
            bar = [[best - lower], [upper - best]]
            axis.errorbar([D], [best], yerr=bar, color=colours[nearest[i]], marker=marker(nearest[i]), capsize=2)
        log_axis(axis, "x", "D")
        log_axis(axis, "y", f"best {name}")
        axis.set_title(data.title, fontsize=10, loc="left")
        axis.legend(fontsize=SMALL)
    return axes[0] if n == 1 or ax is not None else axes
