"""From findings to one state, one action, and a forecast as wide as the findings ask for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from scalefit._typing import Array
from scalefit.stopping import rules
from scalefit.stopping.advice import Action, Advice, Forecast, Reason, State
from scalefit.stopping.forecast import Forecaster, unlike_calibration, widening_for
from scalefit.stopping.history import History
from scalefit.stopping.posterior import Digest

SCHEDULE_TOLERANCE = 0.1  # median distance between logged and planned rate, relative to the peak
COOLDOWN_PART = 0.2  # a cooldown from now is tried over this part of the steps so far
STILL_HIGH = 0.9  # only a run near its peak rate can be cooled down early


def decide(
    view: rules.View,
    seen: Digest | None,
    history: History,
    *,
    level: float,
    min_gain: float | None,
    min_saving: float,
    floors: dict[str, float],
    frontier: tuple[list[float], list[float]],
    logged_rate: tuple[Array, Array],
    remarks: Sequence[Reason],
) -> Advice:
    """Apply the rules in the order of their urgency."""
    reasons: list[Reason] = []
    state, action = _judge(view, reasons)
    final, forecaster, gain = None, None, {}
    mute = bool(reasons) and reasons[0].code in ("not_finite", "negative_loss")
    if seen is not None and not mute:
        forecaster, unusual = forecaster_for(view, seen, history, logged_rate, state)
        reasons += unusual
        if state in ("healthy", "plateau") and any(r.code != "unknown_optimizer" for r in unusual):
            state = "off_distribution"
        final = _end(view, forecaster, level)
        gain = _gain(view, final, frontier)
        if state in ("healthy", "plateau", "off_distribution"):
            action = _worth(view, forecaster, final, gain, level, min_gain, min_saving, reasons)
        _beside_floors(final, floors, reasons)
    if state == "healthy" and action == "continue":
        reasons.insert(0, rules.healthy(view))
    if view.judged_by_train and len(view.train_loss):
        reasons.append(
            Reason("training_loss_only", "No validation loss was given; the training loss is judged and forecast.")
        )
    if view.last_step >= view.plan.steps:
        reasons.append(Reason("finished", f"The planned end, step {view.plan.steps:g}, is reached."))
    reasons += remarks
    return Advice(action, state, view.last_step, view.level, tuple(reasons), final, floors, gain)


def forecaster_for(
    view: rules.View, seen: Digest, history: History, logged_rate: tuple[Array, Array], state: State | None = None
) -> tuple[Forecaster, list[Reason]]:
    """Forecaster with its band as wide as the run is unusual, and what is unusual about it."""
    found = (_schedule_mismatch(view, *logged_rate), rules.steepening(view), rules.implausible(view))
    unusual = [reason for reason in found if reason is not None]
    forecaster = Forecaster.build(view.plan, seen, history)
    unusual += unlike_calibration(view.plan, forecaster.planned, forecaster.correction is not None)
    state = state or _judge(view, [])[0]
    if unusual or state in ("diverging", "lost", "spike", "overfitting"):
        forecaster = replace(forecaster, widening=widening_for(forecaster.planned))
    return forecaster, unusual


def _judge(view: rules.View, reasons: list[Reason]) -> tuple[State, Action]:
    """State and action from the curve alone; appends the deciding reason."""
    if (found := rules.negative(view)) is not None:
        reasons.append(found)
        return "wait", "wait"
    if (found := rules.lost(view)) is not None:
        reasons.append(found)
        return "lost", "rollback"
    if (found := rules.too_early(view)) is not None:
        reasons.append(found)
        return "wait", "wait"
    if (found := rules.second_descent(view)) is not None:
        reasons.append(found)
        return "second_descent", "continue"
    if (found := rules.diverging(view)) is not None:
        reasons.append(found)
        return "diverging", "rollback"
    if (found := rules.overfitting(view)) is not None:
        reasons.append(found)
        solved = len(view.train_loss) > 0 and float(np.median(view.train_loss[-6:])) < rules.SOLVED_TRAIN
        if solved and (view.plan.weight_decay or 0) > 0:
            reasons.append(
                Reason(
                    "late_descent_possible",
                    "The training loss is nearly zero and weight decay is on: on small algorithmic tasks the "
                    "validation loss can fall much later, so the run is not stopped.",
                    {"weight_decay": float(view.plan.weight_decay or 0)},
                    "the task is small enough to be learned exactly",
                )
            )
            return "overfitting", "continue"
        return "overfitting", "stop"
    if (found := rules.spike(view)) is not None:
        reasons.append(found)
        return "spike", "continue"
    if (found := rules.plateau(view)) is not None:
        reasons.append(found)
        return "plateau", "continue"
    return "healthy", "continue"


def _schedule_mismatch(view: rules.View, steps: Array, rate: Array) -> Reason | None:
    """The logged learning rate is not the planned one."""
    if len(steps) < 5 or rate.max() <= 0:
        return None
    planned = view.plan.schedule.lr(steps)
    peak = float(planned.max())
    if peak <= 0:
        return None
    off = float(np.median(np.abs(rate / rate.max() * peak - planned)[-50:]))
    if off < SCHEDULE_TOLERANCE:
        return None
    return Reason(
        "schedule_mismatch",
        f"The logged learning rate differs from the planned schedule by {off:.0%} of the peak.",
        {"difference": off},
        "one rate stands for all parameter groups; correct the plan, or use replan()",
    )


def _end(view: rules.View, forecaster: Forecaster, level: float) -> Forecast:
    return forecaster.at_end(view.plan.schedule, max(view.plan.steps, forecaster.seen.step_now), level)


def _gain(view: rules.View, final: Forecast, frontier: tuple[list[float], list[float]]) -> dict[str, float]:
    """What the rest of the run brings, and what the same compute could bring elsewhere."""
    now = view.level
    left = view.plan.steps - view.last_step
    if now is None or left <= 0:
        return {}
    gain = {"remaining": now - final.loss, "per_1000_steps": (now - final.loss) / left * 1000}
    rest, spent = view.plan.flops(left), view.plan.flops(view.last_step)
    if rest is not None and spent is not None:
        gain["per_1e18_flop"] = (now - final.loss) / rest * 1e18
        compute, best = frontier
        if compute and spent >= compute[0]:
            reached = np.interp(np.log([spent, spent + rest]), np.log(compute), best)
            gain["elsewhere_per_1e18_flop"] = float(reached[0] - reached[1]) / rest * 1e18
    return gain


def _worth(
    view: rules.View,
    forecaster: Forecaster,
    final: Forecast,
    gain: dict[str, float],
    level: float,
    min_gain: float | None,
    min_saving: float,
    reasons: list[Reason],
) -> Action:
    """R5 and R6: whether the rest of the run is worth its compute; never asked before cooling down was."""
    now, left = view.level, view.plan.steps - view.last_step
    if now is None or left <= 0:
        return "continue"
    schedule = view.plan.schedule
    steps = min(COOLDOWN_PART * view.last_step, left)
    cooled: Forecast | None = None
    if float(schedule.lr(view.last_step)) >= STILL_HIGH and steps > 0:
        branch = schedule.cooldown_from(view.last_step, steps)
        cooled = forecaster.at_end(branch, view.last_step + steps, level)
        gain["cooldown_now"] = now - cooled.loss
    if gain.get("elsewhere_per_1e18_flop", -np.inf) > gain.get("per_1e18_flop", np.inf):
        reasons.append(
            Reason(
                "better_elsewhere",
                f"The rest of the run brings {gain['per_1e18_flop']:.3g} nat per 1e18 FLOP; the law's best run "
                f"with as much more compute would bring {gain['elsewhere_per_1e18_flop']:.3g}.",
                {k: gain[k] for k in ("per_1e18_flop", "elsewhere_per_1e18_flop")},
                "the law holds for this recipe",
            )
        )
    if min_gain is None:
        return "continue"
    saved = (left - steps) / view.plan.steps
    if cooled is not None and saved >= min_saving and cooled.loss - final.loss < min_gain:
        reasons.insert(
            0,
            Reason(
                "cooldown_is_enough",
                f"Cooling down over {steps:.0f} steps from here reaches {cooled.loss:.3f}; the plan reaches "
                f"{final.loss:.3f}, less than min_gain = {min_gain:g} better, for {saved:.0%} more of it.",
                {"cooled": cooled.loss, "planned": final.loss, "saved": saved},
                "a linear cooldown to zero",
            ),
        )
        return "cooldown_now"
    if now - final.lower < min_gain and (cooled is None or gain["cooldown_now"] < min_gain):
        reasons.insert(
            0,
            Reason(
                "little_to_gain",
                f"Even the optimistic end of the forecast, {final.lower:.3f}, is less than min_gain = {min_gain:g} "
                f"below the level now, {now:.3f}.",
                {"level": now, "lower": final.lower, "min_gain": min_gain},
            ),
        )
        return "stop"
    return "continue"


def _beside_floors(final: Forecast, floors: dict[str, float], reasons: list[Reason]) -> None:
    """R7: a forecast below a floor says that the floor is wrong here; it never stops a run."""
    for name, value in floors.items():
        if name != "law_at_plan" and final.upper < value:
            reasons.append(
                Reason(
                    "below_floor",
                    f"The forecast's upper end {final.upper:.3f} is below the floor {name}, {value:.3f}.",
                    {"upper": final.upper, "floor": value},
                    "the floor was measured with another tokenizer or corpus, or does not hold",
                )
            )
