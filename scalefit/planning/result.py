"""The answer of sf.plan: a run to train, with its intervals, its cost and a concrete architecture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from scalefit.errors import ArgumentError, Note
from scalefit.planning.architecture import Architecture, architecture_for
from scalefit.planning.deployment import Hardware
from scalefit.planning.loss_surface import Surface

if TYPE_CHECKING:
    import pandas as pd

Interval = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Plan:
    """A run to train. Made by :func:`scalefit.plan`; not to be built by hand.

    Attributes
    ----------
    N, D, C : float
        Size [parameters], tokens seen [tokens] and training compute 6 N D [FLOP].
    loss : float
        Predicted loss [nat/token].
    tokens_per_param : float
        D / N.
    lower, upper : float or None
        Interval for the loss of that run, at `level`.
    N_interval, D_interval, C_interval : (float, float) or None
        Where the optimum may lie, given what the runs say; None for laws without draws.
    exponent_N, exponent_D : float
        d ln N* / d ln C and d ln D* / d ln C at the plan.
    exponent_N_interval : (float, float) or None
        Its interval.
    level : float
        Coverage of the intervals.
    question, asked : str, float
        What fixed the plan, and its value.
    inference_tokens : float
        Tokens to be served [tokens].
    serving_flops, total_flops : float
        2 N T, and that plus C [FLOP].
    unique_tokens, epochs : float or None
        Distinct tokens, and passes over them.
    hardware : Hardware or None
        Devices; then `device_hours`, `days` and `money` say what the plan takes.
    series : str or None
        Which series the plan is for, where the law has several.
    notes : tuple of Note
        Read them: extrapolation, borrowed constants, an untrusted fit.
    """

    N: float
    D: float
    C: float
    loss: float
    tokens_per_param: float
    lower: float | None
    upper: float | None
    N_interval: Interval | None
    D_interval: Interval | None
    C_interval: Interval | None
    exponent_N: float
    exponent_D: float
    exponent_N_interval: Interval | None
    level: float
    question: str
    asked: float
    fixed: Mapping[str, float]
    inference_tokens: float
    serving_flops: float
    total_flops: float
    unique_tokens: float | None
    epochs: float | None
    hardware: Hardware | None
    series: str | None
    law: str
    params_convention: str
    interval_source: str
    notes: tuple[Note, ...]
    result: Any = field(repr=False)
    surface: Surface = field(repr=False)

    @cached_property
    def architecture(self) -> Architecture | None:
        """Layers, width, heads and recipes for N; None where no transformer with GPT-2's vocabulary is that small.

        :meth:`shape` takes another vocabulary or context.
        """
        try:
            return self.shape()
        except ArgumentError:
            return None

    def shape(self, **options: Any) -> Architecture:
        """Architecture for N with another vocabulary or context; see `architecture_for`.

        Raises
        ------
        ArgumentError
            N is too small for its vocabulary.
        """
        options.setdefault("params", self.params_convention)
        return architecture_for(self.N, self.D, **options)

    @cached_property
    def floor(self) -> Any:
        """Loss that the associative-memory theory allows this plan (``sf.loss_floor``); a hypothesis, not a promise."""
        from scalefit.memory.floor import loss_floor

        shape = self.architecture
        if shape is None:
            return None
        distinct = self.D if self.unique_tokens is None else min(self.D, self.unique_tokens)
        return loss_floor(
            N=shape.counts.total,
            D=distinct,
            n_layers=shape.n_layers,
            d_emb=shape.d_emb,
            T_max=shape.T_max,
            vocab_size=shape.vocab_size,
            d_ff=shape.d_ff,
        )

    @property
    def device_hours(self) -> float | None:
        """Device-hours of training and serving."""
        return None if self.hardware is None else self.hardware.hours(self.C, self.serving_flops)

    @property
    def days(self) -> float | None:
        """Days of training on all devices."""
        return None if self.hardware is None else self.hardware.days(self.C)

    @property
    def money(self) -> float | None:
        """Price of training and serving."""
        return None if self.hardware is None else self.hardware.money(self.C, self.serving_flops)

    def frontier(self, n: int = 25) -> pd.DataFrame:
        """Training cost against serving cost at this plan's loss; see `deployment.frontier`."""
        from scalefit.planning.deployment import frontier

        options: dict[str, Any] = {"unique_tokens": self.unique_tokens, "hardware": self.hardware}
        return frontier(self.result, self.loss, series=self.series, n=n, **options)

    def epoch_returns(self) -> pd.DataFrame:
        """What each epoch over the unique tokens brings at this plan's N; see `repetition.epoch_returns`.

        Raises
        ------
        ArgumentError
            The plan has no limit on unique tokens.
        """
        from scalefit.planning.repetition import epoch_returns

        if self.unique_tokens is None:
            raise ArgumentError(
                "This plan has unique_tokens=None, so nothing is seen twice and there are no epochs to compare. Pass "
                "unique_tokens= to sf.plan."
            )
        return epoch_returns(self.result, self.N, self.unique_tokens, series=self.series)

    def plot(self, ax: Any = None) -> Any:
        """Draw loss contours over N and D with the budget line, the data wall and the plan; returns the axes."""
        from scalefit.plots.planning import draw_contours

        return draw_contours(self, ax=ax)

    def to_dict(self) -> dict[str, Any]:
        """The plan as JSON can hold it."""
        from scalefit.planning.printing import plan_record

        return plan_record(self)

    def __str__(self) -> str:
        from scalefit.planning.printing import plan_text

        return plan_text(self)
