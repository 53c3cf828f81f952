"""Every item of the GPU queue runs at toy size on a CPU."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from scalefit.training import SweepConfig, load_config
from scalefit.training.models.counts import count_parameters

QUEUE = Path(__file__).parents[2] / "benchmarks" / "gpu_queue"
spec = importlib.util.spec_from_file_location("gpu_queue_run", QUEUE / "run.py")
queue = importlib.util.module_from_spec(spec)
spec.loader.exec_module(queue)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("item", [item for item in queue.ITEMS if item not in ("figure2", "figure3")])
def test_items_run(item: str, store: Path) -> None:
    assert queue.run_item(item, store / "out", store, 100.0, None, toy=True) == "finished"
    assert [path for path in (store / "out").rglob("*") if path.is_file()]


@pytest.mark.parametrize("item", ["figure2", "figure3"])
def test_text_items_run(item: str, store: Path) -> None:
    folder = store / "text"
    folder.mkdir()
    for number in range(400):
        (folder / f"{number}.txt").write_text(f"{number} " * 60)
    assert queue.run_item(item, store / "out", store, 100.0, str(folder), toy=True) == "finished"


def test_a_sweep_stops_in_time_and_goes_on(store: Path) -> None:
    state = "time"
    for _ in range(30):
        state = queue.run_item("ladder", store / "out", store, 0.3, None, toy=True)
        if state == "finished":
            break
    assert state == "finished"
    assert (store / "out" / "gpu_ladder" / "runs.csv").exists()


def test_the_configs_span_what_they_say() -> None:
    ladder, large = (load_config(QUEUE / f"{name}.toml", SweepConfig) for name in ("ladder", "large"))
    small = [count_parameters(size.model, 1024).total for size in ladder.sizes]
    assert 0.15e6 < small[0] < 0.25e6 and 3e6 < small[-1] < 4e6 and small == sorted(small)
    assert [round(count_parameters(size.model, 1024).non_embedding / 1e6) for size in large.sizes] == [11, 25]
    assert all(item in queue.GPU_SIZES or item in ("bench", "ladder", "large") for item in queue.ITEMS)
