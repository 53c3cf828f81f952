"""Documents that carry a SHA-256 over all of themselves: a later change of any number shows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from scalefit._plain import plain
from scalefit.errors import DataError

KEY = "sha256"


def digest_of(document: Mapping[str, Any]) -> str:
    """SHA-256 of a document but for its own digest, whatever the order of its entries and the space between them.

    Raises
    ------
    ValueError
        The document contains a number that JSON has not: NaN or an infinity.
    """
    rest = {key: value for key, value in document.items() if key != KEY}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def with_digest(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document as JSON has it, null for NaN and infinities, with its digest."""
    rest = plain({key: value for key, value in document.items() if key != KEY})
    return {**rest, KEY: digest_of(rest)}


def check_digest(document: Mapping[str, Any], name: Any) -> None:
    """Raise where a document is not the one that was written.

    Raises
    ------
    DataError
        Its digest is another, or it has none.
    """
    told = document.get(KEY)
    try:
        if told == digest_of(document):
            return
    except ValueError:
        pass
    seen = "has no SHA-256" if told is None else "was changed after it was saved: its SHA-256 differs"
    raise DataError(f"{name} {seen}", "it was not read", "Use the original file, or save it again")
