"""What a fit minimises. It is part of the answer and is printed with it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from scalefit._arguments import check_number, one_of
from scalefit._text import known
from scalefit._typing import Array
from scalefit.errors import ArgumentError, FitError, arg

Kind = Literal["huber", "squared", "absolute", "quantile"]
Scale = Literal["log_loss", "loss", "logit"]

#: An absolute objective is reached through Huber's with bands that shrink to this fraction of the residuals.
_ABSOLUTE_BAND = 1e-7


@dataclass(frozen=True, slots=True)
class Objective:
    r"""Sum over runs of a penalty on residuals.

    Parameters
    ----------
    kind : {"huber", "squared", "absolute", "quantile"}
        Huber's penalty is r²/2 within `delta` and delta·(\|r\| - delta/2) beyond; squared is r²/2; the quantile's is
        (1 - τ)·r where the law predicts too much and τ·\|r\| where it predicts too little (Koenker & Bassett 1978,
        doi:10.2307/1913643).
    delta : float
        Half-width of Huber's quadratic band, in units of the residual.
    on : {"log_loss", "loss", "logit"}
        Residuals of the logarithm of the target [-], of the target itself, or of its log-odds [-].
    over_delta : bool
        Huber's penalty divided by `delta`: the absolute value, rounded off within the band.
    sides : (float, float)
        What the penalty is multiplied by where the law predicts too much, and where it predicts too little.

    Raises
    ------
    ArgumentError
        Unknown kind or scale, or a band that is not positive.
    """

    kind: Kind = "huber"
    delta: float = 1e-3
    on: Scale = "log_loss"
    over_delta: bool = False
    sides: tuple[float, float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        if not one_of(self.kind, get_args(Kind)):
            raise ArgumentError(
                f"Unknown objective {self.kind!r}", "nothing was fitted", known(self.kind, get_args(Kind))
            )
        if not one_of(self.on, get_args(Scale)):
            raise ArgumentError(
                f"Unknown scale {arg('on', self.on)}", "nothing was fitted", known(self.on, get_args(Scale))
            )
        if not (np.isfinite(self.delta) and self.delta > 0):
            raise ArgumentError(
                f"{arg('delta', self.delta)} is not a half-width of Huber's band",
                "nothing was fitted",
                "Give a positive number, such as 1e-3",
            )

    def demand(self, loss: Array) -> None:
        """Raise FitError where a target has no value on the scale asked for."""
        outside = int((~((loss > 0) & (loss < 1))).sum()) if self.on == "logit" else 0
        if outside:
            raise FitError(
                f"{outside} of {loss.size} runs do not lie between 0 and 1, as {arg('on', self.on)} needs",
                "nothing was fitted",
                f"Fit a share, such as an accuracy, or leave {arg('on')} out",
            )

    @property
    def lopsided(self) -> bool:
        """Whether predicting too much and too little cost different amounts: the law then follows an edge of the runs.

        Residuals of such a fit are not centred on zero.
        """
        return self.sides[0] != self.sides[1]

    @property
    def log(self) -> bool:
        """Whether residuals are of the logarithm of the loss."""
        return self.on == "log_loss"

    def link(self, value: Array) -> Array:
        """What residuals are differences of: a target's logarithm, itself, or its log-odds."""
        if self.log:
            return np.asarray(np.log(value))
        return np.asarray(np.log(value) - np.log1p(-value)) if self.on == "logit" else np.asarray(value)

    def unlink(self, value: Array) -> Array:
        """Inverse of `link`."""
        with np.errstate(over="ignore"):  # runs that say nothing allow any loss
            if self.log:
                return np.asarray(np.exp(value))
            return np.asarray(1.0 / (1.0 + np.exp(-value))) if self.on == "logit" else np.asarray(value)

    def link_slope(self, value: Array) -> Array | float:
        """Derivative of `link`."""
        if self.log:
            return np.asarray(1.0 / value)
        return np.asarray(1.0 / (value * (1.0 - value))) if self.on == "logit" else 1.0

    def link_bend(self, value: Array) -> Array | float:
        """Second derivative of `link`, over the square of its first."""
        if self.log:
            return -1.0
        return np.asarray(2.0 * value - 1.0) if self.on == "logit" else 0.0

    def cost(self, residual: Array) -> Array:
        """Penalty of each residual."""
        if self.kind == "squared":
            cost = 0.5 * residual * residual
        elif self.kind in ("absolute", "quantile"):
            cost = np.abs(residual)
        else:
            size = np.abs(residual)
            inner = np.minimum(size, self.delta)
            cost = inner * (size - 0.5 * inner)
            cost = cost / self.delta if self.over_delta else cost
        return np.asarray(cost if self.sides == (1.0, 1.0) else self._side(residual) * cost)

    def _side(self, residual: Array) -> Array:
        return np.where(residual > 0, self.sides[0], self.sides[1])

    def slopes(self, residual: Array) -> tuple[Array, Array, Array]:
        """First and second derivative, and the weight of iterated least squares; not for absolute errors."""
        if self.sides != (1.0, 1.0):
            side = self._side(residual)
            psi, inside, least_squares = replace(self, sides=(1.0, 1.0)).slopes(residual)
            return side * psi, side * inside, side * least_squares
        if self.kind == "squared":
            one = np.ones((1, 1))  # broadcasts over (resamples, runs)
            return residual, one, one
        size = np.abs(residual)
        psi = np.minimum(np.maximum(residual, -self.delta), self.delta)
        inside, least_squares = (size <= self.delta).astype(float), self.delta / np.maximum(size, self.delta)
        if self.over_delta:
            return psi / self.delta, inside / self.delta, least_squares / self.delta
        return psi, inside, least_squares

    @property
    def steepest(self) -> float:
        """Largest slope of the penalty, the mean of both sides."""
        slope = {"huber": 1.0 if self.over_delta else self.delta, "squared": np.inf}.get(self.kind, 1.0)
        return slope * (self.sides[0] + self.sides[1]) / 2

    @property
    def tau(self) -> float:
        """Share of the runs that lie below the law, where the penalty is close to the absolute value."""
        return self.sides[1] / (self.sides[0] + self.sides[1])

    def bands(self, spread: float) -> tuple[Objective, ...]:
        """Return the sequence of smooth objectives that leads to this one, given the residuals' spread.

        A band far below the residuals leaves almost no curvature to follow, so it is approached in steps; the
        absolute value is the limit of Huber's penalty divided by its band.
        """
        if self.kind == "squared":
            return (self,)
        goal = self
        if self.kind in ("absolute", "quantile"):
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
        return self.named("loss")

    def named(self, target: str) -> str:
        """Words for the objective of a target, such as the error.

        Examples
        --------
        >>> Objective("squared", on="loss").named("error")
        'squares on error'
        """
        target = {"log_loss": f"log {target}", "loss": target, "logit": f"log-odds of {target}"}[self.on]
        if self.kind == "quantile":
            return f"quantile {self.tau:g} of {target}"
        name = {"huber": f"Huber({self.delta:g})", "squared": "squares", "absolute": "absolute errors"}[self.kind]
        return f"{name} on {target}" + (f", overestimates x{self.sides[0]:g}" if self.lopsided else "")


