"""A progress bar for a run, with the live forecast of its final loss."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any

from scalefit.training.config import RunConfig
from scalefit.training.segments import schedule_to

if TYPE_CHECKING:
    from scalefit.stopping.run_plan import RunPlan


class TrainingProgress:
    """A progress bar for ``train(progress=...)``; use it as a context manager.

    The forecast comes from :class:`scalefit.Monitor`, fed with the trunk's held-out losses under the schedule of the
    last point. It is shown as soon as the monitor has one.
    """

    def __init__(self, config: RunConfig, console: Any = None) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"),
            TimeRemainingColumn(), console=console,
        )  # fmt: skip
        self._task: Any = None
        self._config = config
        self._monitor: Any = None
        self._forecast_text = ""

    def __enter__(self) -> TrainingProgress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def __call__(self, record: dict[str, Any]) -> None:
        """Take one report of the loop."""
        if self._task is None:
            self._task = self._bar.add_task(self._config.series, total=record["n_steps"])
        if "val_loss" in record and record["segment"] == "trunk":
            self._forecast(record)
        loss = min(record["train_loss"])
        label = f"{self._config.series} loss {loss:.3f}{self._forecast_text}"
        self._bar.update(self._task, completed=record["step"], description=label)

    def _forecast(self, record: dict[str, Any]) -> None:
        from scalefit.stopping.monitor import Monitor

        if self._monitor is None:
            tokens_per_step = record["tokens"] / record["step"]
            plan = run_plan(self._config, record["n_steps"], tokens_per_step, record["warmup_steps"])
            self._monitor = Monitor(plan)
        self._monitor.update(
            step=record["step"],
            train_loss=record["train_loss"][0],
            val_loss=record["val_loss"][0],
            lr=record["lr"][0],
            grad_norm=record["grad_norm"][0],
        )
        final = self._monitor.advise().final
        if final is not None:
            self._forecast_text = f", final {final.loss:.3f} [{final.lower:.3f}, {final.upper:.3f}]"


def run_plan(config: RunConfig, n_steps: int, tokens_per_step: float, warmup: int) -> RunPlan:
    """Return the plan of a run's last point for a monitor."""
    from scalefit.stopping.run_plan import RunPlan

    model = config.model
    return RunPlan(
        schedule=schedule_to(config.schedule, n_steps, warmup),
        tokens_per_step=tokens_per_step,
        n_layers=model.n_layers,
        d_emb=model.d_emb,
        T_max=model.T_max,
        recipe=config.series,
    )
