"""What the training harness must show, at full length: ``python benchmarks/training.py NAME ...`` (or ``all``).

kills       25 SIGKILLs and 25 SIGTERMs in a sweep lose no finished run, repeat none, and change no number
memoriser   200 Question-Formation lines learnt by heart: within 3 % of log(n) / tokens-per-line, on one core
question    a small GPT on 30,000 regenerated lines: held-out loss within 0.03 of the entropy
markov      an order-1 source: H + 0.02
speed       tokens per second beside transformers' GPT2LMHeadModel (dropout 0, SDPA)
plain       tokens per second beside a loop written by hand in nanoGPT's manner, at 12M and 124M parameters
transfer    the best learning rate from width 64 to 512, in maximal-update parametrisation and in the usual one
bpe         building corpora B: speed of one core, and how much memory
optimizer   our AdamW step with clipping over torch's fused one, at 12M parameters
shapes      seconds to find a model of N parameters
ensemble    three members = three single runs, and what they cost
ddp         two gloo processes = one
nearest     exact nearest-neighbour distances of 100,000 points of 1,024 dimensions

Each prints what was measured and adds it to benchmarks/results/training.json. One core: OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from plain_loop import PlainLoop

from scalefit.training import RunConfig, SweepConfig, load_config, sweep, train
from scalefit.training.activations import nearest_distances
from scalefit.training.bench import bench
from scalefit.training.config import (
    CorpusConfig,
    EvaluationConfig,
    ModelConfig,
    OptimizerConfig,
    RuntimeConfig,
    ScheduleConfig,
)  # fmt: skip
from scalefit.training.data import corpus_build
from scalefit.training.data.corpus import open_corpus
from scalefit.training.data.documents import read_files
from scalefit.training.data.tokenizers import SubwordTokenizer
from scalefit.training.distributed import World
from scalefit.training.ending import ENDED
from scalefit.training.experiments import run_experiment
from scalefit.training.models.build import build_model
from scalefit.training.models.shapes import shape_for
from scalefit.training.optimizer import FlatAdamW, Settings
from scalefit.training.provenance import machine
from scalefit.training.sweeps.grid import Sweep
from scalefit.training.trainer import Trainer, peak_memory

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "training.json"


def kills(store: Path, n_kills: int = 50) -> dict[str, Any]:
    """End a worker at random moments, by SIGKILL and SIGTERM in turns; compare with a sweep never disturbed."""
    config = load_config(HERE / "kills.toml", SweepConfig)
    Sweep(config, store / "killed")
    rng = random.Random(0)
    stamps: dict[Path, int] = {}
    done = changed = restarts = asked = saved = 0
    while done < n_kills:
        command = [sys.executable, "-m", "scalefit.training.sweeps.worker", str(store / "killed")]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        restarts += 1
        while process.poll() is None and not _at_work(store / "killed", process.pid):
            time.sleep(0.02)  # until it is at work: before, there is nothing to lose
        try:
            process.wait(timeout=rng.uniform(0.0, 1.5))
        except subprocess.TimeoutExpired:
            process.kill() if done % 2 else process.terminate()
            process.wait()
            asked += not done % 2
            saved += process.returncode == ENDED
            done += 1
        for path in (store / "killed" / "runs").glob("*/result.json"):
            changed += stamps.setdefault(path, path.stat().st_mtime_ns) != path.stat().st_mtime_ns
        if process.returncode == 0:
            break
    finished_before_the_end = len(stamps)
    disturbed = sweep(config, store / "killed")
    changed += sum(path.stat().st_mtime_ns != stamp for path, stamp in stamps.items())
    (store / "straight").mkdir()
    (store / "straight" / "corpora").symlink_to((store / "killed" / "corpora").absolute())
    straight = sweep(config, store / "straight")
    return {
        "kills": done,
        "asked_to_end": asked,
        "of_them_saved_and_ended_with_143": saved,
        "worker_starts": restarts,
        "runs_finished_while_killing": finished_before_the_end,
        "finished_runs_lost_or_repeated": changed,
        "rows": len(disturbed),
        "losses_bitwise_equal": bool((disturbed["loss"] == straight["loss"]).all()),
    }


def _at_work(store: Path, pid: int) -> bool:
    """Whether a process holds a run."""
    return any(f'"pid": {pid},' in lease.read_text() for lease in (store / "runs").glob("*/lease"))


def memoriser(store: Path) -> dict[str, Any]:
    """Learn 200 lines by heart."""
    started = time.process_time()
    (row,) = run_experiment("memoriser", "small", HERE / "results", store).rows
    return {**row, "cpu_seconds": time.process_time() - started}


def question(store: Path) -> dict[str, Any]:
    """Fit 30,000 lines of the grammar and score held-out ones."""
    config = RunConfig(
        model=ModelConfig(n_layers=3, d_emb=128, n_heads=4, T_max=64),
        corpus=CorpusConfig(
            source="question_formation", tokenizer="words", packing="line", n_lines=30_000, val_fraction=0.05
        ),
        optimizer=OptimizerConfig(lr=1e-3, batch_size=32, weight_decay=0.01),
        schedule=ScheduleConfig(kind="cosine", tokens=(2_400_000,), warmup=60_000),
        evaluation=EvaluationConfig(tokens=0, curve_points=12),
        series="question_formation",
    )
    return _against_entropy(config, store)


def markov(store: Path) -> dict[str, Any]:
    """Fit an order-1 source."""
    config = RunConfig(
        model=ModelConfig(n_layers=1, d_emb=64, n_heads=2, T_max=64),
        corpus=CorpusConfig(source="markov", n_states=64, branching=8, n_tokens=3_000_000),
        optimizer=OptimizerConfig(lr=1e-2, batch_size=16),
        schedule=ScheduleConfig(tokens=(2_000_000,)),
        evaluation=EvaluationConfig(tokens=0, curve_points=12),
        series="markov",
    )
    return _against_entropy(config, store)


def _against_entropy(config: RunConfig, store: Path) -> dict[str, Any]:
    started = time.process_time()
    row = train(config, store).rows[-1]
    names = ("N", "D", "epochs", "loss", "loss_se", "H_data", "train_loss", "status")
    return {
        **{name: row[name] for name in names},
        "loss_minus_H_data": row["loss"] - row["H_data"],
        "cpu_seconds": time.process_time() - started,
    }


def speed(store: Path, n_repeats: int = 5) -> dict[str, Any]:
    """Measure our step beside the same model in transformers, several times: one ratio moves by a tenth under load."""
    rows = [row for _ in range(n_repeats) for row in bench(device="cpu", seconds=2.0) if row["mode"] == "eager"]
    found = {}
    for size in dict.fromkeys(row["size"] for row in rows):
        ratios = [row["ratio"] for row in rows if row["size"] == size]
        rates = [row["tokens_per_second"] for row in rows if row["size"] == size]
        found[size] = {
            "tokens_per_second": statistics.median(rates),
            "ratio": statistics.median(ratios),
            "ratios": ratios,
        }
    return found


def plain(store: Path) -> dict[str, Any]:
    """Take turns with a loop written by hand on the same random tokens, data and optimiser included.

    A turn is one step: what else runs on the machine then slows both alike.
    """
    found = {}
    for name, preset, vocab_size, batch, turns in (
        ("12M", "gpt2-12m", 4096, 8, 12),
        ("124M", "gpt2-small", 50257, 1, 4),
    ):
        ids = np.random.default_rng(0).integers(0, vocab_size, 300_000).astype(np.uint16)
        ids[0] = vocab_size - 1
        np.save(store / f"{name}.npy", ids)
        config = RunConfig(
            model=ModelConfig.from_dict({"preset": preset}),
            corpus=CorpusConfig(source="ids", path=str(store / f"{name}.npy"), val_fraction=0.05),
            optimizer=OptimizerConfig(lr=1e-3, batch_size=batch),
            runtime=RuntimeConfig(device="cpu", dtype="float32"),
        )
        corpus = open_corpus(config.corpus, store / "corpora")
        trainer = Trainer(config, corpus, World(0, 1, torch.device("cpu")))
        trainer.place(0)
        loop = PlainLoop(config.model, vocab_size, corpus.train, batch)
        seconds: dict[str, list[float]] = {"ours": [], "plain": []}
        losses = {"ours": float(trainer.step(0, 1.0)[0]), "plain": loop.step()}  # which also warms up
        for turn in range(turns):
            for who in ("ours", "plain") if turn % 2 == 0 else ("plain", "ours"):
                started = time.process_time()
                float(trainer.step(turn + 1, 1.0)[0]) if who == "ours" else loop.step()
                seconds[who].append(time.process_time() - started)
        tokens = batch * config.model.T_max
        ratios = [b / a for a, b in zip(seconds["ours"], seconds["plain"], strict=True)]
        found[name] = {
            "N": trainer.built.total,
            "tokens_per_step": tokens,
            "cpu_tokens_per_second": {who: tokens / min(values) for who, values in seconds.items()},
            "ratio": statistics.median(ratios),
            "ratios": ratios,
            "first_losses": losses,
            "log_vocabulary": math.log(vocab_size),
        }
        del trainer, loop
    return found


def transfer(store: Path, n_steps: int = 60) -> dict[str, Any]:
    """Find the best rate of four widths, seven rates as one ensemble each, by a parabola through the lowest three."""
    rates = tuple(float(rate) for rate in 2.0 ** np.arange(-10, -3) * 2)
    found: dict[str, Any] = {"rates": rates, "steps": n_steps}
    for name, base_width in (("maximal_update", 64), ("usual", None)):
        losses = {}
        for width in (64, 128, 256, 512):
            config = RunConfig(
                model=ModelConfig(
                    n_layers=2, d_emb=width, n_heads=width // 32, T_max=32, tied=False, base_width=base_width
                ),
                corpus=CorpusConfig(source="markov", n_states=32, branching=3, n_tokens=60_000),
                optimizer=OptimizerConfig(lr=rates, batch_size=8),
                schedule=ScheduleConfig(tokens=(n_steps * 256,)),
                evaluation=EvaluationConfig(tokens=4_000, curve_points=0),
                runtime=RuntimeConfig(device="cpu"),
            )
            rows = train(config, store).rows
            losses[width] = [row["loss"] if row["status"] == "finished" else math.inf for row in rows]
        best = {width: _lowest(rates, values) for width, values in losses.items()}
        found[name] = {
            "losses": losses,
            "best": best,
        }
    return found


def _lowest(rates: tuple[float, ...], losses: list[float]) -> float:
    """Rate at the lowest point of a parabola through the lowest loss and its neighbours; at an edge that rate."""
    place = int(np.argmin(losses))
    if place in (0, len(losses) - 1):
        return rates[place]
    low, middle, high = losses[place - 1 : place + 2]
    if not math.isfinite(low + high):
        return rates[place]
    shift = 0.5 * (low - high) / (low - 2 * middle + high)
    return float(rates[place] * (rates[1] / rates[0]) ** shift)


def bpe(store: Path) -> dict[str, Any]:
    """Build corpora B (``SCALEFIT_DATA_DIR``) by one core, in processes of their own whose memory is read."""
    path = Path(os.environ["SCALEFIT_DATA_DIR"]) / "corpora" / "classic_books_B_165MB.tar.xz"
    environment = {**os.environ, "RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__, "--build", str(path), "bpe:4096", str(store / "bpe4096")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return {"bpe:4096": json.loads(done.stdout)}


def _build(path: str, tokenizer: str, folder: str) -> None:
    """Build one corpus and print its cost."""
    before = peak_memory(torch.device("cpu"))
    spent, train_tokenizer = [0.0], corpus_build.train_tokenizer

    def timed(*arguments: Any) -> Any:
        started = time.process_time()
        made = train_tokenizer(*arguments)
        spent[0] = time.process_time() - started
        return made

    corpus_build.train_tokenizer = timed
    started = time.process_time()
    for _ in read_files(path, "text"):
        pass
    reading = time.process_time() - started
    started = time.process_time()
    corpus = open_corpus(CorpusConfig(source="files", path=path, tokenizer=tokenizer), folder)
    total = time.process_time() - started
    n_bytes = corpus.meta["train_bytes"] + corpus.meta["val_bytes"]
    memory = peak_memory(torch.device("cpu"))
    made = SubwordTokenizer(corpus.meta["tokenizer"])
    texts, sample = [], 0
    for text in read_files(path, "text"):
        texts.append(text)
        sample += len(text.encode())
        if sample > 10_000_000:
            break
    trained = []
    for hidden in ({}, {"pyarrow": None}):  # on counted words, and by the library alone
        with mock.patch.dict(sys.modules, hidden):
            started = time.process_time()
            SubwordTokenizer.train(texts, made.vocab_size)
            trained.append(time.process_time() - started)
    seconds = []
    for encode in (made._encode, made.encode_batch, made.encode_batch):  # the library's, ours, ours with words known
        started = time.process_time()
        encode(texts)
        seconds.append(time.process_time() - started)
    print(
        json.dumps(
            {
                "bytes": n_bytes,
                "tokens": corpus.meta["train_tokens"] + corpus.meta["val_tokens"],
                "cpu_seconds": total,
                "cpu_seconds_of_the_tokenizer": spent[0],
                "cpu_seconds_of_reading_once": reading,
                "encoding_mb_per_second": n_bytes / 1e6 / (total - spent[0]),
                "encoding_mb_per_second_without_reading": n_bytes / 1e6 / (total - spent[0] - reading),
                "training_over_library": trained[1] / trained[0],
                "encoding_over_library_first_pass": seconds[0] / seconds[1],
                "encoding_over_library_second_pass": seconds[0] / seconds[2],
                "library_mb_per_second": sample / 1e6 / seconds[0],
                "peak_memory_mb": memory / 1e6,
                "memory_before_mb": before / 1e6,
            }
        )
    )


def ensemble(store: Path) -> dict[str, Any]:
    """Train three seeds together and one by one."""
    config = RunConfig(
        model=ModelConfig(n_layers=2, d_emb=32, n_heads=2, T_max=64),
        corpus=CorpusConfig(source="markov", n_tokens=400_000),
        optimizer=OptimizerConfig(lr=1e-2, batch_size=8),
        schedule=ScheduleConfig(tokens=(200_000,)),
        evaluation=EvaluationConfig(curve_points=0),
        seeds=(0, 1, 2),
    )
    started = time.process_time()
    together = {row["seed"]: row["loss"] for row in train(config, store).rows}
    middle = time.process_time()
    singles = {seed: train(replace(config, seeds=(seed,)), store).loss for seed in (0, 1, 2)}
    return {
        "largest_difference": max(abs(together[seed] - singles[seed]) for seed in singles),
        "cpu_seconds_together": middle - started,
        "cpu_seconds_one_by_one": time.process_time() - middle,
    }


def ddp(store: Path) -> dict[str, Any]:
    """Train in one process and in two."""
    config = RunConfig(
        model=ModelConfig(n_layers=2, d_emb=32, n_heads=2, T_max=64),
        corpus=CorpusConfig(source="markov", n_tokens=400_000),
        optimizer=OptimizerConfig(lr=1e-2, batch_size=8),
        schedule=ScheduleConfig(tokens=(100_000,)),
        runtime=RuntimeConfig(device="cpu"),
    )
    single = train(config, store / "one").loss
    path = store / "run.json"
    path.write_text(json.dumps(config.to_dict()))
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "scalefit",
        "train", str(path), "--store", str(store / "two"), "--json",
    ]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    double = json.loads(done.stdout)["rows"][-1]["loss"]
    return {"one_process": single, "two_processes": double, "difference": abs(single - double)}


def nearest(store: Path, n_points: int = 100_000, dim: int = 1024) -> dict[str, Any]:
    """Measure every nearest neighbour among points with a decaying spectrum, an offset and 1 % of near copies."""
    rng = np.random.default_rng(0)
    points = rng.standard_normal((n_points, dim), np.float32)
    points *= np.arange(1, dim + 1, dtype=np.float32) ** -0.5
    points += 10 * rng.standard_normal(dim, np.float32)
    n_copies = n_points // 100
    points[-n_copies:] = points[:n_copies] + 1e-4 * rng.standard_normal((n_copies, dim), np.float32)
    started, cpu = time.monotonic(), time.process_time()
    found = nearest_distances(points)
    wall, cpu = time.monotonic() - started, time.process_time() - cpu
    chosen = np.concatenate([rng.integers(n_copies, n_points, 200), rng.integers(0, n_copies, 100)])
    exact = np.empty(len(chosen))
    for place, row in enumerate(chosen):
        squared = np.empty(n_points)
        for start in range(0, n_points, 10_000):
            part = points[start : start + 10_000].astype(float) - points[row].astype(float)
            squared[start : start + 10_000] = np.einsum("ij,ij->i", part, part)
        squared[row] = math.inf
        exact[place] = math.sqrt(squared.min())
    return {
        "n_points": n_points,
        "dim": dim,
        "threads": torch.get_num_threads(),
        "cpu_seconds": cpu,
        "call_wall_seconds": wall,
        "rows_checked_by_brute_force": len(chosen),
        "largest_relative_difference": float((abs(found[chosen] - exact) / exact).max()),
        "median_distance": float(np.median(found)),
    }


def optimizer(store: Path, n_turns: int = 5) -> dict[str, Any]:
    """Time our AdamW step with clipping beside torch's fused one with clip_grad_norm_, in turns, at 12M parameters."""
    config = RunConfig.from_dict({"model": {"preset": "gpt2-12m"}}).model
    ours, theirs = (build_model(config, 4096, (0,)).module for _ in range(2))
    flat = FlatAdamW(ours, [1e-3], Settings(0.9, 0.99, 1e-8, 0.1, 1.0))
    reference = torch.optim.AdamW(theirs.parameters(), lr=1e-3, fused=True)
    for parameter, twin in zip(ours.parameters(), theirs.parameters(), strict=True):
        parameter.grad = torch.randn_like(parameter)
        twin.grad = parameter.grad.clone()
    count = 0

    def our_step() -> None:
        nonlocal count
        count += 1
        flat.step(count, 1.0)

    def their_step() -> None:
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), 1.0)
        reference.step()

    seconds: dict[str, list[float]] = {"ours": [], "torch": []}
    for _ in range(n_turns):
        for name, step in (("ours", our_step), ("torch", their_step)):
            started = time.process_time()
            for _ in range(10):
                step()
            seconds[name].append((time.process_time() - started) / 10)
    best = {name: min(values) for name, values in seconds.items()}
    return {
        "cpu_ms": {name: 1e3 * value for name, value in best.items()},
        "ours_over_torch": best["ours"] / best["torch"],
    }


