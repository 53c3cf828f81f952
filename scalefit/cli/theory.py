"""``scalefit theory``: every claim of the associative-memory paper, checked now."""

from __future__ import annotations

import textwrap
from typing import Annotated

import typer

from scalefit._text import PAGE
from scalefit.cli import _shared as shared


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(theory)


def theory(
    paper: Annotated[str, typer.Option(help="niu2024 (arXiv:2405.08707) or cabannes2024 (arXiv:2310.02984).")] = (
        "niu2024"
    ),
    as_json: shared.AsJson = False,
) -> None:
    """Check every claim of a paper on associative memories by computing it."""
    from scalefit.memory.claims import claims

    with shared.working("Checking the claims"):
        table = claims(paper)
    if as_json:
        shared.print_json({"claims": table.to_dict("records")})
        return
    for row in table.itertuples():
        typer.echo(f"{row.claim}: {row.verdict}")
        for name in ("printed", "exact", "computed", "how"):
            if text := getattr(row, name):
                typer.echo(textwrap.fill(text, PAGE, initial_indent=f"  {name:<10}", subsequent_indent=" " * 12))
    typer.echo("; ".join(f"{count} {verdict}" for verdict, count in table["verdict"].value_counts().items()))
