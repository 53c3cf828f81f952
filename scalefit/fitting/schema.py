"""Results as JSON files: strict, versioned, with the runs they were fitted to, so that a loaded one can do all."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from scalefit import __version__
from scalefit._files import as_path, is_document, write_whole
from scalefit._typing import Array
from scalefit.errors import ArgumentError, DataError, Note
from scalefit.fitting.certificate import Certificate
from scalefit.fitting.objectives import Objective
from scalefit.fitting.problem import Problem
from scalefit.fitting.result import FitResult
from scalefit.laws import get
from scalefit.laws._base import Law

if TYPE_CHECKING:
    from scalefit.comparison.average import Average
    from scalefit.forecasting.result import ForecastResult

FORMAT = 1


class Strict(BaseModel):
    """Part of a file: every entry known, of its own type."""

    model_config = ConfigDict(extra="forbid", strict=True, ser_json_inf_nan="constants")


class SavedNote(Strict):
    """A note in a file."""

    code: str
    severity: str
    message: str
    details: dict[str, Any]


class _SavedCertificate(Strict):
    n_starts: int
    n_agree: int
    second_basin: float | None
    decrement: float
    curvature: float
    condition: float
    at_bound: list[str]
    weak: list[str]
    converged: bool
    n_given_up: int = 0
    problems: list[str]
    undetermined: list[str] = Field(default_factory=list)


class _SavedPrior(Strict):
    names: list[str]
    mean: list[float]
    cov: list[list[float]]
    log: bool
    source: str
    at: list[int]
    inner: list[bool]
    scale: float


class _Saved(Strict):
    """The file's schema, format 1."""

    format: int
    scalefit: str
    law: str
    n_runs: int
    data: str
    params: dict[str, float]
    std_errors: dict[str, float | None]
    interval_95: dict[str, tuple[float | None, float | None]]
    objective_value: float
    success: bool
    trusted: bool
    notes: list[SavedNote]
    objective: str
    delta: float
    on: str
    x: list[float]
    names: list[str]
    columns: dict[str, list[float]]
    units: dict[str, float]
    loss: list[float]
    weights: list[float] | None
    groups: list[list[int]] | None
    index: list[list[int]]
    fixed_values: list[list[float]]
    row_labels: list[Any]
    series: list[str]
    conventions: dict[str, Any]
    bounds: dict[str, tuple[float, float]]
    fixed: dict[str, float]
    tied: dict[str, str]
    prior: _SavedPrior | None
    certificate: _SavedCertificate
    table_notes: list[SavedNote]
    seed: int
    draws: list[list[float]] | None
    draws_about: dict[str, Any] | None
    tangent: list[list[float]] | None = Field(default=None)


def document(result: FitResult) -> dict[str, Any]:
    """Return the result as plain data, ready for JSON."""
    problem = result.problem
    interval = result.conf_int(0.95)
    judged: dict[str, Any] = {name: getattr(result.certificate, name) for name in Certificate.__slots__}
    judged = {key: list(value) if isinstance(value, tuple) else value for key, value in judged.items()}
    saved = _Saved(
        format=FORMAT,
        scalefit=__version__,
        law=result.law.name,
        n_runs=result.n_runs,
        data=result.data_digest,
        params={str(key): float(value) for key, value in result.params.items()},
        std_errors={str(key): _finite(value) for key, value in result.std_errors.items()},
        interval_95={str(key): (_finite(row["lower"]), _finite(row["upper"])) for key, row in interval.iterrows()},
        objective_value=result.objective_value,
        success=result.success,
        trusted=result.trusted,
        notes=[save_note(note) for note in result.notes],
        objective=problem.objective.kind,
        delta=problem.objective.delta,
        on=problem.objective.on,
        x=result.x.tolist(),
        names=list(result.names),
        columns={key: value.tolist() for key, value in problem.columns.items()},
        units=dict(problem.units),
        loss=problem.loss.tolist(),
        weights=None if problem.weights is None else problem.weights.tolist(),
        groups=[rows.tolist() for rows in problem.groups] if len(problem.groups) > 1 else None,
        index=problem.index.tolist(),
        fixed_values=problem.fixed.tolist(),
        row_labels=[plain_label(label) for label in result.row_labels],
        series=list(result.series),
        conventions=dict(result.conventions or {}),
        bounds={key: (float(low), float(high)) for key, (low, high) in (result.bounds or {}).items()},
        fixed={key: float(value) for key, value in (result.fixed or {}).items()},
        tied=dict(result.tied or {}),
        prior=None if problem.penalty is None else _SavedPrior(**problem.penalty.document()),
        certificate=_SavedCertificate(**judged),
        table_notes=[save_note(note) for note in result.table_notes],
        seed=result.seed,
        draws=None if result.draws is None else result.draws.tolist(),
        draws_about=None if result.draws_about is None else dict(result.draws_about),
        tangent=None if result.tangent is None else result.tangent.tolist(),
    )
    return saved.model_dump(mode="json")


