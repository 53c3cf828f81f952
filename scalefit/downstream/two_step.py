"""The common base of a chain and a downstream fit: a first step that predicts the loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from scalefit._calls import explained
from scalefit._typing import Array, ArrayLike
from scalefit.fitting.schema import to_json
from scalefit.laws._inputs import check_inputs
from scalefit.predictor import Held, Predictor


@explained
class TwoStep(Predictor):
    """A metric predicted through the loss.

    Attributes
    ----------
    first : Predictor
        Predictor of the loss.
    """

    first: Predictor

    @property
    def calibrated(self) -> bool:
        """Whether its intervals were calibrated on jumps beyond the runs: those of the metric were not."""
        return False

    @property
    def series(self) -> tuple[str, ...]:
        """Series with coefficients of their own: none."""
        return ()

    def seen(self) -> dict[str, tuple[float, float]]:
        """Ranges of the runs behind the loss."""
        return self.first.seen()

    def runs(self) -> dict[str, Array]:
        """Inputs of the runs behind the loss."""
        return self.first.runs()

    def correction(self, **inputs: ArrayLike) -> float:
        """Ratio of the prediction to the value of the law of both steps at the parameters."""
        if self.law is None:
            return 1.0
        columns = check_inputs(self.law, {**self.held_inputs, **inputs})
        by_law = self.law.evaluate(columns, {str(key): float(value) for key, value in self.params.items()})
        return float(np.asarray(self.predict(**inputs)) / np.asarray(by_law))

    def at(self, **held: Any) -> Held:
        """Return the same predictor with some inputs fixed."""
        return Held(self, held)

    def to_json(self, path: str | Path | None = None) -> str:
        """Write the result as JSON (and to `path` if given); :func:`scalefit.load_result` reads it back."""
        return to_json(self.to_dict(), path)
