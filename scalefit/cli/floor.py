"""``scalefit floor``: what the associative-memory theory says of a plan, or of a table of plans."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated, Any

import typer

from scalefit._text import PAGE
from scalefit.cli import _shared as shared


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(floor)


def floor(
    plans: Annotated[
        Path | None, typer.Argument(help="Table of plans (csv, tsv, json, jsonl, parquet); leave out to give one.")
    ] = None,
    N: Annotated[str | None, typer.Option("--N", help="Parameters of the model, e.g. 124M.")] = None,
    D: Annotated[str | None, typer.Option("--D", help="Training tokens, e.g. 9B.")] = None,
    layers: Annotated[str | None, typer.Option("--layers", "--n-layers", help="Number of layers.")] = None,
    d_emb: Annotated[str | None, typer.Option("--d-emb", help="Embedding width.")] = None,
    context: Annotated[str | None, typer.Option("--context", "--T-max", help="Context length [tokens].")] = None,
    vocab: Annotated[
        str | None, typer.Option("--vocab", "--vocab-size", help="Vocabulary, to count embeddings too.")
    ] = None,
    d_ff: Annotated[str | None, typer.Option("--d-ff", help="Feed-forward width; 4 d_emb if left out.")] = None,
    convention: Annotated[str, typer.Option(help="exact, or paper for the printed formulas.")] = "exact",
    dimension: Annotated[str, typer.Option(help="sequence: n = T_max d_emb; token: n = d_emb.")] = "sequence",
    radius: Annotated[str, typer.Option(help="volume, critical, or a measured number.")] = "volume",
    patterns: Annotated[str, typer.Option(help="replicated: every layer stores all; split: d / n_layers each.")] = (
        "replicated"
    ),
    out: Annotated[
        Path | None, typer.Option(*shared.OUT, help="Write the table with its new columns to this csv.")
    ] = None,
    force: shared.Force = False,
    as_json: shared.AsJson = False,
) -> None:
    """Loss floor, regime and balance of a plan by the associative-memory theory: a hypothesis under test."""
    from scalefit.counting import parse_quantity
    from scalefit.errors import ArgumentError, ScalefitWarning, arg
    from scalefit.memory import loss_floor

    given = {"N": N, "D": D, "n_layers": layers, "d_emb": d_emb, "T_max": context}
    options = {"vocab_size": vocab, "d_ff": d_ff}
    read: dict[str, Any] = {
        name: None if text is None else parse_quantity(text) for name, text in (given | options).items()
    }
    reading: dict[str, Any] = {"convention": convention, "dimension": dimension, "patterns": patterns}
    reading["radius"] = radius if radius in ("volume", "critical") else _number(radius)
    if plans is None:
        if out is not None:
            raise ArgumentError(
                f"--out {out} belongs to a table of plans, and none was given",
                "nothing was computed",
                "Pass one, or use --json",
            )
        with warnings.catch_warnings(), shared.working("Computing the floor"):
            warnings.simplefilter("ignore", ScalefitWarning)  # they are in the result's notes
            result = loss_floor(**read, **reading)
        if as_json:
            shared.print_json(result.to_dict())
        else:
            typer.echo(str(result))
        return
    both = [name for name, value in given.items() if value is not None]
    if both:
        raise ArgumentError(
            f"{plans} is a table of plans",
            "nothing was computed",
            f"Leave out {', '.join(arg(name) for name in both)}, or the table",
        )
    with shared.working("Computing the floors"):
        table = loss_floor(plans, **{name: read[name] for name in options}, **reading)
    if out is not None:
        shared.write_table("--out", out, table, [plans], force)
    if as_json:
        shared.print_json({"plans": table.to_dict("records"), **reading})
    else:
        shown = [
            c
            for c in ("name", "model", "N", "D", "loss_lower", "loss_at_z_upper", "regime", "balanced_tokens")
            if c in table
        ]
        typer.echo(table[shown].to_string(index=False, line_width=PAGE, float_format="{:.4g}".format))
        typer.echo("nat/token; a hypothesis: see `scalefit floor --N ... --D ...` for what it assumes.")


def _number(text: str) -> float:
    from scalefit.errors import ArgumentError

    try:
        return float(text)
    except ValueError as error:
        raise ArgumentError(
            f"--radius {text} is not a number", "nothing was computed", "Say volume, critical, or a number"
        ) from error
