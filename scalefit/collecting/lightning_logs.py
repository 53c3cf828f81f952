"""Folders of Lightning's CSVLogger, ``version_*``: ``metrics.csv`` and ``hparams.yaml``."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from scalefit._files import read_text
from scalefit.collecting.records import Run, flat, logged, number, read_yaml
from scalefit.errors import DataError


def is_run(files: set[str]) -> bool:
    """Whether a folder is one version."""
    return "metrics.csv" in files


def read(folder: Path) -> list[Run]:
    """Read a version."""
    lines = list(csv.DictReader(io.StringIO(read_text(folder / "metrics.csv"))))
    if not lines or "step" not in lines[0]:
        raise DataError(f"{folder / 'metrics.csv'} has no column step", "it was not read", "Name another folder")
    name = f"{folder.parent.name}/{folder.name}" if folder.name.startswith("version_") else folder.name
    run = Run(name, str(folder), "lightning")
    for column in lines[0]:
        points = [(number(line["step"]), _value(line[column])) for line in lines if line.get(column)]
        points = [(step, value) for step, value in points if step is not None and value is not None]
        if column != "step" and points:
            run.series[str(column)] = logged(points)
    if (folder / "hparams.yaml").is_file():
        run.config = flat(read_yaml(folder / "hparams.yaml"))
    return [run]


def _value(text: str) -> float | None:
    """A number, NaN and infinity among them; None for a word."""
    try:
        return float(text)
    except ValueError:
        return None
