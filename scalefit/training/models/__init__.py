"""The models: one decoder, two families, counts by group and named presets."""

from __future__ import annotations

from scalefit.errors import ArgumentError
from scalefit.training.config import ModelConfig
from scalefit.training.models.counts import count_parameters
from scalefit.training.models.gpt2 import PRESETS as _GPT2
from scalefit.training.models.vanilla import PRESETS as _VANILLA

PRESETS = {**_GPT2, **_VANILLA}

__all__ = ["PRESETS", "count_parameters", "preset"]


def preset(name: str) -> ModelConfig:
    """Return a named model, such as ``gpt2-small`` or ``vanilla-paper``.

    Examples
    --------
    >>> preset("gpt2-small").d_emb
    768
    """
    if name not in PRESETS:
        raise ArgumentError(f"Unknown model preset {name!r}; nothing was built. Known: {', '.join(PRESETS)}.")
    return PRESETS[name]
