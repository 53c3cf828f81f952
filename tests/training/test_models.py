"""Models: the same numbers as transformers and torch.nn, members independent, counts equal to the weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from scalefit.errors import ArgumentError
from scalefit.training.config import ModelConfig
from scalefit.training.models.build import build_model
from scalefit.training.models.counts import count_parameters
from scalefit.training.models.decoder import Decoder
from scalefit.training.models.gpt2 import to_transformers
from scalefit.training.optimizer import FlatAdamW, Settings
from scalefit.training.presets import PRESETS

SMALL = ModelConfig(n_layers=2, d_emb=32, n_heads=4, T_max=24)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.filterwarnings("ignore")
def test_logits_equal_transformers(tied: bool) -> None:
    config = ModelConfig(n_layers=3, d_emb=48, n_heads=3, T_max=20, d_ff=100, tied=tied)
    model = Decoder(config, 77, seeds=(5, 6))
    with torch.no_grad():
        for parameter in model.parameters():  # gains and biases away from their initial 1 and 0
            parameter.add_(0.05 * torch.randn_like(parameter))
        ids = torch.randint(0, 77, (4, 20))
        ours = model(ids)
        for member in (0, 1):
            theirs = to_transformers(model, member)(input_ids=ids).logits
            assert (ours[member] - theirs).abs().max() < 1e-5


def test_vanilla_equals_torch_encoder_layers() -> None:
    config = ModelConfig(family="vanilla", n_layers=2, d_emb=32, n_heads=4, T_max=24, d_ff=50)
    model = Decoder(config, 19, seeds=(3,))
    ids = torch.randint(0, 19, (2, 24))
    reference = nn.ModuleList(
        nn.TransformerEncoderLayer(32, 4, 50, dropout=0.0, activation="relu", batch_first=True) for _ in range(2)
    )
    with torch.no_grad():
        for block, layer in zip(model.blocks, reference, strict=True):
            pairs = [
                (layer.self_attn.in_proj_weight, block.attention.qkv.weight[0].T),
                (layer.self_attn.in_proj_bias, block.attention.qkv.bias[0]),
                (layer.self_attn.out_proj.weight, block.attention.out.weight[0].T),
                (layer.linear1.weight, block.feed_forward.up.weight[0].T),
                (layer.linear2.weight, block.feed_forward.down.weight[0].T),
            ]
            for theirs, ours in pairs:
                theirs.copy_(ours)
            for bias in (layer.self_attn.out_proj.bias, layer.linear1.bias, layer.linear2.bias):
                bias.zero_()
        mask = nn.Transformer.generate_square_subsequent_mask(24)
        x = model.token_embedding[0][ids] * 32**0.5 + model.positions[:24]
        for layer in reference:
            x = layer(x, src_mask=mask, is_causal=True)
        expected = x @ model.token_embedding[0].T
        assert (model(ids)[0] - expected).abs().max() < 1e-4


@pytest.mark.parametrize("family", ["gpt2", "vanilla"])
@pytest.mark.parametrize("tied", [True, False])
def test_counts_equal_the_weights(family: str, tied: bool) -> None:
    config = ModelConfig(
        family=family, n_layers=3, d_emb=24, n_heads=2, T_max=10, d_ff=70, tied=tied, head_bias=not tied
    )
    built = build_model(config, 41, seeds=(0, 1))
    assert sum(parameter.numel() for parameter in built.module.parameters()) == 2 * built.total
    groups = count_parameters(config, 41)
    words = {"attention": "attention", "feed_forward": "feed_forward", "norms": "norm", "position": "position"}
    for group, word in words.items():
        found = sum(p.numel() for name, p in built.module.named_parameters() if word in name)
        assert found == 2 * getattr(groups, group), group


def test_published_counts() -> None:
    # Radford et al.'s released models, as transformers counts them
    assert count_parameters(ModelConfig.from_dict({"preset": "gpt2-small"}), 50_257).total == 124_439_808
    assert count_parameters(ModelConfig.from_dict({"preset": "gpt2-medium"}), 50_257).total == 354_823_168


def test_members_are_independent_models() -> None:
    ensemble = Decoder(SMALL, 50, seeds=(0, 1, 2))
    ids = torch.randint(0, 50, (3, 4, 24))
    targets = torch.randint(0, 50, (3, 4, 24))
    losses = ensemble(ids, targets)
    losses.sum().backward()
    for member in range(3):
        single = Decoder(SMALL, 50, seeds=(member,))
        loss = single(ids[member], targets[member])
        loss.sum().backward()
        torch.testing.assert_close(losses[member], loss[0], rtol=1e-5, atol=1e-5)
        for ours, theirs in zip(ensemble.parameters(), single.parameters(), strict=True):
            torch.testing.assert_close(ours.grad[member], theirs.grad[0], rtol=1e-4, atol=1e-4)


def test_no_token_sees_the_future() -> None:
    model = Decoder(SMALL, 50)
    ids = torch.randint(0, 50, (1, 24))
    changed = ids.clone()
    changed[0, 12] = (changed[0, 12] + 1) % 50
    before, after = model(ids)[0, 0], model(changed)[0, 0]
    assert torch.equal(before[:12], after[:12])
    assert not torch.allclose(before[12:], after[12:])


def test_taps_return_both_sides_of_the_final_norm() -> None:
    model = Decoder(SMALL, 50, seeds=(0, 1))
    kept = model(torch.randint(0, 50, (3, 24)), taps=("pre_norm", "post_norm"))
    assert kept["pre_norm"].shape == kept["post_norm"].shape == (2, 3, 24, 32)
    rms = kept["post_norm"].square().mean(-1).sqrt()
    np.testing.assert_allclose(rms.detach().numpy(), 1.0, atol=0.05)  # gains start at 1


def test_every_preset_is_a_valid_model_and_unknown_ones_are_named() -> None:
    models = {name: ModelConfig.from_dict({"preset": name}) for name in PRESETS}
    assert {"gpt2-nano", "gpt2-small", "gpt2-medium", "vanilla-paper", "vanilla-murty-code"} <= set(PRESETS)
    assert models["vanilla-paper"].tied and not models["vanilla-murty-code"].tied
    with pytest.raises(ArgumentError, match="gpt2-nano"):
        ModelConfig.from_dict({"preset": "gpt3"})


def test_model_smaller_than_the_corpus_is_refused() -> None:
    with pytest.raises(ArgumentError, match="60"):
        build_model(ModelConfig(vocab_size=50), 60, seeds=(0,))


@pytest.mark.filterwarnings("ignore")
def test_transformers_models_train_in_float32_whatever_their_config_says(tmp_path) -> None:
    from transformers import LlamaConfig

    LlamaConfig(
        hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=2, vocab_size=40,
        max_position_embeddings=32, dtype="bfloat16", bos_token_id=0, eos_token_id=0,
    ).save_pretrained(tmp_path)  # fmt: skip
    built = build_model(ModelConfig(family="huggingface", path=str(tmp_path), T_max=16), 40, (0,))
    assert {parameter.dtype for parameter in built.module.parameters()} == {torch.float32}


def test_a_step_of_one_member_copies_nothing_large() -> None:
    """A copy of a weight, a gradient or the queries costs a pass through memory that a loop by hand does not make."""

    class Copies(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            large = isinstance(out, torch.Tensor) and out.numel() >= 32 * 32
            if large and func.__name__.split(".")[0] in ("clone", "copy_", "select_backward", "zero_", "add_"):
                made.append(func.__name__)
            return out

    made: list[str] = []
    model = Decoder(SMALL, 77, (0,))
    flat = FlatAdamW(model, [1e-3], Settings(0.9, 0.95, 1e-8, 0.1, clip=1.0))
    ids = torch.randint(0, 77, (4, 25))
    with Copies():
        flat.zero_grad()
        model(ids[:, :-1], ids[:, 1:]).mean().backward()
        flat.step(1, 1.0)
    assert made == []
