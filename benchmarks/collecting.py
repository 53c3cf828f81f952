"""Collecting thousands of runs: makes a tree of every store that `sf.collect` reads, and times the reading.

    python benchmarks/collecting.py [--runs 10000] [--points 100] [--profile]

W&B and MLflow runs are copies of those that the real packages wrote for the tests; event files are written by
TensorBoard's own writer; the other stores are written as their tools write them.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import math
import pstats
import resource
import shutil
import sqlite3
import tempfile
import time
import warnings
from contextlib import closing
from pathlib import Path

import scalefit as sf
from scalefit.collecting import wandb_log

STORES = Path(__file__).resolve().parents[1] / "tests/collecting/stores"
#: Part of the runs in each store.
PARTS = {"wandb": 0.25, "trainer": 0.2, "tensorboard": 0.15, "mlflow": 0.1, "sqlite": 0.1, "lightning": 0.1, "csv": 0.1}


def loss(step: int, seed: int) -> float:
    return 2.0 + 3.0 / math.sqrt(step) + 0.1 * (seed % 7)


def write_wandb(folder: Path, seeds: range, points: int) -> None:
    logs = [log for log in sorted(STORES.glob("wandb/*/*.wandb")) if wandb_log.read(log).status == "finished"]
    for seed in seeds:
        log = logs[seed % len(logs)]
        place = folder / f"offline-run-20260101_000000-r{seed}"
        place.mkdir(parents=True)
        shutil.copy(log, place / f"run-r{seed}.wandb")


def write_trainer(folder: Path, seeds: range, points: int) -> None:
    config = {"model_type": "gpt2", "n_layer": 2, "n_embd": 32, "n_positions": 64, "vocab_size": 100}
    for seed in seeds:
        place = folder / f"out-{seed}"
        place.mkdir(parents=True)
        rows = []
        for step in range(10, 10 * points + 1, 10):
            rows.append({"step": step, "epoch": step / 100, "loss": loss(step, seed), "learning_rate": 1e-3})
            rows.append({"step": step, "epoch": step / 100, "eval_loss": loss(step, seed), "eval_runtime": 0.1})
        rows.append({"step": 10 * points, "train_runtime": 5.0, "train_loss": 2.5, "total_flos": 1e9})
        state = {"global_step": 10 * points, "max_steps": 10 * points, "total_flos": 1e9, "log_history": rows}
        (place / "trainer_state.json").write_text(json.dumps(state, indent=2))
        (place / "config.json").write_text(json.dumps(config))


def write_tensorboard(folder: Path, seeds: range, points: int) -> None:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    for seed in seeds:
        place = folder / f"run-{seed}"
        place.mkdir(parents=True)
        with (place / f"events.out.tfevents.{1_700_000_000 + seed}.host.1.0").open("wb") as stream:
            writer = RecordWriter(stream)
            writer.write(Event(wall_time=1.7e9, file_version="brain.Event:2").SerializeToString())
            for step in range(10, 10 * points + 1, 10):
                for tag in ("train/loss", "eval/loss"):
                    value = Summary.Value(tag=tag, simple_value=loss(step, seed))
                    event = Event(step=step, wall_time=1.7e9 + step, summary=Summary(value=[value]))
                    writer.write(event.SerializeToString())


def write_mlflow(folder: Path, seeds: range, points: int) -> None:
    runs = sorted(p.parent for p in STORES.glob("mlflow/mlruns/*/*/meta.yaml") if "status: 3" in p.read_text())
    run = next(r for r in runs if "lifecycle_stage: active" in (r / "meta.yaml").read_text())
    (folder / "mlruns/1").mkdir(parents=True)
    for seed in seeds:
        place = folder / f"mlruns/1/{seed:032x}"
        shutil.copytree(run, place)
        lines = [f"1700000000000 {loss(s, seed)} {s}" for s in range(10, 10 * points + 1, 10)]
        (place / "metrics/val_loss").write_text("\n".join(lines) + "\n")


def write_sqlite(folder: Path, seeds: range, points: int) -> None:
    folder.mkdir(parents=True)
    with closing(sqlite3.connect(folder / "mlflow.db")) as base, base:
        base.executescript((STORES / "mlflow/mlflow.sql").read_text())
        base.execute("DELETE FROM runs")
        for seed in seeds:
            columns = "run_uuid, name, status, start_time, end_time, lifecycle_stage"
            base.execute(
                f"INSERT INTO runs ({columns}) VALUES (?, ?, 'FINISHED', 1, 1001, 'active')", (f"s{seed}", f"s{seed}")
            )
            base.execute("INSERT INTO params (key, value, run_uuid) VALUES ('n_params', '1000', ?)", (f"s{seed}",))
            columns = "key, value, timestamp, run_uuid, step, is_nan"
            base.executemany(
                f"INSERT INTO metrics ({columns}) VALUES ('val_loss', ?, ?, ?, ?, 0)",
                [(loss(s, seed), s, f"s{seed}", s) for s in range(10, 10 * points + 1, 10)],
            )


def write_lightning(folder: Path, seeds: range, points: int) -> None:
    for seed in seeds:
        place = folder / f"version_{seed}"
        place.mkdir(parents=True)
        lines = ["epoch,step,train_loss_step,val_loss"]
        for step in range(10, 10 * points + 1, 10):
            lines += [f"0,{step},{loss(step, seed)},", f"0,{step},,{loss(step, seed)}"]
        (place / "metrics.csv").write_text("\n".join(lines) + "\n")
        (place / "hparams.yaml").write_text(f"n_params: 1000\nbatch_size: 4\nseq_len: 32\nseed: {seed}\nlr: 0.001\n")


def write_csv(folder: Path, seeds: range, points: int) -> None:
    folder.mkdir(parents=True)
    for first in range(seeds.start, seeds.stop, 50):  # a chart of 50 runs, as W&B exports it
        part = range(first, min(first + 50, seeds.stop))
        lines = [",".join(['"Step"', *(f'"c{seed} - val/loss"' for seed in part)])]
        for step in range(10, 10 * points + 1, 10):
            lines.append(",".join([str(step), *(f"{loss(step, seed):.4f}" for seed in part)]))
        (folder / f"chart-{first}.csv").write_text("\n".join(lines) + "\n")


WRITERS = {
    "wandb": write_wandb, "trainer": write_trainer, "tensorboard": write_tensorboard, "mlflow": write_mlflow,
    "sqlite": write_sqlite, "lightning": write_lightning, "csv": write_csv,
}  # fmt: skip


def timed(folder: Path) -> tuple[float, float, int]:
    """Wall and CPU time of one collection [s], and its rows."""
    wall, cpu = time.perf_counter(), time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = sf.collect(folder)
    return time.perf_counter() - wall, time.process_time() - cpu, len(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--points", type=int, default=100, help="logged steps of a run (W&B's copies: 10)")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--out", default=str(Path(__file__).with_name("results") / "collecting.json"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root, result = Path(name), {"runs": arguments.runs, "points": arguments.points, "stores": {}}
        for store, part in PARTS.items():
            n = round(part * arguments.runs)
            WRITERS[store](root / store, range(n), arguments.points)
            wall, _, rows = timed(root / store)
            result["stores"][store] = {"runs": n, "rows": rows, "ms_per_run": round(1000 * wall / n, 2)}
            print(store, result["stores"][store], flush=True)
        if arguments.profile:
            profile = cProfile.Profile()
            profile.runcall(sf.collect, root)
            pstats.Stats(profile).sort_stats("tottime").print_stats(25)
            return
        wall, cpu, rows = timed(root)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        result |= {"rows": rows, "seconds": round(wall, 1), "cpu_seconds": round(cpu, 1), "peak_mb": round(peak)}
    Path(arguments.out).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
