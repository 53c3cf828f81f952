"""Checks of the arguments of the theory's functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from scalefit._text import known
from scalefit._typing import Array, ArrayLike, Seed
from scalefit.errors import ArgumentError, arg

Convention = Literal["exact", "paper"]
Dimension = Literal["sequence", "token"]
Patterns = Literal["replicated", "split"]

CONVENTIONS = ("exact", "paper")
DIMENSIONS = ("sequence", "token")
PATTERNS = ("replicated", "split")


def choice(name: str, value: object, allowed: Sequence[str]) -> None:
    """Raise if a keyword is not one of the allowed words."""
    if not isinstance(value, str) or value not in allowed:
        raise ArgumentError(f"{arg(name, value)} is not known", "nothing was computed", known(value, allowed))


def reals(name: str, value: ArrayLike) -> Array:
    """Return real numbers as float64; raise for anything else."""
    try:
        raw = np.asarray(value)
    except ValueError as error:
        raise ArgumentError(
            f"{arg(name, shown=_shown(value))} has rows of different lengths",
            "nothing was computed",
            "Give rows of one length",
        ) from error
    if raw.dtype.kind not in "iufO" or value is None:
        raise ArgumentError(
            f"{arg(name, shown=_shown(value))} is not a real number", "nothing was computed", "Give real numbers"
        )
    try:
        return np.asarray(raw, float)
    except (TypeError, ValueError, OverflowError) as error:
        raise ArgumentError(
            f"{arg(name, shown=_shown(value))} is not a real number", "nothing was computed", "Give real numbers"
        ) from error


def positive(
    name: str, value: ArrayLike, *, unit: str = "", integer: bool = False, rows: Sequence[Any] | None = None
) -> Array:
    """Return positive finite numbers as float64; the first that is not one is named, by its label in `rows`."""
    numbers = reals(name, value)
    with np.errstate(invalid="ignore"):
        good = np.isfinite(numbers) & (numbers > 0)
        if integer:
            good &= numbers == np.floor(numbers)
    if not np.all(good):
        kind = "a positive integer" if integer else "positive and finite"
        raise ArgumentError(
            f"{first_bad(name, numbers, good, rows)} must be {kind}{f' [{unit}]' if unit else ''}",
            "nothing was computed",
            f"Correct the value{' or drop the row' if numbers.ndim else ''}",
        )
    return numbers


def scalar(name: str, value: Any, *, integer: bool = False) -> float:
    """Return one positive finite number; raise for anything else."""
    number = positive(name, value, integer=integer)
    if number.ndim:
        raise ArgumentError(
            f"{name} has shape {number.shape} and must be one number", "nothing was computed", "Give one"
        )
    return float(number)


def generator(seed: Seed) -> np.random.Generator | np.random.RandomState:
    """Return the random generator of a seed."""
    if isinstance(seed, (np.random.Generator, np.random.RandomState)):
        return seed
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError) as error:
        raise ArgumentError(
            f"{arg('seed', shown=_shown(seed))} is not a seed",
            "nothing was drawn",
            "Give a whole number, zero or more, or a Generator",
        ) from error


def broadcast(**values: Array) -> list[Array]:
    """Broadcast arrays against each other, or name the shapes that do not fit."""
    try:
        return list(np.broadcast_arrays(*values.values()))
    except ValueError as error:
        shapes = ", ".join(f"{name} {value.shape}" for name, value in values.items())
        raise ArgumentError(
            f"Shapes do not broadcast: {shapes}", "nothing was computed", "Give arrays of one shape, or scalars"
        ) from error


def first_bad(name: str, numbers: Array, good: Any, rows: Sequence[Any] | None = None) -> str:
    """Name the first value that fails, with its row where there are rows."""
    if numbers.ndim == 0:
        return arg(name, shown=f"{numbers:g}")
    row = int(np.flatnonzero(~np.ravel(good))[0])
    others = int(np.size(good) - np.count_nonzero(good)) - 1
    place = row if rows is None else rows[row]
    value = arg(name, shown=f"{np.ravel(numbers)[row]:g}")
    return f"{value} in row {place}" + (f" (and {others} more)" if others else "")


def as_given(result: Array, *inputs: ArrayLike) -> Any:
    """Return a float where every input was a scalar, the array otherwise."""
    return float(result) if all(np.ndim(value) == 0 for value in inputs) else result


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
