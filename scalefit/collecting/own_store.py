"""Runs of scalefit's own training: a folder with config.json, and result.json once it is finished."""

from __future__ import annotations

from pathlib import Path

from scalefit.collecting.records import Run, read_json


def is_run(files: set[str]) -> bool:
    """Whether a folder is one run of the store."""
    return {"config.json", "provenance.json"} <= files


def read(folder: Path) -> list[Run]:
    """Read the rows of a run, one for each member and number of tokens; a run without a result is unfinished."""
    result = folder / "result.json"
    if not result.is_file():
        return [Run(folder.name, str(folder), "scalefit", status="unfinished")]
    runs = []
    for row in read_json(result)["rows"]:
        run = Run(str(row.get("run_id", folder.name)), str(folder), "scalefit")
        run.status = str(row.get("status", "finished"))
        run.seconds = row.get("seconds")
        kept = {key: value for key, value in row.items() if key not in ("status", "seconds", "run_id")}
        run.ready = {**kept, "loss_unit": "nat/token", "loss_from": "last", "loss_column": "val_loss"}
        runs.append(run)
    return runs
