"""``scalefit datasets``: the tables that come with scalefit or that it knows where to find."""

from __future__ import annotations

import json

import typer

from scalefit._text import PAGE, folded
from scalefit.cli import _shared as shared


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def datasets(
        name: str = typer.Argument(
            None,
            help="A data set to print; without it, all are listed.",
            autocompletion=shared.data_sets_beginning,
        ),
        out: str = typer.Option(None, *shared.OUT, help="Write the table NAME to this csv file."),
        force: shared.Force = False,
        as_json: shared.AsJson = False,
    ) -> None:
        """List the data sets, or load one of them and print or save it."""
        if name is None:
            if out is not None:
                raise typer.BadParameter("name the data set to write", param_hint="--out")
            _list(as_json)
        else:
            _show(name, out, force, as_json)


def _list(as_json: bool) -> None:
    from scalefit.datasets import list_datasets

    table = list_datasets()
    if as_json:
        shared.print_json({"datasets": table.reset_index().to_dict("records")})
        return
    for name, row in table.iterrows():
        typer.echo(folded(f"{name}  ({row['rows']} rows, {row['where']}, licence: {row['licence']})"))
        typer.echo(folded(f"    {row['title']}"))
    typer.echo("\nLoad one with scalefit.load_dataset(name); save one with scalefit datasets NAME -o runs.csv.")


def _show(name: str, out: str | None, force: bool, as_json: bool) -> None:
    from scalefit.datasets import load_dataset

    with shared.working(f"Loading {name}"):
        runs = load_dataset(name)
    if out is not None:
        shared.write_table("--out", out, runs, [], force)
    if as_json:
        records = json.loads(runs.reset_index().to_json(orient="records", double_precision=15))
        shared.print_json({"name": name, "scalefit": runs.attrs["scalefit"], "runs": records})
    elif out is not None:
        typer.echo(f"{len(runs)} runs of {name} are in {out}.")
    else:
        shown = [column for column in ("series", "name", "N", "D", "C", "loss", "doubt") if column in runs]
        typer.echo(
            runs[shown].to_string(index=False, line_width=PAGE, na_rep="", float_format=lambda value: f"{value:.4g}")
        )
