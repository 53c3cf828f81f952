"""What a person may pass by mistake: one error of ours that names the value, never a traceback from inside."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit._arguments import check_count


@pytest.fixture(scope="module")
def runs() -> pd.DataFrame:
    N, D = (axis.ravel() for axis in np.meshgrid(np.geomspace(5e7, 1e10, 5), np.geomspace(1e9, 2e11, 5)))
    noise = 0.003 * np.random.default_rng(0).standard_normal(N.size)
    loss = sf.published("chinchilla", "besiroglu2024").predict(N=N, D=D) * np.exp(noise)
    return pd.DataFrame({"N": N, "D": D, "loss": loss})


@pytest.fixture(scope="module")
def result(runs):
    return sf.fit(runs, "chinchilla")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"fixed": {"E": "a"}}, r"fixed\['E'\]='a' is not a number"),
        ({"fixed": ["E"]}, "must map names to values"),
        ({"tied": {"beta": 0.3}}, "use fixed="),
        ({"bounds": {"E": 3}}, r"must be \(lower, upper\)"),
        ({"bounds": {"E": ("low", 3)}}, r"bounds\['E'\]='low' is not a number"),
        ({"bounds": {"E": ("a", "b")}}, r"bounds\['E'\]='a' is not a number"),
        ({"delta": "a"}, "delta='a' is not a number"),
        ({"seed": None}, "seed=None must be a whole number"),
        ({"seed": "x"}, "seed='x'"),
        ({"prior": "x"}, "prior='x'"),
        ({"prior": {"alpha": (0.3, -1)}}, "a standard deviation must be positive"),
        ({"weights": ["a"] * 25}, "weights="),
        ({"law": sf.Law}, "has no parameters"),
    ],
)
def test_fit_says_which_argument_makes_no_sense(runs, given, words):
    with pytest.raises(sf.ScalefitError, match=words):
        sf.fit(runs, **{"law": "chinchilla", **given})


@pytest.mark.parametrize("level", ["x", None, 90, 0, 1.0, float("nan")])
def test_every_interval_refuses_what_is_not_a_level(runs, result, level):
    asked = [
        lambda: result.conf_int(level=level),
        lambda: result.predict_interval(N=1e9, D=1e10, level=level),
        lambda: sf.average([result]).predict_interval(N=1e9, D=1e10, level=level),
        lambda: sf.plan(result, C=1e21, level=level),
        lambda: sf.compare(runs, "chinchilla", level=level),
        lambda: sf.Monitor(sf.RunPlan(schedule=sf.Schedule.cosine(100))).advise(level=level),
    ]
    for ask in asked:
        with pytest.raises(ValueError, match="level="):
            ask()


def test_inputs_of_a_prediction_are_checked_by_name_shape_and_kind(result):
    with pytest.raises(sf.ScalefitError, match=r"N has shape \(2,\), D has shape \(3,\)"):
        result.predict(N=[1e9, 2e9], D=[1e9, 2e9, 3e9])
    with pytest.raises(sf.ScalefitError, match=r"N has shape \(2,\)"):
        result.predict_interval(N=[1e9, 2e9], D=[1e9, 2e9, 3e9])
    with pytest.raises(sf.ScalefitError, match="does not read unique_token"):
        result.predict(N=1e9, D=2e10, unique_token=1e9)
    with pytest.raises(sf.ScalefitError, match="N=.*must be a number"):
        result.predict(N=["7B", "x"], D=1e9)
    assert result.predict(N="7B", D="2T") == result.predict(N=7e9, D=2e12)
    assert result.predict(N=1e9, D=2e10, C=1.2e20) == result.predict(N=1e9, D=2e10)


def test_weights_in_a_series_follow_their_labels(runs):
    weights = pd.Series(np.linspace(0.2, 3.0, len(runs)), index=runs.index)
    shuffled = runs.sample(frac=1, random_state=0)
    expected = sf.fit(runs, "chinchilla", weights=weights.to_numpy()).params
    pd.testing.assert_series_equal(sf.fit(shuffled, "chinchilla", weights=weights).params, expected)
    in_order = weights.reindex(shuffled.index).to_numpy()
    pd.testing.assert_series_equal(sf.fit(shuffled, "chinchilla", weights=in_order).params, expected)


def test_a_law_may_be_an_instance_and_a_prior_empty(runs, result):
    assert sf.fit(runs, sf.laws.get("chinchilla")()).params.equals(result.params)
    assert sf.fit(runs, "chinchilla", prior={}).params.equals(result.params)


def test_bootstrap_refuses_what_is_not_a_seed_or_count(result):
    for options in ({"seed": "a"}, {"seed": -1}, {"n": 2.5}):
        with pytest.raises(sf.ScalefitError, match="must be a whole number"):
            result.bootstrap(**{"n": 10, **options})


def test_lists_of_laws_and_results_are_lists(runs, result):
    with pytest.raises(sf.ScalefitError, match="laws=None"):
        sf.compare(runs, None)
    for not_a_list in (result, None):
        with pytest.raises(sf.ScalefitError, match="needs a sequence"):
            sf.average(not_a_list)
    with pytest.raises(sf.ScalefitError, match="holdout=3 is not known"):
        sf.compare(runs, "chinchilla", holdout=3)
    for values in ([float("nan")], ["a"], []):
        with pytest.raises(sf.ScalefitError, match="values="):
            result.profile("alpha", values=values)
    with pytest.raises(sf.ScalefitError, match="N='a' is not a quantity"):
        sf.laws.available(N="a", D=2e10)


def test_one_column_cannot_be_two_things(runs):
    with pytest.raises(sf.DataError, match="would be both N and D"):
        sf.read_runs(runs, N="D")
    assert (sf.read_runs(runs, unique_tokens="D")["unique_tokens"] == runs["D"].to_numpy()).all()


def test_drop_is_checked_before_a_download(tmp_path, monkeypatch):
    monkeypatch.setenv("SCALEFIT_DATA_DIR", str(tmp_path))
    with pytest.raises(sf.ScalefitError, match="drop='me'"):
        sf.load_dataset("chinchilla_epoch", drop="me")


def test_files_that_cannot_be_written_or_read_are_told_in_one_line(result, tmp_path):
    monitor = sf.Monitor(sf.RunPlan(schedule=sf.Schedule.cosine(100)), history=None)
    for thing in (result, monitor):
        with pytest.raises(sf.DataError, match="cannot be written"):
            thing.to_json(tmp_path / "none" / "x.json")
        with pytest.raises(sf.DataError, match="is a folder"):
            thing.to_json(tmp_path)
        with pytest.raises(sf.ScalefitError, match="not the path"):
            thing.to_json(3)
    with pytest.raises(sf.DataError, match="cannot be written"):
        result.plot(tmp_path / "none" / "x.png")
    with pytest.raises(sf.ScalefitError, match=r"no format '\.foo'"):
        result.plot(tmp_path / "x.foo")
    assert list(tmp_path.iterdir()) == [] and not tmp_path.with_name(tmp_path.name + ".part").exists()
    csv = tmp_path / "runs.csv"
    csv.write_text("N,D\n1,2\n")
    for load in (sf.load_result, sf.load_forecast, sf.load_monitor):
        with pytest.raises(sf.DataError, match="There is no file"):
            load(tmp_path / "none.json")
        with pytest.raises(sf.DataError) as caught:
            load(csv)
        assert "\n" not in str(caught.value) and "pydantic" not in str(caught.value)
        with pytest.raises(sf.ScalefitError, match="not the path"):
            load(None)


def test_load_result_reads_a_forecast_too(runs, tmp_path):
    forecast = sf.forecast(runs)
    forecast.to_json(tmp_path / "f.json")
    assert sf.load_result(tmp_path / "f.json").predict(N=1e10, D=1e12) == forecast.predict(N=1e10, D=1e12)


def test_a_monitor_refuses_what_is_not_a_schedule_law_or_error():
    monitor = sf.Monitor(sf.RunPlan(schedule=sf.Schedule.constant(1000)))
    with pytest.raises(sf.ScalefitError, match="schedule is a str"):
        monitor.what_if("x")
    with pytest.raises(sf.ScalefitError, match="step='a'"):
        monitor.plan.schedule.cooldown_from("a", 10)
    with pytest.raises(sf.ScalefitError, match="law='chinchilla' does not predict"):
        sf.Monitor(monitor.plan, law="chinchilla")
    with pytest.raises(sf.ScalefitError, match="plan is a str"):
        monitor.replan("x")
    with pytest.raises(sf.ScalefitError, match="step='x'"):
        monitor.rewind("x")
    for name in ("min_gain", "min_saving"):
        with pytest.raises(sf.ScalefitError, match=f"{name}='x'"):
            sf.Monitor(monitor.plan, **{name: "x"})
    with pytest.raises(sf.ScalefitError, match="val_sem=-1"):
        monitor.update(step=1, val_loss=3.0, val_sem=-1)


def test_an_envelope_prints_with_the_bias_of_its_method(tmp_path):
    law = sf.published("chinchilla", "besiroglu2024")
    N, D = (axis.ravel() for axis in np.meshgrid(np.geomspace(1e7, 3e9, 8), np.geomspace(1e8, 1e11, 40)))
    curves = pd.DataFrame({"run": N, "N": N, "D": D, "loss": law.predict(N=N, D=D)})
    for method in ("local", "lowest"):
        optima = sf.envelope(curves, method=method)
        text = str(optima)
        assert text.startswith("Optima by budget: envelope") and "bias of the method on noise-free runs" in text
        # The runs are noise-free, so the bias is the exponent's error against the law's own.
        assert optima.bias["exponent_N"] == pytest.approx(optima.exponent_N - law_exponent(law), abs=0.02)


def law_exponent(law):
    return law.params["beta"] / (law.params["alpha"] + law.params["beta"])


NO_NAMES = ["a\0b", -1, 10**400, b"bytes", 1 + 2j, {}, [1], np.array([]), np.array([[1, 2]]), pd.Series([1.0])]
NO_NAMES += [pd.DataFrame({"a": [1, 2]}), object(), len, ...]


@pytest.mark.parametrize("value", NO_NAMES, ids=lambda value: type(value).__name__)
def test_what_is_not_a_name_number_or_path_is_one_line_of_ours(runs, result, value):
    schedule = sf.Schedule.cosine(100, warmup=5)
    monitor = sf.Monitor(sf.RunPlan(schedule=schedule))
    asked = [
        lambda: sf.fit(value, "chinchilla"),
        lambda: sf.fit(runs, value),
        lambda: sf.fit(runs, "chinchilla", objective=value),
        lambda: sf.fit(runs, "chinchilla", on=value),
        lambda: sf.fit(runs, "chinchilla", by=value),
        lambda: sf.forecast(runs, loss_unit=value),
        lambda: sf.forecast(runs, prior=value) if not isinstance(value, dict) else sf.forecast(value),
        lambda: sf.forecast(runs, constants=value),
        lambda: sf.compare(runs, ["chinchilla"], holdout=value),
        lambda: sf.next_runs(result, budget=1e21, target=value),
        lambda: sf.isoflop(runs, method=value),
        lambda: sf.envelope(runs, method=value),
        lambda: sf.read_runs(runs, params=value),
        lambda: sf.read_runs(runs, loss_unit=value),
        lambda: sf.check_runs(value),
        lambda: sf.load_dataset(value),
        lambda: sf.load_dataset("niu2024_table2", drop=value),
        lambda: sf.published("chinchilla", value),
        lambda: sf.load_result(value),
        lambda: sf.load_monitor(value),
        lambda: result.to_json(value),
        lambda: result.profile(value),
        lambda: sf.report(runs, by=value),
        lambda: sf.Schedule.from_knots(value, [1, 0]),
        lambda: sf.Schedule.from_knots("text", [1, 0]),
        lambda: sf.Schedule.from_log([0, 1, 2], [1, 1, 0], max_knots=value),
        lambda: schedule.area(5, warmup=value),
        lambda: schedule.cooldown_from(50, 20, shape=value),
        lambda: monitor.curve(value),
        lambda: monitor.restore(value),
        lambda: sf.counting.training_flops(1e9, 1e10, value),
        lambda: sf.counting.nats_per_token(3.0, value),
        lambda: sf.counting.count_parameters(2, 8, architecture=value),
    ]
    for i, ask in enumerate(asked):
        try:
            ask()
        except sf.ScalefitError as error:
            assert "\n" not in str(error), i
        else:
            pytest.fail(f"question {i} was answered")


@pytest.mark.parametrize("seed", ["x", -1, 0.5, None, [], float("nan")])
def test_a_seed_is_a_whole_number_wherever_one_is_taken(runs, seed):
    for call in (lambda: sf.compare(runs, "chinchilla", seed=seed), lambda: sf.report(runs, seed=seed)):
        with pytest.raises(sf.ScalefitError, match="seed="):
            call()


def test_numbers_beyond_a_float_and_layers_that_are_none(result):
    with pytest.raises(sf.ScalefitError, match="more than memory holds|would take hours"):
        result.bootstrap(n=10**400)
    for layers in (3, float("nan"), object(), b"x"):
        with pytest.raises(sf.ScalefitError, match="layers="):
            sf.memory.global_energy(layers, [1.0, 2.0])


def test_every_digit_of_a_seed_counts():
    """SeedSequence's entropies have 38 digits, and a float keeps 16 of them."""
    seed = 2**100 + 1
    assert check_count("seed", seed, least=0) == seed
    for value in (True, None, "x", 1.5, -1, float("inf"), 10**400):
        with pytest.raises(sf.ScalefitError, match="must be a whole number, at least 0"):
            check_count("seed", value, least=0)
