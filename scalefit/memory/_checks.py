"""What the theory's functions accept, and the one clear error for what they do not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from scalefit._typing import Array, ArrayLike
from scalefit.errors import ArgumentError

Convention = Literal["exact", "paper"]
Dimension = Literal["sequence", "token"]

CONVENTIONS = ("exact", "paper")
DIMENSIONS = ("sequence", "token")


def choice(name: str, value: object, allowed: Sequence[str]) -> None:
    """Refuse a keyword that is not one of the allowed words."""
    if not isinstance(value, str) or value not in allowed:
        raise ArgumentError(f"{name} is {value!r}; it must be one of {', '.join(map(repr, allowed))}.")


def reals(name: str, value: ArrayLike) -> Array:
    """Return real numbers as float64, or say what is there instead."""
    try:
        raw = np.asarray(value)
    except ValueError as error:
        raise ArgumentError(f"{name} is {_shown(value)}: rows of different lengths are no array.") from error
    if raw.dtype == bool or raw.dtype.kind not in "iufO":
        raise ArgumentError(f"{name} is {_shown(value)}; it must hold real numbers.")
    try:
        return np.asarray(raw, float)
    except (TypeError, ValueError, OverflowError) as error:
        raise ArgumentError(f"{name} is {_shown(value)}; it must hold real numbers.") from error


def positive(name: str, value: ArrayLike, *, unit: str = "", integer: bool = False) -> Array:
    """Return positive finite numbers as float64; the first that is not one is named with its place."""
    numbers = reals(name, value)
    with np.errstate(invalid="ignore"):
        good = np.isfinite(numbers) & (numbers > 0)
        if integer:
            good &= numbers == np.floor(numbers)
    if not np.all(good):
        kind = "a positive integer" if integer else "positive and finite"
        raise ArgumentError(
            f"{first_bad(name, numbers, good)}; it must be {kind}{f' [{unit}]' if unit else ''}. "
            f"Nothing was computed: correct the value{' or drop the row' if numbers.ndim else ''}."
        )
    return numbers


def first_bad(name: str, numbers: Array, good: Any) -> str:
    """Name the first value that fails, with its row where there are rows."""
    if numbers.ndim == 0:
        return f"{name} is {numbers:g}"
    row = int(np.flatnonzero(~np.ravel(good))[0])
    others = int(np.size(good) - np.count_nonzero(good)) - 1
    return f"{name} is {np.ravel(numbers)[row]:g} in row {row}" + (f" (and {others} more)" if others else "")


def as_given(result: Array, *inputs: ArrayLike) -> Any:
    """Return a float where every input was a scalar, the array otherwise."""
    return float(result) if all(np.ndim(value) == 0 for value in inputs) else result


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
