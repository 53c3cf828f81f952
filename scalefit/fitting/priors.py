"""Informative priors as part of the objective: what is known about a law before the runs are seen.

The objective is a sum of penalties on residuals, not a log-likelihood: it becomes one when divided by a noise unit s,
estimated from a fit without the prior (never below 0.002, so that a few runs that a law happens to hit cannot outvote
the prior). So a prior adds s times half its squared distance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from scalefit._numeric import robust_sd
from scalefit._text import known
from scalefit._typing import Array
from scalefit.errors import ArgumentError, arg
from scalefit.fitting.problem import Problem

#: Least noise of the log loss that a prior is weighed against (a guess).
_NOISE_FLOOR = 0.002


@dataclass(frozen=True, eq=False)
class Prior:
    """Gaussian prior over some parameters of a law, or over their logarithms.

    Parameters
    ----------
    names : tuple of str
        Parameters that it covers.
    mean : ndarray (k,)
        Means, of the logarithms where `log`.
    cov : ndarray (k, k)
        Covariance.
    log : bool
        Whether it is over logarithms.
    source : str
        Where the prior comes from; printed with the result.

    Examples
    --------
    >>> Prior.from_mapping({"E": (1.7, 0.1)}).names
    ('E',)
    """

    names: tuple[str, ...]
    mean: Array
    cov: Array
    log: bool = False
    source: str = "given"

    def __post_init__(self) -> None:
        k = len(self.names)
        mean, cov = np.asarray(self.mean, float), np.asarray(self.cov, float)
        if mean.shape != (k,) or cov.shape != (k, k) or not np.isfinite(mean).all() or not np.isfinite(cov).all():
            raise ArgumentError(
                f"A prior over {k} parameters has means or a covariance of another shape, or not finite",
                "it was not made",
                f"Give {k} means and a {k} by {k} covariance",
            )
        if np.linalg.eigvalsh(cov)[0] <= 0:
            raise ArgumentError(
                "The prior's covariance is not positive definite",
                "no prior was made",
                "Give positive standard deviations and correlations below 1",
            )
        object.__setattr__(self, "mean", mean)
        object.__setattr__(self, "cov", cov)

    @classmethod
    def from_mapping(cls, given: Mapping[str, tuple[float, float]]) -> Prior:
        """Independent Gaussians from ``{"E": (mean, sd)}``."""
        try:
            pairs = np.array([[float(mean), float(sd)] for mean, sd in given.values()])
        except (TypeError, ValueError) as error:
            raise ArgumentError(
                f"{arg('prior', given)} cannot be read",
                "nothing was fitted",
                "Give (mean, sd) for each parameter, {'E': (1.7, 0.1)}",
            ) from error
        if (pairs[:, 1:] < 0).any():
            raise ArgumentError(
                f"{arg('prior', dict(given))}: a standard deviation must be positive",
                "nothing was fitted",
                "Give (mean, sd) with sd above 0",
            )
        return cls(tuple(given), pairs[:, 0], np.diag(pairs[:, 1] ** 2))

    @classmethod
    def of(cls, value: Any, shipped: Callable[[], Prior | None] | None = None) -> Prior | None:
        """Return a prior from an argument: a Prior, ``{"E": (mean, sd)}``, ``"shipped"``, or None.

        `shipped` returns the one learned from public tables that suits the law.
        """
        if value is None or isinstance(value, Prior):
            return value
        if isinstance(value, Mapping):
            return cls.from_mapping(value) if value else None
        if isinstance(value, str) and value == "shipped" and shipped is not None:
            return shipped()
        raise ArgumentError(
            f"{arg('prior', value)} is not a prior",
            "nothing was fitted",
            "Give a Prior, a mapping such as {'alpha': (0.34, 0.05)}, 'shipped', or None",
        )


@dataclass(frozen=True, eq=False)
class Penalty:
    """A prior in the engine's variables; see :class:`scalefit.fitting.problem.Problem`."""

    prior: Prior
    at: tuple[int, ...]
    inner_log: tuple[bool, ...]
    scale: float

    @cached_property
    def _precision(self) -> Array:
        return np.asarray(np.linalg.inv(self.prior.cov) * self.scale)

    def _terms(self, x: Array) -> tuple[Array, Array, Array]:
        """Prior's variables minus their means, and first and second derivatives by the engine's (b, k)."""
        inner = x[:, list(self.at)]
        is_log = np.array(self.inner_log)
        with np.errstate(all="ignore"):
            if self.prior.log:
                safe = np.where(is_log, 1.0, np.maximum(inner, 1e-12))
                t = np.where(is_log, inner, np.log(safe))
                d1, d2 = np.where(is_log, 1.0, 1 / safe), np.where(is_log, 0.0, -1 / safe**2)
            else:
                grown = np.exp(np.where(is_log, inner, 0.0))
                t = np.where(is_log, grown, inner)
                d1, d2 = np.where(is_log, grown, 1.0), np.where(is_log, grown, 0.0)
        return t - self.prior.mean, d1, d2

    def value(self, x: Array) -> Array:
        """Penalty (b,) at engine vectors (b, p)."""
        gap, _, _ = self._terms(x)
        precision = self._precision
        return np.asarray(0.5 * np.einsum("bi,ij,bj->b", gap, precision, gap))

    def roots(self, x: Array) -> Array:
        """Numbers (b, k) at engine vectors (b, p), half of whose squares sum to the penalty."""
        gap, _, _ = self._terms(x)
        return np.asarray(gap @ np.linalg.cholesky(self._precision))

    def add(self, x: Array, f: Array, g: Array, h: Array, s: Array) -> tuple[Array, Array, Array, Array]:
        """Add value, gradient and curvature to an objective's."""
        gap, d1, d2 = self._terms(x)
        precision = self._precision
        pull = gap @ precision
        at = np.array(self.at)
        f = f + 0.5 * (pull * gap).sum(axis=1)
        g, h, s = g.copy(), h.copy(), s.copy()
        g[:, at] += pull * d1
        block = precision * d1[:, :, None] * d1[:, None, :]
        h[:, at[:, None], at[None, :]] += block
        s[:, at[:, None], at[None, :]] += block
        h[:, at, at] += pull * d2
        return f, g, h, s

    def precision(self, x: Array) -> Array:
        """Curvature (p, p) that the prior alone adds to an objective at x (p,), as of a measurement of its mean."""
        zero = np.zeros((1, x.size, x.size))
        return np.asarray(self.add(x[None], np.zeros(1), np.zeros((1, x.size)), zero, zero)[3][0])

    def document(self) -> dict[str, Any]:
        """Plain data, for saving."""
        prior = self.prior
        stated = {"names": list(prior.names), "mean": prior.mean.tolist(), "cov": prior.cov.tolist(), "log": prior.log}
        return {
            **stated,
            "source": prior.source,
            "at": list(self.at),
            "inner": list(self.inner_log),
            "scale": self.scale,
        }

    def __str__(self) -> str:
        prior = self.prior
        sd = np.sqrt(np.diag(prior.cov))
        parts = []
        for name, mean, width in zip(prior.names, prior.mean, sd, strict=True):
            shown = f"{np.exp(mean):.3g} x/÷ {np.exp(width):.3g}" if prior.log else f"{mean:.3g} ± {width:.2g}"
            parts.append(f"{name} {shown}")
        return f"{', '.join(parts)} ({prior.source})"


