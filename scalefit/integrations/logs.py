"""Read the logs that training tools leave behind into one table: step, train_loss, val_loss, lr, grad_norm."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scalefit._files import read_text
from scalefit.errors import ArgumentError, DataError, require
from scalefit.stopping.monitor import Monitor

COLUMNS = ("train_loss", "val_loss", "lr", "grad_norm")
_NUMBER = r"([-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|nan|inf))"

# Names that tools use, after lower-casing and reducing everything but letters to underscores.
_NAMES = {
    "step": ("step", "_step", "global_step", "iter", "iteration", "steps", "trainer_global_step", "train_global_step"),
    "val_loss": ("val_loss", "eval_loss", "valid_loss", "validation_loss", "loss_val", "loss_eval", "test_loss"),
    "train_loss": ("train_loss", "loss", "training_loss", "loss_train", "train_loss_step", "loss_step"),
    "lr": ("lr", "learning_rate", "train_lr", "train_learning_rate", "lr_adamw", "lr_adam"),
    "tokens": ("tokens", "n_tokens", "tokens_seen", "train_tokens", "total_tokens", "consumed_tokens", "num_tokens"),
    "grad_norm": ("grad_norm", "norm", "train_grad_norm", "gradient_norm"),
}


def read_log(
    path: str | Path,
    kind: str | None = None,
    *,
    val: str | None = None,
    train: str | None = None,
    growing: bool = False,
    tokens_per_step: float | None = None,
) -> pd.DataFrame:
    """Read a training log.

    Parameters
    ----------
    path : str or Path
        A file, or for TensorBoard also a folder.
    kind : str, optional
        One of `READERS`; found out by looking at the file otherwise.
    val, train : str, optional
        Names of the validation and training loss in the log, where the usual names do not do.
    growing : bool
        The file is being written: a last line without its end is left for the next time.
    tokens_per_step : float, optional
        Batch size [tokens], for logs that count tokens and not steps.

    Returns
    -------
    DataFrame
        Columns step, train_loss, val_loss, lr, grad_norm; one row a step, NaN where nothing was logged. A step
        that was logged twice (a resume) keeps its last values. A quantity that ends in "nan" ends in infinity
        here, so that it cannot be taken for one that was not logged.

    Raises
    ------
    DataError
        Nothing readable, or no loss in it.
    """
    source = Path(path)
    if not source.exists():
        raise DataError(f"There is no file {source}, so nothing was read. Check the path.")
    if kind is not None and kind not in READERS:
        raise ArgumentError(f"Unknown kind of log {kind!r}; nothing was read. Known: {', '.join(READERS)}.")
    kind = kind or _kind_of(source)
    log = source if kind == "tensorboard" else _text(source, growing)
    table = READERS[kind](log, val, train)
    if "step" not in table:
        table = _steps_from_tokens(table, tokens_per_step)
    for name in COLUMNS:
        if name not in table:
            table[name] = float("nan")
        infinite = np.isinf(table[name].to_numpy(dtype=float))
        later = np.isfinite(table[name].to_numpy(dtype=float))[::-1].cumsum()[::-1] > 0
        table.loc[infinite & later, name] = float("nan")  # it came back: nothing but a gap in this table
    table = table[["step", *COLUMNS]].dropna(subset=["step"])
    table = table.groupby("step", as_index=False).last().sort_values("step", ignore_index=True)
    if table[["train_loss", "val_loss"]].isna().all(axis=None):
        raise DataError(
            f"{source} was read as {kind} but holds no loss; name the columns with val= and train=, "
            f"or the kind with one of {', '.join(READERS)}. A perplexity is no loss: take its logarithm first."
        )
    return table


def replay(monitor: Monitor, table: pd.DataFrame) -> None:
    """Feed a table of `read_log` to a monitor."""
    monitor.update_from(table)


def _kind_of(source: Path) -> str:
    """Find out what wrote a log."""
    if source.is_dir() or source.name.startswith("events.out.tfevents"):
        return "tensorboard"
    head = _text(source)[:20_000]
    if head.lstrip().startswith("{") and "log_history" in _text(source):
        return "trainer_state"
    if re.search(r"^step:\d+/\d+ ", head, re.M):
        return "modded_nanogpt"
    if re.search(r"^s:\d+ (tel|trl|eval):", head, re.M):
        return "llm_c"
    if re.search(r"^(iter \d+: loss|step \d+: train loss)", head, re.M):
        return "nanogpt"
    return "csv"


def _text(source: Path, growing: bool = False) -> str:
    try:
        text = read_text(source)
        return text[: text.rfind("\n") + 1] if growing and source.suffix != ".json" else text
    except UnicodeDecodeError as error:
        raise DataError(
            f"{source} is not a text log ({error.reason} at byte {error.start}) and was not read. Save it as UTF-8."
        ) from None


def _plain(name: str) -> str:
    return re.sub(r"[^a-z]+", "_", name.lower()).strip("_")


def _csv(text: str, val: str | None, train: str | None) -> pd.DataFrame:
    """Read CSV, TSV or JSON-lines: ours, W&B exports, Lightning's CSVLogger, or long tables with a split column."""
    if not text.strip():
        raise DataError("The log is empty; nothing was read. Wait for its first lines, or name another file.")
    try:
        if text.lstrip().startswith("{"):
            table = pd.DataFrame([json.loads(line) for line in text.splitlines() if line.strip()])
        else:
            first = text.split("\n", 1)[0]
            separator = max(",\t;", key=first.count)
            table = pd.read_csv(io.StringIO(text), sep=separator, dtype=str, keep_default_na=False)
    except (ValueError, pd.errors.ParserError) as error:
        raise DataError(
            f"The log was not read: it is no table ({' '.join(str(error).split())}). Export it again."
        ) from None
    if {"step", "split", "loss"} <= set(table.columns):
        table = _from_long(table)
    wanted = {"val_loss": val, "train_loss": train}
    out: dict[str, Any] = {}
    for name in ("step", *COLUMNS):
        column = _find_column(table, name, wanted.get(name))
        if column is not None:
            out[name] = _numbers(table[column])
    if "step" not in out:
        column = _find_column(table, "tokens", None)
        if column is None:
            names = ", ".join(map(str, table.columns[:12]))
            raise DataError(
                f"The log has no step column among {names:.300}; nothing was read. Name the column of optimizer "
                f"steps 'step'; a column 'tokens' does as well where the batch size is known."
            )
        out["tokens"] = _numbers(table[column])
    return pd.DataFrame(out)


