"""What a first user meets: tables as people keep them, typing errors, and warnings that say where they come from."""

from __future__ import annotations

import inspect
import json
import warnings

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit._text import known, nearest
from scalefit.cli import main
from scalefit.errors import ArgumentError, Note, arg
from scalefit.planning.deployment import Hardware


@pytest.fixture(scope="module")
def runs():
    """18 runs of 6 sizes at 3 ratios, by a published law with 0.4 % of noise."""
    rng = np.random.default_rng(1)
    N, ratio = np.meshgrid([20e6, 50e6, 120e6, 300e6, 800e6, 1.4e9], [5, 20, 60], indexing="ij")
    N, D = N.ravel(), (N * ratio).ravel()
    loss = sf.published("chinchilla", "besiroglu2024").predict(N=N, D=D) * np.exp(0.004 * rng.standard_normal(18))
    return pd.DataFrame({"params": N, "tokens": D, "val_loss": loss.round(4)})


def shell(capsys, *args):
    """Exit code and output of a command."""
    with pytest.raises(SystemExit) as ended:
        main([str(arg) for arg in args])
    return ended.value.code, capsys.readouterr()


@pytest.mark.parametrize("name", ["Model size (M params)", "Params [M]", "n_params (in millions)", "params_M"])
def test_units_in_the_names_of_columns(runs, name):
    table = pd.DataFrame(
        {name: runs["params"] / 1e6, "Training tokens (billions of tokens)": runs["tokens"] / 1e9, "loss": 3.0}
    )
    read = sf.read_runs(table)
    assert np.allclose(read["N"], runs["params"]) and np.allclose(read["D"], runs["tokens"])


def test_a_bracket_that_names_no_unit_is_not_one(runs):
    table = pd.DataFrame({"Model size (parameters)": runs["params"], "tokens": runs["tokens"], "loss": 3.0})
    assert np.allclose(sf.read_runs(table)["N"], runs["params"])
    other = pd.DataFrame({"Model size (GB)": runs["params"], "tokens": runs["tokens"], "loss": 3.0})
    assert "N" not in sf.read_runs(other)


def test_a_missing_column_is_told_in_the_words_of_the_file(tmp_path, runs):
    path = tmp_path / "mine.csv"
    runs.rename(columns={"params": "Parameterz"}).to_csv(path, index=False)
    read = sf.read_runs(path)
    with pytest.raises(sf.DataError) as refused:
        sf.fit(read, "chinchilla")
    said = str(refused.value)
    assert "mine.csv" in said and "'tokens', 'val_loss'" in said and "'D'" not in said
    assert "Did you mean 'Parameterz'?" in said


def test_tokens_for_each_parameter_are_not_tokens(runs):
    table = runs.assign(tpp=20.0).drop(columns="tokens").rename(columns={"tpp": "tokens_per_param"})
    with pytest.raises(sf.DataError, match="Multiply 'tokens_per_param' by N"):
        sf.fit(table, "chinchilla")


def test_sizes_in_millions_are_not_called_billions(runs):
    with pytest.raises(sf.DataError, match="counts millions, name it 'params_m', if billions 'params_b'"):
        sf.read_runs(runs.assign(params=runs["params"] / 1e6))


def test_losses_that_look_per_byte_are_remarked_on(runs):
    def codes(table, **named):
        return {note["code"] for note in sf.read_runs(table, **named).attrs["scalefit"]["notes"]}

    low = runs.rename(columns={"val_loss": "loss"}).assign(loss=runs["val_loss"] / np.log(2) / 4.3)
    assert "assumed_unit" in codes(low)
    assert "assumed_unit" not in codes(low, loss_unit="nat/token")
    assert "assumed_unit" not in codes(low.rename(columns={"loss": "val_bpb"}))
    assert "assumed_unit" not in codes(runs)
    assert "assumed_unit" not in codes(low.assign(loss_unit="nat/token"))
    assert "assumed_unit" not in codes(low.assign(loss_unit=["nat/token", *["bit/byte"] * (len(low) - 1)]))


