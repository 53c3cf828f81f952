"""Fitted settings as a JSON document, and back."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, ValidationError

from scalefit._digests import check_digest
from scalefit._plain import plain
from scalefit._records import SavedNote, Strict, check_format, load_note, not_saved
from scalefit.errors import DataError, Note, note_record
from scalefit.fitting.schema import read_saved
from scalefit.tuning.bowl import Bowls, Cells, Model, Spread
from scalefit.tuning.cells import Sweep
from scalefit.tuning.settings import BatchUnit

KIND, FORMAT = "hyperparameters", 1
_BOWLS = ("best", "cov", "curvature", "curvature_errors", "loss", "loss_se", "shifts")


class SavedBatch(Strict):
    """Unit of the batch."""

    unit: str
    T_max: float | None
    stated: bool


class SavedSweep(Strict):
    """All that a fit rests on: cells with their runs, what they share, and their bowls (null: infinite)."""

    inputs: dict[str, list[Literal["N", "D"]]]
    method: str
    level: float = Field(gt=0, lt=1)
    batch: SavedBatch | None
    params: str
    loss_unit: str
    open_for: list[str]
    N: list[float]
    D: list[float]
    n_runs: list[int]
    apart: list[tuple[float, float, int, str]]
    settings: list[list[list[float]]]
    losses: list[list[float]]
    shapes: list[float]
    shape_errors: list[float]
    reach: float | None
    noise: float
    freedom: float
    crossed: bool
    spread: list[list[float]] | None
    bowls: dict[str, Any]
    closed: list[bool]
    notes: list[SavedNote]


def saved(
    sweep: Sweep,
    model: Model,
    bowls: Bowls,
    open_for: tuple[str, ...],
    inputs: Any,
    batch: BatchUnit | None,
    notes: tuple[Note, ...],
    **stated: Any,
) -> dict[str, Any]:
    """The part of the document from which the fit is made again."""
    there = sweep.cells.there
    document = {
        **stated,
        "inputs": {name: list(read) for name, read in inputs.items()},
        "batch": None if batch is None else asdict(batch),
        "open_for": list(open_for),
        "N": sweep.N,
        "D": sweep.D,
        "n_runs": sweep.n_runs,
        "apart": sweep.apart,
        "settings": [x[rows] for x, rows in zip(sweep.cells.x, there, strict=True)],
        "losses": [y[rows] for y, rows in zip(sweep.cells.y, there, strict=True)],
        "shapes": model.shapes,
        "shape_errors": model.shape_errors,
        "reach": model.reach,
        "noise": model.noise,
        "freedom": model.freedom,
        "crossed": model.crossed,
        "spread": None if model.spread is None else [model.spread.mean, model.spread.sd],
        "bowls": {name: getattr(bowls, name) for name in _BOWLS},
        "closed": bowls.closed,
        "notes": [note_record(note) for note in notes],
    }
    return {key: plain(value) for key, value in document.items()}


def read(path: str | Path) -> dict[str, Any]:
    """The fields of a saved fit, from a file or the text of it.

    Raises
    ------
    DataError
        It is not such a document, or its parts contradict one another.
    """
    raw, name = read_saved(path)
    if not isinstance(raw, dict) or raw.get("kind") != KIND:
        raise DataError(f"{name} holds no fitted settings", "it was not read", "Name a file that their to_json wrote")
    check_format(raw, FORMAT, name)
    check_digest(raw, name)
    try:
        return _fields(SavedSweep.model_validate_json(json.dumps(raw.get("saved"))))
    except (ValidationError, ValueError, KeyError, TypeError, IndexError, ArithmeticError) as error:
        raise not_saved(name, error, "fit of settings") from error


def _fields(found: SavedSweep) -> dict[str, Any]:
    names, c = tuple(found.inputs), len(found.N)
    k = len(names)
    cells = Cells.of([_array(x).reshape(-1, k) for x in found.settings], [_array(y) for y in found.losses])
    m = _array(found.bowls["curvature_errors"]).shape[1]
    shapes = {"best": (c, k), "cov": (c, k, k), "curvature": (c, k, k), "curvature_errors": (c, m), "loss": (c,)}
    shapes |= {"loss_se": (c,), "shifts": (c, k, k)}
    bowls = {name: np.where(np.isnan(one := _array(found.bowls[name])), np.inf, one) for name in _BOWLS}
    lengths = {len(found.D), len(found.n_runs), len(found.open_for), len(found.closed), len(found.losses)}
    wrong = [name for name, shape in shapes.items() if bowls[name].shape != shape]
    if lengths != {c} or wrong or len(found.shapes) != k or not (_array(found.N + found.D) > 0).all():
        raise ValueError(f"{', '.join(wrong) or 'the cells'} cannot be right")
    spread = None if found.spread is None else Spread(_array(found.spread[0]), _array(found.spread[1]))
    reach = np.inf if found.reach is None else found.reach
    unknown = np.zeros_like(cells.y)
    return {
        "sweep": Sweep(names, _array(found.N), _array(found.D), cells, np.array(found.n_runs), tuple(found.apart)),
        "model": Model(
            _array(found.shapes), reach, found.noise, found.freedom, spread, found.crossed, _array(found.shape_errors)
        ),
        "bowls": Bowls(**bowls, residuals=unknown, weights=unknown, closed=np.array(found.closed)),
        "open_for": tuple(found.open_for),
        "inputs": {name: tuple(read) for name, read in found.inputs.items()},
        "method": found.method,
        "level": found.level,
        "batch": None if found.batch is None else BatchUnit(found.batch.unit, found.batch.T_max, found.batch.stated),
        "params": found.params,
        "loss_unit": found.loss_unit,
        "table_notes": tuple(load_note(note) for note in found.notes),
    }


def _array(values: Any) -> Any:
    return np.array(values, float)
