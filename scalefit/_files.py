"""Files: written whole or not at all, read up to a size limit, with errors of one line."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import secrets
import stat
import warnings
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from scalefit._plain import plain
from scalefit.errors import ArgumentError, DataError, arg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Bytes of a saved result, a plan or a log. A fit of 20,000 runs with 20,000 resamples takes 10 MB (a guess at what
#: leaves room; parsed JSON takes about ten times its text in memory).
MAX_BYTES = 1 << 27
_BLOCK = 1 << 20
_HEAD = 1 << 10  # bytes that show whether a file begins as JSON does


def write_whole(path: Any, content: str | bytes) -> None:
    """Write `content` so that a reader, or a kill on the way, finds the old file or the new one, never a part.

    The new file is made beside the old one under a name of its own, flushed to the disk and renamed over it. Its mode
    and owner, and a symbolic link that leads to it, are kept. A file with several hard links is filled in place, as a
    rename would cut its links: it is written beside first, so that a full disk leaves it as it was.

    Raises
    ------
    ArgumentError
        `path` is not a path.
    DataError
        Nothing can be written there.
    """
    target = as_path(path)
    try:
        write_atomically(target, content.encode("utf-8") if isinstance(content, str) else content)
    except OSError as error:
        raise DataError(
            f"{target} cannot be written: {error.strerror or error}", "nothing was saved", "Check the folder"
        ) from error


def write_json(document: Any, path: Any = None) -> str:
    """Return the JSON text of a document, with null for NaN and infinities; write it to `path` if given."""
    text = json.dumps(plain(document), indent=1, allow_nan=False)
    if path is not None:
        write_whole(path, text)
    return text


def write_atomically(path: Path, content: bytes) -> None:
    """Write as `write_whole` does, but let an `OSError` of the disk through.

    Raises
    ------
    DataError
        There is something at `path` that is not a regular file.
    """
    target = Path(os.path.realpath(path))  # a link stays a link, and what it leads to is replaced
    old = _regular(target, path)
    if old is not None and not os.access(target, os.W_OK):
        raise PermissionError(13, "it is read-only")
    temporary = target.with_name(f".{target.name[:100]}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)  # less the umask, as any new file
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        _keep_mode(temporary, old)
        if old is not None and old.st_nlink > 1:
            _fill(target, content)
        else:
            os.replace(temporary, target)
            _flush_folder(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _regular(target: Path, named: Path) -> os.stat_result | None:
    """Status of the file that is there; None where there is none, refused where it is something else."""
    try:
        old = target.stat()
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(old.st_mode):
        raise DataError(f"{named} is a folder", "nothing was written", "Name a file in it")
    if not stat.S_ISREG(old.st_mode):
        raise DataError(f"{named} is a device, a pipe or a socket", "nothing was written", "Name a regular file")
    return old


def _keep_mode(temporary: Path, old: os.stat_result | None) -> None:
    if old is None:
        return
    if (old.st_uid, old.st_gid) != (os.geteuid(), os.getegid()):
        with contextlib.suppress(OSError):  # only root may give a file away
            os.chown(temporary, old.st_uid, old.st_gid)
    temporary.chmod(stat.S_IMODE(old.st_mode))


def _fill(target: Path, content: bytes) -> None:
    with target.open("r+b") as out:
        out.write(content)
        out.truncate()
        out.flush()
        os.fsync(out.fileno())


def _flush_folder(folder: Path) -> None:
    """Make the rename last through a loss of power, where the filesystem can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@dataclass(slots=True)
class _Pipe:
    """What was read of a pipe so far, and the handle that the rest comes from; None at its end."""

    handle: int | None
    content: bytearray = field(default_factory=bytearray)

    def more(self, size: int) -> None:
        """Read on."""
        if self.handle is None:
            return
        block = os.read(self.handle, size)
        self.content += block
        if not block:
            os.close(self.handle)
            self.handle = None


#: Pipes of the shell, by device and number: each gives its content once, and a command may ask for it twice.
_PIPES: dict[tuple[int, int], _Pipe] = {}


class _FromStart(io.RawIOBase):
    """A pipe from its start, as often as it is opened."""

    def __init__(self, pipe: _Pipe) -> None:
        self._pipe, self._at = pipe, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        known = self._pipe.content
        if self._at == len(known):
            self._pipe.more(len(buffer))
        part = bytes(known[self._at : self._at + len(buffer)])
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)


def opened(path: Path) -> IO[bytes]:
    """Open a file to read its bytes; a pipe of the shell (``/dev/stdin``, ``<(...)``) gives them as often as asked."""
    status = path.stat()
    if not stat.S_ISFIFO(status.st_mode) or path.absolute().parts[1] not in ("dev", "proc"):
        return path.open("rb")  # also a pipe with a name: what comes out of it next may be another table
    key = status.st_dev, status.st_ino
    if key not in _PIPES:
        _PIPES[key] = _Pipe(os.open(path, os.O_RDONLY))
    return io.BufferedReader(_FromStart(_PIPES[key]))


