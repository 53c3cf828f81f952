"""Schedules: rates, areas, cooldowns, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalefit import RunPlan, Schedule
from scalefit.errors import ArgumentError

FAMILIES = {
    "constant": Schedule.constant(1000, warmup=100),
    "linear": Schedule.linear(1000, warmup=100),
    "cosine": Schedule.cosine(1000, warmup=100),
    "wsd": Schedule.wsd(1000, warmup=100),
    "wsd_sqrt": Schedule.wsd(1000, warmup=100, shape="1-sqrt"),
    "wsd_exp": Schedule.wsd(1000, warmup=100, shape="exp", final=0.1),
    "two_stage": Schedule.two_stage(1000, switch=600, final=0.3, warmup=100),
}


@pytest.mark.parametrize("schedule", FAMILIES.values(), ids=FAMILIES)
def test_area_is_the_integral_of_the_rate(schedule):
    fine = np.linspace(0, 1000, 200_001)
    rate = schedule.lr(fine)
    integral = np.concatenate([[0], np.cumsum((rate[1:] + rate[:-1]) / 2 * np.diff(fine))])
    at = np.array([0.0, 50, 100, 333, 600, 950, 1000])
    np.testing.assert_allclose(schedule.area(at), np.interp(at, fine, integral), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("schedule", FAMILIES.values(), ids=FAMILIES)
def test_schedule_survives_json(schedule):
    again = Schedule.model_validate_json(schedule.model_dump_json())
    assert again == schedule and float(again.lr(777)) == float(schedule.lr(777))


def test_formulas():
    assert float(Schedule.cosine(1000).lr(500)) == pytest.approx(0.55, abs=1e-4)
    assert float(Schedule.linear(1000, final=0.2).lr(500)) == pytest.approx(0.6)
    # Haegele et al. (2024): 1 - sqrt of the part of the cooldown
    assert float(Schedule.wsd(1000, shape="1-sqrt").lr(850)) == pytest.approx(0.5, abs=1e-3)
    assert float(Schedule.wsd(1000, shape="exp", final=0.01).lr(900)) == pytest.approx(0.1, rel=1e-3)
    assert float(Schedule.two_stage(1000, switch=500, final=0.3).lr(502)) == pytest.approx(0.3)


def test_warmup_counts_at_the_peak_where_the_paper_does():
    schedule = Schedule.constant(1000, warmup=100)
    assert float(schedule.area(1000)) == pytest.approx(950)
    assert float(schedule.area(1000, warmup="peak")) == pytest.approx(1000)  # Tissue et al. (2024)
    assert float(schedule.area(50, warmup="peak")) == pytest.approx(50)


def test_warmup_is_found_in_knots():
    knots = Schedule.from_knots([0, 100, 500, 1000], [0, 1, 1, 0])
    assert knots.warmup_end == 100
    assert Schedule.from_knots([0, 1000], [0, 1]).warmup_end == 0.0  # rising throughout: no warm-up


@given(
    kind=st.sampled_from(["constant", "cosine", "wsd", "linear"]),
    total=st.integers(2, 400),
    warmup=st.integers(0, 500),
    tail=st.integers(1, 400),
    shape=st.sampled_from(["linear", "1-sqrt"]),
    final=st.floats(0, 0.5),
)
def test_steps_have_the_rates_of_the_harness(kind, total, warmup, tail, shape, final):
    """Warm-up times decay, the first at the end of each step, the second at its middle: also where they overlap."""
    tail = min(tail, total)
    schedule = {
        "constant": lambda: Schedule.constant(total, warmup),
        "cosine": lambda: Schedule.cosine(total, warmup, final),
        "linear": lambda: Schedule.linear(total, warmup, final),
        "wsd": lambda: Schedule.wsd(total, warmup, tail / total, shape, final),
    }[kind]()
    for step in {0, total // 2, total - tail, total - 1} - {total}:
        warm = min(1.0, (step + 1) / warmup) if warmup else 1.0
        begin = {"constant": total, "wsd": total - tail}.get(kind, warmup)
        part = max(0.0, (step + 0.5 - begin) / max(1, total - begin))
        left = {"cosine": 0.5 * (1 + np.cos(np.pi * part)), "wsd": 1 - np.sqrt(part) if shape == "1-sqrt" else 1 - part}
        rate = warm * (1.0 if kind == "constant" else final + (1 - final) * left.get(kind, 1 - part))
        assert float(schedule.at_step(step)) == pytest.approx(rate, abs=1e-12)
        assert 0 <= float(schedule.lr(step)) <= 1


def test_the_steps_add_up_to_the_area_also_where_the_warm_up_ends_in_the_cooldown():
    schedule = Schedule.wsd(1000, warmup=600, cooldown=0.8, shape="linear")
    assert float(schedule.at_step(np.arange(1000)).sum()) == pytest.approx(float(schedule.area(1000)), rel=2e-3)
    fine = np.linspace(0, 1000, 100_001)
    rate = np.minimum(1, fine / 600) * np.minimum(1, (1000 - fine) / 800)
    np.testing.assert_allclose(schedule.lr(fine), rate, atol=1e-4)
    never = Schedule.cosine(1000, warmup=2000)
    assert float(never.lr(1000)) == 0.5 and float(never.area(1000)) == pytest.approx(250)


@given(
    st.lists(st.integers(1, 400), min_size=1, max_size=8),
    st.lists(st.floats(0, 3), min_size=9, max_size=9),
    st.floats(0.5, 3000),
)
def test_any_knots_give_a_rising_area(gaps, rates, step):
    rates = [*rates[: len(gaps)], 1.0]
    schedule = Schedule.from_knots(np.concatenate([[0], np.cumsum(gaps)]), rates)
    assert 0 <= float(schedule.lr(step)) <= 1
    assert float(schedule.area(step + 1)) >= float(schedule.area(step)) - 1e-9


def test_cooldown_from_leaves_the_past_alone():
    base = Schedule.constant(10_000, warmup=100)
    branch = base.cooldown_from(5000, 1000, shape="1-sqrt")
    past = np.array([50.0, 100, 3000, 5000])
    np.testing.assert_allclose(branch.lr(past), base.lr(past))
    assert branch.total == 6000 and float(branch.lr(6000)) == 0
    with pytest.raises(ArgumentError, match="already zero"):
        branch.cooldown_from(6000, 100)


def test_spliced_joins_past_and_future():
    joined = Schedule.cosine(1000).spliced(Schedule.constant(2000), 500)
    assert float(joined.lr(400)) == pytest.approx(float(Schedule.cosine(1000).lr(400)))
    assert float(joined.lr(1500)) == 1.0 and joined.total == 2000


def test_logged_rates_become_a_schedule():
    true = Schedule.wsd(20_000, warmup=500, shape="1-sqrt")
    steps = np.arange(1, 20_001)
    logged = Schedule.from_log(np.r_[steps, steps[:100]], np.r_[3e-4 * true.lr(steps), 3e-4 * true.lr(steps[:100])])
    at = np.linspace(600, 20_000, 50)
    np.testing.assert_allclose(logged.lr(at), true.lr(at), atol=0.02)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Schedule.constant(-5), "-5"),
        (lambda: Schedule.cosine(100, warmup=-1), "warm-up of -1"),
        (lambda: Schedule.linear(100, final=2), r"final=2"),
        (lambda: Schedule.wsd(100, cooldown=1.5), r"cooldown=1.5"),
        (lambda: Schedule.two_stage(100, switch=100, final=0.5), "switch=100"),
        (lambda: Schedule.from_knots([0, 5, 5], [1, 1, 0]), "strictly increasing"),
        (lambda: Schedule.from_knots([0, 5], [0, 0]), "not all zero"),
        (lambda: Schedule.from_knots([0, 5], [1, float("nan")]), "finite"),
        (lambda: Schedule.constant(100).cooldown_from(50, 0), "0 steps"),
        (lambda: Schedule(kind="cosine", total=100, colour="red"), "colour: is not a known setting"),
    ],
)
def test_nonsense_is_refused_in_one_line(make, words):
    with pytest.raises(ArgumentError, match=words) as caught:
        make()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["constant", "linear", "cosine", "wsd"])
def test_a_plan_file_without_final_means_what_the_constructor_means(kind):
    assert Schedule(kind=kind, total=1000, warmup=50) == getattr(Schedule, kind)(1000, warmup=50)


@pytest.mark.parametrize(("warmup", "cooldown"), [(900, 0.1), (800, 0.2), (700, 0.3), (300, 0.7)])
def test_a_cooldown_may_begin_where_the_warmup_ends(warmup, cooldown):
    schedule = Schedule.wsd(1000, warmup=warmup, cooldown=cooldown)
    assert float(schedule.lr(warmup)) == pytest.approx(1.0) and float(schedule.lr(1000)) == 0.0
    with pytest.raises(ArgumentError, match="cooldown"):
        Schedule.wsd(1000, warmup=warmup, cooldown=1.2)


def test_steps_are_read_as_people_write_them():
    assert Schedule.cosine("10k", warmup="1k") == Schedule.cosine(10_000, warmup=1000)
    assert Schedule.two_stage("10k", switch="8k", final=0.1) == Schedule.two_stage(10_000, switch=8000, final=0.1)
    whole = Schedule.constant("10k")
    assert whole.cooldown_from("8k", "2k") == whole.cooldown_from(8000, 2000)
    assert RunPlan(schedule=whole, total_steps="20k").steps == 20_000
    with pytest.raises(ArgumentError, match="'10q' is not a quantity"):
        Schedule.cosine("10q")
