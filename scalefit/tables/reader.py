"""From a raw table to the canonical one: columns found, cells read, units converted, rows judged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scalefit._names import SHAPE_NAMES, USUAL_NAMES
from scalefit._typing import Array
from scalefit.counting import nats_per_token
from scalefit.errors import DataError, Note, arg
from scalefit.flops import QUANTITIES, SIZES
from scalefit.tables import columns as _columns
from scalefit.tables import files as _reading
from scalefit.tables.cells import approximate, kinds_of, numbers, unread_text, without_unit
from scalefit.tables.json_shapes import flat
from scalefit.tables.limits import Limits
from scalefit.tables.rows import Rows, assumed_unit, in_order, name_rows, oddities, refuse_small, set_aside_note
from scalefit.tables.series import refuse_label


@dataclass(frozen=True, slots=True)
class Request:
    """What the caller of `read_runs` asked for; `check_runs` asks for nothing but the law's inputs."""

    asked: Mapping[str, Any]
    series: tuple[str, ...] = ()
    loss_unit: str | None = None
    bytes_per_token: str | float | None = None
    params: str | None = None
    flops: str | None = None
    incomplete: str = "set_aside"
    inputs: tuple[str, ...] = ()
    named: Mapping[str, Any] = field(default_factory=dict)
    #: What a law says of its inputs and, as "loss", of its target: where tables keep them, and which values make sense.
    declared: Mapping[str, Any] = field(default_factory=dict)
    limits: Limits = Limits()

    def choose(self, frame: pd.DataFrame) -> dict[str, _columns.Choice]:
        """Find every canonical column in a frame, or in its first rows; raise where the table will not do."""
        names, source = list(frame.columns), frame.attrs.get("scalefit", {}).get("columns", {})
        chosen = {}
        for target in (*USUAL_NAMES, *(name for name in self.inputs if name in SHAPE_NAMES)):
            if target == "series":
                continue
            if target == "loss" and self.asked.get("loss") is None and self.of_other_than_loss:
                chosen.update(self._target(names))
                continue
            choice = _columns.choose(target, self.asked.get(target), names, self.loss_unit or "")
            if choice is not None:
                chosen[target] = choice
        for target, column in self.named.items():
            chosen[target] = _columns.as_asked(target, column, [str(name) for name in names])
        for target, declared in self.declared.items():
            if target not in chosen and target != "loss" and target not in USUAL_NAMES:
                choice = _declared_column(target, declared, names)
                chosen |= {} if choice is None else {target: choice}
        _columns.refuse_shared(chosen)
        for name in self.series:
            refuse_label(frame, name)
            _columns.choose("series", name, names)
        if "loss" not in chosen and names.count("L") == 1 and _are_losses(frame["L"]):
            chosen["loss"] = _columns.Choice("L", guessed=True)
        if "loss" not in chosen:
            raise _columns.missing_column("loss", names, None, source)
        known = {*chosen, *map(str, names)}
        if len(known & set(QUANTITIES)) >= 2:
            known |= set(QUANTITIES)
        for name in self.inputs:
            if name not in known and not (name == "unique_tokens" and "D" in known):
                raise _columns.missing_column(name, names, None, source)
        if not self.inputs and not self.declared and not self.named and not known & set(QUANTITIES):
            raise _columns.missing_column("N", names, None, source)
        return chosen

    @property
    def of_other_than_loss(self) -> bool:
        """Whether the law predicts something else than a loss."""
        return "loss" in self.declared and not self.declared["loss"].of_loss

    def _target(self, names: list[str]) -> dict[str, _columns.Choice]:
        """The column of a target that is not a loss; a column named loss will do."""
        target = self.declared["loss"]
        choice = _declared_column(target.name, target, names)
        if choice is None and names.count("loss") == 1:
            choice = _columns.Choice("loss")
        if choice is None:
            raise _columns.missing_column(target.name, names, "loss")
        return {"loss": choice}


@dataclass(slots=True)
class Table:
    """A table that was read: usable rows, and what there is to say about it."""

    frame: pd.DataFrame
    conventions: dict[str, Any]
    notes: list[Note]
    set_aside: list[tuple[Any, str]]


