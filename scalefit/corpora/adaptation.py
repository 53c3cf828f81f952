"""Adapting to a held-out piece: n-gram probabilities updated by what came before in the same piece.

Prediction stays sequential, so the loss is still one of a model and bounds the entropy from above. Where it is clearly
below the n-grams' own, distant tokens carry information, and a plateau of n-grams is not the entropy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scalefit._typing import AnyArray, Array
from scalefit.corpora.kneser_ney import _START, contexts_of, mix

#: Contexts within the piece [tokens], and weights of the prior in counts; the last one means: ignore the piece.
HISTORIES = (0, 1, 2, 3, 5)
_WEIGHTS = np.array([0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1e3, 3e3, 1e4, 1e5, np.inf])


@dataclass(frozen=True, eq=False)
class History:
    """Earlier occurrences in the same piece: of each context (n, m), and of it with the token that follows here."""

    context: Array
    token: Array


def history_of(pieces: Sequence[AnyArray], vocab_size: int) -> History:
    """Count, for each token of the pieces, what came before it in its piece."""
    before = contexts_of(pieces, max(HISTORIES), vocab_size)
    token = np.concatenate(list(pieces))
    scope = mix(np.full(len(token), _START), np.repeat(np.arange(len(pieces)), [len(piece) for piece in pieces]))
    counts = []
    for n in HISTORIES:
        hashes = scope
        for j in range(before.shape[1] - n, before.shape[1]):
            hashes = mix(hashes, before[:, j])
        counts.append((_earlier(hashes), _earlier(mix(hashes, token))))
    return History(np.array([c for c, _ in counts], float), np.array([t for _, t in counts], float))


def _earlier(keys: AnyArray) -> AnyArray:
    """How often each key occurred before."""
    order = np.argsort(keys, kind="stable")
    sorted_keys = keys[order]
    fresh = np.r_[True, sorted_keys[1:] != sorted_keys[:-1]]
    rank = np.arange(len(keys)) - np.maximum.accumulate(np.where(fresh, np.arange(len(keys)), 0))
    found = np.empty(len(keys), np.int64)
    found[order] = rank
    return found


def adapt(probability: Array, history: History, weights: Array) -> Array:
    """Probabilities with each longer history as an update: (count + weight p) / (total + weight)."""
    for context, token, weight in zip(history.context, history.token, weights, strict=True):
        if np.isfinite(weight):
            probability = (token + weight * probability) / (context + weight)
    return probability


def weights_for(probability: Array, history: History, chosen: AnyArray) -> Array:
    """The weights with the least loss on the chosen tokens, one history after another, twice round."""
    some = History(history.context[:, chosen], history.token[:, chosen])
    base, best = probability[chosen], np.full(len(HISTORIES), np.inf)
    for _ in range(2):
        for i in range(len(HISTORIES)):
            trials = [np.where(np.arange(len(HISTORIES)) == i, w, best) for w in _WEIGHTS]
            best = min(trials, key=lambda trial: -np.log(adapt(base, some, trial)).mean())
    return best
