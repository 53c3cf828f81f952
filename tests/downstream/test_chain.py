"""sf.chain: two predictors in a row, with the errors of both."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit._digests import with_digest
from scalefit.downstream.composed import compose
from scalefit.errors import ArgumentError, DataError
from scalefit.fitting.schema import to_json

LAW = sf.published("chinchilla", "besiroglu2024")
ERROR = sf.published("downstream_error", "ours_c4")


def runs_of(noise=0.004, scatter=0.003, seed=0):
    N, D = (a.ravel() for a in np.meshgrid(np.geomspace(2e7, 1e9, 5), np.geomspace(1e9, 3e10, 5)))
    rng = np.random.default_rng(seed)
    loss = np.asarray(LAW.predict(N=N, D=D)) * np.exp(noise * rng.standard_normal(N.size))
    error = np.asarray(ERROR.predict(val_loss=loss)) + scatter * rng.standard_normal(N.size)
    return pd.DataFrame({"N": N, "D": D, "loss": loss, "val_loss": loss, "error": error})


@pytest.fixture(scope="module")
def steps():
    runs = runs_of()
    return sf.fit(runs[["N", "D", "loss"]]), sf.fit(runs[["val_loss", "error"]], "downstream_error")


def test_a_chain_is_the_metric_of_the_predicted_loss(steps):
    both = sf.chain(*steps)
    N, D = np.array([1e9, 3e9]), np.array([2e10, 6e10])
    assert np.array_equal(both.predict(N=N, D=D), steps[1].predict(val_loss=steps[0].predict(N=N, D=D)))
    assert (
        isinstance(both, sf.Predictor) and both.inputs == ("N", "D") and isinstance(both.predict(N=1e9, D=1e10), float)
    )
    by_law = both.law.evaluate({"N": N, "D": D}, both.params.to_dict())
    assert by_law == pytest.approx(both.predict(N=N, D=D)) and both.correction(N=1e9, D=2e10) == 1.0
    assert both.law.target.name == "error" and both.law.direction == {"N": -1, "D": -1}


def test_its_interval_holds_both_steps_errors(steps):
    """Against draws: a new run's loss, the metric's draws, the scatter about the curve."""
    both = sf.chain(*steps)
    band = both.predict_interval(N=[1e9], D=[2e10]).iloc[0]
    of_metric = steps[1].predict_interval(val_loss=[band["between"]]).iloc[0]
    assert band["upper"] - band["lower"] > of_metric["upper"] - of_metric["lower"]
    rng = np.random.default_rng(0)
    loss = steps[0].predict_interval(N=[1e9], D=[2e10], level=0.6827).iloc[0]
    draws = loss["loss"] * np.exp(np.log(loss["upper"] / loss["loss"]) * rng.standard_normal(4000))
    one = steps[1].predict_interval(val_loss=draws, level=0.6827)
    values = one["loss"] * np.exp(np.log(one["upper"] / one["loss"]) * rng.standard_normal(4000))
    assert [band["lower"], band["upper"]] == pytest.approx(np.quantile(values, [0.05, 0.95]), abs=0.002)


def test_intervals_hold_new_runs_about_as_often_as_they_claim():
    inside = []
    for seed in range(12):
        runs = runs_of(seed=seed)
        first = sf.forecast(runs[["N", "D", "loss"]])
        second = sf.fit(runs[["val_loss", "error"]], "downstream_error")
        new = runs_of(seed=100 + seed).sample(8, random_state=seed)
        band = sf.chain(first, second).predict_interval(N=new["N"], D=new["D"])
        inside += list((band["lower"].to_numpy() <= new["error"]) & (new["error"] <= band["upper"].to_numpy()))
    assert np.mean(inside) > 0.82


def test_draws_are_of_both_and_what_is_unknown_stays_unknown(steps):
    both = sf.chain(*steps)
    draws = both.draws(40)
    assert list(draws.columns) == list(both.law.parameters) == list(both.params.index) and len(draws) == 40
    papers = sf.chain(LAW, ERROR)
    assert papers.draws(10).empty and papers.predict_interval(N=1e9, D=2e10)[["lower", "upper"]].isna().all(axis=None)


def test_any_predictor_may_come_first(steps):
    runs = runs_of()
    forecast = sf.forecast(runs[["N", "D", "loss"]])
    for first in (forecast, sf.average([steps[0], forecast]), steps[0].at(D=2e10), LAW):
        both = sf.chain(first, steps[1])
        asked = {"N": 1e9} if both.inputs == ("N",) else {"N": 1e9, "D": 2e10}
        assert 0 < both.predict(**asked) < 1
    assert sf.chain(sf.average([steps[0], forecast]), steps[1]).law is None


def test_an_accuracy_is_made_high_by_a_plan(steps):
    runs = runs_of()
    accuracy = runs.assign(task_loss=runs["loss"], accuracy=1 - runs["error"])[["task_loss", "accuracy"]]
    both = sf.chain(steps[0], sf.fit(accuracy, "ladder_sigmoid"))
    assert sf.plan(both, C=1e21).N == pytest.approx(sf.plan(steps[0], C=1e21).N, rel=1e-3)


def test_tails_of_the_loss_at_which_no_metric_can_be_do_not_take_the_interval_away():
    runs = runs_of()
    curve = 0.25 + 0.7 / (1 + np.exp(3 * (runs["loss"] - 2.6)))  # an exponential of the loss leaves its range
    second = sf.fit({"val_loss": runs["loss"], "error": 1 - curve}, "downstream_error")
    both = sf.chain(sf.forecast(runs[["N", "D", "loss"]]), second)
    band = both.predict_interval(N=[1e9, 2e9, 1e10], D=[2e10, 6e10, 2e11])
    near, tail, far = band.itertuples()
    assert np.isfinite([near.lower, near.upper, tail.lower, tail.upper]).all() and 0 <= tail.lower < tail.loss
    assert far.loss < 0 and np.isnan(far.lower)  # the prediction itself cannot be: no interval
    codes = [note.code for note in band.attrs["notes"]]
    assert "impossible_tail" in codes
    quiet = both.predict_interval(N=[1e9], D=[2e10]).attrs["notes"]
    assert not {"impossible_tail", "impossible_value"} & {note.code for note in quiet}
    alone = both.predict_interval(N=[1e10], D=[2e11]).attrs["notes"]
    assert "impossible_value" in {note.code for note in alone}


def test_a_chain_is_shown_in_a_line(steps):
    assert repr(sf.chain(LAW, ERROR)) == "<Chain of <PublishedLaw chinchilla besiroglu2024> and " + repr(ERROR) + ">"
    assert len(repr(sf.chain(LAW, ERROR))) < 120


def test_a_loss_beyond_the_metrics_runs_is_named(steps):
    notes = sf.chain(*steps).predict_interval(N=7e10, D=1.4e12).attrs["notes"]
    assert "metric_extrapolated" in [note.code for note in notes]


def test_what_is_saved_is_read_back(steps, tmp_path):
    for both in (sf.chain(*steps), sf.chain(LAW, ERROR), sf.chain(steps[0].at(D=2e10), steps[1])):
        again = sf.load_result(both.to_json(tmp_path / "chain.json"))
        asked = {"N": 1e9} if both.inputs == ("N",) else {"N": 1e9, "D": 2e10}
        assert again.predict(**asked) == both.predict(**asked)


def test_a_file_runs_nothing_because_of_what_it_says(tmp_path, monkeypatch):
    (tmp_path / "evil.py").write_text("raise SystemExit('ran')")
    monkeypatch.chdir(tmp_path)
    document = sf.chain(LAW, ERROR).to_dict()
    document["loss"]["law"] = "evil.py:Mine"
    with pytest.raises(DataError):
        sf.load_result(to_json(with_digest(document), None))


def test_a_newer_format_is_named_before_what_is_unknown_in_it():
    document = sf.chain(LAW, ERROR).to_dict()
    document["loss"] = {"kind": "downstream", "format": 2, "novelty": 1}
    with pytest.raises(DataError, match="has format 2 while this scalefit"):
        sf.load_result(to_json(with_digest(document), None))


def test_what_makes_no_chain_is_refused(steps):
    first, second = steps
    runs = runs_of()
    other = sf.fit(runs.assign(val_loss=runs["loss"] / 10)[["val_loss", "error"]], "downstream_error")
    for wrong in ((second, first), (first, first), (first, "fit"), (None, second), (first, other)):
        with pytest.raises(ArgumentError):
            sf.chain(*wrong)
    with pytest.raises(ArgumentError, match="first step predicts"):
        sf.chain(first, second).predict(N=1e9, D=2e10, val_loss=2.0)


def test_composed_laws_have_the_derivatives_of_both():
    law = compose(sf.laws.get("chinchilla"), sf.laws.get("downstream_error"), "val_loss")
    assert law.inputs == ("N", "D") and law.name == "downstream_error(chinchilla)"
    params = {f"loss_{k}": v for k, v in LAW.params.items()} | {f"metric_{k}": v for k, v in ERROR.params.items()}
    value, slopes = law.derivatives({"N": np.array([1e9]), "D": np.array([2e10])}, params)
    moved = params | {"metric_k": params["metric_k"] * (1 + 1e-6)}
    step = law.evaluate({"N": np.array([1e9]), "D": np.array([2e10])}, moved) - value
    assert slopes[list(law.parameters).index("metric_k")] == pytest.approx(step / (params["metric_k"] * 1e-6), rel=1e-3)
