"""``scalefit compare-recipes``: which recipe is better, and how much compute it saves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scalefit._files import save_figure
from scalefit.cli import _shared as shared
from scalefit.cli._points import as_inputs
from scalefit.cli._points import points as read_points


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("compare-recipes")(compare_recipes)


@shared.takes_columns
def compare_recipes(
    table: shared.Table,
    columns: shared.Columns,
    recipe: Annotated[str, typer.Option(help="The column that names the recipe.")] = "recipe",
    baseline: Annotated[
        str | None, typer.Option(help="The recipe to compare with; by default the first of two.")
    ] = None,
    law: Annotated[str, typer.Option(help="chinchilla, or power_law (of compute).")] = "chinchilla",
    differ: Annotated[str, typer.Option(help="What may differ besides compute: law, nothing, data.")] = "law",
    at: Annotated[list[str] | None, typer.Option(help="Compute to read the multiplier at: C=1e22. Repeatable.")] = None,
    same_loss: Annotated[
        bool | None, typer.Option("--same-loss/--other-loss", help="Whether the losses are of one text and tokenizer.")
    ] = None,
    branches: Annotated[bool, typer.Option("--branches", help="Runs of one size are branches of one trunk.")] = False,
    level: shared.Level = 0.9,
    save: Annotated[Path | None, typer.Option(*shared.OUT, help="Write the comparison here as JSON.")] = None,
    plot: shared.Figure = None,
    force: shared.Force = False,
    as_json: shared.AsJson = False,
) -> int:
    """Compare recipes by the compute that one saves over another, with an interval."""
    from scalefit.comparison.recipes import compare_recipes as compare

    points = read_points(at or ())
    for point in points:
        if isinstance(point, dict) and set(point) != {"C"}:
            raise typer.BadParameter(f"{', '.join(point)} is not C alone", param_hint="--at")
    shared.may_write("--save", save, "result", [table], force=force)
    shared.may_write("--plot", plot, "figure", [table], force=force)
    with shared.working("Comparing recipes"):
        runs = shared.read_table(table, **columns)
        found = compare(
            runs,
            recipe,
            baseline=baseline,
            law=law,
            differ=differ,
            level=level,
            same_loss=same_loss,
            branches=branches,
        )
        document = found.to_dict()
        largest = float(found.table["C"].max())
        where = as_inputs(points, lambda: {"C": (0.0, largest)}, lambda ratio: {"C": ratio * largest})
        read = found.multiplier(C=[point["C"] for point in where]) if points else None
    if read is not None:
        document["multiplier"] = read.to_dict("records")
    if save is not None:
        found.to_json(save)
    if plot is not None:
        save_figure(found.plot().figure, plot)  # type: ignore[arg-type]
    if as_json:
        shared.print_json(document)
    else:
        typer.echo(str(found))
        if read is not None:
            typer.echo("\n" + shared.aligned(read.drop(columns="note")))
            for text in dict.fromkeys(text for text in read["note"] if text):
                typer.echo(f"  {text}")
    for path, what in ((save, "Comparison"), (plot, "Figure")):
        if path is not None and not as_json:
            typer.echo(f"{what}: {path}")
    return 0
