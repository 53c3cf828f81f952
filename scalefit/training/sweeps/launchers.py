"""Launchers: start the same worker many times; scheduling is left to tools made for it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from scalefit.errors import require
from scalefit.training.remote import open_store
from scalefit.training.store import StoreError
from scalefit.training.sweeps.grid import Sweep
from scalefit.training.sweeps.worker import work

#: Seconds between two looks at how far local workers are.
_LOOK = 2.0
#: Parts of a run that progress is counted in.
_PARTS = 1000


class Handle(Protocol):
    """A submitted call."""

    def result(self) -> Any:
        """Wait for the call and return its value, or raise its error."""


class Launcher(Protocol):
    """A submitit executor, a concurrent.futures executor, a dask client: anything with this interface.

    :class:`RayLauncher` gives Ray this interface.
    """

    def submit(self, function: Any, *arguments: Any) -> Handle:
        """Run ``function(*arguments)`` somewhere."""


class RayLauncher:
    """Workers as Ray tasks, on the cluster that ``ray.init`` joined.

    Parameters
    ----------
    **options
        Options of a task, such as ``num_gpus=1``.

    Raises
    ------
    MissingExtraError
        Ray is not installed: ``pip install ray``.
    """

    def __init__(self, **options: Any) -> None:
        self.ray = require("ray", extra=None, purpose="Sweeps on Ray")
        self.options = options

    def submit(self, function: Any, *arguments: Any) -> Handle:
        """Start ``function(*arguments)`` as a task."""
        task = self.ray.remote(**self.options)(function) if self.options else self.ray.remote(function)
        return _RayHandle(self.ray, task.remote(*arguments))


@dataclass(frozen=True)
class _RayHandle:
    ray: Any
    reference: Any

    def result(self) -> Any:
        return self.ray.get(self.reference)


def run_workers(
    store: str | Path,
    name: str,
    workers: int = 1,
    launcher: Launcher | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Run a sweep of the store with `workers` workers: here, in local processes, or by a launcher.

    `progress` is called with (done, total) in thousandths of runs: at the start and end, and while this process works
    or waits for local ones.

    Raises
    ------
    StoreError
        A local worker ended with an error; the others' finished runs are kept.
    """
    if launcher is not None:
        handles = [launcher.submit(_worker, open_store(store).name, name, index) for index in range(workers)]
        for handle in handles:
            handle.result()
        return
    told: Callable[[float], None] | None = None
    if progress is not None:
        sweep, most = Sweep.load(store, name), 0

        def told(part: float) -> None:
            nonlocal most  # a trunk goes on from before the end of its branch, which does not lead back
            finished = [sweep.folder(job).finished for job in sweep.jobs()]
            most = max(most, round(_PARTS * (sum(finished) + part)))
            progress(most, _PARTS * len(finished))

        told(0.0)
    if workers == 1:
        work(store, name, None, None if told is None else lambda now: told(now["step"] / now["n_steps"]))
    else:
        _local_processes(store, name, workers, told)
    if told is not None:
        told(0.0)


def _worker(store: str, name: str, index: int) -> int:
    """Be one of several; without its own `index` dask would take equal calls for one and run a single worker."""
    return work(store, name)


def slurm_launcher(store: str | Path, partition: str, hours: float) -> Launcher:
    """Return a submitit executor: one device per job; the next worker resumes the run of a preempted one."""
    submitit = require("submitit", extra="cluster", purpose="SLURM sweeps")
    executor: Launcher = submitit.AutoExecutor(folder=str(open_store(store).root / "logs"))
    executor.update_parameters(  # type: ignore[attr-defined]
        timeout_min=round(60 * hours), slurm_partition=partition, gpus_per_node=1, cpus_per_task=4
    )
    return executor


def _local_processes(store: str | Path, name: str, workers: int, told: Callable[[float], None] | None) -> None:
    devices = _cuda_devices()
    started = []
    for index in range(workers):
        environment = dict(os.environ)
        environment.setdefault("OMP_NUM_THREADS", "1")  # workers are the parallelism; threads would fight
        if devices:
            environment["CUDA_VISIBLE_DEVICES"] = devices[index % len(devices)]
        command = [sys.executable, "-m", "scalefit.training.sweeps.worker", str(store), name]
        log = tempfile.TemporaryFile("w+")  # a pipe that nobody reads yet would stop a worker once it is full
        started.append((subprocess.Popen(command, env=environment, stderr=log), log))
    failed = []
    try:
        for process, log in started:
            with log:
                while told is not None and process.poll() is None:
                    told(0.0)
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(_LOOK)
                if process.wait():
                    log.seek(0)
                    failed.append(log.read().strip().splitlines())
    except BaseException:  # an interrupt that only this process got: the workers keep what they have, and end
        for process, _ in started:
            process.terminate()
        for process, _ in started:
            process.wait()
        raise
    if failed:
        last = failed[0][-1] if failed[0] else "no message"
        raise StoreError(f"{len(failed)} of {workers} workers failed: {last}", "finished runs are kept", "Run again")


def _cuda_devices() -> list[str]:
    """Return the visible devices, without touching them."""
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name]
    return [str(index) for index in range(torch.cuda.device_count())]
