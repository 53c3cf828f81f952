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
from scalefit.fitting.problem import Problem
from scalefit.fitting.starts import find_starts, subset

_LARGE = 10_000
_SUBSET = 2_048
_SECOND_SUBSET = 20_000
#: Root mean square residual below which a table is taken to be free of noise.
_EXACT = 1e-12


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
    best = int(np.argmin(ends.value))
    x = ends.x[best]
    with np.errstate(all="ignore"):
        _, gradient, hessian, information = model_of(problem).evaluate(x[None], None)
    held = (x <= lower) | (x >= upper)
    certificate = certify(ends, hessian[0], information[0], names, held, bool(ends.value[best] <= 1e6 * floor))
    if not np.isfinite(ends.value[best]):
        raise FitError(f"{problem.law.name} has no finite objective anywhere near these runs. Check their units.")
    return x, certificate


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
