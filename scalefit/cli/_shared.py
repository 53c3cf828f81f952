"""What several commands share: options that name columns, tables in, JSON out, a bar on whatever takes long."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import pandas as pd

_PATIENCE = 1.0  # seconds of silence before a bar appears

Table = Annotated[str, typer.Argument(help="Table of finished runs: csv, tsv, json, jsonl or parquet.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Level = Annotated[float, typer.Option("--level", help="Coverage of the intervals, between 0 and 1.")]
_COLUMNS = "Columns and conventions"


def _column(flag: str, text: str) -> Any:
    return typer.Option(flag, help=text, metavar="COLUMN", rich_help_panel=_COLUMNS)


ColumnN = Annotated[str | None, _column("--N", "Column of the number of parameters, or one number for every run.")]
ColumnD = Annotated[str | None, _column("--D", "Column of the training tokens, or one number for every run.")]
ColumnC = Annotated[str | None, _column("--C", "Column of the training compute in FLOP.")]
ColumnLoss = Annotated[str | None, _column("--loss", "Column of the loss.")]
ColumnSeries = Annotated[str | None, _column("--series", "Column that tells apart corpora or tokenizers.")]
ColumnUnique = Annotated[str | None, _column("--unique-tokens", "Column of distinct training tokens.")]
ColumnWeight = Annotated[str | None, _column("--weight", "Column of weights.")]
ColumnStatus = Annotated[str | None, _column("--status", "Column of how each run ended.")]
LossUnit = Annotated[
    str | None,
    typer.Option(
        help="nat/token (the default), bit/token, bit/byte, nat/byte or other.",
        metavar="UNIT",
        rich_help_panel=_COLUMNS,
    ),
]
BytesPerToken = Annotated[
    str | None,
    typer.Option(help="Column or number, for losses per byte.", metavar="COLUMN", rich_help_panel=_COLUMNS),
]
Params = Annotated[
    str | None,
    typer.Option(
        help="What N counts: total (the default), non_embedding, matrices, active or other.",
        metavar="CONVENTION",
        rich_help_panel=_COLUMNS,
    ),
]
Flops = Annotated[
    str | None, typer.Option(help="What ties C to N and D: 6ND.", metavar="CONVENTION", rich_help_panel=_COLUMNS)
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