def shapes(store: Path) -> dict[str, Any]:
    """Find a model for each of six numbers of parameters."""
    started = time.process_time()
    found = [shape_for(N, 257) for N in (2e3, 6e3, 2e4, 1e6, 1e8, 5e9)]
    return {"cpu_seconds_each": (time.process_time() - started) / len(found)}


BENCHMARKS = {
    f.__name__: f
    for f in (
        kills,
        memoriser,
        question,
        markov,
        speed,
        plain,
        transfer,
        bpe,
        optimizer,
        shapes,
        ensemble,
        ddp,
        nearest,
    )
}


def main(names: list[str]) -> None:
    """Run the named benchmarks."""
    torch.set_num_threads(1)
    for name in list(BENCHMARKS) if names == ["all"] else names:
        with tempfile.TemporaryDirectory() as folder:
            started = time.monotonic()
            found = BENCHMARKS[name](Path(folder))
        found |= {"wall_seconds": round(time.monotonic() - started, 1), **machine(torch.device("cpu"))}
        print(name, json.dumps(found, indent=1), flush=True)
        saved = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps({**saved, name: found}, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__" and sys.argv[1:2] == ["--build"]:
    _build(*sys.argv[2:])
elif __name__ == "__main__":
    main(sys.argv[1:] or ["all"])