def sides_of(kind: str | None, overestimate_penalty: float, quantile: float | None) -> tuple[float, float]:
    """Factors of the penalty for predicting too much and too little.

    Raises
    ------
    ArgumentError
        A penalty or quantile that makes no sense, or an option of another objective.
    """
    penalty = check_number("overestimate_penalty", overestimate_penalty)
    if not (np.isfinite(penalty) and penalty > 0):
        raise ArgumentError(
            f"{arg('overestimate_penalty', overestimate_penalty)} must be positive and finite",
            "nothing was fitted",
            "Give 10 for a lower envelope, 1 for none",
        )
    if not one_of(kind, ("quantile",)):
        if quantile is not None:
            raise ArgumentError(
                f"{arg('quantile', quantile)} needs {arg('objective', 'quantile')}",
                "nothing was fitted",
                "Pass both, or neither",
            )
        return penalty, 1.0
    tau = 0.5 if quantile is None else check_number("quantile", quantile)
    if penalty != 1.0:
        raise ArgumentError(
            f"{arg('overestimate_penalty', shown=f'{penalty:g}')} and {arg('objective', 'quantile')} say the same "
            "thing twice",
            "nothing was fitted",
            "Pass one: a penalty of w on absolute errors is the quantile 1 / (1 + w)",
        )
    if not 0 < tau < 1:
        raise ArgumentError(
            f"{arg('quantile', quantile)} must lie between 0 and 1",
            "nothing was fitted",
            "Give 0.1, for one, for a law that a tenth of the runs lie below",
        )
    return 1.0 - tau, tau
