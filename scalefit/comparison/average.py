"""sf.average: a weighted average of fitted laws that predicts like one of them."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit import __version__
from scalefit._arguments import check_level, check_numbers
from scalefit._calls import explained
from scalefit._typing import Array, ArrayLike
from scalefit.errors import ArgumentError, Note, ScalefitWarning, arg
from scalefit.fitting.citations import cited_once
from scalefit.fitting.result import FitResult, fit_behind
from scalefit.forecasting.result import ForecastResult
from scalefit.laws._declarations import Target
from scalefit.predictor import Held, Predictor

if TYPE_CHECKING:
    import pandas as pd

FORMAT = 1
_KIND = "average"


@explained
@dataclass(frozen=True, eq=False)
class Average:
    """Weighted mean of results. Made by :func:`scalefit.average`; do not create it directly.

    Attributes
    ----------
    results : tuple
        The results.
    weights : ndarray (k,)
        Their weights, which sum to one.
    """

    results: tuple[Any, ...]
    weights: Array

    def predict(self, **inputs: ArrayLike) -> float | Array:
        """Loss [nat/token]: a float for scalars, else an array like the input."""
        parts = [np.asarray(result.predict(**inputs)) for result in self.results]
        blend = np.tensordot(self.weights, np.stack(np.broadcast_arrays(*parts)), axes=1)
        return float(blend) if blend.ndim == 0 else np.asarray(blend)

    def predict_interval(self, *, level: float = 0.9, **inputs: ArrayLike) -> pd.DataFrame:
        """Interval for the loss of a new run: the results' own half-widths and their disagreement, in quadrature.

        Parameters
        ----------
        level : float
            Coverage wanted, between 0 and 1.
        **inputs : array_like
            N [parameters] and D [tokens], or what else the laws read.

        Returns
        -------
        DataFrame
            ``loss``, ``lower``, ``upper`` and ``disagreement``, the weighted standard deviation of the results'
            predictions [nat/token]. Notes on extrapolation are in ``frame.attrs["notes"]``.

        Raises
        ------
        ArgumentError
            level outside (0, 1), or inputs that one of the laws does not read.
        """
        import pandas as pd
        from scipy.special import ndtri

        level = check_level(level)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ScalefitWarning)  # what they warn of is in their notes
            tables = [result.predict_interval(level=level, **inputs) for result in self.results]
        loss = np.stack([table["loss"].to_numpy() for table in tables])
        center = self.weights @ loss
        below = self.weights @ np.stack([(table["loss"] - table["lower"]).to_numpy() for table in tables])
        above = self.weights @ np.stack([(table["upper"] - table["loss"]).to_numpy() for table in tables])
        apart = np.sqrt(self.weights @ (loss - center) ** 2)
        quantile = -float(ndtri((1 - level) / 2))
        out = pd.DataFrame(
            {
                "loss": center,
                "lower": center - _reach(below, quantile * apart),
                "upper": center + _reach(above, quantile * apart),
                "disagreement": apart,
            }
        )
        out.attrs["notes"] = self._named(table.attrs.get("notes", ()) for table in tables)
        return out

    def _named(self, notes: Iterable[Iterable[Note]]) -> list[Note]:
        """Notes of every result, each under its law's name."""
        return [note.about(result.law.name) for result, own in zip(self.results, notes, strict=True) for note in own]

    @property
    def notes(self) -> tuple[Note, ...]:
        """Notes of every result, under its law's name."""
        return tuple(self._named(result.notes for result in self.results))

    @property
    def conventions(self) -> dict[str, Any]:
        """What N, C and the loss count: the same for every result."""
        return dict(self.results[0].conventions or {})

    @property
    def trusted(self) -> bool:
        """Whether every result may be trusted."""
        return all(result.trusted for result in self.results)

    def cite(self) -> str:
        """BibTeX of every law and method behind the average, each once."""
        return cited_once(result.cite() for result in self.results)

    def to_json(self, path: str | Path | None = None) -> str:
        """Write the average as JSON (and to `path` if given); :func:`scalefit.load_result` reads it back.

        Raises
        ------
        DataError
            Nothing can be written there.
        """
        from scalefit.fitting.schema import to_json

        return to_json(self.to_dict(), path)

    def to_dict(self) -> dict[str, Any]:
        """The average as a JSON-compatible dict, with every result."""
        saved = {"kind": _KIND, "format": FORMAT, "scalefit": __version__}
        return {**saved, "weights": self.weights.tolist(), "results": [result.to_dict() for result in self.results]}

    # -- as a Predictor ----------------------------------------------------------------------------------------

    @property
    def law(self) -> None:
        """None: an average has no single law."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Inputs that at least one of the results reads."""
        return tuple(dict.fromkeys(name for result in self.results for name in result.inputs))

    @property
    def held_inputs(self) -> Mapping[str, float]:
        """Inputs fixed at a value: none; see :meth:`at`."""
        return {}

    @property
    def series(self) -> tuple[str, ...]:
        """Series with coefficients of their own: none."""
        return ()

    @property
    def params(self) -> pd.Series[float]:
        """Parameters: none of its own."""
        import pandas as pd

        return pd.Series(dtype=float)

    def draws(self, n: int = 500) -> pd.DataFrame:
        """Draws of the parameters: none, since an average has no parameters."""
        import pandas as pd

        return pd.DataFrame(index=range(0))

    @property
    def target(self) -> Target:
        """What every part predicts."""
        first: Predictor = self.results[0]
        return first.target

    @property
    def calibrated(self) -> bool:
        """Whether its intervals were calibrated on jumps beyond the runs."""
        return False

    @property
    def undetermined(self) -> tuple[str, ...]:
        """Parameters that the runs do not determine."""
        return tuple(dict.fromkeys(name for part in self.results for name in part.undetermined))

    def runs(self) -> dict[str, Array]:
        """Inputs of the runs behind the first result, which are those of all."""
        return dict(self.results[0].runs())

    def seen(self) -> dict[str, tuple[float, float]]:
        """Smallest and largest value of each input, and of C, among the runs."""
        return {name: span for result in reversed(self.results) for name, span in result.seen().items()}

    def correction(self, **inputs: ArrayLike) -> float:
        """Ratio of the prediction to the law's value: 1."""
        return 1.0

    def at(self, **held: Any) -> Held:
        """Return the same average with some inputs fixed; it predicts from the others."""
        return Held(self, held)

    def __repr__(self) -> str:
        parts = (f"{w:.2f} {result.law.name}" for w, result in zip(self.weights, self.results, strict=True))
        return f"<Average of {' + '.join(parts)}>"


