"""Runs below the floor, and the memoriser's floor."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scalefit as sf
from scalefit.errors import ArgumentError, DataError
from scalefit.memory import check_floor, sample_entropy


def test_runs_below_the_floor_with_their_tokenizer():
    runs = pd.DataFrame(
        {
            "run_id": ["a", "b", "c", "d"],
            "loss": [0.7, 2.0, 1.0, 0.9],
            "tokenizer": ["bytes", "GPT-2", "GPT-2", "code"],
            "other": [1, 2, 3, 4],
        }
    )
    found = check_floor(runs)
    assert found["run_id"].tolist() == ["a", "d"]  # a run at 1 exactly does not break it
    assert found["tokenizer"].tolist() == ["bytes", "code"]
    assert found["below_by"].tolist() == pytest.approx([0.3, 0.1])
    assert "other" not in found
    assert found.attrs == {"n_runs": 4, "n_below": 2, "n_other_unit": 0, "n_missing": 0}
    assert check_floor(runs, floor=1.5)["run_id"].tolist() == ["a", "d", "c"]
    assert list(runs.columns) == ["run_id", "loss", "tokenizer", "other"]


def test_other_units_and_missing_losses_are_left_out_and_counted():
    runs = pd.DataFrame(
        {"loss": [0.8, 0.8, np.nan, "x"], "loss_unit": ["nats/token", "bits/byte", "nat/token", "nat/token"]}
    )
    found = check_floor(runs)
    assert len(found) == 1
    assert found["tokenizer"].tolist() == ["not stated"]
    assert found.attrs == {"n_runs": 1, "n_below": 1, "n_other_unit": 1, "n_missing": 2}


def test_published_losses(external_data):
    """The published table: every run below 1 nat/token is listed with its tokenizer."""
    runs = pd.read_csv(external_data / "reported_losses" / "reported_losses.csv")
    found = check_floor(runs)
    nats = runs[runs["loss_unit"] == "nats/token"]
    below = nats[pd.to_numeric(nats["loss"], errors="coerce") < 1.0]
    assert sorted(found["model"]) == sorted(below["model"])
    assert "tokenizer_vocab" in found


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ([1.0, 2.0], "given a list"),
        (pd.DataFrame({"accuracy": [1.0]}), "no column 'loss'.*accuracy"),
        (pd.DataFrame({"loss": [1.0], "loss_unit": ["bits/byte"]}), "None of the 1 runs"),
    ],
)
def test_bad_tables_are_named(runs, message):
    with pytest.raises(DataError, match=message):
        check_floor(runs)


def test_a_unit_of_its_own_is_not_tested():
    runs = sf.read_runs({"N": [1e8], "D": [1e9], "loss": [0.5]}, loss_unit="other")
    with pytest.raises(DataError, match="unit of its own"):
        check_floor(runs)
    with pytest.raises(DataError, match="several columns 'loss'"):
        check_floor(pd.DataFrame([[1.0, 2.0]], columns=["loss", "loss"]))


def test_an_empty_table_has_no_counter_example():
    assert len(check_floor(pd.DataFrame({"loss": []}))) == 0
    with pytest.raises(ArgumentError, match="floor=0"):
        check_floor(pd.DataFrame({"loss": [1.0]}), floor=0)


def test_the_memorisers_floor():
    """200 lines of 21.15 tokens: log(200)/21.15 = 0.2505 nat/token."""
    assert sample_entropy(200, 21.15) == pytest.approx(0.2505, abs=5e-5)
    assert sample_entropy(np.ones(200), np.full(200, 21.15)) == pytest.approx(sample_entropy(200, 21.15))
    assert sample_entropy([5]) == sample_entropy(1) == 0.0
    assert sample_entropy([1e308, 1e308]) == pytest.approx(math.log(2))
    assert sample_entropy([1, 1, 0]) == pytest.approx(math.log(2))
    # two samples, one twice as frequent and twice as long
    nats = -(2 / 3 * math.log(2 / 3) + 1 / 3 * math.log(1 / 3))
    assert sample_entropy([2, 1], [20, 10]) == pytest.approx(nats / (2 / 3 * 20 + 1 / 3 * 10))


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=30), st.floats(1e-3, 1e3))
def test_entropy_is_between_zero_and_log_n_and_has_no_scale(counts, factor):
    entropy = sample_entropy(counts)
    assert -1e-12 <= entropy <= math.log(len(counts)) + 1e-12
    assert sample_entropy(np.array(counts) * factor) == pytest.approx(entropy, abs=1e-9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sample_entropy([-1, 2]), "counts=-1 in row 0"),
        (lambda: sample_entropy([0, 0]), "sum to zero"),
        (lambda: sample_entropy(0), "counts=0"),
        (lambda: sample_entropy(2.5), "counts=2.5"),
        (lambda: sample_entropy([1, 2], [1, 2, 3]), r"lengths have shape \(3,\)"),
        (lambda: sample_entropy([1, 2], 0), "lengths=0"),
        (lambda: sample_entropy([]), "sum to zero"),
        (lambda: sample_entropy([[1, 2]]), r"counts have shape \(1, 2\)"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()


def test_any_table_of_runs_will_do(tmp_path):
    runs = pd.DataFrame({"model": ["a", "b", "c"], "val_loss": [0.8, 2.1, 0.9]})
    units = ["nats/token (GPT-2 vocabulary)", "nats per token", "bits per byte"]
    runs.assign(loss_unit=units).to_csv(tmp_path / "runs.csv", index=False)
    for source in (tmp_path / "runs.csv", str(tmp_path / "runs.csv"), runs.assign(loss_unit=units).to_dict("list")):
        found = check_floor(source)
        assert found["model"].tolist() == ["a"] and found.attrs["n_other_unit"] == 1
    assert check_floor(runs)["model"].tolist() == ["a", "c"]
