"""AdamW and Muon: a step is one fused call for each group of parameters that share a rate and a decay.

Each member may have its own learning rate. Parameters and moments are views of flat buffers, which a checkpoint holds;
gradients are made anew by each backward pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from scalefit.training.config import OptimizerConfig


@dataclass(frozen=True)
class Settings:
    """Numbers of AdamW, and Muon's momentum where it is used; `rates` by the kind of parameter, 1 where not named."""

    beta1: float
    beta2: float
    eps: float
    weight_decay: float
    clip: float
    rates: Mapping[str, float] = field(default_factory=dict)
    momentum: float | None = None


def settings_of(config: OptimizerConfig, tokens_per_step: float) -> Settings:
    """Return the numbers that a config means for steps of so many tokens."""
    beta2 = config.beta2
    if beta2 is None:
        beta2 = 0.99 if tokens_per_step < 128_000 else 0.95
    momentum = config.momentum if config.name == "muon" else None
    return Settings(config.beta1, beta2, config.eps, config.weight_decay, config.clip, config.rates, momentum)


def make_optimizer(
    model: nn.Module, config: OptimizerConfig, lrs: Sequence[float], tokens_per_step: float
) -> FlatAdamW:
    """Return the optimiser of a config for a model whose members have the peak rates `lrs`."""
    model.auxiliary = (config.z_loss, config.balance_loss, config.router_z_loss)  # type: ignore[assignment]
    return FlatAdamW(model, lrs, settings_of(config, tokens_per_step))


#: Whether Muon moves a parameter, whether it decays, and its rate over the run's.
Kind = tuple[bool, bool, float]


def kind_of(model: Any, name: str, parameter: torch.Tensor, settings: Settings) -> Kind:
    """Return how a parameter is moved."""
    group = model.group(name, parameter)
    rate = model.rate(name, parameter) * settings.rates.get(group, 1.0)
    return settings.momentum is not None and group == "matrix", bool(model.decays(name, parameter)), float(rate)


def in_order(model: Any, settings: Settings) -> list[tuple[str, torch.Tensor]]:
    """Return the parameters as they stand in a state: those of one kind side by side, Muon's first."""
    return sorted(model.named_parameters(), key=lambda item: kind_of(model, item[0], item[1], settings), reverse=True)


@dataclass(frozen=True)
class _Group:
    """Parameters that share a rate and a decay, and for each member the tensors: weights, means, squares."""

    rate: float
    decay: float
    place: slice  # among all parameters
    members: tuple[tuple[list[torch.Tensor], ...], ...]


@dataclass(frozen=True)
class _Matrix:
    """A parameter that Muon moves: (E, ..., fan_in, fan_out), with the widths of its matrices side by side."""

    place: int  # among all parameters
    weight: torch.Tensor
    momentum: torch.Tensor
    parts: tuple[int, ...]
    rate: float


