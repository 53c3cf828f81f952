"""Propositions 1 to 3 under hypothesis, and the counter-example to the third as printed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from scalefit.errors import ArgumentError
from scalefit.memory import Bounds, DistanceEnergy, ModernHopfield, nearest, proposition_1, proposition_2, proposition_3


@st.composite
def patterns_and_query(draw):
    d, n = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    values = st.floats(-50, 50)
    return draw(arrays(float, (d, n), elements=values)), draw(arrays(float, (n,), elements=values))


@given(patterns_and_query())
def test_propositions_1_and_2_hold(case):
    assert proposition_1(*case).holds
    assert proposition_2(*case).holds


@given(patterns_and_query())
def test_proposition_3_corrected_and_sharpened_hold(case):
    assert proposition_3(*case).holds
    assert proposition_3(*case, convention="sharp").holds


def test_proposition_3_as_printed_fails():
    """Two patterns of one length and a query on one of them: g - 2E = -log(2 / (1 + e^-4)) but delta = 0."""
    patterns, x = [[-1.0], [1.0]], [1.0]
    bounds = proposition_3(patterns, x, convention="paper")
    assert bounds.value == pytest.approx(-np.log(2 / (1 + np.exp(-4))))
    assert (bounds.lower, bounds.upper) == (0.0, pytest.approx(np.log(2)))
    assert not bounds.holds


def test_how_often_the_printed_proposition_3_fails():
    """Over random trials the printed sides fail often and the corrected ones never."""
    rng = np.random.default_rng(0)
    failures, trials = 0, 2000
    for _ in range(trials):
        d, n = rng.integers(2, 8), rng.integers(1, 6)
        patterns, x = rng.normal(size=(d, n)), rng.normal(size=n)
        failures += not proposition_3(patterns, x, convention="paper").holds
        assert proposition_3(patterns, x).holds
    assert failures > 0.2 * trials


def test_both_sides_by_hand():
    patterns, x = np.array([[-2.0, 0.0], [0.5, 1.0], [3.0, 1.0]]), np.array([[0.0, 0.0], [3.0, 2.0]])
    g = nearest(patterns, x)
    np.testing.assert_allclose(g, [1.25, 1.0])
    E, M = DistanceEnergy(patterns).energy(x), ModernHopfield(patterns, beta=2.0).energy(x)
    delta, log_d = 10.0 - 1.25, np.log(3)
    one, two, three = proposition_1(patterns, x), proposition_2(patterns, x), proposition_3(patterns, x)
    np.testing.assert_allclose(one.lower, g - log_d)
    np.testing.assert_allclose(one.value, E)
    np.testing.assert_allclose(one.upper, g)
    np.testing.assert_allclose(two.value, np.abs(E - 2 * M + log_d))
    np.testing.assert_allclose(two.upper, delta)
    np.testing.assert_allclose(three.value, g - 2 * M)
    np.testing.assert_allclose(three.lower, -delta - log_d)
    np.testing.assert_allclose(three.upper, delta)
    lower, value, upper = three
    assert three.holds.tolist() == [True, True]
    assert lower.shape == value.shape == upper.shape == (2,)


def test_on_a_sphere_the_new_energy_is_the_modern_one():
    """For patterns of one length delta is zero, so Prop. 2 is an equality."""
    rng = np.random.default_rng(1)
    patterns = rng.normal(size=(7, 5))
    patterns /= np.linalg.norm(patterns, axis=1, keepdims=True)
    assert proposition_2(patterns, rng.normal(size=(20, 5))).value.max() < 1e-12


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e6])
@pytest.mark.parametrize("far", [0.0, 1e6])
def test_the_bounds_hold_at_any_scale(size, far):
    """Patterns on a sphere leave Prop. 2 no room: the energies are equal, however large they are."""
    rng = np.random.default_rng(3)
    patterns = rng.normal(size=(5, 3))
    patterns *= size / np.linalg.norm(patterns, axis=1, keepdims=True)
    x = rng.normal(size=(50, 3)) * (size + far)
    assert proposition_1(patterns, x).holds.all()
    assert proposition_2(patterns, x).holds.all()
    for convention in ("exact", "sharp"):
        assert proposition_3(patterns, x, convention=convention).holds.all()


def test_an_infinite_side_does_not_excuse_the_other():
    assert not Bounds(-np.inf, 2.0, 1.0).holds
    assert Bounds(-np.inf, 1.0, 1.0).holds


def test_nearest_over_blocks(monkeypatch):
    from scalefit.memory import _patterns

    rng = np.random.default_rng(2)
    patterns, x = rng.normal(size=(300, 3)), rng.normal(size=(50, 3))
    brute = ((x[:, None] - patterns) ** 2).sum(-1).min(axis=1)
    np.testing.assert_allclose(nearest(patterns, x), brute)
    monkeypatch.setattr(_patterns, "_BLOCK", 64)
    np.testing.assert_allclose(nearest(patterns, x), brute)


def test_bad_input_is_named():
    with pytest.raises(ArgumentError, match="convention='typo'"):
        proposition_3([[1.0]], [1.0], convention="typo")
    with pytest.raises(ArgumentError, match=r"width, 1"):
        nearest([[1.0]], [1.0, 2.0])
