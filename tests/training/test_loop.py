"""The loop: idempotent, resumable to the bit, honest about failure."""

from __future__ import annotations

import io
import itertools
import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from scalefit.errors import ArgumentError, DataError
from scalefit.training import checkpoint, loop
from scalefit.training.config import ModelConfig, RunConfig, ScheduleConfig
from scalefit.training.ending import ENDED
from scalefit.training.loop import train
from scalefit.training.losses import LossRecord
from scalefit.training.models.decoder import Decoder
from scalefit.training.optimizer import FlatAdamW, Settings
from scalefit.training.progress import TrainingProgress, run_plan
from scalefit.training.rows import repeatable
from scalefit.training.segments import make_path


def test_adamw_equals_torch() -> None:
    torch.manual_seed(0)
    ours, theirs = (Decoder(ModelConfig(n_layers=1, d_emb=16, T_max=8), 20) for _ in range(2))
    flat = FlatAdamW(ours, [1e-2], Settings(0.9, 0.95, 1e-8, 0.1, clip=0.5))
    matrices = [p for name, p in theirs.named_parameters() if theirs.decays(name, p)]
    vectors = [p for name, p in theirs.named_parameters() if not theirs.decays(name, p)]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    reference = torch.optim.AdamW(groups, lr=1e-2, betas=(0.9, 0.95), eps=1e-8)
    for step in range(1, 6):
        ids = torch.randint(0, 20, (4, 9))
        flat.zero_grad()
        ours(ids[:, :-1], ids[:, 1:]).mean().backward()
        flat.step(step, 1.0)
        reference.zero_grad()
        theirs(ids[:, :-1], ids[:, 1:]).mean().backward()
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), 0.5)
        reference.step()
    for (name, a), b in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        if name.endswith("qkv.bias"):  # a key bias has no gradient but rounding, which Adam divides by itself
            a, b = (torch.cat(p.detach().chunk(3, dim=-1)[::2]) for p in (a, b))
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("seeds", "momentum"), [((0,), None), ((0, 1), None), ((0, 1), 0.9)])
def test_gradients_that_stay_in_place_change_nothing(seeds: tuple[int, ...], momentum: float | None) -> None:
    ids, weights = torch.randint(0, 20, (4, 9)), []
    for in_place in (False, True):
        model = Decoder(ModelConfig(n_layers=1, d_emb=16, T_max=8), 20, seeds)
        idle = model.register_parameter("idle", torch.nn.Parameter(torch.ones(len(seeds), 3)))
        assert idle is None
        flat = FlatAdamW(model, [1e-2] * len(seeds), Settings(0.9, 0.95, 1e-8, 0.1, clip=0.5, momentum=momentum))
        places = set()
        for step in range(1, 4):
            flat.zero_grad(in_place)
            assert in_place or all(parameter.grad is None for parameter in model.parameters())
            for _ in range(2):
                model(ids[:, :-1], ids[:, 1:]).mean().backward()
            flat.step(step, 1.0)
            places.add(tuple(parameter.grad.data_ptr() for parameter in model.parameters()))
        assert not in_place or len(places) == 1  # what a CUDA graph needs
        assert torch.equal(model.idle, torch.ones(len(seeds), 3))
        weights.append(flat.weights.clone())
    assert torch.equal(*weights)


def test_training_again_returns_the_same_record(tiny: RunConfig, store: Path, monkeypatch) -> None:
    first = train(tiny, store)
    assert first.status == "finished" and len(first.rows) == 2
    assert first.loss < math.log(32)
    monkeypatch.setattr(loop, "_Run", None)  # any training would fail now
    assert train(tiny, store) == first


def test_rows_have_what_a_fit_reads(tiny: RunConfig, store: Path) -> None:
    row = train(tiny, store).rows[-1]
    wanted = "N D C loss series unique_tokens status seed lr N_non_embedding n_layers d_emb T_max loss_se kind"
    assert {*wanted.split(), "trunk_id", "H_data", "run_id", "bits_per_byte"} <= set(row)
    assert row["C"] == pytest.approx(6 * row["N"] * row["D"])
    assert row["D"] == 39 * 8 * 32 and row["kind"] == "branch"
    assert row["H_data"] < row["loss"]


