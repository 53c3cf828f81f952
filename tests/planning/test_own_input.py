"""A law with an input of its own fits, predicts, plans, reports, saves and loads; targets say what is best."""

import numpy as np
import pandas as pd
import pytest
from own_input import OwnExperts

import scalefit as sf

TRUTH = {"E": 1.7, "A": 400.0, "alpha": 0.34, "gamma": 0.08, "B": 410.0, "beta": 0.28}


@pytest.fixture(scope="module")
def runs():
    N, D, n = (a.ravel() for a in np.meshgrid(np.geomspace(5e7, 3e9, 5), np.geomspace(2e9, 8e10, 4), [1, 4, 16, 64]))
    noise = np.exp(0.002 * np.random.default_rng(0).standard_normal(N.size))
    return pd.DataFrame({"N": N, "D": D, "n_experts": n, "loss": OwnExperts.loss(N, D, n, **TRUTH) * noise})


@pytest.fixture(scope="module")
def result(runs):
    return sf.fit(runs, OwnExperts)


def test_it_fits_and_predicts_with_intervals(result):
    assert result.trusted and result.params["gamma"] == pytest.approx(0.08, abs=0.02)
    row = result.predict_interval(N=1e9, D=2e10, n_experts=8).iloc[0]
    assert row["lower"] < OwnExperts.loss(1e9, 2e10, 8, **TRUTH) < row["upper"]
    assert result.at(n_experts=8).predict(N=1e9, D=2e10) == result.predict(N=1e9, D=2e10, n_experts=8)
    assert result.seen()["n_experts"] == pytest.approx((1, 64))


def test_it_plans_with_the_input_held_or_chosen(result):
    plan = sf.plan(result, C=1e21, at={"n_experts": 8})
    share = TRUTH["A"] * 8 ** -TRUTH["gamma"]
    a, b = TRUTH["alpha"], TRUTH["beta"]
    best = (a * share / (b * TRUTH["B"])) ** (1 / (a + b)) * (1e21 / 6) ** (b / (a + b))
    assert plan.N == pytest.approx(best, rel=0.25) and plan.lower < plan.loss < plan.upper
    assert plan.at == {"n_experts": 8.0} and "n_experts held at 8" in str(plan)
    assert sf.plan(result.at(n_experts=8), C=1e21).N == plan.N
    chosen = sf.plan(result, C=1e21, choose={"n_experts": (1, 64)})
    assert chosen.at["n_experts"] == pytest.approx(64) and chosen.chosen == ("n_experts",) and chosen.loss < plan.loss
    with pytest.raises(sf.ScalefitError, match="at="):
        sf.plan(result, C=1e21)
    with pytest.raises(sf.ScalefitError, match="cannot be held"):
        sf.plan(result, C=1e21, at={"experts": 8})
    more = sf.next_runs(result.at(n_experts=8), budget=1e20, n_runs=3)
    assert (more["gain"] > 0).all() and more["C"].sum() <= 1e20


def test_it_is_reported_saved_and_loaded(runs, result, tmp_path):
    assert "own_experts" in sf.report(runs, law=OwnExperts).html
    result.to_json(tmp_path / "r.json")
    again = sf.load_result(tmp_path / "r.json", law=OwnExperts)
    assert again.predict(N=1e9, D=2e10, n_experts=8) == result.predict(N=1e9, D=2e10, n_experts=8)
    assert result.plot() is not None


class _Accuracy(sf.Law):
    """Share of right answers, of which more is better."""

    inputs = ("N", "D")
    formula = "a = 1 - A N^-alpha - B D^-beta"
    target = sf.Target("accuracy", sense=+1, range=(0.0, 1.0), scale="logit")
    A = sf.Parameter("size coefficient", (1e-3, 1e8), log=True)
    alpha = sf.Parameter("size exponent", (0.01, 2.0))
    B = sf.Parameter("data coefficient", (1e-3, 1e8), log=True)
    beta = sf.Parameter("data exponent", (0.01, 2.0))

    @staticmethod
    def loss(N, D, A, alpha, B, beta):
        return 1 - A * N**-alpha - B * D**-beta


class _Setting(sf.Law):
    """A learning rate: nothing of it is better."""

    inputs = ("N", "D")
    formula = "lr = c N^a D^b"
    target = sf.Target("learning_rate", sense=0)
    c = sf.Parameter("coefficient", (1e-9, 1e9), log=True)
    a = sf.Parameter("size exponent", (-3, 3), (-0.7, 0.3))
    b = sf.Parameter("data exponent", (-3, 3), (-0.3, 0.3))

    @staticmethod
    def loss(N, D, c, a, b):
        return c * N**a * D**b


class _Undeclared(_Setting):
    """The same, not declared a setting."""

    target = sf.Target("loss", unit="nat/token")

    @staticmethod
    def loss(N, D, c, a, b):
        return c * N**a * D**b


def published(law, **values):
    from scalefit.laws import Constants, PublishedLaw

    return PublishedLaw(law, Constants("me2026", values, "made up"))


def test_what_is_planned_for_follows_the_target():
    law = published(_Accuracy, A=40.0, alpha=0.34, B=41.0, beta=0.28)
    best = sf.plan(law, C=1e21)
    others = [sf.plan(law, C=1e21, fixed={"ratio": best.tokens_per_param * f}).loss for f in (0.3, 3)]
    assert best.loss > max(others) and "accuracy" in str(best)
    assert sf.plan(law, loss=best.loss).C == pytest.approx(1e21, rel=1e-3)
    constants = {"c": 1.79, "a": -0.713, "b": 0.307}
    with pytest.raises(sf.ScalefitError, match="a setting"):
        sf.plan(published(_Setting, **constants), C=1e21)
    with pytest.raises(sf.ScalefitError, match="edge of the search"):
        sf.plan(published(_Undeclared, **constants), C=1e21)


