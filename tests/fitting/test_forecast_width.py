"""Forecast intervals follow the table's own scatter; causes of misses are named; predictions are registered."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.forecasting.calibration import shipped
from scalefit.forecasting.correlated_errors import _carried, predict_correlated, skew
from scalefit.forecasting.own_noise import own_noise
from scalefit.forecasting.registration import calibration_curve, score
from scalefit.predictor import random_draws

LAW = sf.published("chinchilla", "besiroglu2024")


def grid(noise, seed=0, **columns):
    rng = np.random.default_rng(seed)
    N, D = (axis.ravel() for axis in np.meshgrid(np.geomspace(5e7, 2e9, 6), np.geomspace(1e9, 4e10, 6)))
    loss = np.asarray(LAW.predict(N=N, D=D)) * np.exp(noise * rng.standard_normal(36))
    return pd.DataFrame({"N": N, "D": D, "loss": loss, **columns})


def half(result, **inputs):
    row = result.predict_interval(**inputs).iloc[0]
    return np.log(row["upper"] / row["lower"]) / 2


def test_clean_runs_have_narrow_intervals_among_them():
    """They were 1.3 % and more at a noise of 0.1 %."""
    assert half(sf.forecast(grid(0.001)), N=3e8, D=6e9) < 0.006


def as_of_other_tables(runs):
    """The same forecast, its discrepancy and its noise those of other tables among the runs too."""
    constants = shipped()
    interval = replace(constants.interval, amplitude_sd=0.0)
    return sf.forecast(runs, constants=replace(constants, interval=interval))


def test_a_discrepancy_that_the_runs_do_not_show_widens_no_interval_among_them():
    """Nor does noise that grows towards small runs where it is even; the forecast and what lies beyond stay."""
    even, narrower = [], []
    for seed in range(6):
        runs = grid(0.001, seed)
        own, other = sf.forecast(runs), as_of_other_tables(runs)
        assert own._shown[0].amplitude < 0.5 * own.discrepancy.amplitude
        even.append(own._shown[2])
        narrower.append([half(own, **at) / half(other, **at) for at in ({"N": 3e8, "D": 6e9}, {"N": 5e7, "D": 1e9})])
        assert half(own, N=2e10, D=4e11) == pytest.approx(half(other, N=2e10, D=4e11), rel=1e-3)
        assert own.predict_interval(N=3e8, D=6e9)["loss"][0] == own.predict(N=3e8, D=6e9) == other.predict(N=3e8, D=6e9)
    assert np.mean(even) > 0.5  # some of the six look otherwise
    middle, smallest = np.mean(narrower, axis=0)
    assert middle < 0.8 and smallest < 0.75


def test_a_discrepancy_that_the_runs_show_or_are_too_few_to_deny_stays():
    runs = grid(0.001)
    bent = runs.assign(loss=runs["loss"] * np.exp(0.03 * np.sin(2 * np.log(runs["N"] / 1e8) * np.log(runs["D"] / 1e9))))
    for table in (bent, runs.iloc[[0, 15, 21, 35]], grid(0.02)):
        own, other = sf.forecast(table), as_of_other_tables(table)
        assert 0.5 * own.discrepancy.amplitude < own._shown[0].amplitude <= own.discrepancy.amplitude
        assert half(own, N=3e8, D=6e9) > 0.85 * half(other, N=3e8, D=6e9)


def test_noise_that_grows_towards_small_runs_is_not_taken_for_even():
    runs = grid(0.0)
    size = runs["N"] * runs["D"] / (runs["N"] * runs["D"]).max()
    luck = 0.002 * size**-0.2 * np.random.default_rng(1).standard_normal(36)
    assert sf.forecast(runs.assign(loss=runs["loss"] * np.exp(luck)))._shown[2] < 0.3


def test_width_grows_with_the_scatter():
    widths = [[half(sf.forecast(grid(s)), N=n, D=d) for s in (0.001, 0.01)] for n, d in ((3e8, 6e9), (2e10, 4e11))]
    assert widths[0][1] > 3 * widths[0][0] and widths[1][1] > 1.2 * widths[1][0]


def test_noise_of_two_percent_is_seen_as_such():
    """A discrepancy that was larger where a run was unlucky took half of it up: 1 % was seen."""
    seen = [own_noise(r.problem, r.fitted, r.discrepancy)[2] for r in (sf.forecast(grid(0.02, s)) for s in range(12))]
    assert 0.0145 < np.mean(seen) < 0.025


def test_beyond_the_runs_no_interval_is_narrower_than_their_noise_makes_it():
    """The noise of the next run was taken for a third of theirs, and what it does to the parameters too."""
    zero = {name: np.zeros(1) for name in ("parameter", "law", "noise", "told")} | {"squares": np.zeros((1, 1))}
    interval = shipped().interval

    def width(shown, distance):
        near = {**zero, "luck": np.full(1, 1.5)}
        parts = interval.parts(near, near, shown, np.full(1, 1e3), np.full(1, distance), 1.0)
        return interval.quantile(0.9) * np.sqrt(sum(part[0] ** 2 for part in parts))

    assert width(0.02, 9.0) == pytest.approx(1.645 * 1.15 * 0.02 * np.hypot(1, 1.5), rel=1e-3)
    assert width(0.02, 0.0) == width(0.0, 0.0) and width(1e-4, 9.0) == width(0.0, 9.0)


def test_beyond_few_runs_more_of_an_interval_lies_above():
    """Its middle is the posterior's mean, by draws; the forecast, its mode, lies within at every level."""
    result, where = sf.forecast(grid(0.003).iloc[::5]), {"N": np.array([2e10]), "D": np.array([4e11])}
    problem, fitted, about = result.problem, result.fitted, result.discrepancy
    scaled = {key: value / problem.units[key] for key, value in where.items()}
    points = np.clip(random_draws(fitted.x, fitted.cov, 20_000, 0), *problem.bounds())
    carried = _carried(problem, fitted, scaled, about)[0] @ fitted.inverse
    drawn = np.log(problem.law.evaluate(scaled, problem.values(points, 0))) - problem.residuals(points) @ carried.T
    found = skew(problem, fitted, scaled, about)[0]
    assert found > 0.002
    assert found == pytest.approx(
        drawn.mean() - predict_correlated(problem, fitted, scaled, about)["log_loss"], rel=0.2
    )
    row = result.predict_interval(**where).iloc[0]
    assert np.log(row["upper"] * row["lower"] / row["loss"] ** 2) / 2 == pytest.approx(found, rel=1e-3)
    narrow = result.predict_interval(level=0.01, **where).iloc[0]
    assert narrow["lower"] <= narrow["loss"] <= narrow["upper"]


