"""Axes of their own for figures: nothing is registered with pyplot, so nothing outside the figure changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scalefit._typing import AnyArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def new_axes(size: tuple[float, float] = (7.0, 5.0)) -> Axes:
    """Return the axes of a new figure of `size` [inch]."""
    from matplotlib.figure import Figure

    return Figure(figsize=size, layout="constrained").add_subplot()


def new_grid(rows: int, columns: int, size: tuple[float, float]) -> AnyArray:
    """Return the axes (rows * columns,) of a new figure of `size` [inch]."""
    from matplotlib.figure import Figure

    return np.ravel(Figure(figsize=size, layout="constrained").subplots(rows, columns, squeeze=False))
