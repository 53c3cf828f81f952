"""scalefit plan, isoflop and next-runs, as a shell sees them."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.cli import main


@pytest.fixture
def run(capsys):
    def call(*words):
        with pytest.raises(SystemExit) as stop:
            main([str(word) for word in words])
        done = capsys.readouterr()
        assert "Traceback" not in done.err + done.out
        return stop.value.code, done.out, done.err

    return call


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    C, share = (a.ravel() for a in np.meshgrid([1e18, 1e19, 1e20], np.geomspace(0.2, 5, 9), indexing="ij"))
    N = share * 0.0478 * C**0.5126
    loss = sf.published("chinchilla", "besiroglu2024").predict(N=N, D=C / (6 * N))
    loss = loss * np.exp(0.002 * np.random.default_rng(0).standard_normal(N.size))
    path = tmp_path_factory.mktemp("table") / "runs.csv"
    pd.DataFrame({"params": N, "tokens": C / (6 * N), "flops": C, "loss": loss}).to_csv(path, index=False)
    return path


def test_plan_from_published_constants(run):
    code, out, _ = run("plan", "--published", "hoffmann2022_tex", "--C", "5.76e23", "--json")
    plan = json.loads(out)
    assert code == 0 and plan["tokens_per_param"] == pytest.approx(58.93, abs=0.02) and plan["N_interval"] is None
    code, out, _ = run("plan", "--published", "hoffmann2022_tex", "--C", "5.76e23")
    assert code == 0 and "58.93 tokens per parameter" in out and "no intervals for N and D" in out


def test_plan_from_a_table_and_from_a_saved_result(run, table, tmp_path):
    code, out, _ = run("plan", table, "--C", "1e21", "--bootstrap", 50, "--json")
    plan = json.loads(out)
    assert code == 0 and plan["N_interval"][0] < plan["N"] < plan["N_interval"][1]
    saved = tmp_path / "law.json"
    sf.fit(sf.read_runs(table)).to_json(saved)
    code, out, _ = run("plan", saved, "--C", "1e21", "--bootstrap", 0, "--json")
    assert code == 0 and json.loads(out)["N"] == pytest.approx(plan["N"])


def test_plan_takes_every_option(run, table, tmp_path):
    figure = tmp_path / "plan.png"
    words = ["plan", table, "--loss", 2.6, "--hold", "ratio=40", "--inference-tokens", "1T", "--unique-tokens", "1T"]
    words += ["--hardware", "h100", "--price", 2, "--devices", 64, "--bootstrap", 20, "--plot", figure]
    code, out, _ = run(*words)
    assert code == 0 and "ratio held at 40" in out and "days on 64" in out and "in money" in out
    assert figure.stat().st_size > 10_000


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--C", "1e40"], "more than anybody can train"),
        (["--C=-1"], "positive"),
        ([], "Exactly one of"),
        (["--C", "1e21", "--loss", "2"], "Exactly one of"),
        (["--C", "1e21", "--hardware", "abacus"], "no device"),
    ],
)
def test_bad_questions_end_in_one_line(run, words, said):
    code, out, err = run("plan", "--published", "besiroglu2024", *words)
    assert code == 1 and said in err and err.startswith("scalefit: ") and not out


def test_plan_without_any_source(run):
    code, _, err = run("plan", "--C", "1e21")
    assert code == 1 and "one of them" in err


def test_isoflop(run, table, tmp_path):
    figure = tmp_path / "curves.png"
    code, out, _ = run("isoflop", table, "--method", "local", "--plot", figure)
    assert code == 0 and "N* ~ C^0.5" in out and figure.stat().st_size > 10_000
    code, out, _ = run("isoflop", table, "--json", "--level", 0.8)
    document = json.loads(out)
    assert code == 0 and len(document["optima"]) == 3 and document["level"] == 0.8
    assert run("isoflop", table, "--method", "quartic")[0] == 2


def test_every_road(run, table):
    code, out, _ = run("isoflop", table, "--all", "--json")
    roads = json.loads(out)["roads"]
    assert code == 0 and {row["road"] for row in roads} >= {"isoflop local", "law chinchilla"}
    code, out, _ = run("isoflop", table, "--all")
    assert code == 0 and "exponents of N" in out


def test_next_runs(run, table, tmp_path):
    out_file = tmp_path / "next.csv"
    code, out, _ = run("next-runs", table, "--budget", "1e20", "--out", out_file, "--n-runs", 3)
    assert code == 0 and "should fall from" in out
    runs = pd.read_csv(out_file)
    assert list(runs.columns) == ["N", "D", "C", "gain"] and runs["C"].sum() <= 1e20
    code, out, _ = run("next-runs", table, "--budget", "1e20", "--target", "E", "--json")
    assert code == 0 and json.loads(out)["target"] == "E"
    assert run("next-runs", table)[0] == 2


def test_columns_can_be_named(run, table, tmp_path):
    other = tmp_path / "odd.csv"
    pd.read_csv(table).rename(columns={"params": "weights_total", "loss": "final"}).to_csv(other, index=False)
    named = ["--column", "N=weights_total", "--column", "loss=final"]
    assert run("isoflop", other, *named)[0] == 0
    assert run("next-runs", other, "--budget", "1e20", *named)[0] == 0
