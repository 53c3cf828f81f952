"""Data sets: bundled tables against their papers, downloads against a server on loopback."""

from __future__ import annotations

import dataclasses
import hashlib
import http.server
import json
import re
import subprocess
import sys
import threading

import numpy as np
import pytest

import scalefit as sf
from scalefit import datasets
from scalefit.errors import ArgumentError, DataError

TABLE = b"Model Size,Training FLOP,loss\n1e8,1.2e18,3.2\n1e9,1.2e20,2.7\n1e10,1.2e22,2.3\n"


class Handler(http.server.BaseHTTPRequestHandler):
    asked: list[str] = []

    def do_GET(self):
        self.asked.append(self.path)
        if self.path == "/gone.csv":
            self.send_error(404)
            return
        self.send_response(200)
        cut = self.path == "/cut.csv"
        self.send_header("Content-Length", str(len(TABLE) + 1000 * cut))
        self.end_headers()
        self.wfile.write(TABLE.replace(b"3.2", b"3.3") if self.path == "/changed.csv" else TABLE)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch, tmp_path):
    """Serve files on loopback, with an empty cache and no data folder; yields a function that sets the addresses."""
    service = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=service.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("SCALEFIT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("SCALEFIT_DATA_DIR", raising=False)
    monkeypatch.setattr(Handler, "asked", [])

    def point_at(*files):
        base = f"http://127.0.0.1:{service.server_port}"
        entry = dataclasses.replace(
            datasets.DOWNLOADS["chinchilla_epoch"],
            addresses=tuple(f"{base}/{file}" for file in files),
            sha256=hashlib.sha256(TABLE).hexdigest(),
            authors_drop_highest=1,
        )
        monkeypatch.setitem(datasets.DOWNLOADS, "chinchilla_epoch", entry)
        return service

    yield point_at
    service.shutdown()
    service.server_close()
    thread.join()


def test_download_is_checked_and_kept(server):
    server("good.csv")
    assert sf.list_datasets().loc["chinchilla_epoch", "where"] == "download"
    assert Handler.asked == []
    runs = sf.load_dataset("chinchilla_epoch")
    np.testing.assert_allclose(runs["D"], [2e9, 2e10, 2e11])
    assert len(sf.load_dataset("chinchilla_epoch", drop="authors")) == 2
    assert Handler.asked == ["/good.csv"]
    assert sf.list_datasets().loc["chinchilla_epoch", "where"] == "local"


def test_a_damaged_cache_is_fetched_again(server, tmp_path):
    server("good.csv")
    sf.load_dataset("chinchilla_epoch")
    (tmp_path / "cache/chinchilla_epoch/svg_extracted_data.csv").write_bytes(TABLE[:40])
    assert len(sf.load_dataset("chinchilla_epoch")) == 3
    assert Handler.asked == ["/good.csv"] * 2


def test_the_second_address_is_tried(server):
    server("gone.csv", "good.csv")
    assert len(sf.load_dataset("chinchilla_epoch")) == 3


@pytest.mark.parametrize(
    "file, message",
    [("gone.csv", "answered 404"), ("changed.csv", "not the one listed"), ("cut.csv", "connection failed")],
)
def test_failed_downloads_end_in_one_line(server, tmp_path, file, message):
    server(file)
    with pytest.raises(DataError, match=message) as error:
        sf.load_dataset("chinchilla_epoch")
    text = str(error.value)
    assert "\n" not in text and file in text and "SCALEFIT_DATA_DIR/chinchilla_epoch/svg_extracted_data.csv" in text
    assert not list((tmp_path / "cache").rglob("*.csv"))


def test_no_server_ends_in_one_line(server):
    service = server("good.csv")
    service.shutdown()
    service.server_close()
    with pytest.raises(DataError, match="connection failed"):
        sf.load_dataset("chinchilla_epoch")


def test_data_folder_comes_first_and_is_checked(server, tmp_path, monkeypatch):
    server("good.csv")
    monkeypatch.setenv("SCALEFIT_DATA_DIR", str(tmp_path))
    file = tmp_path / "chinchilla_epoch/svg_extracted_data.csv"
    file.parent.mkdir()
    file.write_bytes(TABLE)
    assert len(sf.load_dataset("chinchilla_epoch")) == 3
    assert Handler.asked == []
    file.write_bytes(TABLE + b"1e7,1e17,4\n")
    with pytest.raises(DataError, match="is not the file that chinchilla_epoch names"):
        sf.load_dataset("chinchilla_epoch")


def test_downloads_are_https_pinned_and_licensed():
    for name, entry in datasets.DOWNLOADS.items():
        assert entry.addresses[0].startswith("https://") and re.search(r"/[0-9a-f]{7,40}/", entry.addresses[0]), name
        assert re.fullmatch("[0-9a-f]{64}", entry.sha256) and entry.licence and entry.source


def test_the_240_points_of_besiroglu(external_data):
    runs = sf.load_dataset("chinchilla_epoch", drop="authors")
    assert len(runs) == 240
    assert runs.attrs["scalefit"]["n_set_aside"] == 5
    whole = sf.load_dataset("chinchilla_epoch")
    assert whole["loss"].nlargest(5).min() > runs["loss"].max()
    np.testing.assert_allclose(runs["C"], 6 * runs["N"] * runs["D"], rtol=1e-12)


def test_the_filtered_points(external_data):
    runs = sf.load_dataset("chinchilla_filtered")
    assert len(runs) == sf.list_datasets().loc["chinchilla_filtered", "rows"] == 234
    with pytest.raises(ArgumentError, match="does not apply"):
        sf.load_dataset("chinchilla_filtered", drop="authors")


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(ArgumentError, match="Known: .*niu2024_table2.*reported_losses"):
        sf.load_dataset("chinchila")


def test_table_2_of_niu_2024():
    """arXiv:2405.08707, table 2."""
    runs = sf.load_dataset("niu2024_table2")
    want = [
        ("Transformer", 1.5e9, 22e9, 2.5),
        ("Chinchilla", 70e9, 1.4e12, 2.2),
        ("PaLM 2", 16e9, 100e9, 2.4),
        ("GPT-2", 8.7e9, 178e9, 2.3),
        ("MiniCPM", 2.4e9, 140e9, 2.4),
    ]
    assert list(runs[["name", "N", "D", "loss"]].itertuples(index=False, name=None)) == want


def test_reported_losses_are_separable_and_sourced():
    runs = sf.load_dataset("reported_losses")
    assert len(runs) == 63
    assert runs["source"].str.len().min() > 10 and runs["unit_reported"].notna().all()
    sizes = runs["series"].value_counts()
    assert (sizes["cerebras-gpt"], sizes["pythia"]) == (7, 8)
    # arXiv:2304.03208, table 8: loss on Pile test of Cerebras-GPT 111M to 13B and of Pythia 70M to 12B
    assert runs.loc[runs["series"] == "cerebras-gpt", "loss"].tolist() == [
        *(2.608, 2.349, 2.181, 1.997, 1.834, 1.704, 1.572)
    ]
    assert runs.loc[runs["series"] == "pythia", "loss"].tolist() == [
        2.504,
        2.186,
        1.971,
        1.845,
        1.793,
        1.72,
        1.626,
        1.582,
    ]
    for column in ("tokenizer", "train_set", "eval_set", "unit_reported"):
        assert (runs.groupby("series")[column].nunique() <= 2 - (column != "tokenizer")).all(), column


def test_doubtful_rows_are_flagged_and_can_be_left_out():
    runs = sf.load_dataset("reported_losses")
    doubtful = runs[runs["doubt"].notna()]
    assert "Pythia-deduped-1.4B" in set(doubtful["name"])
    kept = sf.load_dataset("reported_losses", drop="doubtful")
    assert len(kept) + len(doubtful) == len(runs) and kept["doubt"].isna().all()
    assert sf.check_runs(kept, ("N",)).notes[0].code == "dropped"


def test_losses_in_other_units_are_not_passed_off_as_nats():
    runs = sf.load_dataset("reported_losses")
    per_byte = runs["unit_reported"] == "bit/byte"
    assert per_byte.sum() == 4 and runs.loc[per_byte, "loss"].isna().all()
    assert runs.loc[~per_byte, "loss"].tolist() == runs.loc[~per_byte, "loss_reported"].tolist()


def test_a_bundled_table_may_state_its_conventions(tmp_path, monkeypatch):
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "runs.csv").write_text("N,D,loss\n1e6,2e7,4.5\n")
    (folder / "SOURCE.md").write_text("# Own runs\n\n- Licence: Apache-2.0\n")
    (folder / "conventions.json").write_text(json.dumps({"params": "non_embedding"}))
    (tmp_path / "not_a_table").mkdir()
    monkeypatch.setattr(datasets, "_bundled_root", lambda: tmp_path)
    assert sf.load_dataset("own").attrs["scalefit"]["params"] == "non_embedding"
    listed = sf.list_datasets()
    assert listed.loc["own", ["title", "rows", "licence"]].tolist() == ["Own runs", 1, "Apache-2.0"]
    assert "not_a_table" not in listed.index


@pytest.mark.parametrize("command", [[], ["--json"]])
def test_command_line_lists_datasets(command):
    done = subprocess.run(
        [sys.executable, "-m", "scalefit", "datasets", *command],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    if command:
        listed = {item["name"]: item for item in json.loads(done.stdout)["datasets"]}
        assert listed["niu2024_table2"]["rows"] == 5 and listed["niu2024_table2"]["where"] == "bundled"
    else:
        assert "reported_losses" in done.stdout and "chinchilla_epoch" in done.stdout


def test_a_series_of_a_bundled_table_is_told_where_it_is():
    with pytest.raises(ArgumentError, match="'pythia' is a series of reported_losses: load that"):
        sf.load_dataset("pythia")
