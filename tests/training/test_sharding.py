"""A model sharded over processes by torch's fully_shard trains as one process does, and goes on from its checkpoint."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from scalefit.errors import ArgumentError
from scalefit.training import checkpoint
from scalefit.training.config import ModelConfig, RunConfig, RuntimeConfig
from scalefit.training.data.corpus import open_corpus
from scalefit.training.loop import train
from scalefit.training.models.decoder import Decoder
from scalefit.training.sharding import shard
from scalefit.training.store import RunFolder
from scalefit.training.trained import load_trained

if not hasattr(pytest.importorskip("torch.distributed.fsdp", reason="torch has no FSDP"), "fully_shard"):
    pytest.skip("this torch has no fully_shard", allow_module_level=True)

#: Trains each config of a file; with a last number, all processes die after so many checkpoints, and leave a file each.
TRAIN = """
import json, os, sys, torch
torch.set_num_threads(1)
from torch import distributed as dist
from scalefit.training import RunConfig, distributed, loop, train
configs, store, last = json.load(open(sys.argv[1])), sys.argv[2], int(sys.argv[3])
save, saved = loop._Run._save, 0
def dying(self, position):
    global saved
    save(self, position)
    saved += 1
    if saved == last:
        open(f"{store}/died-{self.world.rank}-of-{self.world.size}", "w").close()
        self.world.barrier()
        os._exit(9)
loop._Run._save = dying
distributed.World.leave = distributed.World.barrier
for config in configs:
    train(RunConfig.from_dict(config), store)
dist.destroy_process_group()
"""


@pytest.fixture
def launch(start):
    """Train configs one after another in so many gloo processes; the exit status of torchrun, and what it said."""

    def run(configs: list[RunConfig], store: Path, n_processes: int, last: int = 0) -> tuple[int, str]:
        (store / "configs.json").write_text(json.dumps([config.to_dict() for config in configs]))
        (store / "train.py").write_text(TRAIN)
        process = start(
            "-W", "ignore", "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", n_processes,
            store / "train.py", store / "configs.json", store, last,
            env={"PYTHONWARNINGS": "ignore", "TORCH_CPP_LOG_LEVEL": "ERROR"}, stderr=subprocess.PIPE,
        )  # fmt: skip
        said = process.communicate()[1]
        return process.returncode, said

    return run


def run_folder(config: RunConfig, store: Path) -> RunFolder:
    return RunFolder(store / "runs" / config.run_id(open_corpus(config.corpus, store / "corpora").sha))


def same(store: Path, other: Path, config: RunConfig, tolerance: float) -> None:
    """The finished run has the rows and the curve of the one of one process."""
    assert all(run_folder(config, place).finished for place in (store, other))
    single, shared = (run_folder(config, place).read_record() for place in (store, other))
    assert single.status == shared.status == "finished"
    for ours, theirs in zip(shared.curve, single.curve, strict=True):
        for name in ("train_loss", "val_loss", "grad_norm"):
            assert ours[name] == pytest.approx(theirs[name], abs=tolerance, rel=tolerance), (name, ours["step"])
    assert [row["loss"] for row in shared.rows] == pytest.approx([row["loss"] for row in single.rows], abs=tolerance)


FSDP = RuntimeConfig(device="cpu", parallel="fsdp", micro_batch=2, keep_weights=True)


def test_shards_train_as_one_process_does(with_, store: Path, store_at, launch) -> None:
    """GPT-2, Llama with Muon, a mixture of experts, and an ensemble; gradients summed over micro-batches."""
    llama = {"family": "llama", "n_kv_heads": 1, "qk_norm": True, "tied": False, "n_layers": 2}
    configs = [
        with_(runtime=FSDP, model={"head_bias": True}),
        with_(runtime=FSDP, model=llama, optimizer={"name": "muon", "z_loss": 1e-4}),
        with_(runtime=FSDP, model={"family": "moe", "n_experts": 4, "n_kv_heads": 1, "tied": False}),
        with_(runtime=FSDP, seeds=(0, 1)),
    ]
    other = store_at(store / "two")
    status, said = launch(configs, other, 2)
    assert status == 0, said[-3000:]
    for config in configs:
        train(config, store)
        same(store, other, config, 2e-5)
        assert load_trained(config, other).loss(tokens=2_000)[0] == pytest.approx(train(config, other).loss, abs=1e-6)


def test_a_checkpoint_serves_any_number_of_processes(with_, store: Path, store_at, launch, begun) -> None:
    """Begun in three shards within a branch, gone on with in two whole copies of the model, ended in one process."""
    config = with_(
        runtime=replace(FSDP, checkpoint_every=0.0), model={"d_emb": 24, "n_layers": 2},
        optimizer={"name": "muon", "batch_size": 12},
    )  # fmt: skip
    train(config, store)
    whole = list(begun)
    other = store_at(store / "three")
    folder = run_folder(config, other)
    segments, done = list(dict.fromkeys(segment for segment, _ in whole)), 0
    for n_processes, parallel, last, in_branch in ((3, "fsdp", 10, True), (2, "ddp", 6, False)):
        status, said = launch([with_like(config, parallel)], other, n_processes, last)
        assert status and len(list(other.glob(f"died-*-of-{n_processes}"))) == n_processes, said[-3000:]
        found = checkpoint.read(folder.checkpoint_path, folder.path.name)
        assert found is not None and not folder.finished
        place, step = found[1]["position"]
        before, done = done, whole.index((segments[place], step))
        assert done > before and segments[place].branch == in_branch
    begun.clear()
    train(config, other)
    assert begun == whole[done:]
    same(store, other, config, 2e-5)


def with_like(config: RunConfig, parallel: str) -> RunConfig:
    return replace(config, runtime=replace(config.runtime, parallel=parallel))


def test_members_that_cannot_be_kept_together_are_refused() -> None:
    model = Decoder(ModelConfig(n_layers=1, d_emb=16, n_heads=1, T_max=32, head_bias=True), 33, (0, 1))
    with pytest.raises(ArgumentError, match=r"shape \(33,\) does not divide into 2 processes"):
        shard(model, torch.device("cpu"), 2, members=2)


def test_graphs_are_refused_with_shards() -> None:
    with pytest.raises(ArgumentError, match="step = 'graph'"):
        RuntimeConfig(parallel="fsdp", step="graph")
