"""The monitor: what it takes, what it keeps, what it refuses."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scalefit as sf
from scalefit.errors import ArgumentError
from scalefit.stopping.logged import CAPACITY, LoggedSeries

from .conftest import feed, make_curve

COSINE = sf.Schedule.cosine(10_000, warmup=200)
STEPS, LOSS = make_curve(COSINE, noise=0.003)


def fed(until=np.inf, **options):
    return feed(sf.Monitor(sf.RunPlan(schedule=COSINE), **options), STEPS, LOSS, until=until)


def test_failure_21_json_round_trip_is_bit_equal(tmp_path):
    history = [
        (sf.RunPlan(schedule=COSINE), pd.DataFrame({"step": STEPS, "val_loss": LOSS + 0.01 * k})) for k in range(4)
    ]
    monitor = feed(sf.Monitor(sf.RunPlan(schedule=COSINE), history=history, min_gain=0.01), STEPS, LOSS, until=6000)
    monitor.update(step=6010, train_loss=3.1, lr=1e-4, grad_norm=0.7)
    monitor.update(step=6020, val_loss=float("nan"))
    feed(monitor, STEPS[60:70], LOSS[60:70])
    path = tmp_path / "run.json"
    monitor.to_json(path)
    again = sf.load_monitor(path)
    assert again.advise() == monitor.advise()
    assert again.to_json() == monitor.to_json()
    branch = COSINE.cooldown_from(7000, 1000)
    assert again.what_if(branch) == monitor.what_if(branch)
    assert list(tmp_path.iterdir()) == [path]  # no half-written file is left


@settings(max_examples=20)
@given(st.integers(0, 10_000))
def test_failure_6_order_and_repetition_do_not_matter(seed):
    rng = np.random.default_rng(seed)
    pick = np.arange(60)
    shuffled = np.concatenate([rng.permutation(pick), rng.integers(0, 60, 30)])
    plain = fed(until=6000)
    messy = sf.Monitor(sf.RunPlan(schedule=COSINE))
    for i in shuffled:
        messy.update(step=int(STEPS[i]), val_loss=LOSS[i])
    assert messy.advise() == plain.advise()


def test_the_latest_value_of_a_step_wins():
    monitor = fed(until=6000)
    monitor.update(step=6000, val_loss=2.0)
    monitor.update(step=6000, val_loss=LOSS[59])
    assert monitor.advise() == fed(until=6000).advise()


def test_a_changed_evaluation_grid_does_no_harm():
    dense, dense_loss = make_curve(COSINE, every=25, noise=0.003, seed=1)
    monitor = fed(until=5000)
    late = dense > 5000
    feed(monitor, dense[late], dense_loss[late], until=7500)
    final = monitor.advise().final
    assert abs(final.loss - LOSS[-1]) < 0.05


def test_rewind_forgets_the_abandoned_branch():
    monitor = fed(until=6000)
    feed(monitor, STEPS[60:70], LOSS[60:70] + 1.0)
    monitor.update(step=7010, val_loss=float("nan"))
    monitor.rewind(6000)
    assert monitor.advise() == fed(until=6000).advise()


def test_failure_7_a_longer_plan_keeps_the_past():
    monitor = fed(until=5000)
    before = monitor.advise().final
    monitor.replan(sf.RunPlan(schedule=sf.Schedule.cosine(20_000, warmup=200)))
    after = monitor.advise()
    assert after.final.step == 20_000 and after.final.loss < before.loss
    assert float(monitor.plan.schedule.lr(3000)) == pytest.approx(float(COSINE.lr(3000)), abs=1e-3)
    assert "plan_changed" in [r.code for r in after.reasons]
    assert sf.Monitor.from_state(monitor.state()).advise() == after


def test_replan_to_a_cooldown_equals_what_if():
    monitor = fed(until=5000)
    branch = COSINE.cooldown_from(5000, 500)
    foreseen = monitor.what_if(branch)
    monitor.replan(monitor.plan.with_schedule(branch))
    assert monitor.advise().final.loss == pytest.approx(foreseen.loss, abs=2e-3)


def test_failure_15_memory_is_bounded_and_the_curve_kept():
    schedule = sf.Schedule.cosine(200_000, warmup=500)
    monitor = sf.Monitor(sf.RunPlan(schedule=schedule))
    coarse, level = make_curve(schedule, every=100)
    steps = np.arange(1.0, 200_001)
    clean = np.interp(steps, np.r_[1.0, 20, coarse], np.r_[11.0, 6.5, level])
    loss = clean + 0.05 * np.random.default_rng(0).normal(size=len(steps))
    for step, value in zip(steps[:100_000], loss[:100_000], strict=True):
        monitor.update(step=step, train_loss=value)
    kept, values = monitor.curve("train")
    assert len(kept) <= CAPACITY and np.all(np.diff(kept) > 0)
    assert np.median(np.abs(values - np.interp(kept, steps, clean))) < 0.04
    assert np.sum(kept < 1000) > 200  # the fast early part keeps its detail
    assert abs(monitor.advise().final.loss - clean[-1]) < 0.1
    assert len(monitor.to_json()) < 2**20
    again = sf.Monitor.from_state(monitor.state())
    assert again.advise() == monitor.advise()


@settings(max_examples=15)
@given(st.lists(st.tuples(st.integers(0, 50), st.floats(-10, 10)), max_size=200))
def test_series_is_a_sorted_dictionary(pairs):
    series = LoggedSeries()
    for step, value in pairs:
        series.add(step, value)
    expected = sorted(dict(pairs).items())
    assert series.steps == [float(s) for s, _ in expected] and series.values == [v for _, v in expected]


def test_merged_steps_keep_weight_and_ignore_replays():
    series = LoggedSeries()
    for step in range(3 * CAPACITY):
        series.add(step, 1.0 if step % 2 else 3.0)
    assert sum(series.counts) == 3 * CAPACITY and len(series) <= CAPACITY
    before = series.state()
    series.add(10, 100.0)
    assert series.state() == before
    assert np.average(series.values, weights=series.counts) == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"step": -1, "val_loss": 3}, "step=-1"),
        ({"step": 10}, "No loss was given at step 10"),
        ({"step": 10, "val_loss": "3.0"}, "val_loss='3.0' is not a number"),
        ({"step": 10, "val_loss": True}, "not a number"),
        ({"step": float("nan"), "val_loss": 3}, "step=nan"),
        ({"step": 10, "val_loss": [1, 2]}, "not a number"),
    ],
)
def test_bad_updates_are_refused_and_change_nothing(values, words):
    monitor = fed(until=5000)
    before = monitor.to_json()
    with pytest.raises(ArgumentError, match=words):
        monitor.update(**values)
    assert monitor.to_json() == before


def test_bad_arguments():
    plan = sf.RunPlan(schedule=COSINE)
    with pytest.raises(ArgumentError, match="RunPlan"):
        sf.Monitor(COSINE)
    with pytest.raises(ArgumentError, match="min_gain"):
        sf.Monitor(plan, min_gain=-1)
    with pytest.raises(ArgumentError, match="level=95"):
        sf.Monitor(plan).advise(level=95)
    with pytest.raises(ArgumentError, match="No quantity"):
        sf.Monitor(plan).curve("accuracy")
    with pytest.raises(ArgumentError, match="History run 0"):
        sf.Monitor(plan, history=[3])
    with pytest.raises(ArgumentError, match="columns step and val_loss"):
        sf.Monitor(plan, history=[(plan, pd.DataFrame({"step": [1, 2]}))])
    with pytest.raises(sf.DataError, match="only finished runs teach"):
        sf.Monitor(plan, history=[fed(until=5000)])


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"total_tokens": 1e9, "tokens_per_step": 10}, "correct one"),
        ({"n_params": -5}, "n_params"),
        ({"colour": "red"}, "colour: is not a known setting"),
        ({"schedule": "cosine"}, "schedule"),
    ],
)
def test_bad_plans(values, words):
    with pytest.raises(ArgumentError, match=words) as caught:
        sf.RunPlan(**{"schedule": COSINE, **values})
    assert "\n" not in str(caught.value)


def test_failure_22_history_of_another_kind_is_set_aside():
    table = pd.DataFrame({"step": STEPS, "val_loss": LOSS})
    sick = pd.DataFrame({"step": STEPS, "val_loss": np.r_[LOSS[:-10], LOSS[-10:] + 2]})
    plan = sf.RunPlan(schedule=COSINE, vocab_size=50257, recipe="mine")
    others = [
        (plan.model_copy(update={"vocab_size": 32000}), table),
        (plan.model_copy(update={"recipe": "theirs"}), table),
        (plan.model_copy(update={"loss_unit": "bit/byte"}), table),
        (plan, sick),
    ]
    monitor = feed(sf.Monitor(plan, history=others), STEPS, LOSS, until=5000)
    advice = monitor.advise()
    assert advice.final.n_history == 0
    texts = [n.message for n in monitor.notes if n.code == "history_set_aside"]
    assert len(texts) == 4 and "32000" in texts[0] and "theirs" in texts[1] and "own best" in texts[3]
    assert [r.code for r in advice.reasons].count("history_set_aside") == 4


def test_restore_keeps_plan_and_settings_given_in_code():
    old = fed(until=5000, min_gain=0.5)
    plan = sf.RunPlan(schedule=COSINE, n_params=1e8)
    new = sf.Monitor(plan, min_gain=0.01)
    new.restore(old.state())
    assert new.plan == plan and new.min_gain == 0.01 and new.last_step == 5000
    assert "plan_differs" in [note.code for note in new.notes]


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-20],
        lambda text: text.replace('"schema_version":1', '"schema_version":2'),
        lambda text: json.dumps({**json.loads(text), "surprise": 1}),
        lambda text: "[]",
        lambda text: "",
    ],
)
def test_a_damaged_state_is_one_clear_error(tmp_path, damage):
    path = tmp_path / "run.json"
    path.write_text(damage(fed(until=5000).to_json()))
    with pytest.raises(sf.DataError, match="not a monitor's state") as caught:
        sf.load_monitor(path)
    assert len(str(caught.value)) < 600


def test_a_state_that_is_not_text(tmp_path):
    path = tmp_path / "run.bin"
    path.write_bytes(b"\x80\x04\x95\xff")
    with pytest.raises(sf.DataError, match="not text"):
        sf.load_monitor(path)


def test_should_prune():
    monitor = fed(until=5000)
    assert not monitor.should_prune()
    assert not monitor.should_prune(threshold=3.5) and monitor.should_prune(threshold=2.0)
    monitor.update(step=5010, val_loss=float("nan"))
    assert monitor.should_prune()


def test_plot_has_a_data_half_and_a_drawing_half():
    import matplotlib

    matplotlib.use("Agg")
    monitor = fed(until=5000)
    branch = COSINE.cooldown_from(5000, 1000)
    picture = monitor.figure({"cool down": branch})
    assert [b.name for b in picture.branches] == ["plan", "cool down"]
    assert picture.branches[0].loss[-1] == pytest.approx(monitor.advise().final.loss)
    assert np.all(picture.branches[0].lower <= picture.branches[0].upper)
    ax = monitor.plot(what_if={"cool down": branch})
    assert "loss [nat/token]" in ax.get_ylabel()
    assert [len(line.get_xdata()) for line in ax.get_lines()] == [50, *[60, 1, 1, 1] * 2]  # a path, its end and band
    assert [text.get_text().split(":")[0] for text in ax.get_legend().get_texts()][1:] == [
        "planned schedule",
        "cool down",
    ]
    import matplotlib.pyplot as plt

    plt.close("all")
    assert sf.Monitor(sf.RunPlan(schedule=COSINE)).plot() is not None
    plt.close("all")


def test_names_are_lazy():
    assert {"Monitor", "RunPlan", "Schedule", "load_monitor"} <= set(dir(sf))
    assert Path(sf.__file__).with_name("stopping").joinpath("_priors.json").is_file()


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.booleans())
def test_a_whole_table_is_logged_as_its_rows_are(seed, shuffle):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 12_000))
    steps = np.cumsum(rng.integers(1, 3, n)).astype(float)
    if shuffle:
        steps = rng.permutation(np.maximum(steps - 5, 0))[: min(n, 300)]
    table = pd.DataFrame({"step": steps, "train_loss": rng.normal(3, 1, len(steps)), "lr": 1e-3})
    table["val_loss"] = table["train_loss"].where(rng.random(len(steps)) < 0.1)
    table.loc[rng.random(len(steps)) < 0.01, "train_loss"] = np.inf
    by_row, at_once = (sf.Monitor(sf.RunPlan(schedule=COSINE)) for _ in range(2))
    for row in table.to_dict("records"):
        by_row.update(**{name: value for name, value in row.items() if value == value})
    at_once.update_from(table[: len(table) // 2])
    at_once.update_from(table[len(table) // 2 :])
    assert at_once.to_json() == by_row.to_json()


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"step": [1, 2]}, "^The table has .*; nothing was logged. Give it step and a loss.$"),
        ({"val_loss": [1, 2]}, "^The table has .*; nothing was logged. Give it step and a loss.$"),
        ({"step": [1, -2], "val_loss": [3, 3]}, "must be a step number"),
        ({"step": [1, 2], "val_loss": ["a", "b"]}, "not a number"),
    ],
)
def test_a_table_that_is_none_is_refused(table, said):
    with pytest.raises(ArgumentError, match=said):
        sf.Monitor(sf.RunPlan(schedule=COSINE)).update_from(pd.DataFrame(table))


def test_the_text_of_a_state_is_read_as_its_file_is(monitor, cosine):
    steps, loss = make_curve(cosine)
    feed(monitor, steps, loss, until=6000)
    assert sf.load_monitor(monitor.to_json()).advise() == monitor.advise()
    with pytest.raises(sf.DataError) as error:
        sf.load_monitor('{"schema_version": 1, "plan": ' + "[" * 5000)
    assert len(str(error.value)) < 400
