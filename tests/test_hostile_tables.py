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
