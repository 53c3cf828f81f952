"""The estimated peak of a training step: what a real step takes, and what GPT-2 would need."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

import pytest
import torch

from scalefit.cli import main
from scalefit.training.config import ModelConfig, OptimizerConfig, RunConfig, RuntimeConfig
from scalefit.training.footprint import step_memory
from scalefit.training.models.build import build_model
from scalefit.training.optimizer import make_optimizer
from scalefit.training.sweeps.estimates import estimate
from scalefit.training.sweeps.grid import LearningRateConfig, SizeConfig, SweepConfig


def allocated(config: RunConfig, vocab_size: int, path: Path) -> int:
    """The most that torch's own allocator held in a real step [byte], as its profiler has it."""
    with torch.profiler.profile(profile_memory=True) as profiler:
        model = build_model(config.model, vocab_size, (0,)).module
        optimizer = make_optimizer(model, config.optimizer, (1e-3,), 1000)
        ids = torch.zeros(1, config.optimizer.batch_size, config.model.T_max, dtype=torch.int64)
        model(ids, ids).sum().backward()
        optimizer.step(1, 1.0)
    profiler.export_chrome_trace(str(path))
    events = [event for event in json.loads(path.read_text())["traceEvents"] if event["name"] == "[memory]"]
    steps = [event["args"]["Bytes"] for event in sorted(events, key=lambda event: event["ts"])]
    return max(accumulate(steps))


@pytest.mark.parametrize(
    "model",
    [
        ModelConfig(n_layers=1, d_emb=64, n_heads=2, T_max=256),  # the logits are most of it
        ModelConfig(family="llama", n_layers=6, d_emb=512, n_heads=8, T_max=256, tied=False),  # weights and activations
    ],
)
def test_a_real_step_takes_what_was_estimated(model: ModelConfig, tmp_path: Path) -> None:
    vocab_size = 50_257 if model.family == "gpt2" else 512
    config = RunConfig(model=model, optimizer=OptimizerConfig(batch_size=8), runtime=RuntimeConfig(dtype="float32"))
    real = allocated(config, vocab_size, tmp_path / "trace.json")
    assert step_memory(config, vocab_size, device="cpu") == pytest.approx(real, rel=0.01)


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_a_transformers_model_is_estimated(kind: str, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    sizes = {"num_hidden_layers": 2, "hidden_size": 16, "num_attention_heads": 2, "max_position_embeddings": 32}
    transformers.AutoConfig.for_model(
        kind, **sizes, vocab_size=50, intermediate_size=64, bos_token_id=0, eos_token_id=0
    ).save_pretrained(tmp_path)
    theirs = ModelConfig(family="huggingface", path=str(tmp_path), T_max=32)
    config = RunConfig(model=theirs, optimizer=OptimizerConfig(batch_size=8), runtime=RuntimeConfig(dtype="float32"))
    real = allocated(config, 50, tmp_path / "trace.json")
    assert step_memory(config, 50, device="cpu") == pytest.approx(real, rel=0.1)


MOE = ModelConfig(family="moe", n_layers=1, d_emb=16, n_heads=2, n_experts=4, T_max=32, tied=False, d_ff=16)


def test_a_plan_of_experts_says_that_their_memory_is_not_known(tiny: RunConfig, store: Path, capsys) -> None:
    """How many tokens an expert gets is in the contents of tensors."""
    config = SweepConfig(
        name="experts",
        corpora={"markov": tiny.corpus},
        sizes=(SizeConfig(model=MOE),),
        tokens=(4_000,),
        lr=LearningRateConfig(grid=(1e-2,)),
        optimizer=OptimizerConfig(batch_size=8),
    )
    assert step_memory(RunConfig(model=MOE, optimizer=config.optimizer), 32) is None
    (store / "experts.json").write_text(json.dumps(config.to_dict()))
    with pytest.raises(SystemExit) as ended:
        main(["sweep", "plan", str(store / "experts.json"), "--store", str(store)])
    assert not ended.value.code and "memory that is not known" in capsys.readouterr().out
    assert [row["memory_bytes"] for row in estimate(config, store, n_timed=1)] == [None]


def test_gpt2_in_its_true_shape_fits_a_device_of_80_gb() -> None:
    """480 rows of 1,024 tokens at V = 50,257: whole they fit no device, in micro-batches of 16 any."""
    config = RunConfig.from_dict({"model": {"preset": "gpt2-small"}, "optimizer": {"batch_size": 480}})
    parts = replace(config, runtime=RuntimeConfig(micro_batch=16))
    assert 16 * 124e6 < step_memory(parts, 50_257) < 40e9
    assert step_memory(config, 50_257) > 200e9
