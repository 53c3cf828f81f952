"""Figure 3: one GPT-2 on all, 1 % and 0.1 % of a corpus for the same time; the smallest over-fits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
from scalefit.training.experiments.finding import Finding, draw_losses, outlook, train_to_end

TITLE = "Figure 3: GPT-2 on all, 1 % and 0.1 % of a corpus"
_CPU = {"corpus_path": None, "tokenizer": "bpe:512", "dtype": "float32", "fractions": (1.0, 0.01, 0.001), "lr": 3e-3}
SIZES: dict[str, dict[str, Any]] = {
    "tiny": {
        **_CPU, "tokenizer": "byte", "fractions": (1.0, 0.0001), "n_layers": 1, "d_emb": 32, "n_heads": 2, "T_max": 64,
        "batch_size": 8, "tokens": 40_000,
    },
    "small": {**_CPU, "n_layers": 4, "d_emb": 96, "n_heads": 6, "T_max": 128, "batch_size": 12, "tokens": 1_200_000},
    # as published, with a corpus of one's own: 9B, 90M and 9M tokens, GPT-2's tokenizer, batch of 12
    "full": {
        **_CPU, "tokenizer": "bpe:50257", "dtype": "bfloat16", "n_layers": 12, "d_emb": 768, "n_heads": 12,
        "T_max": 1024, "batch_size": 12, "tokens": 100_000_000, "lr": 6e-4,
    },
}  # fmt: skip


def run(settings: dict[str, Any], store: Path) -> Finding:
    """Train the same model for the same number of tokens on the first part of the corpus."""
    path = settings["corpus_path"]
    whole = CorpusConfig(source="files" if path else "stdlib", path=path, tokenizer=settings["tokenizer"])
    total = int(open_corpus(whole, store / "corpora").meta["train_tokens"])
    rows, curves = [], {}
    for fraction in settings["fractions"]:
        limit = 0 if fraction == 1.0 else max(4 * settings["T_max"], round(fraction * total))
        config = RunConfig(
            model=ModelConfig(
                n_layers=settings["n_layers"], d_emb=settings["d_emb"], n_heads=settings["n_heads"],
                T_max=settings["T_max"],
            ),
            corpus=CorpusConfig(
                source=whole.source, path=path, tokenizer=settings["tokenizer"], n_tokens=limit
            ),
            optimizer=OptimizerConfig(lr=settings["lr"], batch_size=settings["batch_size"]),
            schedule=ScheduleConfig(kind="constant", tokens=(settings["tokens"],)),
            evaluation=EvaluationConfig(tokens=100_000, curve_points=20),
            runtime=RuntimeConfig(dtype=settings["dtype"]),
            series=f"{fraction:.2%}",
        )  # fmt: skip
        record = train_to_end(config, store)
        row = record.rows[-1]
        curves[fraction] = record.curve
        best = min(item["val_loss"][0] for item in record.curve)
        rows.append(
            {
                "fraction": fraction,
                "unique_tokens": row["unique_tokens"],
                "N": row["N"],
                "D": row["D"],
                "epochs": row["epochs"],
                "train_loss": row["train_loss"],
                "val_loss": row["loss"],
                "val_minus_train": row["loss"] - row["train_loss"],
                "best_val_loss": best,
                "over_fits": row["loss"] > best + 0.05,
                "status": row["status"],
            }
        )
        last = row
    text = "; ".join(
        f"{row['fraction']:.2%} ({row['epochs']:.1f} epochs): training {row['train_loss']:.2f}, held out "
        f"{row['val_loss']:.2f}"
        for row in rows
    )
    over = [f"{row['fraction']:.1%}" for row in rows if row["over_fits"]] or ["none"]
    verdict = (
        f"{outlook(last)} The entropy of this text is not known. Measured after the same number of tokens: {text}. "
        f"Over-fitted (held-out loss above its own minimum by 0.05): {', '.join(over)}. The paper's reading is that "
        "the smallest set leaves the theory's regime, so the training loss may fall to 0; counting epochs predicts the "
        "same, and the order of the three curves does not tell the two readings apart."
    )
    return Finding(TITLE, rows, verdict, lambda figure: _draw(figure, curves))


def _draw(figure: Any, curves: dict[float, Any]) -> None:
    panels = figure.subplots(1, len(curves), sharey=True, squeeze=False)[0]
    for axes, (fraction, curve) in zip(panels, curves.items(), strict=True):
        draw_losses(axes, curve, {"1 nat": (1.0, "--")}, x="tokens")
        axes.set_title(f"{fraction:.2%} of the corpus")
