"""What a first user meets: tables as people keep them, typing errors, and warnings that say where they come from."""

from __future__ import annotations

import inspect
import warnings

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit._text import known, nearest
from scalefit.cli import main
from scalefit.errors import Note, arg


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


def test_tokens_for_each_parameter_are_no_tokens(runs):
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
    assert nearest("xyz", ["huber"]) == "" and known(None, ["a"]) == "Known: a" and known("q", []) == "Known: none"


def test_a_note_of_a_table_speaks_the_language_of_the_shell(capsys, tmp_path, runs):
    runs.to_csv(tmp_path / "runs.csv", index=False)
    code, said = shell(capsys, "fit", tmp_path / "runs.csv")
    assert code == 0 and "name them: --N column." in " ".join(said.out.split()) and "N='column'" not in said.out


def test_the_words_of_a_note_outlive_its_record():
    note = Note("guessed", "info", f"Pass {arg('level', 0.5)}.")
    again = Note(note.code, note.severity, note.message)
    assert again.template == note.template != note.message and "\x02" not in str(note.message)