def test_noise_is_carried_through_the_fit():
    """One more run's worth of noise in every run moves the forecast as `luck` says."""
    rng, moved = np.random.default_rng(0), []
    where = {"N": np.array([1.2e10]), "D": np.array([2.4e11])}
    for _ in range(40):
        runs = grid(0.0)
        runs["loss"] *= np.exp(0.001 * rng.standard_normal(36))
        moved.append(np.log(sf.forecast(runs).predict(**where)[0]))
    result = sf.forecast(grid(0.001))
    about, fit, *_ = result._own
    scaled = {key: value / result.problem.units[key] for key, value in where.items()}
    luck = predict_correlated(result.problem, fit, scaled, about, result.fitted)["luck"][0]
    assert 0.6 < np.std(moved) / (0.001 * luck) < 1.6


def test_few_runs_show_no_noise():
    """Six runs and six parameters: what is left of them says nothing."""
    few = sf.forecast(grid(0.05).iloc[[0, 8, 15, 21, 28, 35]])
    assert own_noise(few.problem, few.fitted, few.discrepancy)[3] == few.discrepancy.noise


def test_scatter_widens_what_the_runs_say_and_not_the_prior():
    flat = {name: np.zeros(1) for name in ("law", "noise", "luck")}
    flat |= {"parameter": np.ones(1), "squares": np.ones((1, 1))}

    def parameter(told, widening):
        parts = (flat, {**flat, "told": np.array([told])}, 0.0, np.full(1, 1e3), np.full(1, 1e3), widening)
        return shipped().interval.parts(*parts)[0][0]

    assert parameter(0.0, 1.0) == parameter(0.0, 5.0)
    assert parameter(1.0, 5.0) == pytest.approx(5 * parameter(1.0, 1.0))


def test_a_misfit_that_neighbours_share_widens_too():
    """Of all runs, and of the four smallest, which the median of what smoothing leaves hardly sees."""
    runs = grid(0.001)
    size = np.log(runs["N"] * runs["D"])
    small = (runs["N"] < 2e8) & (runs["D"] < 4e9)
    assert small.sum() == 4
    for missed in (0.03 * np.sin(size - size.min()), 0.1 * small):
        bent = runs.assign(loss=runs["loss"] * np.exp(missed))
        assert sf.forecast(bent).scatter > 1.3 * sf.forecast(runs).scatter


