"""One item of the GPU queue: ``python benchmarks/gpu_queue/run.py ITEM --out FOLDER``; ``--list`` names them in order.

Every item is one command that stops by itself before ten minutes, leaves small files in FOLDER, and goes on where it
stopped when it is called again with the same store. ``--toy`` runs the same path in seconds on a CPU.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from scalefit.training import SweepConfig, load_config
from scalefit.training.bench import bench
from scalefit.training.config import CorpusConfig, EvaluationConfig, ModelConfig, RuntimeConfig
from scalefit.training.experiments import run_experiment
from scalefit.training.sweeps import LearningRateConfig, SizeConfig, Sweep
from scalefit.training.tables import collect
from scalefit.training.worker import work

HERE = Path(__file__).parent
#: In this order: the first says whether the estimates behind the others hold.
ITEMS = {
    "bench": "tokens per second of eager, compiled and CUDA-graph steps, 12k to 27M parameters",
    "ladder": "0.16M to 3.5M parameters x 5 D x 3 seeds, learning rate swept per size (ladder.toml)",
    "large": "12M and 27M points (large.toml); call again until it says finished",
    "figure2": "radius of a model trained here, with its nulls",
    "figure3": "GPT-2 on all, 1 % and 0.1 % of the text",
    "figure4": "vanilla transformers of 6 and 10 layers on Question Formation",
    "memoriser": "a 10M-parameter model on 10,000 lines",
    "balance": "the gap between training and held-out loss over N and distinct tokens",
}


class TimeUp(Exception):
    """The item's time is used; its checkpoint is on disk."""


def run_item(name: str, out: Path, store: Path, seconds: float, corpus: str | None, toy: bool) -> str:
    """Run one item and say how it ended."""
    out.mkdir(parents=True, exist_ok=True)
    if name == "bench":
        rows = bench(("12k",), "cpu", 0.2) if toy else bench()
        (out / "bench.json").write_text(json.dumps(rows, indent=1) + "\n")
        return "finished"
    if name in ("ladder", "large"):
        return _sweep(load_config(HERE / f"{name}.toml", SweepConfig), out, store, seconds, corpus, toy)
    changes: dict[str, Any] = {"corpus_path": corpus} if corpus and name in ("figure2", "figure3") else {}
    if not toy:
        changes |= GPU_SIZES[name]
    run_experiment(name, "tiny" if toy else "full", out, store, **changes)
    return "finished"


#: The published sizes cut to ten minutes of one device; what was cut is said in the table of each experiment.
GPU_SIZES: dict[str, dict[str, Any]] = {
    "figure2": {"n_layers": 6, "d_emb": 384, "n_heads": 6, "T_max": 256, "tokens": 60_000_000, "tokenizer": "bpe:4096"},
    "figure3": {"fractions": (0.01, 0.001), "tokens": 60_000_000},
    "figure4": {"batch_size": 256, "steps": 8_000, "lr": 3e-4, "warmup_steps": 500},
    "memoriser": {},
    "balance": {"tokens": 20_000_000},
}


def _sweep(config: SweepConfig, out: Path, store: Path, seconds: float, corpus: str | None, toy: bool) -> str:
    if corpus:
        text = CorpusConfig(source="files", path=corpus, tokenizer="bpe:4096", val_fraction=0.02)
        config = replace(config, corpora={**config.corpora, "text": text})
    if toy:
        config = _toy(config)
    sweep_ = Sweep(config, store)
    deadline = time.monotonic() + seconds

    def watch(_: dict[str, Any]) -> None:
        if time.monotonic() > deadline:
            raise TimeUp

    state = "finished"
    try:
        work(store, config.name, progress=watch)
    except TimeUp:
        state = "time is up: call again with the same store to go on"
    collect(sweep_, out / config.name)
    return state


def _toy(config: SweepConfig) -> SweepConfig:
    """The same sweep with models and tokens cut down to seconds on a CPU."""
    corpora = {"markov": CorpusConfig(source="markov", n_states=32, branching=4, n_tokens=60_000)}
    model = ModelConfig(n_layers=1, d_emb=16, n_heads=1, T_max=32)
    sizes = tuple(SizeConfig(model=replace(model, d_emb=width), seeds=config.sizes[0].seeds) for width in (8, 16))
    return replace(
        config,
        corpora=corpora,
        sizes=sizes,
        tokens=(4_000, 8_000),
        ratios=(),
        lr=LearningRateConfig(grid=(3e-3, 1e-2), tokens=4_000, extend=0),
        optimizer=replace(config.optimizer, batch_size=8),
        evaluation=EvaluationConfig(tokens=1_000, curve_points=3),
        runtime=RuntimeConfig(device="cpu"),
    )


def main() -> None:
    """Read the command line and run one item."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("item", nargs="?", choices=list(ITEMS))
    parser.add_argument("--list", action="store_true", help="name the items in their order")
    parser.add_argument("--out", type=Path, default=Path("gpu_results"))
    parser.add_argument("--store", type=Path, default=Path("runs_gpu"))
    parser.add_argument("--seconds", type=float, default=540.0, help="stop a sweep after so long")
    parser.add_argument("--corpus", help="text files, a folder or a .tar.xz, beside the built-in sources")
    parser.add_argument("--toy", action="store_true", help="seconds on a CPU")
    arguments = parser.parse_args()
    if arguments.list or arguments.item is None:
        for name, text in ITEMS.items():
            print(f"{name:10} {text}")
        return
    state = run_item(arguments.item, arguments.out, arguments.store, arguments.seconds, arguments.corpus, arguments.toy)
    print(f"{arguments.item}: {state}")


if __name__ == "__main__":
    main()
