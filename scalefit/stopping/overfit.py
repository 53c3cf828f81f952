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
from scalefit.stopping.evaluations import LEAST_LOSS, Evaluations, fitted_constants

BETTER = 0.01  # a later evaluation must be this far below the best to count as better [nat/token]
LIMIT = 0.09  # P below which the best is taken to be past; chosen on cross-validated posteriors
LIMIT_WITHOUT_TRAINING = 0.04  # the same where no training loss is logged: that posterior knows less
RISE, RISE_PART = 0.05, 0.03  # a plain rise above the best: the larger of [nat/token] and a part of the best
#: A smaller rise may be noise, so the limit on P falls with it, as (rise / plain rise)^this, down to half of one.
RISE_POWER, RISE_LEAST = 6.0, 0.5
GUESS = 14.0  # a first evaluation above this, a uniform guess over a million tokens, says no more [nat/token]
MANY = 8  # from so many evaluations on the one after the best does not decide
LEAST = 2  # evaluations asked for
LEAST_WITHOUT_TRAINING = 4  # the same where no training loss tells a rise from noise
THINNED = 50  # evaluations that the posterior without a training loss reads at most
FEATURES = ("one", "rise", "since", "left", "gap", "drop", "evaluations", "learned", "noise")
WITHOUT_TRAINING = ("one", "rise", "since", "left", "evaluations", "learned", "noise")


def plain_rise(best: float) -> float:
    """Rise above the best loss that is not taken for noise [nat/token]."""
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
    if len(run) < LEAST or run.steps[-1] < run.warmup or (epochs is not None and epochs <= 1):
        return None
    training = bool(np.isfinite(run.train[-1]))
    repeats = planned is not None and planned > 1
    if training and not (run.keeps_learning or (repeats and not np.isfinite(run.train[run.best]))):
        return None
    if not training:
        run = run.thinned(THINNED)
        if not repeats or len(run) < LEAST_WITHOUT_TRAINING:
            return None
    i, b = len(run) - 1, run.best
    best = float(run.loss[b])
    size = (float(run.loss[i]) - best) / plain_rise(best)
    if i == b or size < RISE_LEAST or (len(run) >= MANY and i - b < 2):
        return None
    limit = (LIMIT if training else LIMIT_WITHOUT_TRAINING) * min(size, 1.0) ** RISE_POWER
    chance = chance_of_better(run, training)
    return chance if chance < limit else None
