"""Closed forms for sums of power laws (Chinchilla's, the plain power law): the exact Hessian for the price of sums.

With u_k = exp(a_k - alpha_k x_k), the residual of the log loss is r = log sum u - log L. Its gradient is the vector of
shares p_k = u_k / sum u times (1, -x_k), its Hessian diag(p) - p pᵀ in the same basis; residuals of the loss have
u in place of p, and no second part.
"""

from __future__ import annotations

import numpy as np

from scalefit._typing import Array
from scalefit.fitting.newton import Model
from scalefit.fitting.problem import BLOCK, Problem


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
        self.pick = np.zeros((len(names), problem.n_free))
        for j, at in enumerate(self.index):
            if at >= 0:
                self.pick[j, at] = 1.0
        self.target = np.log(problem.loss) if problem.objective.log else problem.loss

    def evaluate(self, x: Array, weights: Array | None) -> tuple[Array, Array, Array, Array]:
        """Objective, gradient, Hessian and least-squares matrix; see newton.Model."""
        problem = self.problem
        b, n_params = x.shape[0], len(self.index)
        if weights is None and problem.weights is not None:
            weights = problem.weights[None, :]
        f, g = np.zeros(b), np.zeros((b, n_params))
        h, s = np.zeros((b, n_params, n_params)), np.zeros((b, n_params, n_params))
        for start in range(0, self.target.size, BLOCK):
            rows = slice(start, start + BLOCK)
            f += self._add(x, rows, None if weights is None else weights[:, rows], g, h, s)
        if n_params != x.shape[1] or not (self.pick == np.eye(n_params)).all():
            g, h, s = g @ self.pick, self.pick.T @ h @ self.pick, self.pick.T @ s @ self.pick
        if problem.penalty is not None:
            f, g, h, s = problem.penalty.add(x, f, g, h, s)
        return f, g, h, s

    def _add(self, x: Array, rows: slice, weights: Array | None, g: Array, h: Array, s: Array) -> Array:
        """Objective (b,) of some runs; their part of the gradient and of both matrices is added in place."""
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
        for k, part in enumerate(parts):
            pulled = psi * part
            g[:, self.places[k]] += pulled @ self.basis[k][rows]
            for m in range(k, len(parts)):
                product = part * parts[m]
                weighted = outer * product + pulled if m == k else outer * product
                self._fill(h, k, m, weighted @ self.pairs[k, m][rows])
                self._fill(s, k, m, (irls * product) @ self.pairs[k, m][rows])
        return np.asarray(cost.sum(axis=1))

    def _fill(self, out: Array, k: int, m: int, sums: Array) -> None:
        rows, columns = self.places[k], self.places[m]
        block = sums.reshape(-1, rows.size, columns.size)
        out[:, rows[:, None], columns[None, :]] += block
        if m != k:
            out[:, columns[:, None], rows[None, :]] += np.swapaxes(block, 1, 2)

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
    plain = len(problem.groups) == 1 and problem.law.terms
    return PowerSum(problem) if plain else problem
