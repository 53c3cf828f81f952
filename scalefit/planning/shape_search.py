"""The search behind every "a model of N parameters": depth and width nearest to N and to a shape."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np


def nearest_shape(
    N: float,
    widths: Iterable[int],
    depths: Callable[[int], Sequence[int]],
    count: Callable[[int, int], int],
    aspect: float,
    weight: float,
) -> tuple[int, int]:
    """Return the number of layers and the width that are nearest to N parameters and to a shape.

    Parameters
    ----------
    N : float
        Parameters wanted [parameters].
    widths : iterable of int
        Widths to try.
    depths : callable
        Takes a width; returns the depths to try with it.
    count : callable
        Takes layers and width; returns the parameters [parameters], which must be linear in the layers.
    aspect : float
        Width over depth of the shape wanted [-].
    weight : float
        What an error of one in ln(width / depth) weighs against one of one in ln N [-].

    Returns
    -------
    n_layers, width : int
        The pair with the least ``|ln(count / N)| + weight |ln(width / depth / aspect)|``; the first of equals.

    Examples
    --------
    >>> nearest_shape(1e6, [64, 128, 256], lambda width: range(1, 20), lambda l, d: 12 * l * d * d, 40, 0.1)
    (5, 128)
    """
    best = (np.inf, 0, 0)
    for width in widths:
        layers = np.asarray(depths(width))
        one, two = count(1, width), count(2, width)
        found = one + (two - one) * (layers - 1.0)
        penalty = np.abs(np.log(found / N)) + weight * np.abs(np.log(width / layers / aspect))
        place = int(np.argmin(penalty))
        if penalty[place] < best[0]:
            best = (float(penalty[place]), int(layers[place]), width)
    return best[1], best[2]
