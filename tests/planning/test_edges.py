"""What a planner meets at its edges: numbers in every dress, several series, forecasts, levels close to 1."""

import json

import numpy as np
import pandas as pd
import pytest
from made_runs import grid

import scalefit as sf
from scalefit.errors import ScalefitError
from scalefit.optima.power_law_fit import fit_power_law
from scalefit.planning.approaches import agreement
from scalefit.planning.architecture import architecture_for
from scalefit.planning.deployment import Hardware, frontier
from scalefit.planning.published_rules import recipes
from scalefit.planning.repetition import epoch_returns


@pytest.fixture(scope="module")
def runs():
    return grid(noise=0.003)


@pytest.fixture(scope="module")
def fit(runs):
    return sf.fit(runs)


@pytest.fixture(scope="module")
def forecast(runs):
    return sf.forecast(runs)


@pytest.fixture(scope="module")
def two(runs):
    return pd.concat([runs.assign(series="a"), runs.assign(series="b", loss=1.3 * runs["loss"])], ignore_index=True)


@pytest.mark.parametrize("C", [10**22, "1e22", np.int64(10**18) * 10_000.0, np.array(1e22), np.float64(1e22)], ids=repr)
def test_a_budget_in_every_dress(fit, C):
    assert sf.plan(fit, C=C).N == pytest.approx(sf.plan(fit, C=1e22).N)
    assert len(sf.next_runs(fit, C, n_runs=2)) == len(sf.next_runs(fit, 1e22, n_runs=2))


@pytest.mark.parametrize("C", [b"1", 1j, 10**400, "nan"], ids=lambda value: repr(value)[:20])
def test_a_budget_that_is_not_a_number_is_one_line(fit, C):
    for ask in (lambda: sf.plan(fit, C=C), lambda: sf.next_runs(fit, C)):
        with pytest.raises(sf.ScalefitError) as said:
            ask()
        assert "\n" not in str(said.value) and len(str(said.value)) < 250


def test_a_plan_of_one_series_keeps_it(two):
    """Its frontier and its epochs are those of that series."""
    shared = sf.fit(two, by="shared")
    plan = sf.plan(shared, C=1e22, series="b", unique_tokens=1e10)
    assert plan.frontier(3)["C"].iloc[0] == pytest.approx(plan.C, rel=1e-3)
    returns = plan.epoch_returns()
    assert np.interp(np.log(plan.epochs), np.log(returns["epochs"]), returns["loss"]) == pytest.approx(plan.loss, 1e-3)
    assert plan.to_dict()["series"] == "b"


def test_a_series_where_there_is_none_is_refused(fit):
    with pytest.raises(ValueError, match="series='zz' was given, and this result has no series"):
        sf.plan(fit, C=1e22, series="zz")


def test_what_follows_from_a_forecast_agrees_with_its_predictions(forecast):
    """The law misses the largest runs; the forecast carries that over, and so must all that is made of it."""
    plan = sf.plan(forecast, C=1e23)
    table = plan.frontier(4)
    assert forecast.predict(N=table["N"], D=table["D"]) == pytest.approx(plan.loss, rel=1e-5)
    assert table["C"].iloc[0] == pytest.approx(plan.C, rel=1e-3)
    wall = sf.plan(forecast, C=1e23, unique_tokens=2e10)
    assert epoch_returns(forecast, wall.N, 2e10, epochs=(1, wall.epochs))["loss"].iloc[-1] == pytest.approx(wall.loss)


def test_the_worth_of_an_epoch_is_the_slope_of_the_fresh_tokens():
    """By central differences of the law itself, with repetition borrowed."""
    law, N, unique = sf.published("chinchilla", "besiroglu2024"), 1e9, 1e10
    table = epoch_returns(law, N, unique, epochs=(2, 7, 20))
    from scalefit.planning.loss_surface import surface_of

    surface = surface_of(sf.published("kaplan", "kaplan2020"), unique_tokens=unique)
    at, step = table["D"].to_numpy(), 1e-4
    slopes = [(surface.fresh(d * (1 + step)) - surface.fresh(d * (1 - step))) / (2 * step * d) for d in at]
    assert table["worth"].to_numpy() == pytest.approx(slopes, rel=1e-6)


def test_several_series_are_never_pooled_in_silence(two, tmp_path):
    for walk in (sf.isoflop, agreement, sf.envelope):
        with pytest.raises(ValueError, match=r"2 series \(a, b\).*computed. Pass the runs of one: runs\["):
            walk(two)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"level": 2}, "between 0 and 1"),
        ({"C": -1}, "C=-1 must be positive"),
        ({"budget": "typo"}, "'typo' is not a numeric column"),
        ({"budget": ["C"]}, "not a numeric column"),
    ],
)
def test_agreement_refuses_instead_of_closing_every_road(runs, options, words):
    with pytest.raises(ValueError, match=words):
        agreement(runs, n_draws=20, **options)


