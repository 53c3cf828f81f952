"""SIGINT and SIGTERM in a sweep: it ends at once with a code that says so, and nothing finished is lost or repeated."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from scalefit.training.config import EvaluationConfig, ModelConfig, OptimizerConfig, RunConfig, RuntimeConfig
from scalefit.training.rows import repeatable
from scalefit.training.sweeps.grid import LearningRateConfig, SizeConfig, Sweep, SweepConfig
from scalefit.training.sweeps.run import sweep


@pytest.fixture
def long(tiny: RunConfig) -> SweepConfig:
    """Two sizes, each a run of some seconds."""
    return SweepConfig(
        name="long",
        corpora={"markov": tiny.corpus},
        sizes=tuple(SizeConfig(model=ModelConfig(n_layers=1, d_emb=d, n_heads=1, T_max=32)) for d in (8, 16)),
        tokens=(20_000, 100_000),
        lr=LearningRateConfig(grid=(1e-2,)),
        optimizer=OptimizerConfig(batch_size=8),
        evaluation=EvaluationConfig(tokens=1_000, curve_points=8),
        runtime=RuntimeConfig(device="cpu", checkpoint_every=0.2),
    )


def start(config: SweepConfig, store: Path, *words: str) -> subprocess.Popen[str]:
    """Start the sweep by the command line, and wait until a run has a checkpoint."""
    (store / "sweep.json").write_text(json.dumps(config.to_dict()))
    command = [sys.executable, "-m", "scalefit", "sweep", "run", str(store / "sweep.json"), "--store", str(store)]
    process = subprocess.Popen(
        [*command, *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background job's children ignore it
    )  # fmt: skip
    while process.poll() is None and not list((store / "runs").glob("*/checkpoint.safetensors")):
        time.sleep(0.02)
    assert process.poll() is None, process.communicate()
    return process


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_interrupt_ends_a_sweep_and_its_workers(long: SweepConfig, store: Path, workers: str) -> None:
    process = start(long, store, "--workers", workers)
    os.killpg(process.pid, signal.SIGINT) if workers == "2" else process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130 and said.strip().splitlines()[-1] == "scalefit: interrupted"
    assert "Traceback" not in said
    assert not list((store / "runs").glob("*/result.json"))
    with pytest.raises(ProcessLookupError):  # nothing of it is left
        os.killpg(process.pid, 0)


def test_a_sweep_that_was_asked_to_end_goes_on(long: SweepConfig, store: Path, tmp_path: Path) -> None:
    process = start(long, store)
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 143
    (left,) = (store / "runs").glob("*/checkpoint.safetensors")
    assert left.exists() and not list((store / "runs").glob("*/lease"))
    straight = tmp_path / "straight"
    straight.mkdir()
    (straight / "corpora").symlink_to(store / "corpora")
    sweep(long, store)
    sweep(replace(long), straight)
    ours, theirs = (
        [row for _, record in Sweep.load(place).records() for row in record.rows] for place in (store, straight)
    )
    assert repeatable(ours) == repeatable(theirs)
