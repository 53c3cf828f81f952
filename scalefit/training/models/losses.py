"""Cross-entropy of next tokens: sums in float32 whatever the logits are, in chunks, so that no float32 copy is kept."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterable, Iterator
from typing import Any

import torch

#: A target that is not scored.
IGNORE = -100
#: Numbers of a float32 chunk of logits: what a core's cache holds, and what keeps a GPU busy.
_CHUNK = {"cpu": 1 << 18, "cuda": 1 << 27}


@contextlib.contextmanager
def chunks_of(device: str) -> Iterator[None]:
    """Work in the chunks of another kind of device, to see what it would need."""
    before = _stands_for.set(device)
    try:
        yield
    finally:
        _stands_for.reset(before)


_stands_for: contextvars.ContextVar[str] = contextvars.ContextVar("device", default="")


def _parts(logits: torch.Tensor, *others: torch.Tensor) -> Iterable[tuple[torch.Tensor, ...]]:
    """Rows of logits, and of other tensors, that are worked on at a time; a compiler fuses the whole."""
    if torch.compiler.is_compiling():  # asked first: a compiler would break its graph at what stands below
        return [(logits, *others)]
    size = max(1, _CHUNK.get(_stands_for.get() or logits.device.type, 1 << 24) // logits.shape[1])
    if size >= len(logits):
        return [(logits, *others)]
    return zip(*(tensor.split(size) for tensor in (logits, *others)), strict=True)


def _without_padding(logits: torch.Tensor, vocab_size: int) -> torch.Tensor:
    return logits if logits.shape[1] == vocab_size else logits[:, :vocab_size]


class _CrossEntropy(torch.autograd.Function):
    """For every dtype, soft cap and compiler; the logits stay, or become their own gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        logits: torch.Tensor,
        targets: torch.Tensor,
        vocab_size: int,
        z_loss: float,
        soft_cap: float,
        keep: bool,
    ) -> torch.Tensor:
        scored = targets != IGNORE
        safe = targets.where(scored, 0)
        normaliser = torch.empty(len(logits), dtype=torch.float32, device=logits.device)
        for raw, place in _parts(_without_padding(logits, vocab_size), normaliser):
            place.copy_(_capped(raw.float(), soft_cap).logsumexp(dim=-1))
        chosen = _capped(logits.gather(1, safe.unsqueeze(1)).squeeze(1).float(), soft_cap)
        ctx.save_for_backward(logits, safe, scored, normaliser)
        ctx.settings = vocab_size, z_loss, soft_cap, keep
        return (normaliser - chosen) * scored

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        logits, targets, scored, normaliser = ctx.saved_tensors
        vocab_size, z_loss, soft_cap, keep = ctx.settings
        grad = grads[0] * scored
        weight = _weight(grad, normaliser, z_loss)
        out = torch.empty_like(logits) if keep else logits.detach()
        in_place = out.dtype == torch.float32 and not torch.compiler.is_compiling()
        known = _without_padding(logits, vocab_size), _without_padding(out, vocab_size)
        columns = (tensor.unsqueeze(1) for tensor in (normaliser, weight, targets, -grad))
        for part, place, normal, weights, chosen, minus in _parts(*known, *columns):
            raw = part.float()
            slope = 1 - (raw / soft_cap).tanh().square() if soft_cap else None
            # float32 is worked on where it will stay; a compiler fuses the whole and knows no `out`
            rows = torch.sub(_capped(raw, soft_cap), normal, out=place if in_place else None)
            rows = rows.exp_().mul_(weights)
            rows.scatter_add_(1, chosen, minus)
            if slope is not None:
                rows.mul_(slope)
            if not in_place:
                place.copy_(rows)
        if vocab_size < out.shape[1]:
            out[:, vocab_size:] = 0
        return out, None, None, None, None, None


class _InPlace(torch.autograd.Function):
    """The same in the memory of float32 logits: first their exponentials, then their gradient.

    On a CPU the memory that is read and written costs more than the arithmetic.
    """

    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor, targets: torch.Tensor, vocab_size: int, z_loss: float) -> torch.Tensor:
        scored = targets != IGNORE
        safe = targets.where(scored, 0).unsqueeze(1)
        chosen = logits.gather(1, safe)
        top, total = torch.empty_like(chosen), torch.empty_like(chosen)
        for rows, tops, totals in _parts(_without_padding(logits, vocab_size), top, total):
            torch.amax(rows, 1, keepdim=True, out=tops)
            torch.sum(rows.sub_(tops).exp_(), 1, keepdim=True, out=totals)
        normaliser = top.add_(total.log())
        ctx.save_for_backward(logits, safe, scored, total, normaliser)
        ctx.settings = vocab_size, z_loss
        return (normaliser - chosen).squeeze(1) * scored

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        logits, targets, scored, total, normaliser = ctx.saved_tensors
        vocab_size, z_loss = ctx.settings
        grad = (grads[0] * scored).unsqueeze(1)
        weight, minus = _weight(grad, normaliser, z_loss) / total, -grad
        out = logits.detach()  # which counts as changed: a second backward pass is refused
        for rows, weights, chosen, minuses in _parts(_without_padding(out, vocab_size), weight, targets, minus):
            rows.mul_(weights).scatter_add_(1, chosen, minuses)
        if vocab_size < out.shape[1]:
            out[:, vocab_size:] = 0
        return out, None, None, None


def _weight(grad: torch.Tensor, normaliser: torch.Tensor, z_loss: float) -> torch.Tensor:
    """What the probabilities are multiplied by in the gradient."""
    return grad + grad * (2 * z_loss) * normaliser if z_loss else grad


def _capped(logits: torch.Tensor, soft_cap: float) -> torch.Tensor:
    return soft_cap * (logits / soft_cap).tanh() if soft_cap else logits


def cross_entropy(
    logits: torch.Tensor,
    targets: torch.Tensor,
    vocab_size: int,
    z_loss: float = 0.0,
    soft_cap: float = 0.0,
    keep: bool = True,
) -> torch.Tensor:
    """Return the loss of each row [nat/token], float32; rows with target IGNORE have a loss of 0.

    Parameters
    ----------
    logits : tensor, shape (M, V)
        Columns from `vocab_size` on are padding: they take no part.
    targets : tensor of int64, shape (M,)
        Next tokens.
    z_loss : float
        Weight of the squared log of the normaliser (Chowdhery et al. 2022, arXiv:2204.02311), which keeps it near zero.
        It is in the gradient, not in the loss that is returned.
    soft_cap : float
        Logits pass through ``soft_cap * tanh(logits / soft_cap)`` (Gemma Team 2024, arXiv:2408.00118); 0 is none.
    keep : bool
        Whether `logits` must stay as they are. Where nothing else needs them, their memory serves for the work and
        becomes their gradient: half the memory, and faster on a CPU.

    Examples
    --------
    >>> cross_entropy(torch.zeros(2, 4), torch.tensor([1, -100]), vocab_size=4).tolist()
    [1.3862943649291992, 0.0]
    """
    keep = keep or torch.compiler.is_compiling()
    result: torch.Tensor
    if keep or soft_cap or logits.dtype != torch.float32:
        result = _CrossEntropy.apply(logits, targets, vocab_size, z_loss, soft_cap, keep)
    else:
        result = _InPlace.apply(logits, targets, vocab_size, z_loss)
    return result