def test_an_assumed_unit_is_told_of_the_fit_and_the_forecast(tmp_path, runs):
    path = tmp_path / "low.csv"
    runs.assign(val_loss=runs["val_loss"] / np.log(2) / 4.3).to_csv(path, index=False)
    frame = sf.read_runs(path)
    bare = {name: frame[name].to_numpy() for name in ("N", "D", "loss")}
    for table in (path, frame, frame[frame["N"] > 6e7], bare):
        for found in (sf.fit(table, "chinchilla"), sf.forecast(table)):
            assert "assumed_unit" in {note.code for note in found.notes}
    stated = sf.forecast(path, loss_unit="bit/byte"), sf.fit({**bare, "loss_unit": ["nat/token"] * len(frame)})
    assert not any("assumed_unit" in {note.code for note in one.notes} for one in stated)


@pytest.mark.parametrize("given", [{"C": []}, {"N": []}])
def test_a_missing_input_is_told_where_no_value_is_given(given):
    with pytest.raises(ArgumentError, match="nothing was predicted"):
        sf.published("chinchilla", "besiroglu2024").predict(**given)


def test_warnings_point_at_the_line_of_the_caller(runs):
    table = runs.assign(val_loss=runs["val_loss"].where(runs.index != 3))
    calls = [
        lambda: sf.read_runs(table),
        lambda: sf.fit(table, "chinchilla"),
        lambda: sf.fit(runs, "chinchilla").predict_interval(N=1e12, D=2e13),
        lambda: sf.loss_floor(N=1e6, D=9e9, n_layers=12, d_emb=768, T_max=1024),
    ]
    for call in calls:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            call()
        assert caught, inspect.getsource(call)
        assert {one.filename for one in caught} == {__file__}


@pytest.mark.parametrize(
    ("call", "meant"),
    [
        (lambda runs: sf.fit(runs, objective="hubr"), "huber"),
        (lambda runs: sf.fit(runs, on="logloss"), "log_loss"),
        (lambda runs: sf.fit(runs, fixed={"e": 1.7}), "E"),
        (lambda runs: sf.published("chinchilla", "hoffman2022"), "hoffmann2022"),
        (lambda runs: sf.load_dataset("repoted_losses"), "reported_losses"),
        (lambda runs: sf.read_runs(runs, params="nonembedding"), "non_embedding"),
        (lambda runs: sf.isoflop(runs, method="parabel"), "parabola"),
        (lambda runs: sf.compare_recipes({"adamw": runs, "muon": runs}, baseline="adam"), "adamw"),
    ],
)
def test_a_slip_is_answered_by_what_was_meant(runs, call, meant):
    with pytest.raises(ValueError, match=f"Did you mean '{meant}'\\?.* Known: "):
        call(runs)


def test_nothing_is_suggested_where_nothing_is_near():
    assert nearest("xyz", ["huber"]) == "" and known("q", []) == "Known: none"
    assert known(None, ["a", "none"]) == "Known: a, none"


def test_a_note_of_a_table_speaks_the_language_of_the_shell(capsys, tmp_path, runs):
    runs.to_csv(tmp_path / "runs.csv", index=False)
    code, said = shell(capsys, "fit", tmp_path / "runs.csv")
    assert code == 0 and "name them: --N column." in " ".join(said.out.split()) and "N='column'" not in said.out


def test_the_words_of_a_note_outlive_its_record():
    note = Note("guessed", "info", f"Pass {arg('level', 0.5)}.")
    again = Note(note.code, note.severity, note.message)
    assert again.template == note.template != note.message and "\x02" not in str(note.message)


