"""Modern families: the numbers of transformers' Llama and Mixtral, exact counts, members independent."""

from __future__ import annotations

import pytest
import torch

from scalefit.errors import ArgumentError
from scalefit.training.config import ModelConfig
from scalefit.training.footprint import LiveBytes
from scalefit.training.loop import train
from scalefit.training.models.build import build_model
from scalefit.training.models.counts import count_active, count_parameters, flops_per_token
from scalefit.training.models.decoder import Decoder
from scalefit.training.models.llama import to_transformers
from scalefit.training.models.losses import cross_entropy

LLAMA = ModelConfig(family="llama", n_layers=3, d_emb=48, n_heads=6, n_kv_heads=2, T_max=20, d_ff=100, tied=False)
MOE = ModelConfig(family="moe", n_layers=2, d_emb=32, n_heads=4, n_kv_heads=2, T_max=20, d_ff=48, n_experts=5, top_k=2)


def shaken(config: ModelConfig, vocab_size: int = 77, seeds: tuple[int, ...] = (5, 6)) -> Decoder:
    """A model whose gains are not all 1."""
    model = Decoder(config, vocab_size, seeds)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("config", [LLAMA, MOE, ModelConfig(**{**LLAMA.to_dict(), "tied": True, "rope_base": 5e5})])
def test_logits_and_gradients_equal_transformers(config: ModelConfig) -> None:
    model = shaken(config)
    ids = torch.randint(0, 77, (4, 20))
    targets = torch.randint(0, 77, (4, 20))
    logits = model(ids)
    model(ids, targets).mean(dim=(-1, -2)).sum().backward()
    for member in (0, 1):
        theirs = to_transformers(model, member)
        found = theirs(input_ids=ids).logits
        assert (logits[member] - found).abs().max() < 1e-5
        torch.nn.functional.cross_entropy(found.flatten(0, 1), targets.flatten()).backward()
        ours = model.token_embedding.grad[member]
        torch.testing.assert_close(ours, theirs.model.embed_tokens.weight.grad, rtol=1e-4, atol=1e-6)
        of_layer = dict(theirs.model.layers[0].named_parameters())
        if config.family != "moe":
            reference = of_layer["mlp.down_proj.weight"].grad.mT
        elif "mlp.experts.down_proj" in of_layer:
            reference = of_layer["mlp.experts.down_proj"].grad.mT
        else:  # transformers before 5
            each = (of_layer[f"block_sparse_moe.experts.{i}.w2.weight"] for i in range(config.n_experts))
            reference = torch.stack([weight.grad.mT for weight in each])
        last = "feed_forward.down" + ("" if config.family == "moe" else ".weight")
        torch.testing.assert_close(model.blocks[0].get_parameter(last).grad[member], reference, rtol=1e-4, atol=1e-6)


def test_the_balance_loss_is_that_of_transformers() -> None:
    from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func

    experts = shaken(MOE).blocks[0].feed_forward
    x = torch.randn(2, 64, 32)
    _, (balance, router_z) = experts(x)
    for member in (0, 1):
        logits = x[member] @ experts.router[member]
        expected = load_balancing_loss_func((logits,), MOE.n_experts, MOE.top_k)
        torch.testing.assert_close(balance[member], expected)
        torch.testing.assert_close(router_z[member], logits.logsumexp(-1).square().mean())


@pytest.mark.parametrize(
    "change",
    [
        {}, {"qk_norm": True}, {"tied": True, "head_bias": True}, {"family": "moe", "n_experts": 6, "top_k": 3},
        {"family": "moe", "n_experts": 4, "n_shared_experts": 2},
    ],
)  # fmt: skip
def test_counts_equal_the_weights(change: dict) -> None:
    config = ModelConfig(**{**LLAMA.to_dict(), **change})
    built = build_model(config, 41, seeds=(0, 1))
    groups = count_parameters(config, 41)
    assert sum(parameter.numel() for parameter in built.module.parameters()) == 2 * built.total == 2 * groups.total
    norms = sum(p.numel() for name, p in built.module.named_parameters() if "norm" in name)
    assert norms == 2 * groups.norms
    unused = sum(
        p[0, config.top_k :].numel() for name, p in built.module.named_parameters()
        if config.n_experts and name.endswith(("feed_forward.up", "feed_forward.down"))
    )  # fmt: skip
    assert built.active == count_active(config, 41) == built.total - unused


