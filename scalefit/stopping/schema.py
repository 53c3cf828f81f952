"""A monitor on disk: versioned JSON, and earlier runs as a monitor takes them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from pydantic import ValidationError, model_validator

from scalefit._digests import KEY, check_digest
from scalefit._files import is_document, read_text
from scalefit._records import Record, SavedNote, what_is_wrong
from scalefit.errors import ArgumentError, DataError, Note
from scalefit.schedules import Schedule
from scalefit.stopping.forecast import adam_rate
from scalefit.stopping.history import FinishedRun
from scalefit.stopping.logged import LoggedSeries, Quantity
from scalefit.stopping.run_plan import RunPlan, check_plan

SCHEMA_VERSION = 1


@runtime_checkable
class Followed(Protocol):
    """A run that was followed to its end, as a :class:`scalefit.Monitor` is."""

    plan: RunPlan

    def finished(self) -> FinishedRun:
        """Return the run as history for another."""


class SavedCurve(Record):
    """A `Series` on disk."""

    steps: list[float]
    values: list[float]
    counts: list[float] | None = None
    merged_until: float = -1.0

    @model_validator(mode="after")
    def _check(self) -> SavedCurve:
        _check_curve(self.steps, self.values)
        if self.counts is not None and (len(self.counts) != len(self.steps) or not all(n > 0 for n in self.counts)):
            raise ValueError(f"{len(self.counts)} counts for {len(self.steps)} steps, or one that is not positive")
        return self


def saved_curves(series: Mapping[Quantity, LoggedSeries]) -> dict[Quantity, SavedCurve]:
    """Return what is kept of the logged quantities."""
    return {name: SavedCurve(**one.state()) for name, one in series.items()}


class SavedRun(Record):
    """A finished run on disk."""

    schedule: Schedule
    steps: list[float]
    loss: list[float]
    total: float
    adam_rate: float | None = None

    @model_validator(mode="after")
    def _check(self) -> SavedRun:
        _check_curve(self.steps, self.loss)
        return self


def _check_curve(steps: list[float], values: list[float]) -> None:
    """Refuse a curve that no monitor can have written."""
    t, y = np.array(steps), np.array(values)
    if t.shape != y.shape:
        raise ValueError(f"{t.size} steps with {y.size} values")
    if not (np.isfinite(t).all() and np.isfinite(y).all() and (np.diff(t) > 0).all()):
        raise ValueError("steps that do not increase, or numbers that are not finite")


class MonitorState(Record):
    """Everything a `Monitor` needs to go on, and nothing that is derived."""

    schema_version: Literal[1] = 1
    plan: RunPlan
    min_gain: float | None
    min_saving: float
    series: dict[Quantity, SavedCurve]
    last_step: float
    nonfinite: tuple[int, float] | None
    history: list[SavedRun]
    notes: list[SavedNote]
    law_floors: dict[str, float]
    frontier_compute: list[float]
    frontier_loss: list[float]


def saved_runs(runs: Sequence[FinishedRun]) -> list[SavedRun]:
    """Return what is kept of earlier runs."""
    return [
        SavedRun(
            schedule=run.schedule,
            steps=run.steps.tolist(),
            loss=run.loss.tolist(),
            total=run.total,
            adam_rate=run.adam_rate,
        )
        for run in runs
    ]


def read_state(source: str | Path) -> MonitorState:
    """Read and check a saved state, from a file or from the text of one."""
    if is_document(source):
        return parse_state(str(source))
    try:
        text = read_text(source)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{source} is not text: {error.reason}", "it was not read", "Give the file that Monitor.to_json wrote"
        ) from None
    except FileNotFoundError:
        raise DataError(
            f"There is no file {str(source)!r}", "nothing was read", f"Check the path from {Path.cwd()}"
        ) from None
    except OSError as error:
        reason = error.strerror or error
        raise DataError(
            f"{source} cannot be read: {reason}", "nothing was loaded", "Give the file that Monitor.to_json wrote"
        ) from None
    try:
        return parse_state(text)
    except DataError as error:
        raise error.about(source) from None


def parse_state(text: str) -> MonitorState:
    """Check the JSON of a saved state."""
    try:
        raw = json.loads(text)
        found = MonitorState.model_validate_json(json.dumps({k: v for k, v in dict(raw).items() if k != KEY}))
    except (ValidationError, ArgumentError, ValueError, TypeError, RecursionError) as error:
        raise DataError(
            f"This is not a monitor's state of version {SCHEMA_VERSION}: {what_is_wrong(error)}",
            "it was not read",
            "Write it with Monitor.to_json of this version of scalefit",
        ) from None
    check_digest(raw, "This monitor's state")
    return found


def finished_from(entry: SavedRun) -> FinishedRun:
    """Return the finished run that was saved."""
    return FinishedRun(entry.schedule, np.array(entry.steps), np.array(entry.loss), entry.total, entry.adam_rate)


def history_entries(history: Sequence[Any], plan: RunPlan, notes: list[Note]) -> list[FinishedRun]:
    """Turn what a person passes as `history` into finished runs; what does not fit is set aside with a note."""
    if isinstance(history, str) or not isinstance(history, Sequence):
        raise ArgumentError(
            f"history is a {type(history).__name__}",
            "nothing was learned from it",
            "Give a list of finished Monitors, or of pairs (RunPlan, table with the columns step and val_loss)",
        )
    runs = []
    for number, entry in enumerate(history):
        other, run = _read_entry(number, entry)
        reason = _unlike(plan, other)
        if reason is None and not run.healthy:
            reason = f"it ends {run.final - float(run.loss.min()):.2f} nat above its own best"
        if reason is not None:
            notes.append(
                Note("history_set_aside", "warning", f"History run {number} is not used: {reason}.", {"run": number})
            )
            continue
        runs.append(run)
    return runs


def _read_entry(number: int, entry: Any) -> tuple[RunPlan, FinishedRun]:
    try:
        return _finished(number, entry)
    except DataError as error:
        raise error.about(f"History run {number}") from None


def _finished(number: int, entry: Any) -> tuple[RunPlan, FinishedRun]:
    if isinstance(entry, Followed):
        return entry.plan, entry.finished()
    try:
        other, table = entry
    except (TypeError, ValueError):
        raise ArgumentError(
            f"History run {number} is a {type(entry).__name__}",
            "nothing was learned",
            "Give a finished Monitor or a pair (RunPlan, table with the columns step and val_loss)",
        ) from None
    check_plan(other, f"History run {number}: the first of the pair")
    try:
        steps, loss = np.asarray(table["step"], dtype=float), np.asarray(table["val_loss"], dtype=float)
    except (KeyError, TypeError, ValueError, IndexError):
        raise ArgumentError(
            f"History run {number}: its table has no numeric columns step and val_loss",
            "nothing was learned",
            "Add them",
        ) from None
    if steps.shape != loss.shape or steps.ndim != 1:
        raise ArgumentError(
            f"History run {number} has steps of shape {steps.shape} and losses of shape {loss.shape}",
            "nothing was learned from it",
            "Give a loss for every step; NaN where none was logged",
        )
    return other, FinishedRun.from_curve(other.schedule, steps, loss, other.steps, adam_rate(other))


def _unlike(plan: RunPlan, other: RunPlan) -> str | None:
    pairs = (
        ("recipe", plan.recipe, other.recipe),
        ("vocabulary", plan.vocab_size, other.vocab_size),
        ("loss unit", plan.loss_unit, other.loss_unit),
    )
    for what, mine, theirs in pairs:
        if mine is not None and theirs is not None and mine != theirs:
            return f"its {what} is {theirs}, this run's is {mine}"
    return None
