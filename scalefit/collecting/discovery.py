"""Where the runs are: a walk over folders that asks each reader in turn, and never enters a run that was found."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from scalefit.collecting import (
    csv_files,
    event_files,
    lightning_logs,
    mlflow_stores,
    own_store,
    trainer_folders,
    wandb_files,
)
from scalefit.collecting.records import Run

#: A place, and what reads the runs there.
Find = tuple[Path, Callable[[], list[Run]]]
_DATABASES = (".db", ".sqlite", ".sqlite3")
_TABLES = (".csv", ".csv.gz", ".tsv")
_PASSED_OVER = (".git", "__pycache__", "node_modules", ".venv", "artifacts")


def find(root: Path, asked: dict[str, str | None]) -> Iterator[Find]:
    """Places of runs in a file or below a folder, in the order of their names."""
    if root.is_file():
        yield from _of_file(root, asked, named=True)
        return
    for place, folders, files in os.walk(root):
        folder = Path(place)
        folders[:] = sorted(name for name in folders if name not in _PASSED_OVER)
        reader = _of_folder(folder, set(files), set(folders))
        if reader is not None:
            yield folder, reader
            parts = trainer_folders.PARTS
            is_trainer = trainer_folders.is_run(folder, set(files), set(folders))
            folders[:] = [name for name in folders if is_trainer and not name.startswith(parts)]
            continue
        parted = event_files.splits(folder, folders, files)
        folders[:] = [name for name in folders if name not in parted]
        if parted or any(name.startswith(event_files.PREFIX) for name in files):  # one reading for all of them
            yield folder, partial(event_files.read, folder, parted)
        for name in sorted(files):
            if not name.startswith(event_files.PREFIX):
                yield from _of_file(folder / name, asked)


def _of_folder(folder: Path, files: set[str], folders: set[str]) -> Callable[[], list[Run]] | None:
    if wandb_files.is_run(folder, files, folders):
        return partial(wandb_files.read, folder)
    if mlflow_stores.is_run(files, folders):
        return partial(mlflow_stores.read_folder, folder)
    if own_store.is_run(files):
        return partial(own_store.read, folder)
    if trainer_folders.is_run(folder, files, folders):
        return partial(trainer_folders.read, folder)
    if lightning_logs.is_run(files):
        return partial(lightning_logs.read, folder)
    return None


def _of_file(path: Path, asked: dict[str, str | None], named: bool = False) -> Iterator[Find]:
    if path.name.startswith(event_files.PREFIX):
        yield path.parent, partial(event_files.read, path.parent)
    elif path.name.endswith(_TABLES) and (named or not csv_files.is_collected(path)):  # or every run would come twice
        yield path, partial(csv_files.read, path, asked)
    elif path.suffix in _DATABASES and mlflow_stores.is_database(path):
        yield path, partial(mlflow_stores.read_database, path)
    elif named and path.name in (trainer_folders.STATE, "result.json") or named and path.suffix == ".wandb":
        reader = {trainer_folders.STATE: trainer_folders.read, "result.json": own_store.read}
        yield path.parent, partial(reader.get(path.name, wandb_files.read), path.parent)
