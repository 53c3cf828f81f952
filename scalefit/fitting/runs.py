"""From a table to arrays: the one way in which fits, forecasts, comparisons and optima read their runs."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from scalefit._typing import AnyArray, Array, ArrayLike
from scalefit.errors import DataError, Note
from scalefit.fitting.weights import weights_of, with_weights
from scalefit.laws._base import Law


@dataclass(frozen=True, slots=True)
class Runs:
    """Usable runs, in the order of their row labels.

    Attributes
    ----------
    columns : dict of str to ndarray (n,)
        What was asked for: a law's inputs.
    table : dict of str to ndarray (n,)
        Every column of the table, columns of text included.
    loss : ndarray (n,)
        The target [nat/token for losses].
    weights : ndarray (n,), optional
        Weights of the runs, where there are any.
    series, labels : ndarray (n,)
        The series of each run (None without a column of series), and the row labels.
    conventions : dict
        What N, C and the loss count.
    notes : tuple of Note
        What was guessed, derived, set aside or found unusual.
    """

    columns: dict[str, Array]
    table: dict[str, AnyArray]
    loss: Array
    weights: Array | None
    series: AnyArray | None
    labels: AnyArray
    conventions: dict[str, Any]
    notes: tuple[Note, ...]

    @property
    def series_labels(self) -> list[Any]:
        """Each series once, in the order of the runs."""
        return [] if self.series is None else list(dict.fromkeys(self.series.tolist()))

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


def read(
    runs: Any,
    inputs: Sequence[str],
    declared: Mapping[str, Any] | None = None,
    weights: str | ArrayLike | None = None,
) -> Runs:
    """Check the table and take out what is asked for; a warning names the rows that are set aside.

    Runs stand in the order of their row labels, so that a resample does not depend on how the table was sorted.

    Parameters
    ----------
    runs : DataFrame, path, or mapping of columns
        What :func:`scalefit.read_runs` gave or reads.
    inputs : sequence of str
        Columns that must be there or be computable from others: a law's inputs.
    declared : mapping, optional
        What the law declares about its inputs and, as ``loss``, about its target: :meth:`scalefit.Law.reads`.
    weights : str or array_like (n,), optional
        As :func:`scalefit.fit` takes them.
    """
    from scalefit.tables.checks import check_for_fit
    from scalefit.tables.runs import read_for_fit

    given = read_for_fit(runs, declared=declared) if isinstance(runs, (str, Path)) else runs
    table = with_weights(given, weights)
    checked = check_for_fit(table, inputs, loss=loss_column(table, declared), declared=declared)
    series = checked.columns.get("series")
    found = Runs(
        columns={key: np.asarray(checked.columns[key], float) for key in inputs},
        table={**checked.words, **checked.columns},
        loss=np.asarray(checked.columns["loss"], float),
        weights=weights_of(checked.columns, weights),
        series=None if series is None else np.asarray(series),
        labels=np.asarray(checked.row_labels),
        conventions=_counted(checked.conventions, declared, checked.columns),
        notes=tuple(checked.notes),
    )
    order = by_label(found.labels)
    return found if (order[1:] > order[:-1]).all() else found.part(order)


def _counted(
    conventions: Mapping[str, Any], declared: Mapping[str, Any] | None, there: Container[str]
) -> dict[str, Any]:
    """The table's conventions; what N counts is what an input beside it says, where the table does not."""
    counts = [getattr(one, "counts", {}) for name, one in (declared or {}).items() if name in there]
    told = [one["N"] for one in counts if "N" in one]
    if not told or "params" not in conventions.get("assumed", ()):
        return dict(conventions)
    return {**conventions, "params": told[0]}


def lacking(runs: Any, inputs: Sequence[str], declared: Mapping[str, Any] | None = None) -> DataError | None:
    """Why `read` would refuse the table, or None."""
    from scalefit.tables.checks import check_runs

    try:
        check_runs(runs, inputs, loss=loss_column(runs, declared), declared=declared)
    except DataError as error:
        return error
    return None


def loss_column(runs: Any, declared: Mapping[str, Any] | None) -> str:
    """Column of the target: under its own name where the table has it, else under ``loss``."""
    there = getattr(runs, "columns", runs if isinstance(runs, Mapping) else ())
    name = "loss" if declared is None else str(declared["loss"].name)
    return name if name in there else "loss"


def by_label(labels: AnyArray) -> AnyArray:
    """Return positions (n,) in the order of numeric row labels, or as they stand where labels are not numbers."""
    return np.argsort(labels, kind="stable") if labels.dtype.kind in "iuf" else np.arange(labels.size)


def choose_input(law: type[Law], runs: Any) -> str:
    """Input of a one-variable law: the first of its choices that the table names."""
    names = getattr(runs, "columns", None)
    names = list(names) if names is not None else list(runs) if isinstance(runs, Mapping) else []
    return next((choice for choice in law.choices if choice in names), law.choices[0])
