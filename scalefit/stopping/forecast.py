"""From a posterior to the forecast that a person reads: history, calibration, widening."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scalefit._typing import Array
from scalefit.schedules import Schedule
from scalefit.stopping.advice import Forecast, Reason
from scalefit.stopping.history import MIN_HISTORY, Correction, History
from scalefit.stopping.posterior import Digest, Posterior, extrapolate
from scalefit.stopping.run_plan import RunPlan

UNUSUAL = 2.0  # widening for a run unlike those the priors come from
KNOWN_OPTIMIZERS = ("adam", "adamw", "muon", "soap")
USUAL_MISFIT = 0.2  # median weighted residual on the open benchmark is 0.18; 98 % are below three times this
MISFIT_LIMIT = 3.0  # times the usual


@dataclass(frozen=True, slots=True, eq=False)
class Forecaster:
    """Forecasts for one run from its digest; `priors` are already sharpened by `history`."""

    plan: RunPlan
    seen: Digest
    history: History
    widening: float
    correction: Correction | None
    planned: Posterior

    @classmethod
    def build(cls, plan: RunPlan, seen: Digest, history: History, widening: float = 1.0) -> Forecaster:
        """Forecast the planned end once; what-if questions reuse the correction from history."""
        planned = extrapolate(seen, plan.schedule, [plan.steps], history.priors)
        correction = None
        if len(history.runs) >= MIN_HISTORY and seen.step_now < plan.steps:
            correction = history.correction(seen.step_now / plan.steps, planned, plan.steps)
        return cls(plan, seen, history, widening, correction, planned)

    def path(self, schedule: Schedule, steps: Array, level: float) -> tuple[Array, Array, Array]:
        """Loss, lower and upper [nat/token] at `steps` under `schedule`, shape (k,)."""
        post = extrapolate(self.seen, schedule, steps, self.history.priors)
        mean, half = post.mean, post.sd * self.history.priors.z(level)
        if self.correction is not None:
            # The correction was measured at the planned end; on the way there it counts by the drop foreseen.
            now = float(self.seen.loss[-1])
            whole = max(now - float(self.planned.mean[0]), 1e-3)
            share = ((now - mean) / whole).clip(0.0, 1.5)
            mean = mean + self.correction.shift * share
            from scipy.special import stdtrit

            t = -float(stdtrit(self.correction.dof, (1 - level) / 2))
            own = (self.correction.sd**2 * share**2 + self.seen.noise**2 / 4) ** 0.5
            half = own * t
        half = half * self.widening
        return mean, mean - half, mean + half

    def at_end(self, schedule: Schedule, end: float, level: float) -> Forecast:
        """Forecast of the loss at `end`."""
        mean, lower, upper = self.path(schedule, np.array([end]), level)
        n = self.correction.n_runs if self.correction is not None else 0
        source = self.history.priors.source
        words = "saturating multi-power law, shapes averaged by evidence"
        words += f", corrected by {n} earlier runs" if n else ", shipped priors"
        if self.widening > 1:
            words += f", interval widened x{self.widening:g}"
        return Forecast(
            loss=float(mean[0]),
            lower=max(float(lower[0]), 0.0),
            upper=float(upper[0]),
            level=level,
            step=end,
            method=words,
            calibrated_on=source,
            n_history=n,
            anneal_seen=self.seen.seen,
        )


def widening_for(posterior: Posterior) -> float:
    """Widening for an unusual run: at least twofold, and in proportion to what the law misses."""
    return max(UNUSUAL, posterior.misfit / (MISFIT_LIMIT * USUAL_MISFIT))


def unlike_calibration(plan: RunPlan, posterior: Posterior, has_history: bool) -> list[Reason]:
    """R8: what makes this run unlike those that the priors and the interval come from."""
    reasons = []
    if not has_history and plan.optimizer.lower() not in KNOWN_OPTIMIZERS:
        reasons.append(
            Reason(
                "unknown_optimizer",
                f"The shipped priors know {', '.join(KNOWN_OPTIMIZERS)}; this run uses {plan.optimizer}.",
                {"optimizer": plan.optimizer},
                "what annealing gains depends on the optimizer; earlier runs (history=) would tell",
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