@pytest.mark.parametrize("config", [LLAMA, MOE])
def test_flops_are_those_of_the_products(config: ModelConfig) -> None:
    """Forward products as torch counts them, but that attention is causal and its half is counted."""
    from torch.utils.flop_counter import FlopCounterMode

    model = Decoder(config, 41, (0,))
    ids = torch.randint(0, 41, (2, 20))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(ids)
    attention = 4 * 20 * config.d_emb * config.n_layers
    counted = counter.get_total_flops() / ids.numel()
    by_hand = flops_per_token(config, 41) / 3
    assert counted in (by_hand + attention / 2, by_hand - attention / 2)  # the kernel of the CPU is not counted


@pytest.mark.parametrize("config", [ModelConfig(**{**LLAMA.to_dict(), "qk_norm": True}), MOE])
def test_members_are_independent_models(config: ModelConfig) -> None:
    ensemble = Decoder(config, 50, seeds=(0, 1, 2))
    ids, targets = torch.randint(0, 50, (3, 4, 20)), torch.randint(0, 50, (3, 4, 20))
    losses = ensemble(ids, targets)
    losses.sum().backward()
    for member in range(3):
        single = Decoder(config, 50, seeds=(member,))
        loss = single(ids[member], targets[member])
        loss.sum().backward()
        torch.testing.assert_close(losses[member], loss[0], rtol=1e-5, atol=1e-5)
        for ours, theirs in zip(ensemble.parameters(), single.parameters(), strict=True):
            torch.testing.assert_close(ours.grad[member], theirs.grad[0], rtol=1e-4, atol=1e-4)


