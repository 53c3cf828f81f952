"""What commands print fits a page of 100 columns, and says of one table once what is wrong with it."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit._text import PAGE
from scalefit.errors import ArgumentError


@pytest.fixture
def runs():
    """A grid by the Chinchilla law with a little noise."""
    N, D = (a.ravel() for a in np.meshgrid(np.geomspace(5e7, 2e9, 5), np.geomspace(1e9, 1e11, 5)))
    noise = np.random.default_rng(0).normal(0, 0.003, N.size)
    loss = sf.published("besiroglu2024").predict(N=N, D=D) * np.exp(noise)
    return pd.DataFrame({"n_params": N, "tokens": D, "val_loss": loss})


@pytest.fixture
def bad(runs, tmp_path):
    """Its table with a row that cannot be read, one that makes no sense, and one without a loss."""
    cells = runs.astype(object)
    cells.loc[3, "val_loss"], cells.loc[5, "val_loss"], cells.loc[7, "tokens"] = "nan", "3,1", -1
    cells.to_csv(tmp_path / "bad.csv", index=False)
    return tmp_path / "bad.csv"


def wide(text):
    return [line for line in text.splitlines() if len(line) > PAGE]


@pytest.mark.parametrize(
    "words",
    [
        ("laws",),
        ("laws", "--at", "N=7e9,D=2e11"),
        *(("laws", name) for name in ("chinchilla", "distillation", "associative_memory", "data_mixing", "rl_sigmoid")),
        ("datasets",),
        ("minimum-loss", "--N", "1e9", "--D", "2e10", "--layers", 16, "--d-emb", 2048, "--context", 2048),
    ],
)
def test_lists_fit_a_page(run, words):
    code, out, _ = run(*words)
    assert code == 0 and len(out.splitlines()) > 5 and not wide(out)


def test_a_law_is_told_whole_though_folded(run):
    law = sf.laws.get("distillation")
    for words in (("laws", law.name), ("laws",)):
        _, out, _ = run(*words)
        assert law.formula.replace(" ", "") in "".join(out.split())


def test_wide_tables_of_results_are_folded_between_columns(run, runs, tmp_path):
    table = tmp_path / "runs.csv"
    runs.to_csv(table, index=False)
    code, out, _ = run("compare", table, "--law", "chinchilla,zipf_memory_sequences", "--holdout", "k-fold")
    assert code == 0 and not wide(out) and out.count("zipf_memory_sequences") > 1
    data = runs.assign(n_params=np.tile(np.geomspace(5e7, 2e9, 5), 5), C=np.repeat(np.geomspace(1e19, 1e21, 5), 5))
    D = data["C"] / 6 / data["n_params"]
    data["val_loss"] = sf.published("besiroglu2024").predict(N=data["n_params"], D=D)
    data.drop(columns="tokens").to_csv(table, index=False)
    code, out, _ = run("isoflop", table)
    assert code == 0 and "bias of the method" in out and not wide(out)


ROWS = ("row 5 (loss is missing)", "row 7 (loss is '3,1', not a number", "row 9 (D is -1)")


@pytest.mark.parametrize(
    "words",
    [
        ("fit", "--bootstrap", 0),
        ("forecast",),
        ("plan", "--C", "1e21", "--bootstrap", 0),
        ("compare", "--law", "coupled"),
    ],
)
def test_one_warning_names_every_row_that_cannot_be_used(run, bad, words):
    code, out, err = run(words[0], bad, *words[1:], "--json")
    assert code in (0, 3) and json.loads(out)
    assert err.count("warning:") == 1 and "3 of 25 rows" in err and all(row in err for row in ROWS)


@pytest.mark.parametrize("words", [("fit", "--bootstrap", 0), ("forecast",)])
def test_rows_that_a_print_names_are_not_warned_of_besides(run, bad, words):
    code, out, err = run(words[0], bad, *words[1:])
    assert code in (0, 3) and "warning:" not in err and out.count("3 of 25 rows") == 1


@pytest.mark.parametrize("function", [sf.fit, sf.forecast, sf.fit_hyperparameters])
def test_a_path_is_warned_of_once(bad, function):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        try:
            function(bad)
        except sf.ScalefitError:
            assert function is sf.fit_hyperparameters  # it holds no sweep
    (told,) = [str(warning.message) for warning in seen if "set aside" in str(warning.message)]
    assert "3 of 25 rows" in told and all(row in told for row in ROWS)


@pytest.fixture
def recipes(bad):
    """The bad table once for each of two recipes, in one file, with an accuracy."""
    cells = pd.read_csv(bad)
    loss = pd.to_numeric(cells["val_loss"], errors="coerce").fillna(3.0)
    cells["accuracy"] = 0.25 + 0.7 / (1 + np.exp(3 * (loss - 2.6)))
    other = cells.assign(recipe="muon", n_params=cells["n_params"] * 1.01)
    path = bad.with_name("recipes.csv")
    pd.concat([cells.assign(recipe="adamw"), other]).to_csv(path, index=False)
    return path


def test_a_fit_of_parts_warns_once_of_the_whole_table(run, recipes, bad):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        sf.compare_recipes(recipes)
        sf.fit_downstream(recipes, chance=0.25)
        by = sf.fit_downstream(sf.read_runs(recipes, series="recipe"), chance=0.25, by="series")
    told = [str(warning.message) for warning in seen if "set aside" in str(warning.message)]
    assert [text.partition(" of 50 rows")[0][-1] for text in told] == ["6", "6", "6"]
    assert set(by) == {"adamw", "muon"}
    for words in (("compare-recipes",), ("downstream", "--chance", 0.25)):
        code, _, err = run(words[0], recipes, *words[1:], "--json")
        assert code == 0 and err.count("warning:") == 1 and "6 of 50 rows" in err and all(row in err for row in ROWS)


def test_rows_told_of_are_not_told_again(bad):
    with pytest.warns(sf.ScalefitWarning, match="2 of 25 rows"):
        kept = sf.read_runs(bad, incomplete="keep")
    with pytest.warns(sf.ScalefitWarning, match="1 of 25 rows cannot be used and were set aside: row 5"):
        sf.fit(kept)


def test_a_law_of_one_size_keeps_the_runs_of_a_file_that_lack_the_other(runs, tmp_path):
    cells = runs.copy()
    cells.loc[:4, "tokens"] = np.nan
    cells.to_csv(tmp_path / "runs.csv", index=False)
    assert sf.fit(tmp_path / "runs.csv", "power_law:N").n_runs == 25


@pytest.mark.parametrize("command", [("predict", "--N", "1e9", "--D", "2e10"), ("plan", "--C", "1e21")])
@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--law", "chinchilla"), "Choose one with --published KEY: hoffmann2022, hoffmann2022_tex,"),
        (("--law", "zipf_memory"), "Law zipf_memory has no published constants; nothing was taken."),
        (("--published", "chinchilla"), "Choose one with --published KEY: hoffmann2022,"),
        (
            ("chinchilla",),
            "There is no file 'chinchilla', but there is a law of that name; nothing was read. Pass --law chinchilla.",
        ),
        (("none.json",), "There is no file 'none.json'; nothing was read."),
    ],
)
def test_constants_that_are_not_chosen_are_asked_for_in_one_line(run, command, words, why):
    code, out, err = run(*command, *words)
    assert code == 1 and out == "" and why in err and err.count("\n") == 1


def test_a_key_alone_says_which_law_it_is_of(run):
    for command in (("predict", "--N", "1e9", "--D", "2e10"), ("plan", "--C", "1e21")):
        code, out, _ = run(*command, "--published", "gadre2024_c4")
        assert code == 0 and "over_training" in out
    assert sf.published("hoffmann2022_tex").law.name == "chinchilla"
    code, out, _ = run("plan", "--law", "kaplan", "--C", "1e21")  # it has one set of its own
    assert code == 0 and "law kaplan" in out


def test_a_setting_that_is_missing_is_not_to_be_left_out():
    for make in (lambda: sf.Schedule(kind="wsd", cooldown=0.2), lambda: sf.RunPlan(schedule={"kind": "wsd"})):
        with pytest.raises(ArgumentError, match="total: is missing; nothing was made of it. Give what is missing."):
            make()
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'total'"):
        sf.Schedule.wsd(cooldown=2)


def test_why_a_law_was_left_out_is_one_paragraph(run, runs, tmp_path):
    runs.to_csv(tmp_path / "runs.csv", index=False)
    code, out, _ = run("compare", tmp_path / "runs.csv", "--law", "chinchilla,precision")
    assert (
        code == 0
        and "\n\n    " not in out[out.index("precision could not be fitted: There is no weight_bits column") :]
    )
