"""How many random patterns each network can store: the formulas of their sources, as logarithms."""

from __future__ import annotations

import math

import numpy as np

from scalefit._typing import Array


def log_polynomial(n: Array, order: int, corruption: float) -> Array:
    """Return log of ``(1 - 2c)^(2r-2) n^(r-1) / (2 (2r-3)!! log n)``: Demircigil et al. 2017.

    At order 2 it is the Hopfield network's ``(1 - 2c)^2 n / (2 log n)`` (McEliece et al. 1987); without
    corruption it is that of Krotov and Hopfield 2016. Below dimension 3 the logarithm is not a guide: n
    alone is used.
    """
    double_factorial = sum(math.log(k) for k in range(2 * order - 3, 1, -2))
    slope = (order - 1) * (np.log(n) + 2.0 * math.log1p(-2.0 * corruption))
    return np.asarray(slope - math.log(2.0) - double_factorial - np.log(np.log(np.maximum(n, 3.0))))


def log_exponential(n: Array, corruption: float) -> Array:
    """Return ``n I(1 - 2c) / 2``, I the binary rate function; ``n log(2) / 2`` without corruption (ibid.)."""
    a = 1.0 - 2.0 * corruption
    rate = 0.5 * ((1.0 + a) * math.log1p(a) + ((1.0 - a) * math.log1p(-a) if a < 1.0 else 0.0))
    return np.asarray(0.5 * n * rate)


def log_sphere(n: Array, beta: float, radius: float, failure: float) -> Array:
    """Return log of ``sqrt(p) c^((n-1)/4)`` for random patterns on a sphere of radius K sqrt(n-1).

    Ramsauer et al. 2020, theorem 3:
    ``c = b / W0(exp(a + log b))``, ``a = 2/(n-1) (1 + log(2 beta K^2 p (n-1)))``, ``b = 2 K^2 beta / 5``.
    """
    from scipy.special import wrightomega

    if radius == 0.0:
        return np.full(np.shape(n), -np.inf)
    freedom = np.maximum(n - 1.0, 1.0)
    log_b = math.log(0.4 * beta) + 2.0 * math.log(radius)
    a = 2.0 / freedom * (1.0 + math.log(2.0 * beta * failure) + 2.0 * math.log(radius) + np.log(freedom))
    log_c = log_b - np.log(wrightomega(a + log_b))
    return np.asarray(0.5 * math.log(failure) + 0.25 * freedom * log_c)
