"""Exceptions, warnings and notes: what scalefit says when something is not as it should be.

A message has three parts: what was seen (with the value), what scalefit did, what the reader can do. They are fields of
the error. `arg` marks the arguments in them, so that Python prints ``level=2`` and the command line ``--level 2``.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, Self

Severity = Literal["info", "warning", "error"]

# Around an argument in a text: name, Python wording, shell wording and kind. No message has control characters.
_OPEN, _BETWEEN, _CLOSE = "\x02", "\x04", "\x03"
_PART = f"([^{_OPEN}{_BETWEEN}{_CLOSE}]*)"
_MARKED = re.compile(_OPEN + _BETWEEN.join([_PART] * 4) + _CLOSE)
_NOTHING = object()


@dataclass(frozen=True, slots=True)
class Mention:
    """An argument in a message.

    Parameters
    ----------
    name : str
        The Python argument; empty where `kind` is ``"way"``.
    python : str
        How Python spells it, such as ``"level=2"``.
    shell : str
        Its value as typed in a shell, such as ``"2"``; the whole wording where `kind` is ``"way"``.
    kind : {"argument", "column", "way"}
        ``"column"`` names a column of the table; ``"way"`` is what Python and the command line do differently.
    """

    name: str
    python: str
    shell: str
    kind: str = "argument"


Wording = Callable[[Mention], "str | None"]  # None where a face has no words for a mention


def arg(name: str, value: Any = _NOTHING, *, shown: str | None = None, column: bool = False) -> str:
    """Mark an argument in a message, so that Python and the command line can each word it.

    Parameters
    ----------
    name : str
        Its Python name; ``"fixed['E']"`` for one entry of a mapping.
    value : any, optional
        Its value; ``...`` for one of the reader's choice.
    shown : str, optional
        How the value is printed, in place of its repr.
    column : bool
        Whether it names a column of the table.

    Examples
    --------
    >>> str(ArgumentError(f"{arg('level', 2)} is not between 0 and 1", "nothing was computed", "Give such a number"))
    'level=2 is not between 0 and 1; nothing was computed. Give such a number.'
    """
    entry = re.fullmatch(r"(\w+)\['(.*)'\]", name)
    if value is _NOTHING and shown is None:
        python, shell = f"{name}=", ""
    elif shown is not None:
        python, shell = f"{name}={shown}", shown
    else:
        python, shell = f"{name}={_shortened(_in_python(value))}", _shortened(_in_shell(value))
    if column:  # every reader takes columns=, read_runs alone the rest
        reader = f"sf.read_runs(..., {python})" if name in ("bytes_per_token", "loss_unit") else ""
        python = reader or f"columns={{{name!r}: {python.partition('=')[2] or '...'}}}"
    if entry:
        name, shell = entry[1], f"{entry[2]}={shell}"
    return _mark(name, python, shell, "column" if column else "argument")


def way(python: str, shell: str) -> str:
    """Mark what Python and the command line do in different ways; leave the text empty for one that cannot do it.

    Examples
    --------
    >>> str(ArgumentError("No law", "nothing was done", f"Fit one with {way('sf.fit', 'scalefit fit')}"))
    'No law; nothing was done. Fit one with sf.fit.'
    """
    return _mark("", python, shell, "way")


def _mark(*parts: str) -> str:
    return _OPEN + _BETWEEN.join(re.sub(f"[{_OPEN}{_BETWEEN}{_CLOSE}]", "", part) for part in parts) + _CLOSE


def _shortened(text: str) -> str:
    return " ".join(text.split())[:80]


def _in_python(value: Any) -> str:
    if value is ...:
        return "..."
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {_in_python(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (tuple, list)) and len(value) > isinstance(value, tuple):
        inside = ", ".join(map(_in_python, value))
        return f"({inside})" if isinstance(value, tuple) else f"[{inside}]"
    return repr(value)


def _in_shell(value: Any) -> str:
    if value is ...:
        return "..."
    if isinstance(value, dict):
        return ",".join(f"{key}={_in_shell(item)}" for key, item in value.items())
    if isinstance(value, (tuple, list)):
        return (":" if isinstance(value, tuple) else ",").join(map(_in_shell, value))
    if isinstance(value, str) and re.search(r"[^\w.,:%+/-]", value):
        return repr(value)
    return str(value)


def in_python(mention: Mention) -> str:
    """Word an argument as Python spells it."""
    return mention.python


def worded(text: str, word: Wording = in_python) -> str | None:
    """Return a text with each marked argument in the words of one face; None where it has none for one of them."""
    words = {found[0]: word(Mention(*found.groups())) for found in _MARKED.finditer(text)}
    return None if None in words.values() else _MARKED.sub(lambda found: str(words[found[0]]), text)


def plainly(text: str, word: Wording) -> str:
    """Return a text in the words of one face; an argument without words there stands as its name and value."""

    def spelled(mention: Mention) -> str:
        words = word(mention)
        return f"{mention.name} {mention.shell}".strip() if words is None else words

    return worded(text, spelled) or ""


def mentions(text: str) -> tuple[str, ...]:
    """Names of the arguments that a text marks, each once."""
    return tuple(dict.fromkeys(found[1] for found in _MARKED.finditer(text) if found[1]))


class ScalefitError(Exception):
    """Base class of every error that scalefit raises on purpose.

    Parameters
    ----------
    seen : str
        What was seen, with the value; arguments marked by `arg`. It may also be the whole message.
    did : str
        What scalefit did, or did not.
    do : str or tuple of str
        What the reader can do; several ways are joined by commas and "or". Ways that one of the two lacks are left out.
    argument : str or tuple of str, optional
        Python names of the arguments at fault; by default those that `seen` marks.

    Attributes
    ----------
    seen, did, do : str
        The three parts, in the words of Python.
    argument : tuple of str
        Names of the arguments at fault.

    Examples
    --------
    >>> error = ArgumentError(f"{arg('delta', -1)} is not positive", "nothing was fitted", f"Give {arg('delta', 1e-3)}")
    >>> print(error)
    delta=-1 is not positive; nothing was fitted. Give delta=0.001.
    >>> error.argument, error.did
    (('delta',), 'nothing was fitted')
    """

    def __init__(
        self, seen: object = "", did: str = "", do: str | tuple[str, ...] = "", *, argument: str | tuple[str, ...] = ()
    ) -> None:
        self._parts = (str(seen).rstrip(".") if did else str(seen), did, (do,) if isinstance(do, str) else tuple(do))
        self.argument = ((argument,) if isinstance(argument, str) else tuple(argument)) or mentions(str(seen))
        super().__init__(self.worded())

    @property
    def seen(self) -> str:
        """What was seen, in the words of Python."""
        return worded(self._parts[0]) or ""

    @property
    def did(self) -> str:
        """What scalefit did, in the words of Python."""
        return worded(self._parts[1]) or ""

    @property
    def do(self) -> str:
        """What the reader can do, in the words of Python."""
        return worded(_alternatives(_offered(self._parts[2], in_python))) or ""

    @property
    def template(self) -> str:
        """The whole message with its arguments still marked, to stand in another message."""
        seen, did, ways = self._parts
        return self._sentence(seen, did, _offered(ways, in_python))

    def worded(self, word: Wording = in_python) -> str:
        """Return the message in the words of one face.

        Parameters
        ----------
        word : callable
            Gives the words for a `Mention`. Where it gives None, a way that the mention stands in is left out, and
            elsewhere name and value stand without a flag.
        """
        seen, did, ways = self._parts
        offered = tuple(plainly(item, word) for item in _offered(ways, word) or ways)
        return self._sentence(plainly(seen, word), plainly(did, word), offered)

    def about(self, what: object) -> Self:
        """Return the same error with what it is about in front: a file, a row."""
        return self._changed(lambda part: part, before=f"{what}: ")

    def naming(self, **values: object) -> Self:
        """Return the same error with ``{name}`` in its text replaced by what only the caller knows."""

        def filled(text: str) -> str:
            for key, value in values.items():
                text = text.replace("{" + key + "}", str(value))
            return text

        return self._changed(filled)

    def _changed(self, change: Callable[[str], str], before: str = "") -> Self:
        seen, did, ways = self._parts
        return type(self)(before + change(seen), change(did), tuple(map(change, ways)), argument=self.argument)

    @classmethod
    def _sentence(cls, seen: str, did: str, ways: tuple[str, ...]) -> str:
        do = _alternatives(ways)
        end = "" if do.endswith((".", "?")) or "\n" in do else "."
        return cls._lined(f"{seen}; {did}. {do}{end}" if did or do else seen)

    @staticmethod
    def _lined(text: str) -> str:
        return text

    def __reduce__(self) -> Any:
        return partial(type(self), argument=self.argument), self._parts


def _offered(ways: tuple[str, ...], word: Wording) -> tuple[str, ...]:
    """The ways that a face has words for."""
    return tuple(item for item in ways if worded(item, word))


def _alternatives(ways: tuple[str, ...]) -> str:
    """Several ways as one sentence: "Add runs, fix one, or fit another law"."""
    text = ", or ".join(ways) if len(ways) < 3 else ", ".join(ways[:-1]) + ", or " + ways[-1]
    return text[:1].upper() + text[1:]


class ArgumentError(ScalefitError, ValueError):
    """An argument has a value that is not allowed; the message names the value and what is allowed."""

    @staticmethod
    def _lined(text: str) -> str:
        return re.sub(r"\s+", " ", text).strip()  # one line, whatever was given: a frame prints as many


class CallError(ArgumentError, TypeError):
    """A call has an argument that does not exist, lacks one or gives a value without its name; Python's TypeError."""


