"""Every item of the GPU queue runs at toy size on a CPU."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from scalefit.training import SweepConfig, load_config
from scalefit.training.data.corpus import open_corpus
from scalefit.training.models.counts import count_parameters
from scalefit.training.store import RunFolder

LONG = 10_000.0  # seconds that no item takes, on whatever machine
QUEUE = Path(__file__).parents[2] / "benchmarks" / "gpu_queue"
#: What a bare GPU image may lack.
BARE = ("pydantic", "pydantic_core", "pandas", "scipy", "matplotlib", "typer", "rich", "lmfit", "pooch", "pyarrow",
        "transformers", "tokenizers", "accelerate")  # fmt: skip
spec = importlib.util.spec_from_file_location("gpu_queue_run", QUEUE / "run.py")
queue = importlib.util.module_from_spec(spec)
spec.loader.exec_module(queue)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("item", [item for item in queue.ITEMS if item not in ("figure2", "figure3")])
def test_items_run(item: str, store: Path) -> None:
    assert queue.run_item(item, store / "out", store, LONG, toy=True) == "finished"
    check_files(store / "out")


@pytest.mark.parametrize("item", ["figure2", "figure3"])
def test_text_items_run(item: str, store: Path) -> None:
    folder = store / "text"
    folder.mkdir()
    for number in range(400):
        (folder / f"{number}.txt").write_text(f"{number} " * 60)
    assert queue.run_item(item, store / "out", store, LONG, str(folder), toy=True) == "finished"
    check_files(store / "out")


def test_the_smoke_says_what_differs(store: Path, monkeypatch) -> None:
    """A device that rounds otherwise passes or fails by how much; one that breaks is told of, and the rest goes on."""
    from scalefit.training import device_check

    original, calls = device_check._losses, 0

    def off(config, corpus, device):
        nonlocal calls
        calls += 1
        if config.model.family == "moe":
            raise RuntimeError("no kernel for this\nmore")
        losses = original(config, corpus, device)
        if config.model.family == "llama" and calls % 2:
            losses[1:] = [float("nan")] * (len(losses) - 1)
        return [loss + (0.01 if calls % 2 else 0.0) for loss in losses]

    monkeypatch.setattr(device_check, "_losses", off)
    found = {check.name: check for check in device_check.check_device("cpu", LONG, ("eager",), store)}
    assert found["gpt2, float32"].difference == pytest.approx(0.01) and not found["gpt2, float32"].passed
    assert found["llama, float32"].difference == float("inf") and not found["llama, float32"].passed
    assert "NOT  moe, float32: no kernel for this (" in str(found["moe, float32"])
    assert found["killed and resumed"].passed and found["killed and resumed"].difference == 0
    late = device_check.check_device("cpu", modes=("eager",), seconds=-1.0, store=store)
    assert [check.name for check in late] == list(found) and not any(check.passed for check in late)
    assert {check.failure for check in late} == {"left out, the time is up"}


def check_files(out: Path) -> None:
    """Few, small, not deep, and they say where they come from."""
    files = [path for path in out.rglob("*") if path.is_file()]
    assert 2 < len(files) <= 8 and all(path.stat().st_size < 16 * 2**20 for path in files)
    assert all(len(path.relative_to(out).parts) <= 2 for path in files)
    said = json.loads((out / "provenance.json").read_text())
    assert said["state"] == "finished" and said["torch"] and said["device"] and said["git"]


# the alarm may ring between opening a file and keeping it; in the queue the process ends there
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_sweep_stops_in_time_and_goes_on(store: Path) -> None:
    state = "time"
    for call in range(40):  # longer and longer, so that a busy machine only takes more calls
        state = queue.run_item("ladder", store / "out", store, 0.2 * 1.2**call, toy=True)
        if state == "finished":
            break
        assert state.startswith("time is up")
        assert (store / "out" / "runs.tar.gz").exists()
    assert state == "finished" and call > 0
    assert (store / "out" / "runs.csv").exists()
    # The alarm may ring in the midst of giving a lease back: what is left of it holds nothing.
    assert not any(RunFolder(path.parent).held_by_other() for path in (store / "runs").glob("*/lease"))


def test_another_machine_goes_on_from_what_was_carried(store: Path, tmp_path: Path, monkeypatch) -> None:
    assert queue.run_item("ladder", store / "out", store, LONG, toy=True) == "finished"
    elsewhere = tmp_path / "elsewhere"
    queue.unpack(store / "out" / "runs.tar.gz", elsewhere)
    monkeypatch.setattr("scalefit.training.sweeps.worker.train", None)  # nothing is left to train
    assert queue.run_item("ladder", elsewhere / "out", elsewhere, LONG, toy=True) == "finished"
    assert (elsewhere / "out" / "runs.csv").read_bytes() == (store / "out" / "runs.csv").read_bytes()


@pytest.mark.parametrize(
    "hidden",
    [
        ("typer", "transformers"),
        tuple(name for name in BARE if not name.startswith(("pydantic", "annotated", "typing"))),
    ],
)
def test_a_bare_image_runs_the_sweep(store: Path, hidden: tuple[str, ...]) -> None:
    code = (
        f"import sys\nclass Hide:\n def find_spec(self, name, *_):\n  if name.split('.')[0] in {hidden!r}: "
        "raise ModuleNotFoundError(name, name=name)\nsys.meta_path.insert(0, Hide())\n"
        "import importlib.util as u\nfind = u.find_spec\n"
        f"u.find_spec = lambda name, *a: None if name in {hidden!r} else find(name, *a)\n"
        f"sys.path.insert(0, {str(QUEUE)!r})\nimport run\nrun.main()\n"
    )
    arguments = ["ladder", "--toy", "--out", str(store / "out"), "--store", str(store)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)
    assert done.returncode == 0, done.stderr
    assert "ladder: finished" in done.stdout
    assert (store / "out" / "runs.csv").exists() == ("pandas" not in hidden)
    assert (store / "out" / "runs.tar.gz").stat().st_size > 1000


def test_the_corpora_of_the_real_configs_can_be_built(tmp_path: Path) -> None:
    configs = {name: queue.sweep_config(name) for name in ("ladder", "large")}
    (corpus,) = {item for config in configs.values() for item in config.corpora.values()}  # one, so built once
    built = open_corpus(replace(corpus, n_tokens=20_000), tmp_path)
    assert 0 < built.entropy(256) < np.log(corpus.n_states)
    for config in configs.values():
        assert config.runtime.dtype == "bfloat16"
        for size in config.sizes:  # at most four epochs, where repeated tokens are worth nearly new ones
            N = count_parameters(size.model, corpus.n_states).total
            assert max(config.ratios) * N < 4 * corpus.n_tokens


def test_the_wheels_are_those_that_the_project_names() -> None:
    import re
    import tomllib

    project = tomllib.loads((QUEUE.parents[1] / "pyproject.toml").read_text())["project"]
    named = [*project["dependencies"], *project["optional-dependencies"]["train"]]
    lines = [line for line in (QUEUE / "wheels.txt").read_text().splitlines() if line and line[0] != "#"]
    known = {re.split("[>=]", line)[0]: line for line in named}
    for line in lines:
        name = re.split("[>=]", line)[0]
        assert line in (known[name], name)
        importlib.metadata.version(name)
    assert {"numpy", "safetensors", "pydantic"} <= {re.split("[>=]", line)[0] for line in lines}


def test_the_configs_span_what_they_say() -> None:
    ladder, large = (load_config(QUEUE / f"{name}.toml", SweepConfig) for name in ("ladder", "large"))
    small = [count_parameters(size.model, 256).total for size in ladder.sizes]
    assert 0.15e6 < small[0] < 0.25e6 and 3e6 < small[-1] < 4e6 and small == sorted(small)
    assert [round(count_parameters(size.model, 256).total / 1e6) for size in large.sizes] == [11, 26]
    assert {*queue.ITEMS} == {*queue.GPU_SIZES, "smoke", "bench", "ladder", "large"}
