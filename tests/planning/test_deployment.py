"""Serving, hardware and money; limited data; architectures and recipes."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_runs import grid

import scalefit as sf
from scalefit.counting import count_parameters
from scalefit.planning.architecture import architecture_for
from scalefit.planning.deployment import Hardware, frontier
from scalefit.planning.published_rules import recipes
from scalefit.planning.repetition import epoch_returns, mark_repetition

LAW = sf.published("chinchilla", "besiroglu2024")


@given(log_t=st.floats(9, 14))
def test_serving_makes_models_smaller_and_training_longer(log_t):
    plain, served = sf.plan(LAW, loss=2.1), sf.plan(LAW, loss=2.1, inference_tokens=10**log_t)
    assert served.loss == pytest.approx(plain.loss, rel=1e-7)
    assert served.N < plain.N and served.tokens_per_param > plain.tokens_per_param and served.C > plain.C
    # Together it is the cheapest: cheaper than the compute-optimal model, and than its neighbours at the same loss.
    assert served.total_flops <= plain.C + 2 * plain.N * 10**log_t
    for factor in (0.97, 1.03):
        other = sf.plan(LAW, loss=2.1, fixed={"N": served.N * factor}, inference_tokens=10**log_t)
        assert other.total_flops >= served.total_flops * (1 - 1e-9)


def test_serving_on_a_budget_shares_the_budget():
    plan = sf.plan(LAW, C=1e23, inference_tokens=2e12)
    assert 6 * plan.N * plan.D + 2 * plan.N * 2e12 == pytest.approx(1e23, rel=1e-9)
    assert plan.total_flops == pytest.approx(plan.C + plan.serving_flops)


def test_serving_is_printed_where_there_is_some():
    text = str(sf.plan(LAW, C=1e23, inference_tokens=1e12))
    assert "serving 1T tokens takes" in text and "of 1e+23 in all" in text
    assert "serving" not in str(sf.plan(LAW, C=1e23))


def test_the_frontier_is_one():
    plans = frontier(LAW, loss=2.1, hardware=Hardware.named("h100"), n=12)
    assert plans["C"].is_monotonic_increasing and plans["serving_per_token"].is_monotonic_decreasing
    assert LAW.predict(N=plans["N"], D=plans["D"]) == pytest.approx(2.1, rel=1e-7)
    # Each plan is the cheapest of all for the tokens beside it.
    for row in plans.itertuples():
        total = plans["C"] + plans["serving_per_token"] * row.inference_tokens
        assert total.idxmin() == row.Index
    assert plans["device_hours"].iloc[0] == pytest.approx(plans["C"].iloc[0] / 989e12 / 0.4 / 3600)
    with pytest.raises(ValueError, match="at or below"):
        frontier(LAW, loss=1.8)


def test_hours_and_money():
    hardware = Hardware(peak=1e15, mfu=0.5, serving_mfu=0.05, price=3.0, devices=100)
    assert hardware.hours(1.8e21) == pytest.approx(1000)
    assert hardware.days(1.8e21) == pytest.approx(1000 / 100 / 24)
    assert hardware.money(1.8e21, serving=1.8e20) == pytest.approx(6000)
    assert hardware.compute(money=3000) == pytest.approx(hardware.compute(hours=1000)) == pytest.approx(1.8e21)
    assert hardware.serving_weight == pytest.approx(10)
    plan, dear = (sf.plan(LAW, C=1e23, inference_tokens=1e12, hardware=h) for h in ("h100", hardware))
    assert dear.N < plan.N  # serving at a tenth of the use makes serving ten times as dear
    assert dear.money == pytest.approx(hardware.money(dear.C, dear.serving_flops))


@pytest.mark.parametrize("options", [{"peak": -1}, {"peak": 1e15, "mfu": 40}, {"peak": 1e15, "price": 0}])
def test_hardware_that_makes_no_sense(options):
    with pytest.raises(ValueError, match=next(reversed(options))):
        Hardware(**options)


def test_hardware_needs_a_price_for_money():
    with pytest.raises(ValueError, match="price"):
        Hardware.named("a100").compute(money=100)
    with pytest.raises(ValueError, match="one of them"):
        Hardware.named("a100").compute()
    assert Hardware.named("a100").money(1e20) is None


# -- limited data ------------------------------------------------------------------------------------------------------


def test_allocation_beats_the_published_grid_search():
    """datablations finds 7.02e9 parameters and 9.4935 epochs by a grid; an optimum may not be above its loss."""
    law = sf.published("data_constrained", "muennighoff2023")
    plan = sf.plan(law, C=1e22, unique_tokens=25e9)
    theirs = law.predict(N=7022364735.879969, D=237336955477.55075, unique_tokens=25e9)
    assert plan.loss <= theirs and plan.loss <= 2.22213
    assert plan.epochs == pytest.approx(9.49, abs=0.1)
    assert next(n for n in plan.notes if n.code == "repeated_data").details["epochs"] == plan.epochs
    N = plan.N * np.geomspace(0.05, 20, 4001)
    around = law.predict(N=N, D=1e22 / (6 * N), unique_tokens=25e9)
    assert around.min() >= plan.loss * (1 - 1e-12)


@given(log_c=st.floats(20, 24), log_u=st.floats(9, 12))
def test_a_data_wall_only_hurts(log_c, log_u):
    law = sf.published("data_constrained", "muennighoff2023")
    free, wall = sf.plan(law, C=10**log_c), sf.plan(law, C=10**log_c, unique_tokens=10**log_u)
    assert wall.loss >= free.loss - 1e-9
    if free.D < 10**log_u:
        assert wall.N == pytest.approx(free.N, rel=1e-4)


def test_laws_that_know_nothing_of_repetition_borrow_it_and_say_so():
    plan = sf.plan(LAW, C=1e23, unique_tokens=5e10)
    assert any(n.code == "borrowed_repetition" for n in plan.notes)
    assert plan.loss > sf.plan(LAW, C=1e23).loss
    runs = grid(noise=0.003)
    fitted = sf.plan(sf.fit(runs), C=1e23, unique_tokens=5e10)
    assert fitted.lower < fitted.loss < fitted.upper
    kaplan = sf.plan(sf.published("kaplan", "kaplan2020"), C=1e21, unique_tokens=1e9)
    assert any("R_D* = 15.4 of" in n.message for n in kaplan.notes)


def test_each_epoch_brings_less():
    table = epoch_returns(sf.published("data_constrained"), N=6.34e9, unique_tokens=25e9)
    assert table["loss"].is_monotonic_decreasing and table["gain"].iloc[1:].is_monotonic_decreasing
    assert table["worth"].iloc[0] == 1.0 and table["worth"].iloc[-1] < 0.01
    assert sf.plan(LAW, C=1e22, unique_tokens=1e10).epoch_returns().shape[0] == 13
    with pytest.raises(ValueError, match="unique_tokens=None"):
        sf.plan(LAW, C=1e22).epoch_returns()
    with pytest.raises(ValueError, match="at least 1"):
        epoch_returns(LAW, 1e9, 1e9, epochs=[0.5])


def test_published_golden_values():
    law = sf.published("data_constrained")
    assert law.predict(N=6.34e9, D=242e9, unique_tokens=25e9) == pytest.approx(2.2256440889984477, rel=1e-12)
    assert law.predict(N=8.67e9, D=178e9, unique_tokens=25e9) == pytest.approx(2.2269634075087867, rel=1e-12)


def test_rows_that_rise_are_marked_and_the_rest_identifies_the_law(external_data):
    """On datablations 58 of 229 rows rise; a tied fit of the rest gives R_D* to a factor of three."""
    runs = pd.read_csv(external_data / "forecast_benchmark" / "datablations_repeat.csv")
    marked = mark_repetition(runs[["N", "D", "unique_tokens", "loss"]])
    assert marked["rising"].sum() == 58 and marked.loc[marked["rising"], "epochs"].min() > 13
    result = sf.fit(marked[~marked["rising"]], "data_constrained", tied={"beta": "alpha"})
    low, high = result.conf_int(0.95).loc["R_D"]
    # Runs of one D share two fifths of their variance (likelihood ratio 40), which widens the upper end beyond 100.
    assert result.shared_noise is not None and result.shared_noise.by == "D"
    assert 10 < low < result.params["R_D"] < high < 150
    everything = sf.fit(marked, "data_constrained", tied={"beta": "alpha"})
    assert result.std_errors["R_D"] < everything.std_errors["R_D"]
    ends = [fit.bootstrap(80, seed=0).conf_int(0.68).loc["R_D"] for fit in (result, everything)]
    lengths = [upper - lower for lower, upper in ends]
    assert lengths[0] < 0.7 * lengths[1]


def test_marking_needs_unique_tokens():
    with pytest.raises(sf.DataError, match="unique_tokens"):
        mark_repetition({"N": [1e8, 1e8], "D": [1e9, 2e9], "loss": [3.0, 2.9]})


# -- architectures and recipes -----------------------------------------------------------------------------------------


@given(log_n=st.floats(7.6, 12))
def test_an_architecture_has_the_parameters(log_n):
    shape = architecture_for(10**log_n, 1e10)
    assert abs(shape.off_by) < 0.06
    assert shape.n_heads * (shape.d_emb // shape.n_heads) == shape.d_emb and shape.d_ff == 4 * shape.d_emb
    counts = count_parameters(shape.n_layers, shape.d_emb, T_max=shape.T_max, vocab_size=shape.vocab_size)
    assert counts.total == shape.N == sum(shape.counts.groups.values())
    assert 10 < shape.d_emb / shape.n_layers < 400


def test_gpt2_small_and_other_counts():
    shape = architecture_for(124439808, T_max=1024)
    assert (shape.n_layers, shape.d_emb, shape.n_heads, shape.N) == (12, 768, 12, 124439808)
    bare = architecture_for(85056000, params="non_embedding", T_max=1024)
    assert (bare.n_layers, bare.d_emb) == (12, 768)
    with pytest.raises(ValueError, match="vocabulary of 50257"):
        architecture_for(1e6)
    with pytest.raises(ValueError, match="active"):
        architecture_for(1e9, params="active")
    assert architecture_for(1e6, vocab_size=256, T_max=256).N == pytest.approx(1e6, rel=0.1)


def test_a_tiny_plan_has_no_gpt2_shape_but_another():
    plan = sf.plan(LAW, C=1e15)
    assert plan.architecture is None and plan.floor is None
    assert plan.shape(vocab_size=256, T_max=256).N == pytest.approx(plan.N, rel=0.1)


def test_recipes_by_name():
    """StepLaw at its paper's constants; OLMo ladder's rule at its anchor of 108M parameters."""
    rules = recipes(N=1e9, D=1e11)
    assert rules["step_law"].learning_rate == pytest.approx(1.79 * 1e9**-0.713 * 1e11**0.307)
    # Means of 1000 published bootstraps: lr = exp(0.586308) N^-0.712922 D^0.307491, batch = exp(-0.543542) D^0.570944.
    assert rules["step_law"].learning_rate == pytest.approx(
        np.exp(0.586308) * 1e9**-0.712922 * 1e11**0.307491, rel=0.03
    )
    assert rules["step_law"].batch_tokens == pytest.approx(np.exp(-0.543542) * 1e11**0.570944, rel=0.01)
    anchor = recipes(N=108e6, D=1e10)["olmo_ladder"]
    assert (anchor.learning_rate, anchor.batch_tokens) == (pytest.approx(0.0047), pytest.approx(160 * 2048))
    assert recipes(N=108e6, D=1e10, context=4096)["olmo_ladder"].learning_rate == pytest.approx(0.0047 / 4)
    assert all("arXiv" in rule.source for rule in rules.values())
    with pytest.raises(ValueError, match="positive"):
        recipes(N=0, D=1e9)
