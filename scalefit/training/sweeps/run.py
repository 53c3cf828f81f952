"""A whole sweep: expand it, run it by workers, collect its table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from scalefit.training.sweeps.collect import collect
from scalefit.training.sweeps.grid import Sweep, SweepConfig
from scalefit.training.sweeps.launchers import run_workers


def sweep(
    config: SweepConfig,
    store: str | Path = "scalefit_runs",
    workers: int = 1,
    launcher: Any = None,
    progress: Callable[[int, int], None] | None = None,
) -> Any:
    """Run a sweep to its end and return its table.

    Parameters
    ----------
    config : SweepConfig
        What to run.
    store : path
        Folder of runs; finished runs are not repeated.
    workers : int
        Local processes. With one, everything runs in this process.
    launcher : optional
        Anything with ``submit(function, *arguments)`` whose handle has ``result()``: a submitit executor, a
        concurrent.futures executor, a dask client.
    progress : callable, optional
        Called with (done, total), in thousandths of runs, about once a second; not by a launcher.

    Returns
    -------
    DataFrame
        One row per point, as ``scalefit.fit`` reads it. ``runs.csv``, ``lr_probes.csv``, ``curves.csv.gz`` and
        ``METHODS.md`` are written to ``<store>/tables/<name>/``.

    Raises
    ------
    ArgumentError, DataError
        The config or the store is unusable; finished runs are kept.
    """
    Sweep(config, store)  # builds the corpora once and writes the config that workers read
    run_workers(store, config.name, workers=workers, launcher=launcher, progress=progress)
    return collect(Sweep.load(store, config.name))
