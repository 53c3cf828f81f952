"""Figures of a fit: losses over compute with the law's intervals, residuals, profiles.

Each figure has a data half, a frozen record of numbers that can be tested and saved, and a drawing half that takes an
``ax``. Sizes are told apart by brightness (viridis) and by labels on the curves, series by colour and marker (Okabe &
Ito), so that no figure needs the reader to tell red from green.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit._typing import Array
from scalefit.errors import ScalefitWarning
from scalefit.plots._axes import COLOURS, INPUTS, MARKERS, axes_for, new_figure
from scalefit.plots.residuals import compute_columns, draw_residuals, residual_data

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from scalefit.fitting.result import FitResult

_MAP = "viridis"
_CURVES = 5
_POINTS = 60


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """The law along one line through its inputs.

    Parameters
    ----------
    label : str
        What is held along it.
    x, loss, lower, upper : ndarray (m,)
        Abscissa, predicted loss [nat/token], and the interval for a new run.
    N : float
        Size [parameters] held along it; NaN where none is.
    series : str
        Series it belongs to; empty for plain fits.
    """

    label: str
    x: Array
    loss: Array
    lower: Array
    upper: Array
    N: float = np.nan
    series: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class FitData:
    """What :func:`draw_fit` draws.

    Parameters
    ----------
    axis : str
        Input on the abscissa: ``"C"``, or the one input of a law in one variable, or ``"loss"`` for laws that read
        other columns, where predictions stand over measurements.
    x, loss : ndarray (n,)
        The runs.
    N : ndarray (n,) or None
        Their sizes [parameters].
    series : tuple of str
        Series by run; empty for plain fits.
    curves : tuple of Curve
        The law.
    level : float
        Coverage of the bands.
    title : str
        Law and objective.
    """

    axis: str
    x: Array
    loss: Array
    N: Array | None
    series: tuple[str, ...]
    curves: tuple[Curve, ...]
    level: float
    title: str


@dataclass(frozen=True, slots=True, eq=False)
class ProfileData:
    """What :func:`draw_profile` draws: the objective along one parameter, over its value at the optimum."""

    name: str
    value: Array
    excess: Array
    best: float
    interval: tuple[float, float]
    level: float


def fit_data(result: FitResult, *, level: float = 0.9) -> FitData:
    """Compute runs and curves of a fit.

    Examples
    --------
    >>> import numpy as np, scalefit as sf
    >>> N, D = (a.ravel() for a in np.meshgrid([1e8, 4e8, 1.6e9], [2e9, 1e10, 5e10]))
    >>> noise = np.tile([1.001, 0.999, 1.002], 3)
    >>> loss = sf.published("chinchilla", "besiroglu2024").predict(N=N, D=D) * noise
    >>> data = fit_data(sf.fit({"N": N, "D": D, "loss": loss}))
    >>> data.axis, len(data.curves), bool((data.curves[0].lower < data.curves[0].loss).all())
    ('C', 3, True)
    """
    columns = compute_columns(result)
    loss = result.problem.loss
    title = f"{result.law.formula}\n{result.n_runs} runs · {result.problem.objective}"
    labels = _series(result)
    inputs = set(result.law.inputs)
    if not inputs <= {"N", "D", "C", "unique_tokens"}:
        # Reached by a loop over series in shared fits, because each has coefficients of its own.
        predicted = np.empty_like(loss)
        for rows, name in _groups(result):
            part = {key: columns[key][rows] for key in result.law.inputs}
            predicted[rows] = result.predict(series=name, **part)
        return FitData("loss", predicted, loss, columns.get("N"), labels, (), level, title)
    axis = next(iter(inputs)) if len(inputs) == 1 else "C"
    curves = []
    for rows, name in _groups(result):
        curves += _curves(result, {key: value[rows] for key, value in columns.items()}, axis, level, name)
    return FitData(axis, columns[axis], loss, columns.get("N"), labels, tuple(curves), level, title)


def profile_data(result: FitResult, name: str, *, level: float = 0.9, n: int = 41) -> ProfileData:
    """Compute the profile of one parameter; see :meth:`scalefit.FitResult.profile`."""
    table = result.profile(name, n=n)
    low, high = result.conf_int(level).loc[name].to_numpy(float)
    excess = table["objective_value"].to_numpy() / result.objective_value - 1
    return ProfileData(
        name, table["value"].to_numpy(), excess, float(result.params[name]), (float(low), float(high)), level
    )


def draw_fit(data: FitData, ax: Axes | None = None) -> Axes:
    """Draw runs and law; the bands are intervals for a new run."""
    axes = axes_for(ax, (7, 4.5))
    if data.axis == "loss":
        span = [min(data.x.min(), data.loss.min()), max(data.x.max(), data.loss.max())]
        axes.plot(span, span, color="0.6", lw=1, zorder=1)
    colours = _Colours(data)
    for curve in data.curves:
        colour = colours.of(curve.N, curve.series)
        axes.fill_between(curve.x, curve.lower, curve.upper, color=colour, alpha=0.18, lw=0)
        axes.plot(curve.x, curve.loss, color=colour, lw=1.6)
    colours.scatter(axes, data)
    axes.set_title(data.title, fontsize="medium", loc="left")
    axes.set_xscale("linear" if data.axis == "loss" else "log")
    axes.set_xlabel("predicted loss [nat/token]" if data.axis == "loss" else INPUTS.get(data.axis, data.axis))
    axes.set_ylabel("loss [nat/token]")
    _label_ends(axes, data)
    if data.curves:
        note = f"bands: {100 * data.level:.6g} % for a new run"
        axes.text(0.985, 0.975, note, transform=axes.transAxes, ha="right", va="top", fontsize="small", color="0.3")
    return axes


def draw_profile(data: ProfileData, ax: Axes | None = None) -> Axes:
    """Draw the objective along one parameter, the others refitted; the grey band is its interval."""
    axes = axes_for(ax, (7, 4.5))
    axes.axvspan(*data.interval, color="0.88", lw=0)
    axes.plot(data.value, 100 * data.excess, color=COLOURS[0], lw=1.8)
    axes.axvline(data.best, color=COLOURS[1], lw=1.2, ls="--")
    top = 100 * np.nanmax(np.interp(data.interval, data.value, data.excess)) * 2.5
    if np.isfinite(top) and top > 0:
        axes.set_ylim(-0.04 * top, top)
    width = data.interval[1] - data.interval[0]
    if np.isfinite(width):
        axes.set_xlim(
            max(data.interval[0] - width / 2, data.value[0]), min(data.interval[1] + width / 2, data.value[-1])
        )
    axes.set_xlabel(data.name)
    axes.set_ylabel("objective over optimum [%]")
    axes.set_title(f"{data.name}: {100 * data.level:.6g} % interval in grey", fontsize="medium", loc="left")
    return axes


def draw_result(result: FitResult, *, level: float = 0.9) -> Figure:
    """Draw the fit, residuals over each input, and the profile of an exponent, in one figure."""
    residuals = residual_data(result)
    profiled = _profiled(result)
    panels = len(residuals.inputs) + (profiled is not None)
    figure = new_figure((11, 7.2))
    grid = figure.add_gridspec(2, panels, height_ratios=(1.7, 1))
    draw_fit(fit_data(result, level=level), figure.add_subplot(grid[0, :]))
    for at, key in enumerate(residuals.inputs):
        draw_residuals(residuals, key, figure.add_subplot(grid[1, at]))
    if profiled is not None:
        draw_profile(profile_data(result, profiled), figure.add_subplot(grid[1, panels - 1]))
    return figure


class _Colours:
    """One colour a series, or brightness by size."""

    def __init__(self, data: FitData) -> None:
        import matplotlib
        from matplotlib.colors import LogNorm

        self.names = list(dict.fromkeys(data.series))
        self.norm: Any = None
        if data.N is not None and np.ptp(np.log(data.N)) > 0 and not self.names:
            self.norm = LogNorm(data.N.min(), data.N.max() * 1.5)  # the map's palest end is not used
            self.map = matplotlib.colormaps[_MAP]

    def of(self, N: float, series: str) -> Any:
        if self.names:
            return COLOURS[self.names.index(series) % len(COLOURS)]
        return COLOURS[0] if self.norm is None or not np.isfinite(N) else self.map(self.norm(N))

    def scatter(self, axes: Axes, data: FitData) -> None:
        style: dict[str, Any] = {"s": 26, "edgecolor": "white", "linewidth": 0.4, "zorder": 3}
        if self.names:
            for k, name in enumerate(self.names):
                rows = np.array([label == name for label in data.series])
                colour, marker = COLOURS[k % len(COLOURS)], MARKERS[k % len(MARKERS)]
                axes.scatter(data.x[rows], data.loss[rows], color=colour, marker=marker, label=name, **style)
            axes.legend(frameon=False, loc="lower left")
        elif self.norm is None:
            axes.scatter(data.x, data.loss, color=COLOURS[0], **style)
        else:
            points = axes.scatter(data.x, data.loss, c=data.N, cmap=self.map, norm=self.norm, **style)
            figure = axes.get_figure()
            if figure is not None:
                figure.colorbar(points, ax=axes, label=INPUTS["N"], pad=0.01)


def _label_ends(axes: Axes, data: FitData) -> None:
    """Put each curve's label at its right end, unless that would write over another."""
    from matplotlib.patheffects import withStroke

    low, high = axes.get_ylim()
    if any(curve.label for curve in data.curves):
        axes.set_xlim(right=axes.get_xlim()[1] * 1.6)  # room for the last label
    taken: list[float] = []
    for curve in sorted(data.curves, key=lambda item: item.loss[-1]):
        height = (curve.loss[-1] - low) / (high - low)
        if not curve.label or any(abs(height - other) < 0.035 for other in taken):
            continue
        taken.append(height)
        axes.annotate(
            curve.label,
            (curve.x[-1], curve.loss[-1]),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize="small",
            color="0.2",
            zorder=4,
            path_effects=[withStroke(linewidth=2.5, foreground="white")],
        )


