"""SIGINT and SIGTERM in a sweep: it ends at once with a code that says so, and nothing finished is lost or repeated."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from scalefit.training import checkpoint
from scalefit.training.config import RuntimeConfig
from scalefit.training.rows import repeatable
from scalefit.training.sweeps.grid import LearningRateConfig, Sweep, SweepConfig
from scalefit.training.sweeps.run import sweep

#: The command line, each of whose training steps takes long, so that no signal comes too late.
SLOWLY = """
import time
from scalefit.cli import main
from scalefit.training import loop
step = loop._Run._step

def slowly(run, *arguments):
    time.sleep(0.1)
    step(run, *arguments)

loop._Run._step = slowly
main()
"""


@pytest.fixture
def runs(grid: SweepConfig) -> SweepConfig:
    """Two sizes, a run each."""
    runtime = RuntimeConfig(device="cpu", checkpoint_every=0.2)
    return replace(grid, tokens=(5_000, 20_000), lr=LearningRateConfig(grid=(1e-2,)), runtime=runtime)


@pytest.fixture
def started(store: Path, start):
    """Start a sweep by the command line, and wait until a run has a checkpoint; the process, and its checkpoints."""

    def run(config: SweepConfig, *words: str, program=("-m", "scalefit")) -> tuple[subprocess.Popen[str], list[Path]]:
        (store / "sweep.json").write_text(json.dumps(config.to_dict()))
        command = (*program, "sweep", "run", store / "sweep.json", "--store", store)
        process = start(*command, *words, stderr=subprocess.PIPE, start_new_session=True)
        found = []
        while not found:
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
            found = list((store / "runs").glob("*/checkpoint.safetensors"))
        return process, found

    return run


@pytest.mark.parametrize(("workers", "to"), [("1", "it"), ("2", "it"), ("2", "all")])
def test_an_interrupt_ends_a_sweep_and_its_workers(
    runs: SweepConfig, store: Path, started, workers: str, to: str
) -> None:
    """One that a terminal sends reaches all processes; one that is sent to the sweep alone ends its workers too."""
    endless = replace(runs, tokens=(5_000, 20_000_000))
    process, saved = started(endless, "--workers", workers)
    os.killpg(process.pid, signal.SIGINT) if to == "all" else process.send_signal(signal.SIGINT)
    said = process.communicate()[1]
    assert process.returncode == 130 and said.strip().splitlines()[-1] == "scalefit: interrupted"
    assert "Traceback" not in said and not list((store / "runs").glob("*/lease"))
    assert set(saved) <= set((store / "runs").glob("*/checkpoint.safetensors"))
    assert not list((store / "runs").glob("*/result.json"))
    deadline = time.monotonic() + 30
    with pytest.raises(ProcessLookupError):  # nothing of it is left, once the workers that have ended are cleared away
        while time.monotonic() < deadline:
            os.killpg(process.pid, 0)
            time.sleep(0.05)


def test_a_sweep_that_was_asked_to_end_goes_on(runs: SweepConfig, store: Path, started, store_at, begun) -> None:
    process, saved = started(runs, program=("-c", SLOWLY))
    process.terminate()
    process.communicate()
    assert process.returncode == 143
    assert list((store / "runs").glob("*/checkpoint.safetensors")) == saved
    assert not list((store / "runs").glob("*/lease"))
    (left,) = saved
    index, step = checkpoint.read(left, left.parent.name)[1]["position"]
    sweep(runs, store)
    resumed, straight = list(begun), store_at(store / "straight")
    begun.clear()
    sweep(runs, straight)
    segments = list(dict.fromkeys(segment for segment, _ in begun))
    done = sum(segment.end - segment.begin for segment in segments[:index]) + max(step - segments[index].begin, 0)
    assert 0 < done < len(begun) and resumed == begun[done:]
    ours, theirs = (
        [row for _, record in Sweep.load(place).records() for row in record.rows] for place in (store, straight)
    )
    assert repeatable(ours) == repeatable(theirs)
