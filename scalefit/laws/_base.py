"""What a law is: inputs, parameters, a formula, and the constants that papers published for it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, cast

import numpy as np

from scalefit._typing import AnyArray, Array
from scalefit.counting import PARAMS_CONVENTIONS
from scalefit.errors import ArgumentError
from scalefit.laws._declarations import INPUTS, LOSS, Golden, Input, Target

_COMPLEX_STEP = 1e-30

#: Exponents worth starting from when a law does not say: three octaves either side of what is published.
EXPONENT_GRID = tuple(float(value) for value in np.geomspace(0.05, 1.5, 8))


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a law.

    Parameters
    ----------
    meaning : str
        What it is, in a few words; printed beside every fit.
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
    """

    meaning: str
    bounds: tuple[float, float]
    starts: Sequence[float] = EXPONENT_GRID
    unit: str = "-"
    log: bool = False
    linear: bool = False
    own: bool = False

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

    def __post_init__(self) -> None:
        if self.params not in PARAMS_CONVENTIONS:
            raise ArgumentError(
                f"Constants {self.key!r} have params={self.params!r}; nothing was declared. Known: "
                f"{', '.join(PARAMS_CONVENTIONS)}."
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


class _LawMeta(type):
    """Laws are used as classes; this makes them print as their names."""

    name: str

    def __str__(cls) -> str:
        return cls.name

    def __repr__(cls) -> str:
        return f"<law {cls.name}>"


class Law(metaclass=_LawMeta):
    """Base class of every scaling law: subclass it in one file, or in a notebook cell.

    A law declares ``inputs``, one :class:`Parameter` per parameter as class attributes, and a static ``loss`` that
    takes the inputs and then the parameters, in order, and broadcasts over both. Laws carry no state.

    Attributes
    ----------
    inputs : tuple of str
        Names of what the law reads, such as ``("N", "D")``. The usual ones are declared in
        ``scalefit.laws._declarations.INPUTS``; for others, or to declare one differently, an :class:`Input` stands
        among the class attributes: ``n_experts = sf.Input("experts per layer", range=(1, 512))``.
    declarations : mapping
        Name to :class:`Input`, for each of them in order; made from the class attributes.
    target : Target
        What the law predicts; the loss [nat/token] unless it says otherwise.
    objective : {"huber", "squared", "absolute"}
        What fits minimise unless asked otherwise; least squares where the paper's constants are of least squares.
    flops : str
        The convention that ties C to the law's N and D, unless a table or a caller names another.
    formula : str
        The formula as people read it.
    published : tuple of Constants
        Constants from papers.
    direction : mapping
        Input to -1 where the loss falls as it grows (the default), +1 where it rises, 0 where it may do either.
    choices : tuple of str
        For laws in one variable: the inputs it may be asked about; ``power_law:N`` picks one.
    terms : tuple of Term
        For sums of powers: the summands; gives the engine an exact Hessian for nothing.

    Examples
    --------
    >>> import scalefit as sf
    >>> class Saturating(sf.Law):
    ...     '''L(D) = E + B / (1 + D / D_c).'''
    ...     inputs = ("D",)
    ...     formula = "L(D) = E + B / (1 + D / D_c)"
    ...     E = sf.Parameter("irreducible loss", (0.0, 10.0), unit="nat/token", log=True, linear=True)
    ...     B = sf.Parameter("loss to gain", (1e-3, 1e3), unit="nat/token", log=True, linear=True)
    ...     D_c = sf.Parameter("tokens at half gain", (1e3, 1e15), (1e7, 1e9, 1e11), unit="tokens", log=True)
    ...     @staticmethod
    ...     def loss(D, E, B, D_c):
    ...         return E + B / (1 + D / D_c)
    >>> Saturating.name, list(Saturating.parameters)
    ('saturating', ['E', 'B', 'D_c'])
    """

    name: ClassVar[str] = "law"
    inputs: ClassVar[tuple[str, ...]] = ()
    declarations: ClassVar[dict[str, Input]] = {}
    target: ClassVar[Target] = LOSS
    flops: ClassVar[str] = "6ND"
    objective: ClassVar[Literal["huber", "squared", "absolute"]] = "huber"
    formula: ClassVar[str] = ""
    parameters: ClassVar[dict[str, Parameter]] = {}
    published: ClassVar[tuple[Constants, ...]] = ()
    direction: ClassVar[Mapping[str, int]] = {}
    choices: ClassVar[tuple[str, ...]] = ()
    terms: ClassVar[tuple[Term, ...]] = ()
    bibtex: ClassVar[str] = ""

    #: Optional: dL/dp for each parameter, same arguments as ``loss``; the complex step is used without it.
    gradient: ClassVar[Callable[..., Sequence[AnyArray]] | None] = None
    #: Optional: starts(columns, loss) -> (n_starts, n_params) when a law knows better ones than a grid.
    starts: ClassVar[Callable[..., Array] | None] = None
    #: Optional: fewest starts to walk down at any number of runs, for a law with many basins.
    n_starts: ClassVar[int] = 0
    #: Name of the parameter at whose value 1 the law is the sum of its terms; empty where there is none.
    coupling: ClassVar[str] = ""
    #: Whether its E and exponents mean what those of the shipped prior do.
    shared_prior: ClassVar[bool] = False
    #: Optional: rescale(params, units) -> the same law's parameters for inputs measured in other units.
    rescale: ClassVar[Callable[..., dict[str, Any]] | None] = None

    loss: ClassVar[Callable[..., Any]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        found = {key: value for key, value in vars(cls).items() if isinstance(value, Parameter)}
        cls.parameters = {**cls.parameters, **found}
        own = {key: value for key, value in vars(cls).items() if isinstance(value, Input)}
        if "inputs" not in vars(cls):
            cls.inputs = (*cls.inputs, *(key for key in own if key not in cls.inputs))
        cls.declarations = _declared((*cls.inputs, *cls.choices), {**cls.declarations, **own})
        cls.declarations = {key: cls.declarations[key] for key in cls.inputs}
        if "name" not in vars(cls):
            cls.name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()
        if "loss" in vars(cls) and not cls.choices:
            _check_signature(cls)

    @classmethod
    def on(cls, column: str) -> type[Law]:
        """Return this one-variable law in the variable `column` (one of ``choices``).

        Examples
        --------
        >>> import scalefit as sf
        >>> sf.laws.get("power_law").on("N").inputs
        ('N',)
        """
        if column not in cls.choices:
            allowed = ", ".join(cls.choices) or "none: its inputs are fixed"
            raise ArgumentError(f"Law {cls.name} cannot be fitted in {column!r}; nothing was done. Known: {allowed}.")
        base = cls.name.split(":")[0]
        body: dict[str, Any] = {"name": f"{base}:{column}", "inputs": (column,)}
        body["__doc__"], body["__module__"] = cls.__doc__, cls.__module__
        body["formula"] = cls.formula.replace("x", column)
        body["terms"] = tuple(
            Term(t.coefficient, {column: next(iter(t.exponents.values()))} if t.exponents else {}) for t in cls.terms
        )
        return cast("type[Law]", _LawMeta(cls.__name__, (cls,), body))

    @classmethod
    def example(cls) -> dict[str, float]:
        """Typical parameter values, for tests and pictures."""
        return {name: parameter.example for name, parameter in cls.parameters.items()}

    @classmethod
    def evaluate(cls, columns: Mapping[str, Any], params: Mapping[str, Any]) -> Any:
        """Loss from a mapping of inputs and a mapping of parameters."""
        return cls.loss(*(columns[key] for key in cls.inputs), *(params[key] for key in cls.parameters))

    @classmethod
    def derivatives(cls, columns: Mapping[str, Any], params: Mapping[str, Any]) -> tuple[Array, list[Array]]:
        """Loss and dL/dp for every parameter, by the law's own gradient or by the complex step.

        Returns
        -------
        loss : ndarray
            Broadcast of inputs and parameters.
        gradient : list of ndarray
            One per parameter, in order.
        """
        loss = np.asarray(cls.evaluate(columns, params))
        if cls.gradient is not None:
            arguments = [columns[key] for key in cls.inputs] + [params[key] for key in cls.parameters]
            return loss, [_shaped(part, loss.shape) for part in cls.gradient(*arguments)]
        return loss, [_shaped(part, loss.shape) for part in cls.complex_step(columns, params)]

    @classmethod
    def complex_step(cls, columns: Mapping[str, Any], params: Mapping[str, Any]) -> list[Array]:
        """dL/dp by the complex step (Squire & Trapp 1998): exact to rounding, no step to choose."""
        out = []
        for key in cls.parameters:
            value = np.asarray(params[key], dtype=complex)
            size = _COMPLEX_STEP * np.maximum(np.abs(value.real), 1e-100)
            moved = {**params, key: value + 1j * size}
            out.append(np.asarray(np.imag(cls.evaluate(columns, moved)) / size))
        return out


def _declared(names: Sequence[str], own: Mapping[str, Input]) -> dict[str, Input]:
    """Declarations by name: the law's own, the usual ones, or one that says only that values are positive."""
    return {
        key: own.get(key) or INPUTS.get(key) or Input(key, (key.lower(),), typical=(1.0, 10.0, 100.0)) for key in names
    }


class Usual:
    """The five parameters of a sum of powers in N and D, which many laws share."""

    E = Parameter("irreducible loss", (0.0, 20.0), (0.5, 1.7, 3.0), unit="nat/token", log=True, linear=True, own=True)
    A = Parameter("model-size coefficient", (0.0, 1e20), (10.0, 400.0, 1e4), log=True, linear=True, own=True)
    alpha = Parameter("model-size exponent", (0.0, 3.0))
    B = Parameter("data coefficient", (0.0, 1e20), (10.0, 400.0, 1e4), log=True, linear=True, own=True)
    beta = Parameter("data exponent", (0.0, 3.0))


def _shaped(part: Any, shape: tuple[int, ...]) -> Array:
    # Nearly every part has the shape already, and broadcasting costs as much as computing it on a small table.
    return part if np.shape(part) == shape else np.broadcast_to(part, shape)


def _check_signature(cls: type[Law]) -> None:
    expected = (*cls.inputs, *cls.parameters)
    actual = tuple(inspect.signature(cls.loss).parameters)
    if actual != expected:
        raise TypeError(f"{cls.__name__}.loss{actual} must take its inputs then its parameters, in order: {expected}")
