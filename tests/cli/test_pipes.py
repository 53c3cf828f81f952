"""Every command that takes a file takes a pipe: what comes out of one once can be asked for twice."""

from __future__ import annotations

import os
import re
import threading

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.cli import main

HANDLE = 997  # a number that no answer holds
pytestmark = pytest.mark.skipif(not os.path.exists("/dev/fd"), reason="the system has no /dev/fd")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pipes")
    N, D = (a.ravel() for a in np.meshgrid(np.geomspace(5e7, 2e9, 6), np.geomspace(1e9, 4e10, 6)))
    noise = np.exp(0.003 * np.random.default_rng(0).standard_normal(36))
    runs = pd.DataFrame({"N": N, "D": D, "loss": sf.published("chinchilla", "besiroglu2024").predict(N=N, D=D) * noise})
    web = np.linspace(0.1, 0.9, 12)
    steps = np.arange(100, 4001, 100)
    tables = {
        "runs.csv": runs,
        "runs.parquet": runs,
        "mix.csv": pd.DataFrame(
            {"share_web": web, "share_code": 1 - web, "loss_web": 2 + np.exp(-2 * web), "loss_code": 1 + web**2}
        ),
        "log.csv": pd.DataFrame({"step": steps, "val_loss": 3 + 9 / steps**0.4}),
        "keras.csv": pd.DataFrame({"epoch": range(9), "loss": 3.0}),
    }
    for name, table in tables.items():
        table.to_csv(folder / name, index=False) if name.endswith("csv") else table.to_parquet(folder / name)
    fit = sf.fit(runs)
    fit.to_json(folder / "fit.json")
    return folder


@pytest.fixture
def piped():
    """Return a function that gives the path of a pipe which holds a file's bytes."""
    opened = []

    def pipe(path):
        out, into = os.pipe()
        os.dup2(out, HANDLE)
        os.close(out)
        opened.append(HANDLE)

        def fill():
            with os.fdopen(into, "wb") as stream:
                stream.write(path.read_bytes())

        threading.Thread(target=fill, daemon=True).start()
        return f"/dev/fd/{HANDLE}"

    yield pipe
    for out in opened:
        os.close(out)


def said(capsys, *words):
    with pytest.raises(SystemExit) as left:
        main([str(word) for word in words])
    shown = capsys.readouterr()
    return left.value.code, (shown.out + shown.err).splitlines()


@pytest.mark.parametrize(
    "words",
    [
        "fit runs.csv",
        "fit runs.parquet",
        "fit mix.csv --law data_mixing --loss loss_web",
        "fit keras.csv",
        "forecast runs.csv --at 10x",
        "plan runs.csv --C 1e21",
        "plan fit.json --C 1e21",
        "next-runs fit.json --budget 1e19",
        "predict fit.json --at N=1e9,D=2e10",
        "mixture mix.csv --law data_mixing",
        "advise log.csv",
        "report --live log.csv --out page.html --force",
        "fit log.csv",
    ],
)
def test_a_pipe_gives_what_the_file_gives(words, files, piped, capsys, monkeypatch):
    monkeypatch.chdir(files)
    words = words.split()
    (at,) = (at for at, word in enumerate(words) if (files / word).is_file() and word != "page.html")
    code, lines = said(capsys, *words)
    path = piped(files / words[at])
    again, piped_lines = said(capsys, *words[:at], path, *words[at + 1 :])
    named = [re.sub(rf"(/dev/fd/)?\b{HANDLE}\b", words[at], line) for line in piped_lines]
    assert code == again
    assert " ".join(named).split() == " ".join(lines).split() or code == 1
    assert code != 1 or ("advise" in " ".join(named) and "empty" not in " ".join(named))


def test_a_pipe_with_a_name_is_read_anew_each_time(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    for size in (5, 6):
        runs = pd.DataFrame({"N": np.geomspace(1e8, 1e9, size), "D": 2e10, "loss": np.linspace(3, 2, size)})
        writer = threading.Thread(target=lambda runs=runs: path.write_text(runs.to_csv(index=False)), daemon=True)
        writer.start()
        assert len(sf.read_runs(path)) == size
        writer.join(10)
