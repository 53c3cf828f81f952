"""The estimated peak of a training step: what a real step takes, and what GPT-2 would need."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from scalefit.training.config import ModelConfig, OptimizerConfig, RunConfig, RuntimeConfig
from scalefit.training.footprint import step_memory

REAL = """
import json, resource, sys, torch
torch.set_num_threads(1)
from scalefit.training.config import RunConfig
from scalefit.training.models.build import build_model
from scalefit.training.optimizer import make_optimizer
config, vocab_size = RunConfig.from_dict(json.loads(sys.argv[1])), int(sys.argv[2])
peak = lambda: 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
torch.zeros(8, 8) @ torch.zeros(8, 8)
before = peak()
model = build_model(config.model, vocab_size, (0,)).module
optimizer = make_optimizer(model, config.optimizer, (1e-3,), 1000)
ids = torch.zeros(1, config.optimizer.batch_size, config.model.T_max, dtype=torch.int64)
model(ids, ids).sum().backward()
optimizer.step(1, 1.0)
print(peak() - before)
"""


@pytest.mark.parametrize(
    "model",
    [
        ModelConfig(n_layers=1, d_emb=64, n_heads=2, T_max=256),  # the logits are most of it
        ModelConfig(family="llama", n_layers=6, d_emb=512, n_heads=8, T_max=256, tied=False),  # weights and activations
    ],
)
def test_a_real_step_takes_what_was_estimated(model: ModelConfig) -> None:
    vocab_size = 50_257 if model.family == "gpt2" else 512
    config = RunConfig(model=model, optimizer=OptimizerConfig(batch_size=8), runtime=RuntimeConfig(dtype="float32"))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": "65536"}
    command = [sys.executable, "-c", REAL, json.dumps(config.to_dict()), str(vocab_size)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert step_memory(config, vocab_size, device="cpu") == pytest.approx(float(done.stdout), rel=0.15)


def test_gpt2_in_its_true_shape_fits_a_device_of_80_gb() -> None:
    """480 rows of 1,024 tokens at V = 50,257: whole they fit no device, in micro-batches of 16 any."""
    config = RunConfig.from_dict({"model": {"preset": "gpt2-small"}, "optimizer": {"batch_size": 480}})
    parts = replace(config, runtime=RuntimeConfig(micro_batch=16))
    assert 16 * 124e6 < step_memory(parts, 50_257) < 40e9
    assert step_memory(config, 50_257) > 200e9
