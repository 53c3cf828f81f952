"""A callback for the Hugging Face Trainer: the monitor's advice at every evaluation.

Its state travels in the Trainer's own checkpoints. Whether or not ``restore_callback_states_from_checkpoint`` is
set, a resumed run goes on with the curve of the checkpoint and with the plan and the settings given in code.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, get_args

import numpy as np

from scalefit.errors import ArgumentError, MissingExtraError, ScalefitError, arg
from scalefit.schedules import Schedule
from scalefit.stopping.advice import Action, Advice
from scalefit.stopping.monitor import Monitor
from scalefit.stopping.run_plan import RunPlan
from scalefit.stopping.schema import parse_state

try:
    from transformers.trainer_callback import ExportableState, TrainerCallback
except ImportError as error:
    raise MissingExtraError(
        "Trainer callbacks need transformers, which is not installed",
        "nothing was done",
        "Install it with: pip install 'scalefit-lm[integrations]'",
    ) from error

logger = logging.getLogger("scalefit")

#: Points at which a schedule of the Trainer is read: straight between them.
SCHEDULE_KNOTS = 400
MOST_EPOCHS = 1e6  # a data set without a length counts its epochs with a number beyond all use


@dataclass(frozen=True, slots=True)
class _Settings:
    """What was given in code."""

    plan: RunPlan | None
    history: Sequence[Any]
    law: Any
    dry_run: bool
    stop_on: tuple[Action, ...]
    min_gain: float | None
    metric: str
    on_advice: Callable[[Advice], None] | None


class AdviceCallback(TrainerCallback, ExportableState):  # type: ignore[misc]  # transformers is an extra
    """Follow a Trainer run, log advice at each evaluation, and act on it only if told to.

    Parameters
    ----------
    plan : RunPlan, optional
        The plan; by default the length, epochs and schedule that the Trainer was given, and whether its model was
        loaded from trained weights.
    history : sequence, optional
        Earlier runs, as for `Monitor`.
    law : FitResult, optional
        A fitted scaling law, as for `Monitor`.
    dry_run : bool
        True (default): advice only. False: stop the Trainer when the action is in `stop_on`. The model of the best
        evaluation is then loaded if the Trainer has ``load_best_model_at_end``; otherwise a warning names its step.
    stop_on : sequence of str
        Actions that stop the Trainer when `dry_run` is off: ``"stop"`` (overfitting, or little to gain) by default;
        ``"rollback"`` (lost or diverging) asks for an earlier checkpoint, which only you can give.
    min_gain : float, optional
        As for `Monitor` [nat/token].
    metric : str
        The evaluation loss among the Trainer's metrics.
    on_advice : callable, optional
        Called with every `Advice`.
    name : str
        Name of this callback, if one process has several.

    Attributes
    ----------
    monitor : Monitor or None
        The monitor; None before training begins.
    advice : Advice or None
        The latest advice.
    """

    # The Trainer rebuilds a callback from its checkpoint as type(callback)(**args). Settings in code must win,
    # so the checkpoint carries the name alone and the settings are looked up here.
    _in_code: ClassVar[dict[str, _Settings]] = {}

    def __init__(
        self,
        plan: RunPlan | None = None,
        history: Sequence[Any] = (),
        law: Any = None,
        *,
        dry_run: bool = True,
        stop_on: Sequence[Action] = ("stop",),
        min_gain: float | None = None,
        metric: str = "eval_loss",
        on_advice: Callable[[Advice], None] | None = None,
        name: str = "advice",
        rebuilt: bool = False,
    ) -> None:
        if plan is not None and not isinstance(plan, RunPlan):
            raise ArgumentError(
                f"plan is a {type(plan).__name__}",
                "no callback was made",
                f"Make one with scalefit.RunPlan({arg('schedule', ...)})",
            )
        unknown = sorted(set(stop_on) - set(get_args(Action)))
        if unknown:
            raise ArgumentError(
                f"stop_on holds {', '.join(map(repr, unknown))}",
                "no callback was made",
                f"Known: {', '.join(get_args(Action))}",
            )
        if not rebuilt:
            self._in_code[name] = _Settings(plan, history, law, dry_run, tuple(stop_on), min_gain, metric, on_advice)
        elif name not in self._in_code:
            raise ArgumentError(
                f"No AdviceCallback named {name!r} was made in code", "nothing was restored", "Pass one to the Trainer"
            )
        self.name, self.settings = name, self._in_code[name]
        self.monitor: Monitor | None = None
        self.advice: Advice | None = None
        self._saved: str | None = None

    # -- state ----------------------------------------------------------------------------------------
    def state(self) -> dict[str, Any]:
        """Return what the Trainer writes into its checkpoints."""
        saved = self.monitor.to_json() if self.monitor is not None else self._saved
        return {"args": {"name": self.name, "rebuilt": True}, "attributes": {"saved": saved}}

    @property
    def saved(self) -> str | None:
        """State of the monitor as the checkpoint gave it."""
        return self._saved

    @saved.setter
    def saved(self, text: str | None) -> None:
        self._saved = text

    # -- events ---------------------------------------------------------------------------------------
    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Make the monitor, and continue the curve of the checkpoint that training resumes from."""
        given = self.settings
        plan = given.plan or _plan_of_trainer(args, state, kwargs)
        acts = "advice only (dry_run=True)" if given.dry_run else f"training stops at {', '.join(given.stop_on)}"
        logger.info("AdviceCallback follows %g steps: %s.", plan.steps, acts)
        self.monitor = Monitor(plan, given.history, given.law, min_gain=given.min_gain)
        text = self._saved or self._in_checkpoint(state)
        if text and state.global_step > 0:
            self.monitor.restore(parse_state(text))
            # Steps after the checkpoint were lost with the killed process; they will be run again.
            self.monitor.rewind(state.global_step)

    def _in_checkpoint(self, state: Any) -> str | None:
        entries = getattr(state, "stateful_callbacks", {}).get(type(self).__name__, [])
        for entry in entries if isinstance(entries, list) else [entries]:
            if entry.get("args", {}).get("name") == self.name:
                saved = entry.get("attributes", {}).get("saved")
                return saved if isinstance(saved, str) else None
        return None

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Record training loss, learning rate and gradient norm."""
        if self.monitor is None or not logs:
            return
        names = {"train_loss": "loss", "lr": "learning_rate", "grad_norm": "grad_norm"}
        found = {key: logs[name] for key, name in names.items() if isinstance(logs.get(name), (int, float))}
        if found:
            self._guarded(lambda monitor: monitor.update(step=state.global_step, **found))

    def _guarded(self, act: Callable[[Monitor], Any]) -> Any:
        """Do something with the monitor; what goes wrong is a warning, for training must go on."""
        try:
            return act(self.monitor) if self.monitor is not None else None
        except ScalefitError as error:
            logger.warning("AdviceCallback: %s", error)
            return None

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        """Record the evaluation loss and give advice."""
        if self.monitor is None:
            return
        value = (metrics or {}).get(self.settings.metric)
        if value is None:
            there = ", ".join(sorted(metrics or {})) or "none"
            logger.warning(
                "No %s among the metrics (%s): waiting. Name the loss with metric=.",
                self.settings.metric,
                there,
            )
            return
        self._guarded(lambda monitor: monitor.update(step=state.global_step, val_loss=float(value)))
        advice = self._guarded(lambda monitor: monitor.advise())
        if advice is None:
            return
        self.advice = advice
        if getattr(state, "is_world_process_zero", True):
            urgent = self.advice.action not in ("continue", "wait")
            logger.log(logging.WARNING if urgent else logging.INFO, "%s", self.advice)
        if self.settings.on_advice is not None:
            self.settings.on_advice(self.advice)
        # Metrics are gathered before this call, so every rank decides alike.
        if not self.settings.dry_run and self.advice.action in self.settings.stop_on:
            control.should_training_stop = True
            best = next((r.evidence["best_step"] for r in advice.reasons if "best_step" in r.evidence), None)
            if best is not None and not getattr(args, "load_best_model_at_end", False):
                logger.warning(
                    "Training stops at step %g; the best evaluation was at step %g. load_best_model_at_end is off: "
                    "take the checkpoint of that step.", state.global_step, best,
                )  # fmt: skip


def _plan_of_trainer(args: Any, state: Any, kwargs: dict[str, Any]) -> RunPlan:
    """Plan from the Trainer's own scheduler and model."""
    total = int(state.max_steps)
    model, scheduler = kwargs.get("model"), kwargs.get("lr_scheduler")
    passes = float(getattr(state, "num_train_epochs", 0) or 0)
    name = getattr(getattr(model, "config", None), "_name_or_path", None)
    n_params = float(sum(p.numel() for p in model.parameters())) if model is not None else None
    optimizer = str(getattr(args.optim, "value", args.optim)).split("_")[0]
    decay = float(args.weight_decay)
    rate = float(getattr(args, "learning_rate", 0) or 0)
    return RunPlan(
        schedule=_schedule_of_trainer(args, scheduler, total),
        n_params=n_params or None,
        optimizer=optimizer,
        weight_decay=decay,
        peak_lr=rate if rate > 0 else None,
        epochs=passes if 0 < passes < MOST_EPOCHS else None,
        pretrained=bool(name) if isinstance(name, str) else None,
    )


def _schedule_of_trainer(args: Any, scheduler: Any, total: int) -> Schedule:
    """Schedule from the Trainer's own; a constant one, with a warning, where that cannot be read ahead of time."""
    lambdas = getattr(scheduler, "lr_lambdas", None)
    warmup = min(int(args.get_warmup_steps(total)), total)
    steps = np.unique(np.append(np.linspace(0, total, min(SCHEDULE_KNOTS, total + 1)).astype(int), warmup))
    try:
        return Schedule.from_knots(steps, [float(lambdas[0](int(step))) for step in steps])  # type: ignore[index]
    except (ScalefitError, TypeError, ValueError, LookupError, ArithmeticError):
        logger.warning(
            "The Trainer's scheduler %s cannot be read ahead of time, so the forecast takes the rate to be constant. "
            "Pass plan=RunPlan(schedule=...) to AdviceCallback.",
            type(scheduler).__name__,
        )
        return Schedule.constant(total, warmup=warmup)
