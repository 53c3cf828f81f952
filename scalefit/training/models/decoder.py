"""One decoder-only transformer with a leading ensemble dimension: many seeds and learning rates in one step.

Every parameter has shape (E, ...): member e is an ordinary model of its own. vmap would do the same but has
no rule for scaled-dot-product attention and does not compile; batched matrix products do. E = 1 is the
ordinary path. Not covered: rotary positions, grouped queries, key-value caches. These models are for
measuring, not for serving.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import nn
from torch.nn import functional as F

from scalefit.training.config import ModelConfig
from scalefit.training.models import gpt2, vanilla

IGNORE = -100


class EnsembleLinear(nn.Module):
    """``x @ weight + bias`` for each member; weight (E, fan_in, fan_out)."""

    def __init__(self, members: int, fan_in: int, fan_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(members, fan_in, fan_out))
        self.bias = nn.Parameter(torch.empty(members, fan_out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(E, M, fan_in) to (E, M, fan_out)."""
        return torch.baddbmm(self.bias.unsqueeze(1), x, self.weight)


class EnsembleNorm(nn.Module):
    """Layer norm with a gain and bias for each member."""

    def __init__(self, members: int, width: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.empty(members, width))
        self.bias = nn.Parameter(torch.empty(members, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise (E, M, width) over the width."""
        width = (x.shape[-1],)
        if len(x) == 1:
            return F.layer_norm(x, width, self.gain.view(-1), self.bias.view(-1))
        return torch.addcmul(self.bias.unsqueeze(1), F.layer_norm(x, width), self.gain.unsqueeze(1))


class Attention(nn.Module):
    """Causal multi-head self-attention."""

    def __init__(self, members: int, config: ModelConfig) -> None:
        super().__init__()
        self.n_heads, self.dropout = config.n_heads, config.dropout
        self.qkv = EnsembleLinear(members, config.d_emb, 3 * config.d_emb)
        self.out = EnsembleLinear(members, config.d_emb, config.d_emb)

    def forward(self, x: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
        """(E, B T, d_emb) to the same; `shape` is (B, T)."""
        batch, length = shape
        members, _, width = x.shape
        heads = (members * batch, length, 3, self.n_heads, width // self.n_heads)
        q, k, v = self.qkv(x).view(heads).permute(2, 0, 3, 1, 4)  # each (E B, H, T, d_head)
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=dropout)
        return self.out(mixed.transpose(1, 2).reshape(members, batch * length, width))


class FeedForward(nn.Module):
    """Two linear layers with the family's activation between them."""

    def __init__(self, members: int, config: ModelConfig) -> None:
        super().__init__()
        self.relu = config.family == "vanilla"
        self.up = EnsembleLinear(members, config.d_emb, config.ff_width)
        self.down = EnsembleLinear(members, config.ff_width, config.d_emb)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(E, M, d_emb) to the same."""
        hidden = self.up(x)
        return self.down(F.relu(hidden) if self.relu else F.gelu(hidden, approximate="tanh"))


class Block(nn.Module):
    """Attention and feed-forward, with the norm before (gpt2) or after (vanilla) the residual sum."""

    def __init__(self, members: int, config: ModelConfig) -> None:
        super().__init__()
        self.post_norm, self.dropout = config.family == "vanilla", config.dropout
        self.norm_1, self.norm_2 = EnsembleNorm(members, config.d_emb), EnsembleNorm(members, config.d_emb)
        self.attention, self.feed_forward = Attention(members, config), FeedForward(members, config)

    def forward(self, x: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
        """(E, B T, d_emb) to the same; `shape` is (B, T)."""
        if self.post_norm:
            x = self.norm_1(x + self._drop(self.attention(x, shape)))
            return self.norm_2(x + self._drop(self.feed_forward(x)))
        x = x + self._drop(self.attention(self.norm_1(x), shape))
        return x + self._drop(self.feed_forward(self.norm_2(x)))

    def _drop(self, x: torch.Tensor) -> torch.Tensor:
        return F.dropout(x, self.dropout, self.training) if self.dropout else x


class Decoder(nn.Module):
    """A gpt2 or vanilla decoder for E members.

    Parameters
    ----------
    config : ModelConfig
        Family and sizes.
    vocab_size : int
        Of the corpus.
    seeds : sequence of int
        One member each; the same seed gives the same initial weights whatever the ensemble.
    """

    positions: torch.Tensor

    def __init__(self, config: ModelConfig, vocab_size: int, seeds: Sequence[int] = (0,)) -> None:
        super().__init__()
        self.config, self.vocab_size, self.members = config, vocab_size, len(seeds)
        members, width = len(seeds), config.d_emb
        self.token_embedding = nn.Parameter(torch.empty(members, vocab_size, width))
        gpt2_like = config.family == "gpt2"
        if gpt2_like:
            self.positions = nn.Parameter(torch.empty(members, config.T_max, width))
        else:
            self.register_buffer("positions", vanilla.sinusoidal_positions(config.T_max, width), persistent=False)
        self.blocks = nn.ModuleList(Block(members, config) for _ in range(config.n_layers))
        self.final_norm = EnsembleNorm(members, width) if gpt2_like else nn.Identity()
        self.head = None if config.tied else nn.Parameter(torch.empty(members, vocab_size, width))
        self.head_bias = nn.Parameter(torch.empty(members, vocab_size)) if config.head_bias else None
        self.register_buffer("offsets", torch.arange(members).view(-1, 1, 1) * vocab_size, persistent=False)
        self._initialise(seeds)

    @torch.no_grad()
    def _initialise(self, seeds: Sequence[int]) -> None:
        fill = gpt2.initialise if self.config.family == "gpt2" else vanilla.initialise
        for member, seed in enumerate(seeds):
            generator = torch.Generator().manual_seed(seed)
            for name, parameter in self.named_parameters():
                fill(name, parameter[member], self.config.n_layers, generator)

    def forward(
        self, ids: torch.Tensor, targets: torch.Tensor | None = None, taps: Iterable[str] = ()
    ) -> torch.Tensor | dict[str, torch.Tensor]:
        """Return logits (E, B, T, V); with targets the losses (E, B, T); with taps the named activations.

        Parameters
        ----------
        ids : tensor of int64, shape (E, B, T) or (B, T)
            Tokens; (B, T) is given to every member.
        targets : tensor of int64, optional
            Next tokens; -100 is not scored (its loss is 0).
        taps : iterable of {"pre_norm", "post_norm"}
            Activations of the last layer before and after the final norm, each (E, B, T, d_emb).
        """
        if ids.dim() == 2:
            ids = ids.expand(self.members, *ids.shape)
        members, batch, length = ids.shape
        x = F.embedding(ids + self.offsets, self.token_embedding.flatten(0, 1))  # (E, B, T, d)
        if self.config.family == "gpt2":
            positions = self.positions if length == self.config.T_max else self.positions[:, :length]
            x = x + positions.unsqueeze(1)
        else:
            x = x * self.config.d_emb**0.5 + self.positions[:length]
        if self.config.dropout:
            x = F.dropout(x, self.config.dropout, self.training)
        x = x.view(members, batch * length, -1)
        for block in self.blocks:
            x = block(x, (batch, length))
        taps = tuple(taps)
        kept = {"pre_norm": x.view(members, batch, length, -1)} if "pre_norm" in taps else {}
        x = self.final_norm(x)
        if "post_norm" in taps:
            kept["post_norm"] = x.view(members, batch, length, -1)
        if taps:
            return kept
        weight = (self.token_embedding if self.head is None else self.head).transpose(1, 2)
        if self.head_bias is None:
            logits = torch.bmm(x, weight)
        else:
            logits = torch.baddbmm(self.head_bias.unsqueeze(1), x, weight)
        if targets is None:
            return logits.view(members, batch, length, -1)
        if targets.dim() == 2:
            targets = targets.expand(members, *targets.shape)
        losses = F.cross_entropy(
            logits.view(-1, self.vocab_size).float(),
            targets.reshape(-1),
            ignore_index=IGNORE,
            reduction="none",
        )
        return losses.view(members, batch, length)

    def decays(self, name: str, parameter: torch.Tensor) -> bool:
        """Weight decay holds for matrices only: (E, fan_in, fan_out) and embeddings."""
        return bool(parameter.dim() >= 3)
