"""The associative-memory law as a law of the registry, and the bad score that it earns."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scalefit as sf
from scalefit.fitting.objectives import Objective
from scalefit.laws.associative_memory import AssociativeMemory, log_z_of

LAWS = ("chinchilla", "kaplan", "associative_memory", "associative_memory_effective")


@given(st.integers(1, 200), st.integers(1, 100), st.integers(16, 8192), st.floats(1, 1e9))
def test_without_a_move_it_is_the_floor_of_a_plan(layers, blocks, context, patterns):
    width = 16 * blocks
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sf.ScalefitWarning)
        floor = sf.loss_floor(N=1e12, D=patterns * context, n_layers=layers, d_emb=width, T_max=context)
    law = AssociativeMemory.loss(patterns * context, width, context, 0.0, 0.0)
    assert law == pytest.approx(floor.loss_at_z_upper, rel=1e-3)


@given(st.lists(st.floats(1.0, 50.0), min_size=1, max_size=5))
def test_the_loss_is_inverted_on_both_sides(losses):
    above, below = log_z_of(np.array(losses))
    for log_z in (above, below):
        np.testing.assert_allclose(log_z + np.exp(-log_z), losses, rtol=1e-6)
    assert np.all(below <= 0) and np.all(above >= 0)


def shaped(folder, name, width, depth):
    runs = pd.read_csv(folder / "forecast_benchmark" / f"{name}.csv").drop(columns="series")
    runs["d_emb"] = runs["run_id"].str.extract(width, expand=False).astype(float)
    runs["n_layers"] = runs["run_id"].str.extract(depth, expand=False).astype(float)
    return runs.assign(T_max=2048.0)


@pytest.mark.parametrize(
    ("name", "width", "depth", "percent"),
    [
        ("steplaw", r"_h(\d+)_", r"_numl(\d+)_", (0.40, 0.56, 39.1, 1.14)),
        ("gemstones", r"^(\d+)x", r"x(\d+)@", (1.59, 1.57, 24.0, 4.33)),
    ],
)
def test_how_badly_it_fits(external_data, name, width, depth, percent):
    """Relative rms error in sample: the theory's unit slope of log Z in log D is what the data refuse."""
    runs = shaped(external_data, name, width, depth)
    for law, expected in zip(LAWS, percent, strict=True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", sf.ScalefitWarning)
            result = sf.fit(runs, law)
        inputs = {key: runs[key].to_numpy() for key in result.law.inputs}
        rms = 100 * np.sqrt(np.mean((result.predict(**inputs) / runs["loss"] - 1) ** 2))
        assert rms == pytest.approx(expected, rel=0.02), law
        if law == "associative_memory_effective":
            assert abs(result.params["b"]) < 0.1  # 1 in theory


def test_the_engine_finds_the_best_of_a_bad_lot(external_data):
    """The poor fit is the law's and not the search's: a fine grid over c and s finds nothing better."""
    runs = shaped(external_data, "steplaw", r"_h(\d+)_", r"_numl(\d+)_")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sf.ScalefitWarning)
        result = sf.fit(runs, "associative_memory")
    log_n = np.log(2048 * runs["d_emb"].to_numpy())
    s, level = (grid[..., None] for grid in np.meshgrid(np.linspace(-6, 6, 121), np.linspace(-20, 6, 131)))
    inputs = [runs[key].to_numpy() for key in AssociativeMemory.inputs]
    residuals = np.log(AssociativeMemory.loss(*inputs, level - s * log_n.mean(), s)) - np.log(runs["loss"].to_numpy())
    grid = Objective("huber", 1e-3, "log_loss").cost(residuals).sum(axis=-1)
    assert result.objective_value <= grid.min()
    assert result.objective_value == pytest.approx(grid.min(), rel=0.02)
