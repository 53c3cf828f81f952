"""Measured recall: certain below the theory's capacity, gone far above it, and ordered as Table 1 says."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from scalefit.errors import ArgumentError
from scalefit.memory import (
    Demircigil,
    DistanceEnergy,
    Hopfield,
    KrotovHopfield,
    ModernHopfield,
    measure_capacity,
    measure_recall,
)

CUBIC = functools.partial(KrotovHopfield, order=3)


@pytest.mark.parametrize("network", [Hopfield, CUBIC, Demircigil, ModernHopfield, DistanceEnergy])
def test_few_patterns_come_back(network):
    scale = 3.0  # real patterns must be apart by more than the width of the energy's wells
    recall = measure_recall(network, dim=40, n_patterns=3, corruption=0.1, scale=scale)
    assert recall.recovered > 0.95
    assert (recall.dim, recall.n_patterns, recall.n_queries) == (40, 3, 60)


def test_far_above_capacity_they_do_not():
    n = 60
    assert measure_recall(Hopfield, n, 6 * int(Hopfield(np.ones((1, n))).capacity(n))).recovered < 0.1


def test_theory_brackets_the_measurement():
    """Half of the patterns come back somewhere between half and five times the capacity without errors."""
    n = 100
    theory = Hopfield(np.ones((1, n))).capacity(n, corruption=0.1)
    assert 0.5 * theory < measure_capacity(Hopfield, n, corruption=0.1, n_queries=100) < 5 * theory


def test_higher_orders_store_more():
    measured = [measure_capacity(f, 24, n_queries=60, max_patterns=2048) for f in (Hopfield, CUBIC, Demircigil)]
    assert measured[0] < measured[1] < measured[2]


def test_the_same_seed_gives_the_same_answer():
    first, second = (measure_recall(Hopfield, 30, 8, seed=5) for _ in range(2))
    assert first == second
    generator = measure_recall(Hopfield, 30, 8, seed=np.random.default_rng(5))
    assert generator == first


def test_the_search_stops_at_its_limit():
    assert measure_capacity(Demircigil, 60, max_patterns=16, corruption=0.0) == 16


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: measure_recall(Hopfield, 0, 1), "dim=0"),
        (lambda: measure_recall("hopfield", 5, 1), "network='hopfield'"),
        (lambda: measure_recall(Hopfield, 5, 1, seed=-1), "seed=-1"),
        (lambda: measure_recall(Hopfield, 5, 1.5), "n_patterns=1.5"),
        (lambda: measure_recall(Hopfield, 5, 1, corruption=0.5), "corruption=0.5"),
        (lambda: measure_recall(Hopfield, 5, 1, scale=-1.0), "scale=-1"),
        (lambda: measure_capacity(Hopfield, 5, share=1.0), "share=1.0"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()
