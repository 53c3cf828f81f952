"""scalefit forecast and compare, as a shell sees them: text, JSON, files and exit codes."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import scalefit as sf


def simulate(seed=0):
    rng = np.random.default_rng(seed)
    C = np.repeat(np.geomspace(1e18, 3e20, 5), 5)
    N = np.sqrt(C / 120) * np.tile(np.geomspace(0.3, 3, 5), 5)
    loss = sf.published("chinchilla", "besiroglu2024").predict(N=N, D=C / 6 / N)
    return pd.DataFrame({"N": N, "D": C / 6 / N, "loss": loss * np.exp(0.003 * rng.standard_normal(25))})


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "runs.csv"
    simulate().to_csv(path, index=False)
    return path


def test_forecast_prints_law_prior_and_points(run, table):
    code, out, _ = run("forecast", table, "--at", "N=7e9,D=2e11", "--at", "C=1e22")
    assert code == 0
    assert "Forecast by coupled" in out and "Prior: E" in out and "TRUST:" in out
    assert out.count("standard errors: parameter") == 2 and "N = 7B" in out


def test_forecast_as_json_has_the_public_names(run, table):
    code, out, _ = run("forecast", table, "--at", "N=7e9,D=2e11", "--level", "0.8", "--json")
    said = json.loads(out)
    expected = sf.forecast(table).predict_interval(N=7e9, D=2e11, level=0.8)
    assert code == 0 and {"params", "n_runs", "notes", "trusted", "reason", "predictions"} <= set(said)
    for name in expected:
        assert said["predictions"][0][name] == pytest.approx(expected[name][0], rel=1e-9)


def test_forecast_saves_and_draws(run, table, tmp_path):
    saved, drawn = tmp_path / "forecast.json", tmp_path / "fan.png"
    assert run("forecast", table, "--save", saved, "--plot", drawn)[0] == 0
    assert sf.load_forecast(saved).n_runs == 25 and drawn.stat().st_size > 5000


def test_forecast_of_several_series(run, tmp_path):
    path = tmp_path / "two.csv"
    both = pd.concat([simulate().assign(series="a"), simulate(1).assign(series="b")])
    both.to_csv(path, index=False)
    code, out, _ = run("forecast", path, "--json")
    assert code == 0 and set(json.loads(out)["series"]) == {"a", "b"}


def test_forecast_drops_the_prior_on_E_in_other_units(run, table):
    code, out, _ = run("forecast", table, "--loss-unit", "other", "--json")
    assert code == 0 and "prior_without_E" in [note["code"] for note in json.loads(out)["notes"]]


def test_the_irreducible_loss_is_in_the_unit_of_the_table(run, table):
    code, out, _ = run("forecast", table, "--loss-unit", "bit/byte")
    assert code == 0 and "irreducible loss, bit/byte" in out and "irreducible loss, nat/token" not in out


def test_refusals_are_one_line(run, tmp_path):
    path = tmp_path / "flat.csv"
    simulate().assign(N=1e9).to_csv(path, index=False)
    code, out, err = run("forecast", path)
    assert code == 1 and out == "" and "do not show what a larger N does" in err and len(err.strip().splitlines()) == 1


def test_compare_prints_its_verdict_first(run, table):
    code, out, _ = run("compare", table, "--law", "chinchilla", "--law", "kaplan", "--delta", "0.01")
    assert code == 0 and "has an error of" in out.splitlines()[0] and "interval_score" in out


def test_compare_as_json(run, table):
    words = ("--law", "chinchilla", "--law", "power_law:C", "--holdout", "5-fold", "--json")
    code, out, _ = run("compare", table, *words)
    said = json.loads(out)
    assert code == 0 and said["laws"][0]["law"] == "chinchilla" and said["verdict"] and said["holdout"] == "5-fold"


@pytest.mark.parametrize(
    ("words", "code"),
    [(("--holdout", "best"), 1), (("--law", "nobody"), 1), (("--level", "2"), 2)],
)
def test_compare_mistakes(run, table, words, code):
    assert run("compare", table, *words)[0] == code


def test_a_point_of_compute_and_one_size_is_not_called_the_best(run, table):
    code, out, _ = run("forecast", table, "--at", "C=1e22,N=1e9", "--at", "C=1e22")
    assert code == 0 and "C = 1e+22, N = 1B, D = 1.67T: loss" in out and out.count(" at the best ") == 1


def test_points_may_say_the_distinct_tokens_they_draw_on(run, table, tmp_path):
    words = ("--at", "N=7e9,D=2e11,unique_tokens=10B")
    code, out, err = run("forecast", table, *words, "--at", "C=1e22,unique_tokens=10B", "--json")
    assert code == 0, err
    forecast, (point, best) = sf.forecast(table), json.loads(out)["predictions"]
    expected = forecast.predict_interval(N=7e9, D=2e11, unique_tokens=1e10).iloc[0]
    assert (point["lower"], point["upper"]) == pytest.approx((expected["lower"], expected["upper"]))
    assert best["D"] < 0.8 * forecast.frontier(1e22)["D"][0]
    code, out, err = run("forecast", table, *words, "--register", tmp_path / "run.json")
    assert code == 0 and "N = 7B, D = 200B, from 10B distinct tokens: loss" in out, err
    assert json.loads((tmp_path / "run.json").read_text())["inputs"]["unique_tokens"] == 1e10
