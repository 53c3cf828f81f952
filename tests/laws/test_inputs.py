"""What a law reads and gives: declarations, checks of predict, and the conventions that tie C to N and D."""

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit import flops
from scalefit.laws._inputs import check_inputs


class Experts(sf.Law):
    inputs = ("N", "D", "n_experts")
    formula = "L(N, D, n) = E + A N^-alpha n^-gamma + B D^-beta"
    n_experts = sf.Input("experts", names=("num_experts",), range=(1, 512), typical=(1, 8, 64), optional=1.0)
    E = sf.Parameter("floor", (0.0, 10.0), (0.5, 1.7, 3.0), log=True, linear=True)
    A = sf.Parameter("size coefficient", (0.0, 1e20), (10.0, 400.0, 1e4), log=True, linear=True)
    alpha = sf.Parameter("size exponent", (0.0, 3.0))
    B = sf.Parameter("data coefficient", (0.0, 1e20), (10.0, 400.0, 1e4), log=True, linear=True)
    beta = sf.Parameter("data exponent", (0.0, 3.0))
    gamma = sf.Parameter("experts' exponent", (0.0, 1.0), (0.05, 0.1, 0.3))

    @staticmethod
    def loss(N, D, n_experts, E, A, alpha, B, beta, gamma):
        return E + A * N**-alpha * n_experts**-gamma + B * D**-beta


def test_declarations_stand_in_the_order_of_the_inputs_and_usual_ones_are_shared():
    assert list(Experts.declarations) == ["N", "D", "n_experts"]
    assert Experts.declarations["N"] is sf.laws.get("chinchilla").declarations["N"]
    assert Experts.declarations["n_experts"] is Experts.n_experts
    assert list(sf.laws.get("power_law:D").declarations) == ["D"]


def test_a_law_without_a_list_of_inputs_reads_those_of_its_base_and_its_own():
    class Sparse(sf.laws.get("chinchilla")):
        sparsity = sf.Input("share of parameters that are zero", range=(0, 0.99), zero=True)
        gamma = sf.Parameter("cost of sparsity", (0.0, 1.0), (0.1, 0.3, 0.6))

        @staticmethod
        def loss(N, D, sparsity, E, A, alpha, B, beta, gamma):
            return E + A * (N * (1 - sparsity) ** gamma) ** -alpha + B * D**-beta

    assert Sparse.inputs == ("N", "D", "sparsity")
    assert list(Sparse.parameters) == ["E", "A", "alpha", "B", "beta", "gamma"]
    assert check_inputs(Sparse, {"N": 1e9, "D": 2e10, "sparsity": 0.0})["sparsity"] == 0


def test_a_default_takes_the_place_of_an_optional_input():
    assert check_inputs(Experts, {"N": 1e9, "D": 2e10})["n_experts"] == 1.0
    repeated = sf.published("data_constrained")
    assert repeated.predict(N=1e9, D=2e10) == repeated.predict(N=1e9, D=2e10, unique_tokens=2e10)


@pytest.mark.parametrize(
    ("law", "inputs", "said"),
    [
        ("chinchilla", dict(N=1e9, D=2e10, unique_tokens=1e8), "Laws that read unique_tokens: data_constrained"),
        ("chinchilla", dict(N=1e9, D=2e10, T_max=4), "associative_memory"),
        ("chinchilla", dict(N=1e9, D=2e10, C=1e30), "contradicts N and D, which give 1.2e"),
        ("chinchilla", dict(N=1e9, D=[2e10, 4e10], C=1.2e20), "contradicts"),
        ("power_law:N", dict(N=1e9, D=2e10), "does not read D"),
        ("power_law:D", dict(D=2e10, C=1e20), "does not read C"),
        (Experts, dict(N=1e9, D=2e10, n_experts=0.5), "between 1 and 512"),
        (Experts, dict(N=1e9, D=2e10, experts=8), "does not read experts"),
        ("data_constrained", dict(N=1e9, unique_tokens=1e9), "D=..."),
    ],
)
def test_predict_refuses_what_the_law_does_not_read_and_what_contradicts(law, inputs, said):
    with pytest.raises(ValueError, match=said.replace(".", r"\.")):
        check_inputs(sf.laws.get(law), inputs)


def test_compute_gives_what_is_missing_and_agrees_within_rounding():
    law = sf.laws.get("chinchilla")
    assert check_inputs(law, dict(N=1e9, C=1.2e20))["D"] == pytest.approx(2e10)
    assert check_inputs(law, dict(D=2e10, C=1.2e20))["N"] == pytest.approx(1e9)
    assert check_inputs(law, dict(N=1e9, D=2e10, C=1.205e20))["D"] == 2e10
    assert check_inputs(sf.laws.get("power_law:C"), dict(N=1e9, D=2e10))["C"] == pytest.approx(1.2e20)


