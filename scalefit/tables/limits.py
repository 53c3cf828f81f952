"""How much of a file of runs is unpacked, so that a small file never fills the memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scalefit._arguments import check_count
from scalefit.errors import DataError, way

#: The largest tables of runs that are published have some ten thousand rows; text takes 3 to 10 times its size in
#: memory, json 10 to 40 times (measured with empty cells and empty objects, the worst).
MAX_ROWS = 2_000_000
MAX_BYTES = 1 << 27
_JSON_SHARE = 4
_CELL_BYTES = 8  # a table of max_bytes may have this many bytes a cell, or more


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of a file is unpacked: rows, and bytes of text or of columns in memory."""

    max_rows: int = MAX_ROWS
    max_bytes: int = MAX_BYTES

    @classmethod
    def of(cls, max_rows: Any, max_bytes: Any) -> Limits:
        """Check what a caller gave; None is the usual."""
        rows = MAX_ROWS if max_rows is None else check_count("max_rows", max_rows)
        return cls(rows, MAX_BYTES if max_bytes is None else check_count("max_bytes", max_bytes))

    @property
    def json_bytes(self) -> int:
        """Bytes of json text, which takes more memory."""
        return self.max_bytes // _JSON_SHARE

    def check(self, name: str, *, rows: int = 0, cells: int = 0, size: int = 0) -> None:
        """Refuse a table that is larger."""
        if rows > self.max_rows:
            raise DataError(
                f"{name} has more than {self.max_rows:,} rows, which no table of training runs has",
                "it was not loaded",
                f"Keep one row per run, or read it with {way('read_runs(..., max_rows=...)', '--max-rows')}",
            )
        if cells > self.max_bytes // _CELL_BYTES or size > self.max_bytes:
            raise DataError(
                f"{name} unpacks to more than {self.max_bytes:,} bytes",
                "it was not loaded",
                f"Keep N, D and loss, or read it with {way('read_runs(..., max_bytes=...)', '--max-bytes')}",
            )
