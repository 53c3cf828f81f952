"""Whether the runs can tell a law's parameters at all: by the settings they have, and by how far these lie apart."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from scalefit._numeric import levelled, robust_sd, settings
from scalefit._typing import AnyArray, Array
from scalefit.errors import FitError, arg
from scalefit.fitting.identifiability import exponents_of, input_exponents
from scalefit.fitting.problem import Problem
from scalefit.fitting.solver import descend
from scalefit.fitting.starts import find_starts, subset
from scalefit.flops import QUANTITIES

#: Singular value, of slopes with unit columns, below which a direction does not change any loss.
_NO_CHANGE = 1e-9
#: Slopes smaller than this, relatively, are those of a summand that is off at the point looked at.
_OFF = 1e-12
#: Points at which the slopes are looked at, and runs of a large table.
_POINTS, _RUNS = 4, 2_048
#: Decades below which an input may be too narrow for its exponent, and runs for each parameter below which all may be.
_NARROW, _FEW = 1.0, 2.5
_NORMAL = 1.6449
_MOST = 100_000


def refuse_too_few_settings(problem: Problem, names: tuple[str, ...], known: Collection[str] = ()) -> None:
    """Raise where runs with these inputs leave parameters open, whatever their losses.

    The slopes of the losses by the parameters are looked at for several values of these: where their rank is short at
    every one, the settings are too few for the law. Seven sizes on two lengths, for one, are 8 levels of two summands,
    where a law of five parameters with a summand for each input has one for the floor and only two for the length.
    What a prior says of the parameters in `known` counts as one more setting each.

    Raises
    ------
    FitError
        With the input that has the fewest settings, and the parameters that cannot be told apart.
    """
    if problem.law.shares:  # told apart, or refused, by their mixtures
        return
    small = subset(problem, _RUNS) if problem.loss.size > _RUNS else problem
    small = replace(small, penalty=None)
    told = np.array([name in known for name in names])
    open_ones: AnyArray | None = None
    with np.errstate(all="ignore"):
        usual = small.law.example()
        usual = usual if small.law.rescale is None else small.law.rescale(usual, dict(small.units))
        first = None if len(small.groups) > 1 else _open_directions(small, small.free_vector(usual), told)
        if first is not None and not first.any():  # told apart at one point, they are at nearly every one
            return
        for x in find_starts(small, _POINTS):
            open_ones = _open_directions(small, x, told)
            if open_ones is None or not open_ones.any():
                return
    if open_ones is None:
        return
    lost = [name for name, flag in zip(names, open_ones, strict=True) if flag]
    levels = {key: int(settings([value]).max()) + 1 for key, value in problem.columns.items()}
    key = min(levels, key=lambda name: levels[name])
    distinct = int(settings(problem.columns.values()).max()) + 1
    if distinct + len(known) < len(names):
        raise FitError(
            f"These {problem.loss.size} runs have {distinct} distinct settings of {' and '.join(levels)}, and "
            f"{problem.law.name} has {len(names)} free parameters: {' and '.join(lost)} cannot be told apart, "
            "whatever the losses are",
            "nothing was fitted",
            ("add runs at other settings", f"fix some ({arg('fixed', {lost[-1]: ...})})"),
        )
    if levels[key] > 3:  # settings enough: what is open is the law's own, and the certificate says so
        return
    values = np.unique(levelled(problem.columns[key] * problem.units[key]))
    shown = ", ".join(f"{value:.4g}" for value in values[:4]) + (", ..." if values.size > 4 else "")
    raise FitError(
        f"{key} takes {levels[key]} distinct value{'s' if levels[key] > 1 else ''} ({shown}) in these "
        f"{problem.loss.size} runs, too few for {problem.law.name} to tell {' and '.join(lost)} apart, whatever the "
        "losses are",
        "nothing was fitted",
        (f"add runs at other {key}", f"fix one of these ({arg('fixed', {lost[-1]: ...})})"),
    )


def _open_directions(problem: Problem, x: Array, known: AnyArray) -> AnyArray | None:
    """Which parameters (p,) the slopes at x leave open; None where a summand is off there, which says nothing."""
    slopes = problem.jacobian(x[None])[1][0]
    slopes = np.concatenate([slopes, np.eye(x.size)[:, known] * np.abs(slopes).max()], axis=1)
    size = np.sqrt((slopes**2).sum(axis=1))
    if not np.isfinite(slopes).all() or (size <= _OFF * size.max()).any():
        return None
    scaled = (slopes / size[:, None]).T
    _, values, vectors = np.linalg.svd(scaled, full_matrices=scaled.shape[0] < scaled.shape[1])
    rank = int((values > _NO_CHANGE * values[0]).sum())
    return np.asarray(np.abs(vectors[rank:]).max(axis=0, initial=0.0) > 1e-4)


def too_narrow(problem: Problem, x: Array, bounds: tuple[Array, Array], n_free: int) -> dict[str, tuple[float, float]]:
    """Exponents that these runs cannot tell from none: {name: (expected standard error, value it is expected at)}.

    Expected at the exponents' typical values, the other parameters refitted, with the noise of the residuals at x (p,):
    at a fitted exponent far from any law's the error looks small. The floor counts as free even where it ended at its
    bound. An exponent is told from none where its error, by Student's t, is below its size.
    """
    n = problem.loss.size
    if len(problem.groups) > 1 or n > _MOST:
        return {}
    keys = [key for key in QUANTITIES if key in problem.columns]
    narrow = [key for key in keys if np.ptp(np.log(problem.columns[key])) < _NARROW * np.log(10)]
    if n < _FEW * n_free:
        asked = exponents_of(problem.law)
    else:
        asked = list(dict.fromkeys(name for key in narrow for name in input_exponents(problem.law, key)))
    order = list(problem.law.parameters)
    places = {name: int(problem.index[0, order.index(name)]) for name in exponents_of(problem.law)}
    places = {name: at for name, at in places.items() if at >= 0}
    if not places or not set(asked) & set(places):
        return {}
    lower, upper = bounds[0].copy(), bounds[1].copy()
    start = x.copy()
    for name, at in places.items():
        value = float(np.clip(problem.law.parameters[name].example, lower[at], upper[at]))
        start[at] = lower[at] = upper[at] = value
    dead = {p: int(problem.index[0, order.index(p)]) for p, q in problem.law.parameters.items() if q.linear and q.log}
    for at in dead.values():  # a summand that vanished, or took over, starts from a typical share again
        if at >= 0 and at not in places.values():
            start[at] = np.clip(np.clip(start[at], -5.0, 2.0), lower[at], upper[at])
    with np.errstate(all="ignore"):
        reference = descend(problem, start[None], lower, upper).best
        slopes = problem.jacobian(reference[None])[1][0]
        residual = problem.residuals(x[None])[0]
    if not np.isfinite(slopes).all():
        return {}
    if not problem.objective.log:
        slopes, residual = slopes / problem.loss, residual / problem.loss
    for j, parameter in enumerate(problem.law.parameters.values()):
        at = int(problem.index[0, j])
        if at >= 0 and parameter.log:  # by the value itself: a floor of nothing has no slope by its logarithm
            slopes[at] /= np.exp(reference[at])
    weights = np.ones(n) if problem.weights is None else problem.weights / max(float(problem.weights.mean()), 1e-300)
    sizes = np.sort(np.abs(residual[weights > 0]))
    noise = robust_sd(sizes[min(n_free, sizes.size - 1) :])
    information = (slopes * weights) @ slopes.T / max(noise, 1e-12) ** 2
    if problem.penalty is not None:
        known = problem.penalty.precision(reference) / problem.penalty.scale
        information = information + known / np.outer(*(2 * [_inner(problem, reference)]))
    unit = np.sqrt(np.maximum(np.diag(information), 1e-300))
    inverse = np.linalg.pinv(information / unit[:, None] / unit, rcond=1e-13, hermitian=True)
    error = np.sqrt(np.maximum(np.diag(inverse), 0.0)) / unit
    from scipy.special import stdtrit

    wider = float(stdtrit(max(n - n_free, 1), 0.95)) / _NORMAL
    found = {name: (wider * float(error[at]), float(reference[at])) for name, at in places.items()}
    return {name: pair for name, pair in found.items() if name in asked and pair[0] > abs(pair[1])}


def _inner(problem: Problem, x: Array) -> Array:
    """Derivative (p,) of each natural parameter by the engine's own variable."""
    out = np.ones(x.size)
    for j, parameter in enumerate(problem.law.parameters.values()):
        at = int(problem.index[0, j])
        if at >= 0 and parameter.log:
            out[at] = np.exp(x[at])
    return out


def narrow_problem(found: dict[str, tuple[float, float]]) -> str:
    """What that means for the verdict."""
    text = " and ".join(
        f"{name} (expected error {error:.2g} about {value:.2g})" for name, (error, value) in found.items()
    )
    return f"the runs lie too close together for {text}"
