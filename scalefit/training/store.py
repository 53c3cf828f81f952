"""The store: one folder per run, one writer at a time, and every file either whole or absent.

``runs/<run_id>/`` holds config.json, provenance.json, curve.jsonl (appended), checkpoint.safetensors
(replaced atomically), result.json (its presence means finished) and lease (who is at work). ``corpora/``
holds the tokens. A database would not do: SQLite's write-ahead log does not work over a network filesystem.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import math
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scalefit._files import write_atomically as write_atomically
from scalefit._plain import plain
from scalefit.errors import DataError

#: A lease whose owner has not renewed it for so long is free to take [s].
STALE_LEASE = 300.0
#: Leases that this process holds.
_HELD: set[Path] = set()
RESULT_FORMAT = 1


class StoreError(DataError):
    """The store cannot be read or written; finished runs are untouched."""


@dataclass(frozen=True)
class RunRecord:
    """The result of :func:`train`: the rows of one run, one per member and D.

    `status` is ``finished``, or the worst thing that happened: ``diverged``, ``nan``, ``oom``. `curve` is a
    list of mappings with segment, step, tokens, lr, and for each member train_loss, val_loss, grad_norm.
    """

    run_id: str
    status: str
    rows: tuple[dict[str, Any], ...]
    curve: tuple[dict[str, Any], ...] = field(repr=False)
    seconds: float

    @property
    def loss(self) -> float:
        """Held-out loss of the last point of the first member [nat/token]."""
        values = [row["loss"] for row in self.rows if row["member"] == 0]
        return math.nan if not values or values[-1] is None else float(values[-1])

    def table(self) -> Any:
        """Return the rows as the DataFrame that ``scalefit.fit`` reads."""
        import pandas as pd

        return pd.DataFrame(list(self.rows))


class Store:
    """A store in a folder of this machine, or of a filesystem that it mounts.

    `name` is the name by which another worker opens it, `root` the folder.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.name = root, str(root.absolute())

    def folder(self, run_id: str) -> RunFolder:
        """Return the folder of a run."""
        return RunFolder(self.root / "runs" / run_id)

    def fetch(self, pattern: str) -> None:
        """Fetch the files that match a pattern: nothing to do in a local store."""

    def publish(self, pattern: str) -> None:
        """Publish the files that match a pattern: nothing to do in a local store."""


