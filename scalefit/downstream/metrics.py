"""Values of a metric in a table, checked against its range."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalefit._typing import Array
from scalefit.errors import DataError, arg

#: A share above this is a percentage (a guess: shares end at 1).
_PERCENT = 1.5


def metric_values(column: Any, name: str, span: tuple[float, float]) -> Array:
    """A metric (n,), NaN where a model has none.

    Raises
    ------
    DataError
        A cell is not a number, or lies outside of the metric's range.
    """
    from scalefit.tables.cells import numbers

    values, unread = numbers(column)
    if unread:
        row, cell = next(iter(unread.items()))
        raise DataError(
            f"{name} of row {column.index[row]} is {cell}, not a number",
            "nothing was fitted",
            "Correct it, or leave it empty",
        )
    values = np.where(np.isfinite(values), values, np.nan)
    known = values[np.isfinite(values)]
    if known.size and (known.min() < span[0] or known.max() > span[1]):
        worst = known.max() if known.max() > span[1] else known.min()
        percent = span == (0.0, 1.0) and worst > _PERCENT
        raise DataError(
            f"{name} reaches {worst:g}, outside of its range {span[0]:g} to {span[1]:g}",
            "nothing was fitted",
            f"Pass {arg('range', (0, 100) if percent else ...)}" + (" for percentages" if percent else ""),
        )
    return np.asarray(values, float)
