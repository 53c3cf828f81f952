"""Causes of misses that a forecast names before it misses: embeddings counted in N."""

import numpy as np
import pandas as pd
import pytest

import scalefit as sf

LAW = sf.published("chinchilla", "besiroglu2024")


def grid(sizes, **columns):
    N, D = (axis.ravel() for axis in np.meshgrid(np.geomspace(*sizes, 6), np.geomspace(1e9, 4e10, 6)))
    return pd.DataFrame({"N": N, "D": D, "loss": LAW.predict(N=N, D=D), **columns})


def note_of(runs, **options):
    return next((note for note in sf.forecast(runs, **options).notes if note.code == "embeddings_counted"), None)


@pytest.mark.parametrize("name", ["params_non_embedding", "N_nonemb", "n_non_embedding"])
def test_the_count_without_embeddings_is_offered_in_words_that_work(name):
    runs = grid((1e6, 5e7))
    runs[name] = runs["N"] / 2
    note = note_of(runs)
    assert f'columns={{"N": "{name}"}}' in str(note) and note.details["column"] == name
    again = sf.forecast(runs, columns={"N": name})
    assert again.seen()["N"][0] == pytest.approx(5e5) and again.conventions["params"] == "non_embedding"
    assert note_of(runs, columns={"N": name}) is None


def test_large_models_of_which_much_is_embeddings_are_named_too():
    runs = grid((1e8, 2e9))
    found = [note_of(runs.assign(params_non_embedding=share * runs["N"])) for share in (0.5, 0.8)]
    assert "50 % of it in the middle model" in str(found[0]) and found[1] is None


def test_vocabulary_and_width_say_how_much_is_embeddings():
    runs = grid((1e6, 5e7))
    runs["d_model"] = (64 * (runs["N"] / 1e6) ** (1 / 3)).round()
    note = note_of(runs.assign(vocab_size=32768))
    assert "Take vocab_size x d_model off N" in str(note) and 0.4 < note.details["share"] < 0.7
    assert note_of(runs).details["share"] is None


@pytest.mark.parametrize("vocab_size", [256, 8192, 1e9])
def test_small_models_with_few_embeddings_are_not_named(vocab_size):
    """Models of bytes were told that 0 % of N misleads; an N below its embeddings does not count them."""
    runs = grid((1e6, 5e7), vocab_size=vocab_size)
    assert note_of(runs.assign(d_model=(64 * (runs["N"] / 1e6) ** (1 / 3)).round())) is None


def test_blanks_in_the_count_without_embeddings_leave_the_rest_to_tell():
    runs = grid((1e6, 5e7))
    some = np.where(np.arange(len(runs)) % 5 == 0, np.nan, 0.5 * runs["N"])
    assert "50 % of it in the middle model" in str(note_of(runs.assign(params_non_embedding=some)))
    assert note_of(runs.assign(params_non_embedding=np.nan)).details == {"column": None, "share": None}


def test_a_rate_that_is_not_known_of_every_run_is_not_called_one_for_all():
    rates = [np.full(36, 3e-4), np.full(36, np.nan), np.where(np.arange(36) == 3, np.nan, 3e-4)]
    codes = [{note.code for note in sf.forecast(grid((1e8, 2e9), lr=rate)).notes} for rate in rates]
    assert ["untuned_rate" in found for found in codes] == [True, False, False]


def test_a_table_without_embeddings_is_not_named():
    assert note_of(sf.read_runs(grid((1e6, 5e7)), params="non_embedding")) is None