def _curves(result: FitResult, columns: dict[str, Array], axis: str, level: float, series: str | None) -> list[Curve]:
    """Curves over `axis` at a few of the runs' sizes, each over the range of the runs near its size."""
    x = columns[axis]
    if axis != "C" or set(result.law.inputs) == {"C"}:
        grid = np.geomspace(x.min(), x.max(), _POINTS)
        return [_curve(result, {axis: grid}, grid, level, "", np.nan, series)]
    sizes = np.log(columns["N"])
    distinct = np.unique(sizes.round(6))
    count = min(_CURVES, distinct.size)
    if series is not None:
        middles = np.median(sizes, keepdims=True)
    elif distinct.size <= count:
        middles = distinct
    else:
        low, high = np.quantile(sizes, [0.02, 0.98]).tolist()
        middles = np.linspace(low, high, count)
    nearest = np.argmin(np.abs(sizes[:, None] - middles[None]), axis=1)
    curves = []
    for k, middle in enumerate(middles):
        here = x[nearest == k] if series is None else x
        if here.size == 0 or here.min() == here.max():
            here = x
        grid, size = np.geomspace(here.min(), here.max(), _POINTS), float(np.exp(middle))
        inputs = {"N": np.full(_POINTS, size), "D": grid / (6 * size), "C": grid}
        label = f"N = {_short(size)}"
        curves.append(_curve(result, inputs, grid, level, label, size, series))
    return curves