def read(source: Any, request: Request, format: str | None) -> Table:
    """Read a table as asked; what was not asked for is taken from an earlier reading, or is the usual."""
    raw = _open(source, request, format)
    chosen = _named(raw.name, request.choose, raw.frame)
    earlier = conventions_of(raw.frame)
    losses = chosen["loss"].column
    stripped, in_cells = (None, None) if losses is None else without_unit(raw.frame[losses])
    loss_unit, unit_notes = _loss_unit(request, raw.frame, earlier["loss_unit"], losses, in_cells)
    if request.of_other_than_loss:
        loss_unit, unit_notes = request.loss_unit or "other", []
    flops = request.flops or earlier["flops"]
    taken = {c.column for c in chosen.values() if c.column is not None}
    n_rows = len(raw.rows)
    columns: dict[str, Array] = {}
    remarks: list[Note] = []
    rows = Rows(columns, raw.rows)
    if "status" in chosen:
        rows.refuse(_columns.unfinished(raw.frame[chosen["status"].column].to_numpy(dtype=object)))
    for target, choice in chosen.items():
        if target == "status":
            continue
        if choice.column is None:
            columns[target] = np.full(n_rows, choice.constant, dtype=float)
            continue
        cells = stripped if stripped is not None and target == "loss" else raw.frame[choice.column]
        columns[target], unread = numbers(cells, choice.factor, small=target == "loss")
        _refuse_units(target, choice, raw, unread, request)
        remarks += approximate(target, cells)
        rows.refuse({i: unread_text(target, cell) for i, cell in unread.items()})
    for target in SIZES:
        if target in chosen and chosen[target].factor == 1.0 and request.asked.get(target) is None:
            refuse_small(target, chosen[target].column, columns, raw.name)
    kept_as_is = loss_unit == "other" or (loss_unit.endswith("/byte") and request.bytes_per_token is None)
    unit = loss_unit if kept_as_is else "nat/token"
    if not kept_as_is:
        per_token = _bytes_per_token(request.bytes_per_token, raw, rows)
        columns["loss"] = nats_per_token(columns["loss"], loss_unit, per_token)
    for target in columns:
        if target in request.declared:
            rows.demand(target, request.declared[target], blank=None)
        elif target not in request.named:  # which values make sense of what else a law reads, the law says
            rows.demand_positive(target, blank=None)
    notes = [*_guesses(chosen), *unit_notes, *remarks, *rows.complete(flops)]
    rows.demand_plausible_loss(unit)
    rows.demand_one_unit()
    if request.incomplete == "set_aside":
        for name in ("loss", *(q for q in QUANTITIES if q in columns)):
            rows.demand(name, request.declared.get(name))
    if "weight" in columns:
        rows.demand_positive("weight")
    rows.demand_new(raw.frame)
    keep, set_aside = rows.usable, in_order([*raw.unreadable, *rows.set_aside()])
    if not keep.any():
        raise no_row(raw.name, set_aside)
    frame = pd.DataFrame({name: columns[name] for name in (*QUANTITIES, "loss") if name in columns})
    for name in dict.fromkeys(("unique_tokens", "weight", *SHAPE_NAMES, *request.named, *request.declared)):
        if name in columns and name not in frame:
            frame[name] = columns[name]
    if "status" in chosen:
        frame["status"] = raw.frame[chosen["status"].column].to_numpy()
    if request.series:
        frame["series"] = _columns.label_series(raw.frame, request.series).to_numpy()
    rest = raw.frame[[name for name in raw.frame.columns if name not in taken]].set_axis(frame.index)
    stale = {*frame.columns, *(["loss_unit"] if any(note.code == "loss_unit" for note in unit_notes) else [])}
    rest = rest.rename(columns={name: f"{name}_in_source" for name in rest if name in stale})
    frame = pd.concat([frame, rest], axis=1)[keep]
    frame.index = pd.Index(raw.rows[keep], name="row")
    notes += oddities({k: v[keep] for k, v in columns.items()}, frame, unit, raw.rows[keep])
    bare = "N" in chosen and _columns.counts_no_embeddings(chosen["N"])
    stated = {
        "params": request.params or bare,
        "loss_unit": request.of_other_than_loss or request.loss_unit or unit_notes or in_cells,
    }
    assumed = [key for key in assumptions_of(raw.frame) if not stated[key]]
    if "loss_unit" in assumed:
        notes += assumed_unit(columns["loss"][keep])
    if set_aside:
        notes.append(set_aside_note(set_aside, n_rows + len(raw.unreadable)))
    conventions = {
        "params": request.params or ("non_embedding" if bare else earlier["params"]),
        "flops": flops,
        "assumed": assumed,
        "loss_unit": unit,
        "loss_unit_in_source": loss_unit,
        "source": raw.name,
        "columns": {k: c.column if c.column is not None else c.constant for k, c in chosen.items()},
        "guessed": {k: c.column for k, c in chosen.items() if c.guessed},
    }
    return Table(frame, conventions, notes, set_aside)