def to_json(document: Mapping[str, Any], path: str | Path | None) -> str:
    """Return the JSON text of a document; written whole to `path` where one is given."""
    text = json.dumps(document, indent=1, allow_nan=True)
    if path is not None:
        write_whole(path, text)
    return text


def read_saved(path: str | Path) -> tuple[Any, str]:
    """Return what a JSON file, or the text of one, holds, and what to call it; or say that it is no saved result."""
    name = "The text" if is_document(path) else str(path)
    try:
        return json.loads(str(path) if is_document(path) else as_path(path).read_text(encoding="utf-8")), name
    except ArgumentError:  # what is no path says so itself
        raise
    except OSError as error:
        raise DataError(
            f"{name} cannot be read: {error.strerror or error}. Nothing was loaded. Name a file that to_json wrote."
        ) from error
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{name} was not read, being no saved result: {error}. Name a file that to_json wrote."
        ) from error


def load_result(path: str | Path, law: type[Law] | None = None) -> FitResult | ForecastResult | Average:
    """Read a result that ``to_json`` of a fit, a forecast or an average wrote.

    Parameters
    ----------
    path : str or Path
        The file, or the text that ``to_json()`` returned.
    law : type of Law, optional
        The law, where it is not in the registry (your own).

    Returns
    -------
    FitResult, ForecastResult or Average
        Equal to the one saved, to the last digit.

    Raises
    ------
    DataError
        Not such a file, written by a newer format, or a law that is not here.
    """
    return result_from(*read_saved(path), law)


def result_from(raw: Any, path: str | Path, law: type[Law] | None = None) -> FitResult | ForecastResult | Average:
    """Return the result that a file held, whichever kind it is of."""
    kind = raw.get("kind") if isinstance(raw, dict) else None
    if kind == "forecast":
        from scalefit.forecasting.schema import forecast_from

        return forecast_from(raw, path)
    if kind == "average":
        from scalefit.comparison.average import average_from

        return average_from(raw, path, law)
    return _fit_from(raw, path, law)


def _fit_from(raw: Any, path: str | Path, law: type[Law] | None) -> FitResult:
    found = raw.get("format") if isinstance(raw, dict) else None
    if type(found) is not int or found != FORMAT:
        raise DataError(
            f"{path} has format {found!r} and was not read: this scalefit ({__version__}) reads {FORMAT}. Fit and "
            "save again."
        )
    try:
        saved = _Saved.model_validate_json(json.dumps(raw))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise DataError(
            f"{path} was not read, being no saved result: {where}: {first['msg']}. Fit and save again."
        ) from error
    try:
        chosen = law or get(saved.law)
    except ArgumentError as error:
        raise DataError(
            f"{path} holds a fit of {saved.law!r}, which is not known here, and was not read. Pass that law as "
            "load_result(path, law=...)."
        ) from error
    misfit = _misfit(saved, chosen)
    if misfit is not None:
        raise DataError(
            f"{path} does not fit the law {chosen.name}: its {misfit} cannot be right. It was not read. Fit and save "
            "again."
        )
    try:
        result = _restored(saved, chosen)
    except ArgumentError as error:
        raise DataError(f"{path} was not read, being no saved result: {error}") from error
    if result.data_digest != saved.data:
        raise DataError(
            f"{path} was changed, and was not read: its runs have digest {result.data_digest}, not {saved.data}. Fit "
            "again."
        )
    return result


