"""Several laws in one panel: runs, lines with bands, and a planned run with its intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scalefit._text import percent
from scalefit._typing import Array
from scalefit.plots._axes import COLOURS, DASHES, SMALL, axes_for, log_axis, marker

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, slots=True, eq=False)
class OverlayLine:
    """One law: its runs (n,), its line and band (m,), and the planned run as (x, loss, lower, upper)."""

    label: str
    runs_x: Array
    runs_loss: Array
    x: Array
    loss: Array
    lower: Array
    upper: Array
    planned: tuple[float, float, float, float] | None


@dataclass(frozen=True, slots=True, eq=False)
class OverlayData:
    """What :func:`draw_overlay` draws: axis, lines, level of the bands, label of what is predicted, and title."""

    axis: str
    lines: tuple[OverlayLine, ...]
    level: float
    label: str
    title: str


def draw_overlay(data: OverlayData, ax: Axes | None = None, *, log_y: bool = False) -> Axes:
    """Draw laws over each other; each has a colour and a marker of its own."""
    axes = axes_for(ax, (7, 4.5))
    banded = False
    for i, line in enumerate(data.lines):
        colour, mark, dashes = COLOURS[i % len(COLOURS)], marker(i), DASHES[i % len(DASHES)]
        if np.isfinite(line.lower).any():
            axes.fill_between(line.x, line.lower, line.upper, color=colour, alpha=0.15, lw=0)
            banded = True
        measured = np.size(line.runs_loss) > 0
        axes.plot(line.x, line.loss, color=colour, lw=1.8, ls=dashes, label=_label(line), markevery=[], markersize=5,
                  marker=mark if measured else None)  # fmt: skip
        if measured:
            axes.scatter(line.runs_x, line.runs_loss, color=colour, marker=mark, s=22, edgecolor="white", lw=0.4)
        if line.planned is not None:
            x, loss, lower, upper = line.planned
            ends = None if not np.isfinite(lower + upper) else [[loss - lower], [upper - loss]]
            axes.errorbar(x, loss, yerr=ends, color=colour, marker="*", ms=12, mec="black", mew=0.6, capsize=4, lw=1.6,
                          zorder=5)  # fmt: skip
    log_axis(axes, "x", data.axis)
    axes.set_ylabel(data.label)
    if log_y:
        log_axis(axes, "y", label=data.label)
    bands = f" · bands: {percent(data.level)} for a new run" if banded else ""
    axes.set_title(data.title + bands, fontsize=10, loc="left")
    axes.legend(frameon=False, fontsize=SMALL)
    return axes


def _label(line: OverlayLine) -> str:
    if line.planned is None:
        return line.label
    _, loss, lower, upper = line.planned
    return f"{line.label}: {loss:#.3g}" + (f" [{lower:#.3g}, {upper:#.3g}]" if np.isfinite(lower + upper) else "")
