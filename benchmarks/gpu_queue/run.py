"""One item of the GPU queue: ``python benchmarks/gpu_queue/run.py ITEM --out FOLDER``; ``--list`` names them in order.

Every item is one command that stops by itself before ten minutes, leaves at most eight small files in FOLDER, and goes
on where it stopped when it is called again with the same store, or, on a fresh machine, with ``--from`` and the
``runs.tar.gz`` of the last call. ``--toy`` runs the same path in seconds on a CPU.

The bench and the sweeps need numpy, torch, safetensors and pydantic only (tables are written where pandas is;
``runs.tar.gz`` holds the runs in any case). The experiments need the core of scalefit, and text needs tokenizers.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import json
import signal
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from scalefit.training import SweepConfig
from scalefit.training.bench import SIZES, bench
from scalefit.training.config import CorpusConfig, EvaluationConfig, ModelConfig, RuntimeConfig
from scalefit.training.config_files import read_mapping
from scalefit.training.device_check import check_device
from scalefit.training.distributed import best_device
from scalefit.training.provenance import machine
from scalefit.training.steps import MODES
from scalefit.training.sweeps.grid import LearningRateConfig, SizeConfig, Sweep
from scalefit.training.sweeps.worker import work

HERE = Path(__file__).parent
#: In this order: the first says whether the device computes what the processor does, the second whether the estimates
#: behind the others hold.
ITEMS = {
    "smoke": "60 s: families, bfloat16, compiled and CUDA-graph steps, resume; prints what differs from the CPU",
    "bench": "tokens per second of eager, compiled and CUDA-graph steps, 12k to 27M parameters",
    "ladder": "0.16M to 3.5M parameters x 5 D x 3 seeds, learning rate swept per size (ladder.toml)",
    "large": "11M and 26M points (large.toml); call again until it says finished",
    "figure2": "radius of a model trained here, with its nulls",
    "figure3": "GPT-2 on 1 % and 0.1 % of the text",
    "figure4": "vanilla transformers of 6 and 10 layers on Question Formation",
    "memoriser": "a 10M-parameter model on 10,000 lines",
    "balance": "the gap between training and held-out loss over N and distinct tokens",
}
#: The published sizes cut to ten minutes of one device; what was cut stands in the table of each experiment.
GPU_SIZES: dict[str, dict[str, Any]] = {
    "figure2": {
        "n_layers": 6, "d_emb": 384, "n_heads": 6, "T_max": 256, "tokens": 60_000_000, "tokenizer": "bpe:4096",
        "dtype": "bfloat16",
    },
    "figure3": {"fractions": (0.01, 0.001), "tokens": 60_000_000},
    "figure4": {"batch_size": 256, "steps": 8_000, "lr": 3e-4, "warmup_steps": 500, "dtype": "bfloat16"},
    "memoriser": {},
    "balance": {
        "shapes": ((2, 64), (4, 128), (6, 256), (8, 512)), "distinct": (250_000, 500_000, 1_000_000, 2_000_000),
        "tokens": 8_000_000,
    },
}  # fmt: skip
#: What is kept of a finished run: everything but its weights.
KEPT = ("config.json", "provenance.json", "curve.jsonl", "result.json")


class TimeUp(BaseException):
    """The item's time is used; its checkpoint is on disk. Not an Exception: nothing on the way may take it for one."""


def run_item(name: str, out: Path, store: Path, seconds: float, corpus: str | None = None, toy: bool = False) -> str:
    """Run one item for no longer than `seconds` and say how it ended; `out` is written in any case."""
    out.mkdir(parents=True, exist_ok=True)
    started, state = time.monotonic(), "failed"
    try:
        with _alarm(seconds):
            _item(name, out, store, corpus, toy)()
        state = "finished"
    except TimeUp:
        state = "time is up: call again with the same store, or --from runs.tar.gz, to go on"
    finally:
        if name in ("ladder", "large"):
            _write_tables(name, out, store)
        _pack(store, out / "runs.tar.gz")
        facts = {**machine(best_device("cpu" if toy else "auto")), "item": name, "toy": toy, "state": state}
        facts |= {"seconds": time.monotonic() - started, "ended": datetime.datetime.now(datetime.UTC).isoformat()}
        commit = HERE / "COMMIT"  # where the files travelled without git
        facts["git"] = facts["git"] or (commit.read_text().strip() if commit.exists() else None)
        (out / "provenance.json").write_text(json.dumps(facts, indent=1) + "\n")
    return state