def test_a_law_in_compute_answers_what_reaches_a_loss():
    C = np.geomspace(1e17, 1e20, 12)
    loss = (1.7 + 5e3 * C**-0.2) * np.exp(0.001 * np.random.default_rng(1).standard_normal(12))
    result = sf.fit({"C": C, "loss": loss}, "power_law:C")
    plan = sf.plan(result, loss=2.1)
    assert result.predict(C=plan.C) == pytest.approx(2.1, rel=1e-9)
    assert plan.C_interval[0] < plan.C < plan.C_interval[1] and np.isnan(plan.N) and "nan" not in str(plan)
    assert plan.to_dict()["N"] is None and sf.plan(result, C=plan.C).loss == pytest.approx(2.1)
    with pytest.raises(sf.ScalefitError, match="at no budget"):
        sf.plan(result, loss=0.5)
    with pytest.raises(sf.ScalefitError, match="reads C alone"):
        sf.plan(result, N=1e9)


def test_several_budgets_give_a_table():
    law = sf.published("chinchilla", "besiroglu2024")
    table = sf.plan(law, C=[1e21, 1e22])
    assert table["C"].tolist() == [1e21, 1e22] and table["N"].iloc[1] == sf.plan(law, C=1e22).N
    with pytest.raises(sf.ScalefitError, match="list of them"):
        sf.plan(law, C=[])


def test_every_reader_finds_a_column_by_what_the_law_declares(runs, result):
    """Fits, forecasts and comparisons read a table in one way: usual names and zeros that a law declares included."""
    renamed = runs.rename(columns={"n_experts": "num_experts"})
    assert sf.fit(renamed, OwnExperts).params.equals(result.params)
    forecast = sf.forecast(renamed, law=OwnExperts)
    assert forecast.predict(N=1e10, D=2e11, n_experts=16) == pytest.approx(
        OwnExperts.loss(1e10, 2e11, 16, **TRUTH), rel=0.01
    )
    assert sf.compare(renamed, [OwnExperts, "chinchilla"])["law"].iloc[0] == "own_experts"
    sparse = runs.assign(sparsity=1 - 1 / runs.n_experts)  # 0 for one expert, which the law allows
    assert len(sf.forecast(sparse, law="sparse").row_labels) == len(runs)


def codes(plan):
    return {note.code for note in plan.notes}


def test_what_is_chosen_may_be_zero_and_ranges_are_those_of_the_law():
    law = sf.published("sparsity_moe")
    free = sf.plan(law, C=1e21, choose={"sparsity": (0, 0.98)})
    assert free.at["sparsity"] == 0 and free.loss <= sf.plan(law, C=1e21, choose={"sparsity": (0.3, 0.98)}).loss
    with pytest.raises(sf.ScalefitError, match=r"between 1 and 512.*choose=\{'n_experts': \(1, 64\)\}"):
        sf.plan(sf.published("joint_moe"), C=1e21, choose={"n_experts": (1, 5000)})
    with pytest.raises(sf.ScalefitError, match=r"choose=\{'sparsity': \(0, 0.98\)\}"):
        sf.plan(law, C=1e21, choose={"sparsity": (1, 64)})
    with pytest.raises(sf.ScalefitError, match="held at 4"):
        sf.plan(sf.published("joint_moe"), C=1e21, choose={"n_experts": (1, 8)}, at={"n_experts": 4})


def test_a_plan_says_what_it_chose_at_an_end_or_outside_the_runs(result):
    assert "chosen_at_an_end" in codes(sf.plan(result, C=1e21, choose={"n_experts": (1, 32)}))
    moe = sf.published("comprehensive_moe")
    held = {"N_active": 3e9, "shared_share": 0.125}
    assert "chosen_at_an_end" not in codes(sf.plan(moe, C=1e22, at=held, choose={"active_experts": (1, 64)}))
    assert "input_beyond_runs" in codes(sf.plan(result, C=1e21, at={"n_experts": 300}))
    assert "input_beyond_runs" not in codes(sf.plan(result, C=1e21, at={"n_experts": 64}))


def test_a_plan_says_that_its_flop_count_idle_parameters():
    assert "idle_parameters" in codes(sf.plan(sf.published("fine_grained_moe"), C=1e21, at={"granularity": 8}))
    assert "idle_parameters" not in codes(sf.plan(sf.published("joint_moe"), C=1e21, at={"n_experts": 8}))


def test_a_plan_says_that_less_would_do_better():
    """Low precision makes long training worse: a held size spent a whole budget at a loss of 19.9."""
    law, held = sf.published("float_precision"), {"exponent_bits": 2, "mantissa_bits": 1, "block": 128}
    plan = sf.plan(law, C=1e26, fixed={"N": 1e9}, at=held)
    (note,) = (note for note in plan.notes if note.code == "past_the_best")
    assert note.details["D"] == pytest.approx(3.93e11, rel=0.05) and note.details["value"] < 2.6 < plan.loss
    assert "past_the_best" not in codes(sf.plan(law, C=1e21, fixed={"N": 1e9}, at=held))
    repeated = {"fixed": {"N": 1e9}, "unique_tokens": 1e9}
    plan = sf.plan(sf.published("prescriptive"), C=1e23, **repeated)
    assert "past_the_best" in codes(plan) and "which this one models" in str(plan).replace("\n      ", " ")
    assert "past_the_best" not in codes(sf.plan(sf.published("data_constrained"), C=1e23, **repeated))
