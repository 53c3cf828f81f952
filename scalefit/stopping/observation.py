"""What the rules look at: the judged curve after the warm-up, training losses, and all evaluations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalefit._numeric import settled
from scalefit._typing import Array
from scalefit.stopping.evaluations import RESOLUTION, Evaluations, at_evaluations
from scalefit.stopping.logged import LoggedSeries
from scalefit.stopping.posterior import point_noise
from scalefit.stopping.run_plan import RunPlan


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """What the rules look at: the judged curve after the warm-up, training losses, and all evaluations.

    The plan's peak rate is that of the logged ones where the plan does not say it.
    """

    plan: RunPlan
    steps: Array
    loss: Array
    counts: Array
    train_steps: Array
    train_loss: Array
    judged_by_train: bool
    sem: float
    last_step: float
    nonfinite: tuple[int, float] | None  # how many, the last step
    rate_rising: bool
    evaluations: Evaluations

    @property
    def noise(self) -> float:
        """Standard error of one evaluation, given or estimated [nat/token]."""
        found = max(self.sem, point_noise(self.loss[-200:]))
        return settled(found) if found > RESOLUTION else 0.0

    @property
    def level(self) -> float | None:
        """Median of the last three losses [nat/token]."""
        return float(np.median(self.loss[-3:])) if len(self.loss) else None


def observe(
    plan: RunPlan, series: Mapping[Any, LoggedSeries], last_step: float, nonfinite: tuple[int, float] | None
) -> Observation:
    """Gather what the rules look at from the logged quantities."""
    judged = "val" if len(series["val"]) else "train"
    steps, loss, counts = series[judged].arrays()
    train_steps, train_loss, _ = series["train"].arrays()
    begun = steps > 0
    train = at_evaluations(steps[begun], loss[begun], train_steps, train_loss)
    keep = (steps >= plan.schedule.warmup_end) & begun
    errors = series["val_sem"].values
    peak = plan.peak_lr or _peak(plan, series["lr"])
    return Observation(
        plan=plan if peak == plan.peak_lr else plan.model_copy(update={"peak_lr": peak}),
        steps=steps[keep],
        loss=loss[keep],
        counts=counts[keep],
        train_steps=train_steps,
        train_loss=train_loss,
        judged_by_train=judged == "train",
        sem=max(float(np.median(errors)), 0.0) if errors else 0.0,
        last_step=max(last_step, 0.0),
        nonfinite=nonfinite,
        rate_rising=_rate_rising(plan, steps[keep], series["lr"], last_step),
        evaluations=Evaluations(steps[begun], loss[begun], train, plan.steps, plan.schedule.warmup_end),
    )


def _peak(plan: RunPlan, rates: LoggedSeries) -> float | None:
    """Peak learning rate from the logged ones."""
    t, rate, _ = rates.arrays()
    relative = plan.schedule.lr(t)
    use = (relative > 0.05) & (rate > 0)
    return float(np.median(rate[use] / relative[use])) if use.any() else None


def _rate_rising(plan: RunPlan, steps: Array, rates: LoggedSeries, now: float) -> bool:
    """Whether the rate rose over the last evaluations (a re-warm-up): the loss may rise with it."""
    start = steps[-6] if len(steps) >= 6 else 0.0
    if now < 0 or float(plan.schedule.lr(now)) > float(plan.schedule.lr(start)) + 0.02:
        return True
    t, rate, _ = rates.arrays()
    recent = rate[t >= start]
    return bool(len(recent) > 1 and recent[-1] > 1.02 * recent.min() and recent[-1] > recent[0])
