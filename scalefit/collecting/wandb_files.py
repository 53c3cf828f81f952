"""Run folders of W&B, offline or synchronised: its log, else the content of ``files``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scalefit.collecting import wandb_log
from scalefit.collecting.records import Run, flat, read_json, read_yaml


def is_run(folder: Path, files: set[str], folders: set[str]) -> bool:
    """Whether a folder is one run of W&B."""
    if any(name.startswith("run-") and name.endswith(".wandb") for name in files):
        return True
    inside = folder / "files"
    return "files" in folders and ((inside / "wandb-summary.json").is_file() or (inside / "config.yaml").is_file())


def read(folder: Path) -> list[Run]:
    """Read a run's folder."""
    logs = sorted(folder.glob("run-*.wandb"))
    inside = folder / "files"
    run = wandb_log.read(logs[0]) if logs else Run(folder.name.rsplit("-", 1)[-1], str(folder), "wandb")
    if not run.summary and (inside / "wandb-summary.json").is_file():
        run.summary = flat(read_json(inside / "wandb-summary.json"))
    if not run.config and (inside / "config.yaml").is_file():
        settings = read_yaml(inside / "config.yaml")
        run.config = flat({name: _value(content) for name, content in settings.items() if name not in _NOT_SETTINGS})
    if run.seconds is None and isinstance(run.summary.get("_runtime"), (int, float)):
        run.seconds = float(run.summary["_runtime"])
    metadata = inside / "wandb-metadata.json"
    if metadata.is_file():
        content = read_json(metadata)
        run.ready |= {"device": str(content["gpu"])} if content.get("gpu") else {}
        run.ready |= {"n_devices": content["gpu_count"]} if isinstance(content.get("gpu_count"), int) else {}
    return [run]


_NOT_SETTINGS = ("_wandb", "wandb_version")


def _value(entry: Any) -> Any:
    return entry["value"] if isinstance(entry, dict) and "value" in entry else entry
