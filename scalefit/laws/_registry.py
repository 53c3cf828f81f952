"""Every law there is: the files of this folder, found by being there."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from functools import cache
from pathlib import Path

from scalefit.errors import ArgumentError
from scalefit.laws._base import Law


@cache
def registry() -> dict[str, type[Law]]:
    """Laws by name; a law's module is imported when somebody first asks."""
    found: dict[str, type[Law]] = {}
    for info in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if info.name.startswith("_"):
            continue
        module = importlib.import_module(f"{__package__}.{info.name}")
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
    return list(registry())


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
    laws = registry()
    if base not in laws:
        near = difflib.get_close_matches(base, laws, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ArgumentError(
            f"There is no law {name!r:.60}, and nothing was done.{hint} Choose one of the {len(laws)} that "
            "sf.laws.names() or `scalefit laws` list."
        )
    return laws[base].on(column) if column else laws[base]


def readers(name: str) -> list[str]:
    """Names of the laws that read an input."""
    return [law.name for law in registry().values() if name in law.inputs or name in law.choices]
