"""The floor of 1 nat on fresh data: sources of known entropy, less than one epoch, losses on text never seen.

The memoriser is exempt by the paper's Remarks 1 and 2, so it cannot refute the floor. Here nothing repeats, the
training and the held-out loss agree, and the memory is over-filled by the theory's own count, so Prop. 4 (Niu et al.
2024) applies: the loss must stay above 1. The last row writes the text of the first in tokens of two symbols each: the
same text, the same loss per symbol, and twice the loss per token.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from scalefit.errors import ScalefitWarning
from scalefit.training.config import (
    CorpusConfig,
    EvaluationConfig,
    ModelConfig,
    OptimizerConfig,
    RunConfig,
    RuntimeConfig,
    ScheduleConfig,
)
from scalefit.training.data.corpus import open_corpus
from scalefit.training.experiments.finding import Finding, train_to_end
from scalefit.training.trained import load_trained

TITLE = "The floor on fresh data of low entropy"
SIZES: dict[str, dict[str, Any]] = {
    "tiny": {"states": (4,), "branching": 2, "n_layers": 1, "d_emb": 32, "tokens": 60_000, "T_max": 32},
    "small": {"states": (4, 8, 16, 64), "branching": 2, "n_layers": 2, "d_emb": 32, "tokens": 500_000, "T_max": 64},
    "full": {"states": (4, 8, 16, 64), "branching": 2, "n_layers": 6, "d_emb": 256, "tokens": 20_000_000, "T_max": 256},
}
#: Distinct tokens for each token trained on: less than one epoch.
_FRESH = 1.22


def run(settings: dict[str, Any], store: Path) -> Finding:
    """Train one model per source, and one on the first source in tokens of two symbols."""
    rows = [_row(_source(settings, states), settings, store, states, 1) for states in settings["states"]]
    first = settings["states"][0]
    rows.append(_row(_pairs(_source(settings, first), store), settings, store, first, 2))
    return Finding(TITLE, rows, _verdict(rows), lambda figure: _draw(figure, rows))


def _source(settings: dict[str, Any], states: int) -> CorpusConfig:
    return CorpusConfig(
        source="markov",
        n_states=states,
        branching=settings["branching"],
        n_tokens=round(_FRESH * settings["tokens"]),
        val_fraction=0.1,
    )


def _pairs(symbols: CorpusConfig, store: Path) -> CorpusConfig:
    """The text of a source with two symbols in each token, as a file of ids."""
    corpus = open_corpus(symbols, store / "corpora")
    text = np.asarray(corpus.train).astype(np.int64)
    text = text[: len(text) // 2 * 2].reshape(-1, 2)
    path = store / f"pairs-{symbols.n_states}-{symbols.n_tokens}.npy"
    np.save(path, (text[:, 0] * symbols.n_states + text[:, 1]).astype(np.uint16))
    return CorpusConfig(source="ids", path=str(path), val_fraction=0.1)


def _row(corpus: CorpusConfig, settings: dict[str, Any], store: Path, states: int, symbols: int) -> dict[str, Any]:
    import scalefit as sf

    config = RunConfig(
        model=ModelConfig(n_layers=settings["n_layers"], d_emb=settings["d_emb"], n_heads=1, T_max=settings["T_max"]),
        corpus=corpus,
        optimizer=OptimizerConfig(lr=5e-3, batch_size=16, weight_decay=0.0),
        schedule=ScheduleConfig(tokens=(settings["tokens"] // symbols,)),
        evaluation=EvaluationConfig(curve_points=0),
        runtime=RuntimeConfig(keep_weights=True),
        series="fresh_floor",
    )
    row = train_to_end(config, store).rows[-1]
    trained = load_trained(config, store)
    (val_loss, error), (train_loss, _) = trained.loss("val"), trained.loss("train", tokens=60_000)
    source = open_corpus(_source(settings, states), store / "corpora")
    entropy = symbols * float(source.entropy(settings["T_max"] * symbols) or np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ScalefitWarning)
        shape = {name: row[name] for name in ("N", "n_layers", "d_emb", "T_max")}
        floors = {
            patterns: sf.loss_floor(D=min(row["D"], row["unique_tokens"]), patterns=patterns, **shape)  # type: ignore[arg-type]
            for patterns in ("replicated", "split")
        }
    return {
        "states": states,
        "symbols_per_token": symbols,
        "N": row["N"],
        "D": row["D"],
        "epochs": row["epochs"],
        "train_loss": train_loss,
        "val_loss": val_loss,
        "val_error": error,
        "H_data": entropy,
        "loss_per_symbol": val_loss / symbols,
        "regime": floors["replicated"].regime,
        "regime_split": floors["split"].regime,
        "hypothesis": floors["replicated"].loss_lower,
        "below_by": floors["replicated"].loss_lower - val_loss,
    }


def _verdict(rows: list[dict[str, Any]]) -> str:
    below = [row for row in rows if row["below_by"] > 5 * row["val_error"] and row["epochs"] <= 1]
    filled = [row for row in below if row["regime"] == "over_filled"]
    text = "; ".join(
        f"{row['states']} states{', in pairs' if row['symbols_per_token'] > 1 else ''}: "
        f"{row['val_loss']:.4f} +- {row['val_error']:.4f} against H = {row['H_data']:.4f} ({row['regime']})"
        for row in rows
    )
    first, pairs = rows[0], rows[-1]
    found = (
        f"{len(below)} of {len(rows)} held-out losses lie below the floor of 1 by more than five standard errors, "
        f"after less than one epoch, {len(filled)} of them where the theory calls the memory over-filled: the floor "
        "is refuted where the theory claims it"
        if filled
        else f"No held-out loss lies below the floor by more than five standard errors; {len(below)} do elsewhere"
    )
    return (
        f"Held-out loss [nat/token] on fresh data: {text}. {found}. What bounds the loss is the entropy of the data. A "
        f"floor per token moves with the tokenizer: the first text in pairs of symbols has {pairs['val_loss']:.4f} per "
        f"token and {pairs['loss_per_symbol']:.4f} per symbol, where single symbols have {first['val_loss']:.4f}."
    )


def _draw(figure: Any, rows: list[dict[str, Any]]) -> None:
    axes = figure.subplots()
    x = [row["H_data"] for row in rows]
    axes.errorbar(
        x, [row["val_loss"] for row in rows], [2 * row["val_error"] for row in rows], fmt="o", label="held out"
    )
    axes.plot([0, max(x) * 1.05], [0, max(x) * 1.05], ":", color="black", label="H(data)")
    axes.axhline(1.0, color="black", linestyle="--", linewidth=1, label="hypothesis: 1 nat")
    for row in rows:
        label = f"{row['states']} states" + (", pairs" if row["symbols_per_token"] > 1 else "")
        axes.annotate(label, (row["H_data"], row["val_loss"]), (5, -10), textcoords="offset points", fontsize=9)
    axes.set(xlabel="entropy of the source [nat/token]", ylabel="loss [nat/token]", title=TITLE)
    axes.legend()
