"""The numbers behind a figure of a live run: its curve, forecast paths and floors."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from scalefit._arguments import check_mapping
from scalefit._typing import Array
from scalefit.plots.curves import Branch, MonitorFigure
from scalefit.schedules import Schedule
from scalefit.stopping.advice import Advice
from scalefit.stopping.run_plan import RunPlan, check_schedule

#: Points of a path: enough for a smooth line.
PATH_POINTS = 60
SETTLED = 0.15  # part of the way so far before which losses do not set the axis


def monitor_figure(
    plan: RunPlan,
    advice: Advice,
    curve: tuple[Array, Array],
    path: Callable[[Schedule, Array], tuple[Array, Array, Array, Array] | None],
    what_if: Mapping[str, Schedule] | None,
    level: float,
) -> MonitorFigure:
    """Gather what is drawn.

    Parameters
    ----------
    plan : RunPlan
        The run's plan.
    advice : Advice
        The advice now.
    curve : tuple of Array, shape (n,)
        Steps and losses so far [steps], [nat/token].
    path : callable
        Gives the forecast under a schedule at steps, or None.
    what_if : dict of str to Schedule
        Other schedules from here on.
    level : float
        Probability of the bands.

    Raises
    ------
    ArgumentError
        `what_if` does not map names to schedules, or one of them ends before the latest step.
    """
    others = check_mapping("what_if", what_if, "{'sooner': schedule.cooldown_from(6000, 500)}")
    for name, schedule in others.items():
        check_schedule(f"what_if[{name!r}]", schedule)
    steps, loss = curve
    now = max(advice.step, 0.0)
    branches = []
    for name, schedule in {"plan": plan.schedule, **others}.items():
        end = plan.steps if name == "plan" else schedule.total
        if name == "plan" and end <= now:
            continue
        found = path(schedule, np.linspace(now, end, PATH_POINTS))
        if found is not None:
            branches.append(Branch(name, *found))
    begin = max(1.5 * plan.schedule.warmup_end, SETTLED * float(steps[-1])) if len(steps) else 0.0
    settled = loss[steps >= begin]
    return MonitorFigure(
        steps=steps,
        loss=loss,
        settled=settled if len(settled) else loss,
        branches=tuple(branches),
        floors=advice.floors,
        title=f"Advice at step {now:,.0f}: {advice.action.replace('_', ' ')} (state: {advice.state.replace('_', ' ')})",
        level=level,
        unit=plan.loss_unit,
    )
