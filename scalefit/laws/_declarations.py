"""Inputs and targets of laws: one declaration each, which all parts of scalefit use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from scalefit._names import SHAPE_NAMES, USUAL_NAMES
from scalefit._typing import AnyArray
from scalefit.errors import ArgumentError, arg

_INF = float("inf")


@dataclass(frozen=True, slots=True)
class Input:
    """One input of a law: what it means, its usual columns in a table, and its possible values.

    Parameters
    ----------
    meaning : str
        What it is, in a few words.
    names : sequence of str
        Column names it usually has, most trusted first, in lower case with ``_`` for every other sign.
    unit : str
        Its unit, ``"-"`` for none.
    range : (float, float)
        Closed interval of possible values; 0 is excluded unless `zero` is True.
    typical : sequence of float
        Typical values in rising order, used for grids in tests, examples and figures.
    zero : bool
        Whether 0 is possible; if not, values are positive where the range begins at 0.
    optional : float or str, optional
        The default value, or the input whose value is the default.
    counts : mapping, optional
        What this input makes another one count, such as ``{"N": "active"}``.
    integer : bool
        Whether only whole numbers are possible.

    Examples
    --------
    >>> experts = Input("experts per layer", names=("n_experts", "num_experts"), range=(1, 512), typical=(1, 8, 64))
    >>> experts.admits([0.0, 8.0, 1000.0]).tolist()
    [False, True, False]
    """

    meaning: str
    names: Sequence[str] = ()
    unit: str = "-"
    range: tuple[float, float] = (0.0, _INF)
    typical: Sequence[float] = ()
    zero: bool = False
    optional: float | str | None = None
    counts: Mapping[str, str] = field(default_factory=dict)
    integer: bool = False

    def __post_init__(self) -> None:
        _check_range("Input", self.meaning, self.range)
        if self.typical and not self.admits(self.typical).all():
            raise ArgumentError(
                f"{arg('typical', tuple(self.typical))} of the input {self.meaning!r} leaves its range {self.allowed}",
                "nothing was declared",
                "Correct one of them",
            )

    def admits(self, values: Any) -> AnyArray:
        """Which values make sense, as a mask of their shape."""
        values = np.asarray(values, float)
        low, high = self.range
        inside = np.isfinite(values) & (values >= low) & (values <= high)
        return np.asarray(inside if self.zero or low < 0 else inside & (values > 0))

    @property
    def allowed(self) -> str:
        """The range, in words."""
        low, high = self.range
        if low == -_INF and high == _INF:
            return "finite"
        if low == 0 and high == _INF:
            return "zero or positive, and finite" if self.zero else "positive and finite"
        if high == _INF:
            return f"finite and at least {low:g}"
        return f"between {low:g} and {high:g}" + ("" if self.zero or low != 0 else ", not 0")

    @property
    def log_axis(self) -> bool:
        """Whether a logarithmic axis suits it: positive, over at least a decade."""
        low, high = self.range
        return low >= 0 and not self.zero and high >= 10 * max(low, 1e-300)

    def label(self, name: str) -> str:
        """Label of an axis, such as ``N [parameters]``."""
        return name if self.unit == "-" else f"{name} [{self.unit}]"


@dataclass(frozen=True, slots=True)
class Shares:
    """Shares of a mixture that sum to 1, as one argument of a law: a tuple with one share per domain.

    A law with ``r = sf.Shares("shares of the training domains")`` reads one input per domain: ``r_web``, ``r_code``
    and so on; a parameter with ``each="r"`` has one value per domain: ``t_web``, ``t_code``. The domains are
    read from a table, or given to :meth:`Law.over`.

    Parameters
    ----------
    meaning : str
        What they are, in a few words.
    domains : int or sequence of str
        The domains, or their number.
    tolerance : float
        How far from 1 a sum may be: tables keep shares to a few digits.

    Examples
    --------
    >>> Shares("shares of the training domains", 2).inputs("r")["r_1"].allowed
    'between 0 and 1'
    """

    meaning: str
    domains: int | Sequence[str] = 3
    tolerance: float = 0.01

    def __post_init__(self) -> None:
        if isinstance(self.domains, int):
            object.__setattr__(self, "domains", tuple(str(k + 1) for k in range(self.domains)))
        domains = tuple(self.domains) if isinstance(self.domains, Sequence) else ()
        if len(domains) < 2 or len(set(domains)) < len(domains) or isinstance(self.domains, str):
            raise ArgumentError(
                f"Shares {self.meaning!r} have {arg('domains', self.domains)}",
                "nothing was declared",
                "Give two or more different names, or how many there are",
            )

    @property
    def labels(self) -> tuple[str, ...]:
        """The domains."""
        return tuple(self.domains) if isinstance(self.domains, Sequence) else ()

    def inputs(self, name: str) -> dict[str, Input]:
        """One declaration per domain, by the name of the input."""
        return {
            f"{name}_{label}": Input(
                f"share of {label}",
                (f"{name}_{label}".lower(),),
                range=(0, 1),
                typical=(0, 0.1, 0.3, 0.6, 1),
                zero=True,
            )
            for label in self.labels
        }


@dataclass(frozen=True, slots=True)
class Target:
    """What a law predicts: its name, unit, which way is better, and the scale its residuals are taken on.

    Parameters
    ----------
    name : str
        Name of the target, which is also the column of a table that holds it.
    unit : str
        Its unit, ``"-"`` for none.
    sense : {-1, 1, 0}
        -1 where lower is better, +1 where higher is, 0 where neither is: a setting such as a learning rate.
    range : (float, float)
        Closed interval of possible values. On a logarithmic scale values are positive whatever the range
        says, and on a logit scale they lie strictly between 0 and 1.
    scale : {"log", "linear", "logit"}
        What residuals are computed from by default: the logarithm, the value itself, or the log-odds of a share.
    names : sequence of str
        Further usual names of its column.

    Examples
    --------
    >>> accuracy = Target("accuracy", sense=+1, range=(0.0, 1.0), scale="logit")
    >>> accuracy.admits([0.0, 0.25, 1.2]).tolist()
    [False, True, False]
    """

    name: str = "loss"
    unit: str = "-"
    sense: Literal[-1, 0, 1] = -1
    range: tuple[float, float] = (0.0, _INF)
    scale: Literal["log", "linear", "logit"] = "log"
    names: Sequence[str] = ()

    def __post_init__(self) -> None:
        _check_range("Target", self.name, self.range)
        if self.sense not in (-1, 0, 1) or self.scale not in ("log", "linear", "logit"):
            raise ArgumentError(
                f"Target {self.name!r} has {arg('sense', self.sense)} and {arg('scale', self.scale)}",
                "nothing was declared",
                "Give a sense of -1, 0 or 1, and a scale of log, linear or logit",
            )
        if self.scale == "logit" and tuple(self.range) != (0, 1):
            raise ArgumentError(
                f"Target {self.name!r} has {arg('range', self.range)}, and log-odds are those of a share",
                "nothing was declared",
                f"Give {arg('range', (0, 1))}",
            )

    def admits(self, values: Any) -> AnyArray:
        """Which values make sense, as a mask of their shape."""
        values = np.asarray(values, float)
        low, high = self.range
        inside = np.isfinite(values) & (values >= low) & (values <= high)
        if self.scale == "log":
            inside &= values > 0
        return np.asarray(inside & (values > low) & (values < high) if self.scale == "logit" else inside)

    @property
    def on(self) -> Literal["log_loss", "loss", "logit"]:
        """Scale of the default objective, as ``sf.fit(on=)`` names it."""
        if self.scale == "log":
            return "log_loss"
        return "loss" if self.scale == "linear" else "logit"

    @property
    def is_loss(self) -> bool:
        """Whether it is a loss in nats per token, to which priors and floors of losses apply."""
        return self.of_loss and self.unit == "nat/token"

    @property
    def of_loss(self) -> bool:
        """Whether it is a loss, in any unit; only losses are checked for implausible sizes."""
        return self.name == "loss"

    def in_unit(self, unit: object) -> Target:
        """The same loss in the unit of a table; other targets, and None, change nothing."""
        return replace(self, unit=str(unit)) if unit is not None and self.is_loss else self

    def label(self) -> str:
        """Label of an axis, such as ``loss [nat/token]``."""
        return self.name if self.unit == "-" else f"{self.name} [{self.unit}]"


@dataclass(frozen=True, slots=True)
class Golden:
    """A value that published constants must give, for the contract test of a law.

    Parameters
    ----------
    inputs : mapping
        Values of the law's inputs.
    value : float
        What the constants or the paper give there.
    rtol : float
        Relative tolerance; for a printed value half a unit of its last digit.
    where : str
        Table or page of the paper that prints it; empty if the value only guards the constants against typing errors.
    """

    inputs: Mapping[str, float]
    value: float
    rtol: float = 1e-6
    where: str = ""


def _check_range(kind: str, name: str, limits: tuple[float, float]) -> None:
    if np.shape(limits) != (2,) or not limits[0] < limits[1]:
        raise ArgumentError(
            f"{kind} {name!r} has {arg('range', limits)}",
            "nothing was declared",
            "Give (lower, upper) with lower < upper",
        )


#: The loss of a language model, which most laws predict.
LOSS = Target("loss", "nat/token", -1, (0.0, _INF), "log")

#: Inputs that several laws share, by name; ``inputs = ("N", "D")`` of a law means these.
INPUTS: dict[str, Input] = {
    "N": Input("parameters", USUAL_NAMES["N"], "parameters", typical=(1e7, 1e8, 1e9, 1e10)),
    "D": Input("training tokens seen", USUAL_NAMES["D"], "tokens", typical=(1e9, 1e10, 1e11, 1e12)),
    "C": Input("training compute", USUAL_NAMES["C"], "FLOP", typical=(1e17, 1e19, 1e21, 1e23)),
    "unique_tokens": Input(
        "distinct training tokens",
        USUAL_NAMES["unique_tokens"],
        "tokens",
        typical=(1e9, 1e10, 1e11),
        optional="D",
    ),
    "n_layers": Input(
        "layers",
        SHAPE_NAMES["n_layers"],
        typical=(4, 8, 16, 32),
        integer=True,
    ),
    "d_emb": Input(
        "embedding width",
        SHAPE_NAMES["d_emb"],
        typical=(256, 512, 1024, 4096),
        integer=True,
    ),
    "T_max": Input("context length", SHAPE_NAMES["T_max"], "tokens", typical=(512, 1024, 2048), integer=True),
    "n_experts": Input(
        "experts of which a token uses one",
        ("n_experts", "num_experts", "nume", "experts"),
        range=(1, 512),
        typical=(1, 4, 16, 64),
        counts={"N": "active"},
        optional=1.0,
        integer=True,
    ),
    "post_bits": Input(
        "bits per weight after training",
        ("post_bits", "ptq_bits"),
        "bits",
        range=(1, 64),
        typical=(3, 4, 6, 8, 16),
        optional=None,
    ),
}
