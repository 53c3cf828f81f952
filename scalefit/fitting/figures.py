"""The numbers behind a fit's figures: losses over compute with the law's intervals, residuals, profiles."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit import _text as words
from scalefit._arguments import LEVEL
from scalefit._formula import math_text
from scalefit._numeric import levelled
from scalefit._typing import Array
from scalefit.errors import ScalefitWarning
from scalefit.fitting.intervals import misses_of, predict_interval
from scalefit.fitting.noise import with_compute
from scalefit.fitting.profiles import profile
from scalefit.fitting.solution import Solution
from scalefit.flops import QUANTITIES, convention
from scalefit.plots._axes import new_figure
from scalefit.plots.fits import Curve, FitData, ProfileData, draw_fit, draw_profile
from scalefit.plots.residuals import ResidualData, draw_residuals

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Sizes drawn of a plain fit and of all series together; more series are drawn as predictions over measurements.
_CURVES, _SHARED, _SERIES = 5, 8, 4
_POINTS = 60
_SAME = 0.05  # sizes are one where they differ by less, of ln N
_SHORT = 2.0  # times a compute, in which runs of one size count as runs of one compute
_PROFILE = 24


def fit_data(result: Solution, *, level: float = 0.9) -> FitData:
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
    columns = with_compute(result.problem.raw_columns)
    loss = result.problem.loss
    known = {} if result.series else {str(name): float(value) for name, value in result.params.items()}
    title = f"{math_text(result.law.formula, known)}\n{result.n_runs} runs · {result.problem.objective}"
    labels, label = _series(result), result.target.label()
    inputs = set(result.law.inputs)
    axis = next(iter(inputs)) if len(inputs) == 1 else "C"
    needed = {axis} if len(inputs) == 1 else {axis, "N"}  # without a size, runs lie at no compute
    drawn = inputs <= {*QUANTITIES, "unique_tokens"} and needed <= set(columns)
    if not drawn or (len(result.series) > _SERIES and len(inputs) > 1):
        # Reached by a loop over series in shared fits, because each has coefficients of its own.
        predicted = np.empty_like(loss)
        for rows, name in _groups(result):
            part = {key: columns[key][rows] for key in result.law.inputs}
            predicted[rows] = result.predict(series=name, **part)
        return FitData("loss", predicted, loss, columns.get("N"), labels, (), level, title, label)
    curves = []
    for rows, name in _groups(result):
        curves += _curves(result, {key: value[rows] for key, value in columns.items()}, axis, level, name)
    return FitData(axis, columns[axis], loss, columns.get("N"), labels, tuple(curves), level, title, label)


def profile_data(result: Solution, name: str, *, level: float = LEVEL, n: int = _PROFILE) -> ProfileData:
    """Compute the profile of one parameter from half an interval below to half an interval above its interval.

    The optimum is among its points; see :meth:`scalefit.FitResult.profile`.
    """
    best, parameter = float(result.params[name]), result.law.parameters[name]
    low, high = result.conf_int(level).loc[name].to_numpy(float)
    bottom, top = (result.bounds or {}).get(name, parameter.bounds)
    if parameter.log and low > 0:
        room = (high / low) ** 0.5
        points = np.geomspace(max(low / room, bottom), min(high * room, top), n)
    else:
        room = 0.5 * (high - low)
        least = 1e-3 * best if parameter.log else -np.inf
        points = np.linspace(max(low - room, bottom, least), min(high + room, top), n)
    values = np.unique([*points, best])
    excess = profile(result, name, values, n)["objective_value"].to_numpy() / result.objective_value - 1
    return ProfileData(name, values, excess, best, (float(low), float(high)), level)


def residual_data(result: Solution) -> ResidualData:
    """How far the law is off over its inputs, whatever the objective was."""
    columns = with_compute(result.problem.raw_columns)
    keys = [key for key in QUANTITIES if key in result.law.inputs] or list(result.law.inputs)[:1]
    return ResidualData({key: columns[key] for key in keys}, *misses_of(result))


def draw_result(result: Solution, *, level: float = 0.9, log_y: bool = False) -> Figure:
    """Draw the fit, residuals over each input, and the profile of an exponent, in one figure."""
    residuals = residual_data(result)
    profiled = _profiled(result)
    panels = len(residuals.inputs) + (profiled is not None)
    figure = new_figure((11, 7.2))
    grid = figure.add_gridspec(2, panels, height_ratios=(1.7, 1))
    draw_fit(fit_data(result, level=level), figure.add_subplot(grid[0, :]), log_y=log_y)
    for at, key in enumerate(residuals.inputs):
        draw_residuals(residuals, key, figure.add_subplot(grid[1, at]))
    if profiled is not None:
        draw_profile(profile_data(result, profiled), figure.add_subplot(grid[1, panels - 1]))
    return figure


def draw_panel(result: Solution, ax: Axes, *, level: float = 0.9, log_y: bool = False) -> Axes:
    """Draw runs and law alone."""
    return draw_fit(fit_data(result, level=level), ax, log_y=log_y)


def _curves(result: Solution, columns: dict[str, Array], axis: str, level: float, series: str | None) -> list[Curve]:
    """Curves over `axis` at a few of the runs' sizes, each over the range of the runs near its size."""
    x = columns[axis]
    if axis != "C" or set(result.law.inputs) == {"C"}:
        grid = np.geomspace(x.min(), x.max(), _POINTS)
        return [_curve(result, {axis: grid}, grid, level, "", np.nan, series)]
    sizes = columns["N"]
    curves = []
    for size in _sizes(sizes, _CURVES if series is None else _SHARED // len(result.series)):
        near = np.abs(np.log(sizes / size)) <= _SAME
        here = x[near]
        if here.max() < _SHORT * here.min():  # runs of one compute: a short piece of curve about them
            here = np.clip(here.mean() * np.array([1 / _SHORT, _SHORT]), x.min(), x.max())
        grid = np.geomspace(here.min(), here.max(), _POINTS)
        inputs = {"N": np.full(_POINTS, size), "D": convention("6ND").tokens(grid, size), "C": grid}
        curves.append(_curve(result, inputs, grid, level, f"N = {words.count(size)}", size, series))
    return curves


def _sizes(N: Array, most: int) -> list[float]:
    """Sizes of the table, spread over its range, those with many runs before those with few."""
    logs = np.log(N)
    distinct, counts = np.unique(levelled(logs, least=1.0), return_counts=True)
    if distinct.size <= most:
        return [float(np.exp(value)) for value in distinct]
    low, high = np.quantile(logs, [0.02, 0.98])
    middles = np.linspace(low, high, most)
    half = 0.5 * (middles[1] - middles[0])
    picked = []
    for middle in middles:
        away = np.abs(distinct - middle)
        near = np.flatnonzero(away <= half)
        if near.size:
            picked.append(float(np.exp(distinct[near[np.lexsort((away[near], -counts[near]))[0]]])))
    return picked


def _curve(
    result: Solution, inputs: dict[str, Array], x: Array, level: float, label: str, N: float, series: str | None
) -> Curve:
    wanted: dict[str, Any] = {key: value for key, value in inputs.items() if key in result.law.inputs}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ScalefitWarning)
        frame = predict_interval(result, level=level, series=series, **wanted)
    loss, lower, upper = (frame[name].to_numpy() for name in ("loss", "lower", "upper"))
    return Curve(label, x, loss, lower, upper, N, series or "")


def _groups(result: Solution) -> list[tuple[Any, str | None]]:
    names = result.series or (None,)
    return list(zip(result.problem.groups, names, strict=True))


def _series(result: Solution) -> tuple[str, ...]:
    if not result.series:
        return ()
    labels = [""] * result.n_runs
    for rows, name in _groups(result):
        for row in rows:
            labels[row] = str(name)
    return tuple(labels)


def _profiled(result: Solution) -> str | None:
    """Parameter whose profile is shown: the exponent with the largest relative error, where profiles exist."""
    if len(result.problem.groups) > 1 or result.tangent is not None or result.objective_value <= 0:
        return None
    plain = [name for name in result.names if not result.law.parameters[name].log]
    errors = {name: float(result.std_errors[name] / abs(result.params[name])) for name in plain if result.params[name]}
    errors = {name: value for name, value in errors.items() if np.isfinite(value)}
    return max(errors, key=lambda name: errors[name]) if errors else None
