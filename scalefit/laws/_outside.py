"""Laws from elsewhere: a file that a user names, or an installed package."""

from __future__ import annotations

import importlib.util
import re
import sys
from functools import lru_cache
from hashlib import sha256
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from scalefit.errors import ArgumentError
from scalefit.laws._base import Law

#: Entry points of this group are laws of installed packages: ``my_law = "my_package.laws:MyLaw"``.
GROUP = "scalefit.laws"

_IN_A_FILE = re.compile(r"(?P<path>.+\.py)(?::(?P<law>[^\W\d]\w*))?(?::(?P<column>[^\W\d]\w*))?", re.DOTALL)


def in_a_file(name: str) -> re.Match[str] | None:
    """Whether text names a law in a file, ``"mylaw.py:Mine"``; the class is optional if the file has only one."""
    return _IN_A_FILE.fullmatch(name.strip())


def law_in_file(found: re.Match[str]) -> type[Law]:
    """Run a file that a user named and return the law in it.

    Raises
    ------
    ArgumentError
        The file does not exist, does not run, or holds no such law.
    """
    path, name = Path(found["path"]).expanduser(), found["law"]
    try:
        about = path.resolve(strict=True).stat()
        module = _module(path.resolve(), about.st_mtime_ns, about.st_size)
    except OSError as error:
        raise ArgumentError(
            f"{path} cannot be read: {error.strerror or error}",
            "nothing was done",
            "Name a Python file, as in mylaw.py:Mine",
        ) from error
    laws = {
        key: value
        for key, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, Law) and value.__module__ == module.__name__
    }
    shown = ", ".join(laws) or "none"
    if name is None and len(laws) != 1:
        raise ArgumentError(
            f"{path} has {len(laws)} laws ({shown})",
            "none was taken",
            f"Name one, as in {path.name}:{next(iter(laws), 'Mine')}",
        )
    chosen = next(iter(laws.values())) if name is None else laws.get(name)
    if chosen is None:
        raise ArgumentError(
            f"{path} has no law {name}",
            "nothing was done",
            f"It has these subclasses of scalefit.Law: {shown}. Name one of them",
        )
    return chosen


@lru_cache(maxsize=64)
def _module(path: Path, changed: int, size: int) -> ModuleType:
    """Run a file once for each of its versions, so that a law is one class however often it is named."""
    name = f"_scalefit_law_{sha256(f'{path}:{changed}:{size}'.encode()).hexdigest()[:16]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None  # the name ends in .py
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except OSError:
        del sys.modules[name]
        raise
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise ArgumentError(f"{path} does not run: {_said(error)}", "no law was taken from it", "Correct it") from error
    return module


def plugins() -> dict[str, list[EntryPoint]]:
    """Entry points of installed packages by name; looked up, not imported."""
    found: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=GROUP):
        same = found.setdefault(point.name, [])
        if point not in same:
            same.append(point)
    return dict(sorted(found.items()))


def package_of(point: EntryPoint) -> str:
    """Name and version of the package of an entry point."""
    return point.value if point.dist is None else f"{point.dist.name} {point.dist.version}"


def law_of_package(points: list[EntryPoint]) -> type[Law]:
    """Import the law that an entry point names.

    Raises
    ------
    ArgumentError
        Several packages use this name, the package cannot be imported, or its object is not a law of this name.
    """
    point = points[0]
    if len(points) > 1:
        raise ArgumentError(
            f"The law {point.name!r} is given by {' and by '.join(map(package_of, points))}",
            "none was taken",
            "Remove all but one",
        )
    try:
        law = point.load()
    except (Exception, SystemExit) as error:
        raise ArgumentError(
            f"The law {point.name!r} of the package {package_of(point)} cannot be imported ({point.value}): "
            f"{_said(error)}",
            "nothing was done",
            "Correct or remove that package",
        ) from error
    if not (isinstance(law, type) and issubclass(law, Law)):
        raise ArgumentError(
            f"The package {package_of(point)} gives {point.value} as the law {point.name!r}, which is not a subclass "
            "of scalefit.Law",
            "nothing was done",
            "Correct or remove that package",
        )
    if law.name != point.name:
        raise ArgumentError(
            f"The package {package_of(point)} gives the law {law.name!r} under the name {point.name!r}",
            "nothing was done",
            "The entry point's name must be the law's own: correct or remove that package",
        )
    return law


def _said(error: BaseException) -> str:
    """An error in one line, with the line of the file where it is known."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    trace, line = error.__traceback__, None
    while trace is not None:
        line, trace = trace.tb_lineno, trace.tb_next
    where = "" if line is None or isinstance(error, SyntaxError | ImportError) else f" (line {line})"
    return f"{text:.300}{where}".rstrip(".")
