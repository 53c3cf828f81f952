"""The answer of sf.plan: a run to train, with its intervals, its cost and a concrete architecture."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit import __version__
from scalefit._calls import explained
from scalefit._plain import plain
from scalefit.errors import ArgumentError, Note, arg, note_record
from scalefit.fitting.schema import to_json
from scalefit.flops import QUANTITIES, SIZES
from scalefit.planning.allocation import SERVE, TRAIN, on_budget
from scalefit.planning.architecture import Architecture, architecture_for
from scalefit.planning.deployment import Hardware
from scalefit.planning.loss_surface import Surface
from scalefit.planning.plan_settings import PlannedSettings, settings_for
from scalefit.planning.text import doubts, plan_text, verdict, written
from scalefit.plots.planning import ContourFigure
from scalefit.predictor import Predictor
from scalefit.tuning.result import Hyperparameters

if TYPE_CHECKING:
    import pandas as pd

    from scalefit.planning.minimum_loss import MinimumLoss

Interval = tuple[float, float]
_BUDGETS = 5  # lines of round budgets in the contours, beside the plan's own


@explained
@dataclass(frozen=True, eq=False, repr=False)
class Plan:
    """A run to train. Made by :func:`scalefit.plan`; do not create it directly.

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
        Interval of the optimum; None for laws without draws.
    exponent_N, exponent_D : float
        d ln N* / d ln C and d ln D* / d ln C at the plan.
    exponent_N_interval : (float, float) or None
        Its interval.
    level : float
        Coverage of the intervals.
    question, asked : str, float
        The argument that fixed the plan, and its value.
    inference_tokens : float
        Tokens to be served [tokens].
    serving_flops, total_flops : float
        2 N T, and that plus C [FLOP].
    unique_tokens, epochs : float or None
        Distinct tokens, and passes over them.
    hardware : Hardware or None
        Devices; with them `device_hours`, `days` and `money` tell what the plan takes.
    series : str or None
        Which series the plan is for, where the law has several.
    at : mapping
        Values of the law's other inputs; `chosen` names those that the plan chose.
    hyperparameters, settings : Hyperparameters, PlannedSettings or None
        The sweep that was given, and its learning rate, batch and so on at the plan, each with an interval.
    target, unit : str
        Name and unit of what `loss` holds: a law may predict something other than a loss.
    notes : tuple of Note
        What to know before you use the numbers: extrapolation, borrowed constants, an untrusted fit.
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
    result: Predictor
    surface: Surface | None
    at: Mapping[str, float] = field(default_factory=dict)
    chosen: tuple[str, ...] = ()
    target: str = "loss"
    unit: str = "nat/token"
    hyperparameters: Hyperparameters | None = None
    settings: PlannedSettings | None = None

    @cached_property
    def architecture(self) -> Architecture | None:
        """Layers, width, heads and recipes for N; None where no transformer with GPT-2's vocabulary is that small.

        :meth:`shape` takes another vocabulary or context.
        """
        try:
            shape = self.shape()
        except ArgumentError:
            return None
        return shape if self.hyperparameters is None else replace(shape, recipes={})

    def with_hyperparameters(self, found: Hyperparameters) -> Plan:
        """Return the same plan with settings from a sweep instead of those of published rules."""
        settings = settings_for(found, self.N, self.D, self.params_convention, self.architecture, self.level)
        return replace(self, hyperparameters=found, settings=settings, notes=(*self.notes, *settings.notes))

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

    @cached_property
    def minimum_loss(self) -> MinimumLoss | None:
        """Loss of this plan by every published law, beside its own law and the floor; None without a shape.

        Computed when first asked for. The plan's own law is left out where no runs are behind it, where it reads more
        than N, D, C and distinct tokens, or is of one series; a loss in another unit than nat/token compares with none.
        """
        from scalefit.planning.minimum_loss import minimum_loss

        shape = self.architecture
        unit = (self.result.conventions or {}).get("loss_unit", "nat/token")
        if shape is None or self.target != "loss" or unit != "nat/token" or math.isnan(self.N):
            return None
        own = set(self.result.inputs) <= {*QUANTITIES, "unique_tokens"} and self.series is None
        own = own and bool(self.result.runs())
        sizes = {name: getattr(shape, name) for name in ("n_layers", "d_emb", "T_max", "vocab_size", "d_ff")}
        return minimum_loss(
            N=self.N if self.params_convention == "total" else shape.counts.total,
            D=self.D,
            runs=self.result if own else None,
            level=self.level,
            unique_tokens=self.unique_tokens,
            **sizes,
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
                f"This plan has {arg('unique_tokens', None)}",
                "nothing was compared, as no token is seen twice",
                f"Pass {arg('unique_tokens')} to sf.plan",
            )
        return epoch_returns(self.result, self.N, self.unique_tokens, series=self.series)

    def plot(self, ax: Any = None) -> Any:
        """Draw loss contours over N and D with the budget line, the data wall and the plan; returns the axes."""
        from scalefit.plots.planning import draw_contours

        return draw_contours(contour_data(self), ax=ax)

    def to_dict(self) -> dict[str, Any]:
        """The plan as a JSON-compatible dict."""
        return plan_record(self)

    def to_json(self, path: str | Path | None = None) -> str:
        """The same as JSON text, written to `path` if given."""
        return to_json(self.to_dict(), path)

    @property
    def trusted(self) -> bool:
        """Whether it can be trusted: the law behind it is, and the plan is less than 1,000 times beyond the runs."""
        return bool(self.result.trusted) and not doubts(self)

    def __str__(self) -> str:
        return plan_text(self)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name}={written(name, getattr(self, name))}" for name in (*QUANTITIES, self.target))
        return f"<Plan {self.law}: {sizes}>"

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


