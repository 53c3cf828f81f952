"""Make the small stores of this folder with the real packages: pip install wandb mlflow-skinny sqlalchemy alembic.

Run as ``python make_stores.py FOLDER``, in an environment of its own; the tests need none of these packages.
"""

import json
import math
import os
import shutil
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path

os.environ |= {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "MLFLOW_DISABLE_TELEMETRY": "true"}
os.environ |= {"MLFLOW_ALLOW_FILE_STORE": "true", "WANDB_X_DISABLE_STATS": "true", "WANDB_DISABLE_GIT": "true"}
STEPS = range(10, 101, 10)


def loss(step: int, width: int) -> float:
    return 2.0 + 3.0 / math.sqrt(step) + 20.0 / width


def make_wandb(out: Path, scratch: Path) -> None:
    import wandb

    for seed, (width, code) in enumerate(((64, 0), (128, 0), (256, 1))):
        config = {"model": {"n_embd": width, "n_layer": 2, "block_size": 64, "vocab_size": 256}, "batch_size": 8}
        run = wandb.init(project="p", dir=scratch, name=f"w{width}", config={**config, "lr": 1e-3, "seed": seed})
        for step in STEPS:
            run.log({"train/loss": loss(step, width) - 0.1, "val/loss": loss(step, width)}, step=step)
        run.finish(exit_code=code)
    wandb.teardown()  # what writes the logs ends, so that they are whole
    for path in scratch.glob("wandb/offline-run-*/run-*.wandb"):
        folder = out / path.parent.name
        folder.mkdir(parents=True)
        shutil.copy(path, folder)


def make_mlflow(out: Path, scratch: Path) -> None:
    import mlflow

    for address in (f"file:{scratch}/mlruns", f"sqlite:///{scratch}/mlflow.db"):
        mlflow.set_tracking_uri(address)
        mlflow.set_experiment("scaling")
        for width, status in ((64, "FINISHED"), (128, "FINISHED"), (256, "FAILED"), (512, "FINISHED")):
            run = mlflow.start_run(run_name=f"w{width}")
            mlflow.log_params({"n_params": 1000 * width, "lr": 1e-3, "seed": width % 7})
            for step in STEPS:
                mlflow.log_metric("val_loss", loss(step, width), step=step)
                mlflow.log_metric("tokens_seen", 512 * step, step=step)
            mlflow.end_run(status)
            if width == 512:
                mlflow.delete_run(run.info.run_id)
    for run in (scratch / "mlruns").glob("*/*/tags"):
        shutil.rmtree(run)
    shutil.copytree(scratch / "mlruns", out / "mlruns", ignore=lambda _, names: {".trash"} & set(names))
    with closing(sqlite3.connect(scratch / "mlflow.db")) as base, base:
        kept = ("runs", "params", "metrics")
        lines = [line for line in base.iterdump() if any(line.startswith(_heads(name)) for name in kept)]
    (out / "mlflow.sql").write_text("\n".join(lines) + "\n")


def _heads(table: str) -> tuple[str, ...]:
    return (f"CREATE TABLE {table} ", f'CREATE TABLE "{table}" ', f'INSERT INTO "{table}" ')


if __name__ == "__main__":
    target = Path(sys.argv[1])
    for name, make in (("wandb", make_wandb), ("mlflow", make_mlflow)):
        shutil.rmtree(target / name, ignore_errors=True)
        (target / name).mkdir(parents=True)
        make(target / name, Path(tempfile.mkdtemp()))
    print(json.dumps(sorted(str(path) for path in target.rglob("*") if path.is_file())[:8]))
