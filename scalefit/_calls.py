"""Calls with arguments that do not fit the signature: the error names the argument.

Python's own text, ``plan() takes 1 positional argument but 2 were given``, does not say which name was missing.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from typing import Any, TypeVar

from scalefit._names import USUAL_NAMES
from scalefit._text import listing, nearest, several, shortlist
from scalefit.errors import CallError

_Thing = TypeVar("_Thing", bound=Callable[..., Any])
_PLAIN = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
#: Names that people type for arguments, beside those that columns usually have.
_ALIASES = dict.fromkeys(("out", "output", "save", "file", "filename"), "path")
_MOST = 24  # characters of a value that is repeated; a longer one is not


def explained(thing: _Thing) -> _Thing:
    """Wrap a function, or every public method of a class: calls that do not fit its signature raise `CallError`.

    Examples
    --------
    >>> @explained
    ... def plan(result, *, C=None, loss=None):
    ...     return C
    >>> plan("a fit", 1e22)
    Traceback (most recent call last):
    scalefit.errors.CallError: plan() takes only result by position, and 1 more value came without a name; nothing ...
    >>> plan("a fit", compute=1e22)
    Traceback (most recent call last):
    scalefit.errors.CallError: plan() has no argument 'compute'; nothing was done. Did you mean 'C'? ...
    """
    if isinstance(thing, type):
        for name, member in list(vars(thing).items()):
            if inspect.isfunction(member) and (name == "__init__" or not name.startswith("_")):
                setattr(thing, name, _explained(member))
        return thing
    return _explained(thing)  # type: ignore[return-value]  # the same signature


def _explained(call: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(call)
    def checked(*args: Any, **kwargs: Any) -> Any:
        try:
            return call(*args, **kwargs)
        except TypeError as error:
            # No frame below this one: Python refused the arguments before the first line of the function.
            trace = error.__traceback__
            found = refusal(call, args, kwargs) if trace is not None and trace.tb_next is None else None
            if found is None:
                raise
            raise found from None

    return checked


def refusal(call: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> CallError | None:
    """Return the error for arguments that do not fit a function; None if they fit."""
    parameters = list(inspect.signature(call).parameters.values())
    name, owner = call.__name__, None
    if parameters and parameters[0].name == "self":
        parameters, owner, args = parameters[1:], args[0], args[1:]
        name = type(owner).__name__ if name == "__init__" else name
    plain = [item for item in parameters if item.kind in _PLAIN]
    listed = [item.name for item in parameters if item.kind in (*_PLAIN, inspect.Parameter.KEYWORD_ONLY)]
    is_open = [item.name for item in parameters if item.kind is inspect.Parameter.VAR_KEYWORD]
    more = [item for kind in is_open if owner is not None and kind in _OPEN for item in _OPEN[kind](owner)]
    free = [item for item in (*more, *listed[len(plain) :]) if item not in kwargs]
    needed = [item.name for item in parameters if item.name in listed and item.default is inspect.Parameter.empty]
    placed = [item.name for item in plain[: len(args)]]
    if len(args) > len(plain):
        needed += more if "inputs" in is_open else []
        return _too_many(name, plain, args, free, needed)
    unknown = [] if is_open else [item for item in kwargs if item not in listed]
    if unknown:
        return unknown_argument(name, unknown[0], [item for item in listed if item not in (*kwargs, *placed)])
    twice = [item for item in placed if item in kwargs]
    if twice:
        return CallError(f"{name}() has {twice[0]} twice, by position and by name", "nothing was done", "Give one")
    missing = [item for item in needed if item not in kwargs and item not in placed]
    if missing:
        example = ", ".join([*placed, *(f"{item}=..." for item in (*kwargs, *missing))])
        return CallError(
            f"{name}() needs {listing(missing)}{' too' if placed or kwargs else ''}",
            "nothing was done",
            f"Write {name}({example})",
        )
    return None


def unknown_argument(name: str, asked: str, there: Iterable[str]) -> CallError:
    """Return the error for an argument that a function does not have, with the one that was probably meant."""
    there = list(there)
    kinds = {key: group for key, group in USUAL_NAMES.items() if asked.lower() in group}
    alike = {_ALIASES.get(asked.lower()), *kinds, *(item for group in kinds.values() for item in group)}
    meant = [item for item in there if item in alike]
    guess = f"Did you mean {' or '.join(map(repr, meant))}? " if meant else nearest(asked, there, cutoff=0.7)
    return CallError(
        f"{name}() has no argument {asked!r}", "nothing was done", f"{guess}It has {shortlist(there, 12) or 'no other'}"
    )


#: Names that methods take although their signatures do not list them, by what they call these: ``**inputs``.
_OPEN: dict[str, Callable[[Any], Iterable[str]]] = {
    "inputs": lambda owner: owner.inputs,
    "values": lambda owner: type(owner).model_fields,
}


def _too_many(
    name: str, plain: list[inspect.Parameter], args: Sequence[Any], free: list[str], needed: Iterable[str]
) -> CallError:
    """The error for values that came without a name: an example of the call with the names."""
    placed, extra = [item.name for item in plain], args[len(plain) :]
    taken = f"only {listing(placed)} by position" if plain else "no value by position"
    came = several(len(extra), "more value" if plain else "value")
    seen = f"{name}() takes {taken}, and {came} came without a name"
    if plain and str(plain[-1].annotation).startswith("Sequence") and type(extra[0]) is type(args[len(plain) - 1]):
        together = ", ".join([*placed[:-1], _shown([*args[len(plain) - 1 :]])])
        return CallError(seen, "nothing was done", f"Several go in a list: {name}({together})")
    if not free:
        return CallError(seen, "nothing was done", "Leave it out")
    given = dict(zip(free, extra, strict=False))
    if isinstance(extra[0], Mapping) and all(isinstance(key, str) for key in extra[0]):
        given = dict(extra[0])
    named = [f"{key}={_shown(value)}" for key, value in given.items()][:4]
    named += [f"{key}=..." for key in needed if key in free and key not in given]
    example = f"{name}({', '.join([*placed, *named])})"
    return CallError(seen, "nothing was done", f"Write {example}, for one; by name: {shortlist(free)}")


def _shown(value: Any) -> str:
    """A value as it is typed; "..." for a long one."""
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value[:3]))}{', ...' if len(value) > 3 else ''}]"
    text = re.sub(r"e\+?0*", "e", f"{value:g}") if isinstance(value, float) else repr(value)
    return text if len(text) <= _MOST else "..."