def plan_record(plan: Plan) -> dict[str, Any]:
    """A plan as a JSON-compatible dict, with the public names."""
    names = (
        "question asked N D C loss tokens_per_param lower upper level N_interval D_interval C_interval exponent_N "
        "exponent_D exponent_N_interval inference_tokens serving_flops total_flops unique_tokens epochs device_hours "
        "days money series law params_convention interval_source"
    ).split()
    record: dict[str, Any] = {name: plain(getattr(plan, name)) for name in names}
    record["trusted"], record["verdict"] = plan.trusted, verdict(plan)
    record["fixed"], record["at"], record["chosen"] = dict(plan.fixed), dict(plan.at), list(plan.chosen)
    shape = plan.architecture
    record |= {"architecture": None, "floor": None}
    if shape is not None:
        sizes = "n_layers d_emb n_heads d_ff vocab_size T_max tied params N off_by source".split()
        record["architecture"] = {name: getattr(shape, name) for name in sizes}
        record["architecture"]["counts"] = shape.counts.groups
        record["architecture"]["recipes"] = {
            name: {"learning_rate": rule.learning_rate, "batch_tokens": rule.batch_tokens, "source": rule.source}
            for name, rule in shape.recipes.items()
        }
        floor = plan.floor
        record["floor"] = {key: plain(getattr(floor, key)) for key in ("loss_lower", "loss_upper", "regime")}
    least = plan.minimum_loss
    record["minimum_loss"] = None if least is None else {k: least.to_dict()[k] for k in ("verdict", "table", "notes")}
    record["settings"] = None if plan.settings is None else {**plan.settings.values, "rule": plan.settings.rule}
    record["notes"] = [note_record(note) for note in plan.notes]
    record["scalefit"] = __version__
    return record


def contour_data(plan: Plan, n: int = 80) -> ContourFigure:
    """Numbers behind the contours: a frame around the runs, or two decades below the plan, and the plan."""
    if plan.surface is None:
        raise ArgumentError(
            f"Law {plan.law} reads C alone, so there are no contours over N and D", "nothing was drawn", "Plot the fit"
        )
    surface = plan.surface.first()
    seen = plan.result.runs()
    runs = np.stack([seen[key] for key in SIZES], axis=1) if set(SIZES) <= set(seen) else np.empty((0, 2))
    corners = np.vstack([runs, [(plan.N, plan.D)]]) if len(runs) else np.outer([0.01, 1.0], [plan.N, plan.D])
    ends = np.stack([corners.min(axis=0) / 1.5, corners.max(axis=0) * 3.0])
    for k, span in enumerate((plan.N_interval, plan.D_interval)):
        if span is not None and span[1] < 100 * ends[1, k]:
            ends[1, k] = max(ends[1, k], 1.2 * span[1])
    N, D = (np.geomspace(ends[0, k], ends[1, k], n) for k in (0, 1))
    loss = surface.loss(np.broadcast_to(N, (n, n))[None], np.broadcast_to(D[:, None], (n, n))[None])[0]
    weight = 1.0 if plan.hardware is None else plan.hardware.serving_weight
    served = plan.inference_tokens * weight
    total = TRAIN * plan.N * plan.D + SERVE * plan.N * served
    path = []
    for factor in np.geomspace(1e-4, 1e4, 25):
        best = on_budget(surface, total * factor, served)
        path.append((best.N[0], best.D[0]))
    least, most = np.ceil(np.log10(TRAIN * N[[0, -1]] * D[[0, -1]]))
    rounded = 10.0 ** np.arange(least, most)
    stride = -(-len(rounded) // _BUDGETS)
    budgets = {float(C): C / (TRAIN * N) for C in (*rounded[::-stride], plan.C)}
    label = f"{plan.target} [{plan.unit}]"
    spans = (plan.N_interval, plan.D_interval)
    return ContourFigure(N, D, loss, budgets, np.array(path), runs, (plan.N, plan.D), spans, plan.unique_tokens, label)
