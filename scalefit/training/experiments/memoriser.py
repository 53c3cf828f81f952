"""A memoriser can go far below 1 nat: n memorised lines cost log(n) per line, whatever the bound says.

This is the decisive, minutes-on-a-CPU test of the floor of 1 nat/token. The paper's Remarks 1 and 2 allow for it: an
over-parameterised model is bounded only by the entropy of its samples. Both predictions are shown beside the result.
"""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from scalefit.training.config import (
    CorpusConfig,
    EvaluationConfig,
    ModelConfig,
    OptimizerConfig,
    RunConfig,
    RuntimeConfig,
    ScheduleConfig,
)
from scalefit.training.data.corpus import Corpus
from scalefit.training.experiments.finding import Finding, draw_losses, losses_at_end, outlook, train_to_end
from scalefit.training.trained import load_trained

TITLE = "A memoriser below 1 nat"
SIZES: dict[str, dict[str, Any]] = {
    "tiny": {"n_lines": 20, "n_layers": 1, "d_emb": 64, "n_heads": 2, "steps": 300, "batch_size": 16, "lr": 1e-2},
    "small": {"n_lines": 250, "n_layers": 3, "d_emb": 128, "n_heads": 4, "steps": 900, "batch_size": 50, "lr": 3e-3},
    "full": {
        "n_lines": 12_500,
        "n_layers": 6,
        "d_emb": 384,
        "n_heads": 6,
        "steps": 20_000,
        "batch_size": 250,
        "lr": 1e-3,
    },
}


def memorised_entropy(corpus: Corpus) -> tuple[int, float, float]:
    """Return distinct training lines, their mean length with the end token, and their entropy [nat/token]."""
    tokens = np.asarray(corpus.train)
    lines = [bytes(part) for part in np.split(tokens, np.flatnonzero(tokens == corpus.meta["eos"]))[1:-1]]
    counts = np.array(list(Counter(lines).values()), float)
    shares = counts / counts.sum()
    length = (len(tokens) - 1) / len(lines)
    return len(counts), length, float(-(shares * np.log(shares)).sum() / length)


def run(settings: dict[str, Any], store: Path) -> Finding:
    """Train on a few lines until they are memorised, and score those lines and new ones."""
    corpus_config = CorpusConfig(
        source="question_formation", tokenizer="words", packing="line", n_lines=settings["n_lines"], val_fraction=0.2
    )
    model = ModelConfig(n_layers=settings["n_layers"], d_emb=settings["d_emb"], n_heads=settings["n_heads"], T_max=64)
    config = RunConfig(
        model=model,
        corpus=corpus_config,
        optimizer=OptimizerConfig(lr=settings["lr"], batch_size=settings["batch_size"], weight_decay=0.0),
        schedule=ScheduleConfig(
            kind="cosine",
            tokens=(round(settings["steps"] * settings["batch_size"] * 20.6),),
            warmup=round(0.05 * settings["steps"] * settings["batch_size"] * 20.6),
        ),
        evaluation=EvaluationConfig(tokens=20_000, curve_points=24),
        runtime=RuntimeConfig(keep_weights=True),
        series="memoriser",
    )
    record = train_to_end(config, store)
    trained = load_trained(config, store)
    lines, length, floor = memorised_entropy(trained.corpus)
    train_loss, _ = trained.loss("train")
    row = record.rows[-1]
    entropy = float(row["H_data"])
    rows = [
        {
            "lines": lines,
            "tokens_per_line": length,
            "N": row["N"],
            "steps": row["steps"],
            **losses_at_end(row, train_loss),
            "memoriser_floor": floor,
            "over_floor": train_loss / floor - 1.0,
            "hypothesis": 1.0,
            "seconds": record.seconds,
        }
    ]
    below = "far below" if train_loss < 0.8 else "below" if train_loss < 1 else "not below"
    verdict = (
        f"{outlook(row)} A memoriser's floor, the entropy of its {lines} training lines, is log({lines}) / "
        f"{length:.2f} = {math.log(lines) / length:.4f} nat/token. Measured on those lines: {train_loss:.4f}, "
        f"{train_loss / floor - 1:+.1%} of the memoriser's floor and {below} 1. On fresh lines the loss is "
        f"{row['loss']:.2f}, against a true entropy of {entropy:.3f}: nothing but memory. A training loss in nats "
        "per token is therefore not bounded by 1; the bound can only speak of models that do not memorise, and then "
        "H(data) is the tighter one."
    )
    return Finding(TITLE, rows, verdict, lambda figure: _draw(figure, record.curve, floor, entropy))


def _draw(figure: Any, curve: Any, floor: float, entropy: float) -> None:
    axes = figure.subplots()
    lines = {"hypothesis: 1 nat": (1.0, "--"), "H(data)": (entropy, ":"), "log(n) / length": (floor, "-.")}
    levels = {f"{label} = {level[0]:.3f}": level for label, level in lines.items()}
    draw_losses(axes, curve, levels, names=("training lines", "fresh lines"))
    axes.set(yscale="log", title=TITLE)
