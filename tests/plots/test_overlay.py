"""sf.plot: several results in one panel, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

import scalefit as sf

LAW = sf.published("chinchilla", "besiroglu2024")


@pytest.fixture(scope="module")
def runs():
    N, D = (a.ravel() for a in np.meshgrid(np.geomspace(1e8, 1e10, 5), np.geomspace(2e9, 2e11, 5)))
    noise = np.exp(0.003 * np.random.default_rng(0).standard_normal(25))
    return {"N": N, "D": D, "loss": LAW.predict(N=N, D=D) * noise}


def test_the_line_is_the_lowest_loss_for_the_compute(runs):
    fit = sf.fit(runs)
    axes = sf.plot([fit, LAW], planned={"N": 7e9, "D": 1.4e12})
    line = axes.lines[0]
    C = line.get_xdata()
    want = [sf.plan(fit, C=float(each)).loss for each in C[::20]]
    assert line.get_ydata()[::20] == pytest.approx(want, rel=1e-5)
    assert C[-1] == pytest.approx(6 * 7e9 * 1.4e12)
    first, second = (text.get_text() for text in axes.get_legend().get_texts())
    assert first.startswith("chinchilla 1: ") and "[" in first and "[" not in second, "constants have no interval"


def test_runs_are_points_and_a_file_is_written(runs, tmp_path):
    import matplotlib.pyplot as plt

    fit = sf.fit(runs)
    _, ax = plt.subplots()
    assert sf.plot({"mine": fit}, tmp_path / "a.svg", ax=ax) is ax and (tmp_path / "a.svg").stat().st_size > 1000
    assert len(ax.collections[-1].get_offsets()) == 25
    assert fit.plot(ax=ax) is ax
    plt.close("all")


def test_laws_of_one_input_and_shared_fits(runs):
    compute = sf.fit({"C": 6 * runs["N"] * runs["D"], "loss": runs["loss"]}, "power_law:C", objective="squared")
    assert sf.plot([sf.fit(runs), compute]).get_xlabel() == "training compute C [FLOP]"
    rows = np.arange(25) % 2
    shared = sf.fit({**runs, "series": np.array(["a", "b"])[rows]}, by="shared")
    texts = [text.get_text() for text in sf.plot(shared).get_legend().get_texts()]
    assert texts == ["chinchilla a", "chinchilla b"]


def test_what_cannot_be_drawn_together_is_refused(runs):
    fit = sf.fit(runs)
    bits = sf.fit(sf.read_runs({**runs, "loss": runs["loss"] / 3}, loss_unit="bit/byte"))
    size = sf.fit({"N": runs["N"], "loss": runs["loss"]}, "power_law:N", objective="squared")
    cases = [
        ([], {}, "none was given"),
        ("fit", {}, "str was given"),
        ([fit, bits], {}, "are not comparable"),
        ([fit, size], {}, "different axes"),
        ([sf.published("joint_moe", "ludziejewski2025")], {}, "no one line shows it"),
        ([fit], {"names": ["a", "b"]}, "2 names"),
        ([fit], {"planned": {"N": 1e9}}, "where on the axis"),
    ]
    for results, options, said in cases:
        with pytest.raises(ValueError, match=said):
            sf.plot(results, **options)
    held = sf.published("joint_moe", "ludziejewski2025").at(n_experts=8)
    assert sf.plot(held).get_xlabel() == "training compute C [FLOP]"


def test_what_a_law_predicts_is_drawn_as_what_it_is(runs):
    """A setting has no best run, an accuracy is best high, and only results of one kind share a panel."""
    with pytest.raises(ValueError, match="neither better low nor better high"):
        sf.plot(sf.published("step_law_lr"))
    with pytest.raises(ValueError, match="are not comparable"):
        sf.plot([sf.published("step_law_lr"), LAW])
    rate = sf.published("rl_sigmoid", "khatri2025_8b")
    (given,) = rate.inputs
    assert not sf.plot(rate, planned={given: 1e4}).get_ylabel().startswith("loss")


def test_a_planned_run_by_its_sizes_lies_on_a_law_of_compute_too(runs):
    fit = sf.fit(runs)
    compute = sf.fit({"C": 6 * runs["N"] * runs["D"], "loss": runs["loss"]}, "power_law:C", objective="squared")
    axes = sf.plot([fit, compute], planned={"N": 2e10, "D": 4e11})
    assert all("[" in text.get_text() for text in axes.get_legend().get_texts())


def test_a_law_without_runs_needs_a_place():
    size = sf.published("power_law:N", "kaplan2020_N")
    with pytest.raises(ValueError, match="nothing says over which N"):
        sf.plot(size)
    line = sf.plot(size, planned={"N": 1e10}).lines[0]
    assert line.get_xdata()[[0, -1]] == pytest.approx([1e8, 1e10])


def test_every_predictor_says_what_it_predicts(runs):
    """Each kind by the same attribute; a loss in the unit of its runs."""
    fit = sf.fit({**runs, "loss_unit": ["bit/byte"] * len(runs["N"])}, "chinchilla")
    average = sf.average([sf.fit(runs, "chinchilla"), sf.fit(runs, "kaplan")], weights=[0.5, 0.5])
    found = [fit, fit.at(N=1e9), average, sf.forecast(runs), LAW, sf.published("rl_sigmoid", "khatri2025_8b")]
    assert [predictor.target.name for predictor in found[:5]] == ["loss"] * 5
    assert [predictor.target.unit for predictor in found[:5]] == ["bit/byte", "bit/byte", *["nat/token"] * 3]
    assert found[5].target.sense == 1 and all(isinstance(predictor, sf.Predictor) for predictor in found)


def test_the_runs_behind_a_forecast_are_drawn_with_inputs_held_or_not(runs):
    """A forecast with an input held was drawn without its runs, a fit with one was not."""
    found = sf.forecast(runs)
    for axes in (sf.plot(found), sf.plot(found.at(N=float(runs["N"][0])))):
        assert sum(len(points.get_offsets()) for points in axes.collections) >= len(runs["N"])
