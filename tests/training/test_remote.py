"""Stores behind an address: a machine that never saw a run finds it finished, or goes on from its checkpoint."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from scalefit.errors import ArgumentError
from scalefit.training import loop, remote
from scalefit.training.config import RunConfig
from scalefit.training.experiments import run_experiment
from scalefit.training.loop import train
from scalefit.training.remote import RemoteStore, open_store
from scalefit.training.rows import MEASURED, repeatable
from scalefit.training.store import Store, StoreError
from scalefit.training.sweeps.grid import Sweep, SweepConfig
from scalefit.training.sweeps.run import sweep
from scalefit.training.trained import load_trained

fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed")


@pytest.fixture(params=["memory", "file"])
def address(request, tmp_path: Path) -> str:
    if request.param == "file":
        return f"file://{tmp_path}/bucket/runs"
    fsspec.filesystem("memory").store.clear()
    return "memory://bucket/runs"


@pytest.fixture
def machine(tmp_path: Path, store_at, address: str, monkeypatch):
    """Move to another machine: a scratch folder of its own, with the corpora built."""

    def move(name: str) -> RemoteStore:
        monkeypatch.setenv("SCALEFIT_SCRATCH", str(tmp_path / name))
        store = open_store(address)
        assert isinstance(store, RemoteStore)
        store_at(store.root)
        return store

    return move


def test_what_one_machine_finished_another_reads(with_, store: Path, address: str, machine, monkeypatch) -> None:
    config = with_(runtime={"keep_weights": True})
    machine("one")
    record = train(config, address)
    assert repeatable(record.rows) == repeatable(train(config, store).rows)
    there = machine("two")
    monkeypatch.setattr(loop, "_Run", None)  # nothing is trained
    assert train(config, address) == record
    assert load_trained(config, address).loss(tokens=2_000)[0] == pytest.approx(record.loss, abs=1e-6)
    left = {str(path).rpartition("/")[2] for path in there.files.find(there.base)}
    assert left == {"config.json", "provenance.json", "curve.jsonl", "result.json", "weights.safetensors"}


def test_another_machine_goes_on_from_a_checkpoint(with_, store: Path, address: str, machine, interrupt_at) -> None:
    config = with_(runtime={"checkpoint_every": 0.0})
    begun = interrupt_at(30)
    machine("one")
    with pytest.raises(KeyboardInterrupt):
        train(config, address)
    machine("two")
    begun.clear()
    record, resumed = train(config, address), list(begun)
    begun.clear()
    straight = train(config, store)
    assert resumed == begun[29:]  # it did not begin again
    assert repeatable(record.rows) == repeatable(straight.rows) and record.curve == straight.curve


def test_one_of_two_machines_takes_a_run(tiny: RunConfig, address: str, machine, monkeypatch) -> None:
    first = machine("one").folder("abc")
    assert first.acquire() and first.renew()
    second = machine("two").folder("abc")
    assert second.held_by_other() and not second.acquire()
    assert not (second.path / "lease").exists()  # nor does it keep one here
    first.release()
    assert not second.held_by_other() and second.acquire()
    assert not first.renew() and second.renew()
    second.release()


def test_a_silent_machine_loses_its_run(address: str, machine) -> None:
    store = machine("one")
    folder = store.folder("abc")
    for age, free in ((10.0, False), (1_000.0, True)):
        foreign = {"host": "elsewhere", "pid": 1, "boot": "b", "time": time.time() - age}
        store.write_text("runs/abc/lease", json.dumps(foreign))
        assert folder.held_by_other() != free and folder.acquire() == free
    assert folder.renew()
    store.write_text("runs/abc/lease", json.dumps(foreign))
    assert not folder.renew()
    folder.release()
    assert store.has("runs/abc/lease")  # another's lease stays


class Worker:
    """One machine's hold on a run, with a name of its own; `between` is called before its n-th look at the store."""

    def __init__(self, store: RemoteStore, name: str, monkeypatch) -> None:
        self.folder, self.name, self.monkeypatch = store.folder("abc"), name, monkeypatch
        self.looks, self.at, self.between = 0, -1, lambda: None
        for operation in ("has", "read_text", "write_text", "remove"):
            monkeypatch.setattr(store, operation, self._counted(getattr(store, operation)))

    def _counted(self, original):
        def counted(*arguments, **named):
            self.looks += 1
            if self.looks == self.at:
                self.between()
            self._be()
            return original(*arguments, **named)

        return counted

    def _be(self) -> None:
        self.monkeypatch.setattr(remote, "owner", lambda: {"host": self.name, "pid": 1, "boot": ""})

    def acquire(self) -> bool:
        self._be()
        return self.folder.acquire()

    def renew(self) -> bool:
        self._be()
        return self.folder.renew()


@pytest.mark.parametrize(("dead", "at"), [(False, 1), (False, 2), *((True, at) for at in range(1, 7))])
def test_a_lease_is_taken_once_whoever_comes_between(address: str, machine, monkeypatch, dead: bool, at: int) -> None:
    """Another worker takes the run whole before any one of the looks of the first."""
    stores = [machine("one"), machine("two")]
    if dead:
        silent = {"host": "elsewhere", "pid": 1, "boot": "b", "time": time.time() - 1_000.0}
        stores[0].write_text("runs/abc/lease", json.dumps(silent))
    first, second = (Worker(store, name, monkeypatch) for store, name in zip(stores, ("one", "two"), strict=True))
    got = []
    first.at, first.between = at, lambda: got.append(second.acquire())
    got.append(first.acquire())
    first.between = lambda: None
    # both where the second comes before the removal: the one gap, that no store can close
    assert len(got) == 2 and sum(got) == (2 if dead and at == 4 else 1)
    assert [worker.renew() for worker in (first, second)].count(True) == 1  # and it shows
    for worker in (first, second):
        worker._be()
        worker.folder.release()
    assert not stores[0].has("runs/abc/lease")


