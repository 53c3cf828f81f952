"""sf.compare and sf.average: the right law wins, the verdict does not overclaim, mixtures are refused."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scalefit as sf
from scalefit.comparison.holdouts import folds
from scalefit.comparison.scores import stacking

HOLDOUTS = ["largest_C", "k-fold", "3-fold", "leave-one-budget-out", "rolling"]


def table(law="chinchilla", key="besiroglu2024", noise=0.002, seed=0):
    rng = np.random.default_rng(seed)
    C = np.repeat(np.geomspace(1e18, 3e20, 6), 6)
    N = np.sqrt(C / 120) * np.tile(np.geomspace(0.3, 3, 6), 6)
    D = C / (6 * N)
    loss = sf.published(law, key).predict(N=N, D=D) * np.exp(noise * rng.standard_normal(N.size))
    return pd.DataFrame({"N": N, "D": D, "loss": loss})


@pytest.mark.parametrize("holdout", HOLDOUTS)
def test_the_law_that_made_the_table_wins(holdout):
    found = sf.compare(table(), ["kaplan", "chinchilla"], holdout=holdout, delta=1e-2)
    assert found["law"].iloc[0] == "chinchilla"
    assert "chinchilla has an error of" in found.attrs["verdict"]
    columns = "law rmse mae mean_relative_error bias coverage interval_score weight".split()
    assert list(found)[:8] == columns
    assert found["weight"].sum() == pytest.approx(1.0) and found["mae"].is_monotonic_increasing
    assert (found["rmse"] >= found["mae"]).all() and found["coverage"].between(0, 1).all()


def test_laws_that_predict_alike_are_too_close_to_call():
    """The coupled law holds Chinchilla's: inside the range both predict the same."""
    found = sf.compare(table(), ["chinchilla", "coupled"], holdout="k-fold", delta=1e-2)
    assert "Too close to call" in found.attrs["verdict"]


def test_forecast_takes_part():
    found = sf.compare(table(), ["chinchilla", "forecast"])
    assert set(found["law"]) == {"chinchilla", "forecast"} and found["failed"].sum() == 0


def test_metrics_are_what_they_say():
    """Recomputed from the held-out predictions by hand."""
    found = sf.compare(table(), ["chinchilla"], holdout="3-fold")
    kept = pd.DataFrame(found.attrs["predictions"])
    error = kept["chinchilla"] - kept["loss"]
    by = kept["fold"]
    assert found["mae"][0] == pytest.approx(error.abs().groupby(by).mean().mean(), rel=1e-12)
    assert found["rmse"][0] == pytest.approx(np.sqrt((error**2).groupby(by).mean().mean()), rel=1e-12)
    assert found["bias"][0] == pytest.approx((error / kept["loss"]).groupby(by).mean().mean(), rel=1e-12)


def test_a_law_that_cannot_be_fitted_is_named_and_last():
    found = sf.compare(table().assign(N=1e9), ["chinchilla", "power_law:C"], holdout="k-fold")
    assert found["law"].tolist() == ["power_law:C", "chinchilla"]
    assert found.attrs["failures"]["chinchilla"] and "Could not be fitted" in found.attrs["verdict"]
    assert found["weight"].tolist() == [1.0, 0.0]


