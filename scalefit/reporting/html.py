"""HTML and SVG from Python: every text is escaped unless it is markup that was made here."""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup as Markup
from markupsafe import escape

from scalefit._files import as_path, write_whole
from scalefit._plain import plain

_TURNS = re.compile("[\u202a-\u202e\u2066-\u2069]")
_VOID = {"br", "hr", "input", "link", "meta", "circle", "line", "path", "rect", "polyline", "polygon"}


def text(value: Any) -> Markup:
    """Escape a value for an element or a quoted attribute, unless it is markup.

    Characters that turn the direction of what follows them are shown as such: a name could otherwise turn around the
    words of the page behind it. Names in right-to-left scripts need none and are left as they are.
    """
    if isinstance(value, Markup):
        return value
    return escape(_TURNS.sub("\ufffd", str(value)))


def join(children: Iterable[Any]) -> Markup:
    """Concatenate children; None is left out."""
    return Markup("".join(text(child) for child in children if child is not None))


def tag(name: str, *children: Any, **attributes: Any) -> Markup:
    """One element: ``class_`` stands for class, ``data_i`` for data-i; None and False leave an attribute out.

    Examples
    --------
    >>> print(tag("p", "a < b", tag("b", "c"), class_="note"))
    <p class="note">a &lt; b<b>c</b></p>
    """
    marks = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{text(value)}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in _VOID and not children:
        return (
            Markup(f"<{name}{marks}>") if name in ("br", "hr", "input", "link", "meta") else Markup(f"<{name}{marks}/>")
        )
    return Markup(f"<{name}{marks}>{join(children)}</{name}>")


def table(head: Sequence[Any], rows: Iterable[Sequence[Any]], caption: str, *, words: Sequence[int] = ()) -> Markup:
    """A table with a caption, column heads, and the first cell of each row as its head.

    Parameters
    ----------
    head, rows : sequence
        Texts or markup.
    caption : str
        What the table holds; read aloud first.
    words : sequence of int
        Columns that hold words instead of numbers.
    """
    kind = ["word" if i == 0 or i in words else "number" for i in range(len(head))]
    heads = tag("tr", *(tag("th", cell, scope="col", class_=kind[i]) for i, cell in enumerate(head)))
    body = [
        tag(
            "tr",
            *(
                tag("th", cell, scope="row", class_="word") if i == 0 else tag("td", cell, class_=kind[i])
                for i, cell in enumerate(row)
            ),
        )
        for row in rows
    ]
    inner = tag("table", tag("caption", caption), tag("thead", heads), tag("tbody", *body))
    return tag("div", inner, class_="scroll", tabindex="0", role="region", aria_label=caption)


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """A page as text, which can be written to a file.

    Attributes
    ----------
    html : str
        The page.
    """

    html: str

    def save(self, path: str | Path) -> Path:
        """Write the page to a file and return its path."""
        target = as_path(path)
        write_whole(target, self.html)
        return target


def json_text(value: Any) -> str:
    """JSON that can stand inside a script element: no ``<``, ``>`` or ``&``, no NaN."""
    out = json.dumps(plain(value), allow_nan=False, separators=(",", ":"))
    for char in "<>&\u2028\u2029":
        out = out.replace(char, f"\\u{ord(char):04x}")
    return out


def csp_hash(source: str) -> str:
    """The source expression by which a Content-Security-Policy allows this inline script or style."""
    return f"'sha256-{b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"