def test_a_checkpoint_that_cannot_be_fetched_leaves_no_lease(address: str, machine, monkeypatch) -> None:
    store = machine("one")
    store.write_text("runs/abc/checkpoint.safetensors", "a checkpoint")

    def away(name: str) -> bool:
        raise ConnectionError("no route to host")

    folder = store.folder("abc")
    monkeypatch.setattr(store, "get", away)
    with pytest.raises(StoreError, match="no route to host"):
        folder.acquire()
    assert not store.has("runs/abc/lease") and not (folder.path / "lease").exists() and remote._HELD == set()


def test_a_network_that_is_away_costs_no_run(with_, address: str, machine, monkeypatch, caplog) -> None:
    store = machine("one")
    original = type(store.files).put_file

    def away(self, local, target, *arguments, **named):
        if "checkpoint" in str(target):
            raise ConnectionError("no route to host")
        return original(self, local, target, *arguments, **named)

    monkeypatch.setattr(type(store.files), "put_file", away)
    assert train(with_(runtime={"checkpoint_every": 0.0}), address).status == "finished"
    assert "stays on this machine" in caplog.text and "no route to host" in caplog.text


def test_a_sweep_runs_from_anywhere(grid: SweepConfig, store: Path, address: str, machine) -> None:
    there = machine("one")
    table = sweep(grid, address)
    pd.testing.assert_frame_equal(table.drop(columns=[*MEASURED]), sweep(grid, store).drop(columns=[*MEASURED]))
    names = {str(path).rpartition("/")[2] for path in there.files.find(f"{there.base}/tables")}
    assert names == {"runs.csv", "lr_probes.csv", "curves.csv.gz", "METHODS.md"}
    machine("two")
    found = Sweep.load(address)
    assert [found.folder(job).finished for job in found.jobs()] == [True] * 4  # a probe and a run of each size


#: A worker of a sweep that notes each run that it takes up, and at which step; "one" is killed within its second run.
#: Each waits for the other, so that both hold a run at the same time.
WORKER = """
import os, signal, sys, time
from pathlib import Path
from scalefit.training import SweepConfig, load_config, loop, sweep
config, address, notes, name = sys.argv[1:]
resume, step = loop._Run._resume, loop._Run._step

def told(who):
    path = Path(notes, who)
    return path.read_text().splitlines() if path.exists() else []

def wait_for(who, n_runs):
    deadline = time.monotonic() + 500
    while len(told(who)) < n_runs:
        assert time.monotonic() < deadline, f"{who} never took up {n_runs} runs"
        time.sleep(0.01)

def resumed(run):
    resume(run)
    with open(Path(notes, name), "a") as out:
        out.write(f"{run.run_id} {max(run.position[1], 0)}\\n")

def stepped(run, segment, number):
    if name == "two":
        wait_for("one", 2)
    elif len(told("one")) == 1:
        wait_for("two", 1)
    elif number == 8:
        os.kill(os.getpid(), signal.SIGKILL)
    step(run, segment, number)

loop._Run._resume, loop._Run._step = resumed, stepped
sweep(load_config(config, SweepConfig), address)
"""


def test_workers_of_two_machines_share_a_sweep(grid: SweepConfig, tmp_path: Path, store: Path, start) -> None:
    """Two processes, each with a scratch folder of its own: every run is trained once, though one of them is killed."""
    address = f"file://{tmp_path}/bucket"
    config = replace(grid, runtime=replace(grid.runtime, checkpoint_every=0.0))
    (tmp_path / "sweep.json").write_text(json.dumps(config.to_dict()))
    (tmp_path / "notes").mkdir()
    workers = []
    for name in ("one", "two"):
        words = ("-c", WORKER, tmp_path / "sweep.json", address, tmp_path / "notes", name)
        scratch = {"SCALEFIT_SCRATCH": str(tmp_path / name)}
        workers.append(start(*words, env=scratch, stderr=subprocess.PIPE))
    said = [worker.communicate()[1] for worker in workers]
    assert [worker.returncode for worker in workers] == [-signal.SIGKILL, 0], said
    one, two = (
        [line.split() for line in (tmp_path / "notes" / name).read_text().splitlines()] for name in ("one", "two")
    )
    (first, _), (killed, _) = one
    runs = {job.run_id for job in Sweep.load(address).jobs()}
    assert len(runs) == 4 and sorted(run for run, _ in two) == sorted(runs - {first})
    assert {run: step for run, step in two if step != "0"} == {killed: "8"}  # it went on where the dead one was
    found = pd.read_csv(tmp_path / "bucket" / "tables" / "toy" / "runs.csv")
    assert found["loss"].tolist() == pytest.approx(sweep(config, store)["loss"].tolist(), abs=1e-6)
    assert not list((tmp_path / "bucket").rglob("lease"))


def test_addresses_that_cannot_be_used_are_one_clear_error(tiny: RunConfig, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="nosuch://bucket cannot be used"):
        train(tiny, "nosuch://bucket")
    with pytest.raises(ArgumentError, match="memory://bucket"):
        run_experiment("memoriser", "tiny", tmp_path, "memory://bucket")
    assert type(open_store(tmp_path)) is Store and open_store(open_store(tmp_path)).root == tmp_path
    assert remote._HELD == set()