def _steps_from_tokens(table: pd.DataFrame, tokens_per_step: float | None) -> pd.DataFrame:
    """Put steps in the place of tokens."""
    if tokens_per_step is None:
        raise DataError(
            "The log counts tokens and no steps, which need the batch size; nothing was read. Put tokens_per_step in "
            "the plan."
        )
    return table.assign(step=table["tokens"] / tokens_per_step).drop(columns="tokens")


def _numbers(column: pd.Series[Any]) -> pd.Series[Any]:
    """Numbers of a column of text; a written "nan" becomes infinity, an empty cell NaN."""
    text = column.where(column.notna(), "").astype(str).str.strip().str.lower()
    values = pd.to_numeric(column, errors="coerce")
    return values.where(text != "nan", float("inf"))


def _from_long(table: pd.DataFrame) -> pd.DataFrame:
    split = table["split"].astype(str).str.lower()
    parts = []
    for name, pattern in (("train_loss", "train"), ("val_loss", "val|eval|test")):
        part = table[split.str.contains(pattern)].rename(columns={"loss": name})
        extra = [c for c in ("lr", "grad_norm") if c in part and name == "train_loss"]
        parts.append(part[["step", name, *extra]])
    return pd.concat(parts)


def _find_column(table: pd.DataFrame, name: str, wanted: str | None) -> Any:
    """Column for `name`: the one asked for, a usual name, a W&B export's "run - name", or one "section/name"."""
    if wanted is not None:
        if wanted not in table.columns:
            raise DataError(
                f"There is no column {wanted!r}; there are {', '.join(map(str, table.columns[:12]))}. Nothing was "
                f"read. Name one of them."
            )
        return wanted
    plain = {column: _plain(str(column)) for column in table.columns}
    for candidate in _NAMES[name]:
        for column, reduced in plain.items():
            if reduced == _plain(candidate):
                return column
    known = set(map(_plain, _NAMES[name]))
    found = []
    for column in table.columns:
        text = str(column)
        if " - " in text and not re.search(r"__(MIN|MAX|std|mean)", text):
            if _plain(text.rsplit(" - ", 1)[1]) in known:
                found.append(column)
    if not found:  # a section of the tracker's own before the name: Metrics/loss
        found = [c for c in table.columns if "/" in str(c) and _plain(str(c).split("/")[-1]) in known]
        found = found if len(found) == 1 else []
    if len(found) > 1:
        raise DataError(
            f"Several runs are in this export: {', '.join(map(str, found))}. Nothing was read. Choose one with val= "
            "or train=."
        )
    return found[0] if found else None


