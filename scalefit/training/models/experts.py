"""A mixture of experts: each token goes through its few best of many SwiGLU layers, and none is dropped."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from scalefit.training.config import ModelConfig
from scalefit.training.models.layers import GatedFeedForward


class Experts(nn.Module):
    """Top-k routing as in Mixtral (Jiang et al. 2024, arXiv:2401.04088), with experts that every token also uses.

    The router's weights are a softmax over all experts, taken at the k best and scaled to sum to one. Shared experts
    (Dai et al. 2024, arXiv:2401.06066) stand beside them, unweighted.
    """

    def __init__(self, members: int, config: ModelConfig) -> None:
        super().__init__()
        n_experts, d_emb, width = config.n_experts or 0, config.d_emb, config.ff_width
        self.n_experts, self.top_k = n_experts, config.top_k
        self.router = nn.Parameter(torch.empty(members, d_emb, n_experts))
        self.up = nn.Parameter(torch.empty(members, n_experts, d_emb, 2 * width))  # gate and up
        self.down = nn.Parameter(torch.empty(members, n_experts, width, d_emb))
        shared = config.n_shared_experts
        self.shared = GatedFeedForward(members, d_emb, shared * width) if shared else None

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(E, M, d_emb) to the same, and the two auxiliary losses of each member, shape (2, E).

        They are the load-balance loss of Fedus et al. (2021, arXiv:2101.03961, eq. 4, summed over the k choices, as
        transformers has it) and the router's z-loss (Zoph et al. 2022, arXiv:2202.08906, eq. 5).
        """
        logits = torch.bmm(x, self.router.to(x.dtype)).float()
        shares = logits.softmax(dim=-1)
        weights, chosen = shares.topk(self.top_k, dim=-1)
        weights = weights / weights.sum(dim=-1, keepdim=True)
        out = torch.stack([self._member(*part) for part in zip(x, weights, chosen, self.up, self.down, strict=True)])
        if self.shared is not None:
            out = out + self.shared(x)
        used = F.one_hot(chosen, self.n_experts).float().sum(dim=2).mean(dim=1)  # (E, X)
        balance = self.n_experts * (used * shares.mean(dim=1)).sum(dim=-1)
        return out, torch.stack((balance, logits.logsumexp(dim=-1).square().mean(dim=-1)))

    def _member(
        self, x: torch.Tensor, weights: torch.Tensor, chosen: torch.Tensor, up: torch.Tensor, down: torch.Tensor
    ) -> torch.Tensor:
        """One member: its tokens sorted by expert, each expert's product over the tokens that chose it."""
        order = chosen.flatten().argsort(stable=True)
        token = order // self.top_k
        sizes = torch.bincount(chosen.flatten(), minlength=self.n_experts).tolist()  # a device is waited for here
        parts = []
        for expert, rows in enumerate(x[token].split(sizes)):
            gate, value = (rows @ up[expert]).chunk(2, dim=-1)
            parts.append((F.silu(gate) * value) @ down[expert])
        mixed = torch.cat(parts) * weights.flatten()[order].unsqueeze(1).to(x.dtype)
        return torch.zeros_like(x).index_add(0, token, mixed.to(x.dtype))


def leave_routing(model: nn.Module) -> None:
    """Keep a compiler from the sizes of the experts' batches, for each of which it would compile anew."""
    for module in model.modules():
        if isinstance(module, Experts):
            module._member = torch.compiler.disable(module._member)  # type: ignore[method-assign]
