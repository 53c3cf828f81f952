"""What every associative memory shares: energy, gradient, update, retrieval and capacity."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from scalefit._arguments import check_number
from scalefit._typing import Array, ArrayLike
from scalefit.errors import ArgumentError, arg
from scalefit.memory import _patterns
from scalefit.memory._conventions import CONVENTIONS, Convention, as_given, choice, positive, scalar


@dataclass(frozen=True, eq=False, repr=False)
class Energy(ABC):
    """An associative memory with stored patterns.

    Parameters
    ----------
    patterns : array_like, shape (d, n)
        Stored patterns, one per row; copied (a float memory map is not: it is read in blocks).

    Raises
    ------
    ArgumentError
        Patterns are not a (d, n) matrix, or hold a value outside the network's domain.
    """

    patterns: ArrayLike
    _stored: Array = field(init=False)

    domain: ClassVar[str] = "real"

    def __post_init__(self) -> None:
        stored = _patterns.read_patterns(self.patterns, binary=self.domain == "binary")
        object.__setattr__(self, "_stored", stored)
        object.__setattr__(self, "patterns", stored)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.n_patterns} patterns of dimension {self.dim})"

    @property
    def n_patterns(self) -> int:
        """Number of stored patterns d."""
        return int(self._stored.shape[0])

    @property
    def dim(self) -> int:
        """Dimension n of a pattern."""
        return int(self._stored.shape[1])

    def energy(self, x: ArrayLike) -> Any:
        """Return the energy of queries (..., n): a float for one query, an array (...) for a batch."""
        queries, shape = _patterns.read_queries(x, self.dim)
        result = self._checked(self._energy, queries).reshape(shape)
        return result if shape else float(result)

    def grad(self, x: ArrayLike) -> Array:
        """Return the gradient of the energy at queries (..., n), as if a binary x could be any real."""
        queries, shape = _patterns.read_queries(x, self.dim)
        return self._checked(self._grad, queries).reshape(*shape, self.dim)

    def _checked(self, function: Callable[[Array], Array], queries: Array) -> Array:
        with np.errstate(over="ignore", invalid="ignore"):
            result = function(queries)
        if not np.isfinite(result).all():
            raise _patterns.overflow(self._stored, queries)
        return result

    def update(self, x: ArrayLike) -> Array:
        """Return queries (..., n) after one step of retrieval, which never raises the energy."""
        queries, shape = _patterns.read_queries(x, self.dim, binary=self.domain == "binary")
        return self._update(queries).reshape(*shape, self.dim)

    def retrieve(self, x: ArrayLike, *, max_steps: int = 1000, tolerance: float = 1e-10) -> Array:
        """Return what the network remembers from queries.

        Parameters
        ----------
        x : array_like, shape (..., n)
            Queries.
        max_steps : int
            Most updates; a query that has not settled by then is returned as it is.
        tolerance : float
            A real query has settled when a step moves it by less than this times one plus its length. Binary
            queries settle when no bit changes.

        Returns
        -------
        ndarray, shape (..., n)
        """
        queries, shape = _patterns.read_queries(x, self.dim, binary=self.domain == "binary")
        current = np.array(queries)
        moving = np.arange(len(current))
        scalar("tolerance", tolerance)
        for _ in range(int(scalar("max_steps", max_steps, integer=True))):
            if not len(moving):
                break
            before = current[moving]
            after = self._update(before)
            current[moving] = after
            reach = tolerance * (1.0 + np.linalg.norm(before, axis=1))
            moving = moving[np.linalg.norm(after - before, axis=1) > reach]
        return current.reshape(*shape, self.dim)

    def capacity(self, n: ArrayLike, *, convention: Convention = "exact", corruption: float = 0.0) -> Any:
        """Return how many random patterns of dimension `n` the theory says the network can store.

        Parameters
        ----------
        n : array_like
            Dimension of a pattern.
        convention : {"exact", "paper"}
            ``"exact"``: the constants and exponents of each network's own source. ``"paper"``: the growth
            that Table 1 prints, with its constant set to one.
        corruption : float
            Share of flipped bits from which a binary network must still recover, in [0, 0.5).

        Returns
        -------
        float or ndarray
            Patterns; ``inf`` beyond the range of a float (see `log_capacity`).
        """
        with np.errstate(over="ignore"):
            return as_given(np.exp(np.asarray(self.log_capacity(n, convention=convention, corruption=corruption))), n)

    def log_capacity(self, n: ArrayLike, *, convention: Convention = "exact", corruption: float = 0.0) -> Any:
        """Return the natural logarithm of `capacity`, finite for any `n`."""
        choice("convention", convention, CONVENTIONS)
        if not 0.0 <= check_number("corruption", corruption) < 0.5:
            raise ArgumentError(
                f"{arg('corruption', corruption)} is out of range",
                "nothing was computed",
                "Give a share of flipped bits in [0, 0.5)",
            )
        dims = positive("n", n, integer=True)
        return as_given(np.asarray(self._log_capacity(dims, convention, corruption)), n)

    @abstractmethod
    def _energy(self, x: Array) -> Array: ...

    @abstractmethod
    def _grad(self, x: Array) -> Array: ...

    @abstractmethod
    def _update(self, x: Array) -> Array: ...

    @abstractmethod
    def _log_capacity(self, n: Array, convention: Convention, corruption: float) -> Array: ...


class BinaryEnergy(Energy):
    """A network over {-1, +1}^n: a bit takes the value that has the lower energy, one bit after the other."""

    domain: ClassVar[str] = "binary"

    def _update(self, x: Array) -> Array:
        result = np.array(x)
        columns = np.ascontiguousarray(self._stored.T)  # (n, d)
        for chunk in _patterns.query_chunks(len(x), self.n_patterns):
            bits = result[chunk]
            overlap = bits @ columns  # (q, d)
            for i, column in enumerate(columns):
                rest = overlap - bits[:, i, None] * column
                gain = self._gain(rest, column, i)
                new = np.where(gain == 0.0, bits[:, i], np.sign(gain))
                overlap = rest + new[:, None] * column
                bits[:, i] = new
            result[chunk] = bits
        return result

    @abstractmethod
    def _gain(self, rest: Array, column: Array, i: int) -> Array:
        """Return the sign (or more) of E(bit i = -1) - E(bit i = +1), (q,), from the overlaps without it."""
