"""W&B's own log, ``run-*.wandb``: blocks as LevelDB writes them, protocol buffers inside; read without wandb.

The layout is that of wandb's ``wandb_internal.proto`` and of LevelDB's log format; both are stable, as every released
version must be able to synchronise older logs.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scalefit._files import read_bounded
from scalefit.collecting.records import Run, flat, logged
from scalefit.errors import DataError

_MAGIC = b":W&B" + struct.pack("<HB", 0xBEE1, 0)
#: Bytes of a block and of a record's head, and the types of records: the LevelDB log format.
_BLOCK, _HEAD = 1 << 15, 7
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
#: Numbers of the fields of a record, and of what is inside them.
_HISTORY, _SUMMARY, _CONFIG, _RUN, _EXIT = 2, 3, 5, 17, 18
_KEY, _NESTED_KEY, _VALUE = 1, 2, 16
_MOST_BYTES = 1 << 28


def read(path: Path) -> Run:
    """Read one run.

    Raises
    ------
    DataError
        The file is not a log of W&B.
    """
    content = read_bounded(path, _MOST_BYTES)
    if not content.startswith(_MAGIC):
        raise DataError(f"{path} is not a log of W&B", "it was not read", "Name its run folder")
    run = Run(path.stem.removeprefix("run-"), str(path.parent), "wandb")
    config: dict[str, Any] = {}
    summary: dict[str, str] = {}
    points: dict[str, list[tuple[float, float]]] = {}
    exit_code: int | None = None
    for record in _records(content):
        for number, value in _fields(record):
            if not isinstance(value, bytes):
                continue
            if number == _HISTORY:
                _history(value, points)
            elif number == _SUMMARY:
                summary.update(_texts(value))
            elif number == _CONFIG:
                config.update(_items(value))
            elif number == _RUN:
                _run(value, run, config)
            elif number == _EXIT:
                exit_code = 0
                for inner, found in _fields(value):
                    if isinstance(found, int):
                        exit_code = found if inner == 1 else exit_code
                        run.seconds = float(found) if inner == 2 else run.seconds
    config.pop("_wandb", None)
    run.config = flat(config)
    run.summary = flat(_parsed(summary))
    run.seconds = float(run.summary.get("_runtime", run.seconds or 0.0)) or run.seconds
    run.series = {name: logged(pairs) for name, pairs in points.items()}
    run.status = "unfinished" if exit_code is None else "crashed" if exit_code else "finished"
    return run


def _run(value: bytes, run: Run, config: dict[str, Any]) -> None:
    for number, content in _fields(value):
        if isinstance(content, bytes):
            if number == 4:
                config.update(_items(content))
            elif number == 8 and content:
                run.name = content.decode("utf-8", "replace")


def _records(content: bytes) -> Iterator[bytes]:
    """Whole records; a last one that a killed process left half written ends the reading."""
    at, size, parts = len(_MAGIC), len(content), b""
    while at + _HEAD <= size:
        left = _BLOCK - at % _BLOCK
        if left < _HEAD:
            at += left
            continue
        check, length, kind = struct.unpack_from("<IHB", content, at)
        data = content[at + _HEAD : at + _HEAD + length]
        if kind not in (_FULL, _FIRST, _MIDDLE, _LAST) or len(data) < length:
            return
        if zlib.crc32(bytes([kind]) + data) != check:
            return
        at += _HEAD + length
        parts = data if kind in (_FULL, _FIRST) else parts + data
        if kind in (_FULL, _LAST):
            yield parts


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Fields of a protocol buffer by their numbers: whole numbers and bytes; fixed-width ones are passed over."""
    at, size = 0, len(message)
    while at < size:
        tag = message[at]
        if tag < 128:
            at += 1
        else:
            tag, at = _varint(message, at)
        kind = tag & 7
        if kind == 0:
            value, at = _varint(message, at)
            yield tag >> 3, value
        elif kind == 2:
            length, at = _varint(message, at)
            yield tag >> 3, message[at : at + length]
            at += length
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            return


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message):
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            break
        shift += 7
    return value, at


def _item(message: bytes) -> tuple[str, str]:
    key, nested, value = "", [], ""
    for number, content in _fields(message):
        if isinstance(content, bytes):
            if number == _VALUE:
                value = content.decode("utf-8", "replace")
            elif number == _KEY:
                key = content.decode("utf-8", "replace")
            elif number == _NESTED_KEY:
                nested.append(content.decode("utf-8", "replace"))
    return key or ".".join(nested), value


def _items(message: bytes) -> dict[str, Any]:
    """Updates of settings."""
    return _parsed(_texts(message))


def _texts(message: bytes) -> dict[str, str]:
    """Updates of a summary or of settings, as JSON; a summary is updated at every step, and its last state parsed."""
    return dict(_item(content) for number, content in _fields(message) if number == 1 and isinstance(content, bytes))


def _parsed(texts: dict[str, str]) -> dict[str, Any]:
    found = {}
    for key, text in texts.items():
        try:
            found[key] = json.loads(text)
        except (ValueError, RecursionError):
            continue
    return found


def _history(message: bytes, points: dict[str, list[tuple[float, float]]]) -> None:
    """One line of the history: its numbers, each with the line's step."""
    step, line = None, {}
    for number, part in _fields(message):
        if not isinstance(part, bytes):
            continue
        if number == 2:
            step = next((float(value) for field, value in _fields(part) if field == 1 and isinstance(value, int)), 0.0)
        elif number == 1:
            key, text = _item(part)
            try:
                line[key] = float(text.strip('"'))
            except ValueError:
                continue
    step = line.pop("_step", step)
    if step is not None:
        for key, value in line.items():
            points.setdefault(key, []).append((step, value))
