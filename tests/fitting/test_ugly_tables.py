"""Any small table ends in a result that prints, or in one clear line: never in a traceback or a stray warning."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated import simulate

import scalefit as sf
from scalefit.errors import ScalefitError
from scalefit.fitting.identifiability import unexplained_spread

sizes = st.one_of(
    st.sampled_from([1e6, 1e8, 1e9, 3e9, 1e10, 1e12, 1e20, 1.0, -1.0, 0.0, math.nan, math.inf]),
    st.floats(1e5, 1e12),
)
losses = st.one_of(
    st.sampled_from([2.0, 2.1, 2.2, 3.0, 1e-300, 1e300, 1e12, -1.0, math.nan]),
    st.floats(1.5, 6.0),
)
runs = st.lists(st.tuples(sizes, sizes, losses, st.sampled_from("ab")), min_size=1, max_size=14)
laws = st.sampled_from(
    ["chinchilla", "kaplan", "power_law:N", "power_law:C", "broken_power_law:C", "over_training", "data_constrained"]
)


@pytest.mark.filterwarnings("ignore:.*were set aside")
@settings(max_examples=60)
@given(
    runs,
    laws,
    st.sampled_from(["huber", "squared", "absolute"]),
    st.sampled_from(["log_loss", "loss"]),
    st.sampled_from(["pool", "shared"]),
)
def test_ugly_tables_end_in_a_result_or_one_line(rows, law, objective, on, by):
    table = pd.DataFrame(rows, columns=["N", "D", "loss", "series"])
    try:
        result = sf.fit(table, law, objective=objective, on=on, by=by)
    except ScalefitError as error:
        assert "\n" not in str(error)
        return
    assert str(result) and result.to_json()
    assert result.params.notna().all()
    assert result.n_runs + result.conventions.get("n_set_aside", 0) <= len(table)


@pytest.mark.filterwarnings("ignore:.*were set aside")
@pytest.mark.parametrize(("objective", "last"), [("squared", 1e5), ("squared", 1e6)])
def test_a_search_may_end_where_an_exponent_is_nothing(objective, last):
    """The compute-optimal size of data_constrained is beyond all numbers there, which was warned of."""
    losses = [*[2.0] * 7, 2.1, 2.1, 2.2, 1.5, 1.5, 2.0, 2.0]
    table = {"N": [1e6] * 13 + [1e8], "D": [1e6] * 12 + [1e8, last], "loss": losses, "series": list("aaaaaababaabaa")}
    result = sf.fit(table, "data_constrained", objective=objective, by="pool")
    assert not result.trusted and np.isfinite(result.predict(N=1e9, D=1e9))


@pytest.mark.parametrize("law", ["kaplan", "over_training", "broken_power_law:C", "data_constrained"])
@pytest.mark.parametrize("objective", ["huber", "squared", "absolute"])
def test_every_objective_fits_laws_outside_the_fast_path(law, objective):
    grid = [(N, D) for N in (1e8, 4e8, 1.6e9, 6e9) for D in (2e9, 1e10, 5e10, 2e11)]
    N, D = (pd.Series(values) for values in zip(*grid, strict=True))
    wobble = 1 + 0.004 * pd.Series([(7 * i) % 5 - 2 for i in range(len(N))])
    loss = (1.7 + 400 * N**-0.34 + 1800 * D**-0.36) * wobble
    result = sf.fit({"N": N, "D": D, "loss": loss}, law, objective=objective)
    assert abs(result.predict(**{k: 1e9 if k == "N" else 2e10 for k in ("N", "D")}) / 2.45 - 1) < 0.1


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("law", ["chinchilla", "kaplan", "power_law:C", "over_training"])
def test_losses_drawn_without_regard_to_size_and_data_are_never_trusted(law, seed):
    rng = np.random.default_rng(seed)
    loss = 3 + rng.random(30) * [1, 0.1, 0.01][seed % 3]
    table = pd.DataFrame({"N": 10 ** rng.uniform(7, 9, 30), "D": 10 ** rng.uniform(9, 11, 30), "loss": loss})
    assert not sf.fit(table, law).certificate.trusted
    assert not sf.forecast(table).trusted


def test_a_law_that_misses_what_moves_the_losses_is_read_with_care():
    table = simulate(60)
    table["loss"] *= np.exp(0.13 * np.random.default_rng(1).standard_normal(60))
    result = sf.fit(table, "chinchilla")
    assert result.certificate.trusted and "unexplained_spread" in {note.code for note in result.notes}


@pytest.mark.parametrize("on", ["log_loss", "loss"])
def test_runs_that_went_wrong_are_named(on):
    table = simulate(60)
    table.loc[[7, 20], "loss"] *= [1.3, 4.0]
    notes = {note.code: note for note in sf.fit(table, "chinchilla", on=on).notes}
    assert notes["outliers"].details == {"rows": [20, 7], "above": 2}
    assert "outliers" not in {note.code for note in sf.fit(simulate(60), "chinchilla", on=on).notes}


def codes(result):
    return {note.code for note in result.notes}


def test_repeated_data_are_not_replicates_and_are_named():
    table = pd.concat([simulate(20)] * 3).assign(unique_tokens=lambda t: t["D"] * np.repeat([1.0, 0.5, 0.1], 20))
    table["loss"] *= np.repeat([1.0, 1.01, 1.2], 20)
    result = sf.fit(table, "chinchilla")
    assert "repeated_tokens" in codes(result) and not {"replicates", "lack_of_fit"} & codes(result)
    assert "repeated_tokens" in codes(sf.forecast(table))
    assert "repeated_tokens" not in codes(sf.fit(table, "data_constrained"))


def test_a_sweep_over_the_learning_rate_is_not_a_set_of_replicates():
    table = pd.concat([simulate(20)] * 3).assign(lr=np.repeat([1e-3, 2e-3, 4e-3], 20))
    table["loss"] *= np.repeat([1.02, 1.0, 1.05], 20)
    result = sf.fit(table, "chinchilla")
    swept = next(note for note in result.notes if note.code == "swept")
    assert swept.details == {"columns": ["lr"], "settings": 20} and "replicates" not in codes(result)
    best = table.reset_index(drop=True)
    best = best.loc[best.groupby(["N", "D"])["loss"].idxmin()]
    assert "swept" not in codes(sf.fit(best, "chinchilla"))
    seeds = table.drop(columns="lr").assign(seed=np.repeat([0, 1, 2], 20))
    assert "swept" not in codes(sf.fit(seeds, "chinchilla"))
    assert "swept" in codes(sf.forecast(table)) and not {"swept"} & (
        codes(sf.forecast(best)) | codes(sf.forecast(seeds))
    )


def test_each_series_is_told_of_its_own_sweep():
    """The whole table was looked at: two series at one learning rate each were called a sweep."""
    one = simulate(20).assign(lr=1e-3)
    two = one.assign(lr=2e-3, loss=one["loss"] * 1.1, series="b")
    apart = sf.fit(pd.concat([one.assign(series="a"), two]), by="series")
    assert not any("swept" in codes(result) for result in apart.values())
    assert "swept" not in codes(sf.fit(pd.concat([one.assign(series="a"), two]), by="shared"))
    mixed = sf.fit(pd.concat([one.assign(series="a"), two, two.assign(lr=4e-3)]), by="series")
    assert "swept" not in codes(mixed["a"]) and "swept" in codes(mixed["b"])
    ahead = sf.forecast(pd.concat([one.assign(series="a"), two, two.assign(lr=4e-3)]), by="series")
    assert "swept" not in codes(ahead["a"]) and "swept" in codes(ahead["b"])


def test_settings_that_follow_the_shape_are_not_a_sweep_of_a_law_in_compute():
    C = np.repeat(np.geomspace(1e18, 1e21, 4), 8)
    N = 0.09 * C**0.5 * np.tile(np.geomspace(0.3, 3, 8), 4)
    loss = sf.published("chinchilla", "besiroglu2024").predict(N=N, D=C / (6 * N))
    table = pd.DataFrame({"N": N, "D": C / (6 * N), "C": C, "loss": loss, "lr": 1e-3 * (N / 1e8) ** -0.3})
    assert "swept" not in codes(sf.fit(table, "power_law:C"))
    assert "swept" in codes(sf.fit(pd.concat([table, table.assign(lr=0.1)]), "power_law:C"))


def test_many_repeats_of_one_run_take_no_trust_away():
    """Most losses then differ by noise alone, and medians see nothing else."""
    table = simulate(60)
    loss = table["loss"][5] * np.exp(0.004 * np.random.default_rng(1).standard_normal(200))
    table = pd.concat([table, table.iloc[[5] * 200].assign(loss=loss)], ignore_index=True)
    result = sf.fit(table)
    assert result.trusted and "unexplained_spread" not in codes(result) and sf.forecast(table).trusted


def test_laws_account_for_the_losses_of_public_tables(external_data):
    folder = external_data / "forecast_benchmark"
    left = []
    for (name, series, _), part in pd.read_csv(folder / "splits.csv").groupby(["table", "series", "cut"]):
        runs = pd.read_csv(folder / f"{name}.csv")
        kept = runs["run_id"].isin(part.loc[part["split"] == "train", "run_id"]) & (runs["series"] == series)
        result = sf.fit(runs.loc[kept, ["N", "D", "loss"]], "chinchilla")
        left.append(unexplained_spread(result.problem, result.x, result.n_free))
    assert len(left) == 40 and max(left) < 0.3


@pytest.mark.parametrize("law", [sf.fit, sf.forecast], ids=["fit", "forecast"])
def test_settings_may_be_words(law):
    frame = simulate(40, noise=0.01, seed=3)
    twice = pd.concat([frame.assign(lr="cosine"), frame.assign(lr="linear", loss=frame.loss * 1.02)])
    found = law(twice)
    assert [note.details["columns"] for note in found.notes if note.code == "swept"] == [["lr"]]
    assert law(twice.assign(lr="cosine")).trusted


def test_words_stay_with_runs_whose_labels_come_again():
    frame = simulate(40, noise=0.01, seed=3)
    named = pd.concat([frame.assign(run=str(i)) for i in range(2)])
    assert sf.check_runs(named).words["run"].tolist() == named["run"].tolist()
