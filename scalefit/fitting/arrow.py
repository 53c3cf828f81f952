"""Newton steps of a fit that shares exponents over series: its matrix is an arrow, and solved in time linear in series.

Coefficients of one series meet those of no other, so the matrix holds a small block for each series, a corner for what
is shared, and the edges between them: the blocks are eliminated one by one (a Schur complement).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scalefit._typing import AnyArray, Array

#: Fewest series for which the arrow is quicker than the plain way.
_LEAST = 4
#: Smallest eigenvalue, at unit diagonal, of a matrix that counts as definite.
_DEFINITE = 1e-14


@dataclass(frozen=True, slots=True, eq=False)
class Arrow:
    """Positions in the free vector: each series' own (k, q), and the shared ones (r,)."""

    own: AnyArray
    shared: AnyArray


def arrow_of(index: AnyArray) -> Arrow | None:
    """Arrow of a layout (n_groups, n_law_params), -1 where fixed; None where there is none worth having."""
    if len(index) < _LEAST:
        return None
    rows = [np.unique(row[row >= 0]) for row in index]
    places, counts = np.unique(np.concatenate(rows), return_counts=True)
    single = set(places[counts == 1].tolist())
    own = [[at for at in row.tolist() if at in single] for row in rows]
    if not own[0] or len({len(row) for row in own}) > 1 or not (counts > 1).any():
        return None
    return Arrow(np.array(own), places[counts > 1])


def arrow_step(matrix: Array, g: Array, damping: Array, arrow: Arrow) -> tuple[Array, AnyArray]:
    """Solve (M + (1e-9 + 1e-3 damping) diag M) step = -g for each problem; second result: M was definite."""
    own, shared = arrow.own, arrow.shared
    ridge, r = 1.0 + 1e-9 + 1e-3 * damping, shared.size
    ok: AnyArray = np.asarray(np.isfinite(matrix).all(axis=(1, 2)) & np.isfinite(g).all(axis=1))
    blocks = matrix[:, own[:, :, None], own[:, None, :]]
    edges, corner = matrix[:, own[:, :, None], shared], matrix[:, shared[:, None], shared]
    blocks, good = _definite(_lifted(blocks, ridge[:, None]), ok[:, None])
    ok = ok & good.all(axis=1)
    edges = np.where(ok[:, None, None, None], edges, 0.0)
    pull = np.where(ok[:, None], g, 0.0)
    solved = np.linalg.solve(blocks, np.concatenate([edges, -pull[:, own][..., None]], axis=3))
    flat = np.swapaxes(edges.reshape(len(g), -1, r), 1, 2)
    schur = _lifted(corner, ridge) - flat @ solved[..., :r].reshape(len(g), -1, r)
    schur, good = _definite(schur, ok)
    ok = ok & good
    right = -pull[:, shared] - (flat @ solved[..., r].reshape(len(g), -1, 1))[..., 0]
    common = np.linalg.solve(schur, right[..., None])[..., 0]
    step = np.zeros_like(g)
    step[:, shared] = common
    step[:, own] = solved[..., r] - (solved[..., :r] @ common[:, None, :, None])[..., 0]
    ok = ok & np.isfinite(step).all(axis=1) & (np.einsum("bi,bi->b", g, step) <= 0)
    return np.where(ok[:, None], step, 0.0), ok


def _lifted(matrices: Array, ridge: Array) -> Array:
    """Matrices (..., q, q) with their diagonals times `ridge` (...)."""
    at = np.arange(matrices.shape[-1])
    matrices = matrices.copy()
    matrices[..., at, at] *= ridge[..., None]
    return matrices


def _definite(matrices: Array, ok: AnyArray) -> tuple[Array, AnyArray]:
    """Matrices (..., q, q), the unit matrix in place of those that are not definite, and whether each is."""
    unit = np.eye(matrices.shape[-1])
    size = np.sqrt(np.abs(np.einsum("...ii->...i", matrices)))
    usable = ok & (size > 0).all(axis=-1)
    matrices = np.where(usable[..., None, None], matrices, unit)
    size = np.where(usable[..., None], size, 1.0)
    lowest = np.linalg.eigvalsh(matrices / size[..., :, None] / size[..., None, :])[..., 0]
    good = np.asarray(usable & (lowest > _DEFINITE))
    return np.where(good[..., None, None], matrices, unit), good
