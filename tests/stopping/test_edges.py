"""What a monitor meets at its edges: files written by hand, levels close to 1, histories and steps that are none."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.schedules import USUAL_FINAL
from scalefit.stopping.curve_laws import fit_curve
from scalefit.stopping.floors import law_floors, theory_floor

from .conftest import feed, make_curve

COSINE = sf.Schedule.cosine(10_000, warmup=200)
STEPS, LOSS = make_curve(COSINE, noise=0.003)
PLAN = sf.RunPlan(schedule=COSINE)


def fed(until=5000, plan=PLAN, **options):
    return feed(sf.Monitor(plan, **options), STEPS, LOSS, until=until)


@pytest.mark.parametrize("kind", USUAL_FINAL)
def test_a_file_means_what_the_constructor_means(kind):
    """A plan.toml that leaves `final` out is the schedule that Schedule.<kind>() gives, not a constant rate."""
    made = getattr(sf.Schedule, kind)(1000, warmup=50)
    assert sf.Schedule(kind=kind, total=1000, warmup=50) == made
    assert sf.RunPlan(schedule={"kind": kind, "total": 1000, "warmup": 50}).schedule == made
    assert sf.Schedule.model_validate_json(f'{{"kind": "{kind}", "total": 1000, "warmup": 50}}') == made


def test_knots_by_hand_are_checked():
    by_hand = sf.Schedule(kind="knots", steps=(0, 100, 200), lr_over_peak=(0, 1, 0.5))
    assert by_hand == sf.Schedule.from_knots([0, 100, 200], [0, 2, 1])
    with pytest.raises(ValueError, match="reaches 0.0003.*Divide them by it"):
        sf.Schedule(kind="knots", steps=(0, 100, 200), lr_over_peak=(0, 3e-4, 1e-4))
    with pytest.raises(ValueError, match="total=150.*last knot is at step 200"):
        sf.Schedule(kind="knots", total=150, steps=(0, 100, 200), lr_over_peak=(0, 1, 0.5))
    with pytest.raises(ValueError, match="Give final="):
        sf.Schedule(kind="two_stage", total=100, switch=50)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: COSINE.cooldown_from(500, 50, shape="cosine"), "shape='cosine' is not a cooldown"),
        (lambda: COSINE.cooldown_from(500, 50, final=2), "final=2"),
        (lambda: COSINE.cooldown_from(500, 50, final="low"), "final='low' is not a number"),
        (lambda: sf.Schedule.from_log([1, 2, 3], [1, 2]), "3 steps and 2 rates"),
        (lambda: sf.Schedule.from_log([1, 2], [1, 2, 3]), "2 steps and 3 rates"),
        (lambda: sf.Schedule.from_log(["a", 2], [1, 2]), "must be a list of numbers"),
        (lambda: sf.Schedule.from_knots([[1, 2]], [[1, 2]]), "shape"),
        (lambda: sf.RunPlan(schedule=COSINE, n_params="heavy"), "'heavy' is not a quantity"),
        (lambda: fed().rewind(float("nan")), "step=nan"),
        (lambda: fed().rewind(-5), "step=-5"),
        (lambda: fed().path("plan", [6000]), "Make one with scalefit.Schedule"),
        (lambda: fed().path(COSINE, ["a"]), "must be a list of numbers"),
        (lambda: fed().path(COSINE, [6000], level=3), "level=3"),
        (lambda: fed().plot(what_if={"short": sf.Schedule.cosine(3000)}), "before the latest one, 5000"),
        (lambda: fed().should_prune(threshold="low"), "threshold='low'"),
        (lambda: fed().should_prune(threshold=float("nan")), "threshold=nan"),
        (lambda: fed(history=fed(10_000)), "history is a Monitor"),
        (lambda: fed(history=pd.DataFrame({"step": [1]})), "history is a DataFrame"),
        (lambda: fed(history="runs.csv"), "history is a str"),
        (
            lambda: fed(history=[(PLAN, {"step": [1, 2, 3, 4, 5], "val_loss": [4, 3, 2, 1]})]),
            "run 0 has steps of shape",
        ),
        (lambda: fed(history=[fed(10_000), fed()]), "History run 1: .*ends at step 5000 of 10000"),
        (lambda: fed(history=[(COSINE, {})]), "History run 0: the first of the pair is a Schedule"),
        (lambda: fit_curve("tissue", COSINE, STEPS, LOSS[:3]), "100 steps and 3 losses"),
        (lambda: fit_curve("tissue", COSINE, STEPS, LOSS, prior={"E": (1, 1)}), "does not fit tissue"),
        (lambda: fit_curve("tissue", COSINE, STEPS, LOSS, prior={"C": (1, 0)}), "positive standard deviation"),
        (lambda: fit_curve("tissue", COSINE, STEPS, LOSS, noise=-1), "noise=-1"),
        (lambda: fit_curve(3, COSINE, STEPS, LOSS), "law=3 is not a curve law"),
    ],
)
def test_refusals_say_what_was_seen(make, words):
    with pytest.raises(sf.ScalefitError, match=words):
        make()


def test_sizes_are_typed_as_everywhere():
    plan = sf.RunPlan(schedule=COSINE, n_params="124M", total_tokens="10B", unique_tokens="2T")
    assert plan == sf.RunPlan(schedule=COSINE, n_params=124e6, total_tokens=10e9, unique_tokens=2e12)
    assert sf.RunPlan(schedule=COSINE, n_layers=np.int64(12), n_params=np.array(1e8)).n_params == 1e8


def test_the_order_of_a_curve_does_not_matter():
    back = np.random.default_rng(0).permutation(len(STEPS))
    assert fit_curve("tail_power", COSINE, STEPS[back], LOSS[back]) == fit_curve("tail_power", COSINE, STEPS, LOSS)


@pytest.mark.parametrize("n_history", [0, 3])
def test_levels_close_to_the_ends(n_history):
    history = [(PLAN, {"step": STEPS, "val_loss": LOSS + 0.01 * k}) for k in range(n_history)]
    monitor = fed(history=history)
    last = float(np.nextafter(1, 0))
    widths = [f.upper - f.lower for f in (monitor.advise(level).final for level in (1e-9, 0.5, 0.9, 0.9996, last))]
    assert np.isfinite(widths).all() and (np.diff(widths) > 0).all() and widths[0] < 1e-6
    assert "at 99.96%;" in str(monitor.advise(0.9996))


@pytest.mark.parametrize(
    "harm",
    [
        lambda state: state["series"]["val"]["values"].pop(),
        lambda state: state["series"]["val"]["steps"].reverse(),
        lambda state: state["series"]["val"].update(counts=[1.0]),
        lambda state: state["series"].update(perplexity=state["series"]["val"]),
        lambda state: state["history"][0]["loss"].pop(),
    ],
    ids=["lengths", "order", "counts", "unknown", "history"],
)
def test_a_state_that_contradicts_itself_is_refused(tmp_path, harm):
    state = json.loads(fed(history=[fed(10_000)]).to_json())
    harm(state)
    path = tmp_path / "run.json"
    path.write_text(json.dumps(state))
    with pytest.raises(sf.DataError, match="not a monitor's state"):
        sf.load_monitor(path)


def test_a_damaged_state_is_told_in_three_parts(tmp_path):
    path = tmp_path / "run.json"
    path.write_text(json.dumps({**json.loads(fed().to_json()), "history": [3]}))
    with pytest.raises(sf.DataError, match="history.0: 3 is not a SavedRun; it was not read. Write it") as told:
        sf.load_monitor(path)
    assert "Make one" not in str(told.value)


SHAPE = {"n_params": 124e6, "tokens_per_step": 524288, "n_layers": 12, "d_emb": 768, "T_max": 1024}


def test_the_theory_speaks_in_reasons_not_in_warnings():
    """A size that does not fit its shape is said in the advice; nothing is warned of at every evaluation."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        advice = fed(plan=sf.RunPlan(schedule=COSINE, **{**SHAPE, "n_params": 1e3})).advise()
    reason = next(r for r in advice.reasons if r.code == "theory_floor")
    assert "blocks alone have" in reason.text and advice.floors["associative_memory"] == 1.0


