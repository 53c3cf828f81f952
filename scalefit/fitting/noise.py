"""Noise of runs about their law: one size for all, or a power of compute where the residuals show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from scalefit._typing import Array
from scalefit.fitting.problem import Problem
from scalefit.flops import SIZES, training_flops

#: Student's t of the power from which noise counts as changing with compute, and the fewest runs that may show it.
_SHOWN, _LEAST = 2.0, 20
#: A residual counts as no more than this many times the typical one; rounds of the fit of its size.
_CLIP, _ROUNDS, _STRIDE = 4.0, 25, 0.3


def with_compute(columns: Mapping[str, Array]) -> dict[str, Array]:
    """Inputs of runs, and their C [FLOP], by 6ND where the law does not read it."""
    found = dict(columns)
    if "C" not in found and set(SIZES) <= set(found):
        with np.errstate(over="ignore"):  # an absurd size is beyond the runs, whatever its compute
            found["C"] = training_flops(found["N"], found["D"])
    return found


@dataclass(frozen=True, slots=True)
class NoiseTrend:
    """Noise of the log loss that goes as compute to a power.

    Attributes
    ----------
    power : float
        Exponent of C; negative where larger runs scatter less.
    t : float
        The slope over its standard error.
    centre : float
        Compute at which the factor is 1 [FLOP].
    lower, upper : float
        Compute of the smallest and the largest run [FLOP], beyond which the noise is taken to stay.
    """

    power: float
    t: float
    centre: float
    lower: float
    upper: float

    def factor(self, C: Array) -> Array:
        """Noise at compute C [FLOP], relative to that at the centre."""
        return np.asarray((np.clip(C, self.lower, self.upper) / self.centre) ** self.power)


def compute_of(columns: Mapping[str, Array]) -> Array | None:
    """Compute [FLOP] of runs with these inputs, where they say it."""
    found = with_compute(columns).get("C")
    return None if found is None else np.asarray(found, float)


def find_trend(problem: Problem, residual: Array, n_free: int) -> NoiseTrend | None:
    """Power of compute that the sizes of the residuals (n,) of the log loss go with; None where they show none.

    By quasi-likelihood with errors in proportion to the mean (McCullagh & Nelder 1989, Generalized Linear Models,
    chapter 8), without the `n_free` smallest, as a law fits so many runs exactly. The power is drawn back by the share
    of it that chance explains.
    """
    compute = compute_of(problem.raw_columns)
    size = np.abs(residual)
    typical = float(np.median(size))
    if compute is None or len(problem.groups) > 1 or size.size < max(_LEAST, 2 * n_free) or typical <= 0:
        return None
    kept = np.argsort(size, kind="stable")[n_free:]
    size, x = size[kept], np.log(compute[kept])
    centre = float(x.mean())
    dx = x - centre
    across = float(dx @ dx)
    if across <= 1e-6:
        return None
    level, power = float(np.log(typical)), 0.0
    for _ in range(_ROUNDS):
        ratio = np.minimum(size / np.exp(level + power * dx), _CLIP)
        ratio = ratio / ratio.mean()
        step = float(np.clip(dx @ ratio / across, -_STRIDE, _STRIDE))
        level, power = level + float(np.log(np.mean(size / np.exp(level + power * dx)))), power + step
        if abs(step) < 1e-6:
            break
    error = float(np.sqrt(((ratio - 1) ** 2).sum() / (x.size - 2) / across))
    t = power / max(error, 1e-300)
    if abs(t) < _SHOWN:
        return None
    return NoiseTrend(power * (1 - 1 / t**2), t, float(np.exp(centre)), float(compute.min()), float(compute.max()))
