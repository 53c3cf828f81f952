"""Whether 3,449 in a log is a decimal or thousands: decided by column, and refused if the column does not show it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from scalefit._text import shortlist
from scalefit.errors import DataError

WHOLE = ("step", "tokens", "total_steps")  # numbers that are grouped in threes; losses and rates are not
_TWO_POINTS = re.compile(r"\.\d*\.")
_OTHER = {",": ".", ".": ","}
_FORMS = {  # by the mark that may be a decimal
    mark: {
        "one_group": re.compile(rf"[-+]?[1-9]\d{{0,2}}[{mark}]\d{{3}}"),
        "groups": re.compile(rf"[-+]?\d{{1,3}}([{mark}]\d{{3}}){{2,}}"),
        "decimal": re.compile(rf"(?=.*\d)[-+]?\d*[{mark}]\d*(e[-+]?\d+)?", re.I),
        "both": re.compile(rf"[-+]?\d{{1,3}}([{other}]\d{{3}})+[{mark}]\d*"),
    }
    for mark, other in _OTHER.items()
}


@dataclass(frozen=True, slots=True)
class _Shown:
    """What the cells of a column show: marks that are decimals, or thousands, for certain, and those of one group."""

    decimals: frozenset[str]
    thousands: frozenset[str]
    one_group: Mapping[str, list[str]]
    unmarked: bool  # some cells have no mark


def decimal_marks(table: pd.DataFrame, columns: Mapping[str, Any], whole: Iterable[str] = WHOLE) -> dict[str, str]:
    """Return the decimal mark of each column, "." or ",".

    A group of three digits is a decimal in a loss or a rate. In a number of steps or tokens it is thousands where the
    other columns have the other mark for decimals, or where smaller numbers stand beside it without a mark.

    Parameters
    ----------
    table : DataFrame
        Cells of text.
    columns : mapping of str to column
        What a column holds, as in `_log_columns.NAMES`, to the column.
    whole : iterable of str
        Which of them are whole numbers.

    Raises
    ------
    DataError
        A column has both marks, or does not show which one it uses.
    """
    whole = frozenset(whole)
    shown = {name: _look(table[column], name in whole) for name, column in columns.items()}
    marks = {name: _of_real(name, columns[name], seen) for name, seen in shown.items() if name not in whole}
    used = {marks[name] for name in marks if shown[name].decimals or shown[name].one_group}
    return marks | {name: _of_whole(columns[name], shown[name], used) for name in shown if name in whole}


def _look(column: pd.Series[Any], whole: bool) -> _Shown:
    texts = [text for text in column.tolist() if isinstance(text, str)]
    together = "\n".join(texts)
    if "," not in together and not _TWO_POINTS.search(together) and not (whole and "." in together):
        return _Shown(frozenset("." if "." in together else ""), frozenset(), {}, False)  # nearly every column
    decimals, thousands = set(), set()
    one_group: dict[str, list[str]] = {}
    texts = list(dict.fromkeys(text.strip() for text in texts))
    for text in texts:
        for mark, forms in _FORMS.items():
            if mark not in text:
                continue
            if forms["one_group"].fullmatch(text):
                one_group.setdefault(mark, []).append(text)
            elif forms["groups"].fullmatch(text):
                thousands.add(mark)
            elif forms["both"].fullmatch(text):
                decimals.add(mark)
                thousands.add(_OTHER[mark])
            elif forms["decimal"].fullmatch(text):
                decimals.add(mark)
    unmarked = any(text.isdecimal() for text in texts)
    return _Shown(frozenset(decimals), frozenset(thousands), one_group, unmarked)


def _of_real(name: str, column: Any, seen: _Shown) -> str:
    """Decimal mark of a loss or a rate: one group of three digits is a decimal, unless the column shows thousands."""
    grouped = set(seen.one_group) - seen.thousands
    if name == "grad_norm" and seen.decimals:  # 1,234 beside 12.3: norms may be in the thousands
        grouped = set()
    found = seen.decimals | grouped
    if len(found) > 1 or found & seen.thousands:
        _refuse(column, seen)
    return next(iter(found or {_OTHER[mark] for mark in seen.thousands} or {"."}))


def _of_whole(name: Any, seen: _Shown, used: Iterable[str]) -> str:
    """Decimal mark of steps or tokens, beside decimals with the marks `used`."""
    used = set(used)
    if len(seen.decimals) > 1 or len(seen.thousands) > 1 or seen.decimals & seen.thousands:
        _refuse(name, seen)
    if seen.decimals:
        return next(iter(seen.decimals))
    if seen.thousands:
        return _OTHER[next(iter(seen.thousands))]
    if not seen.one_group:
        return "."
    if len(seen.one_group) > 1:
        _refuse(name, seen)
    mark, cells = next(iter(seen.one_group.items()))
    # Programs that leave decimals out where they are zero leave out every last zero: 1.000 beside 999 is a thousand.
    apart = mark not in used if used else mark == ","
    if apart or (seen.unmarked and any(cell.endswith("0") for cell in cells)):
        return _OTHER[mark]
    if mark == "," or seen.unmarked:
        _refuse(name, seen)
    return "."


def _refuse(name: Any, seen: _Shown) -> None:
    cells = [cell for group in seen.one_group.values() for cell in group[:2]]
    both = len(seen.decimals | seen.thousands | set(seen.one_group)) > 1
    why = "has points and commas that contradict each other" if both else "has marks that may be decimals or thousands"
    raise DataError(
        f"The column {name!r} {why}" + (f" ({shortlist(map(repr, cells), 4)})" if cells else ""),
        "nothing was read",
        "Write decimals with a point, and steps without marks, as 1000",
    )
