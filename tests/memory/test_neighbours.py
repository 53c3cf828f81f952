"""Separation and measured radii: exact against all pairs, and for 100,000 patterns in little memory."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import pdist, squareform

from scalefit.errors import ArgumentError
from scalefit.memory import nearest_neighbour_distances, neighbours, separation


def all_pairs(patterns, radii):
    i, j = np.triu_indices(len(patterns), 1)
    distance = np.linalg.norm(patterns[i] - patterns[j], axis=1)
    reach = np.broadcast_to(radii, len(patterns))
    over = distance <= reach[i] + reach[j]
    return distance.min(initial=math.inf), np.column_stack([i, j])[over]


@given(
    arrays(float, st.tuples(st.integers(1, 30), st.integers(1, 4)), elements=st.integers(-5, 5).map(float)),
    st.floats(0, 3),
    st.sampled_from([2, 7, 1024]),
    st.sampled_from([0.0, 1e6]),
)
def test_the_sweep_equals_all_pairs(patterns, reach, rows, offset):
    original = neighbours._Cloud.rows
    neighbours._Cloud.rows = rows
    try:
        found = separation(patterns + offset, reach)
    finally:
        neighbours._Cloud.rows = original
    smallest, pairs = all_pairs(patterns + offset, reach)
    assert found.min_distance == pytest.approx(smallest, rel=1e-15)
    assert found.largest_common_radius == found.min_distance / 2
    assert found.n_violations == len(pairs)
    assert found.violations.tolist() == pairs.tolist()
    assert found.well_separated == (len(pairs) == 0)


def test_a_radius_for_each_pattern():
    rng = np.random.default_rng(0)
    patterns, reach = rng.normal(size=(300, 3)), rng.uniform(0, 0.4, size=300)
    found = separation(patterns, reach, max_pairs=10**6)
    smallest, pairs = all_pairs(patterns, reach)
    assert len(pairs) > 100
    assert found.min_distance == pytest.approx(smallest, rel=1e-15)
    assert found.violations.tolist() == pairs.tolist()
    i, j = found.closest_pair
    assert np.linalg.norm(patterns[i] - patterns[j]) == pytest.approx(smallest, rel=1e-15)


def test_the_listing_ends_and_the_count_does_not():
    patterns = np.zeros((2000, 2))
    found = separation(patterns, max_pairs=5)
    assert found.n_violations == 2000 * 1999 // 2
    assert found.violations.tolist() == [[0, 1], [0, 2], [0, 3], [0, 4], [0, 5]]
    assert found.min_distance == 0.0
    assert "overlap" in str(found)


def test_a_hundred_thousand_patterns():
    """Planted pairs are found exactly; the peak stays far below the 80 GB of all distances."""
    import tracemalloc

    rng = np.random.default_rng(1)
    patterns = rng.normal(size=(100_000, 3)) * 100.0
    patterns[70_000] = patterns[123] + [1e-7, 0, 0]
    patterns[5] = patterns[99_999]
    tracemalloc.start()
    found = separation(patterns, 1e-6)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.violations.tolist() == [[5, 99_999], [123, 70_000]]
    assert found.min_distance == 0.0
    assert peak < 300e6


@pytest.mark.slow
def test_a_hundred_thousand_patterns_in_many_dimensions():
    """No direction separates them, so every pair of blocks is compared."""
    rng = np.random.default_rng(2)
    patterns = rng.normal(size=(100_000, 32))
    patterns[70_000] = patterns[123] + 1e-3
    found = separation(patterns, 0.01)
    assert found.violations.tolist() == [[123, 70_000]]
    assert found.closest_pair == (123, 70_000)


def test_an_outlier_costs_no_digits():
    rng = np.random.default_rng(5)
    patterns = np.concatenate([rng.normal(size=(1100, 6)), [[1e12] * 6]])
    found = separation(patterns, 0.1)
    smallest, pairs = all_pairs(patterns, 0.1)
    assert found.min_distance == pytest.approx(smallest, rel=1e-15)
    assert found.violations.tolist() == pairs.tolist()
    distances = nearest_neighbour_distances(patterns)
    assert distances[:-1].min() == pytest.approx(smallest, rel=1e-12)
    assert distances[-1] == pytest.approx(1e12 * math.sqrt(6), rel=1e-9)


def test_one_pattern_is_well_separated():
    found = separation([[1.0, 2.0]], 5.0)
    assert found.well_separated
    assert found.min_distance == math.inf
    assert found.closest_pair == ()


@pytest.mark.parametrize("size", [1e-200, 1e-6, 1e200, 1e308])
def test_no_scale_is_too_large_or_too_small(size):
    found = separation(np.array([[0.0, 0.0], [0.6, 0.8], [0.0, 1.0]]) * size, 0.4 * size)
    assert found.min_distance == pytest.approx(math.sqrt(0.4) * size)
    assert found.closest_pair == (1, 2)
    assert found.violations.tolist() == [[1, 2]]
    np.testing.assert_allclose(nearest_neighbour_distances([[0.0], [size]]), size)


def test_nearest_neighbours_equal_all_pairs(monkeypatch):
    from scalefit.memory import _patterns

    rng = np.random.default_rng(3)
    points = rng.normal(size=(200, 5)) + 1e6
    square = squareform(pdist(points))
    np.fill_diagonal(square, np.inf)
    np.testing.assert_allclose(nearest_neighbour_distances(points), square.min(axis=1))
    monkeypatch.setattr(_patterns, "_BLOCK", 300)
    monkeypatch.setattr(_patterns, "_QUERIES", 7)
    np.testing.assert_allclose(nearest_neighbour_distances(points), square.min(axis=1))
    twice = np.repeat(points, 2, axis=0)
    assert len(nearest_neighbour_distances(twice)) == 200
    assert nearest_neighbour_distances(twice, drop_duplicates=False).max() == 0.0


def test_gaussian_points_sit_at_sqrt_2n():
    """Independent Gaussian points of dimension n are about sqrt(2n) apart: the radius is a scale, not a law."""
    points = np.random.default_rng(4).normal(size=(300, 2000))
    assert nearest_neighbour_distances(points).mean() == pytest.approx(math.sqrt(4000), rel=0.06)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: separation([[0.0], [1.0]], -1.0), "radii=-1"),
        (lambda: separation([[0.0], [1.0]], [1.0]), r"radii have shape \(1,\).*2, one per pattern"),
        (lambda: separation([[0.0], [1.0]], math.nan), "radii=nan"),
        (lambda: separation([[0.0], [1.0]], max_pairs=0), "max_pairs=0"),
        (lambda: separation([]), r"shape \(0,\)"),
        (lambda: nearest_neighbour_distances([[1.0], [1.0]]), "1 distinct point is left"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()
