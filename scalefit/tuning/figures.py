"""The numbers behind the figure of fitted settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from scalefit._text import percent
from scalefit._typing import AnyArray, Array
from scalefit.tuning.cells import Sweep
from scalefit.tuning.optimum_laws import OptimumLaw

#: Laws are drawn for so many sizes at most, and to so many times the longest run.
_SIZES, _FURTHER = 5, 10.0


@dataclass(frozen=True, slots=True, eq=False)
class HyperparameterFigure:
    """What `scalefit.plots.hyperparameters` draws, one panel per setting.

    Attributes
    ----------
    panels : tuple of (name, points, lines)
        Points: N, D, best, lower, upper of each cell; lines: N, then D, best, lower, upper along it.
    title : str
    """

    panels: tuple[tuple[str, Array, tuple[tuple[float, Array, Array, Array, Array], ...]], ...]
    title: str


def figure_of(
    sweep: Sweep, best: Array, half: Array, shown: AnyArray, laws: Mapping[str, OptimumLaw], level: float
) -> HyperparameterFigure:
    """Optima (c, k) in logarithms, with half their intervals, and the laws."""
    sizes = np.exp(np.unique(np.round(np.log(sweep.N), 1)))
    sizes = sizes[np.unique(np.linspace(0, len(sizes) - 1, min(len(sizes), _SIZES)).astype(int))]
    along = np.geomspace(sweep.D.min() / 1.5, _FURTHER * sweep.D.max(), 40)
    panels = []
    for j, (name, law) in enumerate(laws.items()):
        middle, off = best[shown, j], half[shown, j]
        ends = [np.exp(middle), np.exp(middle - off), np.exp(middle + off)]
        lines = []
        for size in sizes:
            at = np.full_like(along, size)
            lines.append((float(size), along, law.at(at, along), *law.interval(at, along, level)))
        panels.append((name, np.stack([sweep.N[shown], sweep.D[shown], *ends]), tuple(lines)))
    return HyperparameterFigure(tuple(panels), f"best settings, {percent(level)} intervals")
