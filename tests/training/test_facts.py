"""Facts under Zipf's law: their corpus, their exact score, and the experiment that holds them against the theory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from scalefit.errors import ArgumentError
from scalefit.memory import ZipfFacts
from scalefit.training.config import (
    CorpusConfig,
    EvaluationConfig,
    ModelConfig,
    OptimizerConfig,
    RunConfig,
    RuntimeConfig,
    ScheduleConfig,
)
from scalefit.training.data.corpus import IGNORE, open_corpus
from scalefit.training.data.corpus_build import fact_source
from scalefit.training.data.facts import FactSource
from scalefit.training.experiments import run_experiment
from scalefit.training.experiments.zipf_facts import capacity_power, rival_misfits
from scalefit.training.experiments.zipf_width import score, train_on_population
from scalefit.training.loop import train
from scalefit.training.trained import load_trained

CORPUS = CorpusConfig(source="facts", n_keys=300, zipf=1.5, n_states=8, n_tokens=2000)


def test_a_key_is_two_tokens_and_always_has_the_same_value():
    source = FactSource(n_keys=300, zipf=1.5, n_values=8, seed=3)
    rows = source.rows(np.arange(300)).astype(int)
    assert len(np.unique(rows[:, :2], axis=0)) == 300
    assert rows[:, 0].max() < 18 <= rows[:, 1].min() and rows[:, 1].max() < 36 <= rows[:, 2].min()
    assert source.vocab_size == 44 and rows.max() < 44
    other = FactSource(n_keys=300, zipf=2.0, n_values=8, seed=3)
    np.testing.assert_array_equal(other.rows(np.arange(300)), rows)
    assert abs(np.corrcoef(np.arange(300), rows[:, 0])[0, 1]) < 0.2  # the name does not show the rank


def test_keys_are_drawn_with_their_probabilities():
    source = FactSource(n_keys=50, zipf=1.5, n_values=4, seed=0)
    counts = np.bincount(source.draw(100_000, np.random.default_rng(0)), minlength=50)
    expected = 100_000 * source.facts.probabilities
    assert (np.abs(counts - expected) < 5 * np.sqrt(expected) + 5).all()
    assert source.unseen(np.arange(10)) == pytest.approx(source.facts.tail(10))


def test_rows_are_facts_and_only_the_value_is_scored(tmp_path: Path):
    corpus = open_corpus(CORPUS, tmp_path)
    assert corpus.row_length(128) == 2 and corpus.tokens_per_row(2) == 1 and corpus.unique_tokens(2) == 2000
    assert len(corpus.starts("train", 2)) == 2000 and len(corpus.starts("val", 2)) == 300
    inputs, targets = corpus.rows("val", 2, np.arange(300))
    every = fact_source(CORPUS).rows(np.arange(300))
    np.testing.assert_array_equal(inputs, every[:, :2])
    np.testing.assert_array_equal(targets[:, 1], every[:, 2])
    assert (targets[:, 0] == IGNORE).all() and corpus.entropy(2) == 0.0
    weights = corpus.weights("val")
    assert weights is not None and weights.sum() == pytest.approx(1.0) and corpus.weights("train") is None
    with pytest.raises(ArgumentError, match="needs 2 positions"):
        corpus.starts("train", 1)


def test_bad_settings_are_one_clear_error(tmp_path: Path):
    with pytest.raises(ArgumentError, match="n_keys"):
        CorpusConfig(source="facts", n_keys=1)
    with pytest.raises(ArgumentError, match="zipf"):
        CorpusConfig(source="facts", zipf=-1.0)
    with pytest.raises(ArgumentError, match="Keep them at or below 65,536"):
        open_corpus(CorpusConfig(source="facts", n_keys=1000, n_states=65_536), tmp_path)


def test_the_reported_loss_is_the_exact_one_over_all_keys(tmp_path: Path):
    config = RunConfig(
        model=ModelConfig(n_layers=1, d_emb=16, n_heads=1, T_max=2, tied=False),
        corpus=CORPUS,
        optimizer=OptimizerConfig(lr=(1e-2, 3e-3), batch_size=20),
        schedule=ScheduleConfig(tokens=(2000,)),
        evaluation=EvaluationConfig(tokens=50, curve_points=0),
        runtime=RuntimeConfig(keep_weights=True),
    )
    rows = train(config, tmp_path).rows
    assert [row["D"] for row in rows] == [2000, 2000] and rows[0]["epochs"] == 1.0
    assert rows[0]["loss_se"] == 0.0 and rows[0]["H_data"] == 0.0
    source = fact_source(CORPUS)
    found = score(load_trained(config, tmp_path).model, source, [source.facts.probabilities] * 2, chunk=77)
    for row, exact in zip(rows, found, strict=True):
        assert row["loss"] == pytest.approx(exact["loss"], rel=1e-5)
    losses = load_trained(config, tmp_path).model(*map(torch.from_numpy, _inputs(source)))[0, :, 1]
    assert found[0]["loss"] == pytest.approx(float(losses.double().detach().numpy() @ source.facts.probabilities))


def _inputs(source):
    rows = source.rows(np.arange(300)).astype(np.int64)
    targets = rows[:, 1:].copy()
    targets[:, 0] = IGNORE
    return rows[:, :2], targets


def test_a_model_with_room_learns_all_of_the_population():
    rows = train_on_population((0.0, 1.5), 16, n_keys=64, n_values=4, steps=300, lr=2e-2, seed=0)
    assert len(rows) == 2 and all(row["error"] < 0.01 and row["loss"] < 0.05 for row in rows)
    assert rows[0]["N"] == rows[1]["N"] > 3 * 16 * 16


def test_powers_and_rivals_of_a_known_capacity():
    rows = [{"width": d, "capacity": 3.0 * d**2, "N": 12 * d**2 + 200 * d} for d in (4, 8, 16)]
    power, error = capacity_power(rows)
    assert power == pytest.approx(2.0) and error < 1e-9
    misfits = rival_misfits(rows)
    assert misfits["d^2"] < 1e-9 and misfits["d"] > 0.4 and misfits["N"] > 0.1


def test_the_experiment_is_stored_and_read_again(tmp_path: Path, monkeypatch):
    changes = {"exponents": (2.0,), "facts": (512, 1024), "epochs": 4, "n_keys": 256}
    first = run_experiment("zipf_facts", "tiny", tmp_path / "out", tmp_path, **changes)
    data = [row for row in first.rows if row["protocol"] == "data"]
    assert [row["D"] for row in data] == [512, 1024] and all(0.7 < row["ratio"] < 2.0 for row in data)
    facts = ZipfFacts(256, 2.0, 8)
    for row in data:
        assert row["predicted_error"] == pytest.approx(facts.error(samples=row["D"]), rel=0.5)
    width = [row for row in first.rows if row["protocol"] == "width" and row["zipf"] == 2.0]
    assert width[1]["capacity"] > 2 * width[0]["capacity"]
    assert "P ~ d^(" in first.verdict and (tmp_path / "out" / "zipf_facts-tiny" / "table.csv").exists()
    monkeypatch.setattr("scalefit.training.experiments.zipf_width.train_on_population", None)
    assert run_experiment("zipf_facts", "tiny", tmp_path / "out", tmp_path, **changes).verdict == first.verdict
