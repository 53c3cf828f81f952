"""Options and inputs that people try first: answered with what works, or with the option that was meant."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.cli import main


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    N, D = (a.ravel() for a in np.meshgrid(np.geomspace(5e7, 2e9, 5), np.geomspace(1e9, 4e10, 5)))
    loss = sf.published("chinchilla", "besiroglu2024").predict(N=N, D=D)
    loss = loss * np.exp(0.003 * np.random.default_rng(0).standard_normal(25))
    path = tmp_path_factory.mktemp("typed") / "runs.csv"
    pd.DataFrame({"n_params": N, "tokens": D, "val_loss": loss}).to_csv(path, index=False)
    return path


def said(capsys, *words):
    with pytest.raises(SystemExit) as left:
        main([str(word) for word in words])
    shown = capsys.readouterr()
    return left.value.code, " ".join((shown.out + shown.err).split())


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (("plan", "--compute", "1e22"), "Did you mean --C?"),
        (("plan", "--tokens", "2e11"), "Did you mean --D?"),
        (("plan", "--gpus", "64"), "Did you mean --devices?"),
        (("plan", "--flops", "1e22"), "a budget is --C 1e22"),
        (("next-runs", "--compute", "1e22"), "Did you mean --C?"),
        (("fit", "--alpha", "0.05"), "No such option"),
        (("predict", "--N", "10B", "--D", "200B"), "scalefit fit"),
        (("plan", "--C", "1e22", "--hardware", "a6000"), "--peak of one device"),
    ],
)
def test_the_option_that_was_meant_is_named(table, capsys, words, answer):
    code, text = said(capsys, words[0], table, *words[1:])
    assert code in (1, 2) and answer in text and "Traceback" not in text


def test_outputs_have_one_set_of_names_and_are_named(table, tmp_path, capsys):
    for flag in ("-o", "--out", "--save"):
        made = tmp_path / f"{flag.strip('-')}.json"
        code, text = said(capsys, "plan", table, "--C", "1e21", flag, made)
        assert code == 0 and f"Plan: {made}" in text and json.loads(made.read_text())["question"] == "C"
        fitted = tmp_path / f"{flag.strip('-')}_fit.json"
        assert said(capsys, "fit", table, flag, fitted)[0] == 0 and sf.load_result(fitted).n_runs == 25
    code, text = said(capsys, "plan", table, "--C", "1e21", "--plot", tmp_path / "p.png")
    assert code == 0 and f"Figure: {tmp_path / 'p.png'}" in text
    code, text = said(capsys, "forecast", table, "--plot", tmp_path / "f.png", "--out", tmp_path / "f.json")
    assert f"Forecast: {tmp_path / 'f.json'} Figure: {tmp_path / 'f.png'}" in text


def test_ten_times_the_largest_run(table, capsys):
    code, text = said(capsys, "forecast", table, "--at", "10x", "--json")
    found = json.loads(text)
    C = 6 * found["predictions"][0]["N"] * found["predictions"][0]["D"]
    assert code == 0 and C == pytest.approx(10 * found["largest_compute"], rel=1e-6)


def test_a_device_of_ones_own_and_its_currency(table, capsys):
    words = ("plan", table, "--C", "1e21", "--peak", "3.6e14", "--price", "2", "--currency", "EUR")
    code, text = said(capsys, *words)
    hours = 1e21 / (3.6e14 * 0.4 * 3600)
    assert code == 0 and f"{hours:,.0f} device-hours at 40% of peak, cost {2 * hours:,.0f} EUR" in text


def test_python_plans_from_a_table_or_a_saved_result(table, tmp_path):
    plan = sf.plan(table, C=1e21)
    assert plan.N_interval is not None and plan.N == pytest.approx(sf.plan(sf.fit(table), C=1e21).N)
    sf.fit(table).to_json(tmp_path / "fit.json")
    assert sf.plan(tmp_path / "fit.json", C=1e21).N == pytest.approx(plan.N)
    assert sf.plan(pd.read_csv(table), C=1e21).N == pytest.approx(plan.N)
    assert json.loads(plan.to_json(tmp_path / "plan.json")) == json.loads((tmp_path / "plan.json").read_text())
    with pytest.raises(ValueError, match="There is no file"):
        sf.plan("nowhere.csv", C=1e21)


def test_files_of_ones_own_are_written_again_and_others_need_force(table, tmp_path, capsys):
    plan, figure, other = tmp_path / "plan.json", tmp_path / "p.png", tmp_path / "o.png"
    other.write_text("notes")
    for _ in range(2):
        assert said(capsys, "plan", table, "--C", "1e21", "--out", plan, "--plot", figure)[0] == 0
    for words in (("plan", table, "--C", "1e21"), ("isoflop", table), ("entropy", table)):
        code, text = said(capsys, *words, "--plot", other)
        assert code == 1 and "--force" in text and other.read_text() == "notes"
    assert said(capsys, "plan", table, "--C", "1e21", "--plot", other, "--force")[0] == 0


def test_no_multiple_asks_for_no_run(table, capsys):
    code, text = said(capsys, "forecast", table, "--at", "0x")
    assert code == 1 and "not a multiple of the largest run" in text


def test_one_series_of_mixtures_is_chosen(tmp_path, capsys):
    rng = np.random.default_rng(0)
    shares = rng.dirichlet([2, 2], 24)
    frame = pd.DataFrame(shares, columns=["share_web", "share_code"])
    for name, row in {"web": [1, 0.3], "code": [0.2, 1]}.items():
        frame[f"loss_{name}"] = (1.8 + 0.9 * (shares @ row) ** -0.3) * np.exp(0.002 * rng.standard_normal(24))
    frame.loc[1::2, ["loss_web", "loss_code"]] += 1
    frame.assign(corpus=["a", "b"] * 12).to_csv(tmp_path / "mix.csv", index=False)
    words = ("mixture", tmp_path / "mix.csv", "--loss", "loss_*", "--series", "corpus", "--only", "a")
    code, text = said(capsys, *words)
    assert code == 0 and "Best mixture: " in text[:60] and "fitted to 12 mixtures of 2 domains" in text
    loss = float(re.search(r"Weighted loss of a run with it (\S+)", text)[1])
    assert abs(loss - 2.83) < 0.05 and "flat: The optimum is flat" in text  # corpus "b" has one nat more


def test_notes_speak_of_options_at_a_shell_and_of_arguments_in_python(tmp_path, capsys):
    LAW = sf.published("chinchilla", "besiroglu2024")
    N, D = (a.ravel() for a in np.meshgrid(np.geomspace(1e8, 1e10, 6), np.geomspace(2e9, 2e11, 6)))
    loss = LAW.predict(N=N, D=D) * np.where(np.arange(36) % 2, 1.04, 1.0)
    runs = pd.DataFrame({"N": N, "D": D, "loss": loss, "optimizer": np.where(np.arange(36) % 2, "adamw", "muon")})
    runs.to_csv(tmp_path / "two.csv", index=False)
    _, text = said(capsys, "fit", tmp_path / "two.csv")
    flat = " ".join(text.split())
    assert "read the table with --series optimizer and fit with --by series" in flat
    note = next(note for note in sf.fit(runs).notes if note.code == "mixed_runs")
    assert "with series='optimizer' and fit with by='series'" in note.message


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (("forecast", "runs.csv", "--N", "7B"), "a point to predict is --at N=7B,D=..."),
        (("forecast", "runs.csv", "--N", "7B", "--D", "2T"), "a point to predict is --at N=7B,D=2T"),
        (("plan", "runs.csv", "1e22"), "(1e22): name the option that it is for"),
        (("plan", "--published", "besiroglu2024", "--C", "1e22", "--level", "95"), "write 0.95 for 95 %"),
        (("fit", "-"), "Read a pipe as /dev/stdin"),
    ],
)
def test_a_value_in_the_wrong_place_is_told_where_it_goes(run, words, answer):
    code, _, err = run(*words)
    assert code in (1, 2) and answer in err
