"""A callback for the Hugging Face Trainer: the monitor's advice at every evaluation.

Its state travels in the Trainer's own checkpoints. Whether or not ``restore_callback_states_from_checkpoint`` is
set, a resumed run goes on with the curve of the checkpoint and with the plan and the settings given in code.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from scalefit.errors import ArgumentError, MissingExtraError
from scalefit.schedules import Schedule
from scalefit.stopping.advice import Action, Advice
from scalefit.stopping.monitor import Monitor
from scalefit.stopping.run_plan import RunPlan
from scalefit.stopping.schema import parse_state

try:
    from transformers.trainer_callback import ExportableState, TrainerCallback
except ImportError as error:
    raise MissingExtraError(
        "Trainer callbacks need transformers, which is not installed, so nothing was done. Install it with: pip "
        "install 'scalefit[integrations]'."
    ) from error

logger = logging.getLogger("scalefit")

SCHEDULE_KNOTS = 400


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
        The plan; by default the length and schedule that the Trainer was given.
    history : sequence, optional
        Earlier runs, as for `Monitor`.
    law : FitResult, optional
        A fitted scaling law, as for `Monitor`.
    dry_run : bool
        True (default): advice only. False: stop the Trainer when the action is in `stop_on`.
    stop_on : sequence of str
        Actions that stop the Trainer when `dry_run` is off.
    min_gain : float, optional
        As for `Monitor` [nat/token].
    metric : str
        The evaluation loss among the Trainer's metrics.
    on_advice : callable, optional
        Called with every `Advice`.
    name : str
        Tells several of these callbacks apart in one process.

    Attributes
    ----------
    monitor : Monitor or None
        The monitor, from the beginning of training on.
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
                f"plan is a {type(plan).__name__}; no callback was made. Make one with scalefit.RunPlan(schedule=...)."
            )
        if not rebuilt:
            self._in_code[name] = _Settings(plan, history, law, dry_run, tuple(stop_on), min_gain, metric, on_advice)
        elif name not in self._in_code:
            raise ArgumentError(
                f"No AdviceCallback named {name!r} was made in code, and nothing was restored. Pass one to the Trainer."
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
        """Make the monitor, and take up the curve of the checkpoint that training resumes from."""
        given = self.settings
        plan = given.plan or _plan_of_trainer(args, state, kwargs)
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
        """Take training loss, learning rate and gradient norm."""
        if self.monitor is None or not logs:
            return
        names = {"train_loss": "loss", "lr": "learning_rate", "grad_norm": "grad_norm"}
        found = {key: logs[name] for key, name in names.items() if isinstance(logs.get(name), (int, float))}
        if found:
            self.monitor.update(step=state.global_step, **found)

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        """Take the evaluation loss and give advice."""
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
        self.monitor.update(step=state.global_step, val_loss=float(value))
        self.advice = self.monitor.advise()
        if getattr(state, "is_world_process_zero", True):
            urgent = self.advice.action not in ("continue", "wait")
            logger.log(logging.WARNING if urgent else logging.INFO, "%s", self.advice)
        if self.settings.on_advice is not None:
            self.settings.on_advice(self.advice)
        # Metrics are gathered before this call, so every rank decides alike.
        if not self.settings.dry_run and self.advice.action in self.settings.stop_on:
            control.should_training_stop = True


def _plan_of_trainer(args: Any, state: Any, kwargs: dict[str, Any]) -> RunPlan:
    """Plan from the Trainer's own scheduler and model."""
    total = int(state.max_steps)
    model, scheduler = kwargs.get("model"), kwargs.get("lr_scheduler")
    lambdas = getattr(scheduler, "lr_lambdas", None)
    if not lambdas:
        raise ArgumentError(
            f"The Trainer's scheduler {type(scheduler).__name__} cannot be read ahead of time, and no advice was "
            f"begun: pass plan=RunPlan(schedule=...) to AdviceCallback."
        )
    steps = np.unique(np.linspace(0, total, min(SCHEDULE_KNOTS, total + 1)).astype(int))
    warmup = int(args.get_warmup_steps(total))
    steps = np.unique(np.append(steps, min(warmup, total)))
    rates = [float(lambdas[0](int(step))) for step in steps]
    n_params = float(sum(p.numel() for p in model.parameters())) if model is not None else None
    optimizer = str(getattr(args.optim, "value", args.optim)).split("_")[0]
    decay = float(args.weight_decay)
    return RunPlan(
        schedule=Schedule.from_knots(steps, rates), n_params=n_params, optimizer=optimizer, weight_decay=decay
    )
