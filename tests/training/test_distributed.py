"""Two gloo processes give the run of one."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
from pathlib import Path

import pytest

from scalefit.errors import ArgumentError, DataError
from scalefit.training import loop
from scalefit.training.distributed import World
from scalefit.training.ending import ENDED
from scalefit.training.loop import train


@pytest.mark.parametrize("packing", ["stream", "line"])
def test_two_processes_equal_one(with_, store: Path, store_at, start, packing: str) -> None:
    config = with_(runtime={"device": "cpu"})
    if packing == "line":  # rows differ in length, so the processes see different numbers of scored tokens
        config = with_(
            corpus={"source": "question_formation", "tokenizer": "words", "packing": "line", "n_lines": 300},
            model={"T_max": 64}, runtime={"device": "cpu"},
        )  # fmt: skip
    single = train(config, store)
    other = store_at(store / "two")
    (store / "run.json").write_text(json.dumps(config.to_dict()))
    process = start(
        "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "scalefit",
        "train", store / "run.json", "--store", other, "--json", env={"PYTHONWARNINGS": "ignore"},
        stderr=subprocess.PIPE,
    )  # fmt: skip
    out, said = process.communicate()
    assert process.returncode == 0, said
    rows = json.loads(out)["rows"]
    assert [row["loss"] for row in rows] == pytest.approx([row["loss"] for row in single.rows], abs=2e-5)
    assert len(list((other / "runs").glob("*/result.json"))) == 1


def free_port() -> int:
    """A free port below those that the system gives to whoever asks for any, lest one is given it before it is used."""
    for port in range(20_000 + os.getpid() % 10_000, 32_000):
        with socket.socket() as found, contextlib.suppress(OSError):
            found.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


@pytest.mark.parametrize("status", [0, ENDED])
def test_no_thread_of_the_group_outlives_the_run(tiny, store: Path, start, status: int) -> None:
    """Nor one that SIGTERM ends: the first process to go would take the others down before they end as asked."""
    (store / "run.json").write_text(json.dumps({**tiny.to_dict(), "runtime": {"device": "cpu"}}))
    code = (
        "import json, os, pathlib, signal, sys, torch\ntorch.set_num_threads(1)\n"
        "from scalefit.training import RunConfig, loop, train\n"
        "step, status = loop._Run._step, 0\n"
        "def stepped(run, segment, number):\n"
        f"    if number == 5 and {status} and run.world.is_first: os.kill(os.getpid(), signal.SIGTERM)\n"
        "    step(run, segment, number)\n"
        "loop._Run._step = stepped\n"
        "try: train(RunConfig.from_dict(json.load(open(sys.argv[1]))), sys.argv[2])\n"
        "except SystemExit as end: status = end.code\n"
        "print(sorted(path.read_text().strip() for path in pathlib.Path('/proc/self/task').glob('*/comm')))\n"
        "sys.exit(status)\n"
    )
    common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    words = ("-W", "ignore", "-c", code, store / "run.json", store)
    ranks = [start(*words, env={**common, "RANK": rank, "LOCAL_RANK": rank}) for rank in ("0", "1")]
    for process in ranks:
        said = process.communicate()[0]
        assert process.returncode == status and said.startswith("['") and "gloo" not in said, said


def test_processes_part_in_order_where_the_run_is_already_there(tiny, store: Path, monkeypatch) -> None:
    record, left = train(tiny, store), []
    monkeypatch.setattr(World, "leave", lambda self: left.append(self))
    assert train(tiny, store).rows == record.rows and len(left) == 1


def test_out_of_memory_in_one_of_many_is_recorded_and_ends_them_all(tiny, store: Path, monkeypatch) -> None:
    def greedy(self, *_):
        raise RuntimeError("CUDA error: out of memory")

    alone = World(1, 2, __import__("torch").device("cpu"))  # not the first, which waits in a collective
    for name in ("barrier", "leave"):
        monkeypatch.setattr(World, name, lambda self: None)
    monkeypatch.setattr(World, "wrap", lambda self, model: model)
    monkeypatch.setattr(loop.distributed, "start", lambda device: alone)
    monkeypatch.setattr(loop._Run, "_step", greedy)
    with pytest.raises(DataError, match="Process 1 of 2 ran out of memory; the run is recorded as oom"):
        train(tiny, store)
    monkeypatch.undo()
    assert train(tiny, store).status == "oom"


def test_batch_that_does_not_divide_is_refused(with_, store: Path, monkeypatch) -> None:
    monkeypatch.setattr(loop.distributed, "start", lambda device: World(0, 3, __import__("torch").device("cpu")))
    monkeypatch.setattr(World, "barrier", lambda self: None)
    with pytest.raises(ArgumentError, match="3 processes"):
        train(with_(), store)


def test_each_process_touches_its_own_device_only(monkeypatch) -> None:
    """Anything put on plain "cuda" would open the first device in every process: half a gigabyte each."""
    import torch

    from scalefit.training import distributed

    touched: list[str] = []

    def put(*_, device):
        touched.append(str(device))
        return type("On", (), {"device": torch.device(device)})()

    monkeypatch.setenv("WORLD_SIZE", "8")
    monkeypatch.setenv("LOCAL_RANK", "3")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: touched.append(f"set {device}"))
    monkeypatch.setattr(torch, "empty", put)
    monkeypatch.setattr(distributed.dist, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed.dist, "get_rank", lambda: 3)
    for name in ("auto", "cuda"):
        touched.clear()
        assert distributed.start(name).device == torch.device("cuda:3")
        assert touched == ["set cuda:3", "cuda:3"]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)  # the scheduler shows each process its own
    assert distributed.start("auto").device == torch.device("cuda:0")
