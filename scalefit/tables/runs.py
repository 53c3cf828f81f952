"""Tables in: from whatever holds a list of runs to the columns N, D, C and loss, with their conventions.

Nothing is dropped in silence: a row that cannot be used is set aside with its number and the reason, a column
that was guessed is named, and both travel with the table in ``runs.attrs["scalefit"]``.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from scalefit._arguments import check_mapping, one_of
from scalefit._text import folded, known
from scalefit._typing import AnyArray
from scalefit._warn import warn_user
from scalefit.counting import PARAMS_CONVENTIONS
from scalefit.errors import ArgumentError, Note, ScalefitWarning, arg, note_record
from scalefit.flops import CONVENTIONS, QUANTITIES, SIZES
from scalefit.tables import columns as _columns
from scalefit.tables.cells import kinds_of, numbers, words_of
from scalefit.tables.limits import Limits
from scalefit.tables.reader import Request, as_frame, assumptions_of, conventions_of, must_read, no_row, read
from scalefit.tables.rows import Rows, assumed_unit, in_order, oddities, set_aside_note

LOSS_UNITS = ("nat/token", "bit/token", "bit/byte", "nat/byte", "perplexity", "other")

_LISTED_ROWS = 1000  # attrs are copied with every frame made from this one, so the list has an end


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
        What was guessed, derived, set aside or found odd.
    set_aside : tuple of (row, reason)
        Every row that is not among the runs.
    words : dict of str to ndarray, shape (n_runs,)
        Columns that hold no numbers: recipes, optimizers, corpora.
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


def read_runs(
    source: str | Path | pd.DataFrame | Mapping[str, Any] | Sequence[Mapping[str, Any]],
    *,
    N: str | float | None = None,
    D: str | float | None = None,
    C: str | float | None = None,
    loss: str | None = None,
    loss_unit: str | None = None,
    params: str | None = None,
    flops: str | None = None,
    bytes_per_token: str | float | None = None,
    series: str | Iterable[str] | None = None,
    unique_tokens: str | float | None = None,
    weight: str | None = None,
    status: str | None = None,
    format: str | None = None,
    incomplete: Literal["set_aside", "keep"] = "set_aside",
    columns: Mapping[str, str | float] | None = None,
    inputs: Mapping[str, str | float] | None = None,
    declared: Mapping[str, Any] | None = None,
    max_rows: int | None = None,
    max_bytes: int | None = None,
) -> pd.DataFrame:
    """Read a table of training runs.

    Parameters
    ----------
    source : path, DataFrame, mapping of columns, or list of records
        Files: csv, tsv, json, jsonl or parquet; text may be gzipped.
    N, D, C : str or number, optional
        The column of parameters [parameters], training tokens [tokens] and training compute [FLOP], or one
        quantity for every run (``D="300B"``). Where not given, the usual names are looked for, and any two
        of the three give the third. Cells may be typed with a suffix: 7e9, 7B, 1.4T.
    loss : str, optional
        The column of the loss.
    loss_unit : {"nat/token", "bit/token", "bit/byte", "nat/byte", "perplexity", "other"}, default "nat/token"
        What the source's loss is in; a column ``loss_unit`` with one value is obeyed where this is not given. The
        result is in nat/token, except that ``"other"`` is left as it is.
    params : str, default "total"
        What N counts, one of `PARAMS_CONVENTIONS`. This and the next are kept where the source was read before.
    flops : str, default "6ND"
        The convention that ties C to N and D.
    bytes_per_token : str or number, optional
        A column or number [byte/token]; needed for losses per byte.
    series : str or list of str, optional
        The column, or columns together, that tell apart runs of different corpora or tokenizers.
    unique_tokens : str or number, optional
        The column of distinct training tokens [tokens], where data was repeated.
    weight, status : str, optional
        The column of weights; of how each run ended.
    format : {"csv", "tsv", "json", "jsonl", "parquet"}, optional
        Overrules the guess from content and name.
    incomplete : {"set_aside", "keep"}
        What happens to a row without a loss, or an N, D or C that others have: ``"keep"`` leaves it NaN.

    columns : mapping of str to str or number, optional
        The columns above by name, as ``{"N": "params_total"}``: another way of saying ``N="params_total"``.
    inputs : mapping of str to str or number, optional
        Columns of what else a law reads, as ``{"n_experts": "config.moe.n"}``, or a number for every run. A name with
        points reaches into nested JSON.
    declared : mapping, optional
        What the law says that the table is for, ``law.reads()``: its target and inputs are looked for by their usual
        names, and zeros and negative values stay where they make sense.
    max_rows, max_bytes : int, optional
        Most rows, and most bytes of text once unpacked, that are read from a file: 2 million and 128 MiB (a quarter
        of it for json).

    Returns
    -------
    DataFrame
        Columns N, D, C (those known), loss, then the rest as it was. The index, named ``row``, is the row's
        number in the file (csv: the header is row 1) or its label in the frame. ``attrs["scalefit"]`` holds
        the conventions, what was guessed and what was set aside.

    Raises
    ------
    DataError
        The table cannot be read, lacks a column, or has no usable row.
    ArgumentError
        An argument names no known convention or unit.

    Warns
    -----
    ScalefitWarning
        Rows were set aside; the warning names them.

    Examples
    --------
    >>> runs = read_runs({"n_params": ["70M", "1.4B"], "tokens": ["1.4B", "28B"], "val_loss": [3.9, 2.7]})
    >>> runs[["N", "D", "C", "loss"]].iloc[1].tolist()
    [1400000000.0, 28000000000.0, 2.352e+20, 2.7]
    >>> runs.attrs["scalefit"]["guessed"]
    {'N': 'n_params', 'D': 'tokens', 'loss': 'val_loss'}
    """
    _require_known("params", "total" if params is None else params, PARAMS_CONVENTIONS)
    _require_known("flops", "6ND" if flops is None else flops, CONVENTIONS)
    _require_known("loss_unit", "nat/token" if loss_unit is None else loss_unit, LOSS_UNITS)
    _require_known("incomplete", incomplete, ("set_aside", "keep"))
    asked = {"N": N, "D": D, "C": C, "loss": loss, "unique_tokens": unique_tokens, "weight": weight, "status": status}
    for name, column in check_mapping("columns", columns, "{'N': 'params_total'}").items():
        if name == "series" and series is None:
            series = column
        elif name not in asked or asked[name] is not None:
            why = "was named twice" if name in asked or name == "series" else "is not one of them"
            raise ArgumentError(
                f"{arg('columns', {name: column})}: {name!r:.40} {why}",
                "nothing was read",
                f"{known(name, (*asked, 'series'))}; pass what else a law reads as {arg('inputs')}",
            )
        else:
            asked[name] = column
    named = check_mapping("inputs", inputs, "{'n_experts': 'config.moe.n'}")
    for name in [name for name in named if name in asked]:
        if asked[name] is not None:
            raise ArgumentError(f"{arg('inputs')} names {name!r} again", "nothing was read", "Name it once")
        asked[name] = named.pop(name)
    request = Request(
        asked,
        _names_of(series),
        loss_unit,
        bytes_per_token,
        params,
        flops,
        incomplete,
        named=named,
        declared=declared or {},
        limits=Limits.of(max_rows, max_bytes),
    )
    table = read(source, request, format)
    if table.set_aside:
        warn_user(f"{table.conventions['source']}: {table.notes[-1].template}")
    runs = table.frame
    runs.attrs["scalefit"] = {
        **table.conventions,
        "n_rows": len(runs) + len(table.set_aside),
        "n_set_aside": len(table.set_aside),
        "set_aside": [{"row": row, "reason": why} for row, why in table.set_aside[:_LISTED_ROWS]],
        "notes": [note_record(note) for note in table.notes],
    }
    return runs


def read_for_fit(source: Any, **options: Any) -> pd.DataFrame:
    """Read, and leave it to the fit of the whole table to warn of rows: it knows all that cannot be used."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ScalefitWarning)
        runs = read_runs(source, incomplete="keep", **options)
    runs.attrs["scalefit"]["rows_told"] = False
    return runs


