"""The 2017 transformer as a decoder (Vaswani et al. 2017): positions, initial weights."""

from __future__ import annotations

import math

import torch


def sinusoidal_positions(length: int, width: int) -> torch.Tensor:
    """Return the fixed position table of Vaswani et al. (2017, section 3.5), shape (length, width)."""
    step = torch.exp(torch.arange(0, width, 2, dtype=torch.float64) * (-math.log(10_000.0) / width))
    angles = torch.arange(length, dtype=torch.float64)[:, None] * step
    return torch.stack((angles.sin(), angles.cos()), dim=-1).reshape(length, width).float()


def initialise(name: str, parameter: torch.Tensor, n_layers: int, generator: torch.Generator) -> None:
    """Fill one member's parameter in place: Xavier-uniform matrices, embeddings N(0, 1/d_emb), biases zero.

    Embeddings are multiplied by sqrt(d_emb) on the way in, so they enter with unit variance, and a tied
    output starts with logits of order one.
    """
    if parameter.dim() < 2:
        parameter.fill_(1.0 if name.endswith("gain") else 0.0)
    elif name in ("token_embedding", "head"):
        parameter.normal_(0.0, parameter.shape[-1] ** -0.5, generator=generator)
    else:
        # the three projections of qkv are initialised as three square matrices, not as one wide one
        fan_out = parameter.shape[1] // 3 if name.endswith("qkv.weight") else parameter.shape[1]
        bound = math.sqrt(6.0 / (parameter.shape[0] + fan_out))
        parameter.uniform_(-bound, bound, generator=generator)
