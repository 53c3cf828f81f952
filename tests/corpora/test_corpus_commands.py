"""scalefit entropy and scalefit exponent, as a shell sees them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from scalefit.cli import main
from scalefit.training.data.markov import MarkovSource


@pytest.fixture
def ids(tmp_path):
    path = tmp_path / "ids.npy"
    np.save(path, MarkovSource(1, 16, 3, 0).sample(40, 1000, np.random.default_rng(0)))
    return path


def run(capsys, *words):
    with pytest.raises(SystemExit) as done:
        main([str(word) for word in words])
    said = capsys.readouterr()
    return done.value.code, said.out, said.err


def test_entropy_prints_json_and_draws(ids, tmp_path, capsys):
    code, out, _ = run(capsys, "entropy", ids, "--plot", tmp_path / "h.png")
    assert code == 0 and "The entropy is at most" in out and (tmp_path / "h.png").stat().st_size > 1000
    code, out, _ = run(capsys, "entropy", ids, "--json", "--max-tokens", "20K", "--max-context", 3)
    record = json.loads(out)
    assert code == 0 and record["n_train"] == 20_000 and len(record["table"]) == 5


def test_exponent_prints_json(ids, capsys):
    code, out, _ = run(capsys, "exponent", ids, "--json", "--centring", "pooled", "--window", "1:8")
    record = json.loads(out)
    assert code == 0 and record["exponent"] is None and record["window"] == [1, 8]
    said = " ".join(run(capsys, "exponent", ids)[1].split())
    assert said.startswith("Exponent in data of ids.npy: ") and "fall exponentially, not as a power" in said


@pytest.mark.parametrize(
    "words", [("entropy", "nowhere.txt"), ("exponent", "nowhere.txt"), ("entropy", "x.npy", "--max-tokens", "many")]
)
def test_bad_input_is_one_line_and_exit_code_1(words, capsys):
    code, out, err = run(capsys, *words)
    assert code == 1 and out == "" and err.startswith("scalefit: ") and err.count("\n") == 1


def test_a_window_that_is_none_is_refused(ids, capsys):
    code, _, err = run(capsys, "exponent", ids, "--window", "16")
    assert code == 1 and "'' is not a quantity" in err
