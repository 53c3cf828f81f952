"""What several commands share: options that name columns, tables in, JSON out, a bar on whatever takes long."""

from __future__ import annotations

import inspect
import json
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scalefit._files import json_keys, write_whole
from scalefit._plain import plain
from scalefit._text import PAGE
from scalefit.cli._logs import refuse_log
from scalefit.errors import ArgumentError, DataError, ScalefitWarning

if TYPE_CHECKING:
    import pandas as pd

    from scalefit.laws import PublishedLaw

_PATIENCE = 1.0  # seconds of silence before a bar appears

#: Where the help lists the options that name columns and conventions.
COLUMNS_PANEL = "Columns and conventions"


def _column(help: str, flag: str | None = None, metavar: str = "COLUMN") -> Any:
    option = typer.Option(*([flag] if flag else []), help=help, metavar=metavar, rich_help_panel=COLUMNS_PANEL)
    return Annotated[str | None, option]


def whole(text: str) -> int:
    """Parse an option that counts something: ``20000``, ``20k``, ``2M``."""
    try:
        number = quantity(text)
        if number == int(number) >= 1:
            return int(number)
    except (ValueError, OverflowError):
        pass
    raise typer.BadParameter(f"{text!r} is not a whole number of 1 or more, such as 20000 or 20k")


def _limit(help: str) -> Any:
    return Annotated[int | None, typer.Option(help=help, metavar="COUNT", parser=whole, rich_help_panel=COLUMNS_PANEL)]


_LIMITS = ("max_rows", "max_bytes")
_COLUMN_OPTIONS = {
    "N": _column("Column of the number of parameters, or one number for every run.", "--N"),
    "D": _column("Column of the training tokens, or one number for every run.", "--D"),
    "C": _column("Column of the training compute in FLOP.", "--C"),
    "loss": _column("Column of the loss."),
    "series": _column("Column that distinguishes corpora or tokenizers."),
    "unique_tokens": _column("Column of distinct training tokens."),
    "weight": _column("Column of weights."),
    "status": _column("Column of how each run ended."),
    "loss_unit": _column("nat/token (the default), bit/token, bit/byte, nat/byte, perplexity, other.", metavar="UNIT"),
    "bytes_per_token": _column("Column or number, for losses per byte."),
    "params": _column(
        "What N counts: total (the default), non_embedding, matrices, active or other.", metavar="CONVENTION"
    ),
    "flops": _column("How C follows from N and D: 6ND.", metavar="CONVENTION"),
    "max_rows": _limit("Most rows that are read from a file; 2 million."),
    "max_bytes": _limit("Most bytes of text that are unpacked from a file; 128 MiB."),
    "only": _column("Use only the runs of this series.", metavar="SERIES"),
}