class DataError(ScalefitError, ValueError):
    """A file or table cannot be read as a table of training runs."""


class FitError(ScalefitError, ValueError):
    """A law cannot be fitted to these runs; the message says why and what would help."""


class MissingExtraError(ScalefitError, ImportError):
    """An optional dependency is not installed."""


class ScalefitWarning(UserWarning):
    """Base class of the warnings scalefit emits; arguments in its text are marked by `arg`, as in errors."""

    def __init__(self, text: object = "") -> None:
        self.template = str(text)
        super().__init__(worded(self.template))

    def __reduce__(self) -> Any:
        return type(self), (self.template,)


#: Words the arguments in notes that are printed; the command line sets its own.
_FACE: ContextVar[Wording] = ContextVar("face", default=in_python)


def speak(word: Wording) -> None:
    """Print the arguments in notes in the words of one face from here on; `in_python` are those of Python."""
    _FACE.set(word)


def spoken(text: str) -> str:
    """Return a text that is printed, in the words of the face that speaks."""
    return plainly(text, _FACE.get())


class _Message(str):
    """A text in the words of Python that keeps its marked arguments for another face, through tables and copies."""

    template: str

    def __new__(cls, text: str) -> Self:
        made = super().__new__(cls, worded(text))
        made.template = str(text)
        return made


