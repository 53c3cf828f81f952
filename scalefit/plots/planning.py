"""Where to spend compute: loss over N and D, the approaches to the optimum, training cost against serving cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit._typing import Array
from scalefit.plots._axes import axes_for

if TYPE_CHECKING:
    import pandas as pd


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
    """Draw loss contours with budget lines, the optimum's path, the data wall, the runs and the plan."""
    from matplotlib.patheffects import withStroke
    from matplotlib.ticker import MaxNLocator

    ax = axes_for(ax, (7, 5.5))
    filled = ax.contourf(data.N, data.D, np.log(data.loss), levels=24, cmap="viridis_r", alpha=0.85)
    bar = ax.figure.colorbar(filled, ax=ax, label=data.label)
    low, high = float(data.loss.min()), float(data.loss.max())
    ticks = [tick for tick in MaxNLocator(7).tick_values(low, high) if low <= tick <= high]
    bar.set_ticks([float(np.log(tick)) for tick in ticks], labels=[f"{tick:.4g}" for tick in ticks])
    for budget, tokens in data.budgets.items():
        ax.plot(data.N, tokens, ":", color="white", lw=1)
        inside = np.flatnonzero((tokens > data.D[0]) & (tokens < data.D[-1]))
        if inside.size:
            at = (data.N[inside[0]], tokens[inside[0]])
            label = ax.annotate(f"{budget:.0e} FLOP", at, (5, -3), textcoords="offset points", fontsize=7)
            label.set(
                color="white", va="top", path_effects=[withStroke(linewidth=2, foreground="0.2")]
            )  # on any colour
    if data.runs.size:
        ax.plot(data.runs[:, 0], data.runs[:, 1], ".", color="black", ms=3, label="runs")
    ax.plot(data.path[:, 0], data.path[:, 1], "-", color="crimson", lw=1.5, label="optimum")
    if data.wall is not None:
        ax.axhline(data.wall, color="orange", ls="--", label="data wall: one epoch")
    ax.plot(*data.plan, "*", color="crimson", ms=14, label="plan")
    (n, d), (across, along) = data.plan, data.spans
    if across is not None and along is not None:
        ax.plot(across, (d, d), "-", color="crimson", lw=1)
        ax.plot((n, n), along, "-", color="crimson", lw=1)
    ax.set(xscale="log", yscale="log", xlabel="N [parameters]", ylabel="D [tokens]")
    ax.set(xlim=(data.N[0], data.N[-1]), ylim=(data.D[0], data.D[-1]))
    ax.legend(fontsize=8, loc="lower left")
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
    ax = axes_for(ax)
    for name, (middle, low, high) in data.lines.items():
        (line,) = ax.plot(data.C, middle, "-", label=name)
        if np.isfinite(low).all() and np.isfinite(high).all():
            ax.fill_between(data.C, low, high, color=line.get_color(), alpha=0.15, lw=0)
        if name in data.optima:
            ax.plot(data.optima[name][:, 0], data.optima[name][:, 1], "o", ms=4, color=line.get_color())
    ax.set(xscale="log", yscale="log", xlabel="C [FLOP]", ylabel="optimal N [parameters]")
    ax.set_title(f"bands: {100 * data.level:.6g}%", fontsize=9)
    ax.legend(fontsize=8)
    return ax


def draw_frontier(plans: pd.DataFrame, ax: Any = None) -> Any:
    """Draw training compute against serving compute per token; `plans` as `Plan.frontier` gives; returns the axes."""
    ax = axes_for(ax)
    serving, training = plans["serving_per_token"].to_numpy(float), plans["C"].to_numpy(float)
    ax.plot(serving, training, "o-", ms=4)
    last = np.inf
    for k in range(len(plans)):
        row = plans.iloc[k]
        if serving[k] > 0.93 * last:
            continue
        last = serving[k]
        text = f"{row['N']:.2g} parameters, {row['tokens_per_param']:.3g} tokens each"
        ax.annotate(text, (serving[k], training[k]), fontsize=7, xytext=(6, 4), textcoords="offset points")
    ax.set(xscale="log", yscale="log", xlabel="serving [FLOP per token]", ylabel="training [FLOP]")
    ax.set_title("every plan here reaches the same loss; none is cheaper in both", fontsize=9)
    return ax