@pytest.mark.parametrize("at", [{"C": 1e22}, {"N": 7e9, "D": 1.4e11}, [{"C": 1e22}, {"N": 7e9, "D": 1.4e13}]])
def test_runs_asked_for_are_in_the_figure_of_a_forecast(runs, at):
    forecast = sf.forecast(runs, law="coupled")
    axes = forecast.plot(at=at)
    asked = [at] if isinstance(at, dict) else at
    drawn = [bar for bar in axes.containers if type(bar).__name__ == "ErrorbarContainer"]
    assert len(drawn) == len(asked)
    for bar, point in zip(drawn, asked, strict=True):
        inputs = point if "N" in point else {k: float(v[0]) for k, v in forecast.frontier(point["C"]).items()}
        row = forecast.predict_interval(**inputs).iloc[0]
        (x,), (loss,) = bar.lines[0].get_data()
        assert x == pytest.approx(6 * inputs["N"] * inputs["D"]) and loss == pytest.approx(row["loss"])
        ends = bar.lines[2][0].get_segments()[0][:, 1]
        assert list(ends) == pytest.approx([row["lower"], row["upper"]])
        fan = next(line for line in axes.get_lines() if line.get_label() == "forecast")
        assert fan.get_xdata().max() > x
    assert not forecast.plot().containers


def test_a_logarithmic_axis_of_the_loss(runs, tmp_path, capsys):
    result = sf.fit(runs, "chinchilla")
    forecast = sf.forecast(runs)
    for drawn in (sf.plot([result, forecast], log_y=True), forecast.plot(log_y=True), result.plot(log_y=True).axes[0]):
        assert drawn.get_yscale() == "log" and drawn.get_ylabel() == "loss [nat/token]"
    assert sf.plot(result).get_yscale() == forecast.plot().get_yscale() == "linear"
    runs.to_csv(tmp_path / "runs.csv", index=False)
    for command in ("fit", "forecast"):
        figures = []
        for name, more in (("linear", ()), ("again", ()), ("log", ("--log-y",))):
            path = tmp_path / f"{command}-{name}.png"
            assert shell(capsys, command, tmp_path / "runs.csv", "--plot", path, *more)[0] == 0
            figures.append(path.read_bytes())
        assert figures[0] == figures[1] != figures[2]


def test_the_figure_of_a_fit_names_the_unit_of_its_losses(runs):
    per_byte = runs.rename(columns={"val_loss": "val_bpb"}).assign(val_bpb=runs["val_loss"] / 3)
    drawn = sf.fit(per_byte, "chinchilla").plot().axes[0]
    assert drawn.get_ylabel() == "loss [bit/byte]"


def test_no_command_is_answered_by_the_help_alone(capsys):
    code, said = shell(capsys)
    assert code == 2 and "Commands" in said.out + said.err and "Nothing was done" not in said.out + said.err


def test_published_constants_by_their_key_alone(capsys):
    code, said = shell(capsys, "predict", "--published", "besiroglu2024", "--N", "70B", "--D", "1.4T")
    assert code == 0 and "loss 1.9" in said.out and "besiroglu2024" in said.out
    code, said = shell(capsys, "predict", "--N", "70B", "--D", "1.4T")
    assert code == 2 and "--published" in said.err


def test_a_fault_in_a_law_of_ones_own_is_not_called_scalefits(capsys, tmp_path, runs):
    runs.to_csv(tmp_path / "runs.csv", index=False)
    law = tmp_path / "mylaw.py"
    law.write_text(
        'import scalefit as sf\n\n\nclass Mine(sf.Law):\n    """One of mine."""\n\n    inputs = ("N",)\n'
        '    E = sf.Parameter("irreducible loss", (0, 10), (1, 2))\n\n    @staticmethod\n'
        "    def loss(N, E):\n        return E + forgotten\n"
    )
    code, said = shell(capsys, "fit", tmp_path / "runs.csv", "--law", f"{law}:Mine")
    assert code == 1 and f"{law}, line 12, raised NameError" in said.err and "scalefit's own" not in said.err


def test_a_price_without_a_device_is_refused(capsys):
    code, said = shell(capsys, "plan", "--published", "besiroglu2024", "--C", "1e22", "--price", "2.5")
    assert code == 2 and "--price" in said.err and "--hardware" in said.err


