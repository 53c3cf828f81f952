"""A model on its device, its optimiser, and one training step of a batch in micro-batches."""

from __future__ import annotations

import contextlib
import resource
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from scalefit.training import steps
from scalefit.training.config import RunConfig
from scalefit.training.data.batches import Batches
from scalefit.training.data.corpus import IGNORE, Corpus
from scalefit.training.distributed import World
from scalefit.training.evaluation import evaluate
from scalefit.training.models.build import build_model
from scalefit.training.optimizer import FlatAdamW, make_optimizer
from scalefit.training.provenance import device_name
from scalefit.training.sharding import ShardedAdamW, make_sharded, shard

#: Dense matrix products in bfloat16, and products in float32 without TF32 [FLOP/s], from NVIDIA's data sheets (no
#: sparsity): the SXM parts, and before them others that their names contain.
PEAK_FLOPS = {
    "H100 PCIe": (756e12, 51e12),
    "H100 NVL": (835e12, 60e12),
    "H200": (989.4e12, 66.9e12),
    "H100": (989.4e12, 66.9e12),
    "A100": (312e12, 19.5e12),
    "B200": (2250e12, 80e12),
}

Between = Callable[[], None]


def _nothing() -> None:
    pass


class Trainer:
    """One model in training.

    Parameters
    ----------
    config : RunConfig
        The run.
    corpus : Corpus
        Its data.
    world : World
        The processes that share it.
    """

    def __init__(self, config: RunConfig, corpus: Corpus, world: World) -> None:
        self.config, self.corpus, self.world, self.device = config, corpus, world, world.device
        self.members = config.members
        self.length, self.batch = corpus.row_length(config.model.T_max), config.optimizer.batch_size
        self.tokens_per_step = self.batch * corpus.tokens_per_row(self.length)
        self.share = self.batch // world.size
        self.micro = min(config.runtime.micro_batch or self.share, self.share)
        self.dtype = resolved_dtype(config.runtime.dtype, self.device)
        self.batches = Batches(corpus, self.length, self.batch, [seed for _, seed in self.members])
        self.built = build_model(config.model, corpus.vocab_size, [seed for _, seed in self.members])
        # shards of gradients are summed at every micro-batch: a whole gradient would need the memory that was saved
        self.sharded = world.size > 1 and config.runtime.parallel == "fsdp"
        self.mode, self.mode_seconds = "eager", dict[str, float]()
        self.busy, self.n_done = 0.0, 0  # seconds in steps, and how many
        if self.device.type == "cuda":
            # TF32 keeps bfloat16's exponent and more of its digits; float32 that was asked for stays float32
            exact = config.runtime.dtype == "float32"
            torch.set_float32_matmul_precision("highest" if exact else "high")

    def place(self, n_steps: int) -> None:
        """Move the model to its device and choose its step mode; `n_steps` is the length of the run [steps]."""
        rates = [lr for lr, _ in self.members]
        self.optimizer: FlatAdamW | ShardedAdamW
        if self.sharded:
            self.mode = "compile" if self.config.runtime.step == "compile" else "eager"
            self.forward = self.model = self.built.module
            members = None if self.config.model.family == "huggingface" else len(rates)
            shard(self.model, self.device, self.world.size, members, self.mode == "compile")
            self.optimizer = make_sharded(self.model, self.config.optimizer, rates, self.tokens_per_step)
            return
        self.model = self.built.module.to(self.device)
        self.optimizer = make_optimizer(self.model, self.config.optimizer, rates, self.tokens_per_step)
        self.mode, self.mode_seconds, forward = self._choose_mode(n_steps)
        if forward is None or self.world.size > 1:
            forward = steps.prepare(self.world.wrap(self.model), self.mode)
        self.forward = forward
        if self.device.type == "cuda":  # what was measured above may need more than the mode that was chosen
            torch.cuda.reset_peak_memory_stats(self.device)

    def _choose_mode(self, n_steps: int) -> tuple[str, dict[str, float], Any]:
        """Return the step mode, the seconds of each where it was chosen by measurement, and the callable if made."""
        wanted = self.config.runtime.step
        if wanted != "auto":
            return wanted, {}, None
        if self.device.type != "cuda":
            return "eager", {}, None
        inputs, targets = (self.to_device(array[..., : self.micro, :]) for array in self.batches.of(0))
        self.model.train()

        def losses(forward: Any) -> torch.Tensor:
            with self._autocast():
                result: torch.Tensor = forward(inputs, targets)
            return result

        n_passes = n_steps * -(-self.share // self.micro)
        clear = self.optimizer.zero_grad
        mode, seconds, forward = steps.fastest(self.model, losses, self.device, n_passes, clear)
        return self.world.same(mode, steps.MODES), seconds, forward

    def step(self, step: int, multiplier: float, between: Between = _nothing) -> tuple[torch.Tensor, torch.Tensor]:
        """Train on the batch of a step; return the losses and the gradient norms before clipping, (E,) each.

        Parameters
        ----------
        step : int
            From 0.
        multiplier : float
            Learning rate, relative to the peak.
        between : callable
            Called before each micro-batch; if it raises, the step has changed nothing.
        """
        inputs, targets = self.batches.of(step)
        scored = (targets != IGNORE).sum(axis=(-1, -2))  # of the whole batch, so that processes weigh tokens alike
        if self.config.model.dropout:
            torch.manual_seed((step << 20) ^ (self.config.seeds[0] << 8) ^ self.world.rank)
        mine = slice(self.world.rank * self.share, (self.world.rank + 1) * self.share)
        inputs, targets = inputs[..., mine, :], targets[..., mine, :]
        self.optimizer.zero_grad(in_place=self.mode == "graph")
        total = torch.zeros(len(self.members), device=self.device)
        weight = self.to_device((self.world.size / scored).astype(np.float32))
        self.model.train()
        for begin in range(0, self.share, self.micro):
            part = slice(begin, begin + self.micro)
            last = begin + self.micro >= self.share
            between()
            with self.world.accumulate(self.forward, last or self.sharded):
                with self._autocast():
                    losses = self.forward(self.to_device(inputs[..., part, :]), self.to_device(targets[..., part, :]))
                loss = losses.sum(dim=(-1, -2)) * weight
                loss.sum().backward()
            total += loss.detach()
        norms = self.optimizer.step(step + 1, multiplier)
        mean = self.world.mean(total)
        self.n_done += 1
        return mean, norms

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Count the time inside as that of the steps: theirs on the host, and what is waited for their losses."""
        started = time.perf_counter()
        yield
        self.busy += time.perf_counter() - started

    def to_device(self, array: npt.NDArray[Any]) -> torch.Tensor:
        """Copy without waiting: a copy from memory that is not pinned would stop the host until the step is done."""
        tensor = torch.from_numpy(np.ascontiguousarray(array))
        return tensor if self.device.type == "cpu" else tensor.pin_memory().to(self.device, non_blocking=True)

    def _autocast(self) -> Any:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.dtype == "bfloat16")

    def evaluate(self, between: Between = _nothing) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return the held-out loss and its standard error, (E,) each, in micro-batches shared by the processes."""

        def losses(inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
            between()
            with self._autocast():
                result: torch.Tensor = self.model(inputs, targets)
            return result

        self.model.eval()
        tokens = self.config.evaluation.tokens
        mean, error = evaluate(losses, self.corpus, self.length, self.micro, tokens, self.world)
        if self.sharded:  # the root stays whole after a pass without a backward, and its weights may be put back next
            self.model.reshard()
        return mean, error

    def weights(self) -> dict[str, torch.Tensor]:
        """Return every parameter whole, by name; all processes must call it."""
        named = {name: value.detach() for name, value in self.model.named_parameters()}
        return {name: value.full_tensor() for name, value in named.items()} if self.sharded else named

    def cost(self) -> dict[str, float | None]:
        """Return tokens_per_second of all members [token/s], mfu [-] and peak_memory [byte] so far."""
        rate = self.n_done * self.tokens_per_step * len(self.members) / self.busy if self.busy else None
        peak = _peak_flops(self.device, self.dtype)
        mfu = None if rate is None or peak is None else rate * self.built.flops_per_token / (peak * self.world.size)
        return {"tokens_per_second": rate, "mfu": mfu, "peak_memory": peak_memory(self.device)}

    def machine(self) -> dict[str, Any]:
        """Return what the rows say of where they were computed."""
        return {"device": device_name(self.device), "n_devices": self.world.size, "dtype": self.dtype}


def resolved_dtype(wanted: str, device: torch.device) -> str:
    """Return the dtype of products: what was asked for, or bfloat16 on CUDA that has it, and float32 elsewhere."""
    if wanted != "auto":
        return wanted
    # devices before Ampere only imitate it, slower than float32
    has_it = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)
    return "bfloat16" if has_it else "float32"


def peak_memory(device: torch.device) -> float:
    """Return the most memory that was held: of the device, or of this process on the host [byte]."""
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device))
    return 1024.0 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _peak_flops(device: torch.device, dtype: str) -> float | None:
    if device.type != "cuda":
        return None
    name = device_name(device)
    found = next((peaks for part, peaks in PEAK_FLOPS.items() if part in name), None)
    return None if found is None else found[0 if dtype == "bfloat16" else 1]
