"""Shares of a mixture in a table: which columns they are, which domains, and whether they sum to 1."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scalefit._text import shortlist
from scalefit._typing import AnyArray, Array
from scalefit.errors import ArgumentError, DataError, arg, way
from scalefit.tables.cells import numbers
from scalefit.tables.columns import listed
from scalefit.tables.files import read_file
from scalefit.tables.reader import as_frame

#: What columns of shares begin or end with, most trusted first.
_MARKS = "r share shares mix mixture ratio proportion weight train frac fraction p prob".split()
_SIGNS = "_./-: "


def share_columns(
    runs: Any, name: str, given: Any = None, domains: Sequence[str] = (), tolerance: float = 0.01
) -> dict[str, str]:
    """Return the column of each domain's share in a table.

    Parameters
    ----------
    runs : path, DataFrame or mapping of columns
        The table.
    name : str
        Name of the law's shares; columns such as ``r_web`` are tried first for ``"r"``.
    given : str or sequence of str, optional
        The columns, or patterns such as ``"share_*"``; by default they are found by a common prefix or suffix and a
        sum of 1.
    domains : sequence of str
        The domains, if they are known.
    tolerance : float
        How far from 1 a sum may be.

    Returns
    -------
    dict of str to str
        Domain to column; a prefix or suffix that all columns share is not part of the domain.

    Raises
    ------
    DataError
        There are no such columns, or shares of a row do not sum to 1: the message names the row, and says if the shares
        look like percentages or counts.
    """
    frame, rows = _frame_of(runs)
    names = [str(column) for column in frame.columns]
    if given is None:
        columns = _found(frame, names, name, tolerance)
    else:
        columns = matching(given, names, name)
    if len(columns) < 2:
        raise DataError(
            f"{name} names the column{'s' if len(columns) != 1 else ''} {', '.join(columns)}",
            "nothing was read, as a mixture has two domains or more",
            "Name every share, what remains too",
        )
    labels = _domains(columns)
    if domains and set(labels) != set(domains):
        labels = [column.removeprefix(f"{name}_") for column in columns]
    if domains and set(labels) != set(domains):
        raise DataError(
            f"The law is for the domains {', '.join(domains)}, and the table has shares of {', '.join(labels)}",
            "nothing was read",
            f"Name the columns in its order: {arg('inputs', {name: [...]})}",
        )
    _demand_whole(frame, columns, rows, tolerance)
    found = dict(zip(labels, columns, strict=True))
    return {domain: found[domain] for domain in domains} if domains else found


def matching(given: Any, names: Sequence[str], what: str) -> list[str]:
    """Columns named one by one, or by patterns such as ``"loss_*"``, in the order of the names and of the table."""
    asked = [part.strip() for part in given.split(",")] if isinstance(given, str) and given not in names else given
    if isinstance(asked, str):
        asked = [asked]
    if not isinstance(asked, Iterable) or isinstance(asked, Mapping):
        raise ArgumentError(f"{arg(what, given)} names no columns", "nothing was read", "Give a list of their names")
    found: list[str] = []
    for text in map(str, asked):
        here = [text] if text in names else [x for x in names if "*" in text and fnmatch.fnmatchcase(x, text)]
        if not here:
            raise DataError(
                f"No column {text!r}, which {arg(what)} names", "nothing was read", f"The table has {listed(names)}"
            )
        found += [column for column in here if column not in found]
    return found


def whole(frame: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Divide shares by their sum, which rounding moves off 1; rows with a blank stay as they are."""
    total = frame[list(columns)].sum(axis=1, skipna=False)
    for column in columns:
        frame[column] = frame[column].div(total).where(total.notna(), frame[column])
    return frame


def _frame_of(runs: Any) -> tuple[pd.DataFrame, AnyArray]:
    """A table as it stands, and the numbers of its rows."""
    if isinstance(runs, (str, Path)):
        raw = read_file(runs, lambda head: None)
        return raw.frame, raw.rows
    frame = as_frame(runs)
    return frame, frame.index.to_numpy()


def _found(frame: pd.DataFrame, names: list[str], name: str, tolerance: float) -> list[str]:
    """Columns with one beginning or end whose rows sum to 1; those with a telling one are named where they do not."""
    groups = _groups(names)
    sums = {mark: _sums(frame, columns) for mark, columns in groups.items()}
    good = [mark for mark, total in sums.items() if total is not None and _is_one(total, tolerance).mean() > 0.5]
    exact = next((mark for mark in groups if mark == (name + "_", "")), None)
    if exact is not None and exact in good:
        return groups[exact]
    # Of groups within one another, such as train_ and train_pile_, the longest is of the most columns anyway.
    distinct = list({tuple(groups[mark]): mark for mark in good}.values())
    distinct = [m for m in distinct if not any(set(groups[m]) < set(groups[other]) for other in distinct)]
    if len(distinct) == 1:
        return groups[distinct[0]]
    wanted = way(f"inputs={{{name!r}: ['share_web', 'share_code', ...]}}", f"--input {name}=share_web,share_code")
    how = f"Name them: {wanted}."
    if len(distinct) > 1:
        shown = " and ".join(f"{groups[mark][0]!r}, ..." for mark in distinct[:3])
        raise DataError(f"Several groups of columns sum to 1 in each row ({shown})", "none was used as the shares", how)
    telling = [m for m in groups if sums[m] is not None and re.sub(r"[^a-z]", "", (m[0] + m[1]).lower()) in _MARKS]
    if telling:
        return groups[telling[0]]
    free = [c for c in names if (v := _values(frame, c)) is not None and ((v >= 0) & (v <= 1)).all()]
    total = _sums(frame, free) if len(free) > 1 else None
    if total is not None and _is_one(total, tolerance).all():
        return free
    raise DataError(
        "No columns of shares were found, such as 'share_web' and 'share_code' that sum to 1 in each row",
        "nothing was read",
        f"The table has {listed(names)}. {how}",
    )


