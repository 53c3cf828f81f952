"""The loss of several layers from the paper's own definitions, without Prop. 4's steps in between."""

from __future__ import annotations

import math

import numpy as np

from scalefit.memory._conventions import PATTERNS, Patterns, choice, scalar

ENERGIES = ("density", "distance")
_NODES = 400  # of Gauss-Legendre: the integrands are smooth in the share of the ball's volume; checked against quad


def layered_loss(
    n_layers: int,
    n_patterns: float,
    radius: float,
    n: int = 1,
    energy: str = "density",
    patterns: Patterns = "split",
) -> float:
    r"""Return the loss at a pattern, by integrating eqs. 7, 9 and 14 over disjoint balls.

    With the layers' energies combined by eq. 7, :math:`E = -\log \sum_t e^{-E_t}`, the loss of a stored pattern is
    :math:`E(\rho) + \log \int e^{-E}`, over the balls of all patterns. Patterns are so far apart that a ball feels only
    the pattern at its centre.

    Read as the density of eq. 9, :math:`E_t = e^{-g_t} / Z_t`, a layer that does *not* hold a pattern has the lower
    energy there, so with two layers or more the term 1/Z of Prop. 4 disappears. Read as the distance, :math:`E_t =
    g_t`, the loss is log Z + log l exactly where the patterns are split over l layers, and log Z where each layer
    stores all.

    Parameters
    ----------
    n_layers : int
        Layers l.
    n_patterns : float
        Patterns d of all layers together.
    radius : float
        Radius of the ball around each pattern [embedding distance].
    n : int
        Dimension of a pattern.
    energy : {"density", "distance"}
        Reading of a layer's energy.
    patterns : {"split", "replicated"}
        d / l patterns in each layer (section 4.1), or all d in every layer.

    Returns
    -------
    float
        Loss [nat].

    Raises
    ------
    ArgumentError
        A value that is not positive and finite, or an unknown reading.

    References
    ----------
    .. [1] Niu, Bai, Deng and Han (2024), arXiv:2405.08707, eqs. 7, 9 and 14.

    Examples
    --------
    >>> round(layered_loss(2, 4, 0.05), 3)  # Prop. 4 says 3.394 and forbids anything below 1
    -0.916
    >>> round(layered_loss(12, 9e9 / 1024, 0.5, n=96, energy="distance"), 3)
    -136.525
    """
    for name, value in {"n_layers": n_layers, "n_patterns": n_patterns, "radius": radius, "n": n}.items():
        scalar(name, value)
    choice("energy", energy, ENERGIES)
    choice("patterns", patterns, PATTERNS)
    from scalefit.memory.partition import log_ball_volume, log_partition

    layers, d = float(n_layers), float(n_patterns)
    stored = d / layers if patterns == "split" else d
    log_z = float(log_partition(n, radius, stored))
    if energy == "distance":
        # exp(-E) is the sum of the layers' exp(-g): one of them at a pattern where they are split, all l otherwise
        return log_z + (math.log(layers) if patterns == "split" else 0.0)
    others = layers - 1.0 if patterns == "split" else 0.0  # layers without this pattern: energy 0, so exp(-E_t) = 1
    holders = 1.0 if patterns == "split" else layers
    # share of the ball's volume within a distance s of its centre is (s / r)^n
    share, weight = np.polynomial.legendre.leggauss(_NODES)
    share, weight = (share + 1.0) / 2.0, weight / 2.0
    density = np.exp(-(radius**2) * share ** (2.0 / n) - log_z)  # e^-g / Z
    at_pattern = _log_mixture(others, holders, np.exp(-log_z))
    inside = _log_mixture(others, holders, density)
    top = float(np.max(inside))
    mean = top + math.log(float(np.sum(weight * np.exp(inside - top))))
    return float(-at_pattern + mean + math.log(d) + float(log_ball_volume(n, radius)))


def _log_mixture(others: float, holders: float, energy: np.ndarray | float) -> np.ndarray:
    """Return log(others + holders e^-energy)."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.logaddexp(np.log(others), math.log(holders) - np.asarray(energy)))
