"""Where to spend compute: loss over N and D, the roads to the optimum, training cost against serving cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit._arguments import check_level, check_numbers
from scalefit._typing import Array
from scalefit.errors import ArgumentError
from scalefit.plots._axes import axes_for

if TYPE_CHECKING:
    import pandas as pd

    from scalefit.planning.result import Plan


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
    """

    N: Array
    D: Array
    loss: Array
    budgets: dict[float, Array]
    path: Array
    runs: Array


def contour_data(plan: Plan, n: int = 80) -> ContourFigure:
    """Numbers behind the contours: two decades either side of the plan."""
    from scalefit.planning.allocation import SERVE, TRAIN, on_budget

    surface = plan.surface.first()
    N = np.geomspace(plan.N / 100, plan.N * 100, n)
    D = np.geomspace(plan.D / 100, plan.D * 100, n)
    loss = surface.loss(np.broadcast_to(N, (n, n))[None], np.broadcast_to(D[:, None], (n, n))[None])[0]
    weight = 1.0 if plan.hardware is None else plan.hardware.serving_weight
    served = plan.inference_tokens * weight
    total = TRAIN * plan.N * plan.D + SERVE * plan.N * served
    path = []
    for factor in np.geomspace(1e-4, 1e4, 25):
        best = on_budget(surface, total * factor, served)
        path.append((best.N[0], best.D[0]))
    problem = getattr(plan.result, "problem", None)
    runs = np.empty((0, 2))
    if problem is not None:
        runs = np.stack([problem.raw_columns[key] for key in ("N", "D")], axis=1)
    budgets = {float(plan.C * factor): plan.C * factor / (TRAIN * N) for factor in (0.01, 0.1, 1.0, 10.0, 100.0)}
    return ContourFigure(N, D, loss, budgets, np.array(path), runs)


def draw_contours(plan: Plan, ax: Any = None) -> Any:
    """Draw loss contours with budget lines, the optimum's path, the data wall, the runs and the plan."""
    from matplotlib.patheffects import withStroke
    from matplotlib.ticker import MaxNLocator

    data = contour_data(plan)
    ax = axes_for(ax, (7, 5.5))
    filled = ax.contourf(data.N, data.D, np.log(data.loss), levels=24, cmap="viridis_r", alpha=0.85)
    bar = ax.figure.colorbar(filled, ax=ax, label="loss [nat/token]")
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
    if plan.unique_tokens is not None:
        ax.axhline(plan.unique_tokens, color="orange", ls="--", label="data wall: one epoch")
    ax.plot(plan.N, plan.D, "*", color="crimson", ms=14, label="plan")
    if plan.N_interval is not None and plan.D_interval is not None:
        ax.plot(plan.N_interval, (plan.D, plan.D), "-", color="crimson", lw=1)
        ax.plot((plan.N, plan.N), plan.D_interval, "-", color="crimson", lw=1)
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
        Optimal N, its lower and its upper end, by road.
    optima : dict of str to ndarray (m, 2)
        C and N of optima found budget by budget.
    """

    C: Array
    lines: dict[str, Array]
    optima: dict[str, Array]


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
    from scalefit.optima.isoflop import Optima
    from scalefit.planning.allocation import on_budget
    from scalefit.planning.loss_surface import surface_of

    level, ends = check_level(level), check_numbers("C", C)
    if not roads or ends.size != 2 or not 0 < ends[0] < ends[1] < np.inf:
        raise ArgumentError(
            f"C={C!r:.80} and roads={list(roads)!r} span nothing, and nothing was drawn. Give a rising pair of budgets "
            f"and one road or more."
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
    return AllocationFigure(grid, lines, optima)


def draw_allocation(roads: Mapping[str, Any], C: tuple[float, float], level: float = 0.9, ax: Any = None) -> Any:
    """Draw the optimal N of every road along C, with bands; arguments as `allocation_data`; returns the axes."""
    data = allocation_data(roads, C, level)
    ax = axes_for(ax)
    for name, (middle, low, high) in data.lines.items():
        (line,) = ax.plot(data.C, middle, "-", label=name)
        if np.isfinite(low).all() and np.isfinite(high).all():
            ax.fill_between(data.C, low, high, color=line.get_color(), alpha=0.15, lw=0)
        if name in data.optima:
            ax.plot(data.optima[name][:, 0], data.optima[name][:, 1], "o", ms=4, color=line.get_color())
    ax.set(xscale="log", yscale="log", xlabel="C [FLOP]", ylabel="optimal N [parameters]")
    ax.set_title(f"bands: {100 * level:.6g}%", fontsize=9)
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
