"""``scalefit mixture``: the mixture of training domains with the lowest weighted loss."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from scalefit._files import save_figure
from scalefit.cli import _shared as shared


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("mixture")(mixture)


@shared.takes_columns
def mixture(
    table: shared.Table,
    columns: shared.Columns,
    loss: Annotated[
        list[str] | None,
        typer.Option(
            "--loss",
            help="A column of losses, or a pattern: 'loss_*'. Repeatable. By default loss, or all loss_.",
        ),
    ] = None,
    law: Annotated[
        str, typer.Option(help="A law of shares.", autocompletion=shared.laws_beginning)
    ] = "effective_mixture",
    weight: Annotated[
        list[str] | None,
        typer.Option("--weight", help="Weight of a loss: loss_web=0.5. Repeatable; equal by default."),
    ] = None,
    bound: Annotated[
        list[str] | None,
        typer.Option(
            "--bound",
            help="Bounds of a share: web=0:0.8, or web=0.5. Repeatable. --bound tried: the ranges of the runs.",
        ),
    ] = None,
    baseline: Annotated[
        list[str] | None, typer.Option("--baseline", help="A share of a mixture to compare with: web=0.7. Repeatable.")
    ] = None,
    at: Annotated[
        list[str] | None, typer.Option("--at", help="Value of another input of the law: N=1e9. Repeatable.")
    ] = None,
    within: Annotated[float, typer.Option(help="How much more loss counts as nearly as good [nat/token].")] = 0.01,
    level: shared.Level = 0.9,
    save: Annotated[Path | None, typer.Option(*shared.OUT, help="Write the mixture here as JSON.")] = None,
    plot: shared.Figure = None,
    force: shared.Force = False,
    as_json: shared.AsJson = False,
) -> int:
    """Find the mixture of training domains with the lowest weighted loss, with intervals.

    Shares are looked for by what their columns share ('share_web', 'share_code', ...) or named by --input
    'r=share_web,share_code'.
    """
    from scalefit.cli import ExitCode
    from scalefit.errors import ArgumentError
    from scalefit.fitting.fit import fit
    from scalefit.laws import get, names
    from scalefit.mixture.optimal_mixture import optimal_mixture

    shared.may_write("--save", save, "result", [table], force=force)
    shared.may_write("--plot", plot, "figure", [table], force=force)
    if not get(law).shares:
        known = ", ".join(name for name in names() if get(name).shares)
        raise ArgumentError(f"The law {law} reads no shares of a mixture", "nothing was fitted", f"Known: {known}")
    weights = shared.assignments("--weight", weight or (), float)
    tried = bound == ["tried"]
    limits: Any = "tried" if tried else shared.assignments("--bound", bound or (), _limits)
    against = shared.assignments("--baseline", baseline or (), float)
    pairs = [pair for item in at or () for pair in item.split(",")]
    held = shared.assignments("--at", pairs, shared.quantity)
    only, inputs = columns.pop("only", None), columns.pop("inputs", None)
    runs: Any = table if only is None else _rows_of(table, only, columns)
    with shared.working("Fitting the laws of the losses") as progress:
        columns_of_loss: Any = list(loss) if loss else _losses(runs)
        fits = fit(runs, law, loss=columns_of_loss, columns=columns or None, inputs=inputs)
        found = optimal_mixture(
            fits,
            weights or None,
            limits or None,
            baseline=against or None,
            at=held or None,
            within=within,
            level=level,
            progress=progress,
        )
    if as_json:
        shared.print_json(found.to_dict())
    else:
        typer.echo(str(found))
    if save is not None:
        found.to_json(save)
    if plot is not None:
        save_figure(found.plot().figure, plot)  # type: ignore[arg-type]
    return ExitCode.DONE if found.trusted else ExitCode.UNTRUSTED


#: What a column loss_... may hold that is no loss of a domain.
_BESIDE = ("unit", "std", "sd", "se", "sem", "err", "error", "weight")


def _losses(runs: Any) -> list[str]:
    """The losses to take where none is named: ``loss``, or every ``loss_...``."""
    from scalefit.errors import DataError
    from scalefit.tables.columns import plain_name
    from scalefit.tables.files import read_file

    frame = read_file(runs, lambda head: None).frame if isinstance(runs, str) else runs
    names = list(map(str, frame.columns))
    if "loss" in names:
        return ["loss"]
    if found := [name for name in names if name.startswith("loss_") and name[5:] not in _BESIDE]:
        return found
    near = [name for name in names if "loss" in plain_name(name).split("_")]
    options = " ".join(f"--loss {name}" for name in near) or "--loss COLUMN"
    raise DataError(
        "No loss was named, and no column is loss or begins with loss_", "nothing was fitted", f"Add {options}"
    )


def _rows_of(table: str, only: str, columns: dict[str, Any]) -> Any:
    """The rows of one series, with the columns as they stand: `fit` names them, once."""
    from scalefit.tables.files import read_file
    from scalefit.tables.series import runs_of

    frame = read_file(table, lambda head: None).frame
    label = columns.pop("series", "series")
    return runs_of(frame.rename(columns={label: "series"}), only).drop(columns="series")


def _limits(text: str) -> Any:
    return shared.pair(text) if ":" in text else shared.quantity(text)
