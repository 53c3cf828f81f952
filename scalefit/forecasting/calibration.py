"""Constants that sf.forecast learned from other tables: priors, sizes of a law's error, calibration of intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from scalefit._typing import Array
from scalefit.fitting.priors import Prior
from scalefit.fitting.shipped import priors_from, shipped_document
from scalefit.forecasting.correlated_errors import Discrepancy

#: The law that the prior and the width of intervals were learned with.
CALIBRATED_LAW = "coupled"
_FILE = Path(__file__).with_name("_forecast_prior.json")


@dataclass(frozen=True, slots=True)
class IntervalCalibration:
    """How the parts of an interval add up; learned from forecasts of other tables' larger runs.

    Beyond the runs every part is multiplied by a factor that follows the table's own scatter about its forecast:
    ``max(least, exp(scale) (s / pivot)^power)``, where s is the scatter of the n training runs [log loss] (see
    :func:`scalefit.forecasting.correlated_errors.scatter_of`), drawn towards `usual_scatter` as by `pseudo_runs`
    further runs. What the prior says of the parameters is not multiplied. No interval is narrower than the table's own
    noise makes it. Among the runs the parts are those of a table with this table's own noise.

    Parameters
    ----------
    floor, growth : float
        The law's error beyond the runs is at least floor + growth·ln(C/C_max) [log loss].
    factor : float
        Factor on every standard deviation that makes Student's t cover what it claims.
    freedom : float
        Degrees of freedom of that t.
    scale, power : float
        ln of the factor at the pivot, and its exponent; 0 and 0 for widths that do not follow the scatter.
    pivot : float
        Scatter at which the factor is exp(scale) [log loss].
    usual_scatter : float
        Scatter towards which that of few runs is drawn [log loss].
    pseudo_runs : float
        How many runs that counts for.
    least : float
        Least factor: a clean fit is not proof of what larger runs do.
    compute_law : float
        Further factor for a law of compute, which took the coupled law's place.
    reach : float
        Distance beyond the runs [ln of N, D or C] over which intervals turn from those of the table's own noise into
        the calibrated ones; 0 or less to use the latter everywhere.
    noise_factor : float
        Factor on the table's own noise that allows for the error of its estimate.
    skew : float
        Share of the posterior's skew, the distance of its mean from its mode, by which intervals beyond the runs are
        moved; the forecast itself is the mode.
    amplitude_sd : float
        Standard deviation of ln amplitude over tables, from which a table's own is learned, see
        :func:`scalefit.forecasting.own_discrepancy.own_discrepancy`; 0 for that of all tables.
    """

    floor: float
    growth: float
    factor: float
    freedom: float
    scale: float = 0.0
    power: float = 0.0
    pivot: float = 0.006
    usual_scatter: float = 0.005
    pseudo_runs: float = 15.0
    least: float = 0.5
    compute_law: float = 1.0
    reach: float = 0.0
    noise_factor: float = 1.15
    skew: float = 0.0
    amplitude_sd: float = 0.0

    def quantile(self, level: float) -> float:
        """Half-width of an interval in standard deviations."""
        from scipy.special import stdtrit

        return -float(stdtrit(self.freedom, (1 - level) / 2))

    def normal_ratio(self) -> float:
        """Factor on noise estimated from the table itself, which is nearly normal: Student's t is for the unknown."""
        return 1.6449 / self.quantile(0.9)

    def shrunk(self, scatter: float, n: int) -> float:
        """Scatter [log loss] of n runs, drawn towards the usual one."""
        k = self.pseudo_runs
        return float(np.sqrt((n * scatter**2 + k * self.usual_scatter**2) / (n + k)))

    def widening(self, scatter: float, n: int, *, compute_law: bool = False) -> float:
        """Factor on the parts of an interval beyond n runs of a scatter [log loss]."""
        found = np.exp(self.scale) * (self.shrunk(scatter, n) / self.pivot) ** self.power
        return float(max(found, self.least)) * (self.compute_law if compute_law else 1.0)

    def parts(
        self,
        near: Mapping[str, Array],
        far: Mapping[str, Array],
        shown: float,
        ratio: Array,
        distance: Array,
        widening: float,
    ) -> tuple[Array, Array, Array]:
        """Standard deviations (m,) of the log loss from parameters, law and noise, as the quantile takes them.

        Parameters
        ----------
        near, far : mapping of str to ndarray (m,)
            Parts under the table's own noise and discrepancy, and under those of other tables.
        shown : float
            The part of the table's own noise, were it the same for every run, that is sure [log loss].
        ratio, distance : ndarray (m,)
            Compute over the largest run's, and distance beyond the runs [ln].
        widening : float
            Factor that follows the scatter.
        """
        share, u = self.beyond(distance), self.factor * widening
        least = self.floor + self.growth * np.log(np.maximum(ratio, 1.0))
        # Scatter says how little the runs tell of the parameters; what the prior tells does not depend on it.
        parameter = (far["squares"] / (1 - far["told"] + far["told"] / u**2)).sum(axis=1)
        law, noise = u**2 * (far["law"] ** 2 + least**2), u**2 * far["noise"] ** 2
        # Runs of even noise: beyond them an interval is at least what that noise does to the forecast and to one run.
        own, swing = self.noise_factor * self.normal_ratio(), near["luck"] ** 2
        short = np.maximum((own * shown) ** 2 - (parameter + law + noise) / (1 + swing), 0.0)

        def mixed(inside: Array, outside: Array) -> Array:
            return np.asarray(np.sqrt((1 - share) * inside**2 + share * outside))

        inner = own * near["noise"]
        return (
            mixed(near["parameter"], parameter + short * swing),
            mixed(near["law"], law),
            mixed(inner, noise + short),
        )

    def moved(self, skew: Array, parameter: Array, distance: Array) -> Array:
        """By how much an interval's middle lies above the forecast (m,) [log loss].

        Parameters
        ----------
        skew, parameter : ndarray (m,)
            How far the posterior's mean lies above its mode, and the standard deviation from the parameters [log loss]:
            no more than that, as a median lies no further from a mean.
        distance : ndarray (m,)
            Distance beyond the runs [ln].
        """
        return self.skew * self.beyond(distance) * np.clip(skew, -parameter, parameter)

    def beyond(self, distance: Array) -> Array:
        """Share (m,) of the calibrated interval at a distance beyond the runs [ln]; the rest is of the noise."""
        if self.reach <= 0:
            return np.ones_like(distance)
        return np.asarray(-np.expm1(-distance / self.reach))


@dataclass(frozen=True, slots=True, eq=False)
class ForecastCalibration:
    """Constants learned from other tables: priors, sizes of a law's error, calibration of the intervals.

    Parameters
    ----------
    prior, compute_prior : Prior
        Of the coupled law, and of a law of compute.
    discrepancy : Discrepancy
        Sizes of a law's error and of the noise.
    interval : IntervalCalibration
        How intervals are made of them.
    provenance : mapping
        Tables, their sums, and how each constant was learned.
    """

    prior: Prior
    compute_prior: Prior
    discrepancy: Discrepancy
    interval: IntervalCalibration
    provenance: Mapping[str, Any]


@cache
def shipped() -> ForecastCalibration:
    """Return the constants that come with scalefit."""
    return calibration_from(shipped_document())


def calibration_from(saved: Mapping[str, Any]) -> ForecastCalibration:
    """Return constants from their document."""
    priors = priors_from(saved)
    interval = IntervalCalibration(**saved["interval"])
    return ForecastCalibration(priors[0], priors[1], Discrepancy(**saved["discrepancy"]), interval, saved["provenance"])