@pytest.mark.parametrize("name", ["6ND", "6ND+attention"])
def test_conventions_compute_both_ways(name):
    rule = flops.convention(name)
    shape = dict(n_layers=24.0, d_emb=2048.0, T_max=2048.0) if rule.reads else {}
    N, D = np.array([1e8, 1e9, 1e11]), np.array([2e9, 2e10, 1e12])
    C = rule.train(N, D, **shape)
    np.testing.assert_allclose(rule.tokens(C, N, **shape), D, rtol=1e-12)
    np.testing.assert_allclose(rule.size(C, D, **shape), N, rtol=1e-12)
    np.testing.assert_allclose(rule.serve(N, D, **shape) * 3, C, rtol=1e-12)


def test_attention_is_counted_as_deepseek_counts_it():
    """arXiv:2401.02954, eq. 2: 72 l d^2 + 12 l d T per token, with N = 12 l d^2 outside the embeddings."""
    layers, d, context = 30.0, 4096.0, 4096.0
    mine = flops.convention("6ND+attention").train(12 * layers * d * d, 1.0, n_layers=layers, d_emb=d, T_max=context)
    assert float(mine) == pytest.approx(72 * layers * d**2 + 12 * layers * d * context)


def test_other_counts_cost_what_they_count():
    assert float(flops.convention("active").train(47e9, 1e12, N_active=13e9)) == pytest.approx(6 * 13e9 * 1e12)
    assert float(flops.convention("non_embedding").train(1e9, 2e10, N_non_embedding=9e8)) == pytest.approx(1.08e20)
    for call, said in (
        (lambda: flops.convention("active").train(1e9, 1e10), "needs N_active"),
        (lambda: flops.convention("active").size(1e20, 1e10), "gives N_active, not N"),
        (lambda: flops.convention("logged").train(1e9, 1e10), "does not follow"),
        (lambda: flops.convention("7ND"), "Known: 6ND"),
        (lambda: flops.convention(len).train(1e9, 1e10), "cannot be called"),
    ):
        with pytest.raises(ValueError, match=said):
            call()


def test_a_users_function_is_a_convention():
    rule = flops.convention(lambda N, D: 9.59 * N * D + 2.3e8 * D)
    assert float(rule.tokens(rule.train(5e10, 7e12), 5e10)) == pytest.approx(7e12)
    assert float(rule.size(rule.train(5e10, 7e12), 7e12)) == pytest.approx(5e10)
    assert np.isnan(rule.size(1e10, 1e12))


@pytest.mark.parametrize(
    "call",
    [
        lambda: sf.Input("x", range=(3, 1)),
        lambda: sf.Input("x", range=(1, 3), typical=(0.5,)),
        lambda: sf.Target("accuracy", scale="logit"),
        lambda: sf.Target("accuracy", sense=2),
        lambda: sf.laws.Constants("x2024", {}, "", params="non-embedding"),
    ],
)
def test_a_wrong_declaration_is_refused_where_it_stands(call):
    with pytest.raises(ValueError, match="nothing was declared"):
        call()


def test_the_default_objective_follows_the_target():
    class Accuracy(sf.Law):
        inputs = ("N",)
        formula = "a(N) = 1 / (1 + (N_half/N)^k)"
        target = sf.Target("loss", sense=1, range=(0.0, 1.0), scale="logit")
        N_half = sf.Parameter("size at one half", (1e3, 1e15), (1e7, 1e9, 1e11), log=True)
        k = sf.Parameter("steepness", (0.0, 5.0), (0.2, 0.5, 1.0))

        @staticmethod
        def loss(N, N_half, k):
            return 1 / (1 + (N_half / N) ** k)

    N = np.geomspace(1e7, 1e11, 20)
    rng = np.random.default_rng(0)
    logit = 0.4 * np.log(N / 2e9) + 0.05 * rng.standard_normal(N.size)
    result = sf.fit({"N": N, "loss": 1 / (1 + np.exp(-logit))}, Accuracy, objective="squared")
    slope, cut = np.polyfit(np.log(N), logit, 1)
    assert result.problem.objective.on == "logit"
    assert result.params["k"] == pytest.approx(slope, rel=1e-6)
    assert result.params["N_half"] == pytest.approx(np.exp(-cut / slope), rel=1e-5)


def test_n_counts_what_the_law_of_experts_reads_unless_the_table_says():
    law = sf.published("joint_moe")
    rng = np.random.default_rng(0)
    N, D, experts = (
        10 ** rng.uniform(8, 9.5, 40),
        10 ** rng.uniform(9.5, 11, 40),
        rng.choice([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0], 40),
    )
    runs = {"N": N, "D": D, "n_experts": experts, "loss": law.predict(N=N, D=D, n_experts=experts)}
    free = ("E", "a", "alpha", "b", "beta")
    fixed = {key: value for key, value in law.params.items() if key not in free}
    result = sf.fit(runs, "joint_moe", fixed=fixed)
    assert result.conventions["params"] == "active" and "params" in result.conventions["assumed"]
    assert "N counts active parameters (assumed)" in str(result)
    assert sf.fit({key: runs[key] for key in ("N", "D", "loss")}, "chinchilla").conventions["params"] == "total"
    named = pd.DataFrame(runs).rename(columns={"N": "params_non_embedding"})
    assert sf.fit(sf.read_runs(named), "routed").conventions["params"] == "non_embedding"
