"""IsoFLOP curves with their optima."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from scalefit._text import power
from scalefit._typing import Array
from scalefit.plots._axes import COLOURS, LOSS, SMALL, axes_for, label_ends, log_axis, outlined, ramp


@dataclass(frozen=True, slots=True, eq=False)
class IsoflopFigure:
    """What :func:`draw_isoflop` draws.

    Attributes
    ----------
    budgets : list of float
        Compute of each curve [FLOP].
    sizes, losses : list of ndarray
        Runs of each budget: N [parameters] and loss [nat/token].
    fitted : list of (ndarray, ndarray) or None
        The method's curve through each budget; None where it was refused.
    optima : ndarray (m, 2)
        N and loss of the optima.
    strange : ndarray (s, 2)
        N and loss of runs off their curve.
    title : str
        The method, and the exponent with its interval.
    """

    budgets: list[float]
    sizes: list[Array]
    losses: list[Array]
    fitted: list[tuple[Array, Array] | None]
    optima: Array
    strange: Array
    title: str


def draw_isoflop(data: IsoflopFigure, ax: Any = None) -> Any:
    """Draw the curves of every budget, their optima, and runs off their curve (crossed); returns the axes."""
    ax = axes_for(ax, (7, 4.5))
    colours = ramp(np.linspace(0, 1, len(data.budgets)))
    ends = []
    for budget, size, loss, fit, colour in zip(
        data.budgets, data.sizes, data.losses, data.fitted, colours, strict=True
    ):
        ax.plot(size, loss, "o", ms=4, color=colour, markerfacecolor=colour if fit is not None else "white")
        if fit is not None:
            ax.plot(*fit, "-", lw=1.2, color=colour)
        ends.append((float(size[-1]), float(loss[-1]), f"{power(budget, 2)} FLOP"))
    path: dict[str, Any] = {"color": COLOURS[1], "mec": "white", "mew": 0.8, "path_effects": outlined(3)}
    ax.plot(data.optima[:, 0], data.optima[:, 1], "*-", ms=12, lw=1.6, label="optima", zorder=4, **path)
    if data.strange.size:
        ax.plot(data.strange[:, 0], data.strange[:, 1], "x", color="black", ms=8, label="off its curve")
    log_axis(ax, "x", "N")
    ax.set_ylabel(LOSS)
    label_ends(ax, ends)
    ax.set_title(data.title, fontsize=10, loc="left")
    ax.legend(fontsize=SMALL)
    return ax
