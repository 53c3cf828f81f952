"""The Trainer callback: advice, dry run, and a kill in the middle of training."""

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import scalefit as sf

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

from scalefit.integrations.huggingface import AdviceCallback  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
PLAN = sf.RunPlan(schedule=sf.Schedule.constant(1000, warmup=20), tokens_per_step=1000, unique_tokens=1e4)


@pytest.mark.filterwarnings("ignore")  # the Trainer's own
def test_killed_and_resumed_ends_with_the_same_advice():
    spec = importlib.util.spec_from_file_location("stopping_resume", ROOT / "benchmarks/stopping_resume.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    found = module.compare(steps=60, in_process=True)
    assert found["killed_by_sigkill"] and found["same_advice"] and found["evaluations"] == 30


def play(callback, losses, state=None):
    """Drive a callback as the Trainer does; returns the control object."""
    control = SimpleNamespace(should_training_stop=False)
    state = state or SimpleNamespace(global_step=0, max_steps=1000, stateful_callbacks={}, is_world_process_zero=True)
    callback.on_train_begin(None, state, control)
    for i, (train, val) in enumerate(losses):
        state.global_step = 40 * (i + 1)
        callback.on_log(None, state, control, logs={"loss": train, "learning_rate": 1e-3, "epoch": 1.0})
        callback.on_evaluate(None, state, control, metrics={"eval_loss": val, "eval_runtime": 0.1})
    return control


def overfitting_losses():
    return [(3.0 - 0.1 * i, 3.0 - 0.1 * min(i, 8) + 0.05 * max(i - 8, 0)) for i in range(20)]


def test_dry_run_is_the_default_and_stopping_is_asked_for():
    seen = []
    dry = AdviceCallback(PLAN, on_advice=seen.append, name="dry")
    assert not play(dry, overfitting_losses()).should_training_stop
    assert dry.advice.action == "stop" and len(seen) == 20
    assert play(AdviceCallback(PLAN, dry_run=False, name="wet"), overfitting_losses()).should_training_stop
    other = AdviceCallback(PLAN, dry_run=False, stop_on=("rollback",), name="other")
    assert not play(other, overfitting_losses()).should_training_stop


def test_a_missing_metric_waits_and_says_which_there_are(caplog):
    callback = AdviceCallback(PLAN, name="missing")
    control = SimpleNamespace(should_training_stop=False)
    state = SimpleNamespace(global_step=0, max_steps=1000, stateful_callbacks={})
    callback.on_train_begin(None, state, control)
    callback.on_evaluate(None, state, control, metrics={"eval_accuracy": 0.5})
    assert callback.advice is None and "eval_accuracy" in caplog.text and "metric=" in caplog.text


@pytest.mark.parametrize("rebuilt_by_trainer", [False, True])
def test_settings_in_code_beat_the_checkpoint(rebuilt_by_trainer):
    first = AdviceCallback(PLAN, dry_run=True, min_gain=0.5, name="same")
    play(first, overfitting_losses()[:10])
    saved = first.state()
    assert set(saved["args"]) == {"name", "rebuilt"}  # no setting travels in the checkpoint
    second = AdviceCallback(PLAN, dry_run=False, min_gain=0.01, name="same")
    state = SimpleNamespace(global_step=400, max_steps=1000, stateful_callbacks={"AdviceCallback": saved})
    if rebuilt_by_trainer:  # restore_callback_states_from_checkpoint=True
        second = type(second)(**saved["args"])
        for name, value in saved["attributes"].items():
            setattr(second, name, value)
        state.stateful_callbacks = {}
    second.on_train_begin(None, state, SimpleNamespace())
    assert second.settings.dry_run is False and second.monitor.min_gain == 0.01
    assert second.monitor.last_step == 400 and len(second.monitor.curve("val")[0]) == 10


def test_steps_after_the_checkpoint_are_forgotten():
    first = AdviceCallback(PLAN, name="later")
    play(first, overfitting_losses()[:10])
    state = SimpleNamespace(global_step=200, max_steps=1000, stateful_callbacks={"AdviceCallback": [first.state()]})
    second = AdviceCallback(PLAN, name="later")
    second.on_train_begin(None, state, SimpleNamespace())
    assert second.monitor.last_step == 200


def test_a_plan_is_made_from_the_trainers_scheduler(caplog):
    import torch

    weight = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(weight.parameters(), lr=1e-3)
    from transformers import get_cosine_schedule_with_warmup

    scheduler = get_cosine_schedule_with_warmup(optimizer, 10, 100)
    args = SimpleNamespace(get_warmup_steps=lambda total: 10, optim="adamw_torch", weight_decay=0.1)
    state = SimpleNamespace(global_step=0, max_steps=100, stateful_callbacks={})
    callback = AdviceCallback(name="auto")
    callback.on_train_begin(args, state, None, model=weight, lr_scheduler=scheduler)
    plan = callback.monitor.plan
    assert plan.steps == 100 and plan.n_params == 8 and plan.optimizer == "adamw" and plan.weight_decay == 0.1
    assert plan.schedule.warmup_end == 10 and float(plan.schedule.lr(55)) == pytest.approx(0.5, abs=1e-3)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
    callback.on_train_begin(args, state, None, model=weight, lr_scheduler=plateau)
    assert "ReduceLROnPlateau cannot be read ahead of time" in caplog.text  # a warning; training goes on
    assert callback.monitor.plan.schedule == sf.Schedule.constant(100, warmup=10)


def test_epochs_and_weights_come_from_the_trainer():
    args = SimpleNamespace(get_warmup_steps=lambda total: 0, optim="adamw_torch", weight_decay=0.0, learning_rate=5e-5)
    state = SimpleNamespace(global_step=0, max_steps=1000, num_train_epochs=3, stateful_callbacks={})
    model = SimpleNamespace(parameters=list, config=SimpleNamespace(_name_or_path="gpt2"))
    scheduler = SimpleNamespace(lr_lambdas=[lambda step: 1 - step / 1000])
    callback = AdviceCallback(name="tuned", dry_run=False)
    callback.on_train_begin(args, state, None, model=model, lr_scheduler=scheduler)
    plan = callback.monitor.plan
    assert plan.epochs == 3 and plan.pretrained and plan.peak_lr == 5e-5
    stopped_at = None
    for step, train, val in [(200, 0.5, 0.62), (400, 0.25, 0.5), (600, 0.1, 0.6), (800, 0.05, 0.72)]:
        state.global_step = step
        control = SimpleNamespace(should_training_stop=False)
        callback.on_log(args, state, control, logs={"loss": train})
        callback.on_evaluate(args, state, control, metrics={"eval_loss": val})
        if control.should_training_stop and stopped_at is None:
            stopped_at = step
            assert callback.advice.reasons[0].evidence["best_step"] == 400
    assert stopped_at in (600, 800)  # of four evaluations
