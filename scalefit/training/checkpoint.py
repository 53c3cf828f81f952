"""Checkpoints: one safetensors file, replaced atomically, that cannot run code when it is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, safe_open, save

from scalefit.training.store import StoreError, store_errors, write_atomically


def write(path: Path, tensors: dict[str, torch.Tensor], facts: str) -> None:
    """Write `tensors`, with `facts` (JSON) in the header of the same file: both or neither."""
    content = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, {"facts": facts})
    with store_errors(path.parent):
        write_atomically(path, content)


def read(path: Path, run_id: str) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
    """Read a checkpoint of this run; None if there is none.

    Raises
    ------
    StoreError
        The file is damaged or belongs to another run.
    """
    if not path.exists():
        return None
    try:
        with safe_open(path, "pt") as header:
            facts = json.loads(header.metadata()["facts"])
        tensors = load_file(path)
        if facts["run_id"] != run_id:
            raise ValueError(f"it belongs to run {facts['run_id']}")
    except Exception as error:  # safetensors raises its own class, which it does not export everywhere
        raise StoreError(
            f"The checkpoint {path} cannot be used ({error})",
            "the run was not started",
            "Delete the file to run again from the start",
        ) from error
    return tensors, facts
