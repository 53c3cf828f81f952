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


def test_a_multiple_of_the_largest_run_is_read_wherever_a_run_is_asked_for(table, tmp_path, capsys):
    """10 times the compute means the same run in predict, plan, next-runs and forecast."""
    result, most = sf.fit(table), 6 * 2e9 * 4e10
    saved = tmp_path / "r.json"
    result.to_json(saved)
    plan = sf.plan(result, C="10x")
    assert plan.C == pytest.approx(10 * most) and plan.N == pytest.approx(sf.plan(result, C=10 * most).N)
    assert sf.plan(result, C=["1x", "2e22"])["C"].tolist() == pytest.approx([most, 2e22])
    assert result.predict(N="2x", D="0.5x") == pytest.approx(result.predict(N=4e9, D=2e10))
    row, same = (result.predict_interval(N=n, D=1e10).iloc[0] for n in ("2 ×", 4e9))
    assert row.tolist() == pytest.approx(same.tolist())
    chosen = sf.next_runs(result, budget="0.1x", n_runs=2)
    assert chosen.equals(sf.next_runs(result, budget=0.1 * most, n_runs=2))
    forecast = sf.forecast(table)
    assert forecast.predict(N="2x", D=8e10) == pytest.approx(forecast.predict(N=4e9, D=8e10))
    assert forecast.plot(at="10x").figure is not None
    code, text = said(capsys, "predict", saved, "--at", "10x")
    assert code == 0 and f"N {plan.N / 1e9:.3g}B D {plan.D / 1e9:.3g}B" in text
    code, text = said(capsys, "predict", saved, "--N", "2x", "--D", "80B")
    assert code == 0 and "N 4B D 80B" in text
    code, text = said(capsys, "plan", saved, "--C", "10x")
    assert code == 0 and "C = 4.8e+21 FLOP" in text
    code, text = said(capsys, "next-runs", saved, "--budget", "0.1x")
    assert code == 0 and "gain" in text
    code, text = said(capsys, "plan", "--published", "besiroglu2024", "--C", "10x")
    assert code == 1 and "--C 10x is a multiple of the largest run, and its C is not known here" in text


def test_multiples_of_the_largest_cell_or_recipe(tmp_path, capsys):
    N, D, step = (a.ravel() for a in np.meshgrid([5e7, 1e8, 2e8], [2e9, 8e9, 3e10], range(5)))
    best = 1.79 * N**-0.713 * D**0.307
    lr = 2e-3 * 2.0 ** (np.round(np.log2(best / 2e-3)) + step - 2)
    noise = 0.001 * np.random.default_rng(0).standard_normal(N.size)
    sweep = tmp_path / "lr.csv"
    loss = 2 + 400 * N**-0.35 + 0.03 * np.log(lr / best) ** 2 + noise
    pd.DataFrame({"N": N, "D": D, "lr": lr, "loss": loss}).to_csv(sweep, index=False)
    code, text = said(capsys, "hyperparameters", sweep, "--of", "lr", "--at", "10x")
    assert code == 0 and text.count("632M") >= 2 and "94.9B" in text  # as in the first line
    code, text = said(capsys, "laws", "--at", "10x")
    assert code == 2 and "must read N=7e9,D=2e12" in text


def test_compute_as_people_state_it(table, capsys):
    code, text = said(capsys, "plan", table, "--C", "100 PF-days")
    assert code == 0 and "C = 8.64e+21 FLOP" in text
    for typed in ("100k GPU hours", "$50000", "3 days"):
        code, text = said(capsys, "plan", table, "--C", typed)
        assert code == 1 and "depends on the device" in text and "--hours 1e5 --hardware h100" in text


def test_tables_of_few_columns_are_sent_to_what_reads_them(tmp_path, capsys):
    small = tmp_path / "few.csv"
    for text, words in (
        ("flops,loss\n1e18,3.2\n1e19,2.9\n", "--law power_law:C is a law of C alone"),
        ("params,loss\n10M,3.2\n20M,2.9\n", "--law power_law:N is a law of N alone"),
        ("learning_rate,loss\n1e-4,3.5\n1e-3,3.4\n", "one size of all runs is a number, --N 124M"),
    ):
        small.write_text(text)
        code, answer = said(capsys, "fit", small)
        assert code == 1 and words in answer
    frame = pd.DataFrame({"N": [1e8, 2e8], "D": [2e9, 4e9], "ppl": [30.0, 20.0]})
    assert sf.read_runs(frame, loss_unit="perplexity")["loss"].tolist() == pytest.approx(np.log([30.0, 20.0]))


