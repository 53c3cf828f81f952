"""The forecast fan: runs, the law's frontier through and beyond them, and intervals that widen with compute."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit._arguments import check_number
from scalefit._typing import Array
from scalefit.errors import ArgumentError
from scalefit.plots._axes import COLOURS, axes_for

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scalefit.forecasting.result import ForecastResult

_POINTS = 60
_INNER = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class ForecastData:
    """What :func:`draw_forecast` draws.

    Parameters
    ----------
    C, loss : ndarray (n,)
        The runs: compute [FLOP] and loss [nat/token].
    weight : ndarray (n,)
        Weight left to each run, 1 for all but outliers.
    fan_C, fan_loss : ndarray (m,)
        Compute-optimal runs by the law: compute and forecast loss.
    bands : tuple of (level, lower (m,), upper (m,))
        Intervals, the widest first.
    largest : float
        Compute of the largest run [FLOP].
    title, unit : str
        Law, and unit of the loss.
    """

    C: Array
    loss: Array
    weight: Array
    fan_C: Array
    fan_loss: Array
    bands: tuple[tuple[float, Array, Array], ...]
    largest: float
    title: str
    unit: str


def forecast_data(result: ForecastResult, *, level: float = 0.9, ratio: float = 100.0) -> ForecastData:
    """Collect the numbers of the figure.

    Parameters
    ----------
    result : ForecastResult
        The forecast.
    level : float
        Coverage of the wide band; the narrow one covers half.
    ratio : float
        How far beyond the largest run the fan goes, as a multiple of its compute.
    """
    from scalefit.forecasting.text import frontier

    ratio = check_number("ratio", ratio)
    if not (np.isfinite(ratio) and ratio > 1):
        raise ArgumentError(
            f"ratio={ratio!r} goes no further than the largest run; nothing was drawn. Give a factor above 1."
        )
    raw = result.problem.raw_columns
    compute = raw["C"] if "C" in raw else 6.0 * raw["N"] * raw["D"]
    largest = result.largest_compute
    ratios = np.geomspace(min(1.0, np.median(compute) / largest), ratio, _POINTS)
    where = frontier(result, ratios)
    bands = []
    for share in sorted({level, min(_INNER, level)}, reverse=True):
        table = result.predict_interval(level=share, **where)
        bands.append((share, table["lower"].to_numpy(float), table["upper"].to_numpy(float)))
    return ForecastData(
        C=compute,
        loss=result.problem.loss,
        weight=result.fitted.share,
        fan_C=largest * ratios,
        fan_loss=np.asarray(result.predict(**where)),
        bands=tuple(bands),
        largest=largest,
        title=f"Forecast by {result.law.name}, {result.n_runs} runs",
        unit=str(result.conventions.get("loss_unit", "nat/token")),
    )


def draw_forecast(data: ForecastData, ax: Axes | None = None) -> Axes:
    """Draw the fan on `ax`, or on new axes."""
    from scalefit.forecasting.text import OUTLIER

    ax = axes_for(ax, (7, 4.5))
    lines: list[Any] = []
    for i, (level, lower, upper) in enumerate(data.bands):
        style: dict[str, Any] = {"color": COLOURS[0], "alpha": 0.18 + 0.17 * i, "linewidth": 0}
        lines.append(ax.fill_between(data.fan_C, lower, upper, label=f"{100 * level:g} % interval", **style))
    ax.plot(data.fan_C, data.fan_loss, color=COLOURS[0], label="forecast at the best N and D")
    kept = data.weight >= OUTLIER * data.weight.max()
    ax.plot(data.C[kept], data.loss[kept], "o", color="black", markersize=3, label="runs")
    if not kept.all():
        ax.plot(data.C[~kept], data.loss[~kept], "x", color=COLOURS[1], markersize=5, label="runs taken for outliers")
    ax.axvline(data.largest, color="grey", linestyle=":", linewidth=1, label="largest run")
    ax.set(xscale="log", xlabel="training compute C [FLOP]", ylabel=f"loss [{data.unit}]", title=data.title)
    ax.legend(fontsize="small")
    return ax
