"""Parameters by group and training FLOPs from a config alone, before anything is built."""

from __future__ import annotations

from dataclasses import dataclass

from scalefit.training.config import ModelConfig


@dataclass(frozen=True, slots=True)
class ParameterCounts:
    """Parameters by group [parameters]; every convention for N is a sum of groups."""

    token_embedding: int
    positions: int
    attention: int
    feed_forward: int
    norms: int
    head: int

    @property
    def total(self) -> int:
        """Everything that is trained."""
        return self.token_embedding + self.positions + self.non_embedding + self.head

    @property
    def non_embedding(self) -> int:
        """Blocks and norms only (Kaplan et al. 2020)."""
        return self.attention + self.feed_forward + self.norms


def count_parameters(config: ModelConfig, vocab_size: int) -> ParameterCounts:
    """Count the parameters of a gpt2 or vanilla model by group.

    Examples
    --------
    >>> from scalefit.training.models import preset
    >>> count_parameters(preset("gpt2-small"), 50257).total
    124439808
    """
    d, f, layers = config.d_emb, config.ff_width, config.n_layers
    gpt2 = config.family == "gpt2"
    return ParameterCounts(
        token_embedding=vocab_size * d,
        positions=config.T_max * d if gpt2 else 0,
        attention=layers * (4 * d * d + 4 * d),
        feed_forward=layers * (2 * d * f + f + d),
        norms=(4 * layers + (2 if gpt2 else 0)) * d,
        head=(0 if config.tied else vocab_size * d) + (vocab_size if config.head_bias else 0),
    )


def flops_per_token(config: ModelConfig, vocab_size: int) -> float:
    """Training FLOP per token: six per matrix weight used, the output matrix included, and causal attention.

    The convention of Porian et al. (2024, arXiv:2406.19146): look-ups and norms are free, and causal
    attention costs ``6 T d`` per layer (half of the full ``12 T d``).
    """
    d, layers = config.d_emb, config.n_layers
    matrices = layers * (4 * d * d + 2 * d * config.ff_width) + vocab_size * d
    return 6.0 * matrices + 6.0 * layers * config.T_max * d