def _misfit(saved: _Saved, law: type[Law]) -> str | None:
    """Name of the first entry that contradicts the others or the law."""
    n, p, n_groups = len(saved.loss), len(saved.names), len(saved.groups or [[]])
    shape = (n_groups, len(law.parameters))
    index = saved.index
    positions = sorted({at for row in index for at in row} - {-1})
    columns = [*saved.columns.values(), saved.loss, *([] if saved.weights is None else [saved.weights])]
    rows = sorted(row for group in saved.groups or [list(range(n))] for row in group)
    tests = {
        "columns": set(saved.columns) == set(law.inputs) and all(len(column) == n for column in columns),
        "runs": n > 0 and saved.n_runs == n and all(_positive(column) for column in columns),
        "units": set(saved.units) == set(law.inputs) and _positive(saved.units.values()),
        "index": len(index) == n_groups and all(len(row) == shape[1] for row in index) and positions == list(range(p)),
        "fixed_values": [len(row) for row in saved.fixed_values] == [shape[1]] * n_groups,
        "x": len(saved.x) == p > 0 and bool(np.isfinite(saved.x).all()),
        "groups": rows == list(range(n)) and len(saved.series) == (n_groups if saved.groups else 0),
        "row_labels": len(saved.row_labels) == n,
        "draws": saved.draws is None or {len(draw) for draw in saved.draws} == {p},
        "tangent": saved.tangent is None or [len({len(row) for row in saved.tangent}), len(saved.tangent)] == [1, p],
        "prior": saved.prior is None or len(saved.prior.at) == len(saved.prior.inner) == len(saved.prior.names),
    }
    return next((name for name, passed in tests.items() if not passed), None)


def _positive(values: Iterable[float]) -> bool:
    return all(0 < value < float("inf") for value in values)


def _restored(saved: _Saved, law: type[Law]) -> FitResult:
    penalty = None
    if saved.prior is not None:
        from scalefit.fitting.priors import penalty_from_document

        penalty = penalty_from_document(saved.prior.model_dump())
    groups = saved.groups or [list(range(len(saved.loss)))]
    problem = Problem(
        law=law,
        columns={key: _array(saved.columns[key]) for key in law.inputs},
        loss=_array(saved.loss),
        objective=Objective(saved.objective, saved.delta, saved.on),  # type: ignore[arg-type]
        weights=None if saved.weights is None else _array(saved.weights),
        groups=tuple(np.array(rows, int) for rows in groups),
        index=np.array(saved.index, int),
        fixed=_array(saved.fixed_values),
        units=saved.units,
        penalty=penalty,
    )
    judged: dict[str, Any] = saved.certificate.model_dump()
    judged = {key: tuple(value) if isinstance(value, list) else value for key, value in judged.items()}
    return FitResult(
        law=law,
        problem=problem,
        x=_array(saved.x),
        names=tuple(saved.names),
        certificate=Certificate(**judged),
        row_labels=np.array(saved.row_labels),
        series=tuple(saved.series),
        conventions=saved.conventions,
        bounds=saved.bounds,
        fixed=saved.fixed,
        tied=saved.tied,
        table_notes=tuple(load_note(note) for note in saved.table_notes),
        seed=saved.seed,
        draws=None if saved.draws is None else _array(saved.draws),
        draws_about=saved.draws_about,
        tangent=None if saved.tangent is None else _array(saved.tangent),
    )


def _array(values: Any) -> Array:
    return np.array(values, float)


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def plain_label(label: Any) -> Any:
    """A row label as JSON holds it."""
    return label.item() if isinstance(label, np.generic) else label


def save_note(note: Note) -> SavedNote:
    """Return a note as a file holds it."""
    return SavedNote(code=note.code, severity=note.severity, message=note.message, details=dict(note.details))


def load_note(note: SavedNote) -> Note:
    """Return the note that a file holds."""
    return Note(note.code, note.severity, note.message, note.details)  # type: ignore[arg-type]
