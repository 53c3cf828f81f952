"""Tables: columns found, cells read, units converted, rows judged."""

from __future__ import annotations

import json
import math
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scalefit as sf
from scalefit.errors import ArgumentError, DataError, ScalefitWarning


def notes_of(runs: pd.DataFrame) -> dict[str, dict]:
    return {note["code"]: note for note in runs.attrs["scalefit"]["notes"]}


def aside(runs: pd.DataFrame) -> dict:
    return {item["row"]: item["reason"] for item in runs.attrs["scalefit"]["set_aside"]}


GOOD = {"N": [1e8, 1e9, 1e10], "D": [2e9, 2e10, 2e11], "loss": [3.2, 2.7, 2.3]}


def test_two_of_three_give_the_third():
    for missing in "NDC":
        full = {**GOOD, "C": [6 * n * d for n, d in zip(GOOD["N"], GOOD["D"], strict=True)]}
        want = full.pop(missing)
        runs = sf.read_runs(full)
        np.testing.assert_allclose(runs[missing], want, rtol=1e-15)
        assert notes_of(runs)["derived"]["details"] == {"column": missing, "n_rows": 3, "every_row": True}


def test_third_is_filled_in_row_by_row():
    runs = sf.read_runs({**GOOD, "D": [2e9, None, 2e11], "C": [None, 1.2e20, None]})
    assert runs["D"].tolist() == [2e9, 2e10, 2e11]
    assert runs["C"].tolist() == [1.2e18, 1.2e20, 1.2e22]


def test_inconsistent_triple_is_reported_and_kept():
    runs = sf.read_runs({**GOOD, "C": [1.2e18, 2.4e20, 1.2e22]})
    assert [note.code for note in sf.check_runs(runs, ("C",)).notes] == ["inconsistent_compute"]
    assert sf.check_runs(runs, ("N", "D")).notes == ()
    note = notes_of(runs)["inconsistent_compute"]
    assert note["details"] == {"n_rows": 1, "row": 1, "ratio": pytest.approx(2.0)}
    assert runs["C"].iloc[1] == 2.4e20


@pytest.mark.parametrize(
    "n_name, d_name, loss_name",
    [
        ("n_params", "tokens", "val_loss"),
        ("Model Size", "n_tokens", "loss"),
        ("params", "training_tokens", "eval/loss"),
        ("num_params", "Tokens", "validation/lm_loss"),
        ("parameters", "tokens_seen", "final_loss"),
        ("params_N", "tokens_D", "val_loss"),
    ],
)
def test_usual_names_are_guessed_and_named(n_name, d_name, loss_name):
    names = {"N": n_name, "D": d_name, "loss": loss_name}
    runs = sf.read_runs({names[key]: values for key, values in GOOD.items()})
    assert runs[["N", "D", "loss"]].to_dict("list") == GOOD
    guessed = {key: name for key, name in names.items() if key != name}
    assert runs.attrs["scalefit"]["guessed"] == guessed
    assert all(repr(name) in notes_of(runs)["guessed"]["message"] for name in guessed.values())


def test_compute_column_is_guessed():
    runs = sf.read_runs({"Model Size": [1e8], "Training FLOP": [1.2e18], "loss": [3.0]})
    assert runs["D"].tolist() == [2e9]


def test_validation_loss_wins_over_training_loss():
    runs = sf.read_runs({**{k: GOOD[k] for k in "ND"}, "train_loss": [1, 1, 1], "val_loss": GOOD["loss"]})
    assert runs["loss"].tolist() == GOOD["loss"]
    assert "train_loss" in runs


def test_two_candidates_of_one_rank_are_refused():
    with pytest.raises(DataError, match="'n_params', 'N params'.*could each be N"):
        sf.read_runs({"n_params": [1e8], "N params": [1e9], "D": [2e9], "loss": [3.0]})