@pytest.mark.parametrize("change", [{}, {"seeds": (0, 1)}, {"model": {"dropout": 0.1}}])
def test_resumed_run_is_bitwise_the_uninterrupted_one(
    with_, store: Path, store_at, change, begun, interrupt_at
) -> None:
    """Stopped wherever in the walk that is, and started again from the files."""
    config = with_(runtime={"checkpoint_every": 0.0}, **change)  # a checkpoint after every step
    straight = train(config, store_at(store / "other"))
    whole, done = list(begun), 0
    for n in (8, 19, 4):
        interrupt_at(n)
        with pytest.raises(KeyboardInterrupt):
            train(config, store)
        assert begun == whole[done : done + n]
        done += n - 1
    begun.clear()
    resumed = train(config, store)
    assert begun == whole[done:]  # what was done is not done again
    assert repeatable(resumed.rows) == repeatable(straight.rows)
    assert resumed.curve == straight.curve


#: Trains a run; from its n-th step on this process has so many seconds of work left to live, and nobody to tell it.
MORTAL = """
import json, signal, sys, torch
from scalefit.training import RunConfig, loop, train
torch.set_num_threads(1)
config, store, n, seconds = sys.argv[1:]
step, begun = loop._Run._step, []

def stepped(run, *arguments):
    begun.append(arguments)
    if len(begun) == int(n):
        signal.setitimer(signal.ITIMER_PROF, float(seconds))  # of the processor: a busy machine takes none of them
    step(run, *arguments)

loop._Run._step = stepped
train(RunConfig.from_dict(json.load(open(config))), store)
"""


def test_killed_at_any_moment_it_resumes_to_the_same_curve(with_, store: Path, store_at, start, begun) -> None:
    config = with_(schedule={"tokens": (20_000, 100_000)}, evaluation={"curve_points": 40})
    straight = train(config, store_at(store / "other"))
    whole = list(begun)
    path = store / "config.json"
    often = replace(config, runtime=replace(config.runtime, checkpoint_every=0.0))
    path.write_text(json.dumps(often.to_dict()))
    for seconds in (0.001, 0.01, 0.03):
        process = start("-c", MORTAL, path, store, 20, seconds)
        assert process.wait() == -signal.SIGPROF  # which, unhandled, ends a process as SIGKILL does
    begun.clear()
    resumed = train(config, store)
    done = len(whole) - len(begun)
    assert begun == whole[done:] and 3 * 19 <= done < len(whole)
    assert repeatable(resumed.rows) == repeatable(straight.rows) and resumed.curve == straight.curve


def test_ensemble_equals_single_runs(with_, store: Path) -> None:
    together = train(with_(seeds=(0, 1, 2)), store)
    for seed in range(3):
        single = train(with_(seeds=(seed,)), store)
        ours = [row["loss"] for row in together.rows if row["seed"] == seed]
        np.testing.assert_allclose(ours, [row["loss"] for row in single.rows], rtol=1e-4)


def test_members_with_other_rates_equal_single_runs(with_, store: Path) -> None:
    together = train(with_(optimizer={"lr": (3e-3, 1e-2)}), store)
    for lr in (3e-3, 1e-2):
        single = train(with_(optimizer={"lr": lr}), store)
        ours = [row["loss"] for row in together.rows if row["lr"] == lr]
        np.testing.assert_allclose(ours, [row["loss"] for row in single.rows], rtol=1e-4)


def test_branch_equals_a_run_of_its_own(tiny: RunConfig, with_, store: Path) -> None:
    both = train(with_(schedule={"warmup": 1000}), store)
    alone = train(with_(schedule={"warmup": 1000, "tokens": (10_000,)}), store)
    assert both.rows[-1]["loss"] == alone.rows[-1]["loss"]


def test_micro_batches_give_the_same_run(with_, store: Path, store_at) -> None:
    whole = train(with_(), store)
    parts = train(with_(runtime={"micro_batch": 3}), store_at(store / "b"))
    np.testing.assert_allclose([row["loss"] for row in parts.rows], [row["loss"] for row in whole.rows], rtol=1e-4)


@pytest.mark.filterwarnings("ignore:overflow")
def test_divergence_ends_as_a_status(with_, store: Path) -> None:
    record = train(with_(optimizer={"lr": (1e-2, 9.0), "clip": 1e6}, schedule={"warmup": 0}), store)
    status = {row["lr"]: row["status"] for row in record.rows}
    assert status[1e-2] == "finished" and status[9.0] in ("diverged", "nan")
    assert record.status == status[9.0]
    assert len(record.rows) == 4


