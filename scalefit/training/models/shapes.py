"""A sensible shape for a wanted number of parameters."""

from __future__ import annotations

import math

from scalefit.training.config import ModelConfig
from scalefit.training.models.counts import count_parameters

#: Width over depth that the shapes stay near; losses are flat within a factor of a few around it
#: (Kaplan et al. 2020, arXiv:2001.08361, figure 5).
ASPECT = 40


def shape_for(N: float, vocab_size: int, T_max: int = 128) -> ModelConfig:
    """Return the gpt2 model nearest to `N` parameters in total among those of ordinary proportions.

    Examples
    --------
    >>> model = shape_for(1e6, vocab_size=512)
    >>> abs(count_parameters(model, 512).total / 1e6 - 1) < 0.1
    True
    """

    def badness(model: ModelConfig) -> float:
        size = abs(math.log(count_parameters(model, vocab_size).total / N))
        return size + 0.05 * abs(math.log(model.d_emb / (ASPECT * model.n_layers)))

    widths = [8, 16, 24, 32, 48, 64, 80, 96, *range(128, 8193, 64)]
    return min(
        (
            ModelConfig(n_layers=layers, d_emb=width, n_heads=max(1, width // (16 if width < 64 else 32)), T_max=T_max)
            for width in widths
            if width % max(1, width // (16 if width < 64 else 32)) == 0
            for layers in range(1, max(2, width // 8))
        ),
        key=badness,
    )
