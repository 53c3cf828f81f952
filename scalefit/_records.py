"""What crosses the border (plans, schedules, saved state): strict pydantic models with one-line errors."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from scalefit.errors import ArgumentError


class Record(BaseModel):
    """A pydantic model whose bad input raises `ArgumentError` in one readable line."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ArgumentError(
                _one_line(type(self).__name__, error), "nothing was made of it", "Correct the setting, or leave it out"
            ) from None


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
