"""``scalefit minimum-loss``: what every law says of the loss of one planned run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scalefit.cli import _shared as shared


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="minimum-loss")(minimum_loss)


def minimum_loss(
    N: Annotated[str, typer.Option("--N", help="Parameters of the model, e.g. 124M.")],
    D: Annotated[str, typer.Option("--D", help="Training tokens, e.g. 9B.")],
    layers: Annotated[
        int | None, typer.Option("--layers", "--n-layers", help="Number of layers; as scalefit plan chooses them.")
    ] = None,
    d_emb: Annotated[int | None, typer.Option("--d-emb", help="Embedding width; needs --layers too.")] = None,
    context: Annotated[int, typer.Option("--context", "--T-max", help="Context length [tokens].")] = 2048,
    runs: Annotated[Path | None, typer.Argument(help="Runs of your own, to forecast this one from.")] = None,
    unique_tokens: Annotated[str | None, typer.Option(help="Distinct tokens, where the data repeat.")] = None,
    entropy: Annotated[float | None, typer.Option(help="Entropy of the data [nat/token], where known.")] = None,
    vocab: Annotated[
        int | None, typer.Option("--vocab", "--vocab-size", help="Vocabulary.", metavar="COUNT", parser=shared.whole)
    ] = None,
    d_ff: Annotated[int | None, typer.Option("--d-ff", help="Feed-forward width; 4 d_emb if left out.")] = None,
    level: shared.Level = 0.9,
    as_json: shared.AsJson = False,
) -> None:
    """Lowest loss of a planned run by every law, and the associative-memory floor."""
    from scalefit.planning.minimum_loss import minimum_loss as compute

    if (layers is None) != (d_emb is None):
        raise typer.BadParameter(
            "give --layers and --d-emb, or neither: a shape is then chosen", param_hint="--layers, --d-emb"
        )
    table = None if runs is None else shared.read_table(runs, checked=False)
    with shared.working("Asking every law"):
        found = compute(
            N=N,
            D=D,
            n_layers=layers,
            d_emb=d_emb,
            T_max=context,
            runs=table,
            level=level,
            unique_tokens=unique_tokens,
            entropy=entropy,
            vocab_size=vocab,
            d_ff=d_ff,
        )
    if as_json:
        shared.print_json(found.to_dict())
    else:
        typer.echo(str(found))