def test_a_plan_that_the_theory_refuses_is_told_why():
    floors, reasons = theory_floor(sf.RunPlan(schedule=COSINE, **SHAPE, unique_tokens=10))
    assert floors == {} and [r.code for r in reasons] == ["theory_floor_unknown"]
    assert "less than one training sequence" in reasons[0].text


def test_a_law_of_repetition_gives_its_value_at_the_plan():
    law = sf.published("data_constrained", "muennighoff2023")
    plan = sf.RunPlan(schedule=COSINE, n_params=1e9, tokens_per_step=1e6, unique_tokens=2.5e9)
    assert law_floors(law, plan)["law_at_plan"] == law.predict(N=1e9, D=1e10, unique_tokens=2.5e9)
    once = sf.RunPlan(schedule=COSINE, n_params=1e9, tokens_per_step=1e6)
    assert law_floors(law, once)["law_at_plan"] == law.predict(N=1e9, D=1e10, unique_tokens=1e10)


def test_a_new_plan_has_new_floors(tmp_path):
    """The law's value is that at the plan in force; a loaded monitor, which has no law, does not keep the old one."""
    law = sf.published("chinchilla", "besiroglu2024")
    monitor = fed(plan=sf.RunPlan(schedule=COSINE, n_params=124e6, tokens_per_step=1e6), law=law)
    monitor.to_json(tmp_path / "run.json")
    longer = sf.RunPlan(schedule=sf.Schedule.cosine(20_000, warmup=200), n_params=124e6, tokens_per_step=1e6)
    monitor.replan(longer)
    assert monitor.advise().floors["law_at_plan"] == law.predict(N=124e6, D=2e10)
    loaded = sf.load_monitor(tmp_path / "run.json")
    assert loaded.advise().floors["law_at_plan"] == law.predict(N=124e6, D=1e10)
    loaded.replan(longer)
    assert set(loaded.advise().floors) == {"law_E"}
    assert "What the law says of it is not known" in loaded.notes[-1].message