def test_agreement_takes_one_law_by_its_name(runs):
    approaches = agreement(runs, laws="chinchilla", C="1e21", n_draws=20)["approach"].tolist()
    assert [approach for approach in approaches if approach.startswith("law")] == ["law chinchilla"]


def test_budgets_that_are_none(runs):
    with pytest.raises(ValueError, match="holds 0 as a budget, in 1 of 44 runs"):
        sf.isoflop(runs.assign(plan=np.where(np.arange(44) == 3, 0.0, runs["C"])), budget="plan")


def curves():
    N, C = np.meshgrid(np.geomspace(1e7, 1e10, 8), np.geomspace(1e17, 1e22, 30), indexing="ij")
    D = C / (6 * N)
    loss = sf.published("chinchilla", "besiroglu2024").predict(N=N, D=D)
    names = np.repeat([f"run {chr(97 + k)}" for k in range(8)], 30)
    return pd.DataFrame({"run": names, "N": N.ravel(), "D": D.ravel(), "loss": loss.ravel()})


def test_a_file_of_curves_gives_what_its_frame_gives(tmp_path):
    """Two runs of one size are two runs, whatever brought them here; conventions travel along."""
    table = curves()
    again = table[table["run"] == "run c"].assign(run="run z", loss=lambda t: 1.002 * t["loss"])
    table = pd.concat([table, again.iloc[3:20]], ignore_index=True)
    path = tmp_path / "curves.csv"
    table.to_csv(path, index=False)
    assert sf.envelope(path).exponent_N == pytest.approx(sf.envelope(table).exponent_N, rel=1e-9)
    read = sf.read_runs(path, params="non_embedding")
    assert sf.envelope(read).conventions["params"] == "non_embedding"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "parabola"}, "Known: local, lowest"),
        ({"budgets": ["a", "b"]}, "must be a list of numbers"),
        ({"budgets": [1e19]}, "two or more"),
        ({"budgets": [1e19, np.nan]}, "two or more"),
        ({"n_budgets": 1}, "at least 2"),
        ({"n_budgets": "many"}, "n_budgets='many' must be a whole number, at least 2"),
    ],
)
def test_envelope_refusals(options, words):
    with pytest.raises(sf.ScalefitError, match=words):
        sf.envelope(curves(), **options)


def test_labelled_outliers_are_seen_in_a_file_too(runs, tmp_path):
    labelled = runs.assign(outlier=np.arange(44) == 5)
    labelled.to_csv(tmp_path / "runs.csv", index=False)
    for source in (labelled, tmp_path / "runs.csv"):
        assert "labelled_outliers" in [note.code for note in sf.isoflop(source).notes]


def test_optima_predict_in_every_dress(runs):
    optima = sf.isoflop(runs)
    row = optima.predict("1e21")
    for C in (1e21, [1e21], np.array(1e21), pd.Series([1e21])):
        pd.testing.assert_frame_equal(optima.predict(C), row)
    for bad in ("a lot", [1e21, -1], [], [[1e21]], np.nan):
        if bad == []:
            assert optima.predict(bad).empty
            continue
        with pytest.raises(sf.ScalefitError):
            optima.predict(bad)


def test_levels_close_to_the_ends(fit, runs):
    """A level is printed as it was asked for, and the last number below 1 is still a level."""
    said = str(sf.plan(fit, C=1e22, level=0.9996))
    assert "99.96% [" in said and "100%" not in said
    last = float(np.nextafter(1, 0))
    line = fit_power_law(np.array([1e18, 1e19, 1e20]), np.array([1e8, 3.1e8, 9.5e8]), np.full(3, 0.02))
    assert np.isfinite(line.quantile(last)) and line.quantile(last) > line.quantile(0.999)
    low, high = sf.isoflop(runs).predict(1e21, last).iloc[0][["N_lower", "N_upper"]]
    assert low < 1 and high > 1e20
    narrow = sf.plan(fit, C=1e22, level=1e-9)
    assert narrow.N_interval[0] <= narrow.N_interval[1] and narrow.lower <= narrow.upper


def test_optima_print_at_the_level_asked(runs):
    from scalefit.optima.result import optima_text

    assert "80% [" in optima_text(sf.isoflop(runs), 0.8)


