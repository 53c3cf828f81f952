"""Drawing of a live run: its curve, the forecast's band, its floors and what-if branches."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalefit.plots._axes import axes_for
from scalefit.stopping.figures import MonitorFigure


def draw_monitor(picture: MonitorFigure, ax: Any = None) -> Any:
    """Draw a run and its forecast.

    Parameters
    ----------
    picture : MonitorFigure
        What to draw.
    ax : matplotlib Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib Axes
    """
    ax = axes_for(ax, (7, 4.5))
    ax.plot(picture.steps, picture.loss, color="0.25", lw=1.2, label="logged")
    for i, branch in enumerate(picture.branches):
        colour = f"C{i}"
        ax.plot(branch.steps, branch.loss, color=colour, lw=1.2, ls="--", label=f"{branch.name}: {branch.loss[-1]:.3f}")
        ax.fill_between(branch.steps, branch.lower, branch.upper, color=colour, alpha=0.2, lw=0)
    for name, value in picture.floors.items():
        ax.axhline(value, color="0.6", lw=0.8, ls=":")
        ax.annotate(f"{name.replace('_', ' ')} {value:.2f}", (1, value), xycoords=("axes fraction", "data"),
                    ha="right", va="bottom", fontsize=8, color="0.4")  # fmt: skip
    if len(picture.settled):  # the fall before and during the warm-up would flatten the rest
        values = [
            picture.settled,
            *(np.r_[b.lower, b.upper] for b in picture.branches),
            np.array(list(picture.floors.values())),
        ]
        every = np.concatenate(values)
        pad = 0.05 * float(np.ptp(every)) + 1e-3
        ax.set_ylim(float(every.min()) - pad, float(every.max()) + pad)
    ax.set_xlabel("step")
    ax.set_ylabel(f"loss [{picture.unit}]")
    ax.set_title(picture.title)
    ax.legend(frameon=False, fontsize=9)
    return ax
