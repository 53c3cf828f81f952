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
    runs[name] = runs["N"] - 5e5
    note = note_of(runs)
    assert f'columns={{"N": "{name}"}}' in str(note) and note.details["column"] == name
    again = sf.forecast(runs, columns={"N": name})
    assert again.seen()["N"][0] == pytest.approx(5e5) and again.conventions["params"] == "non_embedding"
    assert note_of(runs, columns={"N": name}) is None


def test_large_models_of_which_much_is_embeddings_are_named_too():
    runs = grid((1e8, 2e9))
    said = [note_of(runs.assign(params_non_embedding=share * runs["N"])) for share in (0.5, 0.8)]
    assert "50 % of it in the middle model" in str(said[0]) and said[1] is None


def test_vocabulary_and_width_say_how_much_is_embeddings():
    runs = grid((1e6, 5e7))
    runs["d_model"] = (64 * (runs["N"] / 1e6) ** (1 / 3)).round()
    note = note_of(runs.assign(vocab_size=8192))
    assert "Take vocab_size x d_model off N" in str(note) and 0 < note.details["share"] < 0.5
    assert note_of(runs).details["share"] is None


def test_a_table_without_embeddings_is_not_named():
    assert note_of(sf.read_runs(grid((1e6, 5e7)), params="non_embedding")) is None
