"""``scalefit hyperparameters``: the best settings of a sweep, and what they are at another size."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scalefit._files import save_figure
from scalefit.cli import ExitCode
from scalefit.cli import _shared as shared
from scalefit.cli._points import as_inputs
from scalefit.cli._points import points as read_points
from scalefit.flops import SIZES


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("hyperparameters")(hyperparameters)


@shared.takes_columns
def hyperparameters(
    table: shared.Table,
    columns: shared.Columns,
    of: Annotated[
        list[str] | None,
        typer.Option(
            help="A setting to find: lr, batch_size, weight_decay, warmup. Repeatable; by default what was swept."
        ),
    ] = None,
    at: Annotated[
        list[str] | None, typer.Option(help="Where to predict: N=7B,D=2T, or 10x the largest cell. Repeatable.")
    ] = None,
    method: Annotated[
        str, typer.Option(help="cells, or surface (uses cells that do not bracket their best).")
    ] = "cells",
    drop: Annotated[
        list[str] | None, typer.Option(help="N or D that a setting does not depend on: batch_size=N. Repeatable.")
    ] = None,
    by_factor: Annotated[float, typer.Option(help="Print the cost of being off by this factor, at each --at.")] = 2.0,
    batch_unit: Annotated[str | None, typer.Option(help="Unit of the batch: sequences or tokens.")] = None,
    T_max: Annotated[
        str | None, typer.Option("--T-max", help="Tokens per sequence, to print a batch in tokens too.")
    ] = None,
    level: shared.Level = 0.9,
    save: Annotated[
        Path | None, typer.Option(*shared.OUT, help="Write the fit here as JSON, for scalefit plan.")
    ] = None,
    plot: shared.Figure = None,
    force: shared.Force = False,
    as_json: shared.AsJson = False,
) -> int:
    """Find the best learning rate, batch and other settings from a sweep, and laws of them in N and D."""
    import pandas as pd

    import scalefit as sf
    from scalefit.tuning.settings import BATCH_UNITS

    points = read_points(at or ())
    for point in points:
        if isinstance(point, dict) and set(point) != set(SIZES):
            raise typer.BadParameter(f"{', '.join(point)} are not N and D", param_hint="--at")
    if batch_unit is not None and batch_unit not in BATCH_UNITS:
        raise typer.BadParameter(
            f"{batch_unit} is not known; known: {', '.join(BATCH_UNITS)}", param_hint="--batch-unit"
        )
    dropped: dict[str, tuple[str, ...]] = {}
    for pair in drop or ():
        ((name, one),) = shared.assignments("--drop", [pair], str).items()
        dropped[name] = (*dropped.get(name, ()), one)
    shared.may_write("--save", save, "result", [table], force=force)
    shared.may_write("--plot", plot, "figure", [table], force=force)
    inputs = columns.pop("inputs", None)
    with shared.working("Fitting settings"):
        runs = shared.read_table(table, **columns)
        fit = sf.fit_hyperparameters(
            runs,
            of or None,
            method=method,
            drop=dropped,
            batch_unit=batch_unit,
            T_max=T_max,
            level=level,
            inputs=inputs,
        )
        document = fit.to_dict()
        where = as_inputs(points, lambda: {k: (0.0, v) for k, v in fit.larger_cell(1.0).items()}, fit.larger_cell)
        read = [fit.predict(**point) for point in where]
        costs = [fit.penalty(**point, by_factor=by_factor) for point in where]
    predicted = pd.concat(read, ignore_index=True) if read else None
    penalties = pd.concat(costs, ignore_index=True) if costs else None
    if predicted is not None and penalties is not None:
        document["predictions"] = predicted.to_dict("records")
        document["penalties"] = penalties.to_dict("records")
    if as_json:
        shared.print_json({key: value for key, value in document.items() if key != "saved"})
    else:
        typer.echo(str(fit))
        for frame in (predicted, penalties):
            if frame is not None:
                typer.echo("\n" + shared.aligned(frame))
    if save is not None:
        fit.to_json(save)
    if plot is not None:
        axes = fit.plot()
        save_figure((axes if len(fit.names) == 1 else axes[0]).figure, plot)
    return 0 if fit.trusted else ExitCode.UNTRUSTED
