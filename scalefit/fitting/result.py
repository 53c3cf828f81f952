"""The result of a fit: frozen, typed by pandas, and able to print whether to believe it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit._arguments import LEVEL, broadcast, check_level
from scalefit._files import save_figure
from scalefit._typing import AnyArray, Array, ArrayLike, Seed
from scalefit.errors import ArgumentError, Note
from scalefit.fitting.certificate import Certificate
from scalefit.fitting.problem import Problem
from scalefit.laws._base import Law
from scalefit.laws._published import check_inputs

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class FitResult:
    """A fitted law. Made by :func:`scalefit.fit`; not to be built by hand.

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
    draws : ndarray (n, p), optional
        Bootstrap optima, once :meth:`bootstrap` has run.
    """

    law: type[Law]
    problem: Problem
    x: Array
    names: tuple[str, ...]
    certificate: Certificate
    row_labels: AnyArray
    series: tuple[str, ...] = ()
    conventions: Mapping[str, Any] | None = None
    bounds: Mapping[str, tuple[float, float]] | None = None
    fixed: Mapping[str, float] | None = None
    tied: Mapping[str, str] | None = None
    table_notes: tuple[Note, ...] = ()
    seed: int = 0
    draws: Array | None = None
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
            digest.update(np.round(np.log(self.problem.columns[key] * self.problem.units[key]), 9).tobytes())
        digest.update(np.round(np.log(self.problem.loss), 9).tobytes())
        if self.problem.weights is not None:
            digest.update(np.round(self.problem.weights, 9).tobytes())
        return digest.hexdigest()[:8]

    @cached_property
    def residuals(self) -> Array:
        """Residuals (n_runs,) on the objective's scale."""
        return np.asarray(self.problem.residuals(self.x[None])[0])

    @cached_property
    def held(self) -> AnyArray:
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

        if self.draws is not None:
            return np.atleast_2d(np.cov(self.draws, rowvar=False))
        if self.shared_noise is not None:
            return np.asarray(self.shared_noise.covariance)
        return free_covariance(self.problem, self.x, self.held, self.tangent)

    @cached_property
    def cov(self) -> pd.DataFrame:
        """Covariance of the parameters in natural units; NaN at a bound or undetermined, 0 for fixed ones."""
        import pandas as pd

        names = list(self.params.index)
        if self.draws is not None:
            table = self.natural(self.draws)
            stack = np.stack([np.broadcast_to(table[name], self.draws.shape[:1]) for name in names])
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

    @cached_property
    def std_errors(self) -> pd.Series[float]:
        """Standard errors: of the bootstrap draws if there are any, else robust (sandwich)."""
        import pandas as pd

        return pd.Series(np.sqrt(np.maximum(np.diag(self.cov), 0.0)), index=self.params.index)

    def conf_int(self, level: float = LEVEL, cluster: Any = None) -> pd.DataFrame:
        """Confidence intervals of the parameters.

        Parameters
        ----------
        level : float
            Coverage wanted, between 0 and 1.
        cluster : Series or array_like (n_runs,), optional
            Labels of runs that share their noise, as for :meth:`bootstrap`: robust errors by cluster, with Student's t
            for so few clusters. Without it, noise that runs of one budget or size share is looked for.

        Returns
        -------
        DataFrame
            Columns ``lower`` and ``upper``. Percentiles of the bootstrap draws if there are any; else Student's t
            with robust errors, taken in logarithms for parameters that are positive by nature. Where a parameter ended
            at its bound, or an exponent is hardly known, percentiles of refits take their place. Every interval ends
            at the parameter's bounds.
        """
        from scalefit.fitting.clusters import conf_int

        return conf_int(self, check_level(level), cluster)

    @cached_property
    def interval_draws(self) -> Array | None:
        """Draws (n, p) behind the intervals: the bootstrap's, or refits where no covariance will do; else None."""
        from scalefit.fitting.clusters import draws_for_intervals

        return self.draws if self.draws is not None else draws_for_intervals(self)

    @cached_property
    def shared_noise(self) -> Any:
        """What runs share their noise by, found from the residuals; None where they do not seem to."""
        from scalefit.fitting.clusters import detect

        return detect(self)

    def _quantile(self, q: float) -> float:
        from scipy.special import stdtrit

        return float(stdtrit(max(self.n_runs - self.n_free, 1), q))

    def bootstrap(
        self,
        n: int = 4000,
        seed: Seed = None,
        cluster: Any = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> FitResult:
        """Return this result with intervals from refits to resampled runs.

        Parameters
        ----------
        n : int
            Resamples.
        seed : int, Generator or RandomState, optional
            With a ``RandomState`` rs, resample k is ``rs.choice(n_runs, n_runs)``.
        cluster : Series or array_like (n_runs,), optional
            Labels of runs that belong together (checkpoints of one trajectory): whole clusters are drawn. A Series is
            matched to the runs by its index; anything else stands in the order of ``row_labels``.
        progress : callable, optional
            Told (done, total) as refits end.

        Returns
        -------
        FitResult
            A new result; this one is unchanged.
        """
        from scalefit.fitting.bootstrap import bootstrap_draws

        if not isinstance(n, (int, np.integer)) or n < 2:
            text = "must be a whole number of resamples, 2 or more. Nothing was resampled. Give 1000, for one."
            raise ArgumentError(f"n={n!r} {text}")
        if self.tangent is not None:
            raise ArgumentError(
                "Fits with expression constraints have robust errors only, and nothing was resampled. Tie parameters "
                "plainly to bootstrap."
            )
        if cluster is not None:
            from scalefit.fitting.clusters import clustered, labels_of

            labels = labels_of(self, cluster)
            if labels.max() + 1 < 8:  # too few to draw from: errors by cluster, with Student's t for so few
                few = replace(self)
                few.__dict__["shared_noise"] = clustered(self, labels, "cluster")
                return few
        draws, failed = bootstrap_draws(self, int(n), self.seed if seed is None else seed, cluster, progress)
        about = {"n": int(n), "failed": failed, "clusters": cluster is not None}
        return replace(self, draws=draws, draws_about=about)

    def profile(self, name: str, values: ArrayLike | None = None, n: int = 31) -> pd.DataFrame:
        """Objective along one parameter, the others refitted.

        Parameters
        ----------
        name : str
            A free parameter.
        values : array_like, optional
            Where; by default `n` values over the interval of level 0.9999.

        Returns
        -------
        DataFrame
            Columns ``value`` and ``objective_value``. Read its shape: its likelihood interval is too narrow on runs
            whose noise differs.

        Raises
        ------
        ArgumentError
            Not a free parameter of a plain fit, no interval to walk, or values that it cannot take.
        """
        from scalefit.fitting.profiles import profile

        return profile(self, name, values, n)

    # -- predictions -------------------------------------------------------------------------------------------

    def _group(self, series: str | None) -> int:
        if not self.series:
            if series is not None:
                raise ArgumentError(
                    f"series={series!r}: this fit is of one table, not by='shared'; nothing was computed. Leave out "
                    "series=."
                )
            return 0
        if series not in self.series:
            raise ArgumentError(
                f"series={series!r} is none of this fit's, and nothing was computed. Pass series= one of "
                f"{', '.join(self.series)}."
            )
        return self.series.index(series)

    def _predict(self, columns: Mapping[str, Array], x: Array, group: int) -> Array:
        """Loss (b, m) for engine vectors (b, p)."""
        scaled = {key: value / self.problem.units[key] for key, value in columns.items()}
        return np.asarray(self.law.evaluate(scaled, self.problem.values(np.atleast_2d(x), group)))

    def predict(self, *, series: str | None = None, **inputs: ArrayLike) -> float | Array:
        """Loss [nat/token] at the given inputs: a float for scalars, else an array like the input."""
        columns = check_inputs(self.law, inputs)
        shape, flat = broadcast(columns)
        loss = np.broadcast_to(self._predict(flat, self.x, self._group(series))[0], (int(np.prod(shape)),))
        return float(loss[0]) if shape == () else loss.reshape(shape)

    def predict_interval(self, *, level: float = 0.9, series: str | None = None, **inputs: ArrayLike) -> pd.DataFrame:
        """Interval for the loss of a new run at the given inputs; see :mod:`scalefit.fitting.intervals`."""
        from scalefit.fitting.intervals import predict_interval

        return predict_interval(self, level=level, series=series, **inputs)

    def plot(self, path: str | Path | None = None, *, level: float = 0.9) -> Figure:
        """Draw the fit over compute, its residuals, and the profile of a parameter.

        Parameters
        ----------
        path : str or Path, optional
            Where to write the figure; its suffix names the format.
        level : float
            Coverage of the band for a new run.

        Returns
        -------
        matplotlib.figure.Figure
            The panels are drawn by :mod:`scalefit.plots.fits`, each of which also takes an ``ax``.
        """
        from scalefit.plots.fits import draw_result

        figure = draw_result(self, level=level)
        if path is not None:
            save_figure(figure, path)
        return figure

    # -- what to make of it ------------------------------------------------------------------------------------

    @cached_property
    def correlations(self) -> list[tuple[str, str, float]]:
        """Pairs of free parameters by the size of their correlation, strongest first."""
        cov = self.cov.loc[list(self.names), list(self.names)].to_numpy()
        with np.errstate(invalid="ignore", divide="ignore"):
            se = np.sqrt(np.diag(cov))
            matrix = cov / se[:, None] / se[None, :]
        pairs = [
            (a, b, float(matrix[i, j]))
            for i, a in enumerate(self.names)
            for j, b in enumerate(self.names)
            if i < j and np.isfinite(matrix[i, j])
        ]
        return sorted(pairs, key=lambda item: -round(abs(item[2]), 6))  # closer ones keep the order of the parameters

    @cached_property
    def notes(self) -> tuple[Note, ...]:
        """Everything worth knowing before using the numbers."""
        from scalefit.fitting.diagnostics import notes_of

        return notes_of(self)

    @property
    def trusted(self) -> bool:
        """Whether nothing speaks against using the fit (CLI exit code 3 where something does)."""
        return self.certificate.trusted

    def cite(self) -> str:
        """BibTeX of the law and of the methods that this result used."""
        from scalefit.fitting.printing import citations

        return citations(self)

    def to_json(self, path: str | Path | None = None) -> str:
        """Write the result as JSON (and to `path` if given); :func:`scalefit.load_result` reads it back."""
        from scalefit.fitting.schema import document, to_json

        return to_json(document(self), path)

    def to_lmfit(self) -> Any:
        """Return the result as an ``lmfit.minimizer.MinimizerResult``."""
        from scalefit.fitting.lmfit_bridge import to_lmfit

        return to_lmfit(self)

    def __str__(self) -> str:
        from scalefit.fitting.printing import as_text

        return as_text(self)

    def __repr__(self) -> str:
        values = ", ".join(f"{key}={value:.4g}" for key, value in self.params.items())
        return f"<FitResult {self.law.name}: {values}; {self.n_runs} runs>"

    def _repr_html_(self) -> str:
        from scalefit.fitting.printing import as_html

        return as_html(self)
