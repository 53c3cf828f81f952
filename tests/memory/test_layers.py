"""Layers: eq. 6 with its ball, eq. 8's bounds, descent when read right and ascent when read as printed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalefit.errors import ArgumentError
from scalefit.memory import (
    DistanceEnergy,
    global_energy,
    global_energy_bounds,
    layer_energies,
    nearest,
    retrieve_layers,
    split_patterns,
)


def logsumexp(values, axis=-1):
    return np.logaddexp.reduce(values, axis=axis)


@st.composite
def networks(draw):
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    n_layers, n = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    patterns = 2.0 * rng.normal(size=(draw(st.integers(n_layers, 20)), n))
    return split_patterns(patterns, n_layers, seed=0), 2.0 * rng.normal(size=(6, n)), draw(st.floats(0.05, 5.0))


def test_the_split_is_a_partition():
    patterns = np.arange(22.0).reshape(11, 2)
    for seed in (None, 3, np.random.default_rng(3)):
        parts = split_patterns(patterns, 4, seed=seed)
        assert [len(p) for p in parts] == [3, 3, 3, 2]
        np.testing.assert_array_equal(np.sort(np.concatenate(parts), axis=0), patterns)
    np.testing.assert_array_equal(np.concatenate(split_patterns(patterns, 4)), patterns)


@given(networks(), st.sampled_from(["nearest", "distance"]))
def test_the_energy_of_all_layers_never_rises(case, energy):
    """Monotone descent of x(0) ... x(l), of all layers together and of each layer over its own step."""
    layers, x, delta = case
    path = retrieve_layers(layers, x, radius=delta, energy=energy)
    assert path.points.shape == (len(layers) + 1, 6, x.shape[1])
    assert np.all(np.diff(path.global_energy, axis=0) <= 1e-9)
    assert np.all(path.layer_energy[:, 1] <= path.layer_energy[:, 0] + 1e-9)
    np.testing.assert_array_equal(path.points[0], x)
    assert retrieve_layers(layers, x[:0], radius=delta).points.shape == (len(layers) + 1, 0, x.shape[1])
    np.testing.assert_allclose(path.global_energy[-1], global_energy(layers, path.points[-1], energy=energy))


@given(networks())
def test_the_literal_reading_walks_away(case):
    """Minimising exp(-g)/Z maximises g: no layer's step comes nearer to its patterns, and most go away."""
    layers, x, delta = case
    path = retrieve_layers(layers, x, radius=delta, convention="paper")
    assert np.all(path.layer_energy[:, 1] >= path.layer_energy[:, 0] - 1e-9)
    assert path.layer_energy[:, 1].sum() > path.layer_energy[:, 0].sum()


@given(networks(), st.sampled_from(["exact", "paper"]), st.sampled_from(["nearest", "distance"]))
def test_no_step_leaves_its_ball(case, convention, energy):
    layers, x, delta = case
    radii = delta * np.arange(1, len(layers) + 1)
    path = retrieve_layers(layers, x, radius=radii, convention=convention, energy=energy)
    steps = np.linalg.norm(np.diff(path.points, axis=0), axis=-1)
    assert np.all(steps <= radii[:, None] * (1 + 1e-9))


def test_one_layer_finds_the_minimum_of_g_over_the_ball():
    rng = np.random.default_rng(0)
    patterns, x, delta = rng.normal(size=(12, 2)), np.zeros(2), 0.3
    angle, length = np.meshgrid(np.linspace(0, 2 * np.pi, 721), np.linspace(0, delta, 101))
    ball = np.stack([length * np.cos(angle), length * np.sin(angle)], axis=-1)
    found = retrieve_layers([patterns], x, radius=delta)
    assert found.layer_energy[0, 1] == pytest.approx(nearest(patterns, ball).min(), abs=1e-4)
    lowest = retrieve_layers([patterns], x, radius=delta, energy="distance")
    assert lowest.layer_energy[0, 1] == pytest.approx(DistanceEnergy(patterns).energy(ball).min(), abs=1e-4)


