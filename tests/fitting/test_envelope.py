"""Lopsided objectives (lower envelopes, quantiles), weights by any column, and tables of one degree of freedom."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from simulated import simulate

import scalefit as sf
from scalefit.fitting.objectives import Objective

LOPSIDED = [
    {"overestimate_penalty": 10.0},
    {"objective": "squared", "overestimate_penalty": 10.0},
    {"objective": "absolute", "overestimate_penalty": 10.0},
    {"objective": "quantile", "quantile": 0.25},
]


@pytest.mark.parametrize("sides", [(10.0, 1.0), (0.75, 0.25)])
@pytest.mark.parametrize("objective", [Objective(), Objective("squared"), Objective("huber", 0.1, over_delta=True)])
def test_slopes_are_the_derivatives_of_the_cost(objective, sides):
    lopsided = Objective(objective.kind, objective.delta, over_delta=objective.over_delta, sides=sides)
    r = np.array([[-0.3, -0.05, -5e-4, 4e-4, 0.02, 0.4]])
    psi, inside, _ = lopsided.slopes(r)
    step = 1e-7
    numeric = (lopsided.cost(r + step) - lopsided.cost(r - step)) / (2 * step)
    np.testing.assert_allclose(psi, numeric, rtol=1e-5)
    second = (lopsided.slopes(r + step)[0] - lopsided.slopes(r - step)[0]) / (2 * step)
    np.testing.assert_allclose(np.broadcast_to(inside, r.shape), second, rtol=1e-5, atol=1e-5)


def test_predicting_too_much_costs_ten_times_as_much():
    """The asymmetric absolute error of chinchilla 0.2.0 (kyo-takano), whose default weight is 10."""
    cost = Objective("absolute", sides=(10.0, 1.0)).cost(np.array([-0.2, 0.2]))
    assert cost.tolist() == pytest.approx([0.2, 2.0])


@pytest.mark.parametrize("options", LOPSIDED)
def test_no_other_point_has_a_lower_objective(options, runs):
    result = sf.fit(runs, **options)
    assert result.certificate.trusted

    def objective(x):
        return result.problem.value(x[None])[0]

    rng = np.random.default_rng(0)
    for _ in range(3):
        start = result.x + 0.1 * rng.standard_normal(result.x.size)
        found = minimize(
            objective, start, method="Nelder-Mead", options={"maxiter": 4000, "xatol": 1e-9, "fatol": 1e-14}
        )
        assert result.objective_value <= found.fun * (1 + 1e-9)


@pytest.mark.parametrize("tau", [0.1, 0.5, 0.9])
def test_a_quantile_has_its_share_of_the_runs_below(tau):
    result = sf.fit(simulate(200), objective="quantile", quantile=tau)
    assert float((result.residuals > 0).mean()) == pytest.approx(tau, abs=0.04)


def test_a_penalty_on_absolute_errors_is_a_quantile(runs):
    envelope = sf.fit(runs, objective="absolute", overestimate_penalty=9.0)
    quantile = sf.fit(runs, objective="quantile", quantile=0.1)
    assert envelope.objective_value / 10 == pytest.approx(quantile.objective_value, rel=1e-9)
    assert envelope.predict(N=1e9, D=2e10) == pytest.approx(quantile.predict(N=1e9, D=2e10), rel=1e-6)


def test_the_median_is_the_absolute_error(runs):
    assert 2 * sf.fit(runs, objective="quantile").objective_value == pytest.approx(
        sf.fit(runs, objective="absolute").objective_value, rel=1e-9
    )


def made_worse(n: int, seed: int) -> dict[str, np.ndarray]:
    """Runs of which many trained worse than they might have: noise upwards only."""
    rng = np.random.default_rng(seed)
    N, D = 10 ** rng.uniform(7.7, 9.8, n), 10 ** rng.uniform(9.0, 11.3, n)
    loss = sf.published("chinchilla", "besiroglu2024").predict(N=N, D=D)
    return {"N": N, "D": D, "loss": loss * np.exp(0.01 * rng.exponential(1.0, n))}


def test_the_envelope_finds_the_law_of_the_best_runs():
    runs = made_worse(200, 0)
    truth = sf.published("chinchilla", "besiroglu2024").predict(N=3e9, D=1e11)
    plain, envelope = sf.fit(runs), sf.fit(runs, overestimate_penalty=10)
    off = [abs(result.predict(N=3e9, D=1e11) / truth - 1) for result in (plain, envelope)]
    assert off[1] < 0.5 * off[0]
    note = next(note for note in envelope.notes if note.code == "envelope")
    assert 0.03 < note.details["below"] < 0.2 and note.details["middle"] > 0


def test_a_new_run_lies_in_its_interval_beside_an_envelope():
    """The interval is about the middle of the runs, not about the envelope, and does not waste half its width."""
    seen = made_worse(200, 1)
    new = made_worse(2_000, 2)
    frame = sf.fit(seen, overestimate_penalty=10).predict_interval(N=new["N"], D=new["D"])
    inside = (new["loss"] >= frame["lower"]) & (new["loss"] <= frame["upper"])
    assert 0.85 < inside.mean() < 0.97
    mean = sf.fit(seen, overestimate_penalty=10).predict_interval(N=1e9, D=2e10, kind="mean")
    assert mean["lower"][0] < mean["loss"][0] < mean["upper"][0]
    assert mean["upper"][0] - mean["lower"][0] < 0.5 * (frame["upper"] - frame["lower"]).median()


@pytest.mark.parametrize("options", LOPSIDED)
def test_robust_errors_are_those_of_the_bootstrap(options):
    result = sf.fit(simulate(250), **options)
    drawn = result.bootstrap(120, seed=0)
    for name in ("alpha", "beta"):
        assert result.std_errors[name] == pytest.approx(drawn.std_errors[name], rel=0.45), name


@pytest.mark.parametrize("options", LOPSIDED)
def test_a_saved_one_is_read_back(options, runs):
    result = sf.fit(runs, **options)
    again = sf.load_result(result.to_json())
    assert again.problem.objective == result.problem.objective
    assert again.predict(N=1e9, D=2e10) == result.predict(N=1e9, D=2e10)
    assert str(again) == str(result)


def test_a_blend_of_envelopes_holds_a_new_run():
    runs = made_worse(150, 3)
    blend = sf.average([sf.fit(runs, law, overestimate_penalty=30) for law in ("chinchilla", "coupled")])
    new = made_worse(500, 4)
    frame = blend.predict_interval(N=new["N"], D=new["D"])
    assert ((new["loss"] >= frame["lower"]) & (new["loss"] <= frame["upper"])).mean() > 0.85
    with pytest.raises(ValueError, match="one objective"):
        sf.average([sf.fit(runs), sf.fit(runs, "kaplan", overestimate_penalty=30)])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"overestimate_penalty": 0}, "must be positive and finite"),
        ({"overestimate_penalty": "ten"}, "is not a number"),
        ({"quantile": 0.1}, "needs objective='quantile'"),
        ({"objective": "quantile", "quantile": 1.0}, "must lie between 0 and 1"),
        ({"objective": "quantile", "overestimate_penalty": 10}, "the same thing twice"),
    ],
)
def test_what_makes_no_sense_is_refused(options, words, runs):
    with pytest.raises(sf.errors.ArgumentError, match=words):
        sf.fit(runs, **options)


def test_the_options_reach_compare_and_the_command_line(runs, tmp_path, capsys):
    from scalefit.cli import main

    table = sf.compare(runs, ["chinchilla", "kaplan"], holdout="3-fold", overestimate_penalty=10)
    assert table["bias"].iloc[0] < 0
    path = tmp_path / "runs.csv"
    pd.DataFrame(runs).assign(width=3.0).to_csv(path, index=False)
    documents = []
    for words in (
        ["--overestimate-penalty", "10"],
        ["--objective", "quantile", "--quantile", "0.1"],
        ["--weights", "C^0.5"],
    ):
        with pytest.raises(SystemExit):
            main(["fit", str(path), *words, "--json"])
        documents.append(json.loads(capsys.readouterr().out)["objective"])
    assert documents[0].endswith("overestimates x10") and documents[1] == "quantile 0.1 of log loss"


# -- weights -----------------------------------------------------------------------------------------------------


def test_weights_may_be_any_column_or_a_power_of_it(runs, tmp_path):
    table = pd.DataFrame(runs)
    table["sem"] = np.random.default_rng(0).uniform(0.002, 0.02, len(table))
    by_hand = sf.fit(table, weights=(table["sem"] / table["sem"].max()) ** -2.0)
    assert sf.fit(table, weights="sem^-2").params.equals(by_hand.params)
    table.to_csv(tmp_path / "runs.csv", index=False)
    assert sf.fit(tmp_path / "runs.csv", weights="sem").problem.weights == pytest.approx(table["sem"].to_numpy())
    table.loc[table.index[3], "sem"] = np.nan
    with pytest.warns(sf.ScalefitWarning, match="weight is missing"):
        assert sf.fit(table, weights="sem").n_runs == len(table) - 1
    with pytest.raises(ValueError, match="needs positive numbers in sem"):
        sf.fit(table, weights="sem^-2")
    with pytest.raises(ValueError, match="a numeric column 'nope'"):
        sf.fit(table, weights="nope^2")


# -- one degree of freedom ---------------------------------------------------------------------------------------

OPTIMA = {"C": np.array([1e18, 1e19, 1e20]), "loss": 1.6 + 95.18 * np.array([1e18, 1e19, 1e20]) ** -0.0941}


def test_three_runs_with_the_floor_pinned_are_fitted_with_a_warning():
    """A pinned floor and three budgets, as marin's sweeps have them (its issue 5619): two parameters, one to spare."""
    noisy = {**OPTIMA, "loss": OPTIMA["loss"] * np.array([1.003, 0.998, 1.001])}
    result = sf.fit(noisy, "power_law:C", fixed={"E": 1.6}, objective="squared", on="loss")
    note = next(note for note in result.notes if note.code == "one_degree")
    assert note.severity == "warning" and result.params["alpha"] == pytest.approx(0.0941, abs=0.01)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        width = result.predict_interval(C=1e21)
    assert width["upper"][0] / width["lower"][0] > 1.05


def test_as_few_runs_with_the_floor_free_are_refused():
    with pytest.raises(sf.FitError, match="3 runs are too few for 3 free parameters"):
        sf.fit(OPTIMA, "power_law:C")
    with pytest.raises(sf.FitError, match="3 runs are too few for 2 free parameters"):
        sf.fit(OPTIMA, "power_law:C", fixed={"alpha": 0.09})


def test_intervals_of_three_runs_hold_what_they_claim():
    rng, inside = np.random.default_rng(0), []
    for _ in range(40):
        noisy = {**OPTIMA, "loss": OPTIMA["loss"] * np.exp(0.004 * rng.standard_normal(3))}
        result = sf.fit(noisy, "power_law:C", fixed={"E": 1.6}, objective="squared")
        lower, upper = result.conf_int(0.9).loc["alpha"]
        inside.append(lower <= 0.0941 <= upper)
    assert np.mean(inside) > 0.8
