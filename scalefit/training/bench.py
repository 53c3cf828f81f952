"""Training speed on this machine: tokens per second of each step mode, beside the same model in transformers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch

from scalefit._arguments import check_number
from scalefit.errors import ArgumentError, arg
from scalefit.training.config import ModelConfig
from scalefit.training.distributed import best_device
from scalefit.training.models.build import build_model
from scalefit.training.models.gpt2 import to_transformers
from scalefit.training.optimizer import FlatAdamW, Settings
from scalefit.training.steps import COMPILED, MODES, unless_it_cannot

#: (model, sequences a step, vocabulary): from pure overhead to pure arithmetic.
SIZES: dict[str, tuple[ModelConfig, int, int]] = {
    "12k": (ModelConfig(n_layers=1, d_emb=16, n_heads=1, T_max=64), 4, 512),
    "44k": (ModelConfig(n_layers=2, d_emb=32, n_heads=2, T_max=64), 4, 512),
    "0.2M": (ModelConfig(n_layers=3, d_emb=64, n_heads=4, T_max=128), 16, 512),
    "0.9M": (ModelConfig(n_layers=4, d_emb=128, n_heads=4, T_max=128), 8, 512),
    "3.5M": (ModelConfig(n_layers=5, d_emb=208, n_heads=4, T_max=256), 64, 4096),
    "12M": (ModelConfig(n_layers=6, d_emb=384, n_heads=6, T_max=256), 128, 4096),
    "27M": (ModelConfig(n_layers=8, d_emb=512, n_heads=8, T_max=512), 128, 4096),
}
CPU_SIZES = ("12k", "44k", "0.2M", "0.9M")


def bench(
    sizes: tuple[str, ...] = (), device: str = "auto", seconds: float = 2.0, compare: bool = True
) -> list[dict[str, Any]]:
    """Measure training steps (forward, backward, clip, AdamW) on random tokens.

    On CPU the eager step is measured by processor time, so that a busy machine does not matter; on CUDA eager,
    compiled and CUDA-graph steps by the clock, in bfloat16. The transformers model has the same weights, dropout 0,
    SDPA attention and torch's fused AdamW; the two take turns, and the best of three turns counts.

    Parameters
    ----------
    sizes : tuple of str
        Names in SIZES; default: those that suit the device.
    device : str
        As in RuntimeConfig.
    seconds : float
        Time for each measurement [s].
    compare : bool
        Measure transformers too.

    Returns
    -------
    list of dict
        size, N, mode, tokens_per_second, ratio (to transformers, eager), flops_per_second, device, fastest (of our
        modes). A mode that cannot run here, because a compiler or memory is missing, is left out with a warning.

    Raises
    ------
    ArgumentError
        An unknown size, a time that is not positive, or a device that is not available.
    """
    place = best_device(device)
    cuda = place.type == "cuda"
    chosen = sizes or (tuple(SIZES) if cuda else CPU_SIZES)
    unknown = set(chosen) - set(SIZES)
    if unknown:
        raise ArgumentError(f"Unknown sizes {sorted(unknown)}", "nothing was measured", f"Known: {', '.join(SIZES)}")
    if not check_number("seconds", seconds) > 0:
        raise ArgumentError(f"{arg('seconds', seconds)} measures nothing", "nothing was measured", "Give 2 or more")
    rows = []
    for name in chosen:
        rows += _bench_size(name, place, seconds, compare)
        if cuda:
            torch.compiler.reset()  # after eight shapes torch would fall back to eager without a word
    return rows


def _bench_size(name: str, device: torch.device, seconds: float, compare: bool) -> list[dict[str, Any]]:
    config, batch, vocab_size = SIZES[name]
    built = build_model(config, vocab_size, (0,))
    tokens = torch.randint(0, vocab_size, (batch, config.T_max + 1), device=device)
    inputs, targets = tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()
    steps: dict[str, Callable[[], Any]] = {}
    model = built.module.to(device)
    modes = MODES if device.type == "cuda" else ("eager",)
    if compare:
        steps["transformers"] = _their_step(to_transformers(model).to(device).train(), inputs, targets)
    optimizer = FlatAdamW(model, [1e-3], Settings(0.9, 0.99, 1e-8, 0.1, 1.0))
    for mode in modes:
        step = _our_step(model, optimizer, mode, inputs, targets)
        if unless_it_cannot(mode, step) is not None:
            steps[mode] = step
    best = dict.fromkeys(steps, 0.0)
    for _ in range(3):
        for mode, step in steps.items():
            best[mode] = max(best[mode], targets.numel() / _seconds(step, device, seconds / 3))
    theirs = best.get("transformers")
    fastest = max((mode for mode in best if mode in MODES), key=best.__getitem__, default=None)
    return [
        {
            "size": name,
            "N": built.total,
            "mode": mode,
            "tokens_per_second": rate,
            "ratio": rate / theirs if theirs else None,
            "flops_per_second": rate * built.flops_per_token,
            "fastest": mode == fastest,
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        }
        for mode, rate in best.items()
    ]


def _our_step(
    model: Any, optimizer: FlatAdamW, mode: str, inputs: torch.Tensor, targets: torch.Tensor
) -> Callable[[], torch.Tensor]:
    forward = torch.compile(model, dynamic=False, mode=COMPILED[mode]) if mode in COMPILED else model
    bfloat16 = inputs.device.type == "cuda"
    count = 0

    def step() -> torch.Tensor:
        nonlocal count
        count += 1
        optimizer.zero_grad(in_place=mode == "graph")
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=bfloat16):
            loss = forward(inputs, targets).sum() / targets.numel()
        loss.backward()
        return optimizer.step(count, 1.0)

    return step


def _their_step(model: Any, inputs: torch.Tensor, targets: torch.Tensor) -> Callable[[], None]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    bfloat16 = inputs.device.type == "cuda"

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=bfloat16):
            logits = model(input_ids=inputs, use_cache=False).logits
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return step


def _seconds(step: Callable[[], Any], device: torch.device, budget: float) -> float:
    """Return the seconds of one step."""
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    for _ in range(3):
        step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start, count = clock(), 0
    while clock() - start < budget or count < 3:
        step()
        count += 1
        if device.type == "cuda" and count % 10 == 0:
            torch.cuda.synchronize(device)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return (clock() - start) / count
