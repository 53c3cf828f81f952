"""Facts under Zipf's law as a corpus: a key of two tokens and its value, the keys drawn with probability ~ rank^-a.

The value follows from the key, so the entropy of the scored token is zero, and the whole population can be scored: one
pass over all keys, weighted by their probabilities, has no sampling error. Each fact is one row: in one stream a
key that occurs twice could be answered by copying, without any memory in the weights.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from scalefit.errors import ArgumentError
from scalefit.memory import ZipfFacts
from scalefit.training.data.markov import Floats

#: Tokens of a row: two of the key and the value.
ROW = 3
#: Positions of a row that a model reads, and how many of their targets are scored.
INPUTS, SCORED = 2, 1


class FactSource:
    """Facts with two-token keys from two alphabets, in an order that does not show their rank.

    Parameters
    ----------
    n_keys : int
        Keys K.
    zipf : float
        Zipf's exponent of the keys.
    n_values : int
        Values M, drawn once for each key.
    seed : int
        Seed of the keys' names and their values; they do not depend on `zipf`.

    Examples
    --------
    >>> source = FactSource(n_keys=9, zipf=1.5, n_values=4, seed=0)
    >>> source.rows(np.arange(2)).shape, source.vocab_size
    ((2, 3), 10)
    """

    def __init__(self, n_keys: int, zipf: float, n_values: int, seed: int) -> None:
        self.facts = ZipfFacts(n_keys, zipf, n_values)
        self.side = math.isqrt(n_keys - 1) + 1
        self.vocab_size = 2 * self.side + n_values
        if self.vocab_size > 1 << 16:
            raise ArgumentError(
                f"Facts with {n_keys:,} keys and {n_values:,} values need {self.vocab_size:,} tokens",
                "nothing was built",
                "Keep them at or below 65,536: fewer keys or values",
            )
        rng = np.random.default_rng([seed, n_keys, n_values, 77])
        self._codes = rng.permutation(self.side**2)[:n_keys]
        self.values = rng.integers(0, n_values, n_keys)

    def rows(self, ranks: npt.NDArray[np.int64]) -> npt.NDArray[np.uint16]:
        """Return the tokens of facts by rank (from 0), shape (n, 3): both parts of the key, then the value."""
        code = self._codes[ranks]
        parts = (code // self.side, self.side + code % self.side, 2 * self.side + self.values[ranks])
        return np.stack(parts, axis=-1).astype(np.uint16)

    def draw(self, n_facts: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """Draw ranks (from 0) with their probabilities, shape (n_facts,)."""
        cumulative = np.cumsum(self.facts.probabilities)
        found = np.searchsorted(cumulative / cumulative[-1], rng.random(n_facts), side="right")
        return np.minimum(found, len(cumulative) - 1)

    def unseen(self, ranks: npt.NDArray[np.int64]) -> float:
        """Return the mass of the keys that are not among `ranks`."""
        left: Floats = self.facts.probabilities.copy()
        left[ranks] = 0.0
        return float(left[::-1].sum())
