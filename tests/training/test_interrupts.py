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

from scalefit.training.config import RuntimeConfig
from scalefit.training.rows import repeatable
from scalefit.training.sweeps.grid import LearningRateConfig, Sweep, SweepConfig
from scalefit.training.sweeps.run import sweep


@pytest.fixture
def long(grid: SweepConfig) -> SweepConfig:
    """Two sizes, each a run of some seconds."""
    runtime = RuntimeConfig(device="cpu", checkpoint_every=0.2)
    return replace(grid, tokens=(20_000, 100_000), lr=LearningRateConfig(grid=(1e-2,)), runtime=runtime)


def start(config: SweepConfig, store: Path, *words: str) -> subprocess.Popen[str]:
    """Start the sweep by the command line, and wait until a run has a checkpoint."""
    (store / "sweep.json").write_text(json.dumps(config.to_dict()))
    command = [sys.executable, "-m", "scalefit", "sweep", "run", str(store / "sweep.json"), "--store", str(store)]
    process = subprocess.Popen(
        [*command, *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background job's children ignore it
    )  # fmt: skip
    begun, deadline = False, time.monotonic() + 120
    while process.poll() is None and not begun and time.monotonic() < deadline:
        time.sleep(0.02)
        begun = any((store / "runs").glob("*/checkpoint.safetensors"))
    if process.poll() is not None or not begun:
        process.kill()
        raise AssertionError(process.communicate())
    return process


@pytest.mark.parametrize(("workers", "to"), [("1", "it"), ("2", "it"), ("2", "all")])
def test_an_interrupt_ends_a_sweep_and_its_workers(long: SweepConfig, store: Path, workers: str, to: str) -> None:
    """One that a terminal sends reaches all processes; one that is sent to the sweep alone ends its workers too."""
    process = start(long, store, "--workers", workers)
    begun = list((store / "runs").glob("*/checkpoint.safetensors"))
    os.killpg(process.pid, signal.SIGINT) if to == "all" else process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130 and said.strip().splitlines()[-1] == "scalefit: interrupted"
    assert "Traceback" not in said and not list((store / "runs").glob("*/lease"))
    assert all(path.exists() for path in begun)
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
