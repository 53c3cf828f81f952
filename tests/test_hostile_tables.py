"""Tables that other people write: decimal commas, units in names, small files that unpack to much, shared outputs."""

from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit._files import write_whole
from scalefit.counting import parse_quantity
from scalefit.errors import ArgumentError, DataError, ScalefitWarning

GOOD = {"N": [1e8, 1e9, 1e10], "D": [2e9, 2e10, 2e11], "loss": [3.2, 2.7, 2.3]}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1'234'567", 1234567),
        ("1\u2019000", 1000),
        ("12\u202f345\u202f678", 12345678),
        ("1\u2009000", 1000),
        ("12 345", 12345),
        ("12Bn", 12e9),
        ("1.5 tn tokens", 1.5e12),
        ("1.2 \u00d7 10^9", 1.2e9),
        ("3x10**8", 3e8),
        ("\uff11\uff12\uff0e\uff15", 12.5),
        ("\u22122.5", -2.5),
        ("1.2B\u200b", 1.2e9),
    ],
)
def test_other_signs_for_the_same_number(text, value):
    assert parse_quantity(text) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize(
    "text", ["0,149", "2.461e", "1e9 x 10^9", "10\u2079", "1'00", "12 34", "1.000.000", "3,5e9", "2%"]
)
def test_what_may_mean_another_number_is_none(text):
    with pytest.raises(ArgumentError):
        parse_quantity(text)


def test_a_factor_of_the_column_reaches_cells_with_marks_that_nobody_sees():
    runs = sf.read_runs({"N (B)": ["1.2\u200b", "7", "\uff13"], "D": GOOD["D"], "loss": GOOD["loss"]})
    assert runs["N"].tolist() == [1.2e9, 7e9, 3e9]


@pytest.mark.parametrize("separator", ["\t", "|"])
def test_losses_of_three_decimals_behind_a_comma_are_not_thousands(tmp_path, separator):
    path = tmp_path / "runs.csv"
    rows = [("1e8", "2e9", "3,102"), ("2e8", "4e9", "2,851"), ("4e8", "8e9", "2,605")]
    path.write_text("\n".join(map(separator.join, [("N", "D", "loss"), *rows])))
    with pytest.raises(DataError, match="loss is '3,102', not a number; with a decimal comma, write a point"):
        sf.read_runs(path)


def test_a_comma_between_thousands_of_a_loss_shows_by_another_cell():
    runs = sf.read_runs({**GOOD, "loss": ["1,102", "1,051.5", "905"]}, loss_unit="other")
    assert runs["loss"].tolist() == [1102, 1051.5, 905]


@pytest.mark.parametrize("name", ["N", "D"])
def test_rows_in_billions_among_others_are_set_aside(name):
    table = pd.DataFrame({"N": [1e8, 2e8, 4e8, 8e8], "D": [2e9, 4e9, 8e9, 16e9], "loss": [3.1, 2.9, 2.7, 2.6]})
    table.loc[2, name] /= 1e9
    with pytest.warns(sf.ScalefitWarning, match=f"row 2 .{name} is .* in another unit"):
        assert len(sf.read_runs(table)) == 3
    assert len(sf.check_runs(table, ("N", "D")).columns["loss"]) == 3
    table[name] /= 1e9 * np.array([1, 1, 1e-9, 1])
    with pytest.raises(DataError, match="which no language model is trained with; nothing was read"):
        sf.read_runs(table)  # all in one unit: nothing tells which, and nothing is guessed


@pytest.mark.parametrize("text", ["5,2593", "1,2345B", "3,1", "26,3500"])
def test_a_decimal_comma_is_refused(text):
    with pytest.raises(ArgumentError, match="comma"):
        parse_quantity(text)


def test_a_cell_that_could_be_either_is_refused_beside_decimal_commas():
    with pytest.warns(ScalefitWarning, match="row 0 .*row 2"):
        runs = sf.read_runs({**GOOD, "loss": ["5,2593", "2.7", "2,345"]})
    assert runs["loss"].tolist() == [2.7]


def test_a_european_file_with_names_that_hold_points_is_read(tmp_path):
    path = tmp_path / "euro.csv"
    path.write_text("name;N;D;loss\npythia-1.4b;1,4e9;3e11;2,345\nQwen2.5;5e8;1e12;2,5\n")
    assert sf.read_runs(path)["loss"].tolist() == [2.345, 2.5]


@pytest.mark.parametrize("name", ["val_bpb", "bits_per_byte", "eval/paloma/c4_en/bpb"])
def test_bits_per_byte_in_a_name_are_never_nats(name):
    table = {"N": GOOD["N"], "D": GOOD["D"], name: [1.1, 1.0, 0.9]}
    for options in ({}, {"loss": name}):
        assert sf.read_runs(table, **options).attrs["scalefit"]["loss_unit"] == "bit/byte"


def test_longer_names_beat_lone_letters_and_small_guesses_are_refused():
    runs = sf.read_runs(
        {"d": [128, 256, 512], "n": [2, 4, 8], "tokens": GOOD["D"], "params": GOOD["N"], "val_loss": GOOD["loss"]}
    )
    assert runs["D"].tolist() == GOOD["D"] and runs["N"].tolist() == GOOD["N"]
    planned = {"d": [128, 256, 512], "N": GOOD["N"], "D_target": GOOD["D"], "loss": GOOD["loss"]}
    assert sf.read_runs(planned)["D"].tolist() == GOOD["D"]  # d is a width there
    trained = {**planned, "tokens": [2 * tokens for tokens in GOOD["D"]]}
    assert sf.read_runs(trained)["D"].tolist() == trained["tokens"]
    with pytest.raises(DataError, match="billions"):
        sf.read_runs({"params": GOOD["N"], "tokens": [2.0, 20.0, 63.5], "loss": GOOD["loss"]})