def _curve(
    result: FitResult, inputs: dict[str, Array], x: Array, level: float, label: str, N: float, series: str | None
) -> Curve:
    wanted = {key: value for key, value in inputs.items() if key in result.law.inputs}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ScalefitWarning)
        frame = result.predict_interval(level=level, series=series, **wanted)
    loss, lower, upper = (frame[name].to_numpy() for name in ("loss", "lower", "upper"))
    return Curve(label, x, loss, lower, upper, N, series or "")


def _groups(result: FitResult) -> list[tuple[Any, str | None]]:
    names = result.series or (None,)
    return list(zip(result.problem.groups, names, strict=True))


def _series(result: FitResult) -> tuple[str, ...]:
    if not result.series:
        return ()
    labels = [""] * result.n_runs
    for rows, name in _groups(result):
        for row in rows:
            labels[row] = str(name)
    return tuple(labels)


def _profiled(result: FitResult) -> str | None:
    """Parameter whose profile is shown: the exponent with the largest relative error, where profiles exist."""
    if len(result.problem.groups) > 1 or result.tangent is not None or result.objective_value <= 0:
        return None
    plain = [name for name in result.names if not result.law.parameters[name].log]
    errors = {name: float(result.std_errors[name] / abs(result.params[name])) for name in plain if result.params[name]}
    errors = {name: value for name, value in errors.items() if np.isfinite(value)}
    return max(errors, key=lambda name: errors[name]) if errors else None


def _short(value: float) -> str:
    for size, suffix in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K")):
        if value >= size:
            return f"{value / size:.3g}{suffix}"
    return f"{value:.3g}"
