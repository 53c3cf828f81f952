"""Axes of their own for figures: nothing is registered with pyplot, so nothing outside the figure changes.

Colours, markers and labels that figures share stand here too.
"""

from __future__ import annotations

from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit._typing import AnyArray
from scalefit.errors import ArgumentError, arg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Okabe & Ito's palette, darkest contrasts first.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "osD^vP*X"
#: Labels of axes.
INPUTS = {"N": "parameters N", "D": "training tokens D", "C": "training compute C [FLOP]"}


@cache
def _figure_class() -> type[Figure]:
    """Return a figure that shows itself in a notebook, where only pyplot's figures do so by themselves."""
    from matplotlib.figure import Figure

    class NotebookFigure(Figure):
        def _repr_png_(self) -> bytes:
            buffer = BytesIO()
            self.savefig(buffer, format="png", dpi=80)
            return buffer.getvalue()

    return NotebookFigure


def new_figure(size: tuple[float, float]) -> Figure:
    """Return a new figure of `size` [inch]."""
    return _figure_class()(figsize=size, layout="constrained")


def axes_for(ax: Any, size: tuple[float, float] = (7.0, 5.0)) -> Axes:
    """Return the axes that were given, or those of a new figure of `size` [inch]; not of a path."""
    from matplotlib.axes import Axes

    if ax is None:
        return new_figure(size).add_subplot()
    if not isinstance(ax, Axes):
        raise ArgumentError(
            f"{arg('ax', ax)} is not a matplotlib Axes",
            "nothing was drawn",
            "Pass axes, or leave ax out and save what is returned: plot().figure.savefig(path)",
        )
    return ax


def new_grid(rows: int, columns: int, size: tuple[float, float]) -> AnyArray:
    """Return the axes (rows * columns,) of a new figure of `size` [inch]."""
    return np.ravel(new_figure(size).subplots(rows, columns, squeeze=False))
