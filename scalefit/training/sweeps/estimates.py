"""What a sweep will cost, from a few timed steps of each shape; nothing is trained to its end."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from scalefit.training.distributed import best_device
from scalefit.training.models.build import build_model
from scalefit.training.optimizer import FlatAdamW
from scalefit.training.segments import make_path
from scalefit.training.sweeps.grid import Sweep, SweepConfig

#: Share of the training steps' time that the evaluations add, seen in ladders of this kind.
EVALUATION_SHARE = 0.15


def estimate(config: SweepConfig, store: str | Path, n_timed: int = 3) -> list[dict[str, Any]]:
    """Return one row a known run: series, N, tokens, members, steps, seconds [s], disk_bytes, finished.

    Seconds are for the device of the config; disk is what a worker needs at a time: one checkpoint, while a branch
    runs, of six numbers a parameter and member.
    """
    # with one rate there is nothing to probe: the points are known before anything is trained
    single = replace(config, lr=replace(config.lr, grid=config.lr.grid[:1]))
    probes = Sweep(config, store)
    jobs = {job.run_id: job for job in probes.jobs()}
    known = {(job.config.model, job.config.series) for job in jobs.values() if job.config.purpose == "point"}
    try:
        for job in Sweep(replace(single, name=f"{config.name}-plan"), store).jobs():
            if (job.config.model, job.config.series) not in known:
                jobs.setdefault(job.run_id, job)
    finally:
        (Path(store) / "sweeps" / f"{config.name}-plan.json").unlink(missing_ok=True)
    rates: dict[tuple[Any, ...], float] = {}
    rows = []
    for job in jobs.values():
        run, corpus = job.config, probes.corpora[job.config.series]
        length = corpus.row_length(run.model.T_max)
        key = (run.model, corpus.vocab_size, run.optimizer.batch_size, len(run.members))
        built = build_model(run.model, corpus.vocab_size, [0])
        if key not in rates:
            rates[key] = _seconds_per_step(run, corpus.vocab_size, length, n_timed)
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
                "disk_bytes": 6 * 4 * built.total * len(run.members),
                "finished": probes.folder(job).finished,
            }
        )
    return rows


def _seconds_per_step(run: Any, vocab_size: int, length: int, n_timed: int) -> float:
    device = best_device(run.runtime.device)
    model = build_model(run.model, vocab_size, [seed for _, seed in run.members]).module.to(device)
    optimizer = FlatAdamW(model, [lr for lr, _ in run.members], 0.9, 0.99, 1e-8, 0.1, 1.0)
    tokens = torch.randint(0, vocab_size, (run.optimizer.batch_size, length + 1), device=device)
    best = float("inf")
    for step in range(1, n_timed + 2):
        started = time.perf_counter()
        optimizer.zero_grad()
        with torch.autocast(device.type, torch.bfloat16, enabled=run.runtime.dtype == "bfloat16"):
            losses = model(tokens[:, :-1], tokens[:, 1:])
        losses.mean(dim=(-1, -2)).sum().backward()
        optimizer.step(step, 1.0)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if step > 1:
            best = min(best, time.perf_counter() - started)
    return best
