"""A power law through estimated optima, each with its own error plus a common scatter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scalefit._typing import Array

#: Least ratio of the scatter seen to the errors given (a guess: points on a line by chance are no proof).
_LEAST_SPREAD = 0.25


@dataclass(frozen=True, slots=True, eq=False)
class PowerLawFit:
    """ln y = ln y0 + exponent (ln C - centre), by weighted least squares.

    Attributes
    ----------
    exponent, log_value, centre : float
        Slope, and ln y at ln C = centre.
    cov : ndarray (2, 2)
        Covariance of (log_value, exponent).
    scatter : float
        Standard deviation of ln y beyond the errors given.
    n : int
        Points.
    """

    exponent: float
    log_value: float
    centre: float
    cov: Array
    scatter: float
    n: int

    def at(self, C: float | Array) -> Array:
        """The line's value at C."""
        return np.asarray(np.exp(self.log_value + self.exponent * (np.log(C) - self.centre)))

    def quantile(self, level: float) -> float:
        """Student's t for n - 2 degrees of freedom; the normal where there are none."""
        from scipy.special import ndtri, stdtrit

        tail = 0.5 * (1 - level)  # the lower one: near level 1 the upper one would round to certainty
        return -float(stdtrit(self.n - 2, tail) if self.n > 2 else ndtri(tail))

    def exponent_interval(self, level: float) -> tuple[float, float]:
        """Interval for the exponent."""
        half = self.quantile(level) * float(np.sqrt(self.cov[1, 1]))
        return self.exponent - half, self.exponent + half

    def interval_at(self, C: float | Array, level: float) -> tuple[Array, Array]:
        """Interval for the line at C."""
        x = np.log(np.asarray(C, float)) - self.centre
        if np.isinf(self.cov[1, 1]):
            return np.zeros_like(self.at(C)), np.full_like(self.at(C), np.inf)
        variance = self.cov[0, 0] + 2 * x * self.cov[0, 1] + x**2 * self.cov[1, 1]
        half = self.quantile(level) * np.sqrt(variance)
        middle = self.at(C)
        with np.errstate(over="ignore"):  # near level 1 an interval may end beyond all numbers
            return np.asarray(middle * np.exp(-half)), np.asarray(middle * np.exp(half))


def fit_power_law(C: Array, y: Array, se: Array) -> PowerLawFit:
    """Fit a power law to y(C), with errors `se` of ln y and a scatter that the points themselves show.

    The scatter solves sum of weighted squared residuals = n - 2 (Paule & Mandel 1982), so that budgets with a flat
    optimum count for less and no budget counts for everything.

    Parameters
    ----------
    C, y : ndarray (n,)
        Budgets [FLOP] and optima, n of at least 2.
    se : ndarray (n,)
        Standard errors of ln y.
    """
    x, z = np.log(C), np.log(y)
    centre = float(x.mean())
    basis = np.stack([np.ones_like(x), x - centre])
    floor = max(1e-12, 1e-6 * float(np.median(se) ** 2))

    def solve(tau2: float) -> tuple[Array, Array, float]:
        w = 1.0 / (se**2 + tau2 + floor)
        cov = np.linalg.inv((basis * w) @ basis.T)
        beta = cov @ ((basis * w) @ z)
        return beta, cov, float(w @ (z - beta @ basis) ** 2)

    dof, tau2 = x.size - 2, 0.0
    if dof > 0 and solve(0.0)[2] > dof:
        low, high = 0.0, 1.0
        while solve(high)[2] > dof and high < 1e6:
            high *= 4
        for _ in range(80):
            tau2 = 0.5 * (low + high)
            low, high = (tau2, high) if solve(tau2)[2] > dof else (low, tau2)
    beta, cov, misfit = solve(tau2)
    if dof > 0:
        # Points closer to the line than their errors: Student's t is exact with the spread that they do show (Knapp &
        # Hartung 2003), but three points on a line by luck must not pass for certainty.
        cov = cov * max(min(1.0, misfit / dof), _LEAST_SPREAD)
    if dof == 0 and not (se > 0).any():  # nothing measures the error of a line through two points
        cov = np.full((2, 2), np.inf)
    return PowerLawFit(float(beta[1]), float(beta[0]), centre, np.asarray(cov), float(np.sqrt(tau2)), x.size)
