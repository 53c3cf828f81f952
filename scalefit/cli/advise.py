"""``scalefit advise``: advice on a run from its log, once or while it grows."""

from __future__ import annotations

import json
import signal
import time
import tomllib
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scalefit._files import json_keys, read_text, save_figure
from scalefit.cli import _shared as shared
from scalefit.errors import ArgumentError, DataError

if TYPE_CHECKING:
    from scalefit.stopping.monitor import Monitor
    from scalefit.stopping.run_plan import RunPlan

_DAY = 86_400.0  # [s]
EXAMPLE = """[schedule]
kind = "cosine"      # constant linear cosine wsd two_stage knots
total = 20000
warmup = 500
final = 0.1"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("advise")(advise)


def advise(
    log: Annotated[Path, typer.Argument(help="A log or a folder: CSV, JSON lines, trainer_state.json, event files...")],
    plan: Annotated[
        Path | None,
        typer.Option(help="TOML or JSON file with the plan: [schedule] and what is known. By default from the log."),
    ] = None,
    total_steps: Annotated[
        int | None,
        typer.Option(
            help="Steps of the whole run, if neither its log nor a plan states them: 20k.",
            metavar="COUNT",
            parser=shared.whole,
        ),
    ] = None,
    as_json: shared.AsJson = False,
    watch: Annotated[bool, typer.Option(help="Follow the growing file with a live view.")] = False,
    level: shared.Level = 0.9,
    min_gain: Annotated[float | None, typer.Option(help="Least gain worth going on for [nat/token].")] = None,
    history: Annotated[
        list[str] | None,
        typer.Option(
            help="An earlier run of the recipe: its LOG, LOG=PLAN where its plan was another, or a saved monitor "
            "(JSON), which holds its own. Repeatable."
        ),
    ] = None,
    law: Annotated[Path | None, typer.Option(help="A fitted law, as FitResult.to_json wrote it.")] = None,
    law_from: Annotated[
        str | None, typer.Option(help="The class of that law, if it is not one of scalefit's own: mylaw.py:Mine.")
    ] = None,
    kind: Annotated[str | None, typer.Option(help="Tool that wrote the log, if it is not recognised.")] = None,
    val: Annotated[str | None, typer.Option(help="Name of the validation loss in the log.")] = None,
    train: Annotated[str | None, typer.Option(help="Name of the training loss in the log.")] = None,
    plot: shared.Figure = None,
    interval: Annotated[float, typer.Option(help="Seconds between two looks at the file.")] = 5.0,
    refreshes: Annotated[int, typer.Option(hidden=True)] = 0,
) -> None:
    """Forecast the end of a run and say whether to go on, stop, cool down or roll back."""
    if watch and as_json:
        raise ArgumentError(
            "--watch shows a live view and --json prints once", "nothing was read", "Give one of the two"
        )
    if not 0 <= interval <= _DAY:
        raise typer.BadParameter(f"{interval:g} is not a pause of 0 to {_DAY:g} seconds", param_hint="--interval")
    given = _plan_of(plan, total_steps)
    fitted = None if law is None else (law, law_from)
    read = _Reader(log, given, history or [], fitted, min_gain, kind, val, train, total_steps)
    if watch:
        _watch(read, level, interval, refreshes)
        return
    monitor = read.monitor()
    advice = monitor.advise(level)
    if as_json:
        shared.print_json(advice.as_dict())
    else:
        typer.echo(str(advice))
    if plot is not None:
        shared.may_write("--plot", plot, "figure", [log, plan, law])
        save_figure(monitor.plot(level=level).figure, plot, bbox_inches="tight")


def _read_plan(path: Path) -> RunPlan:
    """Plan from a TOML or JSON file."""
    from scalefit.stopping.run_plan import RunPlan

    if not path.exists():
        raise DataError(f"There is no plan {path}", "nothing was read", f"Write one, a file such as:\n{EXAMPLE}")
    try:
        text = read_text(path)
        record = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # TOML, JSON and text errors are ValueErrors
        raise DataError(f"The plan {path} cannot be read: {error}", "no advice was given", "Correct the file") from None
    if not isinstance(record, dict) or "schedule" not in record:
        raise DataError(f"The plan {path} has no [schedule]", "nothing was read", f"Give it one, as in:\n{EXAMPLE}")
    return RunPlan(**record)


def _plan_of(plan: Path | None, total_steps: float | None) -> RunPlan | None:
    """The plan of a file, which says how long the run is; None where there is no file."""
    if plan is not None and total_steps is not None:
        raise typer.BadParameter("the length is in the plan; give one of the two", param_hint="--total-steps")
    return None if plan is None else _read_plan(plan)


def monitor_of(log: Path, plan: Path | None, val: str | None, train: str | None, total_steps: float | None) -> Monitor:
    """Monitor of a log, by the plan in a file or else by the one that the log shows."""
    return _Reader(log, _plan_of(plan, total_steps), [], None, None, None, val, train, total_steps).monitor()


class _Reader:
    """Makes the monitor anew from the files at each look."""

    def __init__(
        self,
        log: Path,
        plan: RunPlan | None,
        history: list[str],
        law: tuple[Path, str | None] | None,
        min_gain: float | None,
        kind: str | None,
        val: str | None,
        train: str | None,
        total_steps: float | None,
    ) -> None:
        self.log, self.plan, self.min_gain, self.total_steps = log, plan, min_gain, total_steps
        self.names: dict[str, Any] = {"kind": kind, "val": val, "train": train}
        if plan is not None:
            self.names["tokens_per_step"] = plan.batch_tokens
            passes = plan.epochs_at(plan.steps)
            self.names["steps_per_epoch"] = None if passes is None else plan.steps / passes
        self.history = [self._earlier(entry) for entry in history]
        self.law: Any = None
        if law is not None:
            import scalefit

            self.law = scalefit.load_result(*law)

    def _earlier(self, entry: str) -> Any:
        """A finished run, as a monitor takes it: a saved monitor, or a plan and a table."""
        from scalefit.integrations.log_plans import plan_from_log
        from scalefit.integrations.logs import read_log
        from scalefit.stopping.monitor import load_monitor

        name, other = _log_and_plan(entry)
        if {"schema_version", "plan", "series"} <= json_keys(Path(name)):
            if other:
                raise ArgumentError(
                    f"--history {entry}: {name} is a saved monitor and holds its own plan",
                    "nothing was read",
                    f"Leave ={other} out",
                )
            return load_monitor(name)
        table = read_log(name, **self.names).dropna(subset=["val_loss"])
        if other:
            return (_read_plan(Path(other)), table)
        return (self.plan if self.plan is not None else plan_from_log(table)[0], table)

    def monitor(self, growing: bool = False) -> Monitor:
        """Monitor of the log as it is now."""
        from scalefit.errors import Note
        from scalefit.integrations.log_plans import plan_from_log
        from scalefit.integrations.logs import read_log, replay
        from scalefit.stopping.monitor import Monitor

        table = read_log(self.log, **self.names, growing=growing)
        plan, notes = (self.plan, []) if self.plan is not None else plan_from_log(table, self.total_steps)
        if self.plan is not None and table.attrs["counts"] == "epochs":
            raise ArgumentError(
                f"{self.log} counts epochs and the plan counts steps",
                "nothing was judged",
                "Put epochs in the plan, or leave --plan out",
            )
        unit = table.attrs["loss_unit"]
        if plan.loss_unit == "nat/token" and unit != plan.loss_unit:
            plan = plan.model_copy(update={"loss_unit": unit})
        monitor = Monitor(plan, self.history, self.law, min_gain=self.min_gain)
        monitor.notes += [*notes, *(Note("log", "info", text) for text in table.attrs["notes"])]
        replay(monitor, table)
        return monitor


def _log_and_plan(entry: str) -> tuple[str, str]:
    """Split LOG=PLAN at the sign that leaves a file before it: paths may hold others, as in runs/lr=0.001/log.csv."""
    signs = [at for at, char in enumerate(entry) if char == "="]
    pairs = [(entry, ""), *((entry[:at], entry[at + 1 :]) for at in signs)]
    there = [pair for pair in pairs if Path(pair[0]).exists()]
    return there[0] if there else pairs[min(1, len(signs))]


def _watch(read: _Reader, level: float, interval: float, refreshes: int) -> None:
    """Show a live view until the run has reached its planned end, or a signal ends it; plain lines where piped."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    from scalefit.cli._live_view import render

    console, count, text = Console(), 0, ""

    def ended(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, ended)
    live = Live(Text(f"waiting for {read.log}"), console=console, auto_refresh=False)
    try:
        with live if console.is_terminal else nullcontext():
            while True:
                done = False
                try:
                    monitor = read.monitor(growing=True)
                    view, line = render(monitor, level, console.width), str(monitor.advise(level))
                    done = monitor.last_step >= monitor.plan.steps
                except DataError as error:  # not there yet, or in the middle of being written
                    view, line = Text(f"waiting: {error}"), f"waiting: {error}"
                if console.is_terminal:
                    live.update(view, refresh=True)
                elif line != text:
                    console.print(view)
                text = line
                count += 1
                if done or (refreshes and count >= refreshes):
                    return
                time.sleep(interval)
    except KeyboardInterrupt:
        return
    finally:
        signal.signal(signal.SIGTERM, before)
