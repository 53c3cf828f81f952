"""The experiments at toy size: each writes table, figure and verdict, and its numbers hang together."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scalefit.errors import ArgumentError, ScalefitError
from scalefit.training.experiments import NAMES, run_experiment
from scalefit.training.experiments.balance import describe, equal_gap_exponent
from scalefit.training.models.decoder import Decoder


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("text")
    for number in range(80):
        words = " ".join(f"{(number * k) % 97:02} {'abc' * (k % 4)}" for k in range(150))
        (folder / f"{number:03}.txt").write_text(words)
    return str(folder)


@pytest.mark.parametrize("name", NAMES)
def test_each_experiment_writes_its_findings(name: str, text: str, store: Path) -> None:
    changes = {"corpus_path": text} if name in ("figure2", "figure3") else {}
    finding = run_experiment(name, "tiny", store / "out", store, **changes)
    folder = store / "out" / f"{name}-tiny"
    assert {path.name for path in folder.iterdir()} == {"table.csv", "figure.png", "verdict.md"}
    assert len(pd.read_csv(folder / "table.csv")) == len(finding.rows)
    assert finding.verdict in (folder / "verdict.md").read_text()
    again = run_experiment(name, "tiny", store / "out", store, **changes)
    assert again.verdict == finding.verdict


def test_a_memoriser_reaches_the_entropy_of_its_lines_far_below_one(store: Path) -> None:
    (row,) = run_experiment("memoriser", "tiny", store / "out", store).rows
    assert row["memoriser_floor"] == pytest.approx(math.log(row["lines"]) / row["tokens_per_line"])
    assert 0 <= row["over_floor"] < 0.03
    assert row["train_loss"] < 0.2 and row["val_loss"] > row["H_data"]


def test_fresh_data_of_low_entropy_go_below_one_and_the_tokens_decide(store: Path) -> None:
    single, pairs = run_experiment("fresh_floor", "tiny", store / "out", store).rows
    assert single["epochs"] < 1 and single["regime"] == "over_filled" and single["hypothesis"] == 1.0
    assert single["val_loss"] + 5 * single["val_error"] < 1.0
    assert abs(single["val_loss"] - single["H_data"]) < 0.05  # the entropy is what bounds it
    assert pairs["H_data"] == pytest.approx(2 * single["H_data"], rel=0.02)
    assert pairs["val_loss"] > 1.0  # the same text: above the floor in larger tokens


def test_losses_are_held_against_the_known_entropy(store: Path) -> None:
    rows = run_experiment("figure4", "tiny", store / "out", store).rows
    assert len(rows) == 2
    for row in rows:
        assert row["val_minus_H_data"] == pytest.approx(row["val_loss"] - row["H_data"])
        assert row["H_data"] == pytest.approx(0.987, abs=1e-3)


def test_a_run_that_diverged_gives_no_verdict_but_one_clear_error(store: Path, monkeypatch) -> None:
    original = Decoder.forward
    monkeypatch.setattr(Decoder, "forward", lambda self, *arguments: original(self, *arguments) * float("nan"))
    with pytest.raises(ScalefitError, match="ended as 'nan'; no verdict was written. It is kept in"):
        run_experiment("figure4", "tiny", store / "out", store)
    assert not (store / "out").exists()


def test_unknown_names_sizes_and_settings_are_one_clear_error(store: Path) -> None:
    for arguments, words in (
        (("figure5",), "figure2"),
        (("figure2", "huge"), "tiny"),
    ):
        with pytest.raises(ArgumentError, match=words):
            run_experiment(*arguments, out=store, store=store)
    with pytest.raises(ArgumentError, match="lr"):
        run_experiment("memoriser", "tiny", store, store, learning=1)
    with pytest.raises(ArgumentError, match="model_path"):
        run_experiment("figure2", "full", store, store, tokenizer="byte", n_contexts=10)


def test_exponent_of_equal_gaps_needs_gaps() -> None:
    flat = [{"N": 10.0 * k, "distinct_tokens": 5.0 * k, "gap": 1e-4} for k in range(1, 8)]
    assert math.isnan(equal_gap_exponent(flat)[0])


def _cells(gap) -> list[dict[str, float]]:
    sizes, tokens = (5e3, 3e4, 1e5, 3.5e5), (1.6e4, 3.3e4, 6.5e4, 1.3e5)
    noise = np.exp(0.03 * np.random.default_rng(0).normal(size=(4, 4)))
    return [
        {"N": n, "distinct_tokens": d, "gap": gap(n, d) * noise[i, j]}
        for i, n in enumerate(sizes)
        for j, d in enumerate(tokens)
    ]


def test_a_straight_curve_of_equal_gap_keeps_its_small_error_and_a_bent_one_does_not() -> None:
    straight = equal_gap_exponent(_cells(lambda n, d: n**0.5 / d * 300))
    assert straight.exponent == pytest.approx(2.0, abs=3 * straight.error) and straight.curvature_p > 0.05
    assert "the printed D^2" in describe(straight) and "rejected" not in describe(straight)
    bent = equal_gap_exponent(
        _cells(lambda n, d: n**0.5 / d * 300 * math.exp(0.3 * math.log(n / 4e4) * math.log(5e4 / d)))
    )
    assert bent.curvature_p < 1e-3 and bent.error > 1.5 * bent.form_error and "rejected" in describe(bent)


def test_the_null_is_named_where_gaps_follow_it() -> None:
    assert "the null, N ~ D" in describe(equal_gap_exponent(_cells(lambda n, d: n / d)))
