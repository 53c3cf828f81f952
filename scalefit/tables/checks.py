"""Runs that a law can use: the check before every fit, with one warning about the rows that are left out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from scalefit._calls import explained
from scalefit._text import folded
from scalefit._typing import AnyArray
from scalefit._warn import warn_user
from scalefit.errors import ArgumentError, Note, arg, note_record
from scalefit.flops import QUANTITIES, SIZES
from scalefit.tables import columns as _columns
from scalefit.tables.cells import kinds_of, numbers, words_of
from scalefit.tables.reader import Request, as_frame, assumptions_of, conventions_of, must_read, no_row, read
from scalefit.tables.rows import Rows, assumed_unit, in_order, oddities, refuse_small, set_aside_note
from scalefit.tables.runs import LISTED_ROWS, read_for_fit


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CheckedRuns:
    """Runs that a law can be fitted to.

    Parameters
    ----------
    columns : dict of str to ndarray, shape (n_runs,)
        Every input asked for, ``"loss"``, every other numeric column, and ``"series"`` as text where there is
        one. The inputs and the loss are finite and positive.
    row_labels : ndarray, shape (n_runs,)
        The number of each run in its file, or its label in the frame it came from.
    conventions : dict
        ``params``, ``flops`` and ``loss_unit``, and whether the table states them (``stated``).
    notes : tuple of Note
        What was guessed, derived, set aside or is unusual.
    set_aside : tuple of (row, reason)
        Every row that is not among the runs.
    words : dict of str to ndarray, shape (n_runs,)
        Columns of text: recipes, optimizers, corpora.
    """

    columns: dict[str, AnyArray]
    row_labels: AnyArray
    conventions: dict[str, Any]
    notes: tuple[Note, ...]
    set_aside: tuple[tuple[Any, str], ...]
    words: dict[str, AnyArray]

    @property
    def n_runs(self) -> int:
        """Number of usable runs."""
        return len(self.row_labels)

    def __len__(self) -> int:
        return self.n_runs

    def __repr__(self) -> str:
        aside = f", {len(self.set_aside)} rows set aside" if self.set_aside else ""
        lines = [f"{self.n_runs} runs can be fitted{aside}", f"  columns: {', '.join((*self.columns, *self.words))}"]
        counted = (f"{key} {self.conventions[key]}" for key in ("params", "flops", "loss_unit"))
        return "\n".join(map(folded, [*lines, f"  counted as: {', '.join(counted)}", *(f"  {n}" for n in self.notes)]))


@explained
def check_runs(
    runs: str | Path | pd.DataFrame | Mapping[str, Any],
    inputs: Sequence[str] = SIZES,
    *,
    loss: str = "loss",
    declared: Mapping[str, Any] | None = None,
) -> CheckedRuns:
    """Check that a table can be fitted, as every fit does first.

    Parameters
    ----------
    runs : path, DataFrame or mapping of columns
        What `read_runs` gave, or anything that it reads.
    inputs : sequence of str
        The columns that the law needs, such as ``("N", "D")``; C is computed from N and D, and so on.
    loss : str
        The column of the loss.
    declared : mapping, optional
        Declarations with the possible values of a column (``admits``), by name; columns without one must be positive.

    Returns
    -------
    CheckedRuns
        Usable runs, and every row that is not among them.

    Raises
    ------
    DataError
        A column is missing, or no row is usable.

    Examples
    --------
    >>> checked = check_runs({"N": [1e8, 1e9, -1], "D": [2e9, 2e10, 2e10], "loss": [3.2, 2.7, 2.6]}, ("C",))
    >>> checked.columns["C"], checked.set_aside
    (array([1.2e+18, 1.2e+20]), ((2, 'N is -1'),))
    """
    return _check(runs, inputs, loss, declared)[0]


def check_for_fit(
    runs: Any, inputs: Sequence[str], *, loss: str = "loss", declared: Mapping[str, Any] | None = None
) -> CheckedRuns:
    """Check as `check_runs` does, and warn of the rows set aside that no reading warned of before."""
    return _warned(runs, *_check(runs, inputs, loss, declared))


def _warned(runs: Any, checked: CheckedRuns, message: str) -> CheckedRuns:
    if message:
        warn_user(f"{checked.conventions['source']}: {message}")
        getattr(runs, "attrs", {}).get("scalefit", {}).pop("rows_told", None)
    return checked


def usable_runs(runs: Any, inputs: Sequence[str] = SIZES, **options: Any) -> pd.DataFrame:
    """Read a table that is fitted in parts: the runs that a law in these inputs can use, and one warning of all others.

    What was read before is taken as it is; `options` are those of `read_runs` for what was not.
    """
    ready = isinstance(runs, pd.DataFrame) and "scalefit" in runs.attrs
    frame = runs if ready else read_for_fit(runs, **options)
    stated = dict(frame.attrs["scalefit"])
    if not frame.index.is_unique:
        frame = frame.reset_index(drop=True)
        frame.attrs["scalefit"] = stated
    checked = _warned(frame, *_check(frame, inputs, "loss"))
    kept = frame[frame.index.isin(checked.row_labels)].copy()
    kept.attrs["scalefit"] = {
        **{name: value for name, value in stated.items() if name != "rows_told"},
        "n_set_aside": len(checked.set_aside),
        "set_aside": [{"row": row, "reason": why} for row, why in checked.set_aside[:LISTED_ROWS]],
        "notes": [note_record(note) for note in checked.notes],
    }
    return kept


def _check(
    runs: Any, inputs: Sequence[str], loss: str, declared: Mapping[str, Any] | None = None
) -> tuple[CheckedRuns, str]:
    """Return the runs, and what to say of the rows set aside that nobody was told of."""
    if not isinstance(loss, str) or not isinstance(inputs, Iterable) or not all(isinstance(i, str) for i in inputs):
        raise ArgumentError(
            f"{arg('inputs', inputs)}, {arg('loss', loss)} name no columns", "nothing was read", "Pass their names"
        )
    frame, conventions, notes, earlier = _admit(runs, inputs, loss, declared or {})
    conventions.pop("rows_told", None)
    stated = getattr(runs, "attrs", {}).get("scalefit")
    rows_told = stated is not None and stated.get("rows_told", True)
    kinds = kinds_of(frame)
    columns: dict[str, AnyArray] = {str(name): numbers(frame[name])[0] for name, kind in kinds.items() if kind in "iuf"}
    if loss in columns:  # a table that had to be read has it under its usual name by now
        columns["loss"] = columns[loss].copy()
    rows = Rows(columns, frame.index.to_numpy())
    if "status" in frame:
        rows.refuse(_columns.unfinished(frame["status"].to_numpy(dtype=object)))
    for name in QUANTITIES:
        if name in columns:
            rows.demand_positive(name, blank=None)
    for name in SIZES if not conventions["stated"] else ():
        if name in inputs:
            refuse_small(name, name, columns, conventions["source"])
    found = rows.complete(conventions["flops"])
    if "unique_tokens" in inputs and "unique_tokens" not in columns:
        columns["unique_tokens"] = columns["D"].copy()
        text = "There is no unique_tokens column: each token is assumed to be seen once (unique_tokens = D)."
        found.append(Note("derived", "info", text, {"column": "unique_tokens", "n_rows": len(frame)}))
    for name in (*inputs, "loss", *(["weight"] if "weight" in columns else [])):
        rows.demand(name, (declared or {}).get(name))
    if "unique_tokens" in columns and "unique_tokens" not in inputs:  # blank where nobody counted
        rows.demand_positive("unique_tokens", blank=None)
    target = (declared or {}).get("loss")
    of_loss = target is None or target.of_loss
    unit = conventions["loss_unit"] if of_loss else "other"
    rows.demand_plausible_loss(unit)
    rows.demand_one_unit()
    rows.demand_new(frame)
    keep, here = rows.usable, rows.set_aside()
    aside = in_order([*earlier, *here])
    if not keep.any():
        raise no_row(conventions["source"], aside)
    if "series" in frame:
        columns["series"] = _columns.label_series(frame, "series").to_numpy()
    if here:
        columns = {name: values[keep] for name, values in columns.items()}
        frame = frame[keep]
        notes = [note for note in notes if note.code != "set_aside"]
        notes.append(set_aside_note(aside, len(keep) + len(earlier)))
    found += oddities(columns, frame, unit, rows.labels[keep])
    if of_loss and "loss_unit" in conventions["assumed"]:
        found += assumed_unit(columns["loss"])
    already = {(note.code, note.details.get("column")) for note in notes}
    notes += [note for note in found if (note.code, note.details.get("column")) not in already]
    told = tuple(note for note in notes if _concerns(note, inputs))
    new = here if rows_told else aside
    message = set_aside_note(new, len(keep) + len(aside) - len(here)).template if new else ""
    return CheckedRuns(
        columns, rows.labels[keep], conventions, told, tuple(aside), words_of(frame, kinds, columns)
    ), message


def _concerns(note: Note, inputs: Sequence[str]) -> bool:
    """Return whether a note concerns a law in these inputs."""
    if note.code == "derived":
        return note.details["column"] in inputs
    return note.code != "inconsistent_compute" or "C" in inputs


def _admit(
    runs: Any, inputs: Sequence[str], loss: str, declared: Mapping[str, Any]
) -> tuple[pd.DataFrame, dict[str, Any], list[Note], list[tuple[Any, str]]]:
    """Return a frame with the columns asked for, its conventions, its notes, and rows lost on the way."""
    frame = None if isinstance(runs, (str, Path)) else as_frame(runs)
    if frame is None or must_read(frame, inputs, loss):
        asked = {} if loss == "loss" else {"loss": loss}
        table = read(runs, Request(asked, incomplete="keep", inputs=tuple(inputs), declared=declared), None)
        return table.frame, {**table.conventions, "stated": False}, table.notes, table.set_aside
    stated = dict(frame.attrs.get("scalefit", {}))
    # Notes on the data are made afresh: they were about the whole table, and this may be a part of it.
    notes = [Note(**note) for note in stated.pop("notes", ())]
    lasting = "guessed loss_unit unknown_unit set_aside dropped approximate_value stated_error"
    notes = [note for note in notes if note.code in lasting.split() or note.details.get("every_row")]
    earlier = [(item["row"], item["reason"]) for item in stated.pop("set_aside", ())]
    conventions = {"source": "the table", **stated, **conventions_of(frame), "stated": bool(stated)}
    conventions["assumed"] = assumptions_of(frame)
    return pd.DataFrame(frame, copy=False), conventions, notes, earlier  # a frame without attrs is quick
