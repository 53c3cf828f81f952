"""The objective along one parameter, the others refitted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scalefit._arguments import check_count, check_number, one_of
from scalefit._typing import AnyArray, Array, ArrayLike
from scalefit.errors import ArgumentError, arg
from scalefit.fitting.layout import in_raw_units, scale_dependent
from scalefit.fitting.solution import Solution
from scalefit.fitting.solver import descend
from scalefit.fitting.starts import find_starts

if TYPE_CHECKING:
    import pandas as pd

#: Relative difference below which two ends are one.
_SAME = 1e-9
#: Steps after which a search must promise to end lower than those before it.
_RACE = 20


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
    """Objective with one parameter held at each value and the others refitted, all values at once.

    Searches begin at the optimum, and anew at both ends; then each value is tried from where its neighbours ended, for
    as long as one ends lower. A walk from the optimum keeps to its basin for longer than that basin is the lowest.
    """
    scaled = name not in scale_dependent(result.law)
    problem = result.problem if scaled else in_raw_units(result.problem)
    j = list(problem.law.parameters).index(name)
    at = int(problem.index[0, j])
    inner = np.log(values) if problem.law.parameters[name].log else values
    lower, upper = problem.bounds(result.bounds)
    x0 = result.x if scaled else np.clip(problem.free_vector(result.natural(result.x)), lower, upper)
    order = np.argsort(inner, kind="stable")
    held, m = inner[order], values.size
    x, out = np.repeat(x0[None], m, axis=0), np.full(m, np.inf)
    each = np.ones(problem.loss.size) if problem.weights is None else problem.weights

    def improved(rows: AnyArray, starts: Array) -> AnyArray:
        """Search values, some from several `starts`, until they do not promise to end lower; which of them then do."""
        low, high = np.repeat(lower[None], rows.size, axis=0), np.repeat(upper[None], rows.size, axis=0)
        low[:, at] = high[:, at] = starts[:, at] = held[rows]
        weights = np.broadcast_to(each, (rows.size, each.size))
        end = descend(problem, starts, low, high, weights=weights, bar=out[rows], bar_steps=_RACE)
        better = np.flatnonzero(end.value < out[rows] * (1 - _SAME))
        better = better[np.argsort(-end.value[better], kind="stable")]  # of one value's ends the lowest comes last
        x[rows[better]], out[rows[better]] = end.x[better], end.value[better]
        return np.unique(rows[better])

    improved(np.arange(m), x.copy())
    anew = find_starts(problem, 3, result.bounds)
    improved(np.tile([0, m - 1], len(anew)), np.repeat(anew, 2, axis=0))
    moved = np.arange(m)
    for _ in range(m):
        rows, near = np.r_[moved - 1, moved + 1], np.r_[moved, moved]
        there = (rows >= 0) & (rows < m)
        moved = improved(rows[there], x[near[there]])
        if not moved.size:
            break
    heights = np.empty(m)
    heights[order] = out
    return heights
