"""Closed forms for sums of power laws (Chinchilla's, the plain power law): the exact Hessian for the price of sums.

With u_k = exp(a_k - alpha_k x_k), the residual of the log loss is r = log sum u - log L. Its gradient is the vector of
shares p_k = u_k / sum u times (1, -x_k), its Hessian diag(p) - p pᵀ in the same basis; residuals of the loss have
u in place of p, and no second part.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from scalefit._typing import Array
from scalefit.fitting.newton import Model
from scalefit.fitting.problem import Problem, block_size

#: Blocks are this many times smaller than one work array allows, since there are many of these; the smallest.
_SMALLER, _LEAST = 4, 64


class PowerSum:
    """Newton model of a :class:`Problem` whose law declares its terms; one series.

    Gradient and matrices are sums over runs of one number per summand, or pair of summands, times a product of inputs:
    all of them are one matrix product with the few products of inputs that there are.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        names, terms = list(problem.law.parameters), problem.law.terms
        self.index, self.fixed = problem.index[0], problem.fixed[0]
        inputs = {key: -np.log(problem.columns[key]) for term in terms for key in term.exponents}
        #: Of each summand: position of its coefficient, of its exponent, and minus the logarithm of its input.
        self.slots: list[tuple[int, int | None, Array | None]] = []
        #: Of each summand: its parameters' positions, with the input by which the slope of each is multiplied.
        local: list[list[tuple[int, tuple[str, ...]]]] = []
        for term in terms:
            key, exponent = next(iter(term.exponents.items()), (None, None))
            at = names.index(term.coefficient)
            if key is None or exponent is None:
                self.slots.append((at, None, None))
                local.append([(at, ())])
            else:
                self.slots.append((at, names.index(exponent), inputs[key]))
                local.append([(at, ()), (names.index(exponent), (key,))])
        k = len(terms)
        #: Pairs of summands, those of one with itself first.
        self.pairs = [*zip(range(k), range(k), strict=True), *itertools.combinations(range(k), 2)]
        products: dict[tuple[str, ...], int] = {}
        #: (term or pair, product of inputs, position of one parameter, of the other) of each sum.
        slopes = [(t, products.setdefault(keys, len(products)), j) for t, own in enumerate(local) for j, keys in own]
        bends = []
        for t, (first, second) in enumerate(self.pairs):
            for (i, a), (j, b) in itertools.product(local[first], local[second]):
                at = products.setdefault(tuple(sorted(a + b)), len(products))
                bends += [(t, at, i, j)] if first == second else [(t, at, i, j), (t, at, j, i)]
        self.basis = np.ones((problem.loss.size, len(products)))
        for keys, at in products.items():
            for key in keys:
                self.basis[:, at] *= inputs[key]
        #: Where each sum of a gradient (terms products, p) and of a matrix (pairs products, p p) goes.
        self.to_vector = self._places((k, len(products)), slopes)
        self.to_matrix = self._places((len(self.pairs), len(products)), bends)
        self.target = np.log(problem.loss) if problem.objective.log else problem.loss
        #: Kept from call to call: fresh pages from the system would cost as much as the arithmetic.
        self.room = np.empty(0)

    def _places(self, sums: tuple[int, int], entries: Sequence[tuple[int, ...]]) -> Array:
        """Matrix that adds each of the sums to the free parameters (or pairs of these) that its entry names."""
        one, product, *positions = np.array(entries).T
        places = [self.index[position] for position in positions]
        kept = np.all([place >= 0 for place in places], axis=0)
        out = np.zeros((*sums, *(self.problem.n_free for _ in places)))
        np.add.at(out, tuple(part[kept] for part in (one, product, *places)), 1.0)
        return out.reshape(sums[0] * sums[1], -1)

    def evaluate(self, x: Array, weights: Array | None) -> tuple[Array, Array, Array, Array]:
        """Objective, gradient, Hessian and least-squares matrix; see newton.Model."""
        problem, (b, p) = self.problem, x.shape
        if weights is None and problem.weights is not None:
            weights = problem.weights[None, :]
        size = max(_LEAST, block_size(b) // _SMALLER)
        blocks = [slice(start, start + size) for start in range(0, self.target.size, size)]
        found = [self._sums(x, rows, None if weights is None else weights[:, rows]) for rows in blocks]
        f, sums = found[0] if len(found) == 1 else (sum(part) for part in zip(*found, strict=True))
        k, pairs = len(self.slots), len(self.pairs)
        flat = sums.swapaxes(0, 1)
        g = flat[:, :k].reshape(b, -1) @ self.to_vector
        h = (flat[:, k : k + pairs].reshape(b, -1) @ self.to_matrix).reshape(b, p, p)
        s = (flat[:, k + pairs :].reshape(b, -1) @ self.to_matrix).reshape(b, p, p)
        if problem.penalty is not None:
            f, g, h, s = problem.penalty.add(x, f, g, h, s)
        return f, g, h, s

    def _sums(self, x: Array, rows: slice, weights: Array | None) -> tuple[Array, Array]:
        """Objective (b,) of some runs, and the sums (terms and pairs, b, products) of gradient and both matrices."""
        objective, k, pairs = self.problem.objective, len(self.slots), len(self.pairs)
        parts = self._terms(x, rows)
        total = parts[0] + parts[1]
        for part in parts[2:]:
            total += part
        if objective.log:
            residual = np.log(total) - self.target[rows]
            parts *= 1.0 / total
        else:
            residual = total - self.target[rows]
        cost = objective.cost(residual)
        psi, inside, irls = objective.slopes(residual)
        if weights is not None:
            cost, psi, inside, irls = weights * cost, weights * psi, weights * inside, weights * irls
        work = self._room_for((k + 2 * pairs, *residual.shape))
        pulled, bent, plain = work[:k], work[k : k + pairs], work[k + pairs :]
        for out, (first, second) in zip(plain, self.pairs, strict=True):
            np.multiply(parts[first], parts[second], out=out)
        np.multiply(parts, psi, out=pulled)
        np.multiply(plain, inside - psi if objective.log else inside, out=bent)
        bent[:k] += pulled  # the summands' own second derivatives
        plain *= irls
        sums = work.reshape(-1, residual.shape[1]) @ self.basis[rows]
        return np.asarray(cost.sum(axis=1)), sums.reshape(*work.shape[:2], -1)

    def _room_for(self, shape: tuple[int, ...]) -> Array:
        size = math.prod(shape)
        if self.room.size < size:
            self.room = np.empty(size)
        return self.room[:size].reshape(shape)

    def _terms(self, x: Array, rows: slice) -> Array:
        """Summands (k, b, m) of some runs."""
        out = np.empty((len(self.slots), x.shape[0], self.target[rows].size))
        for part, (coefficient, exponent, z) in zip(out, self.slots, strict=True):
            size = self._free(x, coefficient, logarithm=True)
            if exponent is None or z is None:
                part[:] = np.exp(size)
                continue
            np.multiply(self._free(x, exponent), z[rows], out=part)
            part += size
            np.exp(part, out=part)
        return out

    def _free(self, x: Array, j: int, logarithm: bool = False) -> Array:
        """A law parameter (b, 1), or (1, 1) where it is fixed."""
        at = self.index[j]
        if at >= 0:
            return x[:, at, None]
        return np.full((1, 1), np.log(self.fixed[j]) if logarithm else self.fixed[j])


def model_of(problem: Problem) -> Model:
    """Closed forms where the law is a sum of powers fitted to one series, the general way elsewhere."""
    plain = len(problem.groups) == 1 and problem.law.terms and problem.objective.on != "logit"
    return PowerSum(problem) if plain else problem
