"""From a problem to its optimum and certificate: subsets of large tables, narrowing bands, every start at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from scalefit._typing import Array
from scalefit.errors import FitError
from scalefit.fitting.certificate import Certificate, certify
from scalefit.fitting.newton import Minimum, minimise
from scalefit.fitting.objectives import Objective
from scalefit.fitting.power_sum import model_of
from scalefit.fitting.problem import DEAD, Problem
from scalefit.fitting.starts import find_starts, subset

_LARGE = 10_000
_SUBSET = 2_048
_SECOND_SUBSET = 20_000
#: Root mean square residual below which a table is taken to be free of noise.
_EXACT = 1e-12
#: A summand that is nowhere more than this share of the loss is also tried at nothing.
_FAINT = 0.05
#: Runs on which a solution's slopes are looked at.
_LOOK = 4_096


def solve(
    problem: Problem, bounds: Mapping[str, tuple[float, float]], names: tuple[str, ...], n_starts: int
) -> tuple[Array, Certificate]:
    """Best free vector (p,) and its certificate."""
    lower, upper = problem.bounds(bounds)
    starts = np.clip(find_starts(problem, max(1, n_starts)), lower, upper)
    floor = 0.5 * _EXACT**2 * problem.loss.size
    if problem.loss.size > _LARGE:
        small = subset(problem, _SUBSET)
        coarse = _descend(small, starts, lower, upper, floor)
        # Every start that shares the best end is one point on the full table: polish the distinct ends only.
        value = coarse.value
        point = coarse.x[[int(np.argmin(value))]]
        if problem.loss.size > 2 * _SECOND_SUBSET:
            point = _descend(subset(problem, _SECOND_SUBSET), point, lower, upper, floor).x
        if not problem.law.terms:
            problem = replace(problem, second_order=problem.curvature(point[0]))
        ends = _descend(problem, point, lower, upper, floor)
        same = value <= value.min() * (1 + 1e-6)
        rest = np.where(same, ends.value[0], ends.value[0] * value / max(value.min(), 1e-300))
        ends = Minimum(
            np.where(same[:, None], ends.x, coarse.x),
            rest,
            np.where(same, ends.decrement, coarse.decrement),
            np.where(same, ends.converged, coarse.converged),
            coarse.steps,
        )
    else:
        ends = _descend(problem, starts, lower, upper, floor)
    if not np.isfinite(ends.value.min()):
        raise FitError(f"{problem.law.name} has no finite objective anywhere near these runs. Check their units.")
    sensitivity = _sensitivity(problem, ends.best)
    stuck = not ends.converged[int(np.argmin(ends.value))]
    for at in _faint(problem, ends.best, sensitivity, lower, np.inf if stuck else _FAINT):
        pinned = upper.copy()
        pinned[at] = lower[at]
        without = _descend(problem, np.minimum(ends.x, pinned), lower, pinned, floor)
        if without.value.min() <= ends.value.min() * (1 + 1e-9):
            ends, upper = without, pinned
            sensitivity = _sensitivity(problem, ends.best)
    x = ends.best
    with np.errstate(all="ignore"):
        _, _, hessian, information = model_of(problem).evaluate(x[None], None)
    held = (x <= lower) | (x >= upper)
    # A coefficient at nothing says so by being at its bound; what it multiplied is what no run depends on.
    coefficients = [problem.index[:, j] for j, p in enumerate(problem.law.parameters.values()) if p.linear]
    for places in coefficients:
        free = places[places >= 0]
        sensitivity[free] = np.where(held[free], np.inf, sensitivity[free])
    exactly = ends.value.min() <= (1e-9 * problem.loss.size if problem.objective.kind == "absolute" else 1e6 * floor)
    return x, certify(ends, hessian[0], information[0], names, held, bool(exactly), sensitivity)


def _sensitivity(problem: Problem, x: Array) -> Array:
    """Largest change of the log loss over the runs (p,) for a unit change of each free parameter."""
    small = subset(problem, _LOOK) if problem.loss.size > _LOOK else problem
    with np.errstate(all="ignore"):
        slopes = np.abs(small.jacobian(x[None])[1][0])
    return np.asarray((slopes if problem.objective.log else slopes / small.loss).max(axis=1))


def _faint(problem: Problem, x: Array, sensitivity: Array, lower: Array, share: float) -> list[int]:
    """Positions of coefficients whose summand is at most `share` of the loss at x, faintest first.

    In logarithms a summand of zero is infinitely far away: descent towards it slows down and stops short. A descent
    that ran out of steps may be on its way to one that is not faint yet.
    """
    found = []
    for j, parameter in enumerate(problem.law.parameters.values()):
        for at in set(problem.index[:, j].tolist()) - {-1}:
            coefficient = parameter.linear and parameter.log and lower[at] <= np.log(DEAD)
            if coefficient and lower[at] < x[at] and sensitivity[at] <= share:
                found.append(at)
    return sorted(found, key=lambda at: float(sensitivity[at]))


def _descend(problem: Problem, starts: Array, lower: Array, upper: Array, floor: float) -> Minimum:
    """Minimise from every start, through a sequence of bands where the objective's own is too narrow to follow."""
    goal = problem.objective
    if goal.kind == "squared":
        bands: tuple[Objective, ...] = (goal,)
    else:
        with np.errstate(all="ignore"):
            spread = float(np.median(np.abs(problem.residuals(starts[:1]))))
        bands = goal.bands(max(spread, 1e-12))
    ends = None
    for band in bands:
        stage = problem if band == goal else replace(problem, objective=band)
        points = starts if ends is None else ends.x
        ends = minimise(model_of(stage), points, lower, upper, floor=floor, rivals=len(bands) == 1)
    assert ends is not None
    return replace(ends, value=problem.value(ends.x)) if bands[-1] != goal else ends
