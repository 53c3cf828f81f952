"""Axes of their own for figures: nothing is registered with pyplot, so nothing outside the figure changes."""

from __future__ import annotations

from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from scalefit._typing import AnyArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


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


def new_axes(size: tuple[float, float] = (7.0, 5.0)) -> Axes:
    """Return the axes of a new figure of `size` [inch]."""
    return new_figure(size).add_subplot()


def new_grid(rows: int, columns: int, size: tuple[float, float]) -> AnyArray:
    """Return the axes (rows * columns,) of a new figure of `size` [inch]."""
    return np.ravel(new_figure(size).subplots(rows, columns, squeeze=False))
