"""The settings that a sweep varies: what each is called in tables, and in which unit a batch is counted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit._arguments import check_quantity, one_of
from scalefit._text import known
from scalefit._typing import Array
from scalefit.errors import ArgumentError, DataError, Note, arg
from scalefit.flops import QUANTITIES
from scalefit.laws import Input
from scalefit.laws._inputs import INPUTS
from scalefit.tables import columns as _columns
from scalefit.tables.cells import numbers

if TYPE_CHECKING:
    import pandas as pd

_RATE = "lr learning_rate max_lr peak_lr max_learning_rate peak_learning_rate base_lr base_learning_rate lr_max lr_peak"
_BATCH = "batch_size bs batch global_batch_size train_batch_size total_batch_size effective_batch_size batch_sequences "
_BATCH += "batch_size_sequences batch_tokens batch_size_tokens batch_size_in_tokens tokens_per_batch tokens_per_step "
_BATCH += "global_batch_tokens total_batch_size_tokens"
_DECAY = "weight_decay wd adam_weight_decay optimizer_weight_decay lambda"
_WARMUP = "warmup warmup_steps n_warmup num_warmup_steps warmup_tokens warmup_iters warmup_ratio warmup_fraction"

#: Settings by name. Others may be asked for too, by the name of their column.
SETTINGS: dict[str, Input] = {
    "lr": Input("peak learning rate", tuple(_RATE.split()), typical=(1e-4, 1e-3, 1e-2)),
    "batch_size": Input("batch size", tuple(_BATCH.split()), typical=(32, 256, 2048)),
    "weight_decay": Input("weight decay", tuple(_DECAY.split()), typical=(0.01, 0.1, 1.0)),
    "warmup": Input("warm-up", tuple(_WARMUP.split()), typical=(100, 1000, 10000)),
}
BATCH_UNITS = ("sequences", "tokens")
#: No batch of so many sequences has been trained with, and no batch of so few tokens.
_TOKENS_FROM = 16384


@dataclass(frozen=True, slots=True)
class BatchUnit:
    """How a table counts its batch: ``unit``, tokens per sequence where they are known, and whether it was stated."""

    unit: str
    T_max: float | None
    stated: bool

    @property
    def tokens(self) -> float | None:
        """Tokens in one unit of the batch; None where that is not known."""
        return 1.0 if self.unit == "tokens" else self.T_max


def check_settings(of: Any) -> tuple[str, ...]:
    """Return the names asked for: one, or several different ones."""
    names = (of,) if isinstance(of, str) else of
    if not isinstance(names, Iterable) or not all(isinstance(name, str) for name in names):
        raise ArgumentError(
            f"{arg('of', of)} names no settings", "nothing was fitted", f"Give {arg('of', ('lr', 'batch_size'))}"
        )
    found = tuple(names)
    if not found or len(set(found)) != len(found) or set(found) & {*QUANTITIES, "loss"}:
        raise ArgumentError(
            f"{arg('of', of)} must name settings, each once",
            "nothing was fitted",
            f"Known: {', '.join(SETTINGS)}, or any positive column of the table that runs of one cell differ in",
        )
    return found


def find_setting(frame: pd.DataFrame, name: str, asked: str | None = None) -> tuple[str, Array] | None:
    """Column and values (n,) of a setting, as asked or by its usual names; None where there is none."""
    declared = SETTINGS.get(name) or INPUTS.get(name)
    usual = declared.names if declared is not None else (name.lower(),)
    choice = _named(name, asked, frame, usual)
    if choice is None or choice.column is None:
        return None
    values, unread = numbers(frame[choice.column])
    if unread:
        row, cell = next(iter(unread.items()))
        raise DataError(
            f"Column {choice.column!r} holds {cell} in row {frame.index[row]}, not a number",
            "nothing was fitted",
            "Correct it",
        )
    return choice.column, values


def _named(name: str, asked: str | None, frame: pd.DataFrame, usual: Iterable[str]) -> _columns.Choice | None:
    try:
        return _columns.choose(name, asked, frame.columns, usual=usual)
    except DataError as error:
        raise error.naming(name="the table") from None


def missing_setting(name: str, frame: pd.DataFrame) -> DataError:
    """The error for a setting that has no column."""
    meaning = SETTINGS[name].meaning if name in SETTINGS else name
    has = ", ".join(map(str, list(frame.columns)[:16]))
    return DataError(
        f"The table has no column of the {meaning} ({name}); it has {has}",
        "nothing was fitted",
        (f"name the column with {arg(f'inputs[{name!r}]', 'column')}", f"leave {name} out of {arg('of')}"),
    )


def unit_of_batch(column: str, values: Array, asked: Any, T_max: Any) -> tuple[BatchUnit, list[Note]]:
    """The unit of a batch: as asked, as its column is named, or by its size, which a note tells.

    Parameters
    ----------
    column : str
        Name of the column.
    values : ndarray (n,)
        Batch of each run.
    asked : {"sequences", "tokens"}, optional
        The unit.
    T_max : float, optional
        Tokens per sequence [tokens].
    """
    if not one_of(asked, (None, *BATCH_UNITS)):
        raise ArgumentError(f"{arg('batch_unit', asked)} is not known", "nothing was fitted", known(asked, BATCH_UNITS))
    length = None if T_max is None else check_quantity("T_max", T_max)
    if asked is not None:
        return BatchUnit(asked, length, True), []
    words = set(column.lower().replace("-", "_").split("_"))
    if words & {"tokens", "sequences"}:
        return BatchUnit("tokens" if "tokens" in words else "sequences", length, True), []
    unit = "tokens" if float(np.median(values)) >= _TOKENS_FROM else "sequences"
    text = (
        f"Column {column!r} does not say its unit; values of {values.min():g} to {values.max():g} were taken as "
        f"{unit}. "
        f"If that is wrong, pass {arg('batch_unit')}."
    )
    return BatchUnit(unit, length, False), [Note("batch_unit", "info", text, {"unit": unit})]
