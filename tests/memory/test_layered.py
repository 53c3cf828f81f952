"""The loss of several layers, against quadrature of the paper's own definitions."""

from __future__ import annotations

import math

import mpmath
import pytest
from scipy.integrate import quad

from scalefit.errors import ArgumentError
from scalefit.memory import critical_radius, layered_loss, log_partition


def by_definition(layers, n_patterns, radius, energy, split):
    """Eqs. 7, 9 and 14 on a line, with the patterns so far apart that exp(-g) of the others is zero."""
    stored = n_patterns // layers if split else n_patterns
    Z = stored * quad(lambda x: math.exp(-x * x), -radius, radius)[0]

    def weight(x):  # exp(-E_global)
        if energy == "distance":
            return (1 if split else layers) * math.exp(-x * x)
        inside = math.exp(-math.exp(-x * x) / Z)
        return layers - 1 + inside if split else layers * inside

    return -math.log(weight(0.0)) + math.log(n_patterns * quad(weight, -radius, radius)[0])


@pytest.mark.parametrize("energy", ["density", "distance"])
@pytest.mark.parametrize("split", [True, False])
@pytest.mark.parametrize(
    ("layers", "d", "radius"), [(1, 3, 0.3), (2, 4, 0.05), (4, 8, 0.05), (3, 6, 1.0), (12, 24, 2.0)]
)
def test_quadrature_of_the_definitions(layers, d, radius, energy, split):
    got = layered_loss(layers, d, radius, energy=energy, patterns="split" if split else "replicated")
    assert got == pytest.approx(by_definition(layers, d, radius, energy, split), abs=1e-9)


def test_the_counter_example():
    """Prop. 4 says 3.394 and forbids anything below 1; its definitions give -0.916."""
    log_z = float(log_partition(1, 0.05, 2))
    assert log_z + math.exp(-log_z) == pytest.approx(3.394, abs=5e-4)
    assert layered_loss(2, 4, 0.05) == pytest.approx(-0.916, abs=5e-4)
    assert layered_loss(4, 4, 0.05) == pytest.approx(-0.916, abs=5e-4)


@pytest.mark.parametrize(
    ("n", "loss"), [(1, 0.193), (3, 0.509), (5, 0.779), (8, 1.14), (16, 1.94), (96, 7.7), (768, 52.8)]
)
def test_one_layer_at_a_z_of_one(n, loss):
    assert layered_loss(1, 1, float(critical_radius(n)), n=n) == pytest.approx(loss, rel=6e-3)


@pytest.mark.parametrize("n", [2, 7, 40])
def test_more_dimensions_against_mpmath(n):
    radius, layers, d = 0.9, 3, 9
    shell = lambda f: mpmath.quad(lambda s: n * s ** (n - 1) * f(s), [0, 0.5, 1])  # noqa: E731
    volume = mpmath.pi ** (mpmath.mpf(n) / 2) / mpmath.gamma(mpmath.mpf(n) / 2 + 1) * mpmath.mpf(radius) ** n
    Z = d // layers * volume * shell(lambda s: mpmath.exp(-((radius * s) ** 2)))
    weight = lambda s: layers - 1 + mpmath.exp(-mpmath.exp(-((radius * s) ** 2)) / Z)  # noqa: E731
    want = -mpmath.log(weight(0)) + mpmath.log(d * volume * shell(weight))
    assert layered_loss(layers, d, radius, n=n) == pytest.approx(float(want), rel=1e-8)


def test_distances_give_the_printed_layer_term():
    """L = log Z_t + log l with d / l patterns a layer: c = 0."""
    for layers in (1, 2, 12):
        split = layered_loss(layers, 24, 0.7, n=5, energy="distance")
        assert split == pytest.approx(float(log_partition(5, 0.7, 24 / layers)) + math.log(layers))
        assert split == pytest.approx(layered_loss(layers, 24, 0.7, n=5, energy="distance", patterns="replicated"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"radius": 0.0}, "radius=0"),
        ({"energy": "both"}, "energy='both'"),
        ({"patterns": "x"}, "patterns='x'"),
    ],
)
def test_refusals(change, message):
    with pytest.raises(ArgumentError, match=message):
        layered_loss(**{"n_layers": 2, "n_patterns": 4, "radius": 0.1} | change)
