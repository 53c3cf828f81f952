"""scalefit plan, isoflop and next-runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer

_TABLE = typer.Argument(help="Table of runs (csv, tsv, json, jsonl, parquet), or a result saved by scalefit.")
_JSON = typer.Option(False, "--json", help="Print one JSON document.")
_FIGURE = typer.Option(None, "--plot", help="Also draw a figure to this file.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("plan")(plan)
    app.command("isoflop")(isoflop)
    app.command("next-runs")(next_runs)


def plan(
    source: str = typer.Argument(
        None, help="Table of runs, a saved result, or empty with --published.", metavar="[RUNS]"
    ),
    C: str = typer.Option(None, "--C", "-C", help="Compute budget [FLOP], training and serving together."),
    loss: float = typer.Option(None, help="Loss to reach [nat/token]."),
    N: str = typer.Option(None, "--N", "-N", help="Parameters, such as 7B."),
    D: str = typer.Option(None, "--D", "-D", help="Tokens, such as 1.4T."),
    ratio: float = typer.Option(None, help="Tokens per parameter."),
    hold: list[str] = typer.Option([], help="Hold N, D or ratio at a value beside -C or --loss: --hold ratio=20."),
    inference_tokens: str = typer.Option("0", help="Tokens to be served over the model's life."),
    unique_tokens: str = typer.Option(None, help="Distinct tokens there are."),
    hardware: str = typer.Option(None, help="Device, such as h100, for hours."),
    mfu: float = typer.Option(0.4, help="Share of the device's peak that training reaches."),
    serving_mfu: float = typer.Option(None, help="Share of the peak that serving reaches; as --mfu by default."),
    price: float = typer.Option(None, help="Price of a device-hour."),
    devices: int = typer.Option(None, help="Devices, for days of training."),
    law: str = typer.Option("chinchilla", help="Law to fit to the table."),
    published: str = typer.Option(None, help="Plan with published constants: --published hoffmann2022_tex."),
    level: float = typer.Option(0.9, help="Coverage of the intervals."),
    draws: int = typer.Option(500, help="Bootstrap draws; 0 for the robust covariance."),
    figure: Path = _FIGURE,
    as_json: bool = _JSON,
) -> int:
    """Plan a run: exactly one of -C, --loss, -N, -D and --ratio fixes the question."""
    import scalefit as sf
    from scalefit.planning.deployment import Hardware

    result = _result(source, law, published, draws)
    options = {"mfu": mfu, "serving_mfu": serving_mfu, "price": price, "devices": devices}
    device = None if hardware is None else Hardware.named(hardware, **options)
    answer = sf.plan(
        result,
        C=C,
        loss=loss,
        N=N,
        D=D,
        ratio=ratio,
        fixed=_held(hold),
        inference_tokens=inference_tokens,
        unique_tokens=unique_tokens,
        hardware=device,
        level=level,
    )
    _finish(answer, figure)
    _print(answer.to_dict() if as_json else str(answer))
    return 0 if getattr(result, "trusted", True) else 3


def isoflop(
    source: str = _TABLE,
    method: str = typer.Option("parabola", help="parabola, cubic or local."),
    budget: str = typer.Option(None, help="Column of nominal budgets."),
    all_roads: bool = typer.Option(False, "--all", help="Every method, the fitted law and every count, side by side."),
    level: float = typer.Option(0.9, help="Coverage of the intervals, with --all."),
    figure: Path = _FIGURE,
    as_json: bool = _JSON,
) -> int:
    """Find the best size on each budget, and how it grows with compute."""
    import scalefit as sf

    runs = sf.read_runs(source)
    if all_roads:
        from scalefit.planning.agreement import agreement

        table = agreement(runs, budget=budget, level=level)
        if as_json:
            rows = json.loads(table.to_json(orient="records"))
            _print({"roads": rows, "verdict": table.attrs["verdict"]})
        else:
            shown = table.dropna(axis=1, how="all").assign(remark=table["remark"].fillna("").str.slice(0, 60))
            _print(shown.to_string(index=False, na_rep="", float_format=lambda value: f"{value:.4g}"))
            _print(table.attrs["verdict"])
        return 0
    optima = sf.isoflop(runs, method=method, budget=budget)  # type: ignore[arg-type]
    _finish(optima, figure)
    _print(optima.to_dict() if as_json else str(optima))
    return 0


def next_runs(
    source: str = _TABLE,
    budget: str = typer.Option(..., help="Compute to spend on the new runs together [FLOP]."),
    target: str = typer.Option("loss", help="What to make surer: loss (at the plan), N, or a parameter such as E."),
    C: str = typer.Option(None, "--C", "-C", help="Budget of the plan in view [FLOP]; 100 times the largest run."),
    law: str = typer.Option("chinchilla", help="Law to fit to the table."),
    draws: int = typer.Option(1000, help="Bootstrap draws."),
    out: Path = typer.Option(None, help="Also write the runs to this csv file."),
    as_json: bool = _JSON,
) -> int:
    """Choose the next runs to train, so that the answer in view becomes surest per FLOP."""
    import scalefit as sf

    result = _result(source, law, None, draws)
    table = sf.next_runs(result, budget=budget, target=target, C=C)
    if out is not None:
        table.to_csv(out, index=False)
    if as_json:
        _print({"runs": table.to_dict(orient="records"), **table.attrs["design"]})
    else:
        design = table.attrs["design"]
        _print(table.to_string(index=False, float_format=lambda value: f"{value:.4g}"))
        _print(
            f"The standard deviation of {design['target_name']} should fall from {design['sd_before']:.3g} to "
            f"{design['sd_after']:.3g} for {design['C_total']:.3g} FLOP."
        )
    return 0 if getattr(result, "trusted", True) else 3


def _result(source: str | None, law: str, published: str | None, draws: int) -> Any:
    """Published constants, a saved result, or a fit to a table."""
    import scalefit as sf
    from scalefit.errors import ArgumentError

    if published is not None:
        return sf.published(law, published)
    if source is None:
        raise ArgumentError("Pass a table of runs or a saved result, or name constants with --published.")
    path = Path(source)
    if path.suffix == ".json" and path.is_file() and '"scalefit_result"' in path.read_text(errors="ignore")[:200]:
        result = sf.load_result(path)
    else:
        result = sf.fit(sf.read_runs(source), law)
    if draws and getattr(result, "draws", None) is None:
        result = result.bootstrap(draws)
    return result


def _held(items: list[str]) -> dict[str, float | str] | None:
    from scalefit.errors import ArgumentError

    held: dict[str, float | str] = {}
    for item in items:
        name, sign, value = item.partition("=")
        if not sign:
            raise ArgumentError(f"--hold {item!r} must read NAME=VALUE, such as ratio=20.")
        held[name.strip()] = value.strip()
    return held or None


def _finish(answer: Any, figure: Path | None) -> None:
    if figure is not None:
        import matplotlib

        matplotlib.use("Agg")
        answer.plot().figure.savefig(figure, dpi=150)


def _print(what: Any) -> None:
    typer.echo(what if isinstance(what, str) else json.dumps(what, indent=2, allow_nan=False))
