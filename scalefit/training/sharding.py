"""One model over several devices: torch's fully_shard (FSDP2), and AdamW and Muon on the shards.

Each process keeps a part of every parameter, its gradient and its moments; a block is put together just before it is
used. A checkpoint is that of one process: any number of processes, sharded or not, goes on from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import distributed as dist
from torch import nn

from scalefit.errors import ArgumentError
from scalefit.training.config import OptimizerConfig
from scalefit.training.models.experts import leave_routing
from scalefit.training.optimizer import Settings, in_order, kind_of, orthogonal, settings_of


def shard(model: nn.Module, device: torch.device, size: int, members: int | None, compiled: bool = False) -> None:
    """Shard a model in place over all processes, block by block; nothing is left whole between the steps.

    Parameters
    ----------
    model : Module
        The same weights in each process. Items of its outermost ``ModuleList`` are its blocks.
    device : torch.device
        Of this process.
    size : int
        Number of processes.
    members : int or None
        Of the ensemble, which are each parameter's first dimension; None where it has no such dimension.
    compiled : bool
        Compile each block.

    Raises
    ------
    ArgumentError
        This torch has no such sharding, or the members of an ensemble cannot be kept together.
    """
    try:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard
        from torch.distributed.tensor import Shard
    except ImportError as error:
        raise ArgumentError(
            f"torch {torch.__version__} has no fully_shard with placements",
            "nothing was run",
            "Install torch 2.6 or newer, or use runtime.parallel = 'ddp'",
        ) from error

    def placement(parameter: nn.Parameter) -> Any:
        """The largest dimension that divides, so that each process has as much; never that of the members."""
        first = 0 if members is None else 1
        even = [place for place in range(first, parameter.dim()) if parameter.shape[place] % size == 0]
        if even:
            return Shard(max(even, key=lambda place: parameter.shape[place]))
        if members is not None and members > 1:
            raise ArgumentError(
                f"A parameter of shape {tuple(parameter.shape[1:])} does not divide into {size} processes",
                "nothing was run",
                "Train one seed and one rate, use runtime.parallel = 'ddp', or another number of processes",
            )
        return Shard(0)  # which may be uneven; with one member the first process keeps it all

    for parameter in model.parameters():  # refused before anything is changed
        placement(parameter)
    mesh = init_device_mesh(device.type, (size,))
    if compiled:
        leave_routing(model)
    for block in _blocks(model):
        if compiled:
            block.forward = torch.compile(block.forward, dynamic=False)  # type: ignore[method-assign]
        fully_shard(block, mesh=mesh, shard_placement_fn=placement)
    fully_shard(model, mesh=mesh, shard_placement_fn=placement)
    for module in model.modules():  # constants, which no shard holds
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, buffer.to(device))


def _blocks(module: nn.Module) -> list[nn.Module]:
    """Items of the outermost lists of modules."""
    found: list[nn.Module] = []
    for child in module.children():
        found += list(child) if isinstance(child, nn.ModuleList) else _blocks(child)
    return found


def make_sharded(
    model: nn.Module, config: OptimizerConfig, lrs: Sequence[float], tokens_per_step: float
) -> ShardedAdamW:
    """Return the optimiser of a config for a model that is sharded."""
    model.auxiliary = (config.z_loss, config.balance_loss, config.router_z_loss)  # type: ignore[assignment]
    return ShardedAdamW(model, lrs, settings_of(config, tokens_per_step))


@dataclass(frozen=True)
class _Part:
    """What this process holds of one parameter, and how its owner is moved."""

    name: str
    parameter: Any
    by_muon: bool
    decay: float
    rate: float
    parts: tuple[int, ...]
    mean: torch.Tensor
    square: torch.Tensor | None

    def grad(self) -> torch.Tensor:
        local: torch.Tensor = self.parameter.grad.to_local()
        return local

    @property
    def weight(self) -> torch.Tensor:
        local: torch.Tensor = self.parameter.detach().to_local()
        return local

    def like(self, local: torch.Tensor) -> Any:
        """A local tensor as the shard of a whole one."""
        from torch.distributed.tensor import DTensor

        whole = self.parameter
        return DTensor.from_local(
            local, whole.device_mesh, whole.placements, run_check=False, shape=whole.shape, stride=whole.stride()
        )

    def cut(self, value: torch.Tensor) -> torch.Tensor:
        """Return the part of a whole tensor that this process holds."""
        (placement,), mesh = self.parameter.placements, self.parameter.device_mesh
        pieces = value.chunk(mesh.size(), dim=placement.dim)
        rank = mesh.get_local_rank()
        return pieces[rank] if rank < len(pieces) else value.narrow(placement.dim, 0, 0)


class ShardedAdamW:
    """The steps of :class:`~.optimizer.FlatAdamW` on the shards of a model; its state is that one's, put together.

    Parameters
    ----------
    model : Module
        Sharded.
    lrs : sequence of float
        Peak learning rate of each member.
    settings : Settings
        As for :class:`~.optimizer.FlatAdamW`.
    """

    def __init__(self, model: Any, lrs: Sequence[float], settings: Settings) -> None:
        self.settings, self.lrs, self.members = settings, list(lrs), len(lrs)
        self._held: list[_Part] = []
        for name, parameter in in_order(model, settings):
            by_muon, decays, rate = kind_of(model, name, parameter, settings)
            local = parameter.detach().to_local()
            decay = settings.weight_decay / rate if decays else 0.0
            square = None if by_muon else torch.zeros_like(local)
            parts = model.parts(name) or (parameter.shape[-1],)
            self._held.append(_Part(name, parameter, by_muon, decay, rate, parts, torch.zeros_like(local), square))
        self._count = torch.zeros((), device=self._held[0].mean.device)

    def zero_grad(self, in_place: bool = False) -> None:
        """Forget every gradient; the next backward pass makes new shards."""
        for part in self._held:
            part.parameter.grad = None

    @torch.no_grad()
    def step(self, count: int, multiplier: float) -> torch.Tensor:
        """Update the weights, as :meth:`.optimizer.FlatAdamW.step` does; all processes must call it."""
        settings = self.settings
        norms = self._norms()
        shrink = ((norms + 1e-6) / settings.clip).clamp_(min=1.0)
        self._count.fill_(count)
        alike: dict[tuple[float, float], list[_Part]] = {}
        for part in self._held:
            if part.by_muon:
                self._orthogonal_step(part, multiplier, shrink)
            elif part.mean.numel():
                alike.setdefault((part.rate, part.decay), []).append(part)
        for (rate, decay), held in alike.items():
            for member in range(self.members):
                own = [
                    [self._of(tensor, member) for tensor in tensors]
                    for tensors in zip(*((p.weight, p.grad(), p.mean, p.square) for p in held), strict=True)
                ]
                torch._fused_adamw_(
                    *own, [], [self._count] * len(held), lr=self.lrs[member] * multiplier * rate,
                    beta1=settings.beta1, beta2=settings.beta2, weight_decay=decay, eps=settings.eps,
                    amsgrad=False, maximize=False, grad_scale=shrink[member], found_inf=None,
                )  # fmt: skip
        return norms

    def _of(self, tensor: Any, member: int) -> torch.Tensor:
        found: torch.Tensor = tensor if self.members == 1 else tensor[member]
        return found

    def _norms(self) -> torch.Tensor:
        squares = torch.zeros(self.members, dtype=torch.float64, device=self._count.device)
        for part in self._held:
            grad = part.grad()
            if grad.numel():
                squares += torch.linalg.vector_norm(grad.reshape(self.members, -1), dim=1).double().square()
        dist.all_reduce(squares)
        return squares.sqrt().float()

    def _orthogonal_step(self, part: _Part, multiplier: float, shrink: torch.Tensor) -> None:
        assert self.settings.momentum is not None
        dim = part.parameter.dim()
        # the matrices of a Decoder have their member first, those of transformers none
        many = (-1, *(1,) * (dim - 1)) if dim > 2 else (1, 1)
        grad = part.grad() / shrink.view(many)
        part.mean.mul_(self.settings.momentum).add_(grad)
        ahead = part.like(grad.add_(part.mean, alpha=self.settings.momentum)).full_tensor()
        rows = ahead.shape[-2]
        moved = torch.cat(
            [orthogonal(one).mul_(0.2 * max(rows, one.shape[-1]) ** 0.5) for one in ahead.split(part.parts, dim=-1)],
            dim=-1,
        )
        rate = torch.tensor(self.lrs, device=grad.device).view(many) * multiplier
        weight = part.weight
        weight.mul_(1 - rate * self.settings.weight_decay).sub_(part.cut(moved) * rate * part.rate)

    def state(self) -> dict[str, torch.Tensor]:
        """Return this process's live tensors, by kind and parameter."""
        found: dict[str, torch.Tensor] = {}
        for part in self._held:
            found |= {f"weights/{part.name}": part.weight, f"mean/{part.name}": part.mean}
            if part.square is not None:
                found[f"square/{part.name}"] = part.square
        return found

    def load(self, state: Mapping[str, torch.Tensor]) -> None:
        """Copy this process's tensors back in place."""
        for name, tensor in self.state().items():
            tensor.copy_(state[name])

    def gather(self, state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return a state put together on the host, as one process has it; all processes must call it."""
        found: dict[str, torch.Tensor] = {}
        for kind in ("weights", "mean", "square"):
            whole = [
                part.like(state[f"{kind}/{part.name}"]).full_tensor().flatten().cpu()
                for part in self._held
                if f"{kind}/{part.name}" in state
            ]
            found[kind] = torch.cat(whole) if whole else torch.zeros(0)
        return found

    def scatter(self, state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return this process's part of a state that was put together."""
        found: dict[str, torch.Tensor] = {}
        for kind in ("weights", "mean", "square"):
            start = 0
            for part in self._held:
                if kind == "square" and part.square is None:
                    continue
                size = part.parameter.numel()
                value = state[kind][start : start + size].view(part.parameter.shape)
                start += size
                found[f"{kind}/{part.name}"] = part.cut(value).contiguous().to(part.mean.device)
        return found
