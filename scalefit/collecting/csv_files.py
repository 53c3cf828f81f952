"""Tables: exports of W&B's charts (wide, long), tables of runs such as nanochat's ``results.csv``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from scalefit._files import read_foreign_text
from scalefit._names import NON_EMBEDDING_NAMES, USUAL_NAMES
from scalefit.collecting.records import Run, logged, number, scalar
from scalefit.errors import DataError
from scalefit.flops import QUANTITIES
from scalefit.integrations import _log_columns, _log_tables
from scalefit.integrations._log_decimals import decimal_marks
from scalefit.tables import columns as tables

_STEPS = ("step", "_step", "global_step", "trainer/global_step", "iter", "iteration")
_NAMES = ("run", "run_name", "run_id", "name", "id", "display_name")
_STATISTICS = ("__MIN", "__MAX")
_HEADER_BYTES = 1 << 20
_WHOLE = frozenset((*_STEPS, *USUAL_NAMES["N"], *NON_EMBEDDING_NAMES, *USUAL_NAMES["D"]))


def read(path: Path, asked: dict[str, str | None]) -> list[Run]:
    """Read the runs of a table; none where it is not a table of runs.

    Parameters
    ----------
    path : Path
        A CSV file.
    asked : dict
        Columns named by the caller for N, D, C and loss; None where the usual names do.
    """
    try:
        table = _log_tables.parse(read_foreign_text(path))[0]
    except DataError:
        raise
    except (ValueError, pd.errors.ParserError) as error:
        raise DataError(f"{path}: {' '.join(str(error).split()):.200}", "it was not read", "Export it again") from None
    table.columns = [str(column) for column in table.columns]
    table = _with_points(table)
    step = next((c for c in table.columns if c.lower() in _STEPS), None)
    wide = [c for c in table.columns if " - " in c and not c.endswith(_STATISTICS) and not c.endswith(" - _step")]
    if step is not None and wide:
        return _wide(path, table, step, wide)
    names = next((c for wanted in _NAMES for c in table.columns if c.lower() == wanted), None)
    if step is not None and names is not None and table[names].nunique() < len(table):
        return _long(path, table, step, names)
    if step is not None and (by := _log_tables.column_of_runs(table)) is not None:  # seeds, trials: a setting as well
        parts = table.groupby(by, sort=False)
        return [_one(path, f"{path.stem}-{by}={value}", part, step) for value, part in parts]
    try:
        if step is not None and not _has_run_per_row(table, step, names, asked):
            return [_one(path, path.stem, table, step)]
        return _rows(path, table, names, asked)
    except DataError as error:
        raise error.naming(name=path) from None


def is_collected(path: Path) -> bool:
    """Whether a file is a table that `collect` wrote: its runs are those of the stores beside it."""
    try:
        with path.open("rb") as stream:
            return stream.readline(_HEADER_BYTES).rstrip().endswith(b",store,source")
    except OSError:  # whoever reads it says what is wrong
        return False


def _with_points(table: pd.DataFrame) -> pd.DataFrame:
    """Numbers with decimal commas, or with thousands set apart, as Python writes them."""
    marked = {c: c for c in table.columns if table[c].str.contains(r"\d[.,]\d", regex=True).any()}
    if not any(table[c].str.contains(r"\d,\d", regex=True).any() for c in marked):
        return table
    whole = {c for c in marked if c.lower() in _WHOLE or _log_columns.plain(c) in _WHOLE}
    marks = decimal_marks(table, marked, whole)
    for column in marked:
        values = _log_columns.numbers(table[column], marks[column])
        read = table[column].str.contains(r"\d[.,]\d", regex=True) & values.notna()
        table[column] = table[column].where(~read, values.map(repr))
    return table


def _has_run_per_row(table: pd.DataFrame, step: str, names: str | None, asked: dict[str, str | None]) -> bool:
    """Whether the rows of a table with steps are runs and no history: each has its own name, or sizes differ."""
    if len(table) < 2:
        return False
    if names is not None:
        return True  # no name comes twice
    increases = pd.to_numeric(table[step], errors="coerce").is_monotonic_increasing and table[step].nunique() > 1
    try:
        sizes = tables.choose("N", asked["N"], table.columns)  # one run has one size, however its steps rise
    except DataError:
        if not increases:
            raise
        return False  # a history, which need not have the column
    return sizes is not None and sizes.column is not None and table[sizes.column].nunique() > 1


def _wide(path: Path, table: pd.DataFrame, step: str, columns: list[str]) -> list[Run]:
    runs: dict[str, Run] = {}
    for column in columns:
        name, _, quantity = column.rpartition(" - ")
        run = runs.setdefault(name, Run(name, f"{path}#{name}", "csv"))
        run.series[quantity] = _points(table, step, column)
    return list(runs.values())


def _long(path: Path, table: pd.DataFrame, step: str, names: str) -> list[Run]:
    return [_one(path, str(name), part.drop(columns=names), step) for name, part in table.groupby(names, sort=False)]


def _one(path: Path, name: str, table: pd.DataFrame, step: str) -> Run:
    """One run: what changes over the steps is a series, what does not is a setting."""
    run = Run(name, f"{path}#{name}" if name != path.stem else str(path), "csv")
    for column in table.columns:
        if column == step:
            continue
        cells = table[column][table[column] != ""]
        if not len(cells):
            continue
        if cells.nunique() == 1 and len(cells) == len(table):
            run.config[column] = scalar(cells.iloc[0])
        else:
            run.series[column] = _points(table, step, column)
    return run


def _points(table: pd.DataFrame, step: str, column: str) -> Any:
    steps = pd.to_numeric(table[step], errors="coerce")
    values = pd.to_numeric(table[column], errors="coerce")
    written = (table[column] != "") & steps.notna()
    return logged(zip(steps[written], values[written], strict=True))


def _rows(path: Path, table: pd.DataFrame, names: str | None, asked: dict[str, str | None]) -> list[Run]:
    """A table that has one row per run already."""
    chosen = {}
    for target in (*QUANTITIES, "loss"):
        column = asked[target] if asked[target] in table.columns else None
        choice = tables.choose(target, column, table.columns)
        if choice is not None and choice.column is not None:
            chosen[target] = choice
    if "loss" not in chosen or not set(QUANTITIES) & set(chosen):
        return []
    status = tables.choose("status", None, table.columns)
    runs = []
    for row, cells in enumerate(table.to_dict("records"), 2):
        name = str(cells[names]) if names is not None else f"{path.stem}:{row}"
        run = Run(name, f"{path}#{row}", "table")
        used = {choice.column for choice in chosen.values()}
        run.config = {str(k): scalar(v) for k, v in cells.items() if v != "" and k not in used and k != names}
        for target, choice in chosen.items():
            value = number(cells[choice.column])
            run.ready[target] = None if value is None else value * choice.factor
        column = str(chosen["loss"].column)
        run.ready["loss_unit"] = tables.stated_unit(table) or tables.unit_in_name(column) or "nat/token"
        run.ready |= {"loss_from": "table", "loss_column": column}
        if status is not None:
            text = str(run.config.pop(str(status.column), "")).lower()
            run.status = "finished" if text in tables.FINISHED else text or "unfinished"
        else:
            run.status = "finished"
        runs.append(run)
    return runs
