"""The five networks: values by hand, gradients, stability, retrieval, capacity and what they refuse."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalefit.errors import ArgumentError
from scalefit.memory import Demircigil, DistanceEnergy, Hopfield, KrotovHopfield, ModernHopfield, _patterns

REAL = {
    "modern": lambda p: ModernHopfield(p, beta=1.3),
    "distance": DistanceEnergy,
}
BINARY = {
    "hopfield": Hopfield,
    "hopfield_bias": lambda p: Hopfield(p, bias=np.linspace(-1, 1, p.shape[1]), zero_diagonal=True),
    "krotov2": lambda p: KrotovHopfield(p, order=2),
    "krotov3": lambda p: KrotovHopfield(p, order=3),
    "krotov_rectified": lambda p: KrotovHopfield(p, order=3, rectified=True),
    "demircigil": Demircigil,
}
ALL = REAL | BINARY


def logsumexp(values, axis=-1):
    return np.logaddexp.reduce(values, axis=axis)


def softmax(values, axis=-1):
    return np.exp(values - np.expand_dims(logsumexp(values, axis), axis))


def signs(rng, *shape):
    return np.where(rng.normal(size=shape) < 0, -1.0, 1.0)


@pytest.mark.parametrize("name", ALL)
def test_one_shape_for_every_network(name):
    rng = np.random.default_rng(0)
    network = ALL[name](signs(rng, 5, 8))
    x = signs(rng, 2, 3, 8)
    assert network.energy(x).shape == (2, 3)
    assert isinstance(network.energy(x[0, 0]), float)
    assert network.energy(x)[1, 2] == pytest.approx(network.energy(x[1, 2]))
    for method in (network.grad, network.update, network.retrieve):
        assert method(x).shape == (2, 3, 8)
        assert method(x[0, 0]).shape == (8,)
        np.testing.assert_allclose(method(x)[1, 2], method(x[1, 2]))
    assert network.energy(np.empty((0, 8))).shape == (0,)
    assert network.retrieve(np.empty((0, 8))).shape == (0, 8)
    assert network.capacity(100) > 0
    assert "5 patterns of dimension 8" in repr(network)


@pytest.mark.parametrize("name", ALL)
def test_the_gradient_is_the_slope_of_the_energy(name):
    rng = np.random.default_rng(1)
    network = ALL[name](signs(rng, 6, 5))
    x, h = rng.normal(size=5), 1e-5
    slope = [(network.energy(x + h * e) - network.energy(x - h * e)) / (2 * h) for e in np.eye(5)]
    np.testing.assert_allclose(network.grad(x), slope, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ALL)
def test_an_update_never_raises_the_energy(name):
    rng = np.random.default_rng(2)
    network = ALL[name](signs(rng, 9, 12))
    x = signs(rng, 40, 12)
    for _ in range(5):
        after = network.update(x)
        assert np.all(network.energy(after) <= network.energy(x) + 1e-9)
        x = after


def test_energies_by_their_formulas():
    rng = np.random.default_rng(3)
    patterns, x, bias = signs(rng, 4, 6), signs(rng, 6), rng.normal(size=6)
    W = sum(np.outer(p, p) for p in patterns)
    assert Hopfield(patterns, bias=bias).energy(x) == pytest.approx(-0.5 * x @ W @ x - bias @ x)
    hollow = W - np.diag(np.diag(W))
    network = Hopfield(patterns, bias=bias, zero_diagonal=True)
    assert network.energy(x) == pytest.approx(-0.5 * x @ hollow @ x - bias @ x)
    np.testing.assert_allclose(network.weights, hollow)
    overlap = patterns @ x
    assert KrotovHopfield(patterns, order=3).energy(x) == pytest.approx(-np.sum(overlap**3))
    rectified = KrotovHopfield(patterns, order=3, rectified=True)
    assert rectified.energy(x) == pytest.approx(-np.sum(np.maximum(overlap, 0) ** 3))
    assert Demircigil(patterns).energy(x) == pytest.approx(-logsumexp(overlap))
    for beta in (0.5, 2.0):
        by_hand = -logsumexp(beta * overlap) / beta + 0.5 * x @ x + math.log(4) / beta + 0.5 * 6
        network = ModernHopfield(patterns, beta=beta)
        assert network.energy(x) == pytest.approx(by_hand)
        assert network.attraction(x) + network.regulariser(x) == pytest.approx(by_hand)
    squares = ((x - patterns) ** 2).sum(axis=1)
    assert DistanceEnergy(patterns).energy(x) == pytest.approx(-logsumexp(-squares))


def test_order_two_is_twice_the_hopfield_network():
    rng = np.random.default_rng(4)
    patterns, x = signs(rng, 5, 9), signs(rng, 7, 9)
    np.testing.assert_allclose(KrotovHopfield(patterns, order=2).energy(x), 2 * Hopfield(patterns).energy(x))
    np.testing.assert_array_equal(KrotovHopfield(patterns, order=2).retrieve(x), Hopfield(patterns).retrieve(x))
    np.testing.assert_array_equal(Hopfield(patterns, zero_diagonal=True).retrieve(x), Hopfield(patterns).retrieve(x))


def test_the_modern_update_is_attention():
    rng = np.random.default_rng(5)
    keys, queries, d_k = rng.normal(size=(10, 16)), rng.normal(size=(4, 16)), 16
    attention = softmax(queries @ keys.T / math.sqrt(d_k), axis=1) @ keys
    np.testing.assert_allclose(ModernHopfield(keys, beta=1 / math.sqrt(d_k)).update(queries), attention)


def test_stationary_points_of_eq_4():
    rng = np.random.default_rng(6)
    patterns = 3.0 * rng.normal(size=(6, 4))
    network = DistanceEnergy(patterns)
    rest = network.retrieve(patterns + 0.2)
    weights = softmax(-((rest[:, None, :] - patterns) ** 2).sum(-1), axis=1)
    np.testing.assert_allclose(rest, weights @ patterns, atol=1e-8)
    np.testing.assert_allclose(network.grad(rest), 0.0, atol=1e-7)


@pytest.mark.parametrize("offset", [0.0, 1e6])
@pytest.mark.parametrize("reach", [1e-3, 1.0, 1e3, 1e6])
def test_energies_stay_exact_far_out(offset, reach):
    """Distances of 1e6, at the origin and a million away from it, against 60 digits."""
    rng = np.random.default_rng(7)
    patterns = offset + reach * rng.normal(size=(4, 3))
    x = offset + reach * rng.normal(size=3)
    mp = mpmath.mp.clone()
    mp.dps = 60
    squares = [mp.fsum((mp.mpf(a) - mp.mpf(b)) ** 2 for a, b in zip(x, p, strict=True)) for p in patterns]
    exact = -mp.log(mp.fsum(mp.exp(-s) for s in squares))
    assert DistanceEnergy(patterns).energy(x) == pytest.approx(float(exact), rel=1e-13, abs=1e-9)
    dots = [mp.fsum(mp.mpf(a) * mp.mpf(b) for a, b in zip(x, p, strict=True)) for p in patterns]
    norms = [mp.fsum(mp.mpf(b) ** 2 for b in p) for p in patterns]
    lse = mp.log(mp.fsum(mp.exp(2 * z) for z in dots)) / 2
    exact = -lse + mp.fsum(mp.mpf(a) ** 2 for a in x) / 2 + mp.log(4) / 2 + max(norms) / 2
    # Norms of 1e12 are rounded to 1e-4 before anything is done with them.
    rounding = 1e-15 * (1.0 + max(offset, reach) ** 2)
    assert ModernHopfield(patterns, beta=2.0).energy(x) == pytest.approx(float(exact), rel=1e-12, abs=rounding)
    assert np.isfinite(DistanceEnergy(patterns).grad(x)).all()


def test_overflow_is_refused_and_not_returned():
    with pytest.raises(ArgumentError, match="overflows.*Rescale"):
        DistanceEnergy([[1e200]]).energy([-1e200])
    with pytest.raises(ArgumentError, match="overflows"):
        ModernHopfield([[1e200], [-1e200]]).energy([0.0])
    for network in (Hopfield([[1.0, -1.0]]), KrotovHopfield([[1.0, -1.0]])):
        with pytest.raises(ArgumentError, match="queries 1e\\+200"):
            network.energy([1e200, -1e200])
    with pytest.raises(ArgumentError, match="overflows float64"):
        KrotovHopfield(np.ones((1, 1000)), order=200)


def test_a_million_patterns_are_streamed():
    """Blocks give what one matrix would, and hold far less than the scores of all patterns."""
    import tracemalloc

    rng = np.random.default_rng(8)
    patterns, x = rng.normal(size=(1_000_000, 4)), rng.normal(size=(64, 4))
    network = DistanceEnergy(patterns)
    tracemalloc.start()
    energy, mean = network.energy(x), network.update(x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200e6 < 64 * 1_000_000 * 8
    scores = -((x[:2, None, :] - patterns) ** 2).sum(-1)
    np.testing.assert_allclose(energy[:2], -logsumexp(scores, axis=1))
    np.testing.assert_allclose(mean[:2], softmax(scores, axis=1) @ patterns)


@pytest.mark.parametrize("name", ALL)
def test_the_size_of_a_block_changes_nothing(name, monkeypatch):
    rng = np.random.default_rng(9)
    network, x = ALL[name](signs(rng, 50, 6)), signs(rng, 11, 6)
    whole = network.energy(x), network.grad(x), network.retrieve(x)
    monkeypatch.setattr(_patterns, "_BLOCK", 35)
    monkeypatch.setattr(_patterns, "_QUERIES", 4)
    for a, b in zip(whole, (network.energy(x), network.grad(x), network.retrieve(x)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def test_a_memory_map_is_read_in_place(tmp_path):
    rng = np.random.default_rng(10)
    stored = np.memmap(tmp_path / "patterns", dtype="float32", mode="w+", shape=(100, 3))
    stored[:] = rng.normal(size=(100, 3))
    network = DistanceEnergy(stored)
    assert np.shares_memory(network.patterns, stored)
    assert network.energy(np.zeros(3)) == pytest.approx(DistanceEnergy(np.array(stored)).energy(np.zeros(3)))
    stored[0] = 0.0  # the owner may still write


def test_patterns_are_kept_from_change():
    mine = np.eye(3)
    network = DistanceEnergy(mine)
    mine[0] = 7.0
    assert network.patterns[0, 0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        network.patterns[0, 0] = 2.0
    with pytest.raises(AttributeError):
        network.patterns = mine


@given(st.integers(0, 10**6))
def test_stored_patterns_come_back(seed):
    rng = np.random.default_rng(seed)
    patterns = signs(rng, 3, 64)
    x = patterns.copy()
    x[:, :4] *= -1
    for network in (KrotovHopfield(patterns, order=4), Demircigil(patterns)):
        np.testing.assert_array_equal(network.retrieve(x), patterns)
    np.testing.assert_allclose(ModernHopfield(patterns).retrieve(0.9 * patterns), patterns, atol=1e-6)


def test_capacities_are_those_of_the_sources():
    """Table 1's growth under "paper"; each network's own theorem under "exact"."""
    p = np.ones((1, 10))
    n = np.array([100.0, 400.0])
    np.testing.assert_allclose(Hopfield(p).capacity(n, convention="paper"), n)
    np.testing.assert_allclose(KrotovHopfield(p, order=4).capacity(n, convention="paper"), n**4)
    np.testing.assert_allclose(Demircigil(p).capacity(n, convention="paper"), 2 ** (n / 2))
    np.testing.assert_allclose(Hopfield(p).capacity(n), n / (2 * np.log(n)))
    np.testing.assert_allclose(KrotovHopfield(p, order=4).capacity(n), n**3 / (2 * 15 * np.log(n)))
    assert Hopfield(p).capacity(100, corruption=0.25) == pytest.approx(0.25 * Hopfield(p).capacity(100))
    assert Demircigil(p).capacity(100, corruption=0.25) < Demircigil(p).capacity(100)
    assert Demircigil(p).capacity(10**6) == math.inf
    assert Demircigil(p).log_capacity(10**6) == pytest.approx(5e5 * math.log(2))


@pytest.mark.parametrize(("K", "dim", "c"), [(3.0, 20, 3.1546), (1.0, 75, 1.3718)])
def test_the_sphere_capacity_of_ramsauer(K, dim, c):
    """Ramsauer et al. 2020 (arXiv:2008.02217), theorem 3: beta = 1, p = 0.001 give c >= 3.1546 and 1.3718."""
    point = np.zeros((1, dim))
    point[0, 0] = K * math.sqrt(dim - 1)
    log_capacity = ModernHopfield(point).log_capacity(dim)
    assert math.exp((log_capacity - 0.5 * math.log(1e-3)) * 4 / (dim - 1)) == pytest.approx(c, abs=1e-4)
    assert DistanceEnergy(point).capacity(dim) == ModernHopfield(point, beta=2.0).capacity(dim)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DistanceEnergy([1.0, 2.0]), r"shape \(2,\).*reshape"),
        (lambda: DistanceEnergy(np.empty((0, 3))), r"shape \(0, 3\)"),
        (lambda: DistanceEnergy([[1.0, float("nan")]]), "pattern 0 has the value nan in dimension 1"),
        (lambda: DistanceEnergy([["a"]]), "patterns=.*real numbers"),
        (lambda: DistanceEnergy([[1.0], [2.0, 3.0]]), "rows of different lengths"),
        (lambda: Hopfield([[1.0, 0.5]]), r"value 0.5 in dimension 1.*-1 and \+1"),
        (lambda: Hopfield([[1.0, 1.0]], bias=[1.0]), r"bias has shape \(1,\)"),
        (lambda: Hopfield([[1.0, 1.0]]).retrieve([0.3, 1.0]), "x holds 0.3"),
        (lambda: DistanceEnergy([[1.0, 1.0]]).energy([1.0]), r"x has shape \(1,\).*width, 2"),
        (lambda: DistanceEnergy([[1.0, 1.0]]).energy(3.0), r"x has shape \(\)"),
        (lambda: DistanceEnergy([[1.0]]).energy([math.inf]), "x holds inf"),
        (lambda: ModernHopfield([[1.0]], beta=0.0), "beta=0"),
        (lambda: ModernHopfield([[1.0]], beta=math.nan), "beta=nan"),
        (lambda: KrotovHopfield([[1.0]], order=1), "order=1"),
        (lambda: KrotovHopfield([[1.0]], order=2.5), "order=2.5"),
        (lambda: Hopfield([[1.0]]).capacity(0), "n=0"),
        (lambda: Hopfield([[1.0]]).capacity(10, corruption=0.5), "corruption=0.5"),
        (lambda: Hopfield([[1.0]]).capacity(10, convention="printed"), "convention='printed'.*exact, paper"),
        (lambda: DistanceEnergy([[1.0]]).retrieve([1.0], max_steps=0), "max_steps=0"),
        (lambda: DistanceEnergy([[1.0]]).retrieve([1.0], tolerance=math.nan), "tolerance=nan"),
        (lambda: DistanceEnergy([[1.0]]).energy(None), "x=None"),
        (lambda: DistanceEnergy([[1.0]]).energy([1j]), "x=.*real numbers"),
        (lambda: ModernHopfield([[1.0]], beta=[1.0, 2.0]), r"beta has shape \(2,\) and must be one number"),
        (lambda: KrotovHopfield([[1.0]], order=[3]), r"order has shape \(1,\)"),
    ],
)
def test_bad_input_is_named(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


@pytest.mark.parametrize("kind", ["list", "int", "float32", "frame", "tuple"])
def test_any_array_like_is_taken(kind):
    rows = [[1, -1, 1], [-1, -1, 1]]
    made = {
        "list": rows,
        "int": np.array(rows, dtype=np.int8),
        "float32": np.array(rows, dtype=np.float32),
        "frame": pd.DataFrame(rows),
        "tuple": tuple(map(tuple, rows)),
    }[kind]
    for network in (Hopfield(made), DistanceEnergy(made)):
        assert network.energy(made).shape == (2,)
        assert network.energy(made).dtype == np.float64
