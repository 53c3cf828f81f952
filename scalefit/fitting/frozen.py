"""A law without closed forms near its optimum: exact gradients, second derivatives of the law kept from one point.

Every evaluation of a :class:`~scalefit.fitting.problem.Problem` takes the law at p + 1 points for the second
derivatives of its Hessian. Refits of resampled runs all start at one optimum and end near it: there the second
derivatives hardly change. With the gradient and the stopping test exact the optimum is the same; only the rate differs.
"""

from __future__ import annotations

import numpy as np

from scalefit._typing import Array
from scalefit.fitting.problem import Problem, blocks

#: Relative step of differences.
_STEP = 1e-6


class Frozen:
    """Newton model of a :class:`Problem` of one series without a prior, about a free vector (p,)."""

    def __init__(self, problem: Problem, x: Array) -> None:
        self.problem = problem
        step = _STEP * np.maximum(1.0, np.abs(x))
        points = np.concatenate([x[None], x + np.diag(step)])
        with np.errstate(all="ignore"):
            _, slopes = problem.jacobian(points)
            second = (slopes[1:] - slopes[0]) / step[:, None, None]
        second = np.nan_to_num(0.5 * (second + np.swapaxes(second, 0, 1)))
        #: Second derivatives of each residual by the free vector (n, p p).
        self.second = np.ascontiguousarray(second.reshape(x.size**2, -1).T)

    def evaluate(self, x: Array, weights: Array | None) -> tuple[Array, Array, Array, Array]:
        """Objective, gradient, Hessian and least-squares matrix; see newton.Model."""
        problem, (b, p) = self.problem, x.shape
        if weights is None and problem.weights is not None:
            weights = problem.weights[None, :]
        f, g, h, s = np.zeros(b), np.zeros((b, p)), np.zeros((b, p, p)), np.zeros((b, p, p))
        for rows in blocks(problem.groups[0], b):
            residual, jac = problem.slopes(x, 0, rows)
            cost, parts = problem.objective.cost(residual), problem.objective.slopes(residual)
            if weights is not None:
                w = weights[:, rows]
                cost, parts = w * cost, (w * parts[0], w * parts[1], w * parts[2])
            psi, inside, irls = parts
            f += cost.sum(axis=1)
            flat = np.swapaxes(jac, 1, 2)
            g += (jac @ psi[:, :, None])[:, :, 0]
            h += (jac * inside[:, None, :]) @ flat + (psi @ self.second[rows]).reshape(b, p, p)
            s += (jac * irls[:, None, :]) @ flat
        return f, g, h, s
