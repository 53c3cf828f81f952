"""n-gram losses at several sizes of the training part: by context, with errors between held-out clusters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scalefit._typing import AnyArray, Array
from scalefit.corpora.divide import LEAST_TOKENS, up_to
from scalefit.corpora.kneser_ney import n_gram_orders
from scalefit.corpora.read import Sample

#: Halvings of the training part at which losses are taken, beside all of it.
HALVINGS = 2


@dataclass(frozen=True, eq=False)
class Learning:
    """Losses of n-grams.

    Attributes
    ----------
    tokens : ndarray (n_sizes,)
        Training tokens, ascending.
    loss : ndarray (n_sizes, n_orders)
        Mean held-out loss [nat/token]; column n looks n tokens back.
    each : ndarray (n_orders, m)
        Loss of every held-out token at the largest size.
    probability : ndarray (n_orders, m)
        Its probability.
    in_sample : ndarray (n_orders,)
        Entropy of the training part's own frequencies at the largest size [nat/token].
    """

    tokens: AnyArray
    loss: Array
    each: Array
    probability: Array
    in_sample: Array

    def limit(self) -> tuple[Array, Array]:
        """Where the losses go if each doubling brings the same share of the last, and how much that adds [nat/token].

        NaN where the doublings do not bring less and less.
        """
        if len(self.tokens) < 3:
            return np.full(self.loss.shape[1], np.nan), np.full(self.loss.shape[1], np.nan)
        before, last = self.loss[-3] - self.loss[-2], self.loss[-2] - self.loss[-1]
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where((before > 0) & (last >= 0), last / before, np.nan)
            more = np.where(share < 1, last * share / (1 - share), np.nan)
        return np.asarray(self.loss[-1] - more), np.asarray(more)

    def converged(self, share: float = 0.1) -> int:
        """Contexts n = 1, 2, ... up to which the last doubling changed the loss by less than `share` of its drop."""
        if len(self.tokens) < 2:
            return 0
        change = np.abs(self.loss[-2] - self.loss[-1])[1:]
        drop = self.loss[-1][:-1] - self.loss[-1][1:]
        good = change < share * drop
        return int(np.argmin(good)) if not good.all() else len(good)


def learn(sample: Sample, n_orders: int) -> Learning:
    """Train n-grams on all of the training part, on a half and on a quarter of it, and score the held-out part."""
    sizes = [sample.n_train // 2**k for k in range(HALVINGS, -1, -1)]
    sizes = [size for size in sizes if size >= LEAST_TOKENS // 2]
    shuffled = [sample.train[i] for i in np.random.default_rng(0).permutation(len(sample.train))]
    rows = []
    for size in sizes:
        found = n_gram_orders(up_to(shuffled, size), sample.heldout, n_orders, sample.vocab_size)
        rows.append(-np.log(found.probability).mean(axis=1))
    each = -np.log(found.probability)
    return Learning(np.array(sizes), np.array(rows), each, found.probability, found.in_sample)


def cluster_means(values: Array, sample: Sample) -> tuple[Array, Array]:
    """Mean of values of held-out tokens in each cluster, and its number of tokens."""
    cluster = np.repeat(sample.clusters, [len(piece) for piece in sample.heldout])
    size = np.bincount(cluster).astype(float)
    return np.bincount(cluster, values) / size, size


def mean_and_error(values: Array, weights: Array) -> tuple[float, float]:
    """Weighted mean of cluster means, and its standard error between clusters."""
    share = weights / weights.sum()
    mean = float(share @ values)
    n = len(values)
    return mean, float(np.sqrt(n / max(n - 1, 1) * (share**2 @ (values - mean) ** 2)))
