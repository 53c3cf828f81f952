"""Figure 2: distances between last-layer activations, against 2 sqrt(n / 2 pi e) and against nulls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from scalefit.errors import ArgumentError, arg
from scalefit.training.activations import (
    RadiusReport,
    collect_activations,
    gaussian_null,
    measure_radius,
    shuffled_null,
)
from scalefit.training.config import (
    CorpusConfig,
    ModelConfig,
    OptimizerConfig,
    RunConfig,
    RuntimeConfig,
    ScheduleConfig,
)
from scalefit.training.data.corpus import open_corpus
from scalefit.training.distributed import best_device
from scalefit.training.experiments.finding import Finding, train_to_end
from scalefit.training.models.build import build_model
from scalefit.training.trained import load_trained

TITLE = "Figure 2: the radius of a trained model"
_CPU = {"model_path": None, "corpus_path": None, "tokenizer": "bpe:512", "dtype": "float32"}
SIZES: dict[str, dict[str, Any]] = {
    "tiny": {
        **_CPU, "tokenizer": "byte", "n_layers": 1, "d_emb": 16, "n_heads": 1, "T_max": 32, "tokens": 20_000,
        "n_contexts": 300,
    },
    "small": {
        **_CPU, "n_layers": 4, "d_emb": 96, "n_heads": 6, "T_max": 128, "tokens": 1_000_000, "n_contexts": 8_000,
    },
    # as published: GPT-2 medium (model_path), 80,000 chunks of 256 tokens of the text at corpus_path
    "full": {
        **_CPU, "n_layers": 24, "d_emb": 1024, "n_heads": 16, "T_max": 256, "tokens": 0, "n_contexts": 80_000,
    },
}  # fmt: skip


def run(settings: dict[str, Any], store: Path) -> Finding:
    """Measure a model trained here, or a transformers model from a local folder."""
    path = settings["corpus_path"]
    tokenizer = f"hf:{settings['model_path']}" if settings["model_path"] else settings["tokenizer"]
    corpus_config = CorpusConfig(source="files" if path else "stdlib", path=path, tokenizer=tokenizer)
    corpus = open_corpus(corpus_config, store / "corpora")
    starts = corpus.starts("train", settings["T_max"])
    picked = np.random.default_rng(0).choice(len(starts), min(settings["n_contexts"], len(starts)), replace=False)
    contexts, _ = corpus.rows("train", settings["T_max"], np.sort(picked))
    device = best_device()
    model, untrained = (m.to(device) for m in _models(settings, corpus_config, store, corpus.vocab_size))
    activations = collect_activations(model, contexts)
    last = activations["post_norm"]
    sets = {
        **activations,
        "null: untrained model": collect_activations(untrained, contexts)["post_norm"],
        "null: Gaussian, same covariance": gaussian_null(last),
        "null: shuffled coordinates": shuffled_null(last),
    }
    reports = [measure_radius(points, name, device=str(device)) for name, points in sets.items()]
    rows = [row for report in reports for row in report.rows()]
    return Finding(TITLE, rows, _verdict(reports), lambda figure: _draw(figure, reports))


def _models(settings: dict[str, Any], corpus: CorpusConfig, store: Path, vocab_size: int) -> tuple[Any, Any]:
    """Return the model to measure and an untrained one of the same shape."""
    if settings["model_path"]:
        from scalefit.training.models.huggingface import load_for_training, load_pretrained

        config = ModelConfig(family="huggingface", path=settings["model_path"], T_max=settings["T_max"])
        measured = load_pretrained(settings["model_path"])
        fresh: Any = load_for_training(config, measured.config.vocab_size, 0).module
        return measured, fresh.inner
    if not settings["tokens"]:
        raise ArgumentError(
            "figure2 at full size measures a released model",
            "nothing was run",
            f"Pass {arg('model_path')} and {arg('corpus_path')}",
        )
    config = ModelConfig(
        n_layers=settings["n_layers"], d_emb=settings["d_emb"], n_heads=settings["n_heads"], T_max=settings["T_max"]
    )
    run_config = RunConfig(
        model=config,
        corpus=corpus,
        optimizer=OptimizerConfig(lr=5e-3, batch_size=8),
        schedule=ScheduleConfig(tokens=(settings["tokens"],)),
        runtime=RuntimeConfig(keep_weights=True, dtype=settings["dtype"]),
        series="radius",
    )
    train_to_end(run_config, store)
    return load_trained(run_config, store).model, build_model(config, vocab_size, (0,)).module


def _verdict(reports: list[RadiusReport]) -> str:
    by_name = {report.name: report for report in reports}
    after, before = by_name["post_norm"], by_name["pre_norm"]
    nulls = "; ".join(f"{r.name.removeprefix('null: ')} {r.radius:.2f}" for r in reports if r.name.startswith("null"))
    k = after.intrinsic_dimension
    dimensions = "; ".join(
        f"{r.name.removeprefix('null: ')} {r.intrinsic_dimension:.1f}" for r in reports if r.name.startswith("null")
    )
    return (
        f"The theory says sqrt(n / 2 pi e) = {after.volume_radius:.2f} for n = {after.dim}. Half the median distance "
        f"to the nearest neighbour, over {after.n_points:,} distinct contexts: {after.radius:.2f} after the final "
        f"norm and {before.radius:.2f} before it; in units of the points' RMS length "
        f"{after.median / after.rms_norm:.2f} and {before.median / before.rms_norm:.2f}. The same for points that "
        f"hold no language: {nulls}. The number before and after the norm differs although the model is the same, "
        "because the norm's gains set the scale: agreement in the radius alone is agreement with a choice of units. "
        f"The distance falls with the number of points M as M^(-1/k): k = {k:.1f} after the norm ({dimensions}), where "
        f"the theory takes n = {after.dim} and a radius that does not depend on M. With half of such a distance for a "
        f"radius log Z moves by 1 - n/k = {1 - after.dim / k:.1f} for each factor e of patterns, not by +1. "
        "Chinchilla and Kaplan say nothing of distances, and the loss does not enter here. Measured radius for "
        f"loss_floor(radius=...): {after.radius:.3f} (dimension='token')."
    )


def _draw(figure: Any, reports: list[RadiusReport]) -> None:
    left, right = figure.subplots(1, 2)
    after = next(report for report in reports if report.name == "post_norm")
    for share, values in after.distances.items():
        left.hist(values, bins=60, histtype="step", density=True, label=f"{share:.0%} of the sample")
    left.axvline(2 * after.volume_radius, color="black", linestyle="--", linewidth=1, label="2 sqrt(n / 2 pi e)")
    left.set(xlabel="distance to the nearest neighbour", ylabel="density", title="after the final norm")
    left.legend(fontsize=9)
    for report in reports:
        right.hist(report.distances[1.0] / report.rms_norm, bins=60, histtype="step", density=True, label=report.name)
    right.set(xlabel="distance / RMS length", title="all points and the nulls")
    right.legend(fontsize=9)
