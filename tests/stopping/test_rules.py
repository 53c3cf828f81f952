"""Verdicts: trouble is found, health is left alone, and nothing is latched."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scalefit as sf
from scalefit.laws._base import Constants
from scalefit.laws._published import PublishedLaw
from scalefit.stopping.floors import best_loss_by_compute
from scalefit.stopping.rules import slope_t

from .conftest import feed, make_curve

HARMLESS = ("continue", "wait")


def run_along(monitor, steps, loss, train=None):
    """Advice at every evaluation."""
    given_advice = []
    for i, (step, value) in enumerate(zip(steps, loss, strict=True)):
        monitor.update(step=step, val_loss=value, train_loss=None if train is None else train[i])
        given_advice.append(monitor.advise())
    return given_advice


def codes(advice):
    return [reason.code for reason in advice.reasons]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("noise", [0.002, 0.02])
def test_a_healthy_run_is_left_alone(cosine, noise, seed):
    steps, loss = make_curve(cosine, every=200, noise=noise, seed=seed)
    actions = {a.action for a in run_along(sf.Monitor(sf.RunPlan(schedule=cosine)), steps, loss)}
    assert actions == {"wait", "continue"}


def test_failure_5_nothing_is_reported_during_warmup(monitor):
    for step in range(10, 200, 20):
        monitor.update(step=step, val_loss=9 - step / 100)
    advice = monitor.advise()
    assert (advice.action, advice.state, advice.final) == ("wait", "wait", None)
    assert codes(advice) == ["too_early"]


def test_failure_15_few_points_wait_but_say_what_they_can(monitor, cosine):
    steps, loss = make_curve(cosine)
    assert monitor.advise().final is None
    advice = feed(monitor, steps[4:7], loss[4:7]).advise()
    assert advice.action == "wait" and advice.final is not None
    assert advice.final.upper - advice.final.lower > 0.1


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_failure_10_not_finite_is_an_event_that_clears_itself(monitor, cosine, bad):
    steps, loss = make_curve(cosine)
    feed(monitor, steps, loss, until=5000)
    before = monitor.advise()
    monitor.update(step=5010, val_loss=bad)
    monitor.update(step=5010, val_loss=bad)  # the same step again is not a second event
    advice = monitor.advise()
    assert (advice.action, advice.state, advice.final) == ("rollback", "lost", None)
    assert advice.reasons[0].evidence["count"] == 1
    later = feed(monitor, steps[50:56], loss[50:56]).advise()
    assert later.state == "healthy" and later.action == "continue"
    assert abs(later.final.loss - before.final.loss) < 0.05


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_failure_10_zero_and_identical_values(monitor, value):
    for step in range(300, 5000, 100):
        monitor.update(step=step, val_loss=value)
    advice = monitor.advise()
    assert (
        advice.action == "continue" and np.isfinite([advice.final.loss, advice.final.lower, advice.final.upper]).all()
    )
    assert advice.final.lower >= 0


def test_a_diverging_run_is_found_and_cleared_when_it_recovers(monitor, cosine):
    steps, loss = make_curve(cosine, noise=0.003)
    up = loss.copy()
    up[40:60] += np.linspace(0, 0.6, 20)  # step 4100 to 6000
    up[60:75] += np.linspace(0.6, 0, 15)
    advice = run_along(monitor, steps, up)
    states = [a.state for a in advice]
    assert "diverging" in states[40:50] and advice[45].action == "rollback"
    first = advice[states.index("diverging")]
    assert first.reasons[0].code == "rising_level" and first.reasons[0].evidence["margin"] >= 0.05
    assert first.final.upper - first.final.lower > 1.9 * (advice[39].final.upper - advice[39].final.lower)
    assert "second_descent" in states[60:] and states[-1] in ("healthy", "off_distribution")
    assert advice[-1].action == "continue"


def test_failure_13_a_slow_divergence_after_a_plateau(monitor, cosine):
    steps, loss = make_curve(cosine, noise=0.003)
    loss[50:] = loss[49] + np.maximum(0, np.arange(50) - 15) * 0.01
    states = [a.state for a in run_along(monitor, steps, loss)]
    assert {"plateau", "off_distribution"} & set(states[55:66]) and "diverging" in states[66:78]


def test_a_run_above_its_early_loss_is_lost(monitor, cosine):
    steps, loss = make_curve(cosine)
    loss[60:] = loss[9] + 1.0
    advice = feed(monitor, steps, loss, until=7000).advise()
    assert (advice.state, advice.action) == ("lost", "rollback")


def test_training_loss_alone_never_means_divergence(monitor, cosine):
    steps, loss = make_curve(cosine)
    loss[60:] += 0.3
    for step, value in zip(steps, loss, strict=True):
        monitor.update(step=step, train_loss=value)
        assert monitor.advise().action in HARMLESS
    assert "training_loss_only" in codes(monitor.advise())


def test_failure_6_a_rewarmup_may_raise_the_loss(cosine):
    again = sf.Schedule.from_knots([0, 200, 5000, 6000, 10_000], [0, 1, 0.1, 1, 0])
    steps, loss = make_curve(cosine)
    loss[50:62] += np.linspace(0, 0.3, 12)
    loss[62:] += 0.3
    actions = {a.action for a in run_along(sf.Monitor(sf.RunPlan(schedule=again)), steps[:62], loss[:62])}
    assert actions <= {"wait", "continue"}


def test_failure_6_a_changed_batch_size_raises_no_alarm(cosine):
    """The batch doubles at half: each step then covers two, and the curve falls twice as fast by the step."""
    steps, loss = make_curve(cosine, noise=0.003)
    doubled = np.concatenate([loss[:50], loss[51::2]])
    actions = {a.action for a in run_along(sf.Monitor(sf.RunPlan(schedule=cosine)), steps[: doubled.size], doubled)}
    assert actions <= {"wait", "continue"}
    # Steps of equal size, as the documentation asks for, make the two runs one.
    equal, plain = (sf.Monitor(sf.RunPlan(schedule=cosine)) for _ in range(2))
    feed(equal, np.concatenate([steps[:50], steps[51::2]]), doubled)
    feed(plain, steps, loss)
    assert abs(equal.advise().final.loss - plain.advise().final.loss) < 0.01


def test_failure_8_a_changed_evaluation_set_shifts_the_level(monitor, cosine):
    """Subset and whole set differed by 0.036 nats on SlimPajama: noticed by the eye, never a reason to stop."""
    steps, loss = make_curve(cosine, noise=0.003)
    loss[60:] += 0.036
    assert {a.action for a in run_along(monitor, steps, loss)} <= {"wait", "continue"}


def test_failure_9_noisy_redrawn_evaluations(cosine):
    """24 sequences drawn anew at each evaluation: a standard error near 0.06 nats."""
    for seed in range(4):
        steps, loss = make_curve(cosine, every=200, noise=0.06, seed=seed)
        plan = sf.RunPlan(schedule=cosine, unique_tokens=1e6, tokens_per_step=1e3)
        assert {a.action for a in run_along(sf.Monitor(plan), steps, loss, train=loss)} <= {"wait", "continue"}


def test_a_known_standard_error_widens_the_margin_and_the_band(cosine):
    steps, loss = make_curve(cosine)
    sure, unsure = (sf.Monitor(sf.RunPlan(schedule=cosine)) for _ in range(2))
    feed(sure, steps, loss, until=5000)
    for step, value in zip(steps[:50], loss[:50], strict=True):
        unsure.update(step=step, val_loss=value, val_sem=0.05)
    assert unsure.view().noise == 0.05
    wide, narrow = unsure.advise().final, sure.advise().final
    assert wide.upper - wide.lower > narrow.upper - narrow.lower


def test_failure_11_a_level_shift_from_data_order(monitor, cosine):
    steps, loss = make_curve(cosine, noise=0.003)
    shifted = loss + np.where((steps > 4000) & (steps < 7000), 0.045, 0)
    assert {a.action for a in run_along(monitor, steps, shifted)} <= {"wait", "continue"}


def test_failure_12_a_spike_with_full_recovery(monitor, cosine):
    steps, loss = make_curve(cosine, noise=0.003)
    loss[50] += 0.5
    advice = run_along(monitor, steps, loss)
    assert advice[50].state == "spike" and advice[50].action == "continue"
    assert advice[56].state in ("healthy", "second_descent", "plateau") and abs(advice[60].final.loss - loss[-1]) < 0.1
    assert {a.action for a in advice} <= {"wait", "continue"}


def test_a_training_spike_is_reported_with_its_rate(monitor, cosine):
    steps, loss = make_curve(cosine, noise=0.003)
    feed(monitor, steps, loss, until=5000)
    rng = np.random.default_rng(0)
    for step in range(5000, 5300):
        monitor.update(step=step, train_loss=3.2 + 0.02 * rng.normal() + (3.0 if step >= 5298 else 0))
    advice = monitor.advise()
    assert advice.state == "spike" and advice.reasons[0].code == "training_spike" and advice.action == "continue"


def test_failure_13b_a_slow_start_is_not_hopeless():
    """Flat at first, then falling fast: the slope still steepens."""
    schedule = sf.Schedule.constant(20_000, warmup=100)
    steps = np.arange(200, 20_001, 200.0)
    loss = 7.0 - 3.5 / (1 + (6000 / steps) ** 3)
    advice = run_along(sf.Monitor(sf.RunPlan(schedule=schedule)), steps[:25], loss[:25])
    assert {a.action for a in advice} <= {"wait", "continue"}
    assert advice[-1].state == "off_distribution" and {"steepening", "poor_fit"} & set(codes(advice[-1]))
    assert "widened" in advice[-1].final.method


def overfit(n_epochs, descends=False, **known):
    schedule = sf.Schedule.constant(10_000, warmup=100)
    steps = np.arange(200, 10_001, 200.0)
    val = 2.4 + 8 * steps**-0.5 + 4e-8 * np.maximum(steps - 3000, 0) ** 2
    train = np.maximum(0.05, 2.4 - 2.4 * steps / 8000)
    if descends:
        val[30:] = val[30] - 0.1 * np.arange(20)
    plan = sf.RunPlan(schedule=schedule, tokens_per_step=1000, unique_tokens=1e7 / n_epochs, **known)
    return sf.Monitor(plan), steps, val, train


def test_overfitting_is_found_soon_after_the_minimum():
    monitor, steps, val, train = overfit(n_epochs=20)
    advice = run_along(monitor, steps, val, train)
    stops = [a for a in advice if a.action == "stop"]
    assert stops and stops[0].state == "overfitting"
    best = float(val.min())
    assert float(val[: advice.index(stops[0]) + 1].min()) - best < 0.005  # the best model had been reached
    assert stops[0].reasons[0].evidence["epochs"] > 1


def test_one_epoch_cannot_overfit():
    monitor, steps, val, train = overfit(n_epochs=0.9)
    states = {a.state for a in run_along(monitor, steps, val, train)}
    assert "overfitting" not in states and "diverging" in states


def test_a_loss_that_rises_in_the_second_epoch_while_training_falls_is_not_a_divergence():
    monitor, steps, val, train = overfit(n_epochs=2.5)
    seen = run_along(monitor, steps[:38], val[:38], train[:38])  # up to step 7600, in epoch 1.9
    assert "rising_level" not in {code for advice in seen for code in codes(advice)}
    assert "overfitting" in {advice.state for advice in seen[26:]}


def test_failure_14_grokking_and_second_descent():
    monitor, steps, val, train = overfit(n_epochs=20, weight_decay=1.0, peak_lr=1e-3, descends=True)
    train[15:] = 0.01  # solved early
    advice = run_along(monitor, steps, val, train)
    assert all(a.action in HARMLESS for a in advice)
    assert "overfitting" in {a.state for a in advice} and "second_descent" in {a.state for a in advice[30:]}
    assert any("late_descent_possible" in codes(a) for a in advice)


def test_failure_18_an_averaged_evaluation_lags_but_alarms_nobody(monitor, cosine):
    steps, loss = make_curve(cosine, noise=0.003)
    smooth = pd.Series(loss).ewm(alpha=0.1).mean().to_numpy()
    advice = run_along(monitor, steps, smooth)
    assert {a.action for a in advice} <= {"wait", "continue"}
    assert abs(advice[-20].final.loss - smooth[-1]) < 0.1


def test_failure_19_rising_data_never_promise_a_loss_below_zero(monitor):
    for i, step in enumerate(range(300, 5000, 100)):
        monitor.update(step=step, val_loss=0.02 + 0.01 * i)
    final = monitor.advise().final
    assert final.lower >= 0 and np.isfinite(final.upper)


def test_failure_20_at_the_end_the_loss_is_what_it_is(monitor, cosine):
    steps, loss = make_curve(cosine, noise=0.002)
    advice = feed(monitor, steps, loss).advise()
    assert abs(advice.final.loss - loss[-1]) < 0.01 and advice.action == "continue"
    assert "finished" in codes(advice) and advice.gain == {}
    monitor.update(step=10_500, val_loss=loss[-1])  # and a little beyond
    assert abs(monitor.advise().final.loss - loss[-1]) < 0.01


def test_failure_4_an_unlogged_or_different_rate(cosine):
    steps, loss = make_curve(cosine)
    plan = sf.RunPlan(schedule=cosine)
    assert "schedule_mismatch" not in codes(feed(sf.Monitor(plan), steps, loss, until=6000).advise())
    other = sf.Monitor(plan)
    for step, value in zip(steps[:60], loss[:60], strict=True):
        other.update(step=step, val_loss=value, lr=3e-4)  # constant, not cosine
    advice = other.advise()
    assert "schedule_mismatch" in codes(advice) and advice.state == "off_distribution"
    same = sf.Monitor(plan)
    for step, value in zip(steps[:60], loss[:60], strict=True):
        same.update(step=step, val_loss=value, lr=6e-4 * float(cosine.lr(step)))
    assert same.advise().state == "healthy"


def test_r8_an_unknown_optimizer_widens_and_says_so(cosine):
    steps, loss = make_curve(cosine)
    known, unknown = (
        feed(sf.Monitor(sf.RunPlan(schedule=cosine, optimizer=name)), steps, loss, until=5000).advise()
        for name in ("AdamW", "my_optimizer")
    )
    assert "unknown_optimizer" in codes(unknown) and "unknown_optimizer" not in codes(known)
    unsaid = feed(sf.Monitor(sf.RunPlan(schedule=cosine)), steps, loss, until=5000).advise()
    down = [a.final.loss - a.final.lower for a in (known, unsaid, unknown)]
    assert down[0] < down[1] < down[2] and unknown.final.upper > known.final.upper
    assert unsaid.final.upper == known.final.upper and unknown.action == "continue"
    monitor = feed(sf.Monitor(sf.RunPlan(schedule=cosine, optimizer="my_optimizer")), steps, loss, until=5000)
    assert monitor.what_if(cosine) == monitor.advise().final  # the same question has the same answer


def test_r5_and_r6_need_a_price(cosine):
    constant = sf.Schedule.constant(100_000, warmup=200)
    steps, loss = make_curve(constant, every=500, noise=0.002)
    free = feed(sf.Monitor(sf.RunPlan(schedule=constant)), steps, loss, until=50_000)
    assert free.advise().action == "continue" and free.advise().gain["cooldown_now"] > 0.1
    priced = feed(sf.Monitor(sf.RunPlan(schedule=constant), min_gain=0.05), steps, loss, until=50_000).advise()
    assert priced.action == "cooldown_now" and priced.reasons[0].code == "cooldown_is_enough"
    flat = feed(sf.Monitor(sf.RunPlan(schedule=cosine), min_gain=0.05), *make_curve(cosine), until=9500).advise()
    assert flat.action == "stop" and flat.reasons[0].code == "little_to_gain"
    early = feed(sf.Monitor(sf.RunPlan(schedule=cosine), min_gain=0.05), *make_curve(cosine), until=3000).advise()
    assert early.action == "continue"


def made_law(E, A=406.4, alpha=0.34, B=410.7, beta=0.28):
    """Chinchilla's law with a floor of one's own."""
    values = dict(E=E, A=A, alpha=alpha, B=B, beta=beta)
    return PublishedLaw(sf.laws.get("chinchilla"), Constants("made", values, source="made for this test"))


def test_r7_floors_are_shown_and_never_stop(cosine):
    plan = sf.RunPlan(
        schedule=cosine, n_params=124e6, tokens_per_step=524288, n_layers=12, d_emb=768, T_max=1024, vocab_size=50257
    )
    steps, loss = make_curve(cosine)
    advice = feed(sf.Monitor(plan, law=made_law(3.5)), steps, loss, until=8000).advise()
    assert advice.floors["law_E"] == 3.5 and advice.floors["law_at_plan"] > 3.5
    assert np.isfinite(advice.floors["associative_memory"])
    assert advice.action == "continue" and "below_floor" in codes(advice)
    assert advice.gain["per_1e18_flop"] > 0 and advice.gain["elsewhere_per_1e18_flop"] > 0


def test_a_law_in_one_variable_is_enough_for_its_floors(cosine):
    runs = sf.load_dataset("reported_losses")
    law = sf.fit(runs[runs["series"] == "pythia"], "power_law:N")
    monitor = sf.Monitor(sf.RunPlan(schedule=cosine, n_params=1e9, tokens_per_step=1e6), law=law)
    floors = feed(monitor, *make_curve(cosine), until=8000).advise().floors
    assert floors["law_E"] == pytest.approx(law.params["E"])
    assert floors["law_at_plan"] == pytest.approx(law.predict(N=1e9))
    again = sf.Monitor.from_state(monitor.state())
    assert again.advise() == monitor.advise()


def test_failure_16_other_units_have_no_floors(cosine):
    plan = sf.RunPlan(schedule=cosine, n_params=124e6, tokens_per_step=524288, loss_unit="bit/byte")
    advice = feed(sf.Monitor(plan, law=made_law(1.7)), *make_curve(cosine), until=8000).advise()
    assert advice.floors == {} and advice.final is not None


def test_advice_prints_its_reasons_and_becomes_json(monitor, cosine):
    import json

    advice = feed(monitor, *make_curve(cosine), until=5000).advise()
    assert "CONTINUE  (healthy, step 5000" in str(advice) and "at 90%" in str(advice)
    assert json.loads(json.dumps(advice.as_dict()))["final"]["loss"] == advice.final.loss


@given(st.integers(0, 1000), st.floats(-5, 5), st.floats(0.01, 3))
def test_slope_t_is_the_textbook_one(seed, slope, noise):
    rng = np.random.default_rng(seed)
    x = np.arange(8.0)
    y = slope * x + noise * rng.normal(size=8)
    coefficient, covariance = np.polyfit(x, y, 1, cov=True)
    found, t = slope_t(x, y)
    assert found == pytest.approx(coefficient[0], rel=1e-6, abs=1e-9)
    assert t == pytest.approx(coefficient[0] / np.sqrt(covariance[0, 0]), rel=1e-5, abs=1e-7)


def test_a_forecast_above_the_present_level_does_not_crash_without_a_law():
    plan = sf.RunPlan(schedule=sf.Schedule.constant(20_000), n_params=124e6, tokens_per_step=524_288)
    steps, loss = make_curve(sf.Schedule.wsd(20_000, warmup=500, cooldown=0.3), every=200, noise=0.003, C=0.6)
    advice = feed(sf.Monitor(plan), steps, loss, until=18_000).advise()
    assert advice.gain["per_1e18_flop"] < 0 and "better_elsewhere" not in codes(advice)


def test_a_negative_cross_entropy_is_not_judged(cosine):
    steps, loss = make_curve(cosine)
    advice = feed(sf.Monitor(sf.RunPlan(schedule=cosine)), steps, -loss).advise()
    assert (advice.action, advice.state, advice.final) == ("wait", "wait", None)
    assert "change its sign" in advice.reasons[0].text
    other = feed(sf.Monitor(sf.RunPlan(schedule=cosine, loss_unit="other")), steps, -loss).advise()
    assert "negative_loss" not in codes(other)


def test_a_perplexity_is_noticed(cosine):
    steps, loss = make_curve(cosine)
    advice = feed(sf.Monitor(sf.RunPlan(schedule=cosine)), steps, np.exp(loss), until=8000).advise()
    assert advice.state == "off_distribution" and "implausible_loss" in codes(advice)
    assert "implausible_loss" not in codes(feed(sf.Monitor(sf.RunPlan(schedule=cosine)), steps, loss).advise())


def test_a_healthy_verdict_names_its_evidence_too(monitor, cosine):
    steps, loss = make_curve(cosine, noise=0.002)
    advice = feed(monitor, steps, loss, until=6000).advise()
    first = advice.reasons[0]
    assert (advice.action, advice.state, first.code) == ("continue", "healthy", "no_fault_found")
    assert first.evidence["best"] <= first.evidence["level"] and first.evidence["noise"] < 0.01 and first.assumption


def test_the_frontier_is_the_best_of_every_size(cosine):
    plan = sf.RunPlan(schedule=cosine, n_params=124e6, tokens_per_step=524288)
    published = sf.published("chinchilla", "besiroglu2024")
    for C, best in zip(*best_loss_by_compute(published, plan), strict=True):
        assert best == pytest.approx(sf.plan(published, C=C).loss, rel=1e-12)
    far = made_law(1.0, A=1.0, alpha=0.3, B=260.0, beta=0.3)  # its optimum has 1e8 tokens for each parameter
    for C, best in zip(*best_loss_by_compute(far, plan), strict=True):
        N = np.geomspace(1, C / 6, 20_001)
        assert best == pytest.approx(far.predict(N=N, D=C / (6 * N)).min(), rel=1e-7)


def test_a_flat_stretch_has_no_sign():
    """Rounding of either sign gives the same slope, t and text on every processor."""
    steps = np.arange(100.0, 1300.0, 100.0)
    for wiggle in (0.0, 4e-16, -4e-16):
        loss = 2.9 + wiggle * np.arange(12)
        assert slope_t(steps, loss) == (0.0, 0.0)
        assert np.copysign(1.0, slope_t(steps, loss)[1]) == 1.0


def test_at_the_end_it_does_not_matter_how_well_the_law_fits(monitor, cosine):
    steps, loss = make_curve(cosine)
    loss = loss - 0.4 * (steps > 0.6 * cosine.total)
    before = feed(monitor, steps, loss, until=0.95 * cosine.total).advise()
    assert before.state == "off_distribution" and "poor_fit" in {reason.code for reason in before.reasons}
    end = feed(monitor, steps, loss).advise()
    assert end.state in ("healthy", "plateau") and "finished" in {reason.code for reason in end.reasons}
    assert "poor_fit" not in {reason.code for reason in end.reasons}
