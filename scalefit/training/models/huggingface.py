"""A user's own causal LM from a local path: trained from its config, or measured with its weights."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from torch import nn

from scalefit.errors import ArgumentError, DataError, require
from scalefit.flops import ATTENTION, CAUSAL, TRAIN
from scalefit.training.config import ModelConfig
from scalefit.training.models.built import Built
from scalefit.training.models.losses import cross_entropy


class HuggingFaceModel(nn.Module):
    """Gives a transformers causal LM the face of :class:`~.decoder.Decoder` with one member."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner
        self.auxiliary = (0.0, 0.0, 0.0)  # as of a Decoder; only the first, the z-loss, is known here

    def forward(self, ids: torch.Tensor, targets: torch.Tensor | None = None) -> torch.Tensor:
        """Return logits (1, B, T, V), or with targets the losses (1, B, T)."""
        ids = ids.flatten(0, -2)
        logits: torch.Tensor = self.inner(input_ids=ids, use_cache=False).logits
        if targets is None:
            return logits.unsqueeze(0)
        losses = cross_entropy(logits.flatten(0, 1), targets.reshape(-1), logits.shape[-1], self.auxiliary[0])
        return losses.view(1, *ids.shape)

    def decays(self, name: str, parameter: torch.Tensor) -> bool:
        """Weight decay holds for matrices only."""
        return bool(parameter.dim() >= 2)

    def group(self, name: str, parameter: torch.Tensor) -> str:
        """Return what a parameter is to an optimiser: embedding, head, matrix or vector."""
        tables = (self.inner.get_input_embeddings(), self.inner.get_output_embeddings())
        for kind, module in zip(("embedding", "head"), tables, strict=True):
            if module is not None and parameter is module.weight:
                return kind
        return "matrix" if parameter.dim() >= 2 else "vector"

    def rate(self, name: str, parameter: torch.Tensor) -> float:
        """Return 1: transformers models have the usual parametrisation."""
        return 1.0

    def parts(self, name: str) -> tuple[int, ...]:
        """Return nothing: each matrix is one."""
        return ()


def load_for_training(config: ModelConfig, vocab_size: int, seed: int) -> Built:
    """Build a fresh model from the config at ``config.path`` with the corpus's vocabulary and the config's dropout.

    Raises
    ------
    DataError
        There is no config of a causal LM at the path. Nothing is downloaded.
    """
    transformers = require("transformers", extra="train", purpose="transformers models")
    try:
        theirs = transformers.AutoConfig.from_pretrained(_existing(config.path), local_files_only=True)
    except Exception as error:
        raise DataError(
            f"No model config at {config.path!r}: {error}", "nothing was run", "Give a local folder with a config.json"
        ) from error
    theirs.vocab_size = vocab_size
    for name in dir(theirs):
        if name.endswith(("pdrop", "_dropout")) or name == "dropout":
            setattr(theirs, name, config.dropout)
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        if (getattr(theirs, name, None) or 0) >= vocab_size:
            setattr(theirs, name, None)
    limit = getattr(theirs, "max_position_embeddings", None)
    if limit is not None and limit < config.T_max:
        raise ArgumentError(
            f"The model at {config.path!r} has {limit} positions and T_max is {config.T_max}",
            "nothing was run",
            "Lower T_max",
        )
    # transformers draws its initial weights from torch's global generator: seeded here, restored after
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inner = transformers.AutoModelForCausalLM.from_config(theirs)
        if any(tensor.dtype != torch.float32 for tensor in inner.parameters()):
            inner = inner.float()  # whatever dtype the config was saved with
    total = sum(parameter.numel() for parameter in inner.parameters())
    head = inner.get_output_embeddings().weight
    tables = [module.weight for module in inner.modules() if isinstance(module, nn.Embedding)]
    embedded = sum({id(weight): weight.numel() for weight in (*tables, head)}.values())
    layers, width = getattr(theirs, "num_hidden_layers", None), getattr(theirs, "hidden_size", None)
    # tied or not, the output matrix is used once a token and a look-up costs nothing
    flops = TRAIN * (total - embedded + head.numel()) + CAUSAL * ATTENTION * (layers or 0) * config.T_max * (width or 0)
    inner_width = getattr(theirs, "intermediate_size", None) or getattr(theirs, "n_inner", None)
    shape = {
        "n_layers": layers,
        "d_emb": width,
        "n_heads": getattr(theirs, "num_attention_heads", None),
        "d_ff": inner_width or (4 * width if width else None),
        "vocab_size": vocab_size,
        "tied": any(weight is head for weight in tables),
    }
    return Built(HuggingFaceModel(inner), total, total, total - embedded, head.numel(), flops, shape)


def count_causal_lm(config: ModelConfig, vocab_size: int) -> int:
    """Parameters of the model at ``config.path`` [parameters]; no weight is made."""
    with torch.device("meta"):
        return load_for_training(config, vocab_size, 0).total


def load_pretrained(path: str) -> Any:
    """Load a causal LM with its weights from a local folder, to be measured; safetensors only."""
    transformers = require("transformers", extra="train", purpose="transformers models")
    logging.getLogger("transformers").setLevel(logging.ERROR)
    try:
        return transformers.AutoModelForCausalLM.from_pretrained(
            _existing(path), local_files_only=True, use_safetensors=True
        ).eval()
    except Exception as error:
        raise DataError(
            f"No causal language model in {path!r}: {error}",
            "nothing was measured",
            "Give a local folder with safetensors weights",
        ) from error


def _existing(path: str | None) -> str:
    # a name that is not a path would be looked up on a hub
    if path is None or not Path(path).exists():
        raise FileNotFoundError("the path does not exist")
    return path