def test_units_in_names_and_suffixes_in_cells():
    runs = sf.read_runs({"Params (M)": [70, 410], "tokens_b": [1.4, 8.2], "loss": [3.9, 3.1]})
    assert runs["N"].tolist() == [70e6, 410e6]
    np.testing.assert_allclose(runs["D"], [1.4e9, 8.2e9])
    assert "times 1e+06" in notes_of(runs)["guessed"]["message"]
    typed = sf.read_runs({"N": ["7e9", "7B", "124M", "1,400,000"], "D": ["1.4T"] * 4, "loss": ["3", "2.9", 2, 4]})
    assert typed["N"].tolist() == [7e9, 7e9, 124e6, 1.4e6]
    assert typed["D"].tolist() == [1.4e12] * 4
    assert typed["loss"].tolist() == [3.0, 2.9, 2.0, 4.0]


def test_decimal_comma_is_not_a_thousand():
    with pytest.warns(ScalefitWarning, match="row 1 .loss is '2,31'"):
        runs = sf.read_runs({**GOOD, "loss": ["3.2", "2,31", "2.3"]})
    assert runs["loss"].tolist() == [3.2, 2.3]


def test_constants_for_every_run():
    runs = sf.read_runs({"N": GOOD["N"], "loss": GOOD["loss"]}, D="300B")
    assert runs["D"].tolist() == [300e9] * 3
    assert sf.read_runs({"N": GOOD["N"], "loss": GOOD["loss"]}, D=3e11)["D"].tolist() == [300e9] * 3


@pytest.mark.parametrize("unit, factor", [("nat/token", 1.0), ("bit/token", math.log(2)), ("other", 1.0)])
def test_loss_units(unit, factor):
    runs = sf.read_runs(GOOD, loss_unit=unit)
    np.testing.assert_allclose(runs["loss"], np.array(GOOD["loss"]) * factor)
    assert runs.attrs["scalefit"]["loss_unit"] == ("other" if unit == "other" else "nat/token")


def test_bits_per_byte_are_kept_or_converted():
    table = {"N": GOOD["N"], "D": GOOD["D"], "bpb": [1.0, 0.9, 0.8], "ratio": [4.0, 4.0, 4.5]}
    for unit in ("bit/byte", None):
        kept = sf.read_runs(table, loss_unit=unit)
        assert kept["loss"].tolist() == table["bpb"] and kept.attrs["scalefit"]["loss_unit"] == "bit/byte"
    for per_token, ratios in ((4.5, [4.5] * 3), ("4.5", [4.5] * 3), ("ratio", table["ratio"])):
        runs = sf.read_runs(table, loss_unit="bit/byte", bytes_per_token=per_token)
        np.testing.assert_allclose(runs["loss"], np.log(2) * np.array(table["bpb"]) * ratios)
    with pytest.raises(ArgumentError, match="bytes_per_token=-1"):
        sf.read_runs(table, loss_unit="bit/byte", bytes_per_token=-1)
    with pytest.warns(ScalefitWarning, match="row 1 .ratio is 0"):
        sf.read_runs({**table, "ratio": [4.0, 0.0, 4.5]}, loss_unit="bit/byte", bytes_per_token="ratio")


def test_conventions_travel_and_have_names():
    runs = sf.read_runs({"non_embedding_params": GOOD["N"], "D": GOOD["D"], "loss": GOOD["loss"]})
    assert runs.attrs["scalefit"]["params"] == "non_embedding"
    checked = sf.check_runs(runs[runs["N"] < 5e9])
    assert checked.conventions["params"] == "non_embedding" and checked.conventions["stated"]
    assert not sf.check_runs(GOOD).conventions["stated"]
    for bad in ({"params": "totl"}, {"flops": "6N"}, {"loss_unit": "nats"}, {"incomplete": "no"}):
        with pytest.raises(ArgumentError, match="Known: "):
            sf.read_runs(GOOD, **bad)


def test_attrs_are_plain_json():
    with pytest.warns(ScalefitWarning):
        runs = sf.read_runs({**GOOD, "N": [np.float32(1e8), -1, "x"]})
    assert json.loads(json.dumps(runs.attrs["scalefit"], allow_nan=False)) == runs.attrs["scalefit"]


