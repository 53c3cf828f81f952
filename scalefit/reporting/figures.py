"""The report's figures, drawn from the data halves of :mod:`scalefit.plots`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from scalefit import _text as words
from scalefit._typing import AnyArray, Array
from scalefit.fitting.figures import fit_data, profile_data, residual_data
from scalefit.fitting.result import FitResult
from scalefit.laws._declarations import Target
from scalefit.plots.fits import FitData, ProfileData
from scalefit.plots.isoflop import IsoflopFigure
from scalefit.plots.residuals import ResidualData
from scalefit.reporting import svg
from scalefit.reporting.html import Markup, join, tag
from scalefit.reporting.svg import Axis, Figure, padded

Shape = dict[str, Any]
#: View boxes: where a phone shows the page 330 pixels wide, words of the narrow one are 10 high.
_WIDE: Shape = {"width": 820, "height": 410}
_NARROW: Shape = {"width": 480, "height": 400, "text": 15.0}
_RAMP = 8
_PROFILE = 16
_AXES = {
    "N": ("parameters N", svg.counts),
    "D": ("training tokens D", svg.counts),
    "C": ("training compute C [FLOP]", svg.powers),
}


def shades(values: Array | None, n: int) -> list[str]:
    """Class of each run: brightness by the logarithm of its size."""
    if values is None or np.ptp(np.log(values)) == 0:
        return ["c2"] * n
    x = np.log(values)
    place = np.floor((x - x.min()) / np.ptp(x) * _RAMP).astype(int)
    return [f"c{k}" for k in np.clip(place, 0, _RAMP - 1)]


def legend(values: Array | None) -> Markup | None:
    """What the brightness of points means."""
    if values is None or np.ptp(np.log(values)) == 0:
        return None
    squares = [tag("span", class_=f"swatch c{k}") for k in range(_RAMP)]
    low, high = words.count(float(values.min())), words.count(float(values.max()))
    return tag("p", f"N: {low} ", *squares, f" {high} parameters", class_="legend")


def both(draw: Callable[[Shape], Markup]) -> Markup:
    """A figure across the page, and the same for a phone; the style sheet shows one of them."""
    return join(
        tag("div", draw(shape), class_=f"plot {name}") for name, shape in (("wide", _WIDE), ("narrow", _NARROW))
    )


def fit_figure(result: FitResult, level: float, shown: AnyArray) -> Markup:
    """Runs and law over compute, or over the law's one input, or predictions against measurements."""
    data = fit_data(result, level=level)
    return both(lambda shape: _fit(data, level, result.target, shown, shape))


def _fit(data: FitData, level: float, target: Target, shown: AnyArray, shape: Shape) -> Markup:
    label, write = _AXES.get(data.axis, (f"predicted {target.label()}", lambda value: f"{value:.3g}"))
    log = data.axis in _AXES
    x = Axis(*padded(float(data.x.min()), float(data.x.max()), log), label, log, write)
    losses = np.concatenate([data.loss, *(curve.loss for curve in data.curves)])
    y = Axis(*padded(float(losses.min()), float(losses.max()), log), target.label(), log)
    right = 86 if any(curve.label for curve in data.curves) else 14
    figure = Figure(x, y, "Runs and the fitted law", right=right, **shape)
    painted = _painted(data)
    for curve, name in zip(data.curves, painted, strict=True):
        figure.band(curve.x, np.maximum(curve.lower, y.low), np.minimum(curve.upper, y.high), name)
    for curve, name in zip(data.curves, painted, strict=True):
        figure.line(curve.x, curve.loss, name)
    if data.axis == "loss":
        ends = [max(x.low, y.low), min(x.high, y.high)]
        figure.line(ends, ends, "rule")
    _points(figure, data.x, data.loss, data.N, shown)
    figure.end_labels((float(c.x[-1]), float(c.loss[-1]), c.label) for c in data.curves)
    if data.curves:
        figure.note(f"bands: {words.percent(level)} for a new run")
    described = (
        f"{data.x.size} runs; {target.label()} from {data.loss.min():.3g} to {data.loss.max():.3g}. The table of runs "
        "at the end of this page holds the numbers."
    )
    return figure.render(hover=True, description=described)


def _points(figure: Figure, x: Array, y: Array, sizes: Array | None, shown: AnyArray, r: float = 3.6) -> None:
    """Draw the runs that are shown; each is known to the page by its place among them."""
    names = shades(sizes, x.size)
    figure.points(x[shown], y[shown], [names[i] for i in shown], range(shown.size), r=r)


def _painted(data: FitData) -> list[str]:
    """Class of each curve: that of the runs of its size."""
    if data.N is None or np.ptp(np.log(data.N)) == 0:
        return ["c2"] * len(data.curves)
    low, high = np.log(data.N.min()), np.log(data.N.max())
    place = [(np.log(c.N) - low) / (high - low) if np.isfinite(c.N) else 0.3 for c in data.curves]
    return [f"c{int(np.clip(np.floor(p * _RAMP), 0, _RAMP - 1))}" for p in place]


