"""One decoder-only transformer with a leading ensemble dimension: many seeds and learning rates in one step.

Every parameter has shape (E, ...): member e is an ordinary model of its own. vmap would do the same but has
no rule for scaled-dot-product attention and does not compile; batched matrix products do. E = 1 is the
ordinary path. There are no key-value caches: these models are for measuring, not for serving.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from scalefit.training.config import ModelConfig
from scalefit.training.models import gpt2, llama, vanilla
from scalefit.training.models.experts import Experts
from scalefit.training.models.layers import (
    Attention,
    EnsembleNorm,
    EnsembleRMSNorm,
    FeedForward,
    GatedFeedForward,
    product,
    rotary_angles,
)
from scalefit.training.models.losses import cross_entropy

#: The head's product is padded to a multiple of this on a GPU, whose matrix units want it [tokens].
VOCABULARY_STEP = 64
_INITIALISE: dict[str, Callable[..., None]] = {
    "gpt2": gpt2.initialise,
    "vanilla": vanilla.initialise,
    "llama": llama.initialise,
    "moe": llama.initialise,
}


def _norm(members: int, config: ModelConfig) -> nn.Module:
    if config.is_modern:
        return EnsembleRMSNorm(members, config.d_emb, config.norm_eps)
    return EnsembleNorm(members, config.d_emb)


def _feed_forward(members: int, config: ModelConfig) -> nn.Module:
    if config.family == "moe":
        return Experts(members, config)
    if config.family == "llama":
        return GatedFeedForward(members, config.d_emb, config.ff_width)
    return FeedForward(members, config)


class Block(nn.Module):
    """Attention and feed-forward, with the norm before (all but vanilla) or after the residual sum."""

    def __init__(self, members: int, config: ModelConfig) -> None:
        super().__init__()
        self.post_norm, self.dropout = config.family == "vanilla", config.dropout
        self.routed = config.family == "moe"
        self.norm_1, self.norm_2 = _norm(members, config), _norm(members, config)
        self.attention, self.feed_forward = Attention(members, config), _feed_forward(members, config)
        # depth form of the maximal-update parametrisation: the sum of all branches keeps its size
        self.branch = (config.base_depth / config.n_layers) ** 0.5 if config.base_depth else None

    def forward(
        self, x: torch.Tensor, shape: tuple[int, int], angles: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """(E, B T, d_emb) to the same, and the router's losses; `shape` is (B, T)."""
        if self.post_norm:
            x = self.norm_1(x + self._branch(self.attention(x, shape)))
            return self.norm_2(x + self._branch(self.feed_forward(x))), None
        x = x + self._branch(self.attention(self.norm_1(x), shape, angles))
        found = self.feed_forward(self.norm_2(x))
        out, extra = found if self.routed else (found, None)
        return x + self._branch(out), extra

    def _branch(self, x: torch.Tensor) -> torch.Tensor:
        if self.branch is not None:
            x = x * self.branch
        return F.dropout(x, self.dropout, self.training) if self.dropout else x


