"""Facts whose frequency follows Zipf's law: the mass that does not fit, the mass not yet seen, and both inverted.

Cabannes, Dohmatob and Bietti (2024, arXiv:2310.02984) model a language model as a table of facts. The fact of rank x is
drawn with probability ~ x^-a; a memory that has room for the P most frequent facts errs on all others, and on those
that T training draws did not contain. Everything here is an exact sum over a finite number of keys, unless it says that
their number is infinite: at the sizes of an experiment the asymptotic exponents are far off.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalefit._text import known
from scalefit._typing import Array, ArrayLike
from scalefit.errors import ArgumentError
from scalefit.memory._conventions import as_given, broadcast, first_bad, positive, reals, scalar

#: Keys whose probabilities are held at a time.
_LARGEST = 100_000_000


@dataclass(frozen=True)
class ZipfFacts:
    r"""Keys of ranks 1 to K, the one of rank x drawn with probability :math:`x^{-a} / \sum_k k^{-a}` [1]_.

    Each key has one value.

    Parameters
    ----------
    n_keys : int
        Number of keys K.
    exponent : float
        Zipf's exponent a, zero or more; 0 draws every key alike.
    n_values : int, optional
        Number M of equally frequent values. An unknown key is then guessed right once in M, in `error` and in both
        inverses; without it a guess is never right.

    References
    ----------
    .. [1] Cabannes, Dohmatob and Bietti (2024), Scaling Laws for Associative Memories, arXiv:2310.02984.

    Examples
    --------
    >>> facts = ZipfFacts(65_536, exponent=2)
    >>> round(facts.tail(100), 6), round(facts.unseen(10_000), 6)
    (0.00604, 0.0069)
    >>> round(facts.capacity(facts.error(capacity=100)), 6)
    100.0
    """

    n_keys: int
    exponent: float
    n_values: int | None = None

    def __post_init__(self) -> None:
        if scalar("n_keys", self.n_keys, integer=True) > _LARGEST:
            raise ArgumentError(f"n_keys is {self.n_keys:g}", "nothing was computed", f"Give at most {_LARGEST:,} keys")
        if not 0 <= float(_one("exponent", self.exponent)) < 100:
            raise ArgumentError(f"exponent is {self.exponent!r}", "nothing was computed", "Give a number in [0, 100)")
        if self.n_values is not None and scalar("n_values", self.n_values, integer=True) < 2:
            raise ArgumentError(f"n_values is {self.n_values!r}", "nothing was computed", "Give 2 or more, or None")

    @functools.cached_property
    def probabilities(self) -> Array:
        """Probability of each key by rank, shape (K,)."""
        p = np.arange(1.0, self.n_keys + 1.0) ** -float(self.exponent)
        p /= p[::-1].sum()
        p.flags.writeable = False
        return p

    @property
    def guess(self) -> float:
        """Error on an unknown key, 1 - 1/M."""
        return 1.0 if self.n_values is None else 1.0 - 1.0 / self.n_values

    @functools.cached_property
    def _tails(self) -> Array:
        """Mass beyond each rank 0 ... K, summed from the rarest on, so that small tails keep their digits."""
        sums = np.cumsum(self.probabilities[::-1])[::-1]
        return np.append(sums / sums[0], 0.0)

    def tail(self, capacity: ArrayLike) -> Any:
        """Return the probability mass of all but the `capacity` most frequent keys, linear between whole numbers.

        Parameters
        ----------
        capacity : array_like
            Facts that are stored, zero or more.
        """
        stored = _not_negative("capacity", capacity)
        return as_given(np.interp(stored, np.arange(self.n_keys + 1.0), self._tails), capacity)

    def unseen(self, samples: ArrayLike) -> Any:
        """Return the expected probability mass of keys that none of `samples` independent draws contains.

        Parameters
        ----------
        samples : array_like
            Draws T, zero or more.
        """
        drawn = _not_negative("samples", samples)
        found = [min(1.0, float(_misses(self.probabilities, t) @ self.probabilities)) for t in drawn.ravel()]
        return as_given(np.reshape(found, drawn.shape), samples)

    def error(self, capacity: ArrayLike = math.inf, samples: ArrayLike = math.inf) -> Any:
        """Return the expected share of wrong answers of a memory that holds the most frequent keys among those drawn.

        The key of rank x is known if it is one of the `capacity` most frequent and was drawn. Which keys are frequent
        is taken as known; counts that rank them by chance add little, as the least frequent are rarely drawn twice.

        Parameters
        ----------
        capacity : array_like
            Facts that can be stored.
        samples : array_like
            Draws that were seen.

        Returns
        -------
        float or ndarray
            Share of wrong answers over fresh draws.
        """
        P, T = broadcast(P=_not_negative("capacity", capacity), T=_not_negative("samples", samples))
        ranks, p, found = np.arange(self.n_keys + 1.0), self.probabilities, np.empty(P.shape)
        for t in np.unique(T):
            lost = np.append(0.0, np.cumsum(p * _misses(p, t)))  # among the stored ones, those never drawn
            here = t == T
            stored = np.minimum(P[here], self.n_keys)
            found[here] = np.interp(stored, ranks, self._tails) + np.interp(stored, ranks, lost)
        return as_given(self.guess * np.minimum(found, 1.0), capacity, samples)

    def capacity(self, error: ArrayLike) -> Any:
        """Return how many facts a memory with this error stores, if every key was seen: the inverse of `tail`.

        Parameters
        ----------
        error : array_like
            Share of wrong answers; 0 gives all K keys (a lower limit), and chance or worse gives 0.

        Returns
        -------
        float or ndarray
            Number of facts, a fraction between whole numbers.
        """
        mass = np.minimum(_share("error", error) / self.guess, 1.0)
        ranks = np.arange(self.n_keys, -1.0, -1.0)
        return as_given(np.interp(mass, self._tails[::-1], ranks), error)

    def samples(self, error: ArrayLike) -> Any:
        """Return the draws after which a memory with room for every key has this error: the inverse of `unseen`.

        Parameters
        ----------
        error : array_like
            Share of wrong answers; 0 gives infinity, and chance or worse gives 0.
        """
        from scipy.optimize import brentq

        mass = _share("error", error) / self.guess

        def one(wanted: float) -> float:
            if wanted >= 1.0:
                return 0.0
            if wanted <= 0.0 or self.unseen(1e30) >= wanted:
                return math.inf
            high = 1.0
            while self.unseen(high) > wanted:
                high *= 8.0
            return float(brentq(lambda t: self.unseen(t) - wanted, 0.0, high, xtol=1e-12, rtol=1e-12))

        return as_given(np.reshape([one(float(m)) for m in mass.ravel()], mass.shape), error)

    def slope(self, of: str, low: float, high: float) -> float:
        """Return the exponent that a plot of ``"tail"`` or ``"unseen"`` shows between two sizes.

        It is -d log(mass) / d log(size), the number to compare a measured exponent with; the asymptotic ones of
        `zipf_exponents` are its limits for ever more keys.

        Examples
        --------
        >>> facts = ZipfFacts(65_536, exponent=1.2)
        >>> round(facts.slope("unseen", 4096, 2**20), 3), round(1 - 1 / 1.2, 3)
        (0.444, 0.167)
        """
        measures = {"tail": self.tail, "unseen": self.unseen}
        if of not in measures:
            raise ArgumentError(f"of is {of!r}", "nothing was computed", known(of, ("tail", "unseen")))
        if not 0 < scalar("low", low) < scalar("high", high):
            raise ArgumentError(f"low {low!r} is not below high {high!r}", "nothing was computed", "Give two sizes")
        first, last = (float(measures[of](size)) for size in (low, high))
        if last <= 0:
            raise ArgumentError(
                f"No mass is left at {high:g} of {self.n_keys} keys",
                "no slope was computed",
                "Lower it",
            )
        return math.log(first / last) / math.log(high / low)


def zipf_tail(capacity: ArrayLike, exponent: float) -> Any:
    r"""Return the mass beyond the `capacity` most frequent of infinitely many keys.

    It is :math:`\zeta(a, P + 1) / \zeta(a)`, which is :math:`(P + 1/2)^{1-a} / ((a-1)\,\zeta(a))` to leading order.

    Parameters
    ----------
    capacity : array_like
        Facts P that are stored, zero or more.
    exponent : float
        Zipf's exponent a, above 1.

    Examples
    --------
    >>> round(zipf_tail(100, 2), 7)
    0.006049
    """
    from scipy.special import zeta

    a = _above_one(exponent)
    return as_given(np.asarray(zeta(a, _not_negative("capacity", capacity) + 1.0) / zeta(a)), capacity)


def zipf_unseen(samples: ArrayLike, exponent: float) -> Any:
    r"""Return the expected mass of the keys not yet drawn, of infinitely many, to leading order in the draws.

    It is :math:`\Gamma(1 - 1/a)\,T^{-(1 - 1/a)} / (a\,\zeta(a)^{1/a})`.

    Parameters
    ----------
    samples : array_like
        Draws T, positive.
    exponent : float
        Zipf's exponent a, above 1.

    Examples
    --------
    >>> round(zipf_unseen(1e4, 2), 7)
    0.0069099
    """
    from scipy.special import gamma, zeta

    a = _above_one(exponent)
    drawn = positive("samples", samples)
    return as_given(np.asarray(gamma(1 - 1 / a) / (a * zeta(a) ** (1 / a)) * drawn ** (1 / a - 1)), samples)


def _misses(p: Array, samples: float) -> Array:
    """Return (1 - p)^T; 1 where p is too small for a float, however many draws there are."""
    if samples == 0:
        return np.ones_like(p)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(p > 0, np.exp(samples * np.log1p(-p)), 1.0)


def _above_one(exponent: float) -> float:
    a = scalar("exponent", exponent)
    if a <= 1:
        raise ArgumentError(
            f"exponent is {exponent!r}",
            "nothing was computed",
            "Infinitely many keys need an exponent above 1: give one, or a number of keys to ZipfFacts",
        )
    return a


def _one(name: str, value: Any) -> Array:
    numbers = _not_negative(name, value)
    if numbers.ndim:
        raise ArgumentError(
            f"{name} has shape {numbers.shape}; it must be one number", "nothing was computed", "Give one"
        )
    return numbers


def _not_negative(name: str, value: ArrayLike) -> Array:
    numbers = reals(name, value)
    good = numbers >= 0
    if not np.all(good):
        raise ArgumentError(
            f"{first_bad(name, numbers, good)}", "nothing was computed", "Give numbers that are zero or more"
        )
    return numbers


def _share(name: str, value: ArrayLike) -> Array:
    numbers = _not_negative(name, value)
    good = numbers <= 1
    if not np.all(good):
        raise ArgumentError(f"{first_bad(name, numbers, good)}", "nothing was computed", "Give shares between 0 and 1")
    return numbers
