"""Output folders of the Hugging Face Trainer: ``trainer_state.json``, beside it or in checkpoints, and ``config.json``.

``training_args.bin`` is a pickle and is never opened; the caller has to give the batch that it holds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scalefit.collecting import counts
from scalefit.collecting.records import Run, flat, logged, number, read_json
from scalefit.errors import DataError

STATE = "trainer_state.json"
#: Folders of a run that are not runs of their own.
PARTS = ("checkpoint-", "runs", "logs", "wandb", "tensorboard", "lightning_logs")


def is_run(folder: Path, files: set[str], folders: set[str]) -> bool:
    """Whether the Trainer wrote its state into a folder, or into checkpoints in it."""
    checkpoints = (name for name in folders if name.startswith("checkpoint-"))
    return STATE in files or any((folder / name / STATE).is_file() for name in checkpoints)


def read(folder: Path) -> list[Run]:
    """Read a run by its newest state."""
    found = [path for path in (folder / STATE, *folder.glob(f"checkpoint-*/{STATE}")) if path.is_file()]
    states = [(number(state.get("global_step")) or 0.0, path, state) for path in found for state in [read_json(path)]]
    step, path, state = max(states, key=lambda item: (item[0], item[1].parent == folder))
    rows = [row for row in state.get("log_history", ()) if isinstance(row, dict)]
    if not rows:
        raise DataError(f"{path} has an empty log_history", "no run was read from it", "Name another folder")
    run = Run(folder.name, str(folder), "trainer")
    points: dict[str, list[tuple[Any, float]]] = {}
    for row in rows:
        for key, cell in row.items():
            if key != "step" and (value := _value(cell)) is not None:
                points.setdefault(key, []).append((row.get("step"), value))
    run.series = {key: logged(pairs) for key, pairs in points.items() if not key.startswith("train_")}
    last = next((row for row in reversed(rows) if "train_runtime" in row), None)
    total = number(state.get("max_steps"))
    run.status = "finished" if last is not None or (total and step >= total) else "unfinished"
    run.seconds = number(last["train_runtime"]) if last else None
    run.config = {key: state[key] for key in ("max_steps", "num_train_epochs", "train_batch_size") if key in state}
    run.summary = {"global_step": step, "total_flos": state.get("total_flos")}
    seen = number(state.get("num_input_tokens_seen"))
    if seen:
        run.summary["num_input_tokens_seen"] = seen
    places = [folder, path.parent]
    config = next((place / "config.json" for place in places if (place / "config.json").is_file()), None)
    if config is not None:
        run.config |= flat(read_json(config))
    if counts.from_config(run.config) is None:
        stored = next((n for place in places if (n := counts.from_safetensors(place)) is not None), None)
        if stored is not None:
            run.ready["stored_parameters"] = stored
    return [run]


def _value(cell: Any) -> float | None:
    return float(cell) if isinstance(cell, (int, float)) and not isinstance(cell, bool) else None
