"""The layer partition function Z (section 5 of Niu et al. 2024), printed and exact, always as its logarithm.

A radius is kept as ``log kappa``, ``r = kappa sqrt(n / (2 pi e))``, wherever it is known that way: at n =
1e8 the terms of the textbook formula are 1e9 and their sum is -10.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from scalefit._typing import Array, ArrayLike
from scalefit.errors import ArgumentError
from scalefit.memory._conventions import (
    CONVENTIONS,
    Convention,
    as_given,
    broadcast,
    choice,
    first_bad,
    positive,
    reals,
)
from scalefit.memory.propositions import Bounds

TWO_PI_E = 2.0 * math.pi * math.e


def log_ball_volume(n: ArrayLike, r: ArrayLike) -> Any:
    r"""Return the log volume of an n-ball, ``(n/2) log pi + n log r - log Gamma(1 + n/2)``.

    Parameters
    ----------
    n : array_like
        Dimension, a positive integer.
    r : array_like
        Radius [embedding distance]; broadcasts with `n`.

    Returns
    -------
    float or ndarray
        log V_n(r), with an absolute error below 4 n times the machine epsilon.

    Raises
    ------
    ArgumentError
        A dimension or radius that is not positive and finite.

    Examples
    --------
    >>> round(log_ball_volume(3, 1.0), 6)  # log(4 pi / 3)
    1.432412
    """
    dims, radius = _dims_and_radius(n, r)
    return as_given(log_volume_at(dims, _log_kappa(dims, radius)), n, r)


def log_ball_integral(n: ArrayLike, r: ArrayLike, convention: Convention = "exact") -> Any:
    r"""Return the log of the integral of ``exp(-|x|^2)`` over the ball of radius r.

    Parameters
    ----------
    n, r : array_like
        As in `log_ball_volume`.
    convention : {"exact", "paper"}
        ``"exact"``: ``pi^(n/2) P(n/2, r^2)``, P the regularised lower incomplete gamma function.
        ``"paper"``: eq. 12 as printed, ``2 pi^(n/2) gamma(n, r) / Gamma(n/2)``, which is the integral of
        ``exp(-|x|)`` instead.

    Returns
    -------
    float or ndarray

    Raises
    ------
    ArgumentError
        A dimension or radius that is not positive and finite, or an unknown convention.

    Examples
    --------
    >>> from math import exp
    >>> round(exp(log_ball_integral(10, 2.0)), 2), round(exp(log_ball_integral(10, 2.0, "paper")), 1)
    (113.58, 430.3)
    """
    choice("convention", convention, CONVENTIONS)
    dims, radius = _dims_and_radius(n, r)
    log_kappa = _log_kappa(dims, radius)
    result = (
        _log_integral(dims, log_kappa, _square(radius))
        if convention == "exact"
        else _log_printed_integral(dims, log_kappa, radius)
    )
    return as_given(result, n, r)


def log_partition(n: ArrayLike, r: ArrayLike, n_patterns: ArrayLike = 1, convention: Convention = "exact") -> Any:
    """Return ``log Z = log d + log_ball_integral(n, r)``: eq. 12 for d disjoint balls of one radius.

    Parameters
    ----------
    n, r : array_like
        As in `log_ball_volume`.
    n_patterns : array_like
        Number of patterns d; need not be an integer (D / T_max).
    convention : {"exact", "paper"}
        As in `log_ball_integral`.

    Returns
    -------
    float or ndarray

    Examples
    --------
    >>> round(log_partition(10, 2.0, n_patterns=100), 4)
    9.3377
    """
    counts = positive("n_patterns", n_patterns)
    integral = np.asarray(log_ball_integral(n, r, convention))
    counts, integral = broadcast(n_patterns=counts, ball=integral)
    return as_given(np.log(counts) + integral, n, r, n_patterns)


def partition_bounds(n: ArrayLike, r: ArrayLike, n_patterns: ArrayLike = 1, convention: Convention = "exact") -> Bounds:
    """Return eq. 13: ``log d - r^2 + log V_n(r) <= log Z <= log d + log V_n(r)``.

    Under ``"paper"`` the lower side has r in place of r squared, as printed: it can lie above the true Z.

    Parameters
    ----------
    n, r, n_patterns, convention
        As in `log_partition`.

    Returns
    -------
    Bounds
        Lower side, log Z under the same convention, upper side.

    Examples
    --------
    >>> exact, printed = (partition_bounds(10, 2.0, convention=c) for c in ("exact", "paper"))
    >>> exact.holds, printed.lower > exact.value
    (True, True)
    """
    value = log_partition(n, r, n_patterns, convention)
    upper = np.log(positive("n_patterns", n_patterns)) + log_ball_volume(n, r)
    radius = np.asarray(r, float)
    lower = upper - (_square(radius) if convention == "exact" else radius)
    return Bounds(as_given(lower, n, r, n_patterns), value, as_given(upper, n, r, n_patterns))


def loss(log_z: ArrayLike) -> Any:
    """Return ``log Z + 1/Z`` [nat/token], Proposition 4 without layer terms: 1 at Z = 1 and more elsewhere.

    Parameters
    ----------
    log_z : array_like
        Logarithm of the partition function.

    Returns
    -------
    float or ndarray
        ``inf`` where 1/Z is beyond a float.

    Examples
    --------
    >>> loss(0.0), loss(-1000.0)
    (1.0, inf)
    """
    values = reals("log_z", log_z)
    if np.isnan(values).any():
        raise ArgumentError(f"{first_bad('log_z', values, ~np.isnan(values))}", "nothing was computed", "Give a number")
    with np.errstate(over="ignore", invalid="ignore"):
        return as_given(np.where(values == -np.inf, np.inf, values + np.exp(-values)), log_z)


def radius_squared(n: Array, log_kappa: Array) -> Array:
    """Return ``r^2`` for ``r = kappa sqrt(n / (2 pi e))``."""
    return np.asarray(n / TWO_PI_E * np.exp(2.0 * log_kappa))


def log_volume_at(n: Array, log_kappa: Array) -> Array:
    """Return ``log V_n = n log kappa - log(pi n)/2 - S(n/2)``, S the error of Stirling's formula.

    The large terms of the textbook formula are gone before any rounding.
    """
    return np.asarray(n * log_kappa - 0.5 * np.log(math.pi * n) - stirling_error(0.5 * n))


def log_integral_at(n: Array, log_kappa: Array) -> Array:
    """Return the exact log ball integral at ``r = kappa sqrt(n / (2 pi e))``."""
    return _log_integral(n, log_kappa, radius_squared(n, log_kappa))


def stirling_error(a: Array) -> Array:
    """Return ``S(a) = log Gamma(1 + a) - (a log a - a + log(2 pi a)/2)`` without cancellation."""
    from scipy.special import gammaln

    a = np.asarray(a, float)
    small = a < 16.0
    big = np.where(small, 16.0, a)
    inverse = 1.0 / big
    w = inverse * inverse
    series = inverse * (1 / 12 + w * (-1 / 360 + w * (1 / 1260 + w * (-1 / 1680 + w * (1 / 1188 - w * 691 / 360360)))))
    low = np.where(small, a, 1.0)
    direct = gammaln(1.0 + low) - (low * np.log(low) - low + 0.5 * np.log(2.0 * math.pi * low))
    return np.asarray(np.where(small, direct, series))


def _dims_and_radius(n: ArrayLike, r: ArrayLike) -> tuple[Array, Array]:
    dims, radius = broadcast(n=positive("n", n, integer=True), r=positive("r", r))
    return dims, radius


def _square(r: Array) -> Array:
    """Return r squared, infinite beyond a float: the ball is then all of space."""
    with np.errstate(over="ignore"):
        return np.square(r)


def _log_kappa(n: Array, r: Array) -> Array:
    """Return ``log(r / sqrt(n / (2 pi e)))``; the square is taken apart so that no radius overflows."""
    mantissa, exponent = np.frexp(r)
    return np.asarray(0.5 * np.log(mantissa * mantissa * (TWO_PI_E / n)) + exponent * math.log(2.0))


def _log_integral(n: Array, log_kappa: Array, r_squared: Array) -> Array:
    """Return ``log(pi^(n/2) P(n/2, r^2))``, by its series below the peak of the integrand and by P above."""
    from scipy.special import gammainc

    a = 0.5 * n
    below = r_squared < a
    inner = np.where(below, r_squared, 0.0)
    series = log_volume_at(n, np.where(below, log_kappa, 0.0)) - inner + _log_kummer(a, inner)
    outer = np.where(below, a, r_squared)
    return np.asarray(np.where(below, series, a * math.log(math.pi) + np.log(gammainc(a, outer))))


def _log_printed_integral(n: Array, log_kappa: Array, r: Array) -> Array:
    """Return ``log(2 pi^(n/2) gamma(n, r) / Gamma(n/2))``: ``V_n(r) e^-r`` times a series in r / n."""
    from scipy.special import gammainc, gammaln

    below = r < n
    inner = np.where(below, r, 0.0)
    series = log_volume_at(n, np.where(below, log_kappa, 0.0)) - inner + _log_kummer(n, inner)
    outer = np.where(below, n, r)
    whole = math.log(2.0) + 0.5 * n * math.log(math.pi) + gammaln(n) - gammaln(0.5 * n)
    return np.asarray(np.where(below, series, whole + np.log(gammainc(n, outer))))


def _log_kummer(a: Array, x: Array) -> Array:
    """Return ``log(1 + x/(a+1) + x^2/((a+1)(a+2)) + ...)`` for 0 <= x < a.

    It is ``log(a e^x x^-a gamma(a, x))`` (DLMF 8.7.1, 8.5.1): the part of log gamma that is left when the
    large terms are taken out.
    """
    a, x = np.broadcast_arrays(a, x)
    shape = a.shape
    a, x = a.ravel(), x.ravel()
    total = np.ones(a.shape)
    term = np.ones(a.shape)
    active = np.flatnonzero(x > 0)
    k = 0
    while len(active):
        k += 1
        term[active] *= x[active] / (a[active] + k)
        total[active] += term[active]
        active = active[term[active] > 1e-17 * total[active]]
    return np.log(total).reshape(shape)
