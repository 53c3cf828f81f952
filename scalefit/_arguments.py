"""Argument checks shared by many functions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from scalefit._typing import Array
from scalefit.errors import ArgumentError, arg, way

_SUFFIX = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9, "bn": 1e9, "t": 1e12, "tn": 1e12, "p": 1e15, "e": 1e18}
_SUFFIX |= {"thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12}
# Marks stand between groups of thousands only: "2,31" and "5,2593" have a decimal comma and must not become 231 or
# 52593, nor "0,149" 149.
_NUMBER = re.compile(
    r"^([+-]?(?:(?:[1-9]\d{0,2}(?:(?:,\d{3})+|(?:'\d{3})+|(?: \d{3})+)|\d[\d_]*)(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?)"
    r"(?:\s*[x×*·]\s*10(?:\^|\*\*)\s*([+-]?\d+))?\s*"
    r"([kmgtpe]|bn?|tn|thousand|million|billion|trillion)?\s*(?:tok(?:en)?s?|param(?:eter)?s?|flops?)?$",
    re.IGNORECASE | re.ASCII,
)
#: Other signs for the same: full-width digits, spaces and apostrophes between thousands, a minus, marks without width.
_PLAIN = {0xFF10 + digit: str(digit) for digit in range(10)} | {0xFF0E: ".", 0xFF0C: ",", 0x2212: "-", 0x2019: "'"}
_PLAIN |= dict.fromkeys((0x00A0, 0x2007, 0x2009, 0x202F), " ") | dict.fromkeys((0x200B, 0xFEFF), "")

#: Compute in days of 1e15 FLOP per second, and what is no compute before a device is named.
_FLOP_DAYS = re.compile(r"(.+?)\s*(?:pf|petaflops?)(?:/?s)?[- ]?days?", re.IGNORECASE)
_TIME_OR_MONEY = re.compile(r"\d.*(?:hours?|hrs?|days?|gpus?|\busd\b|\beur\b)|[$€]\s*\d", re.IGNORECASE)
#: A run by its size beside the largest: 10x.
_MULTIPLE = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*[x×]", re.IGNORECASE | re.ASCII)

_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")


def plain_signs(text: str) -> str:
    """Return the text of a number in ASCII, without spaces around it."""
    return text.translate(_PLAIN).strip()


def parse_quantity(value: str | float | int) -> float:
    """Read a quantity as people type it.

    Parameters
    ----------
    value : str or number
        ``7e9``, ``"7B"``, ``"1.4T"``, ``"124M"``, ``"9_000_000"``, ``"1,000"``, ``"1'000"``, ``"1 000"``,
        ``"1.2 x 10^9"``. The suffixes k, M, G, B or Bn, T, P and E stand for powers of a thousand, in upper or lower
        case (E in upper case only). Words work too, and a unit may follow: ``"300 billion tokens"``.

    Returns
    -------
    float
        The number, in plain units.

    Raises
    ------
    ArgumentError
        The text is not a number with one of the suffixes.

    Examples
    --------
    >>> parse_quantity("7B"), parse_quantity("1.4T"), parse_quantity("1,500"), parse_quantity(5e8)
    (7000000000.0, 1400000000000.0, 1500.0, 500000000.0)
    """
    return read_quantity(value, repr(value))


def multiple_of_largest(value: Any) -> float | None:
    """Return how many times the largest run a text such as ``"10x"`` means; None for anything else.

    Examples
    --------
    >>> multiple_of_largest("10x"), multiple_of_largest("2.5 ×"), multiple_of_largest("10"), multiple_of_largest(10)
    (10.0, 2.5, None, None)
    """
    found = _MULTIPLE.fullmatch(plain_signs(value)) if isinstance(value, str) else None
    return None if found is None else float(found[1])


def read_quantity(value: str | float | int, shown: str) -> float:
    """Read a quantity; a message shows it as `shown`."""
    if isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise ArgumentError(
                f"{str(value)[:40]}... is beyond any number of parameters, tokens or FLOP",
                "nothing was computed",
                "Check it",
            ) from None
    text = plain_signs(str(value))
    match = _NUMBER.match(text)
    if match is not None and (match[3] == "e" or match[2] and "e" in match[1].lower()):
        match = None  # an exponent that was cut off, rather than exa; or two of them
    if match is None and _DECIMAL_COMMA.match(text):
        raise ArgumentError(
            f"{shown} has a comma that is not between thousands; it may be a decimal comma",
            "nothing was computed",
            "Write 5.2593 for 5,2593",
        )
    if match is None and (days := _FLOP_DAYS.fullmatch(text)):
        return read_quantity(days[1], shown) * 8.64e19
    if match is None and _TIME_OR_MONEY.search(text):
        hours = way("Hardware.named('h100').compute(hours=1e5)", "--hours 1e5 --hardware h100")
        raise ArgumentError(
            f"{shown} is time or money, and what it computes depends on the device",
            "nothing was computed",
            f"Write FLOP, such as 1e22, or name the device: {hours}",
        )
    if match is None:
        raise ArgumentError(
            f"{shown} is not a quantity",
            "nothing was computed",
            "Write a number such as 7e9, or one with a suffix: 124M, 7B, 1.4T",
        )
    number = float(re.sub("[,'_ ]", "", match[1]) + (f"e{match[2]}" if match[2] else ""))
    return number * _SUFFIX[(match[3] or "").lower()]


#: Coverage of intervals, wherever none is asked for.
LEVEL = 0.9


def check_level(level: Any) -> float:
    """Return the coverage of an interval, a number between 0 and 1."""
    number = check_number("level", level)
    if not 0 < number < 1:
        raise ArgumentError(
            f"{arg('level', level)} must be between 0 and 1",
            "nothing was computed",
            "Give the coverage of an interval, such as 0.9",
        )
    return number


def check_number(name: str, value: Any) -> float:
    """Return `value` as a float; text, complex and truth values, and arrays of one number, are not numbers."""
    if isinstance(value, (bool, str, bytes, complex)) or bool(getattr(value, "ndim", False)):
        raise ArgumentError(f"{arg(name, value)} is not a number", "nothing was computed", "Give one")
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise ArgumentError(f"{arg(name, value)} is not a number", "nothing was computed", "Give one") from None


def check_quantity(name: str, value: Any, *, zero: bool = False) -> float:
    """Return a positive finite number, or zero where that is allowed, from a number or text such as ``"7B"``."""
    if hasattr(value, "item") and np.ndim(value) == 0:  # numpy's and torch's numbers, arrays without a dimension
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ArgumentError(
            f"{arg(name, value)} must be a number, such as 1e24 or '7B'",
            "nothing was computed",
            "Correct it",
        )
    try:
        number = read_quantity(value, arg(name, value))
    except OverflowError:
        number = float("inf")
    if not np.isfinite(number) or number < 0 or (number == 0 and not zero):
        raise ArgumentError(
            f"{arg(name, value)} must be {'zero or ' if zero else ''}positive and finite",
            "nothing was computed",
            "Check the value and its unit",
        )
    return number


def as_numbers(name: str, value: Any, what: str = "a number, or numbers") -> Array:
    """Return numbers of any shape, each of which may be NaN or infinite."""
    try:
        return np.asarray(value, dtype=float)
    except (TypeError, ValueError, OverflowError):
        raise ArgumentError(f"{arg(name, value)} must be {what}", "nothing was computed", "Correct it") from None


def check_numbers(name: str, value: Any) -> Array:
    """Return numbers (n,), each of which may be NaN or infinite."""
    numbers = as_numbers(name, value, "a list of numbers")
    if numbers.ndim != 1:
        raise ArgumentError(
            f"{name} has shape {numbers.shape}", "nothing was computed", "Give a list of numbers, one after another"
        )
    return numbers


def check_count(name: str, value: Any, *, least: int = 1) -> int:
    """Return a whole number of at least `least`; every digit of a long one counts, as in a seed."""
    try:
        number = check_number(name, value)
    except ArgumentError:
        number = float("nan")
    if not (np.isfinite(number) and number == int(number) and number >= least):
        raise ArgumentError(
            f"{arg(name, value)} must be a whole number, at least {least}", "nothing was computed", "Correct it"
        )
    return int(value)


def one_of(value: Any, known: Iterable[Any]) -> bool:
    """Whether a value is one of a few names (None if it is listed); arrays and frames never are."""
    return (value is None or isinstance(value, str)) and value in known


def check_mapping(name: str, value: Any, example: str) -> dict[str, Any]:
    """Return a copy of a mapping; None gives an empty one."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ArgumentError(
            f"{arg(name, value)} must map names to values",
            "nothing was computed",
            f"Give {arg(name, shown=example)}, for one",
        )
    return dict(value)


def broadcast(columns: Mapping[str, Array]) -> tuple[tuple[int, ...], dict[str, Array]]:
    """Return the common shape of a law's inputs, and each input broadcast to that shape and flattened."""
    try:
        shape = np.broadcast_shapes(*(value.shape for value in columns.values()))
    except ValueError:
        sizes = ", ".join(f"{key} has shape {value.shape}" for key, value in columns.items())
        raise ArgumentError(
            f"The inputs do not go together: {sizes}", "nothing was computed", "Pass one value, or as many of each"
        ) from None
    return shape, {key: np.broadcast_to(value, shape).ravel() for key, value in columns.items()}
