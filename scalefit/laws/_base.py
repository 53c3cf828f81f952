"""What a law is: inputs, parameters, a formula, and the constants that papers published for it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal, cast

import numpy as np

from scalefit._typing import AnyArray, Array
from scalefit.errors import ArgumentError
from scalefit.laws._declarations import INPUTS, LOSS, Input, Shares, Target
from scalefit.laws._parameters import Constants, Parameter, Term

__all__ = ["Constants", "Law", "Parameter", "Term", "Usual"]

#: Step of the complex derivative: its error is its square, so none is left.
_COMPLEX_STEP = 1e-30


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
    takes the inputs and then the parameters, in order, and broadcasts over both. Laws have no state.

    Attributes
    ----------
    inputs : tuple of str
        Names of the law's inputs, such as ``("N", "D")``. The usual ones are declared in
        ``scalefit.laws._declarations.INPUTS``; for others, or to declare one differently, an :class:`Input` stands
        among the class attributes: ``n_experts = sf.Input("experts per layer", range=(1, 512))``.
    declarations : mapping
        Name to :class:`Input`, for each of them in order; made from the class attributes.
    target : Target
        What the law predicts; the loss [nat/token] unless it says otherwise.
    objective : {"huber", "squared", "absolute"}
        What fits minimise by default; least squares for laws whose papers used least squares.
    flops : str
        The convention that relates C to the law's N and D, unless a table or a caller names another.
    formula : str
        The formula as plain text.
    published : tuple of Constants
        Constants from papers.
    direction : mapping
        Input to -1 if the loss falls as it grows (the default), +1 if it rises, 0 if it may do either.
    choices : tuple of str
        For laws of one variable: the inputs that it can have; ``power_law:N`` picks one.
    terms : tuple of Term
        For sums of powers: the summands, from which the engine gets an exact Hessian at no cost.
    exponents : mapping
        Input to the parameters that are its exponents, if they are not in `terms`. For a law that declares none,
        parameters without effect at an input of 1 are taken as exponents.
    shares : str
        Name of the :class:`Shares` among the class attributes, which ``loss`` takes as a tuple; else empty.

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
    exponents: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    bibtex: ClassVar[str] = ""

    #: Optional: dL/dp for each parameter, same arguments as ``loss``; the complex step is used without it.
    gradient: ClassVar[Callable[..., Sequence[AnyArray]] | None] = None
    #: Optional: starts(columns, loss) -> (n_starts, n_params) when a law knows better ones than a grid.
    starts: ClassVar[Callable[..., Array] | None] = None
    #: Optional: fewest starts to walk down at any number of runs, for a law with many basins.
    n_starts: ClassVar[int] = 0
    #: The same on few runs, where each gap between runs can hold a basin.
    n_starts_on_few: ClassVar[int] = 0
    #: Name of the parameter at whose value 1 the law is the sum of its terms; empty where there is none.
    coupling: ClassVar[str] = ""
    #: Optional: parameters that other runs determine, which a fit that leaves them open is told to hold; and from what.
    hold_first: ClassVar[tuple[str, ...]] = ()
    hold_from: ClassVar[str] = ""
    #: Whether its E and exponents mean what those of the shipped prior do.
    shared_prior: ClassVar[bool] = False
    #: Name of the law's shares, and what `loss` takes, in order, with the shares and what each has as one argument.
    shares: ClassVar[str] = ""
    arguments: ClassVar[tuple[str, ...]] = ()
    #: Which domain's references are held: the one whose share lowers the loss most (-1), or raises it most (1).
    reference_by: ClassVar[Literal[-1, 1]] = -1
    _n_inputs: ClassVar[int] = 0
    #: Optional, for laws with shares: loss (b,), its gradient (n, b) and its Hessian (n, n, b) in the shares.
    in_shares: ClassVar[Callable[..., tuple[Any, Any, Any]] | None] = None
    #: Optional: rescale(params, units) -> the same law's parameters for inputs measured in other units.
    rescale: ClassVar[Callable[..., dict[str, Any]] | None] = None
    #: Inputs whose unit `rescale` can change, where these are not all.
    rescales: ClassVar[tuple[str, ...]] = ()

    loss: ClassVar[Callable[..., Any]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        found = {key: value for key, value in vars(cls).items() if isinstance(value, Parameter)}
        own = {key: value for key, value in vars(cls).items() if isinstance(value, Input)}
        if "name" not in vars(cls):
            cls.name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()
        groups = [key for key, value in vars(cls).items() if isinstance(value, Shares)]
        if groups:
            _take_shares(cls, groups, found, own)
            return
        cls.parameters = {**cls.parameters, **found}
        if "inputs" not in vars(cls):
            cls.inputs = (*cls.inputs, *(key for key in own if key not in cls.inputs))
        cls.declarations = _declared((*cls.inputs, *cls.choices), {**cls.declarations, **own})
        cls.declarations = {key: cls.declarations[key] for key in cls.inputs}
        cls.arguments = (*cls.inputs, *cls.parameters)
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
        if cls.shares:
            return cls.over(column.split(","))
        if column not in cls.choices:
            allowed = ", ".join(cls.choices) or "none: its inputs are fixed"
            raise ArgumentError(
                f"Law {cls.name} cannot be fitted in {column!r}", "nothing was done", f"Known: {allowed}"
            )
        base = cls.name.split(":")[0]
        body: dict[str, Any] = {"name": f"{base}:{column}", "inputs": (column,)}
        body["__doc__"], body["__module__"] = cls.__doc__, cls.__module__
        body["formula"] = cls.formula.replace("x", column)
        if cls.exponents:
            body["exponents"] = {column: next(iter(cls.exponents.values()))}
        body["terms"] = tuple(
            Term(t.coefficient, {column: next(iter(t.exponents.values()))} if t.exponents else {}) for t in cls.terms
        )
        return cast("type[Law]", _LawMeta(cls.__name__, (cls,), body))

    @classmethod
    def over(cls, domains: int | Sequence[str]) -> type[Law]:
        """Return this law of a mixture for these domains.

        Examples
        --------
        >>> import scalefit as sf
        >>> sf.laws.get("data_mixing").over(["web", "code"]).inputs
        ('r_web', 'r_code')
        """
        declared = cls.declared_shares()
        labels = domains if isinstance(domains, int) else [re.sub(r"[^\w./+-]+", "_", str(name)) for name in domains]
        shares = replace(declared, domains=labels)
        own = {key: getattr(cls, key, None) for key in cls.arguments}
        body: dict[str, Any] = {key: value for key, value in own.items() if isinstance(value, (Parameter, Input))}
        body[cls.shares] = shares
        body |= {
            "inputs": cls.arguments[: cls._n_inputs],
            "name": f"{cls.name.split(':')[0]}:{','.join(shares.labels)}",
        }
        body["__doc__"], body["__module__"] = cls.__doc__, cls.__module__
        return cast("type[Law]", _LawMeta(cls.__name__, (cls,), body))

    @classmethod
    def domains(cls) -> tuple[str, ...]:
        """Domains of a law with shares, in order; none for other laws.

        Examples
        --------
        >>> import scalefit as sf
        >>> sf.laws.get("data_mixing:web,code").domains()
        ('web', 'code')
        """
        return tuple(cls.declared_shares().labels) if cls.shares else ()

    @classmethod
    def declared_shares(cls) -> Shares:
        """Return the declaration of the shares in a law of mixtures; other laws (``shares`` is empty) have none.

        Examples
        --------
        >>> import scalefit as sf
        >>> sf.laws.get("data_mixing").declared_shares().tolerance
        0.01
        """
        if not cls.shares:
            raise ArgumentError(f"Law {cls.name} reads no shares", "nothing was done", "Choose a law of mixtures")
        found: Shares = getattr(cls, cls.shares)
        return found

    @classmethod
    def references(cls) -> dict[str, float]:
        """Parameters of which one domain's is held, with its value."""
        own = {key: getattr(cls, key, None) for key in cls.arguments}
        return {key: p.reference for key, p in own.items() if isinstance(p, Parameter) and p.reference is not None}

    @classmethod
    def example(cls) -> dict[str, float]:
        """Typical parameter values, for tests and figures."""
        return {name: parameter.example for name, parameter in cls.parameters.items()}

    @classmethod
    def reads(cls) -> dict[str, Input | Target]:
        """Declarations of each input, and of the target as ``loss``: for :func:`scalefit.read_runs`."""
        return {**cls.declarations, "loss": cls.target}

    @classmethod
    def evaluate(cls, columns: Mapping[str, Any], params: Mapping[str, Any]) -> Any:
        """Loss from a mapping of inputs and a mapping of parameters."""
        return cls.loss(*cls.packed(columns, params))

    @classmethod
    def packed(cls, columns: Mapping[str, Any], params: Mapping[str, Any]) -> list[Any]:
        """Arguments of `loss`, in order; the shares and what each domain has are tuples."""
        if not cls.shares:
            return [columns[key] for key in cls.inputs] + [params[key] for key in cls.parameters]
        found, labels = {**columns, **params}, cls.domains()
        together = {cls.shares, *(key for key in cls.arguments if key not in found)}
        return [
            tuple(found[f"{key}_{label}"] for label in labels) if key in together else found[key]
            for key in cls.arguments
        ]

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
            parts = cls.gradient(*cls.packed(columns, params))
            if cls.shares:  # a tuple where each domain has its own
                parts = [one for part in parts for one in (part if isinstance(part, (tuple, list)) else (part,))]
            return loss, [_shaped(part, loss.shape) for part in parts]
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


