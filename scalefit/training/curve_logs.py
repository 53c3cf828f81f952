"""Further writers of the curve: TensorBoard files and W&B runs, both local, neither by default."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scalefit.errors import require
from scalefit.training.config import RunConfig

Record = dict[str, Any]


Write = Callable[[int, dict[str, float]], None]


class Logs:
    """Takes each curve record; must be closed at the end of a run, or buffered records are lost."""

    def __init__(self, writers: list[tuple[Write, Callable[[], object]]]) -> None:
        self._writers = writers

    def __call__(self, record: Record) -> None:
        """Write one record."""
        for write, _ in self._writers:
            write(record["step"], _values(record))

    def close(self) -> None:
        """Write buffered records and close."""
        for _, close in self._writers:
            close()


def open_logs(config: RunConfig, folder: Path) -> Logs:
    """Return the writers of curve records that the config asks for.

    Parameters
    ----------
    config : RunConfig
        ``runtime.log`` names the writers.
    folder : path
        The folder of the run; files go to ``tensorboard/`` and ``wandb/`` in it.

    Raises
    ------
    MissingDependencyError
        A writer's package is not installed.
    """
    makers = {"tensorboard": _tensorboard, "wandb": _wandb}
    return Logs([makers[name](config, folder) for name in config.runtime.log])


def _values(record: Record) -> dict[str, float]:
    """Flat names and numbers of a record: one for each quantity, segment and member."""
    names = ("lr", "train_loss", "val_loss", "grad_norm")
    many = len(record["val_loss"]) > 1
    return {
        f"{record['segment']}/{name}" + (f"/{member}" if many else ""): float(value)
        for name in names
        for member, value in enumerate(record[name])
    }


def _tensorboard(config: RunConfig, folder: Path) -> tuple[Write, Callable[[], object]]:
    require("tensorboard", extra="train", purpose="TensorBoard logs")
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(folder / "tensorboard"))

    def write(step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            writer.add_scalar(name, value, step)
        writer.flush()

    return write, writer.close


def _wandb(config: RunConfig, folder: Path) -> tuple[Write, Callable[[], object]]:
    wandb = require("wandb", extra="train", purpose="W&B logs")
    os.environ.setdefault("WANDB_MODE", "offline")  # nothing leaves this machine unless a person says so
    run = wandb.init(project="scalefit", name=config.series, dir=str(folder), config=config.to_dict())

    def write(step: int, values: dict[str, float]) -> None:
        run.log({**values, "step": step})  # W&B's own step must grow, and branches go back in theirs

    return write, run.finish
