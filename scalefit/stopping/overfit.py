r"""Whether the best evaluation of a run lies behind it: a logistic posterior fitted to public fine-tunes.

.. math:: \operatorname{logit} P(\text{a later evaluation is more than 0.01 below the best so far})
          = \beta\cdot x

with the rise above the best, the evaluations since it and in all, the part of the plan that is left, the gap to the
training loss, its fall since the best, what was learned before, and the noise. `benchmarks/finetunes.py` fits the
coefficients, split by base model, and scores the rule.
"""

from __future__ import annotations

import numpy as np

from scalefit._typing import Array
from scalefit.stopping.evaluations import LEAST_LOSS, RESOLUTION, Evaluations, fitted_constants

BETTER = 0.01  # a later evaluation must be this far below the best to count as better [nat/token]
LIMIT = 0.05  # P below which the best is taken to be past; chosen on cross-validated posteriors
LIMIT_WITHOUT_TRAINING = 0.03  # the same where no training loss is logged: that posterior knows less
RISE, RISE_PART = 0.05, 0.03  # least rise above the best: the larger of [nat/token] and a part of the best
GUESS = 14.0  # a first evaluation above this, a uniform guess over a million tokens, says no more [nat/token]
MANY = 8  # from so many evaluations on one high value does not decide
LEAST_WITHOUT_TRAINING = 4  # evaluations asked for where no training loss tells a rise from noise
THINNED = 50  # evaluations that the posterior without a training loss reads at most
FEATURES = ("one", "rise", "since", "left", "gap", "drop", "evaluations", "learned", "noise")
WITHOUT_TRAINING = ("one", "rise", "since", "left", "evaluations", "learned", "noise")


def least_rise(best: float) -> float:
    """Rise above the best loss that counts as one [nat/token]."""
    return max(RISE, RISE_PART * best)


def features(run: Evaluations) -> Array:
    """Return the features of the posterior in the order of `FEATURES`; the best must not be the last evaluation."""
    i, b = len(run) - 1, run.best
    now, best = float(run.loss[i]), float(run.loss[b])
    scale = max(0.02, RISE_PART * best)
    noise = run.noise
    noise = 0.5 * scale if noise is None else noise
    train, then = float(run.train[i]), float(run.train[b])
    gap = drop = 0.0
    if np.isfinite(train):
        gap = float(np.clip(np.log(max(now, LEAST_LOSS) / max(train, LEAST_LOSS)), -1, 3))
        if np.isfinite(then):
            drop = float(np.clip(np.log(max(then, LEAST_LOSS) / max(train, LEAST_LOSS)), -0.5, 2))
    return np.array(
        [
            1.0,
            np.log((now - best) / scale + 0.1),
            np.log(i - b),
            1 - float(run.steps[i]) / run.total,
            gap,
            drop,
            np.log(i + 1),
            np.log1p(max(min(float(run.loss[0]), GUESS) - best, 0.0) / max(best, 0.05)),
            np.log(noise / scale + 0.05),
        ]
    )


def chance_of_better(run: Evaluations, training: bool = True) -> float:
    """Probability that a later evaluation will be better than the best so far.

    Parameters
    ----------
    run : Evaluations
        The evaluations so far; the best must not be the last.
    training : bool
        Whether to use the training loss.
    """
    record = fitted_constants()["better_later" if training else "better_later_without_training"]
    x = features(run)
    if not training:
        x = x[[FEATURES.index(name) for name in WITHOUT_TRAINING]]
    return float(1 / (1 + np.exp(-np.sum(np.array(record["coefficients"]) * x))))


def best_is_past(run: Evaluations, epochs: float | None, planned: float | None = None) -> float | None:
    """Return the probability of a better evaluation if it is low enough to stop, or None.

    Parameters
    ----------
    run : Evaluations
        The evaluations so far.
    epochs : float or None
        Passes over the data so far; None: unknown.
    planned : float or None
        Passes planned; without a training loss they must be known.
    """
    if len(run) < 3 or run.steps[-1] < run.warmup or (epochs is not None and epochs <= 1):
        return None
    training = bool(np.isfinite(run.train[-1]))
    if training and not run.keeps_learning:
        return None
    if not training:
        if planned is None or planned <= 1:
            return None
        run = run.thinned(THINNED)
        if len(run) < LEAST_WITHOUT_TRAINING:
            return None
    i, b = len(run) - 1, run.best
    best = float(run.loss[b])
    rise, least = float(run.loss[i]) - best, least_rise(best)
    if i == b or not rise > least + RESOLUTION:
        return None
    if len(run) >= MANY and not (i - b >= 2 and float(run.loss[i - 1]) - best > least / 2):
        return None
    chance = chance_of_better(run, training)
    return chance if chance < (LIMIT if training else LIMIT_WITHOUT_TRAINING) else None
