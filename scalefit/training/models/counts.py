"""Parameters by group and training FLOPs from a config alone, before anything is built."""

from __future__ import annotations

from scalefit import counting
from scalefit.counting import ParameterCounts
from scalefit.flops import ATTENTION, CAUSAL, TRAIN
from scalefit.training.config import ModelConfig


def count_parameters(config: ModelConfig, vocab_size: int) -> ParameterCounts:
    """Count the parameters of a model of our own families by group.

    Examples
    --------
    >>> from scalefit.training.config import ModelConfig
    >>> count_parameters(ModelConfig.from_dict({"preset": "gpt2-small"}), 50257).total
    124439808
    >>> count_parameters(ModelConfig.from_dict({"preset": "llama-3-8b"}), 128256).total
    8030261248
    """
    if not config.is_modern:
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
    d, layers = config.d_emb, config.n_layers
    expert = 3 * d * config.ff_width
    experts = config.n_experts or 0
    feed_forward = d * experts + (experts + config.n_shared_experts) * expert if experts else expert
    return ParameterCounts(
        token_embedding=vocab_size * d,
        position=0,
        attention=layers * _attention(config),
        feed_forward=layers * feed_forward,
        norms=layers * (2 * d + (2 * config.d_head if config.qk_norm else 0)) + d,
        head=(0 if config.tied else vocab_size * d) + (vocab_size if config.head_bias else 0),
        n_layers=layers,
        d_emb=d,
    )


def count_active(config: ModelConfig, vocab_size: int) -> int:
    """Parameters that one token uses [parameters]: all, less the experts that it is not routed to.

    Examples
    --------
    >>> from scalefit.training.config import ModelConfig
    >>> count_active(ModelConfig.from_dict({"preset": "mixtral-8x7b"}), 32000)
    12879925248
    """
    total = count_parameters(config, vocab_size).total
    unused = (config.n_experts or config.top_k) - config.top_k
    return total - config.n_layers * unused * 3 * config.d_emb * config.ff_width


def flops_per_token(config: ModelConfig, vocab_size: int) -> float:
    """Training FLOP per token: six per matrix weight used, the output matrix included, and causal attention.

    The convention of Porian et al. (2024, arXiv:2406.19146): look-ups and norms are free, and causal attention
    costs ``6 T d`` per layer (half of the full ``12 T d``). Experts count where a token is routed to them.
    """
    d, layers = config.d_emb, config.n_layers
    if config.is_modern:
        experts = config.top_k + config.n_shared_experts if config.n_experts else 1
        block = _attention(config) + d * (config.n_experts or 0) + experts * 3 * d * config.ff_width
    else:
        block = 4 * d * d + 2 * d * config.ff_width
    return TRAIN * (layers * block + vocab_size * d) + CAUSAL * ATTENTION * layers * config.T_max * d


def _attention(config: ModelConfig) -> int:
    """Weights of one layer's attention with grouped keys and values."""
    return config.d_emb * config.d_head * (2 * config.n_heads + 2 * config.kv_heads)
