"""Files in: from a path to a raw frame with the row numbers that the file's reader sees.

A file is judged by its first 64 KiB (is it text, is there a header, are the columns there) before the rest
is loaded, so that a huge file of nonsense costs nothing. The number of a row is the one that a spreadsheet
shows: in csv and tsv the header is row 1; in json, jsonl and parquet the first run is row 1.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

from scalefit._files import as_path, opened
from scalefit._text import known
from scalefit._typing import AnyArray
from scalefit.errors import ArgumentError, DataError, arg, way
from scalefit.tables.delimited import decimal, no_runs, refuse_bad_header, separator_of, skipped_lines, tidied
from scalefit.tables.json_shapes import frame_of, records_in
from scalefit.tables.limits import Limits

#: Bytes of a file that say what kind of table it is.
HEAD_BYTES = 1 << 16
_FEW_ROWS = 16
FORMATS = ("csv", "tsv", "json", "jsonl", "parquet")

_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0e-\x1f\x7f]")
_EXAMPLE = '[{"N": 1e8, "D": 2e9, "loss": 3.1}]'
_MAGIC = {
    b"PK\x03\x04": "a zip archive or an Excel workbook",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"\x28\xb5\x2f\xfd": "zstd-compressed data",
    b"\xfd7zXZ": "xz-compressed data",
    b"BZh": "bzip2-compressed data",
    b"%PDF": "a PDF file",
    b"<table": "a page of HTML",
    b"<html": "a page of HTML",
    b"<!DOCTYPE": "a page of HTML",
    b"<!doctype": "a page of HTML",
    b"\x80\x04": "a Python pickle, which scalefit never loads",
    b"\x80\x05": "a Python pickle, which scalefit never loads",
}

#: Called with the column names and a few rows before the rest is loaded; raises where they will not do.
HeaderCheck = Callable[[pd.DataFrame], object]


@dataclass(frozen=True, slots=True)
class RawTable:
    """A table as it stands in its file.

    Parameters
    ----------
    frame : DataFrame, shape (n_rows, n_columns)
        The cells, untouched.
    rows : ndarray, shape (n_rows,)
        The number of each row in the file, or its label in the frame it came from.
    unreadable : list of (row, reason)
        Rows that could not be split into cells.
    name : str
        What messages call the table.
    """

    frame: pd.DataFrame
    rows: AnyArray
    name: str
    unreadable: list[tuple[Any, str]] = field(default_factory=list)


def read_file(
    path: str | Path, check: HeaderCheck, format: str | None = None, limits: Limits | None = None
) -> RawTable:
    """Read a file of runs; the format is taken from its content, then from its name.

    Parameters
    ----------
    path : str or Path
        A local file: csv, tsv, json, jsonl or parquet; text may be gzipped.
    check : callable
        Gets a frame of the first rows before the rest is loaded; raises where they will not do.
    format : {"csv", "tsv", "json", "jsonl", "parquet"}, optional
        Overrules the guess.
    limits : Limits, optional
        How much is unpacked.

    Raises
    ------
    DataError
        The file is missing, empty, binary, cut or too large, or `check` raised.
    """
    if format is not None and format not in FORMATS:
        raise ArgumentError(
            f"{arg('format', format)} is not a format of tables", "nothing was read", known(format, FORMATS)
        )
    path = as_path(path).expanduser()
    name = path.name or str(path)
    if "://" in str(path) or re.match(r"^[a-z]{2,6}:/", str(path)):
        raise DataError(f"{str(path)!r} is an address", "nothing was fetched", "Download the file first")
    try:
        with opened(path) as stream:
            return _read_stream(stream, path, name, check, format, limits or Limits())
    except FileNotFoundError:
        how = "Read a pipe as /dev/stdin" if str(path) == "-" else f"Check the path from {Path.cwd()}"
        raise DataError(f"There is no file {str(path)!r}", "nothing was read", how) from None
    except IsADirectoryError:
        raise DataError(f"{str(path)!r} is a folder", "nothing was read", "Name one file of runs in it") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{name} is a damaged or cut gzip file ({error})", "it was not read", "Copy it again") from None
    except UnicodeDecodeError as error:
        raise DataError(
            f"{name}: {error.reason} at byte {error.start}", "it was not read", "Save it as UTF-8"
        ) from None
    except OSError as error:
        raise DataError(f"{name}: {error.strerror or error}", "it was not read", "Check your rights to it") from None


def _read_stream(
    stream: IO[bytes], path: Path, name: str, check: HeaderCheck, format: str | None, limits: Limits
) -> RawTable:
    head = stream.read(HEAD_BYTES)
    zipped = head.startswith(b"\x1f\x8b")
    if not zipped and not head.startswith(b"PAR1") and format != "parquet":
        _judge_text(head, name)  # before the rest of an endless pipe is waited for
    stream = _rewound(stream, head, name, limits)
    if zipped:
        stream = gzip.GzipFile(fileobj=stream)  # type: ignore[assignment]
        head = stream.read(HEAD_BYTES)
        stream.seek(0)
    if head.startswith(b"PAR1") or format == "parquet":
        return _read_parquet(stream, name, check, limits)
    start, encoding = _judge_text(head, name)
    suffixes = [suffix.lower().lstrip(".") for suffix in path.suffixes]
    kind = format or _guess_format(start, [s for s in suffixes if s in (*FORMATS, "ndjson")])
    if kind == "json":
        return _read_json(_limited(stream, limits.json_bytes, name), name, check, encoding)
    content = _limited(stream, limits.json_bytes if kind == "jsonl" else limits.max_bytes, name)
    if kind != "jsonl":
        cells = sum(content.count(mark) for mark in (b",", b"\t", b";", b"|")) + content.count(b"\n")
        limits.check(name, rows=content.count(b"\n") - 1, cells=cells)
    else:
        limits.check(name, rows=content.count(b"\n"))
    stream = io.BytesIO(content)
    del content
    with io.TextIOWrapper(stream, encoding) as text:
        if kind == "jsonl":
            return _read_jsonl(text, name, check)
        return _read_delimited(text, start, name, check, "\t" if kind == "tsv" else None)


def _rewound(stream: IO[bytes], head: bytes, name: str, limits: Limits) -> IO[bytes]:
    """Return the stream at its start again; a pipe cannot be rewound, so it is read whole, up to the limit."""
    if stream.seekable():
        stream.seek(0)
        return stream
    return io.BytesIO(head + _limited(stream, limits.max_bytes, name))


def _limited(stream: IO[bytes], limit: int, name: str) -> bytes:
    content = stream.read(limit + 1)
    if len(content) > limit:
        raise _too_large(name, limit)
    return content


def _too_large(name: str, limit: int) -> DataError:
    return DataError(
        f"{name} unpacks to more than {limit / (1 << 20):.3g} MiB, which no table of training runs has",
        "it was not loaded",
        f"Keep the columns N, D and loss, or read it with {way('read_runs(..., max_bytes=...)', '--max-bytes')}",
    )


def _judge_text(head: bytes, name: str) -> tuple[str, str]:
    """Return the head as text and its encoding, or refuse what is not text."""
    for magic, what in _MAGIC.items():
        if head.startswith(magic):
            raise DataError(
                f"{name} is {what}, not a table that scalefit reads", "it was not opened", "Export it as csv"
            )
    encoding = "utf-8-sig"
    if head.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        encoding = "utf-32"
        head = head[: len(head) // 4 * 4]
    elif head.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
        head = head[: len(head) // 2 * 2]
    elif _CONTROL.search(head):
        raise DataError(f"{name} is binary, not text", "it was not loaded", "Export it as csv, tsv, json or parquet")
    else:
        try:
            head.decode(encoding)
        except UnicodeDecodeError as error:
            # A head cut inside a character is still UTF-8; anything else is taken for a Western Excel export.
            cut = len(head) == HEAD_BYTES and error.start > len(head) - 4
            encoding = encoding if cut else "cp1252"
    text = head.decode(encoding, errors="replace")
    if not text.strip():
        raise DataError(f"{name} is empty", "nothing was read", "Give it a header row and a row for each run")
    return text, encoding


def _guess_format(head: str, suffixes: list[str]) -> str:
    start = head.lstrip()
    if start[0] in "[{":
        first_line = start.splitlines()[0]
        try:
            whole_object = isinstance(json.loads(first_line), dict)
        except (ValueError, RecursionError):
            whole_object = False
        several = len(start.splitlines()) > 1
        named_lines = bool(suffixes) and suffixes[-1] in ("jsonl", "ndjson")
        return "jsonl" if named_lines or (whole_object and several) else "json"
    if suffixes:
        return {"parquet": "csv", "ndjson": "jsonl"}.get(suffixes[-1], suffixes[-1])
    return "csv"


def _read_parquet(stream: IO[bytes], name: str, check: HeaderCheck, limits: Limits) -> RawTable:
    import pyarrow
    import pyarrow.parquet

    try:
        source = stream if stream.seekable() else io.BytesIO(stream.read())
        file = pyarrow.parquet.ParquetFile(source)
        about = file.metadata
        chunks = [about.row_group(i).column(j) for i in range(about.num_row_groups) for j in range(about.num_columns)]
        limits.check(name, rows=about.num_rows, cells=sum(chunk.num_values for chunk in chunks))
        limits.check(name, size=sum(chunk.total_uncompressed_size for chunk in chunks))
        # A text that is stored once and repeated stays stored once: a short file of it would fill the memory.
        fields = list(file.schema_arrow)
        texts = [field.name for field in fields if _is_text(field.type)]
        nested = any(pyarrow.types.is_nested(field.type) for field in fields)  # a cell of those can be of any size
        step = _FEW_ROWS if nested else 1 << 13
        file = pyarrow.parquet.ParquetFile(source, read_dictionary=texts)
        check(next(file.iter_batches(min(step, 100)), file.schema_arrow.empty_table()).to_pandas())
        batches: list[Any] = []
        size = 0
        for batch in file.iter_batches(step):
            size += sum(column.indices.nbytes if hasattr(column, "indices") else column.nbytes for column in batch)
            limits.check(name, rows=sum(map(len, batches)) + len(batch), size=size)
            batches.append(batch)
        whole = pyarrow.Table.from_batches(batches, file.schema_arrow)
        del batches
        frame = _undictionary(whole.to_pandas(), texts, name, limits)
        attrs = json.loads((file.schema_arrow.metadata or {}).get(b"PANDAS_ATTRS", b"{}"))
    except (pyarrow.ArrowException, OSError, ValueError, TypeError) as error:
        if isinstance(error, DataError):
            raise
        text = " ".join(str(error).split())[:160]
        raise DataError(
            f"{name} is not a readable parquet file: {text}", "nothing was read", "Write it again"
        ) from None
    labels = frame.index.to_numpy() if frame.index.name == "row" else np.arange(1, len(frame) + 1)
    frame = frame.reset_index(drop=frame.index.name in (None, "row"))
    frame.attrs.update(attrs if isinstance(attrs, dict) else {})
    return RawTable(frame, labels, name)


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    return any(test(kind) for test in (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary))


def _undictionary(frame: pd.DataFrame, texts: list[str], name: str, limits: Limits) -> pd.DataFrame:
    """Turn text columns back into text, each distinct one held once."""
    size = 0
    for text in texts:
        column = frame[text] if text in frame else None
        if column is not None and isinstance(column.dtype, pd.CategoricalDtype):
            kinds = column.cat.categories
            size += int(sum(len(str(kind)) * n for kind, n in column.value_counts().items()))
            limits.check(name, size=size)
            frame[text] = column.astype(kinds.dtype)
    return frame


def _read_json(content: bytes, name: str, check: HeaderCheck, encoding: str) -> RawTable:
    try:
        document = json.loads(content.decode(encoding))
    except json.JSONDecodeError as error:
        raise DataError(
            f"{name} is not complete json: {error.msg} at line {error.lineno}, column {error.colno}",
            "it was not read",
            f"Write the file again; a list of runs looks like {_EXAMPLE}",
        ) from None
    except (RecursionError, ValueError) as error:
        raise DataError(f"{name} is not json that can be read: {error}", "nothing was read", "Write it again") from None
    if isinstance(document, dict) and "scalefit" in document and {"format", "question"} & set(document):
        raise DataError(
            f"{name} holds a result that scalefit saved, not a table of runs",
            "it was not read",
            f"Name the table; a saved result answers {way('result.predict and sf.plan', 'scalefit predict and plan')}",
        )
    records = records_in(document)
    if records is None:
        raise DataError(
            f"{name} holds json, but not a table",
            "it was not read",
            f"Write a list of runs, {_EXAMPLE}, or a column of values for each name",
        )
    frame = frame_of(records, name)
    check(frame.head(100))
    return RawTable(frame, np.arange(1, len(frame) + 1), name)


def _read_jsonl(text: IO[str], name: str, check: HeaderCheck) -> RawTable:
    records: list[dict[str, Any]] = []
    rows: list[int] = []
    unreadable: list[tuple[Any, str]] = []
    for number, line in enumerate(text, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if isinstance(record, dict):
            records.append(record)
            rows.append(number)
        else:
            unreadable.append((number, "the line is not a json object"))
        if len(records) == 100:
            check(frame_of(records, name))
        if not records and len(unreadable) == 100:
            break
    if not records:
        raise DataError(f"{name} holds no json object", "it was not read", 'Write line 1 like {"N": 1e8, "loss": 3.1}')
    frame = frame_of(records, name)
    check(frame.head(100))
    return RawTable(frame, np.asarray(rows), name, unreadable)


def _read_delimited(text: IO[str], head: str, name: str, check: HeaderCheck, separator: str | None) -> RawTable:
    lines = head.splitlines()
    n_comments = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
    body = lines[n_comments:]
    if len(body) == 1 and len(head) >= HEAD_BYTES // 2:
        raise DataError(
            f"The header of {name} is longer than {len(head):,} characters, or the file has one line",
            "it was not read",
            "Keep the columns N, D and loss",
        )
    if not body:
        raise DataError(f"{name} has no line that could be a header", "it was not read", "Add one: N,D,loss")
    first = next((line for line in body if line.strip()), "")
    n_skipped = n_comments + body.index(first)
    separator = separator or separator_of(first)
    sample = body[body.index(first) + 1 :]
    complete = sample if len(head) < HEAD_BYTES // 2 else sample[:-1]
    refuse_bad_header(first, complete, separator, name)
    options: dict[str, Any] = {
        "sep": separator if separator != " " else r"\s+",
        "skiprows": n_skipped,
        "index_col": False,
        "skip_blank_lines": False,
        "low_memory": False,
    }
    options["decimal"], options["thousands"] = decimal(separator, complete)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pd.errors.ParserWarning)
        try:
            start = pd.read_csv(io.StringIO("\n".join(lines[: n_skipped + 101])), on_bad_lines="skip", **options)
            check(tidied(start, separator))
        except (pd.errors.ParserError, ValueError) as error:
            if isinstance(error, DataError):
                raise
            raise _ragged(name, error) from None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            frame = tidied(pd.read_csv(text, on_bad_lines="warn", **options), separator)
        except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError) as error:
            raise _ragged(name, error) from None
    unreadable = skipped_lines(caught)
    n_lines = n_skipped + 1 + len(frame) + len(unreadable)
    numbers = np.arange(n_skipped + 2, n_lines + 1)
    numbers = numbers[~np.isin(numbers, [row for row, _ in unreadable])]
    runs = ~no_runs(frame)
    return RawTable(frame[runs].reset_index(drop=True), numbers[runs], name, unreadable)


def _ragged(name: str, error: Exception) -> DataError:
    why = " ".join(str(error).split())[:160]
    return DataError(f"{name} cannot be split into columns: {why}", "nothing was read", "Correct its rows")
