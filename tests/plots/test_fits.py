"""Figures of a fit: the numbers behind them, and that every kind of fit can be drawn without touching settings."""

from __future__ import annotations

import warnings

import matplotlib
import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.fitting import figures
from scalefit.plots import fits, residuals
from scalefit.plots._axes import axes_for, label_ends


def table(law="chinchilla", key="besiroglu2024", n=60, seed=0):
    rng = np.random.default_rng(seed)
    N, D = 10 ** rng.uniform(7.5, 10, n), 10 ** rng.uniform(9, 11.5, n)
    loss = sf.published(law, key).predict(N=N, D=D) * np.exp(0.004 * rng.standard_normal(n))
    return pd.DataFrame({"N": N, "D": D, "loss": loss})


@pytest.fixture(scope="module")
def result():
    return sf.fit(table())


def test_curves_are_the_law_and_its_interval(result):
    data = figures.fit_data(result, level=0.8)
    assert data.axis == "C" and len(data.curves) == 5
    np.testing.assert_allclose(data.x, 6 * table()["N"] * table()["D"], rtol=1e-12)
    for curve in data.curves:
        D = curve.x / (6 * curve.N)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", sf.ScalefitWarning)
            frame = result.predict_interval(N=np.full(D.size, curve.N), D=D, level=0.8)
        np.testing.assert_allclose(curve.loss, frame["loss"])
        np.testing.assert_allclose(curve.lower, frame["lower"])
        assert data.x.min() * 0.99 <= curve.x.min() and curve.x.max() <= data.x.max() * 1.01


def test_drawing_puts_runs_curves_and_bands_on_the_axes(result):
    data = figures.fit_data(result)
    axes = fits.draw_fit(data)
    points = axes.collections[-1].get_offsets()
    np.testing.assert_allclose(np.sort(points[:, 1]), np.sort(table()["loss"]))
    assert len(axes.lines) == 5 and axes.get_xscale() == "log"
    assert axes.get_xlabel().endswith("[FLOP]") and axes.get_ylabel() == "loss [nat/token]"


def test_residuals_are_of_the_log_loss_whatever_was_fitted():
    runs = table()
    for on in ("log_loss", "loss"):
        result = sf.fit(runs, objective="squared", on=on)
        data = figures.residual_data(result)
        np.testing.assert_allclose(data.miss, 100 * (result.predict(N=runs["N"], D=runs["D"]) / runs["loss"] - 1))
        axes = residuals.draw_residuals(data, "D")
        np.testing.assert_allclose(axes.collections[0].get_offsets()[:, 0], runs["D"])


def test_profile_is_zero_at_the_optimum_and_rises_from_it(result):
    data = figures.profile_data(result, "alpha")
    assert np.nanmin(data.excess) >= -1e-9
    at = int(np.argmin(np.abs(data.value - data.best)))
    assert data.excess[at] == np.nanmin(data.excess)
    axes = fits.draw_profile(data)
    assert axes.get_xlabel() == r"$\alpha$" and data.value.size >= 20


@pytest.mark.parametrize("law", ["power_law:N", "power_law:C", "kaplan", "over_training", "data_constrained"])
def test_every_kind_of_law_can_be_drawn(law, tmp_path):
    runs = table()
    if law == "data_constrained":
        rng = np.random.default_rng(3)
        runs["unique_tokens"] = runs["D"] / rng.choice([1.0, 2.0, 8.0, 32.0], len(runs))
    path = tmp_path / "fit.svg"
    figure = sf.fit(runs, law).plot(path)
    assert path.read_text().lstrip().startswith("<?xml") and len(figure.axes) >= 3


def test_shared_exponents_are_drawn_by_series():
    runs = pd.concat([table(seed=k).assign(series=name) for k, name in enumerate(("one", "two"))], ignore_index=True)
    result = sf.fit(runs, by="shared")
    data = figures.fit_data(result)
    assert data.series.count("one") == 60 and {curve.series for curve in data.curves} == {"one", "two"}
    axes = fits.draw_fit(data)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["one", "two"]
    assert len(result.plot().axes) == 3


def test_a_law_of_other_columns_is_drawn_against_its_predictions():
    class Depth(sf.Law):
        """L = E + A / n_layers^alpha."""

        inputs = ("n_layers",)
        formula = "L = E + A n_layers^-alpha"
        E = sf.Parameter("floor", (0.0, 10.0), unit="nat/token", log=True, linear=True)
        A = sf.Parameter("coefficient", (1e-3, 1e3), log=True, linear=True)
        alpha = sf.Parameter("exponent", (0.0, 3.0))

        @staticmethod
        def loss(n_layers, E, A, alpha):
            return E + A * n_layers**-alpha

    rng = np.random.default_rng(0)
    depth = np.repeat([2.0, 4, 8, 16, 32, 64], 4)
    runs = {"n_layers": depth, "N": depth * 1e7, "loss": (1.7 + 3 * depth**-0.8) * np.exp(0.01 * rng.normal(size=24))}
    data = figures.fit_data(sf.fit(runs, Depth))
    assert data.axis == "loss" and data.curves == ()
    assert fits.draw_fit(data).get_xlabel() == "predicted loss [nat/token]"


def test_nothing_outside_the_figure_is_changed(result, tmp_path):
    before = dict(matplotlib.rcParams)
    result.plot(tmp_path / "fit.png")
    assert dict(matplotlib.rcParams) == before
    import matplotlib.pyplot as plt

    assert plt.get_fignums() == []


def test_sizes_of_one_compute_are_drawn_about_it():
    """As in a sweep of learning rates: the curve of the largest size would end far above every run."""
    N = np.repeat(np.geomspace(1e7, 1e9, 6), 8)
    loss = sf.published("chinchilla", "besiroglu2024").predict(N=N, D=20 * N**1.1)
    noise = np.exp(0.003 * np.random.default_rng(0).standard_normal(48))
    data = figures.fit_data(
        sf.fit({"N": N, "D": 20 * N**1.1, "loss": loss * noise}, "chinchilla", fixed={"beta": 0.37})
    )
    for curve in data.curves:
        own = 120 * curve.N**2.1
        assert own / 2.1 <= curve.x.min() <= own <= curve.x.max() * 1.001 <= 2.1 * own
        assert curve.loss.max() <= loss.max() * 1.05


def test_labels_at_the_ends_keep_off_points_and_curves():
    """A point stands to the right of one end at its height, a curve to the right of the other."""
    axes = axes_for(None, (6, 4))
    axes.set(xlim=(0, 10), ylim=(0, 10))
    axes.plot([1], [3], "o")
    axes.plot([1, 2], [8, 8])
    axes.scatter([2, 2.2], [3, 3])
    axes.plot([2.3, 6], [8, 8])
    label_ends(axes, [(1, 3, "a long label"), (2, 8, "a long label"), (5, 5.5, "free")])
    axes.figure.canvas.draw()
    boxes = [(label.get_text(), label.get_window_extent()) for label in axes.texts]
    points = axes.transData.transform([(2, 3), (2.2, 3), *((x, 8) for x in np.linspace(2.4, 6, 50))])
    assert not any(box.contains(*point) for _, box in boxes for point in points)
    free = dict(boxes)["free"]
    assert abs((free.y0 + free.y1) / 2 - axes.transData.transform((5, 5.5))[1]) < 2  # none is in its way: it stays
