"""Where a command predicts: ``N=7e9,D=2e12``, or ``10x`` the largest run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from scalefit._arguments import multiple_of_largest
from scalefit.cli import _shared as shared
from scalefit.extrapolation import times_largest

if TYPE_CHECKING:
    from scalefit.predictor import Predictor

#: Inputs by name, or a multiple of the largest run.
Point = dict[str, Any] | float


def points(given: Iterable[str]) -> list[Point]:
    """Read the points of ``--at``, one per option."""
    found: list[Point] = []
    for item in given:
        ratio = multiple_of_largest(item)
        found.append(shared.assignments("--at", item.split(","), value_of) if ratio is None else ratio)
    return found


def value_of(text: str) -> float | str:
    """A number, or a multiple of the largest run as text, which only the result can turn into a number."""
    return shared.quantity(text) if multiple_of_largest(text) is None else text


def as_inputs(
    asked: Iterable[Point],
    seen: Callable[[], Mapping[str, tuple[float, float]]],
    larger: Callable[[float], Mapping[str, float]],
) -> list[dict[str, float]]:
    """Inputs of the points: `larger` gives a run by its multiple, `seen` the ranges of single inputs."""
    return [dict(larger(point)) if isinstance(point, float) else times_largest(seen, point) for point in asked]


def inputs_of(asked: Iterable[Point], result: Predictor) -> list[dict[str, float]]:
    """Inputs of the points at which a result predicts."""
    return as_inputs(asked, result.seen, lambda ratio: _larger_run(result, ratio))


def _larger_run(result: Predictor, ratio: float) -> dict[str, float]:
    """The run of `ratio` times the largest behind a result: the best N and D for its compute, or its one input."""
    import scalefit as sf
    from scalefit.forecasting.result import ForecastResult
    from scalefit.predictor import behind

    forecast = behind(result, ForecastResult)
    if forecast is not None:
        return {key: float(value[0]) for key, value in forecast.larger_runs(ratio).items()}
    name = result.inputs[0] if len(result.inputs) == 1 else "C"
    size = times_largest(result.seen, {name: f"{ratio:g}x"})
    if len(result.inputs) == 1:
        return size
    best = sf.plan(result, **size)
    return {"N": best.N, "D": best.D}