def test_a_target_that_no_draw_reaches_says_so():
    from scalefit.planning.text import _between

    assert _between((np.inf, np.inf), "90%", "N") == "90% [∞, ∞]" and _between((2.0, 2.0), "90%", "N") == ""


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Hardware(peak=1e15, serving_price=2.0), "needs a price of training"),
        (lambda: Hardware(peak="fast"), "peak='fast' is not a quantity"),
        (lambda: Hardware(peak=1e15, price=True), "price=True must be a number"),
        (lambda: Hardware.named(["h100"]), "no device"),
        (lambda: Hardware(peak=1e15, price=2.0).compute(money=-5), "money=-5 must be positive"),
        (lambda: Hardware(peak=1e15).compute(money=5), "money=5 buys no hours"),
        (lambda: Hardware(peak=1e15).compute(), "Give one"),
        (lambda: architecture_for(1e9, d_head=0), "d_head=0"),
        (lambda: architecture_for(1e9, vocab_size="big"), "vocab_size='big'"),
        (lambda: architecture_for(1e16), "Plan a smaller N"),
        (lambda: architecture_for(1e6), "Pass a smaller vocab_size"),
        (lambda: recipes("large", 1e9), "N='large'"),
        (lambda: recipes(1e9, np.inf), "D=inf"),
    ],
)
def test_refusals_say_what_was_seen(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_devices_by_any_case_and_numbers_as_text():
    assert Hardware.named("H100") == Hardware.named("h100") and Hardware(peak="1e15", devices=8).devices == 8
    assert architecture_for("7B").n_layers == architecture_for(7e9).n_layers


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n_runs": "many"}, "n_runs='many'"),
        ({"n_runs": 2.7}, "whole number"),
        ({"noise": "loud"}, "noise='loud'"),
        ({"noise": np.inf}, "noise=inf"),
        ({"target": ["E"]}, "Known: loss"),
        ({"C": 1e40}, "more than anybody can train"),
    ],
)
def test_next_runs_refuses(fit, options, words):
    with pytest.raises(ValueError, match=words):
        sf.next_runs(fit, 1e21, **options)


def test_frontier_arguments(fit):
    pd.testing.assert_frame_equal(frontier(fit, "2.5", n=3), frontier(fit, 2.5, n=3))
    for options in ({"loss": np.nan}, {"loss": 2.5, "n": "few"}, {"loss": 2.5, "unique_tokens": 0}, {"loss": 0.1}):
        with pytest.raises(sf.ScalefitError):
            frontier(fit, **options)


def test_a_record_has_a_floor_entry_even_where_there_is_none(fit):
    """Plans smaller than any vocabulary have no architecture, and say null."""
    tiny = sf.plan(fit, C=1e18, fixed={"N": 1e4}).to_dict()
    assert tiny["architecture"] is None and tiny["floor"] is None
    json.dumps(tiny, allow_nan=False)


def test_ratio_refusals_count_what_serving_costs(fit):
    """The ratios named are those of the very question, serving weighed by its price."""
    dear = Hardware(peak=1e15, mfu=0.5, serving_mfu=0.005)
    with pytest.raises(ValueError) as weighed:
        sf.plan(fit, ratio=1e-6, inference_tokens=1e12, hardware=dear)
    with pytest.raises(ValueError) as plain:
        sf.plan(fit, ratio=1e-6, inference_tokens=1e12)
    assert str(weighed.value) != str(plain.value)


def near_equal_exponents(seed):
    rng = np.random.default_rng(seed)
    N, D = 10 ** rng.uniform(7, 9.5, 60), 10 ** rng.uniform(9, 11, 60)
    loss = (1.7 + 400 * N**-0.34 + 2000 * D**-0.345) * np.exp(0.01 * rng.standard_normal(60))
    return sf.fit({"N": N, "D": D, "loss": loss})


def test_an_answer_that_no_law_can_speak_about_is_refused_as_its_budget_would_be():
    result = near_equal_exponents(1)
    with pytest.raises(ScalefitError, match="ratio=20 takes .* times the largest run behind it .* no plan was made"):
        sf.plan(result, ratio=20)


def test_a_plan_says_first_how_far_to_trust_it():
    result = near_equal_exponents(1)
    far, loose, near = (sf.plan(result, **asked) for asked in ({"loss": 1.75}, {"ratio": 60}, {"C": 1e22}))
    first = " ".join(str(far).split("\nPlan: ")[0].split())
    assert first.startswith("TRUST: NO (the plan has") and "leave N open by more than 1,000 times" in first
    assert str(loose).splitlines()[0] == "TRUST: NO (the runs leave N open by more than 1,000 times)"
    assert str(near).startswith("TRUST: with care (") and not far.trusted and not loose.trusted and near.trusted
    assert loose.to_dict()["trusted"] is False and near.to_dict()["verdict"].startswith("with care")
    published = sf.plan(sf.published("besiroglu2024"), C=1e22)
    assert str(published).startswith("TRUST: with care (a law's constants alone, without the errors of its runs)\n")


def test_a_plan_on_a_fit_that_must_not_be_trusted_is_not_trusted(monkeypatch):
    result = near_equal_exponents(1)
    plan = sf.plan(result, C=1e22)
    monkeypatch.setattr(type(result), "trusted", False)
    assert str(plan).startswith("TRUST: NO (the fit behind it must not be trusted)\n") and not plan.trusted
