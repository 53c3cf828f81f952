"""MLflow's stores: the folder ``mlruns`` of plain files, and its SQLite database."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from scalefit._files import read_text
from scalefit.collecting.records import Run, logged, read_yaml, scalar
from scalefit.errors import DataError

_STATUS = {1: "unfinished", 2: "unfinished", 3: "finished", 4: "crashed", 5: "crashed"}
_STATUS_WORDS = {"FINISHED": "finished", "FAILED": "crashed", "KILLED": "crashed"}
_DATABASE = b"SQLite format 3\0"


def is_run(files: set[str], folders: set[str]) -> bool:
    """Whether a folder is one run of the file store."""
    return "meta.yaml" in files and bool({"metrics", "params"} & folders)


def is_database(path: Path) -> bool:
    """Whether a file is a SQLite database."""
    try:
        with path.open("rb") as stream:
            return stream.read(len(_DATABASE)) == _DATABASE
    except OSError:
        return False


def read_folder(folder: Path) -> list[Run]:
    """Read one run of the file store; none where it was deleted."""
    meta = read_yaml(folder / "meta.yaml")
    if meta.get("lifecycle_stage") == "deleted":
        return []
    tags = folder / "tags" / "mlflow.runName"
    name = meta.get("run_name") or (read_text(tags).strip() if tags.is_file() else folder.name)
    run = Run(str(name), str(folder), "mlflow")
    run.status = _STATUS.get(meta.get("status", 0), "unfinished")
    run.seconds = _seconds(meta.get("start_time"), meta.get("end_time"))
    run.config = {key: scalar(text.strip()) for key, text in _texts(folder / "params")}
    for key, text in _texts(folder / "metrics"):
        cells = [line.split() for line in text.splitlines()]
        run.series[key] = logged((c[2] if len(c) > 2 else i, c[1]) for i, c in enumerate(cells) if len(c) > 1)
    return [run]


def _texts(folder: Path) -> list[tuple[str, str]]:
    """Contents of the files below a folder by their names, which may hold slashes."""
    found = []
    for place, _, files in os.walk(folder):
        for name in sorted(files):
            path = Path(place) / name
            found.append((path.relative_to(folder).as_posix(), read_text(path)))
    return found


def _seconds(start: Any, end: Any) -> float | None:
    """Wall time [s] from two times [ms]."""
    both = isinstance(start, (int, float)) and isinstance(end, (int, float)) and end >= start > 0
    return (end - start) / 1000.0 if both else None


def read_database(path: Path) -> list[Run]:
    """Read every run of the database that was not deleted; it is opened for reading alone.

    Raises
    ------
    DataError
        It is not a database of MLflow, or cannot be read.
    """
    address = f"file:{quote(str(path.resolve()))}?mode=ro"
    try:
        with closing(sqlite3.connect(address, uri=True)) as base:
            tables = {name for (name,) in base.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if not {"runs", "metrics", "params"} <= tables:
                raise DataError(f"{path} is a database, but none of MLflow's", "it was not read", "Name another file")
            return _runs(base, path)
    except sqlite3.Error as error:
        raise DataError(f"{path}: {error}", "it was not read", "Copy the database while nothing writes to it") from None


def _runs(base: sqlite3.Connection, path: Path) -> list[Run]:
    runs: dict[str, Run] = {}
    columns = "run_uuid, name, status, start_time, end_time"
    for key, name, status, start, end in base.execute(
        f"SELECT {columns} FROM runs WHERE lifecycle_stage != 'deleted' ORDER BY start_time, run_uuid"
    ):
        run = Run(name or key, f"{path}#{key}", "mlflow", status=_STATUS_WORDS.get(status, "unfinished"))
        run.seconds = _seconds(start, end)
        runs[key] = run
    for key, name, value in base.execute("SELECT run_uuid, key, value FROM params ORDER BY key"):
        if key in runs:
            runs[key].config[name] = scalar(value)
    points: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for key, name, value, step, is_nan in base.execute(
        "SELECT run_uuid, key, value, step, is_nan FROM metrics ORDER BY timestamp, step"
    ):
        if key in runs:
            points.setdefault((key, name), []).append((step, float("nan") if is_nan else value))
    for (key, name), pairs in points.items():
        runs[key].series[name] = logged(pairs)
    return list(runs.values())
