"""IsoFLOP curves with their optima."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from scalefit._typing import Array
from scalefit.plots._axes import axes_for


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
    import matplotlib

    ax = axes_for(ax)
    colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.9, len(data.budgets)))
    for budget, size, loss, fit, colour in zip(
        data.budgets, data.sizes, data.losses, data.fitted, colours, strict=True
    ):
        ax.plot(size, loss, "o", ms=4, color=colour, alpha=1.0 if fit is not None else 0.35)
        if fit is not None:
            ax.plot(*fit, "-", lw=1, color=colour)
        text = f"{budget:.2g} FLOP"
        ax.annotate(text, (size[-1], loss[-1]), fontsize=7, xytext=(6, 0), textcoords="offset points", va="center")
    ax.plot(data.optima[:, 0], data.optima[:, 1], "*-", color="crimson", ms=10, lw=1, label="optima")
    if data.strange.size:
        ax.plot(data.strange[:, 0], data.strange[:, 1], "x", color="black", ms=8, label="off its curve")
    ax.set(xscale="log", xlabel="N [parameters]", ylabel="loss [nat/token]")
    left, right = ax.get_xlim()
    ax.set_xlim(left, right * (right / left) ** 0.12)  # room for the labels of the largest sizes
    ax.set_title(data.title, fontsize=9)
    ax.legend(fontsize=8)
    return ax