def _groups(names: list[str]) -> dict[tuple[str, str], list[str]]:
    """Columns by a common beginning or end, up to a sign; telling ones first."""
    found: dict[tuple[str, str], list[str]] = {}
    for column in names:
        cuts = [at for at, sign in enumerate(column) if sign in _SIGNS]
        for at in cuts:
            found.setdefault((column[: at + 1], ""), []).append(column)
            found.setdefault(("", column[at:]), []).append(column)
    found = {mark: columns for mark, columns in found.items() if len(columns) > 1}

    def rank(mark: tuple[str, str]) -> int:
        word = re.sub(r"[^a-z]", "", (mark[0] + mark[1]).lower())
        return _MARKS.index(word) if word in _MARKS else len(_MARKS)

    return dict(sorted(found.items(), key=lambda item: rank(item[0])))


def _values(frame: pd.DataFrame, column: str) -> Array | None:
    """Numbers of a column (n,), blanks as NaN; None where it holds something else."""
    at = [str(name) for name in frame.columns].index(column)
    values, unread = numbers(frame.iloc[:, at])
    return None if unread or not np.isfinite(values).any() else values


def _sums(frame: pd.DataFrame, columns: Sequence[str]) -> Array | None:
    parts = [_values(frame, column) for column in columns]
    if any(part is None or (part < 0).any() for part in parts):
        return None
    total = np.asarray(sum(part for part in parts if part is not None))
    return total if np.isfinite(total).any() else None


def _is_one(total: Array, tolerance: float) -> AnyArray:
    """Which sums (n,) are 1; those of rows with a blank count for nothing."""
    total = total[np.isfinite(total)]
    return np.asarray(np.abs(total - 1) <= tolerance)


def _demand_whole(frame: pd.DataFrame, columns: list[str], rows: AnyArray, tolerance: float) -> None:
    parts = []
    for column in columns:
        values = _values(frame, column)
        if values is None:
            raise DataError(
                f"Column {column!r} holds no numbers, so it is not a share", "nothing was read", "Correct it"
            )
        parts.append(values)
    table = np.stack(parts, axis=1)
    total = table.sum(axis=1)
    bad = np.flatnonzero(np.isfinite(total) & ((np.abs(total - 1) > tolerance) | (table < 0).any(axis=1)))
    if not bad.size:
        return
    row, seen = rows[bad[0]], float(total[bad[0]])
    shown = shortlist(map(repr, columns), 3)
    everywhere = total[np.isfinite(total)]
    if (table[bad[0]] < 0).any():
        why, how = "one of them is negative", "Correct that row."
    elif np.abs(everywhere - 100).max() <= 100 * tolerance:
        why = f"they sum to {seen:.4g} in row {row} and to about 100 in all: percentages"
        how = "Divide them: runs[columns] /= 100."
    elif seen > 1000:
        why = f"they sum to {seen:.4g} in row {row}: tokens, it seems"
        how = "Divide them: runs[columns] = runs[columns].div(runs[columns].sum(axis=1), axis=0)."
    else:
        why = f"they sum to {seen:.4g} in row {row}" + (f" and {bad.size - 1} more rows" if bad.size > 1 else "")
        how = "Name every share, what remains too, or correct these rows."
    raise DataError(f"The shares {shown} do not sum to 1: {why}", "nothing was read", how)


def _domains(columns: Sequence[str]) -> list[str]:
    """Names without what all begin and end with, cut at a sign."""
    first, last = min(columns), max(columns)
    start = 0
    while start < min(len(first), len(last)) and first[start] == last[start]:
        start += 1
    turned = [column[::-1] for column in columns]
    first_end, last_end = min(turned), max(turned)
    end = 0
    while end < min(len(first_end), len(last_end)) and first_end[end] == last_end[end]:
        end += 1
    start = max((at + 1 for at in range(start) if first[at] in _SIGNS), default=0)
    end = max((at + 1 for at in range(end) if first_end[at] in _SIGNS), default=0)
    found = [column[start : len(column) - end] for column in columns]
    return found if all(found) and len(set(found)) == len(found) else list(columns)


def columns_of(runs: Any) -> list[str]:
    """Names of the columns of a table."""
    return [str(column) for column in _frame_of(runs)[0].columns]
