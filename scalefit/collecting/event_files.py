"""TensorBoard's event files: one run per folder, or several if the steps begin again.

Keras writes `train` and `validation` of one run, `add_scalars` loss_train and loss_val, an Estimator `eval` inside.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from scalefit.collecting.records import Run, flat, logged, read_yaml
from scalefit.errors import DataError, require

PREFIX = "events.out.tfevents"
_Points = dict[str, list[tuple[float, float, float]]]


_SPLIT = re.compile(r"(?:.*[_.-])?(train|training|val|valid|validation|eval|evaluation|test|dev)", re.I)
_BY_ITERATION = "_vs_iterations"  # what Keras says a second time, over other steps


def splits(folder: Path, folders: Iterable[str], files: Iterable[str]) -> list[str]:
    """Folders inside `folder` that hold the training and the validation part of one run."""
    named = [name for name in sorted(folders) if _SPLIT.fullmatch(name) and any((folder / name).glob(f"{PREFIX}*"))]
    trained = [name for name in named if _split(name).startswith("train")]
    own = any(name.startswith(PREFIX) for name in files)
    return named if len(named) > len(trained) and (trained or own) else []


def _split(name: str) -> str:
    match = _SPLIT.fullmatch(name)
    return match[1].lower() if match is not None else name


def read(folder: Path, parted: Iterable[str] = ()) -> list[Run]:
    """Read the runs of a folder; files that go on where an earlier one was are one run (a resume).

    The folders `parted` inside it hold parts of its one run.
    """
    parts = _parts(folder)
    for name in parted:
        more = _parts(folder / name)
        if len(parts) > 1 or len(more) != 1:
            raise DataError(f"{folder / name} holds {len(more)} runs", "nothing was read of it", "Give each a folder")
        named = {f"{_split(name)}/{tag}": rows for tag, rows in more[0].items() if not tag.endswith(_BY_ITERATION)}
        parts = [{**(parts[0] if parts else {}), **named}]
    if not parts:
        raise DataError(f"{folder} holds event files without scalars", "nothing was read of it", "Name another folder")
    config = flat(read_yaml(folder / "hparams.yaml")) if (folder / "hparams.yaml").is_file() else {}
    return [_run(folder, points, config, i, len(parts)) for i, points in enumerate(parts)]


def _parts(folder: Path) -> list[_Points]:
    """Scalars of each run in the event files of a folder."""
    files = sorted((path for path in folder.iterdir() if path.name.startswith(PREFIX)), key=_written)
    parts: list[_Points] = []
    for path in files:
        points = _scalars(path)
        if not points:
            continue
        if parts and _begins_again(parts[-1], points):
            parts.append(points)
        elif parts:
            for tag, more in points.items():
                parts[-1].setdefault(tag, []).extend(more)
        else:
            parts.append(points)
    return parts


def _run(folder: Path, points: _Points, config: dict[str, Any], index: int, count: int) -> Run:
    times = [time for part in points.values() for time, _, _ in part]
    ending = f"#{index + 1}" if count > 1 else ""
    run = Run(f"{folder.name}{ending}", f"{folder}{ending}", "tensorboard", config=dict(config))
    run.series = {tag: logged((step, value) for _, step, value in part) for tag, part in points.items()}
    run.seconds = max(times) - min(times) if times else None
    return run


def _written(path: Path) -> list[tuple[int, str]]:
    """The name of an event file, by which several are in order; its time and its count are numbers: 9 before 10."""
    parts = path.name.removeprefix(PREFIX).strip(".").split(".")
    return [(int(part), "") if part.isdecimal() else (0, part) for part in parts]


def _begins_again(before: _Points, now: _Points) -> bool:
    """Whether a quantity of both starts at its first step, or before it, once more."""
    shared = [tag for tag in now if tag in before and len(before[tag]) > 1]
    return any(now[tag][0][1] <= before[tag][0][1] for tag in shared)


def _scalars(path: Path) -> _Points:
    module = require(
        "tensorboard.backend.event_processing.event_accumulator", extra="integrations", purpose="Event files"
    )
    events = module.EventAccumulator(str(path), size_guidance={"scalars": 0, "tensors": 0})
    events.Reload()
    tags = events.Tags()
    found = {
        tag: [(e.wall_time, float(e.step), float(e.value)) for e in events.Scalars(tag)] for tag in tags["scalars"]
    }
    for tag in tags.get("tensors", []):  # TensorFlow 2 writes scalars so
        rows = []
        for event in events.Tensors(tag):
            values = module.tensor_util.make_ndarray(event.tensor_proto)
            if values.size == 1 and values.dtype.kind in "fiu":
                rows.append((event.wall_time, float(event.step), float(values)))
        if rows:
            found[tag] = rows
    return found