class Decoder(nn.Module):
    """A decoder of one of the families of :class:`~scalefit.training.ModelConfig`, for E members.

    Parameters
    ----------
    config : ModelConfig
        Family and sizes.
    vocab_size : int
        Vocabulary of the corpus.
    seeds : sequence of int
        One member each; the same seed gives the same initial weights whatever the ensemble.
    """

    positions: torch.Tensor

    def __init__(self, config: ModelConfig, vocab_size: int, seeds: Sequence[int] = (0,)) -> None:
        super().__init__()
        self.config, self.vocab_size, self.members = config, vocab_size, len(seeds)
        #: Weight of the z-loss of the output, of the load-balance loss and of the z-loss of routers.
        self.auxiliary = (0.0, 0.0, 0.0)
        members, width = len(seeds), config.d_emb
        self.token_embedding = nn.Parameter(torch.empty(members, vocab_size, width))
        angles = None
        if config.family == "gpt2":
            self.positions = nn.Parameter(torch.empty(members, config.T_max, width))
        elif config.family == "vanilla":
            self.register_buffer("positions", vanilla.sinusoidal_positions(config.T_max, width), persistent=False)
        else:
            angles = rotary_angles(config.T_max, config.d_head, config.rope_base)
        self.register_buffer("angles", angles, persistent=False)
        self.blocks = nn.ModuleList(Block(members, config) for _ in range(config.n_layers))
        self.final_norm = nn.Identity() if config.family == "vanilla" else _norm(members, config)
        self.head = None if config.tied else nn.Parameter(torch.empty(members, vocab_size, width))
        self.head_bias = nn.Parameter(torch.empty(members, vocab_size)) if config.head_bias else None
        self.register_buffer("offsets", torch.arange(members).view(-1, 1, 1) * vocab_size, persistent=False)
        self._initialise(seeds)

    @torch.no_grad()
    def _initialise(self, seeds: Sequence[int]) -> None:
        fill = _INITIALISE[self.config.family]
        for member, seed in enumerate(seeds):
            generator = torch.Generator().manual_seed(seed)
            for name, parameter in self.named_parameters():
                if not parameter.is_meta:
                    fill(name, parameter[member], self.config.n_layers, generator)
        for name, parameter in self.named_parameters():
            if self.config.base_width and self._is_hidden(name, parameter):
                parameter.mul_(self.config.width_ratio**-0.5)  # a variance that falls like 1 / fan-in

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
        x = self._embed(ids).view(members, batch * length, -1)
        extras: list[torch.Tensor] = []
        for block in self.blocks:
            x, extra = block(x, (batch, length), self.angles)
            if extra is not None:
                extras.append(extra)
        taps = tuple(taps)
        kept = {"pre_norm": x.view(members, batch, length, -1)} if "pre_norm" in taps else {}
        x = self.final_norm(x)
        if "post_norm" in taps:
            kept["post_norm"] = x.view(members, batch, length, -1)
        if taps:
            return kept
        logits = self._logits(x, padded=targets is not None and x.is_cuda)
        if targets is None:
            logits = logits.view(members, batch, length, -1)
            cap = self.config.soft_cap
            return cap * (logits.float() / cap).tanh() if cap else logits
        if targets.dim() == 2:
            targets = targets.expand(members, *targets.shape)
        losses = cross_entropy(
            logits.flatten(0, 1),
            targets.reshape(-1),
            self.vocab_size,
            self.auxiliary[0],
            self.config.soft_cap or 0.0,
            keep=False,
        ).view(members, batch, length)
        if extras and self.training:
            balance, router_z = torch.stack(extras).mean(dim=0)
            added = self.auxiliary[1] * balance + self.auxiliary[2] * router_z  # (E,)
            # in the gradient, not in the loss: what is reported stays the cross-entropy
            losses = losses + ((added - added.detach()).view(-1, 1, 1) * (targets >= 0))
        return losses

    def _embed(self, ids: torch.Tensor) -> torch.Tensor:
        places = ids if self.members == 1 else ids + self.offsets
        x = F.embedding(places, self.token_embedding.flatten(0, 1))  # (E, B, T, d)
        length = ids.shape[-1]
        if self.config.family == "gpt2":
            positions = self.positions if length == self.config.T_max else self.positions[:, :length]
            x = x + positions.unsqueeze(1)
        elif self.config.family == "vanilla":
            x = x * self.config.d_emb**0.5 + self.positions[:length]
        return F.dropout(x, self.config.dropout, self.training) if self.config.dropout else x

    def _logits(self, x: torch.Tensor, padded: bool = False) -> torch.Tensor:
        """(E, M, d_emb) to (E, M, V), with columns of zeros up to a multiple of VOCABULARY_STEP where `padded`."""
        weight = self.token_embedding if self.head is None else self.head
        bias = self.head_bias
        if self.config.base_width:
            x = x / self.config.width_ratio
        missing = -self.vocab_size % VOCABULARY_STEP if padded else 0
        if missing:
            weight = F.pad(weight, (0, 0, 0, missing))
            bias = None if bias is None else F.pad(bias, (0, missing))
        return product(x, weight.transpose(1, 2), bias)

    def decays(self, name: str, parameter: torch.Tensor) -> bool:
        """Weight decay holds for matrices only: (E, fan_in, fan_out) and embeddings."""
        return bool(parameter.dim() >= 3)

    def group(self, name: str, parameter: torch.Tensor) -> str:
        """Return what a parameter is to an optimiser: embedding, head, matrix (of the blocks) or vector."""
        if name in ("token_embedding", "positions"):
            return "embedding"
        if name == "head":
            return "head"
        return "matrix" if parameter.dim() >= 3 else "vector"

    def rate(self, name: str, parameter: torch.Tensor) -> float:
        """Return the learning rate of a parameter over the run's: 1, but for maximal-update parametrisation.

        Adam's steps on a matrix add up over its inputs, so a hidden matrix moves by 1/width (Yang et al. 2022,
        arXiv:2203.03466, table 8).
        """
        return 1.0 / self.config.width_ratio if self._is_hidden(name, parameter) else 1.0

    def parts(self, name: str) -> tuple[int, ...]:
        """Return the widths of the matrices that stand side by side in a parameter."""
        owner: Any = self.get_submodule(name.rpartition(".")[0])
        if isinstance(owner, Experts) and name.endswith(".up"):
            return (self.config.ff_width, self.config.ff_width)
        return getattr(owner, "parts", ())

    def _is_hidden(self, name: str, parameter: torch.Tensor) -> bool:
        return self.group(name, parameter) == "matrix"
