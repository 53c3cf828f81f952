"""Figures of plans: the numbers behind them, and that they draw."""

import matplotlib
import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.optima.result import isoflop_data
from scalefit.planning import figures
from scalefit.planning.result import contour_data
from scalefit.plots import planning

matplotlib.use("Agg")
LAW = sf.published("chinchilla", "besiroglu2024")


@pytest.fixture(autouse=True)
def close_figures():
    import matplotlib.pyplot as plt

    yield
    plt.close("all")


@pytest.fixture(scope="module")
def runs():
    C, share = (a.ravel() for a in np.meshgrid([1e18, 1e19, 1e20], np.geomspace(0.2, 5, 9), indexing="ij"))
    N = share * 0.0478 * C**0.5126
    loss = LAW.predict(N=N, D=C / (6 * N)) * np.exp(0.002 * np.random.default_rng(0).standard_normal(N.size))
    return pd.DataFrame({"N": N, "D": C / (6 * N), "C": C, "loss": loss})


@pytest.mark.parametrize("method", ["parabola", "cubic", "local"])
def test_isoflop_figure(runs, method):
    optima = sf.isoflop(runs, method=method)
    data = isoflop_data(optima)
    assert data.budgets == pytest.approx([1e18, 1e19, 1e20]) and len(data.fitted) == 3
    for (size, loss), (n, low) in zip(data.fitted, data.optima, strict=True):
        at = np.argmin(loss)
        assert size[at] == pytest.approx(n, rel=0.05) and loss[at] == pytest.approx(low, rel=1e-4)
    ax = optima.plot()
    assert ax.get_xscale() == "log" and f"C^{optima.exponent_N:.3f}" in ax.get_title(loc="left")


def test_refused_budgets_are_drawn_without_a_curve(runs):
    cut = runs[~((runs.C == 1e18) & (runs.N > 0.05 * runs.C**0.5126))]
    data = isoflop_data(sf.isoflop(cut, method="local"))
    assert data.fitted[0] is None and len(data.optima) == 2
    sf.isoflop(cut, method="local").plot()


def test_contours(runs):
    plan = sf.plan(sf.fit(runs), C=1e21, unique_tokens=5e10, inference_tokens=1e10)
    data = contour_data(plan, n=30)
    assert data.loss.shape == (30, 30) and np.isfinite(data.loss).all() and len(data.runs) == len(runs)
    assert data.loss[3, 7] == pytest.approx(plan.surface.loss([[data.N[7]]], [[data.D[3]]])[0, 0])
    for budget, tokens in data.budgets.items():
        np.testing.assert_allclose(6 * data.N * tokens, budget)
    nearest = data.path[np.argmin(np.abs(np.log(data.path[:, 0] / plan.N)))]
    assert nearest == pytest.approx([plan.N, plan.D], rel=1e-3)
    labels = [text.get_text() for text in plan.plot().get_legend().get_texts()]
    assert {"plan", "optimum", "data wall: one epoch", "runs"} <= set(labels)
    sf.plan(LAW, C=1e21).plot()


def test_budgets_of_contours_are_named_inside_the_frame_and_ticks_are_round(runs):
    for C in (1e17, 1e21, 3e24):
        ax = sf.plan(LAW, C=C).plot()
        ax.figure.canvas.draw()
        frame = ax.get_window_extent()
        named = [text.get_window_extent() for text in ax.texts]
        assert len(named) >= 4
        for box in named:
            assert frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
        bar = next(other for other in ax.figure.axes if other is not ax)
        ticks = [float(label.get_text()) for label in bar.get_yticklabels()]
        assert len(ticks) >= 3 and np.allclose(np.diff(ticks), np.diff(ticks)[0])


def test_a_path_in_place_of_axes_is_refused(runs, tmp_path):
    plan, optima = sf.plan(LAW, C=1e21), sf.isoflop(runs, method="local")
    for draw in (plan.plot, optima.plot):
        with pytest.raises(sf.ScalefitError, match="is not a matplotlib Axes; nothing was drawn"):
            draw(tmp_path / "figure.png")


def test_approaches_with_bands(runs):
    approaches = {
        "isoFLOP": sf.isoflop(runs, method="local"),
        "law": sf.fit(runs),
        "published": LAW,
    }
    data = figures.allocation_data(approaches, (1e18, 1e22))
    for name in ("isoFLOP", "law"):
        middle, low, high = data.lines[name]
        assert (low < middle).all() and (middle < high).all() and middle[-1] / middle[0] > 50
    assert np.isnan(data.lines["published"][1]).all() and data.optima["isoFLOP"].shape == (3, 2)
    assert len(planning.draw_allocation(data).lines) == 4
    with pytest.raises(ValueError, match="rising pair"):
        figures.allocation_data(approaches, (1e22, 1e18))


def test_frontier_figure():
    plans = sf.plan(LAW, C=1e22).frontier(9)
    ax = planning.draw_frontier(plans)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), plans["C"])


@pytest.mark.parametrize(
    ("C", "level", "words"),
    [
        ((1e20, 1e18), 0.9, "rising pair"),
        ((1e18,), 0.9, "rising pair"),
        (1e18, 0.9, "list of numbers"),
        (("a", "b"), 0.9, "list of numbers"),
        ((1e18, 1e20), 90, "level=90"),
    ],
)
def test_allocation_refuses(C, level, words):
    with pytest.raises(ValueError, match=words):
        figures.allocation_data({"law": LAW}, C, level)


def test_levels_are_written_as_asked(runs):
    ax = planning.draw_allocation(figures.allocation_data({"fit": sf.fit(runs)}, (1e19, 1e22), level=0.9996))
    assert ax.texts[-1].get_text() == "bands: 99.96 %"
