"""``scalefit report``: a table in, one self-contained page out."""

from __future__ import annotations

import warnings
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from scalefit._text import folded
from scalefit.cli import ExitCode
from scalefit.cli import _shared as shared
from scalefit.errors import DataError, FitError, ScalefitWarning

if TYPE_CHECKING:
    from scalefit.reporting.report import Report


class By(StrEnum):
    """What to do with several series."""

    series = "series"
    pool = "pool"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(report)


@shared.takes_columns
def report(
    table: shared.Table,
    context: typer.Context,
    columns: shared.Columns,
    out: Annotated[Path, typer.Option(*shared.OUT, help="Where to write the page.")] = Path("report.html"),
    law: Annotated[
        str,
        typer.Option(help="Law to fit: one of scalefit laws, or mylaw.py:Mine.", autocompletion=shared.laws_beginning),
    ] = "chinchilla",
    title: Annotated[str | None, typer.Option(help="Title of the page.")] = None,
    budget: Annotated[
        str | None, typer.Option(help="Compute of the planned run [FLOP]; ten times the largest run's by default.")
    ] = None,
    at: Annotated[
        list[str] | None, typer.Option(help="Input that plans hold, beside N and D: n_experts=8. Repeatable.")
    ] = None,
    by: Annotated[By | None, typer.Option(help="Several series: a page for each, or all as one.")] = None,
    level: shared.Level = 0.9,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.")] = 0,
    live: Annotated[bool, typer.Option("--live", help="TABLE is the log of one run: a page of its forecast.")] = False,
    plan: Annotated[
        Path | None,
        typer.Option(help="With --live: TOML or JSON file with the run's plan. By default from the log."),
    ] = None,
    val: Annotated[str | None, typer.Option(help="With --live: name of the validation loss in the log.")] = None,
    train: Annotated[str | None, typer.Option(help="With --live: name of the training loss in the log.")] = None,
    total_steps: Annotated[
        int | None,
        typer.Option(
            help="With --live: steps of the run, if its log and plan do not state them: 20k.",
            metavar="COUNT",
            parser=shared.whole,
        ),
    ] = None,
    force: shared.Force = False,
    as_json: shared.AsJson = False,
) -> int:
    """Write one HTML page about a table of runs: verdict, figures, plans, a planner (exit code 3: do not trust it).

    With --live the table is the log of one run, as scalefit advise reads it, and the page holds its curve, the forecast
    of its end, and the advice.
    """
    if live:
        unread = _unread(context, columns)
        if unread:
            text = "a live run has no law, budget or series; its log is read as scalefit advise reads it"
            raise typer.BadParameter(f"{text}. Leave out {', '.join(unread)}", param_hint="--live")
        return _live(
            Path(table), out, (plan, val, train, total_steps), title=title, level=level, force=force, as_json=as_json
        )
    for option, value in (("--plan", plan), ("--val", val), ("--train", train), ("--total-steps", total_steps)):
        if value is not None:
            raise typer.BadParameter(f"{value} is of a live run: give --live too", param_hint=option)
    from scalefit.reporting.report import report as make_report
    from scalefit.tables.series import names_of_series

    only = columns.pop("only", None)
    if only is not None and by is not None:
        raise typer.BadParameter(f"{only}: leave --by out for the report on one series", param_hint="--only")
    held = shared.assignments("--at", at or (), shared.quantity) or None
    made: dict[str | None, Report] = {}
    refused: dict[str | None, FitError | DataError] = {}
    pool: Literal["pool"] | None = "pool" if by == By.pool else None
    with shared.working("Writing the report") as progress, shared.rows_in_print(not as_json):
        runs = shared.read_table(table, laws=[law], **columns)
        labels = names_of_series(runs) if by == By.series else []
        files = shared.files_of(out, labels or [None])
        for path in files.values():
            shared.may_write("--out", path, "page", [table], force=force)
        for done, (label, path) in enumerate(files.items()):
            progress(done, len(files))
            try:
                made[label] = make_report(
                    runs,
                    law=law,
                    title=title,
                    budget=budget,
                    at=held,
                    only=label or only,
                    by=pool,
                    level=level,
                    seed=seed,
                )
            except (FitError, DataError) as error:
                if label is None:
                    raise
                refused[label] = error
            else:
                made[label].save(path)
    if refused and not made:
        raise FitError("No series can be fitted", "no page was made", _reasons(refused))
    if as_json:
        documents = {label: _about(page, files[label]) for label, page in made.items()}
        reasons = {label: str(error) for label, error in refused.items()}
        several = {"series": documents} | ({"refused": reasons} if refused else {})
        shared.print_json(documents[None] if None in documents else several)
    else:
        for label, page in made.items():
            about = _about(page, files[label])
            typer.echo(("" if label is None else f"=== {label}\n") + f"TRUST: {about['verdict']}")
            for note in page.notes:
                if note.severity != "info":
                    typer.echo(folded(f"  {note}"))
            typer.echo(
                f"Report: {about['path']} ({about['bytes'] / 1000:,.0f} kB, opens in any browser, needs no network)"
            )
    if refused:
        seen = f"{len(refused)} of {len(files)} series could not be fitted, and no page was made of them."
        warnings.warn(f"{seen} {_reasons(refused)}", ScalefitWarning, stacklevel=1)
    return 0 if all(page.trusted for page in made.values()) else ExitCode.UNTRUSTED


#: Options that a table of runs has and the log of one run has not.
_OF_TABLES = ("law", "budget", "at", "by", "seed")


def _unread(context: typer.Context, columns: shared.Columns) -> list[str]:
    """Options that were given and that the page of a live run does not read."""
    sources = {name: context.get_parameter_source(name) for name in _OF_TABLES}
    given = [name for name, source in sources.items() if source is not None and source.name != "DEFAULT"]
    return [f"--{name.replace('_', '-')}" for name in (*given, *(n if n != "inputs" else "input" for n in columns))]


def _live(
    log: Path,
    out: Path,
    about: tuple[Path | None, str | None, str | None, float | None],
    *,
    title: str | None,
    level: float,
    force: bool,
    as_json: bool,
) -> int:
    """The page of one run from its log, with the plan, names of losses and steps that were given."""
    from scalefit.cli.advise import monitor_of
    from scalefit.reporting.live import report_run

    shared.may_write("--out", out, "page", [log, about[0]], force=force)
    page = report_run(monitor_of(log, *about), title=title or f"Live run: {log.name}", level=level)
    page.save(out)
    if as_json:
        shared.print_json({"path": str(out), "bytes": out.stat().st_size, **page.advice.as_dict()})
        return 0
    typer.echo(str(page.advice).splitlines()[0])
    typer.echo(f"Report: {out} ({out.stat().st_size / 1000:,.0f} kB, opens in any browser, needs no network)")
    return 0


def _reasons(refused: dict[str | None, FitError | DataError]) -> str:
    from scalefit.fitting.per_series import by_reason

    return "; ".join(by_reason({label: error.template for label, error in refused.items()}))


def _about(page: Report, path: Path) -> dict[str, Any]:
    result = page.result
    stated = {"law": result.law.name, "n_runs": result.n_runs, "trusted": page.trusted, "verdict": page.verdict}
    return {"path": str(path), "bytes": path.stat().st_size, **stated}
