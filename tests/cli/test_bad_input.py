"""Bad input on the command line: exit code 1 and one clear line, whatever the file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import scalefit as sf
from scalefit.cli import main
from scalefit.cli._misuse import told


@pytest.fixture
def table(tmp_path):
    N, D = (axis.ravel() for axis in np.meshgrid(np.geomspace(5e7, 1e10, 5), np.geomspace(1e9, 2e11, 5)))
    loss = sf.published("chinchilla", "besiroglu2024").predict(N=N, D=D)
    loss *= np.exp(0.003 * np.random.default_rng(0).standard_normal(N.size))
    path = tmp_path / "runs.csv"
    path.write_text("N,D,loss\n" + "\n".join(f"{a},{b},{c}" for a, b, c in zip(N, D, loss, strict=True)))
    return path


def one_line(done):
    code, _, err = done
    assert code == 1 and err.startswith("scalefit: ") and err.count("\n") == 1 and len(err) < 600
    return err


def test_figures_of_no_known_format_or_place(run, table, tmp_path):
    assert "no format '.foo'" in one_line(run("plan", table, "--C", "1e21", "--plot", tmp_path / "x.foo"))
    assert "cannot be written" in one_line(run("plan", table, "--C", "1e21", "--plot", tmp_path / "no" / "x.png"))
    assert "cannot be written" in one_line(run("fit", table, "--save", tmp_path / "no" / "x.json"))


def test_logs_and_plans_that_are_none(run, tmp_path):
    deep, log = tmp_path / "deep.json", tmp_path / "log.csv"
    deep.write_text("[" * 100_000)
    log.write_text("step,val_loss\n1,3\n")
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"schedule": {"kind": "cosine", "total": 100}}))
    binary = tmp_path / "plan.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    assert "cannot be read" in one_line(run("advise", log, "--plan", deep))
    assert "cannot be read" in one_line(run("advise", log, "--plan", binary))
    one_line(run("advise", deep, "--plan", plan))
    one_line(run("plan", deep, "--C", "1e21"))


def test_a_saved_forecast_serves_predict_plan_and_next_runs(run, table, tmp_path):
    saved = tmp_path / "forecast.json"
    code, _, _ = run("forecast", table, "--save", saved)
    assert code == 0
    forecast = sf.load_result(saved)
    code, out, _ = run("predict", saved, "--N", "7B", "--D", "2T", "--json")
    assert code == 0 and json.loads(out)["predictions"][0]["loss"] == forecast.predict(N=7e9, D=2e12)
    code, out, _ = run("plan", saved, "--C", "1e22", "--json")
    assert code == 0 and json.loads(out)["loss"] == pytest.approx(sf.plan(forecast, C=1e22).loss)
    code, out, _ = run("next-runs", saved, "--budget", "1e21", "--json")
    assert code == 0 and json.loads(out)["runs"]
    assert "series" in one_line(run("predict", saved, "--N", "7B", "--D", "2T", "--series", "a"))


def test_floor_takes_the_names_of_python_too(run):
    words = ["floor", "--N", "124M", "--D", "9B", "--d-emb", "768", "--json"]
    long = run(*words, "--n-layers", "12", "--T-max", "1024", "--vocab-size", "50257")
    short = run(*words, "--layers", "12", "--context", "1024", "--vocab", "50257")
    assert long == short and long[0] == 0


def test_an_error_of_its_own_is_one_line_too(run, table, monkeypatch):
    names = {}
    exec(compile("def broken(*_): return {}['nothing']", sf.__file__, "exec"), names)
    monkeypatch.setattr("scalefit.fitting.fit.solve", names["broken"])
    assert "not of your input: KeyError: 'nothing'" in one_line(run("fit", table))
    monkeypatch.setenv("SCALEFIT_DEBUG", "1")
    with pytest.raises(KeyError):
        main(["fit", str(table)])


def test_values_read_as_they_were_typed(run, table):
    said = one_line(run("fit", table, "--law", "chinchila"))
    assert "no law 'chinchila'; nothing was done. Did you mean 'chinchilla'? Choose one" in said
    assert "scalefit: --bound E=3.0:1.0 must be (lower, upper)" in one_line(run("fit", table, "--bound", "E=3:1"))
    assert "scalefit: --fix Q names no parameter" in one_line(run("fit", table, "--fix", "Q=1"))
    assert "scalefit: --delta -1.0 is not a half-width" in one_line(run("fit", table, "--delta", "-1"))
    said = one_line(run("predict", table, "--N", "7B", "--D", "2T"))
    assert f"{table} is not a saved result; nothing was predicted. If it is a table of runs, fit it first with" in said
    assert said.endswith("scalefit fit and save the result, or ask scalefit forecast.\n")


def test_errors_speak_of_options(run, tmp_path, table):
    two = tmp_path / "two.csv"
    two.write_text("N,D,loss,series\n1e8,2e9,3,a\n2e8,2e9,2.9,b\n")
    assert "Keep one series: --only a." in one_line(run("isoflop", two))
    assert "on one, --only a, or on all as one, --by pool" in one_line(run("report", two, "-o", tmp_path / "r.html"))
    assert "(--fix E=...)" in one_line(run("fit", two, "--only", "a"))
    assert "It has a, b." in one_line(run("forecast", two, "--only", "c"))
    assert "no column tells series apart" in one_line(run("fit", table, "--only", "c"))
    assert "got --C 1e22, --loss 2.0" in one_line(run("plan", table, "--C", "1e22", "--loss", "2"))


@pytest.mark.parametrize("command", ["fit", "isoflop", "forecast", "compare", "plan", "next-runs"])
def test_only_keeps_one_series(run, tmp_path, command):
    C, share = (a.ravel() for a in np.meshgrid(np.geomspace(1e18, 1e20, 4), np.geomspace(0.2, 5, 7), indexing="ij"))
    N = share * 0.09 * C**0.5
    loss = sf.published("chinchilla", "besiroglu2024").predict(N=N, D=C / (6 * N))
    loss *= np.exp(0.002 * np.random.default_rng(0).standard_normal(N.size))
    rows = [
        f"{a},{c / (6 * a)},{b},{s}"
        for s in "xy"
        for a, c, b in zip(N, C, loss * (1.1 if s == "y" else 1), strict=True)
    ]
    path, alone = tmp_path / "runs.csv", tmp_path / "alone.csv"
    path.write_text("N,D,loss,corpus\n" + "\n".join(rows))
    alone.write_text("N,D,loss\n" + "\n".join(row.rsplit(",", 1)[0] for row in rows if row.endswith("x")))
    words = {"plan": ["--C", "1e21", "--bootstrap", "0"], "next-runs": ["--budget", "1e20"]}.get(command, [])
    words += ["--law", "chinchilla"] if command == "compare" else []
    named = ["--column", "series=corpus", "--json"]
    found = {name: run(command, path, *named, "--only", name, *words) for name in "xy"}
    one, other, expected = (json.loads(out) for _, out, _ in (*found.values(), run(command, alone, "--json", *words)))
    for record in (one, other, expected):
        for varying in ("notes", "conventions", "data"):  # they name the columns and the series
            record.pop(varying, None)
    assert one == expected != other


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fti", "runs.csv"], "No such command 'fti'. Did you mean 'fit'? Nothing was done. See scalefit --help."),
        (["fit"], "Missing argument 'table'. Nothing was done. See scalefit fit --help."),
        (["fit", "runs.csv", "--lvel", "0.9"], "No such option: --lvel. Did you mean --level? Nothing was done."),
        (["fit", "runs.csv", "--level"], "'--level' requires an argument. Nothing was done. See scalefit fit --help."),
        (["fit", "a b.csv", "c"], "Got 1 unexpected extra argument (c): name the option that it is for"),
        (["fit", "runs.csv", "--level", "lots"], "Invalid value for '--level': 'lots' is not a valid number."),
        (["fit", "runs.csv", "--level", "2"], "Invalid value for '--level': 2 must lie between 0 and 1. Nothing"),
        (
            ["fit", "runs.csv", "--objective", "hubr"],
            "'hubr' is not one of 'huber', 'squared', 'absolute', 'quantile'. Nothing",
        ),
        (["fit", "runs.csv", "--fix", "E"], "'E' cannot be read (no name=value). Nothing was done."),
        (["predict"], "give a saved result, or a paper's constants by --published. Nothing was done."),
    ],
)
def test_misuse_is_one_line_with_the_value_and_a_way_on(run, words, said):
    code, out, err = run(*words)
    assert code == 2 and not out and err.startswith("scalefit: ") and err.count("\n") == 1
    assert said in err and "Nothing was done. See scalefit " in err


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("No such command 'fti'.", "No such command 'fti'. Did you mean 'fit', 'fix'?", "'fti'. Did you mean 'fit'?"),
        ("Missing argument 'TABLE'.", "Missing argument 'table'.", "Missing argument 'table'."),
        (
            "Invalid value for '--level' (env var: 'None'): 'lots' is not a valid float.",
            "Invalid value for '--level': 'lots' is not a valid number.",
            "Invalid value for '--level': 'lots' is not a valid number.",
        ),
        (
            "No such option: --lvel Did you mean --level?",
            "No such option: --lvel (Possible options: --help, --level)",
            "No such option: --lvel. Did you mean --level?",
        ),
        (
            "Got unexpected extra arguments (b c)",
            "Got unexpected extra argument(s) (b c)",
            "Got 2 unexpected extra arguments (b c): name the option that it is for, or quote a name with spaces.",
        ),
    ],
)
def test_misuse_reads_the_same_under_every_release_of_typer(old, new, said):
    table, level = (
        SimpleNamespace(name=name, opts=opts, secondary_opts=[])
        for name, opts in (("table", ["table"]), ("level", ["--level"]))
    )
    command = SimpleNamespace(params=[table, level], commands={"fit": None, "plan": None})
    named = {"Missing": table, "Invalid": level}.get(old.split()[0])
    for text in (old, new):
        error = SimpleNamespace(format_message=lambda text=text: text, param=named, __cause__=None, __context__=None)
        assert f"{said} Nothing was done. See scalefit fit --help." in told(error, command, ["fit"])


@pytest.mark.parametrize("words", [["laws"], ["datasets"], ["--help"], ["no-such-command", "--help"]])
def test_a_reader_that_goes_away_is_no_bad_input(words):
    there, end = os.pipe()
    os.close(there)
    done = subprocess.run([sys.executable, "-m", "scalefit", *words], stdout=end, stderr=subprocess.PIPE, text=True)
    os.close(end)
    wrong = words[0] == "no-such-command"
    assert done.returncode == (2 if wrong else 0) and done.stderr.count("\n") == wrong


@pytest.mark.parametrize("words", [["-h"], ["fit", "-h"]])
def test_help_has_its_short_name_everywhere(run, words):
    code, out, _ = run(*words)
    assert code == 0 and "Usage: scalefit" in out
