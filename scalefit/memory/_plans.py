"""Tables of plans: from a file, a mapping of columns or a DataFrame to one frame."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit._arguments import read_quantity
from scalefit.errors import ArgumentError, DataError, arg

if TYPE_CHECKING:
    import pandas as pd

PLAN_COLUMNS = ("N", "D", "n_layers", "d_emb", "T_max")
#: Other names of columns in files of plans.
_ALIASES = {"vocab": "vocab_size"}


def plans_of(source: Any) -> Any:
    """Return a frame where `source` holds several plans, None where it is one number."""
    if hasattr(source, "columns"):
        return source
    if isinstance(source, Path) or (isinstance(source, str) and not _is_quantity(source)):
        return read_plans(source)
    if isinstance(source, Mapping):
        import pandas as pd

        if not source or all(np.ndim(value) == 0 for value in source.values()):
            raise _one_plan(source)
        try:
            return pd.DataFrame(dict(source))
        except ValueError as error:
            raise DataError(
                f"The plans make no table ({error})", "nothing was computed", "Give columns of one length"
            ) from None
    if hasattr(source, "keys"):
        raise _one_plan(source)
    return None


def read_plans(path: str | Path) -> pd.DataFrame:
    """Read a table of plans under their usual names; cells may say ``124M``.

    Raises
    ------
    DataError
        The file cannot be read, has no rows, or a cell is not a number.
    """
    from scalefit.tables.cells import numbers
    from scalefit.tables.columns import choose
    from scalefit.tables.files import read_file

    raw = read_file(Path(path), check=lambda head: None)
    if raw.unreadable:
        row, reason = raw.unreadable[0]
        raise DataError(
            f"{raw.name}, row {row}: {reason}",
            "nothing was computed: a plan left out would not be noticed",
            "Correct the file",
        )
    if not len(raw.frame):
        raise DataError(f"{raw.name} has a header and no rows", "nothing was computed", "Give it a row for each plan")
    names = {a: b for a, b in _ALIASES.items() if a in raw.frame.columns and b not in raw.frame.columns}
    factors: dict[str, float] = {}
    for target in PLAN_COLUMNS:
        try:
            choice = choose(target, None, raw.frame.columns)
        except DataError as error:
            raise error.naming(name=raw.name) from None
        if choice is not None and choice.column is not None:
            names[choice.column], factors[target] = target, choice.factor
    frame = raw.frame.rename(columns=names)
    frame.index = raw.rows  # so that a bad row is named as the file counts it
    for name in (*PLAN_COLUMNS, "vocab_size", "d_ff"):
        if name in frame.columns:
            values, unread = numbers(frame[name], factors.get(name, 1.0))
            for i, cell in unread.items():
                raise DataError(
                    f"{raw.name}, row {raw.rows[i]}: {name} is {cell}, which is not a number",
                    "nothing was computed",
                    "Correct the file",
                )
            frame[name] = values
    return frame


def quantity(name: str, value: Any) -> Any:
    """Return text such as ``"124M"`` as a number, anything else as it is."""
    return read_quantity(value, arg(name, value)) if isinstance(value, str) else value


def _one_plan(source: Any) -> ArgumentError:
    return ArgumentError(
        f"N is a {type(source).__name__}",
        "nothing was computed",
        "Pass one plan as loss_floor(**plan), many as a table",
    )


def _is_quantity(text: str) -> bool:
    try:
        quantity("N", text)
    except (ArgumentError, OverflowError):
        return not Path(text).suffix  # a word without a suffix is a mistyped number, not a file
    return True