@pytest.mark.parametrize(
    "cell, reason",
    [
        (math.nan, "loss is missing"),
        (math.inf, "loss is inf"),
        (0.0, "loss is 0"),
        (-1.5, "loss is -1.5"),
        (1e300, "loss is 1e+300"),
        ("oops", "loss is 'oops', not a number"),
        (True, "loss is True, not a number"),
        ([1], "loss is [1], not a number"),
        (10**400, "loss is inf"),
        (pd.Timestamp("2020-01-01"), "loss is Timestamp('2020-01-01 00:00:00'), not a number"),
    ],
)
def test_bad_cells_are_named(cell, reason):
    with pytest.warns(ScalefitWarning, match="1 of 3 rows cannot be used"):
        runs = sf.read_runs({**GOOD, "loss": pd.Series([3.2, cell, 2.3], dtype=object)})
    assert aside(runs) == {1: reason}
    assert runs.index.tolist() == [0, 2]


def test_dates_are_not_losses():
    with pytest.raises(DataError, match="no usable row"):
        sf.read_runs({**GOOD, "loss": pd.date_range("2020-01-01", periods=3)})


def test_status_sets_aside_what_did_not_finish():
    status = ["finished", "diverged", None]
    with pytest.warns(ScalefitWarning, match="row 1 .status is 'diverged'"):
        runs = sf.read_runs({**GOOD, "state": status})
    assert runs.index.tolist() == [0, 2]
    checked = sf.check_runs(pd.DataFrame({**GOOD, "status": status}))
    assert checked.set_aside == ((1, "status is 'diverged'"),)


def test_copies_are_set_aside_and_replicates_kept():
    table = pd.DataFrame({**GOOD, "seed": [0, 0, 0]})
    replicate = table.iloc[[0]].assign(seed=1)
    both = pd.concat([table, replicate, table.iloc[[1]]], ignore_index=True)
    with pytest.warns(ScalefitWarning, match="row 4 .repeats row 1"):
        runs = sf.read_runs(both)
    assert runs.index.tolist() == [0, 1, 2, 3]
    assert sf.check_runs(both).set_aside == ((4, "repeats row 1"),)


def test_incomplete_rows_can_be_kept_and_are_set_aside_by_the_fit_that_needs_them():
    table = {**GOOD, "D": [2e9, None, 2e11]}
    with pytest.warns(ScalefitWarning, match="D is missing"):
        assert len(sf.read_runs(table)) == 2
    kept = sf.read_runs(table, incomplete="keep")
    assert len(kept) == 3
    assert sf.check_runs(kept, ("N",)).n_runs == 3
    assert sf.check_runs(kept, ("N", "D")).set_aside == ((1, "D is missing"),)


def test_series_from_several_columns():
    table = {**GOOD, "corpus": ["c4", "c4", None], "tokenizer": ["a", "b", "b"]}
    runs = sf.read_runs(table, series=["corpus", "tokenizer"])
    assert runs["series"].tolist() == ["c4 | a", "c4 | b", "(none) | b"]
    assert sf.check_runs(runs).columns["series"].tolist() == runs["series"].tolist()
    assert "mixed_series" in notes_of(sf.read_runs(table))
    assert "mixed_series" not in notes_of(runs)


def test_remarks_describe_the_part_that_is_fitted():
    runs = sf.read_runs({**GOOD, "corpus": ["c4", "c4", "pile"]})
    assert "mixed_series" in {note.code for note in sf.check_runs(runs).notes}
    part = runs[runs["corpus"] == "c4"]
    assert "mixed_series" not in {note.code for note in sf.check_runs(part).notes}


def test_implausible_units_are_remarked():
    small = {"N": [70.0, 160.0], "D": [300.0, 300.0], "loss": [40.0, 30.0]}
    runs = sf.read_runs(small, columns={"N": "N", "D": "D"})
    assert {"implausible_unit", "implausible_loss"} <= set(notes_of(runs))
    assert "implausible_loss" not in notes_of(sf.read_runs({**GOOD, "loss": [40, 30, 20]}, loss_unit="other"))


