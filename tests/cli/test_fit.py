"""scalefit fit, predict and laws, as a shell sees them: text, JSON, files and exit codes."""

from __future__ import annotations

import inspect
import json
import os
import re

import numpy as np
import pandas as pd
import pytest

import scalefit as sf


def simulate(n=60, seed=0, noise=0.004):
    rng = np.random.default_rng(seed)
    N, D = 10 ** rng.uniform(7.5, 10, n), 10 ** rng.uniform(9, 11.5, n)
    loss = sf.published("chinchilla", "besiroglu2024").predict(N=N, D=D) * np.exp(noise * rng.standard_normal(n))
    return pd.DataFrame({"N": N, "D": D, "loss": loss})


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "runs.csv"
    simulate().to_csv(path, index=False)
    return path


def test_fit_prints_verdict_parameters_and_notes(run, table):
    code, out, _ = run("fit", table)
    assert code == 0
    assert "TRUST:" in out and "90 % interval" in out
    assert all(re.search(rf"^{name} ", out, re.M) for name in ("E", "A", "alpha", "B", "beta"))


def test_json_is_one_document_with_the_public_names(run, table):
    code, out, _ = run("fit", table, "--json")
    document = json.loads(out)
    result = sf.fit(sf.read_runs(table))
    assert code == 0
    assert document["params"] == pytest.approx(result.params.to_dict(), rel=1e-9)
    assert document["std_errors"] == pytest.approx(result.std_errors.to_dict(), rel=1e-6)
    assert document["objective_value"] == pytest.approx(result.objective_value, rel=1e-9)
    assert document["n_runs"] == 60 and document["trusted"] is True and document["success"] is True
    interval = result.conf_int()
    for side in ("lower", "upper"):
        assert document["intervals"][side] == pytest.approx(interval[side].to_dict(), rel=1e-6)
    assert {"code", "severity", "message", "details"} <= set(document["notes"][0])
    assert document["certificate"]["n_agree"] >= 3 and document["conventions"]["loss_unit"] == "nat/token"


def test_options_reach_the_fit(run, table):
    options = ["--fix", "E=1.7", "--tie", "beta=alpha", "--objective", "squared", "--on", "loss", "--level", "0.8"]
    code, out, _ = run("fit", table, *options, "--json")
    document = json.loads(out)
    result = sf.fit(sf.read_runs(table), objective="squared", on="loss", fixed={"E": 1.7}, tied={"beta": "alpha"})
    assert code == 0
    assert document["params"] == pytest.approx(result.params.to_dict(), rel=1e-9)
    assert document["params"]["E"] == 1.7 and document["params"]["alpha"] == document["params"]["beta"]
    assert document["objective"] == "squares on loss" and document["intervals"]["level"] == 0.8


def test_bounds_priors_and_delta_reach_the_fit(run, table):
    code, out, _ = run("fit", table, "--bound", "E=0:1.5", "--json")
    assert json.loads(out)["params"]["E"] == pytest.approx(1.5)
    assert json.loads(out)["certificate"]["at_bound"] == ["E"]
    code, out, _ = run("fit", table, "--prior", "E=1.5:0.001", "--delta", "0.01", "--json")
    document = json.loads(out)
    assert document["params"]["E"] == pytest.approx(1.5, abs=0.02) and document["objective"].startswith("Huber(0.01)")


def test_columns_are_named_on_the_command_line(run, tmp_path):
    runs = simulate()
    odd = pd.DataFrame({"width": runs["N"] / 1e6, "words": runs["D"], "ce": runs["loss"] / np.log(2)})
    odd["width"] = [f"{value}M" for value in odd["width"]]
    odd.to_csv(tmp_path / "odd.tsv", sep="\t", index=False)
    options = ("--N", "width", "--D", "words", "--loss", "ce", "--loss-unit", "bit/token", "--params", "non_embedding")
    code, out, _ = run("fit", tmp_path / "odd.tsv", *options, "--json")
    document = json.loads(out)
    assert code == 0
    assert document["params"] == pytest.approx(sf.fit(runs).params.to_dict(), rel=1e-5)
    assert document["conventions"]["params"] == "non_embedding"


def test_bootstrap_is_reproducible_and_replaces_the_errors(run, table):
    first = json.loads(run("fit", table, "--bootstrap", "50", "--seed", "3", "--json")[1])
    again = json.loads(run("fit", table, "--bootstrap", "50", "--seed", "3", "--json")[1])
    assert first == again
    assert first["intervals"]["method"] == "bootstrap" and first["bootstrap"]["n"] == 50