def _item(name: str, out: Path, store: Path, corpus: str | None, toy: bool) -> Callable[[], Any]:
    if name == "smoke":
        return lambda: _smoke(out, store, toy)
    if name == "bench":
        return lambda: _bench(out, toy)
    if name in ("ladder", "large"):
        config = sweep_config(name, corpus, toy)
        return lambda: (Sweep(config, store), work(store, config.name))
    from scalefit.training.experiments import run_experiment

    changes: dict[str, Any] = {} if toy else dict(GPU_SIZES[name])
    if corpus and name in ("figure2", "figure3"):
        changes["corpus_path"] = corpus
    return lambda: run_experiment(name, "tiny" if toy else "full", out, store, **changes)


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Raise TimeUp in whatever runs after so many seconds."""

    def ring(*_: Any) -> None:
        raise TimeUp

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _smoke(out: Path, store: Path, toy: bool) -> None:
    found = check_device("cpu" if toy else "auto", 60.0, ("eager",) if toy else MODES, store)
    text = "\n".join(str(check) for check in found) + "\n"
    print(text, end="")
    (out / "smoke.txt").write_text(text)
    (out / "smoke.json").write_text(json.dumps([asdict(check) for check in found], indent=1) + "\n")


def _bench(out: Path, toy: bool) -> None:
    compare = importlib.util.find_spec("transformers") is not None
    rows: list[dict[str, Any]] = []
    for size in ("12k",) if toy else SIZES:
        rows += bench((size,), "cpu" if toy else "auto", 0.2 if toy else 2.0, compare)
        (out / "bench.json").write_text(json.dumps(rows, indent=1) + "\n")


def sweep_config(name: str, corpus: str | None = None, toy: bool = False) -> SweepConfig:
    """Return the sweep of an item, read without pydantic."""
    config = SweepConfig.from_dict(read_mapping(HERE / f"{name}.toml"))
    if corpus:
        text = CorpusConfig(source="files", path=corpus, tokenizer="bpe:4096", val_fraction=0.02)
        config = replace(config, corpora={**config.corpora, "text": text})
    return _toy(config) if toy else config


def _toy(config: SweepConfig) -> SweepConfig:
    """The same sweep with models and tokens cut down to seconds on a CPU."""
    corpora = {
        series: replace(item, n_states=32, n_tokens=60_000)
        if item.source == "markov"
        else replace(item, tokenizer="byte")
        for series, item in config.corpora.items()
    }
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
        runtime=RuntimeConfig(device="cpu", checkpoint_every=0.1),
    )


def _write_tables(name: str, out: Path, store: Path) -> None:
    """Write the tables of what is finished, where pandas is."""
    if importlib.util.find_spec("pandas") is None:
        print(
            "pandas is not installed here: no tables were written. Unpack runs.tar.gz where it is, and collect there."
        )
        return
    from scalefit.training.sweeps.collect import collect

    sweep_name = f"gpu_{name}"
    if (store / "sweeps" / f"{sweep_name}.json").exists():
        collect(Sweep.load(store, sweep_name), out)


def _pack(store: Path, path: Path) -> None:
    """Keep what is finished, small enough to be copied: ``--from`` reads it back."""
    with tarfile.open(path, "w:gz") as archive:
        for file in sorted((store / "sweeps").glob("*.json")):
            archive.add(file, file.relative_to(store))
        for result in sorted((store / "runs").glob("*/result.json")):
            for file in (result.parent / name for name in KEPT):
                if file.exists():
                    archive.add(file, file.relative_to(store))


def unpack(path: Path, store: Path) -> None:
    """Put the finished runs of another machine into a store; what is there already stays."""
    store.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path) as archive:
        fresh = [member for member in archive if not (store / member.name).exists()]
        archive.extractall(store, fresh, filter="data")


def main() -> None:
    """Read the command line and run one item."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("item", nargs="?", choices=list(ITEMS))
    parser.add_argument("--list", action="store_true", help="name the items in their order")
    parser.add_argument("--out", type=Path, default=Path("gpu_results"))
    parser.add_argument("--store", type=Path, default=Path("runs_gpu"))
    parser.add_argument("--from", dest="packed", type=Path, help="runs.tar.gz of an earlier call on another machine")
    parser.add_argument("--seconds", type=float, default=520.0, help="stop after so long")
    parser.add_argument("--corpus", help="text files, a folder or a .tar.xz, beside the built-in sources")
    parser.add_argument("--toy", action="store_true", help="seconds on a CPU")
    arguments = parser.parse_args()
    if arguments.list or arguments.item is None:
        for name, text in ITEMS.items():
            print(f"{name:10} {text}")
        return
    if arguments.packed is not None:
        unpack(arguments.packed, arguments.store)
    state = run_item(arguments.item, arguments.out, arguments.store, arguments.seconds, arguments.corpus, arguments.toy)
    print(f"{arguments.item}: {state}")


if __name__ == "__main__":
    main()
