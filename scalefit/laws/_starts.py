"""Where fits of laws with many basins start: breaks scanned over the data, repetition constants on a grid."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from scalefit._typing import Array

#: Width of a turn that takes up most of what a table spans.
_WIDE = 4.0


def _grid_of_slopes() -> Array:
    """Nodes (m, 4): slope before the break, its change, the share of runs below the break, the width."""
    before, after = (0.03, 0.08, 0.16, 0.3, 0.5, 0.9), (-0.6, -0.25, -0.1, 0.0, 0.05, 0.12, 0.25, 0.45, 0.8)
    shares = (0.08, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.92)
    between = [(c0, c - c0, d, f) for c0 in before for c in after for d in shares for f in (0.12, 0.4, 1.2)]
    # Slopes that steepen or flatten in proportion: small exponents need a finer grid than the one above.
    times = [
        (c0, k * c0, d, f)
        for c0 in (0.03, 0.1, 0.2, 0.4)
        for k in (-0.3, 0.5, 2.0, 5.0)
        for d in (0.2, 0.4, 0.6, 0.8)
        for f in (0.2, 0.7, 2.0)
    ]
    # Turns that take up most of what a table spans; where they are centred matters less.
    wide = [(c0, c - c0, d, _WIDE) for c0 in before for c in after for d in (0.2, 0.5, 0.8, 1.0)]
    return np.array(between + times + wide)


#: Nodes scanned, and how many of them are handed on, narrow and wide.
_NODES, _KEPT, _KEPT_WIDE = _grid_of_slopes(), 256, 8


def _floor_and_coefficient(power: Array, one: Array) -> tuple[Array, Array]:
    """Non-negative least squares (m,) of E one (n,) + A power (m, n) = 1; neither is left at nothing."""
    ee, ea, aa = float(one @ one), power @ one, (power * power).sum(axis=1)
    e1, a1 = float(one.sum()), power.sum(axis=1)
    size = np.maximum(ee * aa - ea * ea, 1e-12 * ee * aa)
    E, A = (aa * e1 - ea * a1) / size, (ee * a1 - ea * e1) / size
    E, A = np.where(A > 0, E, e1 / ee), np.where(E > 0, A, a1 / aa)
    return np.maximum(E, 1e-3 * e1 / ee), np.maximum(A, 1e-3 * a1 / aa)


def break_starts(columns: dict[str, Array], loss: Array) -> Array:
    """Breaks scanned over the data, between any two slopes; linear in E and A once those are given."""
    (x,) = columns.values()
    log_x = np.log(x)
    c0, c1, share, f1 = _NODES.T[:, :, None]
    log_d1 = np.quantile(log_x, share)
    log_power = -c0 * log_x - c1 * f1 * softplus((log_x - log_d1) / f1)
    top = log_power.max(axis=1, keepdims=True)
    E, A = _floor_and_coefficient(np.exp(log_power - top) / loss, 1.0 / loss)
    residual = np.abs(E[:, None] / loss + A[:, None] * np.exp(log_power - top) / loss - 1.0).sum(axis=1)
    # What decides the order must not hang on rounding: nodes that fit alike keep the order of the grid.
    rank = np.argsort(np.log(residual + 1e-12).round(6), kind="stable")
    # Wide turns fit much alike: but for a few they would crowd out the others.
    wide = f1[rank, 0] == _WIDE
    rank = rank[np.where(wide, np.cumsum(wide) <= _KEPT_WIDE, np.cumsum(~wide) <= _KEPT)]
    A = A * np.exp(-top[:, 0])
    return np.column_stack([E, A, c0[:, 0], c1[:, 0], np.exp(log_d1[:, 0]), f1[:, 0]])[rank]


def softplus(z: Any) -> Any:
    """ln(1 + e^z), real or complex, never overflowing."""
    above = np.real(z) > 0
    return np.where(above, z, 0.0) + np.log(1.0 + np.exp(np.where(above, -z, z)))


def repetition_starts(columns: dict[str, Array], loss: Array) -> Array:
    """Chinchilla's least squares on effective tokens, for a grid of exponents and repetition constants."""
    n, d = columns["N"], columns["D"]
    u = np.minimum(d, columns["unique_tokens"])
    rows = []
    for R_D in (3.0, 15.0, 75.0):
        d_eff = u * (1 + R_D * (1 - np.exp(-(d / u - 1) / R_D)))
        for alpha in np.geomspace(0.1, 1.0, 5):
            for beta in np.geomspace(0.1, 1.0, 5):
                basis = np.stack([np.ones_like(n), n**-alpha, d_eff**-beta]) / loss
                size = np.abs(basis).mean(axis=1, keepdims=True)
                E, A, B = np.linalg.lstsq((basis / size).T, np.ones_like(n), rcond=None)[0]
                E, A, B = (max(c, 1e-3) / k for c, k in zip((E, A, B), size[:, 0], strict=True))
                rows += [(E, A, alpha, B, beta, R_D, R_N) for R_N in (1.0, 5.0, 25.0)]
    return np.asarray(rows)


def linear_starts(law: Any, columns: Mapping[str, Array], target: Array, grid: Mapping[str, Sequence[float]]) -> Array:
    """Least squares of all other parameters for each node of a grid of some.

    For laws whose target, or its logarithm where residuals are of that, is linear in the others, of either sign.
    """
    link = np.log if law.target.scale == "log" else np.asarray
    linear = [name for name in law.parameters if name not in grid]
    low, high = np.array([law.parameters[name].bounds for name in linear]).T
    rows = []
    for node in itertools.product(*grid.values()):
        values = {**dict.fromkeys(linear, 0.0), **dict(zip(grid, node, strict=True))}
        basis = [link(law.evaluate(columns, {**values, name: 1.0})) for name in linear]
        design = np.stack(np.broadcast_arrays(*basis), axis=1)
        size = np.abs(design).max(axis=0) + 1e-300
        solved = np.linalg.lstsq(design / size, link(target), rcond=1e-12)[0] / size
        values |= dict(zip(linear, np.clip(solved, low, high), strict=True))
        rows.append([values[name] for name in law.parameters])
    return np.array(rows)
