"""Values of config fields: what stands in them is of the type that the field says, or is refused by name."""

from __future__ import annotations

import numbers
import operator
from collections.abc import Mapping
from os import PathLike, fspath
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

_WORDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false", NoneType: "absent"}


class Misfit(Exception):
    """A value that is not of a field's type."""


def fitted(value: Any, hint: Any) -> Any:
    """Return a value as its type hint wants it: numpy numbers and 12.0 as numbers, lists as tuples, paths as text.

    Raises
    ------
    Misfit
        It cannot be read so.
    """
    origin, options = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        for option in options:
            try:
                return fitted(value, option)
            except Misfit:
                continue
        raise Misfit
    if origin is tuple:
        many = not isinstance(value, (str, bytes, Mapping)) and hasattr(value, "__iter__")
        return tuple(fitted(item, options[0]) for item in (value if many else (value,)))
    if origin is Literal:
        if isinstance(value, str):
            return value  # which the config itself judges
        raise Misfit
    if hint is NoneType:
        if value is None:
            return None
        raise Misfit
    if hint is bool:
        if isinstance(value, bool) or type(value).__name__ in ("bool", "bool_"):  # numpy 2 and 1
            return bool(value)
        raise Misfit
    if hint is str:
        if isinstance(value, (str, PathLike)):
            return fspath(value)
        raise Misfit
    if hint in (int, float):
        return _number(value, hint)
    if origin is Mapping:
        if isinstance(value, Mapping):
            return {fitted(key, options[0]): fitted(item, options[1]) for key, item in value.items()}
        raise Misfit
    if isinstance(hint, type) and not isinstance(value, hint):
        if isinstance(value, Mapping) and hasattr(hint, "from_dict"):
            return hint.from_dict(value)
        raise Misfit
    return value


def _number(value: Any, kind: type) -> Any:
    if isinstance(value, bool) or not isinstance(value, (numbers.Real, numbers.Integral)):
        raise Misfit
    if isinstance(value, numbers.Integral) and kind is int:
        return operator.index(value)
    number = float(value)
    if kind is int and not number.is_integer():
        raise Misfit
    return kind(number)


def said(hint: Any) -> str:
    """Return a type hint in words."""
    origin, options = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return " or ".join(said(option) for option in options)
    if origin is tuple:
        return f"a list, each of it {said(options[0])}"
    if origin is Literal:
        return " or ".join(map(repr, options))
    if origin is Mapping:
        return f"a table, each of its values {said(options[1])}"
    return _WORDS.get(hint, f"a {getattr(hint, '__name__', hint)} or a table of its fields")
