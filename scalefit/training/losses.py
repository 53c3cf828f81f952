"""The training losses of a run: means since the last record, and what has become of each member."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

#: A member whose smoothed loss rises so far above where it began has diverged [nat/token]; one spike has not.
DIVERGED_BY = 1.0
SMOOTHING = 0.95
#: Steps that a device may have in hand before the host reads their losses.
STEPS_IN_FLIGHT = 50


class LossRecord:
    """Losses of E members, added in the order of the steps, so that a resumed run sums in the same order.

    Parameters
    ----------
    members : int
        E.
    in_flight : int
        Losses that may wait on the device before they are read; reading one waits for its step.
    """

    def __init__(self, members: int, in_flight: int = 1) -> None:
        self.status = ["finished"] * members
        self.in_flight = in_flight
        self._sums, self._n = np.zeros(members), 0
        self._first: npt.NDArray[np.float64] | None = None
        self._smoothed = np.zeros(members)
        self._pending: list[torch.Tensor] = []
        self._kept: tuple[npt.NDArray[np.float64], int] = (np.zeros(members), 0)

    @property
    def alive(self) -> bool:
        """Whether any member is still worth training."""
        return "finished" in self.status

    @property
    def idle(self) -> bool:
        """Whether every loss was read."""
        return not self._pending

    @property
    def n_read(self) -> int:
        """Steps since the last record whose losses were read."""
        return self._n

    def add(self, losses: torch.Tensor) -> None:
        """Take the losses (E,) of a step, still on their device."""
        self._pending.append(losses)
        if len(self._pending) >= self.in_flight:
            self.flush()

    def flush(self) -> None:
        """Read the losses that wait."""
        for losses in [tensor.cpu().double().numpy() for tensor in self._pending]:
            if self._first is None:
                self._first = self._smoothed = losses
            self._smoothed = SMOOTHING * self._smoothed + (1 - SMOOTHING) * losses
            self._sums += losses
            self._n += 1
            risen = self._smoothed > self._first + DIVERGED_BY
            for member in [number for number, status in enumerate(self.status) if status == "finished"]:
                if not math.isfinite(losses[member]):
                    self.status[member] = "nan"
                elif risen[member]:
                    self.status[member] = "diverged"
        self._pending = []

    def mean(self) -> npt.NDArray[np.float64]:
        """Mean loss since the last record, of what was read."""
        return self._sums / max(1, self._n)

    def restart(self) -> None:
        """Begin a new mean."""
        self._sums[:], self._n = 0.0, 0

    def leave_trunk(self) -> None:
        """Put the trunk's mean aside while a branch runs."""
        self.flush()
        self._kept = (self._sums.copy(), self._n)
        self.restart()

    def return_to_trunk(self) -> None:
        """Go on with the trunk's mean."""
        self._sums[:], self._n = self._kept

    def facts(self) -> dict[str, Any]:
        """Return what a checkpoint must hold."""
        return {
            "status": self.status, "sums": self._sums.tolist(), "n_summed": self._n,
            "smoothed": self._smoothed.tolist(), "trunk_sums": self._kept[0].tolist(), "trunk_n_summed": self._kept[1],
            "first_loss": None if self._first is None else self._first.tolist(),
        }  # fmt: skip

    def restore(self, facts: dict[str, Any]) -> None:
        """Take back what a checkpoint held."""
        self.status = facts["status"]
        self._sums, self._smoothed, self._n = np.array(facts["sums"]), np.array(facts["smoothed"]), facts["n_summed"]
        self._kept = (np.array(facts["trunk_sums"]), facts["trunk_n_summed"])
        self._first = None if facts["first_loss"] is None else np.array(facts["first_loss"])