def penalty_from_document(saved: Mapping[str, Any]) -> Penalty:
    """Inverse of :meth:`Penalty.document`."""
    prior = Prior(tuple(saved["names"]), np.array(saved["mean"]), np.array(saved["cov"]), saved["log"], saved["source"])
    return Penalty(prior, tuple(saved["at"]), tuple(saved["inner"]), saved["scale"])


def penalty_of(problem: Problem, prior: Prior, scale: float) -> Penalty:
    """Return a prior in the variables of a problem, `scale` times half its squared distance."""
    names = list(problem.law.parameters)
    at, inner = [], []
    for name in prior.names:
        if name not in names or len(problem.groups) > 1:
            raise ArgumentError(
                f"{arg('prior', name)} names no parameter to hold",
                "nothing was fitted",
                f"{known(name, names)}; pass one series at a time",
            )
        where = int(problem.index[0, names.index(name)])
        if where < 0:
            raise ArgumentError(
                f"{arg('prior', name)} is of a fixed parameter", "nothing was fitted", "Drop one of the two"
            )
        at.append(where)
        inner.append(problem.law.parameters[name].log)
    return Penalty(prior, tuple(at), tuple(inner), scale)


def with_prior(
    problem: Problem, prior: Prior | Mapping[str, tuple[float, float]], solve: Callable[[Problem], Array]
) -> Problem:
    """Return the problem with a prior; `solve` fits it without, to learn the noise."""
    if not isinstance(prior, Prior):
        prior = Prior.from_mapping(prior)
    penalty = penalty_of(problem, prior, 1.0)
    residual = problem.residuals(solve(problem)[None])[0]
    goal = problem.objective
    floor = _NOISE_FLOOR if goal.log else _NOISE_FLOOR * float(np.median(np.abs(problem.loss)))
    noise = max(robust_sd(residual), floor)
    # Far outside its band a penalty is its slope times |r|: a Laplace likelihood with scale noise has unit
    # slope x noise there, where squares have noise squared.
    unit = noise * (goal.steepest if goal.kind == "absolute" else min(goal.steepest, noise))
    return replace(problem, penalty=replace(penalty, scale=unit))