class FlatAdamW:
    """Decoupled AdamW (Loshchilov & Hutter 2019, Algorithm 2) on flat memory, by torch's fused kernel.

    Parameters
    ----------
    model : Module
        Its parameters are moved into the buffer. ``model.decays``, ``model.group``, ``model.rate`` and ``model.parts``
        say which decay, what kind they are, how their rate is scaled and which matrices they hold. With several
        members every parameter has the member as first dimension.
    lrs : sequence of float
        Peak learning rate of each member.
    settings : Settings
        Its numbers. With a momentum the matrices of the blocks are moved by Muon (Jordan 2024; scaled as by Liu et al.
        2025, arXiv:2502.16982, so that rates and decays mean the same as AdamW's).
    """

    def __init__(self, model: Any, lrs: Sequence[float], settings: Settings) -> None:
        self.members, self.lrs, self.settings = len(lrs), list(lrs), settings
        named = in_order(model, self.settings)
        self.parameters = [parameter for _, parameter in named]
        self.names = [name for name, _ in named]
        device = self.parameters[0].device
        size = sum(parameter.numel() for parameter in self.parameters)
        kinds = [kind_of(model, name, parameter, self.settings) for name, parameter in named]
        by_muon = sum(parameter.numel() for (_, parameter), kind in zip(named, kinds, strict=True) if kind[0])
        self.weights, self.mean = (torch.zeros(size, device=device) for _ in range(2))
        self.square = torch.zeros(size - by_muon, device=device)
        self._matrices: list[_Matrix] = []
        alike: dict[Kind, list[tuple[torch.Tensor, ...]]] = {}
        start = 0
        for place, ((name, parameter), kind) in enumerate(zip(named, kinds, strict=True)):
            part = slice(start, start + parameter.numel())
            self.weights[part].view_as(parameter).copy_(parameter.detach())
            parameter.data = self.weights[part].view_as(parameter)
            parameter.grad = None
            mean = self.mean[part].view_as(parameter)
            if kind[0]:
                shape = _with_member(parameter)
                parts = model.parts(name) or (shape[-1],)
                self._matrices.append(_Matrix(place, parameter.data.view(shape), mean.view(shape), parts, kind[2]))
            else:
                square = self.square[start - by_muon : part.stop - by_muon].view_as(parameter)
                alike.setdefault(kind, []).append((parameter.data, mean, square))
            start = part.stop
        self._groups: list[_Group] = []
        first = len(self._matrices)  # Muon's stand first, then those of each kind side by side
        for kind, held in alike.items():
            self._groups.append(self._group(kind, slice(first, first + len(held)), held))
            first += len(held)
        self._count = torch.zeros((), device=device)
        self._lr = torch.tensor(self.lrs, device=device)

    def _group(self, kind: Kind, place: slice, held: list[tuple[torch.Tensor, ...]]) -> _Group:
        _, decays, rate = kind
        # decay is at the unscaled rate, whatever the rate of the group
        decay = self.settings.weight_decay / rate if decays else 0.0
        columns = list(zip(*held, strict=True))
        return _Group(rate, decay, place, tuple(tuple(self._of(c, e) for c in columns) for e in range(self.members)))

    def _of(self, tensors: Iterable[torch.Tensor], member: int) -> list[torch.Tensor]:
        return list(tensors) if self.members == 1 else [tensor[member] for tensor in tensors]

    def zero_grad(self, in_place: bool = False) -> None:
        """Forget every gradient: the next backward pass makes new ones, which spares it a sum with zeros.

        With `in_place` they are set to zero where they are, as CUDA graphs need: what a graph made is overwritten when
        it runs again.
        """
        if in_place:
            torch._foreach_zero_(self._gradients())
            return
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self, count: int, multiplier: float) -> torch.Tensor:
        """Update the weights; `count` is the step from 1 and `multiplier` the schedule over the peak.

        Returns
        -------
        tensor, shape (E,)
            The gradient norm of each member before clipping.
        """
        gradients = self._gradients()
        settings, norms = self.settings, self._norms(gradients)
        shrink = ((norms + 1e-6) / settings.clip).clamp_(min=1.0)  # what the gradients are divided by
        self._count.fill_(count)
        for group in self._groups:
            grads = gradients[group.place]
            for member, (weights, mean, square) in enumerate(group.members):
                torch._fused_adamw_(
                    weights, self._of(grads, member), mean, square, [], [self._count] * len(weights),
                    lr=self.lrs[member] * multiplier * group.rate, beta1=settings.beta1, beta2=settings.beta2,
                    weight_decay=group.decay, eps=settings.eps, amsgrad=False, maximize=False,
                    grad_scale=shrink[member], found_inf=None,
                )  # fmt: skip
        for matrix in self._matrices:
            self._orthogonal_step(matrix, gradients[matrix.place], multiplier, shrink)
        return norms

    def _gradients(self) -> list[torch.Tensor]:
        """Those of all parameters, of zeros for one that was of no use to this batch."""
        found = []
        for parameter in self.parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            found.append(parameter.grad)
        return found

    def _norms(self, grads: list[torch.Tensor]) -> torch.Tensor:
        if self.members == 1:
            return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(grads))).reshape(1)
        each = torch.stack([torch.linalg.vector_norm(grad.view(self.members, -1), dim=1) for grad in grads])
        return torch.linalg.vector_norm(each, dim=0)

    def _orthogonal_step(
        self, matrix: _Matrix, gradient: torch.Tensor, multiplier: float, shrink: torch.Tensor
    ) -> None:
        momentum = self.settings.momentum
        assert momentum is not None
        by_member = (-1, *(1,) * (matrix.weight.dim() - 1))
        grad = gradient.view_as(matrix.weight) / shrink.view(by_member)
        matrix.momentum.mul_(momentum).add_(grad)
        ahead = grad.add_(matrix.momentum, alpha=momentum)  # Nesterov's
        rows = ahead.shape[-2]
        moved = [
            orthogonal(part).mul_(0.2 * max(rows, part.shape[-1]) ** 0.5) for part in ahead.split(matrix.parts, dim=-1)
        ]
        rate = self._lr.view(by_member) * multiplier
        matrix.weight.mul_(1 - rate * self.settings.weight_decay)
        matrix.weight.sub_(torch.cat(moved, dim=-1) * rate * matrix.rate)

    def state(self) -> dict[str, torch.Tensor]:
        """Return the live buffers, by name."""
        return {"weights": self.weights, "mean": self.mean, "square": self.square}

    def load(self, state: Mapping[str, torch.Tensor]) -> None:
        """Copy buffers back in place."""
        for name, buffer in self.state().items():
            buffer.copy_(state[name])

    def gather(self, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return a state as a checkpoint has it: as it is, for nothing is sharded here."""
        return state

    def scatter(self, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return what :meth:`load` takes of a checkpoint's state."""
        device = self.weights.device
        return {name: value.to(device) for name, value in state.items()}


def _with_member(parameter: torch.Tensor) -> tuple[int, ...]:
    """Shape of a matrix with its member first, which those of transformers lack."""
    return tuple(parameter.shape) if parameter.dim() > 2 else (1, *parameter.shape)


def orthogonal(matrix: torch.Tensor, steps: int = 5) -> torch.Tensor:
    """Return about the nearest matrix with orthonormal rows or columns, of each (..., n, m), by Newton-Schulz steps.

    The quintic of Jordan (2024, kellerjordan.github.io/posts/muon): singular values end between 0.7 and 1.2, in five
    products instead of a decomposition.

    Examples
    --------
    >>> values = torch.linalg.svdvals(orthogonal(torch.diag(torch.tensor([3.0, 1.0, 0.5]))))
    >>> bool((values > 0.6).all() and (values < 1.3).all())
    True
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    work = matrix.to(torch.bfloat16) if matrix.is_cuda else matrix.float()
    tall = work.shape[-2] > work.shape[-1]
    work = work.mT if tall else work
    work = work / (torch.linalg.matrix_norm(work, keepdim=True) + 1e-7)
    for _ in range(steps):
        square = work @ work.mT
        work = a * work + (b * square + c * square @ square) @ work
    return (work.mT if tall else work).to(matrix.dtype)
