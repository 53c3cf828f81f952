"""Where to spend compute: loss over N and D, the approaches to the optimum, training cost against serving cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit._text import count, percent, power
from scalefit._typing import Array
from scalefit.plots._axes import (
    COLOURS,
    DASHES,
    INPUTS,
    SMALL,
    axes_for,
    label_ends,
    log_axis,
    marker,
    note_in_corner,
    outlined,
)

if TYPE_CHECKING:
    import pandas as pd

_LABELLED = 5  # plans of a frontier


@dataclass(frozen=True, slots=True, eq=False)
class ContourFigure:
    """What :func:`draw_contours` draws.

    Attributes
    ----------
    N, D : ndarray (n,), (m,)
        Axes [parameters], [tokens].
    loss : ndarray (m, n)
        Loss [nat/token].
    budgets : dict of float to ndarray (n,)
        D on lines of equal training compute [FLOP].
    path : ndarray (k, 2)
        Optimal N and D along budgets.
    runs : ndarray (r, 2)
        N and D of the runs behind the law, where they are known.
    plan : (float, float)
        N and D of the plan; `spans` are their intervals.
    wall : float or None
        Unique tokens.
    label : str
        What is drawn, with its unit.
    """

    N: Array
    D: Array
    loss: Array
    budgets: dict[float, Array]
    path: Array
    runs: Array
    plan: tuple[float, float]
    spans: tuple[tuple[float, float] | None, tuple[float, float] | None]
    wall: float | None
    label: str


def draw_contours(data: ContourFigure, ax: Any = None) -> Any:
    """Draw loss contours with budget lines, the optimum's path, the data wall, the runs and the plan.

    What lies over the contours is white with a black edge, which stands out from every colour.
    """
    from matplotlib.ticker import MaxNLocator

    ax = axes_for(ax, (7.5, 5.8))
    filled = ax.contourf(data.N, data.D, np.log(data.loss), levels=24, cmap="viridis_r")
    bar = ax.figure.colorbar(filled, ax=ax, label=data.label, pad=0.01)
    low, high = float(data.loss.min()), float(data.loss.max())
    ticks = [tick for tick in MaxNLocator(7).tick_values(low, high) if low <= tick <= high]
    bar.set_ticks([float(np.log(tick)) for tick in ticks], labels=[f"{tick:.4g}" for tick in ticks])
    log_axis(ax, "x", "N")
    log_axis(ax, "y", "D")
    ax.set(xlim=(data.N[0], data.N[-1]), ylim=(data.D[0], data.D[-1]))
    for budget, tokens in data.budgets.items():
        ax.plot(data.N, tokens, ":", color="white", lw=1.3, path_effects=outlined(2.2, "0.2"))
        inside = np.flatnonzero((tokens > 1.3 * data.D[0]) & (tokens < data.D[-1] / 1.15))
        if inside.size:
            k = inside[min(2, inside.size - 1)]
            late = k > 0.85 * len(data.N)  # no room to the right of it
            label = ax.annotate(f"{power(budget, 2)} FLOP", (data.N[k], tokens[k]), (-5 if late else 5, -3), va="top",
                                ha="right" if late else "left", textcoords="offset points", fontsize=SMALL,
                                color="white")  # fmt: skip
            label.set(path_effects=outlined(2.5, "0.1"))
    marks: dict[str, Any] = {"color": "white", "mec": "black", "zorder": 4}
    if data.runs.size:
        ax.plot(data.runs[:, 0], data.runs[:, 1], "o", ms=4, mew=0.7, label="runs", **marks)
    line: dict[str, Any] = {"color": "white", "lw": 2.2, "path_effects": outlined(4.2, "black")}
    ax.plot(data.path[:, 0], data.path[:, 1], "-", label="optimum", **line)
    if data.wall is not None:
        ax.axhline(data.wall, ls="--", label="data wall: one epoch", **line)
    (n, d), (across, along) = data.plan, data.spans
    if across is not None and along is not None:
        ax.plot(across, (d, d), "-", **{**line, "lw": 1.2})
        ax.plot((n, n), along, "-", **{**line, "lw": 1.2})
    ax.plot(n, d, "*", ms=17, mew=1.2, label="plan", **{**marks, "zorder": 6})
    legend = ax.legend(fontsize=SMALL, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=5, facecolor="0.75")
    legend.get_frame().set_edgecolor("none")
    return ax


@dataclass(frozen=True, slots=True, eq=False)
class AllocationFigure:
    """What :func:`draw_allocation` draws.

    Attributes
    ----------
    C : ndarray (n,)
        Compute [FLOP].
    lines : dict of str to ndarray (3, n)
        Optimal N, its lower and its upper end, by approach.
    optima : dict of str to ndarray (m, 2)
        C and N of optima found budget by budget.
    level : float
        Coverage of the bands.
    """

    C: Array
    lines: dict[str, Array]
    optima: dict[str, Array]
    level: float


def draw_allocation(data: AllocationFigure, ax: Any = None) -> Any:
    """Draw the optimal N of every approach along C, with bands; returns the axes."""
    ax = axes_for(ax, (7, 4.5))
    for k, (name, (middle, low, high)) in enumerate(data.lines.items()):
        colour = COLOURS[k % len(COLOURS)]
        ax.plot(data.C, middle, color=colour, ls=DASHES[k % len(DASHES)], lw=1.8, label=name)
        if np.isfinite(low).all() and np.isfinite(high).all():
            ax.fill_between(data.C, low, high, color=colour, alpha=0.15, lw=0)
        if name in data.optima:
            ax.plot(data.optima[name][:, 0], data.optima[name][:, 1], marker(k), ms=5, color=colour)
    log_axis(ax, "x", "C")
    log_axis(ax, "y", "N", f"best {INPUTS['N']}")
    ax.legend(fontsize=SMALL, loc="upper left")
    note_in_corner(ax, f"bands: {percent(data.level)}", low=True)
    return ax


def draw_frontier(plans: pd.DataFrame, ax: Any = None) -> Any:
    """Draw training compute against serving compute per token; `plans` as `Plan.frontier` gives; returns the axes."""
    ax = axes_for(ax, (7, 4.5))
    serving, training = plans["serving_per_token"].to_numpy(float), plans["C"].to_numpy(float)
    ax.plot(serving, training, "o-", ms=4, color=COLOURS[0])
    log_axis(ax, "x", "C", "serving compute [FLOP per token]")
    log_axis(ax, "y", "C")
    way = np.log(np.stack([serving, training]))
    length = np.r_[0.0, np.cumsum(np.hypot(*np.diff(way / np.ptp(way, axis=1, keepdims=True), axis=1)))]
    picked = {int(np.abs(length - at).argmin()) for at in np.linspace(0, length[-1], min(_LABELLED, len(plans)))}
    ends = []
    for k in sorted(picked):
        row = plans.iloc[k]
        text = f"{count(float(row['N']))}, {count(float(row['tokens_per_param']))} tokens per parameter"
        ends.append((float(serving[k]), float(training[k]), text))
        ax.plot(serving[k], training[k], "o", ms=8, color=COLOURS[1])
    label_ends(ax, ends, above=8)
    ax.set_title("every plan here reaches the same loss; none is cheaper in both", fontsize=10, loc="left")
    return ax