@pytest.mark.parametrize("read", [sf.read_runs, sf.check_runs, sf.fit, lambda runs: sf.fit(pd.DataFrame(runs))])
@pytest.mark.parametrize("billions", [("N",), ("D",), ("N", "D")])
def test_a_table_in_billions_is_refused_unless_it_is_asked_for(read, billions):
    N, D = (a.ravel() for a in np.meshgrid([7e9, 13e9, 34e9, 70e9], [2e11, 1e12, 4e12]))
    runs = {"N": N, "D": D, "loss": sf.published("chinchilla", "besiroglu2024").predict(N=N, D=D)}
    read(runs)
    unit = {"N": 1e9, "D": 1e12}
    small = runs | {name: runs[name] / unit[name] for name in billions}
    with pytest.raises(DataError, match=f"no language model is trained with.*pass columns={{'{billions[0]}': "):
        read(small)
    if len(billions) == 2:  # compute of such numbers tells nothing
        with pytest.raises(DataError, match="no language model is trained with"):
            read(small | {"C": 6 * small["N"] * small["D"]})
    named = sf.fit(small, columns={name: name for name in billions})
    assert "implausible_unit" in {note.code for note in named.notes}


def test_toy_models_beside_their_compute_are_read():
    N, D = (a.ravel() for a in np.meshgrid([700.0, 1_500.0, 3_000.0], [4e3, 6e3, 8e3]))
    toys = {"N": N, "D": D, "loss": 1 + N**-0.3 + D**-0.3}
    with pytest.raises(DataError, match="no language model is trained with"):
        sf.read_runs(toys)
    runs = sf.read_runs({**toys, "C": 6.2 * N * D})
    assert runs["N"].tolist() == N.tolist() and "implausible_unit" in notes_of(runs)
    assert sf.fit(pd.DataFrame({**toys, "C": 6.2 * N * D})).n_runs == 9


def test_a_copy_whose_numbers_differ_by_rounding_is_a_copy():
    loss, N = [3.3, 3.0, 3 * 1.1, 3.3], [1e8, 4e8, 1e8 * (1 + 2e-16), 1e8 * (1 + 1e-9)]
    checked = sf.check_runs({"N": N, "D": [2e9] * 4, "loss": loss})
    assert loss[0] != loss[2] and checked.set_aside == ((2, "repeats row 0"),)


def test_points_along_runs_are_remarked():
    curves = {**GOOD, "run_name": ["a", "a", "b"], "step": [100, 200, 100]}
    assert "points_along_runs" in notes_of(sf.read_runs(curves))
    assert "points_along_runs" not in notes_of(sf.read_runs({**curves, "run_name": list("abc")}))


def test_a_table_read_twice_keeps_its_conventions(tmp_path):
    once = sf.read_runs({**GOOD, "D": ["2B", "20B", None]}, params="active", loss_unit="other", incomplete="keep")
    once.to_parquet(tmp_path / "runs.parquet")
    for again in (sf.read_runs(once, incomplete="keep"), sf.read_runs(tmp_path / "runs.parquet", incomplete="keep")):
        assert {k: again.attrs["scalefit"][k] for k in ("params", "loss_unit")} == {
            "params": "active",
            "loss_unit": "other",
        }
        pd.testing.assert_frame_equal(again, once, check_flags=False)
    assert sf.read_runs(once, params="total", incomplete="keep").attrs["scalefit"]["params"] == "total"


def test_frames_of_other_libraries_and_records():
    import pyarrow as pa

    records = np.rec.fromarrays([np.array(v) for v in GOOD.values()], names=list(GOOD))
    for table in (pa.table(GOOD), records, pd.DataFrame(GOOD).to_dict("records")):
        assert sf.read_runs(table)["loss"].tolist() == GOOD["loss"]


