"""The loss curves that the stopping benchmark and the shipped priors are made from."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from scalefit.schedules import Schedule
from scalefit.stopping.history import FinishedRun

DIVERGED = ("EPFL", "slimp l12h12 lr0.005 T50000 fd0linear")  # the one curve that really diverged


@dataclass(frozen=True)
class Curve:
    """One finished run of the benchmark."""

    key: int
    source: str
    group: str
    family: str
    name: str
    steps: np.ndarray
    loss: np.ndarray
    total: int
    schedule: Schedule

    @property
    def healthy(self) -> bool:
        """Whether it did not diverge."""
        return (self.source, self.name) != DIVERGED

    @property
    def optimizer(self) -> str | None:
        """Optimizer where its source says it; nano1 mixes Muon, SOAP and AdamW."""
        return None if self.source == "nano1" else "adamw"

    @property
    def peak_lr(self) -> float | None:
        """Peak learning rate [1/step]: in the names of EPFL's runs, and 3e-4 by MPL's README."""
        found = re.search(r" lr([\d.e-]+)", self.name) if self.source == "EPFL" else None
        return float(found[1]) if found else 3e-4 if self.source == "MPL" else None

    @property
    def final(self) -> float:
        """Last logged loss [nat/token]."""
        return float(self.loss[-1])

    def finished(self) -> FinishedRun:
        """Return the curve as what scalefit learns from."""
        return FinishedRun.from_curve(self.schedule, self.steps, self.loss, self.total, self.peak_lr)


def load_curves(folder: str | None = None) -> list[Curve]:
    """Read curves.csv.gz and schedules.csv.gz from `folder` (default: $SCALEFIT_DATA_DIR/curves_benchmark)."""
    path = Path(folder or Path(os.environ["SCALEFIT_DATA_DIR"]) / "curves_benchmark")
    curves = pd.read_csv(path / "curves.csv.gz")
    knots = {key: table for key, table in pd.read_csv(path / "schedules.csv.gz").groupby("curve")}
    out = []
    for key, table in curves.groupby("curve"):
        schedule = Schedule.from_knots(knots[key].step.to_numpy(), knots[key].lr_over_peak.to_numpy())
        first = table.iloc[0]
        out.append(
            Curve(
                int(key), first.source, first.group, str(first.family), first["name"],
                table.step.to_numpy(float), table.loss.to_numpy(float), int(schedule.total), schedule,
            )
        )  # fmt: skip
    return out


def by_source(curves: list[Curve], without: str | None = None) -> dict[str, list[FinishedRun]]:
    """Healthy finished runs per source, one source left out."""
    names = sorted({curve.source for curve in curves} - {without})
    return {n: [c.finished() for c in curves if c.source == n and c.healthy] for n in names}
