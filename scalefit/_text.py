"""Numbers as people read them in running text."""

from __future__ import annotations

import difflib
import math
import textwrap
from collections.abc import Iterable

_SUPER = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
PAGE = 100  #: columns of a printed page
_SUFFIXES = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K"))


def count(value: float, digits: int = 3) -> str:
    """Parameters or tokens: 70.6B.

    Examples
    --------
    >>> count(7.06e10), count(999_999), count(1.5e17), count(float("nan")), count(3.94e5, 2)
    ('70.6B', '1M', '1.5×10¹⁷', '–', '390K')
    """
    if not math.isfinite(value):
        return "–" if math.isnan(value) else "∞"
    rounded = float(f"{value:.{digits}g}")
    if rounded >= 1e15:
        return power(value, digits)
    for size, suffix in _SUFFIXES:
        if rounded >= size:
            return f"{rounded / size:.{max(digits, 3)}g}{suffix}"  # 200M of two digits, not 2e+02M
    return f"{rounded:.{max(digits, 3)}g}"


def power(value: float, digits: int = 3) -> str:
    """A number with its power of ten: 5.76×10²³.

    Examples
    --------
    >>> power(5.76e23), power(1e19)
    ('5.76×10²³', '10¹⁹')
    """
    if not math.isfinite(value):
        return "–" if math.isnan(value) else "∞"
    if value == 0:
        return "0"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    ten = f"10{str(int(exponent)).translate(_SUPER)}"
    return ten if mantissa == "1" else f"{mantissa}×{ten}"


def loss(value: float | None) -> str:
    """A loss with four decimals."""
    return "–" if value is None or math.isnan(value) else "∞" if math.isinf(value) else f"{value:.4f}"


def times(value: float) -> str:
    """A ratio: 0.4×, 12×, 1,000×."""
    return f"{float(f'{value:.2g}'):,g}×"


def percent(level: float) -> str:
    """A level as a percentage, with the digits that were asked for: 90 %, 99.95 %."""
    return f"{100 * level:.6g} %"


def between(low: float | None, high: float | None, form: type[str] | object = None) -> str:
    """An interval in brackets; a dash where there is none."""
    write = form if callable(form) else count
    return "–" if low is None or high is None else f"[{write(low)}, {write(high)}]"


def shortlist(items: Iterable[object], most: int = 8, sep: str = ", ") -> str:
    """The first few of many, and a sign that there are more.

    Examples
    --------
    >>> shortlist(["a", "b"]), shortlist(range(9), 3)
    ('a, b', '0, 1, 2, ...')
    """
    names = [str(item) for item in items]
    return sep.join(names[:most]) + (f"{sep}..." if len(names) > most else "")


def several(n: int, noun: str) -> str:
    """A number of things.

    Examples
    --------
    >>> several(1, "run"), several(20, "time")
    ('1 run', '20 times')
    """
    return f"{n} {noun}{'' if n == 1 else 's'}"


def listing(items: Iterable[object]) -> str:
    """Items as a sentence names them.

    Examples
    --------
    >>> listing(["E"]), listing(["A", "B"]), listing(["E", "A", "B"])
    ('E', 'A and B', 'E, A and B')
    """
    *first, last = map(str, items)
    return f"{', '.join(first)} and {last}" if first else last


def nearest(asked: object, names: Iterable[object], cutoff: float = 0.6) -> str:
    """Return "Did you mean ...? " for the known name closest to what was typed; empty if none is close.

    Examples
    --------
    >>> nearest("Hubr", ["huber", "squared"]), nearest("lots", ["huber"])
    ("Did you mean 'huber'? ", '')
    """
    spelled = {_letters(name): str(name) for name in names}
    near = difflib.get_close_matches(_letters(asked), spelled, n=1, cutoff=cutoff)
    return f"Did you mean {spelled[near[0]]!r}? " if near else ""


def known(asked: object, names: Iterable[object], most: int = 60) -> str:
    """List the known names, after the one that was probably meant.

    Examples
    --------
    >>> known("hubr", ["huber", "squared"]), known(3, ["a", None])
    ("Did you mean 'huber'? Known: huber, squared", 'Known: a, None')
    """
    names = list(names)
    return f"{nearest(asked, names) if isinstance(asked, str) else ''}Known: {shortlist(names, most) or 'none'}"


def trust(trusted: bool, warnings: int, why: str = "") -> str:
    """How far to trust an answer: yes, with care or NO, with the reason or the number of warnings.

    Examples
    --------
    >>> trust(True, 0), trust(True, 2), trust(True, 1, "few runs"), trust(False, 3, "not converged")
    ('yes', 'with care (2 warnings)', 'with care (few runs; 1 warning)', 'NO (not converged)')
    """
    if not trusted:
        return f"NO ({why})" if why else "NO"
    reasons = [*([why] if why else []), *([several(warnings, "warning")] if warnings else [])]
    return f"with care ({'; '.join(reasons)})" if reasons else "yes"


def _letters(name: object) -> str:
    """A name as it is compared: in lower case, without signs."""
    return "".join(char for char in str(name).lower() if char.isalnum())


def folded(line: str) -> str:
    """A line folded to the width of a printed page; what follows is set in by four more than the line is.

    Examples
    --------
    >>> [len(part) <= 100 for part in folded("  " + 40 * "word ").splitlines()]
    [True, True, True]
    """
    if len(line) <= PAGE:
        return line
    lead = line[: len(line) - len(line.lstrip())]
    return textwrap.fill(line.lstrip(), PAGE, initial_indent=lead, subsequent_indent=lead + "    ")
