"""``scalefit entropy`` and ``scalefit exponent``: what the text of a corpus says of its losses."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from scalefit._files import save_figure
from scalefit.cli import _shared as shared

Source = Annotated[str, typer.Argument(help="File, folder or glob of text; stdlib is Python's own.", metavar="FILE")]
Heldout = Annotated[str | None, typer.Option(help="Hold out every tenth document, or chunk.", metavar="KIND")]
_TOKENIZER = "byte, bpe:V, words, or hf:/local/path."


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(entropy)
    app.command()(exponent)


def entropy(
    source: Source,
    tokenizer: Annotated[str, typer.Option(help=_TOKENIZER)] = "byte",
    max_context: Annotated[int | None, typer.Option(help="Longest context of the n-grams [tokens].")] = None,
    max_tokens: Annotated[str, typer.Option(help="Training tokens, e.g. 1M.")] = "1M",
    heldout: Heldout = None,
    level: shared.Level = 0.9,
    seed: Annotated[int, typer.Option(help="Of what is drawn and held out.")] = 0,
    plot: shared.Figure = None,
    force: shared.Force = False,
    as_json: shared.AsJson = False,
) -> None:
    """Bound the entropy of a corpus from its text: always an upper bound, and an estimate if the text allows one."""
    import scalefit as sf

    shared.may_write("--plot", plot, "figure", [source], force=force)
    with shared.working("Counting n-grams"):
        found = sf.entropy_bounds(
            source,
            tokenizer=tokenizer,
            max_context=max_context,
            max_tokens=round(shared.quantity(max_tokens)),
            heldout=heldout,
            level=level,
            seed=seed,
        )
    _show(found, plot, as_json)


def exponent(
    source: Source,
    window: Annotated[str, typer.Option(help="Distances over which correlations are read [tokens].")] = "1:16",
    centring: Annotated[str, typer.Option(help="Marginals subtracted: document, or pooled.")] = "document",
    known_entropy: Annotated[float, typer.Option("--entropy", help="H_inf, subtracted from losses [nat/token].")] = 0.0,
    tokenizer: Annotated[str, typer.Option(help=_TOKENIZER)] = "bpe:512",
    max_tokens: Annotated[str, typer.Option(help="Training tokens, e.g. 2M.")] = "2M",
    heldout: Heldout = None,
    level: shared.Level = 0.9,
    seed: Annotated[int, typer.Option(help="Of what is drawn and held out.")] = 0,
    plot: shared.Figure = None,
    force: shared.Force = False,
    as_json: shared.AsJson = False,
) -> None:
    """Predict the exponent of the loss in data from a text's correlations: a measurement, not a prior for a fit."""
    import scalefit as sf

    shared.may_write("--plot", plot, "figure", [source], force=force)
    low, _, high = window.partition(":")
    with shared.working("Measuring correlations"):
        found = sf.predict_exponent(
            source,
            window=(shared.quantity(low), shared.quantity(high)),
            centring=centring,  # type: ignore[arg-type]  # checked there, with a message
            entropy=known_entropy,
            tokenizer=tokenizer,
            max_tokens=round(shared.quantity(max_tokens)),
            heldout=heldout,
            level=level,
            seed=seed,
        )
    _show(found, plot, as_json)


def _show(found: Any, plot: Path | None, as_json: bool) -> None:
    if plot is not None:
        save_figure(found.plot().figure, plot)
    if as_json:
        shared.print_json(found.to_dict())
    else:
        typer.echo(str(found))
