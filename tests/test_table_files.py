"""Files of runs: every format in, and one clear line for what is not a table."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scalefit as sf
from scalefit.errors import ArgumentError, DataError, ScalefitWarning

RUNS = pd.DataFrame({"N": [1e8, 1e9, 1e10], "D": [2e9, 2e10, 2e11], "loss": [3.2, 2.7, 2.3], "name": list("abc")})


def write(path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def jsonl(frame):
    return "\n".join(json.dumps(run) for run in frame.to_dict("records"))


TEXTS = {
    "runs.csv": (RUNS.to_csv(index=False), 2),
    "runs.tsv": (RUNS.to_csv(index=False, sep="\t"), 2),
    "runs.txt": (RUNS.to_csv(index=False, sep=" "), 2),
    "pipe.csv": (RUNS.to_csv(index=False, sep="|"), 2),
    "european.csv": (RUNS.to_csv(index=False, sep=";", decimal=","), 2),
    "commented.csv": ("# made by hand\n# twice\n" + RUNS.to_csv(index=False), 4),
    "crlf.csv": (RUNS.to_csv(index=False, lineterminator="\r\n"), 2),
    "bom.csv": ("\ufeff" + RUNS.to_csv(index=False), 2),
    "excel.csv": (RUNS.to_csv(index=False, sep="\t").encode("utf-16"), 2),
    "latin.csv": (RUNS.assign(name="é").to_csv(index=False).encode("latin-1"), 2),
    "trailing.csv": ("N,D,loss,\n1e8,2e9,3.2,\n1e9,2e10,2.7,\n1e10,2e11,2.3,\n", 2),
    "records.json": (RUNS.to_json(orient="records"), 1),
    "split.json": (RUNS.to_json(orient="split"), 1),
    "columns.json": (RUNS.to_json(), 1),
    "lists.json": (json.dumps(RUNS.to_dict("list")), 1),
    "nested.json": (json.dumps({"runs": RUNS.to_dict("records"), "made": "by hand"}), 1),
    "runs.jsonl": (jsonl(RUNS), 1),
    "lines.json": (jsonl(RUNS), 1),
    "no_suffix": (jsonl(RUNS), 1),
}


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("name", TEXTS)
def test_every_text_format(tmp_path, name, zipped):
    text, first = TEXTS[name]
    content = text if isinstance(text, bytes) else text.encode()
    path = write(tmp_path / (name + ".gz" * zipped), gzip.compress(content) if zipped else content)
    runs = sf.read_runs(path)
    assert runs[["N", "D", "loss"]].to_dict("list") == RUNS[["N", "D", "loss"]].to_dict("list")
    assert runs.index.tolist() == [first, first + 1, first + 2]
    assert runs.index.name == "row"


def test_parquet(tmp_path):
    path = tmp_path / "runs.parquet"
    RUNS.to_parquet(path)
    assert sf.read_runs(path)["loss"].tolist() == RUNS["loss"].tolist()
    assert sf.read_runs(path.rename(tmp_path / "no_suffix")).index.tolist() == [1, 2, 3]


def test_conventions_survive_parquet(tmp_path):
    runs = sf.read_runs(RUNS, params="non_embedding")
    runs.to_parquet(tmp_path / "runs.parquet")
    assert pd.read_parquet(tmp_path / "runs.parquet").attrs["scalefit"]["params"] == "non_embedding"


def test_rows_are_numbered_as_a_spreadsheet_shows_them(tmp_path):
    text = "N,D,loss\n1e8,2e9,3.2\n\n1e9,2e10,2.7,9\n1e9,x,2.7\n1e10,2e11\n1e10,2e11,2.3\n"
    with pytest.warns(ScalefitWarning):
        runs = sf.read_runs(write(tmp_path / "runs.csv", text))
    assert runs.index.tolist() == [2, 7]
    assert {item["row"]: item["reason"] for item in runs.attrs["scalefit"]["set_aside"]} == {
        4: "the row has 4 cells where the header names 3",
        5: "D is 'x', not a number",
        6: "loss is missing",
    }


def test_torn_last_line_of_jsonl_is_set_aside(tmp_path):
    with pytest.warns(ScalefitWarning, match="row 4 .the line is not a json object"):
        assert len(sf.read_runs(write(tmp_path / "runs.jsonl", jsonl(RUNS) + '\n{"N": 1e'))) == 3


def test_a_named_pipe_is_read(start, tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    code = f"open({str(path)!r}, 'wb').write({RUNS.to_csv(index=False).encode()!r})"
    writer = start("-c", code)
    assert len(sf.read_runs(path)) == 3 and writer.wait() == 0


BAD = {
    "empty.csv": (b"", "is empty"),
    "blank.csv": (b"\n \n\n", "is empty"),
    "binary.csv": (bytes(range(256)) * 16, "is binary"),
    "no_loss.csv": (b"N,D\n1,2\n", "no loss column.*'N', 'D'"),
    "no_size.csv": (b"run,loss\na,2\n", "no N, D or C column"),
    "typo.csv": (b"N,D,los\n1,2,3\n", "Did you mean 'los'"),
    "ugly.csv": (b"N,D,loss\n1e9,2e10,nan\n-1,2,3\nx,y,z\n", "row 2 .loss is missing.*row 3 .N is -1.*row 4 .N is 'x'"),
    "header.csv": (b"N,D,loss\n", "no rows"),
    "no_header.csv": (b"1e9,2e10,2.5\n", "no header"),
    "shifted.csv": (b"N,D,loss\nrun1,1e9,2e10,2.5\n", "3 columns, but its first row has 4"),
    "twice.csv": (b"N,D,loss,loss\n1,2,3,4\n", "'loss' more than once"),
    "quote.csv": (b'N,D,loss\n1e9,2e9,"3\n', "cannot be split"),
    "cut.json": (b"[1,2", "not complete json"),
    "torn.json": (b'[{"N": 1e9, "D": 2e9, "loss": 3}, {"N', "not complete json"),
    "number.json": (b"[1, 2]", "not a table"),
    "ragged.json": (b'{"N": [1, 2], "loss": [3]}', "not a table"),
    "none.json": (b"[]", "not a table"),
    "deep.json": (b"[" * 100_000, "not json that can be read"),
    "torn.jsonl": (b'{"N": 1e9\n', "no json object"),
    "torn.parquet": (b"PAR1 and nothing PAR1", "not a readable parquet"),
    "torn.csv.gz": (gzip.compress(os.urandom(10_000))[:-900], "binary|damaged"),
    "cut.csv.gz": (gzip.compress(RUNS.to_csv().encode())[:-9], "damaged or cut"),
    "book.xlsx": (b"PK\x03\x04 rest", "Excel"),
    "state.csv": (b"\x80\x04\x95 rest", "pickle, which scalefit never loads"),
    "page.html": (b"<!DOCTYPE html>\n<html><head><title>404</title></head>\n", "page of HTML"),
    "one_line.csv": (b"a" * 200_000, "header of .* is longer than 65,536 characters"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_not_a_table_ends_in_one_line(tmp_path, name):
    content, message = BAD[name]
    with pytest.raises(DataError, match=message) as error:
        sf.read_runs(write(tmp_path / name, content))
    assert "\n" not in str(error.value) and name in str(error.value)


def test_missing_folder_and_address(tmp_path):
    for path, message in ((tmp_path / "no.csv", "no file"), (tmp_path, "is a folder"), ("http://x/y.csv", "address")):
        with pytest.raises(DataError, match=message):
            sf.read_runs(path)
    with pytest.raises(ArgumentError, match="Known: csv"):
        sf.read_runs(tmp_path, format="xls")


@pytest.mark.parametrize("head", [b"", b"a,b,c\n" * 20_000, b"N,D,loss\n" + b"1e9,2e9,3\n" * 20_000])
def test_two_gigabytes_of_nonsense_are_not_loaded(tmp_path, head):
    path = write(tmp_path / "huge.csv", head)
    os.truncate(path, 2 << 30)
    code = (
        "import resource, sys, scalefit as sf, pandas, pyarrow\n"
        "used = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10\n"
        "before = used()\n"
        f"try: sf.read_runs({str(path)!r})\n"
        "except sf.DataError as error: print(used() - before, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    megabytes, message = done.stdout.split(" ", 1)
    assert int(megabytes) < 200
    assert "not loaded" in message and done.stdout.count("\n") == 1


@given(
    st.binary(max_size=200), st.sampled_from([b"", b"N,D,loss\n", b"[{", b'{"N":1e9,"D":2e9,"loss":', b"\x1f\x8b\x08"])
)
def test_any_bytes_end_in_a_table_or_one_line(tmp_path_factory, content, start):
    path = write(tmp_path_factory.getbasetemp() / f"fuzz_{os.getpid()}", start + content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ScalefitWarning)
        try:
            runs = sf.read_runs(path)
        except DataError as error:
            assert "\n" not in str(error)
        else:
            assert (runs["loss"] > 0).all() and np.isfinite(runs["loss"]).all()


cells = st.one_of(
    st.floats(min_value=0.1, max_value=1e12).map(repr),
    st.sampled_from(["", "nan", "7B", '"', "'", "x", "1,5", "-3", "inf", "\t", ";", "#", "\\", "None", "[1]", "é"]),
)


@given(st.lists(st.lists(cells, min_size=1, max_size=5).map(",".join), max_size=6), st.sampled_from(["\n", "\r\n"]))
def test_ugly_csv_accounts_for_every_line(tmp_path_factory, lines, end):
    path = tmp_path_factory.getbasetemp() / f"fuzz_{os.getpid()}.csv"
    write(path, end.join(["N,D,loss", "1e9,2e10,2.5", *lines]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ScalefitWarning)
        try:
            runs = sf.read_runs(path)
        except DataError as error:
            assert "\n" not in str(error)
            return
    rows = [*runs.index, *(item["row"] for item in runs.attrs["scalefit"]["set_aside"])]
    assert len(rows) == len(set(rows)) and 2 in runs.index
    if '"' not in "".join(lines):
        blank = sum(line.count(",") < 3 and set(line.split(",")) <= {"", "nan", "None"} for line in lines)
        assert len(rows) == 1 + len(lines) - blank


def test_nested_records_of_a_tracker_are_flattened(tmp_path):
    lines = [
        json.dumps(
            {"config": {"model": {"n_params": n}, "data": {"size": 7}}, "summary": {"eval/loss": loss, "tokens": d}}
        )
        for n, d, loss in zip(RUNS["N"], RUNS["D"], RUNS["loss"], strict=True)
    ]
    for name, text in (("runs.jsonl", "\n".join(lines)), ("runs.json", f"[{','.join(lines)}]")):
        runs = sf.read_runs(write(tmp_path / name, text))
        assert runs[["N", "D", "loss"]].to_numpy().tolist() == RUNS[["N", "D", "loss"]].to_numpy().tolist()
        assert runs.attrs["scalefit"]["guessed"]["N"] == "config.model.n_params"


def test_european_thousands(tmp_path):
    rows = "params;tokens;loss\n100.000.000;2.000.000.000;3,2\n61.421.331;1.500.000.000;3,4\n"
    runs = sf.read_runs(write(tmp_path / "runs.csv", rows))
    assert runs[["N", "D", "loss"]].to_numpy().tolist() == [[1e8, 2e9, 3.2], [61421331, 1.5e9, 3.4]]
    mixed = "N;D;loss\n1e8;2e9;3.2\n1,0;2;3\n"  # points are decimals here, so a comma is not a thousand
    with pytest.warns(ScalefitWarning, match="'1,0', not a number"):
        assert sf.read_runs(write(tmp_path / "mixed.csv", mixed))["loss"].tolist() == [3.2]