@given(st.integers(10, 60), st.integers(0, 100), st.sampled_from(HOLDOUTS))
@settings(max_examples=60)
def test_folds_never_test_on_what_they_train_on(n, seed, holdout):
    rng = np.random.default_rng(seed)
    compute = np.repeat(np.geomspace(1e18, 1e21, 5), n // 5 + 1)[:n] * np.exp(0.01 * rng.standard_normal(n))
    for fold in folds(holdout, compute, 1, seed):
        assert not set(fold.train) & set(fold.test) and fold.test.size and fold.train.size
        if holdout in ("largest_C", "rolling"):
            assert compute[fold.train].max() <= compute[fold.test].min()
    if holdout.endswith("fold"):
        tested = np.concatenate([fold.test for fold in folds(holdout, compute, 1, seed)])
        assert sorted(tested) == list(range(n))


@given(st.integers(2, 5), st.integers(0, 10_000))
@settings(max_examples=30)
def test_stacking_is_never_worse_than_the_best_law(k, seed):
    rng = np.random.default_rng(seed)
    truth, fold_of = rng.uniform(2, 4, 30), np.repeat(np.arange(3), 10)
    predicted = truth * (1 + 0.02 * rng.standard_normal((k, 30)) + 0.02 * rng.standard_normal((k, 1)))
    weight = stacking(predicted, truth, fold_of)
    assert (weight >= 0).all() and weight.sum() == pytest.approx(1)
    squares = [((p / truth - 1) ** 2).sum() for p in (weight @ predicted, *predicted)]
    assert squares[0] <= min(squares[1:]) * (1 + 1e-6)


@pytest.mark.parametrize(
    ("laws", "options", "said"),
    [
        ([], {}, "empty"),
        (["chinchilla", "chinchilla"], {}, "twice"),
        (["chinchila"], {}, "no law"),
        (["power_law"], {}, "variable"),
        (["chinchilla"], {"holdout": "best"}, "not known"),
        (["chinchilla"], {"holdout": "99-fold"}, "between 2"),
        (["chinchilla"], {"level": 2}, "level"),
        (["chinchilla", "kaplan"], {"prior": {"E": (1.7, 0.1)}}, "objectives"),
    ],
)
def test_mistakes_are_named(laws, options, said):
    with pytest.raises(ValueError, match=said):
        sf.compare(table(), laws, **options)


def test_several_series_are_refused():
    both = pd.concat([table().assign(series="a"), table(seed=1).assign(series="b")], ignore_index=True)
    with pytest.raises(sf.FitError, match="2 series"):
        sf.compare(both, ["chinchilla", "kaplan"])


def test_too_few_runs_for_any_fold():
    with pytest.raises(sf.FitError, match="leaves 7 runs"):
        sf.compare(table().iloc[:8], ["chinchilla", "kaplan"], holdout="largest_C")


def test_weights_by_rule():
    runs = table(noise=0.01)
    plain, by_compute = sf.fit(runs), sf.fit(runs, weights="C^0.5")
    by_hand = sf.fit(runs, weights=((runs.N * runs.D) / (runs.N * runs.D).max()) ** 0.5)
    assert by_compute.objective_value == pytest.approx(by_hand.objective_value, rel=1e-9)
    assert by_compute.params["alpha"] != plain.params["alpha"]
    counted = sf.fit(runs.assign(C=np.geomspace(1e18, 1e20, len(runs))), weights="C^0.5")  # otherwise than 6 N D
    assert sorted(counted.problem.weights) == pytest.approx(np.geomspace(0.1, 1, len(runs)))
    near = sf.fit(runs, weights="frontier")
    assert near.problem.weights.min() < 0.5 < near.problem.weights.max() <= 1.0
    with pytest.raises(ValueError, match="no such numeric column"):
        sf.fit(runs, weights="C^x")
    with pytest.raises(ValueError, match=r"weights='C\^0.5' needs the compute"):
        sf.fit(runs[["N", "loss"]], "power_law:N", weights="C^0.5")


def test_average_blends_and_widens():
    results = [sf.fit(table(), law) for law in ("chinchilla", "kaplan")]
    blend = sf.average(results, weights=[3, 1])
    parts = [r.predict(N=1e10, D=2e11) for r in results]
    assert blend.predict(N=1e10, D=2e11) == pytest.approx(0.75 * parts[0] + 0.25 * parts[1])
    interval = blend.predict_interval(N=[1e10, 1e11], D=[2e11, 2e12])
    assert (interval["disagreement"] > 0).all() and (interval["lower"] < interval["loss"]).all()
    assert blend.predict(N=[1e9, 1e10], D=2e11).shape == (2,) and "chinchilla" in repr(blend)


def test_average_with_a_forecast():
    blend = sf.average([sf.forecast(table()), sf.fit(table())])
    assert np.isfinite(blend.predict_interval(N=1e10, D=2e11).to_numpy()).all()


@pytest.mark.parametrize(
    ("results", "weights", "said"),
    [
        (lambda: [], None, "sequence"),
        (lambda: [sf.fit(table()), sf.fit(table(seed=1))], None, "different tables"),
        (lambda: [sf.fit(table()), sf.fit(table(), objective="squared")], None, "one objective"),
        (lambda: [sf.fit(table()), sf.fit(table(), "kaplan")], [1, -1], "negative"),
        (lambda: [sf.fit(table())], [1, 2], "one for each"),
        (
            lambda: [sf.fit(table()), sf.fit(sf.read_runs(table(), loss_unit="other"), "kaplan")],
            None,
            "in nat/token and other",
        ),
    ],
)
def test_mixtures_are_refused(results, weights, said):
    with pytest.raises(ValueError, match=said):
        sf.average(results(), weights)


def test_a_table_that_no_law_can_be_fitted_to_is_an_error():
    rng = np.random.default_rng(0)
    table = {"N": 10 ** rng.uniform(7, 9, 40), "D": 10 ** rng.uniform(9, 11, 40), "loss": np.full(40, 3.0)}
    with pytest.raises(sf.FitError, match="nothing was compared. See why: chinchilla, .*All .* losses are 3"):
        sf.compare(table, ["chinchilla", "kaplan"])


@pytest.mark.filterwarnings("ignore:.*were set aside")
def test_weights_stay_with_their_runs():
    """They were cut by position, so that a row set aside moved every weight after it to another run."""
    runs = table(noise=0.02)
    weights = pd.Series(np.linspace(0.1, 3.0, len(runs)), index=runs.index)
    whole = sf.compare(runs.drop(index=5), ["chinchilla"], holdout="k-fold", weights=weights.drop(5).to_numpy())
    gap = runs.assign(loss=runs["loss"].where(runs.index != 5))
    for weighing, rows in ((weights.to_numpy(), gap), (weights, gap), ("trust", gap.assign(trust=weights))):
        found = sf.compare(rows, ["chinchilla"], holdout="k-fold", weights=weighing)
        assert found["mae"][0] == pytest.approx(whole["mae"][0], rel=1e-9)
    with pytest.raises(sf.ScalefitError, match="4 entries"):
        sf.compare(runs, ["chinchilla"], weights=[1.0, 2.0, 3.0, 4.0])


def test_a_run_held_out_by_several_folds_counts_once():
    """The cuts of largest_C are nested: counted at each, a test run would look like several witnesses."""
    runs = table(noise=0.02)
    found = sf.compare(runs, ["chinchilla", "kaplan"])
    kept = pd.DataFrame(found.attrs["predictions"])
    assert kept["row"].duplicated().any()
    worse = (kept["kaplan"] - kept["loss"]).abs() - (kept["chinchilla"] - kept["loss"]).abs()
    by_run = worse.groupby(kept["row"]).mean()
    expected = abs(by_run.mean()) / (by_run.std() / np.sqrt(len(by_run)))
    assert found["gap"].iloc[1] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("holdout", ["k-fold", "rolling", "largest_C"])
def test_the_order_of_the_rows_changes_nothing(holdout):
    runs = table(noise=0.02)
    found = [
        sf.compare(rows, ["chinchilla", "kaplan"], holdout=holdout)
        for rows in (runs, runs.sample(frac=1, random_state=0))
    ]
    np.testing.assert_allclose(found[0]["mae"], found[1]["mae"], rtol=1e-9)


@pytest.mark.parametrize(
    ("said", "name"),
    [("kfold", "k-fold"), ("K_fold", "k-fold"), ("3fold", "3-fold"), ("leave_one_budget_out", "leave-one-budget-out")],
)
def test_other_spellings_of_a_holdout(said, name):
    said, name = (sf.compare(table(), ["chinchilla", "kaplan"], holdout=holdout) for holdout in (said, name))
    pd.testing.assert_frame_equal(said, name)


def test_a_law_whose_columns_the_table_lacks_stands_last():
    found = sf.compare(table(), ["associative_memory", "kaplan", "chinchilla"])
    alone = sf.compare(table(), ["kaplan", "chinchilla"])
    assert found["law"].tolist() == ["chinchilla", "kaplan", "associative_memory"]
    last = found.iloc[2]
    assert last["failed"] == last["folds"] and np.isnan(last["mae"]) and last["weight"] == 0
    assert found["mae"].iloc[:2].tolist() == alone["mae"].tolist()
    assert "no T_max column" in found.attrs["failures"]["associative_memory"][0]
    assert "associative_memory" in found.attrs["verdict"]
    with pytest.raises(sf.DataError, match="T_max"):
        sf.compare(table(), ["associative_memory", "associative_memory_effective"])