@dataclass(frozen=True)
class Note:
    """A named remark that travels with a result instead of being lost on stderr.

    Parameters
    ----------
    code : str
        A short stable name, such as ``"collinear"``, to test for.
    severity : {"info", "warning", "error"}
        ``"error"`` means that the result must not be trusted.
    message : str
        What was seen, what scalefit did, what you can do. Arguments marked by `arg` read as in Python.
    details : mapping
        The numbers behind the message; JSON-able.

    Examples
    --------
    >>> note = Note("starts", "warning", f"One start of 8 is the best. Fit again with {arg('n_starts', 32)}.")
    >>> print(note)
    [warning] starts: One start of 8 is the best. Fit again with n_starts=32.
    """

    code: str
    severity: Severity
    message: str
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.message, _Message):
            object.__setattr__(self, "message", _Message(self.message))

    @property
    def template(self) -> str:
        """The message with its arguments still marked, to stand in another note."""
        return str(getattr(self.message, "template", self.message))

    def __str__(self) -> str:
        return f"[{self.severity}] {self.code}: {spoken(self.template)}"

    def about(self, what: object) -> Note:
        """Return the same note with what it is about in front."""
        return Note(self.code, self.severity, f"{what}: {self.template}", self.details)


def by_severity(note: Note) -> int:
    """Key that sorts the most severe note first."""
    return ("error", "warning", "info").index(note.severity)


def note_record(note: Note) -> dict[str, Any]:
    """Return a note as plain data for JSON."""
    return {"code": note.code, "severity": note.severity, "message": note.message, "details": dict(note.details)}


def require(module: str, *, extra: str | None, purpose: str) -> Any:
    """Import an optional module or say in one line how to install it.

    Parameters
    ----------
    module : str
        The module to import, for instance ``"torch"``.
    extra : str or None
        The extra of scalefit that brings it, for instance ``"train"``; None where none does.
    purpose : str
        What needs it, as the subject of the sentence ("Training sweeps").
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.split(".")[0]
        how = package if extra is None else f"'scalefit-lm[{extra}]' (in a clone: pip install '.[{extra}]')"
        seen = f"{purpose} need {package}, which is not installed"
        raise MissingExtraError(seen, "nothing was done", f"Install it with: pip install {how}") from error
