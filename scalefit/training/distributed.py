"""One run over several devices: torch's own DistributedDataParallel under ``torchrun``, or nothing at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import distributed as dist

from scalefit.errors import ArgumentError


@dataclass(frozen=True)
class World:
    """The processes that share a run; one process is the ordinary case."""

    rank: int
    size: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """Whether this process writes."""
        return self.rank == 0

    def wrap(self, model: torch.nn.Module) -> Any:
        """Return the model, averaging gradients over processes where there are several."""
        return model if self.size == 1 else torch.nn.parallel.DistributedDataParallel(model)

    def accumulate(self, model: Any, last: bool) -> contextlib.AbstractContextManager[Any]:
        """Skip the averaging for all but the last micro-batch."""
        return contextlib.nullcontext() if last or self.size == 1 else model.no_sync()

    def mean(self, value: torch.Tensor) -> torch.Tensor:
        """Average over processes."""
        if self.size == 1:
            return value
        dist.all_reduce(value)
        return value / self.size

    def agree(self, wanted: bool) -> bool:
        """Whether the first process wants it: all must take the same branch."""
        if self.size == 1:
            return wanted
        answer = torch.tensor([int(wanted)], device=self.device)
        dist.broadcast(answer, 0)
        return bool(answer.item())

    def barrier(self) -> None:
        """Wait for the others."""
        if self.size > 1:
            dist.barrier()

    def leave(self) -> None:
        """Part from the others in order: a process that just exits can take its peers down with it."""
        if self.size > 1:
            dist.barrier()
            dist.destroy_process_group()

    @contextlib.contextmanager
    def first(self) -> Iterator[None]:
        """Let the first process go through alone, then the others."""
        if not self.is_first:
            self.barrier()
        try:
            yield
        finally:
            if self.is_first:
                self.barrier()


def start(device: str) -> World:
    """Join the processes that ``torchrun`` started, or be alone.

    Raises
    ------
    ArgumentError
        The device is not there.
    """
    name = device if device != "auto" else ("cuda" if torch.cuda.is_available() else "cpu")
    size, local = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("LOCAL_RANK", "0"))
    try:
        chosen = torch.device(f"cuda:{local}" if name == "cuda" and size > 1 else name)
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError) as error:
        text = str(error).splitlines()[0]
        raise ArgumentError(f"device = {device!r} cannot be used here ({text}). Use 'cpu' or 'auto'.") from error
    if size == 1:
        return World(0, 1, chosen)
    if not dist.is_initialized():
        dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    return World(dist.get_rank(), size, chosen)
