"""Findings about runs whose data repeat: overfitting, and the late descent that may follow it."""

from __future__ import annotations

import numpy as np

from scalefit._numeric import settled
from scalefit.stopping.advice import Reason
from scalefit.stopping.observation import Observation
from scalefit.stopping.overfit import best_is_past, plain_rise

# A late second descent (grokking) needs weight decay to act: weight decay times the rates that are left, summed over
# steps, is above 1 in the one run measured (7.8; modular addition) and .005 in a usual fine-tune. A guess between.
LATE_DESCENT_DECAY = 1.0
SOLVED_TRAIN = 0.1  # and a training loss below this [nat/token], or so many epochs planned
LATE_DESCENT_EPOCHS = 100.0
STRONG_DECAY = 0.1  # weight decay that counts where no learning rate is known


def repeats_and_learns(view: Observation) -> bool:
    """Whether a rise is overfitting rather than divergence: the training loss is no higher than at the best.

    One known epoch or less rules it out; with more and no training loss, the posterior alone judges the rise.
    """
    epochs = view.plan.epochs_at(view.last_step)
    if view.judged_by_train or not len(view.evaluations) or (epochs is not None and epochs <= 1):
        return False
    if not np.isfinite(view.evaluations.train[-1]):
        return epochs is not None
    return view.evaluations.keeps_learning


def overfitting(view: Observation) -> Reason | None:
    """R4: the posterior says that the best evaluation is past, and the training loss agrees."""
    run = view.evaluations
    if view.judged_by_train or not len(run):
        return None
    epochs = view.plan.epochs_at(view.last_step)
    chance = best_is_past(run, epochs, view.plan.epochs_at(view.plan.steps))
    if chance is None:
        return None
    b, now = run.best, float(run.loss[-1])
    best, step, train = float(run.loss[b]), float(run.steps[b]), float(run.train[-1])
    known = bool(np.isfinite(train))
    evidence: dict[str, float | str] = {
        "best": best,
        "best_step": step,
        "rise": settled(now - best),
        "margin": settled(plain_rise(best)),
        "chance_of_better": settled(chance),
    }
    if known:
        evidence["gap"] = settled(now - train)
    if epochs is not None:
        evidence["epochs"] = settled(epochs)
    agrees = "while the training loss does not" if known else "and no training loss is logged"
    return Reason(
        "validation_climbs",
        f"The best validation loss was {best:.4g} at step {step:g}; it is {now:.4g} now, {agrees}. The chance that a "
        f"later evaluation is better by 0.01 is {_percent(chance)}. Keep the checkpoint of step {step:g}: going on "
        f"since has cost {now - best:.2g} nat.",
        evidence,
        "the run is like the fine-tunes that the posterior was fitted to; both losses are measured alike"
        + ("" if epochs is not None else "; the training data repeat (give epochs in the plan to make sure)"),
    )


def _percent(chance: float) -> str:
    return f"{chance:.1%}" if chance >= 0.001 else "below 0.1%"


def late_descent(view: Observation) -> Reason | None:
    """Weight decay may still bring the validation loss down long after the training loss (grokking)."""
    decay = view.plan.weight_decay or 0.0
    if decay <= 0:
        return None
    train = float(view.evaluations.train[-1]) if len(view.evaluations) else np.nan
    solved, planned = bool(train < SOLVED_TRAIN), view.plan.epochs_at(view.plan.steps)
    many = planned is not None and planned >= LATE_DESCENT_EPOCHS
    if view.plan.peak_lr is None:
        possible, left = decay >= STRONG_DECAY and solved and (many or planned is None), np.nan
    else:
        schedule = view.plan.schedule
        area = float(schedule.area(view.plan.steps)) - float(schedule.area(view.last_step))
        left = settled(decay * view.plan.peak_lr * area)
        possible = left >= LATE_DESCENT_DECAY and (many or solved)
    if not possible:
        return None
    evidence: dict[str, float | str] = {"weight_decay": decay}
    if np.isfinite(left):
        evidence["decay_left"] = left
    return Reason(
        "late_descent_possible",
        "The training data are nearly learned and weight decay still acts: on small algorithmic tasks the validation "
        "loss can fall much later, so the run is not stopped.",
        evidence,
        "the task is small enough to be learned exactly",
    )
