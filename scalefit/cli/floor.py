"""``scalefit floor``: what the associative-memory theory says of a plan, or of a table of plans."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated, Any

import typer

from scalefit.cli import _shared as shared

#: Column names of a table of plans that say the same as ours.
_ALIASES = {"layers": "n_layers", "d-emb": "d_emb", "d_model": "d_emb", "context": "T_max", "vocab": "vocab_size"}


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
    out: Annotated[Path | None, typer.Option(help="Write the table with its new columns to this csv.")] = None,
    as_json: shared.AsJson = False,
) -> None:
    """Loss floor, regime and balance of a plan by the associative-memory theory: a hypothesis under test."""
    from scalefit.counting import parse_quantity
    from scalefit.errors import ArgumentError, ScalefitWarning
    from scalefit.memory import loss_floor

    given = {"N": N, "D": D, "n_layers": layers, "d_emb": d_emb, "T_max": context}
    options = {"vocab_size": vocab, "d_ff": d_ff}
    read: dict[str, Any] = {
        name: None if text is None else parse_quantity(text) for name, text in (given | options).items()
    }
    reading: dict[str, Any] = {"convention": convention, "dimension": dimension}
    reading["radius"] = radius if radius in ("volume", "critical") else _number(radius)
    if plans is None:
        if out is not None:
            raise ArgumentError(
                f"--out {out} belongs to a table of plans, and none was given. Pass one, or use --json."
            )
        with warnings.catch_warnings():
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
            f"{plans} is a table of plans, and nothing was computed: leave out {', '.join(both)}, or leave out the "
            f"table."
        )
    table = _read_plans(plans)
    table = loss_floor(table, **{name: read[name] for name in options}, **reading)
    if out is not None:
        table.to_csv(out, index=False)
    if as_json:
        shared.print_json({"plans": table.to_dict("records"), **reading})
    else:
        shown = [
            c
            for c in ("name", "model", "N", "D", "loss_lower", "loss_upper", "regime", "balanced_tokens")
            if c in table
        ]
        typer.echo(table[shown].to_string(index=False, float_format="{:.4g}".format))
        typer.echo("nat/token; a hypothesis: see `scalefit floor --N ... --D ...` for what it assumes.")


def _number(text: str) -> float:
    from scalefit.errors import ArgumentError

    try:
        return float(text)
    except ValueError as error:
        raise ArgumentError(f"radius is {text!r}; nothing was computed. Say volume, critical, or a number.") from error


def _read_plans(path: Path) -> Any:
    """Read a table of plans; cells may say ``124M``."""
    from scalefit._columns import numbers
    from scalefit._reading import read_file
    from scalefit.errors import DataError
    from scalefit.memory.floor import PLAN_COLUMNS

    raw = read_file(path, check=lambda head: None)
    frame = raw.frame.rename(columns={a: b for a, b in _ALIASES.items() if b not in raw.frame.columns})
    if raw.unreadable:
        row, reason = raw.unreadable[0]
        raise DataError(
            f"{raw.name}, row {row}: {reason}. Nothing was computed: a plan left out would not be noticed. Correct "
            "the file."
        )
    if not len(frame):
        raise DataError(f"{raw.name} has a header and no rows, so nothing was computed. Give it a row for each plan.")
    frame.index = raw.rows  # so that a bad row is named as the file counts it
    for name in (*PLAN_COLUMNS, "vocab_size", "d_ff"):
        if name in frame.columns:
            values, unread = numbers(frame[name])
            for i, cell in unread.items():
                raise DataError(
                    f"{raw.name}, row {raw.rows[i]}: {name} is {cell}, which is not a number. Nothing was computed. "
                    "Correct the file."
                )
            frame[name] = values
    return frame
