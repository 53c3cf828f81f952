"""From findings to one state, one action, and a forecast as wide as the findings ask for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from scalefit._numeric import settled
from scalefit._typing import Array
from scalefit.stopping import rules
from scalefit.stopping.advice import Action, Advice, Forecast, Reason, State
from scalefit.stopping.forecast import Forecaster, unlike_calibration, widening_for
from scalefit.stopping.history import History
from scalefit.stopping.observation import Observation
from scalefit.stopping.posterior import CurveSummary
from scalefit.stopping.regression import EndRegression
from scalefit.stopping.repetition import late_descent, overfitting

SCHEDULE_TOLERANCE = 0.1  # median distance between logged and planned rate, relative to the peak
COOLDOWN_PART = 0.2  # a cooldown from now is tried over this part of the steps so far
LAW_LEVEL, LAW_SLOPE = 2.0, 0.05  # least loss [nat/token] and fall [nat per e-fold of steps] of a run from scratch
LAW_FALLEN = 1.0  # or this much since the first evaluation [nat/token]
LAW_LEAST_END = 1.0  # a law that foresees less than this does not follow a language model [nat/token]
LAW_EVALS = 5  # evaluations in that slope
MANY_EPOCHS = 16.0  # planned passes above which no law of fresh data is extrapolated
FORECAST_ONLY = ("poor_fit", "steepening", "unknown_optimizer", "taken_for_finetune")
OFF_DISTRIBUTION = ("schedule_mismatch", "implausible_loss", "steepening", "poor_fit")
STILL_HIGH = 0.9  # only a run near its peak rate can be cooled down early


def decide(
    view: Observation,
    seen: CurveSummary | None,
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
    final, gain = None, {}
    finished = view.last_step >= view.plan.steps
    mute = bool(reasons) and reasons[0].code in ("not_finite", "negative_loss")
    if not mute:
        forecaster, unusual = forecaster_for(view, seen, history, logged_rate, state)
        if finished:  # nothing is left to forecast, so how well the law fits does not matter
            unusual = [reason for reason in unusual if reason.code not in FORECAST_ONLY]
        reasons += unusual
        if state in ("healthy", "plateau") and any(reason.code in OFF_DISTRIBUTION for reason in unusual):
            state = "off_distribution"
        if forecaster is not None:
            final = _end(view, forecaster, level)
            gain = _gain(view, final, frontier)
            if state in ("healthy", "plateau", "off_distribution"):
                action = _worth_continuing(view, forecaster, final, gain, level, min_gain, min_saving, reasons)
            _compare_with_floors(final, floors, reasons)
    if state == "healthy" and action == "continue":
        reasons.insert(0, rules.healthy(view))
    if view.judged_by_train and len(view.train_loss):
        reasons.append(
            Reason("training_loss_only", "No validation loss was given; the training loss is judged and forecast.")
        )
    if finished:
        reasons.append(Reason("finished", f"The planned end, step {view.plan.steps:g}, is reached."))
    reasons += remarks
    return Advice(action, state, view.last_step, view.level, tuple(reasons), final, floors, gain)


def forecaster_for(
    view: Observation,
    seen: CurveSummary | None,
    history: History,
    logged_rate: tuple[Array, Array],
    state: State | None = None,
) -> tuple[Forecaster | EndRegression | None, list[Reason]]:
    """Forecaster with its band as wide as the run is unusual, and what is unusual about it; None: too little seen."""
    mismatch, implausible = _schedule_mismatch(view, *logged_rate), rules.implausible(view)
    found = [reason for reason in (mismatch, implausible) if reason is not None]
    planned = view.plan.epochs_at(view.plan.steps)
    if planned is not None and planned > MANY_EPOCHS and not history.runs:
        text = f"The plan passes over its data {planned:.3g} times: no law of a falling loss holds that long."
        text += " The planned end will be above the best so far." if state == "overfitting" else ""
        found.append(Reason("repeats_too_often", text, {"epochs": settled(planned)}))
        return (EndRegression(view.evaluations) if len(view.evaluations) else None), found
    if not history.runs and not follows_a_law(view):
        if implausible is not None or not len(view.evaluations):
            return None, found
        if view.plan.pretrained is None and planned is None:
            text = (
                "The loss does not fall as that of a new model, so the forecast is by the regression on fine-tunes. "
                "If it began from random weights, say so in the plan: pretrained=False."
            )
            found.append(Reason("taken_for_finetune", text))
        return EndRegression(view.evaluations), found
    if seen is None:
        return None, found
    steepening = rules.steepening(view)
    unusual = [*found, *([steepening] if steepening is not None else [])]
    forecaster = Forecaster.build(view.plan, seen, history)
    if view.plan.loss_unit == "nat/token" and not history.runs and float(forecaster.planned.mean[0]) < LAW_LEAST_END:
        return EndRegression(view.evaluations), found
    strange = bool(unusual)
    unusual += unlike_calibration(view.plan, forecaster.planned, forecaster.correction is not None)
    strange = strange or any(reason.code == "poor_fit" for reason in unusual)
    state = state or _judge(view, [])[0]
    if strange or state in ("diverging", "lost", "spike", "overfitting"):
        forecaster = replace(forecaster, widening=widening_for(forecaster.planned))
    return forecaster, unusual


def follows_a_law(view: Observation) -> bool:
    """Whether the law of a run from random weights is the forecast; the regression on fine-tunes otherwise.

    The plan's `pretrained` decides, then its `epochs`: one or less is a run from random weights. Unsaid, a loss above
    2 nat that still falls, or has fallen by more than 1 nat since the first evaluation, is taken for one: true of
    99 % of the public pre-training curves at a quarter of the run, and of 9 to 17 % of the public fine-tunes.
    """
    plan, run = view.plan, view.evaluations
    if plan.pretrained is not None:
        return not plan.pretrained
    planned = plan.epochs_at(plan.steps)
    if planned is not None and (planned <= 1 or plan.epochs is not None):
        return planned <= 1
    if not len(run) or plan.loss_unit != "nat/token":
        return True
    now = float(run.loss[-1])
    if now <= LAW_LEVEL:
        return False
    if len(run) < 2 or float(run.loss[0]) - now > LAW_FALLEN:
        return True
    x, y = np.log(run.steps[-LAW_EVALS:]), run.loss[-LAW_EVALS:]
    slope, _ = rules.slope_t(x, y) if len(x) > 2 else ((y[1] - y[0]) / (x[1] - x[0]), 0.0)
    return settled(-slope) > LAW_SLOPE


def _judge(view: Observation, reasons: list[Reason]) -> tuple[State, Action]:
    """State and action from the curve alone; appends the deciding reason."""
    if (found := rules.negative(view)) is not None:
        reasons.append(found)
        return "wait", "wait"
    if (found := rules.not_finite(view)) is not None:
        reasons.append(found)
        return "lost", "rollback"
    if (found := rules.second_descent(view)) is not None and rules.too_early(view) is None:
        reasons.append(found)
        return "second_descent", "continue"
    if (found := overfitting(view)) is not None:
        reasons.append(found)
        if (late := late_descent(view)) is not None:
            reasons.append(late)
            return "overfitting", "continue"
        return "overfitting", "stop"
    checks: tuple[tuple[Callable[[Observation], Reason | None], State, Action], ...] = (
        (rules.lost, "lost", "rollback"),
        (rules.too_early, "wait", "wait"),
        (rules.diverging, "diverging", "rollback"),
        (rules.spike, "spike", "continue"),
        (rules.plateau, "plateau", "continue"),
    )
    for check, state, action in checks:
        if (found := check(view)) is not None:
            reasons.append(found)
            return state, action
    return "healthy", "continue"


def _schedule_mismatch(view: Observation, steps: Array, rate: Array) -> Reason | None:
    """The logged learning rate is not the planned one."""
    if len(steps) < 5 or rate.max() <= 0:
        return None
    planned = view.plan.schedule.lr(steps)
    peak = float(planned.max())
    if peak <= 0:
        return None
    off = float(np.median(np.abs(rate / rate.max() * peak - planned)[-50:]))
    if settled(off) < SCHEDULE_TOLERANCE:
        return None
    return Reason(
        "schedule_mismatch",
        f"The logged learning rate differs from the planned schedule by {off:.0%} of the peak.",
        {"difference": off},
        "one rate stands for all parameter groups; correct the plan, or use replan()",
    )


def _end(view: Observation, forecaster: Forecaster | EndRegression, level: float) -> Forecast:
    end, schedule = max(view.plan.steps, forecaster.step_now), view.plan.schedule
    if forecaster.step_now >= view.plan.steps:  # nothing is left to forecast
        last = float(view.evaluations.loss[-1])
        return Forecast(last, last, last, level, end, "the logged loss at the planned end", "this run", 0, 1.0)
    if isinstance(forecaster, EndRegression):
        rate = schedule.lr(np.array([forecaster.step_now, end]))
        whole = 1 - float(rate[1])
        return forecaster.at_end(end, level, float(np.clip((1 - rate[0]) / whole, 0, 1)) if whole > 0 else 1.0)
    return forecaster.at_end(schedule, end, level)


def _gain(view: Observation, final: Forecast, frontier: tuple[list[float], list[float]]) -> dict[str, float]:
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


def _worth_continuing(
    view: Observation,
    forecaster: Forecaster | EndRegression,
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
    if isinstance(forecaster, Forecaster) and float(schedule.lr(view.last_step)) >= STILL_HIGH and steps > 0:
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
    if cooled is not None and saved >= min_saving and settled(cooled.loss - final.loss) < min_gain:
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
    little = cooled is None or settled(gain["cooldown_now"]) < min_gain
    if settled(now - final.lower) < min_gain and little:
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


def _compare_with_floors(final: Forecast, floors: dict[str, float], reasons: list[Reason]) -> None:
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
