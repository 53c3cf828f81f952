"""Training compute from sizes and tokens, and back: each convention has a name and computes.

Exponents move from 0.54 to 0.37 with the counting convention alone, so C never stands without one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalefit._arguments import as_numbers
from scalefit._text import count, known
from scalefit._typing import Array, ArrayLike
from scalefit.errors import ArgumentError

#: Size, tokens and compute, which a convention ties together; and the two that give the third.
QUANTITIES = ("N", "D", "C")
SIZES = ("N", "D")
#: FLOP per parameter and token of training: two forward, four backward (Kaplan et al. 2020, arXiv:2001.08361, 2.1).
TRAIN = 6.0
#: FLOP per parameter and token of the forward pass alone.
FORWARD = 2.0
#: FLOP per layer, width, context position and token of attention in training (DeepSeek, arXiv:2401.02954, eq. 2;
#: PaLM, arXiv:2204.02311, appendix B): queries by keys and weights by values, 2 FLOP each, three times for the backward
#: pass, the causal mask not counted.
ATTENTION = 12.0
#: Share of the products of attention that a causal mask keeps.
CAUSAL = 0.5


def counted(conventions: Mapping[str, Any]) -> str:
    """What N counts by a table's conventions, and whether that is an assumption.

    Examples
    --------
    >>> counted({"params": "total", "assumed": ["params"]})
    'N counts total parameters (assumed)'
    >>> counted({"params": "non_embedding"})
    'N counts non_embedding parameters'
    """
    assumed = " (assumed)" if "params" in conventions.get("assumed", ()) else ""
    return f"N counts {conventions.get('params', 'total')} parameters{assumed}"


def quantity(name: str, value: float) -> str:
    """An input as people write it: 70.6B parameters, 1.5T tokens; 5.76e+23 FLOP.

    Examples
    --------
    >>> quantity("N", 7.06e10), quantity("C", 5.76e23)
    ('70.6B', '5.76e+23')
    """
    return count(value) if name in (*SIZES, "unique_tokens") else f"{value:.4g}"


@dataclass(frozen=True, slots=True)
class FlopConvention:
    """What ties compute C [FLOP] to N [parameters] and D [tokens].

    Parameters
    ----------
    name : str
        Its name, which travels with a table and a result.
    meaning : str
        What it counts, in words.
    reads : tuple of str
        Columns it reads besides N and D.
    size_from : str
        The column whose parameters cost the FLOP; ``"N"`` where they are N itself.
    attention : bool
        Whether the products of attention are counted as well.
    computes : bool
        Whether C follows from N and D at all; False for compute that was logged.
    function : callable, optional
        A user's C(N, D, **columns), rising in N and in D.
    """

    name: str
    meaning: str
    reads: tuple[str, ...] = ()
    size_from: str = "N"
    attention: bool = False
    computes: bool = True
    function: Callable[..., Any] | None = None

    def train(self, N: ArrayLike, D: ArrayLike, **columns: ArrayLike) -> Array:
        """Training compute [FLOP] of N [parameters] on D [tokens].

        Examples
        --------
        >>> float(convention("6ND").train(70e9, 1.4e12))
        5.88e+23
        """
        N, D, more = as_numbers("N", N), as_numbers("D", D), self._columns(columns)
        if self.function is not None:
            return self._by_user(N, D, more)
        return np.asarray(TRAIN * more.get(self.size_from, N) * D + self._attention(more) * D)

    def tokens(self, C: ArrayLike, N: ArrayLike, **columns: ArrayLike) -> Array:
        """Tokens that C [FLOP] trains N [parameters] on."""
        C, N, more = as_numbers("C", C), as_numbers("N", N), self._columns(columns)
        if self.function is not None:
            return _inverse(lambda D: self._by_user(N, D, more), C)
        return np.asarray(C / (TRAIN * more.get(self.size_from, N) + self._attention(more)))

    def size(self, C: ArrayLike, D: ArrayLike, **columns: ArrayLike) -> Array:
        """Parameters that C [FLOP] trains on D [tokens]; NaN where the rest costs all of C."""
        C, D, more = as_numbers("C", C), as_numbers("D", D), self._columns(columns, but=self.size_from)
        if self.function is not None:
            return _inverse(lambda N: self._by_user(N, D, more), C)
        if self.size_from != "N":
            raise ArgumentError(
                f"C by {self.name!r} gives {self.size_from}, not N",
                "nothing was computed",
                "Give N itself, or another convention",
            )
        size = (C / D - self._attention(more)) / TRAIN
        return np.asarray(np.where(size > 0, size, np.nan))

    def serve(self, N: ArrayLike, T: ArrayLike, **columns: ArrayLike) -> Array:
        """Compute [FLOP] of the forward passes over T [tokens]: a third of training's."""
        return np.asarray(self.train(N, T, **columns) * (FORWARD / TRAIN))

    def _by_user(self, N: Array, D: Array, more: dict[str, Array]) -> Array:
        assert self.function is not None
        try:
            return np.asarray(self.function(N, D, **more), float)
        except (TypeError, ValueError) as error:
            raise ArgumentError(
                f"The FLOP convention {self.name!r} cannot be called as C(N, D, **columns): {error}",
                "nothing was counted",
                "Give a function of N and D that returns FLOP",
            ) from None

    def _columns(self, given: dict[str, ArrayLike], but: str = "") -> dict[str, Array]:
        if not self.computes:
            raise ArgumentError(
                f"By the convention {self.name!r} C does not follow from N and D",
                "nothing was computed",
                f"Give C, or a convention that computes: {', '.join(k for k, c in CONVENTIONS.items() if c.computes)}",
            )
        missing = [key for key in self.reads if key not in given and key != but]
        if missing:
            raise ArgumentError(
                f"C by {self.name!r} needs {', '.join(missing)} besides N and D", "nothing was computed", "Give it"
            )
        wanted = given if self.function is not None else {key: given[key] for key in self.reads if key in given}
        return {key: as_numbers(key, value) for key, value in wanted.items()}

    def _attention(self, more: dict[str, Array]) -> Array | float:
        """FLOP of attention per token."""
        return ATTENTION * more["n_layers"] * more["d_emb"] * more["T_max"] if self.attention else 0.0

    def __str__(self) -> str:
        return self.name


