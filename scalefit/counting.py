"""Numbers and their conventions: quantities as people type them, FLOP conventions, loss units.

Exponents move from 0.54 to 0.37 with the counting convention alone, so a convention always has a name here.
"""

from __future__ import annotations

import math
import re

import numpy as np

from scalefit._typing import Array, ArrayLike
from scalefit.errors import ArgumentError

_SUFFIX = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9, "t": 1e12, "p": 1e15, "e": 1e18}
# Commas stand between thousands only: "2,31" is a decimal comma, which must not become 231.
_NUMBER = re.compile(
    r"^([+-]?(?:(?:\d{1,3}(?:,\d{3})+|\d[\d_]*)\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*([kmgbtpe]?)$",
    re.IGNORECASE | re.ASCII,
)

#: Conventions for training compute from N and D; each value is FLOP per parameter and token.
FLOP_CONVENTIONS = {"6ND": 6.0}


def parse_quantity(value: str | float | int) -> float:
    """Read a quantity as people type it.

    Parameters
    ----------
    value : str or number
        ``7e9``, ``"7B"``, ``"1.4T"``, ``"124M"``, ``"9_000_000"``, ``"1,000"``. Suffixes k, M, G or B, T, P,
        E are powers of a thousand, in either case.

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
    if isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool):
        return float(value)
    match = _NUMBER.match(str(value).strip())
    if match is None:
        raise ArgumentError(
            f"{value!r} is not a quantity. Write a number such as 7e9, or one with a suffix: 124M, 7B, 1.4T."
        )
    return float(match[1].replace(",", "").replace("_", "")) * _SUFFIX[match[2].lower()]


def training_flops(N: ArrayLike, D: ArrayLike, convention: str = "6ND") -> Array:
    """Training compute C [FLOP] of N [parameters] on D [tokens] under a named convention.

    Examples
    --------
    >>> float(training_flops(70e9, 1.4e12))
    5.88e+23
    """
    return np.asarray(_factor(convention) * np.asarray(N, float) * np.asarray(D, float))


def _factor(convention: str) -> float:
    if convention not in FLOP_CONVENTIONS:
        raise ArgumentError(f"Unknown FLOP convention {convention!r}. Known: {', '.join(FLOP_CONVENTIONS)}.")
    return FLOP_CONVENTIONS[convention]


def nats_per_token(loss: ArrayLike, unit: str, bytes_per_token: ArrayLike | None = None) -> Array:
    """Convert a loss to nats per token.

    Parameters
    ----------
    loss : array_like
        The loss, in `unit`.
    unit : {"nat/token", "bit/token", "bit/byte", "nat/byte"}
        Its unit.
    bytes_per_token : array_like, optional
        Average bytes of text per token [byte/token]; needed for losses per byte.

    Returns
    -------
    ndarray
        The loss [nat/token].

    Raises
    ------
    ArgumentError
        Unknown unit, or a loss per byte without `bytes_per_token`.

    Examples
    --------
    >>> round(float(nats_per_token(0.9, "bit/byte", bytes_per_token=4.5)), 4)
    2.8072
    """
    values = np.asarray(loss, float)
    if unit == "nat/token":
        return values
    if unit == "bit/token":
        return np.asarray(values * math.log(2.0))
    if unit in ("bit/byte", "nat/byte"):
        if bytes_per_token is None:
            raise ArgumentError(f"A loss in {unit} needs bytes_per_token= to become nats per token.")
        nats = values * (math.log(2.0) if unit == "bit/byte" else 1.0)
        return np.asarray(nats * np.asarray(bytes_per_token, float))
    raise ArgumentError(f"Unknown loss unit {unit!r}. Known: nat/token, bit/token, bit/byte, nat/byte.")
