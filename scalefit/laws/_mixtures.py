"""Parts that laws of mixtures share: the reference domain, and the starts of their fits."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from scalefit._typing import Array

#: Floors tried, in ranges of the losses below the lowest one.
_FLOORS = (0.02, 0.1, 0.3, 1.0, 3.0)


def reference_domain(shares: Array, loss: Array, by: int) -> int:
    """Position of the domain that lowers the loss most by its share, or raises it most where `by` is 1.

    By the correlation of shares (n, k) and loss (n,). In units of the worth of a useless domain that of others would be
    without limit; where a useful domain alone leaves nothing to gain, what there is to gain must be that of another.
    """
    centred = shares - shares.mean(axis=0)
    off = np.log(np.maximum(loss, 1e-300)) if (loss > 0).all() else loss
    size = np.sqrt((centred**2).sum(axis=0))
    pull = (centred * (off - off.mean())[:, None]).sum(axis=0) / np.maximum(size, 1e-300)
    return int(np.argmin(-by * pull))


def _shares(columns: Mapping[str, Array]) -> Array:
    """Shares (n, k) among the columns of a law that reads nothing else."""
    return np.stack(list(columns.values()), axis=1)


def _floors(loss: Array) -> Array:
    """Floors to try (m,), each positive and below every loss."""
    low = float(loss.min())
    tried = low - np.array(_FLOORS) * max(float(np.ptp(loss)), 1e-9)
    return np.unique(np.maximum(tried, 0.01 * abs(low)))


def exponential_starts(columns: Mapping[str, Array], loss: Array) -> Array:
    """Parameters (m, 2 + k) c, k, t of ``c + k exp(t r)``, by lines in log(L - c)."""
    shares = _shares(columns)
    n = shares.shape[1]
    others = np.delete(np.arange(n), at := reference_domain(shares, loss, 1))
    design = np.column_stack([np.ones(loss.size), shares[:, others]])
    square = design.T @ design
    square += 1e-6 * np.trace(square) / len(square) * np.eye(len(square))
    rows = []
    for floor in _floors(loss):
        line = np.linalg.solve(square, design.T @ np.log(loss - floor))
        rows.append([floor, np.exp(line[0]), *np.insert(line[1:], at, 0.0)])
    return np.array(rows)


def effective_starts(columns: Mapping[str, Array], loss: Array) -> Array:
    """Parameters (m, 3 + k) E, A, g, w of ``E + A (w r)^-g``, by least squares without negative weights."""
    from scipy.optimize import nnls

    shares = _shares(columns)
    at, rows = reference_domain(shares, loss, -1), []
    for floor in _floors(loss):
        for g in (0.1, 0.2, 0.4, 0.8, 1.6):
            log_goal = -np.log(loss - floor) / g
            top = log_goal.max()
            goal = np.exp(log_goal - top)
            weights = nnls(shares / goal[:, None], np.ones(loss.size))[0]
            weights = np.maximum(weights, 1e-3 * weights.max())
            unit = weights[at]
            rows.append([floor, np.exp(-g * (np.log(unit) + top)), g, *(weights / unit)])
    return np.array(rows)


def additive_starts(columns: Mapping[str, Array], loss: Array) -> Array:
    """Parameters (m, 1 + 2k) E, C, g of ``E + 1 / sum C r^g``, by least squares without negative weights."""
    from scipy.optimize import nnls

    shares, rows = _shares(columns), []
    k = shares.shape[1]
    # One power for all domains; and one domain whose power is another.
    powers = [np.full(k, g) for g in (0.15, 0.3, 0.6, 1.0)]
    powers += [np.where(np.arange(k) == j, one, g) for j in range(k) for one, g in ((0.1, 0.5), (1.2, 0.3))]
    for floor in _floors(loss):
        for g in powers:
            design = np.where(shares > 0, shares, 1.0) ** g * (shares > 0) * (loss - floor)[:, None]
            weights = nnls(design, np.ones(loss.size))[0]
            rows.append([floor, *np.maximum(weights, 1e-2 * weights.max()), *g])
    return np.array(rows)
