"""sf.forecast: what it predicts, what its intervals say, when it falls back, what it refuses."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scalefit as sf
from scalefit._numeric import excess_over_hull
from scalefit.fitting.priors import Prior
from scalefit.forecasting.calibration import shipped
from scalefit.forecasting.correlated_errors import Discrepancy, excess, kernel

COUPLED = sf.laws.get("coupled")
TRUTH = dict(E=1.8, A=300.0**2.5, alpha=0.32, B=500.0**2.5, beta=0.3, g=0.4)


def isoflop(noise=0.002, seed=0, budgets=(1e18, 3e18, 1e19, 3e19, 1e20), width=7):
    rng = np.random.default_rng(seed)
    C = np.repeat(budgets, width)
    N = np.sqrt(C / 120) * np.tile(np.geomspace(0.3, 3, width), len(budgets))
    D = C / (6 * N)
    loss = COUPLED.loss(N, D, **TRUTH) * np.exp(noise * rng.standard_normal(N.size))
    return pd.DataFrame({"N": N, "D": D, "loss": loss})


@pytest.fixture(scope="module")
def result():
    return sf.forecast(isoflop())


def test_forecasts_thirty_times_the_compute(result):
    N, D = 5e9, 1e11
    assert result.predict(N=N, D=D) == pytest.approx(COUPLED.loss(N, D, **TRUTH), rel=0.01)


def test_predicts_like_a_result(result):
    assert isinstance(result.predict(N=1e9, D=2e10), float)
    assert result.predict(N=[1e9, 2e9], D=2e10).shape == (2,)
    assert result.predict(N=np.full((2, 3), 1e9), D=2e10).shape == (2, 3)
    assert result.predict(N=1e9, C=6e9 * 2e10) == pytest.approx(result.predict(N=1e9, D=2e10), rel=1e-12)
    assert list(result.params.index) == list(COUPLED.parameters) and result.n_runs == 35
    assert (result.std_errors > 0).all() and result.trusted and result.success and result.reason == ""


def test_the_parts_of_an_interval_add_in_squares(result):
    table = result.predict_interval(N=[1e9, 1e10, 1e11], D=[2e10, 2e11, 2e12], level=0.9)
    assert list(table) == ["loss", "lower", "upper", "se_parameter", "se_law", "se_noise"]
    total = np.sqrt((table[["se_parameter", "se_law", "se_noise"]] ** 2).sum(axis=1)) / table["loss"]
    half = np.log(table["upper"] / table["lower"]) / 2
    np.testing.assert_allclose(half, result.spread.quantile(0.9) * total, rtol=1e-12)
    assert (table["lower"] < table["loss"]).all() and (table["loss"] < table["upper"]).all()


@given(st.floats(0.05, 0.98), st.floats(0.05, 0.98))
@settings(max_examples=20)
def test_higher_levels_are_wider(result, a, b):
    low, high = sorted((a, b))
    narrow, wide = (result.predict_interval(N=1e10, D=2e11, level=level) for level in (low, high))
    assert wide["lower"][0] <= narrow["lower"][0] <= narrow["upper"][0] <= wide["upper"][0]


def test_the_laws_part_grows_with_the_jump(result):
    C = result.largest_compute * np.array([1.0, 10.0, 100.0])
    N = np.sqrt(C / 120)
    law = result.predict_interval(N=N, D=20 * N)["se_law"] / result.predict(N=N, D=20 * N)
    assert (np.diff(law) > 0).all()


def test_near_its_runs_it_follows_them():
    """A smooth miss of the law in the largest runs is carried to their neighbours, and fades with distance."""
    runs = isoflop(noise=0.0)
    size = 6 * runs.N * runs.D
    bump = 0.02 * np.exp(-0.5 * (np.log(size / size.max()) / 1.0) ** 2)
    fitted = sf.forecast(runs.assign(loss=runs.loss * np.exp(bump)))
    N, D = runs.N.iloc[-4], runs.D.iloc[-4]
    law_only = COUPLED.loss(N, D, **fitted.params)
    seen = runs.loss.iloc[-4] * np.exp(bump.iloc[-4])
    assert abs(fitted.predict(N=N, D=D) / seen - 1) < 0.5 * abs(law_only / seen - 1) + 1e-3


def test_a_run_far_above_the_others_hardly_moves_it(result):
    runs = isoflop()
    runs.loc[20, "loss"] *= 1.3
    assert sf.forecast(runs).predict(N=5e9, D=1e11) == pytest.approx(result.predict(N=5e9, D=1e11), rel=0.01)


def test_a_run_too_good_to_be_true_is_named(result):
    runs = isoflop()
    runs.loc[20, "loss"] *= 0.9
    moved = sf.forecast(runs)
    assert moved.predict(N=5e9, D=1e11) == pytest.approx(result.predict(N=5e9, D=1e11), rel=0.02)
    note = next(note for note in moved.notes if note.code == "outliers")
    assert 20 in note.details["rows"]


def test_order_of_the_runs_does_not_matter(result):
    runs = isoflop().sample(frac=1, random_state=3)
    assert sf.forecast(runs).predict(N=5e9, D=1e11) == pytest.approx(result.predict(N=5e9, D=1e11), rel=1e-6)


def test_other_units_drop_the_prior_on_E(result):
    per_byte = sf.forecast(isoflop().assign(loss=lambda d: d.loss / 4), loss_unit="other")
    assert "E" not in per_byte.problem.penalty.prior.names
    assert any(note.code == "prior_without_E" for note in per_byte.notes)
    assert 4 * per_byte.predict(N=5e9, D=1e11) == pytest.approx(result.predict(N=5e9, D=1e11), rel=0.01)


def test_a_prior_of_ones_own_or_none():
    tight = Prior(("E",), np.log([1.5]), np.array([[1e-8]]), log=True, source="test")
    assert sf.forecast(isoflop(), prior=tight).params["E"] == pytest.approx(1.5, rel=1e-3)
    assert sf.forecast(isoflop(), prior=None).problem.penalty is None


def test_one_ratio_of_tokens_to_parameters_falls_back_with_its_reason():
    N = np.geomspace(1e8, 3e9, 12)
    loss = COUPLED.loss(N, 20 * N, **TRUTH)
    fitted = sf.forecast({"N": N, "D": 20 * N, "loss": loss})
    assert fitted.law.name == "power_law:C" and "tokens per parameter" in fitted.reason
    assert any(note.code == "fallback" for note in fitted.notes)
    assert fitted.predict(N=1e10, D=2e11) == pytest.approx(COUPLED.loss(1e10, 2e11, **TRUTH), rel=0.02)
    on, off = fitted.predict_interval(N=1e10, D=2e11), fitted.predict_interval(N=1e10, D=2e12)
    assert not on.attrs["notes"] and [note.code for note in off.attrs["notes"]] == ["off_line"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d.assign(D=6e18 / 6 / d.N), "one compute budget"),
        (lambda d: d.assign(N=1e9), "N is 1e"),
        (lambda d: d.assign(D=1e10), "D is 1e"),
        (lambda d: d.assign(loss=2.5), "nothing to extrapolate"),
        (lambda d: d.iloc[:3], "at least 4"),
        (lambda d: d.assign(series=["a", "b"] * 17 + ["a"]), "2 series"),
    ],
)
def test_refuses_with_the_reason(change, said):
    with pytest.raises(sf.FitError, match=said):
        sf.forecast(change(isoflop()))


@pytest.mark.parametrize(
    "call",
    [
        lambda r: sf.forecast(isoflop(), loss_unit="nats"),
        lambda r: sf.forecast(isoflop(), prior="wide"),
        lambda r: sf.forecast(isoflop(), by="shared"),
        lambda r: sf.forecast(isoflop(), by="series"),
        lambda r: r.predict(N=1e9),
        lambda r: r.predict(N=-1e9, D=1e10),
        lambda r: r.predict_interval(N=1e9, D=1e10, level=1.0),
    ],
)
def test_bad_arguments_are_value_errors(result, call):
    with pytest.raises(ValueError, match="."):
        call(result)


def test_far_beyond_the_calibration_says_so(result):
    notes = result.predict_interval(N=1e20, D=1e20).attrs["notes"]
    assert [note.code for note in notes] == ["beyond_calibration"]


def test_several_series_give_a_dict():
    runs = pd.concat([isoflop().assign(series="a"), isoflop(seed=1).assign(series="b")], ignore_index=True)
    both = sf.forecast(runs, by="series")
    assert list(both) == ["a", "b"]
    assert both["a"].predict(N=5e9, D=1e11) == pytest.approx(sf.forecast(isoflop()).predict(N=5e9, D=1e11), rel=1e-9)


def test_a_series_that_cannot_bear_a_forecast_is_left_out_by_name():
    """It took the forecasts of all the others with it; sf.fit leaves it out."""
    runs = pd.concat([isoflop().assign(series="a"), isoflop().head(3).assign(series="b")], ignore_index=True)
    with pytest.warns(sf.ScalefitWarning, match="1 of 2 series are left out.*a forecast.*'b': 3 runs"):
        assert list(sf.forecast(runs, by="series")) == ["a"]
    with pytest.raises(sf.FitError, match="No series allows a forecast.*'b'"):
        sf.forecast(runs[runs["series"] == "b"], by="series")


def test_repeated_tokens_are_noticed():
    runs = isoflop().assign(unique_tokens=1e9)
    assert any(note.code == "repeated_tokens" for note in sf.forecast(runs).notes)


def test_models_smaller_than_any_learned_from_are_noticed():
    runs = isoflop()
    said = [[note.code for note in sf.forecast(runs.assign(N=runs.N / scale)).notes] for scale in (1, 3e3)]
    assert "small_models" not in said[0] and "small_models" in said[1]


def test_large_tables_are_thinned_and_agree():
    runs = isoflop(noise=0.003, width=300)
    fitted = sf.forecast(runs)
    assert 100 < fitted.n_runs <= 400 and any(note.code == "thinned" for note in fitted.notes)
    assert fitted.predict(N=5e9, D=1e11) == pytest.approx(COUPLED.loss(5e9, 1e11, **TRUTH), rel=0.01)


def test_round_trips_through_json(result, tmp_path):
    path = tmp_path / "forecast.json"
    result.to_json(path)
    loaded = sf.load_forecast(path)
    inputs = dict(N=[1e9, 1e11], D=[2e10, 2e12])
    pd.testing.assert_frame_equal(loaded.predict_interval(**inputs), result.predict_interval(**inputs), rtol=1e-10)
    assert str(loaded) == str(result)
    path.write_text(path.read_text().replace('"format": 1', '"format": 99'))
    with pytest.raises(sf.DataError, match="format"):
        sf.load_forecast(path)


def test_prints_verdict_prior_and_parts(result):
    text = str(result)
    for part in ("TRUST: yes", "Prior: E", "law", "noise", "100 x", "irreducible loss"):
        assert part in text


def test_the_hull_is_below_every_run_and_touches_some():
    runs = isoflop()
    log_c, log_l = np.log(6 * runs.N * runs.D).to_numpy(), np.log(runs.loss).to_numpy()
    above = excess_over_hull(log_c, log_l)
    assert (above >= 0).all() and (above < 1e-12).sum() >= 2
    assert (excess_over_hull(log_c, log_l + 0.5) == pytest.approx(above, abs=1e-12)) and above.max() > 0.005


def test_excess_of_the_law_vanishes_on_its_frontier(result):
    N = np.geomspace(1e7, 1e11, 400)
    D = 1e20 / (6 * N)
    columns = {"N": N / result.problem.units["N"], "D": D / result.problem.units["D"]}
    above = excess(result.problem, result.fitted.x, columns)
    best = np.argmin(COUPLED.loss(N, D, **result.params))
    assert above[best] < 2e-3 and above[0] > 0.1 and above[-1] > 0.1


def test_kernel_is_a_correlation():
    points = np.random.default_rng(0).normal(size=(40, 2)) * 5
    matrix = kernel(points, points, 4.0)
    np.testing.assert_allclose(np.diag(matrix), 1.0)
    assert np.linalg.eigvalsh(matrix)[0] > 0 and (matrix <= 1).all()


def test_shipped_constants_say_where_they_come_from():
    constants = shipped()
    assert constants.prior.names == ("E", "alpha", "beta", "g")
    assert np.linalg.eigvalsh(constants.prior.cov)[0] > 0
    assert constants.provenance["made_by"] == "benchmarks/make_forecast_prior.py"
    assert len(constants.provenance["sha256"]) == 14
    assert isinstance(constants.discrepancy, Discrepancy)


def test_covers_tables_of_its_own_kind():
    """On simulated tables whose law is drawn from the prior, 90 % intervals cover at least about that."""
    prior = shipped().prior
    rng = np.random.default_rng(0)
    hits = []
    for seed in range(25):
        E, alpha, beta, g = np.exp(rng.multivariate_normal(prior.mean, prior.cov))
        scale = np.log(1.5)
        A, B = (np.exp((scale + exponent * size) / g) for exponent, size in ((alpha, np.log(3e8)), (beta, np.log(6e9))))
        runs = isoflop(seed=seed, width=5)
        noise = np.exp(0.003 * rng.standard_normal(len(runs)))
        runs["loss"] = COUPLED.loss(runs.N, runs.D, E, A, alpha, B, beta, g) * noise
        table = sf.forecast(runs).predict_interval(N=5e9, D=1e11)
        hits.append(table["lower"][0] <= COUPLED.loss(5e9, 1e11, E, A, alpha, B, beta, g) <= table["upper"][0])
    assert np.mean(hits) >= 0.8


@pytest.mark.parametrize("series", ["comma", "dclm"])
def test_beats_todays_default_on_a_real_table(external_data, series):
    """Marin's isoFLOP runs, trained on a tenth of the compute: Chinchilla's Huber fit errs over twice as much."""
    folder = external_data / "forecast_benchmark"
    runs, plan = pd.read_csv(folder / "marin_isoflop.csv"), pd.read_csv(folder / "splits.csv")
    plan = plan[(plan.table == "marin_isoflop") & (plan.series == series) & (plan.cut == 10)]
    runs["split"] = runs.run_id.map(plan.set_index("run_id").split)
    train, test = (runs[runs.split == name] for name in ("train", "test"))
    N, D, loss = (test[name].to_numpy() for name in ("N", "D", "loss"))
    ours, theirs = sf.forecast(train[["N", "D", "loss"]]), sf.fit(train[["N", "D", "loss"]])
    errors = [float(np.mean(np.abs(result.predict(N=N, D=D) / loss - 1))) for result in (ours, theirs)]
    assert errors[0] < 0.5 * errors[1]
    table = ours.predict_interval(N=N, D=D)
    assert ((loss >= table["lower"]) & (loss <= table["upper"])).mean() > 0.8


def test_several_series_as_one():
    both = pd.concat([isoflop(seed=1).assign(series="a"), isoflop(seed=2).assign(series="b")], ignore_index=True)
    pooled, plain = sf.forecast(both, by="pool"), sf.forecast(both.drop(columns="series"))
    assert pooled.predict(N=1e10, D=1e11) == plain.predict(N=1e10, D=1e11)
    with pytest.raises(ValueError, match="by='pool'"):
        sf.forecast(both)


def test_endless_sizes_are_as_uncertain_as_the_floor(result):
    """Nothing but E is left of the law there, and no run is near enough to carry anything over."""
    (row,) = result.predict_interval(N=1e60, D=1e60).to_dict("records")
    assert row["loss"] == pytest.approx(result.params["E"], rel=1e-6)
    # What the runs tell of E is widened, what the prior tells is not: precisions add up.
    fitted, factor = result.fitted, result.spread.factor * result.widening
    told = fitted.slopes.T @ fitted.inverse @ fitted.slopes
    prior = np.linalg.inv(fitted.cov) - told
    at = int(result.problem.index[0, list(result.law.parameters).index("E")])
    sd = np.sqrt(np.linalg.inv(prior + told / factor**2)[at, at])
    assert row["se_parameter"] == pytest.approx(result.params["E"] * sd, rel=1e-4)
    low, high = sorted((factor, 1.0))  # and neither of the two is all there is
    assert 1.02 * low < row["se_parameter"] / result.std_errors["E"] < 0.98 * high


@pytest.mark.parametrize("factor", [0.6, 0.9, 1.1, 1.4])
@pytest.mark.parametrize("n_bad", [1, 3])
def test_bad_runs_are_named_and_hardly_move_it(result, factor, n_bad):
    """A run 40 % too low became the frontier: every other was then far above it, and the forecast fell by 40 %."""
    runs = isoflop()
    bad = np.random.default_rng(2).choice(len(runs), n_bad, replace=False)
    runs.loc[bad, "loss"] *= factor
    moved = sf.forecast(runs)
    assert moved.predict(N=5e9, D=1e11) == pytest.approx(result.predict(N=5e9, D=1e11), rel=0.02)
    note = next(note for note in moved.notes if note.code == "outliers")
    assert set(note.details["rows"]) == set(bad.tolist())
    assert ("above" in str(note)) is (factor > 1)


@pytest.mark.parametrize("noise", [0.001, 0.01, 0.02])
def test_no_run_of_a_clean_table_is_called_bad(noise):
    assert all(note.code != "outliers" for seed in range(6) for note in sf.forecast(isoflop(noise, seed)).notes)


def test_lucky_runs_do_not_lower_the_forecast_of_a_noisy_table():
    """At 2 % the lucky runs were the frontier and trusted more: the runs themselves were forecast 2.3 % too low."""
    missed = []
    for seed in range(8):
        runs = isoflop(0.02, seed)
        missed.append(np.log(sf.forecast(runs).predict(N=runs.N, D=runs.D) / COUPLED.loss(runs.N, runs.D, **TRUTH)))
    assert np.mean(missed) > -0.019


def test_a_forecast_read_back_trusts_its_runs_as_before(tmp_path):
    runs = isoflop(0.02)
    runs.loc[20, "loss"] *= 0.6
    made = sf.forecast(runs)
    made.to_json(tmp_path / "forecast.json")
    read = sf.load_forecast(tmp_path / "forecast.json")
    assert read.predict(N=5e9, D=1e11) == pytest.approx(made.predict(N=5e9, D=1e11), rel=1e-9)
    assert [str(note) for note in read.notes] == [str(note) for note in made.notes]
