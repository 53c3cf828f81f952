"""How strongly distant tokens are correlated: the operator norm of their centred co-occurrences, without its noise.

``C(n)[a, b] = P(x_i = a, x_{i+n} = b) - P(a) P(b)``; its largest singular value is estimated by cross-validation: the
singular vectors of one half of the blocks, and their covariance in the other half. Its mean is never above the norm,
and zero if there is only noise, so no floor is subtracted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from scalefit._typing import AnyArray, Array

Centring = Literal["document", "pooled"]
CENTRINGS: tuple[Centring, ...] = ("document", "pooled")
Matrix = npt.NDArray[np.float32]
#: Tokens of a block, the unit that is held out and drawn again.
BLOCK = 4096
#: A lag counts where its estimate is so many standard errors above 0 and its raw norm so many times that of noise.
_ERRORS, _FLOORS = 3.0, 2.5
#: Tokens that have a row of their own; rarer ones share one, so that matrices fit in memory.
MOST_TOKENS = 4096
_DRAWS = 200
_CELLS = 20_000_000


@dataclass(frozen=True, eq=False)
class Correlations:
    """Norms over the lag.

    Attributes
    ----------
    lag : ndarray (n,)
        Distances [tokens].
    norm, error : ndarray (n,)
        Cross-validated operator norm and its standard error between blocks.
    kept : ndarray of bool (n,)
        Whether it stands above the noise.
    noise : float
        Norm that independent tokens would show at lag 1.
    """

    lag: Array
    norm: Array
    error: Array
    kept: AnyArray
    noise: float

    @property
    def floor(self) -> float:
        """Raw norm below which a distance does not count."""
        return _FLOORS * self.noise


def lags(most: int, per_octave: int = 2) -> list[int]:
    """Distances evenly spread in the logarithm: 1, 2, 3, 4, 6, 8, 11, 16, ...

    Examples
    --------
    >>> lags(16)
    [1, 2, 3, 4, 6, 8, 11, 16]
    """
    steps = np.arange(int(per_octave * np.log2(most)) + 1)
    return sorted({round(2 ** (k / per_octave)) for k in steps.tolist()})


def correlations(
    pieces: Sequence[AnyArray], documents: AnyArray, vocab_size: int, *, longest: int, centring: Centring, seed: int
) -> Correlations:
    """Operator norms of the co-occurrences within the pieces, at distances up to `longest`.

    ``centring="document"`` subtracts the marginals of each document, so that documents that differ in their words do
    not look like correlations; ``"pooled"`` subtracts those of all documents.
    """
    tokens, vocab_size = _lumped(np.concatenate(list(pieces)), vocab_size)
    sizes = [len(piece) for piece in pieces]
    piece = np.repeat(np.arange(len(sizes)), sizes)
    document = np.unique(np.repeat(documents, sizes), return_inverse=True)[1] if centring == "document" else None
    block = np.arange(len(tokens)) // BLOCK
    rng = np.random.default_rng([seed, 4096])
    half = rng.permutation(int(block[-1]) + 1) % 2 == 0
    share = np.bincount(tokens) / len(tokens)
    noise = float(np.sqrt((share**2).sum() * np.log(vocab_size) / len(tokens)))
    rows = []
    for lag in lags(longest):
        if lag >= len(tokens):
            break
        pairs = np.flatnonzero(piece[lag:] == piece[:-lag])
        if len(pairs) < 2 * BLOCK:
            break
        group = None if document is None else document[pairs]
        rows.append((lag, *_norm(tokens[pairs], tokens[pairs + lag], group, block[pairs], half, vocab_size, rng)))
    lag_, raw, norm, error = np.array(rows, float).reshape(-1, 4).T
    floor = _FLOORS * noise  # fewer pairs at longer lags make more noise; pieces are long, so hardly so
    return Correlations(lag_, norm, error, (norm > _ERRORS * error) & (raw > floor), noise)


def _lumped(tokens: AnyArray, vocab_size: int) -> tuple[AnyArray, int]:
    """Tokens with the rare ones as one, where there are many."""
    if vocab_size <= MOST_TOKENS:
        return tokens, vocab_size
    count = np.bincount(tokens, minlength=vocab_size)
    new = np.full(vocab_size, MOST_TOKENS - 1)
    new[np.argsort(-count, kind="stable")[: MOST_TOKENS - 1]] = np.arange(MOST_TOKENS - 1)
    return new[tokens], MOST_TOKENS


def _norm(
    x: AnyArray,
    y: AnyArray,
    document: AnyArray | None,
    block: AnyArray,
    half: AnyArray,
    vocab_size: int,
    rng: np.random.Generator,
) -> tuple[float, float, float]:
    """Raw norm, cross-validated norm and its error."""
    raw = _top(_centred(x, y, document, vocab_size))[0]
    inside = half[block]
    sums = []
    for learn in (inside, ~inside):
        if not learn.any() or learn.all():
            return raw, 0.0, np.inf
        _, u, v = _top(_centred(x[learn], y[learn], None if document is None else document[learn], vocab_size))
        left, right = u[x[~learn]].astype(float), v[y[~learn]].astype(float)
        if document is not None:
            left, right = (_less_mean(values, document[~learn]) for values in (left, right))
        b = block[~learn]
        sums.append([np.bincount(b, w, minlength=len(half)) for w in (left * right, left, right, np.ones(len(b)))])
    parts = np.array(sums)  # (2, 4, n_blocks)

    def estimate(weights: AnyArray) -> Array:
        product, left, right, n = np.moveaxis(parts @ weights.T, 1, 0)
        n = np.maximum(n, 1)
        return np.asarray((product / n - left * right / n**2).mean(axis=0))

    n_blocks = len(half)
    draws = rng.multinomial(n_blocks, np.full(n_blocks, 1 / n_blocks), size=_DRAWS)
    return raw, float(estimate(np.ones((1, n_blocks)))[0]), float(estimate(draws).std())


def _less_mean(values: Array, group: AnyArray) -> Array:
    size = np.maximum(np.bincount(group), 1)
    return np.asarray(values - (np.bincount(group, values) / size)[group])


def _centred(x: AnyArray, y: AnyArray, document: AnyArray | None, vocab_size: int) -> Matrix:
    """Co-occurrences (V, V) less the product of the pairs' own marginals, of all or of each document."""
    joint = np.bincount(x * vocab_size + y, minlength=vocab_size**2).reshape(vocab_size, vocab_size)
    found = joint.astype(np.float32) / np.float32(len(x))
    if document is None:
        return np.asarray(found - np.outer(found.sum(axis=1), found.sum(axis=0)))
    step = max(1, _CELLS // vocab_size)
    for start in range(0, int(document.max()) + 1, step):
        some = (document >= start) & (document < start + step)
        number, n = document[some] - start, min(step, int(document.max()) + 1 - start)
        size = np.maximum(np.bincount(number, minlength=n), 1)
        left, right = (
            np.bincount(number * vocab_size + part[some], minlength=n * vocab_size).reshape(n, vocab_size)
            / np.sqrt(size * len(x))[:, None]
            for part in (x, y)
        )
        found -= np.asarray(left.T @ right, np.float32)
    return found


def _top(matrix: Matrix, iterations: int = 60) -> tuple[float, Matrix, Matrix]:
    """Largest singular value and its vectors, by power iteration."""
    v = np.random.default_rng(0).standard_normal((matrix.shape[1],)).astype(np.float32)
    value = before = 0.0
    for _ in range(iterations):
        u = matrix @ v
        u /= max(float(np.linalg.norm(u)), 1e-30)
        v = matrix.T @ u
        value = float(np.linalg.norm(v))
        v /= max(value, 1e-30)
        if abs(value - before) < 1e-4 * value:
            break
        before = value
    return value, u, v
