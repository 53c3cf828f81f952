"""The partition function against mpmath, Monte Carlo and by hand; the printed formulas where they fail."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scalefit.errors import ArgumentError
from scalefit.memory import (
    critical_radius,
    log_ball_integral,
    log_ball_volume,
    log_partition,
    loss,
    partition_bounds,
    volume_radius,
)

mp = mpmath.mp.clone()
mp.dps = 60
EPS = np.finfo(float).eps


def exact_log_volume(n, r):
    half = mp.mpf(n) / 2
    return half * mp.log(mp.pi) + n * mp.log(mp.mpf(r)) - mp.loggamma(1 + half)


def exact_log_lower_gamma(a, x):
    """log of the lower incomplete gamma function by its series of positive terms (DLMF 8.7.1)."""
    a, x = mp.mpf(a), mp.mpf(x)
    total, term, k = mp.mpf(1), mp.mpf(1), 0
    while term > total * mp.mpf(10) ** -45:
        k += 1
        term *= x / (a + k)
        total += term
    return a * mp.log(x) - x - mp.log(a) + mp.log(total)


def exact_log_integral(n, r, convention):
    half = mp.mpf(n) / 2
    if convention == "exact":
        return half * mp.log(mp.pi) + exact_log_lower_gamma(half, mp.mpf(r) ** 2) - mp.loggamma(half)
    return mp.log(2) + half * mp.log(mp.pi) + exact_log_lower_gamma(n, r) - mp.loggamma(half)


def within(got, true, n):
    return abs(mp.mpf(got) - true) <= mp.mpf("1e-10") * abs(true) + 4 * n * EPS


DIMS = [1, 2, 3, 5, 10, 31, 32, 33, 100, 768, 10**4, 786432, 10**6, 10**7, 10**8]


@pytest.mark.parametrize("n", DIMS)
@pytest.mark.parametrize("kappa", [1e-3, 0.5, 1.0, 1.0692, 2.0])
def test_against_mpmath(n, kappa):
    r = float(kappa * math.sqrt(n / (2 * math.pi * math.e)))
    assert within(log_ball_volume(n, r), exact_log_volume(n, r), n)
    for convention in ("exact", "paper"):
        assert within(log_ball_integral(n, r, convention), exact_log_integral(n, r, convention), n)


@given(st.integers(1, 3000), st.floats(-6, 3))
@example(1, math.log(0.5 / 0.2420))  # log V crosses zero
@example(2, 1.5)
def test_against_mpmath_anywhere(n, log_kappa):
    r = float(math.exp(log_kappa) * math.sqrt(n / (2 * math.pi * math.e)))
    assert within(log_ball_volume(n, r), exact_log_volume(n, r), n)
    for convention in ("exact", "paper"):
        assert within(log_ball_integral(n, r, convention), exact_log_integral(n, r, convention), n)


def test_the_volume_at_the_volume_radius():
    """Log V there is -log(n pi)/2 up to 1/(6n): of order one, as section 5 says."""
    n = np.array([10, 1000, 786432, 10**8])
    np.testing.assert_allclose(log_ball_volume(n, volume_radius(n)), -0.5 * np.log(n * np.pi), atol=0.02)
    assert volume_radius(1024) == pytest.approx(7.74, abs=0.005)


def test_the_ball_integral_by_monte_carlo():
    """n = 10, r = 2: the exact formula is 113.58; the printed one says 430.3 and its lower bound 353.4."""
    n, r = 10, 2.0
    rng = np.random.default_rng(0)
    direction = rng.normal(size=(200_000, n))
    length = r * rng.uniform(size=200_000) ** (1 / n)
    direction *= (length / np.linalg.norm(direction, axis=1))[:, None]
    values = math.exp(log_ball_volume(n, r)) * np.exp(-np.square(direction).sum(axis=1))
    estimate, error = values.mean(), values.std() / math.sqrt(len(values))
    assert error < 0.5
    exact, printed = (math.exp(log_ball_integral(n, r, c)) for c in ("exact", "paper"))
    assert abs(estimate - exact) < 4 * error
    assert abs(estimate - printed) > 100 * error
    assert (exact, printed) == (pytest.approx(113.583, abs=1e-3), pytest.approx(430.295, abs=1e-3))
    corrected, as_printed = partition_bounds(n, r), partition_bounds(n, r, convention="paper")
    assert math.exp(as_printed.lower) == pytest.approx(353.4, abs=0.05)
    assert math.exp(as_printed.lower) > estimate
    assert math.exp(corrected.lower) == pytest.approx(47.8, abs=0.05)
    assert math.exp(corrected.lower) < estimate < math.exp(corrected.upper)


@given(st.integers(1, 10**6), st.floats(-3, 1.5), st.floats(1, 1e9))
def test_the_corrected_bounds_hold(n, log_kappa, d):
    bounds = partition_bounds(n, math.exp(log_kappa) * volume_radius(n), d)
    assert bounds.holds
    assert bounds.value == pytest.approx(math.log(d) + log_ball_integral(n, math.exp(log_kappa) * volume_radius(n)))


@given(st.integers(1, 10**6), st.floats(-3, 1.5))
def test_the_printed_bounds_enclose_the_printed_value(n, log_kappa):
    """Lemma 5 is right about gamma(n, r); only eq. 12 equates it with the wrong integral."""
    assert partition_bounds(n, math.exp(log_kappa) * volume_radius(n), convention="paper").holds


def test_small_balls_and_large():
    """A tiny ball is its volume; a huge one holds the whole Gaussian, pi^(n/2)."""
    assert log_ball_integral(7, 1e-9) == pytest.approx(log_ball_volume(7, 1e-9))
    assert log_ball_integral(7, 1e9) == pytest.approx(3.5 * math.log(math.pi))
    assert log_ball_integral(1, 1e-300) == pytest.approx(math.log(2) - 300 * math.log(10))
    assert np.isfinite(log_ball_volume(10**8, 1e300))
    assert log_ball_integral(10, 1e200) == pytest.approx(5 * math.log(math.pi))
    assert partition_bounds(10, 1e200).lower == -math.inf
    assert critical_radius(1, 1e300) == pytest.approx(5e-301)


def test_arrays_and_scalars():
    n, r = np.array([[1], [10], [1000]]), np.array([0.5, 1.0])
    for function in (log_ball_volume, log_ball_integral):
        table = function(n, r)
        assert table.shape == (3, 2)
        assert table[1, 1] == pytest.approx(function(10, 1.0))
        assert isinstance(function(10, 1), float)
    assert log_partition(10, 1.0, [1, 2]).shape == (2,)
    assert log_partition(10, 1.0, 5) == pytest.approx(math.log(5) + log_ball_integral(10, 1.0))
    assert log_ball_volume(np.array([], dtype=int), 1.0).shape == (0,)


def test_the_critical_radius():
    """0.258722 sqrt(n) for one pattern at n = 1e8, 6.92 % above 1/sqrt(2 pi e); it depends on d at small n."""
    ratio = critical_radius(10**8) / 1e4
    assert ratio == pytest.approx(0.258722, abs=5e-7)
    assert ratio * math.sqrt(2 * math.pi * math.e) - 1 == pytest.approx(0.0692, abs=5e-5)
    n, d = np.meshgrid([1, 2, 10, 100, 10**4, 10**6], [1.0, 2.5, 1e6, 1e12])
    r = critical_radius(n, d)
    np.testing.assert_allclose(log_partition(n, r, d), 0.0, atol=1e-9)
    assert r[0, 2] > 2 * r[3, 2]
    assert critical_radius(10) == pytest.approx(float(mp.findroot(lambda x: exact_log_integral(10, x, "exact"), 0.98)))


def test_the_loss_of_proposition_4():
    """log Z + 1/Z has its least value, 1, at Z = 1."""
    assert loss(0.0) == 1.0
    z = np.linspace(-5, 5, 1001)
    assert np.all(loss(z) >= 1.0)
    assert z[np.argmin(loss(z))] == pytest.approx(0.0, abs=1e-9)
    assert loss(-800.0) == loss(-math.inf) == math.inf


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: log_ball_volume(0, 1.0), "n=0 must be a positive integer"),
        (lambda: log_ball_volume(2.5, 1.0), "n=2.5"),
        (lambda: log_ball_volume(2, -1.0), "r=-1"),
        (lambda: log_ball_volume(2, [1.0, float("nan")]), "r=nan in row 1"),
        (lambda: log_ball_volume(2, "1"), "r='1'"),
        (lambda: log_ball_volume(True, 1.0), "n=True"),
        (lambda: log_ball_integral(2, 1.0, "printed"), "convention='printed'"),
        (lambda: log_partition(2, 1.0, 0), "n_patterns=0"),
        (lambda: critical_radius(2, 0.5), "n_patterns=0.5; at least one"),
        (lambda: critical_radius(-2), "n=-2"),
        (lambda: critical_radius([1, 2], [1, 2, 3]), r"n \(2,\), n_patterns \(3,\)"),
        (lambda: log_ball_integral([1, 2], [1.0, 2.0, 3.0]), r"do not broadcast: n \(2,\), r \(3,\)"),
        (lambda: loss([0.0, math.nan]), "log_z=nan in row 1"),
        (lambda: loss("a"), "log_z='a'"),
        (lambda: critical_radius(math.inf), "n=inf"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()
