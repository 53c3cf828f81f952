"""``scalefit score``: how a registered prediction did, once its run has been trained."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from scalefit.cli import _shared as shared


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(score)


def score(
    plan: Annotated[Path, typer.Argument(help="A prediction that forecast --register wrote.")],
    loss: Annotated[float, typer.Option(help="The run's loss, in the unit of the forecast.")],
    as_json: shared.AsJson = False,
) -> int:
    """Say whether a run's loss lies in the interval that was registered before it."""
    from scalefit.forecasting.registration import score as score_one

    found = score_one(plan, loss)
    if as_json:
        shared.print_json(asdict(found))
    else:
        typer.echo(str(found))
    return 0
