"""Parameters by group and training FLOPs from a config alone, before anything is built."""

from __future__ import annotations

from scalefit import counting
from scalefit.counting import ParameterCounts
from scalefit.training.config import ModelConfig


def count_parameters(config: ModelConfig, vocab_size: int) -> ParameterCounts:
    """Count the parameters of a gpt2 or vanilla model by group.

    Examples
    --------
    >>> from scalefit.training.models import preset
    >>> count_parameters(preset("gpt2-small"), 50257).total
    124439808
    """
    return counting.count_parameters(
        config.n_layers,
        config.d_emb,
        T_max=config.T_max,
        vocab_size=vocab_size,
        d_ff=config.d_ff,
        tied=config.tied,
        head_bias=config.head_bias,
        architecture=config.family,
    )


def count_total(config: ModelConfig, vocab_size: int) -> int:
    """Every parameter of a model of any family [parameters], for a corpus of `vocab_size` where it names none.

    Raises
    ------
    DataError
        There is no config of a causal LM at ``config.path``.
    """
    vocab_size = config.vocab_size or vocab_size
    if config.family != "huggingface":
        return count_parameters(config, vocab_size).total
    from scalefit.training.models.huggingface import count_causal_lm

    return count_causal_lm(config, vocab_size)


def flops_per_token(config: ModelConfig, vocab_size: int) -> float:
    """Training FLOP per token: six per matrix weight used, the output matrix included, and causal attention.

    The convention of Porian et al. (2024, arXiv:2406.19146): look-ups and norms are free, and causal attention
    costs ``6 T d`` per layer (half of the full ``12 T d``).
    """
    d, layers = config.d_emb, config.n_layers
    matrices = layers * (4 * d * d + 2 * d * config.ff_width) + vocab_size * d
    return 6.0 * matrices + 6.0 * layers * config.T_max * d
