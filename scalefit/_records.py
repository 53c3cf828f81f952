"""What crosses the border (plans, schedules, saved state): strict pydantic models with one-line errors."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from scalefit._plain import plain
from scalefit.errors import ArgumentError, Note, Severity


class Record(BaseModel):
    """A pydantic model whose bad input raises `ArgumentError` in one readable line."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ArgumentError(
                _one_line(type(self).__name__, error), "nothing was made of it", "Correct the setting, or leave it out"
            ) from None


class Strict(BaseModel):
    """Part of a saved result: every entry known, of its own type; numbers that are not finite are null."""

    model_config = ConfigDict(extra="forbid", strict=True, ser_json_inf_nan="null")


class SavedNote(Strict):
    """A `Note` in a file."""

    code: str
    severity: Severity
    message: str
    details: dict[str, Any] = {}


def save_note(note: Note) -> SavedNote:
    """Return a note as a file holds it."""
    return SavedNote(code=note.code, severity=note.severity, message=note.message, details=plain(note.details))


def load_note(note: SavedNote) -> Note:
    """Return the note that a file holds."""
    return Note(note.code, note.severity, note.message, note.details)


def _one_line(name: str, error: ValidationError) -> str:
    parts = []
    for item in error.errors(include_url=False):
        where = ".".join(str(step) for step in item["loc"])
        text = str(item["msg"]).removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            text = "is not a known setting"
        elif item["loc"]:
            text = f"{text} (got {item['input']!r:.60})"
        parts.append(f"{where}: {text}" if where else text)
    return f"{name}: " + "; ".join(parts).rstrip(".")
