"""N and D of a run: as logged, counted from its settings, or by steps times batch times context."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalefit._names import NON_EMBEDDING_NAMES, USUAL_NAMES
from scalefit.collecting import counts
from scalefit.collecting.records import Run, number
from scalefit.errors import DataError, arg
from scalefit.flops import TRAIN

Asked = str | float | Mapping[str, Any] | None

#: Names of a table's columns that mean something else among a run's settings.
_TOO_LOOSE = frozenset("n d size model_size data dataset_size data_size dataset_tokens d_tokens".split())
_N_NAMES = tuple(name for name in USUAL_NAMES["N"] if name not in _TOO_LOOSE)
_D_NAMES = (
    *(name for name in USUAL_NAMES["D"] if name not in _TOO_LOOSE),
    *"num_input_tokens_seen total_tokens_seen n_tokens_seen max_tokens".split(),
)
_STEP_NAMES = tuple("global_step optimizer_step iter iteration num_updates current_steps".split())
_TOTAL_STEPS = tuple("max_steps max_iters num_iterations total_steps num_steps train_steps n_steps steps".split())
_TOKENS_PER_STEP = tuple(
    "batch_tokens tokens_per_step tokens_per_batch tokens_per_iter batch_size_tokens global_batch_tokens".split()
)
_GLOBAL_BATCH = tuple("global_batch_size total_train_batch_size effective_batch_size total_batch_size".split())
_BATCH = tuple("batch_size train_batch_size per_device_train_batch_size micro_batch_size device_batch_size".split())
_ACCUMULATION = tuple("gradient_accumulation_steps grad_accum_steps accumulate_grad_batches grad_accum".split())
_DEVICES = tuple("world_size n_gpus num_gpus num_devices n_devices ddp_world_size".split())
_CONTEXT = tuple(
    "block_size seq_len sequence_length seq_length max_seq_len max_seq_length context_length ctx_len context T_max "
    "n_ctx n_positions".split()
)


@dataclass(frozen=True)
class Size:
    """A quantity and where it came from, in words; NaN with what is missing."""

    value: float
    how: str
    derived: bool = False


def find_N(run: Run, asked: Asked) -> Size:
    """Parameters of a run [parameters]."""
    given = _as_asked(run, "N", asked)
    if given is not None:
        return given
    if (ready := number(run.ready.get("N"))) is not None:
        return Size(ready, "the table")
    for names, what in ((_N_NAMES, ""), (tuple(NON_EMBEDDING_NAMES), ", which leaves the embeddings out")):
        stated = _setting(run.config, names, "N") or _setting(run.summary, names, "N") or _series(run, names, math.nan)
        if stated is not None and stated[1] > 0:
            return Size(stated[1], f"{stated[0]}{what}", bool(what))
    counted = counts.from_config(run.config)
    if counted is not None:
        return Size(float(counted[0].total), f"counted from its settings as {counted[1]}, embeddings included", True)
    if (stored := number(run.ready.get("stored_parameters"))) is not None:
        return Size(stored, "summed from the shapes in its safetensors", True)
    return Size(math.nan, "not logged, and the settings do not tell it (layers, width, vocabulary and model_type)")


def find_D(run: Run, asked: Asked, batch_tokens: float | None, step: float) -> Size:
    """Tokens that a run had seen at a step [tokens]."""
    given = _as_asked(run, "D", asked)
    if given is not None:
        return given
    if (ready := number(run.ready.get("D"))) is not None:
        return Size(ready, "the table")
    if batch_tokens is None:
        stated = _series(run, _D_NAMES, step) or _setting(run.summary, _D_NAMES, "D")
        if stated is not None and stated[1] > 0:
            return Size(stated[1], stated[0])
    if (by_flos := _from_flos(run)) is not None and batch_tokens is None:
        return by_flos
    reached = _steps(run, step)
    per_step = Size(batch_tokens, "batch_tokens=") if batch_tokens is not None else _tokens_per_step(run)
    if reached is not None and per_step is not None:
        return Size(reached[1] * per_step.value, f"{reached[0]} x {per_step.how}", True)
    stated = _setting(run.config, _D_NAMES, "D")
    if stated is not None and stated[1] > 0:
        return Size(stated[1], f"{stated[0]}, as planned", True)
    missing = "the number of steps" if reached is None else "tokens per step (batch and context)"
    return Size(math.nan, f"not logged, and {missing} not known")


def total_steps(run: Run) -> float | None:
    """Steps that were planned."""
    found = _setting(run.config, _TOTAL_STEPS, None)
    return found[1] if found is not None and found[1] > 0 else None


def last_step(run: Run) -> float | None:
    """The largest step of any quantity."""
    ends = [float(steps[-1]) for steps, _ in run.series.values() if len(steps)]
    return max(ends) if ends else None


def _as_asked(run: Run, target: str, asked: Asked) -> Size | None:
    """What the caller gave: a number, a number for each run, or the name of a setting or a logged quantity."""
    if asked is None:
        return None
    if isinstance(asked, Mapping):
        value = number(asked.get(run.name))
        return None if value is None else Size(value, f"{target}= for this run")
    if not isinstance(asked, str):
        return Size(float(asked), f"{target}=")
    for place in (run.ready, run.config, run.summary):
        if (value := number(place.get(asked))) is not None:
            return Size(value, asked)
    if asked in run.series:
        return Size(float(run.series[asked][1][-1]), asked)
    return Size(number(run.ready.get(target)) or math.nan, f"{asked}, which this run has not")


def _setting(settings: Mapping[str, Any], names: tuple[str, ...], target: str | None) -> tuple[str, float] | None:
    """The first of the names that a flat mapping holds as a number, at its end or whole."""
    ends: dict[str, list[tuple[str, float]]] = {}
    for key, entry in settings.items():
        value = number(entry)
        if value is not None:
            ends.setdefault(key.replace("/", ".").rsplit(".", 1)[-1].lower(), []).append((key, value))
    for name in names:
        found = ends.get(name.lower(), [])
        whole = [item for item in found if item[0].lower() == name.lower()]
        found = whole or found
        if len({value for _, value in found}) > 1 and target is not None:
            keys = ", ".join(key for key, _ in found)
            raise DataError(
                f"Settings {keys} differ and could each be {target}",
                "no table was made",
                f"Name one with {arg(target)}",
            )
        if found:
            return found[0]
    return None


def _series(run: Run, names: tuple[str, ...], step: float) -> tuple[str, float] | None:
    """The value of a logged count at a step; its last where the step is not known."""
    for name in names:
        for key, (steps, values) in run.series.items():
            if key.replace("/", ".").rsplit(".", 1)[-1].lower() == name and len(steps):
                before = np.flatnonzero(steps <= step) if step == step else np.arange(len(steps))
                at = int(before[-1]) if len(before) else 0
                return key, float(values[at])
    return None


def _steps(run: Run, step: float) -> tuple[str, float] | None:
    """Optimizer steps at a step of the log."""
    if (stated := _series(run, _STEP_NAMES, step)) is not None:
        return stated
    if step == step:
        own = " (W&B's own, one for each call of log)" if run.kind == "wandb" else ""
        return f"the step{own}", step
    if (stated := _setting(run.summary, (*_STEP_NAMES, "_step"), None)) is not None:
        return stated
    return _setting(run.config, _TOTAL_STEPS, None)


def _tokens_per_step(run: Run) -> Size | None:
    if (stated := _setting(run.config, _TOKENS_PER_STEP, None)) is not None:
        return Size(stated[1], stated[0])
    context = _setting(run.config, _CONTEXT, None)
    whole = _setting(run.config, _GLOBAL_BATCH, None)
    if whole is not None and context is not None:
        if (
            whole[0].rsplit(".", 1)[-1] == "total_batch_size"
            and whole[1] >= 2 * context[1]
            and not whole[1] % context[1]
        ):
            return Size(whole[1], f"{whole[0]} [tokens], as it is a multiple of {context[0]}")
        return Size(whole[1] * context[1], f"{whole[0]} x {context[0]}")
    each = _setting(run.config, _BATCH, None)
    if each is None or context is None:
        return None
    factors = [each, *(s for names in (_ACCUMULATION, _DEVICES) if (s := _setting(run.config, names, None)))]
    product = context[1] * math.prod(value for _, value in factors)
    return Size(product, " x ".join([*(key for key, _ in factors), context[0]]))


def _from_flos(run: Run) -> Size | None:
    """Tokens from the Trainer's total_flos, which is 6 x tokens x parameters without the embeddings."""
    flos = number(run.summary.get("total_flos"))
    counted = counts.from_config(run.config)
    if run.kind != "trainer" or not flos or counted is None:
        return None
    weights = counted[0].total - counted[0].token_embedding - counted[0].position
    return Size(flos / (TRAIN * weights), "total_flos / (6 x parameters without embeddings), padding included", True)
