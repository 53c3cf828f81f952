"""The numbers of a fit: the optimum, its errors and its predictions, without the words and figures made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit._arguments import LEVEL, broadcast, check_count, check_level
from scalefit._calls import explained
from scalefit._numeric import levelled
from scalefit._typing import AnyArray, Array, ArrayLike
from scalefit.errors import ArgumentError, Note, arg
from scalefit.extrapolation import times_largest
from scalefit.fitting.certificate import Certificate
from scalefit.fitting.covariance import interval_around
from scalefit.fitting.noise import with_compute
from scalefit.fitting.problem import Problem
from scalefit.fitting.solver import ROUNDING
from scalefit.laws._base import Law
from scalefit.laws._declarations import Target
from scalefit.laws._inputs import check_inputs
from scalefit.predictor import random_draws, ranges

_SAME_CORRELATION = 1e-6

if TYPE_CHECKING:
    import pandas as pd


@explained
@dataclass(frozen=True, eq=False)
class Solution:
    """A solved problem: what was fitted, where the optimum lies, and what follows by arithmetic.

    :class:`scalefit.FitResult` adds to it what a person asks of a fit.

    Attributes
    ----------
    law : type of Law
        The law; ``str(result.law)`` is its name.
    problem : Problem
        Runs, objective and layout of the fit.
    x : ndarray (p,)
        The optimum in the engine's own variables.
    names : tuple of str
        Names of the free parameters, in the order of `x`.
    certificate : Certificate
        Whether to believe the optimum.
    row_labels : ndarray (n_runs,)
        Row numbers of the runs in their table.
    conventions : dict
        What N, C and the loss count.
    resamples : ndarray (n, p), optional
        Bootstrap optima in the engine's own variables, once ``bootstrap`` has run; :meth:`draws` gives natural units.
    """

    law: type[Law]
    problem: Problem
    x: Array
    names: tuple[str, ...]
    certificate: Certificate
    row_labels: AnyArray
    series: tuple[str, ...] = ()
    conventions: Mapping[str, Any] = field(default_factory=dict)
    bounds: Mapping[str, tuple[float, float]] | None = None
    fixed: Mapping[str, float] | None = None
    tied: Mapping[str, str] | None = None
    table_notes: tuple[Note, ...] = ()
    seed: int = 0
    resamples: Array | None = None
    draws_about: Mapping[str, Any] | None = None
    tangent: Array | None = None

    # -- values ------------------------------------------------------------------------------------------------

    @cached_property
    def params(self) -> pd.Series[float]:
        """Every parameter of the law, fixed and tied ones too, in natural units."""
        import pandas as pd

        return pd.Series(self.natural(self.x), dtype=float)

    @cached_property
    def objective_value(self) -> float:
        """Objective at the optimum, as summed over runs (Huber's and squares by half-squares)."""
        return float(self.problem.value(self.x[None])[0])

    @property
    def n_runs(self) -> int:
        """Runs in the fit."""
        return int(self.problem.loss.size)

    @property
    def n_free(self) -> int:
        """Free parameters, those given by an expression not counted."""
        return len(self.names) if self.tangent is None else int(self.tangent.shape[1])

    @property
    def success(self) -> bool:
        """Whether the search converged; see `certificate` for whether to trust it."""
        return self.certificate.converged

    @cached_property
    def data_digest(self) -> str:
        """First digits of the sha256 of the runs: two fits with equal digests saw the same numbers."""
        import hashlib

        digest = hashlib.sha256()
        for key in sorted(self.problem.columns):
            digest.update(key.encode())
            digest.update(_digits(self.problem.columns[key] * self.problem.units[key]))
        digest.update(_digits(self.problem.loss))
        if self.problem.weights is not None:
            digest.update(np.round(self.problem.weights, 9).tobytes())
        return digest.hexdigest()[:8]

    @cached_property
    def residuals(self) -> Array:
        """Residuals (n_runs,) on the objective's scale."""
        return np.asarray(self.problem.residuals(self.x[None])[0])

    @property
    def exact(self) -> bool:
        """Whether the law meets every run up to rounding: the table has no noise, so its errors mean nothing."""
        return float(np.abs(self.residuals).max()) < ROUNDING

    @cached_property
    def at_bound(self) -> AnyArray:
        """Which free parameters ended at a bound (p,)."""
        lower, upper = self.problem.bounds(self.bounds or {})
        return np.asarray((self.x <= lower) | (self.x >= upper))

    def natural(self, x: Array) -> dict[str, Any]:
        """Parameters by name, in natural units, from an engine vector (p,)."""
        out: dict[str, Any] = {}
        shared = len(self.problem.groups) > 1
        inverse = {key: 1.0 / unit for key, unit in self.problem.units.items()}
        scaled = any(unit != 1.0 for unit in inverse.values())
        for group in range(len(self.problem.groups)):
            values = {k: v.ravel() for k, v in self.problem.values(np.atleast_2d(x), group).items()}
            if scaled and self.law.rescale is not None:
                values = self.law.rescale(values, inverse)
            for name, parameter in self.law.parameters.items():
                key = f"{name}[{self.series[group]}]" if shared and parameter.own else name
                out[key] = values[name] if x.ndim > 1 else values[name][0]
        return out

    # -- uncertainty -------------------------------------------------------------------------------------------

    @cached_property
    def free_cov(self) -> Array:
        """Covariance (p, p) of the engine's variables: of the draws if there are any, else the sandwich."""
        from scalefit.fitting.covariance import free_covariance

        if self.resamples is not None:
            return np.atleast_2d(np.cov(self.resamples, rowvar=False))
        return free_covariance(self.problem, self.x, self.at_bound, self.tangent)

    @cached_property
    def cov(self) -> pd.DataFrame:
        """Covariance of the parameters in natural units; NaN at a bound or undetermined, 0 for fixed ones."""
        import pandas as pd

        names = list(self.params.index)
        if self.resamples is not None:
            table = self.natural(self.resamples)
            stack = np.stack([np.broadcast_to(table[name], self.resamples.shape[:1]) for name in names])
            return pd.DataFrame(np.cov(stack), index=names, columns=names)
        jac = self.natural_slopes()
        inner = self.free_cov
        bad = np.isnan(np.diag(inner))
        cov = jac[:, ~bad] @ inner[np.ix_(~bad, ~bad)] @ jac[:, ~bad].T
        lost = (jac[:, bad] != 0).any(axis=1)
        if not self.certificate.identified:
            # The sandwich leaves out the directions that the runs do not determine: no error is better than that.
            lost |= [name.split("[")[0] in {weak.split("[")[0] for weak in self.certificate.weak} for name in names]
        lost |= [name in self.certificate.undetermined for name in names]
        cov[lost, :], cov[:, lost] = np.nan, np.nan
        return pd.DataFrame(cov, index=names, columns=names)

    def natural_slopes(self) -> Array:
        """Derivatives (m, p) of the parameters in natural units by the engine's variables, at the optimum."""
        step = 1e-30
        jac = np.empty((len(self.params), self.x.size))
        for i in range(self.x.size):
            moved = self.x.astype(complex)
            moved[i] += 1j * step
            jac[:, i] = [np.imag(value) / step for value in self.natural(moved).values()]
        return jac

    @property
    def interval_draws(self) -> Array | None:
        """Draws (n, p) behind the intervals, where no covariance gives them."""
        return self.resamples

    @property
    def shared_noise(self) -> Any:
        """Noise that runs share: None, since a plain solution does not look for it."""
        return None

    @property
    def undetermined(self) -> tuple[str, ...]:
        """Parameters that the runs do not determine."""
        return self.certificate.undetermined

    @cached_property
    def std_errors(self) -> pd.Series[float]:
        """Standard errors: of the bootstrap draws if there are any, else robust (sandwich)."""
        import pandas as pd

        return pd.Series(np.sqrt(np.maximum(np.diag(self.cov), 0.0)), index=self.params.index)

    def conf_int(self, level: float = LEVEL) -> pd.DataFrame:
        """Confidence intervals of the parameters.

        Parameters
        ----------
        level : float
            Coverage wanted, between 0 and 1.

        Returns
        -------
        DataFrame
            Columns ``lower`` and ``upper``. Percentiles of the bootstrap draws if there are any; else Student's t
            with robust errors, taken in logarithms for parameters that are positive by nature.
        """
        import pandas as pd

        tail = (1 - check_level(level)) / 2
        names = list(self.params.index)
        if self.resamples is not None:
            table = self.natural(self.resamples)
            rows = [
                np.quantile(np.broadcast_to(table[name], self.resamples.shape[:1]), [tail, 1 - tail]) for name in names
            ]
            return pd.DataFrame(rows, index=names, columns=["lower", "upper"])
        return interval_around(self.law, self.params, self._student(tail) * self.std_errors)

    def _student(self, tail: float) -> float:
        """Student's t above which the share `tail` lies: of the lower tail, as ``1 - tail`` may round to 1."""
        from scipy.special import stdtrit

        return -float(stdtrit(max(self.n_runs - self.n_free, 1), tail))

    def _freedom(self) -> float:
        """Degrees of freedom of draws: of the runs, or of clusters that share noise, in the middle over parameters."""
        shared = self.shared_noise
        if shared is None:
            return max(self.n_runs - self.n_free, 1)
        return min(float(np.median(shared.degrees(self.natural_slopes()[:, ~self.at_bound]))), self.n_runs)

    # -- predictions -------------------------------------------------------------------------------------------

    def _group(self, series: str | None) -> int:
        if not self.series:
            if series is not None:
                raise ArgumentError(
                    f"{arg('series', series)}: this fit is of one table, not {arg('by', 'shared')}",
                    "nothing was computed",
                    f"Leave out {arg('series')}",
                )
            return 0
        if series not in self.series:
            raise ArgumentError(
                f"{arg('series', series)} is not a series of this fit",
                "nothing was computed",
                f"Pass {arg('series')} one of {', '.join(self.series)}",
            )
        return self.series.index(series)

    def _predict(self, columns: Mapping[str, Array], x: Array, group: int) -> Array:
        """Loss (b, m) for engine vectors (b, p)."""
        scaled = {key: value / self.problem.units[key] for key, value in columns.items()}
        return np.asarray(self.law.evaluate(scaled, self.problem.values(np.atleast_2d(x), group)))

    def predict(self, *, series: str | None = None, **inputs: ArrayLike) -> float | Array:
        """Loss [nat/token] at the given inputs: a float for scalars, else an array like the input."""
        columns = check_inputs(self.law, times_largest(self.seen, inputs))
        shape, flat = broadcast(columns)
        loss = np.broadcast_to(self._predict(flat, self.x, self._group(series))[0], (int(np.prod(shape)),))
        return float(loss[0]) if shape == () else loss.reshape(shape)

    @cached_property
    def correlations(self) -> list[tuple[str, str, float]]:
        """Pairs of free parameters by the size of their correlation, strongest first."""
        cov = self.cov.to_numpy()
        if self.exact:  # errors that are rounding have no correlations: those that any noise would have
            kept, every = ~self.at_bound, self.natural_slopes()
            jac, slopes = self.problem.jacobian(self.x[None])[1][0][kept], every[:, kept]
            cov = np.where(np.isnan(cov), np.nan, slopes @ np.linalg.pinv(jac @ jac.T) @ slopes.T)
        own = [list(self.params.index).index(name) for name in self.names]
        cov = cov[np.ix_(own, own)]
        with np.errstate(invalid="ignore", divide="ignore"):
            se = np.sqrt(np.diag(cov))
            matrix = cov / se[:, None] / se[None, :]
        pairs = [
            (a, b, float(matrix[i, j]))
            for i, a in enumerate(self.names)
            for j, b in enumerate(self.names)
            if i < j and np.isfinite(matrix[i, j])
        ]
        size = levelled(np.array([abs(value) for *_, value in pairs]), _SAME_CORRELATION)
        return [pairs[i] for i in np.argsort(-size, kind="stable")]  # close ones keep the order of the parameters

    @property
    def trusted(self) -> bool:
        """Whether the fit can be trusted (CLI exit code 3 if not)."""
        return self.certificate.trusted

    # -- as a Predictor ----------------------------------------------------------------------------------------

    @property
    def inputs(self) -> tuple[str, ...]:
        """Inputs that the law reads."""
        return tuple(self.law.inputs)

    @property
    def held_inputs(self) -> Mapping[str, float]:
        """Inputs fixed at a value: none; see ``at``."""
        return {}

    @property
    def target(self) -> Target:
        """What is predicted; a loss in the unit of the runs."""
        return self.law.target.in_unit(self.conventions.get("loss_unit"))

    @property
    def calibrated(self) -> bool:
        """Whether its intervals were calibrated on jumps beyond the runs."""
        return False

    def runs(self) -> dict[str, Array]:
        """Inputs of the runs in natural units (n_runs,), and their C [FLOP]."""
        return with_compute(self.problem.raw_columns)

    def seen(self) -> dict[str, tuple[float, float]]:
        """Smallest and largest value of each input, and of C, among the runs."""
        return ranges(self.runs())

    def correction(self, **inputs: ArrayLike) -> float:
        """Ratio of the prediction to the law's value: 1 for a fit."""
        return 1.0

    def draws(self, n: int = 500) -> pd.DataFrame:
        """Draws of the parameters in natural units: of the bootstrap where it has run, else Student's t.

        Parameters
        ----------
        n : int
            Draws wanted; at most as many as the bootstrap has, evenly picked.

        Returns
        -------
        DataFrame
            One row per draw and one column per parameter; ``attrs["source"]`` is ``"bootstrap"``,
            ``"refits"`` where no covariance describes so poorly determined a law, or ``"robust covariance"``, by
            cluster where runs share noise.

        Examples
        --------
        >>> import numpy as np, scalefit as sf
        >>> N, D = (a.ravel() for a in np.meshgrid([1e8, 4e8, 1.6e9], [2e9, 1e10, 5e10]))
        >>> loss = sf.published("chinchilla", "besiroglu2024").predict(N=N, D=D)
        >>> sf.fit({"N": N, "D": D, "loss": loss}).draws(100).shape
        (100, 5)
        """
        import pandas as pd

        n = check_count("n", n)
        if self.interval_draws is not None:
            found = np.asarray(self.interval_draws)
            source = "refits" if self.resamples is None else "bootstrap"
            if len(found) > n:
                found = found[np.linspace(0, len(found) - 1, n).astype(int)]
        else:
            steps = random_draws(self.x, self.free_cov, n, self.seed, self._freedom())
            found, source = np.clip(steps, *self.problem.bounds(self.bounds or {})), "robust covariance"
        natural = self.natural(found)
        frame = pd.DataFrame({name: np.broadcast_to(value, (len(found),)) for name, value in natural.items()})
        frame.attrs["source"] = source
        return frame


def _digits(values: Array) -> bytes:
    """Numbers to nine digits: of their logarithms, or of themselves where some are zero or negative."""
    return np.round(np.log(values) if (values > 0).all() else values, 9).tobytes()
