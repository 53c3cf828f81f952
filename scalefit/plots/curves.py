"""The curve of a live run, the forecast's band, its floors and what-if branches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit._typing import Array
from scalefit.plots._axes import axes_for

if TYPE_CHECKING:
    from scalefit.schedules import Schedule
    from scalefit.stopping.monitor import Monitor

PATH_POINTS = 60
SETTLED = 0.15  # part of the way so far before which losses do not set the axis


@dataclass(frozen=True, slots=True, eq=False)
class Branch:
    """A forecast path: loss, lower and upper [nat/token] at steps, shape (k,)."""

    name: str
    steps: Array
    loss: Array
    lower: Array
    upper: Array


@dataclass(frozen=True, slots=True, eq=False)
class MonitorPicture:
    """The numbers behind a monitor's plot; `settled`, for the axis, are the losses after the first fall or else all."""

    steps: Array
    loss: Array
    settled: Array
    branches: tuple[Branch, ...]
    floors: dict[str, float]
    title: str
    level: float
    unit: str


def monitor_picture(monitor: Monitor, what_if: dict[str, Schedule] | None = None, level: float = 0.9) -> MonitorPicture:
    """Gather what `plot_monitor` draws.

    Parameters
    ----------
    monitor : Monitor
        The run.
    what_if : dict of str to Schedule, optional
        Other schedules from here on.
    level : float
        Probability of the bands.

    Returns
    -------
    MonitorPicture
    """
    advice = monitor.advise(level)
    steps, loss = monitor.curve("val")
    if not len(steps):
        steps, loss = monitor.curve("train")
    branches = []
    planned = monitor.plan.schedule
    for name, schedule in {"plan": planned, **(what_if or {})}.items():
        end = monitor.plan.steps if name == "plan" else schedule.total
        if name == "plan" and end <= monitor.last_step:
            continue
        path = monitor.path(schedule, np.linspace(max(monitor.last_step, 0.0), end, PATH_POINTS), level)
        if path is not None:
            branches.append(Branch(name, *path))
    begin = max(1.5 * planned.warmup_end, SETTLED * float(steps[-1])) if len(steps) else 0.0
    settled = loss[steps >= begin]
    return MonitorPicture(
        steps=steps,
        loss=loss,
        settled=settled if len(settled) else loss,
        branches=tuple(branches),
        floors=advice.floors,
        title=f"{advice.action.replace('_', ' ')} ({advice.state})",
        level=level,
        unit=monitor.plan.loss_unit,
    )


def plot_monitor(
    monitor: Monitor, ax: Any = None, what_if: dict[str, Schedule] | None = None, level: float = 0.9
) -> Any:
    """Draw a run and its forecast.

    Parameters
    ----------
    monitor : Monitor
        The run.
    ax : matplotlib Axes, optional
        Where to draw; a new figure by default.
    what_if : dict of str to Schedule, optional
        Other schedules from here on.
    level : float
        Probability of the bands.

    Returns
    -------
    matplotlib Axes
    """
    picture = monitor_picture(monitor, what_if, level)
    ax = axes_for(ax, (7, 4.5))
    ax.plot(picture.steps, picture.loss, color="0.25", lw=1.2, label="logged")
    for i, branch in enumerate(picture.branches):
        colour = f"C{i}"
        ax.plot(branch.steps, branch.loss, color=colour, lw=1.2, ls="--", label=f"{branch.name}: {branch.loss[-1]:.3f}")
        ax.fill_between(branch.steps, branch.lower, branch.upper, color=colour, alpha=0.2, lw=0)
    for name, value in picture.floors.items():
        ax.axhline(value, color="0.6", lw=0.8, ls=":")
        ax.annotate(f"{name.replace('_', ' ')} {value:.2f}", (1, value), xycoords=("axes fraction", "data"),
                    ha="right", va="bottom", fontsize=8, color="0.4")  # fmt: skip
    if len(picture.settled):  # the fall before and during the warm-up would flatten the rest
        values = [
            picture.settled,
            *(np.r_[b.lower, b.upper] for b in picture.branches),
            np.array(list(picture.floors.values())),
        ]
        every = np.concatenate(values)
        pad = 0.05 * float(np.ptp(every)) + 1e-3
        ax.set_ylim(float(every.min()) - pad, float(every.max()) + pad)
    ax.set_xlabel("step")
    ax.set_ylabel(f"loss [{picture.unit}]")
    ax.set_title(picture.title)
    ax.legend(frameon=False, fontsize=9)
    return ax