def test_nan_ends_as_a_status(tiny: RunConfig, store: Path, monkeypatch) -> None:
    original = Decoder.forward

    def broken(self, ids, targets=None, taps=()):
        return original(self, ids, targets, taps) * float("nan")

    monkeypatch.setattr(Decoder, "forward", broken)
    record = train(tiny, store)
    assert record.status == "nan" and math.isnan(record.loss)
    assert train(tiny, store).status == "nan"


def test_out_of_memory_ends_as_a_status(tiny: RunConfig, store: Path, monkeypatch) -> None:
    def greedy(self, *_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(loop._Run, "_step", greedy)
    record = train(tiny, store)
    assert record.status == "oom" and {row["status"] for row in record.rows} == {"oom"}


def test_a_host_without_memory_ends_as_a_status(with_, store: Path) -> None:
    config = with_(model={"d_emb": 1024}, optimizer={"batch_size": 1024}, schedule={"tokens": (100_000,)})
    (store / "run.json").write_text(json.dumps(config.to_dict()))
    code = (
        "import json, resource, sys, torch\ntorch.set_num_threads(1)\nfrom scalefit.training import RunConfig, train\n"
        "config = RunConfig.from_dict(json.load(open(sys.argv[1])))\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 400 * 2**20,) * 2)\n"
        "print(train(config, sys.argv[2]).status)\n"
    )
    command = [sys.executable, "-c", code, str(store / "run.json"), str(store)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.stdout == "oom\n", done.stderr
    record = train(config, store)
    assert record.status == "oom" and [row["status"] for row in record.rows] == ["oom"]


def test_other_errors_are_not_hidden(tiny: RunConfig, store: Path, monkeypatch) -> None:
    def wrong(self, *_):
        raise RuntimeError("a bug")

    monkeypatch.setattr(loop._Run, "_step", wrong)
    with pytest.raises(RuntimeError, match="a bug"):
        train(tiny, store)


def test_a_held_run_is_left_alone(tiny: RunConfig, store: Path) -> None:
    from scalefit.training.data.corpus import open_corpus
    from scalefit.training.store import RunFolder

    run_id = tiny.run_id(open_corpus(tiny.corpus, store / "corpora").sha)
    folder = RunFolder(store / "runs" / run_id)
    folder.path.mkdir(parents=True)
    (folder.path / "lease").write_text('{"host": "elsewhere", "pid": 1, "boot": "x"}')
    with pytest.raises(DataError, match="Another worker"):
        train(tiny, store)
    os.utime(folder.path / "lease", (0, 0))  # silent for years
    assert train(tiny, store).status == "finished"


def test_device_that_is_not_there(with_, store: Path) -> None:
    with pytest.raises(ArgumentError, match="device"):
        train(with_(runtime={"device": "nonsense"}), store)


def test_rates_along_the_schedules() -> None:
    wsd = make_path(ScheduleConfig(tokens=(100,), warmup=10, cooldown=0.2), 1, 10**6)
    rates = [wsd.multiplier(segment, step) for segment in wsd.segments for step in range(segment.begin, segment.end)]
    assert rates[0] == 0.1 and max(rates) == 1.0 and rates[79] == 1.0 and rates[-1] < 0.02
    assert np.all(np.diff(rates[80:]) < 0)
    cosine = make_path(ScheduleConfig(kind="cosine", tokens=(100,), warmup=10, final=0.1), 1, 10**6)
    rates = [cosine.multiplier(cosine.segments[0], step) for step in range(100)]
    assert rates[-1] == pytest.approx(0.1, abs=1e-3) and np.argmax(rates) == 9


def test_cosine_refuses_points_inside_a_decay() -> None:
    with pytest.raises(ArgumentError, match="wsd"):
        ScheduleConfig(kind="cosine", tokens=(100, 200))


def test_bfloat16_trains_to_about_the_same_loss(tiny: RunConfig, with_, store: Path) -> None:
    half = train(with_(runtime={"dtype": "bfloat16"}), store)
    assert half.run_id != train(tiny, store).run_id
    assert half.loss == pytest.approx(train(tiny, store).loss, abs=0.05)


def test_replaced_runtime_is_the_same_run(tiny: RunConfig) -> None:
    moved = replace(tiny, runtime=replace(tiny.runtime, device="cpu", checkpoint_every=1.0))
    assert moved.run_id("sha") == tiny.run_id("sha")


def test_one_spike_is_not_divergence() -> None:
    losses = LossRecord(2)
    spike, climb = [3.0] * 20 + [9.0] + [3.0] * 20, [3.0] * 20 + [9.0] * 21
    for pair in zip(spike, climb, strict=True):
        losses.add(torch.tensor(pair))
    assert losses.status == ["finished", "diverged"]


def test_a_run_killed_at_the_end_of_a_segment_keeps_the_record_of_its_last_step(
    with_, store: Path, store_at, begun, monkeypatch
):
    """The record holds the gradient norm of a step that a checkpoint behind it would not repeat."""
    config = with_(runtime={"checkpoint_every": 0.0})
    other = store_at(store / "killed")
    straight = train(config, store)
    n_steps = len(begun)
    begun.clear()
    original, killed = loop._Run._finish, set()

    def dies_once(self, segment):
        if segment not in killed:
            killed.add(segment)
            raise KeyboardInterrupt
        original(self, segment)

    monkeypatch.setattr(loop._Run, "_finish", dies_once)
    for _ in range(4):  # two trunks and two branches
        with pytest.raises(KeyboardInterrupt):
            train(config, other)
    assert train(config, other).curve == straight.curve
    assert len(begun) == n_steps + 4  # the last step of each is taken again, and no other


def test_a_run_of_nothing_but_branches_has_a_path(with_, store: Path) -> None:
    config = with_(schedule={"tokens": (256, 512), "cooldown": 0.9})
    assert [segment.branch for segment in make_path(config.schedule, 256, 10**6).segments] == [True, True]
    assert train(config, store).status == "finished"


@pytest.mark.parametrize(("kind", "warmup"), [("wsd", 90), ("cosine", 120), ("constant", 100)])
def test_a_warm_up_that_outlasts_the_decay_is_a_plan_too(tiny: RunConfig, kind: str, warmup: int) -> None:
    config = replace(tiny, schedule=ScheduleConfig(kind=kind, tokens=(10_000,), warmup=warmup * 100))
    plan = run_plan(config, 100, 100.0, warmup)
    path = make_path(config.schedule, 100, 10**6)
    for segment in path.segments:
        for step in (segment.begin, segment.end - 1):
            assert float(plan.schedule.at_step(step)) == pytest.approx(path.multiplier(segment, step), abs=1e-12)
    record = {"n_steps": 100, "warmup_steps": warmup, "step": 50, "tokens": 5_000, "segment": "trunk"}
    with TrainingProgress(config, Console(file=io.StringIO())) as progress:
        progress({**record, "train_loss": [3.0], "val_loss": [3.0], "lr": [1e-3], "grad_norm": [1.0]})


def test_reports_between_evaluations_have_the_mean_training_loss(with_, store: Path, monkeypatch) -> None:
    monkeypatch.setattr(loop.time, "monotonic", itertools.count(step=2).__next__)  # seconds enough for one every step
    reports: list[dict] = []
    record = train(with_(evaluation={"curve_points": 2}), store, reports.append)
    between = [report["train_loss"][0] for report in reports if "val_loss" not in report]
    evaluated = [point["train_loss"][0] for point in record.curve]
    assert len(between) > 20 and max(between) < math.log(32) + 0.3
    assert min(between) > 0.8 * min(evaluated)


def test_sigterm_saves_the_run_and_ends_it(with_, store: Path, store_at, start, begun) -> None:
    config = with_(schedule={"tokens": (20_000,)}, evaluation={"curve_points": 0}, runtime={"checkpoint_every": 1e6})
    path = store / "config.json"
    path.write_text(json.dumps(config.to_dict()))
    code = (
        "import json, os, signal, sys, torch; torch.set_num_threads(1)\n"
        "from scalefit.training import RunConfig, loop, train\n"
        "step = loop._Run._step\n"
        "def stepped(run, segment, number):\n"
        "    if number == 40: os.kill(os.getpid(), signal.SIGTERM)\n"
        "    step(run, segment, number)\n"
        "loop._Run._step = stepped\n"
        "train(RunConfig.from_dict(json.load(open(sys.argv[1]))), sys.argv[2])\n"
    )
    assert start("-c", code, path, store).wait() == ENDED
    (folder,) = (store / "runs").iterdir()
    assert (folder / "checkpoint.safetensors").exists() and not (folder / "lease").exists()
    rows, resumed = train(config, store).rows, list(begun)
    begun.clear()
    assert repeatable(rows) == repeatable(train(config, store_at(store / "other")).rows)
    assert resumed == begun[40:] != []


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", ENDED), ("SIGINT", 130)])
def test_a_signal_while_a_corpus_is_built_leaves_nothing_half_built(store: Path, start, name, code) -> None:
    (store / "text.txt").write_text("one two three\n\nfour five six\n\n" * 20)
    asked = (
        "import os, signal, sys\n"
        "from scalefit.training import CorpusConfig\n"
        "from scalefit.training.data import corpus, documents\n"
        "cut = documents._paragraphs\n"
        f"documents._paragraphs = lambda text: (os.kill(os.getpid(), signal.{name}), cut(text))[1]\n"
        "try: corpus.open_corpus(CorpusConfig(source='files', path=sys.argv[1], tokenizer='byte'), sys.argv[2])\n"
        "except KeyboardInterrupt: sys.exit(130)\n"
    )
    assert start("-c", asked, store / "text.txt", store / "built").wait() == code
    assert list((store / "built").iterdir()) == []


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", ENDED), ("SIGINT", 130)])
def test_a_signal_in_the_moment_the_lease_is_taken_gives_it_back(tiny, store: Path, start, name, code) -> None:
    path = store / "config.json"
    path.write_text(json.dumps(tiny.to_dict()))
    asked = (
        "import json, os, signal, sys, torch; torch.set_num_threads(1)\n"
        "from scalefit.training import RunConfig, store, train\n"
        "owner = store._owner\n"
        "def taken():\n"
        f"    if sys._getframe(1).f_code.co_name == 'acquire': os.kill(os.getpid(), signal.{name})\n"
        "    return owner()\n"
        "store._owner = taken\n"
        "try: train(RunConfig.from_dict(json.load(open(sys.argv[1]))), sys.argv[2])\n"
        "except KeyboardInterrupt: sys.exit(130)\n"
    )
    assert start("-c", asked, path, store).wait() == code
    (folder,) = (store / "runs").iterdir()
    assert [file.name for file in folder.iterdir()] == ["lease.lock"]


@pytest.mark.parametrize(("part", "call", "due"), [("step", 8, False), ("evaluate", 1, True), ("evaluate", 5, False)])
def test_an_interrupt_loses_nothing(with_, store: Path, store_at, begun, part, call, due) -> None:
    """In a step, in the evaluation of a curve record after the first step, and in that of the last point."""
    config = with_(
        schedule={"tokens": (5_000, 10_000)},
        evaluation={"curve_points": 3},
        runtime={"micro_batch": 3, "checkpoint_every": 1e6},
    )
    calls = 0

    def counted(trainer, *arguments):
        nonlocal calls
        calls += 1
        if calls == call:
            signal.raise_signal(signal.SIGINT)
        return original(trainer, *arguments)

    original = getattr(loop.Trainer, part)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop.Trainer, part, counted)
        with pytest.raises(KeyboardInterrupt):
            train(config, store)
    assert calls == call and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    (folder,) = (store / "runs").iterdir()
    found = checkpoint.read(folder / "checkpoint.safetensors", folder.name)
    assert found is not None and found[1]["due"] == due and not (folder / "lease").exists()
    resumed, steps = train(config, store), list(begun)
    begun.clear()
    straight = train(config, store_at(store / "other"))
    assert len(steps) == len(begun) + (part == "step")  # what was left is taken again, and nothing else
    assert repeatable(resumed.rows) == repeatable(straight.rows) and resumed.curve == straight.curve


def test_a_second_interrupt_does_not_wait(with_, store: Path, monkeypatch) -> None:
    def twice(trainer, *_):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("the second one was not heard")

    monkeypatch.setattr(loop.Trainer, "step", twice)
    with pytest.raises(KeyboardInterrupt):
        train(with_(), store)
    (folder,) = (store / "runs").iterdir()
    assert not (folder / "lease").exists()


def test_a_run_that_another_worker_took_over_stops(with_, store: Path, monkeypatch) -> None:
    """A worker that was silent for long finds its lease gone, and writes nothing into the other one's run."""
    monkeypatch.setattr(loop, "SIGN_OF_LIFE", 0.01)
    original = loop._Run._step
    owner = '{"host": "elsewhere", "pid": 1, "boot": "x"}'

    def robbed(self, segment, step):
        if step == 3:
            (self.folder.path / "lease").write_text(owner)
            deadline = time.monotonic() + 60
            while not self.folder._lost:
                assert time.monotonic() < deadline, "it never looked at its lease"
                time.sleep(0.01)
        original(self, segment, step)

    monkeypatch.setattr(loop._Run, "_step", robbed)
    with pytest.raises(DataError, match="Another worker has taken"):
        train(with_(), store)
    (folder,) = (store / "runs").iterdir()
    assert (folder / "lease").read_text() == owner  # neither renewed nor released


@pytest.mark.filterwarnings("ignore")
def test_curves_go_to_tensorboard_where_asked(with_, store: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    record = train(with_(runtime={"log": "tensorboard"}, seeds=(0, 1)), store)
    (folder,) = (store / "runs").iterdir()
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    found = [event.value for event in events.Scalars("trunk/val_loss/1")]
    expected = [point["val_loss"][1] for point in record.curve if point["segment"] == "trunk"]
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_curves_go_to_wandb_offline(with_, store: Path, monkeypatch) -> None:
    pytest.importorskip("wandb", reason="wandb is not installed")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    train(with_(runtime={"log": "wandb"}), store)
    (folder,) = (store / "runs").iterdir()
    (kept,) = folder.glob("wandb/offline-run-*/*.wandb")
    assert b"trunk/val_loss" in kept.read_bytes()


def test_no_writer_is_opened_unasked(tiny: RunConfig, store: Path) -> None:
    train(tiny, store)
    assert not list((store / "runs").glob("*/tensorboard")) and not list((store / "runs").glob("*/wandb"))


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("momentum", [None, 0.9])
def test_rates_by_kind_and_member(members: int, momentum: float | None) -> None:
    """A kind whose rate is a thousandth moves by a thousandth, each member by its own rate."""
    torch.manual_seed(0)
    model = Decoder(ModelConfig(n_layers=1, d_emb=16, T_max=8, tied=False), 20, range(members))
    lrs = [1e-3 * 2**member for member in range(members)]
    flat = FlatAdamW(model, lrs, Settings(0.9, 0.95, 1e-8, 0.0, 1.0, {"matrix": 1e-3}, momentum))
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    ids = torch.randint(0, 20, (4, 9))
    model(ids[:, :-1], ids[:, 1:]).mean(dim=(-1, -2)).sum().backward()
    flat.step(1, 1.0)
    for name, value in model.named_parameters():
        moved = (value.detach() - before[name]).flatten(1).abs().amax(dim=1)
        if model.group(name, value) == "matrix":
            assert (moved < 3e-6 * torch.tensor(lrs) / 1e-3).all() and (moved > 0).all()
        elif name != "blocks.0.attention.qkv.bias" and momentum is None:
            torch.testing.assert_close(moved, torch.tensor(lrs), rtol=0.02, atol=0.0)


def test_muon_moves_matrices_by_orthogonal_steps() -> None:
    torch.manual_seed(0)
    model = Decoder(ModelConfig(n_layers=1, d_emb=32, T_max=8), 20, (0,))
    flat = FlatAdamW(model, [1e-2], Settings(0.9, 0.95, 1e-8, 0.0, 1.0, {}, 0.95))
    weight = model.blocks[0].attention.qkv.weight
    before = weight.detach().clone()
    ids = torch.randint(0, 20, (4, 9))
    model(ids[:, :-1], ids[:, 1:]).mean().backward()
    flat.step(1, 1.0)
    for part in ((before - weight.detach())[0] / 1e-2).split(32, dim=1):  # query, key and value each by themselves
        values = torch.linalg.svdvals(part) / (0.2 * 32**0.5)
        assert values.max() < 1.3 and values.median() > 0.6
