"""Read the logs that training tools leave behind into one table: step, train_loss, val_loss, lr, grad_norm."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scalefit._files import read_foreign_text
from scalefit._text import known, shortlist
from scalefit.errors import ArgumentError, DataError, arg, require
from scalefit.integrations import _log_columns as names
from scalefit.integrations import _log_tables
from scalefit.integrations._log_columns import COLUMNS
from scalefit.integrations._log_decimals import decimal_marks
from scalefit.integrations._log_lines import FORMATS, kind_of_lines, read_lines
from scalefit.integrations._log_pairs import line_of_loss, read_pairs
from scalefit.integrations._log_rows import in_order, once_each, one_loss_per_step
from scalefit.integrations._log_text import clean, remarks
from scalefit.stopping.monitor import Monitor

KINDS = ("csv", "trainer_state", "tensorboard", *FORMATS)
#: A first line such as "step: 100, loss: 3.4" or "step 100 | loss 3.4" is no header.
_VALUE_IN_HEADER = re.compile(r"(?<!^Unnamed)[:=]\s*['\"]?[-+]?\d|^[-+]?\d*\.\d+$")


def read_log(
    path: str | Path,
    kind: str | None = None,
    *,
    val: str | None = None,
    train: str | None = None,
    growing: bool = False,
    tokens_per_step: float | None = None,
    steps_per_epoch: float | None = None,
) -> pd.DataFrame:
    """Read a training log.

    Parameters
    ----------
    path : str or Path
        A file, or a folder: TensorBoard's, or an output folder of the Hugging Face Trainer.
    kind : str, optional
        One of `KINDS`; by default the content decides.
    val, train : str, optional
        Names of the validation and training loss in the log, if they are not usual ones.
    growing : bool
        Whether the file is still being written: an incomplete last line is then left for the next call.
    tokens_per_step : float, optional
        Batch size [tokens], for logs that count tokens and not steps.
    steps_per_epoch : float, optional
        For logs that count epochs and not steps; without it the table's steps are epochs.

    Returns
    -------
    DataFrame
        Columns step, train_loss, val_loss, lr, grad_norm; one row per step, NaN where nothing was logged. Where the
        steps go back (a resume), what was logged after that point before is dropped. "nan" at the end of the log is
        infinity here, so that it differs from a value that was not logged; before that it is a gap. ``attrs``: what the
        log states about the run (``total_steps``, ``epochs``, ``peak_lr``, ``loss_unit``, ``counts``) and ``notes``.

    Raises
    ------
    DataError
        Nothing readable, no loss, several candidates for the loss, or two runs in one file.
    """
    source = Path(path)
    if not source.exists():
        raise DataError(f"There is no file {str(path)!r}", "nothing was read", f"Check the path from {Path.cwd()}")
    if kind is not None and kind not in KINDS:
        raise ArgumentError(f"Unknown kind of log {kind!r}", "nothing was read", known(kind, KINDS))
    folder, source = source, _in_folder(source)
    kind = kind or _kind_of(source)
    try:
        if kind == "tensorboard":
            table = _tensorboard(source, val, train)
        else:
            text, cut = _log_tables.without_cut_line(_text(source, growing))
            if kind == "trainer_state":
                table = _trainer_state(text, val, train)
            else:
                table = _lines(kind, text, val, train) if kind in FORMATS else _table(text, val, train)
            table.attrs["notes"] = [*table.attrs.get("notes", []), *cut, *remarks(text)]
    except DataError as error:
        raise error.about(source) from None
    stated: dict[str, Any] = {"kind": kind, "loss_unit": "nat/token", "counts": "steps"}
    stated |= {str(key): value for key, value in table.attrs.items()}
    stated["notes"] = list(stated.get("notes", []))
    if source != folder:
        stated["notes"].insert(0, f"In the folder, {source.relative_to(folder).as_posix()} was read.")
    if "step" not in table:
        table = _steps_from(table, tokens_per_step, steps_per_epoch, stated)
    for name in COLUMNS:
        if name not in table:
            table[name] = float("nan")
    table = table[["step", *COLUMNS]].dropna(subset=["step"]).reset_index(drop=True)
    table = in_order(table, source, stated["notes"])
    if kind == "csv":
        one_loss_per_step(table, source, stated["notes"])
    once_each(table, stated["notes"])
    for name in COLUMNS:
        values = table[name].to_numpy(dtype=float)
        later = np.isfinite(values)[::-1].cumsum()[::-1] > 0
        table.loc[np.isinf(values) & later, name] = float("nan")  # it came back: nothing but a gap in this table
    table = table.groupby("step", as_index=False).last().sort_values("step", ignore_index=True)
    if table[["train_loss", "val_loss"]].isna().all(axis=None):
        raise DataError(
            f"{source} was read as {kind} but holds no loss",
            "nothing was kept",
            f"Columns: {names.listed(stated.get('columns', table.columns))}. Name the losses with {arg('val')} and "
            f"{arg('train')}, or the kind with one of {', '.join(KINDS)}",
        )
    table.attrs.clear()
    table.attrs.update(stated)
    return table


def replay(monitor: Monitor, table: pd.DataFrame) -> None:
    """Feed a table of `read_log` to a monitor."""
    monitor.update_from(table)


def _in_folder(source: Path) -> Path:
    """Return the Trainer's newest state in its output folder, or the source itself.

    A folder that was copied has times in no order: a state that goes on where the one written last ends is newer.
    """
    if not source.is_dir():
        return source
    found = [*source.glob("trainer_state.json"), *source.glob("checkpoint-*/trainer_state.json")]
    if not found:
        return source
    newest = max(found, key=lambda path: (_written(path), len(path.parts)))
    farthest = max(found, key=lambda path: int("0" + re.sub(r"\D", "", path.parent.name.removeprefix("checkpoint-"))))
    if farthest != newest:
        known, whole = _history(newest), _history(farthest)
        if len(whole) > len(known) and whole[: len(known)] == known:
            return farthest
    return newest


def _history(path: Path) -> list[Any]:
    """What a state of the Trainer has logged; nothing where it cannot be read."""
    try:
        history = json.loads(read_foreign_text(path))["log_history"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []
    return history if isinstance(history, list) else []


def _written(path: Path) -> int:
    """Time of the last change [ns]; 0 for a checkpoint that was removed meanwhile."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _kind_of(source: Path) -> str:
    """Find out what wrote a log."""
    if source.is_dir() or source.name.startswith("events.out.tfevents"):
        return "tensorboard"
    text = _text(source)
    if text.lstrip().startswith("{") and '"log_history"' in text:
        return "trainer_state"
    if _log_tables.is_json(text):
        return "csv"
    return kind_of_lines(text) or "csv"


