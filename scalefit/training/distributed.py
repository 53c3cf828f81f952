"""One run over several devices: torch's own DistributedDataParallel under ``torchrun``, or nothing at all."""

from __future__ import annotations

import contextlib
import datetime
import gc
import importlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import distributed as dist

from scalefit.errors import ArgumentError

#: How long processes wait for each other: the first one may have a corpus to build, and a dead one is noticed by
#: torchrun, not by waiting.
PATIENCE = datetime.timedelta(hours=2)


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
        if self.size == 1:
            return model
        # the buffers are constants: sending them around at each step would be waste
        return torch.nn.parallel.DistributedDataParallel(model, broadcast_buffers=False)

    def accumulate(self, model: Any, last: bool) -> contextlib.AbstractContextManager[Any]:
        """Skip the averaging for all but the last micro-batch."""
        return contextlib.nullcontext() if last or self.size == 1 else model.no_sync()

    def mean(self, value: torch.Tensor) -> torch.Tensor:
        """Average over processes."""
        if self.size == 1:
            return value
        dist.all_reduce(value)
        return value / self.size

    def total(self, value: torch.Tensor) -> torch.Tensor:
        """Sum over processes."""
        if self.size > 1:
            dist.all_reduce(value)
        return value

    def same(self, choice: str, options: tuple[str, ...]) -> str:
        """Return what the first process chose: each may have measured, and chosen, for itself."""
        if self.size == 1:
            return choice
        answer = torch.tensor([options.index(choice)], device=self.device)
        dist.broadcast(answer, 0)
        return options[int(answer.item())]

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
        """Part from the others in order: a process that just exits can take its peers down with it.

        Models go first. One that is the last to hold the group frees it with Python's lock in hand, and a thread of the
        group that waits for that lock is waited for.
        """
        if self.size > 1:
            gc.collect()
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


def best_device(device: str = "auto") -> torch.device:
    """Return the device of that name; ``auto`` is CUDA where it is, else the CPU.

    Raises
    ------
    ArgumentError
        The device is not there.
    """
    try:
        return torch.empty(1, device=torch.device(_named(device))).device
    except (RuntimeError, AssertionError) as error:
        text = str(error).splitlines()[0]
        raise ArgumentError(
            f"device = {device!r} cannot be used here ({text})", "nothing was run", "Use 'cpu' or 'auto'"
        ) from error


def _named(device: str) -> str:
    return device if device != "auto" else ("cuda" if torch.cuda.is_available() else "cpu")


def start(device: str) -> World:
    """Join the processes that ``torchrun`` started, or be alone.

    Raises
    ------
    ArgumentError
        The device is not there.
    """
    size, local = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("LOCAL_RANK", "0"))
    name = _named(device)
    if name == "cuda" and size > 1:
        # a scheduler may show each process one device only, whatever its place on the machine
        name = f"cuda:{0 if torch.cuda.device_count() == 1 else local}"
    if name.startswith("cuda:") and torch.cuda.is_available():
        with contextlib.suppress(RuntimeError):  # of an index that is not there, which the next line names
            # before anything is put there, or every process would open the first device too
            torch.cuda.set_device(torch.device(name))
    chosen = best_device(name)
    if size == 1:
        return World(0, 1, chosen)
    if not dist.is_initialized():
        # DistributedDataParallel imports this, and what is imported while a group exists keeps the group for good: its
        # threads would outlive `leave`, and one that ends its work while the interpreter shuts down aborts the process.
        importlib.import_module("torch._dynamo")
        cuda = chosen.type == "cuda"
        dist.init_process_group("nccl" if cuda else "gloo", timeout=PATIENCE, device_id=chosen if cuda else None)
    return World(dist.get_rank(), size, chosen)