def _take_shares(
    cls: type[Law], groups: list[str], parameters: Mapping[str, Parameter], own: Mapping[str, Input]
) -> None:
    """Expand the shares of a law, and the parameters that each domain has, into one input and parameter per domain."""
    (cls.shares,) = groups
    shares: Shares = vars(cls)[cls.shares]
    inputs = tuple(vars(cls).get("inputs", (cls.shares, *own)))
    cls._n_inputs, cls.arguments = len(inputs), (*inputs, *parameters)
    cls.declarations = {}
    for key in inputs:
        cls.declarations |= shares.inputs(key) if key == cls.shares else _declared((key,), own)
    cls.inputs = tuple(cls.declarations)
    cls.direction = {**dict.fromkeys(shares.inputs(cls.shares), 0), **cls.direction}
    cls.parameters = {}
    for key, parameter in parameters.items():
        each = {}
        for j, x in enumerate(shares.labels):  # examples that differ, as equal domains make no mixture
            k = j % len(parameter.starts)
            starts = (*parameter.starts[k:], *parameter.starts[:k])
            each[f"{key}_{x}"] = replace(parameter, meaning=f"{parameter.meaning}: {x}", starts=starts)
        cls.parameters |= each if parameter.each else {key: parameter}
    _check_signature(cls)


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
    expected = cls.arguments
    actual = tuple(inspect.signature(cls.loss).parameters)
    if actual != expected:
        named = tuple(name for name in actual if name not in cls.parameters)
        how = "" if named == tuple(cls.inputs) else f". Declare what it reads in the class: inputs = {named}"
        seen = f"{cls.__name__}.loss{actual} must take its inputs then its parameters, in order: {expected}"
        raise TypeError(f"{seen}{how}")
