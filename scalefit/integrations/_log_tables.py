"""Logs that are tables: separated values, a table in Markdown, JSON in lines, lists or columns."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import pandas as pd

from scalefit._text import shortlist
from scalefit.errors import DataError
from scalefit.integrations import _log_columns as columns

_JSON = re.compile(r"\s*(\[\s*\{|\{\s*\")")  # a list of records, one on each line, or columns
_RULE = re.compile(r"[\s|:\-]+")  # the line under a Markdown table's header
_DEPTH = 4  # of nested records
_MAY_BE_CUT = 0.05  # of the lines of a log
_NAMES = ("metric", "metricname", "metric_name", "key", "tag", "name", "variable", "quantity")  # of a long table
_SPLITS = ("split", "phase", "mode", "stage", "subset", "partition", "type", "set", "context.subset", "event", "msg",
           "message")  # fmt: skip
_RUNS = ("run", "run_id", "run_name", "runid", "run.hash", "experiment", "experiment_name", "trial", "trial_id",
         "seed", "model", "model_name", "model_size", "config", "job", "job_id", "rank")  # fmt: skip
_MOST_RUNS = 20
_NUMBERS = re.compile(r"\d[\d.]*")
_LONG = 1 << 24  # characters of a log whose last line is not looked at
_MOST_COLUMNS = 10_000
_ENOUGH = 8  # lines alike that tell how long a number is written


def is_json(text: str) -> bool:
    """Whether a log is JSON records."""
    return bool(_JSON.match(text))


def parse(text: str) -> tuple[pd.DataFrame, list[str]]:
    """Return a table of text, without headers that come again, and notes.

    Raises
    ------
    ValueError
        It is not a table; pandas' and csv's own errors likewise.
    """
    if is_json(text):
        rows, notes = _records(text)
        return _without_ratios(pd.DataFrame(rows, dtype=object)), notes
    lines = _markdown(text) or [line for line in text.strip("\n").splitlines() if line.strip()]
    while lines and lines[0].lstrip().startswith("#"):  # what stands before the header
        lines.pop(0)
    first = lines[0] if lines else ""
    # A header that comes again: the tool began the file anew; the steps say whether the run did.
    lines = [first, *(line for line in lines[1:] if line.split() != first.split())]
    if len(lines) > 1 and first.strip().startswith("|") and _RULE.fullmatch(lines[1]):
        kept = [line for line in lines if "|" in line and not _RULE.fullmatch(line)]
        header, *cells = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in kept]
        whole = [row for row in cells if len(row) == len(header)]
        left = f"Rows with another number of cells than the header were left out: {len(cells) - len(whole)}."
        again = [f"{name}.{header[:i].count(name)}" if name in header[:i] else name for i, name in enumerate(header)]
        return _without_copies(pd.DataFrame(whole, columns=again)), [left] * (len(whole) < len(cells))
    separator = max(",\t;", key=first.count)
    if first.count(separator) > _MOST_COLUMNS:  # each takes a tenth of a millisecond
        raise ValueError(f"its first line has {first.count(separator) + 1:,} cells")
    spaces = None
    if not first.count(separator):
        spaces = next((gap for gap in (r"\s+", r"\s{2,}") if _same_width(lines, gap)), None)
    if spaces is not None:
        separator, lines = spaces, [line.strip() for line in lines]
    options: dict[str, Any] = {"engine": "python"} if separator == spaces else {}
    table = pd.read_csv(io.StringIO("\n".join(lines)), sep=separator, dtype=str, keep_default_na=False, **options)
    return _without_copies(table), []


def _markdown(text: str) -> list[str]:
    """Lines of the one table in a Markdown page, as a model card is; none where there is no or another one."""
    lines = text.splitlines()
    rules = [i for i, line in enumerate(lines) if "|" in line and "-" in line and _RULE.fullmatch(line)]
    if len(rules) != 1 or not rules[0] or not lines[rules[0] - 1].strip().startswith("|"):
        return []
    rest = lines[rules[0] + 1 :]
    end = next((i for i, line in enumerate(rest) if "|" not in line), len(rest))
    return [lines[rules[0] - 1], lines[rules[0]], *rest[:end]]


def _without_copies(table: pd.DataFrame) -> pd.DataFrame:
    """Leave out columns that come again under a name such as loss.1 with the same cells."""
    copies = [
        column
        for column in table.columns
        if (match := re.fullmatch(r"(.+)\.\d+", str(column))) is not None
        and match[1] in table
        and table[column].equals(table[match[1]])
    ]
    return table.drop(columns=copies)


def _same_width(lines: list[str], gap: str) -> bool:
    """Whether columns are set apart by spaces: every line has as many words as the first, some of them numbers."""
    words = [re.split(gap, line.strip()) for line in lines]
    if len(lines) < 2 or len(words[0]) < 2 or any(len(row) != len(words[0]) for row in words):
        return False
    return any(re.fullmatch(r"[-+]?\d[\d.eE+-]*", word) for word in words[1])


def _records(text: str) -> tuple[list[dict[str, Any]], list[str]]:
    """Flat records of a JSON log: a list, columns of one length, a list inside an object, or one object a line.

    NaN and infinities, which JSON does not have but Python writes, stay text: NaN would be taken for a gap.
    """
    try:
        whole = json.loads(text, parse_constant=str)
    except ValueError:
        return _lines(text)
    if isinstance(whole, Mapping):
        lists = {key: value for key, value in whole.items() if isinstance(value, list) and value}
        records = [value for value in lists.values() if all(isinstance(item, dict) for item in value)]
        if len(records) == 1:
            whole = records[0]
        elif len(lists) > 1 and not records and len({len(value) for value in lists.values()}) == 1:
            whole = [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]
        elif len(whole) > 1 and all(isinstance(value, Mapping) and "0" in value for value in whole.values()):
            whole = [{name: cells.get(row) for name, cells in whole.items()} for row in next(iter(whole.values()))]
        else:
            whole = [whole]
    return [_flat(dict(row)) for row in whole], []


def _lines(text: str) -> tuple[list[dict[str, Any]], list[str]]:
    """One object per line; lines that were cut off, by a kill or a full disk, are left out, and named."""
    lines = [line for line in text.splitlines() if line.strip()]
    rows, cut = [], []
    for number, line in enumerate(lines, 1):
        try:
            rows.append(_flat(dict(json.loads(line, parse_constant=str))))
        except (ValueError, TypeError):
            cut.append(number)
            if number == 1 or len(cut) > 1 + _MAY_BE_CUT * len(lines):
                raise
    if cut == [len(lines)]:
        return rows, ["The last line is cut off and was left out."]
    return rows, [f"Lines that are no JSON objects were left out: {shortlist(map(str, cut), 5)}."] if cut else []


def _flat(row: Mapping[str, Any], before: str = "", depth: int = 0) -> dict[str, Any]:
    """Nested records by joined names, as in metrics/loss."""
    found: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, Mapping) and depth < _DEPTH:
            found.update(_flat(value, f"{before}{key}/", depth + 1))
        else:
            found[f"{before}{key}"] = value
    return found


def from_long(table: pd.DataFrame) -> pd.DataFrame:
    """Turn a long table into a wide one: by the name and value of a quantity, by split, and by run.

    Columns are then named as trackers name them: val/loss, and "run=a - val/loss", so that the losses of several
    splits and runs are told apart as any others are.
    """
    lower = {str(column).lower(): column for column in table.columns}
    value = next((lower[key] for key in ("value", "values") if key in lower), None)
    name = next((lower[key] for key in _NAMES if key in lower), None)
    if value is not None and name is not None and table[name].nunique() > 1:
        wide = {str(metric): table[value].where(table[name] == metric) for metric in table[name].unique()}
        table = table.drop(columns=[value, name]).assign(**wide)
    for split in [lower[key] for key in _SPLITS if key in lower and lower[key] in table]:
        parts = [str(part) for part in table[split].dropna().unique() if str(part).strip()]
        if any(map(columns.is_validation, parts)) and len(parts) <= _MOST_RUNS:
            table = _apart(table, split, [c for c in table.columns if columns.is_loss(c)], "{part}/{column}")
            break
    run = column_of_runs(table)
    if run is None:
        return table
    if table[run].nunique() > _MOST_RUNS:
        raise DataError(
            f"The log holds {table[run].nunique()} runs, by its column {str(run)!r}",
            "nothing was read",
            "Keep the rows of one",
        )
    return _apart(table, run, [c for c in table.columns if columns.is_loss(c)], f"{run}={{part}} - {{column}}")


def column_of_runs(table: pd.DataFrame) -> Any:
    """Column that tells runs side by side apart, by its usual names; None where there is one run."""
    lower = {str(column).lower(): column for column in table.columns}
    return next((lower[key] for key in _RUNS if key in lower and _side_by_side(table, lower[key])), None)


def _apart(table: pd.DataFrame, by: Any, losses: Sequence[Any], form: str) -> pd.DataFrame:
    """Give each part of a table its own columns of losses."""
    wide = {
        form.format(part=part, column=column): table[column].where(table[by] == part)
        for column in losses
        for part in table[by].dropna().unique()
        if str(part).strip()
    }
    return table.drop(columns=[by, *losses]).assign(**wide)


def _side_by_side(table: pd.DataFrame, run: Any) -> bool:
    """Whether runs that a column names pass the same steps; a run that was resumed under a new name goes on."""
    step = columns.find(list(table.columns), "step", None)
    losses = [column for column in table.columns if columns.is_loss(column)]
    if step is None or not losses or table[run].nunique() < 2:
        return False
    at = columns.numbers(table[step])
    logged = table[losses].replace("", None).notna().any(axis=1) & at.notna()
    spans = [part for _, part in at[logged].groupby(table[run][logged].astype(str), sort=False)]
    return any(later.min() < earlier.median() for earlier, later in pairwise(spans))


def _without_ratios(table: pd.DataFrame) -> pd.DataFrame:
    """Take columns of two numbers apart, as {"global_step/max_steps": "100/4000"}."""
    for column in [c for c in table.columns if re.fullmatch(r"\w+/\w+", str(c))]:
        cells = table[column].dropna().astype(str)
        if len(cells) and cells.str.fullmatch(r"\d+/\d+").all():
            parts = table[column].astype(str).str.extract(r"^(\d+)/(\d+)$")
            table = table.drop(columns=column).assign(**{str(column).split("/")[0]: parts[0], "total_steps": parts[1]})
    return table


def without_cut_line(text: str) -> tuple[str, list[str]]:
    """Leave out, and name, a last line that was cut while it was written: without its end, and shorter than others.

    A cut number is a wrong number. Lines are alike where they are the same but for their numbers.
    """
    if not text or text[-1] in "\n\r}]" or len(text) > _LONG or is_json(text):
        return text, []
    *before, last = text.splitlines()
    shape = _NUMBERS.sub("#", last)
    others = [(_NUMBERS.sub("#", line), line) for line in before]
    alike = [len(_NUMBERS.findall(line)[-1]) for other, line in others if other == shape and shape.endswith("#")]
    short = len(alike) >= _ENOUGH and len(_NUMBERS.findall(last)[-1]) < min(alike)
    part = not alike and any(other != shape and other.startswith(shape) for other, _ in others[1:])
    if not short and not part:
        return text, []
    return "\n".join([*before, ""]), [f"The last line is cut off and was left out: {last[-80:]!r}."]


def steps_everywhere(
    steps: pd.Series[Any], losses: pd.DataFrame, others: pd.DataFrame, notes: list[str]
) -> pd.Series[Any]:
    """Steps of rows that have a loss and no step: by another counter that runs along, else those of the row before."""
    logged = losses.replace("", None).notna().any(axis=1)
    for column in others.columns:
        if not (steps.isna() & logged).any():
            return steps
        other = columns.numbers(others[column])
        apart = (steps - other).dropna().unique()
        if len(apart) == 1:
            steps = steps.fillna(other + apart[0])
    if missing := int((steps.isna() & logged).sum()):
        notes.append(f"{missing} rows with a loss and no step were put at the step before them.")
        steps = steps.where(steps.notna() | ~logged, steps.ffill())
    return steps


def filled(table: pd.DataFrame) -> list[Any]:
    """Columns that hold anything, the fullest first."""
    full = {column: int((table[column].notna() & (table[column] != "")).sum()) for column in table.columns}
    return sorted((column for column in full if full[column]), key=lambda column: -full[column])


def unread(column: pd.Series[Any], values: pd.Series[Any]) -> str:
    """Cells that are neither empty nor numbers, in words; empty where there are none."""
    text = column.where(column.notna(), "").astype(str).str.strip()
    odd = text[(values.isna()) & ~text.str.lower().isin(_EMPTY)]
    return f"{len(odd)} of {int((text != '').sum())} ({shortlist(map(repr, odd.unique()), 3)})" if len(odd) else ""


_EMPTY = ("", "nan", "none", "null", "n/a", "na", "-", "--", "no log", "none logged", "inf")
