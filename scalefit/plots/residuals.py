"""Residuals over the inputs of a fit, with the medians of fifths of the runs: a bend there is misfit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scalefit._typing import Array
from scalefit.plots._axes import COLOURS, INPUTS, axes_for, log_axis, note_in_corner

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def miss_label(unit: str) -> str:
    """What a miss in this unit is: predicted over measured in %, else their difference."""
    if unit == "%":
        return "predicted / measured - 1 [%]"
    return f"predicted - measured [{unit}]" if unit else "predicted - measured"


@dataclass(frozen=True, slots=True, eq=False)
class ResidualData:
    """What :func:`draw_residuals` draws: how far the law is off (n,), in `unit`, over each input (n,)."""

    inputs: dict[str, Array]
    miss: Array
    unit: str

    @property
    def label(self) -> str:
        """What is drawn: a ratio of losses [%], or a difference of targets that may be 0."""
        return miss_label(self.unit)

    @property
    def reach(self) -> float:
        """Half-height of the frame: the few runs beyond it would flatten the others."""
        return float(np.quantile(np.abs(self.miss), 0.98)) * 1.35

    def hidden(self, reach: float) -> str:
        """How many runs are beyond the frame, and how far; empty where none is."""
        sizes = np.abs(self.miss)
        n = int((sizes > reach).sum())
        return f"{n} beyond the frame, up to {sizes.max():.2g} {self.unit}".strip() if n else ""

    def log_axis(self, key: str) -> bool:
        """Whether an input is shown on a logarithmic axis: not one that may be 0, such as a share."""
        return bool((self.inputs[key] > 0).all())

    def medians(self, key: str) -> tuple[Array, Array]:
        """Middle of each fifth of the runs along an input, and its median; empty for fewer than twenty runs."""
        x, miss = self.inputs[key], self.miss
        if x.size < 20:
            return np.empty(0), np.empty(0)
        edges = np.quantile(x, np.linspace(0, 1, 6))
        fifth = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, 4)
        parts = [fifth == k for k in range(5) if (fifth == k).any()]
        middles = [np.exp(np.mean(np.log(x[part]))) if self.log_axis(key) else x[part].mean() for part in parts]
        return np.array(middles), np.array([np.median(miss[part]) for part in parts])


def draw_residuals(data: ResidualData, by: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw residuals over one input, with the median of each fifth of the runs: a bend there is misfit."""
    axes = axes_for(ax, (7, 4.5))
    key = by if by is not None else next(iter(data.inputs))
    x = data.inputs[key]
    axes.axhline(0, color="0.3", lw=1)
    axes.scatter(x, data.miss, s=16, color=COLOURS[0], alpha=0.75, lw=0)
    middles, medians = data.medians(key)
    if middles.size:
        axes.plot(middles, medians, color=COLOURS[1], lw=2, marker="D", ms=5, mec="white", mew=0.8)
        note_in_corner(axes, "◆ medians of fifths", colour=COLOURS[1])
    largest = data.reach
    hidden = data.hidden(largest)
    if largest > 0 and hidden:
        axes.set_ylim(-largest, largest)
        note_in_corner(axes, hidden, low=True)
    if data.log_axis(key):
        log_axis(axes, "x", key)
    else:
        axes.set_xlabel(INPUTS.get(key, key))
    axes.set_ylabel(data.label)
    return axes
