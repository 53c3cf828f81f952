"""Held-out loss: in the micro-batches of training, shared by the processes, over the rows that were asked for."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from scalefit.training.config import ModelConfig
from scalefit.training.data.corpus import open_corpus
from scalefit.training.distributed import World
from scalefit.training.evaluation import evaluate, scored_rows
from scalefit.training.loop import train
from scalefit.training.models.decoder import Decoder
from scalefit.training.sweeps.estimates import _seconds_per_step
from scalefit.training.trained import load_trained

CPU = torch.device("cpu")


@pytest.fixture
def shapes(monkeypatch) -> list[tuple[int, ...]]:
    """The shapes of all batches that a decoder sees."""
    seen: list[tuple[int, ...]] = []
    original = Decoder.forward

    def watched(self, ids, targets=None, taps=()):
        seen.append(tuple(ids.shape))
        return original(self, ids, targets, taps)

    monkeypatch.setattr(Decoder, "forward", watched)
    return seen


def test_no_pass_is_larger_than_a_micro_batch(with_, store: Path, shapes) -> None:
    config = with_(runtime={"micro_batch": 2, "keep_weights": True}, optimizer={"batch_size": 16})
    train(config, store)
    load_trained(config, store).loss(tokens=2_000)
    _seconds_per_step(config, open_corpus(config.corpus, store / "corpora"), 1)
    assert max(shape[-2] for shape in shapes) == 2


def test_the_rows_asked_for_are_computed_and_no_others(with_, store: Path) -> None:
    config = with_()
    corpus = open_corpus(config.corpus, store / "corpora")
    model = Decoder(ModelConfig(n_layers=1, d_emb=16, n_heads=2, T_max=32), 32, (0, 1))
    seen: list[int] = []

    def losses(inputs, targets):
        seen.append(len(inputs))
        return model(inputs, targets)

    whole = evaluate(losses, corpus, 32, 7, 700, World(0, 1, CPU))
    n_rows = round(700 / 32)
    assert sum(seen) == n_rows == len(scored_rows(corpus, "val", 32, 700))
    for batch in (1, 5, 64):
        parts = evaluate(losses, corpus, 32, batch, 700, World(0, 1, CPU))
        np.testing.assert_allclose(parts, whole, rtol=1e-6)


@pytest.mark.parametrize("size", [2, 3])
def test_processes_share_the_rows(with_, store: Path, size: int, monkeypatch) -> None:
    corpus = open_corpus(with_().corpus, store / "corpora")
    model = Decoder(ModelConfig(n_layers=1, d_emb=16, n_heads=2, T_max=32), 32, (0,))
    alone = evaluate(model, corpus, 32, 4, 1_000, World(0, 1, CPU))
    parts: dict[int, list[torch.Tensor]] = {rank: [] for rank in range(size)}
    seen = dict.fromkeys(range(size), 0)
    for rank in range(size):

        def losses(inputs, targets, rank=rank):
            seen[rank] += len(inputs)
            return model(inputs, targets)

        monkeypatch.setattr(World, "total", lambda self, value: parts[self.rank].append(value.clone()) or value)
        evaluate(losses, corpus, 32, 4, 1_000, World(rank, size, CPU))
    sums, counts = (sum(parts[rank][place] for rank in range(size)).numpy() for place in (0, 1))
    assert (counts > 0).all()  # each row by one of them
    np.testing.assert_allclose(sums.sum() / counts.sum(), alone[0][0], rtol=1e-6)
    assert max(seen.values()) <= -(-len(counts) // size) + 4


def test_rows_say_what_they_cost_and_where(with_, store: Path) -> None:
    row = train(with_(), store).rows[-1]
    assert row["seconds"] > 0 and row["tokens_per_second"] > 0 and row["peak_memory"] > 1e7
    assert row["mfu"] is None and row["dtype"] == "float32" and row["n_devices"] == 1 and row["device"]
    assert row["grad_norm"] > 0


@pytest.mark.parametrize(
    ("name", "dtype", "peak"),
    [
        ("NVIDIA H200", "bfloat16", 989.4e12),
        ("NVIDIA H200", "float32", 66.9e12),
        ("NVIDIA H100 PCIe", "bfloat16", 756e12),
        ("NVIDIA H100 80GB HBM3", "bfloat16", 989.4e12),
        ("NVIDIA A100-SXM4-80GB", "bfloat16", 312e12),
        ("Some GPU", "bfloat16", None),
    ],
)
def test_utilisation_is_over_the_peak_of_the_device(
    with_, store: Path, name: str, dtype: str, peak: float | None, monkeypatch
) -> None:
    from scalefit.training import trainer as module

    config = with_()
    made = module.Trainer(config, open_corpus(config.corpus, store / "corpora"), World(0, 1, CPU))
    assert made.cost()["tokens_per_second"] is None
    made.busy, made.n_done = 2.0, 100
    monkeypatch.setattr(module, "device_name", lambda device: name)
    monkeypatch.setattr(module, "peak_memory", lambda device: 1.0)
    made.device, made.dtype = torch.device("cuda"), dtype
    rate = 100 * 8 * 32 / 2.0
    expected = None if peak is None else rate * made.built.flops_per_token / peak
    assert made.cost() == {"tokens_per_second": rate, "mfu": pytest.approx(expected), "peak_memory": 1.0}


def test_steps_last_until_their_losses_are_there(with_, store: Path, monkeypatch) -> None:
    from scalefit.training import loop, trainer
    from scalefit.training.losses import LossRecord

    clock, waited, flush = [0.0], [0], LossRecord.flush

    def slow(self) -> None:  # a device that works on after the host has gone on
        waited[0] += len(self._pending)
        clock[0] += 0.5 * len(self._pending)
        flush(self)

    monkeypatch.setattr(LossRecord, "flush", slow)
    monkeypatch.setattr(loop, "LossRecord", lambda members, in_flight: LossRecord(members, 7))
    monkeypatch.setattr(trainer, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    row = train(with_(), store).rows[-1]
    assert waited[0] > 14 and row["tokens_per_second"] == pytest.approx(row["batch_tokens"] / 0.5)


def test_products_are_bfloat16_on_a_gpu_and_float32_on_a_cpu(monkeypatch) -> None:
    from scalefit.training.trainer import resolved_dtype

    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))  # a T4 only imitates it
    assert resolved_dtype("auto", torch.device("cuda")) == "float32"
    assert resolved_dtype("bfloat16", torch.device("cuda")) == "bfloat16"
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    assert resolved_dtype("auto", torch.device("cuda")) == "bfloat16" and resolved_dtype("auto", CPU) == "float32"
    assert resolved_dtype("float32", torch.device("cuda")) == "float32"
