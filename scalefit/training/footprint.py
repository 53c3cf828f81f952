"""Memory that a training step needs on a device, from a step on tensors without contents: nothing is allocated."""

from __future__ import annotations

import logging
import weakref
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from scalefit.training.config import RunConfig
from scalefit.training.models import losses
from scalefit.training.models.build import build_model
from scalefit.training.optimizer import make_optimizer


class LiveBytes(TorchDispatchMode):
    """Counts the memory of the tensors that are made inside and still alive.

    Examples
    --------
    >>> with LiveBytes() as live:
    ...     x = torch.zeros(10)
    ...     y = (x + 1).sum()
    >>> live.peak, live.now
    (84, 44)
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: weakref.WeakSet[Any] = weakref.WeakSet()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and take note of what it made."""
        out = func(*args, **(kwargs or {}))
        for made in tree_leaves(out):
            if isinstance(made, torch.Tensor):
                self._add(made.untyped_storage())
        return out

    def _add(self, storage: Any) -> None:
        if storage in self._known:
            return
        self._known.add(storage)
        size = storage.nbytes()
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._remove, size)

    def _remove(self, size: int) -> None:
        self.now -= size


def step_memory(config: RunConfig, vocab_size: int, row_length: int | None = None, device: str = "cuda") -> int | None:
    """Return the peak of one training step of a run on one device [byte]: an estimate for its allocator.

    Weights, gradients, moments, activations of one micro-batch and the work of the loss, eager and in the dtype that
    the run would have; not the fragments of an allocator, nor some hundred megabytes of the device's own libraries.
    A compiled step keeps less.

    Parameters
    ----------
    config : RunConfig
        The run, with its members and `runtime.micro_batch`.
    vocab_size : int
        Vocabulary of the corpus [tokens].
    row_length : int, optional
        Positions of a row; default `T_max`.
    device : {"cuda", "cpu"}
        Kind of device.

    Returns
    -------
    int or None
        Memory [byte]; None where it depends on the contents of tensors, as in a mixture of experts.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from scalefit.training.config import OptimizerConfig, RuntimeConfig
    >>> run = RunConfig.from_dict({"model": {"preset": "gpt2-small"}, "optimizer": {"batch_size": 480}})
    >>> run = replace(run, runtime=RuntimeConfig(micro_batch=16))
    >>> round(step_memory(run, 50257) / 1e9)
    11
    """
    from torch._subclasses.fake_tensor import FakeTensorMode

    micro = config.runtime.micro_batch or config.optimizer.batch_size
    bfloat16 = config.runtime.dtype == "bfloat16" or (config.runtime.dtype == "auto" and device == "cuda")
    live, logger = LiveBytes(), logging.getLogger("torch._subclasses.fake_tensor")
    level = logger.level
    logger.setLevel(logging.CRITICAL)  # it prints the traceback of what it refuses
    try:
        with live, FakeTensorMode(allow_non_fake_inputs=True), losses.chunks_of(device):
            _step(config, vocab_size, row_length or config.model.T_max, micro, bfloat16)
    except RuntimeError:  # what tensors without contents refuse; a transformers model may ask anything of them
        return None
    finally:
        logger.setLevel(level)
    return int(live.peak)


def _step(config: RunConfig, vocab_size: int, row_length: int, micro: int, bfloat16: bool) -> None:
    members = config.members
    model = build_model(config.model, vocab_size, [seed for _, seed in members]).module
    tokens = micro * row_length
    optimizer = make_optimizer(model, config.optimizer, [lr for lr, _ in members], tokens)
    ids = torch.zeros(len(members), micro, row_length, dtype=torch.int64)
    for _ in range(1 if micro >= config.optimizer.batch_size else 2):  # in the second the gradients are there already
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            loss = model(ids, ids).sum()
        loss.backward()
        del loss
    del optimizer
