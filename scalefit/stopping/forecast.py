"""From a posterior to the forecast that a person reads: history, calibration, widening."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from scalefit._typing import Array
from scalefit.schedules import Schedule
from scalefit.stopping.advice import Forecast, Reason
from scalefit.stopping.annealing import anneal_response
from scalefit.stopping.history import MIN_HISTORY, Correction, History
from scalefit.stopping.posterior import POINT_NOISE, CurveSummary, Posterior, extrapolate
from scalefit.stopping.priors import Priors
from scalefit.stopping.run_plan import RunPlan

UNUSUAL = 2.0  # widening for a run unlike those the priors come from
#: Half-width at 90 % in posterior standard deviations by evaluations seen: (at most so many, factor). Measured on the
#: open curves, each source by the others (docs/stopping.md); the Gaussian's own is 1.645.
HALF_WIDTHS = ((1, 1.0), (2, 1.75), (4, 1.4))
#: From five on, by what the spread comes from: the level of the curve, where its law fits as usual (in proportion to
#: the misfit where it does not), and the gain of annealing.
HALF_WIDTH_LEVEL, HALF_WIDTH_GAIN = 0.6, 1.1
HALF_WIDTH_OTHER = 1.645  # the Gaussian: upwards for optimizers that the priors do not know, and for noise
#: What annealing may gain beyond the prior [nat/token] per part of the rate still to fall, at 90 %: downwards only.
#: Adam and AdamW: measured, so that every group is covered by .85 or more.
#: Others: their gains were seen up to twice the prior. Unsaid: between the two.
EXTRA_GAIN = {"adam": 0.08, "adamw": 0.08}
EXTRA_GAIN_OTHER, EXTRA_GAIN_UNSAID = 0.22, 0.13
#: For Adam and AdamW at a known peak rate, which tells most of the gain.
EXTRA_GAIN_AT_RATE = 0.03
#: Above this many planned passes the law ends too low; the band then reaches up by so much per e-fold of passes and
#: part of the plan that is left [nat/token]. Chosen on two corpora, 14 passes (benchmarks/repeated.py).
REPEATS_FREE, REPEATS_ALLOWANCE = 7.0, 0.06
#: Before this part of the plan the level is less certain than its law says, as (this / part)^that; measured from 5 %.
EARLY_PART, EARLY_GROWTH = 0.25, 0.9
USUAL_MISFIT = 0.2  # median weighted residual on the open benchmark is 0.18; 98 % are below three times this
MISFIT_LIMIT = 3.0  # times the usual


@dataclass(frozen=True, slots=True, eq=False)
class Forecaster:
    """Forecasts for one run from its digest; `priors` are its own: sharpened by `history`, in its unit, at its rate."""

    plan: RunPlan
    seen: CurveSummary
    priors: Priors
    widening: float
    correction: Correction | None
    planned: Posterior

    @classmethod
    def build(cls, plan: RunPlan, seen: CurveSummary, history: History, widening: float = 1.0) -> Forecaster:
        """Forecast the planned end once; what-if questions reuse the correction from history."""
        priors = priors_for(plan, history)
        planned = extrapolate(seen, plan.schedule, [plan.steps], priors)
        correction = None
        if len(history.runs) >= MIN_HISTORY and seen.step_now < plan.steps:
            correction = history.correction(seen.step_now / plan.steps, planned, plan.steps, priors)
        return cls(plan, seen, priors, widening, correction, planned)

    @property
    def step_now(self) -> float:
        """Latest step that the forecast rests on [steps]."""
        return self.seen.step_now

    def path(self, schedule: Schedule, steps: Array, level: float) -> tuple[Array, Array, Array]:
        """Loss, lower and upper [nat/token] at `steps` under `schedule`, shape (k,)."""
        post = extrapolate(self.seen, schedule, steps, self.priors)
        mean = post.mean
        # The conformal table says how wide; the factors how much of that so many evaluations ask for.
        scale = self.priors.z(level) / HALF_WIDTH_OTHER
        spread = half_width(self.plan, self.seen, post)
        gain = extra_gain(self.plan, self.priors.for_rate)
        at = np.append(steps, self.step_now)
        rate, felt = schedule.lr(at), anneal_response(schedule, at, saturation=1.0)[0]
        fall = np.maximum(np.maximum(rate[-1] - rate[:-1], felt[:-1] - felt[-1]), 0.0)  # ahead, or not yet felt
        above = scale * (spread if gain != EXTRA_GAIN_OTHER else np.maximum(spread, HALF_WIDTH_OTHER * post.sd))
        above = above + scale * repeats_allowance(self.plan, self.seen)
        below = scale * np.hypot(spread, gain * fall)
        if self.correction is not None:
            # The correction was measured at the planned end; on the way there it counts by the drop foreseen.
            now = float(self.seen.loss[-1])
            whole = max(now - float(self.planned.mean[0]), 1e-3)
            share = ((now - mean) / whole).clip(0.0, 1.5)
            mean = mean + self.correction.shift * share
            from scipy.special import stdtrit

            t = -float(stdtrit(self.correction.dof, (1 - level) / 2))
            own = (self.correction.sd**2 * share**2 + self.seen.noise**2 / 4) ** 0.5
            above = below = own * t
        return mean, mean - below * self.widening, mean + above * self.widening

    def at_end(self, schedule: Schedule, end: float, level: float) -> Forecast:
        """Forecast of the loss at `end`."""
        mean, lower, upper = self.path(schedule, np.array([end]), level)
        n = self.correction.n_runs if self.correction is not None else 0
        words = "saturating multi-power law, shapes averaged by evidence"
        words += f", corrected by {n} earlier runs" if n else ", shipped priors"
        words += " for this peak rate" if self.priors.for_rate and not n else ""
        if self.widening > 1:
            words += f", interval widened x{self.widening:g}"
        return Forecast(
            loss=max(float(mean[0]), 0.0),
            lower=max(float(lower[0]), 0.0),
            upper=max(float(upper[0]), 0.0),
            level=level,
            step=end,
            method=words,
            calibrated_on=self.priors.source,
            n_history=n,
            anneal_seen=self.seen.seen,
        )


def priors_for(plan: RunPlan, history: History) -> Priors:
    """Priors for a plan: that of the gain knows the peak rate under Adam, that of the asymptote is in nat/token."""
    if plan.loss_unit == "nat/token":
        return history.at_rate(adam_rate(plan))
    return replace(history.priors, asymptote_spread=float("inf"))


def adam_rate(plan: RunPlan) -> float | None:
    """Peak learning rate [1/step] of a plan with Adam or AdamW; None where either is not known."""
    return plan.peak_lr if (plan.optimizer or "").lower() in EXTRA_GAIN else None


def half_width(plan: RunPlan, seen: CurveSummary, post: Posterior) -> Array:
    """Half-width of the band at 90 % [nat/token], by what has been seen, shape (k,)."""
    few = next((factor for most, factor in HALF_WIDTHS if seen.n_points <= most), None)
    if few is not None:
        return np.asarray(few * post.sd)
    early = max(EARLY_PART * plan.steps / max(seen.step_now, 1.0), 1.0) ** EARLY_GROWTH
    misfit = min(max(post.misfit / USUAL_MISFIT, 1.0), MISFIT_LIMIT)
    level = HALF_WIDTH_LEVEL * early * misfit * np.sqrt(np.maximum(post.sd**2 - post.sd_gain**2, 0.0))
    own = HALF_WIDTH_OTHER * max(seen.noise**2 - POINT_NOISE**2, 0.0) ** 0.5  # of the evaluation at the end
    return np.asarray(np.sqrt(level**2 + (HALF_WIDTH_GAIN * post.sd_gain) ** 2 + own**2))


def repeats_allowance(plan: RunPlan, seen: CurveSummary) -> float:
    """How far the end may lie above the law because the data repeat often [nat/token]."""
    passes = plan.epochs_at(plan.steps)
    if seen.epoch_steps is None or passes is None or passes <= REPEATS_FREE:
        return 0.0
    return REPEATS_ALLOWANCE * float(np.log(passes / REPEATS_FREE)) * max(1 - seen.step_now / plan.steps, 0.0)


def extra_gain(plan: RunPlan, at_rate: bool) -> float:
    """Gain of annealing beyond the prior that the band allows for, downwards [nat/token].

    ``at_rate``: the priors are those of the peak rate.
    """
    if at_rate:
        return EXTRA_GAIN_AT_RATE
    if plan.optimizer is None:
        return EXTRA_GAIN_UNSAID
    return EXTRA_GAIN.get(plan.optimizer.lower(), EXTRA_GAIN_OTHER)


def widening_for(posterior: Posterior) -> float:
    """Widening for an unusual run: at least twofold, and in proportion to what the law misses."""
    return max(UNUSUAL, posterior.misfit / (MISFIT_LIMIT * USUAL_MISFIT))


def unlike_calibration(plan: RunPlan, posterior: Posterior, has_history: bool) -> list[Reason]:
    """R8: what makes this run unlike those that the priors and the interval come from."""
    reasons = []
    if not has_history and extra_gain(plan, at_rate=False) == EXTRA_GAIN_OTHER:
        reasons.append(
            Reason(
                "unknown_optimizer",
                f"What annealing gains is known best for adam and adamw; this run uses {plan.optimizer}, so the band "
                "reaches further down.",
                {"optimizer": str(plan.optimizer)},
                "what annealing gains depends on the optimizer; a history of earlier runs would tell",
            )
        )
    if posterior.misfit > MISFIT_LIMIT * USUAL_MISFIT:
        reasons.append(
            Reason(
                "poor_fit",
                f"The law misses the recent curve by {posterior.misfit / USUAL_MISFIT:.1f} times its usual residual.",
                {"misfit": posterior.misfit},
                "a level shift (data order, mixture), another schedule than planned, or a changed evaluation set",
            )
        )
    return reasons
