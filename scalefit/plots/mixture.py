"""Shares of an optimal mixture with their intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit._text import percent
from scalefit.plots._axes import COLOURS, SMALL, axes_for

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_mixture(table: Any, level: float, within: str, ax: Axes | None = None) -> Axes:
    """Draw the table of a :class:`scalefit.mixture.result.OptimalMixture` on `ax`, or on new axes."""
    axes = axes_for(ax, (7, 1.2 + 0.32 * len(table)))
    at = np.arange(len(table))[::-1]
    share = table["share"].to_numpy()
    flat, tried = (table[[f"{name}_lower", f"{name}_upper"]].to_numpy() for name in ("within", "tried"))
    axes.barh(at, flat[:, 1] - flat[:, 0], left=flat[:, 0], height=0.7, color="0.72", label=within)
    axes.hlines(at, table["lower"], table["upper"], color=COLOURS[0], lw=3, label=f"{percent(level)} interval")
    axes.plot(share, at, "o", color=COLOURS[0], label="share")
    axes.plot(tried[:, 1], at, "|", color=COLOURS[1], ms=10, label="largest share tried")
    axes.set(yticks=at, yticklabels=[str(name) for name in table.index], xlabel="share of the training tokens")
    axes.set_xlim(left=-0.01)
    axes.legend(fontsize=SMALL, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4, frameon=False)
    return axes
