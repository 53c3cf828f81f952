"""Noise that goes with compute: found where it does, and new runs' intervals as wide as it is there."""

import numpy as np
import pytest

import scalefit as sf
from scalefit.fitting.intervals import trend_of

LAW = sf.published("chinchilla", "besiroglu2024")
LOW, HIGH = 6e18, 6e21


def fitted(power, seed, n=60, law="chinchilla"):
    rng = np.random.default_rng(seed)
    C = np.resize(np.geomspace(LOW, HIGH, 6), n)
    N = 0.09 * C**0.51 * 10 ** rng.uniform(-0.5, 0.5, n)
    noise = 0.004 * (C / np.sqrt(LOW * HIGH)) ** power * rng.standard_normal(n)
    return sf.fit({"N": N, "D": C / 6 / N, "loss": LAW.predict(N=N, D=C / 6 / N) * np.exp(noise)}, law)


def half(result, C):
    N = 0.09 * C**0.51
    row = result.predict_interval(N=N, D=C / 6 / N).iloc[0]
    return np.log(row["upper"] / row["lower"]) / 2


@pytest.mark.parametrize("seed", range(5))
def test_intervals_narrow_with_the_noise(seed):
    result = fitted(-0.2, seed)
    assert trend_of(result).power == pytest.approx(-0.2, abs=0.12)
    told = [note for note in result.notes if note.code == "noise_by_compute"]
    assert len(told) == 1 and "scatter less" in told[0].message
    # 90 % of normal noise lies within 1.645 standard deviations: 0.17 % at the largest compute, 2.6 % at the smallest.
    assert half(result, HIGH) < 1.645 * 0.004 * 1.5 < half(result, LOW)
    # Beyond the runs the noise is taken to stay as it is at the last.
    trend = trend_of(result)
    assert trend.factor(1e30) == trend.factor(trend.upper) < 1 < trend.factor(trend.lower) == trend.factor(1.0)


def test_equal_noise_is_left_equal():
    found = [trend_of(fitted(0.0, seed)) for seed in range(20)]
    assert sum(trend is not None for trend in found) <= 4


def test_few_runs_shared_fits_and_laws_without_compute_show_none():
    assert trend_of(fitted(-0.4, 0, n=18)) is None
    rng = np.random.default_rng(0)
    N = np.geomspace(1e7, 1e10, 40)
    loss = (1.7 + 400 * N**-0.34) * np.exp(0.01 * (N / 1e8) ** -0.3 * rng.standard_normal(40))
    result = sf.fit({"N": N, "loss": loss}, "power_law:N")
    assert trend_of(result) is None
    assert np.isfinite(result.predict_interval(N=[1e8, 1e10]).to_numpy()).all()


def test_one_wild_run_makes_no_trend():
    rng = np.random.default_rng(1)
    C = np.resize(np.geomspace(LOW, HIGH, 6), 60)
    N = 0.09 * C**0.51 * 10 ** rng.uniform(-0.5, 0.5, 60)
    error = 0.004 * rng.standard_normal(60)
    error[5] += 0.3
    result = sf.fit({"N": N, "D": C / 6 / N, "loss": LAW.predict(N=N, D=C / 6 / N) * np.exp(error)})
    trend = trend_of(result)
    assert trend is None or abs(trend.power) < 0.12
