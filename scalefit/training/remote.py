"""A store in a bucket, or any other place that fsspec reaches: ``s3://``, ``gs://``, ``abfs://``, ``hf://``.

A worker trains in a scratch folder of its own machine, an ordinary store, and sends what is whole: results, checkpoints
with the curve up to them, the config of the sweep. A lease is an object that can be made only once. Corpora are not
sent: each machine builds its own, and a sweep refuses other tokens.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from scalefit.errors import require
from scalefit.training.store import RunFolder, Store, StoreError, is_dead, owner

log = logging.getLogger("scalefit")

#: Leases of object stores that this process holds.
_HELD: set[str] = set()
#: What is sent of a finished run before its result, which says that all is there.
_KEPT = ("config.json", "provenance.json", "curve.jsonl", "weights.safetensors")


def open_store(store: str | Path | Store) -> Store:
    """Return the store of that name: a folder, or an address that fsspec reads.

    Parameters
    ----------
    store : str, path or Store
        ``"runs"``, ``"s3://bucket/runs"``. Options and credentials are those of fsspec's own configuration. The scratch
        folder of an address is under ``SCALEFIT_SCRATCH``, or ``~/.cache/scalefit``.

    Raises
    ------
    StoreError
        The address cannot be used.
    MissingExtraError
        fsspec is not installed.

    Examples
    --------
    >>> open_store("runs").root.name
    'runs'
    """
    if isinstance(store, Store):
        return store
    if "://" in str(store):
        return RemoteStore(str(store))
    return Store(Path(store))


class RemoteStore(Store):
    """A store behind an address."""

    def __init__(self, address: str) -> None:
        fsspec = require("fsspec", extra="train", purpose="Stores behind an address")
        with _reached(address):
            self.files, base = fsspec.core.url_to_fs(address)
        self.base = base.rstrip("/")
        self.local = "file" in self.files.protocol  # a folder of this machine or of the network, no object store
        cache = os.environ.get("SCALEFIT_SCRATCH") or Path.home() / ".cache" / "scalefit" / "stores"
        super().__init__(Path(cache) / hashlib.sha256(address.encode()).hexdigest()[:12])
        self.name = address

    def folder(self, run_id: str) -> RunFolder:
        """Return the folder of a run."""
        return RemoteRunFolder(self, self.root / "runs" / run_id)

    def fetch(self, pattern: str) -> None:
        """Fetch the files that match a pattern."""
        with _reached(self.name):
            self.files.invalidate_cache()
            for found in self.files.glob(f"{self.base}/{pattern}"):
                self.get(str(found).rpartition(f"{self.base.lstrip('/')}/")[2])

    def publish(self, pattern: str) -> None:
        """Send the files that match a pattern."""
        with _reached(self.name):
            for path in sorted(self.root.glob(pattern)):
                self.put(str(path.relative_to(self.root)))

    def get(self, name: str) -> bool:
        """Fetch one file, whole or not at all; False if it does not exist."""
        target = self.root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            self.files.get_file(f"{self.base}/{name}", str(part))
            os.replace(part, target)
        except FileNotFoundError:
            part.unlink(missing_ok=True)
            return False
        return True

    def put(self, name: str) -> None:
        """Send one file."""
        target = f"{self.base}/{name}"
        self.files.makedirs(target.rpartition("/")[0], exist_ok=True)
        if self.local:  # a reader could see a part
            part = f"{target}.{os.getpid()}.part"
            self.files.put_file(str(self.root / name), part)
            os.replace(part, target)
        else:
            self.files.put_file(str(self.root / name), target)

    def remove(self, name: str) -> None:
        """Remove one file if it exists."""
        with contextlib.suppress(FileNotFoundError):
            self.files.rm_file(f"{self.base}/{name}")

    def has(self, name: str) -> bool:
        """Whether a file exists."""
        self.files.invalidate_cache()
        return bool(self.files.exists(f"{self.base}/{name}"))

    def read_text(self, name: str) -> str | None:
        """Return the content of a small file; None if it does not exist."""
        self.files.invalidate_cache()
        try:
            return bytes(self.files.cat_file(f"{self.base}/{name}")).decode(errors="replace")
        except FileNotFoundError:
            return None

    def write_text(self, name: str, text: str, once: bool = False) -> bool:
        """Write a small file; with `once`, return False if it already exists."""
        target = f"{self.base}/{name}"
        self.files.makedirs(target.rpartition("/")[0], exist_ok=True)
        try:
            if self.local:
                _link(Path(target), text, once)
            else:
                self.files.pipe_file(target, text.encode(), mode="create" if once else "overwrite")
        except FileExistsError:
            return False
        return True


class RemoteRunFolder(RunFolder):
    """The folder of one run in scratch, and its place in the object store."""

    def __init__(self, store: RemoteStore, path: Path) -> None:
        super().__init__(path)
        self.store, self.key = store, f"runs/{path.name}"
        self._lease = f"{store.base}/{self.key}/lease"

    @property
    def finished(self) -> bool:
        """Whether the result exists here or in the remote store; a remote one is fetched."""
        if super().finished:
            return True
        with _reached(self.store.name):
            if not self.store.has(f"{self.key}/result.json"):
                return False
            for name in (*_KEPT, "result.json"):
                self.store.get(f"{self.key}/{name}")
        return super().finished

    def write_json(self, name: str, value: Mapping[str, Any]) -> None:
        """Write a JSON file; a result is sent after everything that belongs to it."""
        super().write_json(name, value)
        if name == "result.json":
            with _reached(self.store.name):
                for kept in (*_KEPT, name):
                    if (self.path / kept).exists():
                        self.store.put(f"{self.key}/{kept}")

    def keep_checkpoint(self) -> None:
        """Send the checkpoint, after the curve up to it; a temporary network failure is only reported."""
        try:
            with _reached(self.store.name):
                for path in (self.curve_path, self.checkpoint_path):
                    if path.exists():
                        self.store.put(f"{self.key}/{path.name}")
        except StoreError as error:
            log.warning("the checkpoint of %s stays on this machine: %s", self.path.name, error)

    def drop_checkpoint(self) -> None:
        """Remove the checkpoint, here and in the remote store."""
        super().drop_checkpoint()
        with _reached(self.store.name):
            self.store.remove(f"{self.key}/{self.checkpoint_path.name}")

    def acquire(self) -> bool:
        """Take the lease, and fetch the last checkpoint; False if another live worker has the lease."""
        if not super().acquire():
            return False
        try:
            taken = self._acquire()
        except BaseException:
            self.release()  # it may be that the lease was made
            raise
        if not taken:
            super().release()
        return taken

    def _acquire(self) -> bool:
        name = f"{self.key}/lease"
        with _reached(self.store.name):
            if not self.store.write_text(name, self._stamp(), once=True) and not self._replace(name):
                return False
            _HELD.add(self._lease)
            if self.store.has(f"{self.key}/{self.checkpoint_path.name}"):
                # of the two the curve is the newer one: read second, it is never short of its checkpoint
                for path in (self.checkpoint_path, self.curve_path):
                    self.store.get(f"{self.key}/{path.name}")
        return True

    def _replace(self, name: str) -> bool:
        """Put a lease in the place of a dead one; False where it lives, or another worker was faster."""
        found = self.store.read_text(name)
        if self._lives(found):
            return False
        if found is not None:
            if self.store.read_text(name) != found:
                return False
            self.store.remove(name)
        return self.store.write_text(name, self._stamp(), once=True)

    def _stamp(self) -> str:
        return json.dumps({**owner(), "time": time.time()})

    def _lives(self, lease: str | None) -> bool:
        found = _read(lease)
        return bool(found) and not is_dead(found, time.time() - float(found.get("time", 0.0)), self._lease in _HELD)

    def _is_held(self) -> bool:
        return self._lives(self.store.read_text(f"{self.key}/lease"))

    def _is_ours(self) -> bool:
        found = _read(self.store.read_text(f"{self.key}/lease"))
        return {**found, "time": 0} == {**owner(), "time": 0}

    def held_by_other(self) -> bool:
        """Whether a live worker holds the run, here or elsewhere."""
        if super().held_by_other():
            return True
        with _reached(self.store.name):
            return self._is_held()

    def renew(self) -> bool:
        """Renew the lease; False if another worker has taken it."""
        if not super().renew():
            return False
        try:
            with _reached(self.store.name):
                return self._is_ours() and self.store.write_text(f"{self.key}/lease", self._stamp())
        except StoreError:  # the network is away for a while: the lease still has minutes
            return True

    def release(self) -> None:
        """Give the lease back, if this worker still has it."""
        _HELD.discard(self._lease)
        with contextlib.suppress(StoreError), _reached(self.store.name):
            if self._is_ours():
                self.store.remove(f"{self.key}/lease")
        super().release()


def _link(target: Path, text: str, once: bool) -> None:
    """Write a file whole; `once`: only where none is. fsspec itself looks first and writes then."""
    part = target.with_name(f"{target.name}.{uuid.uuid4().hex}.part")
    try:
        part.write_text(text)
        (os.link if once else os.replace)(part, target)
    finally:
        part.unlink(missing_ok=True)


def _read(lease: str | None) -> dict[str, Any]:
    """Return what a lease says; nothing where it is not there, or damaged."""
    try:
        found = json.loads(lease or "")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


@contextlib.contextmanager
def _reached(address: str) -> Iterator[None]:
    """Turn what a filesystem of fsspec raises, in classes of its own, into one clear error."""
    try:
        yield
    except StoreError:
        raise
    except Exception as error:
        why = (str(error).splitlines() or [""])[0] or type(error).__name__
        raise StoreError(
            f"The store {address} cannot be used ({why})",
            "what was finished before is kept",
            "Check the address, its credentials and that fsspec's package for it is installed",
        ) from error
