"""Which rows a step trains on: a function of the seed and the step alone, so that a resumed run sees the same ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from scalefit.training.data.corpus import Corpus

Tokens = npt.NDArray[np.int64]


class Batches:
    """The training batches of a run: all rows in a new random order each epoch.

    Parameters
    ----------
    corpus : Corpus
        Where the rows come from.
    length, batch : int
        Tokens per row and rows per step.
    seeds : sequence of int
        One per member; members with different seeds see different orders.
    """

    def __init__(self, corpus: Corpus, length: int, batch: int, seeds: Sequence[int]) -> None:
        self._corpus, self._length, self._batch, self._seeds = corpus, length, batch, tuple(seeds)
        self._permutations: dict[tuple[int, int], Tokens] = {}

    def of(self, step: int) -> tuple[Tokens, Tokens]:
        """Inputs and targets of a step, (B, T), or (E, B, T) where several seeds see several orders."""
        by_seed = {seed: self._rows(seed, step) for seed in dict.fromkeys(self._seeds)}
        if len(by_seed) == 1:
            return by_seed[self._seeds[0]]
        pairs = [by_seed[seed] for seed in self._seeds]
        return np.stack([pair[0] for pair in pairs]), np.stack([pair[1] for pair in pairs])

    def _rows(self, seed: int, step: int) -> tuple[Tokens, Tokens]:
        n_rows = len(self._corpus.starts("train", self._length))
        places = np.arange(step * self._batch, (step + 1) * self._batch)
        picked = np.empty(self._batch, np.int64)
        for epoch in np.unique(places // n_rows).tolist():
            key = (seed, epoch)
            if key not in self._permutations:
                self._permutations = {k: v for k, v in self._permutations.items() if k[1] >= epoch - 1}
                self._permutations[key] = np.random.default_rng([seed, epoch, 11]).permutation(n_rows)
            here = places // n_rows == epoch
            picked[here] = self._permutations[key][places[here] % n_rows]
        inputs, targets = self._corpus.rows("train", self._length, picked)
        return inputs, targets