def name_columns(
    runs: Any,
    columns: Mapping[str, Any] | None,
    inputs: Mapping[str, Any] | None,
    declared: Mapping[str, Any] | None = None,
) -> Any:
    """Read a table with the columns that a caller names; untouched where none is named."""
    if not columns and not inputs:
        return runs
    return read_for_fit(runs, columns=columns, inputs=inputs, declared=declared)


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
        What knows which values of a column make sense (``admits``), by name; positive ones do where none is.

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
    checked, message = _check(runs, inputs, loss, declared)
    if message:
        warn_user(f"{checked.conventions['source']}: {message}")
        getattr(runs, "attrs", {}).get("scalefit", {}).pop("rows_told", None)
    return checked


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
    found = rows.complete(conventions["flops"])
    if "unique_tokens" in inputs and "unique_tokens" not in columns:
        columns["unique_tokens"] = columns["D"].copy()
        text = "There is no unique_tokens column: every token was taken to be seen once (unique_tokens = D)."
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
    lasting = ("guessed", "set_aside", "dropped")
    notes = [note for note in notes if note.code in lasting or note.details.get("every_row")]
    earlier = [(item["row"], item["reason"]) for item in stated.pop("set_aside", ())]
    conventions = {"source": "the table", **stated, **conventions_of(frame), "stated": bool(stated)}
    conventions["assumed"] = assumptions_of(frame)
    return pd.DataFrame(frame, copy=False), conventions, notes, earlier  # a frame without attrs is quick


def _names_of(series: Any) -> tuple[str, ...]:
    """Names of the columns that tell series apart."""
    if series is None:
        return ()
    names = (series,) if isinstance(series, str) else tuple(series) if isinstance(series, Iterable) else (series,)
    if not all(isinstance(name, str) for name in names):
        raise ArgumentError(
            f"{arg('series', series)} names no columns", "nothing was read", "Pass the name of one, or a list of names"
        )
    return names


def _require_known(argument: str, value: str, names: Iterable[str]) -> None:
    if not one_of(value, names):
        raise ArgumentError(f"{arg(argument, value)} is not known", "nothing was read", known(value, names))
