"""The objective along one parameter, the others refitted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scalefit._arguments import check_count, check_number, one_of
from scalefit._typing import Array, ArrayLike
from scalefit.errors import ArgumentError, arg
from scalefit.fitting.layout import in_raw_units, scale_dependent
from scalefit.fitting.solution import Solution
from scalefit.fitting.solver import descend
from scalefit.fitting.starts import find_starts

if TYPE_CHECKING:
    import pandas as pd


def profile(result: Solution, name: str, values: ArrayLike | None, n: int) -> pd.DataFrame:
    """Return the profile of one parameter; see :meth:`scalefit.FitResult.profile`."""
    import pandas as pd

    if not one_of(name, result.names) or len(result.problem.groups) > 1 or result.tangent is not None:
        raise ArgumentError(
            f"profile({name!r}) has nothing to walk",
            "nothing was refitted",
            f"Choose a free parameter of a plain fit: {', '.join(result.names)}",
        )
    if values is None:
        points = _points(result, name, check_count("n", n, least=2))
    else:
        points = np.array([check_number("values", value) for value in np.ravel(values)])
    log = result.law.parameters[name].log
    if not (points.size and np.isfinite(points).all()) or (log and (points <= 0).any()):
        kind = "positive and finite" if log else "finite"
        raise ArgumentError(
            f"profile({name!r}): {arg('values', values)} must be {kind} numbers, one or more",
            "nothing was refitted",
            f"Pass others, or none for the interval of {name}",
        )
    return pd.DataFrame({"value": points, "objective_value": _heights(result, name, points)})


def _points(result: Solution, name: str, n: int) -> Array:
    """Values over the interval of level 0.9999, within the bounds."""
    parameter = result.law.parameters[name]
    low, high = (result.bounds or {}).get(name, parameter.bounds)
    ends = result.conf_int(0.9999).loc[name].to_numpy(float)
    if not (np.isfinite(ends).all() and np.isfinite(result.std_errors[name])):
        raise ArgumentError(
            f"profile({name!r}): the runs do not determine {name}, so it has no interval to walk",
            "nothing was refitted",
            f"Pass the values to hold it at as {arg('values')}",
        )
    first, last = np.clip(ends, low if low < 0 else max(low, 1e-9), high)
    spread = np.geomspace if parameter.log else np.linspace
    return np.asarray(spread(float(first), float(last), n))


def _heights(result: Solution, name: str, values: Array) -> Array:
    """Objective with one parameter held at each value and the others refitted.

    On either side of the optimum the refits walk out, search anew at the end, and walk back in; the lower value counts.
    A walk keeps to its basin for longer than that basin is the lowest.
    """
    scaled = name not in scale_dependent(result.law)
    problem = result.problem if scaled else in_raw_units(result.problem)
    j = list(problem.law.parameters).index(name)
    at = int(problem.index[0, j])
    inner = np.log(values) if problem.law.parameters[name].log else values
    lower, upper = problem.bounds(result.bounds)
    x0 = result.x if scaled else np.clip(problem.free_vector(result.natural(result.x)), lower, upper)
    anew = find_starts(problem, 3, result.bounds)
    order = np.argsort(np.abs(inner - x0[at]), kind="stable")
    out = np.full(values.size, np.inf)

    def refit(k: int, starts: Array) -> Array:
        low, high = lower.copy(), upper.copy()
        low[at] = high[at] = inner[k]
        starts = starts.copy()
        starts[:, at] = inner[k]
        end = descend(problem, starts, low, high)
        best = int(np.argmin(end.value))
        out[k] = min(out[k], end.value[best])
        return np.asarray(end.x[best])

    above = inner[order] >= x0[at]
    for side in (order[above], order[~above]):
        x = x0
        for k in side:
            x = refit(k, x[None])
        for turn, k in enumerate(side[::-1]):
            x = refit(k, x[None] if turn else np.concatenate([x[None], anew]))
    return out
