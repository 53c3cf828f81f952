"""The numbers in the cells of a column, as people type them."""

from __future__ import annotations

import math
import re
from collections.abc import Container, Mapping
from typing import Any

import numpy as np
import pandas as pd

from scalefit._arguments import parse_quantity, plain_signs
from scalefit._typing import AnyArray, Array
from scalefit.errors import ArgumentError, Note

#: As `repr` shows a cell.
_DECIMAL_COMMA = re.compile(r"'\s*[+-]?(?:\d+,(?:\d{1,2}(?!\d)|\d{4,})|0\d*,\d)")
_ONE_GROUP = re.compile(r"^[+-]?\d{1,3},\d{3}(?![\d,.])")
#: "~50M", "ca. 3e9"; then "3.895±0.01", "3.895 +/- 0.01", "3.895(3)" and "3.895 (0.003)".
_ABOUT = re.compile(r"^(?:~|≈|∼|ca\.|approx\.|about\b)\s*(?=[\d.])", re.IGNORECASE)
_ERROR = re.compile(
    r"(?<=[\d.])\s*(?:(?:±|\+/-|\+-)\s*(?:\d+\.?\d*|\.\d+)(?:e-?\d+)?\s*%?|\s*\((?:\d+|\d*\.\d+)\))$",
    re.IGNORECASE,
)
_LOSS_UNIT = re.compile(
    r"^(.*[\d.)])\s*((?:nat|bit)s?(?:\s*(?:/|\bper\b)\s*(?:tok(?:en)?|byte)s?)?|bpb|ppl)$", re.IGNORECASE
)
#: Of one column: 20,000 and 20.000 beside it, where the point may part thousands as well.
_COMMAS, _ONE_POINT = re.compile(r"^[+-]?\d{1,3}(?:,\d{3})+$"), re.compile(r"^[+-]?[1-9]\d{0,2}\.\d{3}$")
_THOUSANDS = re.compile(r"^[+-]?\d{1,3},\d{3}[,.]\d")


def numbers(column: pd.Series[Any], factor: float = 1.0, *, small: bool = False) -> tuple[Array, dict[int, str]]:
    """Read a column as numbers.

    Parameters
    ----------
    column : Series, shape (n_rows,)
        Numbers, or text such as ``"7B"``.
    factor : float
        What plain numbers are multiplied by; a suffix in a cell wins over it.
    small : bool
        Whether numbers of thousands are unusual, as among losses: 2,461 is taken for 2461 only where another cell
        shows that its commas part thousands.

    Returns
    -------
    values : ndarray, shape (n_rows,)
        NaN where there is no number.
    unread : dict of int to str
        Position and text of each cell that is neither a number nor blank.
    """
    dtype = column.dtype
    if isinstance(dtype, np.dtype) and dtype.kind in "iuf":
        return np.array(column.to_numpy(), dtype=float) * factor, {}
    if pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_bool_dtype(dtype):
        if not pd.api.types.is_complex_dtype(dtype):
            return column.to_numpy(dtype=float, na_value=np.nan) * factor, {}
    cells = column.to_numpy(dtype=object)
    values = np.full(len(cells), np.nan)
    unread: dict[int, str] = {}
    known: dict[str, float | None] = {}
    for i, cell in enumerate(cells):
        if isinstance(cell, str):
            if cell not in known:
                known[cell] = _parse(cell, factor)
            number = known[cell]
        else:
            number = _parse(cell, factor)
        if number is None:
            unread[i] = repr(cell if len(str(cell)) <= 40 else str(cell)[:37] + "...")
        else:
            values[i] = number
    doubtful = small and not any(_THOUSANDS.match(cell) for cell in known)
    if doubtful or any(_DECIMAL_COMMA.match(text) for text in unread.values()):
        for i, cell in enumerate(cells):  # beside 5,2593 a cell 5,259 may have a decimal comma as well
            if isinstance(cell, str) and _ONE_GROUP.match(cell.strip()):
                values[i], unread[i] = math.nan, repr(cell)
    if any(_COMMAS.match(cell) for cell in known):
        for i, cell in enumerate(cells):
            if isinstance(cell, str) and _ONE_POINT.match(cell.strip()):
                values[i], unread[i] = math.nan, repr(cell)
    return values, unread


