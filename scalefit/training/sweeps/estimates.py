"""Estimate the cost of a sweep from a few timed steps of each shape; nothing is trained to its end."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from scalefit.training.config import RunConfig
from scalefit.training.data.corpus import Corpus
from scalefit.training.distributed import World, best_device
from scalefit.training.footprint import step_memory
from scalefit.training.models.build import build_model
from scalefit.training.segments import make_path
from scalefit.training.sweeps.grid import Sweep, SweepConfig
from scalefit.training.trainer import Trainer

#: Share of the training steps' time that the evaluations add, seen in ladders of this kind.
EVALUATION_SHARE = 0.15


def estimate(config: SweepConfig, store: str | Path, n_timed: int = 3) -> list[dict[str, Any]]:
    """Return one row per known run: series, N, tokens, members, steps, seconds [s], memory and disk [byte], finished.

    Seconds are for the device of the config, ``memory_bytes`` the peak of a step on it, None where it is not known;
    ``disk_bytes`` is what a worker needs at a time: one checkpoint, while a branch runs, of six numbers per parameter
    and member.
    """
    # with one rate there is nothing to probe: the points are known before anything is trained
    single = replace(config, lr=replace(config.lr, grid=config.lr.grid[:1]))
    probes = Sweep(config, store)
    jobs = {job.run_id: job for job in probes.jobs()}
    known = {(job.config.model, job.config.series) for job in jobs.values() if job.config.purpose == "point"}
    with tempfile.TemporaryDirectory() as aside:  # a plan leaves no sweep behind
        (Path(aside) / "corpora").symlink_to((probes.root / "corpora").absolute())
        for job in Sweep(single, aside).jobs():
            if (job.config.model, job.config.series) not in known:
                jobs.setdefault(job.run_id, job)
    rates: dict[tuple[Any, ...], float] = {}
    memory: dict[tuple[Any, ...], int | None] = {}
    rows = []
    for job in jobs.values():
        run, corpus = job.config, probes.corpora[job.config.series]
        length = corpus.row_length(run.model.T_max)
        micro = run.runtime.micro_batch
        key = (run.model, corpus.vocab_size, run.optimizer.batch_size, micro, len(run.members), run.optimizer.name)
        built = build_model(run.model, corpus.vocab_size, [0])
        if key not in rates:
            rates[key] = _seconds_per_step(run, corpus, n_timed)
            kind = best_device(run.runtime.device).type
            memory[key] = step_memory(run, corpus.vocab_size, length, kind)
        path = make_path(run.schedule, run.optimizer.batch_size * corpus.tokens_per_row(length), built.total)
        rows.append(
            {
                "series": run.series,
                "purpose": run.purpose,
                "N": built.total,
                "tokens": list(run.schedule.tokens),
                "members": len(run.members),
                "steps": path.n_steps,
                "seconds": 0.0 if probes.folder(job).finished else path.n_steps * rates[key] * (1 + EVALUATION_SHARE),
                "memory_bytes": memory[key],
                "disk_bytes": 6 * 4 * built.total * len(run.members),
                "finished": probes.folder(job).finished,
            }
        )
    return rows


def _seconds_per_step(run: RunConfig, corpus: Corpus, n_timed: int) -> float:
    """Seconds of one training step of a run, in its own micro-batches [s]."""
    trainer = Trainer(run, corpus, World(0, 1, best_device(run.runtime.device)))
    trainer.place(0)
    best = float("inf")
    for step in range(n_timed + 1):
        started = time.perf_counter()
        losses, _ = trainer.step(step, 1.0)
        losses.cpu()
        if step:
            best = min(best, time.perf_counter() - started)
    return best
