"""The numbers behind a forecast's figure: runs, the frontier through and beyond them, and widening intervals."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalefit._arguments import check_number
from scalefit._typing import AnyArray, Array
from scalefit.errors import ArgumentError, ScalefitWarning, arg
from scalefit.flops import SIZES
from scalefit.forecasting.costs import counted
from scalefit.forecasting.larger import falls_short, inputs_at, most_times
from scalefit.forecasting.notes import ODD
from scalefit.forecasting.own_noise import oddness

#: Points of the fan, and the level of its inner band.
_POINTS = 60
_INNER = 0.5
#: How far the fan goes below the lowest loss of a forecast by a loss, as a share of it.
_AHEAD = 0.8


@dataclass(frozen=True, slots=True, eq=False)
class ForecastData:
    """What :func:`scalefit.plots.forecast.draw_forecast` draws.

    Parameters
    ----------
    x, loss : ndarray (n,)
        The runs: compute [FLOP] (or the law's one input) and loss.
    outlying : ndarray of bool (n,)
        Whether a run was taken for an outlier.
    fan_x, fan_loss : ndarray (m,)
        Larger runs, compute-optimal by the law: compute (or the law's one input) and forecast loss.
    bands : tuple of (level, lower (m,), upper (m,))
        Intervals, the widest first.
    edge : float
        Where the forecast begins on that axis: the largest run, or the lowest loss of a forecast by a loss.
    label, title, target, axis, edge_label : str
        The axis in words, the law, the target with its unit, the axis's name, and what the edge is.
    points : tuple of (x, loss, lower, upper)
        Runs asked for, with the wide interval.
    """

    x: Array
    loss: Array
    outlying: AnyArray
    fan_x: Array
    fan_loss: Array
    bands: tuple[tuple[float, Array, Array], ...]
    edge: float
    label: str
    title: str
    target: str
    axis: str = "C"
    edge_label: str = "largest run"
    points: tuple[tuple[float, float, float, float], ...] = ()


def forecast_data(
    result: Any, *, level: float = 0.9, ratio: float = 100.0, at: Mapping[str, Any] | str | Sequence[Any] = ()
) -> ForecastData:
    """Collect the numbers of the figure.

    Parameters
    ----------
    result : ForecastResult
        The forecast.
    level : float
        Coverage of the wide band; the narrow one covers half.
    ratio : float
        How far beyond the largest run the fan goes at least, as a multiple of its compute.
    at : mapping, str or sequence of these
        Runs to mark with their interval, by the law's inputs, by ``{"C": ...}`` at the best N and D, or
        as ``"10x"`` the largest run.
    """
    ratio = check_number("ratio", ratio)
    if not (np.isfinite(ratio) and ratio > 1):
        raise ArgumentError(
            f"{arg('ratio', ratio)} goes no further than the largest run", "nothing was drawn", "Give a factor above 1"
        )
    runs = counted(result)
    axis = "C" if "C" in runs else result.inputs[0]
    x = np.asarray(runs[axis], float)
    largest = float(x.max())
    asked = (at,) if isinstance(at, Mapping | str) else at
    points = tuple(_point(result, point, axis, level) for point in asked)
    ratio = max([ratio, *(1.2 * point[0] / largest for point in points)])
    farthest = min(ratio, most_times(result))
    falls = falls_short(result)  # better runs lie to the left
    ahead = [_AHEAD * float(x.min()), *(0.95 * point[0] for point in points)] if falls else []
    least = max(min([float(x.min()), *ahead]), result.law.declarations[axis].range[0] if falls else 0.0)
    ratios = np.minimum(np.geomspace(min(1.0, least / largest), farthest, _POINTS), farthest)
    where = result.larger_runs(ratios)
    bands = []
    for each in sorted({level, min(_INNER, level)}, reverse=True):
        table = result.predict_interval(level=each, **where)
        bands.append((each, table["lower"].to_numpy(float), table["upper"].to_numpy(float)))
    what = "the loss at the best N and D" if axis == "C" else f"the {result.target.name.replace('_', ' ')}"
    return ForecastData(
        x=x,
        loss=result.problem.loss,
        outlying=np.abs(oddness(result.problem, result.fitted, result.discrepancy)) > ODD,
        fan_x=largest * ratios,
        fan_loss=np.asarray(result.predict(**where)),
        bands=tuple(bands),
        edge=float(x.min()) if falls else largest,
        label="training compute C [FLOP]" if axis == "C" else result.law.declarations[axis].label(axis),
        title=f"Forecast of {what}\n{result.n_runs} runs · law {result.law.name}",
        target=result.target.label(),
        axis=axis,
        edge_label=f"lowest {axis}" if falls else "largest run",
        points=points,
    )


def _point(result: Any, at: Mapping[str, Any] | str, axis: str, level: float) -> tuple[float, float, float, float]:
    """Place, loss and interval of one run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ScalefitWarning)  # the figure shows how far beyond the runs it is
        inputs = inputs_at(result, at)
        row = result.predict_interval(level=level, **inputs).iloc[0]
    if axis in inputs:
        x = inputs[axis]
    elif axis == "C" and set(SIZES) <= set(inputs):
        x = float(result.cost.train(**{key: inputs[key] for key in (*SIZES, *result.cost.reads)}))
    else:
        raise ArgumentError(
            f"{arg('at', at)} does not say where on the axis of {axis} the run lies",
            "nothing was drawn",
            f"Give {axis} too",
        )
    return float(x), float(row["loss"]), float(row["lower"]), float(row["upper"])
