"""Markov sources whose entropy is known exactly: corpora for which the true loss floor is not a guess."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from scalefit.errors import ArgumentError

Floats = npt.NDArray[np.float64]

#: Share of the unigram in every next-token distribution: makes the chain ergodic and the tail Zipf-like.
UNIGRAM_WEIGHT = 0.1

#: Entries of a transition table, 8 bytes each, with a few more of its size while it is made.
LARGEST_TABLE = 50_000_000


class MarkovSource:
    """A sparse random Markov chain with a Zipf vocabulary.

    The next token follows a mixture: 10 % a Zipf unigram, the rest in equal shares the last token, the last
    two, ... up to `order`; each context has `branching` likely successors, themselves Zipf-weighted.
    Frequent and rare contexts make the loss fall like a power law in data, as text does, towards an entropy
    that is known.

    Parameters
    ----------
    order : int
        Tokens of context that matter.
    n_states : int
        Vocabulary.
    branching : int
        Likely successors of a context.
    seed : int
        Seed of the transition table.

    Examples
    --------
    >>> source = MarkovSource(order=1, n_states=8, branching=2, seed=0)
    >>> bool(0 < source.entropy_rate < np.log(8))
    True
    """

    def __init__(self, order: int, n_states: int, branching: int, seed: int) -> None:
        if n_states ** (order + 1) > LARGEST_TABLE:
            raise ArgumentError(
                f"A Markov source of order {order} over {n_states} states has a table of "
                f"{n_states ** (order + 1):.1e} entries",
                "nothing was built",
                f"Keep n_states ** (order + 1) at or below {LARGEST_TABLE:.0e}",
            )
        self.order, self.n_states = order, n_states
        rng = np.random.default_rng([seed, order, n_states, branching])
        zipf = 1.0 / np.arange(1, n_states + 1)
        zipf /= zipf.sum()
        table = np.full((n_states**order, n_states), 0.0) + UNIGRAM_WEIGHT * zipf
        share = (1.0 - UNIGRAM_WEIGHT) / order
        ranks = 1.0 / np.arange(1, branching + 1)
        ranks /= ranks.sum()
        for depth in range(1, order + 1):
            contexts = n_states**depth
            # Gumbel top-k draws `branching` successors without replacement, likelier ones first
            keys = np.log(zipf) + rng.gumbel(size=(contexts, n_states))
            successors = np.argsort(-keys, axis=1)[:, :branching]
            sparse = np.zeros((contexts, n_states))
            np.put_along_axis(sparse, successors, np.broadcast_to(ranks, successors.shape), axis=1)
            # a context is (x_1 ... x_order) in base n_states, newest token last: depth takes the newest ones
            table += share * np.tile(sparse, (n_states ** (order - depth), 1))
        self.table = table  # (contexts, n_states)

    @functools.cached_property
    def stationary(self) -> Floats:
        """Stationary distribution over contexts, by iteration to 1e-13 in total variation."""
        contexts, states = self.table.shape
        p = np.full(contexts, 1.0 / contexts)
        for _ in range(10_000):
            joint = (p[:, None] * self.table).reshape(states, -1, states)  # oldest token, middle, next
            new = joint.sum(axis=0).reshape(-1)
            new /= new.sum()
            if np.abs(new - p).sum() < 1e-13:
                return np.asarray(new)
            p = new
        return p

    @functools.cached_property
    def _conditional(self) -> list[float]:
        """H(next | j newest tokens) for j = 0 ... order [nat]."""
        joint = self.stationary[:, None] * self.table
        entropies = []
        for depth in range(self.order + 1):
            marginal = joint.reshape(-1, self.n_states**depth, self.n_states).sum(axis=0)
            given = marginal.sum(axis=1, keepdims=True)
            safe = np.where(marginal > 0, marginal, 1.0)
            entropies.append(float(-(marginal * np.log(safe / np.where(given > 0, given, 1.0))).sum()))
        return entropies

    @property
    def entropy_rate(self) -> float:
        """H(next | order tokens) [nat/token]: the floor of any model with full context."""
        return self._conditional[self.order]

    def window_entropy(self, length: int) -> float:
        """Mean conditional entropy over a window whose first input has no past [nat/token].

        Position j sees j + 1 tokens, so the first order - 1 positions see too few; this is the exact floor
        of the mean loss over windows of `length` targets.
        """
        return float(np.mean([self._conditional[min(j + 1, self.order)] for j in range(length)]))

    def sample(self, n_chains: int, length: int, rng: np.random.Generator) -> npt.NDArray[np.uint16]:
        """Sample stationary chains, shape (n_chains, length)."""
        contexts, states = self.table.shape
        cumulative = np.cumsum(self.table, axis=1)
        cumulative /= cumulative[:, -1:]
        # one sorted array for all contexts: row c holds c + its cumulative distribution, so one search
        # serves all
        flat = (cumulative + np.arange(contexts)[:, None]).reshape(-1)
        context = rng.choice(contexts, n_chains, p=self.stationary)
        chains, place = np.empty((n_chains, length), np.uint16), np.empty(n_chains, np.int64)
        for column in range(min(self.order, length)):
            chains[:, column] = context // states ** (self.order - 1 - column) % states
        for column in range(self.order, length):
            wanted = context + rng.random(n_chains)
            ranks = np.argsort(wanted)  # in order, neighbouring searches share their cache lines: four times as fast
            place[ranks] = np.searchsorted(flat, wanted[ranks], side="right")
            token = np.minimum(place - context * states, states - 1)
            chains[:, column] = token
            context = (context * states + token) % contexts
        return chains
