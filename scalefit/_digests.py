"""Documents with a SHA-256 of their own content, so that a later change of any number is detected."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from scalefit._plain import plain
from scalefit.errors import DataError

KEY = "sha256"


def digest_of(document: Mapping[str, Any]) -> str:
    """SHA-256 of a document without its own digest; the order of entries and white space do not matter.

    Raises
    ------
    ValueError
        The document contains a number that JSON cannot hold: NaN or an infinity.
    """
    rest = {key: value for key, value in document.items() if key != KEY}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def with_digest(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document ready for JSON (null for NaN and infinities), with its digest."""
    rest = plain({key: value for key, value in document.items() if key != KEY})
    return {**rest, KEY: digest_of(rest)}


def check_digest(document: Mapping[str, Any], name: Any) -> None:
    """Raise if a document was changed after it was written.

    Raises
    ------
    DataError
        Its digest differs or is missing.
    """
    told = document.get(KEY)
    try:
        if told == digest_of(document):
            return
    except ValueError:
        pass
    seen = "has no SHA-256" if told is None else "was changed after it was saved: its SHA-256 differs"
    raise DataError(f"{name} {seen}", "it was not read", "Use the original file, or save it again")
