"""The inputs of a prediction: checked against the law's declarations, and completed from one another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from scalefit._arguments import as_numbers
from scalefit._typing import Array, ArrayLike
from scalefit.counting import parse_quantity
from scalefit.errors import ArgumentError, arg, way
from scalefit.flops import QUANTITIES, SIZES, FlopConvention, convention, quantity
from scalefit.laws._base import Law
from scalefit.laws._declarations import INPUTS
from scalefit.laws._registry import readers

__all__ = ["INPUTS", "check_inputs"]

#: Of three given quantities, C may differ from its convention by this fraction: FLOP are quoted to two digits.
_CONSISTENT = 0.01


def check_inputs(
    law: type[Law],
    inputs: Mapping[str, ArrayLike | None],
    flops: str | Callable[..., Any] | FlopConvention | None = None,
) -> dict[str, Array]:
    """Return the law's inputs as arrays; C follows from N and D, and D or N from C, by a FLOP convention.

    Parameters
    ----------
    law : type of Law
        The law.
    inputs : mapping
        Name to value; None means not given.
    flops : str, FlopConvention or callable, optional
        Convention that relates C to N and D; the law's own by default.

    Raises
    ------
    ArgumentError
        An input is missing, is not read by the law, is outside its range, or a C contradicts N and D.
    """
    inputs = spread_shares(law, inputs)
    there = [key for key, value in inputs.items() if value is not None]
    rule = convention(law.flops if flops is None else flops)
    strange = sorted({*there} - {*law.inputs, *_computing(law, there, rule)})
    if strange == ["C"] and there == ["C"] and set(SIZES) <= set(law.inputs):
        budget = _first("C", _as_numbers("C", inputs["C"]))
        best = way(f"sf.plan(result, C={budget})", f"scalefit plan result.json --C {budget}")
        raise ArgumentError(
            f"Law {law.name} reads {', '.join(law.inputs)}, and a budget alone fixes none of them",
            "nothing was predicted",
            f"Give N and D, or ask {best} for the best ones",
        )
    if strange:
        others = readers(strange[0])
        known = f" Laws that read {strange[0]}: {', '.join(others)}." if others else ""
        raise ArgumentError(
            f"Law {law.name} does not read {', '.join(strange)}",
            "nothing was predicted",
            f"It reads {', '.join(law.inputs)}.{known}",
        )
    given = {key: _as_numbers(key, inputs[key]) for key in there}
    for key, value in given.items():
        declared = law.declarations.get(key) or INPUTS.get(key)
        if declared is not None and not declared.admits(value).all():
            raise ArgumentError(
                f"{arg(key, value.tolist())} is not {declared.allowed}",
                "nothing was predicted",
                "Check it and its unit",
            )
    columns = _complete(law, given, rule)
    for key, declared in law.declarations.items():
        if key not in columns and declared.optional is not None:
            default = declared.optional
            if not isinstance(default, str):
                columns[key] = np.asarray(float(default))
            elif default in columns:
                columns[key] = columns[default]
    absent = [key for key in law.inputs if key not in columns]
    if absent:
        raise ArgumentError(
            f"Law {law.name} needs {', '.join(law.inputs)}; {', '.join(absent)} is missing",
            "nothing was predicted",
            (f"pass {', '.join(arg(key, ...) for key in absent)}", way("", f"pass --at {_point(law, columns)}")),
        )
    columns = {key: columns[key] for key in law.inputs}
    if law.shares:
        _demand_whole(law, columns)
    return columns


def _point(law: type[Law], given: Mapping[str, Array]) -> str:
    """A point as the shell takes it, what is missing left open: N=7B,D=..."""
    return ",".join(f"{key}={_first(key, given.get(key, np.empty(0)))}" for key in law.inputs)


def _first(key: str, values: Array) -> str:
    """The first value of an input as the shell takes it, left open where there is none."""
    return quantity(key, float(values.flat[0])) if values.size else "..."


def spread_shares(law: type[Law], inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Inputs with the shares of a mixture, given as a whole, one by one.

    ``r={"web": 0.7, "code": 0.3}`` and ``r=[0.7, 0.3]``, several mixtures as rows, become ``r_web`` and ``r_code``.
    """
    if not law.shares or inputs.get(law.shares) is None:
        return inputs
    name, domains = law.shares, law.domains()
    given = inputs[name]
    rest = {key: value for key, value in inputs.items() if key != name}
    if hasattr(given, "to_dict"):  # a Series of shares by domain, or a frame with a column for each
        given = dict(given.items())
    if isinstance(given, Mapping):
        shares = {str(key).removeprefix(f"{name}_"): value for key, value in given.items()}
        unknown = sorted(set(shares) - set(domains))
        if unknown:
            raise ArgumentError(
                f"{name} names {', '.join(unknown[:5])}, and the law knows {', '.join(domains)}",
                "nothing was predicted",
                "Name its domains; what is left out counts as 0",
            )
        return {**rest, **{f"{name}_{domain}": shares.get(domain, 0.0) for domain in domains}}
    table = as_numbers(name, given, "shares, one for each domain")
    if table.ndim == 0 or table.shape[-1] != len(domains):
        raise ArgumentError(
            f"{name} has shape {table.shape} and the law {len(domains)} domains ({', '.join(domains)})",
            "nothing was predicted",
            "Give one share for each, in this order",
        )
    return {**rest, **{f"{name}_{domain}": table[..., k] for k, domain in enumerate(domains)}}


