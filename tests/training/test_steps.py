"""Step modes: compiled runs equal eager ones, the choice is by measurement, and a device may be ahead of the host."""

from __future__ import annotations

import json
import logging
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch

from scalefit.training import loop, steps
from scalefit.training.config import ModelConfig, RunConfig
from scalefit.training.loop import train
from scalefit.training.models.decoder import Decoder
from scalefit.training.optimizer import FlatAdamW, Settings
from scalefit.training.rows import repeatable
from scalefit.training.segments import make_path
from scalefit.training.trainer import Trainer


@pytest.fixture
def small() -> tuple[Decoder, torch.Tensor]:
    model = Decoder(ModelConfig(n_layers=1, d_emb=16, n_heads=1, T_max=32), 32, (0, 1))
    FlatAdamW(model, [1e-3, 1e-3], Settings(0.9, 0.99, 1e-8, 0.1, 1.0))  # parameters and gradients become views
    return model, torch.randint(0, 32, (4, 33))


@pytest.mark.slow  # the compiler
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("change", [{}, {"seeds": (0, 1), "runtime": {"micro_batch": 4}}])
def test_a_compiled_run_has_the_curve_of_an_eager_one(with_, store: Path, store_at, change) -> None:
    eager = train(with_(**change), store_at(store / "eager"))
    runtime = {**change.get("runtime", {}), "step": "compile"}
    compiled = train(with_(**{**change, "runtime": runtime}), store_at(store / "compiled"))
    assert compiled.status == "finished" and compiled.run_id == eager.run_id
    for a, b in zip(compiled.curve, eager.curve, strict=True):
        np.testing.assert_allclose(a["train_loss"], b["train_loss"], atol=1e-4)
        np.testing.assert_allclose(a["val_loss"], b["val_loss"], atol=1e-4)
    said = json.loads(next((store / "compiled" / "runs").glob("*/provenance.json")).read_text())
    assert said["step"] == "compile"


@pytest.mark.slow  # the compiler
@pytest.mark.filterwarnings("ignore")
def test_measuring_compiled_passes_changes_no_weight(small) -> None:
    model, tokens = small
    before = [parameter.detach().clone() for parameter in model.parameters()]
    chosen, seconds, _ = steps.fastest(model, lambda f: f(tokens[:, :-1], tokens[:, 1:]), torch.device("cpu"))
    assert set(seconds) == set(steps.MODES) and seconds[chosen] == min(seconds.values())
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


@pytest.mark.parametrize(("micro_batch", "passes"), [(0, 1), (3, 3)])
def test_a_device_is_measured_on_the_runs_own_shape(with_, store: Path, monkeypatch, micro_batch, passes) -> None:
    seen: dict[str, object] = {}

    def fastest(model, losses, device, n_passes, clear):
        clear(True)
        seen.update(shape=tuple(losses(model).shape), n_passes=n_passes)
        return "graph", {"eager": 2.0, "graph": 1.0}, None

    monkeypatch.setattr(steps, "fastest", fastest)
    original = Trainer._choose_mode

    def chosen(self, n_steps):
        to_device, self.to_device = self.to_device, lambda array: torch.from_numpy(np.ascontiguousarray(array))
        self.device = torch.device("cuda")  # there is none: only the choice is looked at
        try:
            seen["mode"] = original(self, n_steps)
        finally:
            self.device, self.to_device = torch.device("cpu"), to_device
        return "eager", {}, None

    monkeypatch.setattr(Trainer, "_choose_mode", chosen)
    record = train(with_(seeds=(0, 1), runtime={"micro_batch": micro_batch}), store)
    n_steps = make_path(with_().schedule, 8 * 32, 10**6).n_steps
    assert seen["shape"] == (2, micro_batch or 8, 32) and seen["n_passes"] == n_steps * passes
    assert seen["mode"][0] == "graph" and record.status == "finished"