def test_a_column_that_is_not_the_one_asked_for_is_kept_under_another_name():
    runs = sf.read_runs({**GOOD, "width_params": [1e7, 1e8, 1e9]}, N="width_params")
    assert runs["N"].tolist() == [1e7, 1e8, 1e9] and runs["N_in_source"].tolist() == GOOD["N"]


def test_other_columns_are_kept():
    runs = sf.read_runs({**GOOD, "n_layers": [2, 4, 6], "lr": [1e-3, 5e-4, 3e-4], "name": list("abc")})
    assert runs["n_layers"].tolist() == [2, 4, 6]
    checked = sf.check_runs(runs)
    assert checked.columns["lr"].tolist() == [1e-3, 5e-4, 3e-4]
    assert "name" not in checked.columns


def test_check_takes_inputs_of_a_law_of_ones_own():
    checked = sf.check_runs({"lr": [0.1, 0.2], "loss": [3.0, 2.0]}, ("lr",))
    assert checked.columns["lr"].tolist() == [0.1, 0.2]
    with pytest.raises(DataError, match="no lr column"):
        sf.check_runs(GOOD, ("lr",))


def test_check_reads_paths_and_odd_frames(tmp_path):
    path = tmp_path / "runs.csv"
    pd.DataFrame({"params": ["7B", "13B"], "tokens": ["1T", "1T"], "val_loss": [2.0, 1.9]}).to_csv(path, index=False)
    checked = sf.check_runs(path)
    assert checked.columns["N"].tolist() == [7e9, 13e9]
    assert checked.row_labels.tolist() == [2, 3]
    assert [note.code for note in checked.notes] == ["guessed"]
    nullable = pd.DataFrame(GOOD).astype("Float64")
    nullable.loc[1, "loss"] = pd.NA
    assert sf.check_runs(nullable).set_aside == ((1, "loss is missing"),)
    assert sf.check_runs(pd.DataFrame(GOOD).rename(columns={"loss": "final"}), loss="final").n_runs == 3
    for other in ([4.0, 4.1, 4.2], ["4", "4.1", "4.2"]):
        two = pd.DataFrame({**GOOD, "val": other})
        assert sf.check_runs(two, loss="val").columns["loss"].tolist() == [4.0, 4.1, 4.2]


def test_check_does_not_touch_the_frame():
    frame = pd.DataFrame(GOOD)
    before = frame.copy()
    checked = sf.check_runs(frame, ("C",))
    checked.columns["loss"][:] = 0
    checked.columns["N"][:] = 0
    pd.testing.assert_frame_equal(frame, before)


def test_unique_tokens_default_to_all_tokens():
    checked = sf.check_runs(GOOD, ("N", "D", "unique_tokens"))
    assert checked.columns["unique_tokens"].tolist() == GOOD["D"]
    assert [note.details["column"] for note in checked.notes] == ["unique_tokens"]


@pytest.mark.parametrize("bad", [3, "", None, object(), b"N,D", {"N": [1, 2], "loss": [1]}, [], {}, [1, 2]])
def test_what_is_not_a_table_is_refused_in_one_line(bad):
    with pytest.raises(DataError) as error:
        sf.check_runs(bad)
    assert "\n" not in str(error.value)


def test_two_header_rows_and_repeated_names_are_refused():
    frame = pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", "N"), ("a", "loss")]))
    with pytest.raises(DataError, match="several header rows"):
        sf.read_runs(frame)
    with pytest.raises(DataError, match="N"):
        sf.read_runs(pd.DataFrame([[1e8, 1e9, 2e9, 3.0]], columns=["N", "N", "D", "loss"]))


def test_a_million_rows():
    rng = np.random.default_rng(0)
    n = 1_000_000
    frame = pd.DataFrame({"N": rng.uniform(1e6, 1e9, n), "D": rng.uniform(1e8, 1e11, n)})
    frame["loss"] = rng.uniform(2, 5, n).round(3)
    frame.loc[[5, 77], "loss"] = [np.nan, -1]
    checked = sf.check_runs(frame)
    assert checked.n_runs == n - 2
    assert checked.set_aside == ((5, "loss is missing"), (77, "loss is -1"))