class RunFolder:
    """The folder of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.curve_path, self.checkpoint_path = path / "curve.jsonl", path / "checkpoint.safetensors"
        self.weights_path = path / "weights.safetensors"
        self._lost = False

    @property
    def finished(self) -> bool:
        """Whether result.json is there."""
        return (self.path / "result.json").exists()

    def write_json(self, name: str, value: Mapping[str, Any]) -> None:
        """Write a JSON file atomically."""
        with store_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            write_atomically(self.path / name, json.dumps(plain(value), indent=1).encode())

    def append_curve(self, record: Mapping[str, Any]) -> None:
        """Append one line in one write."""
        with store_errors(self.path), self.curve_path.open("ab") as out:
            out.write((json.dumps(plain(record)) + "\n").encode())

    def keep_checkpoint(self) -> None:
        """Keep the checkpoint that was written: nothing to do in a local store."""

    def drop_checkpoint(self) -> None:
        """Remove the checkpoint of a run that is finished."""
        self.checkpoint_path.unlink(missing_ok=True)

    def curve_size(self) -> int:
        """Return the bytes of the curve file so far."""
        return self.curve_path.stat().st_size if self.curve_path.exists() else 0

    def truncate_curve(self, size: int) -> None:
        """Remove what was written after a checkpoint."""
        with store_errors(self.path):
            if self.curve_size() < size:
                raise StoreError(
                    f"{self.curve_path} has {self.curve_size()} bytes and its checkpoint remembers {size}",
                    "the run was not resumed",
                    f"Delete {self.path} to start it again",
                )
            if self.curve_path.exists():
                os.truncate(self.curve_path, size)

    def read_curve(self) -> tuple[dict[str, Any], ...]:
        """Read the curve; a torn last line is left out."""
        if not self.curve_path.exists():
            return ()
        lines = self.curve_path.read_bytes().split(b"\n")
        records = []
        for number, line in enumerate(lines, start=1):
            if not line:
                continue
            try:
                records.append(json.loads(line))
            except ValueError as error:
                if number == len(lines):
                    break  # killed within a write: everything before it is whole
                raise StoreError(
                    f"{self.curve_path}, line {number} is not JSON",
                    "the curve was not read",
                    f"Delete {self.path} to run it again",
                ) from error
        return tuple(records)

    def read_record(self) -> RunRecord:
        """Read a finished run.

        Raises
        ------
        StoreError
            result.json is damaged or of another format.
        """
        path = self.path / "result.json"
        try:
            result = json.loads(path.read_text())
            if result["format"] != RESULT_FORMAT:
                raise ValueError(f"format {result['format']}, this version reads {RESULT_FORMAT}")
            rows = tuple(dict(row) for row in result["rows"])
            return RunRecord(result["run_id"], result["status"], rows, self.read_curve(), result["seconds"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(
                f"{path} is not a result that scalefit wrote ({error})",
                "nothing was changed",
                f"Delete {self.path} to run it again",
            ) from error

    def acquire(self) -> bool:
        """Take the lease; False if another live worker has it."""
        lease = self.path / "lease"
        with store_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            # Judged, removed and made under one lock: a worker that saw a dead lease never removes a new one.
            with open(self.path / "lease.lock", "w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if lease.exists() and not _abandoned(lease):
                    return False
                lease.unlink(missing_ok=True)
                try:
                    with open(lease, "x") as out:
                        _HELD.add(lease.absolute())
                        out.write(_owner())
                except FileExistsError:  # made on another host, where this lock does not reach
                    return False
        return True

    def held_by_other(self) -> bool:
        """Whether a live worker holds the run."""
        lease = self.path / "lease"
        return lease.exists() and not _abandoned(lease)

    def renew(self) -> bool:
        """Renew the lease; False if another worker has taken it."""
        lease = self.path / "lease"
        try:
            if lease.read_text() != _owner():
                return False
            os.utime(lease)
        except OSError:  # of a network filesystem that is away for a while: the lease still has minutes
            return lease.exists()
        return True

    @contextlib.contextmanager
    def kept_alive(self, every: float | None) -> Iterator[None]:
        """Renew the lease all `every` seconds, whatever takes long: a compiler, an evaluation. None: do nothing."""
        done = threading.Event()

        def renew() -> None:
            while not done.wait(every):
                if not self.renew():
                    self._lost = True
                    return

        thread = threading.Thread(target=renew, daemon=True)
        if every is not None:
            thread.start()
        try:
            yield
        finally:
            done.set()
            if every is not None:
                thread.join()

    def check_lease(self) -> None:
        """Raise if another worker has taken the run, because two writers would mix their curves.

        Raises
        ------
        StoreError
            The lease was lost.
        """
        if self._lost:
            raise StoreError(
                f"Another worker has taken {self.path} over, as this one was silent for more than {STALE_LEASE:.0f} s",
                "this one stopped and wrote nothing more",
                "Check the clock and the filesystem of its machine",
            )

    def release(self) -> None:
        """Give the lease back, if this worker still has it."""
        lease = self.path / "lease"
        _HELD.discard(lease.absolute())
        with contextlib.suppress(OSError):
            if lease.read_text() == _owner():
                lease.unlink()


def _abandoned(lease: Path) -> bool:
    """Whether the owner is known to be dead (same machine and boot), or silent for too long."""
    try:
        found = json.loads(lease.read_text())
        age = time.time() - lease.stat().st_mtime
    except FileNotFoundError:
        return True
    except (ValueError, OSError):
        return _age(lease) > 10.0  # torn: its writer was killed between creating and writing it
    return not isinstance(found, dict) or is_dead(found, age, lease.absolute() in _HELD)


def _is_zombie(pid: int) -> bool:
    """Whether a process has ended and only waits for its parent to ask; False where the system does not say."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[:1] == ["Z"]


def is_dead(found: Mapping[str, Any], age: float, held: bool) -> bool:
    """Whether the owner of a lease is dead (same machine and boot), or was silent for too long.

    Parameters
    ----------
    found : mapping
        Content of its lease.
    age : float
        Time since its last sign of life [s].
    held : bool
        Whether this process holds the lease, in another thread.
    """
    if found.get("host") == socket.gethostname() and found.get("boot") == _boot_id():
        pid = int(found.get("pid", 0))
        if pid == os.getpid():
            return not held
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return _is_zombie(pid)
    return age > STALE_LEASE


def owner() -> dict[str, Any]:
    """Return the identity of this process, as written into leases."""
    return {"host": socket.gethostname(), "pid": os.getpid(), "boot": _boot_id()}


def _owner() -> str:
    return json.dumps(owner())


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return math.inf


def _boot_id() -> str:
    """What a process id means something in: the machine since its start, and the container on it."""
    try:
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


@contextlib.contextmanager
def store_errors(path: Path) -> Iterator[None]:
    """Turn errors of the filesystem into one clear error."""
    try:
        yield
    except OSError as error:
        what = {
            errno.ENOSPC: "the disk is full; free some space",
            errno.EDQUOT: "the disk quota is used up; free some space",
            errno.EACCES: "it is not writable; choose another store",
            errno.EPERM: "it is not writable; choose another store",
            errno.EROFS: "it is read-only; choose another store",
        }.get(error.errno or 0, f"{error.strerror or error}; check the path")
        raise StoreError(f"Cannot write to {path}: {what}", "what was finished before is kept", "Run again") from error