def _trainer_state(text: str, val: str | None, train: str | None) -> pd.DataFrame:
    """Read the Trainer's trainer_state.json."""
    try:
        history = json.loads(text)["log_history"]
        rows = [dict(row) for row in history]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise DataError(
            f"This is not a trainer_state.json, and was not read: {error}. Give the file of a checkpoint."
        ) from None
    names = {"step": "step", "val_loss": val or "eval_loss", "train_loss": train or "loss"}
    names |= {"lr": "learning_rate", "grad_norm": "grad_norm"}
    cells = [{key: row.get(name) for key, name in names.items()} for row in rows]
    table = pd.DataFrame(cells, columns=list(names), dtype=object)
    return table.apply(_numbers)


def _lines(text: str, patterns: dict[str, dict[str, str]]) -> pd.DataFrame:
    """Collect numbers from lines; {pattern of a line with its step first: {column: pattern of its number}}."""
    rows = []
    compiled = [(re.compile(k), {c: re.compile(p) for c, p in v.items()}) for k, v in patterns.items()]
    for line in text.splitlines():
        for head, fields in compiled:
            if (match := head.match(line)) is None:
                continue
            row = {"step": float(match.group(1))}
            for column, pattern in fields.items():
                if (found := pattern.search(line)) is not None:
                    value = float(found.group(1))
                    row[column] = float("inf") if value != value else value
            rows.append(row)
            break
    return pd.DataFrame(rows, columns=["step", *COLUMNS], dtype=float)


def _nanogpt(text: str, val: str | None, train: str | None) -> pd.DataFrame:
    """Read what nanoGPT prints: "iter 10: loss 3.1, ..." and "step 500: train loss 2.9, val loss 3.0"."""
    return _lines(
        text,
        {
            r"iter (\d+): loss": {"train_loss": r"loss " + _NUMBER},
            r"step (\d+): train loss": {"train_loss": r"train loss " + _NUMBER, "val_loss": r"val loss " + _NUMBER},
        },
    )


def _llm_c(text: str, val: str | None, train: str | None) -> pd.DataFrame:
    """Read llm.c's main.log: "s:250 tel:4.2", "s:1 trl:10.9 lr:1e-6 norm:15.2"."""
    fields = {"val_loss": r"tel:" + _NUMBER, "train_loss": r"trl:" + _NUMBER}
    fields |= {"lr": r"lr:" + _NUMBER, "grad_norm": r"norm:" + _NUMBER}
    return _lines(text, {r"s:(\d+) ": fields})


def _modded_nanogpt(text: str, val: str | None, train: str | None) -> pd.DataFrame:
    """Read modded-nanogpt's logs: "step:125/3000 val_loss:4.4 ...", "step:1/3000 train_loss:10.9 ..."."""
    fields = {"val_loss": r"val_loss:" + _NUMBER, "train_loss": r"train_loss:" + _NUMBER}
    return _lines(text, {r"step:(\d+)/\d+ ": fields})


def _tensorboard(source: Path, val: str | None, train: str | None) -> pd.DataFrame:
    """Read TensorBoard event files."""
    module = require(
        "tensorboard.backend.event_processing.event_accumulator", extra="integrations", purpose="Event files"
    )
    events = module.EventAccumulator(str(source), size_guidance={"scalars": 0, "tensors": 0})
    events.Reload()
    scalars = list(events.Tags()["scalars"])
    frames = []
    for name, wanted in (("val_loss", val), ("train_loss", train), ("lr", None), ("grad_norm", None)):
        tag = _find_column(pd.DataFrame(columns=scalars), name, wanted)
        if tag is not None:
            rows = [(float(e.step), float(e.value)) for e in events.Scalars(tag)]
            frames.append(pd.DataFrame(rows, columns=["step", name]))
    if not frames:
        raise DataError(
            f"{source} has no loss among its scalars: {', '.join(scalars[:20]) or 'none'}. Nothing was read. Name "
            "one: val=... or train=...."
        )
    return pd.concat(frames)


READERS: dict[str, Callable[[Any, str | None, str | None], pd.DataFrame]] = {
    "csv": _csv,
    "trainer_state": _trainer_state,
    "tensorboard": _tensorboard,
    "nanogpt": _nanogpt,
    "llm_c": _llm_c,
    "modded_nanogpt": _modded_nanogpt,
}
