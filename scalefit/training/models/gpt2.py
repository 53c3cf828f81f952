"""GPT-2 (Radford et al. 2019): initial weights, and the exchange of weights with transformers."""

from __future__ import annotations

import math
from typing import Any

import torch


def initialise(name: str, parameter: torch.Tensor, n_layers: int, generator: torch.Generator) -> None:
    """Fill one member's parameter in place: N(0, 0.02), residual projections smaller by sqrt(2 n_layers)."""
    if parameter.dim() < 2:
        parameter.fill_(1.0 if name.endswith("gain") else 0.0)
        return
    residual = name.endswith(("attention.out.weight", "feed_forward.down.weight"))
    std = 0.02 / math.sqrt(2 * n_layers) if residual else 0.02
    parameter.normal_(0.0, std, generator=generator)


_BLOCK = {
    "ln_1": "norm_1",
    "ln_2": "norm_2",
    "attn.c_attn": "attention.qkv",
    "attn.c_proj": "attention.out",
    "mlp.c_fc": "feed_forward.up",
    "mlp.c_proj": "feed_forward.down",
}


def to_transformers(model: Any, member: int = 0) -> Any:
    """Return a ``transformers.GPT2LMHeadModel`` with the weights of one ensemble member, dropout off."""
    from transformers import GPT2Config, GPT2LMHeadModel

    config = model.config
    twin = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=model.vocab_size, n_positions=config.T_max, n_embd=config.d_emb,
            n_layer=config.n_layers, n_head=config.n_heads, n_inner=config.ff_width,
            activation_function="gelu_new", resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
            bos_token_id=0, eos_token_id=0,
            tie_word_embeddings=config.tied, attn_implementation="sdpa",
        )
    )  # fmt: skip
    ours = {name: parameter.detach()[member] for name, parameter in model.named_parameters()}
    state = {"transformer.wte.weight": ours["token_embedding"], "transformer.wpe.weight": ours["positions"]}
    state["lm_head.weight"] = ours["token_embedding"] if config.tied else ours["head"]
    for kind, name in (("weight", "gain"), ("bias", "bias")):
        state[f"transformer.ln_f.{kind}"] = ours[f"final_norm.{name}"]
    for layer in range(config.n_layers):
        for theirs, mine in _BLOCK.items():
            norm = mine.startswith("norm")
            for kind in ("weight", "bias"):
                own = f"blocks.{layer}.{mine}.{'gain' if norm and kind == 'weight' else kind}"
                state[f"transformer.h.{layer}.{theirs}.{kind}"] = ours[own]
    missing, unexpected = twin.load_state_dict(state, strict=False)
    if unexpected or any(not name.endswith(("attn.bias", "masked_bias")) for name in missing):
        raise AssertionError(f"weights do not map onto GPT2LMHeadModel: {missing} {unexpected}")  # a fault of ours
    return twin.eval()
