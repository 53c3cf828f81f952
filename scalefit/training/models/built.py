"""A model with what is known of it before it is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn


@dataclass(frozen=True)
class Built:
    """A model with its counts [parameters] and its training FLOP per token, all of one member.

    `total` counts every parameter, `active` those that one token uses (fewer in a mixture of experts), `head` the
    output matrix, tied or not. `shape` holds n_layers, d_emb, n_heads, d_ff, vocab_size and tied; None where another
    library's model has no such thing.
    """

    module: nn.Module
    total: int
    active: int
    non_embedding: int
    head: int
    flops_per_token: float
    shape: dict[str, Any]
