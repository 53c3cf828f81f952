"""How a step is computed: eager, compiled, or compiled with CUDA graphs; measured if nobody chooses."""

from __future__ import annotations

import contextlib
import importlib
import logging
import math
import time
from collections.abc import Callable
from typing import Any, TypeVar

import torch

from scalefit.training.models.experts import leave_routing

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
    if mode != "eager":
        torch.compiler.reset()  # after eight shapes in one process torch would fall back to eager without a word
    return _prepared(model, mode)


def _prepared(model: Any, mode: str) -> Any:
    if mode == "eager":
        return model
    leave_routing(model)
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
    model: Any,
    losses: Callable[[Any], torch.Tensor],
    device: torch.device,
    n_passes: float = math.inf,
    clear: Callable[[bool], None] = lambda _: None,
) -> tuple[str, dict[str, float], Any]:
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
    clear : callable
        Takes whether gradients must stay where they are in memory, and forgets them; called before each pass.

    Returns
    -------
    str
        The fastest mode.
    dict of str to float
        Seconds a pass of each mode that ran [s].
    callable
        The model in that mode, compiled already.
    """
    torch.compiler.reset()  # after eight shapes in one process torch would fall back to eager without a word
    seconds: dict[str, float] = {}
    forwards: dict[str, Any] = {}
    first_error: Exception | None = None
    for mode in MODES:
        if mode in COMPILED and seconds.get("eager", math.inf) * n_passes < WORTH_COMPILING:
            break

        def measure(mode: str = mode) -> float:
            forward = forwards[mode] = _prepared(model, mode)

            def one_pass() -> None:
                clear(mode == "graph")
                losses(forward).sum().backward()

            return _time(one_pass, device)

        try:
            found = measure() if mode == "eager" else unless_it_cannot(mode, measure)
        except Exception as error:
            if not out_of_memory(error):
                raise
            # compiled passes keep fewer activations: what eager ones cannot hold may fit
            log.warning("step mode %s is out of memory here; it is left out", mode)
            # without its traceback, whose frames hold the activations that did not fit
            first_error, found = error.with_traceback(None), None
            first_error.__context__ = first_error.__cause__ = None
        if found is not None:
            seconds[mode] = found
        if device.type == "cuda":
            torch.cuda.empty_cache()
    if not seconds and first_error is not None:
        raise first_error
    best = min(seconds, key=seconds.__getitem__)
    if device.type == "cuda" and best != "graph":
        _free_graphs()
    return best, seconds, forwards[best]


def _free_graphs() -> None:
    """Give the memory of graphs that are not used back, and keep what was compiled."""
    with contextlib.suppress(Exception):  # of an inner module, which may move
        importlib.import_module("torch._inductor.cudagraph_trees").reset_cudagraph_trees()
    torch.cuda.empty_cache()


def out_of_memory(error: BaseException) -> bool:
    """Whether a device or the host is full; a compiler, cuBLAS and the CPU allocator have words of their own."""
    phrases = ("allocate memory", "out of memory", "_ALLOC_FAILED")
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or any(words in str(error) for words in phrases)


def _time(one_pass: Callable[[], None], device: torch.device) -> float:
    for count in range(WARM_UP + TIMED):
        if count == WARM_UP:
            _wait(device)
            started = time.perf_counter()
        one_pass()
    _wait(device)
    return (time.perf_counter() - started) / TIMED


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