def test_what_an_eager_pass_cannot_hold_is_compiled(small, monkeypatch) -> None:
    """Compiled passes keep fewer activations; only where nothing fits is the run out of memory."""
    model, tokens = small

    def compiled(inner, **_):
        return lambda *arguments: inner(*arguments)

    def losses(forward):
        if forward is model:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(tokens[:, :-1], tokens[:, 1:])

    monkeypatch.setattr(torch, "compile", compiled)
    mode, seconds, forward = steps.fastest(model, losses, torch.device("cpu"), 10)
    assert mode in steps.COMPILED and "eager" not in seconds and forward is not model
    monkeypatch.setattr(torch, "compile", lambda inner, **_: inner)
    with pytest.raises(torch.OutOfMemoryError):
        steps.fastest(model, losses, torch.device("cpu"), 10)


def test_what_did_not_fit_is_gone_before_another_mode_is_tried(small, monkeypatch) -> None:
    """An error that is kept keeps the frames it passed, and with them the activations that filled the memory."""
    model, tokens = small
    held: list[weakref.ref[torch.Tensor]] = []
    alive: list[bool] = []

    def losses(forward):
        activations = tokens * 2
        if forward is model:
            held.append(weakref.ref(activations))
            try:
                raise ValueError("inside")
            except ValueError as error:
                raise torch.OutOfMemoryError("CUDA out of memory") from error
        alive.append(held[0]() is not None)
        return forward(tokens[:, :-1], tokens[:, 1:])

    monkeypatch.setattr(torch, "compile", lambda inner, **_: lambda *arguments: inner(*arguments))
    assert steps.fastest(model, losses, torch.device("cpu"), 10)[0] in steps.COMPILED
    assert alive and not any(alive)


def test_the_winner_is_compiled_once(small, monkeypatch) -> None:
    model, tokens = small
    made: list[object] = []

    def compiled(inner, **_):
        made.append(lambda *arguments: inner(*arguments))
        return made[-1]

    monkeypatch.setattr(torch, "compile", compiled)
    seconds = iter((3.0, 2.0, 1.0))  # of the modes in turn; the last is the fastest
    monkeypatch.setattr(steps, "_time", lambda *_: next(seconds))
    mode, _, forward = steps.fastest(model, lambda f: f(tokens[:, :-1], tokens[:, 1:]), torch.device("cpu"))
    assert mode == steps.MODES[-1] and len(made) == 2 and forward is made[-1]


def test_a_short_run_is_not_compiled(small, monkeypatch) -> None:
    model, tokens = small
    monkeypatch.setattr(torch, "compile", None)  # not called
    chosen = steps.fastest(model, lambda f: f(tokens[:, :-1], tokens[:, 1:]), torch.device("cpu"), 100)
    assert chosen[0] == "eager" and list(chosen[1]) == ["eager"]


def test_a_mode_without_a_compiler_is_left_out_with_a_warning(small, monkeypatch, caplog) -> None:
    model, tokens = small

    def broken(*_, **__):
        raise RuntimeError("no C compiler found\nmore")

    monkeypatch.setattr(torch, "compile", broken)
    with caplog.at_level(logging.WARNING, "scalefit"):
        chosen, seconds, _ = steps.fastest(model, lambda f: f(tokens[:, :-1], tokens[:, 1:]), torch.device("cpu"))
    assert chosen == "eager" and list(seconds) == ["eager"]
    assert "compile cannot run here (no C compiler found); it is left out" in caplog.text


def test_a_broken_eager_pass_is_an_error(small) -> None:
    model, tokens = small
    with pytest.raises(IndexError):
        steps.fastest(model, lambda f: f(tokens[:, :-1] + 1000, tokens[:, 1:]), torch.device("cpu"))


@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
def test_a_device_that_runs_ahead_gives_the_same_record(
    with_, store, store_at, monkeypatch, begun, interrupt_at, seeds
) -> None:
    config: RunConfig = with_(seeds=seeds, runtime={"checkpoint_every": 0.0})
    straight = train(config, store_at(store / "straight"))
    whole = list(begun)
    original = loop._Run.__init__

    def ahead(self, *arguments):
        original(self, *arguments)
        self.losses.in_flight = 7

    monkeypatch.setattr(loop._Run, "__init__", ahead)
    interrupt_at(25)
    with pytest.raises(KeyboardInterrupt):
        train(config, store)
    begun.clear()
    resumed = train(config, store)
    assert begun == whole[-len(begun) :] and 0 < len(begun) < len(whole)  # from where no step was in flight
    assert repeatable(resumed.rows) == repeatable(straight.rows) and resumed.curve == straight.curve


