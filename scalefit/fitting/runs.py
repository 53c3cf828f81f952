"""The runs of a fit: what a law needs, taken out of a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from scalefit._typing import AnyArray, Array, ArrayLike
from scalefit.errors import Note
from scalefit.fitting.weights import weights_of, with_weights
from scalefit.laws._base import Law


@dataclass(frozen=True, slots=True)
class Runs:
    """The runs of a fit, in the order of their row labels."""

    columns: dict[str, Array]
    #: Every column of the table, read by the law or not.
    table: dict[str, AnyArray]
    loss: Array
    weights: Array | None
    series: AnyArray | None
    labels: AnyArray
    conventions: dict[str, Any]
    notes: tuple[Note, ...]

    def part(self, rows: AnyArray) -> Runs:
        """Return some of the runs (a mask or positions)."""
        return replace(
            self,
            columns={key: value[rows] for key, value in self.columns.items()},
            table={key: value[rows] for key, value in self.table.items()},
            loss=self.loss[rows],
            weights=None if self.weights is None else self.weights[rows],
            series=None if self.series is None else self.series[rows],
            labels=self.labels[rows],
        )


def read(runs: Any, law: type[Law], weights: str | ArrayLike | None) -> Runs:
    """Check the table and take out what the law needs.

    Runs stand in the order of their row labels, so that a resample does not depend on how the table was sorted.
    """
    from scalefit.tables.labels import every_column
    from scalefit.tables.runs import check_for_fit, read_runs

    given = read_runs(runs, declared=law.reads()) if isinstance(runs, (str, Path)) else runs
    table = with_weights(given, weights)
    name = law.target.name
    there = getattr(table, "columns", table if isinstance(table, Mapping) else ())
    checked = check_for_fit(table, law.inputs, loss=name if name in there else "loss", declared=law.reads())
    weight = weights_of(checked.columns, weights)
    series = checked.columns.get("series")
    found = Runs(
        columns={key: np.asarray(checked.columns[key], float) for key in law.inputs},
        table=every_column(table, checked),
        loss=np.asarray(checked.columns["loss"], float),
        weights=weight,
        series=None if series is None else np.asarray(series),
        labels=np.asarray(checked.row_labels),
        conventions=dict(checked.conventions),
        notes=tuple(checked.notes),
    )
    order = by_label(found.labels)
    return found if (order[1:] > order[:-1]).all() else found.part(order)


def by_label(labels: AnyArray) -> AnyArray:
    """Return positions (n,) in the order of numeric row labels, or as they stand where labels are not numbers."""
    return np.argsort(labels, kind="stable") if labels.dtype.kind in "iuf" else np.arange(labels.size)


def choose_input(law: type[Law], runs: Any) -> str:
    """Input of a one-variable law: the first of its choices that the table names."""
    names = getattr(runs, "columns", None)
    names = list(names) if names is not None else list(runs) if isinstance(runs, Mapping) else []
    return next((choice for choice in law.choices if choice in names), law.choices[0])