def _text(source: Path, growing: bool = False) -> str:
    try:
        text = read_foreign_text(source)
        return clean(text[: text.rfind("\n") + 1] if growing and source.suffix != ".json" else text)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{source} is not a text log ({error.reason} at byte {error.start})", "it was not read", "Save it as UTF-8"
        ) from None
    except OSError as error:  # a checkpoint that was removed meanwhile
        raise DataError(f"{source}: {error.strerror or error}", "it was not read", "Check the path") from None


def _lines(kind: str, text: str, val: str | None, train: str | None) -> pd.DataFrame:
    """Read the lines of a known tool; those of its user too, where they alone hold the validation losses."""
    table = read_lines(kind, text)
    if table["val_loss"].isna().all() and (lines := read_pairs(text)) is not None:
        held_out = [column for column in lines.columns if names.is_loss(column) and names.is_validation(column)]
        if held_out and lines[held_out].notna().any(axis=1).sum() > 1:
            return _table(text, val, train)
    return table


def _table(text: str, val: str | None, train: str | None) -> pd.DataFrame:
    """Read CSV, TSV, JSON lines or a JSON list: ours, exports of trackers, or long tables with a split column."""
    if not text.strip():
        raise DataError("The log is empty", "nothing was read", "Wait for its first lines, or name another file")
    try:
        table, notes = _log_tables.parse(text)
        lines = None if _log_tables.is_json(text) else _pairs(text, table)
    except DataError:
        raise
    except (ValueError, TypeError, RecursionError, csv.Error, pd.errors.ParserError) as error:
        lines = _pairs(text, None)
        if lines is None:
            raise DataError(
                f"The log is not a table ({' '.join(str(error).split())[:200]})", "it was not read", "Export it again"
            ) from None
    if lines is not None:
        table, notes = lines, ["The log is not a table; names and values were read from lines with a step."]
        notes += lines.attrs.get("notes", [])
    stated = dict(table.attrs)
    found = _chosen(_log_tables.from_long(table), val, train)
    found.attrs["notes"] = [*notes, *found.attrs["notes"]]
    found.attrs |= {key: value for key, value in stated.items() if key not in found.attrs}
    return found


