"""AdamW over one flat buffer: a step is ten operations whatever the number of parameters.

Each member may have its own learning rate. Parameters and gradients become views of the buffers.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


class FlatAdamW:
    """Decoupled AdamW (Loshchilov & Hutter 2019, Algorithm 2) on flat memory.

    Parameters
    ----------
    model : Module
        Its parameters are moved into the buffer; ``model.decays(name, parameter)`` says which decay. With
        several members every parameter has the member as first dimension.
    lrs : sequence of float
        Peak learning rate of each member.
    """

    def __init__(
        self, model: nn.Module, lrs: Sequence[float], beta1: float, beta2: float, eps: float,
        weight_decay: float, clip: float,
    ) -> None:  # fmt: skip
        named = sorted(model.named_parameters(), key=lambda item: not model.decays(*item))  # type: ignore[operator]
        self.members = len(lrs)
        self.beta1, self.beta2, self.eps, self.weight_decay, self.clip = beta1, beta2, eps, weight_decay, clip
        self.parameters = [parameter for _, parameter in named]
        self.names = [name for name, _ in named]
        device = self.parameters[0].device
        size = sum(parameter.numel() for parameter in self.parameters)
        self.weights, self.grads, self.mean, self.square = (torch.zeros(size, device=device) for _ in range(4))
        self._lr = torch.empty(size, device=device) if len(set(lrs)) > 1 else None
        self._base = lrs[0]
        self.n_decayed = start = 0
        self._grad_views: list[torch.Tensor] = []
        for name, parameter in named:
            part = slice(start, start + parameter.numel())
            self.weights[part].view_as(parameter).copy_(parameter.detach())
            parameter.data = self.weights[part].view_as(parameter)
            parameter.grad = self.grads[part].view_as(parameter)
            self._grad_views.append(self.grads[part].view(self.members, -1))
            if self._lr is not None:
                rates = torch.tensor(lrs, device=device).unsqueeze(1)
                self._lr[part] = rates.expand(-1, parameter.numel() // len(lrs)).reshape(-1)
            start = part.stop
            if model.decays(name, parameter):  # type: ignore[operator]
                self.n_decayed = start

    def zero_grad(self) -> None:
        """Set every gradient to zero, in place, so that the views stay."""
        self.grads.zero_()

    @torch.no_grad()
    def step(self, count: int, multiplier: float) -> torch.Tensor:
        """Update the weights; `count` is the step from 1 and `multiplier` the schedule over the peak.

        Returns
        -------
        tensor, shape (E,)
            The gradient norm of each member before clipping.
        """
        norms = self._clip()
        self.mean.lerp_(self.grads, 1 - self.beta1)
        self.square.mul_(self.beta2).addcmul_(self.grads, self.grads, value=1 - self.beta2)
        correction = (1 - self.beta2**count) ** 0.5
        denominator = self.square.sqrt().div_(correction).add_(self.eps)
        rate = multiplier / (1 - self.beta1**count)
        if self._lr is None:
            self.weights[: self.n_decayed].mul_(1 - multiplier * self._base * self.weight_decay)
            self.weights.addcdiv_(self.mean, denominator, value=-rate * self._base)
        else:
            decay = self._lr[: self.n_decayed] * (-multiplier * self.weight_decay)
            self.weights[: self.n_decayed].mul_(decay.add_(1.0))
            self.weights.addcdiv_(self.mean * self._lr, denominator, value=-rate)
        return norms

    def _clip(self) -> torch.Tensor:
        if self.members == 1:
            norms = torch.linalg.vector_norm(self.grads).reshape(1)
            self.grads.mul_((self.clip / (norms + 1e-6)).clamp_(max=1.0))
            return norms
        squares = torch.stack([torch.linalg.vector_norm(view, dim=1) for view in self._grad_views])
        norms = torch.linalg.vector_norm(squares, dim=0)
        scale = (self.clip / (norms + 1e-6)).clamp_(max=1.0).unsqueeze(1)
        for view in self._grad_views:
            view.mul_(scale)
        return norms

    def state(self) -> dict[str, torch.Tensor]:
        """Return the live buffers, by name."""
        return {"weights": self.weights, "mean": self.mean, "square": self.square}

    def load(self, state: dict[str, torch.Tensor]) -> None:
        """Copy buffers back in place."""
        for name, buffer in self.state().items():
            buffer.copy_(state[name])
