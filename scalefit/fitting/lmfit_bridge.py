"""The bridge to lmfit: results in its terms, and laws whose constraints are expressions solved by it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from scalefit._typing import Array
from scalefit.errors import ArgumentError, arg
from scalefit.fitting.problem import Problem
from scalefit.fitting.solution import Solution

#: Step of the differences through an expression: the parameters are logarithms or exponents, of size one.
_STEP = 1e-6


def to_lmfit(result: Solution) -> Any:
    """Return a result as an ``lmfit.minimizer.MinimizerResult``, with robust or bootstrap errors as its errors."""
    from lmfit import Parameters
    from lmfit.minimizer import MinimizerResult

    parameters = Parameters()
    free = list(result.names)
    for label, value in result.params.items():
        name = str(label)
        base = name.split("[")[0]
        low, high = (result.bounds or {}).get(base, result.law.parameters[base].bounds)
        key = _identifier(name)
        parameters.add(key, value=float(value), vary=name in free, min=min(low, value), max=max(high, value))
        se = float(result.std_errors[name])
        parameters[key].stderr = se if np.isfinite(se) else None
        parameters[key].correl = {}
    for a, b, value in result.correlations:
        parameters[_identifier(a)].correl[_identifier(b)] = value
        parameters[_identifier(b)].correl[_identifier(a)] = value
    for name, expression in (result.tied or {}).items():
        parameters[name].expr = expression
    n, p = result.n_runs, len(free)
    squares = 2 * result.objective_value
    keys = [_identifier(name) for name in free]
    out = MinimizerResult(
        params=parameters,
        method="scalefit",
        success=result.success,
        message=f"{result.problem.objective}; chisqr is twice the objective",
        ndata=n,
        nvarys=p,
        nfree=max(n - p, 1),
        residual=result.residuals,
        var_names=keys,
        init_vals=[],
        init_values={},
        nfev=0,
        errorbars=True,
        covar=result.cov.loc[free, free].to_numpy(),
        chisqr=squares,
        redchi=squares / max(n - p, 1),
    )
    log_likelihood = n * np.log(max(squares, 1e-250) / n)
    out.aic, out.bic = log_likelihood + 2 * p, log_likelihood + np.log(n) * p
    return out


def _identifier(name: str) -> str:
    return "".join(char if char.isalnum() or char == "_" else "_" for char in name).rstrip("_")


def fit_with_expressions(
    problem: Problem, tied: Mapping[str, str], bounds: Mapping[str, tuple[float, float]], n_starts: int
) -> tuple[Array, Array, Any]:
    """Minimise with some parameters given by expressions of others.

    lmfit minimises squares, so each run's residual is the signed square root of twice its penalty; positive
    parameters are searched for as logarithms (``log_A``), and expressions speak of the parameters themselves.

    Returns
    -------
    x : ndarray (p,)
        Free vector; constrained parameters included.
    tangent : ndarray (p, q)
        Its derivatives by the parameters that are really free.
    certificate : Certificate
        Judged on the really free ones.
    """
    from scalefit.fitting.certificate import certify
    from scalefit.fitting.newton import Minimum
    from scalefit.fitting.power_sum import model_of
    from scalefit.fitting.solver import ROUNDING
    from scalefit.fitting.starts import find_starts

    if len(problem.groups) > 1:
        raise ArgumentError(
            f"{arg('tied', dict(tied))}: expressions are for one series, and this fit shares parameters between "
            f"{len(problem.groups)}",
            "nothing was fitted",
            f"Tie parameters plainly ({{'beta': 'alpha'}}), or pass {arg('by', 'series')}",
        )
    starts = find_starts(problem, max(1, n_starts), bounds)
    with np.errstate(all="ignore"):
        ends = [_descend(problem, _parameters(problem, start, tied, bounds)) for start in starts]
    points = np.stack([_free_vector(problem, end.params) for end in ends])
    values = problem.value(points)
    best = int(np.argmin(values))
    free = [name for j, name in enumerate(problem.law.parameters) if problem.index[0, j] >= 0 and name not in tied]
    tangent = _tangent(problem, points[best], ends[best].params, free)
    with np.errstate(all="ignore"):
        _, _, hessian, information = model_of(problem.bands(points[best])[-1]).evaluate(points[best][None], None)
    converged = np.array([bool(end.success) for end in ends])
    count = len(ends)
    certificate = certify(
        Minimum(points, values, np.zeros(count), converged, np.zeros(count, int)),
        tangent.T @ hessian[0] @ tangent,
        tangent.T @ information[0] @ tangent,
        tuple(free),
        np.zeros(len(free), bool),
        problem.cost_of(ROUNDING),
        np.ones(len(free)),
        problem.residuals(points),
    )
    return points[best], tangent, certificate


def _parameters(
    problem: Problem, start: Array, tied: Mapping[str, str], bounds: Mapping[str, tuple[float, float]]
) -> Any:
    """Lmfit's parameters at a start (p,): positive ones by their logarithm, constrained ones by their expression."""
    import lmfit

    law, parameters = problem.law, lmfit.Parameters()
    lower, upper = problem.bounds(bounds)
    for j, name in enumerate(law.parameters):
        at = int(problem.index[0, j])
        if at < 0:
            parameters.add(name, value=float(problem.fixed[0, j]), vary=False)
        elif law.parameters[name].log and name not in tied:
            parameters.add(f"log_{name}", value=float(start[at]), min=lower[at], max=upper[at])
            parameters.add(name, expr=f"exp(log_{name})")
        else:
            low, high = bounds.get(name, law.parameters[name].bounds)
            parameters.add(name, value=float(np.clip(start[at], low, high)), min=low, max=high)
    for name, expression in tied.items():
        try:
            parameters[name].set(expr=expression)
            _ = parameters[name].value
        except Exception as error:  # asteval raises many kinds; each is the reader's expression
            raise ArgumentError(
                f"{arg('tied', {name: expression})} cannot be read",
                "nothing was fitted",
                f"Write an expression of {', '.join(law.parameters)}",
            ) from error
    return parameters


def _free_vector(problem: Problem, parameters: Any) -> Array:
    return problem.free_vector({name: float(parameters[name].value) for name in problem.law.parameters})


def _descend(problem: Problem, parameters: Any) -> Any:
    """The end of one descent: least squares, then Nelder and Mead's simplex where its steps no longer helped."""
    import lmfit

    weights = np.ones(problem.loss.size) if problem.weights is None else problem.weights

    def residual(parameters: Any) -> Array:
        x = _free_vector(problem, parameters)[None]
        r = problem.residuals(x)[0]
        out = np.sign(r) * np.sqrt(2 * weights * problem.objective.cost(r))
        if problem.penalty is not None:
            out = np.append(out, problem.penalty.roots(x)[0])
        return np.where(np.isfinite(out), out, 1e6)

    rough = lmfit.minimize(residual, parameters, method="least_squares", xtol=1e-12, ftol=1e-12, gtol=1e-12)
    return lmfit.minimize(residual, rough.params, method="nelder", max_nfev=20_000)


def _tangent(problem: Problem, x: Array, at: Any, free: list[str]) -> Array:
    """Derivatives (p, q) of the free vector by the parameters that are really free, by differences."""
    tangent = np.empty((x.size, len(free)))
    for i, name in enumerate(free):
        parameters = at.copy()
        key = f"log_{name}" if problem.law.parameters[name].log else name
        parameters[key].set(value=parameters[key].value + _STEP)
        parameters.update_constraints()
        tangent[:, i] = (_free_vector(problem, parameters) - x) / _STEP
    return tangent
