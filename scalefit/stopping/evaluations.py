"""The evaluations of one run beside its training loss, as the rules for repeated data read them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from scalefit._numeric import robust_sd
from scalefit._typing import Array

RESOLUTION = 1e-6  # differences below this are rounding, whatever processor made them [nat/token]
LEAST_LOSS = 1e-3  # losses below this are taken for it in logarithms [nat/token]
NOISE_EVALS = 5  # evaluations before their noise is estimated


@cache
def fitted_constants() -> dict[str, Any]:
    """Return the constants that ``benchmarks/finetunes.py --fit`` found, with where they come from."""
    text = files("scalefit.stopping").joinpath("_finetunes.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


@dataclass(frozen=True, slots=True, eq=False)
class Evaluations:
    """Losses at the evaluations so far.

    Attributes
    ----------
    steps, loss : Array, shape (n,)
        Sorted [steps], [nat/token]; none at step zero.
    train : Array, shape (n,)
        Training loss at each evaluation, NaN where none was logged by then [nat/token].
    total, warmup : float
        Planned length and end of the warm-up [steps].
    """

    steps: Array
    loss: Array
    train: Array
    total: float
    warmup: float

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def best(self) -> int:
        """Index of the lowest loss, the first of equal ones."""
        return int(np.argmax(self.loss <= self.loss.min() + RESOLUTION))

    @property
    def left(self) -> float:
        """Part of the plan that is left [-]."""
        return max(1.0 - float(self.steps[-1]) / self.total, 0.0)

    @property
    def noise(self) -> float | None:
        """Robust standard deviation of one evaluation from second differences; None with too few [nat/token]."""
        if len(self) < NOISE_EVALS:
            return None
        second = self.loss[:-2] - 2 * self.loss[1:-1] + self.loss[2:]
        return robust_sd(second) / float(np.sqrt(6))

    @property
    def keeps_learning(self) -> bool:
        """Whether the training loss is known and no higher than at the best evaluation."""
        now, then = float(self.train[-1]), float(self.train[self.best])
        if not np.isfinite(now):
            return False
        return now <= then + RESOLUTION if np.isfinite(then) else now < 0.9 * float(self.loss[self.best])

    def thinned(self, most: int) -> Evaluations:
        """Return these evaluations, neighbours averaged down to `most` or fewer."""
        size = -(-len(self) // most)
        if size <= 1:
            return self
        edges = np.arange(len(self) % size or size, len(self) + 1, size)  # the newest block is whole
        starts = np.r_[0, edges[:-1]]

        def mean(values: Array) -> Array:
            return np.array([float(np.mean(values[a:b])) for a, b in zip(starts, edges, strict=True)])

        return Evaluations(self.steps[edges - 1], mean(self.loss), mean(self.train), self.total, self.warmup)


def at_evaluations(steps: Array, loss: Array, train_steps: Array, train_loss: Array) -> Array:
    """Training loss at each evaluation, shape (n,): the last one known.

    At the best and the last evaluation, which the rules compare, it is the median since the evaluation before.

    Parameters
    ----------
    steps, loss : Array, shape (n,)
        Evaluations [steps], [nat/token].
    train_steps, train_loss : Array, shape (m,)
        Training losses [steps], [nat/token].

    Returns
    -------
    Array, shape (n,)
        NaN before the first training loss.
    """
    end = np.searchsorted(train_steps, steps, side="right")
    out = np.full(len(steps), np.nan)
    out[end > 0] = train_loss[end[end > 0] - 1]
    if len(steps):
        for i in (int(np.argmax(loss <= loss.min() + RESOLUTION)), len(steps) - 1):
            start = end[i - 1] if i else 0
            if end[i] > start:
                out[i] = float(np.median(train_loss[start : end[i]]))
    return out
