"""Exceptions, warnings and notes: what scalefit says when something is not as it should be.

A message has three parts: what was seen (with the value), what scalefit did, what the reader can do.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["info", "warning", "error"]


class ScalefitError(Exception):
    """Base class of every error that scalefit raises on purpose."""


class ArgumentError(ScalefitError, ValueError):
    """An argument has a value that makes no sense; the message names the value and what is allowed."""

    def __init__(self, message: str = "") -> None:
        super().__init__(" ".join(str(message).split()))  # one line, whatever was given: a frame prints as many


class DataError(ScalefitError, ValueError):
    """A file or table cannot be read as a table of training runs."""


class FitError(ScalefitError, ValueError):
    """A law cannot be fitted to these runs; the message says why and what would help."""


class MissingExtraError(ScalefitError, ImportError):
    """An optional dependency is not installed."""


class ScalefitWarning(UserWarning):
    """Base class of the warnings scalefit emits."""


@dataclass(frozen=True, slots=True)
class Note:
    """A named remark that travels with a result instead of being lost on stderr.

    Parameters
    ----------
    code : str
        A short stable name, such as ``"collinear"``, to test for.
    severity : {"info", "warning", "error"}
        ``"error"`` means that the result must not be trusted.
    message : str
        What was seen, what scalefit did, what you can do.
    details : mapping
        The numbers behind the message; JSON-able.
    """

    code: str
    severity: Severity
    message: str
    details: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"[{self.severity}] {self.code}: {self.message}"


def note_record(note: Note) -> dict[str, Any]:
    """Return a note as json can hold it."""
    return {
        "code": note.code,
        "severity": note.severity,
        "message": note.message,
        "details": dict(note.details),
    }


def require(module: str, *, extra: str, purpose: str) -> Any:
    """Import an optional module or say in one line how to install it.

    Parameters
    ----------
    module : str
        The module to import, for instance ``"torch"``.
    extra : str
        The extra of scalefit that brings it, for instance ``"train"``.
    purpose : str
        What needs it, as the subject of the sentence ("Training sweeps").

    Returns
    -------
    module
        The imported module.

    Raises
    ------
    MissingExtraError
        The module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"{purpose} need {module.split('.')[0]}, which is not installed, so nothing was done. Install it with: "
            f"pip install 'scalefit-lm[{extra}]'."
        ) from error
