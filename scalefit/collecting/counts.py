"""Count N: from the sizes in a config, or from the shapes in the header of a safetensors file."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scalefit.collecting.records import number
from scalefit.counting import ParameterCounts, count_parameters

_LLAMA = ("llama", "mistral", "qwen2", "qwen3", "olmo")
_NAMES = {
    "layers": ("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
    "width": ("hidden_size", "n_embd", "d_model", "d_emb"),
    "vocabulary": ("vocab_size", "padded_vocab_size"),
    "context": ("n_positions", "block_size", "n_ctx", "max_position_embeddings", "max_seq_len", "seq_len"),
    "inner": ("intermediate_size", "n_inner", "d_ff"),
}
#: Largest header that is read of a safetensors file (a guess, far above real ones).
_HEADER_BYTES = 1 << 26


def from_config(config: Mapping[str, Any]) -> tuple[ParameterCounts, str] | None:
    """Count the parameters if a config describes the architecture in full; else None.

    Parameters
    ----------
    config : mapping
        Flat settings, such as those of a Hugging Face ``config.json`` or of nanoGPT.

    Returns
    -------
    tuple of ParameterCounts and str, or None
        The count, and what was counted, in words.

    Examples
    --------
    >>> small = {"model_type": "gpt2", "n_layer": 12, "n_embd": 768, "n_positions": 1024, "vocab_size": 50257}
    >>> counted, as_what = from_config(small)
    >>> counted.total, as_what
    (124439808, 'a gpt2')
    """
    settings = {key.rsplit(".", 1)[-1]: value for key, value in config.items()}
    sizes = {name: _size(settings, keys) for name, keys in _NAMES.items()}
    layers, width, vocabulary = sizes["layers"], sizes["width"], sizes["vocabulary"]
    if layers is None or width is None or vocabulary is None:
        return None
    kind = settings.get("model_type")
    if kind in _LLAMA and sizes["inner"] is not None:
        return _llama(str(kind), settings, layers, width, vocabulary, sizes["inner"]), f"a {kind}"
    if kind == "gpt_neox" and sizes["inner"] is not None:
        counted = count_parameters(
            layers, width, vocab_size=vocabulary, d_ff=sizes["inner"], tied=bool(settings.get("tie_word_embeddings"))
        )
        return counted, "a gpt_neox"
    nano = kind is None and {"n_layer", "n_embd", "block_size"} <= set(settings)
    if (kind == "gpt2" or nano) and sizes["context"] is not None:
        counted = count_parameters(
            layers,
            width,
            T_max=sizes["context"],
            vocab_size=vocabulary,
            d_ff=sizes["inner"],
            tied=settings.get("tie_word_embeddings") is not False,
            bias=settings.get("bias") is not False,
        )
        return counted, "a gpt2" if kind else "nanoGPT's model (n_layer, n_embd and block_size without model_type)"
    return None


def _size(settings: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    for name in names:
        value = number(settings.get(name))
        if value is not None and value >= 1 and value == int(value):
            return int(value)
    return None


def _llama(
    kind: str, settings: Mapping[str, Any], layers: int, width: int, vocabulary: int, inner: int
) -> ParameterCounts:
    """Gated feed-forward, grouped keys and values; norms without biases, and none with weights in OLMo's first."""
    heads = _size(settings, ("num_attention_heads", "n_head")) or 1
    groups = _size(settings, ("num_key_value_heads",)) or heads
    head = _size(settings, ("head_dim",)) or width // heads
    queries, keys = heads * head, groups * head
    attention = 2 * width * queries + 2 * width * keys
    if kind == "qwen2":
        attention += queries + 2 * keys
    elif settings.get("attention_bias") is True:
        attention += queries + 2 * keys + width
    feed_forward = 3 * width * inner
    if settings.get("mlp_bias") is True:
        feed_forward += 2 * inner + width
    norms = layers * (2 * width + (2 * head if kind == "qwen3" else 0)) + width
    return ParameterCounts(
        token_embedding=vocabulary * width,
        position=0,
        attention=layers * attention,
        feed_forward=layers * feed_forward,
        norms=0 if kind == "olmo" else norms,
        # a config.json leaves out what is the class's default: tied in none of these but where it is stated
        head=0 if settings.get("tie_word_embeddings") is True else vocabulary * width,
        n_layers=layers,
        d_emb=width,
    )


def from_safetensors(folder: Path) -> int | None:
    """Sum of the sizes of the weights stored in a folder; None if any are missing."""
    index = folder / "model.safetensors.index.json"
    files = [folder / "model.safetensors"]
    if index.is_file():
        try:
            files = [folder / name for name in sorted(set(json.loads(index.read_text())["weight_map"].values()))]
        except (ValueError, KeyError, TypeError, AttributeError):
            return None
    total = 0
    for path in files:
        shapes = _shapes(path)
        if shapes is None:
            return None
        total += sum(math.prod(shape) for shape in shapes)
    return total


def _shapes(path: Path) -> list[list[int]] | None:
    try:
        with path.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            header = json.loads(stream.read(length)) if length <= _HEADER_BYTES else {}
        return [list(map(int, tensor["shape"])) for key, tensor in header.items() if key != "__metadata__"] or None
    except (OSError, ValueError, struct.error, KeyError, TypeError, AttributeError):
        return None
