"""A callback for Lightning: the monitor's advice after every validation, the same on every rank."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from scalefit.errors import MissingExtraError
from scalefit.stopping.advice import Action, Advice
from scalefit.stopping.monitor import Monitor
from scalefit.stopping.run_plan import RunPlan
from scalefit.stopping.schema import parse_state

try:
    from lightning.pytorch import Callback
except ImportError:
    try:
        from pytorch_lightning import Callback
    except ImportError as error:
        raise MissingExtraError(
            "Lightning callbacks need lightning, which is not installed",
            "nothing was done",
            "Install it with: pip install 'scalefit-lm[integrations]'",
        ) from error

logger = logging.getLogger("scalefit")


class AdviceCallback(Callback):  # type: ignore[misc]  # lightning is not a dependency and has no types here
    """Follow a Lightning run, log advice after each validation, and act on it only if told to.

    Parameters
    ----------
    plan : RunPlan
        The plan; its steps are ``trainer.global_step``.
    monitor : str
        Name of the logged validation loss.
    history, law, min_gain
        As for `scalefit.Monitor`.
    dry_run : bool
        True (default): advice only. False: stop when the action is in `stop_on`.
    stop_on : sequence of str
        Actions that stop the run when `dry_run` is off.
    train_every : int
        Batches between two recorded training losses; reading one waits for the device.
    on_advice : callable, optional
        Called with every `Advice`.
    """

    def __init__(
        self,
        plan: RunPlan,
        monitor: str = "val_loss",
        history: Sequence[Any] = (),
        law: Any = None,
        *,
        min_gain: float | None = None,
        dry_run: bool = True,
        stop_on: Sequence[Action] = ("stop",),
        train_every: int = 50,
        on_advice: Callable[[Advice], None] | None = None,
    ) -> None:
        self.metric = monitor
        self.monitor = Monitor(plan, history, law, min_gain=min_gain)
        self.dry_run, self.stop_on = dry_run, tuple(stop_on)
        self.train_every = max(int(train_every), 1)
        self.on_advice = on_advice
        self.advice: Advice | None = None
        self._asked = False
        self._saved: str | None = None
        self._evaluated = -1.0  # the last evaluation that a checkpoint held [steps]

    # -- state ----------------------------------------------------------------------------------------
    def state_dict(self) -> dict[str, Any]:
        """Return the curve; settings are not saved."""
        return {"monitor": self._saved or self.monitor.to_json()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue the curve of a checkpoint; plan and settings given in code stay."""
        text = str(state_dict["monitor"])
        parse_state(text)  # what is wrong with it is raised now
        self._saved = text  # taken up once the trainer has told the epochs, which are part of the plan

    # -- events ---------------------------------------------------------------------------------------
    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Read the epochs, and the curve up to the checkpoint that training resumes from."""
        plan, batches = self.monitor.plan, getattr(trainer, "num_training_batches", None)
        if isinstance(batches, (int, float)) and 0 < batches < float("inf") and plan.epochs_at(plan.steps) is None:
            passes = plan.steps * getattr(trainer, "accumulate_grad_batches", 1) / batches
            self.monitor.plan = plan.model_copy(update={"epochs": float(passes)})
        if self._saved is not None:
            self.monitor.restore(parse_state(self._saved))
            self._saved = None
        self.monitor.rewind(trainer.global_step)
        # Lightning 2.4 evaluates the step of its checkpoint again, and averages that with the first time.
        steps = self.monitor.curve("val")[0]
        self._evaluated = float(steps[-1]) if len(steps) else -1.0

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Record the training loss and the learning rate every `train_every` batches."""
        if trainer.global_step % self.train_every:
            return
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        found: dict[str, float] = {}
        if loss is not None:
            # Lightning hands on the loss divided for accumulation, as it goes into the backward pass.
            found["train_loss"] = float(loss) * getattr(trainer, "accumulate_grad_batches", 1)
        if trainer.optimizers:
            found["lr"] = float(trainer.optimizers[0].param_groups[0]["lr"])
        if found:
            self.monitor.update(step=trainer.global_step, **found)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Record the validation loss and give advice."""
        if trainer.sanity_checking or str(getattr(trainer.state.fn, "value", trainer.state.fn)) != "fit":
            return
        value = trainer.callback_metrics.get(self.metric)
        if value is None:
            there = ", ".join(sorted(trainer.callback_metrics)) or "none"
            logger.warning("No %s among the logged metrics (%s): waiting. Name it with monitor=.", self.metric, there)
        else:
            if trainer.global_step != self._evaluated:
                self.monitor.update(step=trainer.global_step, val_loss=float(value))
            self._say(trainer)
        wanted = value is not None and not self.dry_run and self._says_stop()
        # A metric may be known to rank zero alone; its decision holds everywhere, or a rank would hang.
        wanted = bool(trainer.strategy.broadcast(wanted, 0))
        if wanted:
            trainer.should_stop = self._asked = True
        elif self._asked:  # the advice has cleared itself: take back our own request, nobody else's
            trainer.should_stop = self._asked = False

    def _says_stop(self) -> bool:
        return self.advice is not None and self.advice.action in self.stop_on

    def _say(self, trainer: Any) -> None:
        """Make the advice, log it, and hand it on."""
        self.advice = self.monitor.advise()
        if trainer.is_global_zero:
            urgent = self.advice.action not in ("continue", "wait")
            logger.log(logging.WARNING if urgent else logging.INFO, "%s", self.advice)
        if self.on_advice is not None:
            self.on_advice(self.advice)
