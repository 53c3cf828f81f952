"""Interpolated modified Kneser-Ney: the probability of every held-out token by every order of n-gram, in one pass.

Chen & Goodman (1999), doi:10.1006/csla.1999.0128, section 3. The highest order counts occurrences, the lower ones the
distinct tokens before; three discounts an order, from the counts of counts. Grams are known by 64-bit hashes, of which
two among ten million agree once in a million corpora.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scalefit._typing import AnyArray, Array

Hashes = npt.NDArray[np.uint64]
_START = np.uint64(0x9E3779B97F4A7C15)
#: A discount is never less: something must be left for what was not seen.
_LEAST_DISCOUNT = 0.01
#: Pieces are long where they have so many tokens a token of context.
_LONG = 50


@dataclass(frozen=True, eq=False)
class Orders:
    """What n-grams of every order say of the held-out tokens.

    Attributes
    ----------
    probability : ndarray (n_orders, m)
        Of each held-out token; row n looks n tokens back.
    in_sample : ndarray (n_orders,)
        Entropy of the next token given n before, of the training tokens' own frequencies [nat/token]. In expectation
        it is below the entropy of the source: entropy is concave, and frequencies scatter about probabilities.
    """

    probability: Array
    in_sample: Array


def mix(hashes: Hashes, tokens: AnyArray) -> Hashes:
    """Hashes of grams one token longer."""
    with np.errstate(over="ignore"):
        mixed = (hashes ^ (tokens.astype(np.uint64) + _START)) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))


def join(pieces: Sequence[AnyArray], pad: int) -> AnyArray:
    """Pieces one after another, with a token that is in no vocabulary before and between them."""
    parts = [part for piece in pieces for part in (np.array([pad]), piece)]
    return np.concatenate(parts) if parts else np.array([pad])


def contexts_of(pieces: Sequence[AnyArray], n: int, pad: int) -> AnyArray:
    """The n tokens before each token of the pieces, newest last, (m, n); before a piece there are pads."""
    rows = []
    for piece in pieces:
        padded = np.concatenate([np.full(n, pad), piece])
        windows = np.lib.stride_tricks.sliding_window_view(padded, n) if n else np.empty((len(piece), 0))
        rows.append(windows[: len(piece)])
    return np.concatenate(rows).astype(np.int64)


def n_gram_orders(train: Sequence[AnyArray], heldout: Sequence[AnyArray], n_orders: int, vocab_size: int) -> Orders:
    """Probabilities of held-out tokens by n-grams that look 0 to `n_orders` - 1 tokens back.

    Parameters
    ----------
    train, heldout : sequence of ndarray
        Pieces of token ids below `vocab_size`.
    n_orders : int
        Orders, 1 or more.
    vocab_size : int
        Vocabulary; a token of it that was never seen has a probability too.

    Returns
    -------
    Orders

    Examples
    --------
    >>> text = np.tile([0, 1, 2], 50)
    >>> found = n_gram_orders([text], [text], 2, 3)
    >>> found.probability.mean(axis=1).round(2).tolist(), found.in_sample.round(3).tolist()
    ([0.33, 0.99], [1.099, 0.0])
    """
    pad = vocab_size
    stream = join(train, pad)
    real = stream != pad
    context, token = contexts_of(heldout, n_orders - 1, pad), np.concatenate(list(heldout))
    lower = np.full(len(token), 1.0 / vocab_size)
    older = previous = np.full(len(stream) + 1, _START)  # of grams of k - 2 and k - 1 tokens, by where they begin
    probability, in_sample = [], []
    for k in range(1, n_orders + 1):
        span = len(stream) - k + 1
        ends = real[k - 1 :]  # a gram ends at a token, whatever it begins with
        here = np.flatnonzero(ends)
        grams = mix(previous[:span], stream[k - 1 :])
        keys, first, count = np.unique(grams[here], return_index=True, return_counts=True)
        first = here[first]
        if k > 1:  # distinct tokens before each gram of one token less
            suffixes, at, before = np.unique(previous[first + 1], return_index=True, return_counts=True)
            lower = _interpolated(suffixes, older[first[at] + 1], before, *_asked(context, token, k - 1), lower)
        probability.append(_interpolated(keys, previous[first], count, *_asked(context, token, k), lower))
        in_sample.append(_entropy(previous[first], count))
        older, previous = previous, grams
    return Orders(np.array(probability), np.array(in_sample))


def in_sample_entropies(pieces: Sequence[AnyArray], n: int, vocab_size: int) -> Array:
    """Mean of -log frequency of each piece's tokens given the n before, by all pieces' frequencies [nat/token].

    Weighted by the pieces' tokens their mean is the entropy of the frequencies, and their scatter gives its error. The
    first n tokens of long pieces, which have less before them, are left out: they would raise it above that of the
    source.
    """
    stream = join(pieces, vocab_size)
    inside = stream[n:] != vocab_size
    if len(stream) >= _LONG * (n + 1) * len(pieces):
        for j in range(n):
            inside &= stream[j : len(stream) - n + j] != vocab_size
    real = np.flatnonzero(inside)
    context = np.full(len(stream), _START)
    for j in range(n):
        context = mix(context[: len(stream) - j - 1] if j else context[: len(stream) - 1], stream[j : len(stream) - 1])
    context = context[: len(stream) - n]
    grams = mix(context, stream[n:])
    surprise = np.log(_multiplicity(context[real])) - np.log(_multiplicity(grams[real]))
    piece = (np.cumsum(stream == vocab_size) - 1)[n:][real]
    size = np.bincount(piece, minlength=len(pieces))
    return np.asarray(np.bincount(piece, surprise, minlength=len(pieces)) / np.maximum(size, 1))


def _multiplicity(keys: Hashes) -> AnyArray:
    _, inverse, count = np.unique(keys, return_inverse=True, return_counts=True)
    return np.asarray(count[inverse])


def _entropy(context: Hashes, count: AnyArray) -> float:
    _, inverse = np.unique(context, return_inverse=True)
    total = np.bincount(inverse, count)
    return float((count * np.log(total[inverse] / count)).sum() / count.sum())


def _asked(context: AnyArray, token: AnyArray, k: int) -> tuple[Hashes, Hashes]:
    """Hashes of the held-out grams of k tokens, and of their contexts."""
    hashes = np.full(len(token), _START)
    for j in range(k - 1):
        hashes = mix(hashes, context[:, context.shape[1] - (k - 1) + j])
    return mix(hashes, token), hashes


def _interpolated(
    keys: Hashes, contexts: Hashes, count: AnyArray, grams: Hashes, before: Hashes, lower: Array
) -> Array:
    """Discounted counts, and the mass that the discounts free spread as the lower order says."""
    discount = _discounts(count)[np.minimum(count, 3)]
    seen, inverse = np.unique(contexts, return_inverse=True)
    total, freed = np.bincount(inverse, count), np.bincount(inverse, discount)
    where, known = _find(seen, before)
    total, freed = np.where(known, total[where], 1.0), np.where(known, freed[where], 1.0)
    where, hit = _find(keys, grams)
    kept = np.where(hit & known, count[where] - discount[where], 0.0)
    return np.asarray((kept + freed * lower) / total)


def _find(keys: Hashes, asked: Hashes) -> tuple[AnyArray, AnyArray]:
    """Where each asked key stands among sorted keys, and whether it does."""
    where = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
    return where, np.asarray(keys[where] == asked)


def _discounts(count: AnyArray) -> Array:
    """Discounts of counts 0, 1, 2 and 3 or more."""
    n1, n2, n3, n4 = (float((count == k).sum()) for k in (1, 2, 3, 4))
    if min(n1, n2, n3) == 0:  # too few kinds of counts to estimate by: half a count each
        return np.array([0.0, 0.5, 0.5, 0.5])
    y = n1 / (n1 + 2 * n2)
    found = np.array([0.0, 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3])
    return np.asarray(np.clip(found, [0.0, *[_LEAST_DISCOUNT] * 3], [0.0, 1.0, 2.0, 3.0]))
