"""Named findings about a curve; each is a function of the curve alone, so nothing is ever latched.

Thresholds come from 413 healthy and 12 diverging public runs (docs/stopping.md): on those curves patience-1
stopping halts 43 % of the healthy runs, these rules none.
"""

from __future__ import annotations

import numpy as np

from scalefit._numeric import robust_sd, settled
from scalefit._text import several
from scalefit._typing import Array
from scalefit.stopping.advice import Reason
from scalefit.stopping.evaluations import RESOLUTION
from scalefit.stopping.observation import Observation
from scalefit.stopping.repetition import repeats_and_learns

MIN_EVALS = 5  # evaluations after the warm-up before anything but a lost run is reported
MIN_PART = 0.05  # and this part of the plan
RISE = 0.05  # least rise above the best level that counts as one [nat/token]
#: Standard deviations of the evaluations' noise, for a rise beside RISE (alarms on healthy runs: docs/stopping.md).
RISE_SIGMAS = 4.0
#: Evaluations without a fall that make a plateau (a guess; no advice stops a run by it).
PLATEAU_EVALS = 12
#: Robust deviations of a spike and training losses in its window, as in other monitors: a note, never a reason to stop.
SPIKE_Z = 6.0
SPIKE_WINDOW = 128
#: Steps within which most spikes are gone (a guess, after what published runs report).
RECOVERY_STEPS = 500.0
EARLY_PART = 0.1  # "lost" is above the loss at this part of the run
GUESS = 14.0  # a uniform guess over a million tokens costs 13.8 [nat/token]


def negative(view: Observation) -> Reason | None:
    """A negative loss is not a cross-entropy."""
    if view.plan.loss_unit == "other" or view.level is None or view.level >= 0:
        return None
    return Reason(
        "negative_loss",
        f"The loss is {view.level:.4g}, and a cross-entropy is never negative: nothing is judged or forecast. If it "
        f"is a log-likelihood, change its sign; if it is another quantity, call its unit 'other' in the plan.",
        {"level": view.level},
    )


def implausible(view: Observation) -> Reason | None:
    """A loss that no language model has after its warm-up: most likely another unit."""
    if view.plan.loss_unit != "nat/token" or view.level is None or view.level <= GUESS:
        return None
    return Reason(
        "implausible_loss",
        f"The loss is {view.level:.4g}, more than a uniform guess over a million tokens costs (13.8 nat/token): the "
        f"forecast's priors do not hold for it.",
        {"level": view.level},
        "a perplexity (take its logarithm), a percentage, or another unit (call it 'other' in the plan)",
    )


def medians(loss: Array) -> Array:
    """Running medians of three, shape (n - 2,)."""
    return np.asarray(np.median(np.stack([loss[:-2], loss[1:-1], loss[2:]]), axis=0))


def slope_t(steps: Array, loss: Array) -> tuple[float, float]:
    """Slope of a least-squares line [nat/token per step] and its t statistic."""
    x = steps - steps.mean()
    sxx = float(x @ x)
    if len(x) < 3 or sxx == 0:
        return 0.0, 0.0
    slope = float(x @ loss) / sxx
    if abs(slope) * float(np.ptp(steps)) < RESOLUTION:  # all that the line falls or rises is rounding
        return 0.0, 0.0
    residual = loss - loss.mean() - slope * x
    # Losses are known to RESOLUTION at best, so a straight line has an error too, and a flat one no sign.
    error = float(np.sqrt((residual @ residual / (len(x) - 2) + RESOLUTION**2) / sxx))
    return settled(slope), settled(slope / error)


def not_finite(view: Observation) -> Reason | None:
    """R1: the loss was not finite, and fewer than three finite ones have come since."""
    if view.nonfinite is not None:
        count, step = view.nonfinite
        since = int(np.sum(view.steps > step)) + int(np.sum(view.train_steps > step))
        if since < 3:
            return Reason(
                "not_finite",
                f"The loss was not finite {several(count, 'time')}, last at step {step:g}; such values are not fitted.",
                {"count": float(count), "last_step": step},
                "clears itself after three finite losses",
            )
    return None


def lost(view: Observation) -> Reason | None:
    """R1: for three evaluations above the loss at a tenth of the run."""
    early = EARLY_PART * view.plan.steps
    if len(view.loss) >= 6 and view.steps[0] <= 2 * early and view.last_step > 2 * early and not view.rate_rising:
        near = view.loss[np.argsort(np.abs(view.steps - early), kind="stable")[:3]]
        bound = float(np.median(near)) + max(RISE, RISE_SIGMAS * view.noise)
        if np.all(view.loss[-3:] > bound + RESOLUTION) and not repeats_and_learns(view):
            return Reason(
                "above_early_loss",
                f"The last three losses are above {bound:.3f}, the loss at a tenth of the run plus its noise.",
                {"bound": bound, "loss": float(view.loss[-1])},
            )
    return None


def diverging(view: Observation) -> Reason | None:
    """R2: the level (median of three) rose well above its best, at two evaluations in a row, and is not coming down."""
    if len(view.loss) < 5 or view.rate_rising or view.judged_by_train:
        return None
    level = medians(view.loss)
    best = np.minimum.accumulate(level)
    margin = max(RISE, RISE_SIGMAS * view.noise)
    above = level - best
    if not (settled(above[-1]) > margin and settled(above[-2]) > margin):
        return None
    if settled(view.loss[-2] - view.loss[-1]) > margin / 2:
        return None  # on its way down from a spike
    if repeats_and_learns(view):
        return None  # the training loss does not agree: overfitting, not divergence
    at = float(view.steps[1:-1][int(np.argmin(level))])  # a median of three stands at its middle
    return Reason(
        "rising_level",
        f"The loss level {level[-1]:.3f} is {level[-1] - best[-1]:.3f} above its best {best[-1]:.3f} "
        f"(step {at:g}); the margin is {margin:.3f}.",
        {"level": float(level[-1]), "best": float(best[-1]), "best_step": at, "margin": margin},
        "the evaluation set has not changed; some runs recover, and then this clears itself",
    )


