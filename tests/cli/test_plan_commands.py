"""scalefit plan, isoflop and next-runs, as a shell sees them."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import scalefit as sf


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
    out = " ".join(out.split())
    assert code == 0 and "ratio held at 40" in out and "days on 64 devices" in out and "cost " in out
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
    approaches = json.loads(out)["approaches"]
    assert code == 0 and {row["approach"] for row in approaches} >= {"isoflop local", "law chinchilla"}
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


COMMANDS = {
    "fit": (),
    "forecast": (),
    "compare": ("--law", "chinchilla"),
    "isoflop": (),
    "plan": ("--C", "1e21", "--bootstrap", 0),
    "next-runs": ("--budget", "1e20"),
    "report": (),
}


@pytest.fixture
def odd(table, tmp_path):
    path = tmp_path / "odd.csv"
    pd.read_csv(table).rename(columns={"params": "weights_total", "loss": "final"}).to_csv(path, index=False)
    return path


def same(found, expected):
    """Whether two documents agree, their numbers to eight digits.

    The last bits hang on where an array is in memory (numpy 1.26), and the ends of a flat optimum, where the loss is
    nearly the same, show them in the ninth digit.
    """
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(same(found[key], value) for key, value in expected.items())
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(same, found, expected))
    return found == (pytest.approx(expected, rel=1e-8) if isinstance(expected, float) else expected)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_that_reads_a_table_takes_columns_by_name(run, table, odd, tmp_path, command):
    """As --column NAME=COLUMN everywhere, and as --NAME where the command means nothing else by it."""
    words = [*COMMANDS[command], *(("--out", tmp_path / "r.html") if command == "report" else ()), "--json"]
    code, usual, _ = run(command, table, *words)
    assert code == 0
    forms = [("--column", "N=weights_total", "--column", "loss=final")]
    if command == "next-runs":
        forms.append(("--N", "weights_total", "--loss", "final"))
    elif command != "plan":
        forms.append(("--N", "weights_total", "--column", "loss=final"))
    for form in forms:
        code, out, err = run(command, odd, *words, *form)
        assert code == 0, err
        found, expected = json.loads(out), json.loads(usual)
        for varying in ("notes", "conventions", "bytes", "data"):  # they say how the columns were found
            found.pop(varying, None), expected.pop(varying, None)
        assert same(found, expected)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("isoflop", "--column", "colour=red"), "'colour' is not a column or convention"),
        (("isoflop", "--column", "N"), "cannot be read"),
        (("isoflop", "--column", "N=a", "--column", "N=b"), "given twice"),
        (("isoflop", "--N", "a", "--column", "N=b"), "N is named twice"),
        (("isoflop", "--curves", "c.csv"), "needs --all"),
        (("isoflop", "--all", "--plot", "c.png"), "draws one method"),
        (("plan", "--C", "1e21", "--series", "a"), "--only"),
        (("next-runs", "--budget", "1e20", "--series", "a"), "--only"),
    ],
)
def test_usage_errors_say_what_is_wrong(run, table, words, said):
    code, out, err = run(words[0], table, *words[1:])
    assert code == 2 and not out and said in " ".join(err.replace("│", " ").split())


def test_options_that_belong_to_a_table_are_refused_beside_a_result(run, table, tmp_path):
    saved = tmp_path / "law.json"
    sf.fit(sf.read_runs(table)).to_json(saved)
    for words in (("--column", "N=params"), ("--params", "matrices")):
        code, _, err = run("plan", saved, "--C", "1e21", *words)
        assert code == 2 and words[-1].split("=")[-1] in err
    code, _, err = run("plan", saved, "--C", "1e21", "--law", "kaplan")
    assert code == 1 and "the law given is 'kaplan'" in err
    code, _, err = run("plan", table, "--published", "hoffmann2022", "--C", "1e21")
    assert code == 1 and "both given" in err


def test_one_series_of_a_table_can_be_chosen_everywhere(run, table, tmp_path):
    runs = pd.read_csv(table)
    both = pd.concat([runs.assign(series="a"), runs.assign(series="b", loss=1.2 * runs["loss"])])
    both.to_csv(tmp_path / "both.csv", index=False)
    for command, words in COMMANDS.items():
        page = ("--out", tmp_path / "r.html") if command == "report" else ()
        code, out, _ = run(command, tmp_path / "both.csv", "--only", "a", *words, *page, "--json")
        assert code == 0
        if command in ("isoflop", "plan", "next-runs"):
            assert same(json.loads(out), json.loads(run(command, table, *words, "--json")[1]))
    code, _, err = run("plan", tmp_path / "both.csv", "--only", "c", "--C", "1e21")
    assert code == 1 and "It has a, b" in err


def test_isoflop_prints_at_the_level_asked(run, table):
    assert "80% [" in run("isoflop", table, "--level", 0.8)[1]


def test_serving_has_a_price_of_its_own(run, table):
    words = ["plan", "--published", "besiroglu2024", "--C", "1e22", "--inference-tokens", "1T", "--hardware", "H100"]
    dear = json.loads(run(*words, "--price", 2, "--serving-price", 8, "--json")[1])
    cheap = json.loads(run(*words, "--price", 2, "--json")[1])
    assert dear["N"] < cheap["N"]


def test_envelope(run, tmp_path):
    N, C = np.meshgrid(np.geomspace(1e7, 1e10, 8), np.geomspace(1e17, 1e22, 30), indexing="ij")
    D = C / (6 * N)
    loss = sf.published("chinchilla", "besiroglu2024").predict(N=N, D=D)
    name = np.repeat([f"run {k}" for k in range(8)], 30)
    curves = pd.DataFrame({"exp": name, "size": N.ravel(), "tokens": D.ravel(), "loss": loss.ravel()})
    path, figure = tmp_path / "curves.csv", tmp_path / "envelope.png"
    curves.to_csv(path, index=False)
    expected = sf.envelope(curves.rename(columns={"exp": "run", "size": "N", "tokens": "D"}), n_budgets=20)
    words = ("envelope", path, "--run", "exp", "--N", "size", "--n-budgets", 20)
    code, out, err = run(*words, "--json", "--plot", figure)
    assert code == 0, err
    assert json.loads(out)["exponent_N"] == pytest.approx(expected.exponent_N, rel=1e-9)
    assert json.loads(out)["method"] == "envelope" and figure.stat().st_size > 10_000
    code, out, _ = run(*words, "--method", "lowest", "--level", 0.8)
    assert code == 0 and "80% [" in out and "envelope, lowest curve" in out
    code, _, err = run(*words[:2], "--run", "trial")
    assert code == 1 and "no column 'trial'" in err and "exp" in err


def test_every_road_with_curves(run, table, tmp_path):
    N, C = np.meshgrid(np.geomspace(1e7, 1e10, 8), np.geomspace(1e17, 1e22, 30), indexing="ij")
    loss = sf.published("chinchilla", "besiroglu2024").predict(N=N, D=C / (6 * N))
    path = tmp_path / "curves.csv"
    pd.DataFrame({"N": N.ravel(), "D": (C / (6 * N)).ravel(), "loss": loss.ravel()}).to_csv(path, index=False)
    approaches = json.loads(run("isoflop", table, "--all", "--curves", path, "--json")[1])["approaches"]
    assert next(row for row in approaches if row["approach"] == "envelope")["exponent_N"] == pytest.approx(
        0.5126, abs=0.02
    )


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--C", "1e21", "--price", 2), "--price: it has no effect without --hardware or --peak"),
        (("--C", "1e21", "--mfu", 0.3), "--mfu: it has no effect without --hardware or --peak"),
        (("--C", "1e21", "--currency", "EUR"), "--currency: it has no effect without --hardware or --peak"),
        (("--money", 100), "--money: it needs --hardware or --peak"),
        (("--hours", 3, "--C", "1e21", "--hardware", "h100"), "--hours: a budget and --C are two questions"),
        (("--hours", 3, "--N", "1e9", "--hardware", "h100"), "--hours: a budget and --N are two questions"),
        (("--hours", 3, "--money", 3, "--hardware", "h100"), "compute follows from one of them"),
        (("--money", 3, "--hardware", "h100"), "a device-hour has no price here"),
    ],
)
def test_a_budget_or_a_price_without_its_hardware_is_refused_in_one_line(run, words, why):
    code, out, err = run("plan", "--published", "hoffmann2022_tex", *words)
    assert code in (1, 2) and out == "" and why in err and err.count("\n") == 1


def test_hours_are_a_budget_by_the_default_share_of_the_peak(run):
    words = ("plan", "--published", "hoffmann2022_tex", "--json")
    code, out, _ = run(*words, "--hours", 1000, "--peak", "1e15")
    assert code == 0 and json.loads(out)["C"] == pytest.approx(1000 * 3600 * 1e15 * 0.4)
