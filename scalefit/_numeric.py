"""Small numerical helpers that several rooms share."""

from __future__ import annotations

import numpy as np

from scalefit._typing import Array


def excess_over_hull(log_c: Array, log_l: Array) -> Array:
    """Log loss (n,) above the lower convex hull of log loss over log compute."""
    corners: list[int] = []
    for i in np.lexsort((log_l, log_c)):
        if corners and log_c[i] <= log_c[corners[-1]]:
            continue
        while len(corners) > 1:
            a, b = corners[-2], corners[-1]
            if (log_l[b] - log_l[a]) * (log_c[i] - log_c[a]) < (log_l[i] - log_l[a]) * (log_c[b] - log_c[a]):
                break
            corners.pop()
        corners.append(int(i))
    hull = np.minimum.accumulate(log_l[corners])
    return np.asarray(np.maximum(log_l - np.interp(log_c, log_c[corners], hull), 0.0))
