"""A training loop as people write it by hand, in the manner of nanoGPT, to hold ours against: written here, not copied.

One GPT-2 of ordinary modules, batches cut at random from a memory map, cross-entropy on whole logits, torch's fused
AdamW with two groups, clipping. No ensembles, no chunks, no flat buffers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from scalefit.training.config import ModelConfig


class PlainBlock(nn.Module):
    """Norm, attention, norm, feed-forward."""

    def __init__(self, d: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.norm_1, self.norm_2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv, self.out = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.up, self.down = nn.Linear(d, 4 * d), nn.Linear(4 * d, d)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, T, d) to the same."""
        batch, length, d = x.shape
        q, k, v = (
            part.view(batch, length, self.n_heads, -1).transpose(1, 2)
            for part in self.qkv(self.norm_1(x)).split(d, dim=2)
        )
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, length, d))
        hidden = F.gelu(self.up(self.norm_2(x)), approximate="tanh")
        added: torch.Tensor = x + self.down(hidden)
        return added


class PlainGPT(nn.Module):
    """GPT-2 with tied embeddings."""

    def __init__(self, config: ModelConfig, vocab_size: int) -> None:
        super().__init__()
        d = config.d_emb
        self.tokens, self.positions = nn.Embedding(vocab_size, d), nn.Embedding(config.T_max, d)
        self.blocks = nn.ModuleList(PlainBlock(d, config.n_heads) for _ in range(config.n_layers))
        self.norm = nn.LayerNorm(d)
        self.head = nn.Linear(d, vocab_size, bias=False)
        self.apply(self._initialise)
        self.head.weight = self.tokens.weight

    @staticmethod
    def _initialise(module: nn.Module) -> None:
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, 0.0, 0.02)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)

    def forward(self, ids: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the mean loss [nat/token]."""
        x = self.tokens(ids) + self.positions(torch.arange(ids.shape[1], device=ids.device))
        for block in self.blocks:
            x = block(x)
        logits = self.head(self.norm(x))
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), targets.reshape(-1))


class PlainLoop:
    """Its steps, one at a time."""

    def __init__(self, config: ModelConfig, vocab_size: int, tokens: Any, batch: int) -> None:
        torch.manual_seed(0)
        self.model, self.tokens, self.batch, self.length = PlainGPT(config, vocab_size), tokens, batch, config.T_max
        matrices = [parameter for parameter in self.model.parameters() if parameter.dim() >= 2]
        vectors = [parameter for parameter in self.model.parameters() if parameter.dim() < 2]
        groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.99), fused=True)
        self.model.train()

    def step(self) -> float:
        """Train on one batch; return its loss [nat/token]."""
        places = torch.randint(len(self.tokens) - self.length, (self.batch,))
        rows = [torch.from_numpy(self.tokens[i : i + self.length + 1].astype(np.int64)) for i in places.tolist()]
        window = torch.stack(rows)
        loss = self.model(window[:, :-1], window[:, 1:])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return float(loss.detach())
