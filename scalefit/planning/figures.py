"""The numbers behind the figure of several approaches to the optimum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from scalefit._arguments import check_level, check_numbers
from scalefit.errors import ArgumentError, arg
from scalefit.optima.result import Optima
from scalefit.planning.allocation import on_budget
from scalefit.planning.loss_surface import surface_of
from scalefit.plots.planning import AllocationFigure


def allocation_data(
    approaches: Mapping[str, Any], C: tuple[float, float], level: float = 0.9, n: int = 40
) -> AllocationFigure:
    """Optimal N along C for each approach.

    Parameters
    ----------
    approaches : mapping of str to Optima, FitResult or PublishedLaw
        What `sf.isoflop` and `sf.envelope` gave, and laws.
    C : (float, float)
        Range of compute [FLOP].
    level : float
        Coverage of the bands.
    n : int
        Points.

    Raises
    ------
    ArgumentError
        C is not a rising pair, there is no approach, or no level.
    """
    level, ends = check_level(level), check_numbers("C", C)
    if not approaches or ends.size != 2 or not 0 < ends[0] < ends[1] < np.inf:
        raise ArgumentError(
            f"{arg('C', C)} and {arg('approaches', list(approaches))} span nothing",
            "nothing was drawn",
            "Give a rising pair of budgets and one approach or more",
        )
    grid = np.geomspace(ends[0], ends[1], n)
    lines, optima = {}, {}
    tails = ((1 - level) / 2, (1 + level) / 2)
    for name, approach in approaches.items():
        if isinstance(approach, Optima):
            table = approach.predict(grid, level)
            lines[name] = table[["N", "N_lower", "N_upper"]].to_numpy(float).T
            optima[name] = approach.optima[["C", "N"]].to_numpy(float)
            continue
        surface = surface_of(approach)
        sizes = np.stack([on_budget(surface, budget).N for budget in grid], axis=1)
        band = np.quantile(sizes[1:], tails, axis=0) if len(sizes) > 2 else np.full((2, n), np.nan)
        lines[name] = np.vstack([sizes[:1], band])
    return AllocationFigure(grid, lines, optima, level)
