"""Files written whole or not at all, and refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from scalefit.errors import ArgumentError, DataError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write_whole(path: Any, text: str) -> None:
    """Write `text` so that a kill on the way leaves the old file as it was.

    Raises
    ------
    ArgumentError
        `path` is no path.
    DataError
        Nothing can be written there.
    """
    target = as_path(path)
    if target.is_dir():
        raise DataError(f"{target} is a folder, so nothing was written. Name a file in it.")
    part = target.with_name(target.name + ".part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(target)
    except OSError as error:
        raise DataError(
            f"{target} cannot be written: {error.strerror or error}. Nothing was saved. Check the folder."
        ) from error


def save_figure(figure: Figure, path: Any, **options: Any) -> None:
    """Write a figure in the format that the suffix of `path` names.

    Raises
    ------
    ArgumentError
        `path` is no path, or there is no such format.
    DataError
        Nothing can be written there.
    """
    target = as_path(path)
    try:
        figure.savefig(target, dpi=150, **options)
    except ValueError as error:
        known = ", ".join(sorted(figure.canvas.get_supported_filetypes()))
        raise ArgumentError(f"{target}: no format {target.suffix!r}; nothing was drawn. Known: {known}.") from error
    except OSError as error:
        raise DataError(
            f"{target} cannot be written: {error.strerror or error}. Nothing was saved. Check the folder."
        ) from error


def is_document(source: Any) -> bool:
    """Whether a source is the JSON text itself, as ``to_json()`` returns it, and not the name of a file."""
    return isinstance(source, str) and source.lstrip().startswith("{")


def as_path(path: Any) -> Path:
    """Return a path, or say that this is none."""
    try:
        found = Path(path)
    except TypeError:
        raise ArgumentError(
            f"path={path!r:.80} is not the path of a file, and nothing was opened. Give text or a pathlib.Path."
        ) from None
    if "\0" in str(found):
        raise ArgumentError(
            f"path={path!r:.80} holds a NUL byte, as no file's name does. Nothing was opened. Name another one."
        )
    return found