def _refuse_units(
    target: str, choice: _columns.Choice, raw: _reading.RawTable, unread: Iterable[int], request: Request
) -> None:
    """Raise where a cell of a column is its unit, as below a header, and the numbers were read in another one."""
    stated = {"loss": request.loss_unit, "N": None, "D": None, "C": None}
    if target not in stated or stated[target] or choice.factor != 1.0:
        return
    for i in unread:
        cell = str(raw.frame[choice.column].iloc[i]).strip()
        words = cell.strip("()[] ")
        if target == "loss":  # a number with its unit is the row of a run
            other = not any(map(str.isdigit, words)) and (
                _columns.unit_of(words) or _columns.unit_in_name(words)
            ) not in (None, "nat/token")
        else:
            other = _columns.factor_in(target, words) != 1.0
        if other:
            raise DataError(
                f"Row {raw.rows[i]} of {raw.name} says that {choice.column} is in {words!r}, below its header",
                "nothing was read",
                f"Write the unit into the header, '{choice.column} ({words})', and remove that row",
            )


def _declared_column(key: str, declared: Any, columns: Iterable[Any]) -> _columns.Choice | None:
    """Find the column that a law's own declaration names: by its name, else by one of its usual names."""
    names = [str(column) for column in columns]
    if names.count(key) == 1:
        return _columns.Choice(key)
    for wanted in declared.names:
        found = [name for name in names if _columns.plain_name(name) == wanted]
        if found:
            return _columns.only_one(key, found)
    return None


def _loss_unit(
    request: Request, frame: pd.DataFrame, earlier: str, column: str | None, in_cells: str | None
) -> tuple[str, list[Note]]:
    """Return the unit of the losses: as asked for, of an earlier reading, or as the table's names and cells tell."""
    read_before = "scalefit" in frame.attrs
    otherwise = f"If that is wrong, read the table with {arg('loss_unit', column=True)}."
    named = None if request.loss_unit or read_before else _columns.unit_in_name(column)
    if named is not None:
        unit = "other" if named not in ("bit/byte", "nat/byte", "bit/token", "perplexity") else named
        kept = unit == "other" or (unit.endswith("/byte") and request.bytes_per_token is None)
        text = f"The name of column {column!r} says {named}: the losses were "
        text += "kept in it" if kept else "converted to nat/token"
        return unit, [Note("loss_unit", "info", f"{text}. {otherwise}", {"unit": named})]
    where = "Column 'loss_unit' says" if in_cells is None else f"The cells of column {column!r} say"
    named = None if request.loss_unit or read_before else in_cells or _columns.stated_unit(frame)
    if named is None or _columns.unit_of(named) == "nat/token":
        return request.loss_unit or earlier, []
    known = _columns.unit_of(named)
    if known is not None:
        kept = known.endswith("/byte") and request.bytes_per_token is None
        text = f"{where} {named}: the losses were "
        text += "kept in it" if kept else "converted to nat/token"
        return known, [Note("loss_unit", "info", f"{text}. {otherwise}", {"unit": known})]
    text = f"Column 'loss_unit' says {named[:40]!r}, a unit not known here: the losses were kept in it. Read the table "
    text += f"with {arg('loss_unit', ..., column=True)}."
    return "other", [Note("unknown_unit", "warning", text, {"unit": named[:80]})]


def conventions_of(frame: pd.DataFrame) -> dict[str, str]:
    """Return the conventions that an earlier reading left in a frame's attrs, else the usual ones."""
    usual = {"params": "total", "flops": "6ND", "loss_unit": "nat/token"}
    stated = frame.attrs.get("scalefit")
    stated = stated if isinstance(stated, Mapping) else {}
    return {key: str(stated.get(key, value)) for key, value in usual.items()}


def assumptions_of(frame: pd.DataFrame) -> list[str]:
    """Return which conventions are assumptions: those that neither an earlier reading nor the table states."""
    earlier = frame.attrs.get("scalefit")
    if isinstance(earlier, Mapping):
        return list(earlier.get("assumed", ()))
    stated = "loss_unit" in frame.columns and frame["loss_unit"].notna().any()
    return ["params"] if stated else ["params", "loss_unit"]


def _open(source: Any, request: Request, format: str | None) -> _reading.RawTable:
    if isinstance(source, (str, Path)):
        name = Path(source).name
        return _reading.read_file(source, lambda head: _named(name, request.choose, head), format, request.limits)
    frame = as_frame(source)
    name = str(frame.attrs.get("scalefit", {}).get("source", "the table"))
    return _reading.RawTable(frame, frame.index.to_numpy(), name)


