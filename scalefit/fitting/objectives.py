"""What is minimised: the loss of the fit, not of the model. It is part of the answer and is printed with it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from scalefit._arguments import one_of
from scalefit._typing import Array
from scalefit.errors import ArgumentError

Kind = Literal["huber", "squared", "absolute"]
Scale = Literal["log_loss", "loss", "logit"]

#: An absolute objective is reached through Huber's with bands that shrink to this fraction of the residuals.
_ABSOLUTE_BAND = 1e-7


@dataclass(frozen=True, slots=True)
class Objective:
    r"""Sum over runs of a penalty on residuals.

    Parameters
    ----------
    kind : {"huber", "squared", "absolute"}
        Huber's penalty is r²/2 within `delta` and delta·(\|r\| - delta/2) beyond; squared is r²/2.
    delta : float
        Half-width of Huber's quadratic band, in units of the residual.
    on : {"log_loss", "loss", "logit"}
        Residuals of the logarithm of the target [-], of the target itself, or of its log-odds [-].
    over_delta : bool
        Huber's penalty divided by `delta`: the absolute value, rounded off within the band.

    Raises
    ------
    ArgumentError
        Unknown kind or scale, or a band that is not positive.
    """

    kind: Kind = "huber"
    delta: float = 1e-3
    on: Scale = "log_loss"
    over_delta: bool = False

    def __post_init__(self) -> None:
        if not one_of(self.kind, ("huber", "squared", "absolute")):
            raise ArgumentError(
                f"Unknown objective {self.kind!r}; nothing was fitted. Known: huber, squared, absolute."
            )
        if not one_of(self.on, ("log_loss", "loss", "logit")):
            raise ArgumentError(f"Unknown scale on={self.on!r}; nothing was fitted. Known: log_loss, loss, logit.")
        if not (np.isfinite(self.delta) and self.delta > 0):
            raise ArgumentError(
                f"delta={self.delta!r} is no half-width of Huber's band; nothing was fitted. Give a positive number, "
                "such as 1e-3."
            )

    @property
    def log(self) -> bool:
        """Whether residuals are of the logarithm of the loss."""
        return self.on == "log_loss"

    def link(self, value: Array) -> Array:
        """What residuals are differences of: a target's logarithm, itself, or its log-odds."""
        if self.log:
            return np.asarray(np.log(value))
        return np.asarray(np.log(value) - np.log1p(-value)) if self.on == "logit" else np.asarray(value)

    def link_slope(self, value: Array) -> Array | float:
        """Derivative of `link`."""
        if self.log:
            return np.asarray(1.0 / value)
        return np.asarray(1.0 / (value * (1.0 - value))) if self.on == "logit" else 1.0

    def cost(self, residual: Array) -> Array:
        """Penalty of each residual."""
        if self.kind == "squared":
            return np.asarray(0.5 * residual * residual)
        size = np.abs(residual)
        if self.kind == "absolute":
            return np.asarray(size)
        inner = np.minimum(size, self.delta)
        cost = inner * (size - 0.5 * inner)
        return np.asarray(cost / self.delta if self.over_delta else cost)

    def slopes(self, residual: Array) -> tuple[Array, Array, Array]:
        """First and second derivative, and the weight of iterated least squares; not for absolute errors."""
        if self.kind == "squared":
            one = np.ones((1, 1))  # broadcasts over (resamples, runs)
            return residual, one, one
        size = np.abs(residual)
        psi = np.clip(residual, -self.delta, self.delta)
        inside, least_squares = (size <= self.delta).astype(float), self.delta / np.maximum(size, self.delta)
        if self.over_delta:
            return psi / self.delta, inside / self.delta, least_squares / self.delta
        return psi, inside, least_squares

    @property
    def steepest(self) -> float:
        """Largest slope of the penalty."""
        return {"huber": 1.0 if self.over_delta else self.delta, "absolute": 1.0, "squared": np.inf}[self.kind]

    def bands(self, spread: float) -> tuple[Objective, ...]:
        """Return the sequence of smooth objectives that leads to this one, given the residuals' spread.

        A band far below the residuals leaves almost no curvature to follow, so it is approached in steps; the
        absolute value is the limit of Huber's penalty divided by its band.
        """
        if self.kind == "squared":
            return (self,)
        goal = self
        if self.kind == "absolute":
            goal = replace(self, kind="huber", delta=max(_ABSOLUTE_BAND * spread, 1e-13), over_delta=True)
        elif self.delta >= 0.01 * spread:
            return (self,)
        steps = []
        band = 0.3 * spread
        while band > goal.delta:
            steps.append(replace(goal, delta=band))
            band *= 0.25
        return (*steps, goal)

    def __str__(self) -> str:
        target = {"log_loss": "log loss", "loss": "loss", "logit": "log-odds"}[self.on]
        name = {"huber": f"Huber({self.delta:g})", "squared": "squares", "absolute": "absolute errors"}[self.kind]
        return f"{name} on {target}"
