"""Checks of arguments that many functions share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from scalefit._typing import Array
from scalefit.errors import ArgumentError


def check_level(level: Any) -> float:
    """Return the coverage of an interval, a number between 0 and 1."""
    number = check_number("level", level)
    if not 0 < number < 1:
        raise ArgumentError(f"level={level!r} must lie between 0 and 1, for instance 0.9.")
    return number


def check_number(name: str, value: Any) -> float:
    """Return `value` as a float; text, complex and truth values are no numbers."""
    if isinstance(value, (bool, str, bytes, complex)):
        raise ArgumentError(f"{name}={value!r} is not a number.")
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise ArgumentError(f"{name}={value!r:.80} is not a number.") from None


def check_mapping(name: str, value: Any, example: str) -> dict[str, Any]:
    """Return a copy of a mapping; None is an empty one."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ArgumentError(f"{name}={value!r:.80} must map names to values, such as {name}={example}.")
    return dict(value)


def broadcast(columns: Mapping[str, Array]) -> tuple[tuple[int, ...], dict[str, Array]]:
    """Return the common shape of the inputs of a law, and each of them at that shape, made flat."""
    try:
        shape = np.broadcast_shapes(*(value.shape for value in columns.values()))
    except ValueError:
        sizes = ", ".join(f"{key} has shape {value.shape}" for key, value in columns.items())
        raise ArgumentError(f"The inputs do not go together: {sizes}. Pass one value, or as many of each.") from None
    return shape, {key: np.broadcast_to(value, shape).ravel() for key, value in columns.items()}