def must_read(frame: pd.DataFrame, inputs: Sequence[str], loss: str) -> bool:
    """Return whether a canonical column is missing or not of numbers, or the losses are in an unread unit."""
    if frame.columns.nlevels > 1 or not frame.columns.is_unique:
        return True
    kinds = kinds_of(frame)
    there = {name for name, kind in kinds.items() if kind in "iuf"}
    if any(name in kinds and name not in there for name in (*QUANTITIES, "weight", "unique_tokens")):
        return True
    if len(there & set(QUANTITIES)) >= 2:
        there |= set(QUANTITIES)
    if "D" in there:
        there.add("unique_tokens")
    unread_unit = "scalefit" not in frame.attrs and _columns.stated_unit(frame) not in (None, "nat/token")
    return unread_unit or not {loss, *inputs} <= there


def as_frame(source: Any) -> pd.DataFrame:
    """Return a frame of whatever holds columns or records in memory."""
    if hasattr(source, "to_pandas"):  # polars, pyarrow and others
        source = source.to_pandas()
    if isinstance(source, pd.DataFrame):
        frame = source
    elif isinstance(source, np.ndarray) and source.dtype.names:
        frame = pd.DataFrame(source)
    elif isinstance(source, (Mapping, Sequence)) and not isinstance(source, (str, bytes)):
        try:
            frame = pd.DataFrame(dict(source)) if isinstance(source, Mapping) else flat(list(source))
        except (ValueError, TypeError, OverflowError) as error:
            raise DataError(
                f"The columns do not make a table: {error}", "nothing was read", "Give lists of one length"
            ) from None
    else:
        raise DataError(
            f"A {type(source).__name__} is not a table of runs",
            "nothing was read",
            "Pass a path, a DataFrame, a mapping of columns or a list of records",
        )
    if frame.columns.nlevels > 1:
        raise DataError(
            "The table has several header rows",
            "it was not read",
            "Give it one name per column (frame.columns = [...])",
        )
    if not len(frame):
        raise DataError("The table has no rows", "nothing was read", "Give it a row for each run")
    # labels that repeat, as pd.concat leaves them, name no row: rows are then told apart by their place
    return frame if frame.index.is_unique else frame.reset_index(drop=True)


def _named(name: str, choose: Any, frame: pd.DataFrame) -> Any:
    """Call `choose` and put the table's name into what it says."""
    try:
        return choose(frame)
    except DataError as error:
        error = _columns.transposed(_labels(frame)) or error
        raise error.naming(name=name) from None


def _labels(frame: pd.DataFrame) -> list[Any]:
    """What the rows are called: labels of a frame, else the first column with its name."""
    if isinstance(frame.index, pd.RangeIndex):
        return [*frame.columns[:1], *(frame.iloc[:, 0] if frame.shape[1] else ())]
    return list(frame.index)


def _are_losses(column: pd.Series[Any]) -> bool:
    """Whether a column L holds losses, as papers write them, and not numbers of layers."""
    values, _ = numbers(column)
    known = values[np.isfinite(values)]
    return bool(np.any(known != np.round(known)))


def _bytes_per_token(given: str | float | None, raw: _reading.RawTable, rows: Rows) -> Array | float | None:
    if given is None:
        return None
    choice = _columns.choose("bytes_per_token", given, raw.frame.columns)
    if choice is None or choice.column is None:
        return None if choice is None else choice.constant
    values, unread = numbers(raw.frame[choice.column])
    rows.refuse({i: f"{choice.column} is {cell}, not a number" for i, cell in unread.items()})
    rows.refuse({int(i): f"{choice.column} is {values[i]:g}" for i in np.flatnonzero(~(values > 0))})
    return values


def _guesses(chosen: Mapping[str, _columns.Choice]) -> list[Note]:
    guessed = {target: choice for target, choice in chosen.items() if choice.guessed}
    if not guessed:
        return []
    sentence = ", ".join(
        f"{target} from {choice.column!r}" + (f" times {choice.factor:g}" if choice.factor != 1.0 else "")
        for target, choice in guessed.items()
    )
    text = f"Columns were recognised by their usual names: {sentence}. "
    text += f"If that is wrong, name them: {arg(next(iter(guessed)), 'column', column=True)}."
    return [Note("guessed", "info", text, {target: choice.column for target, choice in guessed.items()})]


def no_row(name: str, set_aside: list[tuple[Any, str]]) -> DataError:
    """Return the error of a file without a usable row, with the reasons."""
    if not set_aside:
        return DataError(f"{name} has a header and no rows", "nothing was read", "Add a row for each run")
    rows = f"all {len(set_aside)} were set aside: {name_rows(set_aside, most=3)}"
    how = "Correct the table"
    if all(reason.startswith(("loss is -", "loss is 0")) for _, reason in set_aside):
        how += "; for loss differences and losses less a unigram model's, fit a law of those: ptq, low_bit, vocabulary"
    return DataError(f"{name} has no usable row; {rows}", "nothing was read", how)