def test_bootstrap_by_cluster(run, tmp_path):
    runs = simulate().assign(trajectory=[f"t{k // 4}" for k in range(60)])
    runs.to_csv(tmp_path / "runs.csv", index=False)
    code, out, _ = run("fit", tmp_path / "runs.csv", "--bootstrap", "40", "--cluster", "trajectory", "--json")
    assert code == 0 and json.loads(out)["bootstrap"]["clusters"] is True
    code, _, err = run("fit", tmp_path / "runs.csv", "--bootstrap", "40", "--cluster", "lineage")
    assert code == 1 and "no column 'lineage'" in err


def test_several_series(run, tmp_path):
    runs = pd.concat([simulate(seed=k).assign(series=name) for k, name in enumerate(("pile", "c4/en"))])
    path = tmp_path / "runs.csv"
    runs.to_csv(path, index=False)
    code, _, err = run("fit", path)
    assert code == 1 and "pile" in err and "--by series" in err
    code, out, _ = run("fit", path, "--by", "series", "--json", "--save", tmp_path / "r.json")
    assert code == 0 and set(json.loads(out)["series"]) == {"pile", "c4/en"}
    assert (tmp_path / "r-pile.json").exists() and (tmp_path / "r-c4_en.json").exists()
    code, out, _ = run("fit", path, "--by", "shared", "--json")
    assert code == 0 and {"E[pile]", "E[c4/en]", "alpha"} <= set(json.loads(out)["params"])
    assert run("fit", path, "--by", "pool")[0] == 0


def test_series_whose_names_read_alike_keep_a_file_each(run, tmp_path):
    runs = pd.concat([simulate(seed=k).assign(series=name) for k, name in enumerate(("c4/en", "c4_en"))])
    runs.to_csv(tmp_path / "runs.csv", index=False)
    code, out, _ = run("fit", tmp_path / "runs.csv", "--by", "series", "--save", tmp_path / "r.json")
    files = sorted(path.name for path in tmp_path.glob("r-*.json"))
    assert code == 0 and files == ["r-c4_en-2.json", "r-c4_en.json"] and all(name in out for name in files)
    assert {round(sf.load_result(tmp_path / name).params["E"], 6) for name in files} == {
        round(sf.fit(part).params["E"], 6) for part in (simulate(seed=0), simulate(seed=1))
    }


def test_save_then_predict(run, table, tmp_path):
    saved = tmp_path / "result.json"
    code, out, _ = run("fit", table, "--save", saved, "--plot", tmp_path / "fit.png")
    assert code == 0 and str(saved) in out
    assert (tmp_path / "fit.png").read_bytes().startswith(b"\x89PNG")
    code, out, _ = run("predict", saved, "--N", "1B", "--D", "20B", "--D", "40B", "--level", "0.8", "--json")
    document = json.loads(out)
    frame = sf.load_result(saved).predict_interval(N=[1e9, 1e9], D=[2e10, 4e10], level=0.8)
    assert code == 0 and document["level"] == 0.8
    for name in ("loss", "lower", "upper"):
        assert [row[name] for row in document["predictions"]] == pytest.approx(frame[name].tolist(), rel=1e-12)
    assert "loss" not in document  # there are two
    code, out, _ = run("predict", saved, "--at", "N=1B,D=20B", "--level", "0.8", "--json")
    alone = json.loads(out)
    assert code == 0 and [alone[name] for name in ("loss", "lower", "upper")] == frame.iloc[0, :3].tolist()
    code, out, _ = run("predict", saved, "--at", "N=1B,D=20B")
    assert code == 0 and "90 % interval [" in out
    code, out, _ = run("predict", saved, "--N", "1T", "--D", "20T")
    assert code == 0 and "extrapolation" in out


