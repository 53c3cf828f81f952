"""The bundled CPU ladder is what its config makes, and what a ladder must be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

import scalefit as sf
from scalefit.training import SweepConfig, load_config
from scalefit.training.models.counts import count_parameters
from scalefit.training.sweeps.grid import sweep_digest

ROOT = Path(__file__).parents[2]
CONFIG = load_config(ROOT / "benchmarks" / "cpu_ladder" / "ladder.toml", SweepConfig)
RUNS = pd.read_csv(ROOT / "data" / "scalefit_cpu" / "runs.csv")


def test_the_table_is_the_one_that_the_config_makes() -> None:
    assert sweep_digest(CONFIG) in (ROOT / "data" / "scalefit_cpu" / "METHODS.md").read_text()
    wanted = {count_parameters(size.model, 512).total: set(size.tokens or CONFIG.tokens) for size in CONFIG.sizes}
    found = RUNS[RUNS["kind"] == "branch"].groupby(["series", "N"])["D"].agg(set).to_dict()
    assert found == {(series, N): tokens for series in CONFIG.corpora for N, tokens in wanted.items()}


def test_the_ladder_spans_enough_to_bear_a_law() -> None:
    for _, rows in RUNS[RUNS["status"] == "finished"].groupby("series"):
        assert rows.groupby(["N", "D"]).ngroups >= 30
        assert np.log10(rows["N"].max() / rows["N"].min()) >= 1.5
        assert np.log10(rows["D"].max() / rows["D"].min()) >= 2
        assert (rows[rows["kind"] == "branch"].groupby(["N", "D"])["seed"].nunique() >= 3).sum() >= 3
        assert not rows["lr_at_edge"].astype(bool).any()


def test_losses_lie_above_the_entropy_and_fall_with_data() -> None:
    markov = RUNS[(RUNS["series"] == "markov") & (RUNS["kind"] == "branch")]
    assert (markov["loss"] > markov["H_data"] - 3 * markov["loss_se"]).all()
    for _, rows in RUNS[RUNS["kind"] == "branch"].groupby(["series", "N"]):
        means = rows.groupby("D")["loss"].mean()
        assert (np.diff(means) < 0.02).all()


def test_the_fitted_floor_holds_the_entropy_of_the_source() -> None:
    runs = sf.load_dataset("scalefit_cpu")
    markov = runs[(runs["series"] == "markov") & (runs["kind"] == "branch")]
    result = sf.fit(markov, "chinchilla")
    interval = result.conf_int(level=0.95).loc["E"]
    assert result.certificate.trusted
    assert interval["lower"] < markov["H_data"].iloc[0] < interval["upper"]


def test_the_files_are_small() -> None:
    assert sum(path.stat().st_size for path in (ROOT / "data" / "scalefit_cpu").iterdir()) < 2_000_000
