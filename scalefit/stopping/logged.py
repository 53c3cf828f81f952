"""A logged quantity over steps in bounded memory."""

from __future__ import annotations

from bisect import bisect_left
from operator import lt
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from scalefit._arguments import check_number
from scalefit._typing import Array
from scalefit.errors import ArgumentError, arg

if TYPE_CHECKING:
    import pandas as pd

Quantity = Literal["val", "train", "lr", "grad_norm", "val_sem"]
QUANTITIES: tuple[Quantity, ...] = get_args(Quantity)
#: Arguments of `Monitor.update`, and what is logged by them.
ARGUMENTS: dict[str, Quantity] = {
    "train_loss": "train",
    "val_loss": "val",
    "lr": "lr",
    "grad_norm": "grad_norm",
    "val_sem": "val_sem",
}
CAPACITY = 8192  # points held before old ones are merged
RAW = 1024  # newest points that stay as they are
LOG_BINS, LINEAR_BINS = 1024, 2048  # merged points are kept on both scales: early detail and late detail


def check_step(step: Any) -> float:
    """Return a step number, zero or more [steps]."""
    at = check_number("step", step)
    if not (np.isfinite(at) and at >= 0):
        raise ArgumentError(
            f"{arg('step', step)} is not a step number", "nothing was logged or forgotten", "Give zero or more"
        )
    return at


class LoggedSeries:
    """Values at steps, sorted; one value per step, the latest wins; old neighbours are averaged when it grows.

    Examples
    --------
    >>> series = LoggedSeries()
    >>> for step, value in [(10, 3.0), (30, 2.8), (20, 2.9), (30, 2.7)]:
    ...     series.add(step, value)
    >>> series.steps, series.values
    ([10.0, 20.0, 30.0], [3.0, 2.9, 2.7])
    """

    __slots__ = ("counts", "merged_until", "steps", "values")

    def __init__(self) -> None:
        self.steps: list[float] = []
        self.values: list[float] = []
        self.counts: list[float] = []
        self.merged_until = -1.0

    def __len__(self) -> int:
        return len(self.steps)

    def add(self, step: float, value: float) -> None:
        """Store a finite value; a step inside the merged part is a replay and changes nothing."""
        step, value = float(step), float(value)
        if not self.steps or step > self.steps[-1]:
            self.steps.append(step)
            self.values.append(value)
            self.counts.append(1.0)
        elif step > self.merged_until:
            i = bisect_left(self.steps, step)
            if self.steps[i] == step:
                self.values[i] = value
            else:
                self.steps.insert(i, step)
                self.values.insert(i, value)
                self.counts.insert(i, 1.0)
        if len(self.steps) > CAPACITY:
            self._merge()

    def extend(self, steps: list[float], values: list[float]) -> None:
        """Store many finite values, as `add` would one by one; fast if the steps rise and are new."""
        ahead = not self.steps or not steps or steps[0] > self.steps[-1]
        if not (ahead and all(map(lt, steps, steps[1:]))):
            for step, value in zip(steps, values, strict=True):
                self.add(step, value)
            return
        done = 0
        while done < len(steps):
            until = done + CAPACITY + 1 - len(self.steps)
            self.steps += steps[done:until]
            self.values += values[done:until]
            self.counts += [1.0] * len(steps[done:until])
            done = until
            if len(self.steps) > CAPACITY:
                self._merge()

    def drop_after(self, step: float) -> None:
        """Forget everything after `step`."""
        n = int(np.searchsorted(self.steps, step, side="right"))
        del self.steps[n:], self.values[n:], self.counts[n:]
        self.merged_until = min(self.merged_until, step)

    def arrays(self) -> tuple[Array, Array, Array]:
        """Steps, values and the number of values averaged in each, shape (n,)."""
        return np.array(self.steps), np.array(self.values), np.array(self.counts)

    def _merge(self) -> None:
        t, y, n = self.arrays()
        old = len(t) - RAW
        log = np.geomspace(max(t[0], 1.0), max(t[old], 2.0), LOG_BINS)
        edges = np.unique(np.concatenate([log, np.linspace(t[0], t[old], LINEAR_BINS)]))
        where = np.searchsorted(edges, t[:old], side="right")
        total = np.bincount(where, n[:old])
        full = total > 0
        steps = np.bincount(where, n[:old] * t[:old])[full] / total[full]
        values = np.bincount(where, n[:old] * y[:old])[full] / total[full]
        self.steps = [*steps.tolist(), *t[old:].tolist()]
        self.values = [*values.tolist(), *y[old:].tolist()]
        self.counts = [*total[full].tolist(), *n[old:].tolist()]
        self.merged_until = float(t[old - 1])

    def state(self) -> dict[str, Any]:
        """Everything, JSON-able; `from_state` gives the same object back bit for bit."""
        return {
            "steps": self.steps,
            "values": self.values,
            "counts": self.counts if self.merged_until >= 0 else None,
            "merged_until": self.merged_until,
        }

    @classmethod
    def from_state(
        cls, steps: list[float], values: list[float], counts: list[float] | None, merged_until: float
    ) -> LoggedSeries:
        """Return the series that `state` came from."""
        series = cls()
        series.steps, series.values = list(steps), list(values)
        series.counts = list(counts) if counts is not None else [1.0] * len(steps)
        series.merged_until = merged_until
        return series


def logged_columns(table: pd.DataFrame) -> tuple[Array, dict[Quantity, Array], list[float]]:
    """Steps (n,), what was logged at them (n,) by the names of `Monitor.curve`, and the steps whose loss was lost.

    Parameters
    ----------
    table : DataFrame
        ``step`` and any of the other arguments of `Monitor.update`; NaN is not logged, infinity is an event.

    Raises
    ------
    ArgumentError
        No column ``step`` or nothing beside it, steps that are negative, or something that is not a number.
    """
    if not hasattr(table, "columns"):
        raise ArgumentError(
            f"A {type(table).__name__} is not a table", "nothing was logged", "Pass a DataFrame with step and a loss"
        )
    names = [name for name in ARGUMENTS if name in table]
    if "step" not in table or not names:
        raise ArgumentError(
            f"The table has {', '.join(map(str, table))[:200]}", "nothing was logged", "Give it step and a loss"
        )
    try:
        numbers = table[["step", *names]].to_numpy(dtype=float)
    except (TypeError, ValueError):
        raise ArgumentError(
            "The table holds something that is not a number", "nothing was logged", "Correct it, or read it anew"
        ) from None
    numbers = numbers[~np.isnan(numbers[:, 1:]).all(axis=1)]
    steps = numbers[:, 0]
    bad = ~(np.isfinite(steps) & (steps >= 0))
    if bad.any():
        raise ArgumentError(
            f"{arg('step', shown=f'{steps[bad][0]:g}')} must be a step number, zero or more",
            "nothing was logged",
            "Correct it",
        )
    columns = {ARGUMENTS[name]: numbers[:, 1 + j] for j, name in enumerate(names)}
    losses = [values for name, values in columns.items() if name in ("train", "val")]
    lost = np.isinf(losses).any(axis=0) if losses else np.zeros(len(steps), bool)
    return steps, columns, steps[lost].tolist()
