"""The five networks of Table 1 and eq. 4 of Niu et al. (2024) [1]_, as small frozen classes with one shape.

Each takes patterns and has ``energy(x)``, ``grad(x)``, ``update(x)``, ``retrieve(x)`` and ``capacity(n)``, over any
batch of queries (..., n). Printed sums that run to n run to d, the number of patterns.

References
----------
.. [1] Niu, Bai, Deng and Han (2024), arXiv:2405.08707.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scalefit._typing import Array, ArrayLike
from scalefit.errors import ArgumentError, arg
from scalefit.memory import _patterns
from scalefit.memory import capacity as _capacity
from scalefit.memory._conventions import Convention, as_given, scalar
from scalefit.memory.network import BinaryEnergy, Energy


@dataclass(frozen=True, eq=False, repr=False)
class Hopfield(BinaryEnergy):
    r"""The Hopfield network [1]_: ``E(x) = -x'Wx / 2 - b'x`` with W the sum of the patterns' outer products.

    Parameters
    ----------
    patterns : array_like, shape (d, n)
        Patterns of -1 and +1.
    bias : array_like, shape (n,), optional
        b; zero by default.
    zero_diagonal : bool
        Leave self-connections out of W, as Hopfield does. Retrieval is the same either way.

    References
    ----------
    .. [1] Hopfield (1982), Proc. Natl. Acad. Sci. 79, 2554, doi:10.1073/pnas.79.8.2554. Capacity:
       McEliece, Posner, Rodemich and Venkatesh (1987), IEEE Trans. Inf. Theory 33, 461,
       doi:10.1109/TIT.1987.1057328.

    Examples
    --------
    >>> network = Hopfield([[1, 1, 1, -1, -1], [-1, 1, -1, 1, -1]])
    >>> network.energy([1, 1, 1, -1, -1])
    -13.0
    >>> network.retrieve([1, 1, -1, -1, -1])
    array([ 1.,  1.,  1., -1., -1.])
    """

    bias: ArrayLike | None = None
    zero_diagonal: bool = False
    _bias: Array = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        bias = np.zeros(self.dim) if self.bias is None else _patterns.read_queries(self.bias, self.dim, name="bias")[0]
        if bias.size != self.dim:
            raise ArgumentError(f"bias holds {bias.size} numbers", "nothing was computed", f"Give shape ({self.dim},)")
        object.__setattr__(self, "_bias", bias.ravel())

    @property
    def weights(self) -> Array:
        """The matrix W (n, n); the other methods never form it."""
        matrix = self._stored.T @ self._stored
        return matrix - self.n_patterns * np.eye(self.dim) if self.zero_diagonal else matrix

    def _energy(self, x: Array) -> Array:
        square = np.zeros(len(x))
        for _, block in _patterns.pattern_blocks(self._stored, len(x)):
            square += ((x @ block.T) ** 2).sum(axis=1)
        if self.zero_diagonal:
            square -= self.n_patterns * (x**2).sum(axis=1)
        return np.asarray(-0.5 * square - x @ self._bias)

    def _grad(self, x: Array) -> Array:
        field_ = np.zeros(x.shape)
        for _, block in _patterns.pattern_blocks(self._stored, len(x)):
            field_ += (x @ block.T) @ block
        if self.zero_diagonal:
            field_ -= self.n_patterns * x
        return -field_ - self._bias

    def _gain(self, rest: Array, column: Array, i: int) -> Array:
        return np.asarray(rest @ column + self._bias[i])

    def _log_capacity(self, n: Array, convention: Convention, corruption: float) -> Array:
        return np.log(n) if convention == "paper" else _capacity.log_polynomial(n, 2, corruption)


@dataclass(frozen=True, eq=False, repr=False)
class KrotovHopfield(BinaryEnergy):
    r"""The dense associative memory [1]_: ``E(x) = -sum_i F(p_i'x)`` with ``F(z) = z**order``.

    Table 1 of Niu et al. prints a capacity of order n^r; the source [1]_ derives n^(r-1) / (2 (2r-3)!! log
    n).

    Parameters
    ----------
    patterns : array_like, shape (d, n)
        Patterns of -1 and +1.
    order : int
        r, at least 2.
    rectified : bool
        ``F(z) = max(z, 0)**order``: the mirror image of a pattern is then no memory.

    References
    ----------
    .. [1] Krotov and Hopfield (2016), arXiv:1606.01164; with corruption, Demircigil et al. (2017),
       arXiv:1702.01929.

    Examples
    --------
    >>> KrotovHopfield([[1, 1, -1, -1]], order=3).energy([1, 1, -1, -1])
    -64.0
    """

    order: int = 3
    rectified: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if scalar("order", self.order, integer=True) < 2:
            raise ArgumentError(
                f"{arg('order', self.order)} is out of range",
                "no network was made",
                "Give a whole number of at least 2",
            )
        if self.order * math.log(self.dim) > 700.0:
            raise ArgumentError(
                f"order {self.order} at dimension {self.dim} overflows float64 ({self.dim}**{self.order})",
                "no network was made",
                "Use a smaller order, or Demircigil for the exponential limit",
            )

    def _power(self, z: Array, order: int) -> Array:
        return np.asarray((np.maximum(z, 0.0) if self.rectified else z) ** order)

    def _energy(self, x: Array) -> Array:
        total = np.zeros(len(x))
        for _, block in _patterns.pattern_blocks(self._stored, len(x)):
            total += self._power(x @ block.T, self.order).sum(axis=1)
        return -total

    def _grad(self, x: Array) -> Array:
        total = np.zeros(x.shape)
        for _, block in _patterns.pattern_blocks(self._stored, len(x)):
            total += self._power(x @ block.T, self.order - 1) @ block
        return -self.order * total

    def _gain(self, rest: Array, column: Array, i: int) -> Array:
        unit = 2.0 ** math.ceil(math.log2(self.dim))  # a power of two, so that equal energies stay equal
        up = self._power((rest + column) / unit, self.order)
        return np.asarray((up - self._power((rest - column) / unit, self.order)).sum(axis=1))

    def _log_capacity(self, n: Array, convention: Convention, corruption: float) -> Array:
        if convention == "paper":
            return np.asarray(self.order * np.log(n))
        return _capacity.log_polynomial(n, self.order, corruption)


@dataclass(frozen=True, eq=False, repr=False)
class Demircigil(BinaryEnergy):
    r"""The exponential network [1]_: ``E(x) = -log sum_i exp(p_i'x)``.

    Parameters
    ----------
    patterns : array_like, shape (d, n)
        Patterns of -1 and +1.

    References
    ----------
    .. [1] Demircigil, Heusel, Loewe, Upgang and Vermet (2017), arXiv:1702.01929, theorem 3 (which sums
       exponentials; the logarithm changes no minimum).

    Examples
    --------
    >>> network = Demircigil([[1, 1, 1, -1, -1], [-1, 1, -1, 1, -1]])
    >>> round(network.energy([1, 1, 1, -1, -1]), 6)
    -5.002476
    >>> network.capacity(20)
    1024.0
    """

    def _scores(self, x: Array, block: Array, start: int) -> Array:
        return np.asarray(x @ block.T)

    def _energy(self, x: Array) -> Array:
        return -_patterns.logsumexp_over(self._stored, x, self._scores)

    def _grad(self, x: Array) -> Array:
        return -_patterns.softmax_mean(self._stored, x, self._scores)

    def _gain(self, rest: Array, column: Array, i: int) -> Array:
        shifted = np.exp(rest - rest.max(axis=1, keepdims=True))
        return np.asarray(shifted @ np.sinh(column))  # e^(rest + c) - e^(rest - c) = 2 e^rest sinh(c)

    def _log_capacity(self, n: Array, convention: Convention, corruption: float) -> Array:
        return _capacity.log_exponential(n, 0.0 if convention == "paper" else corruption)


@dataclass(frozen=True, eq=False, repr=False)
class ModernHopfield(Energy):
    r"""The modern continuous Hopfield network [1]_, whose update is attention.

    .. math:: E(x) = -\beta^{-1} \log\sum_i e^{\beta \rho_i^T x} + \tfrac12 x^T x + \beta^{-1}\log d
              + \tfrac12 \max_i \|\rho_i\|^2

    Parameters
    ----------
    patterns : array_like, shape (d, n)
        Patterns.
    beta : float
        Inverse temperature; ``1 / sqrt(d_k)`` in attention, 2 in Props. 2 and 3 of Niu et al.

    References
    ----------
    .. [1] Ramsauer et al. (2020), arXiv:2008.02217, eqs. 2 and 3; capacity: theorem 3, for random
       patterns on a sphere at failure probability 0.001.

    Examples
    --------
    >>> network = ModernHopfield([[-2, -0.5], [0.2, -0.3], [1.5, 1.5]])
    >>> round(network.energy([1.5, 1.5]), 6)
    1.088837
    >>> network.update([1.5, 1.5]).round(3)
    array([1.487, 1.482])
    """

    beta: float = 1.0
    _norms: Array = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        scalar("beta", self.beta)
        with np.errstate(over="ignore"):
            norms = [np.square(block).sum(axis=1) for _, block in _patterns.pattern_blocks(self._stored, 1)]
        object.__setattr__(self, "_norms", np.concatenate(norms))

    def _scores(self, x: Array, block: Array, start: int) -> Array:
        # beta p.x up to a term that all patterns share, written with distances: it does not cancel far out.
        return -0.5 * self.beta * (_patterns.squared_distances(x, block) + self.shortfall(start, len(block)))

    def shortfall(self, start: int, count: int) -> Array:
        """Return ``max_i |p_i|^2 - |p_j|^2`` for patterns from an index on, (count,)."""
        return np.asarray(self._norms.max() - self._norms[start : start + count])

    def _energy(self, x: Array) -> Array:
        log_sum = _patterns.logsumexp_over(self._stored, x, self._scores)
        return np.asarray((math.log(self.n_patterns) - log_sum) / self.beta)

    def _grad(self, x: Array) -> Array:
        return x - self._update(x)

    def _update(self, x: Array) -> Array:
        return _patterns.softmax_mean(self._stored, x, self._scores)

    def attraction(self, x: ArrayLike) -> Any:
        """Return the first term alone, ``-log(sum_i exp(beta p_i'x)) / beta`` (figure 1a of Niu et al.)."""
        queries, shape = _patterns.read_queries(x, self.dim)
        result = -_patterns.logsumexp_over(self._stored, queries, lambda q, block, start: self.beta * (q @ block.T))
        return as_given((result / self.beta).reshape(shape), np.zeros(shape))

    def regulariser(self, x: ArrayLike) -> Any:
        """Return the other terms, ``x'x/2 + log(d)/beta + max_i |p_i|^2 / 2`` (figure 1b of Niu et al.)."""
        queries, shape = _patterns.read_queries(x, self.dim)
        constant = math.log(self.n_patterns) / self.beta + 0.5 * self._norms.max()
        return as_given((0.5 * np.square(queries).sum(axis=1) + constant).reshape(shape), np.zeros(shape))

    def _log_capacity(self, n: Array, convention: Convention, corruption: float) -> Array:
        radius = math.sqrt(self._norms.max() / max(self.dim - 1, 1))
        return _capacity.log_sphere(n, self.beta, radius, failure=1.0 if convention == "paper" else 1e-3)


@dataclass(frozen=True, eq=False, repr=False)
class DistanceEnergy(Energy):
    r"""The energy of Niu et al. [1]_, eq. 4: a smooth nearest-neighbour search with no regulariser.

    .. math:: E(x) = -\log \sum_{i=1}^{d} e^{-\|x - \rho_i\|^2}

    The printed sum runs to n; it must run over the d patterns. Its stationary points satisfy
    ``x = sum_i softmax(-|x - p_i|^2)_i p_i``, which is the update. For patterns of one length it is twice
    the modern Hopfield energy at beta = 2 minus log d, so it shares that network's capacity; the paper
    states none.

    Parameters
    ----------
    patterns : array_like, shape (d, n)
        Patterns.

    References
    ----------
    .. [1] Niu, Bai, Deng and Han (2024), arXiv:2405.08707, eq. 4.

    Examples
    --------
    >>> network = DistanceEnergy([[-2.0], [0.0], [1.0]])
    >>> round(network.energy([0.0]), 6)
    -0.326563
    >>> network.retrieve([[0.4], [-1.8]]).round(3)
    array([[ 0.494],
           [-1.957]])
    """

    def _scores(self, x: Array, block: Array, start: int) -> Array:
        return -_patterns.squared_distances(x, block)

    def _energy(self, x: Array) -> Array:
        return -_patterns.logsumexp_over(self._stored, x, self._scores)

    def _grad(self, x: Array) -> Array:
        return 2.0 * (x - self._update(x))

    def _update(self, x: Array) -> Array:
        return _patterns.softmax_mean(self._stored, x, self._scores)

    def _log_capacity(self, n: Array, convention: Convention, corruption: float) -> Array:
        return ModernHopfield(self._stored, beta=2.0)._log_capacity(n, convention, corruption)