def test_neighbours_that_miss_by_far_are_named_and_hardly_move_it():
    runs = grid(0.001)
    small = (runs["N"] < 2e8) & (runs["D"] < 4e9)
    bent = sf.forecast(runs.assign(loss=runs["loss"] * np.exp(0.4 * small)))
    note = next(note for note in bent.notes if note.code == "outliers")
    assert note.details["rows"] == np.flatnonzero(small).tolist()
    assert bent.predict(N=7e9, D=2e11) == pytest.approx(sf.forecast(runs).predict(N=7e9, D=2e11), rel=0.01)


def test_clean_grids_of_twelve_converge():
    for seed in range(4):
        runs = grid(0.001 * seed, seed).iloc[[0, 2, 5, 12, 14, 17, 24, 26, 29, 30, 32, 35]]
        assert sf.forecast(runs).success


@pytest.mark.parametrize(
    ("name", "column", "seeds"),
    [
        ("joint_moe", ("n_experts", [1, 4, 16]), range(12)),
        ("sparsity_moe", ("sparsity", [0.5, 0.75, 0.9]), range(1, 4)),
    ],
)
def test_a_parameter_at_the_end_of_its_range_does_not_stall_the_others(name, column, seeds):
    """No table of joint_moe converged: E_max lay on its bound and cut every step short."""
    law, (key, values) = sf.published(name), column
    N, D, X = (axis.ravel() for axis in np.meshgrid(np.geomspace(5e7, 2e9, 4), np.geomspace(1e9, 4e10, 4), values))
    for seed in seeds:
        noise = np.random.default_rng(seed).standard_normal(N.size)
        runs = {"N": N, "D": D, key: X, "loss": law.predict(N=N, D=D, **{key: X}) * np.exp(0.005 * noise)}
        assert sf.forecast(runs, law=name, loss_unit="other").success


def test_mixed_recipes_are_named_and_widen():
    source = np.where(np.arange(36) % 2, "a", "b")
    runs = grid(0.001, source=source)
    runs["loss"] *= np.where(source == "a", 1.03, 1.0)
    mixed = sf.forecast(runs)
    assert "mixed_recipes" in [note.code for note in mixed.notes] and mixed.recipe_spread > 0.005
    plain = sf.forecast(runs.drop(columns="source"))
    assert half(mixed, N=3e8, D=6e9) > half(plain, N=3e8, D=6e9)


def test_a_law_of_ones_own_choice():
    result = sf.forecast(grid(0.001), law="chinchilla")
    assert result.law.name == "chinchilla" and "own_law" in [note.code for note in result.notes]
    assert result.predict(N=1e10, D=2e11) == pytest.approx(LAW.predict(N=1e10, D=2e11), rel=0.01)
    assert list(result.draws(7).columns) == list(result.params.index)
    assert result.seen()["N"] == pytest.approx((5e7, 2e9))


def test_the_mean_is_known_better_than_a_run():
    result = sf.forecast(grid(0.01))
    ends = [result.predict_interval(N=3e8, D=6e9, kind=kind).iloc[0] for kind in ("mean", "new_run")]
    assert ends[0]["upper"] < ends[1]["upper"] and ends[0]["se_noise"] == 0


def test_the_frontier_is_the_laws_optimum():
    result = sf.forecast(grid(0.001))
    best = result.frontier([1e22])
    N = best["N"][0] * np.geomspace(0.5, 2, 201)
    loss = result.law.evaluate({"N": N, "D": 1e22 / 6 / N}, dict(result.params))
    assert abs(np.argmin(loss) - 100) <= 1


def test_registered_predictions_are_scored_and_sealed(tmp_path):
    path = tmp_path / "plan.json"
    saved = sf.forecast(grid(0.003)).register(path, N=1e10, D=2e11)
    assert score(path, saved["loss"]).hit and not score(path, 2 * saved["loss"]).hit
    assert calibration_curve([score(path, saved["loss"])])["coverage"].eq(1).all()
    with pytest.raises(sf.DataError, match="exists already"):
        sf.forecast(grid(0.003)).register(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), "upper": 9.0}))
    with pytest.raises(sf.DataError, match="changed after"):
        score(path, 2.0)
