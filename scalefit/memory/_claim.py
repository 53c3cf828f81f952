"""A claim of the paper: what is printed, what is right, and a check that is run."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Found(NamedTuple):
    """What a check computed, and whether the printed and the corrected form agree with it (None: not decided)."""

    computed: str
    printed_holds: bool | None
    exact_holds: bool | None = None


class Claim(NamedTuple):
    """One claim: its place, the printed form, the right one (empty where they are the same), a check, how to re-run."""

    claim: str
    printed: str
    exact: str
    check: Callable[[], Found]
    how: str

    def verdict(self, found: Found) -> str:
        """The verdict in words, from what was computed."""
        if found.printed_holds is None:
            return "not decided by computing"
        if found.printed_holds:
            return "holds"
        if found.exact_holds is None:
            return "fails"
        return "fails; the corrected form holds" if found.exact_holds else "fails, and so does the corrected form"