cells = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.integers(),
    st.none(),
    st.booleans(),
    st.text(max_size=6),
    st.sampled_from(["7B", "1.4T", "1e9", "nan", "inf", "-inf", "1,000", "2,5", "", "0x10", "1_0", "--1"]),
    st.lists(st.integers(), max_size=2),
    st.dates(),
    st.decimals(),
    st.complex_numbers(),
)


@given(st.lists(st.tuples(cells, cells, cells), min_size=1, max_size=8))
def test_ugly_tables_end_in_numbers_or_one_line(rows):
    frame = pd.DataFrame(rows, columns=["N", "D", "loss"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ScalefitWarning)
        try:
            runs = sf.read_runs(frame)
        except DataError as error:
            assert "\n" not in str(error)
            return
    values = runs[["N", "D", "loss"]].to_numpy()
    assert np.isfinite(values).all() and (values > 0).all()
    assert len(runs) + runs.attrs["scalefit"]["n_set_aside"] == len(frame)
    checked = sf.check_runs(frame)
    assert checked.row_labels.tolist() == runs.index.tolist()
    np.testing.assert_array_equal(checked.columns["loss"], runs["loss"])


@given(st.lists(st.sampled_from(["N", "n", "D", "loss", "val_loss", "params", "C", "", "x"]), max_size=6))
def test_any_header_ends_in_a_table_or_one_line(names):
    frame = pd.DataFrame([[2.0 + i for i in range(len(names))]], columns=names)
    try:
        assert len(sf.read_runs(frame)) == 1
    except DataError as error:
        assert "\n" not in str(error)


def test_units_may_follow_the_number():
    cells = {"N": ["1.3B", "70 million", "1,234 params"], "D": ["300e9 tokens", "2 billion tokens", "5T tok"]}
    runs = sf.read_runs({**cells, "loss": [2.5, 3.9, 5.0]})
    assert runs["N"].tolist() == [1.3e9, 70e6, 1234] and runs["D"].tolist() == [300e9, 2e9, 5e12]


def test_a_perplexity_is_read_as_one():
    table = {"N": [1e8, 1e9], "D": [2e9, 2e10], "ppl": [20.0, 10.0]}
    runs = sf.read_runs(table, loss="ppl", loss_unit="perplexity")
    np.testing.assert_allclose(runs["loss"], np.log([20.0, 10.0]))
    with pytest.raises(DataError, match=r"loss_unit='perplexity'\) and columns={'loss': 'ppl'}"):
        sf.read_runs(table)


def test_a_missing_size_is_named_as_such():
    runs = sf.read_runs({"D": [1e9, 2e9], "loss": [3.0, 2.9], "width": [512, 512]})
    with pytest.raises(DataError, match="no N column, and not both D and C to compute it from"):
        sf.check_runs(runs, ("N", "D"))


def test_a_missing_column_is_asked_for_once():
    with pytest.raises(
        DataError,
        match=r"read\. Name the column with columns={'D': ...}, or that of the compute with columns={'C': ...}\.$",
    ):
        sf.fit({"N": [1e8] * 9, "tk": [1e9] * 9, "loss": [3.0] * 9})


def test_losses_in_several_units_are_remarked():
    table = {"N": [1e8, 1e9], "D": [2e9, 2e10], "loss": [3.0, 0.9], "loss_unit": ["nats/token (own)", "bits/byte"]}
    assert "mixed_units" in {note.code for note in sf.check_runs(table).notes}
    table["loss_unit"] = ["nats/token (own)", "nats/token"]
    assert "mixed_units" not in {note.code for note in sf.check_runs(table).notes}


# -- what the table says of itself -------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", ["bits/token", "bit/token", "bits per token", "Bits/token (GPT-2 vocabulary)"])
def test_a_column_that_names_the_unit_is_obeyed(said):
    bits = pd.DataFrame(GOOD).assign(loss=lambda t: t["loss"] / math.log(2), loss_unit=said)
    runs = sf.read_runs(bits)
    assert runs["loss"].tolist() == pytest.approx(GOOD["loss"])
    assert runs.attrs["scalefit"]["loss_unit_in_source"] == "bit/token" and "loss_unit" in notes_of(runs)
    checked = sf.check_runs(bits)
    assert checked.columns["loss"].tolist() == pytest.approx(GOOD["loss"])
    again = sf.read_runs(runs)  # which is in nat/token by now, with or without its attrs
    assert again["loss"].tolist() == sf.read_runs(pd.DataFrame(dict(runs)))["loss"].tolist() == runs["loss"].tolist()
    assert sf.read_runs(bits, loss_unit="nat/token")["loss"].tolist() == bits["loss"].tolist()


@pytest.mark.parametrize("said", ["bits/word", "nats/char"])
def test_a_unit_that_cannot_be_converted_is_kept_and_named(said):
    runs = sf.read_runs({**GOOD, "loss_unit": [said] * 3})
    assert runs["loss"].tolist() == GOOD["loss"] and runs.attrs["scalefit"]["loss_unit"] == "other"
    assert notes_of(runs)["unknown_unit"]["severity"] == "warning"
    bytes_known = sf.read_runs({**GOOD, "loss_unit": ["bits/byte"] * 3}, bytes_per_token=4.0)
    assert bytes_known["loss"].tolist() == pytest.approx([4 * math.log(2) * loss for loss in GOOD["loss"]])


def test_the_shape_of_a_model_under_its_usual_names():
    runs = pd.DataFrame({**GOOD, "depth": [4, 8, 16], "d_model": [128, 256, 512], "context_length": 1024})
    checked = sf.check_runs(runs, ("N", "D", "n_layers", "d_emb", "T_max"))
    assert checked.columns["n_layers"].tolist() == [4, 8, 16] and checked.columns["T_max"].tolist() == [1024] * 3
    assert next(n for n in checked.notes if n.code == "guessed").details["d_emb"] == "d_model"
    assert "depth" in sf.read_runs(runs)  # nobody asked for it there
    with pytest.raises(DataError, match="Name the column that holds it 'T_max'"):
        sf.check_runs(runs.drop(columns="context_length"), ("N", "D", "T_max"))


def test_a_column_without_numbers_is_not_called_too_small():
    runs = sf.read_runs({"C": [1e18, 1e19], "N": [None, None], "loss": [3.0, 2.5]}, incomplete="keep")
    assert "implausible_unit" not in notes_of(runs)


@pytest.mark.parametrize(
    ("verb", "options"),
    [
        (sf.fit, {}),
        (sf.forecast, {}),
        (sf.compare, {}),
        (sf.isoflop, {}),
        (sf.envelope, {}),
        (sf.compare_recipes, {"recipe": "arm"}),
        (sf.fit_hyperparameters, {"of": ("lr",)}),
        (sf.fit_downstream, {}),
        (sf.report, {"path": "report.html"}),
        (sf.read_runs, {}),
    ],
    ids=lambda part: getattr(part, "__name__", ""),
)
def test_what_a_message_advises_is_taken_by_every_function_that_reads_a_table(verb, options, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    N, D = (axis.ravel() for axis in np.meshgrid(np.geomspace(1e7, 1e9, 5), np.geomspace(1e9, 1e11, 4)))
    loss = sf.published("chinchilla", "besiroglu2024").predict(N=N, D=D)
    other = {"arm": ["a", "b"] * 10, "lr": np.tile(np.geomspace(1e-4, 1e-2, 4), 5), "accuracy": 0.5}
    table = pd.DataFrame({"N": N, "D": D, "C": 6 * N * D, "loss_c4": loss, "loss_pile": loss, **other})
    with pytest.raises(DataError) as error:
        verb(table, **options)
    assert "columns={'loss': 'loss_c4'}" in str(error.value)
    try:
        verb(table, **options, columns={"loss": "loss_c4"})
    except sf.ScalefitError as reason:  # such as no bowl in the learning rate: the table was read
        assert "loss_pile" not in str(reason)
