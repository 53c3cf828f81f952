"""One result for each series of a table; series that cannot be fitted are named with the reason."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from scalefit._text import shortlist
from scalefit._warn import warn_user
from scalefit.errors import ArgumentError, FitError, arg
from scalefit.fitting.runs import Runs

_DID = "nothing was fitted"


def each_series(labels: Iterable[Any], make: Callable[[Any], Any], what: str, did: str = _DID) -> dict[Any, Any]:
    """Return what `make` gives for every series that allows `what`; warn of the others.

    Raises
    ------
    FitError
        No series can.
    """
    results, refused = {}, {}
    for label in labels:
        try:
            results[label] = make(label)
        except FitError as error:
            refused[label] = error.template
    reasons = "; ".join(by_reason(refused))
    if not results:
        raise FitError(f"No series allows {what}", did, reasons)
    if refused:
        text = f"{len(refused)} of {len(results) + len(refused)} series are left out, because they do not allow {what}."
        warn_user(f"{text} {reasons}")
    return results


def each_part(table: Runs, make: Callable[[Runs], Any], what: str, did: str = _DID) -> dict[Any, Any]:
    """Return what `make` gives for the runs of each series of a table.

    Raises
    ------
    ArgumentError
        No column tells series apart.
    FitError
        No series allows it.
    """
    if table.series is None:
        raise ArgumentError(
            f"{arg('by', 'series')} needs a column named series, and this table has none",
            did,
            f"Read the table with {arg('series', ...)}",
        )
    series = table.series
    return each_series(table.series_labels, lambda label: make(table.part(series == label)), what, did)


def by_reason(refused: Mapping[Any, str]) -> list[str]:
    """Each reason once, with its series; reasons that differ only in numbers are grouped, and the first is shown."""
    groups: dict[str, list[Any]] = {}
    for label, reason in refused.items():
        groups.setdefault(re.sub(r"\d[\d.,e+-]*", "#", reason), []).append(label)
    parts = []
    for labels in groups.values():
        reason = refused[labels[0]].rstrip(".")
        same = len({refused[label] for label in labels}) == 1
        example = "" if same else f"for example {labels[0]!r}: "
        count = f" ({len(labels)})" if len(labels) > 1 else ""
        parts.append(f"{shortlist(map(repr, labels))}{count}: {example}{reason}")
    return parts