def _demand_whole(law: type[Law], columns: Mapping[str, Array]) -> None:
    """Raise where shares do not sum to 1."""
    total = np.asarray(sum(columns[f"{law.shares}_{domain}"] for domain in law.domains()))
    off = np.abs(total - 1)
    if (off > law.declared_shares().tolerance).any():
        raise ArgumentError(
            f"The shares sum to {float(total.flat[int(np.argmax(off))]):.4g}, not to 1",
            "nothing was predicted",
            f"Give all of {', '.join(f'{law.shares}_{domain}' for domain in law.domains())}, each as a part of 1",
        )


def _computing(law: type[Law], given: Iterable[str], rule: FlopConvention) -> set[str]:
    """Which of N, D and C the law does not read itself but which give an input, or check the other two."""
    if not rule.computes:
        return set()
    trio = set(QUANTITIES)
    here = trio & set(given)
    if here == trio:
        return trio | set(rule.reads)
    if len(here) == 2 and (trio - here) & set(law.inputs):
        return here | set(rule.reads)
    return set()


def _complete(law: type[Law], given: dict[str, Array], rule: FlopConvention) -> dict[str, Array]:
    columns = dict(given)
    if not rule.computes:
        return columns
    more = {key: given[key] for key in rule.reads if key in given}
    if set(QUANTITIES) <= set(given):
        implied = rule.train(given["N"], given["D"], **more)
        off = np.abs(np.log(given["C"] / implied))
        if (off > np.log1p(_CONSISTENT)).any():
            C, by_rule = np.broadcast_arrays(given["C"], implied)
            worst = int(np.argmax(off))
            raise ArgumentError(
                f"{arg('C', shown=f'{C.flat[worst]:.4g}')} contradicts N and D, which give {by_rule.flat[worst]:.4g} "
                f"FLOP by {rule.name}",
                "nothing was predicted",
                "Leave out one of the three",
            )
    elif "C" in law.inputs and set(SIZES) <= set(given):
        columns["C"] = rule.train(given["N"], given["D"], **more)
    elif "D" in law.inputs and {"N", "C"} <= set(given):
        columns["D"] = rule.tokens(given["C"], given["N"], **more)
    elif "N" in law.inputs and {"D", "C"} <= set(given):
        columns["N"] = rule.size(given["C"], given["D"], **more)
    return columns


def _as_numbers(name: str, value: Any) -> Array:
    """Return an input as floats; quantities may be text, such as ``"7B"``."""
    if isinstance(value, str):
        return np.asarray(parse_quantity(value))
    try:
        cells = np.asarray(value)
        if cells.dtype.kind == "b":
            raise TypeError
        if cells.dtype.kind in "UO":
            read = [parse_quantity(cell) if isinstance(cell, str) else float(cell) for cell in cells.ravel()]
            return np.asarray(read, dtype=float).reshape(cells.shape)
        return np.asarray(value, dtype=float)
    except (TypeError, ValueError, OverflowError):
        raise ArgumentError(
            f"{arg(name, value)} must be a number or an array of them", "nothing was predicted", "Correct it"
        ) from None