def _parse(cell: Any, factor: float) -> float | None:
    """Return the number in a cell, NaN for a blank one and None where there is no number."""
    if cell is None or cell is pd.NA or cell is pd.NaT:
        return math.nan
    if isinstance(cell, str):
        text = plain_signs(cell)
        if text.lower() in ("", "nan", "na", "n/a", "none", "null", "-", "--"):
            return math.nan
        if text.lower().lstrip("+-") in ("inf", "infinity"):
            return -math.inf if text.startswith("-") else math.inf
        text = _ERROR.sub("", _ABOUT.sub("", text))
        try:
            number = parse_quantity(text)
        except (ArgumentError, OverflowError):
            return None
        return number * (factor if text[-1].isdigit() or text[-1] == "." else 1.0)
    if isinstance(cell, (bool, np.bool_)) or isinstance(cell, (complex, np.complexfloating)):
        return None
    if not hasattr(cell, "__float__") or isinstance(cell, np.ndarray):
        return None
    try:
        return float(cell) * factor
    except OverflowError:
        return math.inf
    except (TypeError, ValueError):
        return None


def approximate(name: str, column: pd.Series[Any]) -> list[Note]:
    """Remark on cells that give a value as approximate, or with its error: `numbers` reads the value alone."""
    if column.dtype.kind in "iuf":
        return []
    cells = [plain_signs(cell) for cell in column.to_numpy(dtype=object) if isinstance(cell, str)]
    notes = []
    for code, pattern, what in (
        ("approximate_value", _ABOUT, "say that they are approximate"),
        ("stated_error", _ERROR, "give an error beside the value"),
    ):
        found = [cell for cell in cells if pattern.search(cell) and _parse(cell, 1.0) is not None]
        if found:
            text = f"{len(found)} of {len(column)} cells of {name} {what}, such as {found[0]!r:.40}. "
            text += "The value alone was read."
            notes.append(Note(code, "info", text, {"column": name, "n_rows": len(found)}))
    return notes


def without_unit(column: pd.Series[Any]) -> tuple[pd.Series[Any], str | None]:
    """Losses without the unit that their cells state, "3.9 nats", and that unit; as they are where it is not one."""
    if column.dtype.kind in "iuf":
        return column, None
    cells = column.to_numpy(dtype=object)
    found = [_LOSS_UNIT.match(plain_signs(cell)) if isinstance(cell, str) else None for cell in cells]
    stated = {match[2].lower() for match in found if match}
    if len({re.sub(r"\W|per|s\b|en", "", unit) for unit in stated}) != 1:
        return column, None
    bare = [cell if match is None else match[1] for cell, match in zip(cells, found, strict=True)]
    return pd.Series(bare, index=column.index, dtype=object), min(stated)


def unread_text(name: str, cell: str) -> str:
    """Why a row is set aside whose cell, as `numbers` shows it, was not read."""
    if re.match(r"'\s*[+-]?\d+,\d+(?![\d,.])", cell):
        return f"{name} is {cell}, not a number; with a decimal comma, write a point"
    return f"{name} is {cell}, not a number"


def kinds_of(frame: pd.DataFrame) -> dict[Any, str]:
    """Kind of each column, as numpy's data types have them: i, u and f are numbers, O anything."""
    return {name: getattr(dtype, "kind", "O") for name, dtype in zip(frame.columns, frame.dtypes, strict=True)}


def words_of(frame: pd.DataFrame, kinds: Mapping[Any, str], but: Container[str]) -> dict[str, AnyArray]:
    """Columns (n,) of a frame that hold no numbers, without those named in `but`."""
    return {
        str(name): frame[name].to_numpy(dtype=object)
        for name, kind in kinds.items()
        if kind not in "iufcmM" and str(name) not in but
    }