def test_predict_reads_every_saved_kind_and_says_what_it_predicts(run, table, tmp_path):
    loss, error = sf.published("chinchilla", "besiroglu2024"), sf.published("downstream_error", "ours_c4")
    sf.chain(loss, error).to_json(tmp_path / "chain.json")
    code, out, _ = run("predict", tmp_path / "chain.json", "--N", "1B", "--D", "20B")
    value = error.predict(val_loss=loss.predict(N=1e9, D=2e10))
    assert code == 0 and f"error {value:.4f}  90 % interval not known" in out
    code, out, _ = run("predict", "--law", "downstream_error", "--published", "ours_c4", "--at", "val_loss=2.5")
    assert code == 0 and out.startswith(f"val_loss 2.5  error {error.predict(val_loss=2.5):.4f}\n")
    runs = pd.read_csv(table)
    sf.fit(runs.rename(columns={"loss": "val_bpb"}), loss="val_bpb").to_json(tmp_path / "bits.json")
    code, out, _ = run("predict", tmp_path / "bits.json", "--N", "1B", "--D", "20B")
    assert code == 0 and "] bit/byte\n" in out and "nat/token" not in out
    web = np.linspace(0.05, 0.95, 20)
    losses = {"loss_web": 2 + np.exp(-2 * web), "loss_code": 1 + np.exp(1.5 * web)}
    several = sf.fit({"share_web": web, "share_code": 1 - web, **losses}, "data_mixing", loss=list(losses))
    several.to_json(tmp_path / "fits.json")
    code, _, err = run("predict", tmp_path / "fits.json", "--at", "r_web=0.5,r_code=0.5")
    assert code == 1 and "holds fits of several losses; nothing was predicted." in err


def test_predict_from_published_constants(run):
    code, out, _ = run("predict", "--law", "chinchilla", "--published", "hoffmann2022_tex", "--N", "70B", "--D", "1.4T")
    assert code == 0 and "1.9208" in out and "arXiv:2203.15556" in out
    words = ("predict", "--law", "chinchilla", "--published", "hoffmann2022_tex", "--N", "70e9", "--C", "5.88e23")
    code, out, _ = run(*words, "--json")
    assert code == 0 and json.loads(out)["predictions"][0]["loss"] == pytest.approx(1.92085, abs=1e-5)
    assert json.loads(out)["loss"] == json.loads(out)["predictions"][0]["loss"]
    code, _, err = run("predict", "--law", "chinchilla", "--published", "nobody1999", "--N", "7B", "--D", "2T")
    assert code == 1 and "hoffmann2022" in err


def test_a_fit_that_must_not_be_trusted_exits_with_3(run, tmp_path):
    # Sizes so close fix no exponent: alpha and E trade off along a curve.
    N, D = (a.ravel() for a in np.meshgrid([1e8, 1.05e8, 1.1e8], np.geomspace(1e9, 1e11, 8)))
    loss = sf.published("chinchilla", "besiroglu2024").predict(N=N, D=D)
    noise = np.exp(0.01 * np.random.default_rng(0).standard_normal(N.size))
    path = tmp_path / "two_sizes.csv"
    pd.DataFrame({"N": N, "D": D, "loss": loss * noise}).to_csv(path, index=False)
    saved = tmp_path / "result.json"
    code, out, _ = run("fit", path, "--save", saved)
    assert code == 3 and "TRUST: NO" in out
    assert run("fit", path, "--json")[0] == 3
    code, _, err = run("predict", saved, "--N", "1B", "--D", "20B")
    assert code == 3 and "Do not trust" in err


def test_refusals_are_one_line_and_exit_code_1(run, tmp_path):
    N = np.geomspace(1e7, 1e10, 20)
    path = tmp_path / "chinchilla_ratio.csv"
    pd.DataFrame({"N": N, "D": 20 * N, "loss": 1.7 + 400 * N**-0.34}).to_csv(path, index=False)
    code, out, err = run("fit", path)
    assert code == 1 and out == "" and "20 tokens per parameter" in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "content",
    [None, b"", os.urandom(4096), b"N,D\n1,2\n", b"N,D,loss\n", b"[1,2", b"N,D,loss\n1e9,2e10,nan\n-1,2,3\nx,y,z\n"],
    ids=["missing", "empty", "binary", "no_loss", "header_only", "cut_json", "no_usable_row"],
)
def test_bad_files_end_in_one_line(run, tmp_path, content):
    path = tmp_path / ("bad.json" if content == b"[1,2" else "bad.csv")
    if content is not None:
        path.write_bytes(content)
    code, out, err = run("fit", path)
    assert code == 1 and out == ""
    assert [line for line in err.splitlines() if line.startswith("scalefit: ")] == [err.strip().splitlines()[-1]]


