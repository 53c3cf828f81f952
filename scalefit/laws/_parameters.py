"""The parameters of a law, and the constants and summands that its file declares beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from scalefit._text import known
from scalefit.counting import PARAMS_CONVENTIONS
from scalefit.errors import ArgumentError, arg
from scalefit.laws._declarations import Golden

#: Exponents worth starting from when a law does not say: three octaves either side of what is published.
EXPONENT_GRID = tuple(float(value) for value in np.geomspace(0.05, 1.5, 8))


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a law.

    Parameters
    ----------
    meaning : str
        Its meaning in a few words; printed with every fit.
    bounds : (float, float)
        Closed interval that fits keep to.
    starts : sequence of float
        Values to start fits from; the middle one is the law's example value.
    unit : str
        Its unit, ``"-"`` for none.
    log : bool
        Whether fits search over the logarithm; the value is then positive.
    linear : bool
        Whether the loss is linear in it for given nonlinear parameters: it is then solved for, not searched for.
    own : bool
        Whether each series has its own value in a fit with ``by="shared"``; other parameters are shared.
    each : str
        Name of the law's :class:`Shares`, if each domain has its own value.
    reference : float, optional
        For a parameter with `each` that is determined only up to a shift or factor: the value of one domain. A fit
        fixes it for the domain that the law's ``reference_by`` names.
    """

    meaning: str
    bounds: tuple[float, float]
    starts: Sequence[float] = EXPONENT_GRID
    unit: str = "-"
    log: bool = False
    linear: bool = False
    own: bool = False
    each: str = ""
    reference: float | None = None

    @property
    def example(self) -> float:
        """A typical value [in `unit`]."""
        return float(self.starts[len(self.starts) // 2])


@dataclass(frozen=True, slots=True)
class Constants:
    """Published values of a law's parameters.

    Parameters
    ----------
    key : str
        Author and year, such as ``"hoffmann2022"``.
    values : mapping
        Parameter name to value, in the law's units.
    source : str
        Paper with its arXiv id or DOI, and the table, equation or file.
    N, D : (float, float), optional
        Range of sizes [parameters] and tokens [tokens] that the fitted runs covered.
    params : str
        What N counts, one of ``scalefit.counting.PARAMS_CONVENTIONS``.
    corpus : str
        The text and tokenizer on which the loss is measured.
    remark : str
        What to know before quoting them.
    ranges : mapping, optional
        Ranges of further inputs that the fitted runs covered.
    evidence : str
        How the numbers were obtained: ``"paper"`` (read there), ``"code"`` (the authors' own repository), ``"refit"``
        (fitted here to the authors' table), ``"review"`` (second-hand: reviews that quote the paper).
    checked : str
        Whether they reproduce the numbers in their paper: ``"yes"``, ``"to 0.02"``, ``"no, because ..."``; empty if
        the paper prints nothing to compare with.
    golden : tuple of Golden
        Predictions that they must give.
    domains : tuple of str
        Domains of the constants, for a law with shares.
    loss_unit : str
        Unit of the loss, if it differs from the law's; in the source's own words if it is not a known unit.
    by_key_only : bool
        Whether they are used only when named: constants of a later paper, which the law's name alone does not mean.
    """

    key: str
    values: Mapping[str, float]
    source: str
    N: tuple[float, float] = (0.0, float("inf"))
    D: tuple[float, float] = (0.0, float("inf"))
    params: str = "total"
    corpus: str = ""
    remark: str = ""
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    evidence: Literal["paper", "code", "refit", "review"] = "paper"
    checked: str = ""
    golden: tuple[Golden, ...] = ()
    domains: tuple[str, ...] = ()
    loss_unit: str = ""
    by_key_only: bool = False

    def __post_init__(self) -> None:
        if self.params not in PARAMS_CONVENTIONS:
            raise ArgumentError(
                f"Constants {self.key!r} have {arg('params', self.params)}",
                "nothing was declared",
                known(self.params, PARAMS_CONVENTIONS),
            )

    @property
    def covered(self) -> dict[str, tuple[float, float]]:
        """Range of each input that the fitted runs covered; inputs without a known range are left out."""
        every = {"N": self.N, "D": self.D, **self.ranges}
        return {name: limits for name, limits in every.items() if limits != (0.0, float("inf"))}


@dataclass(frozen=True, slots=True)
class Term:
    """One summand A·x^−alpha of a sum-of-powers law; ``exponents`` maps each input to its exponent's name."""

    coefficient: str
    exponents: Mapping[str, str] = field(default_factory=dict)