def _pairs(text: str, table: pd.DataFrame | None) -> pd.DataFrame | None:
    """The log as lines of names and values, where it is not a table with a column of steps."""
    heads = [] if table is None else [str(column) for column in table.columns]
    says_steps = any(names.plain(head) in names.STEPS and not re.search(r"[\d=:]", head) for head in heads)
    # a run's name may hold values too: Step, "lr=0.001 - loss"
    headed = table is not None and (says_steps or not any(map(_VALUE_IN_HEADER.search, heads)))
    if table is not None and headed:
        for name in ("step", "tokens", "epoch"):
            column = names.find(list(table.columns), name, None)
            if column is not None and names.numbers(table[column]).notna().any():
                return None
    lines = read_pairs(text)
    losses = [] if lines is None else [column for column in lines.columns if names.is_loss(column)]
    if lines is not None and losses and lines[losses].notna().any(axis=1).sum() > 1:
        return lines
    line = line_of_loss(text) or ("" if headed or table is None else text.strip().splitlines()[0].strip())
    if line:
        shown = repr(line if len(line) <= 80 else line[:77] + "...")
        raise DataError(
            f"The log has no column of steps, and fewer than two of its lines are read as a step and a loss: {shown}",
            "nothing was read",
            "Write them as 'step: 1000, val_loss: 3.449', or export a table with a header",
        )
    return None


def _chosen(table: pd.DataFrame, val: str | None, train: str | None) -> pd.DataFrame:
    """Keep the columns that a monitor takes, under its names."""
    columns, out, units = list(table.columns), {}, {}
    notes: list[str] = []
    kept = _kept(_log_tables.filled(table), columns, {"val_loss": val, "train_loss": train})
    decimals = decimal_marks(table, kept)
    total = kept.pop("total_steps", None)
    for name, column in kept.items():
        out[name] = names.numbers(table[column], decimals[name])
        if name in ("step", *names.LOSSES) and (odd := _log_tables.unread(table[column], out[name])):
            _odd_cells(name, str(column), odd, notes)
        if name == "step":
            losses = table[[kept[loss] for loss in names.LOSSES if loss in kept]]
            others = table[[c for c in columns if c != column and names.plain(c) in names.STEPS]]
            out[name] = _log_tables.steps_everywhere(out[name], losses, others, notes)
        if name in names.LOSSES:
            out[name], units[name], note = names.in_nats(out[name], column)
            notes += [note] if note else []
    if len(set(units.values())) > 1:
        del out["train_loss"]
        notes.append("The training loss is left out: its unit is not that of the validation loss.")
    if not {"step", "tokens", "epoch"} & set(out):
        raise DataError(
            f"The log has no step column among {names.listed(columns)}",
            "nothing was read",
            "Name the column of optimizer steps 'step', or export with steps; 'tokens' does as well where the batch "
            "size is known, and 'epoch'",
        )
    found = pd.DataFrame(out)
    found.attrs = {"notes": notes, "columns": columns, "loss_unit": units.get("val_loss", units.get("train_loss"))}
    found.attrs["loss_unit"] = found.attrs["loss_unit"] or "nat/token"
    if total is not None:
        found.attrs["total_steps"] = float(names.numbers(table[total], decimals["total_steps"]).max())
    return found


def _kept(filled: list[Any], columns: list[Any], wanted: dict[str, str | None]) -> dict[str, Any]:
    """Columns of a log by what they hold; tokens or epochs only where there are no steps.

    Of columns with names alike, the fullest counts; one that a person named may be empty.
    """
    found: dict[str, Any] = {}
    for name in ("step", *COLUMNS, "tokens", "epoch"):
        if name == "tokens" and "step" in found or name == "epoch" and {"step", "tokens"} & set(found):
            continue
        others = columns if wanted.get(name) is not None else filled
        others = [c for c in others if name != "train_loss" or c != wanted["val_loss"]]
        if (column := names.find(others, name, wanted.get(name))) is not None:
            found[name] = column
    return found | ({"total_steps": "total_steps"} if "total_steps" in columns else {})


def _odd_cells(name: str, column: str, odd: str, notes: list[str]) -> None:
    """Refuse a log whose steps are not all numbers, which would lose rows; note odd losses."""
    if name == "step":
        raise DataError(
            f"Cells of the column {column!r} are not numbers: {odd}", "nothing was read", "Write steps as 1000 or 1,000"
        )
    notes.append(f"Cells of the column {column!r} that are not numbers were left out: {odd}.")


