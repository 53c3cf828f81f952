"""The final loss of a run: which quantity, how it was taken from the curve, and its standard error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from scalefit._typing import Array
from scalefit.collecting.records import Run, number
from scalefit.errors import DataError, arg
from scalefit.integrations import _log_columns as names

WAYS = ("last", "mean", "best")
_LEAST = 6  # points that tell a scatter
_WINDOW = 12  # evaluations before the end whose scatter is that of the last one


@dataclass(frozen=True)
class Final:
    """A final loss, the step at which it was reached (NaN: not known), and how it was taken."""

    loss: float
    error: float
    unit: str
    column: str
    way: str
    step: float
    is_validation: bool
    remark: str = ""


def find(run: Run, loss: str | None, way: str | None, k: int | None) -> Final | None:
    """Take the final loss of a run; None if it logged no loss.

    Parameters
    ----------
    run : Run
        What was logged.
    loss : str, optional
        Name of the quantity; otherwise the validation loss by its usual names, else the training loss.
    way : {"last", "mean", "best"}, optional
        The last value, the mean of the last `k`, or the smallest. By default the last of a validation loss and the
        mean of the last tenth of a training loss.
    k : int, optional
        Values in the mean.

    Raises
    ------
    DataError
        Several quantities fit, or the one that was asked for is not there.
    """
    curves = [name for name, (steps, _) in run.series.items() if len(steps)]
    column, held_out = _column(run, curves, loss)
    if column is not None:
        steps, values = run.series[column]
        way = way or ("last" if held_out else "mean")
        chosen, error, step, text = _taken(steps, values, way, k)
    else:
        single = [name for name in run.summary if number(run.summary[name]) is not None]
        column, held_out = _column(run, single, loss, is_last=True)
        if column is None:
            return None
        chosen, error, step, text = float(run.summary[column]), math.nan, math.nan, "last (the summary's)"
    unit, remark, is_perplexity = _unit(str(column))
    if is_perplexity:
        chosen, error = math.log(chosen) if chosen > 0 else math.nan, error / chosen if chosen > 0 else math.nan
    return Final(chosen, error, unit, str(column), text, step, held_out, remark)


@lru_cache(maxsize=1024)
def _unit(column: str) -> tuple[str, str, bool]:
    """Unit of a quantity, a remark on it, and whether it is a perplexity, of which the logarithm is taken."""
    nats, unit, remark = names.in_nats(pd.Series([1.0]), column)
    return unit, remark, float(nats.iloc[0]) == 0.0


def _column(run: Run, known: Sequence[str], loss: str | None, is_last: bool = False) -> tuple[Any, bool]:
    """The loss among quantities, and whether its data were held out."""
    if loss is not None:
        if loss in known:
            return loss, names.is_validation(loss)
        if not is_last:
            return None, False
        everything = [*run.series, *run.summary]
        raise DataError(
            f"{run.source} has no {loss!r} among {names.listed(everything)}",
            "no table was made",
            f"Name the loss with {arg('loss')}, or leave it out",
        )
    try:
        for name in names.LOSSES:
            column = names.find(known, name, None)
            if column is not None:
                return column, name == "val_loss"
    except DataError as error:
        listed = error.seen.split(": ", 1)[-1]
        raise DataError(
            f"{run.source}: several losses fit ({listed})", "none was taken", f"Choose one with {arg('loss')}"
        ) from None
    return None, False


def _taken(steps: Array, values: Array, way: str, k: int | None) -> tuple[float, float, float, str]:
    """Value, standard error, step and the way in words."""
    if way == "best":
        finite = np.where(np.isfinite(values), values, np.inf)
        at = int(np.argmin(finite))
        return float(values[at]), math.nan, float(steps[at]), "best"
    if way == "last":
        late = slice(-min(_WINDOW, max(_LEAST, len(values) // 2)), None)
        return float(values[-1]), _scatter(steps[late], values[late]), float(steps[-1]), "last"
    count = min(k or _default_k(len(values)), len(values))
    window = values[-count:]
    return float(np.mean(window)), _error_of_mean(steps[-count:], window), float(steps[-1]), f"mean of last {count}"


def _default_k(n: int) -> int:
    """A tenth of the values, at least ten where that is no more than half of them, at most 200."""
    return max(1, min(200, max(round(n / 10), min(10, n // 2))))


def _scatter(steps: Array, values: Array) -> float:
    """Standard deviation of one value about a parabola in the logarithm of the step, which a loss curve hardly leaves.

    Neighbours that err alike take from it: it is then the scatter about what they share.
    """
    n = len(values)
    if n < _LEAST or not np.isfinite(values).all() or steps[0] < 0:
        return math.nan
    at = np.log(steps + 1.0)
    at = (at - at.mean()) / (np.ptp(at) or 1.0)
    design = np.vander(at, 3)
    left = values - design @ np.linalg.lstsq(design, values, rcond=None)[0]
    return math.sqrt(float(left @ left) / (n - 3))


def _error_of_mean(steps: Array, values: Array) -> float:
    """Standard error of a mean about a straight line, with the values that the correlation of neighbours leaves."""
    n = len(values)
    if n < _LEAST or not np.isfinite(values).all() or np.ptp(steps) == 0:
        return math.nan
    centred = (steps - steps.mean()) / np.ptp(steps)
    slope = float(centred @ values / (centred @ centred))
    left = values - values.mean() - slope * centred
    total = float(left @ left)
    if total == 0.0:
        return 0.0
    together = min(max(float(left[1:] @ left[:-1]) / total, 0.0), 0.99)
    return math.sqrt(total / (n - 2) * (1 + together) / (1 - together) / n)