@pytest.mark.parametrize(
    "words", ["CUDA out of memory. Tried", "CUBLAS_STATUS_ALLOC_FAILED when", "can't allocate memory"]
)
def test_every_way_to_say_out_of_memory_is_known(words: str) -> None:
    assert steps.out_of_memory(RuntimeError(words)) and not steps.out_of_memory(RuntimeError("shape mismatch"))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("mode", steps.MODES)
def test_a_step_on_a_device_never_makes_the_host_wait(with_, store: Path, store_at, mode: str, monkeypatch) -> None:
    original, count, n_watched = loop._Run._step, 0, 0

    def watched(self, *arguments):
        nonlocal count, n_watched
        count += 1
        # once, when warm, and not in a step that reads the losses
        if count >= 30 and not n_watched and len(self.losses._pending) < self.losses.in_flight - 1:
            n_watched += 1
            torch.cuda.set_sync_debug_mode("error")
        try:
            original(self, *arguments)
        finally:
            torch.cuda.set_sync_debug_mode("default")

    monkeypatch.setattr(loop._Run, "_step", watched)
    config = with_(runtime={"device": "cuda", "step": mode, "dtype": "bfloat16"}, evaluation={"curve_points": 0})
    record = train(config, store_at(store / mode))
    assert record.status == "finished" and n_watched == 1
    assert record.loss == pytest.approx(train(with_(), store_at(store / "cpu")).loss, abs=0.05)


def test_each_pass_is_measured_with_its_own_gradients(small) -> None:
    model, tokens = small
    cleared: list[bool] = []
    steps.fastest(
        model, lambda f: f(tokens[:, :-1], tokens[:, 1:]), torch.device("cpu"), 0.0, lambda kept: cleared.append(kept)
    )
    assert cleared == [False] * (steps.WARM_UP + steps.TIMED)


@pytest.mark.filterwarnings("ignore")  # of graphs that break
def test_experts_are_not_compiled_for_each_batch(monkeypatch) -> None:
    from torch._dynamo.utils import counters

    config = ModelConfig(family="moe", n_layers=1, d_emb=16, n_heads=2, T_max=16, n_experts=4, tied=False, d_ff=16)
    model, original = Decoder(config, 32, (0,)), torch.compile
    monkeypatch.setattr(
        torch, "compile", lambda model, dynamic, mode: original(model, dynamic=dynamic, backend="eager")
    )
    forward, graphs = steps.prepare(model, "compile"), []
    for _ in range(4):
        tokens = torch.randint(0, 32, (2, 17))
        forward(tokens[:, :-1], tokens[:, 1:]).sum().backward()
        graphs.append(counters["stats"]["unique_graphs"])
    assert graphs[0] > 0 and len(set(graphs)) == 1
    torch.compiler.reset()


@pytest.mark.filterwarnings("ignore")  # of torch's own
def test_a_compiled_step_is_one_graph_with_the_same_gradients() -> None:
    """A graph that breaks at the loss would run it in parts, and CUDA graphs would be cut there."""
    torch.compiler.reset()
    model = Decoder(ModelConfig(n_layers=1, d_emb=16, n_heads=1, T_max=8), 32, (0,))
    ids, targets = torch.randint(0, 32, (2, 2, 8))
    found = []
    for forward in (model, torch.compile(model, fullgraph=True, backend="aot_eager", dynamic=False)):
        model.zero_grad()
        loss = forward(ids, targets)
        loss.sum().backward()
        found.append([loss.detach(), *(parameter.grad.clone() for parameter in model.parameters())])
    for eager, compiled in zip(*found, strict=True):
        torch.testing.assert_close(compiled, eager, atol=1e-5, rtol=1e-5)
    torch.compiler.reset()
