"""A log of one run in the place of a table of runs."""

from __future__ import annotations

from pathlib import Path

from scalefit.errors import DataError


def refuse_log(path: str | Path) -> None:
    """Raise where a file that could not be read as a table of runs is a log as a known tool writes it."""
    from scalefit.integrations.logs import read_log

    try:
        log = read_log(path)
    except Exception:  # no log either: the error of the table stands
        return
    if log.attrs["kind"] == "csv":  # a table, and the error of the table says what is wrong with it
        return
    raise DataError(
        f"{Path(path).name} looks like the log of one run ({len(log)} steps with a value), not a table of runs",
        "nothing was fitted",
        f"Read it with scalefit advise {path}, or make a page with scalefit report --live {path}",
    )
