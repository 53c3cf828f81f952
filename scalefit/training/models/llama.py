"""Llama and Mixtral: initial weights, and the exchange of weights with transformers."""

from __future__ import annotations

import math
from typing import Any

import torch


def initialise(name: str, parameter: torch.Tensor, n_layers: int, generator: torch.Generator) -> None:
    """Fill one member's parameter in place: gains 1, N(0, 0.02), residual projections smaller by sqrt(2 n_layers)."""
    if parameter.dim() < 2:
        parameter.fill_(1.0)
        return
    residual = name.endswith(("attention.out.weight", "down.weight", "feed_forward.down"))
    std = 0.02 / math.sqrt(2 * n_layers) if residual else 0.02
    parameter.normal_(0.0, std, generator=generator)


def to_transformers(model: Any, member: int = 0) -> Any:
    """Return a ``LlamaForCausalLM`` or ``MixtralForCausalLM`` with the weights of one member.

    Raises
    ------
    ValueError
        The model has what neither of them has: a norm of queries and keys, a soft cap, shared experts.
    """
    import transformers

    config = model.config
    if config.qk_norm or config.soft_cap or config.n_shared_experts or config.base_width:
        raise ValueError("transformers' Llama and Mixtral have no qk_norm, soft_cap, shared experts or base_width")
    common = {
        "vocab_size": model.vocab_size, "hidden_size": config.d_emb, "intermediate_size": config.ff_width,
        "num_hidden_layers": config.n_layers, "num_attention_heads": config.n_heads,
        "num_key_value_heads": config.kv_heads, "max_position_embeddings": config.T_max,
        "rms_norm_eps": config.norm_eps, "rope_theta": config.rope_base, "tie_word_embeddings": config.tied,
        "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": None, "attention_dropout": 0.0,
        "attn_implementation": "sdpa",
    }  # fmt: skip
    if config.family == "moe":
        theirs = transformers.MixtralConfig(
            **common, num_local_experts=config.n_experts, num_experts_per_tok=config.top_k, sliding_window=None
        )
        twin = transformers.MixtralForCausalLM(theirs)
    else:
        twin = transformers.LlamaForCausalLM(transformers.LlamaConfig(**common))
    ours = {name: parameter.detach()[member] for name, parameter in model.named_parameters()}
    state = {"model.embed_tokens.weight": ours["token_embedding"], "model.norm.weight": ours["final_norm.gain"]}
    state["lm_head.weight"] = ours["token_embedding"] if config.tied else ours["head"]
    wide, narrow = config.n_heads * config.d_head, config.kv_heads * config.d_head
    for layer in range(config.n_layers):
        mine, their = f"blocks.{layer}.", f"model.layers.{layer}."
        state[f"{their}input_layernorm.weight"] = ours[f"{mine}norm_1.gain"]
        state[f"{their}post_attention_layernorm.weight"] = ours[f"{mine}norm_2.gain"]
        heads = ours[f"{mine}attention.qkv.weight"].split((wide, narrow, narrow), dim=1)
        for letter, weight in zip("qkv", heads, strict=True):
            state[f"{their}self_attn.{letter}_proj.weight"] = weight.T
        state[f"{their}self_attn.o_proj.weight"] = ours[f"{mine}attention.out.weight"].T
        if config.family == "moe":
            router, up, down = (ours[f"{mine}feed_forward.{name}"].mT for name in ("router", "up", "down"))
            state |= _experts(their, router, up, down, together=f"{their}mlp.gate.weight" in twin.state_dict())
        else:
            gate, up = ours[f"{mine}feed_forward.up.weight"].chunk(2, dim=1)
            state[f"{their}mlp.gate_proj.weight"], state[f"{their}mlp.up_proj.weight"] = gate.T, up.T
            state[f"{their}mlp.down_proj.weight"] = ours[f"{mine}feed_forward.down.weight"].T
    twin.load_state_dict(state)
    return twin.eval()


def _experts(
    layer: str, router: torch.Tensor, up: torch.Tensor, down: torch.Tensor, together: bool
) -> dict[str, torch.Tensor]:
    """A layer of Mixtral by transformers' names: its experts in one tensor (from 5 on), or each with its own."""
    if together:
        names = ("mlp.gate.weight", "mlp.experts.gate_up_proj", "mlp.experts.down_proj")
        return dict(zip((layer + name for name in names), (router, up, down), strict=True))
    state = {f"{layer}block_sparse_moe.gate.weight": router}
    for i, (gate_and_up, out) in enumerate(zip(up, down, strict=True)):
        gate, through = gate_and_up.chunk(2)
        expert = f"{layer}block_sparse_moe.experts.{i}."
        state |= {f"{expert}w1.weight": gate, f"{expert}w3.weight": through, f"{expert}w2.weight": out}
    return state
