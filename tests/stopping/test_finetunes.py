"""Fine-tunes: overfitting before divergence, with its best step; a forecast that is never impossible; no last bits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scalefit as sf
from scalefit.stopping import overfit, regression
from scalefit.stopping.evaluations import Evaluations, at_evaluations, fitted_constants
from scalefit.stopping.policy import follows_a_law

STEPS = np.arange(500.0, 5001, 500)  # a public speech fine-tune that overfits
TRAIN = np.array([0.427, 0.233, 0.133, 0.09, 0.048, 0.0346, 0.0181, 0.0122, 0.0086, 0.0077])
VAL = np.array([0.6232, 0.5044, 0.4927, 0.5106, 0.5526, 0.585, 0.6276, 0.6494, 0.6737, 0.6777])
LINEAR = sf.Schedule.linear(5000, warmup=500)


def play(plan, steps=STEPS, val=VAL, train=TRAIN):
    monitor, said = sf.Monitor(plan), []
    for i, (step, value) in enumerate(zip(steps, val, strict=True)):
        given_train = {} if train is None else {"train_loss": float(train[i])}
        monitor.update(step=float(step), val_loss=float(value), **given_train)
        said.append(monitor.advise())
    return said


@pytest.mark.parametrize("epochs", [None, 0, float("nan"), 20.0])
def test_an_overfit_fine_tune_is_stopped_and_its_best_step_named(epochs):
    said = play(sf.RunPlan(schedule=LINEAR, epochs=epochs))
    states = [advice.state for advice in said]
    assert "lost" not in states and "diverging" not in states
    first = next(advice for advice in said if advice.action == "stop")
    assert first.state == "overfitting" and first.step <= 3500
    reason = first.reasons[0]
    assert reason.code == "validation_climbs" and reason.evidence["best_step"] == 1500
    assert reason.evidence["chance_of_better"] < overfit.LIMIT and "step 1500" in reason.text


def test_three_evaluations_are_enough_where_training_goes_on():
    steps = np.array([100.0, 200, 300, 400])
    said = play(
        sf.RunPlan(schedule=sf.Schedule.linear(400), epochs=4), steps, [1.2, 1.1, 1.4, 1.9], [0.9, 0.5, 0.2, 0.1]
    )
    assert [advice.action for advice in said[:2]] == ["wait", "wait"] and "stop" in [a.action for a in said[2:]]


def test_two_evaluations_are_enough_where_the_rise_is_steep():
    steps, plan = np.array([1000.0, 2000]), sf.RunPlan(schedule=sf.Schedule.linear(5000), epochs=5)
    steep, gentle = (play(plan, steps, [0.45, v], [0.3, t])[1] for v, t in ((0.75, 0.1), (0.51, 0.28)))
    assert (steep.action, gentle.action) == ("stop", "wait")
    assert steep.reasons[0].evidence["best_step"] == 1000


def test_a_training_loss_first_logged_after_the_best_evaluation():
    """As the Trainer logs with its 500 steps between losses: the first one is a mean over the best evaluation too."""
    steps, val = np.arange(200.0, 1001, 200), np.array([0.41, 0.37, 0.45, 0.52, 0.57])
    late = np.array([np.nan, np.nan, 0.36, 0.36, 0.36])

    def judged(known, train):
        run = Evaluations(steps, val, train, 1000.0, 0.0)
        return overfit.best_is_past(run, known, known)

    assert judged(5.0, late) is not None
    assert judged(None, late) is None  # nothing says that the data repeat
    assert judged(None, 0.8 * late) is not None  # but a training loss well below the best evaluation does
    assert judged(5.0, np.array([0.3, 0.3, 0.36, 0.36, 0.36])) is None  # known to rise


@pytest.mark.parametrize(
    ("rise", "chance", "stops"),
    [(1.5, 0.08, True), (1.5, 0.1, False), (0.8, 0.08, False), (0.8, 0.01, True), (0.4, 1e-9, False)],
)
def test_a_smaller_rise_asks_for_a_smaller_chance(monkeypatch, rise, chance, stops):
    monkeypatch.setattr(overfit, "chance_of_better", lambda run, training=True: chance)
    best = 0.5
    val = np.array([0.7, best, best + rise * overfit.plain_rise(best)])
    run = Evaluations(STEPS[:3], val, TRAIN[:3], 5000.0, 500.0)
    assert (overfit.best_is_past(run, 3.0) is not None) == stops


@pytest.mark.parametrize(
    ("plan", "train"),
    [
        ({"epochs": 0.9}, TRAIN),  # one pass cannot overfit
        ({}, None),  # nothing says that the data repeat
        ({}, TRAIN[::-1]),  # the training loss rises with it: that is not overfitting
    ],
)
def test_what_is_not_overfitting(plan, train):
    said = play(sf.RunPlan(schedule=LINEAR, **plan), train=train)
    assert "overfitting" not in {advice.state for advice in said}


def test_repeated_data_without_a_training_loss():
    steps = np.arange(100.0, 4001, 100)
    val = 3 + 6 * steps**-0.5 + np.maximum(steps - 1200, 0) * 5e-4
    said = play(sf.RunPlan(schedule=sf.Schedule.cosine(4000), epochs=44), steps, val, None)
    first = next(advice for advice in said if advice.action == "stop")
    assert first.state == "overfitting" and first.step < 2400
    assert "repeats_too_often" in {reason.code for reason in first.reasons}
    assert val[: said.index(first) + 1].min() - val.min() < 0.01


@pytest.mark.parametrize(
    ("plan", "exempt"),
    [
        ({"weight_decay": 0.01, "peak_lr": 5e-5, "epochs": 20}, False),  # a usual fine-tune
        ({"weight_decay": 1.0, "peak_lr": 1e-3, "epochs": 200}, True),
        ({"weight_decay": 1.0, "epochs": 200}, True),  # rate unknown
        ({"weight_decay": 1.0, "epochs": 20}, False),
        ({"weight_decay": 0.0, "peak_lr": 1e-3, "epochs": 200}, False),
    ],
)
def test_late_descent_is_judged_by_the_decay_that_is_left(plan, exempt):
    said = play(sf.RunPlan(schedule=sf.Schedule.constant(9000), **plan))
    over = [advice for advice in said if advice.state == "overfitting"]
    assert over and {advice.action for advice in over} == {"continue" if exempt else "stop"}
    assert ("late_descent_possible" in {r.code for r in over[-1].reasons}) == exempt


def test_the_posterior_is_its_formula():
    run = Evaluations(STEPS[:6], VAL[:6], TRAIN[:6], 5000.0, 500.0)
    best, now, s = 0.4927, 0.585, 0.02
    noise = 1.482602218505602 * np.median(np.abs(np.diff(VAL[:6], 2))) / np.sqrt(6)  # 1 / quantile of 3/4
    x = [1, np.log((now - best) / s + 0.1), np.log(3), 0.4, np.log(now / 0.0346), np.log(0.133 / 0.0346), np.log(6),
         np.log1p((0.6232 - best) / best), np.log(noise / s + 0.05)]  # fmt: skip
    z = np.dot(fitted_constants()["better_later"]["coefficients"], x)
    assert overfit.chance_of_better(run) == pytest.approx(1 / (1 + np.exp(-z)), rel=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0.001, 12), min_size=1, max_size=14), st.floats(0.5, 0.999), st.booleans(), st.integers(0, 9))
def test_a_fine_tunes_forecast_is_never_impossible(val, level, with_train, seed):
    n = len(val)
    steps = np.arange(1.0, n + 1) * 100
    train = np.random.default_rng(seed).uniform(0.001, 5, n) if with_train else np.full(n, np.nan)
    run = Evaluations(steps, np.array(val), train, 100.0 * (n + 3), 150.0)
    loss, lower, upper = regression.EndRegression(run).path(np.array([steps[-1], run.total]), level)
    assert np.all((lower > 0) & (lower <= loss) & (loss <= upper)) and np.isfinite(upper).all()
    assert loss[0] == lower[0] == upper[0] == pytest.approx(val[-1])


def test_at_the_end_the_forecast_is_the_logged_loss():
    end = play(sf.RunPlan(schedule=LINEAR))[-1].final
    assert end.loss == end.lower == end.upper == VAL[-1] and "logged" in end.method


def test_the_plan_decides_which_forecast_is_made():
    steps = np.arange(200.0, 5001, 200)
    loss = 3 + 10 * steps**-0.5
    for known, law in [({}, True), ({"pretrained": True}, False), ({"epochs": 3}, False),
                       ({"epochs": 1}, True), ({"epochs": 3, "pretrained": False}, True)]:  # fmt: skip
        monitor = sf.Monitor(sf.RunPlan(schedule=sf.Schedule.cosine(10_000, warmup=200), **known))
        for step, value in zip(steps, loss, strict=True):
            monitor.update(step=step, val_loss=value)
        assert follows_a_law(monitor.view()) == law
        assert ("law" in monitor.advise().final.method) == law
        branch = monitor.what_if(sf.Schedule.cosine(8000, warmup=200))
        assert branch.step == 8000 and 0 < branch.lower < branch.loss < branch.upper


def test_the_training_loss_at_an_evaluation():
    found = at_evaluations(
        np.array([10.0, 20, 30]), np.array([3.0, 2, 4]), np.array([12.0, 15, 18]), np.array([5.0, 1, 2])
    )
    assert np.isnan(found[0]) and found[1] == 2.0 and found[2] == 2.0  # the median since, then the last one known


CASES = {
    "solved": (2.4 + 8 * STEPS**-0.5 + 1e-4 * np.maximum(STEPS - 1500, 0), np.full(10, 0.01)),
    "constant": (np.full(10, 3.0), np.full(10, 3.0)),
    "line": (3.0 - 1e-4 * np.arange(10), 3.0 - 1e-4 * np.arange(10)),
    "steps": (np.where(np.arange(10) % 2, 3.0, 3.1), np.full(10, 0.5)),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("known", [{}, {"epochs": 20.0}, {"unique_tokens": 5e5, "tokens_per_step": 1000}])
def test_no_verdict_or_word_hangs_on_the_last_bits(name, known):
    """As another processor would round: every loss moves by one part in 1e15."""
    val, train = CASES[name]
    steps = np.concatenate([STEPS / 500 * k for k in (100,)]) * 5
    said = []
    for seed in range(4):
        jitter = 1 + 1e-15 * np.random.default_rng(seed).integers(-2, 3, (2, 10)) * (seed > 0)
        plan = sf.RunPlan(schedule=sf.Schedule.constant(8000, warmup=100), **known)
        advices = play(plan, steps, val * jitter[0], train * jitter[1])
        said.append([(a.action, a.state, [(r.code, r.text) for r in a.reasons]) for a in advices])
    assert all(other == said[0] for other in said[1:])


def test_without_a_training_loss_four_evaluations_are_asked_for():
    steps, val = np.arange(100.0, 801, 100), [1.1, 0.56, 0.72, 0.75, 0.78, 0.81, 0.84, 0.87]
    said = play(sf.RunPlan(schedule=sf.Schedule.linear(1000), epochs=10), steps, val, None)
    assert "stop" not in [advice.action for advice in said[:3]] and said[-1].action == "stop"


def test_a_first_loss_beyond_any_model_says_no_more_than_a_guess():
    first = [Evaluations(STEPS[:5], np.r_[start, VAL[1:5]], TRAIN[:5], 5000.0, 500.0) for start in (20.0, 992.3)]
    assert overfit.chance_of_better(first[0]) == overfit.chance_of_better(first[1])


def test_a_spike_on_its_way_down_is_not_a_divergence():
    val = np.array([0.20, 0.16, 0.15, 0.15, 0.14, 0.14, 0.14, 0.95, 0.43, 0.18])
    train = np.array([0.3, 0.2, 0.17, 0.16, 0.15, 0.15, 0.14, 2.36, 0.36, 0.2])
    said = play(sf.RunPlan(schedule=LINEAR, epochs=4), val=val, train=train)
    assert not {advice.state for advice in said} & {"diverging", "lost"}


def test_a_guess_that_a_run_is_a_fine_tune_is_told_with_what_overrules_it():
    steps = np.arange(100.0, 3001, 100)
    val = 3.4 + 0.05 * steps / 3000
    schedule = sf.Schedule.constant(6000)
    codes = {}
    for known in ({}, {"pretrained": True}, {"pretrained": False}):
        advice = play(sf.RunPlan(schedule=schedule, **known), steps, val, None)[-1]
        codes[str(known)] = [reason.code for reason in advice.reasons]
        if not known:
            (told,) = [reason.text for reason in advice.reasons if reason.code == "taken_for_finetune"]
            assert "pretrained=False" in told
    assert ["taken_for_finetune" in found for found in codes.values()] == [True, False, False]
