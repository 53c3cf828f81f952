"""Priors of the law's parameters from finished runs, in general and for a peak learning rate."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from statistics import NormalDist
from typing import Any

import numpy as np

SATURATIONS = np.array([0.1, 0.5, 1.5, 5.0, 15.0])  # rho of the shapes that are tried
# A larger peak rate leaves more for the anneal to gain. Measured under AdamW on one source with rates from 1e-4 to
# 3e-3; another, all of it at 3e-4, lies on the same line (docs/stopping.md). Outside these rates it is not used.
RATE, RATE_SLOPE, RATES = 1e-3, 0.3, (1e-4, 3e-3)  # [1/step], d log C / d log rate [-], [1/step]
# And its noise saturates more, so that more of the gain comes late: rho grows almost as the rate itself.
RHO_SLOPE = 0.75  # d log rho / d log rate [-]
RATE_MARGIN = 0.05  # of log rate: logged rates are rounded, and these ends are common rates


@dataclass(frozen=True, slots=True)
class Priors:
    """What finished runs say about an unfinished one.

    Parameters
    ----------
    gain, gain_spread : float
        C at rho = 1 [nat/token] and its relative standard deviation.
    gain_slope : float
        d log C / d log rho: rates further above the best one gain more, and later.
    rate_gain, rate_gain_spread : float
        As `gain` and `gain_spread`, for runs under Adam or AdamW with a peak learning rate of `RATE`; see `at_rate`.
    rate_log_rho, rate_log_rho_spread : float
        As `log_rho` and `log_rho_spread`, at that rate. `rate_gain` is C at this rho, not at 1.
    exponent, exponent_spread : float
        Median of a and standard deviation of log a.
    log_rho, log_rho_spread : float
        Mean and standard deviation of log rho.
    slope, slope_spread : float
        s at a quarter of a run [nat/token].
    asymptote, asymptote_spread : float
        Loss that an endless run at the peak rate approaches [nat/token]; only for losses in nat/token. Weak: full
        fits of the open runs come to 2.4 to 3.2; from eight evaluations on it moves a forecast by at most 0.0005.
    z_levels, z_quantiles : tuple of float
        Conformal table: the share of forecasts whose error was below so many standard deviations.
    n_runs : int
        Finished runs behind it.
    source : str
        Where they come from.
    for_rate : bool
        Whether `gain` is that of one peak learning rate; see `at_rate`.
    """

    gain: float
    gain_spread: float
    gain_slope: float
    rate_gain: float
    rate_gain_spread: float
    rate_log_rho: float
    rate_log_rho_spread: float
    exponent: float
    exponent_spread: float
    log_rho: float
    log_rho_spread: float
    slope: float
    slope_spread: float
    asymptote: float
    asymptote_spread: float
    z_levels: tuple[float, ...]
    z_quantiles: tuple[float, ...]
    n_runs: int
    source: str
    for_rate: bool = False

    def at_rate(self, rate: float | None) -> Priors:
        """Return the priors of a run under Adam or AdamW whose peak learning rate is known [1/step].

        They are these priors where it is not, or lies outside the rates that `RATE_SLOPE` was measured at; see
        `measured_rate`.
        """
        measured = measured_rate(rate)
        if measured is None:
            return self
        away = float(np.log(measured / RATE))
        log_rho = self.rate_log_rho + RHO_SLOPE * away
        return replace(
            self,
            gain=self.rate_gain * float(np.exp(RATE_SLOPE * away)) / self._gain_of_shapes(log_rho),
            gain_spread=self.rate_gain_spread,
            log_rho=log_rho,
            log_rho_spread=self.rate_log_rho_spread,
            for_rate=True,
        )

    def _gain_of_shapes(self, log_rho: float) -> float:
        """Mean of rho^gain_slope over the shapes that are tried: what turns C at rho = 1 into the gain to expect."""
        log_shapes = np.log(SATURATIONS)
        weight = np.exp(-0.5 * ((log_shapes - log_rho) / self.rate_log_rho_spread) ** 2)
        return float(np.average(np.exp(self.gain_slope * log_shapes), weights=weight))

    def z(self, level: float) -> float:
        """Half-width of the central interval at `level`, in standard deviations."""
        if level >= self.z_levels[-1]:  # beyond the table: widen as a Gaussian would
            # By the lower tail: near level 1 the upper one would round to certainty.
            tail = NormalDist().inv_cdf
            return self.z_quantiles[-1] * tail((1 - level) / 2) / tail((1 - self.z_levels[-1]) / 2)
        return float(np.interp(level, (0.0, *self.z_levels), (0.0, *self.z_quantiles)))


def measured_rate(rate: float | None) -> float | None:
    """Return a peak rate within `RATES` [1/step]: the nearer end just outside them, None farther out or unknown."""
    if rate is None or rate <= 0:
        return None
    nearest = min(max(rate, RATES[0]), RATES[1])
    return nearest if abs(float(np.log(rate / nearest))) <= RATE_MARGIN else None


@cache
def shipped_priors() -> Priors:
    """Return the priors that scalefit ships, learned from finished runs (see their ``source``)."""
    record = json.loads(files("scalefit.stopping").joinpath("_priors.json").read_text(encoding="utf-8"))["priors"]
    values: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in record.items()}
    return Priors(**values)


def widened(priors: Priors) -> Priors:
    """Return priors loose enough for the data of a finished run to speak."""
    return replace(
        priors,
        gain_spread=1.0,
        exponent_spread=1.0,
        log_rho_spread=3.0,
        slope_spread=1.0,
        asymptote_spread=float("inf"),
    )
