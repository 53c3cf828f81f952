"""The result of a fit: frozen, typed by pandas, and able to print whether to believe it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit._arguments import LEVEL, check_level, one_of
from scalefit._calls import explained
from scalefit._files import save_figure
from scalefit._typing import Array, ArrayLike, Seed
from scalefit.errors import ArgumentError, Note, arg
from scalefit.fitting.clusters import (
    FEW_CLUSTERS,
    Shared,
    clustered,
    conf_int,
    detect,
    draws_for_intervals,
    labels_of,
)
from scalefit.fitting.solution import Solution
from scalefit.predictor import Held, Kind, behind

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from scalefit.fitting.summary import Summary


@explained
@dataclass(frozen=True, eq=False)
class FitResult(Solution):
    """A fitted law. Made by :func:`scalefit.fit`; do not create it directly.

    Its numbers (``params``, ``std_errors``, ``cov``, ``conf_int``, ``predict``, ``draws``, ``seen``, and the fields
    ``law``, ``problem``, ``x``, ``names``, ``certificate``, ``row_labels``, ``conventions``) are those of
    :class:`scalefit.fitting.solution.Solution`; this class adds the public methods.
    """

    @cached_property
    def free_cov(self) -> Array:
        """Covariance (p, p) of the engine's variables: of the draws, of clustered runs, else the sandwich."""
        if self.resamples is None and self.shared_noise is not None:
            return np.asarray(self.shared_noise.covariance)
        return super().free_cov

    @cached_property
    def interval_draws(self) -> Array | None:
        """Draws (n, p) behind the intervals: the bootstrap's, or refits where a covariance is not enough; else None."""
        return self.resamples if self.resamples is not None else draws_for_intervals(self)

    @cached_property
    def shared_noise(self) -> Shared | None:
        """Noise that runs of one C, N or D share, found from the residuals; None if none is found."""
        return detect(self)

    def by_covariance(self) -> FitResult:
        """Return this result with intervals from its covariance alone, without automatic refits."""
        plain = replace(self)
        if plain.resamples is None:
            plain.__dict__["interval_draws"] = None
        return plain

    def conf_int(self, level: float = LEVEL, cluster: Any = None) -> pd.DataFrame:
        """Confidence intervals of the parameters.

        Parameters
        ----------
        level : float
            Coverage wanted, between 0 and 1.
        cluster : Series or array_like (n_runs,), optional
            Labels of runs that share their noise, as for :meth:`bootstrap`: robust errors by cluster, with Student's t
            for few clusters. By default scalefit looks for noise that runs of one budget or size share.

        Returns
        -------
        DataFrame
            Columns ``lower`` and ``upper``. Percentiles of the bootstrap draws if there are any; else Student's t
            with robust errors, taken in logarithms for parameters that are positive by nature. Where a parameter ended
            at its bound, or an exponent is poorly determined, percentiles of refits are used. Every interval ends at
            the parameter's bounds.
        """
        return conf_int(self, check_level(level), cluster)

    def bootstrap(
        self,
        n: int = 4000,
        seed: Seed = None,
        cluster: Any = None,
        progress: Callable[[int, int], None] | None = None,
        workers: int = 1,
    ) -> FitResult:
        """Return this result with intervals from refits to resampled runs.

        Parameters
        ----------
        n : int
            Resamples.
        seed : int, Generator or RandomState, optional
            With a ``RandomState`` rs, resample k is ``rs.choice(n_runs, n_runs)``.
        cluster : Series, array_like (n_runs,) or "shared", optional
            Labels of runs that belong together (checkpoints of one trajectory): whole clusters are drawn. A Series is
            matched to the runs by its index; anything else is in the order of ``row_labels``. With ``"shared"`` they
            are the runs of one N, D or C if the fit finds that those share their noise. Fewer than 8 clusters are not
            drawn: errors by cluster stand in, with Student's t.
        progress : callable, optional
            Called with (done, total) as refits finish.
        workers : int
            Threads that refit; the draws do not depend on it.

        Returns
        -------
        FitResult
            A new result; this one is unchanged.
        """
        from scalefit.fitting.bootstrap import bootstrap_draws

        if not isinstance(n, (int, np.integer)) or n < 2:
            raise ArgumentError(
                f"{arg('n', n)} must be a whole number of resamples, 2 or more", "nothing was resampled", "Give 1000"
            )
        if self.tangent is not None:
            raise ArgumentError(
                "Fits with expression constraints have robust errors only",
                "nothing was resampled",
                "Tie parameters plainly to bootstrap",
            )
        if one_of(cluster, ("shared",)):
            if self.shared_noise is not None and self.shared_noise.n_clusters < FEW_CLUSTERS:
                return replace(self, resamples=None, draws_about=None)
            cluster = None if self.shared_noise is None else self.shared_noise.labels
        labels = None if cluster is None else labels_of(self, cluster)
        if labels is not None:
            if labels.max() + 1 < FEW_CLUSTERS:  # too few to draw from: errors by cluster, Student's t for so few
                few = replace(self)
                few.__dict__["shared_noise"] = clustered(self, labels, "cluster")
                return few
        draws, failed = bootstrap_draws(self, int(n), self.seed if seed is None else seed, labels, progress, workers)
        about = {"n": int(n), "failed": failed, "clusters": cluster is not None}
        return replace(self, resamples=draws, draws_about=about)

    def profile(self, name: str, values: ArrayLike | None = None, n: int = 31) -> pd.DataFrame:
        """Objective along one parameter, the others refitted.

        Parameters
        ----------
        name : str
            A free parameter.
        values : array_like, optional
            Values of the parameter; by default `n` of them over its interval of level 0.9999.
        n : int
            How many values by default.

        Returns
        -------
        DataFrame
            Columns ``value`` and ``objective_value``. Use its shape only: a likelihood interval from it is too narrow
            where the noise differs between runs.

        Raises
        ------
        ArgumentError
            Not a free parameter of a plain fit, no interval to cover, or values that the parameter cannot take.
        """
        from scalefit.fitting.profiles import profile

        return profile(self, name, values, n)

    def predict_interval(
        self, *, level: float = 0.9, series: str | None = None, kind: Kind = "new_run", **inputs: ArrayLike
    ) -> pd.DataFrame:
        """Interval for a new run at the given inputs, or for the law's own value with ``kind="mean"``.

        On the scale of the law's target: see :mod:`scalefit.fitting.intervals`.
        """
        from scalefit.fitting.intervals import predict_interval

        return predict_interval(self, level=level, series=series, kind=kind, **inputs)

    def plot(
        self, path: str | Path | None = None, *, level: float = 0.9, log_y: bool = False, ax: Axes | None = None
    ) -> Any:
        """Draw the fit over compute, its residuals, and the profile of a parameter.

        Parameters
        ----------
        path : str or Path, optional
            Where to write the figure; its suffix names the format.
        level : float
            Coverage of the band for a new run.
        log_y : bool
            Make the axis of the loss logarithmic.
        ax : matplotlib.axes.Axes, optional
            Draw the first panel alone, here. :func:`scalefit.plot` draws several fits, out to a planned run.

        Returns
        -------
        matplotlib.figure.Figure or matplotlib.axes.Axes
            The figure, or `ax`. The panels are drawn by :mod:`scalefit.plots.fits`, each of which also takes an
            ``ax``, from the data of :mod:`scalefit.fitting.figures`.
        """
        from scalefit.fitting.figures import draw_panel, draw_result

        drawn: Any = (
            draw_result(self, level=level, log_y=log_y)
            if ax is None
            else draw_panel(self, ax, level=level, log_y=log_y)
        )
        if path is not None:
            save_figure(drawn if ax is None else drawn.figure, path)
        return drawn

    # -- what to make of it ------------------------------------------------------------------------------------

    @cached_property
    def notes(self) -> tuple[Note, ...]:
        """What to know before you use the numbers."""
        from scalefit.fitting.diagnostics import notes_of

        return notes_of(self)

    @cached_property
    def statistics(self) -> pd.Series[float]:
        """Runs, free parameters, objective, log likelihood, AIC, AICc, BIC, R2, and the size of the residuals.

        The likelihood is the one that the objective stands for, of the target itself, with the scale of the residuals
        as one more parameter (:mod:`scalefit.fitting.likelihood`); so AIC and BIC compare fits to the same runs by
        other laws, objectives and scales. They take runs as independent: on runs that share noise, a difference of a
        few units shows nothing (:func:`scalefit.compare` tests on held-out runs). R2 is the explained share of the
        spread on the objective's scale; it says little, since a wrong law reaches 0.99 too. NaN where undefined.
        """
        import pandas as pd

        from scalefit.fitting.likelihood import statistics

        return pd.Series(statistics(self), dtype=float)

    def summary(self, level: float = LEVEL) -> Summary:
        """Return the printed page, the statistics, a table of the parameters and LaTeX, in one object.

        Examples
        --------
        >>> import scalefit as sf
        >>> runs = sf.load_dataset("scalefit_cpu").query("kind == 'branch' and series == 'markov'")
        >>> found = sf.fit(runs, "chinchilla").summary()
        >>> found.table.round(3).loc["E"].to_dict()
        {'value': 2.344, 'se': 0.01, 'lower': 2.323, 'upper': 2.366}
        """
        from scalefit.fitting.summary import summary

        return summary(self, self.notes, level)

    def to_latex(self, level: float = LEVEL) -> str:
        """The parameters with errors and intervals as a LaTeX table (booktabs)."""
        return self.summary(level).to_latex()

    def cite(self) -> str:
        """BibTeX of the law and of the methods that this result used."""
        from scalefit.fitting.citations import citation_entries

        return "\n".join(citation_entries(self.law, self.problem.objective))

    def at(self, **held: Any) -> Held:
        """Return the same result with some inputs fixed; it predicts from the others: ``result.at(n_experts=8)``.

        Raises
        ------
        ArgumentError
            The law does not read the input.
        """
        return Held(self, held)

    def to_dict(self) -> dict[str, Any]:
        """The result as a JSON-compatible dict, with the runs it was fitted to."""
        from scalefit.fitting.schema import document

        return document(self, self.notes)

    def to_json(self, path: str | Path | None = None) -> str:
        """Write the result as JSON (and to `path` if given); :func:`scalefit.load_result` reads it back."""
        from scalefit.fitting.schema import to_json

        return to_json(self.to_dict(), path)

    def to_lmfit(self) -> Any:
        """Return the result as an ``lmfit.minimizer.MinimizerResult``."""
        from scalefit.fitting.lmfit_bridge import to_lmfit

        return to_lmfit(self)

    def __str__(self) -> str:
        from scalefit.fitting.printing import as_text

        return as_text(self, self.notes)

    def __repr__(self) -> str:
        values = ", ".join(f"{key}={value:.4g}" for key, value in self.params.items())
        doubt = "" if self.trusted else "; not to be trusted"
        return f"<FitResult {self.law.name}: {values}; {self.n_runs} runs{doubt}>"

    def _repr_html_(self) -> str:
        from scalefit.fitting.printing import as_html

        return as_html(self, self.notes)


def fit_behind(predictor: object) -> FitResult | None:
    """The fit behind a predictor, some of its inputs held or not; None behind forecasts, averages and constants."""
    return behind(predictor, FitResult)
