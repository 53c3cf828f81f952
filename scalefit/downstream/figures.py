"""The numbers behind the figure of a downstream fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from scalefit._text import percent
from scalefit._typing import Array


@dataclass(frozen=True, slots=True, eq=False)
class DownstreamFigure:
    """Models and curve of one task over the loss: value with its ends (m,), and whether the task can be predicted."""

    loss: Array
    metric: Array
    grid: Array
    value: Array
    lower: Array
    upper: Array
    chance: float
    task: str
    title: str
    loss_label: str


def downstream_data(result: Any, task: str, level: float) -> DownstreamFigure:
    """Return what is drawn of one task, from three tenths of the seen range below the lowest loss on."""
    models = result.models
    low, high = float(models.loss.min()), float(models.loss.max())
    grid = np.linspace(max(low - 0.3 * (high - low), 0.5 * low), high, 80)
    band = result.at_loss(grid, level=level, task=task)
    judged = result.judgements[task]
    title = f"{task}, {percent(level)} intervals"
    return DownstreamFigure(
        loss=models.loss,
        metric=models.to_metric(models.shares[task]),
        grid=grid,
        value=band["value"].to_numpy(),
        lower=band["lower"].to_numpy(),
        upper=band["upper"].to_numpy(),
        chance=float(models.to_metric(np.asarray(result.curves[task].base))),
        task=task,
        title=title if judged.predictable else f"{task}: not predictable ({judged.reason})",
        loss_label=f"loss [{models.conventions.get('loss_unit', 'nat/token')}]",
    )