def second_descent(view: Observation) -> Reason | None:
    """The loss has been well above an earlier minimum and is now coming down from that peak."""
    if len(view.loss) < 8:
        return None
    level = medians(view.loss)
    margin = max(RISE, RISE_SIGMAS * view.noise)
    excess = level - np.minimum.accumulate(level)
    peak = int(np.argmax(excess))
    if excess[peak] < margin or peak >= len(level) - 2:
        return None
    slope, t = slope_t(view.steps[-4:], view.loss[-4:])
    down = float(level[peak] - level[-1])
    still_above = level[-1] > np.min(level[: peak + 1]) - margin
    if not (slope < 0 and down > max(margin, 0.25 * float(excess[peak])) and still_above):
        return None
    return Reason(
        "falling_from_peak",
        f"The loss is {down:.3f} below its peak {level[peak]:.3f} (step {view.steps[peak + 1]:g}) and falling.",
        {"peak": float(level[peak]), "fallen": down, "slope_per_step": slope, "t": t},
        "what looked like overfitting or divergence may be a second descent or a recovery",
    )


def spike(view: Observation) -> Reason | None:
    """R3: the newest losses are far outside a robust window that leaves earlier spikes out."""
    if len(view.loss) >= 6:
        level = float(np.median(view.loss[-6:-1]))
        margin = max(RISE, SPIKE_Z * view.noise)
        if view.loss[-1] > level + margin and not view.rate_rising:
            return Reason(
                "evaluation_spike",
                f"The last loss {view.loss[-1]:.3f} is {view.loss[-1] - level:.3f} above the level before it.",
                {"loss": float(view.loss[-1]), "level": level, "margin": margin},
                f"most spikes are gone within {RECOVERY_STEPS:g} steps",
            )
    if len(view.train_loss) < SPIKE_WINDOW:
        return None
    recent = view.train_loss[-SPIKE_WINDOW:]
    centre = float(np.median(recent))
    width = robust_sd(recent - centre)
    if width <= RESOLUTION:
        return None
    z = (recent - centre) / width
    if np.all(z[-2:] > SPIKE_Z):
        return Reason(
            "training_spike",
            f"The last training losses are {z[-1]:.1f} robust deviations above the last {SPIKE_WINDOW}.",
            {"z": float(z[-1]), "rate": float(np.mean(z > SPIKE_Z))},
            f"most spikes are gone within {RECOVERY_STEPS:g} steps; training loss alone never means divergence",
        )
    return None


def plateau(view: Observation) -> Reason | None:
    """The last evaluations do not fall measurably; patience would stop here."""
    n = PLATEAU_EVALS
    if len(view.loss) < n:
        return None
    slope, t = slope_t(view.steps[-n:], view.loss[-n:])
    if t < -1.5:
        return None
    return Reason(
        "no_measurable_fall",
        f"The last {n} evaluations do not fall (t = {round(t, 1) + 0.0:.1f}).",
        {"t": t, "slope_per_step": slope},
        "a flat stretch before the rate falls is not the end of the run",
    )


def too_early(view: Observation) -> Reason | None:
    """R0: fewer than five evaluations after the warm-up, or less than 5 % of the plan."""
    part = view.last_step / view.plan.steps
    if len(view.loss) >= MIN_EVALS and part >= MIN_PART:
        return None
    return Reason(
        "too_early",
        f"{several(len(view.loss), 'evaluation')} after the warm-up, {part:.0%} of the plan; "
        f"advice begins at {MIN_EVALS} evaluations and {MIN_PART:.0%}.",
        {"evaluations": float(len(view.loss)), "part": part},
    )


def steepening(view: Observation) -> Reason | None:
    """The fall per unit of log progress still grows at full rate: no law of a slowing curve holds yet."""
    area = view.plan.schedule.area(view.steps)
    use = (area > 0.15 * area[-1]) & (view.plan.schedule.lr(view.steps) > 0.9) if len(area) else np.zeros(0, bool)
    if use.sum() < 6 or not use[-1]:
        return None
    x = np.log(area[use])
    middle = np.searchsorted(x, (x[0] + x[-1]) / 2)
    if middle < 3 or len(x) - middle < 3:
        return None
    y = view.loss[use]
    early, _ = slope_t(x[:middle], y[:middle])
    late, t = slope_t(x[middle:], y[middle:])
    if not (t < -3 and late < 0 and late < 1.3 * early - 0.05):
        return None
    return Reason(
        "steepening",
        f"The loss falls {-late:.2f} nat per unit of log progress, faster than the {-early:.2f} before.",
        {"slope_now": late, "slope_before": early},
        "a slow start; the forecast is widened until the curve slows down",
    )


def healthy(view: Observation) -> Reason:
    """No rule objects to the run: where its level stands, and against what it was judged."""
    level, best = settled(float(np.median(view.loss[-3:]))), settled(float(medians(view.loss).min()))
    place = "the best so far" if level <= best + RESOLUTION else f"{level - best:.2g} above the best so far"
    return Reason(
        "no_fault_found",
        f"No rule objects to the run: its level, {level:.3f}, is {place}; the noise of one evaluation is "
        f"{view.noise:.1g}.",
        {"level": level, "best": best, "noise": view.noise},
        "every evaluation is of the same held-out data",
    )
