"""Logs that are tables: separated values, a table in Markdown, JSON in lines, lists or columns."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

from scalefit._text import shortlist

_JSON = re.compile(r"\s*(\[\s*\{|\{\s*\")")  # a list of records, one on each line, or columns
_RULE = re.compile(r"[\s|:\-]+")  # the line under a Markdown table's header
_DEPTH = 4  # of nested records


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
        return pd.DataFrame(rows, dtype=object), notes
    lines = [line for line in text.strip("\n").splitlines() if line.strip()]
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
        return pd.DataFrame(whole, columns=header), [left] * (len(whole) < len(cells))
    separator = max(",\t;", key=first.count)
    if not first.count(separator) and len(first.split()) > 1 and _same_width(lines):
        table = pd.read_csv(io.StringIO("\n".join(lines)), sep=r"\s+", dtype=str, keep_default_na=False)
        return table, []
    table = pd.read_csv(io.StringIO("\n".join(lines)), sep=separator, dtype=str, keep_default_na=False)
    return table, []


def _same_width(lines: list[str]) -> bool:
    """Whether columns are separated by spaces: every line has as many words as the first, some of them numbers."""
    width = len(lines[0].split())
    if len(lines) < 2 or any(len(line.split()) != width for line in lines):
        return False
    return any(re.fullmatch(r"[-+]?\d[\d.eE+-]*", word) for word in lines[1].split())


def _records(text: str) -> tuple[list[dict[str, Any]], list[str]]:
    """Flat records of a JSON log: a list, columns of one length, a list inside an object, or one object a line."""
    try:
        whole = json.loads(text)
    except ValueError:
        return _lines(text)
    if isinstance(whole, Mapping):
        lists = {key: value for key, value in whole.items() if isinstance(value, list) and value}
        records = [value for value in lists.values() if all(isinstance(item, dict) for item in value)]
        if len(records) == 1:
            whole = records[0]
        elif len(lists) > 1 and not records and len({len(value) for value in lists.values()}) == 1:
            whole = [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]
        else:
            whole = [whole]
    return [_flat(dict(row)) for row in whole], []


def _lines(text: str) -> tuple[list[dict[str, Any]], list[str]]:
    """One object per line; a last line that was cut off is left out, and named."""
    lines = [line for line in text.splitlines() if line.strip()]
    rows, notes = [], []
    for number, line in enumerate(lines):
        try:
            rows.append(_flat(dict(json.loads(line))))
        except (ValueError, TypeError):
            if number < len(lines) - 1 or number == 0:
                raise
            notes.append("The last line is cut off and was left out.")
    return rows, notes


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
    """Turn a long table, by ``split`` and ``loss`` or by the name and value of a quantity, into a wide one."""
    names = {str(column).lower(): column for column in table.columns}
    if {"step", "split", "loss"} <= set(table.columns):
        return _by_split(table)
    value = next((names[key] for key in ("value", "values") if key in names), None)
    name = next((names[key] for key in ("metric", "key", "tag", "name", "variable", "quantity") if key in names), None)
    step = next((names[key] for key in ("step", "global_step", "iteration", "epoch") if key in names), None)
    if value is None or name is None or step is None or table[name].nunique() < 2:
        return table
    parts = [
        part[[step, value]].rename(columns={value: str(metric)}) for metric, part in table.groupby(name, sort=False)
    ]
    return pd.concat(parts, ignore_index=True)


def _by_split(table: pd.DataFrame) -> pd.DataFrame:
    split = table["split"].astype(str).str.lower()
    parts = []
    for name, pattern in (("train_loss", "train"), ("val_loss", "val|eval|test|dev")):
        part = table[split.str.contains(pattern)].rename(columns={"loss": name})
        extra = [c for c in ("lr", "grad_norm") if c in part and name == "train_loss"]
        parts.append(part[["step", name, *extra]])
    return pd.concat(parts, ignore_index=True)


def unread(column: pd.Series[Any], values: pd.Series[Any]) -> str:
    """Cells that are neither empty nor numbers, in words; empty where there are none."""
    text = column.where(column.notna(), "").astype(str).str.strip()
    odd = text[(values.isna()) & ~text.str.lower().isin(_EMPTY)]
    return f"{len(odd)} of {int((text != '').sum())} ({shortlist(map(repr, odd.unique()), 3)})" if len(odd) else ""


_EMPTY = ("", "nan", "none", "null", "n/a", "na", "-", "--", "no log", "none logged", "inf")
