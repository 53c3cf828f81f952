"""Causes of misses that a forecast names before it misses: embeddings counted in N, repeated tokens."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.forecasting.repeats import SPREAD, effective

LAW = sf.published("chinchilla", "besiroglu2024")


def grid(sizes, **columns):
    N, D = (axis.ravel() for axis in np.meshgrid(np.geomspace(*sizes, 6), np.geomspace(1e9, 4e10, 6)))
    return pd.DataFrame({"N": N, "D": D, "loss": LAW.predict(N=N, D=D), **columns})


def note_of(runs, **options):
    return next((note for note in sf.forecast(runs, **options).notes if note.code == "embeddings_counted"), None)


@pytest.mark.parametrize("name", ["params_non_embedding", "N_nonemb", "n_non_embedding"])
def test_the_count_without_embeddings_is_offered_in_words_that_work(name):
    runs = grid((1e6, 5e7))
    runs[name] = runs["N"] / 2
    note = note_of(runs)
    assert f'columns={{"N": "{name}"}}' in str(note) and note.details["column"] == name
    again = sf.forecast(runs, columns={"N": name})
    assert again.seen()["N"][0] == pytest.approx(5e5) and again.conventions["params"] == "non_embedding"
    assert note_of(runs, columns={"N": name}) is None


def test_large_models_of_which_much_is_embeddings_are_named_too():
    runs = grid((1e8, 2e9))
    found = [note_of(runs.assign(params_non_embedding=share * runs["N"])) for share in (0.5, 0.8)]
    assert "50 % of it in the median model" in str(found[0]) and found[1] is None


def test_vocabulary_and_width_say_how_much_is_embeddings():
    runs = grid((1e6, 5e7))
    runs["d_model"] = (64 * (runs["N"] / 1e6) ** (1 / 3)).round()
    note = note_of(runs.assign(vocab_size=32768))
    assert "Take vocab_size x d_model off N" in str(note) and 0.4 < note.details["share"] < 0.7
    assert note_of(runs).details["share"] is None


@pytest.mark.parametrize("vocab_size", [256, 8192, 1e9])
def test_small_models_with_few_embeddings_are_not_named(vocab_size):
    """Models of bytes were told that 0 % of N misleads; an N below its embeddings does not count them."""
    runs = grid((1e6, 5e7), vocab_size=vocab_size)
    assert note_of(runs.assign(d_model=(64 * (runs["N"] / 1e6) ** (1 / 3)).round())) is None


def test_blanks_in_the_count_without_embeddings_leave_the_rest_to_tell():
    runs = grid((1e6, 5e7))
    some = np.where(np.arange(len(runs)) % 5 == 0, np.nan, 0.5 * runs["N"])
    assert "50 % of it in the median model" in str(note_of(runs.assign(params_non_embedding=some)))
    assert note_of(runs.assign(params_non_embedding=np.nan)).details == {"column": None, "share": None}


def test_a_rate_that_is_not_known_of_every_run_is_not_called_one_for_all():
    rates = [np.full(36, 3e-4), np.full(36, np.nan), np.where(np.arange(36) == 3, np.nan, 3e-4)]
    codes = [{note.code for note in sf.forecast(grid((1e8, 2e9), lr=rate)).notes} for rate in rates]
    assert ["untuned_rate" in found for found in codes] == [True, False, False]


def test_a_table_without_embeddings_is_not_named():
    assert note_of(sf.read_runs(grid((1e6, 5e7)), params="non_embedding")) is None


BEYOND = {"N": 7e9, "D": 2e11}


def ends(forecast, **inputs):
    row = forecast.predict_interval(**inputs).iloc[0]
    return row["lower"], row["loss"], row["upper"]


def width(forecast, **inputs):
    lower, _, upper = ends(forecast, **inputs)
    return np.log(upper / lower)


@pytest.fixture(scope="module")
def repeating():
    return sf.forecast(grid((5e7, 2e9), unique_tokens=1e10))


@pytest.fixture(scope="module")
def new():
    return sf.forecast(grid((5e7, 2e9)))


def test_repeats_raise_the_forecast_and_widen_its_interval(repeating, new):
    """The same runs had the same interval with and without the column."""
    assert width(repeating, **BEYOND) > 1.25 * width(new, **BEYOND)
    more = [width(repeating, **BEYOND, unique_tokens=2e11 / epochs) for epochs in (1, 4, 16, 64)]
    assert more[1] < 1.1 * more[0] and more[3] > 1.5 * more[2] > 1.5 * more[1]
    loss = [float(repeating.predict(**BEYOND, unique_tokens=2e11 / epochs)) for epochs in (1, 4, 16, 64)]
    assert loss == sorted(loss) and loss[1] < 1.01 * loss[0] < loss[3]


def test_large_models_that_repeat_are_less_sure_than_small_ones(new):
    wide = [width(new, N=N, D=4e10, unique_tokens=2e9) - width(new, N=N, D=4e10) for N in (1e9, 2e10)]
    assert wide[1] > 1.3 * wide[0]


def test_distinct_tokens_are_those_of_the_table_or_as_given(repeating, new):
    assert ends(repeating, **BEYOND) == ends(repeating, **BEYOND, unique_tokens=1e10)
    assert ends(new, **BEYOND) == ends(new, **BEYOND, unique_tokens=2e11) == ends(new, **BEYOND, unique_tokens=1e13)
    inside = ends(repeating, N=3e8, D=6e9)
    assert inside == pytest.approx(ends(new, N=3e8, D=6e9), rel=2e-3)  # nothing repeats below the distinct tokens
    with pytest.raises(ValueError, match="unique_tokens"):
        new.predict(**BEYOND, unique_tokens=-1.0)


def test_epochs_beyond_those_measured_are_said(repeating):
    codes = [
        [note.code for note in repeating.predict_interval(**BEYOND, unique_tokens=unique).attrs["notes"]]
        for unique in (1e10, 1e9)
    ]
    assert "many_epochs" not in codes[0] and "many_epochs" in codes[1]
    assert any(note.code == "repeated_tokens" and "up to 4 times" in str(note) for note in repeating.notes)


def test_runs_are_counted_as_seen_and_the_file_remembers(repeating, tmp_path):
    assert repeating.seen()["D"] == pytest.approx((1e9, 4e10)) and repeating.largest_compute == pytest.approx(4.8e20)
    repeating.to_json(tmp_path / "forecast.json")
    assert ends(sf.load_forecast(tmp_path / "forecast.json"), **BEYOND) == pytest.approx(ends(repeating, **BEYOND))


def test_a_plan_takes_its_tokens_for_new(repeating):
    plan = sf.plan(repeating, C=1e22)
    assert plan.loss == pytest.approx(ends(repeating, N=plan.N, D=plan.D, unique_tokens=plan.D)[1], rel=1e-3)


def test_a_plan_says_that_it_takes_more_for_new_than_the_runs_had(repeating, new):
    def said(forecast, **options):
        return any(note.code == "taken_for_new" for note in sf.plan(forecast, C=1e22, **options).notes)

    assert said(repeating) and not said(new)
    assert not said(repeating, unique_tokens=1e10)


@pytest.mark.parametrize("made", ["repeating", "new"])
def test_a_plan_that_repeats_has_the_interval_of_the_forecast(made, request):
    forecast = request.getfixturevalue(made)
    plan = sf.plan(forecast, C=1e22, unique_tokens=1e10)
    expected = ends(forecast, N=plan.N, D=plan.D, unique_tokens=1e10)
    assert (plan.lower, plan.loss, plan.upper) == pytest.approx(expected, rel=1e-3)
    shape = {"n_layers": 32, "d_emb": 4096, "T_max": 2048}
    table = sf.minimum_loss(N=plan.N, D=plan.D, unique_tokens=1e10, runs=forecast, **shape).table
    row = table[table["kind"] == "forecast"].iloc[0]
    assert (row["lower"], row["loss"], row["upper"]) == pytest.approx(expected)


def test_the_best_run_for_a_budget_counts_repeats(repeating):
    best = repeating.frontier(1e22)
    N, D = float(best["N"][0]), float(best["D"][0])
    at = [float(repeating.predict(N=N * by, D=D / by)) for by in (0.7, 1.0, 1.4)]
    assert min(at) == at[1]
    assert repeating.frontier(1e22, unique_tokens=1e15)["D"][0] > 1.3 * D


def test_a_registered_run_states_the_tokens_it_draws_on(repeating, tmp_path):
    written = repeating.register(tmp_path / "run.json", **BEYOND)
    assert written["inputs"] == {**BEYOND, "unique_tokens": 1e10}
    assert written["loss"] == ends(repeating, **BEYOND)[1]
    assert repeating.register(tmp_path / "other.json", **BEYOND, unique_tokens=5e9)["inputs"]["unique_tokens"] == 5e9


@pytest.mark.parametrize("impossible", [0.0, -5.0])
def test_impossible_counts_of_distinct_tokens_set_their_rows_aside(impossible):
    runs = grid((5e7, 2e9), unique_tokens=1e10)
    runs.loc[3, "unique_tokens"] = impossible
    with pytest.warns(sf.ScalefitWarning, match=f"unique_tokens is {impossible:g}"):
        found = sf.forecast(runs)
    assert found.n_runs == len(runs) - 1 and found.repeats.unique == 1e10


def test_runs_that_learned_by_heart_do_not_mislead(new):
    """Large models on few tokens seen fifty times: their losses say nothing of new tokens."""
    runs = grid((5e7, 2e9), unique_tokens=1e12)
    N, D = (axis.ravel() for axis in np.meshgrid([5e8, 2e9], [2e10, 4e10]))
    bad = pd.DataFrame({"N": N, "D": D, "loss": 1.5 * np.asarray(LAW.predict(N=N, D=D)), "unique_tokens": D / 50})
    both = sf.forecast(pd.concat([runs, bad], ignore_index=True))
    assert float(both.predict(**BEYOND)) == pytest.approx(float(new.predict(**BEYOND)), rel=0.01)


def test_a_blank_says_nothing_of_repeats(new):
    runs = grid((5e7, 2e9), unique_tokens=1e12)
    runs.loc[3, "unique_tokens"] = np.nan
    assert ends(sf.forecast(runs), **BEYOND) == pytest.approx(ends(new, **BEYOND))
    some = grid((5e7, 2e9), unique_tokens=1e10)
    some.loc[3, "unique_tokens"] = np.nan
    assert width(sf.forecast(some), **BEYOND) > 1.25 * width(new, **BEYOND)


def test_the_shipped_spread_is_the_one_measured():
    path = Path(__file__).parents[2] / "benchmarks" / "results" / "forecast_causes.json"
    found = json.loads(path.read_text())["repeats"]
    assert found["spread"] == pytest.approx(SPREAD, abs=0.01)
    assert effective(np.array([4e10]), np.array([1e10]))[0] == pytest.approx(3.7257e10, rel=1e-3)


def test_losses_below_those_of_language_models_are_not_pulled_towards_their_floor(tmp_path):
    """Losses near zero were forecast 30 % too high: the prior put their floor at 1.8 nat."""
    N, D = (axis.ravel() for axis in np.meshgrid(np.geomspace(2e7, 5e8, 4), np.geomspace(4e8, 1e10, 4)))

    def loss(N, D):
        return 0.02 + 0.6 * (N / 1e7) ** -0.5 + 0.5 * (D / 4e8) ** -0.6

    found = sf.forecast({"N": N, "D": D, "loss": loss(N, D)})
    assert [note.severity for note in found.notes if note.code == "low_losses"] == ["warning"]
    assert "E" not in found.problem.penalty.document()["names"]
    assert ends(found, N=5e9, D=1e11)[0] < loss(5e9, 1e11) < ends(found, N=5e9, D=1e11)[2]
    assert float(found.predict(N=5e9, D=1e11)) == pytest.approx(loss(5e9, 1e11), rel=0.1)
    assert any(note.code == "low_losses" for note in sf.plan(found, C=1e21).notes)
    for runs, unit in ((grid((5e7, 2e9)), None), (grid((5e7, 2e9)).assign(loss=lambda t: t["loss"] / 4), "other")):
        assert not any(note.code == "low_losses" for note in sf.forecast(runs, loss_unit=unit).notes)


@pytest.mark.parametrize("step", [0.04, -0.04])
def test_a_recipe_that_changes_at_the_largest_size_is_named_without_a_column(step):
    rng = np.random.default_rng(0)
    for _ in range(4):
        runs = grid((5e7, 2e9))
        runs["loss"] *= np.exp(0.003 * rng.standard_normal(36))
        assert "largest_size_off" not in [note.code for note in sf.forecast(runs).notes]
        largest = runs["N"] == runs["N"].max()
        forecast = sf.forecast(runs.assign(loss=runs["loss"] * np.exp(step * largest)))
        note = next(note for note in forecast.notes if note.code == "largest_size_off")
        assert note.details["step"] == pytest.approx(step, abs=0.015) and note.details["sd"] < 0.012
        assert ("above" if step > 0 else "below") in str(note)
        assert "largest_size_off" in [note.code for note in sf.plan(forecast, C=1e23).notes]


@pytest.mark.parametrize("by", [1.04, 0.96])
def test_a_largest_run_that_went_wrong_is_named_and_part_of_the_interval(by):
    """One run of twenty, at the largest N and D, 4 % off: forecasts followed it and held none of thirty losses."""
    rng = np.random.default_rng(0)
    law = sf.published("besiroglu2024")
    N, D = (axis.ravel() for axis in np.meshgrid(np.geomspace(3e7, 3e9, 5), np.geomspace(1e9, 1e11, 4)))
    held = named = 0
    for _ in range(8):
        loss = law.predict(N=N, D=D) * np.exp(0.003 * rng.standard_normal(20))
        assert "largest_size_off" not in [note.code for note in sf.forecast({"N": N, "D": D, "loss": loss}).notes]
        loss[-1] *= by
        found = sf.forecast({"N": N, "D": D, "loss": loss})
        point = {key: float(value[0]) for key, value in found.larger_runs([10.0]).items()}
        row = found.predict_interval(**point).iloc[0]
        held += row["lower"] <= law.predict(**point) <= row["upper"]
        notes = [note for note in found.notes if note.code == "largest_size_off"]
        named += len(notes)
        assert all(note.details["by"] == "C" and "of most compute" in note.message for note in notes)
    assert held >= 6 and named >= 6