def test_prints_fit_a_page(capsys, tmp_path, runs):
    path, other, saved = tmp_path / "runs.csv", tmp_path / "two.csv", tmp_path / "fit.json"
    runs.to_csv(path, index=False)
    muon = runs.assign(val_loss=runs["val_loss"] * 0.98)
    pd.concat([runs.assign(recipe="adamw"), muon.assign(recipe="muon")]).to_csv(other, index=False)
    shell(capsys, "fit", path, "--save", saved)
    for command in (
        ("predict", saved, "--N", "70B", "--D", "1.4T"),
        ("compare-recipes", other, "--out", tmp_path / "two.json"),
        ("next-runs", saved, "--budget", "1e19"),
        ("compare", path),
        ("floor", "--N", "124M", "--D", "90M", "--layers", "12", "--d-emb", "768", "--context", "1024"),
        ("forecast", path, "--at", "C=1e25"),
    ):
        code, said = shell(capsys, *command)
        assert code == 0
        assert max(map(len, said.out.replace(str(tmp_path), "").splitlines())) <= 100, command
    assert "at the best N = " in said.out


def test_a_log_that_begins_at_step_zero_has_a_warm_up(tmp_path):
    from scalefit.integrations.log_plans import plan_from_log
    from scalefit.integrations.logs import read_log

    steps = np.arange(0, 2001, 20)
    rate = 6e-4 * np.minimum(1, (steps + 1) / 200)
    pd.DataFrame({"step": steps, "val_loss": 3 + 10 / (steps + 10), "lr": rate}).to_csv(tmp_path / "log.csv")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plan, _ = plan_from_log(read_log(tmp_path / "log.csv"))
    assert 180 <= plan.schedule.warmup <= 220


def test_a_budget_in_money_or_hours_is_one_of_compute(capsys):
    of = ("plan", "--published", "besiroglu2024", "--hardware", "h100", "--mfu", "0.4", "--json")
    bought = [
        json.loads(shell(capsys, *of, *budget)[1].out)
        for budget in (("--price", "2", "--money", "20000"), ("--hours", "10000"))
    ]
    peak = sf.plan(sf.published("besiroglu2024"), C=1e22, hardware=Hardware.named("h100")).hardware.peak
    assert [plan["C"] for plan in bought] == pytest.approx([1e4 * 3600 * peak * 0.4] * 2)
    assert bought[0]["money"] == pytest.approx(20000)
    code, said = shell(capsys, "plan", "--published", "besiroglu2024", "--money", "100")
    assert code == 2 and "--hardware" in said.err


def test_the_column_of_recipes_is_looked_for_among_those_that_repeat(runs):
    two = pd.concat([runs.assign(optimizer="adamw"), runs.assign(optimizer="muon")])
    two = two.assign(job=[f"job {i}" for i in range(len(two))], cluster="a")
    for asked in (None, "optimiser"):
        with pytest.raises(sf.DataError) as refused:
            sf.compare_recipes(two, **({} if asked is None else {"recipe": asked}))
        assert "Pass recipe= with one of: optimizer, or give" in str(refused.value)


def test_a_file_without_a_result_is_not_asked_to_be_saved_again(tmp_path, runs):
    plan = tmp_path / "plan.json"
    sf.plan(sf.published("besiroglu2024"), C=1e22).to_json(plan)
    runs.to_json(tmp_path / "runs.json", orient="records")
    for path in (plan, tmp_path / "runs.json"):
        with pytest.raises(sf.DataError, match="holds no saved result"):
            sf.load_result(path)
    with pytest.raises(sf.DataError, match=r"There is no file .*none.json'; nothing was read. Check the path from"):
        sf.load_result(tmp_path / "none.json")


def test_one_fit_makes_a_summary_table_too(runs):
    result = sf.fit(runs, "chinchilla")
    assert sf.summary_table(result).equals(sf.summary_table([result]))


