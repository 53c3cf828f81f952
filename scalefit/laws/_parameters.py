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
        What it is, in a few words; printed with every fit.
    bounds : (float, float)
        Closed interval that fits stay in.
    starts : sequence of float
        Values worth starting from; the middle one is the law's example value.
    unit : str
        Its unit, ``"-"`` for none.
    log : bool
        Search over the logarithm; the value is positive.
    linear : bool
        The loss is linear in it when the nonlinear ones are given: it is solved for, not searched for.
    own : bool
        Each series has its own in a fit with ``by="shared"``; the others are shared.
    each : str
        Name of the law's :class:`Shares`, of which each domain has one of its own.
    reference : float, optional
        Of a parameter with `each`: the value of one domain's, where the law is the same for other sets of them. A fit
        fixes that of the domain which the law's ``reference_by`` names.
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
    """Values of a law's parameters that somebody published.

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
        The text and tokenizer that the loss is measured on.
    remark : str
        What a user must know before quoting them.
    ranges : mapping, optional
        Ranges of further inputs that the fitted runs covered.
    evidence : str
        How the numbers were obtained: ``"paper"`` (read there), ``"code"`` (the authors' own repository), ``"refit"``
        (fitted here to the authors' table), ``"review"`` (second-hand: reviews that quote the paper).
    checked : str
        Whether they reproduce what their paper prints: ``"yes"``, ``"to 0.02"``, ``"no, because ..."``; empty where
        the paper prints nothing to compare with.
    golden : tuple of Golden
        Values that they must give.
    domains : tuple of str
        Domains of a law with shares that they are for.
    loss_unit : str
        Unit of the loss, where it is not that of the law; in the source's own words where it says no more.
    by_key_only : bool
        Whether they are of a later paper on other runs, so that the law's name alone still means the others.
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
        """Range of each input that the fitted runs covered; inputs of no known range are left out."""
        every = {"N": self.N, "D": self.D, **self.ranges}
        return {name: limits for name, limits in every.items() if limits != (0.0, float("inf"))}


@dataclass(frozen=True, slots=True)
class Term:
    """One summand A·x^−alpha of a sum-of-powers law; ``exponents`` maps each input to its exponent's name."""

    coefficient: str
    exponents: Mapping[str, str] = field(default_factory=dict)
