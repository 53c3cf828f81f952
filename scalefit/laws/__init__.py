"""Scaling laws, one file each, found by being in this folder.

To add one, copy ``_template.py`` to a name of its own; nothing else needs an edit.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from functools import cache

from scalefit.errors import ArgumentError
from scalefit.laws._base import Constants, Law, Parameter, Term
from scalefit.laws._published import PublishedLaw, available, published

__all__ = ["Constants", "Law", "Parameter", "PublishedLaw", "Term", "available", "get", "names", "published"]


@cache
def _registry() -> dict[str, type[Law]]:
    found: dict[str, type[Law]] = {}
    for info in pkgutil.iter_modules(__path__):
        if info.name.startswith("_"):
            continue
        module = importlib.import_module(f"{__name__}.{info.name}")
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, Law) and value.__module__ == module.__name__:
                found[value.name] = value
    return dict(sorted(found.items()))


def names() -> list[str]:
    """Names of every law in the registry.

    Examples
    --------
    >>> import scalefit as sf
    >>> "chinchilla" in sf.laws.names()
    True
    """
    return list(_registry())


def get(name: str | type[Law] | Law) -> type[Law]:
    """Return a law by name, or of which this is one; a law of one variable takes it after a colon (``"power_law:N"``).

    Raises
    ------
    ArgumentError
        No law has this name; the message lists those that exist.

    Examples
    --------
    >>> import scalefit as sf
    >>> sf.laws.get("chinchilla").formula
    'L(N, D) = E + A N^-alpha + B D^-beta'
    """
    if isinstance(name, Law):
        return type(name)
    if isinstance(name, type) and issubclass(name, Law):
        return name
    if not isinstance(name, str):
        raise ArgumentError(
            f"{name!r} is neither a law's name nor a subclass of scalefit.Law. Nothing was done. Give one of them."
        )
    base, _, column = name.partition(":")
    laws = _registry()
    if base not in laws:
        near = difflib.get_close_matches(base, laws, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ArgumentError(f"There is no law {name!r}, and nothing was done.{hint} Known: {', '.join(laws)}.")
    return laws[base].on(column) if column else laws[base]