@pytest.mark.parametrize(
    "words",
    [
        ["--fix", "E"],
        ["--fix", "E=much"],
        ["--fix", "E=1", "--fix", "E=2"],
        ["--bound", "E=3"],
        ["--objective", "cubed"],
        ["--level", "95"],
        ["--bootstrap", "1"],
        ["--cluster", "run"],
        ["--by", "colour"],
        ["--no-such-option"],
    ],
    ids=" ".join,
)
def test_usage_errors_exit_with_2(run, table, words):
    code, out, err = run("fit", table, *words)
    assert code == 2 and out == "" and err


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--law", "chinchila"], "chinchilla"),
        (["--fix", "gamma=1"], "gamma"),
        (["--tie", "beta=import os"], "beta"),
        (["--delta", "-1"], "delta"),
        (["--plot", "fit.exe"], "no format '.exe'"),
        (["--save", "no/such/folder/r.json"], "no/such/folder"),
        (["--loss", "perplexity"], "perplexity"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_bad_values_exit_with_1_and_name_what_was_wrong(run, table, words, part):
    code, _, err = run("fit", table, *words)
    assert code == 1 and part in err.strip().splitlines()[-1]


@pytest.mark.parametrize(
    "words",
    [[], ["--N", "7B"], ["--law", "chinchilla"], ["--at", "N=7B", "--N", "7B"], ["--at", "N=7B", "--at", "D=2T"]],
    ids=lambda words: " ".join(words) or "nothing",
)
def test_predict_usage(run, table, tmp_path, words):
    saved = tmp_path / "r.json"
    sf.fit(sf.read_runs(table)).to_json(saved)
    code, _, err = run("predict", *([] if "--law" in words or not words else [saved]), *words)
    assert code in (1, 2) and err


def test_laws_are_listed_with_sources(run):
    code, out, _ = run("laws")
    assert code == 0 and all(name in out for name in sf.laws.names())
    code, out, _ = run("laws", "chinchilla")
    assert code == 0 and "arXiv:2203.15556" in out and "irreducible loss [nat/token]" in out
    document = json.loads(run("laws", "--json")[1])
    assert [law["name"] for law in document["laws"]] == sf.laws.names()
    assert run("laws", "no_such_law")[0] == 1


def test_laws_at_a_point(run):
    code, out, _ = run("laws", "--at", "N=7B,D=200B", "--json")
    document = json.loads(out)
    shown = {(row["law"], row["key"]): row["loss"] for row in document["available"]}
    assert code == 0 and ("chinchilla", "hoffmann2022") in shown and ("distillation", "busbridge2025") not in shown
    for law in sf.laws.available(N=7e9, D=2e11):
        if set(law.law.inputs) == {"N", "D"} and law.law.target.is_loss:
            assert shown[law.law.name, law.constants.key] == pytest.approx(law.predict(N=7e9, D=2e11))
    assert "No published law" in run("laws", "--at", "N=1e15,D=1e18")[1]
    assert run("laws", "--at", "N=7B")[0] == 2


def test_the_bar_counts_refits_on_a_terminal(monkeypatch):
    """After a second of work the bar is drawn; before that nothing is written."""
    import io
    import time

    from scalefit.cli import _shared

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv("TERM", "xterm")

    def wait_for(words):
        deadline = time.monotonic() + 60
        while words not in screen.getvalue():
            assert time.monotonic() < deadline, f"{words!r} was not drawn"
            time.sleep(0.01)

    with _shared.working("Refitting"):
        pass
    assert screen.getvalue() == ""
    monkeypatch.setattr(_shared, "_PATIENCE", 0.0)
    with _shared.working("Refitting") as progress:
        progress(1, 4)
        wait_for("25%")
        progress(2, 4)
        wait_for("50%")
    assert "Refitting" in screen.getvalue()


#: Commands that read and print what is there, and `train`, which has a bar of its own.
AT_ONCE = {"advise", "datasets", "laws", "predict", "score", "sweep status", "train"}


def test_every_command_that_computes_shows_that_it_works():
    from scalefit.cli import build_app

    def commands(app, before=""):
        for item in app.registered_commands:
            yield before + (item.name or item.callback.__name__), inspect.getsource(inspect.unwrap(item.callback))
        for group in app.registered_groups:
            yield from commands(group.typer_instance, f"{group.name} ")

    silent = {name for name, source in commands(build_app()) if "working(" not in source}
    assert silent == AT_ONCE


def test_refits_report_their_progress():
    seen = []
    result = sf.fit(simulate(200))
    result.bootstrap(300, seed=0, progress=lambda done, total: seen.append((done, total)))
    assert [total for _, total in seen] == [300] * len(seen)
    done = [value for value, _ in seen]
    assert done == sorted(done) and done[-1] == 300
