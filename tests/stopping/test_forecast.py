"""Forecasts: accuracy on made-up and real runs, bands, priors, history."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.stopping.history import START, FinishedRun, History, learn_and_calibrate, learn_priors
from scalefit.stopping.posterior import extrapolate, summarize
from scalefit.stopping.priors import SATURATIONS, shipped_priors

from .conftest import feed, make_curve

SCHEDULES = {
    "constant": sf.Schedule.constant(10_000, warmup=200),
    "cosine": sf.Schedule.cosine(10_000, warmup=200),
    "linear": sf.Schedule.linear(10_000, warmup=200),
    "wsd": sf.Schedule.wsd(10_000, warmup=200),
    "two_stage": sf.Schedule.two_stage(10_000, switch=6000, final=0.1, warmup=200),
}


@pytest.mark.parametrize("fraction", [0.25, 0.5, 0.75])
@pytest.mark.parametrize("name", SCHEDULES)
def test_the_end_is_foreseen_and_covered(name, fraction):
    schedule = SCHEDULES[name]
    steps, loss = make_curve(schedule, noise=0.004)
    monitor = feed(sf.Monitor(sf.RunPlan(schedule=schedule)), steps, loss, until=fraction * 10_000)
    final = monitor.advise().final
    assert abs(final.loss - loss[-1]) < (0.08 if fraction < 0.5 else 0.06)
    # One run in ten may lie outside a 90 % band, but never far.
    assert abs(final.loss - loss[-1]) < 1.5 * (final.upper - final.lower) / 2
    assert final.level == 0.9 and final.step == 10_000


def test_failure_2_a_constant_rate_needs_no_anneal_gain():
    schedule = SCHEDULES["constant"]
    steps, loss = make_curve(schedule)
    seen = summarize(schedule, steps[:50], loss[:50])
    tight = extrapolate(seen, schedule, [10_000], shipped_priors())
    wild = extrapolate(seen, schedule, [10_000], replace(shipped_priors(), gain=5.0))
    assert float(tight.mean[0]) == pytest.approx(float(wild.mean[0]), abs=1e-6)


def test_failure_3_a_drop_ahead_is_foreseen():
    stays, drops = SCHEDULES["constant"], SCHEDULES["two_stage"]
    steps, loss = make_curve(drops)
    without = feed(sf.Monitor(sf.RunPlan(schedule=stays)), steps, loss, until=5000).advise().final
    with_it = feed(sf.Monitor(sf.RunPlan(schedule=drops)), steps, loss, until=5000).advise().final
    assert with_it.loss < without.loss - 0.05


def test_bands_widen_with_level_and_shrink_with_progress():
    schedule = SCHEDULES["cosine"]
    steps, loss = make_curve(schedule, noise=0.004)
    monitor = feed(sf.Monitor(sf.RunPlan(schedule=schedule)), steps, loss, until=3000)
    width = [f.upper - f.lower for f in (monitor.advise(level).final for level in (0.5, 0.9, 0.99))]
    assert width[0] < width[1] < width[2]
    later = feed(monitor, steps, loss, until=8000).advise().final
    assert later.upper - later.lower < width[1] and later.anneal_seen > 0.8


def test_the_width_follows_what_was_seen():
    """Level and gain count apart; the level less early on and where the law misses, and noise is the log's own."""
    from scalefit.stopping.forecast import HALF_WIDTH_GAIN, HALF_WIDTH_LEVEL, HALF_WIDTHS, USUAL_MISFIT, half_width

    schedule = SCHEDULES["constant"]
    steps, loss = make_curve(schedule)

    def width(n, part, misfit=0.0, noise=0.0, sd_gain=0.0):
        at = np.linspace(300, part * 10_000, n)
        seen = summarize(schedule, at, np.interp(at, steps, loss), sem=noise)
        post = extrapolate(seen, schedule, [10_000], shipped_priors())
        post = replace(post, sd=np.array([0.01]), sd_gain=np.array([sd_gain]), misfit=misfit)
        return float(half_width(sf.RunPlan(schedule=schedule), seen, post)[0])

    usual = HALF_WIDTH_LEVEL * 0.01
    assert [width(20, 0.5), width(20, 0.25)] == pytest.approx([usual, usual], rel=0.03)
    assert width(20, 0.05) == pytest.approx(usual * 5**0.9, rel=0.03) and width(20, 0.1) < width(20, 0.05)
    assert width(20, 0.5, sd_gain=0.01) == pytest.approx(HALF_WIDTH_GAIN * 0.01, rel=0.03)
    assert width(20, 0.5, misfit=2 * USUAL_MISFIT) == pytest.approx(2 * usual, rel=0.03)
    assert width(20, 0.5, noise=0.02) == pytest.approx(np.hypot(usual, 1.645 * 0.02), rel=0.03)
    # Few evaluations, anywhere: the whole posterior.
    assert [width(n, 0.5) for n in (1, 2, 3)] == pytest.approx([0.01 * factor for _, factor in HALF_WIDTHS])


