"""Predictions over the law's own values: forecasts carry over what the largest runs missed the law by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from scalefit.planning.allocation import Allocation
from scalefit.planning.loss_surface import Surface

_ROUNDS, _CLOSE = 12, 1e-6


def estimate_at(surface: Surface, N: float, D: float) -> float:
    """Loss [nat/token] of the law's point estimate at N [parameters] and D [tokens]."""
    return float(surface.loss(np.array([[N]]), np.array([[D]]), slice(0, 1))[0, 0])


def carried_over(result: Any, surface: Surface, N: float, D: float, series: str | None) -> float:
    """Prediction over the law's value at N and D; 1 for all but forecasts."""
    if not hasattr(result, "fitted"):
        return 1.0
    options = {} if series is None else {"series": series}
    return float(result.predict(N=N, D=surface.fresh(D), **options)) / estimate_at(surface, N, D)


def reach_loss(
    result: Any, surface: Surface, series: str | None, loss: float, solve: Callable[[float], Allocation]
) -> tuple[Allocation, float]:
    """Allocation whose prediction is `loss`, and the factor carried over there.

    Parameters
    ----------
    solve : callable
        Gives the allocation at which the law itself takes a value [nat/token]. The factor changes slowly with N and D,
        so a few rounds settle it.
    """
    carried = 1.0
    for _ in range(_ROUNDS):
        best = solve(loss / carried)
        n, d = float(best.N[0]), float(best.D[0])
        if not (np.isfinite(n) and np.isfinite(d)):
            break
        carried = carried_over(result, surface, n, d, series)
        if abs(carried * estimate_at(surface, n, d) / loss - 1) < _CLOSE:
            break
    return best, carried
