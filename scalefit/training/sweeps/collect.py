"""Write the files of finished runs: the table for fits, the probes, the curves, and METHODS.md."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from scalefit._text import several
from scalefit.training.config import ScheduleConfig
from scalefit.training.store import StoreError, store_errors, write_atomically
from scalefit.training.sweeps.grid import Sweep, sweep_digest

_OPTIMISERS = {"adamw": "AdamW", "muon": "Muon on the matrices of the blocks and AdamW on all else"}


def collect(sweep: Sweep, out: str | Path | None = None) -> Any:
    """Write ``runs.csv``, ``lr_probes.csv``, ``curves.csv.gz`` and ``METHODS.md``; return the runs.

    Parameters
    ----------
    sweep : Sweep
        A sweep in a store, finished or not.
    out : path, optional
        Folder to write to; default ``<store>/tables/<name>``.

    Returns
    -------
    DataFrame
        Every point, failed ones included, never a learning-rate probe.

    Raises
    ------
    StoreError
        One series holds runs on different corpora.
    """
    import pandas as pd

    points: list[dict[str, Any]] = []
    probes: list[dict[str, Any]] = []
    curves: list[dict[str, Any]] = []
    for job, record in sweep.records():
        for row in record.rows:
            (probes if job.config.purpose == "lr_probe" else points).append({**row, "lr_at_edge": job.lr_at_edge})
        if job.config.purpose == "point":
            curves += [line for item in record.curve for line in _curve_rows(record.run_id, item)]
    table = pd.DataFrame(points)
    if len(table):
        table = table.sort_values(["series", "N", "D", "kind", "seed"], kind="stable", ignore_index=True)
        mixed = table.groupby("series")["corpus_sha"].nunique()
        if (mixed > 1).any():
            raise StoreError(
                f"The series {', '.join(mixed.index[mixed > 1])} mixes corpora of different sha256",
                "no table was written",
                "Collect each store by itself, or give its series another name",
            )
    folder = Path(out) if out is not None else sweep.root / "tables" / sweep.config.name
    with store_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name, frame in (("runs.csv", table), ("lr_probes.csv", pd.DataFrame(probes))):
            write_atomically(folder / name, frame.to_csv(index=False, float_format="%.7g").encode())
        # mtime 0: the same curves give the same bytes
        pd.DataFrame(curves).to_csv(
            folder / "curves.csv.gz",
            index=False,
            float_format="%.5g",
            compression={"method": "gzip", "mtime": 0},
        )
        write_atomically(folder / "METHODS.md", methods(sweep, table, probes).encode())
    if out is None:
        sweep.store.publish(f"tables/{sweep.config.name}/*")
    return table


def _curve_rows(run_id: str, record: dict[str, Any]) -> list[dict[str, Any]]:
    """One line for each member of a curve record."""
    names = ("lr", "train_loss", "val_loss", "val_se", "grad_norm")
    return [
        {"trunk_id": f"{run_id}-{member}", "segment": record["segment"], "step": record["step"],
         "tokens": record["tokens"], **{name: record[name][member] for name in names}}
        for member in range(len(record["val_loss"]))
    ]  # fmt: skip


def _schedule(schedule: ScheduleConfig) -> str:
    """A schedule in words."""
    warmup = "min(N, a fifth of the smallest D)" if schedule.warmup is None else f"{schedule.warmup:,}"
    end = {
        "wsd": f"cooldown {schedule.cooldown:.0%} of each D, shape {schedule.shape}, to {schedule.final:g} of the peak",
        "cosine": f"down to {schedule.final:g} of the peak",
        "constant": "no decay",
    }[schedule.kind]
    return f"warm-up {warmup} tokens; {end}"


def methods(sweep: Sweep, table: Any, probes: list[dict[str, Any]]) -> str:
    """Return the text of METHODS.md: what a reader of a fit must know (the checklist of arXiv:2502.18969)."""
    config = sweep.config
    seconds, machines = 0.0, Counter[str]()
    jobs = sweep.jobs()
    finished = [job for job in jobs if sweep.folder(job).finished]
    for job in finished:
        seconds += sweep.folder(job).read_record().seconds
        found = json.loads((sweep.folder(job).path / "provenance.json").read_text())
        threads = several(found["threads"], "thread")
        machines[f"{found['device']}, torch {found['torch']}, {threads}, {found['dtype']}"] += 1
    lines = [
        f"# Methods of the sweep {config.name}", "",
        f"Written by `scalefit sweep collect`. Config digest {sweep_digest(config)}.", "",
        "## Corpora", "",
        "| series | source | tokenizer | vocabulary | training tokens | held-out tokens | H(data) "
        "nat/token | sha256 |",
        "|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for name, corpus in sweep.corpora.items():
        T = config.sizes[0].model.T_max
        entropy = corpus.entropy(T)
        lines.append(
            f"| {name} | {corpus.config.source} | {corpus.config.tokenizer if corpus.meta['tokenizer'] else '-'} | "
            f"{corpus.vocab_size} | {corpus.meta['train_tokens']:,} | {corpus.meta['val_tokens']:,} | "
            f"{'unknown' if entropy is None else f'{entropy:.5f}'} | {corpus.sha} |"
        )
    optimizer, schedule = config.optimizer, config.schedule
    tuned = "for the first size (the others take its rate: maximal-update parametrisation)"
    tuned = tuned if config.lr.transfer else "for each size"
    probes_at = sorted({size.probe_tokens or config.lr.tokens for size in config.sizes}, reverse=True)
    lines += [
        "",
        "No document is in both splits; the split is by the document's hash. Every run of a series is scored "
        f"on the same {config.evaluation.tokens:,} held-out tokens (0: all), full contexts, training dtype.",
        "",
        "## Training", "",
        f"- {_OPTIMISERS[optimizer.name]}, decoupled weight decay {optimizer.weight_decay:g} on matrices, "
        f"beta1 {optimizer.beta1:g}, beta2 {optimizer.beta2 or '0.99 below 128k tokens a step, else 0.95'}, "
        f"gradient norm clipped at {optimizer.clip:g}.",
        f"- Schedule {schedule.kind}: {_schedule(schedule)}. "
        "Points of one trunk share its noise: `trunk_id` names it; resample by trunk.",
        f"- Peak learning rate: {tuned} and corpus the best of {', '.join(f'{r:g}' for r in config.lr.grid)} "
        f"at {' or '.join(f'{tokens:,}' for tokens in probes_at)} tokens, the grid extended up to "
        f"{several(config.lr.extend, 'time')} where the best is at its edge; `lr_at_edge` marks where it still is. "
        "The probes are in lr_probes.csv, not among the runs.",
        "- Data: rows in a new random order each epoch; `epochs` and `unique_tokens` say what was repeated.",
        "", "## What the columns mean", "",
        "- N: every trained parameter once (tied matrices once). N_non_embedding: blocks and norms. N_matmul: those "
        "and the output matrix. D: tokens seen. C = 6 N D; C_matmul: matrix products and causal attention.",
        "- loss: held-out, nat/token; loss_se: over rows, for these held-out tokens, not over seeds. kind: `branch` "
        "(end of a cooldown), `final` (end of a cosine), `constant`. No point is taken inside a decaying schedule.",
        "", "## What was run", "",
        f"- {len(finished)} of {len(jobs)} known runs are finished ({len(probes)} probe rows, {len(table)} point "
        f"rows); {seconds:,.0f} s of wall time in all.",
    ]  # fmt: skip
    if len(table):
        status = ", ".join(f"{count} {name}" for name, count in table["status"].value_counts().items())
        edges = int(table.loc[table["lr_at_edge"] == True, ["series", "N"]].drop_duplicates().shape[0])  # noqa: E712
        lines += [
            f"- Status of the point rows: {status}. None was left out.",
            f"- N {table['N'].min():,} to {table['N'].max():,}; D {table['D'].min():,} to {table['D'].max():,}; "
            f"{table.groupby(['series', 'N', 'D']).ngroups} cells; sizes with the learning rate at the grid's edge: "
            f"{edges}.",
        ]
    lines += [f"- {count} runs on {machine}." for machine, count in machines.items()]
    return "\n".join(lines) + "\n"
