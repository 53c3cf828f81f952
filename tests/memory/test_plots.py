"""Figures: the numbers behind them, and that each draws what it was given."""

from __future__ import annotations

import math

import matplotlib
import numpy as np
import pytest

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from scalefit.errors import ArgumentError
from scalefit.memory import DistanceEnergy, Hopfield, ModernHopfield
from scalefit.memory import figures as plots


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def test_figure_1_in_the_plane():
    data = plots.energy_landscapes(resolution=61)
    assert list(data.energies) == ["attraction", "regulariser", "modern", "distance"]
    x = np.stack(np.meshgrid(*data.axes), axis=-1)
    np.testing.assert_allclose(data.energies["modern"], data.energies["attraction"] + data.energies["regulariser"])
    np.testing.assert_allclose(data.energies["modern"], ModernHopfield(plots.FIGURE_1_PLANE).energy(x))
    np.testing.assert_allclose(data.energies["distance"], DistanceEnergy(plots.FIGURE_1_PLANE).energy(x))
    # the paper's point: eq. 4 has its minima at the patterns, the bare log-sum has none
    wells = DistanceEnergy(plots.FIGURE_1_PLANE).retrieve(plots.FIGURE_1_PLANE)
    assert np.linalg.norm(wells - plots.FIGURE_1_PLANE, axis=1).max() < 0.1
    assert data.energies["attraction"].argmin() in (0, 60, 61 * 60, 61 * 61 - 1)
    axes = plots.plot_energy_landscapes(data)
    assert [ax.get_title()[:3] for ax in axes] == ["(a)", "(b)", "(c)", "(d)"]
    assert all(ax.get_position().width > 0.25 for ax in axes)  # two in a row: four are too small to read


def test_figure_1_on_the_line():
    data = plots.energy_landscapes(plots.FIGURE_1_LINE)
    assert data.energies["distance"].shape == (201,)
    axes = plots.plot_energy_landscapes(data)
    line = axes[3].lines[0]
    np.testing.assert_array_equal(line.get_ydata(), data.energies["distance"])
    np.testing.assert_array_equal(axes[3].lines[1].get_xdata(), [-2.0, 0.0, 1.0])


def test_given_axes_are_used():
    _, axes = plt.subplots(2, 2)
    assert plots.plot_energy_landscapes(axes=axes)[0] is axes[0, 0]
    _, ax = plt.subplots()
    assert plots.plot_loss_against_radius(plots.loss_against_radius(100), ax=ax) is ax
    with pytest.raises(ArgumentError, match="axes holds 1"):
        plots.plot_energy_landscapes(axes=[ax])


def test_the_loss_is_least_at_the_critical_radius():
    data = plots.loss_against_radius(786432, 9e6)
    assert data.loss.min() == pytest.approx(1.0, abs=1e-3)
    assert data.radius[data.loss.argmin()] == pytest.approx(data.critical_radius, rel=1e-6)
    assert data.volume_radius < data.critical_radius
    ax = plots.plot_loss_against_radius(data)
    assert any("critical radius" in text.get_text() for text in ax.get_legend().get_texts())
    marked = [line for line in ax.lines if list(line.get_xdata()) == [data.critical_radius] * 2]
    assert len(marked) == 1
    wide = plots.loss_against_radius(50, 10, radius=np.linspace(0.5, 5, 50))
    assert wide.loss.shape == (50,)
    plots.plot_loss_against_radius(wide)


def test_theory_beside_measurement():
    data = plots.capacity_against_dimension(
        (8, 12), {"Hopfield": Hopfield, "modern": ModernHopfield}, max_patterns=64, n_queries=20
    )
    np.testing.assert_allclose(data.theory["Hopfield"], Hopfield(np.ones((1, 8))).capacity([8, 12], corruption=0.1))
    assert np.all(data.measured["Hopfield"] > data.theory["Hopfield"])
    assert math.isnan(data.measured["modern"][1])  # more than the search may store
    ax = plots.plot_capacity(data)
    assert ax.get_yscale() == "log"
    assert len(ax.get_legend().get_texts()) == 4


def test_bad_input_is_named():
    with pytest.raises(ArgumentError, match="3 dimensions"):
        plots.energy_landscapes([[1.0, 2.0, 3.0]])
    with pytest.raises(ArgumentError, match="dims=0 in row 0"):
        plots.capacity_against_dimension((0,))
    with pytest.raises(ArgumentError, match="radius=-1 in row 0"):
        plots.loss_against_radius(10, radius=[-1.0])