@explained
def average(results: Sequence[Any], weights: ArrayLike | None = None) -> Average:
    """Average results that were fitted to the same runs.

    Parameters
    ----------
    results : sequence of FitResult or ForecastResult
        Results on one table, under one objective.
    weights : array_like (k,), optional
        Weights, for instance the column ``weight`` of :func:`scalefit.compare`; equal by default. An average can
        be better than each of its laws, or worse because of one wrong law: compare first.

    Returns
    -------
    Average
        Predicts like a result.

    Raises
    ------
    ArgumentError
        No result, weights that are not allowed, or results of different tables, losses or objectives.

    Examples
    --------
    >>> import numpy as np, scalefit as sf
    >>> N, D = (axis.ravel() for axis in np.meshgrid(np.geomspace(5e7, 1e10, 6), np.geomspace(1e9, 2e11, 6)))
    >>> loss = sf.published("chinchilla", "besiroglu2024").predict(N=N, D=D)
    >>> results = [sf.fit({"N": N, "D": D, "loss": loss}, law) for law in ("chinchilla", "kaplan")]
    >>> sf.average(results, weights=[1, 0]).predict(N=1e9, D=2e10) == results[0].predict(N=1e9, D=2e10)
    True
    """
    found = tuple(results) if isinstance(results, Iterable) else ()
    if not found or not all(isinstance(one, FitResult | ForecastResult) for one in found):
        raise ArgumentError(
            f"average needs a sequence of results of sf.fit or sf.forecast; got {results!r:.80}",
            "nothing was averaged",
            "Pass a list",
        )
    w = np.full(len(found), 1.0) if weights is None else check_numbers("weights", weights)
    if w.shape != (len(found),) or not np.isfinite(w).all() or (w < 0).any() or w.sum() <= 0:
        raise ArgumentError(
            f"{arg('weights', weights)} are not allowed",
            "nothing was averaged",
            f"Give one for each of {len(found)} results, none negative, not all 0",
        )
    first = found[0]
    for other in found[1:]:
        if not np.array_equal(np.sort(first.problem.loss), np.sort(other.problem.loss)):
            raise ArgumentError(
                f"The results are of different tables ({first.problem.loss.size} and {other.problem.loss.size} runs, "
                "or other losses)",
                "nothing was averaged, as their predictions are not comparable",
                "Fit every law to the same table",
            )
        if _unit(first) != _unit(other):
            raise ArgumentError(
                f"The results are in {_unit(first)} and {_unit(other)}", "nothing was averaged", "Fit both in one unit"
            )
        if _objective(first) is not None and _objective(other) not in (None, _objective(first)):
            raise ArgumentError(
                f"The results minimise {_objective(first)} and {_objective(other)}",
                "nothing was averaged",
                "Fit every law with one objective",
            )
    return Average(found, w / w.sum())


def _reach(distance: Array, apart: Array) -> Array:
    """Distance to an end of an interval, widened; an edge of the runs may lie outside the interval of a new run."""
    return np.where(distance < 0, distance + apart, np.hypot(distance, apart))


def _unit(result: Any) -> str:
    return str((result.conventions or {}).get("loss_unit", "nat/token"))


def _objective(result: Any) -> str | None:
    """Objective of a fit; a forecast has its own and may be blended with any."""
    fit = fit_behind(result)
    return None if fit is None else fit.problem.objective.named(fit.law.target.name)
