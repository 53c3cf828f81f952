"""Forecasts as JSON files: strict, versioned, with the runs they were made from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from scalefit import __version__
from scalefit.errors import ArgumentError, DataError
from scalefit.fitting.objectives import Objective
from scalefit.fitting.priors import penalty_from_document
from scalefit.fitting.problem import Problem
from scalefit.fitting.schema import SavedNote, Strict, load_note, plain_label, read_saved, save_note
from scalefit.forecasting.correlated_errors import Discrepancy, assemble
from scalefit.forecasting.result import ForecastResult, Spread
from scalefit.laws import get

FORMAT = 1
_KIND = "forecast"


class _SavedForecast(Strict):
    """The file's schema, format 1."""

    kind: str
    format: int
    scalefit: str
    law: str
    reason: str
    n_runs: int
    params: dict[str, float]
    std_errors: dict[str, float]
    trusted: bool
    notes: list[SavedNote]
    x: list[float]
    names: list[str]
    columns: dict[str, list[float]]
    units: dict[str, float]
    loss: list[float]
    weights: list[float] | None
    share: list[float]
    converged: bool
    prior: dict[str, Any] | None
    discrepancy: dict[str, float]
    spread: dict[str, float]
    row_labels: list[Any]
    conventions: dict[str, Any]
    table_notes: list[SavedNote]


def document(result: ForecastResult) -> dict[str, Any]:
    """Return the forecast as plain data, ready for JSON."""
    problem, fitted = result.problem, result.fitted
    saved = _SavedForecast(
        kind=_KIND,
        format=FORMAT,
        scalefit=__version__,
        law=result.law.name,
        reason=result.reason,
        n_runs=result.n_runs,
        params={str(key): float(value) for key, value in result.params.items()},
        std_errors={str(key): float(value) for key, value in result.std_errors.items()},
        trusted=result.trusted,
        notes=[save_note(note) for note in result.notes],
        x=fitted.x.tolist(),
        names=list(result.names),
        columns={key: column.tolist() for key, column in problem.columns.items()},
        units=dict(problem.units),
        loss=problem.loss.tolist(),
        weights=None if problem.weights is None else problem.weights.tolist(),
        share=fitted.share.tolist(),
        converged=fitted.converged,
        prior=None if problem.penalty is None else problem.penalty.document(),
        discrepancy={name: float(getattr(result.discrepancy, name)) for name in Discrepancy.__dataclass_fields__},
        spread={name: float(getattr(result.spread, name)) for name in Spread.__dataclass_fields__},
        row_labels=[plain_label(label) for label in result.row_labels],
        conventions=dict(result.conventions),
        table_notes=[save_note(note) for note in result.table_notes],
    )
    return saved.model_dump(mode="json")


def load_forecast(path: str | Path) -> ForecastResult:
    """Read a forecast that :meth:`ForecastResult.to_json` wrote.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    ForecastResult
        Predicts as the one saved.

    Raises
    ------
    DataError
        Not such a file, or written by a newer format.
    """
    return forecast_from(*read_saved(path))


def forecast_from(raw: Any, path: str | Path) -> ForecastResult:
    """Return the forecast that a file held."""
    if not isinstance(raw, dict) or raw.get("kind") != _KIND or raw.get("format") != FORMAT:
        raise DataError(
            f"{path} is not a forecast of format {FORMAT}, and was not read. Use load_result for fits, or forecast "
            "and save again."
        )
    try:
        saved = _SavedForecast.model_validate_json(json.dumps(raw))
        law = get(saved.law)
    except (ValidationError, ArgumentError) as error:
        raise DataError(
            f"{path} was not read: it is no saved forecast ({str(error).splitlines()[0]}). Forecast and save again."
        ) from error
    n, p = len(saved.loss), len(law.parameters)
    lengths = {n, len(saved.share), len(saved.row_labels), *(len(column) for column in saved.columns.values())}
    if lengths != {n} or len(saved.x) != p or set(saved.columns) != set(law.inputs):
        raise DataError(
            f"{path} does not fit the law {law.name}: its columns or parameters differ. It was not read. Forecast and "
            "save again."
        )
    try:
        result = _restored(saved, law)
        told, held = {**result.params}, {str(key): value for key, value in saved.params.items()}
        agrees = set(told) == set(held) and np.allclose([told[k] for k in held], list(held.values()), rtol=1e-6)
        result.std_errors  # noqa: B018  # the covariance exists
    except (
        KeyError,
        TypeError,
        ValueError,
        IndexError,
        ArithmeticError,
        AttributeError,
        np.linalg.LinAlgError,
    ) as error:
        said = " ".join(str(error).split())
        raise DataError(
            f"{path} was not read, being no saved forecast: {said:.120}. Forecast and save again."
        ) from error
    if not agrees:
        raise DataError(
            f"{path} was changed, and was not read: its parameters disagree with the optimum it holds. Forecast again."
        )
    return result


def _restored(saved: _SavedForecast, law: Any) -> ForecastResult:
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
    numbers = {**saved.discrepancy, "rounds": int(saved.discrepancy["rounds"])}
    about = Discrepancy(**numbers)  # type: ignore[arg-type]
    return ForecastResult(
        law=law,
        problem=problem,
        fitted=assemble(problem, np.array(saved.x), np.array(saved.share), about, saved.converged),
        names=tuple(saved.names),
        discrepancy=about,
        spread=Spread(**saved.spread),
        row_labels=np.array(saved.row_labels),
        conventions=saved.conventions,
        table_notes=tuple(load_note(note) for note in saved.table_notes),
        reason=saved.reason,
    )