def test_shipped_priors_say_where_they_come_from():
    priors = shipped_priors()
    assert priors.n_runs > 200 and "sources" in priors.source
    assert 0.1 < priors.gain < 0.3 and 0.4 < priors.exponent < 0.6
    assert list(priors.z_quantiles) == sorted(priors.z_quantiles)
    assert priors.z(0.999) > priors.z(0.98) > priors.z(0.9) > priors.z(0.1) > 0


def test_a_larger_peak_rate_under_adam_leaves_more_to_gain():
    priors = shipped_priors()
    assert priors.at_rate(None) is priors and priors.at_rate(1e-6) is priors and priors.at_rate(0.1) is priors
    small, usual, large = (priors.at_rate(rate) for rate in (1e-4, 1e-3, 3e-3))
    # The gain to expect over the shapes that are tried follows the slopes that were measured.
    shapes = np.log(SATURATIONS)
    for at, rate in ((small, 1e-4), (usual, 1e-3), (large, 3e-3)):
        weight = np.exp(-0.5 * ((shapes - at.log_rho) / at.log_rho_spread) ** 2)
        gain = np.average(at.gain * np.exp(at.gain_slope * shapes), weights=weight)
        assert gain == pytest.approx(priors.rate_gain * (rate / 1e-3) ** 0.3)
        assert at.log_rho == pytest.approx(priors.rate_log_rho + 0.75 * np.log(rate / 1e-3))
    assert usual.gain_spread < priors.gain_spread and usual.log_rho_spread < priors.log_rho_spread


def test_the_peak_rate_is_taken_from_the_plan_or_from_the_log():
    schedule = SCHEDULES["cosine"]
    steps, loss = make_curve(schedule, noise=0.004)

    def final(rate=None, logged=False, optimizer="adamw"):
        plan = sf.RunPlan(schedule=schedule, optimizer=optimizer, peak_lr=None if logged else rate)
        monitor = feed(sf.Monitor(plan), steps, loss, until=2500)
        if logged:
            for step in steps[steps <= 2500]:
                monitor.update(step=step, lr=rate * float(schedule.lr(step)))
        return monitor.advise().final

    low, high, unsaid = final(1e-4), final(3e-3), final()
    assert high.loss < low.loss - 0.03
    assert all(end.upper - end.lower < unsaid.upper - unsaid.lower for end in (low, high))
    assert final(3e-3, logged=True).loss == pytest.approx(high.loss, rel=1e-9) and "peak rate" in high.method
    for outside in (final(1e-6), final(3e-3, optimizer="muon"), final(3e-3, optimizer=None)):
        assert "peak rate" not in outside.method


@pytest.mark.parametrize("edge", [1e-4, 3e-3])
def test_the_last_bits_of_a_peak_rate_do_not_matter(edge):
    priors = shipped_priors()
    for rate in (edge * (1 - 1e-12), edge * (1 + 1e-12), 0.0003 / 3 if edge < 1e-3 else 0.009 / 3):
        assert priors.at_rate(rate).for_rate and priors.at_rate(rate).gain == pytest.approx(priors.at_rate(edge).gain)
    rounded = priors.at_rate(edge * (0.98 if edge < 1e-3 else 1.02))  # a log of two digits
    assert rounded == priors.at_rate(edge) and not priors.at_rate(edge * (0.9 if edge < 1e-3 else 1.1)).for_rate


def end_at(plan, history=(), part=0.25):
    steps, loss = make_curve(plan.schedule, noise=0.004)
    return feed(sf.Monitor(plan, history=history), steps, loss, until=part * plan.steps).advise().final


def test_bits_take_nothing_from_the_peak_rate():
    plan = sf.RunPlan(schedule=SCHEDULES["cosine"], optimizer="adamw", loss_unit="bit/byte")
    assert end_at(plan.model_copy(update={"peak_lr": 1e-3})) == end_at(plan)


