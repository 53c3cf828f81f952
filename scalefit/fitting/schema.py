"""Results as JSON files: strict, versioned, with their runs, so that a loaded result can do everything."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from scalefit import __version__
from scalefit._digests import KEY, with_digest
from scalefit._files import is_document, read_text, write_json
from scalefit._plain import plain
from scalefit._records import SavedConventions, SavedNote, Strict, save_note
from scalefit.errors import ArgumentError, DataError, Note, arg, way
from scalefit.fitting.certificate import Certificate
from scalefit.fitting.solution import Solution
from scalefit.laws import get
from scalefit.laws._base import Law
from scalefit.laws._registry import known

FORMAT = 1


class _SavedCertificate(Strict):
    n_starts: int
    n_agree: int
    second_basin: float | None
    decrement: float | None
    curvature: float | None
    condition: float | None
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


class _SavedDraws(Strict):
    n: int
    failed: int
    clusters: bool


class SavedFit(Strict):
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
    conventions: SavedConventions
    bounds: dict[str, tuple[float | None, float | None]]
    fixed: dict[str, float]
    tied: dict[str, str]
    prior: _SavedPrior | None
    certificate: _SavedCertificate
    table_notes: list[SavedNote]
    seed: int
    draws: list[list[float]] | None
    draws_about: _SavedDraws | None
    tangent: list[list[float]] | None = Field(default=None)
    sha256: str = ""
    sides: tuple[float, float] = Field(default=(1.0, 1.0))


def document(result: Solution, notes: Sequence[Note]) -> dict[str, Any]:
    """Return the result as plain data, ready for JSON."""
    problem = result.problem
    interval = result.conf_int(0.95)
    certificate = result.certificate
    judged: dict[str, Any] = {name: getattr(certificate, name) for name in Certificate.__slots__}
    judged = {key: list(value) if isinstance(value, tuple) else value for key, value in judged.items()}
    saved = SavedFit(
        format=FORMAT,
        scalefit=__version__,
        law=result.law.name,
        n_runs=result.n_runs,
        data=result.data_digest,
        params={str(key): float(value) for key, value in result.params.items()},
        std_errors={str(key): plain(value) for key, value in result.std_errors.items()},
        interval_95={str(key): (plain(row["lower"]), plain(row["upper"])) for key, row in interval.iterrows()},
        objective_value=result.objective_value,
        success=result.success,
        trusted=result.trusted,
        notes=[save_note(note) for note in notes],
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
        row_labels=[plain(label) for label in result.row_labels],
        series=list(result.series),
        conventions=dict(result.conventions or {}),
        bounds={key: (float(low), float(high)) for key, (low, high) in (result.bounds or {}).items()},
        fixed={key: float(value) for key, value in (result.fixed or {}).items()},
        tied=dict(result.tied or {}),
        prior=None if problem.penalty is None else _SavedPrior(**problem.penalty.document()),
        certificate=_SavedCertificate(**judged),
        table_notes=[save_note(note) for note in result.table_notes],
        seed=result.seed,
        draws=None if result.resamples is None else result.resamples.tolist(),
        draws_about=None if result.draws_about is None else _SavedDraws(**result.draws_about),
        tangent=None if result.tangent is None else result.tangent.tolist(),
        sides=problem.objective.sides,
    )
    return saved.model_dump(mode="json", exclude={KEY})


def to_json(document: Mapping[str, Any], path: str | Path | None) -> str:
    """Return the JSON text of a document with its digest; written whole to `path` where one is given."""
    return write_json(with_digest(document), path)


def read_saved(path: str | Path) -> tuple[Any, str]:
    """Return the content of a JSON file (or text) and its name in messages; raise if it is not a saved result."""
    name = "The text" if is_document(path) else str(path)
    try:
        return json.loads(str(path) if is_document(path) else read_text(path)), name
    except (ArgumentError, DataError):  # what is no path, or too much, says so itself
        raise
    except FileNotFoundError:
        raise DataError(f"There is no file {name!r}", "nothing was read", f"Check the path from {Path.cwd()}") from None
    except OSError as error:
        raise DataError(
            f"{name} cannot be read: {error.strerror or error}",
            "nothing was loaded",
            f"Name a file that {way('to_json', 'scalefit fit --save')} wrote",
        ) from error
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{name} is not a saved result: {error}",
            "it was not read",
            f"Name a file that {way('to_json', 'scalefit fit --save')} wrote",
        ) from error


def law_of(name: str, given: str | type[Law] | None, source: str | Path) -> type[Law]:
    """Return the law of a saved result: one of scalefit's own, or the one that the caller gives.

    A file holds only the name. Nothing that a file names is run or imported.

    Raises
    ------
    DataError
        The caller must give the law, or gave a different one.
    ArgumentError
        What the caller gave is not a law.
    """
    if given is not None:
        law = get(given)
        law = law.on(name.partition(":")[2]) if (law.choices or law.shares) and name.startswith(f"{law.name}:") else law
        if law.name == name:
            return law
        raise DataError(
            f"{source} holds a fit of {name!r:.60}, and the law given is {law.name!r}",
            "it was not read",
            "Give the law that it was fitted with",
        )
    found = known(name)
    if found is None:
        raise DataError(
            f"{source} holds a fit of {name!r:.60}, which is not one of scalefit's own laws",
            "it was not read",
            f"Give that law, {arg('law', 'mylaw.py:Mine')} for one: the class, the file it is in, or the name by "
            "which an installed package gives it",
        )
    return found