def test_the_length_of_a_run_can_be_said_on_the_command_line(capsys, tmp_path):
    steps = np.arange(100, 3001, 100)
    pd.DataFrame({"step": steps, "val_loss": 2.9 + 12 * (steps + 50.0) ** -0.45}).to_csv(tmp_path / "log.csv")
    code, said = shell(capsys, "advise", tmp_path / "log.csv", "--total-steps", "10000", "--json")
    assert code == 0 and json.loads(said.out)["final"]["step"] == 10000
    assert "The run is to have 10000 steps, as given." in said.out and "The log says" not in said.out
    refused = (("2000", 1, "less than the log's last step, 3000"), ("inf", 2, "is not a whole number of 1 or more"))
    for wrong, how, why in refused:
        code, said = shell(capsys, "advise", tmp_path / "log.csv", "--total-steps", wrong)
        assert code == how and why in said.err and said.err.count("\n") == 1
    shell(capsys, "report", tmp_path / "log.csv", "--live", "-o", tmp_path / "live.html")
    page = (tmp_path / "live.html").read_text()
    assert "twice the run so far" in page and "planned end" not in page


def test_a_report_shows_no_number_of_what_is_not_determined(runs):
    two = pd.concat([runs.assign(optimizer="adamw"), runs.assign(optimizer="muon", val_loss=runs["val_loss"] * 0.97)])
    result = sf.fit(two, "chinchilla")
    assert set(result.certificate.undetermined) == {"E", "A", "alpha", "B", "beta"}
    assert "compare_recipes" in " ".join(note.message for note in result.notes)
    html = sf.report(two).html
    tiles = html[html.index('class="tiles"') :].split("</dl>")[0]
    assert tiles.count("is not determined") == 3 and "90 %" not in tiles


def test_what_a_notebook_shows_of_a_result_says_whether_to_trust_it(runs):
    assert repr(sf.fit(runs, "chinchilla")).endswith("18 runs>")
    wrong = sf.fit(runs, "chinchilla", fixed={"E": 17})
    assert not wrong.trusted and repr(wrong).endswith("; not to be trusted>")
    plan = sf.plan(sf.published("besiroglu2024"), C=1e22)
    assert "Plan: lowest loss" in plan._repr_html_() and "N* ~ C^" in plan._repr_html_()


def test_tables_put_together_by_concat_keep_what_their_words_say(runs):
    adamw, muon = runs.assign(optimizer="adamw"), runs.assign(optimizer="muon", val_loss=runs["val_loss"] * 0.97)
    one, two = pd.concat([adamw, muon], ignore_index=True), pd.concat([adamw, muon])
    assert not two.index.is_unique
    codes = [[note.code for note in sf.fit(table, "chinchilla").notes] for table in (one, two)]
    assert codes[0] == codes[1] and "mixed_runs" in codes[1] and "replicates" not in codes[1]
    spread = [
        [note.details for note in sf.forecast(table).notes if note.code == "mixed_recipes"] for table in (one, two)
    ]
    assert spread[0] == spread[1] != []
    two.attrs["scalefit"] = {"params": "non_embedding"}
    assert sf.fit(two, "chinchilla").conventions["params"] == "non_embedding"


def test_a_point_without_tokens_is_asked_for_as_the_command_takes_it(runs, capsys, tmp_path):
    runs.to_csv(tmp_path / "runs.csv", index=False)
    code, said = shell(capsys, "forecast", tmp_path / "runs.csv", "--at", "N=7B")
    assert code == 1 and "Pass --at N=7B,D=..." in said.err and "--D" not in said.err
    code, said = shell(capsys, "predict", "--published", "besiroglu2024", "--N", "7B")
    assert code == 1 and "Pass --D ..., or" in said.err


def test_the_print_of_a_plan_names_the_commands_of_the_shell(capsys):
    _, said = shell(capsys, "plan", "--published", "besiroglu2024", "--C", "1e22")
    words = " ".join(said.out.split())
    assert "sf." not in words and "scalefit hyperparameters gives one rate" in words
    assert "rows: scalefit minimum-loss)" in words
    printed = " ".join(str(sf.plan(sf.published("chinchilla", "besiroglu2024"), C=1e22)).split())
    assert "sf.fit_hyperparameters gives one rate" in printed and "rows: minimum_loss)" in printed


