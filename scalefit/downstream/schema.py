"""Downstream results as JSON files: the first step and the table; curves are drawn again from them, the same ones."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from scalefit import __version__
from scalefit._digests import KEY
from scalefit._plain import plain
from scalefit._records import SavedConventions, SavedNote, Strict, check_format, load_note, not_saved, save_note
from scalefit.downstream.models import Models
from scalefit.errors import DataError, Note

if TYPE_CHECKING:
    import pandas as pd

FORMAT, KIND = 1, "downstream"


class SavedModels(Strict):
    """The table."""

    inputs: dict[str, list[float]]
    loss: list[float]
    metrics: dict[str, list[float | None]]
    chance: dict[str, float | None]
    higher: bool
    span: tuple[float, float]
    labels: list[Any]
    conventions: SavedConventions
    notes: list[SavedNote]


class SavedDownstream(Strict):
    """The file's schema, format 1."""

    kind: str
    format: int
    scalefit: str
    first: dict[str, Any]
    models: SavedModels
    tasks: dict[str, dict[str, Any]]
    trusted: bool
    notes: list[SavedNote]


def document(
    first: Mapping[str, Any], models: Models, table: pd.DataFrame, notes: Sequence[Note], trusted: bool
) -> dict[str, Any]:
    """Return a result as plain data, ready for JSON."""
    kept = SavedModels.model_validate(
        {**models.to_dict(), "span": tuple(models.span), "notes": [save_note(note) for note in models.notes]}
    )
    rows = {str(name): {str(k): plain(v) for k, v in row.items()} for name, row in table.to_dict("index").items()}
    saved = SavedDownstream(
        kind=KIND,
        format=FORMAT,
        scalefit=__version__,
        first=dict(first),
        models=kept,
        tasks=rows,
        trusted=trusted,
        notes=[save_note(note) for note in notes],
    )
    return saved.model_dump(mode="json")


def models_from(raw: Any, path: Any) -> tuple[dict[str, Any], Models]:
    """Return what a file holds: the first step's document, and the models.

    Raises
    ------
    DataError
        It is not such a file, or was changed so that its parts no longer fit.
    """
    check_format(raw, FORMAT, path)
    try:
        saved = SavedDownstream.model_validate_json(json.dumps({k: v for k, v in raw.items() if k != KEY}))
    except ValidationError as error:
        raise not_saved(path, error) from error
    kept, n = saved.models, len(saved.models.loss)
    columns: list[list[Any]] = [*kept.inputs.values(), *kept.metrics.values(), kept.labels]
    lengths = {len(column) for column in columns}
    low, high = kept.span
    within = all(value is None or low <= value <= high for column in kept.metrics.values() for value in column)
    if lengths != {n} or set(kept.metrics) != set(kept.chance) or not low < high or not within:
        raise DataError(
            f"{path} was changed: its columns do not fit together, or leave the range of the metric",
            "it was not read",
            "Fit again",
        )
    return saved.first, Models(
        inputs={key: np.array(value, float) for key, value in kept.inputs.items()},
        loss=np.array(kept.loss, float),
        metrics={key: np.array(value, float) for key, value in kept.metrics.items()},
        chance=dict(kept.chance),
        higher=kept.higher,
        span=kept.span,
        labels=np.array(kept.labels),
        conventions=dict(kept.conventions),
        notes=tuple(load_note(note) for note in kept.notes),
    )
