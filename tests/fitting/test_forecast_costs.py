"""Forecasts count compute as their table does, repeats along one ratio, and bound what many epochs do."""

import numpy as np
import pandas as pd
import pytest

import scalefit as sf

LAW = sf.published("chinchilla", "besiroglu2024")
REPEATED = sf.published("data_constrained", "muennighoff2023")


def ladder(**columns):
    N = np.geomspace(1e8, 2e9, 8)
    return pd.DataFrame({"N": N, "D": 20 * N, "loss": LAW.predict(N=N, D=20 * N), **columns})


def grid(**columns):
    N, D = (axis.ravel() for axis in np.meshgrid(np.geomspace(5e7, 2e9, 5), np.geomspace(1e9, 4e10, 5)))
    return pd.DataFrame({"N": N, "D": D, "loss": LAW.predict(N=N, D=D), **columns})


def ends(forecast, **inputs):
    row = forecast.predict_interval(**inputs).iloc[0]
    return row["lower"], row["loss"], row["upper"]


@pytest.mark.parametrize("made", [ladder, grid])
def test_logged_compute_is_what_a_budget_means(made, tmp_path):
    runs = made()
    logged = sf.forecast(sf.read_runs(runs.assign(C=8 * runs["N"] * runs["D"]), flops="logged"))
    plain = sf.forecast(runs)
    assert logged.largest_compute == pytest.approx(8 / 6 * plain.largest_compute)
    N, D = 3e9, 6e10
    assert logged.predict(N=N, D=D) == pytest.approx(float(plain.predict(N=N, D=D)), rel=1e-4)
    budget = float(8 * N * D)
    asked = {"C": budget} if made is ladder else {"C": budget, "N": N}
    assert logged.predict(**asked) == pytest.approx(float(logged.predict(N=N, D=D)), rel=1e-9)
    lines = [ax.get_xlim() for ax in (each.plot(at={"C": budget}) for each in (logged, plain))]
    assert lines[0][0] == pytest.approx(8 / 6 * lines[1][0], rel=0.01)
    logged.to_json(tmp_path / "forecast.json")
    assert sf.load_forecast(tmp_path / "forecast.json").predict(**asked) == logged.predict(**asked)


def test_the_best_run_for_a_budget_costs_it_by_the_table():
    runs = grid()
    best = sf.forecast(sf.read_runs(runs.assign(C=8 * runs["N"] * runs["D"]), flops="logged")).frontier(1e22)
    assert 8 * best["N"][0] * best["D"][0] == pytest.approx(1e22)


def test_a_stated_convention_is_computed():
    shape = {"n_layers": 12, "d_emb": 1024, "T_max": 2048}
    found = sf.forecast(sf.read_runs(ladder(**shape), flops="6ND+attention"))
    assert found.seen()["C"][1] == pytest.approx(4.8e20 * (1 + 2 * 12 * 1024 * 2048 / 2e9), rel=1e-6)


def test_a_column_that_differs_from_6nd_is_taken_and_said_unless_it_follows_nothing():
    runs = ladder()
    C = 6 * runs["N"] * runs["D"]
    codes = []
    for factor, expected in ((1.3, 1.3), (10 ** np.resize([1.0, -1.0], 8), 1.0), (1.0, 1.0)):
        found = sf.forecast(runs.assign(C=factor * C))
        codes.append("inconsistent_compute" in {note.code for note in found.notes})
        assert found.largest_compute == pytest.approx(expected * 4.8e20, rel=1e-6)
    assert codes == [True, True, False]


@pytest.fixture(scope="module")
def repeating():
    N = np.geomspace(3e7, 8e8, 9)
    unique = np.minimum(20 * N, 4e9)
    loss = REPEATED.predict(N=N, D=20 * N, unique_tokens=unique)
    return sf.forecast({"N": N, "D": 20 * N, "loss": loss, "unique_tokens": unique})


def test_a_law_of_compute_counts_repeats_along_its_line(repeating, tmp_path):
    assert repeating.law.name == "power_law:C" and repeating.largest_compute == pytest.approx(6 * 8e8 * 1.6e10)
    D = 20 * 1.6e9
    new, again = (ends(repeating, N=1.6e9, D=D, unique_tokens=unique) for unique in (D, 4e9))
    assert again[1] > new[1] and np.log(again[2] / again[0]) > np.log(new[2] / new[0])
    for one, unique in ((new, D), (again, 4e9)):
        assert one[0] < REPEATED.predict(N=1.6e9, D=D, unique_tokens=unique) < one[2]
    C = 6 * 1.6e9 * D
    assert ends(repeating, C=C) == pytest.approx(again, rel=1e-6)  # the table's distinct tokens, D of the line
    assert ends(repeating, C=C, unique_tokens=1e12) == pytest.approx(new, rel=1e-6)
    repeating.to_json(tmp_path / "forecast.json")
    assert ends(sf.load_forecast(tmp_path / "forecast.json"), C=C) == pytest.approx(again)


def test_a_plan_by_a_law_of_compute_counts_repeats(repeating):
    few, many = (sf.plan(repeating, C=1e21, unique_tokens=unique) for unique in (4e9, 1e13))
    assert (few.lower, few.loss, few.upper) == pytest.approx(ends(repeating, C=1e21))
    assert many.loss < few.loss
    needed = sf.plan(repeating, loss=2.6)
    assert needed.loss == pytest.approx(2.6, abs=1e-9)
    assert sf.plan(repeating, loss=2.6, unique_tokens=1e13).C < needed.C
    with pytest.raises(ValueError, match="repeated"):
        sf.plan(sf.fit(ladder(), "power_law:C"), C=1e21, unique_tokens=1e9)


@pytest.fixture(scope="module")
def new():
    return sf.forecast(grid())


def test_distinct_tokens_can_be_held(new, tmp_path):
    """A user who holds them was told that they cannot be held."""
    held, asked = new.at(unique_tokens="10B"), {"N": 7e9, "D": 2e11}
    assert ends(held, **asked) == ends(new, **asked, unique_tokens=1e10) != ends(new, **asked)
    assert held.held_inputs == {"unique_tokens": 1e10}
    assert held.seen() == new.seen()
    plans = [
        sf.plan(held, C=1e22),
        sf.plan(new, C=1e22, unique_tokens=1e10),
        sf.plan(new, C=1e22, at={"unique_tokens": 1e10}),
    ]
    assert len({(plan.N, plan.loss, plan.lower, plan.unique_tokens) for plan in plans}) == 1
    held.to_json(tmp_path / "forecast.json")
    assert ends(sf.load_forecast(tmp_path / "forecast.json"), **asked) == ends(held, **asked)
    with pytest.raises(ValueError, match="cannot be held"):
        sf.forecast(grid(), law="power_law:N").at(unique_tokens=1e10)


def test_repeats_never_beat_new_tokens_and_an_open_end_is_said(new, tmp_path):
    """At hundreds of epochs intervals went from 0 to thousands of nats."""
    asked = {"N": 1e10, "D": 1e11}
    least = ends(new, **asked)[0]
    for epochs in (4, 64, 200, 1000, 1e5):
        lower, loss, upper = ends(new, **asked, unique_tokens=1e11 / epochs)
        assert least <= lower < loss < upper
        assert np.isinf(upper) or upper < 2.8 * loss
    row = new.predict_interval(**asked, unique_tokens=1e8)
    assert np.isinf(row["upper"]).all() and "no upper end" in str(row.attrs["notes"][0])
    with pytest.raises(ValueError, match="no upper end"):
        new.register(tmp_path / "run.json", **asked, unique_tokens=1e8)
    assert not (tmp_path / "run.json").exists()
