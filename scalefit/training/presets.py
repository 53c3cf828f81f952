"""Named models, as the fields of a ModelConfig; using one imports nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scalefit.errors import ArgumentError

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "gpt2-nano": {"n_layers": 2, "d_emb": 32, "n_heads": 2, "T_max": 64},
    "gpt2-micro": {"n_layers": 3, "d_emb": 96, "n_heads": 3, "T_max": 128},
    "gpt2-mini": {"n_layers": 4, "d_emb": 128, "n_heads": 4, "T_max": 256},
    "gpt2-12m": {"n_layers": 6, "d_emb": 384, "n_heads": 6, "T_max": 256},
    "gpt2-27m": {"n_layers": 8, "d_emb": 512, "n_heads": 8, "T_max": 512},
    # Radford et al. (2019), the released models
    "gpt2-small": {"n_layers": 12, "d_emb": 768, "n_heads": 12, "T_max": 1024, "vocab_size": 50257},
    "gpt2-medium": {"n_layers": 24, "d_emb": 1024, "n_heads": 16, "T_max": 1024, "vocab_size": 50257},
    # Two readings of one experiment: Niu et al. (2024) tie input and output and are silent on the rest; the
    # code of Murty et al. (2023) unties them, keeps 8 heads and has d_ff = 2048, whatever its options say.
    "vanilla-paper": {"family": "vanilla", "n_layers": 6, "d_emb": 512, "n_heads": 4, "T_max": 5000, "d_ff": 2048},
    "vanilla-murty-code": {
        "family": "vanilla", "n_layers": 6, "d_emb": 512, "n_heads": 8, "T_max": 5000, "d_ff": 2048, "tied": False,
        "head_bias": True, "dropout": 0.1,
    },
    "llama-nano": {"family": "llama", "n_layers": 2, "d_emb": 32, "n_heads": 2, "T_max": 64, "tied": False},
    "llama-12m": {
        "family": "llama", "n_layers": 6, "d_emb": 384, "n_heads": 6, "n_kv_heads": 2, "T_max": 256, "qk_norm": True,
        "tied": False,
    },
    "moe-nano": {
        "family": "moe", "n_layers": 2, "d_emb": 32, "n_heads": 2, "T_max": 64, "d_ff": 64, "n_experts": 4,
        "tied": False,
    },
    # Grattafiori et al. (2024), arXiv:2407.21783, table 3
    "llama-3-8b": {
        "family": "llama", "n_layers": 32, "d_emb": 4096, "n_heads": 32, "n_kv_heads": 8, "d_ff": 14336, "T_max": 8192,
        "vocab_size": 128256, "rope_base": 500000.0, "tied": False,
    },
    # Jiang et al. (2024), arXiv:2401.04088, table 1
    "mixtral-8x7b": {
        "family": "moe", "n_layers": 32, "d_emb": 4096, "n_heads": 32, "n_kv_heads": 8, "d_ff": 14336, "T_max": 32768,
        "vocab_size": 32000, "rope_base": 1000000.0, "n_experts": 8, "top_k": 2, "tied": False,
    },
}  # fmt: skip


def preset_fields(name: str) -> dict[str, Any]:
    """Return the fields of a named model, such as ``gpt2-small`` or ``vanilla-paper``.

    Examples
    --------
    >>> preset_fields("gpt2-small")["d_emb"]
    768
    """
    if name not in PRESETS:
        raise ArgumentError(f"Unknown model preset {name!r}", "nothing was built", f"Known: {', '.join(PRESETS)}")
    return dict(PRESETS[name])
