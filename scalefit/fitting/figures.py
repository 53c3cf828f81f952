"""The numbers behind a fit's figures: losses over compute with the law's intervals, residuals, profiles."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit import _text as words
from scalefit._arguments import LEVEL
from scalefit._typing import Array
from scalefit.errors import ScalefitWarning
from scalefit.fitting.intervals import predict_interval, relative_residuals
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

_CURVES = 5
_POINTS = 60


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
    title = f"{result.law.formula}\n{result.n_runs} runs · {result.problem.objective}"
    labels = _series(result)
    inputs = set(result.law.inputs)
    if not inputs <= {*QUANTITIES, "unique_tokens"}:
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


def profile_data(result: Solution, name: str, *, level: float = LEVEL, n: int = 41) -> ProfileData:
    """Compute the profile of one parameter; see :meth:`scalefit.FitResult.profile`."""
    table = profile(result, name, None, n)
    low, high = result.conf_int(level).loc[name].to_numpy(float)
    excess = table["objective_value"].to_numpy() / result.objective_value - 1
    return ProfileData(
        name, table["value"].to_numpy(), excess, float(result.params[name]), (float(low), float(high)), level
    )


def residual_data(result: Solution) -> ResidualData:
    """Compute residuals of the log loss over the law's inputs, whatever the objective was."""
    columns = with_compute(result.problem.raw_columns)
    keys = [key for key in QUANTITIES if key in result.law.inputs] or list(result.law.inputs)[:1]
    residual = relative_residuals(result)
    return ResidualData({key: columns[key] for key in keys}, residual, float(np.median(np.abs(residual))))


def draw_result(result: Solution, *, level: float = 0.9) -> Figure:
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


def draw_panel(result: Solution, ax: Axes, *, level: float = 0.9) -> Axes:
    """Draw runs and law alone."""
    return draw_fit(fit_data(result, level=level), ax)


def _curves(result: Solution, columns: dict[str, Array], axis: str, level: float, series: str | None) -> list[Curve]:
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
        inputs = {"N": np.full(_POINTS, size), "D": convention("6ND").tokens(grid, size), "C": grid}
        label = f"N = {words.count(size)}"
        curves.append(_curve(result, inputs, grid, level, label, size, series))
    return curves


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
