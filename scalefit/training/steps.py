"""How a step is computed: eager, compiled, or compiled with CUDA graphs; by measurement where nobody says which."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from typing import Any, TypeVar

import torch

T = TypeVar("T")
log = logging.getLogger("scalefit")

#: Step modes, and torch.compile's name for them.
COMPILED = {"compile": "default", "graph": "reduce-overhead"}
MODES = ("eager", *COMPILED)
#: A run that an eager step finishes sooner is over before the compiler has paid for itself [s].
WORTH_COMPILING = 120.0
WARM_UP, TIMED = 5, 20


def prepare(model: Any, mode: str) -> Any:
    """Return the callable that computes the losses of `model` in a step mode."""
    if mode == "eager":
        return model
    torch.compiler.reset()  # after eight shapes in one process torch would fall back to eager without a word
    return torch.compile(model, dynamic=False, mode=COMPILED[mode])


def unless_it_cannot(mode: str, run: Callable[[], T]) -> T | None:
    """What `run` returns, or None with a warning where it fails in this mode, for want of a compiler or of memory."""
    try:
        return run()
    except Exception as error:  # a compiler raises classes of its own
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        log.warning("step mode %s cannot run here (%s); it is left out", mode, reason)
        return None


def fastest(
    model: Any, losses: Callable[[Any], torch.Tensor], device: torch.device, n_passes: float = math.inf
) -> tuple[str, dict[str, float]]:
    """Time forward and backward passes of each mode on this device; weights stay as they are, gradients do not.

    A mode that cannot run here, for want of a compiler or of memory, is left out with a warning.

    Parameters
    ----------
    model : Module
        What is trained.
    losses : callable
        Takes the model in some mode; returns the losses of one batch.
    device : torch.device
        Where `model` is.
    n_passes : float
        Passes in the run: the compiler is not tried where eager ones take less than WORTH_COMPILING in all.

    Returns
    -------
    str
        The fastest mode.
    dict of str to float
        Seconds a pass of each mode that ran [s].
    """
    seconds: dict[str, float] = {}
    for mode in MODES:
        if mode in COMPILED and seconds["eager"] * n_passes < WORTH_COMPILING:
            break

        def measure(mode: str = mode) -> float:
            return _time(prepare(model, mode), losses, device)

        found = measure() if mode == "eager" else unless_it_cannot(mode, measure)
        if found is not None:
            seconds[mode] = found
        if device.type == "cuda":
            torch.compiler.reset()  # gives the memory of the graphs back
            torch.cuda.empty_cache()
    return min(seconds, key=seconds.__getitem__), seconds


def _time(forward: Any, losses: Callable[[Any], torch.Tensor], device: torch.device) -> float:
    for count in range(WARM_UP + TIMED):
        if count == WARM_UP:
            _wait(device)
            started = time.perf_counter()
        losses(forward).sum().backward()
    _wait(device)
    return (time.perf_counter() - started) / TIMED


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