def test_a_floor_asks_for_what_is_missing_by_its_options(capsys):
    code, said = shell(capsys, "floor", "--N", "124M", "--D", "9B")
    assert code == 1 and "Give --layers ..., --d-emb ..., --context ..." in said.err
    with pytest.raises(ArgumentError, match=r"Give n_layers=\.\.\., d_emb=\.\.\., T_max=\.\.\."):
        sf.loss_floor(N=124e6, D=9e9)


def test_a_file_that_registers_nothing_is_answered_by_how_to_register(capsys, tmp_path):
    (tmp_path / "plan.json").write_text("{}")
    code, said = shell(capsys, "score", tmp_path / "plan.json", "--loss", "2")
    assert code == 1 and "scalefit forecast runs.csv --at N=...,D=... --register FILE" in said.err


def test_a_law_without_inputs_is_told_how_to_declare_them():
    with pytest.raises(TypeError, match=r"inputs = \('N', 'D'\)"):

        class Mine(sf.Law):
            a = sf.Parameter("size", (0.0, 1.0))

            @staticmethod
            def loss(N, D, a):
                return a / N / D


def test_a_wrong_schedule_is_one_error_in_scalefits_words():
    with pytest.raises(ArgumentError) as told:
        sf.RunPlan(schedule="wsd")
    assert "'wsd' is not a Schedule" in str(told.value) and "Make one with scalefit.Schedule" in str(told.value)
    with pytest.raises(ArgumentError) as told:
        sf.Schedule.wsd(100, cooldown=2)
    assert str(told.value).endswith("no schedule was made. Give a share of the total.")
    with pytest.raises(ArgumentError, match="-1 is not greater than 0; nothing was made"):
        sf.RunPlan(schedule=sf.Schedule.cosine(100), n_params=-1)


def test_a_budget_alone_is_answered_by_the_plan_for_it():
    law = sf.published("chinchilla", "besiroglu2024")
    with pytest.raises(ArgumentError, match=r"ask sf.plan\(result, C=1e\+22\) for the best ones") as told:
        law.predict(C=1e22)
    assert "Laws that read" not in str(told.value)


def test_budgets_without_an_optimum_are_told_by_reason(runs):
    with pytest.raises(sf.FitError) as told:
        sf.isoflop(runs)
    assert str(told.value).count("1 size, and parabola needs 3") == 1 and "1.2e+16, 4.8e+16" in str(told.value)


def test_a_data_set_is_written_where_out_says(capsys, tmp_path):
    path = tmp_path / "runs.csv"
    assert shell(capsys, "datasets", "besiroglu2024", "--output", path)[1].err.count("Did you mean --out?") == 1
    names = sf.list_datasets()
    name = names.index[names["where"] == "bundled"][0]
    assert shell(capsys, "datasets", name, "--out", path)[0] == 0 and path.stat().st_size


def test_compute_is_written_in_one_way(runs):
    two = pd.concat([runs.assign(recipe="a"), runs.assign(recipe="b", val_loss=runs["val_loss"] * 0.98)])
    printed = str(sf.compare_recipes(two, baseline="a"))
    assert "e+20 FLOP" in printed and "×10" not in printed


def test_what_a_notebook_shows_of_runs_and_of_a_monitor(runs):
    shown = repr(sf.check_runs(runs))
    assert shown.startswith("18 runs can be fitted\n") and "array(" not in shown
    monitor = sf.Monitor(sf.RunPlan(schedule=sf.Schedule.cosine(10_000, warmup=200)))
    assert repr(monitor).startswith("WAIT")
    for step in range(500, 5001, 250):
        monitor.update(step=step, val_loss=2.9 + 12 * step**-0.45 - 0.1 * step / 10_000)
    assert repr(monitor.advise()).startswith("CONTINUE") and repr(monitor).startswith("CONTINUE")


@pytest.mark.parametrize(("option", "meant"), [("out", "path"), ("laww", "law"), ("n_start", "n_starts")])
def test_an_unknown_option_of_a_report_names_the_report_and_what_was_meant(option, meant):
    with pytest.raises(TypeError, match=rf"^report\(\) has no argument .{option}.; .* Did you mean .{meant}.\? "):
        sf.report({"N": [1e8], "D": [2e9], "loss": [3.0]}, **{option: 3})