def _steps_from(
    table: pd.DataFrame, tokens_per_step: float | None, steps_per_epoch: float | None, stated: dict[str, Any]
) -> pd.DataFrame:
    """Put steps in the place of tokens or epochs."""
    if "tokens" in table:
        if tokens_per_step is None:
            raise DataError(
                "The log counts tokens and no steps, which need the batch size",
                "nothing was read",
                "Put tokens_per_step in the plan; a table with one row for each finished run is for scalefit fit",
            )
        return table.assign(step=table["tokens"] / tokens_per_step).drop(columns="tokens")
    epoch = table["epoch"]
    known = epoch.dropna().to_numpy()
    if len(known) and known[0] == 0 and np.all(known == np.round(known)) and np.isfinite(
        table.reindex(columns=["val_loss"])["val_loss"].iloc[0]
    ):  # fmt: skip
        epoch = epoch + 1  # Keras counts from zero and evaluates at the end of each
        stated["notes"].append("Epochs are counted from 1: the first was evaluated at its end.")
    if steps_per_epoch is None:
        stated["counts"] = "epochs"
        stated["notes"].append("The log has no steps; epochs are used instead.")
        return table.assign(step=epoch).drop(columns="epoch")
    return table.assign(step=epoch * steps_per_epoch).drop(columns="epoch")


def _trainer_state(text: str, val: str | None, train: str | None) -> pd.DataFrame:
    """Read the Trainer's trainer_state.json."""
    try:
        record = json.loads(text, parse_constant=str)
        rows = [dict(row) for row in record["log_history"]]
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise DataError(
            f"This is not a trainer_state.json: {error}", "it was not read", "Give the file of a checkpoint"
        ) from None
    seen = dict.fromkeys(key for row in rows for key in row)
    # "train_loss" is the mean of the whole run, which the Trainer adds at its end.
    own = [key for key in seen if key != "train_loss" and key not in (val, train)]
    keys = {"step": "step", "lr": "learning_rate", "grad_norm": "grad_norm"}
    for name, wanted in (("val_loss", val), ("train_loss", train)):
        keys[name] = names.find(list(seen) if wanted else own, name, wanted)
    cells = [{key: row.get(name) for key, name in keys.items() if name is not None} for row in rows]
    table = pd.DataFrame(cells, columns=list(keys), dtype=object).apply(names.numbers)
    table.attrs = {"columns": list(seen)}
    for name, key in (("total_steps", "max_steps"), ("epochs", "num_train_epochs")):
        value = record.get(key)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0:
            table.attrs[name] = float(value)
    return table


def _tensorboard(source: Path, val: str | None, train: str | None) -> pd.DataFrame:
    """Read TensorBoard event files of one run."""
    module = require(
        "tensorboard.backend.event_processing.event_accumulator", extra="integrations", purpose="Event files"
    )
    if source.is_dir():
        folders = sorted({file.parent for file in source.rglob("events.out.tfevents*")})
        if len(folders) > 1:
            shown = shortlist(str(folder.relative_to(source)) or "." for folder in folders)
            raise DataError(f"{len(folders)} folders hold runs ({shown})", "nothing was read", "Name one of them")
        source = folders[0] if folders else source
    events = module.EventAccumulator(str(source), size_guidance={"scalars": 0, "tensors": 0})
    events.Reload()
    scalars = list(events.Tags()["scalars"])
    frames = []
    for name, wanted in (("val_loss", val), ("train_loss", train), ("lr", None), ("grad_norm", None)):
        tag = names.find([s for s in scalars if name != "train_loss" or s != val], name, wanted)
        if tag is not None:
            logged = events.Scalars(tag)
            rows = [(e.wall_time, float(e.step), np.inf if e.value != e.value else float(e.value)) for e in logged]
            frames.append(pd.DataFrame(rows, columns=["time", "step", name]))
    if not frames:
        raise DataError(
            f"{source} has no loss among its scalars: {names.listed(scalars, 20)}",
            "nothing was read",
            f"Name one: {arg('val', ...)} or {arg('train', ...)}",
        )
    # In the order of writing, so that a resume is seen as one: each quantity by itself goes on where it left off.
    return pd.concat(frames, ignore_index=True).sort_values("time", kind="stable", ignore_index=True)
