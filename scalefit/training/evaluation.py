"""Held-out loss on fixed rows, with its standard error."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from scalefit.training.data.corpus import IGNORE, Corpus
from scalefit.training.distributed import World

Losses = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def scored_rows(corpus: Corpus, split: str, length: int, tokens: int) -> npt.NDArray[np.int64]:
    """Return evenly spaced rows of a split that hold about `tokens` targets (0: every row; a population: all of it)."""
    available = len(corpus.starts(split, length))
    whole = not tokens or corpus.weights(split) is not None
    n_rows = available if whole else min(available, max(2, round(tokens / length)))
    chosen: npt.NDArray[np.int64] = np.arange(n_rows) * available // n_rows  # of all documents, not of the first ones
    return chosen


@torch.no_grad()
def evaluate(
    losses: Losses, corpus: Corpus, length: int, batch: int, tokens: int, world: World, split: str = "val"
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return mean loss and standard error of each member [nat/token].

    The mean is over scored tokens, the standard error over rows (a ratio estimator where rows differ in
    length): tokens of one row are not independent. Where the rows are the whole population, each is weighted by its
    probability and the error is zero.

    Parameters
    ----------
    losses : callable
        Takes inputs and targets, (B, T); returns the losses (E, B, T).
    corpus, split, length, tokens
        Which rows, as in :func:`scored_rows`.
    batch : int
        Rows at a time, which sets the memory that is needed; it does not change the result.
    world : World
        The processes that share the rows.
    """
    chosen = scored_rows(corpus, split, length, tokens)
    n_rows = len(chosen)
    parts = [slice(start, min(start + batch, n_rows)) for start in range(0, n_rows, batch)]
    # as many turns for each process: where the model is sharded, all take part in every pass
    turns = -(-len(parts) // world.size)
    total: torch.Tensor | None = None
    count = np.zeros(n_rows)
    for turn in range(turns):
        place = turn * world.size + world.rank
        part = parts[min(place, len(parts) - 1)]
        inputs, targets = (torch.from_numpy(array) for array in corpus.rows(split, length, chosen[part]))
        found = losses(inputs.to(world.device), targets.to(world.device)).double().sum(dim=-1)  # (E, B)
        if total is None:
            total = torch.zeros(len(found), n_rows, dtype=torch.float64, device=found.device)
        if place < len(parts):
            total[:, part] = found
            count[part] = (targets != IGNORE).sum(dim=-1).numpy()
    assert total is not None
    sums = world.total(total).cpu().numpy()
    count = world.total(torch.from_numpy(count).to(world.device)).cpu().numpy()
    weights = corpus.weights(split)
    if weights is not None:
        return sums @ weights / (count @ weights), np.zeros(len(sums))
    sums, count = sums[:, count > 0], count[count > 0]
    mean = sums.sum(axis=1) / count.sum()
    residual = sums - mean[:, None] * count
    n_rows = len(count)
    error = np.sqrt((residual**2).sum(axis=1) * n_rows / max(1, n_rows - 1)) / count.sum()
    return mean, error
