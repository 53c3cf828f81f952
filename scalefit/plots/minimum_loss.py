"""The minimum loss of a plan, by law: a point each, with an interval where one is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalefit._typing import AnyArray, Array
from scalefit.plots._axes import COLOURS, MARKERS, SMALL, axes_for

_KINDS = {"forecast": COLOURS[1], "published": COLOURS[0], "hypothesis": COLOURS[3], "entropy": COLOURS[2]}


@dataclass(frozen=True, slots=True, eq=False)
class MinimumLossFigure:
    """What :func:`draw_minimum_loss` draws.

    Attributes
    ----------
    labels : sequence of str
        Names of the rows.
    loss, lower, upper : ndarray (n,)
        Loss and its interval [nat/token]; NaN where none is known, infinite where there is no upper limit.
    holds : ndarray of bool (n,)
        Whether the row's runs covered the plan.
    kind : sequence of str
        ``"forecast"``, ``"published"``, ``"hypothesis"`` or ``"entropy"``.
    title : str
        The plan.
    """

    labels: Sequence[str]
    loss: Array
    lower: Array
    upper: Array
    holds: AnyArray
    kind: Sequence[str]
    title: str


def draw_minimum_loss(data: MinimumLossFigure, ax: Any = None) -> Any:
    """Draw one row per law, filled where its runs covered the plan; an interval without an end runs to the edge."""
    ax = axes_for(ax, (8, 1.2 + 0.3 * len(data.labels)))
    edge = 1.5 * float(data.loss[np.isfinite(data.loss)].max())  # an upper end may be any number of decades away
    seen: set[str] = set()
    for i, kind in enumerate(data.kind):
        colour = _KINDS[kind]
        if not np.isnan(data.lower[i]):
            inside = bool(data.upper[i] <= edge)
            ax.plot([data.lower[i], data.upper[i] if inside else edge], [i, i], "-", color=colour, lw=1.5)
            if not inside:
                ax.plot(edge, i, ">", color=colour, ms=6, clip_on=False)
        if np.isfinite(data.loss[i]):
            face = colour if data.holds[i] else "white"
            label = kind if kind not in seen else None
            mark = MARKERS[list(_KINDS).index(kind)]
            ax.plot(data.loss[i], i, mark, color=colour, markerfacecolor=face, label=label)
            seen.add(kind)
    ax.set_yticks(range(len(data.labels)), list(data.labels), fontsize=SMALL)
    ax.invert_yaxis()
    ax.set_xlim(-0.02 * edge, edge)  # a mark at 0 is drawn whole
    ax.set_xlabel("loss [nat/token]; filled: the law's runs covered the plan")
    ax.set_title(data.title, fontsize=10, loc="left")
    ax.legend(fontsize=SMALL, loc="best")
    return ax
