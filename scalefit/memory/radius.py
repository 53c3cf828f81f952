"""The radius of the ball around a pattern: by volume, or critical (`neighbours` measures one).

The theory of Niu et al. (2024) is decided by this number: log Z moves by n times the logarithm of its change.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from scalefit._typing import Array, ArrayLike
from scalefit.errors import ArgumentError
from scalefit.memory import partition
from scalefit.memory._conventions import as_given, broadcast, first_bad, positive


def volume_radius(n: ArrayLike) -> Any:
    """Return ``sqrt(n / (2 pi e))``, at which an n-ball has a volume of about ``1 / sqrt(n pi)`` (section 5).

    Examples
    --------
    >>> round(volume_radius(1024), 2)
    7.74
    """
    dims = positive("n", n, integer=True)
    return as_given(np.sqrt(dims / partition.TWO_PI_E), n)


def critical_radius(n: ArrayLike, n_patterns: ArrayLike = 1) -> Any:
    """Return the radius at which the exact partition function is 1, the only radius with a loss of 1 nat.

    Parameters
    ----------
    n : array_like
        Dimension of a pattern.
    n_patterns : array_like
        Number of patterns d, at least 1; broadcasts with `n`.

    Returns
    -------
    float or ndarray
        Radius [embedding distance]. Over sqrt(n) it tends to 0.258722, 6.92 % above ``1/sqrt(2 pi e)``.

    Raises
    ------
    ArgumentError
        A dimension or a count that is not allowed.

    Notes
    -----
    Newton's method on log r. The exact log Z is concave and increasing in log r, so from a start on the
    left, the radius at which the *volumes* sum to one, it climbs to the root without overshooting.

    Examples
    --------
    >>> round(critical_radius(10**8) / 1e4, 6)
    0.258722
    """
    dims = positive("n", n, integer=True)
    log_d = np.log(_at_least_one(n_patterns))
    dims, log_d = broadcast(n=dims, n_patterns=log_d)
    log_kappa = -(log_d + partition.log_volume_at(dims, np.zeros(dims.shape))) / dims
    for _ in range(100):
        log_integral = partition.log_integral_at(dims, log_kappa)
        # d log Z / d log r = n exp(-(log integral - (log volume - r^2)))
        r_squared = partition.radius_squared(dims, log_kappa)
        log_m = log_integral - partition.log_volume_at(dims, log_kappa) + r_squared
        step = -(log_d + log_integral) / (dims * np.exp(-log_m))
        log_kappa = log_kappa + step
        if np.all(np.abs(step) <= 4e-16 * (1.0 + np.abs(log_kappa))):
            break
    return as_given(np.exp(log_kappa) * np.sqrt(dims / partition.TWO_PI_E), n, n_patterns)


def _at_least_one(n_patterns: ArrayLike) -> Array:
    counts = positive("n_patterns", n_patterns)
    if not np.all(counts >= 1):
        raise ArgumentError(
            f"{first_bad('n_patterns', counts, counts >= 1)}; at least one must be stored",
            "nothing was computed",
            "Give 1 or more",
        )
    return counts
