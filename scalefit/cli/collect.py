"""``scalefit collect``: folders of finished runs in, one table out, every choice printed."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from scalefit._text import folded
from scalefit.cli import ExitCode
from scalefit.cli import _shared as shared
from scalefit.errors import Note, spoken


class Final(StrEnum):
    """How the final loss is taken."""

    last = "last"
    mean = "mean"
    best = "best"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(collect)


def _setting(text: str) -> Any:
    from scalefit.collecting.records import scalar

    return scalar(text)


def _read_for(sources: Iterable[Any], out: Path) -> list[Path]:
    """Files that a table's runs were read from; the output where it lies in the folder of a run, as a log does."""
    from scalefit.collecting.csv_files import is_collected

    places = {Path(str(source).partition("#")[0]) for source in sources}
    if out.exists() and not is_collected(out):
        inside = any(place.is_dir() and place.resolve() in out.resolve().parents for place in places)
        places |= {out} if inside else set()
    return sorted(places)


def collect(
    paths: Annotated[list[Path], typer.Argument(help="Folders, searched recursively, or files.", metavar="DIR...")],
    out: Annotated[Path, typer.Option(*shared.OUT, help="Where to write the table.")] = Path("runs.csv"),
    N: Annotated[
        str | None, typer.Option("--N", help="Parameters: a setting or logged quantity, or a number for every run.")
    ] = None,
    D: Annotated[str | None, typer.Option("--D", help="Training tokens, in the same way.")] = None,
    loss: Annotated[str | None, typer.Option(help="The logged quantity that is the loss.")] = None,
    final: Annotated[
        Final | None,
        typer.Option(help="last value, mean of the last k, or best; last validation, mean of training, by default."),
    ] = None,
    k: Annotated[int | None, typer.Option(help="Values in the mean.", min=1)] = None,
    batch_tokens: Annotated[str | None, typer.Option(help="Tokens per optimizer step.")] = None,
    config: Annotated[
        list[str] | None,
        typer.Option(help="A setting that is not in the files, such as vocab_size. Repeatable.", metavar="NAME=VALUE"),
    ] = None,
    keep_unfinished: Annotated[
        bool, typer.Option("--keep-unfinished", help="Also keep runs that crashed or did not reach their end.")
    ] = False,
    force: shared.Force = False,
    as_json: shared.AsJson = False,
) -> int:
    """Collect finished runs from W&B, MLflow, TensorBoard, Hugging Face, Lightning and nanochat into one table."""
    from scalefit.collecting.collect import collect as collect_runs

    settings = shared.assignments("--config", config or (), _setting)
    unfinished: Literal["leave_out", "keep"] = "keep" if keep_unfinished else "leave_out"
    shared.may_write("--out", out, "table", paths, force=force)
    with shared.working("Collecting") as progress:
        table = collect_runs(
            list(paths),
            N=N,
            D=D,
            loss=loss,
            final=None if final is None else final.value,
            k=k,
            batch_tokens=batch_tokens,
            config=settings,
            unfinished=unfinished,
            progress=progress,
        )
    shared.write_table("--out", out, table, [*paths, *_read_for(table["source"], Path(out))], force)
    notes = table.attrs["notes"]
    if as_json:
        shared.print_json({"out": str(out), "n_runs": len(table), "columns": list(table.columns), "notes": notes})
        return ExitCode.DONE
    for note in notes:
        typer.echo(folded(f"{'! ' if note['severity'] == 'warning' else '  '}{spoken(Note(**note).template)}"))
    typer.echo(f"{len(table)} run{'s' if len(table) != 1 else ''}, one per row, in {out}")
    return ExitCode.DONE