#: The conventions there are, by name.
CONVENTIONS: dict[str, FlopConvention] = {
    found.name: found
    for found in (
        FlopConvention("6ND", "six FLOP per parameter and token, for whatever N counts"),
        FlopConvention(
            "6ND+attention",
            "six FLOP per parameter and token, and 12 n_layers d_emb T_max per token for attention",
            ("n_layers", "d_emb", "T_max"),
            attention=True,
        ),
        FlopConvention(
            "non_embedding",
            "six FLOP per parameter outside the embeddings and token",
            ("N_non_embedding",),
            "N_non_embedding",
        ),
        FlopConvention(
            "active",
            "six FLOP per parameter that one token uses (mixture of experts) and token",
            ("N_active",),
            "N_active",
        ),
        FlopConvention("logged", "compute as it was logged; it does not follow from N and D", computes=False),
    )
}


def convention(flops: str | Callable[..., Any] | FlopConvention) -> FlopConvention:
    """Return a convention by name, or make one of a function C(N, D, **columns) of your own.

    Raises
    ------
    ArgumentError
        No convention has this name; the message lists those that exist.

    Examples
    --------
    >>> float(convention("6ND+attention").train(1e9, 2e10, n_layers=24, d_emb=2048, T_max=2048))
    1.44159191040e+20
    >>> hunyuan = convention(lambda N, D: 9.59 * N * D + 2.3e8 * D)
    >>> float(hunyuan.tokens(hunyuan.train(5e10, 7e12), 5e10))
    7000000000000.0
    """
    if isinstance(flops, FlopConvention):
        return flops
    if callable(flops):
        name = getattr(flops, "__name__", type(flops).__name__)
        return FlopConvention(f"custom:{name}", "a function given by the user", function=flops)
    if not isinstance(flops, str) or flops not in CONVENTIONS:
        raise ArgumentError(f"Unknown FLOP convention {flops!r:.80}", "nothing was counted", known(flops, CONVENTIONS))
    return CONVENTIONS[flops]


def training_flops(N: ArrayLike, D: ArrayLike, convention: str = "6ND", **columns: ArrayLike) -> Array:
    """Training compute C [FLOP] of N [parameters] on D [tokens] under a named convention.

    Examples
    --------
    >>> float(training_flops(70e9, 1.4e12))
    5.88e+23
    """
    return _named(convention).train(N, D, **columns)


_named = convention


def _inverse(cost: Callable[[Array], Array], C: Array) -> Array:
    """Where a rising cost reaches C, by bisection of the logarithm between 1 and 1e30; NaN where it does not."""
    shape = np.broadcast_shapes(np.shape(C), np.shape(cost(np.asarray(1.0))))
    low, high = np.zeros(shape), np.full(shape, np.log(1e30))
    outside = (cost(np.exp(low)) > C) | (cost(np.exp(high)) < C)
    for _ in range(64):  # the interval of 69 e-folds falls below rounding
        middle = 0.5 * (low + high)
        above = cost(np.exp(middle)) > C
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return np.asarray(np.where(outside, np.nan, np.exp(0.5 * (low + high))))
