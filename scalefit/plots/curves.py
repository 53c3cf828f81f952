"""Drawing of a live run: its curve, the forecast's band, its floors and what-if branches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from scalefit._text import percent
from scalefit._typing import Array
from scalefit.plots._axes import COLOURS, DASHES, SMALL, axes_for, marker


@dataclass(frozen=True, slots=True, eq=False)
class Branch:
    """A forecast path: loss, lower and upper [nat/token] at steps, shape (k,)."""

    name: str
    steps: Array
    loss: Array
    lower: Array
    upper: Array


@dataclass(frozen=True, slots=True, eq=False)
class MonitorFigure:
    """What is drawn of a monitor; `settled`, for the axis, are the losses after the first fall, or else all."""

    steps: Array
    loss: Array
    settled: Array
    branches: tuple[Branch, ...]
    floors: dict[str, float]
    title: str
    level: float
    unit: str


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
        colour, dashes = COLOURS[i % len(COLOURS)], DASHES[1 + i % (len(DASHES) - 1)]
        end, low, high = branch.loss[-1], branch.lower[-1], branch.upper[-1]
        name = "planned schedule" if branch.name == "plan" else branch.name
        label = f"{name}: {end:.3f} [{low:.3f}, {high:.3f}] at step {branch.steps[-1]:,.0f}"
        ax.plot(branch.steps, branch.loss, color=colour, lw=1.8, ls=dashes, label=label)
        ax.fill_between(branch.steps, branch.lower, branch.upper, color=colour, alpha=0.18, lw=0)
        ends = [[max(end - low, 0.0)], [max(high - end, 0.0)]]
        ax.errorbar(branch.steps[-1:], [end], yerr=ends, color=colour, marker=marker(i), ms=6, capsize=4, lw=1.6)
    for name, value in picture.floors.items():
        ax.axhline(value, color="0.45", lw=1, ls=":")
        ax.annotate(f"{name.replace('_', ' ')} {value:.2f}", (1, value), xycoords=("axes fraction", "data"),
                    ha="right", va="bottom", fontsize=SMALL, color="0.3")  # fmt: skip
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
    ax.set_title(picture.title, fontsize=10, loc="left")
    ax.legend(frameon=False, fontsize=SMALL, title=f"{percent(picture.level)} bands", title_fontsize=SMALL)
    return ax
