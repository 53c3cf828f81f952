"""The result of a forecast: predicts like a fit, with an interval in three parts; its notes and its printed page."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from scalefit._arguments import check_level, one_of
from scalefit._calls import explained
from scalefit._typing import AnyArray, Array, ArrayLike
from scalefit.errors import ArgumentError, Note, arg
from scalefit.fitting.covariance import interval_around
from scalefit.fitting.noise import with_compute
from scalefit.fitting.problem import Problem
from scalefit.flops import FlopConvention
from scalefit.forecasting import correlated_errors as errors
from scalefit.forecasting import posterior
from scalefit.forecasting import repeats as repeating
from scalefit.forecasting.calibration import IntervalCalibration
from scalefit.forecasting.costs import costs_of, counted
from scalefit.forecasting.larger import compute_optimal, larger_runs
from scalefit.forecasting.notes import ForecastFacts, jump_notes, notes_of
from scalefit.forecasting.own_discrepancy import interval_parts, own_discrepancy
from scalefit.forecasting.own_noise import Step, oddness, own_noise, scatter_of, step_at_the_largest
from scalefit.forecasting.text import as_text
from scalefit.laws._base import Law
from scalefit.laws._declarations import Target
from scalefit.laws._inputs import check_inputs
from scalefit.predictor import Held, Predictor, ranges

if TYPE_CHECKING:
    import pandas as pd


@explained
@dataclass(frozen=True, eq=False)
class ForecastResult:
    """A forecast. Made by :func:`scalefit.forecast`; do not create it directly.

    Attributes
    ----------
    law : type of Law
        The law at its core: the one asked for, ``coupled``, or ``power_law:C`` where the table does not identify it.
    fitted : CorrelatedFit
        Its optimum with errors that neighbouring runs share.
    names : tuple of str
        Names of the law's parameters, in the order of ``fitted.x``.
    reason : str
        Why another law replaced the coupled one; empty otherwise.
    conventions : mapping
        What N, C and the loss count.
    recipe_spread : float
        Standard deviation between recipes mixed in the table [log loss], part of every interval.
    repeats : Repeats or None
        What the table says about repeated tokens; None without any.
    """

    law: type[Law]
    problem: Problem
    fitted: errors.CorrelatedFit
    names: tuple[str, ...]
    discrepancy: errors.Discrepancy
    spread: IntervalCalibration
    row_labels: AnyArray
    conventions: Mapping[str, Any]
    table_notes: tuple[Note, ...] = ()
    reason: str = ""
    recipe_spread: float = 0.0
    repeats: repeating.Repeats | None = None

    # -- values ------------------------------------------------------------------------------------------------

    @cached_property
    def params(self) -> pd.Series[float]:
        """Parameters of the law in natural units; predictions add a correction learned from the runs' residuals."""
        import pandas as pd

        return pd.Series(posterior.natural(self, self.fitted.x), dtype=float)

    @cached_property
    def cov(self) -> pd.DataFrame:
        """Posterior covariance of the parameters in natural units."""
        return posterior.covariance(self)

    @cached_property
    def std_errors(self) -> pd.Series[float]:
        """Posterior standard deviations of the parameters."""
        import pandas as pd

        return pd.Series(np.sqrt(np.diag(self.cov)), index=self.params.index)

    def conf_int(self, level: float = 0.9) -> pd.DataFrame:
        """Posterior intervals of the parameters, given the law's form; larger runs: see :meth:`predict_interval`.

        Parameters
        ----------
        level : float
            Probability wanted, between 0 and 1.

        Returns
        -------
        DataFrame
            Columns ``lower`` and ``upper``, one row per parameter: normal, taken in logarithms for parameters that are
            positive by nature.

        Raises
        ------
        ArgumentError
            level outside (0, 1).
        """
        from scipy.special import ndtri

        tail = (1 - check_level(level)) / 2
        return interval_around(self.law, self.params, -float(ndtri(tail)) * self.std_errors)

    def cite(self) -> str:
        """BibTeX of the law and of the methods that this forecast used."""
        from scalefit.fitting.citations import citation_entries

        return "\n".join(citation_entries(self.law, self.problem.objective))

    @property
    def n_runs(self) -> int:
        """Runs in the fit."""
        return int(self.problem.loss.size)

    @property
    def success(self) -> bool:
        """Whether the search converged."""
        return self.fitted.converged

    @property
    def trusted(self) -> bool:
        """Whether the forecast can be trusted (CLI exit code 3 if not)."""
        return not any(note.severity == "error" for note in self.notes)

    @cached_property
    def largest_compute(self) -> float:
        """Compute of the largest run [FLOP], as the table counts it; NaN where nothing says what a run costs."""
        return float(max(counted(self).get("C", [math.nan])))

    @cached_property
    def cost(self) -> FlopConvention:
        """What ties C to N and D: as the runs' table counts it."""
        return costs_of(self.conventions, self.law.flops)

    # -- scatter and noise of the table itself -------------------------------------------------------------------

    @cached_property
    def _own(self) -> tuple[errors.Discrepancy, errors.CorrelatedFit, float, float]:
        """What :func:`scalefit.forecasting.own_noise.own_noise` says of this table."""
        if self.spread.reach == 0:  # files from before the noise was estimated from the table
            return self.discrepancy, self.fitted, 0.0, 0.0
        return own_noise(self.problem, self.fitted, self.discrepancy)

    @cached_property
    def _shown(self) -> tuple[errors.Discrepancy, errors.CorrelatedFit, float]:
        """What :func:`scalefit.forecasting.own_discrepancy.own_discrepancy` says of this table."""
        return own_discrepancy(self.problem, self.fitted, *self._own[:3], self.spread.amplitude_sd)

    @cached_property
    def noise_scale(self) -> float:
        """The table's own noise over the one learned from other tables."""
        return self._own[0].noise / self.discrepancy.noise

    @cached_property
    def scatter(self) -> float:
        """Scatter of the runs about law and forecast [log loss], drawn towards the usual."""
        return self.spread.shrunk(self._scatter, self.n_runs)

    @cached_property
    def _scatter(self) -> float:
        return scatter_of(self.problem, self.fitted, self.discrepancy, self.spread.pivot)

    @cached_property
    def widening(self) -> float:
        """Factor on intervals beyond the runs that follows from :attr:`scatter`."""
        return self.spread.widening(self._scatter, self.n_runs, compute_law=bool(self.reason))

    # -- predictions -------------------------------------------------------------------------------------------

    def _columns(self, inputs: Mapping[str, ArrayLike]) -> tuple[tuple[int, ...], dict[str, Array], dict[str, Array]]:
        """Shape of the answer, flat columns in natural units, and in the problem's units with repeats counted."""
        shape, flat, worth = repeating.columns_of(self, inputs)
        found = flat if worth is None else {**flat, ("D" if "D" in self.law.inputs else "C"): worth}
        return shape, flat, {key: found[key] / self.problem.units[key] for key in self.law.inputs}

    def predict(self, **inputs: ArrayLike) -> float | Array:
        """Loss [nat/token] at the given N [parameters] and D [tokens]: a float for scalars, else an array.

        Tokens beyond ``unique_tokens`` [tokens] are seen again; without it, beyond those of a table that repeats any.
        """
        shape, _, scaled = self._columns(inputs)
        loss = np.exp(errors.predict_correlated(self.problem, self._own[1], scaled, self._own[0])["log_loss"])
        return float(loss[0]) if shape == () else loss.reshape(shape)

    def predict_interval(
        self, *, level: float = 0.9, kind: Literal["new_run", "mean"] = "new_run", **inputs: ArrayLike
    ) -> pd.DataFrame:
        """Interval for the loss of a new run, or for the mean of many.

        Parameters
        ----------
        level : float
            Coverage wanted, between 0 and 1.
        kind : {"new_run", "mean"}
            With the noise of one run, or without.
        **inputs : array_like
            N [parameters] and D [tokens], or C [FLOP] with one of them; ``unique_tokens`` as :meth:`predict` takes it.

        Returns
        -------
        DataFrame
            ``loss``, ``lower``, ``upper`` [nat/token] and ``se_parameter``, ``se_law``, ``se_noise`` [nat/token]: what
            the law's parameters, its form, and the noise of a run contribute; they add in quadrature, around a
            middle above the loss beyond the runs (the posterior is skewed). Notes are in ``frame.attrs["notes"]``.

        Raises
        ------
        ArgumentError
            level outside (0, 1), or an unknown or non-positive input.
        """
        import pandas as pd

        level = check_level(level)
        if not one_of(kind, ("new_run", "mean")):
            raise ArgumentError(f"{arg('kind', kind)} is unknown", "nothing was predicted", "Pass 'new_run' or 'mean'")
        (_, flat, scaled), epochs = self._columns(inputs), np.ones(1)
        loss, parameter, law, noise, moved = interval_parts(self, scaled)
        if "unique_tokens" in flat:
            law, epochs = repeating.widened(self, flat, law)
        if kind == "mean":
            noise = np.zeros_like(noise)
        half = self.spread.quantile(level) * np.sqrt(parameter**2 + law**2 + noise**2)
        middle = np.clip(moved, -half, half)  # at any level the forecast lies within
        with np.errstate(over="ignore"):  # near level 1 an interval may end beyond all numbers
            lower, upper = loss * np.exp(middle - half), loss * np.exp(middle + half)
        if (epochs > 1).any():  # no token teaches more when seen again than a new one does
            new = self.predict_interval(level=level, kind=kind, N=flat["N"], D=flat["D"], unique_tokens=flat["D"])
            lower = np.maximum(lower, new["lower"])
        upper = np.where(unbounded := repeating.open_above(epochs, half), np.inf, upper)
        parts = {"se_parameter": loss * parameter, "se_law": loss * law, "se_noise": loss * noise}
        out = pd.DataFrame({"loss": loss, "lower": lower, "upper": upper, **parts})
        ratio = errors.compute(scaled) / errors.compute(self.problem.columns).max()
        notes = jump_notes(self.reason, self.conventions, inputs, ratio)
        out.attrs["notes"] = [*notes, *repeating.point_notes(epochs, unbounded)]
        return out

    def frontier(self, C: ArrayLike, unique_tokens: float | None = None) -> dict[str, Array]:
        """Compute-optimal inputs (m,) by the fitted law at budgets C (m,) [FLOP]; tokens repeat as in `predict`."""
        unique = self.repeats.unique if unique_tokens is None and self.repeats is not None else unique_tokens
        return compute_optimal(self.law, self.params, np.atleast_1d(np.asarray(C, float)), self.cost, unique)

    def larger_runs(self, ratio: ArrayLike) -> dict[str, Array]:
        """Inputs (m,) of runs `ratio` (m,) times the largest: compute-optimal ones, or the law's one input scaled."""
        return larger_runs(self, np.atleast_1d(np.asarray(ratio, float)))

    # -- as a Predictor ----------------------------------------------------------------------------------------

    @property
    def inputs(self) -> tuple[str, ...]:
        """Inputs that the law reads."""
        return tuple(self.law.inputs)

    @property
    def held_inputs(self) -> Mapping[str, float]:
        """Inputs fixed at a value: the distinct tokens, where :meth:`at` was given them."""
        return {"unique_tokens": self.repeats.unique} if self.repeats is not None and self.repeats.given else {}

    @property
    def series(self) -> tuple[str, ...]:
        """Series with coefficients of their own: none."""
        return ()

    @property
    def target(self) -> Target:
        """What is predicted; a loss in the unit of the runs."""
        return self.law.target.in_unit(self.conventions.get("loss_unit"))

    @property
    def calibrated(self) -> bool:
        """Whether its intervals were calibrated on jumps beyond the runs."""
        return True

    @property
    def undetermined(self) -> tuple[str, ...]:
        """Parameters that the runs do not determine."""
        return ()

    def runs(self) -> dict[str, Array]:
        """Inputs of the runs in natural units (n_runs,), and their C [FLOP]."""
        as_seen = {} if self.repeats is None else {self.repeats.of: self.repeats.seen}
        return with_compute({**self.problem.raw_columns, **as_seen})

    def seen(self) -> dict[str, tuple[float, float]]:
        """Smallest and largest value of each input, and of C, among the runs."""
        return ranges(self.runs())

    def correction(self, **inputs: ArrayLike) -> float:
        """Ratio of the prediction to the law's value, all tokens new: learned from the runs' residuals."""
        columns = check_inputs(self.law, dict(inputs))
        law = self.law.evaluate(columns, {str(name): value for name, value in self.params.items()})
        new = {} if self.repeats is None else {"unique_tokens": columns["D"]}
        return float(np.asarray(self.predict(**inputs, **new)) / np.asarray(law, float))

    def draws(self, n: int = 500) -> pd.DataFrame:
        """Draws of the law's parameters from the posterior, in natural units: one row per draw."""
        return posterior.draws(self, n)

    def at(self, **held: Any) -> Predictor:
        """The same forecast with some inputs fixed, ``unique_tokens`` [tokens] among them."""
        found, rest = repeating.drawing_on(self, held)
        return Held(found, rest) if rest or found is self else found

    # -- what to make of it ------------------------------------------------------------------------------------

    @cached_property
    def notes(self) -> tuple[Note, ...]:
        """What to know before you use the numbers, the most severe first."""
        about = (self.row_labels, self.table_notes, self.widening, self.scatter)
        odd = oddness(self.problem, self.fitted, self.discrepancy)
        return notes_of(ForecastFacts(self.problem, self.fitted, self.names, *about, odd, self.step), self.spread)

    @cached_property
    def step(self) -> Step:
        """How far the runs of the largest size, or of most compute, lie above what the others say."""
        return step_at_the_largest(self.problem, self.fitted, *self._own[:3])

    def plot(
        self,
        path: str | Path | None = None,
        *,
        level: float = 0.9,
        ratio: float = 100.0,
        at: Mapping[str, Any] | str | Sequence[Mapping[str, Any] | str] = (),
        log_y: bool = False,
        ax: Any = None,
    ) -> Any:
        """Draw runs and forecast over compute (to `path` if given).

        `at` marks runs with their intervals: ``{"N": 7e9, "D": 1.4e11}``, ``{"C": 1e22}`` at the best N and D,
        ``"10x"`` the largest run, or several in a list. `log_y` makes the axis of the loss logarithmic.
        """
        from scalefit._files import save_figure
        from scalefit.forecasting.figures import forecast_data
        from scalefit.plots.forecast import draw_forecast

        axes: Any = draw_forecast(forecast_data(self, level=level, ratio=ratio, at=at), ax=ax, log_y=log_y)
        if path is not None:
            save_figure(axes.figure, path)
        return axes

    def to_dict(self) -> dict[str, Any]:
        """Return the forecast as plain data, ready for JSON."""
        from scalefit.forecasting.schema import document

        return document(self)

    def to_json(self, path: str | Path | None = None) -> str:
        """Write the forecast as JSON (and to `path` if given); :func:`scalefit.load_forecast` reads it back."""
        from scalefit.fitting.schema import to_json

        return to_json(self.to_dict(), path)

    def register(self, path: str | Path, *, level: float = 0.9, **inputs: float) -> dict[str, Any]:
        """Write down the prediction for one run before it is trained, to be scored after it.

        Without inputs the run is the compute-optimal one at ten times the compute of the largest run (for a law of
        one input, ten times its largest value). See :func:`scalefit.forecasting.registration.registered`.
        """
        from scalefit.forecasting.registration import registered

        if not inputs:
            inputs = {key: float(value[0]) for key, value in self.larger_runs(10.0).items()}
        if self.repeats is not None:  # part of what is claimed
            inputs = {"unique_tokens": self.repeats.unique, **inputs}
        return registered(partial(self.predict_interval, level=level), self.to_dict(), path, level=level, inputs=inputs)

    def __str__(self) -> str:
        return self.text()

    def text(self, level: float = 0.9) -> str:
        """Return the printed forecast, with intervals of a level."""
        return as_text(self, level)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"

    def __repr__(self) -> str:
        values = ", ".join(f"{key}={value:.4g}" for key, value in self.params.items())
        runs = f"{self.n_runs} runs{'' if self.trusted else '; not to be trusted'}"
        return f"<ForecastResult {self.law.name}: {values}; {runs}>"
