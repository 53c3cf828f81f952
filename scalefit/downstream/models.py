"""The models of a table, with their loss and their metrics, as everything downstream reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from scalefit._typing import AnyArray, Array
from scalefit.errors import Note
from scalefit.flops import SIZES, training_flops

#: Name of the mean over tasks.
AVERAGE = "average"


@dataclass(frozen=True, eq=False)
class Models:
    """Models with loss (n,) and metrics (n,), NaN where a model has none.

    Parameters
    ----------
    inputs : dict of str to ndarray (n,)
        N [parameters] and D [tokens]; empty where the table has none.
    loss : ndarray (n,)
        The loss behind the metrics.
    metrics : dict of str to ndarray (n,)
        Task to metric, in the table's own unit.
    chance : dict of str to float or None
        Guessing rate per task in the table's own unit; None if it must be estimated.
    higher : bool
        Whether more is better.
    span : (float, float)
        Range of the metric.
    labels : ndarray (n,)
        Rows of the table.
    conventions : dict
        What N and the loss count.
    notes : tuple of Note
        Notes from reading the table.
    """

    inputs: dict[str, Array]
    loss: Array
    metrics: dict[str, Array]
    chance: dict[str, float | None]
    higher: bool
    span: tuple[float, float]
    labels: AnyArray
    conventions: dict[str, Any]
    notes: tuple[Note, ...]

    @property
    def tasks(self) -> tuple[str, ...]:
        """Tasks, and their average first where there are several."""
        return tuple(self.metrics) if len(self.metrics) == 1 else (AVERAGE, *self.metrics)

    @cached_property
    def shares(self) -> dict[str, Array]:
        """Metrics and their average as shares (n,) between 0 and 1 of which more is better."""
        found = {name: self.to_share(values) for name, values in self.metrics.items()}
        if len(found) > 1:  # NaN where a model lacks a task: means of other tasks do not compare
            found = {AVERAGE: np.mean(list(found.values()), axis=0), **found}
        return found

    @cached_property
    def guessing(self) -> dict[str, float | None]:
        """Guessing rates of the shares; that of the average where every task's is known."""
        low, high = self.span
        found: dict[str, float | None] = {
            name: None if rate is None else (rate - low) / (high - low) for name, rate in self.chance.items()
        }
        if len(found) > 1:
            known = [rate for rate in found.values() if rate is not None]
            found[AVERAGE] = float(np.mean(known)) if len(known) == len(self.chance) else None
        return found

    @property
    def C(self) -> Array | None:
        """Compute (n,) [FLOP]; None where the table has no N and D."""
        return training_flops(self.inputs["N"], self.inputs["D"]) if set(SIZES) <= set(self.inputs) else None

    def to_share(self, values: Array) -> Array:
        """Metrics as shares of which more is better."""
        low, high = self.span
        share = (np.asarray(values, float) - low) / (high - low)
        return share if self.higher else 1.0 - share

    def to_metric(self, share: Array) -> Array:
        """Shares as metrics in the table's own unit."""
        low, high = self.span
        return np.asarray(low + (high - low) * (share if self.higher else 1.0 - share))

    def part(self, rows: AnyArray) -> Models:
        """Some of the models."""
        return replace(
            self,
            inputs={key: value[rows] for key, value in self.inputs.items()},
            loss=self.loss[rows],
            metrics={key: value[rows] for key, value in self.metrics.items()},
            labels=self.labels[rows],
        )

    def to_dict(self) -> Mapping[str, Any]:
        """Everything as a JSON-compatible dict, notes left out."""
        return {
            "inputs": {key: value.tolist() for key, value in self.inputs.items()},
            "loss": self.loss.tolist(),
            "metrics": {
                key: [None if np.isnan(v) else v for v in value.tolist()] for key, value in self.metrics.items()
            },
            "chance": dict(self.chance),
            "higher": self.higher,
            "span": list(self.span),
            "labels": [label.item() if isinstance(label, np.generic) else label for label in self.labels],
            "conventions": dict(self.conventions),
        }
