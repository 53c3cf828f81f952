"""Learning-rate schedules for the curve laws: relative to their peak, piecewise linear in steps.

Every schedule is reduced to knots, so that the area under it (the progress a run makes) and the
response to its decay (the gain of annealing) are exact sums over segments and cost microseconds. The training
harness takes its rates from `Schedule.at_step`, so a monitor that follows such a run reads the same schedule.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from pydantic import model_validator

from scalefit._arguments import as_numbers, check_number, check_numbers, one_of
from scalefit._knots import Shape, check_knots, decay, thinned
from scalefit._records import Quantity, Record, as_typed
from scalefit._text import known
from scalefit._typing import Array
from scalefit.errors import ArgumentError, arg

Steps = float | str  # a number of steps, or text such as "10k"
Kind = Literal["constant", "linear", "cosine", "wsd", "two_stage", "knots"]

CURVE_KNOTS = 200  # knots on a curved stretch; the area of a cosine is then right to 2e-5
PEAK = 0.999  # a rate above this part of its maximum counts as the peak
USUAL_FINAL = {"constant": 1.0, "linear": 0.0, "cosine": 0.1, "wsd": 0.0}  # as the constructors have it
WHOLE_STEP = 1e-6  # a cooldown that begins this close to a whole step begins there [steps]


class Schedule(Record):
    """A learning-rate schedule relative to its peak, over steps.

    Use the constructors: `constant`, `linear`, `cosine`, `wsd`, `two_stage`, `from_knots`, `from_log`.

    Parameters
    ----------
    kind : {"constant", "linear", "cosine", "wsd", "two_stage", "knots"}
        The family.
    total : float or str
        Length [steps], such as 10_000 or ``"10k"``.
    warmup : float or str
        Length of the linear warm-up from zero [steps]. It multiplies the rest of the schedule, so a cooldown can begin
        before it ends; one as long as `total` or longer never reaches the peak.
    final : float
        Rate at the end, relative to the peak [-]; the default is that of the kind's constructor.
    cooldown : float
        Share of `total` spent cooling down, for ``"wsd"`` [-].
    shape : {"linear", "1-sqrt", "exp"}
        Shape of the cooldown, for ``"wsd"``.
    switch : float or str
        Step at which the second stage begins, for ``"two_stage"`` [steps].
    steps, lr_over_peak : tuple of float
        The knots, for ``"knots"``.

    Examples
    --------
    >>> schedule = Schedule.wsd(1000, warmup=100, cooldown=0.2)
    >>> [round(float(schedule.lr(step)), 2) for step in (50, 500, 900, 1000)]
    [0.5, 1.0, 0.5, 0.0]
    """

    kind: Kind
    total: Quantity
    warmup: Quantity = 0.0
    final: float = 1.0
    cooldown: float = 0.2
    shape: Shape = "linear"
    switch: Quantity = 0.0
    steps: tuple[float, ...] = ()
    lr_over_peak: tuple[float, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _as_constructed(cls, given: Any) -> Any:
        """Fill in what a file leaves out as the constructors would."""
        if not isinstance(given, dict):
            return given
        kind, knots = given.get("kind"), given.get("steps")
        usual: dict[str, Any] = {"final": USUAL_FINAL[kind]} if kind in USUAL_FINAL else {}
        if kind == "two_stage" and "final" not in given:
            raise ArgumentError(
                "A two_stage schedule drops to a rate that only its maker knows",
                "no schedule was made",
                f"Give {arg('final')}, such as 0.1",
            )
        if kind == "knots" and isinstance(knots, (list, tuple)) and knots:
            usual["total"] = knots[-1]
        return {**usual, **given}

    @model_validator(mode="after")
    def _check(self) -> Schedule:
        if not (np.isfinite(self.total) and self.total > 0):
            raise ArgumentError(
                f"A schedule of {self.total:g} steps was given", "none was made", "Give a positive number of steps"
            )
        if not (np.isfinite(self.warmup) and self.warmup >= 0):
            raise ArgumentError(
                f"A warm-up of {self.warmup:g} steps was given", "no schedule was made", "Give zero or more steps"
            )
        if not 0 <= self.final <= 1:
            raise ArgumentError(
                f"{arg('final', shown=f'{self.final:g}')} is not in [0, 1]",
                "no schedule was made",
                "Give the last rate as a share of the peak",
            )
        if self.kind == "wsd" and not 0 < self.cooldown <= 1:
            raise ArgumentError(
                f"{arg('cooldown', shown=f'{self.cooldown:g}')} is not in (0, 1]",
                "no schedule was made",
                "Give a share of the total",
            )
        if self.kind == "two_stage" and not self.warmup < self.switch < self.total:
            raise ArgumentError(
                f"{arg('switch', shown=f'{self.switch:g}')} lies outside the schedule",
                "none was made",
                "Give a step between warm-up and end",
            )
        if self.kind == "knots":
            check_knots(self.steps, self.lr_over_peak)
            if self.total != self.steps[-1]:
                raise ArgumentError(
                    f"{arg('total', shown=f'{self.total:g}')}, but the last knot is at step {self.steps[-1]:g}",
                    "no schedule was made",
                    "Leave total out",
                )
            if abs(max(self.lr_over_peak) - 1) > 1e-9:
                raise ArgumentError(
                    f"lr_over_peak reaches {max(self.lr_over_peak):g}, and rates are relative to their peak here",
                    "no schedule was made",
                    "Divide them by it, or use Schedule.from_knots, which does",
                )
        return self

    @classmethod
    def _of(cls, **given: Any) -> Schedule:
        """Return the schedule; its fields read text such as "10k"."""
        return cls(**given)

    @classmethod
    def constant(cls, total: Steps, warmup: Steps = 0) -> Schedule:
        """Constant rate for `total` steps, after a linear warm-up of `warmup` steps."""
        return cls._of(kind="constant", total=total, warmup=warmup)

    @classmethod
    def linear(cls, total: Steps, warmup: Steps = 0, final: float = 0.0) -> Schedule:
        """Linear decay over `total` steps from the peak to `final` of it, after `warmup` steps."""
        return cls._of(kind="linear", total=total, warmup=warmup, final=final)

    @classmethod
    def cosine(cls, total: Steps, warmup: Steps = 0, final: float = 0.1) -> Schedule:
        """Half a cosine over `total` steps from the peak to `final` of it, after `warmup` steps."""
        return cls._of(kind="cosine", total=total, warmup=warmup, final=final)

    @classmethod
    def wsd(
        cls, total: Steps, warmup: Steps = 0, cooldown: float = 0.2, shape: Shape = "linear", final: float = 0.0
    ) -> Schedule:
        """Warm-up, stable, decay: constant, then down to `final` over the last share `cooldown` of `total` steps."""
        return cls._of(kind="wsd", total=total, warmup=warmup, cooldown=cooldown, shape=shape, final=final)

    @classmethod
    def two_stage(cls, total: Steps, switch: Steps, final: float, warmup: Steps = 0) -> Schedule:
        """Constant for `switch` of `total` steps, then a drop to `final` of the peak."""
        return cls._of(kind="two_stage", total=total, warmup=warmup, switch=switch, final=final)

    @classmethod
    def from_knots(cls, steps: npt.ArrayLike, lr_over_peak: npt.ArrayLike) -> Schedule:
        """Piecewise-linear schedule through knots.

        Parameters
        ----------
        steps : array_like, shape (k,)
            Strictly increasing [steps].
        lr_over_peak : array_like, shape (k,)
            Rates; divided by their maximum.

        Raises
        ------
        ArgumentError
            Fewer than two knots, steps that do not increase, or rates that are negative or not finite.
        """
        x, y = check_numbers("steps", steps), check_numbers("lr_over_peak", lr_over_peak)
        check_knots(x, y)
        shares = tuple((y / y.max()).tolist())
        return cls(kind="knots", total=float(x[-1]), steps=tuple(x.tolist()), lr_over_peak=shares)

    @classmethod
    def from_log(cls, steps: npt.ArrayLike, lr: npt.ArrayLike, max_knots: int = 400) -> Schedule:
        """Schedule from a logged learning rate; thinned to `max_knots` knots.

        Raises
        ------
        ArgumentError
            As `from_knots`, after sorting and dropping repeated steps.
        """
        return cls.from_knots(*thinned(steps, lr, max_knots))

    def cooldown_from(self, step: Steps, steps: Steps, shape: Shape = "linear", final: float = 0.0) -> Schedule:
        """Return the schedule that leaves this one at `step` and cools down over `steps` steps.

        Parameters
        ----------
        step : float or str
            Where the cooldown begins [steps], such as 8000 or ``"8k"``.
        steps : float or str
            How long it lasts [steps].
        shape : {"linear", "1-sqrt", "exp"}
            Its shape.
        final : float
            Rate at its end, relative to the rate at `step`.

        Raises
        ------
        ArgumentError
            A shape, step, length or rate that is not allowed, or a rate that is already zero.
        """
        step, steps = check_number("step", as_typed(step, "step")), check_number("steps", as_typed(steps, "steps"))
        final = check_number("final", final)
        if not one_of(shape, get_args(Shape)):
            raise ArgumentError(
                f"{arg('shape', shape)} is not a cooldown",
                "nothing was changed",
                known(shape, get_args(Shape)),
            )
        if not 0 <= final <= 1:
            raise ArgumentError(
                f"{arg('final', shown=f'{final:g}')} is not in [0, 1]",
                "no schedule was made",
                f"Give the last rate as a share of that at step {step:g}",
            )
        if not (steps > 0 and 0 <= step):
            raise ArgumentError(
                f"A cooldown of {steps:g} steps from step {step:g} was asked",
                "no schedule was made",
                "Give positive ones",
            )
        before = self.knot_steps < step
        x = np.linspace(0, 1, CURVE_KNOTS if shape != "linear" else 2)
        start = float(self.lr(step))
        if start <= 0:
            raise ArgumentError(
                f"The learning rate is already zero at step {step:g}",
                "nothing was cooled down",
                "Begin at an earlier step",
            )
        return Schedule.from_knots(
            np.concatenate([self.knot_steps[before], step + x * steps]),
            np.concatenate([self.knot_lr[before], start * decay(shape, x, final)]),
        )

    def spliced(self, ahead: Schedule, step: float) -> Schedule:
        """Return this schedule until `step` and `ahead` after it, both relative to this one's peak."""
        before, after = self.knot_steps < step, ahead.knot_steps > step
        if ahead == self or not after.any():
            return self
        edge = step + min(1.0, 0.5 * float(ahead.knot_steps[after][0] - step))
        later = ahead.knot_steps > edge
        return Schedule.from_knots(
            np.concatenate([self.knot_steps[before], [step, edge], ahead.knot_steps[later]]),
            np.concatenate([self.knot_lr[before], [self.lr(step), ahead.lr(edge)], ahead.knot_lr[later]]),
        )

    # -- what the laws read ---------------------------------------------------------------------------
    @cached_property
    def decay_start(self) -> float:
        """Step at which the rate begins to fall, for ``"linear"``, ``"cosine"`` and ``"wsd"``; else the end [steps]."""
        if self.kind == "wsd":
            start = self.total * (1 - self.cooldown)
            return float(round(start)) if abs(start - round(start)) < WHOLE_STEP else start
        return min(self.warmup, self.total) if self.kind in ("linear", "cosine") else self.total

    def _warm(self, step: Array) -> Array:
        return np.minimum(1.0, step / self.warmup) if self.warmup > 0 else np.ones_like(step)

    def _fall(self, step: Array) -> Array:
        """Rate without the warm-up, for the kinds that have a formula."""
        if self.kind == "two_stage":
            return np.where(step < self.switch, 1.0, self.final)
        left = self.total - self.decay_start
        part = np.clip((step - self.decay_start) / left, 0.0, 1.0) if left > 0 else np.zeros_like(step)
        if self.kind == "cosine":
            return np.asarray(self.final + (1 - self.final) * (0.5 * (1 + np.cos(np.pi * part))))
        return decay(self.shape if self.kind == "wsd" else "linear", part, self.final)

    @cached_property
    def _knots(self) -> tuple[Array, Array]:
        """Knots from step zero to the end, shapes (k,) and (k,)."""
        total, warm = self.total, min(self.warmup, self.total)
        if self.kind == "knots":
            x, y = np.asarray(self.steps), np.asarray(self.lr_over_peak)
            return (np.r_[0.0, x], np.r_[y[0], y]) if x[0] > 0 else (x, y)
        if self.kind == "two_stage":
            edge = min(1.0, 0.5 * (total - self.switch))
            x = np.array([warm, self.switch, self.switch + edge, total])
            y = np.array([1.0, 1.0, self.final, self.final])
            return (np.r_[0.0, x], np.r_[0.0, y]) if warm > 0 else (x, y)
        start = self.decay_start
        curved = self.kind == "cosine" or (self.kind == "wsd" and (self.shape != "linear" or start < warm))
        x = np.unique(np.r_[0.0, warm, total, np.linspace(start, total, CURVE_KNOTS if curved else 2)])
        return x, self._warm(x) * self._fall(x)

    @property
    def knot_steps(self) -> Array:
        """Steps of the knots, shape (k,) [steps]."""
        return self._knots[0]

    @property
    def knot_lr(self) -> Array:
        """Rates at the knots relative to the peak, shape (k,)."""
        return self._knots[1]

    @cached_property
    def warmup_end(self) -> float:
        """First step at the peak, if the rate only rises until then and that is in the first half [steps]."""
        x, y = self._knots
        first = int(np.argmax(y >= PEAK * y.max()))
        rising = bool(np.all(np.diff(y[: first + 1]) >= 0))
        return float(x[first]) if rising and x[first] <= 0.5 * self.total else 0.0

    @cached_property
    def _area(self) -> Array:
        x, y = self._knots
        return np.concatenate([[0.0], np.cumsum(np.diff(x) * (y[1:] + y[:-1]) / 2)])

    def lr(self, step: npt.ArrayLike) -> Array:
        """Rate at `step` relative to the peak; held constant beyond the ends."""
        return np.asarray(np.interp(as_numbers("step", step), self.knot_steps, self.knot_lr))

    def at_step(self, step: npt.ArrayLike) -> Array:
        """Rate, relative to the peak, that optimizer step `step` (counted from zero) uses.

        The warm-up counts at the end of the step, so that the first one moves; a decay counts at its middle, so
        that the steps add up to the area.

        Parameters
        ----------
        step : array_like
            Number of the step [steps].

        Examples
        --------
        >>> Schedule.wsd(10, warmup=2, cooldown=0.2).at_step([0, 1, 5, 8, 9]).tolist()
        [0.5, 1.0, 1.0, 0.75, 0.25]
        """
        k = as_numbers("step", step)
        if self.kind == "knots":
            return self.lr(k + 0.5)
        return np.asarray(self._warm(k + 1.0) * self._fall(k + 0.5))

    def area(self, step: npt.ArrayLike, warmup: Literal["actual", "peak"] = "actual") -> Array:
        r"""Area under the schedule until `step`, :math:`S_1=\int_0^t\eta\,dt/\eta_{peak}` [steps].

        Parameters
        ----------
        step : array_like
            Where [steps].
        warmup : {"actual", "peak"}
            ``"actual"`` integrates the rates as they were. ``"peak"`` counts the warm-up at the peak
            rate, as Tissue et al. (2024), arXiv:2408.11029, do.
        """
        x, y = self._knots
        if not one_of(warmup, ("actual", "peak")):
            raise ArgumentError(
                f"{arg('warmup', warmup)} is not known", "nothing was integrated", "Known: actual, peak"
            )
        t = as_numbers("step", step)
        i = np.clip(np.searchsorted(x, t, side="right") - 1, 0, len(x) - 2)
        d = np.minimum(t, x[-1]) - x[i]
        slope = (y[i + 1] - y[i]) / (x[i + 1] - x[i])
        area = self._area[i] + y[i] * d + 0.5 * slope * d**2 + np.maximum(t - x[-1], 0) * y[-1]
        if warmup == "peak":
            missing = self.warmup_end - float(self.area(self.warmup_end))
            area = np.where(t >= self.warmup_end, area + missing, t)
        return np.asarray(area)

    def decay_segments(self) -> tuple[Array, Array, Array, Array]:
        """Pieces after the warm-up on which the rate changes: starts, ends, rates at both ends, shape (k,)."""
        x, y = self._knots
        use = (np.diff(y) != 0) & (x[:-1] >= self.warmup_end)
        left, right = x[:-1][use], x[1:][use]
        if not len(left):
            return left, right, left, right
        pieces = np.ceil((right - left) / (self.total / CURVE_KNOTS)).astype(int)  # long ones in short pieces
        which = np.repeat(np.arange(len(left)), pieces)
        number = np.arange(len(which)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
        width = (right - left)[which] / pieces[which]
        start = left[which] + number * width
        end = start + width
        return start, end, np.asarray(self.lr(start)), np.asarray(self.lr(end))

    def __str__(self) -> str:
        words: dict[str, Any] = {"total": self.total, "warmup": self.warmup, "final": self.final}
        if self.kind == "wsd":
            words |= {"cooldown": self.cooldown, "shape": self.shape}
        if self.kind == "knots":
            words = {"total": self.total, "knots": len(self.steps)}
        return f"{self.kind}(" + ", ".join(f"{k}={v}" for k, v in words.items()) + ")"
