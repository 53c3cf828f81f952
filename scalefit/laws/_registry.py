"""Every law: the files of this folder, laws of installed packages, and files that a user names."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from scalefit._text import nearest
from scalefit.errors import ArgumentError, way
from scalefit.laws._base import Law
from scalefit.laws._outside import in_a_file, law_in_file, law_of_package, package_of, plugins


@cache
def registry() -> dict[str, type[Law]]:
    """Laws of scalefit's own by name; a law's module is imported when somebody first asks."""
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
    """Names of every law in the registry, those of installed packages included.

    Examples
    --------
    >>> import scalefit as sf
    >>> "chinchilla" in sf.laws.names()
    True
    """
    return sorted({*registry(), *plugins()})


def get(name: str | type[Law] | Law) -> type[Law]:
    """Return a law by name (a law is returned as it is); the variable of some follows a colon (``"power_law:N"``).

    Case, hyphens and underscores do not matter, and a law is also found by its authors: ``"hoffmann2022"``,
    ``"Hoffmann"``. ``"mylaw.py:Mine"`` runs that file and returns its class ``Mine``: name only files that you trust.
    A package provides laws by entry points of the group ``scalefit.laws``; it is imported when its law is asked for.

    Raises
    ------
    ArgumentError
        No law or several laws have this name, or the file or package does not contain it; the message says which.

    Examples
    --------
    >>> import scalefit as sf
    >>> sf.laws.get("chinchilla").formula
    'L(N, D) = E + A N^-alpha + B D^-beta'
    >>> sf.laws.get("Hoffmann2022"), sf.laws.get("Joint-MoE")
    (<law chinchilla>, <law joint_moe>)
    """
    if isinstance(name, Law):
        return type(name)
    if isinstance(name, type) and issubclass(name, Law):
        return name
    if not isinstance(name, str):
        raise ArgumentError(
            f"{name!r} is neither a law's name nor a subclass of scalefit.Law", "nothing was done", "Give one of them"
        )
    if (found := in_a_file(name)) is not None:
        return _on(_own(law_in_file(found), found["path"]), found["column"])
    base, _, column = name.partition(":")
    return _on(registry().get(base) or _by_spelling(base) or _by_authors(base), column)


def usable() -> tuple[dict[str, type[Law]], dict[str, str]]:
    """Every law by name, and for laws of installed packages that cannot be used, the reason by name."""
    found, refused = dict(registry()), {}
    for name, points in plugins().items():
        try:
            if name in found:
                packages = " and ".join(map(package_of, points))
                raise ArgumentError(
                    f"A law of {packages} is named {name!r}, as one of scalefit's own is",
                    "it was left out",
                    "Rename it there",
                )
            found[name] = law_of_package(points)
        except ArgumentError as error:
            refused[name] = str(error)
    return dict(sorted(found.items())), refused


def known(name: str) -> type[Law] | None:
    """One of scalefit's own laws by its exact name, for names in files: nothing else is run or imported."""
    base, _, column = name.partition(":")
    law = registry().get(base)
    if law is None:
        return None
    domains = column.split(",") if law.shares else []  # of a mixture: two or more, all different
    if column and column not in law.choices and not 1 < len(set(domains)) == len(domains):
        return None
    return _on(law, column)


def readers(name: str) -> list[str]:
    """Names of the laws that read an input."""
    return [law.name for law in registry().values() if name in law.inputs or name in law.choices]


def _on(law: type[Law], column: str | None) -> type[Law]:
    if not column:
        return law
    return law.on(next((one for one in law.choices if one.lower() == column.strip().lower()), column))


def _own(law: type[Law], where: str) -> type[Law]:
    """The law of a file, whose name must not be that of one of scalefit's own: saved results go by it."""
    if law.name in registry():
        raise ArgumentError(
            f"{where} has a law named {law.name!r}, as one of scalefit's own is",
            "it was not taken",
            "Give it another name (name = ...), so that saved results say which of them they are of",
        )
    return law


def _by_spelling(base: str) -> type[Law] | None:
    """The law whose name this is in another spelling: one of scalefit's own, or of an installed package."""
    asked = plain(base)
    for law in registry().values():
        if plain(law.name) == asked:
            return law
    points = [point for name, same in plugins().items() if plain(name) == asked for point in same]
    return law_of_package(points) if points else None


def _by_authors(base: str) -> type[Law]:
    found = _laws_of_authors(plain(base))
    if len(found) > 1:
        raise ArgumentError(
            f"{base!r:.60} stands for {len(found)} laws: {', '.join(law.name for law in found)}",
            "none was taken",
            "Name one of them",
        )
    if found:
        return found[0]
    every = names()
    authors = (
        author for law in registry().values() for key in (*_cited(law), *_keys(law)) for author in _spellings(key)
    )
    hint = nearest(base, (*every, *authors))
    raise ArgumentError(
        f"There is no law {base!r:.60}",
        "nothing was done",
        f"{hint}Choose one of the {len(every)} that {way('sf.laws.names()', 'scalefit laws')} lists, or name a file "
        "(mylaw.py:Mine)",
    )


def _laws_of_authors(asked: str) -> list[type[Law]]:
    """Laws by author, or author and year, as they cite and as they key their constants: the best of those found.

    A law that both cites the authors and has their constants is before one that has only either; a law named for its
    author is before the author's others, and one whose name the others extend (broken_power_law_2) before those.
    """
    worth = {law: (_stands_for(asked, _cited(law)) + _stands_for(asked, _keys(law))) for law in registry().values()}
    best = max(worth.values())
    found = [law for law, value in worth.items() if value == best > 0]
    named = [law for law in found if plain(law.name) == re.sub(r"\d+$", "", asked)]
    plainest = [law for law in found if all(other.name.startswith(law.name) for other in found)]
    return named or plainest or found


def _cited(law: type[Law]) -> list[str]:
    """Keys of the papers in a law's BibTeX: author, year and perhaps a word."""
    return re.findall(r"@\w+\{\s*([^,\s]+)", law.bibtex)


def _keys(law: type[Law]) -> list[str]:
    return [constants.key for constants in law.published]


def _stands_for(asked: str, keys: Iterable[str]) -> bool:
    return any(plain(spelling) == asked for key in keys for spelling in _spellings(key))


def _spellings(key: str) -> tuple[str, ...]:
    """Author and year, and the author alone, of a key such as ``hoffmann2022training``."""
    found = re.match(r"([a-z]+)(\d{4})", key)
    return () if found is None else (found[0], found[1])


def plain(name: str) -> str:
    """A name without case, blanks, hyphens and underscores."""
    return re.sub(r"[\s_-]+", "", name).lower()
