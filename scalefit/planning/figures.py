"""The numbers behind the figure that holds the approaches to the optimum side by side."""

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
    roads: Mapping[str, Any], C: tuple[float, float], level: float = 0.9, n: int = 40
) -> AllocationFigure:
    """Optimal N along C for each road.

    Parameters
    ----------
    roads : mapping of str to Optima, FitResult or PublishedLaw
        What `sf.isoflop` and `sf.envelope` gave, and laws.
    C : (float, float)
        From, to [FLOP].
    level : float
        Coverage of the bands.
    n : int
        Points.

    Raises
    ------
    ArgumentError
        C is no rising pair, there is no road, or no level.
    """
    level, ends = check_level(level), check_numbers("C", C)
    if not roads or ends.size != 2 or not 0 < ends[0] < ends[1] < np.inf:
        raise ArgumentError(
            f"{arg('C', C)} and {arg('roads', list(roads))} span nothing",
            "nothing was drawn",
            "Give a rising pair of budgets and one road or more",
        )
    grid = np.geomspace(ends[0], ends[1], n)
    lines, optima = {}, {}
    tails = ((1 - level) / 2, (1 + level) / 2)
    for name, road in roads.items():
        if isinstance(road, Optima):
            table = road.predict(grid, level)
            lines[name] = table[["N", "N_lower", "N_upper"]].to_numpy(float).T
            optima[name] = road.optima[["C", "N"]].to_numpy(float)
            continue
        surface = surface_of(road)
        sizes = np.stack([on_budget(surface, budget).N for budget in grid], axis=1)
        band = np.quantile(sizes[1:], tails, axis=0) if len(sizes) > 2 else np.full((2, n), np.nan)
        lines[name] = np.vstack([sizes[:1], band])
    return AllocationFigure(grid, lines, optima, level)