def takes_columns(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command the options that name columns; it receives what they say as ``columns``, for `read_table`.

    Every column has an option of its own, ``--N n_params``, unless the command uses that name for something else
    (``scalefit plan --N 7B``); and all can be named by the repeatable ``--column N=n_params``.
    """
    own = inspect.signature(command, eval_str=True)
    offered = {name: option for name, option in _COLUMN_OPTIONS.items() if name not in own.parameters}
    taken = [f"--{name.replace('_', '-')}" for name in _COLUMN_OPTIONS if name in own.parameters]

    @wraps(command)
    def with_options(**given: Any) -> int:
        every = {name: given.pop(name) for name in offered}
        named = {name: column for name, column in every.items() if column is not None}
        pairs = assignments("--column", given.pop("column") or (), str)
        for name, column in pairs.items():
            if name not in _COLUMN_OPTIONS or name in _LIMITS:
                known = ", ".join(_COLUMN_OPTIONS)
                raise typer.BadParameter(
                    f"{name!r} is not a column or convention; known: {known}", param_hint="--column"
                )
            if named.setdefault(name, column) != column:
                text = f"{name} is named twice, {named[name]!r} and {column!r}"
                raise typer.BadParameter(text, param_hint="--column")
        if _is_quantity(named.get("flops")):
            budget = f"; a budget is --C {named['flops']}" if "C" in own.parameters else ""
            text = f"{named['flops']} is a number, and this names a convention such as 6ND{budget}"
            raise typer.BadParameter(text, param_hint="--flops")
        inputs = assignments("--input", given.pop("input") or (), str)
        return command(**given, columns=named | ({"inputs": inputs} if inputs else {}))

    help = "A column or convention by its name: N=n_params, loss_unit=bit/byte. Repeatable."
    if taken:
        help += f" Needed for {', '.join(taken)}, which mean something else here."
    pairs = typer.Option("--column", help=help, metavar="NAME=COLUMN", rich_help_panel=COLUMNS_PANEL)
    help = "A column of another input of the law: n_experts=config.moe.n, or a number for every run. Repeatable."
    more = typer.Option("--input", help=help, metavar="NAME=COLUMN", rich_help_panel=COLUMNS_PANEL)
    lists = {"column": Annotated[list[str] | None, pairs], "input": Annotated[list[str] | None, more]}
    annotations = {**offered, **lists}
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    options = []
    for name, parameter in own.parameters.items():
        if name == "columns":
            options += [inspect.Parameter(k, kind, default=None, annotation=a) for k, a in annotations.items()]
        else:
            options.append(parameter)
    with_options.__signature__ = own.replace(parameters=options)  # type: ignore[attr-defined]  # typer reads it
    return with_options


def laws_beginning(incomplete: str) -> list[str]:
    """Names of laws, for the shell's completion."""
    from scalefit.laws import names

    return [name for name in names() if name.startswith(incomplete)]


def constants_beginning(context: typer.Context, incomplete: str) -> list[str]:
    """Keys of published constants, of the law on the line where there is one, for the shell's completion."""
    from scalefit.laws._registry import registry

    laws = registry()
    asked = laws.get(context.params.get("law") or "")
    chosen = laws.values() if asked is None else [asked]
    return sorted({c.key for law in chosen for c in law.published if c.key.startswith(incomplete)})


def data_sets_beginning(incomplete: str) -> list[str]:
    """Names of data sets, for the shell's completion."""
    from scalefit.datasets import list_datasets

    return [str(name) for name in list_datasets().index if str(name).startswith(incomplete)]


def _checked_figure(path: Path | None) -> Path | None:
    """Refuse a figure of no known format before anything is computed for it."""
    if path is not None:
        from matplotlib.backend_bases import FigureCanvasBase

        known = sorted(FigureCanvasBase.get_supported_filetypes())
        if path.suffix.lower().removeprefix(".") not in known:
            listed = ", ".join(f".{name}" for name in known)
            raise ArgumentError(f"{path}: no format {path.suffix!r}", "nothing was drawn", f"Known: {listed}")
    return path


def _checked_level(level: float) -> float:
    if not 0 < level < 1:
        hint = f": write {level / 100:g} for {level:g} %" if 10 <= level < 100 else ""
        raise typer.BadParameter(f"{level:g} must lie between 0 and 1{hint}")
    return level


Table = Annotated[str, typer.Argument(help="Table of finished runs: csv, tsv, json, jsonl or parquet.")]
Columns = dict[str, Any]
#: Where a command writes what it found, by any of the names that people type.
OUT = ("-o", "--out", "--save")
Force = Annotated[bool, typer.Option("--force", help="Overwrite a file that holds something else.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Figure = Annotated[
    Path | None,
    typer.Option("--plot", help="Draw a figure to this file: .png, .pdf or .svg.", callback=_checked_figure),
]
LogY = Annotated[bool, typer.Option("--log-y", help="With --plot: a logarithmic axis of the loss.")]
Level = Annotated[
    float, typer.Option("--level", help="Coverage of the intervals, between 0 and 1.", callback=_checked_level)
]


#: How files of each kind begin.
_FIGURES = (b"\x89PNG", b"%PDF", b"%!PS", b"<?xml", b"<svg", b"\xff\xd8", b"RIFF", b"II*", b"MM", b"GIF8", b"\x1f\x8b")
_WHAT = {"result": "a result of scalefit", "page": "a page", "figure": "a figure", "table": "the same columns"}


def may_write(
    option: str,
    path: str | Path | None,
    kind: str,
    inputs: Iterable[Any] = (),
    *,
    force: bool = False,
    columns: Iterable[Any] | None = None,
) -> None:
    """Refuse an output that is an input, or a file of another kind that is there, before it is written.

    Parameters
    ----------
    option : str
        What the command line calls it, such as ``--save``.
    path : path, optional
        Where the command will write.
    kind : {"result", "page", "figure", "table"}
        What it will write.
    inputs : iterable of paths
        What it reads; whatever is not a file is passed over.
    force : bool
        Overwrite a file of another kind; never an input.
    columns : iterable of str, optional
        Of a table: an older file of the same columns is overwritten. Without them only the inputs are looked at.
    """
    if path is None:
        return
    target = Path(path)
    for source in inputs:
        if source is not None and target.exists() and Path(source).exists() and target.samefile(source):
            raise ArgumentError(f"{option} {path} is the input itself", "it was left alone", "Name another file")
    if target.parent != target and not target.parent.is_dir():
        raise ArgumentError(
            f"{option} {path} cannot be written: there is no folder {target.parent}",
            "nothing was done",
            "Make it first",
        )
    if force or not target.is_file() or not target.stat().st_size or (kind == "table" and columns is None):
        return
    with target.open("rb") as stream:
        head = stream.read(1 << 16)
    same = {
        "result": bool({"scalefit", "schema_version"} & json_keys(target)),
        "page": head.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html")),
        "figure": head.lstrip().startswith(_FIGURES),
        "table": head.splitlines()[0].decode("utf-8", "replace").split(",")
        == list(map(str, () if columns is None else columns)),
    }
    if not same[kind]:
        raise ArgumentError(
            f"{option} {path} exists and does not hold {_WHAT[kind]}",
            "it was left alone",
            "Name another file, or add --force",
        )


def write_table(option: str, path: str | Path, frame: pd.DataFrame, inputs: Iterable[Any], force: bool) -> None:
    """Write a table as csv, whole, where `may_write` lets it."""
    may_write(option, path, "table", inputs, force=force, columns=frame.columns)
    write_whole(path, frame.to_csv(index=False))


def read_table(
    path: str | Path, *, laws: Iterable[str] = (), only: str | None = None, checked: bool = True, **columns: Any
) -> pd.DataFrame:
    """Read a table with the columns named on the command line; numbers in place of names hold for every run.

    Rows without an N, D, C or loss are kept: each law sets those aside that it cannot use. Where a fit of the whole
    table follows (`checked`), that fit names them, together with those set aside here. What the `laws` read and give is
    looked for by its usual names.
    """
    from scalefit.laws import get
    from scalefit.tables.runs import read_for_fit, read_runs
    from scalefit.tables.series import runs_of

    declared = {key: value for law in laws for key, value in get(law).reads().items()}
    options = {"declared": declared, **columns}
    try:
        runs = read_for_fit(path, **options) if checked else read_runs(path, incomplete="keep", **options)
    except DataError:
        refuse_log(path)
        raise
    return runs if only is None else runs_of(runs, only)


def published_law(law: str | None, key: str | None) -> PublishedLaw:
    """Published constants by law and key, or by either where it names one set."""
    from scalefit.laws import published

    return published(str(key)) if law is None else published(law, key)


def refuse_law(name: str) -> None:
    """Raise where a law was named in the place of a file."""
    from scalefit.laws import names

    if not Path(name).exists() and name.lower() in names():
        raise DataError(
            f"There is no file {name!r}, but there is a law of that name", "nothing was read", f"Pass --law {name}"
        )


@contextmanager
def rows_in_print(printed: bool) -> Iterator[None]:
    """Leave out the warning of rows set aside where the print of the result has it as a note."""
    with warnings.catch_warnings():
        if printed:
            warnings.filterwarnings("ignore", message=".*were set aside", category=ScalefitWarning)
        yield


def assignments(option: str, given: Iterable[str], read: Callable[[str], Any]) -> dict[str, Any]:
    """Read ``name=value`` pairs of a repeated option; a malformed one is a usage error."""
    out = {}
    for item in given:
        name, sign, text = item.partition("=")
        try:
            if not sign or not name.strip():
                raise ValueError("no name=value")
            if name.strip() in out:
                raise ValueError("given twice")
            out[name.strip()] = read(text.strip())
        except ValueError as error:
            raise typer.BadParameter(f"{item!r} cannot be read ({error})", param_hint=option) from error
    return out


def _is_quantity(text: str | None) -> bool:
    try:
        return text is not None and quantity(text) > 0
    except ValueError:
        return False


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


def aligned(frame: pd.DataFrame) -> str:
    """A table within the page, with N, D and C as people write them."""
    from scalefit import flops

    written = {name: partial(flops.quantity, name) for name in frame if name in (*flops.QUANTITIES, "unique_tokens")}
    form: Any = written  # pandas types them by column, not by name
    return frame.to_string(
        index=False, line_width=PAGE, na_rep="", formatters=form, float_format=lambda value: f"{value:.4g}"
    )


def print_json(document: Mapping[str, Any]) -> None:
    """Print one JSON document; numbers that are not finite become null."""
    typer.echo(json.dumps(plain(document), indent=1, allow_nan=False))


def files_of(path: Path, labels: Iterable[str | None]) -> dict[str | None, Path]:
    """One file per series: the label is put before the suffix, and a number behind labels that read alike in a name."""
    found: dict[str | None, Path] = {}
    for label in labels:
        if label is None:
            found[label] = path
            continue
        safe = "".join(char if char.isalnum() or char in "-_." else "_" for char in label)
        name, number = f"{path.stem}-{safe}{path.suffix}", 2
        while path.with_name(name) in found.values():
            name, number = f"{path.stem}-{safe}-{number}{path.suffix}", number + 1
        found[label] = path.with_name(name)
    return found


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
