"""The base of the config classes: plain frozen dataclasses whose fields pydantic checks as they are made."""

from __future__ import annotations

import difflib
import functools
import json
import numbers
import operator
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from os import PathLike, fspath
from typing import Annotated, Any, TypeVar, get_type_hints

from pydantic import BaseModel, BeforeValidator, ConfigDict, GetCoreSchemaHandler, ValidationError, create_model
from pydantic_core import core_schema

from scalefit.errors import ArgumentError

ConfigT = TypeVar("ConfigT", bound="Config")


def _whole(value: Any) -> Any:
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        return operator.index(value)
    if isinstance(value, numbers.Real) and not isinstance(value, bool) and float(value).is_integer():
        return int(float(value))
    raise ValueError("a whole number")


def _number(value: Any) -> Any:
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        return float(value)
    raise ValueError("a number")


def _flag(value: Any) -> Any:
    if isinstance(value, bool) or type(value).__name__ in ("bool", "bool_"):  # numpy 2 and 1
        return bool(value)
    raise ValueError("true or false")


def _text(value: Any) -> Any:
    if isinstance(value, (str, PathLike)):
        return fspath(value)
    raise ValueError("text")


def _several(value: Any) -> Any:
    many = not isinstance(value, (str, bytes, Mapping)) and hasattr(value, "__iter__")
    return tuple(value) if many else (value,)


#: Kinds of fields: what Python, numpy, TOML and JSON call a number, text or a list, and nothing that looks like it.
Whole = Annotated[int, BeforeValidator(_whole)]
Number = Annotated[float, BeforeValidator(_number)]
Flag = Annotated[bool, BeforeValidator(_flag)]
Text = Annotated[str, BeforeValidator(_text)]
Several = BeforeValidator(_several)


@dataclass(frozen=True)
class Config:
    """Base of the config classes: unknown keys are refused with the nearest known name."""

    def __init_subclass__(cls) -> None:
        """Check the types of the fields before the config's own checks, which compare them."""
        own = cls.__dict__.get("__post_init__", lambda self: None)

        def checked(self: Config) -> None:
            self._fit_types()
            own(self)

        cls.__post_init__ = checked  # type: ignore[attr-defined]  # which @dataclass calls

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """A config inside another one: as it is, or built from a mapping."""

        def inner(value: Any) -> Config:
            if isinstance(value, cls):
                return value
            if isinstance(value, Mapping):
                return cls.from_dict(value)
            raise ValueError(f"a {cls.__name__} or a table of its fields")

        return core_schema.no_info_plain_validator_function(inner)

    def _fit_types(self) -> None:
        kind: Any = type(self)
        try:
            fitted = _schema(kind).model_validate({item.name: getattr(self, item.name) for item in fields(self)})
        except ValidationError as error:
            problems = error.errors()
            for problem in problems:
                inner = problem.get("ctx", {}).get("error")
                if isinstance(inner, ArgumentError):  # of a config inside this one, which named its own field
                    raise inner from None
            name = str(problems[0]["loc"][0])
            allowed = dict.fromkeys(_allowed(problem) for problem in problems if problem["loc"][0] == name)
            self._check(False, name, " or ".join(allowed))
        else:
            for name in type(fitted).model_fields:
                object.__setattr__(self, name, getattr(fitted, name))

    @classmethod
    def from_dict(cls: type[ConfigT], values: Mapping[str, Any]) -> ConfigT:
        """Build the config from nested mappings, as read from TOML or JSON."""
        known = {item.name for item in fields(cls)}
        for key in values:
            if key not in known:
                near = difflib.get_close_matches(str(key), known, 1)
                hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(sorted(known))}."
                raise ArgumentError(f"{cls.__name__} got an unknown field {key!r}", "nothing was run", hint)
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON-able values (tuples as lists)."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain

    def changes(self) -> dict[str, Any]:
        """Return what differs from the defaults, as JSON values: a new field renames nothing older."""
        usual: dict[str, Any] = {item.name: item.default for item in fields(self)}
        factories = {item.name: item.default_factory for item in fields(self)}
        usual |= {name: make() for name, make in factories.items() if make is not MISSING}
        found: dict[str, Any] = {}
        for name, default in usual.items():
            value = getattr(self, name)
            if isinstance(value, Config):
                found |= {name: value.changes()} if value.changes() else {}
            elif value != default:
                found[name] = _plain(value)
        return found

    def _check(self, good: bool, name: str, allowed: str) -> None:
        if not good:
            raise ArgumentError(
                f"{type(self).__name__}.{name} = {getattr(self, name)!r}", "nothing was run", f"Make it {allowed}"
            )


def _plain(value: Any) -> Any:
    if isinstance(value, Config):
        return value.changes()
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


@functools.cache
def _schema(cls: Any) -> type[BaseModel]:
    """The fields of a config as a pydantic model."""
    hints = get_type_hints(cls, include_extras=True)
    shape: dict[str, Any] = {item.name: (hints[item.name], ...) for item in fields(cls)}
    return create_model(cls.__name__, __config__=ConfigDict(arbitrary_types_allowed=True), **shape)


def _allowed(problem: Any) -> str:
    """What a field may hold, from one of pydantic's findings."""
    listed = "a list, each of it " if any(isinstance(place, int) for place in problem["loc"]) else ""
    known = {"none_required": "absent", "literal_error": problem.get("ctx", {}).get("expected", "").replace("'", "")}
    words = known.get(problem["type"]) or problem["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    return listed + str(words)