def residual_figures(result: FitResult, shown: AnyArray) -> list[Markup]:
    """How far the law is off, over each input, with the medians of fifths of the runs."""
    data = residual_data(result)
    return [_residuals(data, key, result, shown) for key in data.inputs]


def _residuals(data: ResidualData, key: str, result: FitResult, shown: AnyArray) -> Markup:
    x, miss = data.inputs[key], data.miss
    reach = data.reach or 1.0
    label, write = _AXES.get(key, (key, lambda value: f"{value:.3g}"))
    figure = Figure(
        Axis(*padded(float(x.min()), float(x.max()), data.log_axis(key)), label, data.log_axis(key), write),
        Axis(-reach, reach, data.label),
        f"Residuals over {label}",
        width=480,
        height=300,
    )
    figure.rule(y=0.0)
    _points(figure, x, miss, result.problem.columns.get("N"), shown, r=3)
    middles, medians = data.medians(key)
    if middles.size:
        figure.line(middles, np.clip(medians, -reach, reach), "medians")
        for a, b in zip(middles, np.clip(medians, -reach, reach), strict=True):
            figure.mark(float(a), float(b))
        figure.note("◆ medians of fifths")
    if hidden := data.hidden(reach):
        figure.note(hidden, "bottom")
    return figure.render(hover=True)


def profile_figures(result: FitResult, level: float) -> list[Markup]:
    """The objective along each parameter whose profile can be walked; none for shared or constrained fits."""
    if len(result.problem.groups) > 1 or result.tangent is not None or result.objective_value <= 0:
        return []
    found = [
        profile_data(result, name, level=level, n=_PROFILE)
        for name in result.names
        if np.isfinite(result.std_errors[name])
    ]
    return [
        _profile(data, result.law.parameters[data.name].log and data.interval[0] > 0)
        for data in found
        if data.value[0] < data.best < data.value[-1]
    ]


def _profile(data: ProfileData, log: bool) -> Markup:
    low, high = data.interval
    excess = 100 * data.excess
    top = 2.5 * float(np.nanmax(np.interp(data.interval, data.value, excess)))
    top = top if np.isfinite(top) and top > 0 else float(np.nanmax(excess)) or 1.0
    x = Axis(float(data.value[0]), float(data.value[-1]), data.name, log, svg.counts, 4)
    title = (
        f"Profile of {data.name}: best {data.best:.4g}, {words.percent(data.level)} interval {low:.4g} to {high:.4g}"
    )
    y = Axis(-0.04 * top, top, "above minimum [%]", about=4)
    figure = Figure(x, y, title, width=320, height=230)
    figure.span(low, high)
    spread = np.geomspace if log else np.linspace
    grid = np.unique([*spread(data.value[0], data.value[-1], 80), *data.value])
    curve = np.interp(x.share(grid), x.share(data.value), excess)
    figure.line(grid[curve <= top], curve[curve <= top], "c2")
    figure.rule(x=data.best, name="best")
    return figure.render()


def isoflop_figure(data: IsoflopFigure, numbers: list[list[int | None]], unit: str) -> Markup:
    """Curves of the budgets with their optima; `numbers` says which run of the fit each point is."""
    sizes, losses = np.concatenate(data.sizes), np.concatenate(data.losses)
    x = Axis(*padded(float(sizes.min()), float(sizes.max()), True), "parameters N", True, svg.counts)
    y = Axis(*padded(float(losses.min()), float(np.quantile(losses, 0.99)), False), f"loss [{unit}]")
    title = "Loss over size on each budget"
    drawn = both(lambda shape: _isoflop(data, numbers, Figure(x, y, title, right=86, **shape)))
    text = " best size of each budget; labels: budgets [FLOP]"
    key = tag("p", tag("span", "◆", class_="key"), text, class_="legend")
    return join((drawn, key))  # below the figure: inside, it would cover curves on a phone


def _isoflop(data: IsoflopFigure, numbers: list[list[int | None]], figure: Figure) -> Markup:
    y = figure.y
    names = shades(np.array(data.budgets), len(data.budgets))
    for size, loss, fitted, name, number in zip(data.sizes, data.losses, data.fitted, names, numbers, strict=True):
        if fitted is not None:
            inside = fitted[1] <= y.high
            figure.line(fitted[0][inside], fitted[1][inside], name)
        figure.points(size, loss, [name] * size.size, number, r=3)
    figure.line(data.optima[:, 0], data.optima[:, 1], "optima")
    for N, loss in data.optima:
        figure.mark(float(N), float(loss))
    ends = zip(data.sizes, data.losses, data.budgets, strict=True)
    figure.end_labels((float(s[-1]), min(float(v[-1]), y.high), words.power(c, 2)) for s, v, c in ends)
    return figure.render(hover=True)
