"""``scalefit report``: a table in, one self-contained page out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scalefit.cli import ExitCode
from scalefit.cli import _shared as shared


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(report)


@shared.takes_columns
def report(
    table: shared.Table,
    columns: shared.Columns,
    out: Annotated[Path, typer.Option("-o", "--out", help="Where to write the page.")] = Path("report.html"),
    law: Annotated[str, typer.Option(help="Law to fit; see scalefit laws.")] = "chinchilla",
    title: Annotated[str | None, typer.Option(help="Title of the page.")] = None,
    budget: Annotated[
        str | None, typer.Option(help="Compute of the planned run [FLOP]; ten times the largest run's by default.")
    ] = None,
    only: Annotated[str | None, typer.Option(help="Report on this series of the table.")] = None,
    pool: Annotated[bool, typer.Option("--pool", help="Fit several series as one.")] = False,
    level: shared.Level = 0.9,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.")] = 0,
    as_json: shared.AsJson = False,
) -> int:
    """Write one HTML page about a table of runs: verdict, figures, plans, an interactive planner (exit 3: no trust)."""
    from scalefit.errors import ArgumentError
    from scalefit.fitting.printing import verdict
    from scalefit.reporting.report import report as make_report

    if out.exists() and Path(table).exists() and out.samefile(table):
        raise ArgumentError(f"--out {out} is the table itself, and was left alone. Name another file.")
    with shared.working("Writing the report"):
        runs = shared.read_table(table, **columns, incomplete="keep")
        made = make_report(
            runs, law=law, title=title, budget=budget, only=only, by="pool" if pool else None, level=level, seed=seed
        )
        made.save(out)
    size = out.stat().st_size
    if as_json:
        result = made.result
        about = {"law": result.law.name, "n_runs": result.n_runs, "trusted": made.trusted, "verdict": verdict(result)}
        shared.print_json({"path": str(out), "bytes": size, **about})
    else:
        typer.echo(f"Trust: {verdict(made.result)}")
        typer.echo(f"Report: {out} ({size / 1000:,.0f} kB, opens in any browser, needs no network)")
    return 0 if made.trusted else ExitCode.UNTRUSTED
