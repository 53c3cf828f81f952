"""Tables of several series: what they are called, and the runs of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from scalefit._text import shortlist
from scalefit.errors import ArgumentError, DataError, ScalefitError, arg, way
from scalefit.tables.columns import label_series

if TYPE_CHECKING:
    import pandas as pd

Refusal = TypeVar("Refusal", bound=ScalefitError)


def names_of_series(runs: pd.DataFrame) -> list[str]:
    """Labels of the series in a table, sorted; rows without one are a series of their own, "(none)"."""
    return sorted(label_series(runs, "series").unique()) if "series" in runs.columns else []


def refuse_label(frame: pd.DataFrame, name: str) -> None:
    """Raise where the name of one series was given for the column that tells series apart."""
    if name in frame.columns:
        return
    holders = [str(column) for column in frame.columns if (frame[column].astype(object) == name).any()]
    if holders:
        choose = f"--only {name}" if holders[0] == "series" else f"--series {holders[0]} --only {name}"
        raise DataError(
            f"No column {name!r}, which {arg('series', column=True)} names; it is a value of column {holders[0]!r}",
            "nothing was read",
            (
                f"Name the column: {arg('series', holders[0], column=True)}",
                way(f"pass the runs of one: runs[runs[{holders[0]!r}] == {name!r}]", f"keep one series: {choose}"),
            ),
        )


def runs_of(runs: pd.DataFrame, only: str) -> pd.DataFrame:
    """The rows of one series.

    Raises
    ------
    ArgumentError
        There is no series of this name; the message lists those there are.
    """
    labels = names_of_series(runs)
    if only not in labels:
        known = shortlist(labels, 12) or "none: no column tells series apart"
        raise ArgumentError(
            f"{arg('only', only)} is not a series of this table", "no run was chosen", f"It has {known}"
        )
    return runs[label_series(runs, "series") == only]


def several_series(kind: type[Refusal], labels: Sequence[Any], did: str, *ways: str, one: str = "") -> Refusal:
    """Return the error of several series where one is needed, with the ways out: `one` takes the runs of one."""
    alone = one or way(
        f"pass the runs of one: runs[runs['series'] == {labels[0]!r}]", f"keep one series: --only {labels[0]}"
    )
    return kind(
        f"The table holds {len(labels)} series ({shortlist(labels)}): their losses are not comparable",
        did,
        (alone, *ways),
    )
