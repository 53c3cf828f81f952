"""Folders of Lightning's CSVLogger, ``version_*``: ``metrics.csv`` and ``hparams.yaml``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from scalefit.collecting.records import Run, flat, logged, read_yaml
from scalefit.errors import DataError


def is_run(files: set[str]) -> bool:
    """Whether a folder is one version."""
    return "metrics.csv" in files


def read(folder: Path) -> list[Run]:
    """Read a version."""
    try:
        table = pd.read_csv(folder / "metrics.csv")
    except (ValueError, OSError) as error:
        raise DataError(f"{folder / 'metrics.csv'} was not read: {' '.join(str(error).split()):.200}.") from None
    if "step" not in table:
        raise DataError(f"{folder / 'metrics.csv'} has no column step and was not read. Name another folder.")
    name = f"{folder.parent.name}/{folder.name}" if folder.name.startswith("version_") else folder.name
    run = Run(name, str(folder), "lightning")
    steps = pd.to_numeric(table["step"], errors="coerce").to_numpy(float)
    for column in table.columns:
        values = pd.to_numeric(table[column], errors="coerce").to_numpy(float)
        written = table[column].notna().to_numpy() & np.isfinite(steps)
        if column != "step" and written.any():
            run.series[str(column)] = logged(zip(steps[written], values[written], strict=True))
    if (folder / "hparams.yaml").is_file():
        run.config = flat(read_yaml(folder / "hparams.yaml"))
    return [run]
