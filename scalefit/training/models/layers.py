"""The parts of a decoder, each with a leading ensemble dimension: parameter (E, ...) is E independent parameters."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from scalefit.training.config import ModelConfig

#: Width of a head at which the attention of a model in maximal-update parametrisation equals the usual one.
MUP_HEAD = 32


def product(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """``x @ weight + bias`` for each member: (E, M, fan_in), (E, fan_in, fan_out), (E, fan_out) to (E, M, fan_out)."""
    batched = x.device.type == "cpu" and weight.is_contiguous() and not torch.compiler.is_compiling()
    if len(x) == 1 and not batched:
        # one matrix product with its bias inside: compilers and cuBLAS know it best, and the gradient of a transposed
        # weight is made in the weight's own layout. Squeezed, not indexed: the gradient of an index is a copy into
        # zeros. On a CPU these changes of shape cost a small model more than the batched product, which is as fast.
        one, matrix = x.squeeze(0), weight.squeeze(0)
        return (one @ matrix if bias is None else torch.addmm(bias.squeeze(0), one, matrix)).unsqueeze(0)
    return torch.bmm(x, weight) if bias is None else torch.baddbmm(bias.unsqueeze(1), x, weight)


class EnsembleLinear(nn.Module):
    """``x @ weight + bias`` for each member; weight (E, fan_in, fan_out).

    `parts` are the widths of the matrices that stand side by side in the weight, such as query, key and value.
    """

    def __init__(self, members: int, fan_in: int, fan_out: int, bias: bool = True, parts: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(members, fan_in, fan_out))
        self.bias = nn.Parameter(torch.empty(members, fan_out)) if bias else None
        self.parts = parts or (fan_out,)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(E, M, fan_in) to (E, M, fan_out)."""
        return product(x, self.weight, self.bias)


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


class EnsembleRMSNorm(nn.Module):
    """Root-mean-square norm (Zhang & Sennrich 2019, arXiv:1910.07467) with a gain for each member."""

    def __init__(self, members: int, width: int, eps: float) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.empty(members, width))
        self.eps = eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise (E, ..., width) over the width."""
        width = (x.shape[-1],)
        if len(x) == 1:
            return F.rms_norm(x, width, self.gain.view(-1).to(x.dtype), self.eps)
        gain = self.gain.view(len(x), *(1,) * (x.dim() - 2), -1)
        return F.rms_norm(x, width, None, self.eps) * gain.to(x.dtype)


def rotary_angles(length: int, d_head: int, base: float) -> torch.Tensor:
    """Return cosine and sine of each position and half-dimension (Su et al. 2021), shape (2, length, d_head)."""
    rates = base ** (-torch.arange(0, d_head, 2, dtype=torch.float32) / d_head)
    angles = torch.arange(length, dtype=torch.float32)[:, None] * rates
    angles = torch.cat((angles, angles), dim=-1)
    return torch.stack((angles.cos(), angles.sin()))


def rotate(x: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
    """Turn queries or keys (..., T, d_head) by their positions; pairs are a half apart, as in Llama."""
    cos, sin = angles[:, : x.shape[-2]].to(x.dtype)
    low, high = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-high, low), dim=-1) * sin


class Attention(nn.Module):
    """Causal self-attention; fewer key and value heads than query heads where the config groups them."""

    def __init__(self, members: int, config: ModelConfig) -> None:
        super().__init__()
        modern = config.is_modern
        self.n_heads, self.n_kv_heads, self.d_head = config.n_heads, config.kv_heads, config.d_head
        self.dropout = config.dropout
        wide, narrow = self.n_heads * self.d_head, self.n_kv_heads * self.d_head
        self.qkv = EnsembleLinear(
            members, config.d_emb, wide + 2 * narrow, bias=not modern, parts=(wide, narrow, narrow)
        )
        self.out = EnsembleLinear(members, wide, config.d_emb, bias=not modern)
        norms = [EnsembleRMSNorm(members, self.d_head, config.norm_eps) if config.qk_norm else None for _ in range(2)]
        self.q_norm, self.k_norm = norms
        # maximal-update parametrisation: products of aligned vectors grow like d_head, not like its root
        self.scale = MUP_HEAD**0.5 / self.d_head if config.base_width else None

    def forward(self, x: torch.Tensor, shape: tuple[int, int], angles: torch.Tensor | None = None) -> torch.Tensor:
        """(E, B T, d_emb) to the same; `shape` is (B, T)."""
        batch, length = shape
        members, _, _ = x.shape
        heads, kv, d_head = self.n_heads, self.n_kv_heads, self.d_head
        if heads == kv and angles is None and self.q_norm is None:
            every = self.qkv(x).view(members * batch, length, 3, heads, d_head)
            # unbound before it is turned: the gradient is then one copy, not two
            q, k, v = (part.transpose(1, 2) for part in every.unbind(2))  # each (E B, H, T, d_head)
        else:
            every = self.qkv(x).view(members, batch, length, heads + 2 * kv, d_head).transpose(2, 3)
            q, k, v = every.split((heads, kv, kv), dim=2)  # each (E, B, H, T, d_head)
            if self.q_norm is not None and self.k_norm is not None:
                q, k = self.q_norm(q), self.k_norm(k)
            if angles is not None:
                q, k = rotate(q, angles), rotate(k, angles)
            if kv != heads:
                k, v = (part.repeat_interleave(heads // kv, dim=2) for part in (k, v))
            q, k, v = (part.flatten(0, 1) for part in (q, k, v))
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=dropout, scale=self.scale)
        return self.out(mixed.transpose(1, 2).reshape(members, batch * length, heads * d_head))


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


class GatedFeedForward(nn.Module):
    """SwiGLU (Shazeer 2020, arXiv:2002.05202): ``down(silu(gate(x)) * up(x))``, without biases."""

    def __init__(self, members: int, d_emb: int, width: int) -> None:
        super().__init__()
        self.up = EnsembleLinear(members, d_emb, 2 * width, bias=False, parts=(width, width))  # gate and up
        self.down = EnsembleLinear(members, width, d_emb, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(E, M, d_emb) to the same."""
        gate, up = self.up(x).chunk(2, dim=-1)
        return self.down(F.silu(gate) * up)
