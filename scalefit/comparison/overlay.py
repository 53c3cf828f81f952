"""sf.plot: several fits, forecasts or published laws in one panel, out to a planned run."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit._arguments import check_level, check_mapping, check_quantity
from scalefit._calls import explained
from scalefit._files import save_figure
from scalefit._typing import Array
from scalefit.errors import ArgumentError, ScalefitWarning, arg
from scalefit.fitting.result import fit_behind
from scalefit.flops import SIZES, training_flops
from scalefit.forecasting.larger import best_sizes
from scalefit.forecasting.result import ForecastResult
from scalefit.plots.overlay import OverlayData, OverlayLine, draw_overlay
from scalefit.predictor import Predictor, behind

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Points of a line: enough for a smooth one.
_POINTS = 80
_UNKNOWN = (1e18, 1e24)  # where a law without runs is drawn [FLOP]


@explained
def plot(
    results: Predictor | Mapping[str, Predictor] | Sequence[Predictor],
    path: str | Path | None = None,
    *,
    names: Sequence[str] | None = None,
    planned: Mapping[str, Any] | None = None,
    level: float = 0.9,
    log_y: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """Draw fits, forecasts or published laws over each other in one panel.

    Laws of N and D are drawn at the lowest loss for each compute, laws of one input along that input. Runs are points.

    Parameters
    ----------
    results : Predictor, mapping or sequence of them
        What to draw; a mapping, such as what ``by="series"`` returns, names the lines.
    path : str or Path, optional
        Where to write the figure; its suffix names the format.
    names : sequence of str, optional
        Names of the lines; by default those of the laws.
    planned : mapping, optional
        Inputs of a planned run, such as ``{"N": 7e9, "D": 1.4e11}``: the lines extend to it, and marks show each
        result's interval there.
    level : float
        Coverage of the bands and intervals, which are for a new run.
    log_y : bool
        Make the axis of what is predicted logarithmic.
    ax : matplotlib.axes.Axes, optional
        Where to draw; axes of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        Save it with ``axes.figure.savefig``, or give `path`.

    Raises
    ------
    ArgumentError
        Nothing to draw, results of different kinds or units, or laws that share no axis.

    Examples
    --------
    >>> import scalefit as sf
    >>> runs = sf.load_dataset("scalefit_cpu").query("kind == 'branch'")
    >>> axes = sf.plot(sf.fit(runs, "chinchilla", by="series"), planned={"N": 1e6, "D": 1e8})
    >>> [text.get_text().split(" [")[0] for text in axes.get_legend().get_texts()]
    ['markov: 2.35', 'stdlib: 3.17']
    """
    check_level(level)
    named = _named(results, names)
    shown = dict.fromkeys(result.target.label() for result in named.values())
    if len(shown) > 1:
        raise ArgumentError(
            f"The results predict {' and '.join(shown)}, which are not comparable",
            "nothing was drawn",
            "Draw those of one kind",
        )
    axis = _axis(named)
    run = {
        key: check_quantity(key, value)
        for key, value in check_mapping("planned", planned, "{'N': 7e9, 'D': 1.4e11}").items()
    }
    if set(SIZES) <= set(run):
        run.setdefault("C", float(training_flops(run["N"], run["D"])))
    lines = [line for name, result in named.items() for line in _lines(name, result, axis, run, level)]
    (label,) = shown
    best = any(set(SIZES) <= set(result.inputs) for result in named.values())
    title = f"best {label.split(' [')[0]} for the compute" if best else ""
    axes = draw_overlay(OverlayData(axis, tuple(lines), level, label, title), ax, log_y=log_y)
    if path is not None:
        save_figure(axes.figure, path)  # type: ignore[arg-type]
    return axes


def _named(results: Any, names: Sequence[str] | None) -> dict[str, Predictor]:
    found = [results] if isinstance(results, Predictor) else results
    if isinstance(found, Mapping):
        names, found = [str(key) for key in found] if names is None else names, list(found.values())
    found = list(found) if isinstance(found, Sequence) and not isinstance(found, str) else [found]
    strange = [type(item).__name__ for item in found if not isinstance(item, Predictor)]
    if strange or not found:
        raise ArgumentError(
            f"sf.plot draws results of fit, forecast, average and published, and {strange[0] if strange else 'none'} "
            "was given",
            "nothing was drawn",
            "Pass one, a list, or a mapping of names to results",
        )
    if names is None:
        laws = ["average" if item.law is None else item.law.name for item in found]
        names = [law if laws.count(law) == 1 else f"{law} {laws[:i].count(law) + 1}" for i, law in enumerate(laws)]
    if len(names) != len(found):
        raise ArgumentError(
            f"{len(names)} names were given for {len(found)} results", "nothing was drawn", "Give one each"
        )
    return dict(zip(map(str, names), found, strict=True))


def _axis(named: Mapping[str, Predictor]) -> str:
    """The one axis that every result can be drawn along: C, or the only input of all."""
    axes = set()
    for name, result in named.items():
        inputs = set(result.inputs)
        if inputs in (set(SIZES), {"C"}):
            axes.add("C")
        elif len(inputs) == 1:
            axes |= inputs
        else:
            raise ArgumentError(
                f"{name} reads {', '.join(result.inputs)}, so no one line shows it",
                "nothing was drawn",
                "Hold inputs with result.at(...) until N and D, or one input, are left",
            )
    if len(axes) > 1:
        raise ArgumentError(
            f"These laws are drawn along {' and '.join(sorted(axes))}, which are different axes",
            "nothing was drawn",
            "Draw them in figures of their own",
        )
    return axes.pop()


def _lines(name: str, result: Predictor, axis: str, run: Mapping[str, float], level: float) -> list[OverlayLine]:
    known, loss = result.runs(), _measured(result)
    every = np.arange(len(next(iter(known.values())))) if known else np.arange(0)
    fit = fit_behind(result)
    groups = fit.problem.groups if fit is not None and result.series else (every,)
    place = _place(run, axis)
    lines = []
    for series, rows in zip(result.series or (None,), groups, strict=True):
        x = np.asarray(known[axis], float)[rows] if axis in known else np.array([])
        low, high = (x.min(), x.max()) if x.size else _unseen(name, axis, place)
        grid = np.geomspace(min(low, place or low), max(high, place or high), _POINTS)
        which = {} if series is None else {"series": series}
        inputs = {axis: grid} if set(result.inputs) == {axis} else _best(name, result, grid, which)
        band = _quiet(result, level, inputs, which)
        point = None
        if run:
            row = _quiet(result, level, {key: np.array([run[key]]) for key in _needed(name, result, run)}, which)
            found, lower, upper = (float(row[key][0]) for key in ("loss", "lower", "upper"))
            point = (float(place or np.nan), found, lower, upper)
        label = name if series is None else f"{name} {series}"
        lines.append(
            OverlayLine(
                label, x, loss[rows] if loss.size else loss, grid, band["loss"], band["lower"], band["upper"], point
            )
        )
    return lines


def _unseen(name: str, axis: str, place: float | None) -> tuple[float, float]:
    """Where a law without runs is drawn: over usual budgets, or about the planned run."""
    if axis == "C":
        return _UNKNOWN
    if place is None:
        raise ArgumentError(
            f"{name} has no runs, so nothing says over which {axis} to draw it",
            "nothing was drawn",
            f"Give {arg('planned', {axis: 1e9})}, or draw it with a fit",
        )
    return place / 100, place


def _measured(result: Predictor) -> Array:
    """Losses (n,) of the runs behind a result; none where they are not kept."""
    of = fit_behind(result) or behind(result, ForecastResult)
    return np.array([]) if of is None else np.asarray(of.problem.loss, float)


def _needed(name: str, result: Predictor, run: Mapping[str, float]) -> tuple[str, ...]:
    missing = [key for key in result.inputs if key not in run]
    if missing:
        raise ArgumentError(
            f"{arg('planned')} has no {', '.join(missing)}, which {name} reads",
            "nothing was drawn",
            f"Give {', '.join(result.inputs)} of the planned run",
        )
    return result.inputs


def _place(run: Mapping[str, float], axis: str) -> float | None:
    if axis in run or not run:
        return run.get(axis)
    raise ArgumentError(
        f"{arg('planned')} gives {', '.join(run)}, which does not say where on the axis of {axis} the run lies",
        "nothing was drawn",
        f"Give {axis}, or N and D for compute",
    )


def _best(name: str, result: Predictor, C: Array, which: Mapping[str, Any]) -> dict[str, Array]:
    """N and D (m,) with the best prediction at each compute (m,)."""
    sense = result.target.sense
    if sense == 0:
        raise ArgumentError(
            f"{name} predicts {result.target.name}, which is neither better low nor better high, so no run is the "
            "best for its compute",
            "nothing was drawn",
            "Hold N or D with result.at(...)",
        )
    return best_sizes(lambda N, D: -sense * np.asarray(result.predict(N=N, D=D, **which)), C)


def _quiet(result: Predictor, level: float, inputs: Mapping[str, Array], which: Mapping[str, Any]) -> dict[str, Array]:
    """Loss, lower and upper (m,); the figure's bands say what a warning on each call would repeat."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ScalefitWarning)
        table = result.predict_interval(level=level, **inputs, **which)
    return {key: np.asarray(table[key], float) for key in ("loss", "lower", "upper")}
