"""The answer of a monitor: a forecast, reasons with their evidence, and one action."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from scalefit._text import folded

Action = Literal["continue", "stop", "cooldown_now", "rollback", "wait"]
State = Literal[
    "wait",
    "healthy",
    "plateau",
    "overfitting",
    "diverging",
    "spike",
    "lost",
    "second_descent",
    "off_distribution",
]


@dataclass(frozen=True, slots=True)
class Forecast:
    """The loss at the end of a schedule.

    Attributes
    ----------
    loss, lower, upper : float
        Point and central interval [nat/token].
    level : float
        Probability of the interval.
    step : float
        The end that is forecast [steps].
    method : str
        Method of the forecast.
    calibrated_on : str
        The runs behind the priors and the interval.
    n_history : int
        Earlier runs of the recipe that corrected it.
    anneal_seen : float
        Share of the planned fall of the learning rate that is past [-].
    """

    loss: float
    lower: float
    upper: float
    level: float
    step: float
    method: str
    calibrated_on: str
    n_history: int
    anneal_seen: float


@dataclass(frozen=True, slots=True)
class Reason:
    """One named finding: what was seen, and the evidence."""

    code: str
    text: str
    evidence: Mapping[str, float | str] = field(default_factory=dict)
    assumption: str = ""


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do with the run, and why.

    Attributes
    ----------
    action : str
        ``"continue"``, ``"stop"``, ``"cooldown_now"``, ``"rollback"`` or ``"wait"``.
    state : str
        What the curve looks like now; the next evaluation may change it.
    step : float
        Latest step seen [steps].
    loss : float or None
        Level of the loss now, smoothed [nat/token].
    reasons : tuple of Reason
        Every finding, the deciding one first.
    final : Forecast or None
        The forecast of the loss at the planned end; None while there is none.
    floors : dict
        Name to loss [nat/token] that the run cannot, or should not, go below; never a reason to stop.
    gain : dict
        What the rest of the run is expected to bring [nat/token].
    """

    action: Action
    state: State
    step: float
    loss: float | None
    reasons: tuple[Reason, ...]
    final: Forecast | None
    floors: dict[str, float]
    gain: dict[str, float]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, JSON-able."""
        return asdict(self)

    def __str__(self) -> str:
        level = "" if self.loss is None else f", loss {self.loss:.3f}"
        lines = [f"{self.action.upper().replace('_', ' ')}  ({self.state}, step {self.step:g}{level})"]
        if self.final is not None:
            f = self.final
            lines.append(
                f"at step {f.step:g}: {f.loss:.3f}  [{f.lower:.3f}, {f.upper:.3f}] at {100 * f.level:.6g}%; {f.method}"
            )
        for name, value in self.gain.items():
            lines.append(f"  gain {name.replace('_', ' ')}: {value:.4g}")
        for name, value in self.floors.items():
            lines.append(f"  floor {name.replace('_', ' ')}: {value:.3f}")
        for reason in self.reasons:
            lines.append(f"- {reason.code}: {reason.text}")
            if reason.assumption:
                short = reason.assumption if len(reason.assumption) < 200 else reason.assumption[:197] + "..."
                lines.append(f"  assumes: {short}")
        return "\n".join(map(folded, lines))

    __repr__ = __str__
