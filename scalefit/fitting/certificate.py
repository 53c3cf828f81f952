"""Whether to believe an optimum: an optimiser's own "success" is not enough."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scalefit._numeric import median
from scalefit._text import listing
from scalefit._typing import AnyArray, Array
from scalefit.fitting.newton import AGREE, Minimum

#: What a certificate says of an objective with no curvature, or negative curvature, at its optimum.
NOT_UPWARDS = "the objective does not curve upwards at the optimum"
#: Fewer searches than these, and a smaller share of all, are hardly any: no fit to the exam tables of other laws has so
#: few, and fits of farseer that missed the optimum did (benchmarks/optimum.py).
_SEVERAL, _SHARE = 5, 0.15
#: Searches from which on two at the lowest objective are too few, whatever their share.
_MANY = 6
_UNIDENTIFIED = 1e10
_ILL_CONDITIONED = 1e6
#: A parameter whose unit change moves no log loss by more than this is not seen by the runs.
_IDLE = 1e-6
#: Smallest eigenvalue, of a Hessian with unit diagonal, that still counts as upward: the error of second derivatives
#: taken by differences of the gradient over a relative step of 1e-6.
_FLAT = -1e-6
#: Ends with one objective whose typical residuals differ by more than this share of their size are different answers.
_APART = 0.01
#: Steps, in units of the free parameters, along a direction of negative curvature, and the relative gain that counts.
_PROBES, _GAIN = np.array([1e-6, 1e-5, 1e-4, 1e-3, 1e-2]), 1e-9
#: An entry of a matrix with unit diagonal that leaves no digit of the diagonal.
_OUTWEIGHS = 1e16


@dataclass(frozen=True, slots=True)
class Certificate:
    """What is known about the optimum.

    Attributes
    ----------
    n_starts, n_agree : int
        Starts that were polished, and those that ended at the best objective, up to a difference that noise hides.
    n_given_up : int
        Starts given up far above the best objective once another had converged.
    second_basin : float or None
        Objective of the best other optimum, relative to the best (1.2 = 20 % worse).
    decrement : float
        Newton decrement at the optimum relative to the objective: what one more step would gain.
    curvature : float
        Smallest eigenvalue of the Hessian with unit diagonal; positive at a minimum.
    condition : float
        Condition number of the runs' information about the free parameters, with unit diagonal.
    at_bound : tuple of str
        Parameters that ended at a bound.
    weak : tuple of str
        Parameters that the runs can hardly separate (the flattest direction), worst first.
    converged : bool
        Whether a relative stopping test was met.
    undetermined : tuple of str
        Parameters that the runs do not determine: they have no error, and none of their digits are printed.
    problems : tuple of str
        Why the fit must not be trusted; empty if it can be trusted.
    """

    n_starts: int
    n_agree: int
    second_basin: float | None
    decrement: float
    curvature: float
    condition: float
    at_bound: tuple[str, ...] = ()
    weak: tuple[str, ...] = ()
    converged: bool = True
    n_given_up: int = 0
    problems: tuple[str, ...] = field(default=())
    undetermined: tuple[str, ...] = ()

    @property
    def trusted(self) -> bool:
        """Whether the fit can be trusted."""
        return not self.problems

    @property
    def agreement(self) -> str:
        """How many starts agree, as far as that is the same on every processor.

        A start far from the optimum takes many steps, along which the last bits of a processor's sums grow: where it
        ends, and whether it is given up before, hang on them. Whether any other start agrees does not.
        """
        return f"{'2 or more' if self.n_agree > 1 else self.n_agree} of {self.n_starts}"

    @property
    def identified(self) -> bool:
        """Whether the runs determine every free parameter."""
        return self.condition < _UNIDENTIFIED


def certify(
    ends: Minimum,
    hessian: Array,
    information: Array,
    names: tuple[str, ...],
    held: AnyArray,
    exact: float,
    sensitivity: Array,
    residuals: Array | None = None,
    value_at: Callable[[Array], Array] | None = None,
) -> Certificate:
    """Judge the ends of all starts and the matrices (p, p) at the best one.

    `held` marks free parameters at a bound; an objective of at most `exact` is that of a table without noise, where
    curvature vanishes with the residuals; `sensitivity` is the largest change of the log loss for a unit change of
    each free parameter; `residuals` (starts, n) are those of every end, and `value_at` gives the objective anywhere.
    """
    best = ends.lowest
    value = ends.value[best]
    same, found = agreeing(ends, exact, None), agreeing(ends, exact, residuals)
    others = ends.value[~same & ends.converged & np.isfinite(ends.value)]
    second = float(others.min() / value) if others.size and value > 0 else None
    seen = np.asarray(sensitivity) >= _IDLE
    free = ~held & seen if (~held & seen).any() else ~held
    curvature, condition, weak = np.inf, 1.0, ()
    if free.any():
        kept = tuple(name for name, flag in zip(names, free, strict=True) if flag)
        bent, directions = _unit_eigen(hessian[np.ix_(free, free)])
        curvature = float(bent[0])
        spectrum, vectors = _unit_eigen(information[np.ix_(free, free)])
        condition = float(spectrum[-1] / max(spectrum[0], 1e-300))
        if condition > _ILL_CONDITIONED:
            flat = np.abs(vectors[:, 0])
            weak = tuple(kept[i] for i in np.argsort(-flat) if flat[i] > 0.2)
    at_bound = tuple(name for name, flag in zip(names, held, strict=True) if flag)
    problems = []
    if not ends.converged[best]:
        problems.append("the search did not converge")
    if value > exact and curvature <= _FLAT and not _is_kink(ends.x[best], free, directions[:, 0], value, value_at):
        problems.append(NOT_UPWARDS)
    idle = tuple(name for name, size in zip(names, sensitivity, strict=True) if size < _IDLE)
    if idle:
        problems.append(f"no run depends on {' and '.join(idle)}")
    elif condition >= _UNIDENTIFIED:
        problems.append(f"the runs cannot tell {' and '.join(weak) or 'the parameters'} apart")
    apart = _apart(ends, same & ends.converged, best, residuals, names, held) if value > exact else ()
    if apart:
        problems.append(f"searches that end at the same objective disagree on {listing(apart)}")
    n_agree, n_starts = int(found.sum()), int(found.size)
    if not problems and not enough(n_agree, n_starts):
        problems.append(
            f"only {n_agree} of {n_starts} searches ended at the lowest objective, which may not be the lowest there is"
        )
    return Certificate(
        n_starts=n_starts,
        n_agree=n_agree,
        second_basin=second,
        decrement=float(max(ends.decrement[best], 0.0)),
        curvature=curvature,
        condition=condition,
        at_bound=at_bound,
        weak=weak,
        converged=bool(ends.converged[best]),
        n_given_up=int((~found & ~ends.converged).sum()),
        problems=tuple(problems),
        undetermined=tuple(dict.fromkeys((*apart, *idle))),
    )


def agreeing(ends: Minimum, exact: float, residuals: Array | None) -> AnyArray:
    """Which searches found the best answer (starts,): its objective, or a curve that noise hides the difference of."""
    best = ends.lowest
    same = ends.value <= max(float(ends.value[best]) * (1 + AGREE), exact)
    if residuals is None:
        return np.asarray(same)
    with np.errstate(invalid="ignore"):
        moved = np.abs(residuals - residuals[best]).mean(axis=1)
    return np.asarray(same | (moved <= _APART * float(median(np.abs(residuals[best])))))


def enough(found: int, searches: int) -> bool:
    """Whether so many of all searches found the best answer that a lower one is unlikely to be left unseen."""
    return searches < 2 or found >= max(2 if searches < _MANY else 3, min(_SEVERAL, _SHARE * searches))


def _is_kink(x: Array, free: AnyArray, direction: Array, value: float, value_at: Any) -> bool:
    """Whether negative curvature is that of an empty corner between the edges of Huber's bands.

    Where several runs lie on the edge of the band, the second derivative there is that of one of many pieces, and need
    not be that of any piece that x borders on. What counts is whether the objective falls to either side.
    """
    if value_at is None or not np.isfinite(direction).all():
        return False
    step = np.zeros_like(x)
    step[free] = direction
    steps = np.concatenate([-_PROBES, _PROBES])
    with np.errstate(all="ignore"):
        around = value_at(x + steps[:, None] * step * np.maximum(1.0, np.abs(x)))
    return bool(np.nanmin(around, initial=np.inf) >= value * (1 - _GAIN))


def _apart(
    ends: Minimum, same: AnyArray, best: int, residuals: Array | None, names: tuple[str, ...], held: AnyArray
) -> tuple[str, ...]:
    """Parameters on which ends with the same objective differ, where their residuals differ too."""
    if residuals is None or same.sum() < 2:
        return ()
    scale = float(median(np.abs(residuals[best])))
    other = median(np.abs(residuals - residuals[best])) > _APART * scale
    rows = np.flatnonzero(same & other & np.isfinite(residuals).all(axis=1))
    if not rows.size:
        return ()
    moved = np.abs(ends.x[rows] - ends.x[best]).max(axis=0) > _APART
    return tuple(name for name, flag in zip(names, moved & ~held, strict=True) if flag)


def _unit_eigen(matrix: Array) -> tuple[Array, Array]:
    """Eigenvalues (ascending) and vectors of a symmetric matrix scaled to a unit diagonal.

    A matrix that overflowed counts as curved the wrong way, and as ill-conditioned as can be. So does one with an entry
    that outweighs its diagonal by all digits (a minor 1 - s^2 < 0): the Hessian of a perfect or idle fit is rounding,
    and LAPACK need not converge on it.
    """
    size = np.sqrt(np.maximum(np.abs(np.diag(matrix)), 1e-300))
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = matrix / size[:, None] / size[None, :]
    if not (np.abs(scaled) < _OUTWEIGHS).all():
        return np.r_[-np.inf, np.full(len(matrix) - 1, np.inf)], np.eye(len(matrix))
    values, vectors = np.linalg.eigh(scaled)
    return values, vectors
