"""Read forecasts from JSON files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from scalefit._calls import explained
from scalefit._digests import KEY, check_digest
from scalefit._records import load_note, not_saved
from scalefit.errors import DataError
from scalefit.fitting.objectives import Objective
from scalefit.fitting.priors import penalty_from_document
from scalefit.fitting.problem import Problem
from scalefit.fitting.schema import law_of, read_saved
from scalefit.forecasting.calibration import IntervalCalibration
from scalefit.forecasting.correlated_errors import Discrepancy, Frontier, assemble
from scalefit.forecasting.repeats import Repeats
from scalefit.forecasting.result import ForecastResult
from scalefit.forecasting.schema import FORMAT, KIND, SavedForecast
from scalefit.laws._base import Law

if TYPE_CHECKING:
    import pandas as pd

#: Errors of log losses, and how they grow, are of the order of one.
_LARGEST = 1e6
#: So are distances of log losses.
_FARTHEST = 100.0


@explained
def load_forecast(path: str | Path, law: str | type[Law] | None = None) -> ForecastResult:
    """Read a forecast that :meth:`ForecastResult.to_json` wrote.

    Parameters
    ----------
    path : str or Path
        The file.
    law : str or type of Law, optional
        The law, where it is not one of scalefit's own: as :func:`scalefit.load_result` takes it.

    Returns
    -------
    ForecastResult
        Predicts as the one saved.

    Raises
    ------
    DataError
        Not a saved forecast, or a newer format.
    """
    raw, name = read_saved(path)
    if isinstance(raw, dict) and KEY in raw and raw.get("format") == FORMAT:
        check_digest(raw, name)
    result = forecast_from(raw, name, law)
    check_digest(raw, name)
    return result


def forecast_from(raw: Any, path: str | Path, law: str | type[Law] | None = None) -> ForecastResult:
    """Return the forecast that a file contains."""
    if not isinstance(raw, dict) or raw.get("kind") != KIND or raw.get("format") != FORMAT:
        raise DataError(
            f"{path} is not a forecast of format {FORMAT}",
            "it was not read",
            "Use load_result for fits, or forecast and save again",
        )
    try:
        saved = SavedForecast.model_validate_json(json.dumps(raw))
    except ValidationError as error:
        raise not_saved(path, error, "forecast") from error
    law = law_of(saved.law, law, path)
    n, p = len(saved.loss), len(law.parameters)
    lengths = {
        n,
        len(saved.share),
        len(saved.raised or saved.share),
        len(saved.row_labels),
        *(len(column) for column in saved.columns.values()),
    }
    numbers = [*saved.columns.values(), saved.loss, list(saved.units.values()), saved.weights or [1.0]]
    positive = all(0 < value < float("inf") for column in numbers for value in column)
    same = set(saved.columns) == set(saved.units) == set(law.inputs) and saved.names == list(law.parameters)
    if lengths != {n} or len(saved.x) != p or not same or not positive:
        raise DataError(
            f"{path} does not fit the law {law.name}: its columns or parameters differ",
            "it was not read",
            "Forecast and save again",
        )
    try:
        with np.errstate(all="ignore"):
            result = _restored(saved, law, path)
            agrees = _agree(result.params, saved.params, 1e-6) and _agree(result.std_errors, saved.std_errors, 1e-4)
            first: dict[str, Any] = {key: saved.columns[key][0] * saved.units[key] for key in law.inputs}
            result.predict_interval(**first)
            _ = result.notes
    except (
        KeyError,
        TypeError,
        ValueError,
        IndexError,
        ArithmeticError,
        AttributeError,
        np.linalg.LinAlgError,
    ) as error:
        raise not_saved(path, error, "forecast") from error
    if not agrees:
        raise DataError(
            f"{path} was changed: its parameters or their errors disagree with the optimum and the runs it holds",
            "it was not read",
            "Forecast again",
        )
    return result


def _agree(found: pd.Series[float], saved: Mapping[str, float | None], rtol: float) -> bool:
    """Whether what follows from a file's optimum and runs is what it says itself."""
    told = {str(key): float(value) for key, value in found.items()}
    kept = {key: np.nan if value is None else value for key, value in saved.items()}
    return set(told) == set(kept) and all(np.isclose(told[k], kept[k], rtol=rtol, atol=0, equal_nan=True) for k in kept)


def _restored(saved: SavedForecast, law: type[Law], path: str | Path) -> ForecastResult:
    """Build the forecast that a file describes."""
    n, p = len(saved.loss), len(law.parameters)
    problem = Problem(
        law=law,
        columns={key: np.array(saved.columns[key]) for key in law.inputs},
        loss=np.array(saved.loss),
        objective=Objective("huber", 0.01, "log_loss"),
        weights=None if saved.weights is None else np.array(saved.weights),
        groups=(np.arange(n),),
        index=np.arange(p)[None],
        fixed=np.zeros((1, p)),
        units=saved.units,
        penalty=None if saved.prior is None else penalty_from_document(saved.prior),
    )
    about, spread = _sizes(saved, path)
    frontier = Frontier(np.array(saved.raised or [0.0] * n), saved.luck)  # none in files from before it was kept
    if not all(0 <= value < _FARTHEST for value in (*frontier.raised, frontier.luck)):
        raise DataError(f"{path}: its frontier is not one", "it was not read", "Forecast and save again")
    return ForecastResult(
        law=law,
        problem=problem,
        fitted=assemble(problem, np.array(saved.x), np.array(saved.share), frontier, about, saved.converged),
        names=tuple(saved.names),
        discrepancy=about,
        spread=spread,
        row_labels=np.array(saved.row_labels),
        conventions=saved.conventions,
        table_notes=tuple(load_note(note) for note in saved.table_notes),
        reason=saved.reason,
        recipe_spread=saved.recipe_spread,
        repeats=None
        if saved.repeats is None
        else Repeats(**{**saved.repeats, "seen": np.array(saved.repeats["seen"], float)}),
    )


def _sizes(saved: SavedForecast, path: str | Path) -> tuple[Discrepancy, IntervalCalibration]:
    sizes = {**saved.discrepancy, **saved.spread}
    strange = [key for key, value in sizes.items() if not abs(value) < _LARGEST]
    strange += [
        key for key in ("amplitude", "length", "noise", "frontier", "freedom", "pivot") if sizes.get(key, 1) <= 0
    ]
    if strange:
        raise DataError(
            f"{path}: its {strange[0]} cannot be {sizes[strange[0]]:.3g}", "it was not read", "Forecast and save again"
        )
    try:
        rounds = int(saved.discrepancy["rounds"])
        about = Discrepancy(**{**saved.discrepancy, "rounds": rounds})  # type: ignore[arg-type]
        return about, IntervalCalibration(**saved.spread)
    except (TypeError, KeyError) as error:
        raise DataError(
            f"{path}: its discrepancy or spread is not one ({error})", "it was not read", "Save again"
        ) from error
