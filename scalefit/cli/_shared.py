"""What several commands share: options that name columns, tables in, JSON out, a bar on whatever takes long."""

from __future__ import annotations

import inspect
import json
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import pandas as pd

_PATIENCE = 1.0  # seconds of silence before a bar appears

_COLUMNS = "Columns and conventions"


def _column(help: str, flag: str | None = None, metavar: str = "COLUMN") -> Any:
    option = typer.Option(*([flag] if flag else []), help=help, metavar=metavar, rich_help_panel=_COLUMNS)
    return Annotated[str | None, option]


_COLUMN_OPTIONS = {
    "N": _column("Column of the number of parameters, or one number for every run.", "--N"),
    "D": _column("Column of the training tokens, or one number for every run.", "--D"),
    "C": _column("Column of the training compute in FLOP.", "--C"),
    "loss": _column("Column of the loss."),
    "series": _column("Column that tells apart corpora or tokenizers."),
    "unique_tokens": _column("Column of distinct training tokens."),
    "weight": _column("Column of weights."),
    "status": _column("Column of how each run ended."),
    "loss_unit": _column("nat/token (the default), bit/token, bit/byte, nat/byte or other.", metavar="UNIT"),
    "bytes_per_token": _column("Column or number, for losses per byte."),
    "params": _column(
        "What N counts: total (the default), non_embedding, matrices, active or other.", metavar="CONVENTION"
    ),
    "flops": _column("What ties C to N and D: 6ND.", metavar="CONVENTION"),
}


def takes_columns(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command an option for each column and convention; it receives those that were named as ``columns``."""

    @wraps(command)
    def with_options(**given: Any) -> int:
        named = {name: given.pop(name) for name in _COLUMN_OPTIONS}
        return command(**given, columns={name: value for name, value in named.items() if value is not None})

    own = inspect.signature(command, eval_str=True)
    options = []
    for name, parameter in own.parameters.items():
        if name == "columns":
            kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
            options += [inspect.Parameter(k, kind, default=None, annotation=a) for k, a in _COLUMN_OPTIONS.items()]
        else:
            options.append(parameter)
    with_options.__signature__ = own.replace(parameters=options)  # type: ignore[attr-defined]  # typer reads it
    return with_options


def _checked_level(level: float) -> float:
    if not 0 < level < 1:
        raise typer.BadParameter(f"{level} must lie between 0 and 1")
    return level


Table = Annotated[str, typer.Argument(help="Table of finished runs: csv, tsv, json, jsonl or parquet.")]
Columns = dict[str, str]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Level = Annotated[
    float, typer.Option("--level", help="Coverage of the intervals, between 0 and 1.", callback=_checked_level)
]


def read_table(path: str, **columns: Any) -> pd.DataFrame:
    """Read a table with the columns named on the command line; numbers in place of names hold for every run."""
    from scalefit.tables import read_runs

    return read_runs(path, **columns)


def assignments(option: str, given: Iterable[str], read: Callable[[str], Any]) -> dict[str, Any]:
    """Read ``name=value`` pairs of a repeated option; a malformed one is a usage error."""
    out = {}
    for item in given:
        name, sign, text = item.partition("=")
        try:
            if not sign or not name.strip():
                raise ValueError("no name=value")
            out[name.strip()] = read(text.strip())
        except ValueError as error:
            raise typer.BadParameter(f"{item!r} cannot be read ({error})", param_hint=option) from error
    return out


def quantity(text: str) -> float:
    """Read a number with an optional suffix; ``inf`` too."""
    from scalefit.counting import parse_quantity

    return float(text) if text.lower().lstrip("+-") in ("inf", "infinity") else parse_quantity(text)


def pair(text: str) -> tuple[float, float]:
    """Two numbers with a colon between them."""
    first, sign, second = text.partition(":")
    if not sign:
        raise ValueError("two numbers with a colon between them are needed")
    return quantity(first), quantity(second)


def points(given: Iterable[str]) -> list[dict[str, float]]:
    """Points such as ``N=7e9,D=2e12``, one an option."""
    return [assignments("--at", item.split(","), quantity) for item in given]


def print_json(document: Mapping[str, Any]) -> None:
    """Print one JSON document; numbers that are not finite become null."""
    typer.echo(json.dumps(plain(document), indent=1, allow_nan=False))


def plain(value: Any) -> Any:
    """Return plain data that JSON can hold, from numpy, pandas, tuples and paths."""
    if isinstance(value, Mapping) or hasattr(value, "to_dict"):
        items = value.items() if isinstance(value, Mapping) else value.to_dict().items()
        return {str(key): plain(item) for key, item in items}
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


def numbered(path: Path, label: str | None) -> Path:
    """File name for one of several series: the label is put before the suffix."""
    if label is None:
        return path
    safe = "".join(char if char.isalnum() or char in "-_." else "_" for char in label)
    return path.with_name(f"{path.stem}-{safe}{path.suffix}")


@contextmanager
def working(text: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on stderr once the work has taken a second, where stderr is a terminal.

    Yields a function to call with (done, total); without calls the bar only pulses.
    """
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    task = bar.add_task(text, total=None)
    timer = threading.Timer(_PATIENCE, bar.start)
    timer.daemon = True
    timer.start()
    try:
        yield lambda done, total: bar.update(task, completed=done, total=total)
    finally:
        timer.cancel()
        timer.join()
        bar.stop()
