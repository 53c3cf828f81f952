"""Build a model and say what it is: our own decoder, or a user's transformers model from a local path."""

from __future__ import annotations

from collections.abc import Sequence

from scalefit.errors import ArgumentError
from scalefit.training.config import ModelConfig
from scalefit.training.models.built import Built
from scalefit.training.models.counts import count_active, count_parameters, flops_per_token
from scalefit.training.models.decoder import Decoder
from scalefit.training.models.huggingface import load_for_training


def build_model(config: ModelConfig, vocab_size: int, seeds: Sequence[int]) -> Built:
    """Build the model of a config for a corpus with `vocab_size` tokens.

    Raises
    ------
    ArgumentError
        The model has fewer tokens than the corpus, or an ensemble of transformers models is asked for.
    """
    if config.vocab_size is not None and config.vocab_size < vocab_size:
        raise ArgumentError(
            f"The model has vocab_size = {config.vocab_size:,} and the corpus uses {vocab_size:,} tokens",
            "nothing was run",
            "Leave vocab_size out to take the corpus's",
        )
    vocab_size = config.vocab_size or vocab_size
    if config.family == "huggingface":
        if len(seeds) != 1:
            raise ArgumentError(
                f"A transformers model trains one member at a time, not {len(seeds)}",
                "nothing was run",
                "Give one seed and one learning rate per run",
            )
        return load_for_training(config, vocab_size, seeds[0])
    counts = count_parameters(config, vocab_size)
    decoder = Decoder(config, vocab_size, seeds)
    shape = {name: getattr(config, name) for name in ("n_layers", "d_emb", "n_heads", "tied")}
    shape |= {"d_ff": config.ff_width, "vocab_size": vocab_size}
    flops = flops_per_token(config, vocab_size)
    active = count_active(config, vocab_size)
    return Built(decoder, counts.total, active, counts.non_embedding, vocab_size * config.d_emb, flops, shape)