def test_no_token_sees_the_future() -> None:
    model = shaken(MOE, 50, (0,))
    ids = torch.randint(0, 50, (1, 20))
    changed = ids.clone()
    changed[0, 12] = (changed[0, 12] + 1) % 50
    before, after = model(ids)[0, 0], model(changed)[0, 0]
    torch.testing.assert_close(before[:12], after[:12])
    assert not torch.allclose(before[12:], after[12:])


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"family": "llama", "n_heads": 6, "d_emb": 48, "n_kv_heads": 4}, "n_kv_heads = 4.*divisor of n_heads = 6"),
        ({"family": "moe"}, "n_experts = None"),
        ({"n_experts": 4}, "n_experts = 4"),
        ({"family": "moe", "n_experts": 2, "top_k": 3}, "top_k = 3"),
        ({"qk_norm": True}, "qk_norm = True"),
        ({"soft_cap": 0.0}, "soft_cap = 0.0"),
        ({"base_depth": 2}, "base_depth = 2"),
    ],
)
def test_models_that_make_no_sense_are_refused(fields: dict, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        ModelConfig(**fields)


@pytest.mark.parametrize(
    "family", [{"family": "llama", "n_kv_heads": 1}, {"family": "moe", "n_experts": 4, "d_ff": 16}]
)
@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_a_run_of_each_family_learns_with_each_optimiser(with_, store, family: dict, name: str) -> None:
    record = train(with_(model={**family, "tied": False}, optimizer={"name": name, "lr": 1e-2}), store)
    assert record.status == "finished" and record.loss < 2.6  # ln 32 = 3.47
    row = record.rows[-1]
    assert row["C"] == pytest.approx(6 * row["N_active"] * row["D"]) and row["N_active"] <= row["N"]


@pytest.mark.parametrize("soft_cap", [0.0, 2.0])
@pytest.mark.parametrize("vocab_size", [37, 64])
@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_loss_and_its_gradient_are_those_of_torch(dtype, keep, vocab_size: int, soft_cap: float, monkeypatch):
    """In chunks of rows, with padded columns, unscored targets, a soft cap and a z-loss in the gradient only."""
    from scalefit.training.models import losses as module

    monkeypatch.setattr(module, "_CHUNK", {"cpu": 200})
    torch.manual_seed(0)
    logits = (3 * torch.randn(23, 64, dtype=dtype)).requires_grad_()
    targets = torch.randint(0, vocab_size, (23,))
    targets[::5] = -100
    weight = torch.rand(23)
    given = logits + 0
    found = cross_entropy(given, targets, vocab_size, z_loss=0.1, soft_cap=soft_cap, keep=keep)
    (found * weight).sum().backward()
    assert torch.equal(given, logits) == keep
    ours, logits.grad = logits.grad, None
    kept = logits[:, :vocab_size]
    kept = soft_cap * (kept / soft_cap).tanh() if soft_cap else kept
    expected = torch.nn.functional.cross_entropy(kept, targets, reduction="none")
    torch.testing.assert_close(found.to(dtype), expected, rtol=1e-5, atol=1e-5)
    ((expected + 0.1 * kept.logsumexp(-1).square() * (targets >= 0)) * weight).sum().backward()
    torch.testing.assert_close(ours, logits.grad, rtol=1e-5, atol=1e-6)
    assert (ours[:, vocab_size:] == 0).all() and (ours[::5] == 0).all()


def test_a_step_holds_one_buffer_of_logits_and_goes_back_once() -> None:
    model = Decoder(ModelConfig(n_layers=1, d_emb=8, n_heads=1, T_max=20), vocab_size=4_000)
    ids = torch.randint(0, 4_000, (8, 20))
    with LiveBytes() as live:
        losses = model(ids, ids).sum()
        losses.backward(retain_graph=True)
    assert live.peak < 1.5 * 4 * ids.numel() * 4_000
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        losses.backward()


def test_a_padded_head_gives_the_same_losses_and_gradients(monkeypatch) -> None:
    model = shaken(LLAMA)
    ids, targets = torch.randint(0, 77, (2, 20)), torch.randint(0, 77, (2, 20))
    plain = model(ids, targets)
    plain.sum().backward()
    grads = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    original = Decoder._logits
    monkeypatch.setattr(Decoder, "_logits", lambda self, x, padded=False: original(self, x, True))
    padded = model(ids, targets)
    padded.sum().backward()
    torch.testing.assert_close(padded, plain)
    for parameter, grad in zip(model.parameters(), grads, strict=True):
        torch.testing.assert_close(parameter.grad, grad, rtol=1e-4, atol=1e-5)


def test_auxiliary_losses_move_weights_and_no_reported_loss() -> None:
    model = shaken(MOE, seeds=(0,))
    ids, targets = torch.randint(0, 77, (2, 20)), torch.randint(0, 77, (2, 20))
    plain = model(ids, targets)
    plain.mean().backward()
    before = model.blocks[0].feed_forward.router.grad.clone()
    model.zero_grad()
    model.auxiliary = (0.0, 1.0, 0.1)
    both = model(ids, targets)
    both.mean().backward()
    torch.testing.assert_close(both, plain)
    assert not torch.allclose(model.blocks[0].feed_forward.router.grad, before, rtol=1e-2)


def test_a_mixture_balances_the_rows_that_pass_at_once(with_, store, store_at) -> None:
    """So its micro-batches change the run, and with it the run's name; without a balance loss they change neither."""
    family = {"family": "moe", "n_experts": 4, "top_k": 2}
    for weight, changed in ((1.0, True), (0.0, False)):
        runs = []
        for micro_batch in (0, 2):
            change = {"model": family, "optimizer": {"balance_loss": weight}, "runtime": {"micro_batch": micro_batch}}
            runs.append(train(with_(**change), store_at(store / f"{weight}-{micro_batch}")))
        whole, parts = runs
        assert (abs(whole.loss - parts.loss) > 1e-5) == changed == (whole.run_id != parts.run_id)
    dense = [with_(runtime={"micro_batch": micro_batch}).run_id("sha") for micro_batch in (0, 2)]
    assert dense[0] == dense[1]