@pytest.mark.parametrize("rate", [None, 0.1])
@pytest.mark.parametrize("n", [2, 4])  # too few to correct a forecast, and enough
def test_earlier_runs_without_a_measured_rate_leave_the_peak_rate_out(rate, n):
    plan = sf.RunPlan(schedule=SCHEDULES["cosine"], optimizer="adamw", peak_lr=1e-3)
    earlier = [
        (sf.RunPlan(schedule=own, optimizer="adamw", peak_lr=rate), pd.DataFrame({"step": steps, "val_loss": loss}))
        for own, steps, loss in runs(5, n, SCHEDULES["cosine"], 0.2)
    ]
    found = end_at(plan, earlier)
    assert found == end_at(plan.model_copy(update={"peak_lr": None}), earlier) and "peak rate" not in found.method


def test_rates_of_earlier_runs_travel_and_count(tmp_path):
    """Six runs whose anneal gains as much as their rate says: their errors come to nothing, also after a reload."""
    plan = sf.RunPlan(schedule=SCHEDULES["cosine"], optimizer="adamw", peak_lr=2e-3)
    earlier = []
    for i, (own, steps, _) in enumerate(runs(5, 6, SCHEDULES["cosine"], 0.2)):
        rate = (2e-4, 5e-4, 2e-3)[i % 3]
        _, loss = make_curve(own, noise=0.003, seed=i, C=0.22 * (rate / 1e-3) ** 0.25)
        table = pd.DataFrame({"step": steps, "val_loss": loss})
        earlier.append((sf.RunPlan(schedule=own, optimizer="adamw", peak_lr=rate), table))
    steps, loss = make_curve(plan.schedule, noise=0.003, seed=77, C=0.22 * 2**0.25)
    monitor = feed(sf.Monitor(plan, history=earlier), steps, loss, until=2500)
    found = monitor.advise().final
    assert found.lower <= loss[-1] <= found.upper
    assert {run.adam_rate for run in monitor.state().history} == {2e-4, 5e-4, 2e-3}
    monitor.to_json(tmp_path / "run.json")
    assert sf.load_monitor(tmp_path / "run.json").advise().final == found
    unsaid = [(other.model_copy(update={"peak_lr": None}), table) for other, table in earlier]
    blind = feed(sf.Monitor(plan, history=unsaid), steps, loss, until=2500).advise().final
    assert found.upper - found.lower < blind.upper - blind.lower


def runs(seed, n, schedule, gain, spread=0.05):
    rng = np.random.default_rng(seed)
    for i in range(n):
        total = schedule.total * rng.uniform(0.7, 1.4)
        own = sf.Schedule.cosine(total, warmup=200)
        C = gain * np.exp(spread * rng.normal())
        steps, loss = make_curve(own, noise=0.003, seed=seed + i, C=C, L0=2.9 + 0.1 * rng.normal())
        yield own, steps, loss


def test_priors_are_learned_from_finished_runs():
    sources = {
        f"s{k}": [FinishedRun.from_curve(*run) for run in runs(10 * k, 6, SCHEDULES["cosine"], 0.25)] for k in (1, 2, 3)
    }
    learned = learn_priors(sources, START, "made-up runs")
    gain_at_truth = learned.gain * 1.5**learned.gain_slope
    assert gain_at_truth == pytest.approx(0.25, rel=0.15) and learned.n_runs == 18
    table = learn_and_calibrate(sources, "made-up runs")
    assert table.z(0.9) >= 1.64


def test_a_long_finished_run_is_thinned_at_both_scales():
    schedule = sf.Schedule.cosine(100_000)
    steps = np.arange(1.0, 100_001)
    thin = FinishedRun.from_curve(schedule, steps, 2 + steps**-0.5)
    assert 300 < len(thin.steps) <= 400 and (thin.steps[0], thin.steps[-1]) == (1, 100_000)
    assert (thin.steps < 100).sum() > 40 and np.diff(thin.steps).max() < 510
    np.testing.assert_array_equal(thin.loss, 2 + thin.steps**-0.5)
    short = FinishedRun.from_curve(schedule, steps[::1000][:101], steps[::1000][:101] ** -0.5)
    np.testing.assert_array_equal(short.steps, steps[::1000])


def test_the_latest_value_of_a_step_wins_in_a_finished_run_too():
    """As in a monitor: a run that was resumed logs some steps twice."""
    steps, loss = make_curve(SCHEDULES["cosine"])
    twice, values = np.r_[steps[:60], steps[40:]], np.r_[loss[:40], loss[40:60] + 0.5, loss[40:]]
    resumed = FinishedRun.from_curve(SCHEDULES["cosine"], twice, values)
    np.testing.assert_array_equal(resumed.loss, FinishedRun.from_curve(SCHEDULES["cosine"], steps, loss).loss)


