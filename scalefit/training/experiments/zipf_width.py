"""Facts under Zipf's law without end: a model trained on the exact population, and how many facts it then holds.

Every step takes the loss of all keys, weighted by their probabilities: the gradient of infinite data, without noise.
What is left is the mass of the facts that do not fit, so the error, inverted, counts those that do.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from scalefit.memory import ZipfFacts
from scalefit.training.config import ModelConfig, OptimizerConfig
from scalefit.training.data.facts import INPUTS, FactSource
from scalefit.training.models.build import build_model
from scalefit.training.optimizer import make_optimizer
from scalefit.training.store import store_errors, write_atomically

#: Part of what names a stored result: raised when the same settings would no longer give the same numbers.
_FORMAT = 1
_WARM_UP = 0.1


def last_logits(model: Any, inputs: torch.Tensor) -> torch.Tensor:
    """Return the logits (E, B, V) after the last token of keys (B, 2) of an untied decoder."""
    found = model(inputs, taps=("post_norm",))["post_norm"][:, :, -1]
    return torch.bmm(found, model.head.transpose(1, 2))


@torch.no_grad()
def score(model: Any, source: FactSource, probabilities: Sequence[Any], chunk: int = 8192) -> list[dict[str, float]]:
    """Score every key once; return loss [nat] and error of each member, weighted by its probabilities.

    Parameters
    ----------
    model : Decoder
        With E members.
    source : FactSource
        The facts.
    probabilities : sequence of ndarray, each (K,)
        Of each member.
    chunk : int
        Keys at a time.
    """
    n_keys = len(source.values)
    losses, wrong = (np.empty((len(probabilities), n_keys)) for _ in range(2))
    for start in range(0, n_keys, chunk):
        ranks = np.arange(start, min(start + chunk, n_keys))
        inputs, targets = _tokens(source, ranks)
        logits = last_logits(model, inputs)
        targets = targets.expand(len(logits), -1)
        found = F.cross_entropy(logits.flatten(0, 1), targets.reshape(-1), reduction="none").view(targets.shape)
        losses[:, ranks] = found.double().numpy()
        wrong[:, ranks] = (logits.argmax(dim=-1) != targets).numpy()
    return [
        {"loss": float(p @ row), "error": float(p @ bad)}
        for p, row, bad in zip(probabilities, losses, wrong, strict=True)
    ]


def train_on_population(
    exponents: Sequence[float], width: int, *, n_keys: int, n_values: int, steps: int, lr: float, seed: int
) -> list[dict[str, Any]]:
    """Train one model of a width for each Zipf exponent on the exact gradient of infinite data.

    The models are members of one ensemble, with the same facts and the same initial weights.

    Returns
    -------
    list of dict
        For each exponent loss [nat], error, N [parameters], steps and CPU seconds of all members together.
    """
    source = FactSource(n_keys, 0.0, n_values, seed)
    config = fact_model(width)
    built = build_model(config, source.vocab_size, [seed] * len(exponents))
    model: Any = built.module
    settings = OptimizerConfig(lr=lr, weight_decay=0.0)
    optimizer = make_optimizer(model, settings, [lr] * len(exponents), n_keys)
    probabilities = [ZipfFacts(n_keys, a).probabilities for a in exponents]
    weights = torch.from_numpy(np.stack(probabilities)).float()
    inputs, targets = _tokens(source, np.arange(n_keys))
    targets = targets.repeat(len(exponents))
    warm, started = _WARM_UP * steps, time.process_time()
    for step in range(steps):
        optimizer.zero_grad()
        found = F.cross_entropy(last_logits(model, inputs).flatten(0, 1), targets, reduction="none")
        (found.view(weights.shape) * weights).sum().backward()
        optimizer.step(step + 1, min((step + 1) / warm, (steps - step) / (steps - warm)))
    cost = time.process_time() - started
    scores = score(model, source, probabilities)
    facts = {"N": built.total, "steps": steps, "lr": lr, "seed": seed, "cpu_seconds": cost}
    return [{"zipf": a, "width": width, **found, **facts} for a, found in zip(exponents, scores, strict=True)]


def fact_model(width: int) -> ModelConfig:
    """Return the model of facts: one GPT-2 layer, heads of 16, an output matrix of its own."""
    return ModelConfig(n_layers=1, d_emb=width, n_heads=width // 16 if width % 16 == 0 else 1, T_max=INPUTS, tied=False)


def population_rows(folder: Path, **settings: Any) -> list[dict[str, Any]]:
    """Return what `train_on_population` gives, from the folder where it was computed before."""
    name = hashlib.sha256(json.dumps([_FORMAT, settings], sort_keys=True).encode()).hexdigest()[:12]
    path = folder / f"{name}.json"
    if path.exists():
        rows: list[dict[str, Any]] = json.loads(path.read_text())
        return rows
    rows = train_on_population(**settings)
    with store_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(rows, indent=1).encode())
    return rows


def _tokens(source: FactSource, ranks: Any) -> tuple[torch.Tensor, torch.Tensor]:
    rows = torch.from_numpy(source.rows(ranks).astype(np.int64))
    return rows[:, :INPUTS], rows[:, INPUTS]
