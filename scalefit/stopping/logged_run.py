"""The log of one run: losses, rates and gradient norms by step, and losses that were not finite."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scalefit._arguments import check_number, one_of
from scalefit._calls import explained
from scalefit._typing import Array
from scalefit.errors import ArgumentError, arg
from scalefit.stopping.logged import ARGUMENTS, QUANTITIES, LoggedSeries, Quantity, check_step, logged_columns

if TYPE_CHECKING:
    import pandas as pd


@explained
class LoggedRun:
    """Records what a run logs, in any order."""

    def __init__(self) -> None:
        self._series = {name: LoggedSeries() for name in QUANTITIES}
        self._last_step = -1.0
        self._nonfinite: tuple[int, float] | None = None

    def update(
        self,
        step: float,
        train_loss: float | None = None,
        val_loss: float | None = None,
        val_sem: float | None = None,
        lr: float | None = None,
        grad_norm: float | None = None,
    ) -> None:
        """Log values at a step; order and repetitions do not matter.

        Parameters
        ----------
        step : float
            Optimizer step [steps].
        train_loss, val_loss : float, optional
            Losses [nat/token]. NaN and infinity are events, never values.
        val_sem : float, optional
            Standard error of the validation loss [nat/token].
        lr : float, optional
            Learning rate, any unit.
        grad_norm : float, optional
            Gradient norm.

        Raises
        ------
        ArgumentError
            A negative step, something that is not a number, or nothing to log.
        """
        at = check_step(step)
        given = {"train_loss": train_loss, "val_loss": val_loss, "lr": lr, "grad_norm": grad_norm, "val_sem": val_sem}
        numbers = {ARGUMENTS[name]: check_number(name, value) for name, value in given.items() if value is not None}
        if not numbers:
            raise ArgumentError(f"No loss was given at step {at:g}", "nothing was logged", "Give at least one")
        if numbers.get("val_sem", 0.0) < 0:
            raise ArgumentError(
                f"{arg('val_sem', val_sem)} is not a standard error", "nothing was logged", "Give zero or more"
            )
        for name, number in numbers.items():
            if np.isfinite(number):
                self._series[name].add(at, number)
            elif name in ("train", "val"):
                self._lose(at)
        self._last_step = max(self._last_step, at)

    def update_from(self, table: pd.DataFrame) -> None:
        """Log a whole table, fast: a column ``step`` and arguments of `update`; NaN is not logged."""
        steps, columns, lost = logged_columns(table)
        for name, values in columns.items():
            known = np.isfinite(values)
            self._series[name].extend(steps[known].tolist(), values[known].tolist())
        for step in lost:
            self._lose(step)
        self._last_step = max(self._last_step, float(steps.max(initial=-1.0)))

    def _lose(self, step: float) -> None:
        """Count a loss that is not finite; a replay of the same steps is not a second event."""
        count, last = self._nonfinite or (0, -1.0)
        if step > last:
            self._nonfinite = (count + 1, step)

    def rewind(self, step: float) -> None:
        """Remove everything after `step`: the run went back to an earlier checkpoint.

        Raises
        ------
        ArgumentError
            Not a step number, zero or more [steps]; nothing is forgotten.
        """
        step = check_step(step)
        for series in self._series.values():
            series.drop_after(step)
        self._last_step = min(self._last_step, step)
        if self._nonfinite is not None and self._nonfinite[1] > step:
            self._nonfinite = None

    @property
    def last_step(self) -> float:
        """Latest step logged, -1 before the first [steps]."""
        return self._last_step

    def curve(self, name: Quantity = "val") -> tuple[Array, Array]:
        """Steps and values of one of `QUANTITIES`, such as ``"val"`` or ``"lr"``, shapes (n,) and (n,)."""
        if not one_of(name, self._series):
            raise ArgumentError(f"No quantity {name!r}", "nothing was returned", f"There are {', '.join(QUANTITIES)}")
        steps, values, _ = self._series[name].arrays()
        return steps, values