def test_a_published_law_in_the_place_of_a_result_says_how_to_take_it():
    for name in ("chinchilla", "besiroglu2024"):
        with pytest.raises(sf.DataError, match=rf"sf\.published\('{name}'\)"):
            sf.plan(name, C=1e22)
    with pytest.raises(sf.DataError, match="no file"):
        sf.plan("missing.csv", C=1e22)


def test_counts_are_read_as_people_write_them(table, tmp_path, capsys):
    log = tmp_path / "log.csv"
    steps = np.arange(500, 8001, 500)
    pd.DataFrame({"step": steps, "val_loss": 2.8 + 9 / steps**0.4}).to_csv(log, index=False)
    code, text = said(capsys, "advise", log, "--total-steps", "20k")
    assert code == 0 and "The run is to have 20000 steps" in text
    page = tmp_path / "page.html"
    assert said(capsys, "report", log, "--live", "--total-steps", "20k", "--out", page)[0] == 0 and page.exists()
    code, text = said(capsys, "advise", log, "--total-steps", "20q")
    assert code == 2 and "'20q' is not a whole number of 1 or more, such as 20000 or 20k" in text
    assert said(capsys, "advise", log, "--total-steps", "0")[0] == 2
    assert said(capsys, "fit", table, "--max-rows", "1k")[0] == 0
    code, text = said(capsys, "fit", table, "--max-bytes", "1k")
    assert code == 1 and "more than 0.000954 MiB" in text
    days = said(capsys, "plan", table, "--C", "1e21", "--hardware", "h100", "--devices", "1k")
    assert days == said(capsys, "plan", table, "--C", "1e21", "--hardware", "h100", "--devices", 1000) and days[0] == 0


def test_a_key_of_constants_prints_that_set_alone(capsys):
    code, text = said(capsys, "laws", "besiroglu2024")
    assert code == 0 and "besiroglu2024: E = " in text and "hoffmann2022: " not in text
    assert "scalefit laws chinchilla shows all" in text
    code, text = said(capsys, "laws", "besiroglu2024", "--json")
    assert [one["key"] for law in json.loads(text)["laws"] for one in law["published"]] == ["besiroglu2024"]
    assert "hoffmann2022: " in said(capsys, "laws", "chinchilla")[1]


def test_a_series_named_in_place_of_its_column_is_told_so(table, tmp_path, capsys):
    runs = pd.read_csv(table)
    for column, choose in (("series", "--only ours"), ("corpus", "--series corpus --only ours")):
        path = tmp_path / f"{column}.csv"
        pd.concat([runs.assign(**{column: "ours"}), runs.assign(**{column: "theirs"})]).to_csv(path, index=False)
        code, text = said(capsys, "fit", path, "--series", "ours")
        assert code == 1 and f"a value of column '{column}'" in text and f"keep one series: {choose}" in text
        assert said(capsys, "fit", path, *choose.split())[0] == 0
        assert "value of column" not in said(capsys, "fit", path, "--series", "nowhere")[1]
    with pytest.raises(sf.errors.DataError, match=r"runs\[runs\['corpus'\] == 'ours'\]"):
        sf.read_runs(path, series="ours")


def test_the_log_taken_from_a_folder_is_named(tmp_path, capsys):
    rows = [{"step": int(step), "eval_loss": 2.8 + 9 / step**0.4} for step in range(500, 8001, 500)]
    state = tmp_path / "checkpoint-8000" / "trainer_state.json"
    state.parent.mkdir()
    state.write_text(json.dumps({"log_history": rows, "max_steps": 10_000}))
    said_of = "In the folder, checkpoint-8000/trainer_state.json was read."
    assert said_of in said(capsys, "advise", tmp_path)[1]
    assert "In the folder" not in said(capsys, "advise", state)[1]


def test_a_minimum_loss_without_a_shape_chooses_and_names_one(capsys):
    size = ("minimum-loss", "--N", "124M", "--D", "9B")
    code, text = said(capsys, *size, "--context", "1024")
    shape = "--layers 12 --d-emb 768 --context 1024"
    assert ", ".join(re.findall(r"--\S+ \d+", shape)) in text
    table = said(capsys, *size, *shape.split())[1]
    assert code == 0 and text.startswith(table)
    assert "No shape was given" in text
    code, text = said(capsys, *size, "--layers", "12")
    assert code == 2 and "give --layers and --d-emb, or neither" in text