def test_history_sharpens_and_corrects():
    """A recipe whose anneal gains twice the usual: history must find out."""
    plan = sf.RunPlan(schedule=SCHEDULES["cosine"], recipe="mine")
    steps, loss = make_curve(plan.schedule, C=0.5, noise=0.003, seed=99)
    earlier = [
        (sf.RunPlan(schedule=own, recipe="mine"), pd.DataFrame({"step": s, "val_loss": y}))
        for own, s, y in runs(5, 6, SCHEDULES["cosine"], 0.5)
    ]
    blind = feed(sf.Monitor(plan), steps, loss, until=2500).advise().final
    taught = feed(sf.Monitor(plan, history=earlier), steps, loss, until=2500).advise().final
    assert abs(taught.loss - loss[-1]) < 0.5 * abs(blind.loss - loss[-1])
    assert taught.lower <= loss[-1] <= taught.upper and taught.upper - taught.lower < blind.upper - blind.lower
    assert taught.n_history == 6 and "earlier runs" in taught.method and blind.n_history == 0


def test_two_earlier_runs_set_priors_but_do_not_correct():
    base = shipped_priors()
    two = [FinishedRun.from_curve(*run) for run in runs(5, 2, SCHEDULES["cosine"], 0.5)]
    history = History.learn(two, base, SCHEDULES["cosine"], 10_000)
    assert history.priors.gain > base.gain
    steps, loss = make_curve(SCHEDULES["cosine"])
    post = extrapolate(summarize(SCHEDULES["cosine"], steps, loss), SCHEDULES["cosine"], [10_000], history.priors)
    assert history.correction(0.5, post, 10_000, base) is None


def test_finished_monitors_are_history(cosine):
    done = []
    for seed in range(3):
        steps, loss = make_curve(cosine, noise=0.003, seed=seed)
        done.append(feed(sf.Monitor(sf.RunPlan(schedule=cosine)), steps, loss))
    steps, loss = make_curve(cosine, noise=0.003, seed=9)
    advice = feed(sf.Monitor(sf.RunPlan(schedule=cosine), history=done), steps, loss, until=5000).advise()
    assert advice.final.n_history == 3


def test_what_if_knows_that_cooling_down_helps_now():
    plan = sf.RunPlan(schedule=SCHEDULES["constant"])
    steps, loss = make_curve(plan.schedule, noise=0.003)
    monitor = feed(sf.Monitor(plan), steps, loss, until=5000)
    branch = plan.schedule.cooldown_from(5000, 1000)
    cooled, planned = monitor.what_if(branch), monitor.advise().final
    truth = make_curve(branch)[1][-1]
    assert cooled.lower <= truth <= cooled.upper and cooled.loss < loss[49] - 0.05
    assert cooled.step == 6000 and planned.step == 10_000
    assert sf.Monitor(plan).what_if(branch) is None
    with pytest.raises(ValueError, match="before the latest"):
        monitor.what_if(sf.Schedule.constant(4000))


def test_the_open_benchmark_keeps_its_level(external_data):
    """Shipped priors have seen these curves, so this guards against regressions; benchmarks/stopping.py is the test."""
    folder = external_data / "curves_benchmark"
    curves, knots = (pd.read_csv(folder / f"{name}.csv.gz") for name in ("curves", "schedules"))
    errors = []
    for key, table in curves.groupby("curve"):
        if key % 3:
            continue
        z = knots[knots.curve == key]
        schedule = sf.Schedule.from_knots(z.step.tolist(), z.lr_over_peak.tolist())
        for fraction in (0.25, 0.5, 0.75):
            part = table[table.step <= fraction * schedule.total]
            post = extrapolate(summarize(schedule, part.step, part.loss), schedule, [schedule.total], shipped_priors())
            errors.append((fraction, table.group.iloc[0], abs(float(post.mean[0]) - table.loss.iloc[-1])))
    found = pd.DataFrame(errors, columns=["fraction", "group", "error"])
    large = found.groupby("group").filter(lambda g: len(g) >= 15)
    mae = large.groupby(["fraction", "group"]).error.mean().groupby("fraction").mean()
    assert mae[0.25] < 0.045 and mae[0.5] < 0.032 and mae[0.75] < 0.022
