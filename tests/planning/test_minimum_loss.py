"""sf.minimum_loss: one table of every law, what holds where, and a verdict that claims no more than they do."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

import scalefit as sf
from scalefit.errors import ArgumentError

SMALL = dict(N=124e6, D=9e9, n_layers=12, d_emb=768, T_max=1024)


@pytest.fixture(scope="module")
def small():
    return sf.minimum_loss(**SMALL)


@pytest.fixture(scope="module")
def runs():
    N, D = (axis.ravel() for axis in np.meshgrid(np.geomspace(5e6, 1e8, 5), np.geomspace(2e8, 4e9, 5)))
    law = sf.published("chinchilla", "besiroglu2024")
    noise = np.exp(0.002 * np.random.default_rng(0).standard_normal(N.size))
    return {"N": N, "D": D, "loss": law.predict(N=N, D=D) * noise}


def test_every_published_set_says_what_it_says_alone(small):
    for row in small.table[small.table["kind"] == "published"].itertuples():
        law = sf.published(row.law, row.constants)
        if law.constants.params == "total":
            assert row.loss == law.predict(N=SMALL["N"], D=SMALL["D"])
            assert row.holds_here == law.holds_at(N=SMALL["N"], D=SMALL["D"])
    laws = set(small.table["law"])
    assert {"kaplan", "chinchilla", "over_training", "associative_memory", "memoriser"} <= laws
    assert "data_constrained" not in laws  # nothing repeats


def test_laws_without_embeddings_get_n_without_them(small):
    row = small.table.set_index("constants").loc["kaplan2020"]
    kaplan = sf.published("kaplan", "kaplan2020")
    blocks = sf.counting.count_parameters(12, 768).blocks
    assert row["loss"] == kaplan.predict(N=blocks, D=9e9) != kaplan.predict(N=124e6, D=9e9)


def test_published_laws_have_no_interval_and_floors_have_what_z_allows(small):
    kinds = small.table.groupby("kind")
    assert kinds.get_group("published")[["lower", "upper"]].isna().all(axis=None)
    exact = small.table[small.table["constants"] == "floor, exact, replicated"].iloc[0]
    floor = sf.loss_floor(**SMALL)
    assert (exact["lower"], exact["upper"], exact["loss"]) == (1.0, math.inf, floor.loss_at_z_upper)
    assert not small.table.loc[small.table["kind"] == "hypothesis", "holds_here"].any()


def test_repeated_data_bring_the_laws_of_repetition_and_end_those_of_fresh_data():
    found = sf.minimum_loss(**SMALL, unique_tokens=9e8)
    table = found.table.set_index("law")
    repeated = sf.published("data_constrained").predict(N=124e6, D=9e9, unique_tokens=9e8)
    assert table.loc["data_constrained", "loss"] == repeated and table.loc["data_constrained", "holds_here"]
    assert not table.loc[["chinchilla", "kaplan", "over_training"], "holds_here"].any()
    assert found.floor.D == 9e8  # a repeated sequence is not a new pattern


def test_beyond_every_law_the_loss_is_undetermined():
    found = sf.minimum_loss(N=1e13, D=1e15, n_layers=200, d_emb=65536, T_max=8192)
    assert not found.table["holds_here"].any() and "undetermined" in found.verdict


def test_runs_bring_a_forecast_with_an_interval(runs):
    found = sf.minimum_loss(**SMALL, runs=runs, level=0.8)
    row, own = found.table.iloc[0], sf.forecast(runs)
    assert row["kind"] == "forecast" and row["holds_here"]
    assert float(row["loss"]) == pytest.approx(float(own.predict(N=124e6, D=9e9)))
    assert row["lower"] < row["loss"] < row["upper"]
    assert "80 %" in found.verdict and f"{row['loss']:.4g}" in found.verdict
    again = sf.minimum_loss(**SMALL, runs=own, level=0.8).table.iloc[0]
    assert again["loss"] == row["loss"] and again["upper"] == row["upper"]
    wide = sf.minimum_loss(**SMALL, runs=own, level=0.95).table.iloc[0]
    assert wide["upper"] > row["upper"]


def test_a_plan_far_beyond_the_runs_is_not_said_to_hold(runs):
    found = sf.minimum_loss(N=1e12, D=1e14, n_layers=128, d_emb=25600, T_max=8192, runs=runs)
    assert not found.table.iloc[0]["holds_here"] and "not to be trusted" in found.verdict


def test_runs_without_a_forecast_leave_the_other_rows(small):
    found = sf.minimum_loss(**SMALL, runs={"N": [1e7], "D": [1e9], "loss": [3.9]})
    assert [note.code for note in found.notes] == ["no_forecast"] and len(found.table) == len(small.table)


def test_known_entropy_is_a_row_and_in_the_verdict():
    found = sf.minimum_loss(**SMALL, entropy=1.7)
    assert found.table.iloc[-1]["loss"] == 1.7 and "1.7 nat/token" in found.verdict


@pytest.mark.parametrize(
    "wrong", [{"N": -1}, {"D": 12}, {"n_layers": 1.5}, {"level": 1.2}, {"entropy": -1.0}, {"unique_tokens": 0}]
)
def test_bad_arguments_are_named(wrong):
    with pytest.raises(ArgumentError, match=next(iter(wrong))):
        sf.minimum_loss(**{**SMALL, **wrong})


def test_json_holds_the_table_and_the_text_every_row(small):
    record = json.loads(small.to_json())
    assert len(record["table"]) == len(small.table) and record["verdict"] == small.verdict
    assert all(str(law) in str(small) for law in small.table["law"]) and small.verdict.split()[1] in str(small)


def test_the_figure_has_one_row_per_law(small):
    ax = small.plot()
    assert len(ax.get_yticks()) == len(small.figure().labels) == len(small.table)
    assert ax.get_xlim()[0] < 0 and ax.get_xlim()[1] > small.floor.loss_at_z_upper  # a mark at 0 is drawn whole


def test_a_plan_brings_its_own_minimum_loss(runs):
    plan = sf.plan(sf.forecast(runs), C=1e19)
    found = plan.minimum_loss
    assert found.table.iloc[0]["kind"] == "forecast" and found.plan["N"] == plan.N
    assert float(found.table.iloc[0]["loss"]) == pytest.approx(plan.loss, rel=1e-6)
    assert found.plan["T_max"] == plan.architecture.T_max


def test_the_command_prints_the_same_table(small, tmp_path, runs):
    import pandas as pd
    from typer.testing import CliRunner

    from scalefit.cli import build_app

    words = "minimum-loss --N 124M --D 9B --layers 12 --d-emb 768 --context 1024".split()
    runner = CliRunner()
    assert runner.invoke(build_app(), words).stdout.strip() == str(small).strip()
    assert json.loads(runner.invoke(build_app(), [*words, "--json"]).stdout)["verdict"] == small.verdict
    pd.DataFrame(runs).to_csv(tmp_path / "runs.csv", index=False)
    record = json.loads(runner.invoke(build_app(), [*words, str(tmp_path / "runs.csv"), "--json"]).stdout)
    assert record["table"][0]["kind"] == "forecast"
