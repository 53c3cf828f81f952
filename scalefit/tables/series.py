"""Tables of several series: what they are called, and the runs of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scalefit.errors import ArgumentError
from scalefit.tables.columns import label_series

if TYPE_CHECKING:
    import pandas as pd


def names_of_series(runs: pd.DataFrame) -> list[str]:
    """Labels of the series in a table, sorted; rows without one are a series of their own, "(none)"."""
    return sorted(label_series(runs, "series").unique()) if "series" in runs.columns else []


def runs_of(runs: pd.DataFrame, only: str) -> pd.DataFrame:
    """The rows of one series.

    Raises
    ------
    ArgumentError
        There is no series of this name; the message lists those there are.
    """
    labels = names_of_series(runs)
    if only not in labels:
        known = ", ".join(labels[:12]) or "none: no column tells series apart"
        raise ArgumentError(f"only={only!r} is not a series of this table, so no run was chosen. It has {known}.")
    return runs[label_series(runs, "series") == only]