def test_a_minimum_loss_in_python_chooses_the_shape_that_the_command_does(capsys):
    found = sf.minimum_loss(N="124M", D="9B", T_max=1024)
    (note,) = (note for note in found.notes if note.code == "chosen_shape")
    assert "n_layers=12, d_emb=768, T_max=1024" in note.message
    code, text = said(capsys, "minimum-loss", "--N", "124M", "--D", "9B", "--context", "1024", "--json")
    assert code == 0 and json.loads(text)["table"] == found.to_dict()["table"]
    given = sf.minimum_loss(N="124M", D="9B", n_layers=12, d_emb=768, T_max=1024)
    assert given.table.equals(found.table) and "chosen_shape" not in {note.code for note in given.notes}
    with pytest.raises(sf.errors.ArgumentError, match="n_layers=12 and d_emb=None.*Give both, or neither"):
        sf.minimum_loss(N="124M", D="9B", n_layers=12)


def test_losses_of_a_mixture_are_found_or_asked_for_by_option(tmp_path, capsys):
    web = np.linspace(0.1, 0.9, 12)
    runs = pd.DataFrame({"share_web": web, "share_code": 1 - web, "loss_std": 0.01})
    runs["loss_web"], runs["loss_code"] = 2 + np.exp(-2 * web), 1 + np.exp(1.5 * web) / 10
    path = tmp_path / "mix.csv"
    runs.to_csv(path, index=False)
    code, text = said(capsys, "mixture", path, "--law", "data_mixing")
    assert code in (0, 3) and (code, text) == said(
        capsys, "mixture", path, "--law", "data_mixing", "--loss", "loss_web", "--loss", "loss_code"
    )
    runs = runs.drop(columns="loss_std").rename(columns={"loss_web": "web_loss", "loss_code": "code_loss"})
    runs.to_csv(path, index=False)
    code, text = said(capsys, "mixture", path)
    assert code == 1 and "Add --loss web_loss --loss code_loss." in text


def test_a_log_in_the_place_of_a_table_is_sent_to_its_commands(table, tmp_path, capsys):
    log = tmp_path / "nanogpt.log"
    lines = [
        f"step {step}: train loss {3 + 9 / step**0.4:.4f}, val loss {3 + 9 / step**0.4:.4f}"
        for step in range(250, 4001, 250)
    ]
    log.write_text("tokens per iteration will be: 491,520\n" + "\n".join(lines) + "\n")
    for command in ("report", "fit"):
        code, text = said(capsys, command, log)
        assert code == 1 and "looks like the log of one run" in text and f"scalefit report --live {log}" in text
    other = tmp_path / "other.csv"
    for drop in (["val_loss"], ["n_params", "tokens"]):
        pd.read_csv(table).drop(columns=drop).assign(step=range(25)).to_csv(other, index=False)
        code, text = said(capsys, "fit", other)
        assert code == 1 and "looks like" not in text


@pytest.mark.parametrize(
    "log",
    [
        {"epoch": range(9), "loss": 3.0, "val_loss": 3.1},  # Keras
        {"epoch": range(9), "step": range(0, 900, 100), "train_loss": 3.0, "val_loss": None},  # Lightning
        {
            "_step": range(9),
            "_runtime": 1.5,
            "train/loss": 3.0,
            "tokens": [k * 10**6 for k in range(1, 10)],
        },  # W&B, with tokens
        {"iter": range(9), "loss": 3.0, "flops": [k * 10**15 for k in range(1, 10)]},
        {"Wall time": 1.7e9, "Step": range(9), "Value": 3.0},  # TensorBoard
    ],
)
@pytest.mark.parametrize("command", ["fit", "report", "forecast", "hyperparameters"])
def test_a_table_of_steps_is_named_a_log(command, log, tmp_path, capsys):
    path = tmp_path / "log.csv"
    pd.DataFrame(log).to_csv(path, index=False)
    options = ("--out", tmp_path / "page.html") if command == "report" else ()
    code, text = said(capsys, command, path, *options)
    assert code == 1 and "the log of one run is for scalefit advise" in text


def test_a_table_of_epochs_and_no_size_is_not_named_a_log(tmp_path, capsys):
    path = tmp_path / "runs.csv"
    pd.DataFrame({"run": list("abcd"), "epochs": [1, 2, 4, 8], "loss": [3.5, 3.3, 3.1, 3.0]}).to_csv(path, index=False)
    code, text = said(capsys, "forecast", path)
    assert code == 1 and "advise" not in text and "transposed" not in text  # runs called c and d are no quantities