def test_several_losses_are_named_and_asked_for():
    with pytest.raises(DataError, match="loss_web.*loss_edu"):
        sf.read_runs({"N": GOOD["N"], "D": GOOD["D"], "loss_web": GOOD["loss"], "loss_edu": GOOD["loss"]})


def test_columns_and_inputs_are_named_by_mappings_that_reach_into_json():
    records = [
        {"size": n, "tok": d, "y": y, "config": {"moe": {"n": 8}}} for n, d, y in zip(*GOOD.values(), strict=True)
    ]
    runs = sf.read_runs(records, columns={"N": "size", "D": "tok", "loss": "y"}, inputs={"n_experts": "config.moe.n"})
    assert runs["n_experts"].tolist() == [8.0] * 3 and runs["N"].tolist() == GOOD["N"]
    with pytest.raises(ArgumentError, match="inputs="):
        sf.read_runs(records, columns={"n_experts": "config.moe.n"})


def test_a_fit_warns_of_rows_set_aside():
    rng = np.random.default_rng(0)
    N, D = (a.ravel() for a in np.meshgrid(np.geomspace(1e8, 4e9, 5), np.geomspace(2e9, 2e11, 5)))
    loss = sf.published("chinchilla", "besiroglu2024").predict(N=N, D=D) * np.exp(0.002 * rng.standard_normal(N.size))
    loss[3] = -1.0
    with pytest.warns(ScalefitWarning, match="row 3 .loss is -1"):
        sf.fit(pd.DataFrame({"N": N, "D": D, "loss": loss}))


def test_small_files_that_unpack_to_much_are_refused(tmp_path):
    rows = 3_000_000
    path = tmp_path / "rle.parquet"
    pd.DataFrame({"N": np.full(rows, 1e8), "D": np.full(rows, 2e9), "loss": np.full(rows, 3.0)}).to_parquet(path)
    assert path.stat().st_size < 1e6
    with pytest.raises(DataError, match="max_rows="):
        sf.read_runs(path)
    zipped = tmp_path / "runs.csv.gz"
    pd.DataFrame(GOOD).to_csv(zipped, index=False)
    with pytest.raises(DataError, match="max_bytes="):
        sf.read_runs(zipped, max_bytes=20)
    assert len(sf.read_runs(zipped, max_bytes=10_000)) == 3


@pytest.mark.parametrize("cell", ["b'x' * (1 << 20)", "{'a': 'x' * (1 << 20)}"], ids=["binary", "nested"])
def test_long_cells_are_refused_before_they_are_unpacked(tmp_path, start, cell):
    path = tmp_path / "runs.parquet"
    code = (
        "import sys, pyarrow as pa, pyarrow.parquet as pq, scalefit as sf\n"
        f"table = pa.table({{'N': [1e8] * 200, 'D': [2e9] * 200, 'loss': [3.0] * 200, 'x': [{cell}] * 200}})\n"
        "pq.write_table(table, sys.argv[1]); del table\n"
        "before = pa.total_allocated_bytes()\n"
        "from pyarrow import default_memory_pool, set_memory_pool, system_memory_pool\n"
        "pool = next(p for p in (pa.system_memory_pool(), default_memory_pool()) if p.max_memory() == 0)\n"
        "set_memory_pool(pool)\n"
        "try: sf.read_runs(sys.argv[1], max_bytes=1 << 22)\n"
        "except sf.DataError as error: print('max_bytes' in str(error), pool.max_memory())\n"
    )
    said, used = start("-c", code, path).communicate()[0].split()
    assert said == "True" and 0 < int(used) < 80e6, used


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no /dev/zero here")
def test_endless_results_are_refused():
    for load in (sf.load_result, sf.load_forecast, sf.load_monitor):
        with pytest.raises(DataError):
            load("/dev/zero")


def _write(path: str, letter: str) -> None:
    for _ in range(50):
        write_whole(path, letter * 200_000)


def test_two_writers_leave_one_whole_file(tmp_path):
    path = tmp_path / "out.json"
    own = tmp_path / "out.json.part"
    own.write_text("mine")
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write, args=(str(path), letter)) for letter in "ab"]
    for writer in writers:
        writer.start()
    seen, end = set(), time.monotonic() + 300
    try:
        while any(writer.is_alive() for writer in writers):
            assert time.monotonic() < end, "two writers wait for each other"
            if path.exists():  # and is whole from then on
                text = path.read_text()
                assert text in ("a" * 200_000, "b" * 200_000)
                seen.add(text[0])
    finally:
        for writer in writers:
            writer.kill()
            writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0] and seen
    assert own.read_text() == "mine" and sorted(p.name for p in tmp_path.iterdir()) == ["out.json", "out.json.part"]


def test_modes_and_links_are_kept_and_devices_refused(tmp_path):
    real, link, hard = tmp_path / "real.txt", tmp_path / "link.txt", tmp_path / "hard.txt"
    real.write_text("old")
    real.chmod(0o600)
    link.symlink_to(real)
    write_whole(link, "new")
    assert link.is_symlink() and real.read_text() == "new" and real.stat().st_mode & 0o777 == 0o600
    os.link(real, hard)
    write_whole(real, "n")
    assert hard.read_text() == "n" and real.stat().st_nlink == 2
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(DataError, match="regular file"):
        write_whole(pipe, "x")
