"""Closed forms for sums of power laws (Chinchilla's, the plain power law): the exact Hessian for the price of sums.

With u_k = exp(a_k - alpha_k x_k), the residual of the log loss is r = log sum u - log L. Its gradient is the vector of
shares p_k = u_k / sum u times (1, -x_k), its Hessian diag(p) - p pᵀ in the same basis; residuals of the loss have
u in place of p, and no second part.
"""

from __future__ import annotations

import numpy as np

from scalefit._typing import Array
from scalefit.fitting.newton import Model
from scalefit.fitting.problem import Problem, block_size


class PowerSum:
    """Newton model of a :class:`Problem` whose law declares its terms; one series."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        names = list(problem.law.parameters)
        self.slots: list[tuple[int, int | None]] = []
        self.inputs: list[Array | None] = []
        for term in problem.law.terms:
            exponent = next(iter(term.exponents.items()), None)
            self.slots.append((names.index(term.coefficient), names.index(exponent[1]) if exponent else None))
            self.inputs.append(-np.log(problem.columns[exponent[0]]) if exponent else None)
        ones = np.ones(problem.loss.size)
        self.basis = [np.stack([ones] if z is None else [ones, z], axis=1) for z in self.inputs]
        self.pairs = {
            (k, m): (self.basis[k][:, :, None] * self.basis[m][:, None, :]).reshape(ones.size, -1)
            for k in range(len(self.basis))
            for m in range(k, len(self.basis))
        }
        self.index, self.fixed = problem.index[0], problem.fixed[0]
        self.places = [np.array([j for j in pair if j is not None]) for pair in self.slots]
        pick = np.zeros((len(names), problem.n_free))
        for j, at in enumerate(self.index):
            if at >= 0:
                pick[j, at] = 1.0
        #: Where each sum of a gradient (places, p) and of a matrix (pairs of places, p p) goes in the free vector.
        self.to_vector = np.concatenate([pick[at] for at in self.places])
        self.to_matrix = np.concatenate([self._spread(pick, k, m) for k, m in self.pairs])
        self.target = np.log(problem.loss) if problem.objective.log else problem.loss

    def evaluate(self, x: Array, weights: Array | None) -> tuple[Array, Array, Array, Array]:
        """Objective, gradient, Hessian and least-squares matrix; see newton.Model."""
        problem, (b, p) = self.problem, x.shape
        if weights is None and problem.weights is not None:
            weights = problem.weights[None, :]
        f, sums = np.zeros(b), [np.zeros((b, len(self.to_vector))), *np.zeros((2, b, len(self.to_matrix)))]
        size = block_size(b)
        for start in range(0, self.target.size, size):
            rows = slice(start, start + size)
            cost, parts = self._sums(x, rows, None if weights is None else weights[:, rows])
            f += cost
            for total, part in zip(sums, parts, strict=True):
                total += np.concatenate(part, axis=1)
        g = sums[0] @ self.to_vector
        h, s = ((total @ self.to_matrix).reshape(b, p, p) for total in sums[1:])
        if problem.penalty is not None:
            f, g, h, s = problem.penalty.add(x, f, g, h, s)
        return f, g, h, s

    def _sums(self, x: Array, rows: slice, weights: Array | None) -> tuple[Array, tuple[list[Array], ...]]:
        """Objective (b,) of some runs, and the sums of their gradient and of both matrices, term by term."""
        problem = self.problem
        parts = [self._term(x, k, rows) for k in range(len(self.slots))]
        total = parts[0] + parts[1]
        for part in parts[2:]:
            total += part
        log = problem.objective.log
        if log:
            residual = np.log(total) - self.target[rows]
            inverse = 1.0 / total
            parts = [part * inverse for part in parts]
        else:
            residual = total - self.target[rows]
        cost = problem.objective.cost(residual)
        psi, inside, irls = problem.objective.slopes(residual)
        if weights is not None:
            cost, psi, inside, irls = weights * cost, weights * psi, weights * inside, weights * irls
        outer = inside - psi if log else inside
        pulled = [psi * part for part in parts]
        g = [part @ basis[rows] for part, basis in zip(pulled, self.basis, strict=True)]
        h, s = [], []
        for (k, m), pair in self.pairs.items():
            product = parts[k] * parts[m]
            weighted = outer * product
            h.append((weighted + pulled[k] if m == k else weighted) @ pair[rows])
            s.append((irls * product) @ pair[rows])
        return np.asarray(cost.sum(axis=1)), (g, h, s)

    def _spread(self, pick: Array, k: int, m: int) -> Array:
        """Matrix that puts the sums of two terms at their place in a flat matrix, and at its mirror."""
        there = np.einsum("ip,jq->ijpq", pick[self.places[k]], pick[self.places[m]])
        both = there if k == m else there + np.swapaxes(there, 2, 3)
        return np.asarray(both.reshape(-1, pick.shape[1] ** 2))

    def _term(self, x: Array, k: int, rows: slice) -> Array:
        """Summand k (b, m) of some runs."""
        coefficient, exponent = self.slots[k]
        at = self.index[coefficient]
        if at >= 0:
            log_coefficient = x[:, at]
        else:
            log_coefficient = np.full(x.shape[0], np.log(self.fixed[coefficient]))
        z = self.inputs[k]
        if exponent is None or z is None:
            return np.repeat(np.exp(log_coefficient)[:, None], self.target[rows].size, axis=1)
        at = self.index[exponent]
        slope = x[:, at] if at >= 0 else np.full(x.shape[0], self.fixed[exponent])
        out = slope[:, None] * z[rows]
        out += log_coefficient[:, None]
        return np.asarray(np.exp(out, out=out))


def model_of(problem: Problem) -> Model:
    """Closed forms where the law is a sum of powers fitted to one series, the general way elsewhere."""
    plain = len(problem.groups) == 1 and problem.law.terms and problem.objective.on != "logit"
    return PowerSum(problem) if plain else problem
