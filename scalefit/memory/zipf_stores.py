"""Linear associative memories of facts under Zipf's law: one matrix, three ways to fill it, and their errors.

Cabannes, Dohmatob and Bietti (2024, arXiv:2310.02984) store facts as W = sum_x q(x) u_f(x) e_x' with random embeddings
e of keys and u of values, and answer a key with the value of least energy. The weights q decide the scaling law.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from scalefit._typing import AnyArray, Array, ArrayLike, Seed
from scalefit.errors import ArgumentError, arg
from scalefit.memory._conventions import choice, generator, reals, scalar
from scalefit.memory.zipf import ZipfFacts

#: Ways to weight the facts in a matrix: 1 for the most frequent, by frequency, 1 for all, or learned.
STORES = ("thresholded", "weighted", "all", "trained")
#: Nodes of Gauss-Hermite quadrature; twice as many change no digit that is compared.
_NODES = 41


@dataclass(frozen=True, eq=False)
class LinearMemory:
    r"""Facts in one matrix: a key's answer is the value of least energy :math:`E(x, y) = -u_y^T W e_x` [1]_.

    Parameters
    ----------
    keys : ndarray, shape (K, d)
        Embedding of each key.
    values : ndarray, shape (M, d)
        Embedding of each value.
    weights : ndarray, shape (d, d)
        The matrix W.

    References
    ----------
    .. [1] Cabannes, Dohmatob and Bietti (2024), arXiv:2310.02984.

    Examples
    --------
    >>> import numpy as np
    >>> memory = LinearMemory.of_facts(np.eye(3), np.eye(3), labels=[2, 0, 1], strengths=[1, 1, 0])
    >>> memory.energy(0).tolist(), memory.retrieve([0, 1]).tolist()
    ([0.0, 0.0, -1.0], [2, 0])
    """

    keys: Array
    values: Array
    weights: Array

    @classmethod
    def of_facts(cls, keys: ArrayLike, values: ArrayLike, labels: ArrayLike, strengths: ArrayLike) -> LinearMemory:
        """Store facts as a sum of outer products, W = sum_x q(x) u_f(x) e_x'.

        Parameters
        ----------
        keys, values : array_like, shapes (K, d) and (M, d)
            Embeddings.
        labels : array_like of int, shape (K,)
            The value f(x) of each key.
        strengths : array_like, shape (K,)
            Weight q(x) of each fact; 0 leaves it out.
        """
        e, u, q = (reals(name, v) for name, v in (("keys", keys), ("values", values), ("strengths", strengths)))
        f = np.asarray(labels)
        if e.ndim != 2 or u.ndim != 2 or e.shape[1] != u.shape[1] or f.shape != (len(e),) or q.shape != f.shape:
            raise ArgumentError(
                f"keys {e.shape}, values {u.shape}, labels {f.shape} and strengths {q.shape} do not fit",
                "nothing was stored",
                "Give shapes (K, d), (M, d), (K,) and (K,)",
            )
        if f.dtype.kind not in "iu" or (len(f) and not 0 <= f.min() <= f.max() < len(u)):
            raise ArgumentError(
                f"labels are not all indices of the {len(u)} values",
                "nothing was stored",
                "Give whole numbers from 0 on",
            )
        (held,) = np.nonzero(q)
        by_value = np.zeros((len(u), len(held)))  # keys of one value are added up first: M products of width d, not K
        by_value[f[held], np.arange(len(held))] = q[held]
        return cls(e, u, u.T @ (by_value @ e[held]))

    def energy(self, key: ArrayLike) -> Array:
        """Return the energy of every value for keys by index, shape (..., M)."""
        return np.asarray(-self.keys[np.asarray(key)] @ (self.values @ self.weights).T)

    def retrieve(self, key: ArrayLike) -> AnyArray:
        """Return the index of the value of least energy, shape of `key`."""
        return np.asarray(self.energy(key).argmin(axis=-1))

    def error(self, labels: ArrayLike, probabilities: ArrayLike) -> float:
        """Return the probability of a wrong answer, over keys drawn with `probabilities`."""
        wrong = self.retrieve(np.arange(len(self.keys))) != np.asarray(labels)
        return float(reals("probabilities", probabilities) @ wrong)


@dataclass(frozen=True)
class StoreError:
    """Error of a store over fresh embeddings and draws.

    Attributes
    ----------
    error : float
        Mean probability of a wrong answer.
    standard_error : float
        Standard error of that mean.
    n_draws : int
        Number of memories that were made.
    """

    error: float
    standard_error: float
    n_draws: int


def store_strengths(frequencies: ArrayLike, store: str, capacity: float | None = None) -> Array:
    """Return the weight q(x) of each fact in a store.

    Parameters
    ----------
    frequencies : array_like, shape (K,)
        Counts of a sample, or probabilities; 0 is a key that was not seen.
    store : {"thresholded", "weighted", "all"}
        Weights: 1 for the `capacity` most frequent keys seen; the frequencies themselves; 1 for all keys seen.
    capacity : float, optional
        Facts to keep in a thresholded store; ties go to the first.

    Examples
    --------
    >>> store_strengths([5, 0, 3, 1], "thresholded", capacity=2).tolist()
    [1.0, 0.0, 1.0, 0.0]
    """
    choice("store", store, STORES[:3])
    counts = reals("frequencies", frequencies)
    if counts.ndim != 1 or not len(counts) or not (counts >= 0).all() or not counts.any():
        raise ArgumentError(
            "frequencies are not a row of numbers, zero or more", "nothing was stored", "Give shape (K,)"
        )
    if store == "weighted":
        return np.asarray(counts / counts.sum())
    seen = (counts > 0).astype(float)
    if store == "all":
        return seen
    kept = np.zeros_like(seen)
    kept[np.argsort(-counts, kind="stable")[: _stored(capacity)]] = 1.0
    return np.asarray(kept * seen)


def measure_store(
    facts: ZipfFacts,
    width: int,
    store: str = "thresholded",
    *,
    capacity: float | None = None,
    samples: int | None = None,
    draws: int = 6,
    seed: Seed = 0,
) -> StoreError:
    """Fill memories of random embeddings with facts, and return how often they answer wrongly.

    Keys are embedded as N(0, 1/d), values on the unit sphere; the value of the key of rank x is x modulo M.

    Parameters
    ----------
    facts : ZipfFacts
        Keys, their exponent, and the number of values M, which must be given.
    width : int
        Width d of the embeddings.
    store : {"thresholded", "weighted", "all", "trained"}
        As in `store_strengths`; ``"trained"`` learns the matrix by 400 steps of Adam on the
        cross-entropy over all keys.
    capacity : float, optional
        Facts in a thresholded store; d / 8 by default, as in the authors' code.
    samples : int, optional
        Draws that the store is made from; by default the probabilities are known.
    draws : int
        Number of memories to make.
    seed : int or Generator
        Seed of the embeddings and draws.

    Examples
    --------
    >>> facts = ZipfFacts(1000, exponent=2, n_values=5)
    >>> found = measure_store(facts, width=123, draws=10)
    >>> abs(found.error - predict_store(facts, width=123)) < 4 * found.standard_error
    True
    """
    choice("store", store, STORES)
    n_values, d = _values(facts), int(scalar("width", width, integer=True))
    n_draws, rng = int(scalar("draws", draws, integer=True)), generator(seed)
    if samples is not None:
        scalar("samples", samples, integer=True)
        if store == "trained":
            raise ArgumentError("A trained store learns from all keys", "nothing was measured", "Leave samples out")
    labels, errors = np.arange(facts.n_keys) % n_values, np.empty(n_draws)
    for draw in range(n_draws):
        keys = rng.normal(size=(facts.n_keys, d)) / np.sqrt(d)
        values = rng.normal(size=(n_values, d))
        values /= np.linalg.norm(values, axis=1, keepdims=True)
        known = facts.probabilities if samples is None else rng.multinomial(samples, facts.probabilities)
        if store == "trained":
            memory = _train(keys, values, labels, facts.probabilities)
        else:
            strengths = store_strengths(known, store, d / 8 if capacity is None else capacity)
            memory = LinearMemory.of_facts(keys, values, labels, strengths)
        errors[draw] = memory.error(labels, facts.probabilities)
    spread = errors.std(ddof=1) / np.sqrt(n_draws) if n_draws > 1 else np.nan
    return StoreError(float(errors.mean()), float(spread), n_draws)


def predict_store(
    facts: ZipfFacts, width: ArrayLike, store: str = "thresholded", *, capacity: float | None = None
) -> Any:
    """Return the error of a store without making one, for a finite number of keys, values and dimensions.

    The score of a value y for the key x is q(x) if y is its own, plus the noise of all other facts. Given x that noise
    is Gaussian, with the variance (S_y + (S - S_y) / d) / d, where S sums the squared weights of all other facts and
    S_y of those with the value y. The scores of different values are taken as independent, and the probability
    that its own score is the largest is then one integral per key. Measured stores agree to a few percent where d
    exceeds the number of values; with 64 values and d = 16 the prediction for a weighted store is up to a quarter too
    high.

    Parameters
    ----------
    facts, store, capacity
        As in `measure_store`, with known probabilities; there is no formula for a trained store.
    width : array_like
        Width d.

    Returns
    -------
    float or ndarray
        Probability of a wrong answer.

    Examples
    --------
    At a = 2 the error of a store weighted by frequency falls like d^-0.25 for ever more keys:

    >>> import numpy as np
    >>> facts = ZipfFacts(1000, exponent=2, n_values=5)
    >>> errors = predict_store(facts, [35, 1000], "weighted")
    >>> round(float(np.log(errors[0] / errors[1]) / np.log(1000 / 35)), 2)
    0.27
    """
    choice("store", store, STORES[:3])
    from scipy.special import ndtr

    n_values, p = _values(facts), facts.probabilities
    widths = reals("width", width)
    labels = np.arange(facts.n_keys) % n_values
    nodes, share = np.polynomial.hermite_e.hermegauss(_NODES)
    share = share / share.sum()

    def one(d: float) -> float:
        scalar("width", d)
        q = store_strengths(p, store, d / 8 if capacity is None else capacity)
        by_value = np.bincount(labels, weights=q**2, minlength=n_values)
        total, error = by_value.sum(), 0.0
        for value in range(n_values):
            here = labels == value
            mine = q[here, None]
            noise = (np.maximum(by_value[value] - mine**2, 0.0) + (total - by_value[value]) / d) / d
            score = mine + np.sqrt(noise) * nodes
            right = np.ones_like(score)
            for other in range(n_values):
                if other != value:
                    spread = (by_value[other] + (total - by_value[other] + mine**2 * (d - 1)) / d) / d
                    right *= ndtr(score / np.sqrt(np.maximum(spread, 1e-300)))
            error += float(p[here] @ (1.0 - right @ share))
        return error

    found = np.reshape([one(float(d)) for d in widths.ravel()], widths.shape)
    return float(found) if widths.ndim == 0 else found


def _train(keys: Array, values: Array, labels: AnyArray, p: Array, steps: int = 400, rate: float = 0.3) -> LinearMemory:
    """Learn the matrix by Adam on the population's cross-entropy, the rate falling to zero."""
    weights = np.zeros((keys.shape[1], keys.shape[1]))
    mean, square = np.zeros_like(weights), np.zeros_like(weights)
    rows = np.arange(len(keys))
    for step in range(steps):
        scores = keys @ (values @ weights).T
        scores -= scores.max(axis=1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=1, keepdims=True)
        scores[rows, labels] -= 1.0
        gradient = values.T @ ((scores * p[:, None]).T @ keys)
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        size = np.sqrt(square / (1 - 0.999 ** (step + 1))) + 1e-8
        weights -= rate * (1 - step / steps) * mean / (1 - 0.9 ** (step + 1)) / size
    return LinearMemory(keys, values, weights)


def _values(facts: ZipfFacts) -> int:
    if not isinstance(facts, ZipfFacts) or facts.n_values is None:
        raise ArgumentError(f"facts is {facts!r}", "nothing was computed", "Give ZipfFacts with n_values")
    return int(facts.n_values)


def _stored(capacity: float | None) -> int:
    if capacity is None:
        raise ArgumentError(
            "A thresholded store has no capacity", "nothing was stored", f"Give {arg('capacity')}, such as d / 8"
        )
    return max(1, int(scalar("capacity", capacity)))
