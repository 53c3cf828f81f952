"""Where the runs are in a JSON document: a list of records, columns, or records of records."""

from __future__ import annotations

from typing import Any

import pandas as pd

from scalefit.errors import DataError


def records_in(document: Any) -> Any:
    """Find the list of runs, or the columns, in a json document; None where there is none."""
    if isinstance(document, list):
        return document if document and all(isinstance(run, dict) for run in document) else None
    if not isinstance(document, dict):
        return None
    if isinstance(document.get("columns"), list) and isinstance(document.get("data"), list):
        width = len(document["columns"])
        if all(isinstance(row, list) and len(row) == width for row in document["data"]):
            return [dict(zip(map(str, document["columns"]), row, strict=True)) for row in document["data"]]
        return None
    for key in ("runs", "data", "rows"):
        if isinstance(document.get(key), list):
            return records_in(document[key])
    values = list(document.values())
    if values and all(isinstance(column, list) for column in values):
        return document if len({len(column) for column in values}) == 1 else None
    if values and all(isinstance(column, dict) for column in values):
        return {key: list(column.values()) for key, column in document.items()}
    return [document] if values else None


def frame_of(records: Any, name: str) -> pd.DataFrame:
    """Return the table that records make.

    Raises
    ------
    DataError
        They make none; the message names the file.
    """
    try:
        return flat(records)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise DataError(
            f"{name} is not a table ({error})", "it was not read", "Give every run the same columns"
        ) from None


def flat(records: Any) -> pd.DataFrame:
    """Frame of records, nested ones made flat: {"config": {"n_params": 1e8}} becomes config.n_params."""
    if isinstance(records, list) and all(isinstance(run, dict) for run in records):
        if any(isinstance(cell, dict) for run in records for cell in run.values()):
            return pd.json_normalize(records)
    return pd.DataFrame(records)
