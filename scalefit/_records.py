"""What users and files give us (plans, schedules, saved state): strict pydantic models with one-line errors."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError

from scalefit import __version__
from scalefit._arguments import read_quantity
from scalefit._calls import explained
from scalefit._plain import plain
from scalefit.errors import ArgumentError, DataError, Note, ScalefitError, Severity, arg


def as_typed(value: Any, name: str = "") -> Any:
    """Read text such as "124M" or "10k" of an argument; anything else is left to whoever checks it."""
    shown = arg(name, value) if name else repr(value)
    return read_quantity(value, shown) if isinstance(value, str) else value


#: A number as a person types it, in a model of this module.
Quantity = Annotated[float, BeforeValidator(lambda value: as_typed(value))]


@explained
class Record(BaseModel):
    """A pydantic model whose bad input raises `ArgumentError` in one readable line."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise _worded(type(self).__name__, error) from None


class Strict(BaseModel):
    """Part of a saved result: every entry known, of its own type; numbers that are not finite are null."""

    model_config = ConfigDict(extra="forbid", strict=True, ser_json_inf_nan="null")


def _conventions(found: dict[str, Any]) -> dict[str, Any]:
    """Refuse conventions that no table has: what is assumed is a list of names, and what is counted has a name."""
    assumed = found.get("assumed", [])
    if not isinstance(assumed, list) or not all(isinstance(name, str) for name in assumed):
        raise ValueError(f"assumed is {assumed!r:.60}, not a list of names")
    for key in ("params", "flops", "loss_unit"):
        if not isinstance(found.get(key, ""), str):
            raise ValueError(f"{key} is {found[key]!r:.60}, not a name")
    return found


#: What N, C and the loss count, in a file.
SavedConventions = Annotated[dict[str, Any], AfterValidator(_conventions)]


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


def check_format(raw: Any, known: int, name: Any) -> None:
    """Raise if a file has a format that this scalefit cannot read, before its schema is checked.

    Raises
    ------
    DataError
        It is.
    """
    if not isinstance(raw, dict) or "format" not in raw:
        raise DataError(
            f"{name} holds no saved result: it has no format",
            "it was not read",
            "Name a file that to_json of a fit, a forecast or an average wrote",
        )
    found = raw["format"]
    if type(found) is not int or found != known:
        raise DataError(
            f"{name} has format {found!r:.60} while this scalefit ({__version__}) reads {known}",
            "it was not read",
            "Save it again with to_json",
        )


def not_saved(name: Any, error: Exception, what: str = "result") -> DataError:
    """The error for a file that does not hold what it should, with the first thing that is wrong."""
    return DataError(
        f"{name} is not a saved {what}: {what_is_wrong(error)}", "it was not read", "Save it again with to_json"
    )


def what_is_wrong(error: Exception) -> str:
    """The first thing that is wrong with a file, without what its maker was told to do."""
    found = error
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        found = first.get("ctx", {}).get("error") or ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
    text = found.seen if isinstance(found, ScalefitError) else str(found)
    return f"{' '.join(text.split()):.160}"


def _worded(name: str, error: ValidationError) -> ScalefitError:
    """The error of a setting: scalefit's own as it was raised, pydantic's in the words of scalefit."""
    found = error.errors(include_url=False)
    own = found[0].get("ctx", {}).get("error")
    if len(found) == 1 and isinstance(own, ScalefitError):
        return own.about(".".join((name, *map(str, found[0]["loc"]))))
    made = [item["ctx"]["class_name"] for item in found if item["type"] == "model_type"]
    do = f"Make one with scalefit.{made[0]}" if made else "Correct the setting, or leave it out"
    if all(item["type"] == "missing" for item in found):
        do = "Give what is missing"
    return ArgumentError(_one_line(name, error), "nothing was made of it", do)


def _one_line(name: str, error: ValidationError) -> str:
    parts = []
    for item in error.errors(include_url=False):
        where = ".".join(str(step) for step in item["loc"])
        text = str(item["msg"]).removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            text = "is not a known setting"
        elif item["type"] == "missing":
            text = "is missing"
        elif item["type"] == "model_type":
            text = f"{item['input']!r:.60} is not a {item['ctx']['class_name']}"
        elif item["loc"] and text.startswith("Input should be "):
            text = f"{item['input']!r:.60} is not {text.removeprefix('Input should be ')}"
        elif item["loc"]:
            text = f"{text} (got {item['input']!r:.60})"
        parts.append(f"{where}: {text}" if where else text)
    return f"{name}: " + "; ".join(parts).rstrip(".")