def test_one_pattern_the_literal_reading_ends_on_the_edge():
    path = retrieve_layers([[[0.0, 0.0]]], [3.0, 4.0], radius=2.0, convention="paper")
    np.testing.assert_allclose(path.points[1], [4.2, 5.6])
    on_it = retrieve_layers([[[0.0, 0.0]]], [0.0, 0.0], radius=2.0, convention="paper")
    assert np.linalg.norm(on_it.points[1]) == pytest.approx(2.0)


def test_without_the_guard_a_layer_would_drag_a_query_away():
    """The second layer's pattern is far from a query that already rests on the first's: it must stay."""
    layers = [[[0.0]], [[10.0]]]
    path = retrieve_layers(layers, [0.5])
    np.testing.assert_allclose(path.points.ravel(), [0.5, 0.0, 0.0], atol=1e-6)


@given(networks(), st.sampled_from(["nearest", "distance"]))
def test_eq_8_holds_and_eq_7_is_the_log_sum(case, energy):
    layers, x, _ = case
    bounds = global_energy_bounds(layers, x, energy=energy)
    assert np.all(bounds.holds)
    energies = layer_energies(layers, x, energy=energy)
    assert energies.shape == (len(layers), 6)
    np.testing.assert_allclose(bounds.value, -logsumexp(-energies, axis=0), atol=1e-12)
    np.testing.assert_allclose(bounds.upper - bounds.lower, math.log(len(layers)))


def test_the_strict_side_of_eq_8_fails_for_one_layer():
    bounds = global_energy_bounds([[[0.0], [2.0]]], [0.7])
    assert bounds.value == bounds.upper


def test_the_linear_combination_beside_it():
    layers, x = [[[0.0]], [[1.0]], [[4.0]]], [[1.0], [2.0]]
    np.testing.assert_allclose(global_energy(layers, x, combine="sum"), [1 + 0 + 9, 4 + 1 + 4])
    np.testing.assert_allclose(global_energy(layers, x, combine="sum", weights=[1, 0, -2]), [1 - 18, 4 - 8])
    assert isinstance(global_energy(layers, [1.0]), float)


def test_the_energy_of_all_layers_is_that_of_all_patterns():
    """With eq. 4 in each layer, eq. 7 gives back eq. 4 over the whole data set."""
    rng = np.random.default_rng(1)
    patterns, x = rng.normal(size=(9, 3)), rng.normal(size=(5, 3))
    whole = DistanceEnergy(patterns).energy(x)
    np.testing.assert_allclose(global_energy(split_patterns(patterns, 4), x, energy="distance"), whole)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: split_patterns([[1.0]], 2), "n_layers=2 for 1 patterns"),
        (lambda: split_patterns([[1.0]], 1.5), "n_layers=1.5"),
        (lambda: global_energy([], [1.0]), "layers is empty"),
        (lambda: global_energy(None, [1.0]), "layers=None"),
        (lambda: split_patterns([[1.0], [2.0]], 2, seed="x"), "seed='x'"),
        (lambda: global_energy([[[1.0]]], [1.0], combine="sum", weights="a"), "weights='a'"),
        (lambda: global_energy([[[1.0]], [[1.0, 2.0]]], [1.0]), r"widths \[1, 2\]"),
        (lambda: global_energy([[[1.0]]], [1.0, 2.0]), "width, 1"),
        (lambda: global_energy([[[1.0]]], [1.0], combine="mean"), "combine='mean'"),
        (lambda: global_energy([[[1.0]]], [1.0], weights=[1.0]), "weights belong to combine='sum'"),
        (lambda: global_energy([[[1.0]]], [1.0], combine="sum", weights=[1.0, 2.0]), "weights="),
        (lambda: retrieve_layers([[[1.0]]], [1.0], radius=0.0), "radius=0.0"),
        (lambda: retrieve_layers([[[1.0]]], [1.0], radius=[1.0, 1.0]), r"radius has shape \(2,\)"),
        (lambda: retrieve_layers([[[1.0]]], [1.0], convention="paper"), "radius=infinite"),
        (lambda: retrieve_layers([[[1.0]]], [1.0], energy="cubic"), "energy='cubic'"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()
