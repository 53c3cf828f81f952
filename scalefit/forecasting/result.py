"""The result of a forecast: predicts like a fit, with an interval in three parts."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit._arguments import broadcast, check_level
from scalefit._typing import AnyArray, Array, ArrayLike
from scalefit.errors import Note
from scalefit.fitting.covariance import interval_around
from scalefit.fitting.problem import Problem
from scalefit.fitting.solution import with_compute
from scalefit.forecasting.correlated_errors import CorrelatedFit, Discrepancy, predict_correlated
from scalefit.laws._base import Law
from scalefit.laws._inputs import check_inputs
from scalefit.predictor import Held, normal_draws, ranges

if TYPE_CHECKING:
    import pandas as pd

_FAR_RATIO = 500.0
_OFF_LINE = np.log(1.5)


@dataclass(frozen=True, slots=True)
class Spread:
    """How the parts of an interval add up; learned from forecasts of other tables' larger runs.

    Parameters
    ----------
    floor, growth : float
        The law's error beyond the runs is at least floor + growth·ln(C/C_max) [log loss].
    factor : float
        Factor on every standard deviation that makes Student's t cover what it claims.
    freedom : float
        Degrees of freedom of that t.
    """

    floor: float
    growth: float
    factor: float
    freedom: float

    def quantile(self, level: float) -> float:
        """Half-width of an interval in standard deviations."""
        from scipy.special import stdtrit

        return -float(stdtrit(self.freedom, (1 - level) / 2))


@dataclass(frozen=True, eq=False)
class ForecastResult:
    """A forecast. Made by :func:`scalefit.forecast`; not to be built by hand.

    Attributes
    ----------
    law : type of Law
        The law at its core; ``coupled``, or ``power_law:C`` where the table cannot bear it.
    fitted : CorrelatedFit
        Its optimum with errors that neighbours share.
    names : tuple of str
        Names of the law's parameters, in the order of ``fitted.x``.
    reason : str
        Why another law took the coupled one's place; empty where none did.
    conventions : mapping
        What N, C and the loss count.
    """

    law: type[Law]
    problem: Problem
    fitted: CorrelatedFit
    names: tuple[str, ...]
    discrepancy: Discrepancy
    spread: Spread
    row_labels: AnyArray
    conventions: Mapping[str, Any]
    table_notes: tuple[Note, ...] = ()
    reason: str = ""

    # -- values ------------------------------------------------------------------------------------------------

    def _natural(self, x: Array) -> dict[str, Any]:
        values = {key: value.ravel()[0] for key, value in self.problem.values(x[None], 0).items()}
        inverse = {key: 1.0 / unit for key, unit in self.problem.units.items()}
        return self.law.rescale(values, inverse) if self.law.rescale is not None else values

    @cached_property
    def params(self) -> pd.Series[float]:
        """Parameters of the law in natural units; predictions also carry over what the largest runs missed it by."""
        import pandas as pd

        return pd.Series(self._natural(self.fitted.x), dtype=float)

    @cached_property
    def cov(self) -> pd.DataFrame:
        """Posterior covariance of the parameters in natural units."""
        import pandas as pd

        step, x = 1e-30, self.fitted.x
        columns = []
        for i in range(x.size):
            moved = x.astype(complex)
            moved[i] += 1j * step
            columns.append([np.imag(value) / step for value in self._natural(moved).values()])
        jac = np.array(columns).T
        names = list(self.params.index)
        return pd.DataFrame(jac @ self.fitted.cov @ jac.T, index=names, columns=names)

    @cached_property
    def std_errors(self) -> pd.Series[float]:
        """Posterior standard deviations of the parameters."""
        import pandas as pd

        return pd.Series(np.sqrt(np.diag(self.cov)), index=self.params.index)

    def conf_int(self, level: float = 0.9) -> pd.DataFrame:
        """Posterior intervals of the parameters.

        They hold the law's form for true. What they are worth for a larger run is in :meth:`predict_interval`, which is
        calibrated.

        Parameters
        ----------
        level : float
            Probability wanted, between 0 and 1.

        Returns
        -------
        DataFrame
            Columns ``lower`` and ``upper``, a row a parameter: normal, taken in logarithms for parameters that are
            positive by nature.

        Raises
        ------
        ArgumentError
            No level.
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
        """Whether nothing speaks against using the forecast (CLI exit code 3 where something does)."""
        return not any(note.severity == "error" for note in self.notes)

    @cached_property
    def largest_compute(self) -> float:
        """Compute of the largest run [FLOP], at 6 FLOP a parameter and token."""
        raw = self.problem.raw_columns
        return float((raw["C"] if "C" in raw else 6.0 * raw["N"] * raw["D"]).max())

    # -- predictions -------------------------------------------------------------------------------------------

    def _parts(self, inputs: Mapping[str, ArrayLike]) -> tuple[tuple[int, ...], dict[str, Array], dict[str, Array]]:
        """Shape of the answer, flat columns in natural units, and the parts of the prediction."""
        columns = check_inputs(self.law, dict(inputs))
        shape, flat = broadcast(columns)
        scaled = {key: value / self.problem.units[key] for key, value in flat.items()}
        return shape, flat, predict_correlated(self.problem, self.fitted, scaled, self.discrepancy)

    def predict(self, **inputs: ArrayLike) -> float | Array:
        """Loss [nat/token] at the given N [parameters] and D [tokens]: a float for scalars, else an array."""
        shape, _, parts = self._parts(inputs)
        loss = np.exp(parts["log_loss"])
        return float(loss[0]) if shape == () else loss.reshape(shape)

    def predict_interval(self, *, level: float = 0.9, **inputs: ArrayLike) -> pd.DataFrame:
        """Interval for the loss of a new run.

        Parameters
        ----------
        level : float
            Coverage wanted, between 0 and 1.
        **inputs : array_like
            N [parameters] and D [tokens], or C [FLOP] with one of them.

        Returns
        -------
        DataFrame
            ``loss``, ``lower``, ``upper`` [nat/token] and ``se_parameter``, ``se_law``, ``se_noise`` [nat/token]: what
            the law's parameters, its form, and the luck of a run contribute; they add in squares. What to know of
            the jump is in ``frame.attrs["notes"]``.

        Raises
        ------
        ArgumentError
            No level, or inputs that the law does not have or that make no sense.
        """
        import pandas as pd

        level = check_level(level)
        _, flat, parts = self._parts(inputs)
        compute = flat["C"] if "C" in flat else 6.0 * flat["N"] * flat["D"]
        beyond = np.log(np.maximum(compute / self.largest_compute, 1.0))
        s = self.spread
        law = s.factor * np.hypot(parts["law"], s.floor + s.growth * beyond)
        parameter, noise = s.factor * parts["parameter"], s.factor * parts["noise"]
        half = s.quantile(level) * np.sqrt(parameter**2 + law**2 + noise**2)
        loss = np.exp(parts["log_loss"])
        with np.errstate(over="ignore"):  # near level 1 an interval may end beyond all numbers
            lower, upper = loss * np.exp(-half), loss * np.exp(half)
        out = pd.DataFrame(
            {
                "loss": loss,
                "lower": lower,
                "upper": upper,
                "se_parameter": loss * parameter,
                "se_law": loss * law,
                "se_noise": loss * noise,
            }
        )
        out.attrs["notes"] = self._jump_notes(inputs, compute)
        return out

    def _jump_notes(self, inputs: Mapping[str, ArrayLike], compute: Array) -> list[Note]:
        notes = []
        ratio = float(compute.max(initial=0.0) / self.largest_compute)
        if ratio > _FAR_RATIO:
            text = (
                f"The largest prediction is {ratio:.3g} times the largest run's compute. Intervals were calibrated on "
                f"jumps up to {_FAR_RATIO:g}; beyond, they grow as they did up to there, which nobody has checked. "
                f"Train runs nearer to it first (sf.next_runs says which)."
            )
            notes.append(Note("beyond_calibration", "warning", text, {"ratio": ratio}))
        if self.reason and {"N", "D"} <= set(inputs) and "line" in self.conventions:
            intercept, slope = self.conventions["line"]
            off = np.abs(np.log(np.asarray(inputs["D"], float)) - intercept - slope * np.log(inputs["N"]))
            if float(np.max(off)) > _OFF_LINE:
                text = (
                    f"A prediction is a factor of {float(np.exp(np.max(off))):.3g} off the line of D over N that every "
                    f"run follows; this law of compute says nothing there. Add runs at that ratio."
                )
                notes.append(Note("off_line", "error", text))
        return notes

    # -- as a Predictor ----------------------------------------------------------------------------------------

    @property
    def inputs(self) -> tuple[str, ...]:
        """Inputs that the law reads."""
        return tuple(self.law.inputs)

    @property
    def held_inputs(self) -> Mapping[str, float]:
        """Inputs held at a value: none; see :meth:`at`."""
        return {}

    @property
    def series(self) -> tuple[str, ...]:
        """Series with coefficients of their own: none."""
        return ()

    @property
    def calibrated(self) -> bool:
        """Whether its intervals were calibrated on jumps beyond the runs."""
        return True

    def runs(self) -> dict[str, Array]:
        """Inputs of the runs in natural units (n_runs,), and their C [FLOP]."""
        return with_compute(self.problem.raw_columns)

    def seen(self) -> dict[str, tuple[float, float]]:
        """Smallest and largest value of each input, and of C, among the runs."""
        return ranges(self.runs())

    def correction(self, **inputs: ArrayLike) -> float:
        """Ratio of the prediction to the law's value: what the largest runs missed the law by carries over."""
        columns = check_inputs(self.law, dict(inputs))
        law = self.law.evaluate(columns, {str(name): value for name, value in self.params.items()})
        return float(np.asarray(self.predict(**inputs)) / np.asarray(law, float))

    def draws(self, n: int = 500) -> pd.DataFrame:
        """Draws of the law's parameters from the posterior, in natural units: one row per draw."""
        import pandas as pd

        steps = normal_draws(self.fitted.x, self.fitted.cov, n, 0)
        values = {key: value.ravel() for key, value in self.problem.values(steps, 0).items()}
        if self.law.rescale is not None:
            values = self.law.rescale(values, {key: 1.0 / unit for key, unit in self.problem.units.items()})
        frame = pd.DataFrame({name: np.broadcast_to(value, (n,)) for name, value in values.items()})
        frame.attrs["source"] = "posterior"
        return frame

    def at(self, **held: Any) -> Held:
        """The same forecast with inputs held, which predicts from the others."""
        return Held(self, held)

    def to_dict(self) -> dict[str, Any]:
        """The forecast as JSON can hold it, with the runs it was made from."""
        from scalefit.forecasting.schema import document

        return document(self)

    # -- what to make of it ------------------------------------------------------------------------------------

    @cached_property
    def notes(self) -> tuple[Note, ...]:
        """Everything worth knowing before using the numbers, the gravest first."""
        from scalefit.forecasting.text import notes_of

        return notes_of(self)

    def plot(self, path: str | Path | None = None, *, level: float = 0.9, ratio: float = 100.0, ax: Any = None) -> Any:
        """Draw runs and forecast over compute (to `path` if given); see :mod:`scalefit.plots.forecast`."""
        from scalefit._files import save_figure
        from scalefit.plots.forecast import draw_forecast, forecast_data

        axes: Any = draw_forecast(forecast_data(self, level=level, ratio=ratio), ax=ax)
        if path is not None:
            save_figure(axes.figure, path)
        return axes

    def to_json(self, path: str | Path | None = None) -> str:
        """Write the forecast as JSON (and to `path` if given); :func:`scalefit.load_forecast` reads it back."""
        from scalefit.fitting.schema import to_json
        from scalefit.forecasting.schema import document

        return to_json(document(self), path)

    def __str__(self) -> str:
        from scalefit.forecasting.text import as_text

        return as_text(self)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"

    def __repr__(self) -> str:
        values = ", ".join(f"{key}={value:.4g}" for key, value in self.params.items())
        return f"<ForecastResult {self.law.name}: {values}; {self.n_runs} runs>"
