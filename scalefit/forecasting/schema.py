"""Forecasts as JSON files: strict, versioned, with the runs they were made from."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from scalefit import __version__
from scalefit._digests import KEY
from scalefit._plain import plain
from scalefit._records import SavedConventions, SavedNote, Strict, save_note

FORMAT = 1
KIND = "forecast"


class SavedForecast(Strict):
    """The file's schema, format 1."""

    kind: str
    format: int
    scalefit: str
    law: str
    reason: str
    n_runs: int
    params: dict[str, float]
    std_errors: dict[str, float | None]
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
    conventions: SavedConventions
    table_notes: list[SavedNote]
    recipe_spread: float = 0.0
    repeats: dict[str, Any] | None = None
    scatter: float | None = None
    widening: float | None = None
    noise_scale: float | None = None
    raised: list[float] | None = None
    luck: float = 0.0
    sha256: str = ""


def document(result: Any) -> dict[str, Any]:
    """Return a ForecastResult as plain data, ready for JSON."""
    problem, fitted = result.problem, result.fitted
    saved = SavedForecast(
        kind=KIND,
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
        share=fitted.weight.tolist(),
        converged=fitted.converged,
        prior=None if problem.penalty is None else problem.penalty.document(),
        discrepancy={key: float(value) for key, value in asdict(result.discrepancy).items()},
        spread={key: float(value) for key, value in asdict(result.spread).items()},
        row_labels=[plain(label) for label in result.row_labels],
        conventions=dict(result.conventions),
        table_notes=[save_note(note) for note in result.table_notes],
        recipe_spread=float(result.recipe_spread),
        repeats=None if result.repeats is None else plain(asdict(result.repeats)),
        scatter=result.scatter,
        widening=result.widening,
        noise_scale=result.noise_scale,
        raised=fitted.frontier.raised.tolist(),
        luck=float(fitted.frontier.luck),
    )
    return saved.model_dump(mode="json", exclude={KEY})
