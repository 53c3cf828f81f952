"""Documents of text from files or Python's standard library, in an order that does not depend on the disk."""

from __future__ import annotations

import bz2
import contextlib
import glob
import gzip
import json
import lzma
import re
import shutil
import sysconfig
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any, TypeVar

from scalefit.errors import DataError, arg, require

T = TypeVar("T")
TEXT_SUFFIXES = {".txt", ".md", ".py", ".rst", ".tex", ".html", ".c", ".h", ".js", ".rs", ".go", ".java"}
_UNPACK: dict[str, Callable[[IO[bytes]], Any]] = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}
#: Generated tables, and what other packages installed beside the library.
_GENERATED = {"encodings", "pydoc_data", "site-packages", "dist-packages", "__pycache__"}


def in_batches(items: Iterable[T], size: int, length: Callable[[T], int]) -> Iterator[list[T]]:
    """Yield items in lists of about `size` characters, by the `length` of each."""
    held: list[T] = []
    total = 0
    for item in items:
        held.append(item)
        total += length(item)
        if total >= size:
            yield held
            held, total = [], 0
    if held:
        yield held


def stdlib_root() -> Path:
    """Folder of this interpreter's standard library."""
    return Path(sysconfig.get_paths()["stdlib"])


def read_stdlib() -> Iterator[str]:
    """Yield the Python files of this interpreter's standard library, tests included, generated tables not.

    The text differs by version and packager by a factor of three; the store's sha256 tells them apart.
    """
    root = stdlib_root()
    for path in sorted(root.rglob("*.py")):
        if not _GENERATED.intersection(path.relative_to(root).parts):
            text = path.read_bytes().decode("utf-8", errors="ignore")
            if text.strip():
                yield text


def find_files(pattern: str) -> list[Path]:
    """Files of a file, folder or glob that :func:`read_files` can read, in order."""
    root = Path(pattern)
    if root.is_dir():
        found = sorted(path for path in root.rglob("*") if path.is_file())
    else:
        found = [root] if root.is_file() else sorted(Path(name) for name in glob.glob(pattern, recursive=True))
    return [path for path in found if _reader(path, alone=len(found) == 1) is not None]


def read_files(pattern: str, text_field: str, lines: bool = False) -> Iterator[str]:
    """Yield the documents of a file, folder or glob: text, ``.jsonl``, ``.parquet``, ``.tar*`` of text.

    A file of text is a document, unless it is the only one: then its paragraphs are, so that some can be held out.
    With `lines` the lines of every file of text are.
    """
    found = find_files(pattern)
    if not found:
        raise DataError(
            f"No text, .jsonl, .parquet or .tar file at {pattern!r}",
            "the corpus was not built",
            f"Check the path; text means {', '.join(sorted(TEXT_SUFFIXES))}",
        )
    for path in found:
        reader = _reader(path, alone=len(found) == 1)
        for text in reader(path, text_field):  # type: ignore[misc]
            if reader is not _read_text or not (lines or len(found) == 1):
                yield text
            elif lines:
                yield from filter(str.strip, text.splitlines())
            else:
                yield from _paragraphs(text)


def _reader(path: Path, alone: bool = False):  # type: ignore[no-untyped-def]  # (path, text_field) -> documents, or None
    """Return what reads a file; one that is given by its own name needs no known suffix to be text."""
    if ".tar" in path.suffixes:
        return _read_tar
    if path.suffix in (".jsonl", ".parquet"):
        return _read_jsonl if path.suffix == ".jsonl" else _read_parquet
    return _read_text if path.suffix in TEXT_SUFFIXES or (alone and _looks_like_text(path)) else None


def _looks_like_text(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(4096)
    try:
        return b"\0" not in head and bool(head[: -3 if len(head) == 4096 else None].decode("utf-8").strip())
    except UnicodeDecodeError:
        return False


def _paragraphs(text: str) -> list[str]:
    """Return the parts of a text between blank lines, or its lines where it has none."""
    parts = [part for part in re.split(r"\n[ \t]*\n", text) if part.strip()]
    return parts if len(parts) > 1 else [line for line in text.splitlines() if line.strip()]


def _read_text(path: Path, _: str) -> Iterator[str]:
    yield path.read_bytes().decode("utf-8", errors="replace")


def _read_tar(path: Path, _: str) -> Iterator[str]:
    with contextlib.ExitStack() as stack:
        raw: IO[bytes] = stack.enter_context(path.open("rb"))
        unpack = _UNPACK.get(path.suffix)
        if unpack is not None:  # to go back in a compressed file is to unpack it again: unpacked once, on disk
            whole = stack.enter_context(tempfile.TemporaryFile())
            shutil.copyfileobj(stack.enter_context(unpack(raw)), whole)
            whole.seek(0)
            raw = whole
        archive = stack.enter_context(tarfile.open(fileobj=raw, mode="r:"))
        members = [item for item in archive if item.isfile() and Path(item.name).suffix in TEXT_SUFFIXES]
        last = {item.name: item for item in members}  # of two with one name the later holds, as when unpacking
        for name in sorted(last):
            stream = archive.extractfile(last[name])
            if stream is not None:
                yield stream.read().decode("utf-8", errors="replace")


def _read_jsonl(path: Path, text_field: str) -> Iterator[str]:
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                text = json.loads(line)[text_field]
            except (ValueError, KeyError, TypeError) as error:
                raise DataError(
                    f"{path}, line {number}: no JSON object with the field {text_field!r} ({error})",
                    "the corpus was not built",
                    f"Name the field with {arg('text_field')}",
                ) from error
            if text:  # null and "" are not documents
                yield str(text)


def _read_parquet(path: Path, text_field: str) -> Iterator[str]:
    parquet = require("pyarrow.parquet", extra="train", purpose="parquet corpora")
    table = parquet.ParquetFile(path)
    if text_field not in table.schema_arrow.names:
        raise DataError(
            f"{path} has no column {text_field!r} (it has {', '.join(table.schema_arrow.names)})",
            "the corpus was not built",
            f"Name the column with {arg('text_field')}",
        )
    for batch in table.iter_batches(columns=[text_field]):
        yield from (text for text in batch.column(0).to_pylist() if text)
