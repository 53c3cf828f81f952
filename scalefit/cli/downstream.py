"""``scalefit downstream``: the accuracy of larger models, and which tasks can be predicted at all."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from scalefit import _text as words
from scalefit._files import save_figure
from scalefit.cli import ExitCode
from scalefit.cli import _shared as shared
from scalefit.cli._points import as_inputs
from scalefit.cli._points import points as read_points
from scalefit.errors import note_record
from scalefit.flops import quantity


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("downstream")(downstream)


@shared.takes_columns
def downstream(
    table: shared.Table,
    columns: shared.Columns,
    metric: Annotated[
        list[str] | None, typer.Option(help="Column of the metric, or a pattern: 'acc|*'. Repeatable.")
    ] = None,
    chance: Annotated[
        list[str] | None, typer.Option(help="Share that guessing gets right: 0.25, or by task: arc=0.25. Repeatable.")
    ] = None,
    better: Annotated[
        str | None, typer.Option(help="Which is better: higher or lower, if the names do not show it.")
    ] = None,
    percent: Annotated[bool, typer.Option("--percent", help="The metrics run from 0 to 100.")] = False,
    by: Annotated[str | None, typer.Option(help="pool: treat several series as one.")] = None,
    same_loss: Annotated[
        bool | None, typer.Option("--same-loss/--other-loss", help="Whether the losses are of one text and tokenizer.")
    ] = None,
    at: Annotated[
        list[str] | None, typer.Option(help="Predict every task at: N=7e9,D=2e12. Repeatable.", metavar="N=...,D=...")
    ] = None,
    one_step: Annotated[bool, typer.Option("--one-step", help="Predict directly from N and D instead.")] = False,
    level: shared.Level = 0.9,
    save: Annotated[Path | None, typer.Option(*shared.OUT, help="Write the result here as JSON.")] = None,
    plot: shared.Figure = None,
    force: shared.Force = False,
    as_json: shared.AsJson = False,
) -> int:
    """Predict metrics of larger models through the loss, and name the tasks that cannot be predicted."""
    from scalefit.downstream.fit import fit_downstream

    if by not in (None, "pool"):
        raise typer.BadParameter(f"{by!r} is not known; one series at a time: --only LABEL", param_hint="--by")
    points = read_points(at or ())
    shared.may_write("--save", save, "result", [table], force=force)
    shared.may_write("--plot", plot, "figure", [table], force=force)
    way: Any = better  # the function says which it knows
    with shared.working("Fitting tasks"):
        runs = shared.read_table(table, **columns)
        found = fit_downstream(
            runs,
            metric=metric or "accuracy",
            chance=_chance(chance or ()),
            better=way,
            range=(0.0, 100.0) if percent else (0.0, 1.0),
            same_loss=same_loss,
            by="pool" if by else None,
        )
        text, document = str(found), found.to_dict()
        where = as_inputs(points, found.seen, found.ahead)
        asked = [found.predict_tasks(level=level, steps=1 if one_step else 2, **point) for point in where]
    if as_json:
        shown = [
            {**point, "tasks": frame.to_dict("index"), "notes": [note_record(note) for note in frame.attrs["notes"]]}
            for point, frame in zip(where, asked, strict=True)
        ]
        shared.print_json({**document, "predictions": shown})
    else:
        typer.echo(text)
        for point, frame in zip(where, asked, strict=True):
            place = ", ".join(f"{name}={quantity(name, value)}" for name, value in point.items())
            typer.echo(f"\nAt {place} ({words.percent(level)} intervals)")
            typer.echo(frame.drop(columns="reason").to_string(line_width=words.PAGE, float_format=lambda v: f"{v:.3g}"))
            for note in frame.attrs["notes"]:
                typer.echo(words.folded(f"  {note}"))
    if save is not None:
        found.to_json(save)
    if plot is not None:
        save_figure(found.plot(level=level).figure, plot)  # type: ignore[arg-type]
    return ExitCode.DONE if found.trusted else ExitCode.UNTRUSTED


def _chance(given: Any) -> float | dict[str, float] | None:
    """One rate for all tasks, or a rate by task."""
    if not given:
        return None
    if len(given) == 1 and "=" not in given[0]:
        try:
            return float(given[0])
        except ValueError as error:
            raise typer.BadParameter(f"{given[0]!r} is not a number", param_hint="--chance") from error
    return shared.assignments("--chance", given, float)
