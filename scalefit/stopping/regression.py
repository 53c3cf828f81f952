r"""The end of a fine-tune from its evaluations: a Student-t regression of the logarithm of end over now.

:math:`\ln(v_{end}/v_{now})` has a mean that is linear in a few trends of the curve and a scale that is
log-linear in what is left, the noise and the rise, with three degrees of freedom. A forecast is never negative and
its band never inverted. `benchmarks/finetunes.py` fits the constants and scores them, split by base model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scalefit._typing import Array
from scalefit.stopping.advice import Forecast
from scalefit.stopping.evaluations import LEAST_LOSS, Evaluations, fitted_constants

DOF = 3  # degrees of freedom of the errors: losses of fine-tunes jump
TREND = 5  # evaluations in the slope
#: Widening of the band by the number of evaluations so far: (at most so many, factor); chosen on coverage.
WIDENING = ((2, 1.15), (4, 1.4), (8, 1.1), (np.inf, 1.2))
METHOD = "Student-t regression on fine-tunes of public model cards"
MEAN = (
    "one", "slope_two", "slope_five", "step_slope", "gap", "first", "under",
    "past_slope_two", "past_slope_five", "past_step_slope", "rise", "left_over_n", "warming",
)  # fmt: skip
SCALE = ("one", "left", "noise", "step_slope", "rise", "level", "first", "one_over_n")


def _log_ratio(a: float, b: float) -> float:
    return float(np.clip(np.log(max(a, LEAST_LOSS) / max(b, LEAST_LOSS)), -2, 2))


def features(run: Evaluations, end: float) -> tuple[Array, Array]:
    """Features of mean and log scale of ln(loss at `end` / loss now), in the order of `MEAN` and `SCALE`."""
    i, n, b = len(run) - 1, len(run), run.best
    t, v = run.steps, run.loss
    now = float(v[i])
    left = max(1 - float(t[i]) / end, 0.0)
    ahead = float(np.log(end / t[i])) if end > t[i] else 0.0
    two = step = 0.0
    if n >= 2:
        change = _log_ratio(now, float(v[i - 1]))
        two = float(np.clip(change / max(np.log(t[i] / t[i - 1]), 0.05), -2, 2))
        step = float(np.clip(change / ((t[i] - t[i - 1]) / end) * left, -1.5, 1.5))
    five = two
    if n >= 3:
        m = min(n, TREND)
        x = np.log(t[-m:])
        x = x - x.mean()
        y = np.log(np.maximum(v[-m:], LEAST_LOSS))
        five = float(np.clip(np.sum(x * y) / max(float(np.sum(x * x)), 1e-3), -2, 2))
    two, five = two * ahead / 2, five * ahead / 2
    past, rise = float(b < i), _log_ratio(now, float(v[b]))
    gap = _log_ratio(now, float(run.train[i])) if np.isfinite(run.train[i]) else 0.0
    first, warming = float(n == 1), float(t[i] < run.warmup)
    noise = run.noise
    relative = (0.05 * max(now, 0.01) if noise is None else noise) / max(now, 0.01)
    mean = [
        1.0, two, five, step, max(gap, 0.0) * left, first, min(gap, 0.0) * left,
        past * two, past * five, past * step, rise * left**2, left / n, warming * left,
    ]  # fmt: skip
    scale = [
        1.0, np.log(max(left, 1e-3) + 0.02), np.log(relative + 0.01), abs(step), rise, np.log(max(now, 0.02)),
        first, 1 / n,
    ]  # fmt: skip
    return np.array(mean), np.array(scale)


def widening(n: int) -> float:
    """Factor on the band with `n` evaluations."""
    return next(factor for most, factor in WIDENING if n <= most)


@dataclass(frozen=True, slots=True, eq=False)
class EndRegression:
    """Forecasts for one fine-tune."""

    run: Evaluations

    @property
    def step_now(self) -> float:
        """Latest evaluation [steps]."""
        return float(self.run.steps[-1])

    def path(self, steps: Array, level: float) -> tuple[Array, Array, Array]:
        """Loss, lower and upper [nat/token], were the run to end at each of `steps`, shape (k,)."""
        from scipy.special import stdtrit

        record = fitted_constants()["end"]
        quantile = -float(stdtrit(DOF, (1 - level) / 2))
        now, middle, half = float(self.run.loss[-1]), [], []
        for step in np.asarray(steps, dtype=float):
            mean, scale = features(self.run, max(float(step), self.step_now))
            arrived = step <= self.step_now
            middle.append(0.0 if arrived else float(np.sum(np.array(record["mean"]) * mean)))
            width = float(np.exp(np.sum(np.array(record["log_scale"]) * scale)))
            half.append(0.0 if arrived else quantile * widening(len(self.run)) * width)
        m, h = np.array(middle), np.array(half)
        return now * np.exp(m), now * np.exp(m - h), now * np.exp(m + h)

    def at_end(self, end: float, level: float, seen: float) -> Forecast:
        """Forecast of the loss at `end`; `seen` is the part of the planned fall of the rate that is past."""
        loss, lower, upper = (float(values[0]) for values in self.path(np.array([end]), level))
        source = str(fitted_constants()["provenance"]["source"])
        return Forecast(loss, lower, upper, level, end, METHOD, source, 0, seen)
