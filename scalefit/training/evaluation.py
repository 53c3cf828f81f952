"""Held-out loss on fixed rows, with its standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import torch

from scalefit.training.data.corpus import IGNORE, Corpus

Losses = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def _batches(
    corpus: Corpus, split: str, length: int, batch: int, tokens: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield evenly spaced rows of a split; the last batch is filled up with unscored rows."""
    available = len(corpus.starts(split, length))
    n_rows = min(available, max(2, round(tokens / length))) if tokens else available
    chosen = np.arange(n_rows) * available // n_rows  # of all documents, not of the first ones
    for begin in range(0, n_rows, batch):
        index = np.arange(begin, begin + batch)
        inputs, targets = corpus.rows(split, length, chosen[np.minimum(index, n_rows - 1)])
        targets[index >= n_rows] = IGNORE
        yield torch.from_numpy(inputs), torch.from_numpy(targets)


@torch.no_grad()
def evaluate(
    losses: Losses, corpus: Corpus, length: int, batch: int, tokens: int, device: torch.device, split: str = "val"
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return mean loss and standard error of each member [nat/token].

    The mean is over scored tokens, the standard error over rows (a ratio estimator where rows differ in
    length): tokens of one row are not independent.
    """
    sums, counts = [], []
    for inputs, targets in _batches(corpus, split, length, batch, tokens):
        part = losses(inputs.to(device), targets.to(device)).double().sum(dim=-1)  # (E, B)
        sums.append(part.cpu().numpy())
        counts.append((targets != IGNORE).sum(dim=-1).numpy())
    total = np.concatenate(sums, axis=1)  # (E, rows)
    count = np.concatenate(counts).astype(float)
    total, count = total[:, count > 0], count[count > 0]
    mean = total.sum(axis=1) / count.sum()
    residual = total - mean[:, None] * count
    n_rows = len(count)
    error = np.sqrt((residual**2).sum(axis=1) * n_rows / max(1, n_rows - 1)) / count.sum()
    return mean, error
