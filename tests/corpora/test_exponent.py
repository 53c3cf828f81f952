"""sf.predict_exponent: the authors' numbers, controls that must show no power law, and one that must."""

from __future__ import annotations

import json

import numpy as np
import pytest

import scalefit as sf
from scalefit.corpora.correlations import Correlations, correlations
from scalefit.corpora.exponent import decay_of
from scalefit.corpora.exponent_result import data_exponent
from scalefit.training.data.markov import MarkovSource

RNG = np.random.default_rng


def test_the_authors_predictions():
    """arXiv:2602.07488: TinyStories .185 +- .013, WikiText-103 .141 +- .025."""
    assert data_exponent(0.325, 0.88, 0.003, 0.06) == pytest.approx((0.185, 0.013), abs=5e-4)
    assert data_exponent(0.265, 0.94, 0.016, 0.16) == pytest.approx((0.141, 0.025), abs=6e-4)
    with pytest.raises(ValueError, match="must be positive"):
        data_exponent(0.3, 0.0)


def test_a_shuffled_text_predicts_nothing():
    tokens = MarkovSource(1, 32, 4, 0).sample(100, 1000, RNG(0)).ravel()
    found = sf.predict_exponent(RNG(1).permutation(tokens).reshape(-1, 1000))
    assert found.exponent is None and found.interval is None and found.decay.kind == "none"
    assert "no correlations above the noise floor" in found.verdict


@pytest.mark.parametrize("seed", [0, 1])
def test_a_markov_source_decays_exponentially(seed):
    source = MarkovSource(1, 32, 4, seed)
    found = sf.predict_exponent(source.sample(300, 1000, RNG(seed)), centring="pooled")
    assert found.exponent is None and found.decay.kind in ("exponential", "too few lags")
    assert found.decay.kind == "exponential" or found.decay.n_lags < 4
    assert "power" in found.verdict or "too few" in found.verdict


def test_an_exponential_in_the_window_with_a_tail_beyond_is_not_called_exponential():
    """As in books: lags 1 to 8 bend down, and what is left far out is below the floor and yet surely there."""
    lag = np.array([1, 2, 3, 4, 6, 8, 11, 16, 23, 32.0])
    norm = 6e-3 * np.exp(-lag / 2.5)
    error, kept = np.full(10, 1e-5), lag <= 8
    alone = decay_of(Correlations(lag, norm, error, kept, 1.5e-4), 1, 16, 0.9)
    assert alone.kind == "exponential" and alone.length == pytest.approx(2.5)
    tail = decay_of(Correlations(lag, norm + 2e-4, error, kept, 1.5e-4), 1, 16, 0.9)
    assert tail.kind == "power law" and tail.rms_power > tail.rms_exponential


def test_a_power_law_that_would_have_been_seen_further_on_is_none():
    """Norms of 1.8 million tokens of a Markov source of 512 states: 4 distances, and the fifth is below the floor."""
    lag, kept = np.array([1, 2, 3, 4, 6, 8.0]), np.array([True] * 4 + [False] * 2)
    norm = np.array([4.649e-2, 1.509e-2, 6.843e-3, 2.751e-3, 2.6e-4, 0.0])
    error = np.array([1e-4, 5e-5, 6e-5, 6e-5, 7e-5, 5e-5])
    assert decay_of(Correlations(lag, norm, error, kept, 3.7e-4), 1, 16, 0.9).kind == "exponential"
    less = norm * [1, 1, 0.9, 1.15, 1, 1]  # scatter that makes the two forms about as good
    assert decay_of(Correlations(lag, less, error, kept, 3.7e-4), 1, 16, 0.9).kind == "exponential"
    assert decay_of(Correlations(lag, less, error, kept, 2e-3), 1, 16, 0.9).kind == "power or exponential"


def persistent(n_rows, length, exponent, rng, states=8):
    """Renewal text: runs of one token whose lengths have a power-law tail; correlations fall as lag^-(exponent)."""
    rows = np.empty((n_rows, length), np.int64)
    for row in rows:
        filled = 0
        while filled < length:
            run = int(np.ceil((1 - rng.random()) ** (-1 / (exponent + 1))))
            row[filled : filled + run] = rng.integers(states)
            filled += run
    return rows


def test_a_power_law_is_found_with_its_exponent():
    """Runs with P(length > n) = n^-(b+1) keep a token with probability about n^-b: beta = b."""
    found = sf.predict_exponent(persistent(150, 2000, 0.6, RNG(0)), centring="pooled", window=(1, 32))
    assert found.decay.kind == "power law" and found.decay.beta == pytest.approx(0.6, abs=0.15)
    assert found.exponent == pytest.approx(found.gamma / (2 * found.decay.beta))
    low, high = found.interval
    assert low <= found.exponent <= high and low < high
    assert {"document", "pooled"} == set(found.table["centring"]) and found.table["part"].nunique() == 5
    text = str(found)
    assert "not a prior for a fit" in text and "1-32" in text and "pooled" in text
    assert {"over_predicts"} <= {note.code for note in found.notes}
    record = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert record["exponent"] == found.exponent and record["window"] == [1, 32]
    axes = found.plot()
    assert axes.get_xscale() == "log" and any("lag^-" in t.get_text() for t in axes.get_legend().get_texts())


def test_norms_are_those_of_the_exact_co_occurrences():
    """For a Markov chain of order 1, C(n) = diag(p) T^n - p p' exactly."""
    source = MarkovSource(1, 16, 3, 0)
    rows = source.sample(400, 1000, RNG(0))
    found = correlations(list(rows.astype(int)), np.arange(400), 16, longest=4, centring="pooled", seed=0)
    p, power = source.stationary, np.eye(16)
    for i, lag in enumerate((1, 2, 3, 4)):
        power = power @ source.table
        exact = np.linalg.norm(np.diag(p) @ power - np.outer(p, p), 2)
        assert found.norm[i] == pytest.approx(exact, abs=4 * found.error[i] + 0.02 * exact)
        assert lag == found.lag[i]


def test_documents_that_differ_in_their_words_correlate_only_when_pooled():
    rng = RNG(0)
    weights = rng.dirichlet(np.full(20, 0.3), 40)
    rows = np.array([rng.choice(20, 3000, p=p) for p in weights])
    pooled = sf.predict_exponent(rows, centring="pooled")
    assert pooled.decay.kind in ("no decay", "power or exponential", "power law") and pooled.decay.n_lags > 4
    assert abs(pooled.decay.beta) < 0.05
    assert sf.predict_exponent(rows).decay.kind == "none"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"window": (16, 1)}, "not a range"),
        ({"window": 16}, "not a range"),
        ({"window": ("a", 3)}, "window"),
        ({"centring": "mean"}, "'document' or 'pooled'"),
        ({"entropy": 9.0}, "not below the best loss"),
        ({"entropy": "x"}, "not a number"),
        ({"level": 2}, "between 0 and 1"),
    ],
)
def test_bad_options_get_one_clear_error(options, words):
    with pytest.raises(ValueError, match=words):
        sf.predict_exponent(np.arange(9000) % 7, **options)
