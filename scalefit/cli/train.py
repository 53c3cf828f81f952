"""``scalefit train``, ``sweep``, ``experiment`` and ``bench``: the training harness."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from scalefit._text import PAGE
from scalefit.cli._shared import working

_Store = Annotated[
    str,
    typer.Option("--store", help="Folder of runs and corpora, or s3://...; finished runs are not repeated."),
]
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
_Name = Annotated[str | None, typer.Argument(help="Name of the sweep; optional if the store holds only one.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(train)
    app.command()(experiment)
    app.command()(bench)
    sweeps = typer.Typer(help="Train a grid of models and token counts, on one machine or many.", no_args_is_help=True)
    for command in (run, plan, work, status, collect):
        sweeps.command()(command)
    app.add_typer(sweeps, name="sweep")


def _require_torch() -> None:
    from scalefit.errors import require

    require("torch", extra="train", purpose="Training runs")


def train(
    config: Annotated[Path, typer.Argument(help="Run config: TOML, YAML or JSON.")],
    store: _Store = "scalefit_runs",
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
    as_json: _Json = False,
) -> None:
    """Train one run, resume it, or print it if it is finished. Under torchrun: on several devices."""
    _require_torch()
    import os

    from scalefit.training import RunConfig, load_config
    from scalefit.training import train as train_run
    from scalefit.training.progress import TrainingProgress

    settings = load_config(config, RunConfig)
    first = os.environ.get("RANK", "0") == "0"
    if quiet or as_json or not first:
        record = train_run(settings, store)
    else:
        with TrainingProgress(settings) as progress:
            record = train_run(settings, store, progress)
    if not first:
        return
    if as_json:
        typer.echo(json.dumps({"run_id": record.run_id, "status": record.status, "rows": list(record.rows)}))
        return
    made = record.rows[-1] if record.rows else {}
    where = f", on {made['device']} in {made['dtype']}" if "device" in made else ""
    typer.echo(f"run {record.run_id}: {record.status}, {record.seconds:.0f} s{where}")
    typer.echo(_table(record.table(), ("series", "N", "D", "loss", "loss_se", "H_data", "seed", "lr", "status")))


def run(
    config: Annotated[Path, typer.Argument(help="Sweep config: TOML, YAML or JSON.")],
    store: _Store = "scalefit_runs",
    workers: Annotated[int, typer.Option(help="Local processes, or jobs of the launcher.")] = 1,
    slurm: Annotated[str | None, typer.Option(help="Submit the workers to this SLURM partition by submitit.")] = None,
    hours: Annotated[float, typer.Option(help="Time limit of a SLURM job [h].")] = 12.0,
    as_json: _Json = False,
) -> None:
    """Run a sweep to its end and write its table."""
    _require_torch()
    from scalefit.training import SweepConfig, load_config, sweep

    launcher: Any = None
    if slurm is not None:
        from scalefit.training.sweeps.launchers import slurm_launcher

        launcher = slurm_launcher(store, slurm, hours)
    wanted = load_config(config, SweepConfig)
    with working(f"Training {wanted.name}") as progress:
        table = sweep(wanted, store, workers=workers, launcher=launcher, progress=progress)
    _print_points(table, as_json)


def plan(
    config: Annotated[Path, typer.Argument(help="Sweep config: TOML, YAML or JSON.")],
    store: _Store = "scalefit_runs",
    as_json: _Json = False,
) -> None:
    """List the runs of a sweep with their cost, estimated from a few timed steps of each size; nothing is trained."""
    _require_torch()
    from scalefit.training import SweepConfig, load_config
    from scalefit.training.sweeps.estimates import estimate

    with working("Timing steps"):
        rows = estimate(load_config(config, SweepConfig), store)
    seconds, disk = sum(row["seconds"] for row in rows), max((row["disk_bytes"] for row in rows), default=0)
    if as_json:
        typer.echo(json.dumps({"runs": rows, "seconds": seconds, "disk_bytes": disk}))
        return
    import pandas as pd

    known = [row["memory_bytes"] for row in rows]
    memory = (
        "an amount of its memory that is not known"
        if None in known
        else f"at most {max(known, default=0) / 1e9:,.2f} GB of its memory"
    )
    columns = ("series", "purpose", "N", "tokens", "members", "steps", "seconds", "finished")
    typer.echo(_table(pd.DataFrame(rows), columns))
    typer.echo(
        f"{len(rows)} runs are known now, about {seconds:,.0f} s on one device like this one, with {memory}; up to "
        f"{disk / 1e6:,.1f} MB on disk at a time for each worker. A point whose learning rate is still to be probed "
        "is listed once."
    )


def work(
    store: Annotated[str, typer.Argument(help="The store.")],
    name: _Name = None,
    max_runs: Annotated[int | None, typer.Option(help="Stop after so many runs.")] = None,
) -> None:
    """Be a worker: take free runs until none is left. Start as many as there are devices."""
    _require_torch()
    from scalefit.training.sweeps.worker import work as take

    with working("Training"):
        finished = take(store, name, max_runs)
    typer.echo(f"{finished} runs finished by this worker.")


def status(
    store: Annotated[str, typer.Argument(help="The store.")], name: _Name = None, as_json: _Json = False
) -> None:
    """Say what is finished, running and waiting."""
    _require_torch()
    from scalefit.training.sweeps.grid import Sweep

    sweep = Sweep.load(store, name)
    counts = {"finished": 0, "running": 0, "waiting": 0}
    for job in sweep.jobs():
        folder = sweep.folder(job)
        counts["finished" if folder.finished else "running" if folder.held_by_other() else "waiting"] += 1
    text = ", ".join(f"{count} {word}" for word, count in counts.items())
    typer.echo(json.dumps({"name": sweep.config.name, **counts}) if as_json else f"{sweep.config.name}: {text}")


def collect(
    store: Annotated[str, typer.Argument(help="The store.")],
    name: _Name = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write to.")] = None,
    as_json: _Json = False,
) -> None:
    """Write runs.csv, lr_probes.csv, curves.csv.gz and METHODS.md from what is finished."""
    _require_torch()
    from scalefit.training.sweeps.collect import collect as write
    from scalefit.training.sweeps.grid import Sweep

    with working("Collecting"):
        table = write(Sweep.load(store, name), out)
    _print_points(table, as_json)


def experiment(
    name: Annotated[
        str, typer.Argument(help="figure2, figure3, figure4, memoriser, balance, fresh_floor or zipf_facts.")
    ],
    size: Annotated[
        str, typer.Option(help="tiny (seconds), small (minutes on a CPU) or full (as published).")
    ] = "small",
    out: Annotated[Path, typer.Option(help="Folder for table, figure and verdict.")] = Path("experiments"),
    store: _Store = "scalefit_runs",
    corpus_path: Annotated[str | None, typer.Option(help="Text for figure2 and figure3.")] = None,
    model_path: Annotated[str | None, typer.Option(help="Local transformers model for figure2.")] = None,
    as_json: _Json = False,
) -> None:
    """Test a memory theory: run an experiment with the numbers that could refute it."""
    _require_torch()
    from scalefit.training.experiments import run_experiment

    changes = {"corpus_path": corpus_path, "model_path": model_path}
    with working(f"Running {name}"):
        finding = run_experiment(name, size, out, store, **{key: value for key, value in changes.items() if value})
    folder = out / f"{name}-{size}"
    if as_json:
        rows = json.loads(finding.table().to_json(orient="records", double_precision=15))
        typer.echo(
            json.dumps({"name": name, "size": size, "rows": rows, "verdict": finding.verdict, "out": str(folder)})
        )
        return
    typer.echo(f"{finding.title}\n\n{finding.verdict}\n")
    typer.echo(_table(finding.table(), tuple(finding.rows[0])))
    typer.echo(f"\nTable, figure and verdict are in {folder}.")


def bench(
    size: Annotated[
        list[str] | None, typer.Option(help="Sizes to measure; several allowed. Default: by device.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    seconds: Annotated[float, typer.Option(help="Time for each measurement [s].")] = 2.0,
    compare: Annotated[bool, typer.Option(help="Measure transformers' GPT-2 too.")] = True,
    as_json: _Json = False,
) -> None:
    """Measure training speed here: tokens per second of each step mode, compared with transformers."""
    _require_torch()
    import pandas as pd

    from scalefit.training.bench import bench as measure

    with working("Measuring"):
        rows = measure(tuple(size or ()), device, seconds, compare)
    if as_json:
        typer.echo(json.dumps({"rows": rows}))
    else:
        typer.echo(_table(pd.DataFrame(rows), ("size", "N", "mode", "tokens_per_second", "ratio", "fastest", "device")))


def _print_points(table: Any, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"runs": json.loads(table.to_json(orient="records", double_precision=15))}))
    else:
        typer.echo(_table(table, ("series", "N", "D", "loss", "H_data", "seed", "lr", "kind", "status")))


def _table(frame: Any, columns: tuple[str, ...]) -> str:
    shown = [name for name in columns if name in frame]
    text: str = frame[shown].to_string(
        index=False, line_width=PAGE, na_rep="", float_format=lambda value: f"{value:.5g}"
    )
    return text