def read_bounded(path: Any, max_bytes: int = MAX_BYTES) -> bytes:
    """Read a file that the user named, up to `max_bytes`; an `OSError` of the disk goes through.

    Raises
    ------
    DataError
        The file is larger, or endless, such as ``/dev/zero``.
    """
    target = as_path(path)
    blocks: list[bytes] = []
    size = 0
    with opened(target) as stream:
        while block := stream.read(_BLOCK):
            if not blocks and block.count(0) == len(block):
                raise DataError(f"{target} holds NUL bytes, not text", "it was not read", "Name another file")
            blocks.append(block)
            size += len(block)
            if size > max_bytes:
                raise DataError(
                    f"{target} is larger than {max_bytes:,} bytes, or has no end",
                    "it was not read",
                    f"Name another file, or raise {arg('max_bytes')} where there is that option",
                )
    return b"".join(blocks)


def read_text(path: Any, max_bytes: int = MAX_BYTES) -> str:
    """Read a text file as `read_bounded` does; a byte that is not UTF-8 raises `UnicodeDecodeError`."""
    return read_bounded(path, max_bytes).decode("utf-8")


def read_foreign_text(path: Any, max_bytes: int = MAX_BYTES) -> str:
    """Read a text file that another program wrote: gzipped or not, in UTF-8, or in UTF-16 or UTF-32 with its mark.

    Raises
    ------
    DataError
        As `read_bounded`, also where it unpacks to more than `max_bytes`, or is a damaged gzip file.
    """
    content = read_bounded(path, max_bytes)
    if content.startswith(b"\x1f\x8b"):
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
                content = stream.read(max_bytes + 1)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DataError(
                f"{path} is a damaged or cut gzip file ({error})", "it was not read", "Copy it again"
            ) from None
        if len(content) > max_bytes:
            raise DataError(f"{path} unpacks to more than {max_bytes:,} bytes", "it was not read", "Name another file")
    if content.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        return content.decode("utf-32")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):  # as PowerShell writes what it redirects
        return content.decode("utf-16")
    return content.decode("utf-8").removeprefix("\ufeff")


def save_figure(figure: Figure, path: Any, **options: Any) -> None:
    """Write a figure in the format that the suffix of `path` names.

    Raises
    ------
    ArgumentError
        `path` is not a path, or its suffix names no known format.
    DataError
        Nothing can be written there.
    """
    target = as_path(path)
    known = figure.canvas.get_supported_filetypes()
    kind = target.suffix.lower().removeprefix(".") or "png"
    if kind not in known:
        listed = ", ".join(sorted(known))
        raise ArgumentError(f"{target}: no format {target.suffix!r}", "nothing was drawn", f"Known: {listed}")
    drawn = io.BytesIO()
    with warnings.catch_warnings():  # it says how long the machine took, not what is wrong with the figure
        warnings.filterwarnings("ignore", message="Creating legend with loc", category=UserWarning)
        figure.savefig(drawn, format=kind, dpi=150, **options)
    write_whole(target if target.suffix else target.with_name(f"{target.name}.png"), drawn.getvalue())


def is_document(source: Any) -> bool:
    """Whether a source is the JSON text itself, as ``to_json()`` returns it, and not the name of a file."""
    return isinstance(source, str) and source.lstrip().startswith("{")


def as_path(path: Any) -> Path:
    """Return a path; raise if the value is not one."""
    try:
        found = Path(path)
    except TypeError:
        raise ArgumentError(
            f"{arg('path', path)} is not the path of a file", "nothing was opened", "Give text or a pathlib.Path"
        ) from None
    if "\0" in str(found):
        raise ArgumentError(
            f"{arg('path', path)} holds a NUL byte, which no file name can contain",
            "nothing was opened",
            "Name another one",
        )
    return found


def is_saved(path: Path) -> bool:
    """Whether a file is a saved result; anything else is a table."""
    keys = json_keys(path)
    return {"format", "scalefit"} <= keys and bool({"law", "kind"} & keys)


def json_keys(path: Path) -> set[str]:
    """Keys of the JSON object that a file holds; empty if it holds something else."""
    try:
        with opened(path) as stream:
            if not stream.read(_HEAD).lstrip().startswith(b"{"):
                return set()
        document = json.loads(read_text(path))
    except (OSError, DataError, ValueError, RecursionError):  # whoever reads it as something else says what is wrong
        return set()
    return set(document) if isinstance(document, dict) else set()
