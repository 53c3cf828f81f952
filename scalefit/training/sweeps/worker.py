"""A worker: take free runs of a sweep, one after another, until none is left.

Identical workers may be started by anything: a shell, sbatch, a Kubernetes job, ssh. It does not
need typer: ``python -m scalefit.training.sweeps.worker STORE [NAME]``.
"""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path

from scalefit.errors import ScalefitError
from scalefit.training.loop import Progress, train
from scalefit.training.store import StoreError
from scalefit.training.sweeps.grid import Job, Sweep

log = logging.getLogger("scalefit")

#: How long an idle worker waits for probes that others hold [s].
PATIENCE = 5.0


def work(
    store: str | Path, name: str | None = None, max_runs: int | None = None, progress: Progress | None = None
) -> int:
    """Run what is left of a sweep.

    Parameters
    ----------
    store, name
        The store and the sweep's name (optional if the store has one sweep).
    max_runs : int, optional
        Stop after this many runs.
    progress : callable, optional
        As in :func:`scalefit.training.train`.

    Returns
    -------
    int
        Number of runs this worker finished.
    """
    sweep = Sweep.load(store, name)
    done = 0
    failed: set[str] = set()
    while max_runs is None or done < max_runs:
        waiting = [job for job in sweep.jobs() if not sweep.folder(job).finished and job.run_id not in failed]
        if not waiting:
            break
        job = next((job for job in waiting if _run(sweep, job, progress, failed)), None)
        if job is not None:
            done += 1
            log.info("finished %s (%d this worker)", job.run_id, done)
        elif not any(job.run_id in failed for job in waiting):
            time.sleep(PATIENCE)  # all are held by others; probes may open up new points
    if failed:
        raise StoreError(
            f"{len(failed)} runs could not be trained: {', '.join(sorted(failed))}",
            "the others are kept",
            "Read in the log above why, and run the worker again",
        )
    return done


def _run(sweep: Sweep, job: Job, progress: Progress | None, failed: set[str]) -> bool:
    """Train one job; False where another worker holds it or it cannot be trained."""
    if sweep.folder(job).held_by_other():
        return False
    try:
        train(job.config, sweep.store, progress)
    except ScalefitError as error:
        if isinstance(error, StoreError) and sweep.folder(job).held_by_other():
            return False
        log.error("run %s: %s", job.run_id, error)
        failed.add(job.run_id)
        return False
    return True


def main() -> None:
    """Entry point of ``python -m scalefit.training.sweeps.worker STORE [NAME]``."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    if not 2 <= len(sys.argv) <= 3:
        sys.exit("usage: python -m scalefit.training.sweeps.worker STORE [NAME]")
    try:
        work(sys.argv[1], sys.argv[2] if len(sys.argv) == 3 else None)
    except ScalefitError as error:
        sys.exit(f"scalefit: {error}")
    except KeyboardInterrupt:
        print("scalefit: interrupted", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
