"""A shape for a wanted number of parameters, and the number of a given one."""

from __future__ import annotations

from scalefit.planning.shape_search import nearest_shape
from scalefit.training.config import ModelConfig
from scalefit.training.models.counts import count_parameters

#: Width over depth that the shapes stay near; losses are flat within a factor of a few around it
#: (Kaplan et al. 2020, arXiv:2001.08361, figure 5).
ASPECT = 40
#: Widths that are tried, with heads of about 16 below a width of 64 and about 32 from there.
_WIDTHS = [8, 16, 24, 32, 48, 64, 80, 96, *range(128, 8193, 64)]


def shape_for(N: float, vocab_size: int, T_max: int = 128) -> ModelConfig:
    """Return the gpt2 model nearest to `N` parameters in total among those of ordinary proportions.

    Examples
    --------
    >>> model = shape_for(1e6, vocab_size=512)
    >>> abs(count_parameters(model, 512).total / 1e6 - 1) < 0.1
    True
    """
    layers, width = nearest_shape(
        N,
        _WIDTHS,
        lambda width: range(1, max(2, width // 8)),
        lambda layers, width: count_parameters(_model(layers, width, T_max), vocab_size).total,
        ASPECT,
        0.05,
    )
    return _model(layers, width, T_max)


def _model(layers: int, width: int, T_max: int) -> ModelConfig:
    head = 16 if width < 64 else 32
    return ModelConfig(n_layers=layers, d_emb=width, n_heads=max(1, width // head), T_max=T_max)


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
    from scalefit.training.models.huggingface import count_causal_lm  # torch and transformers

    return count_causal_lm(config, vocab_size)
