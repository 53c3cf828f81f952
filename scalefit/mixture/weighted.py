"""A weighted sum of losses as a function of the shares, for one set of parameters or many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from scalefit._typing import Array
from scalefit.laws._base import Law

#: Steps of the complex derivative and of differences.
_COMPLEX, _DIFFERENCE = 1e-30, 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class WeightedLoss:
    """Weighted losses of laws that read the same shares.

    Parameters
    ----------
    laws : sequence of type of Law
        One per loss.
    params : sequence of mapping
        Parameters of each, numbers or arrays (b,).
    weights : ndarray (k,)
        Weight of each loss.
    domains : tuple of str
        Order of the shares.
    held : sequence of mapping
        Values of each law's further inputs.
    """

    laws: Sequence[type[Law]]
    params: Sequence[Mapping[str, Array]]
    weights: Array
    domains: tuple[str, ...]
    held: Sequence[Mapping[str, float]]

    def each(self, r: Array) -> Array:
        """Every loss (k, b) at shares (b, n)."""
        found = [
            np.broadcast_to(law.evaluate(self._columns(k, r), self.params[k]), r.shape[:1])
            for k, law in enumerate(self.laws)
        ]
        return np.asarray(np.stack(found))

    def value(self, r: Array, _: float = 0.0) -> Array:
        """Weighted loss (b,) at shares (b, n)."""
        return np.asarray(self.weights @ self.each(r))

    def derivatives(self, r: Array, _: float = 0.0) -> tuple[Array, Array, Array]:
        """Weighted loss (b,), gradient (b, n) and Hessian (b, n, n) in the shares (b, n)."""
        b, n = r.shape
        f, g, h = np.zeros(b), np.zeros((b, n)), np.zeros((b, n, n))
        for k, (law, weight) in enumerate(zip(self.laws, self.weights, strict=True)):
            if weight == 0:
                continue
            order = [self.domains.index(domain) for domain in law.domains()]
            if law.in_shares is None:
                value, slopes, bends = self._numerically(k, r)
            else:
                value, one, two = law.in_shares(*law.packed(self._columns(k, r), self.params[k]))
                slopes, bends = np.empty((b, n)), np.empty((b, n, n))
                slopes[:, order] = np.moveaxis(one, -1, 0)
                bends[np.ix_(range(b), order, order)] = np.moveaxis(two, -1, 0)
            f, g, h = f + weight * value, g + weight * slopes, h + weight * bends
        return f, g, h

    def _columns(self, k: int, r: Array) -> dict[str, Array]:
        law = self.laws[k]
        shares = {f"{law.shares}_{domain}": r[:, j] for j, domain in enumerate(self.domains)}
        return {**shares, **{key: np.asarray(value) for key, value in self.held[k].items()}}

    def _numerically(self, k: int, r: Array) -> tuple[Array, Array, Array]:
        """By the complex step, and differences of it."""
        law, params, (b, n) = self.laws[k], self.params[k], r.shape

        def slopes(at: Array) -> Array:
            out = np.empty((b, n))
            for j in range(n):
                moved = at.astype(complex)
                moved[:, j] += 1j * _COMPLEX
                out[:, j] = np.imag(law.evaluate(self._columns(k, moved), params)) / _COMPLEX
            return out

        here, bends = slopes(r), np.empty((b, n, n))
        for j in range(n):
            moved = r.copy()
            moved[:, j] += _DIFFERENCE
            bends[:, :, j] = (slopes(moved) - here) / _DIFFERENCE
        value = np.broadcast_to(law.evaluate(self._columns(k, r), params), (b,))
        return value, here, 0.5 * (bends + np.swapaxes(bends, 1, 2))


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """Linear functions of the shares among mixtures whose weighted loss stays below a ceiling."""

    law: WeightedLoss
    ceiling: float
    #: Coefficients (b, n).
    goal: Array

    def value(self, r: Array, mu: float) -> Array:
        """The functions (b,), with a barrier at the ceiling."""
        room = self.ceiling - self.law.value(r)
        with np.errstate(all="ignore"):
            return np.where(room > 0, (self.goal * r).sum(axis=1) - mu * np.log(room), np.inf)

    def derivatives(self, r: Array, mu: float) -> tuple[Array, Array, Array]:
        """Value (b,), gradient (b, n) and Hessian (b, n, n)."""
        f, g, h = self.law.derivatives(r)
        room = np.maximum(self.ceiling - f, 1e-300)
        bend = h / room[:, None, None] + g[:, :, None] * g[:, None, :] / room[:, None, None] ** 2
        return self.value(r, mu), self.goal + mu * g / room[:, None], mu * bend


@dataclass(frozen=True, slots=True, eq=False)
class Tried:
    """The weighted loss as a function of the parts (b, m) that tried mixtures (m, n) have in a blend."""

    law: WeightedLoss
    mixtures: Array

    def value(self, parts: Array, _: float) -> Array:
        """Weighted loss (b,)."""
        return self.law.value(parts @ self.mixtures)

    def derivatives(self, parts: Array, _: float) -> tuple[Array, Array, Array]:
        """Value (b,), gradient (b, m) and Hessian (b, m, m)."""
        f, g, h = self.law.derivatives(parts @ self.mixtures)
        return f, g @ self.mixtures.T, self.mixtures @ h @ self.mixtures.T
