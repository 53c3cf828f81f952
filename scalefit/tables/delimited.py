"""Delimited text: what parts its cells, what marks its decimals, and whether its first row is a header."""

from __future__ import annotations

import csv
import re
import warnings
from typing import Any

import numpy as np
import pandas as pd

from scalefit._typing import AnyArray
from scalefit.errors import DataError
from scalefit.tables.columns import transposed

_NUMBER = re.compile(r"^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$", re.IGNORECASE)
_DATE = re.compile(r"\d{1,4}\.\d{1,2}\.\d{1,4}")
_RULE = re.compile(r":?-{2,}:?")
_EUROPEAN = re.compile(r"[+-]?[\d.,]*\d[\d.,]*(?:e[+-]?\d+)?", re.IGNORECASE)


def separator_of(header: str) -> str:
    """Return the mark that parts the cells of a header."""
    counts = {mark: header.count(mark) for mark in (",", "\t", ";", "|")}
    best = max(counts, key=lambda mark: counts[mark])
    if counts[best]:
        return best
    return " " if len(header.split()) > 1 and _NUMBER.match(header.split()[0]) is None else ","


def decimal(separator: str, sample: list[str]) -> tuple[str, str | None]:
    """Return the marks of decimals and thousands; "," and "." for the csv of a European spreadsheet.

    There cells stand between semicolons, and points between groups of three digits if anywhere.
    """
    text = "\n".join(sample)
    if separator != ";" or not re.search(r"\d,\d", text):
        return ".", None
    # dates, and names such as pythia-1.4b, say nothing
    cells = [cell.strip().strip('"') for line in sample for cell in line.split(";")]
    cells = [cell for cell in cells if _EUROPEAN.fullmatch(cell) and not _DATE.fullmatch(cell)]
    if not any("." in cell for cell in cells):
        return ",", None
    cells = [cell for cell in cells if "." in cell]
    grouped = all(re.fullmatch(r"[+-]?\d{1,3}(\.\d{3})+(,\d+)?", cell) for cell in cells)
    return (",", ".") if grouped and any(cell.count(".") > 1 for cell in cells) else (".", None)


def refuse_bad_header(first: str, sample: list[str], separator: str, name: str) -> list[str]:
    """Return the names of the columns, or refuse a header that cannot be one."""
    split = (lambda line: line.split()) if separator == " " else lambda line: _fields(line, separator)
    header = [cell.strip() for cell in split(first)]
    if all(_NUMBER.match(cell) for cell in header):
        raise DataError(
            f"{name} has no header: its first row is {first[:60]!r}", "it was not read", "Add one, such as N,D,loss"
        )
    twice = sorted({cell for cell in header if cell.strip() and header.count(cell) > 1})
    if twice:
        turned = transposed([header[0], *(split(line)[0] for line in sample if split(line))])
        if turned is not None:
            raise turned.naming(name=name)
        raise DataError(f"{name} has the column {twice[0]!r} more than once", "it was not read", "Rename or remove one")
    row = next((split(line) for line in sample if line.strip()), [])
    if len(row) > len(header) and any(cell.strip() for cell in row[len(header) :]):
        raise DataError(
            f"{name} names {len(header)} columns, but its first row has {len(row)} cells",
            "it was not read",
            "Name every column in the header",
        )
    return header


def _fields(line: str, separator: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=separator), [])
    except csv.Error:
        return line.split(separator)


def tidied(frame: pd.DataFrame, separator: str) -> pd.DataFrame:
    """Trim the names of the columns; between bars, as in markdown, the cells too, without the empty outer columns."""
    names = [str(name).strip() for name in frame.columns]
    frame = frame.set_axis(names, axis=1) if len(set(names)) == len(names) else frame
    if separator != "|":
        return frame
    blank = [name for name in frame if str(name).startswith("Unnamed: ") and frame[name].isna().all()]
    return frame.drop(columns=blank).map(lambda cell: cell.strip() if isinstance(cell, str) else cell)


def no_runs(frame: pd.DataFrame) -> AnyArray:
    """Return which rows hold no run: blank ones, the header once more, and the rule below it in markdown."""
    if frame.shape[1] < 2:
        return np.zeros(len(frame), bool)
    found = frame.isna().all(axis=1).to_numpy(copy=True)
    names, first = list(map(str, frame.columns)), frame.iloc[:, 0].astype(str).str.strip()
    for i in np.flatnonzero((first == names[0]) | first.str.fullmatch(_RULE)):
        cells = [str(cell).strip() for cell in frame.iloc[i]]
        found[i] |= cells == names or all(map(_RULE.fullmatch, cells))
    return found


def skipped_lines(caught: list[warnings.WarningMessage]) -> list[tuple[Any, str]]:
    """Return the rows that pandas could not split, from its warnings."""
    pattern = re.compile(r"line (\d+): expected (\d+) fields, saw (\d+)")
    found = [m for w in caught for m in pattern.finditer(str(w.message))]
    return [(int(m[1]), f"the row has {m[3]} cells where the header names {m[2]}") for m in found]
