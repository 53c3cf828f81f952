"""``scalefit plan``, ``isoflop`` and ``next-runs``: from a table or a saved result to the next run."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from scalefit._files import save_figure
from scalefit.cli import ExitCode
from scalefit.cli import _shared as shared

Source = Annotated[str | None, typer.Argument(help="Table of runs, or a result that scalefit fit --save wrote.")]
Column = Annotated[
    list[str] | None,
    typer.Option(help="Name a column or convention of the table: N=n_params, loss_unit=bit/byte. Repeatable."),
]
LawName = Annotated[str, typer.Option(help="Law to fit to a table; see scalefit laws.")]
Bootstrap = Annotated[int, typer.Option(help="Resamples for the intervals; 0 for robust errors.")]
Figure = Annotated[Path | None, typer.Option("--plot", help="Draw a figure to this file.")]


class Method(StrEnum):
    """Ways to find the optimum of a budget."""

    parabola = "parabola"
    cubic = "cubic"
    local = "local"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("plan")(plan)
    app.command("isoflop")(isoflop)
    app.command("next-runs")(next_runs)


def plan(
    source: Source = None,
    C: Annotated[str | None, typer.Option("--C", help="Compute for training and serving together [FLOP].")] = None,
    loss: Annotated[float | None, typer.Option(help="Loss to reach [nat/token].")] = None,
    N: Annotated[str | None, typer.Option("--N", help="Parameters: 7e9 or 7B.")] = None,
    D: Annotated[str | None, typer.Option("--D", help="Tokens: 2e12 or 2T.")] = None,
    ratio: Annotated[float | None, typer.Option(help="Tokens per parameter.")] = None,
    hold: Annotated[list[str] | None, typer.Option(help="Hold N, D or ratio beside --C or --loss: ratio=20.")] = None,
    inference_tokens: Annotated[str, typer.Option(help="Tokens to be served over the model's life.")] = "0",
    unique_tokens: Annotated[str | None, typer.Option(help="Distinct tokens there are.")] = None,
    hardware: Annotated[str | None, typer.Option(help="Device, such as h100, for hours and money.")] = None,
    mfu: Annotated[float, typer.Option(help="Share of the device's peak that training reaches.")] = 0.4,
    serving_mfu: Annotated[float | None, typer.Option(help="Share that serving reaches; --mfu by default.")] = None,
    price: Annotated[float | None, typer.Option(help="Price of a device-hour.")] = None,
    devices: Annotated[int | None, typer.Option(help="Devices, for days of training.")] = None,
    law: LawName = "chinchilla",
    published: Annotated[
        str | None, typer.Option(help="Plan with a paper's constants: hoffmann2022_tex.", metavar="KEY")
    ] = None,
    column: Column = None,
    series: Annotated[str | None, typer.Option(help="Which series, for fits with shared exponents.")] = None,
    bootstrap: Bootstrap = 500,
    level: shared.Level = 0.9,
    plot: Figure = None,
    as_json: shared.AsJson = False,
) -> int:
    """Plan a run: exactly one of --C, --loss, --N, --D and --ratio fixes the question."""
    import scalefit as sf
    from scalefit.planning.deployment import Hardware

    held = shared.assignments("--hold", hold or (), shared.quantity)
    options = {"mfu": mfu, "serving_mfu": serving_mfu, "price": price, "devices": devices}
    device = None if hardware is None else Hardware.named(hardware, **options)
    with shared.working("Planning"):
        result = _result(source, law, published, column, bootstrap)
        answer = sf.plan(
            result,
            C=C,
            loss=loss,
            N=N,
            D=D,
            ratio=ratio,
            fixed=held or None,
            inference_tokens=inference_tokens,
            unique_tokens=unique_tokens,
            hardware=device,
            level=level,
            series=series,
        )
        _draw(answer, plot)
    if as_json:
        shared.print_json(answer.to_dict())
    else:
        typer.echo(str(answer))
    return 0 if getattr(result, "trusted", True) else ExitCode.UNTRUSTED


def isoflop(
    table: shared.Table,
    method: Annotated[Method, typer.Option(help="How the optimum of a budget is found.")] = Method.parabola,
    budget: Annotated[str | None, typer.Option(help="Column of nominal budgets.", metavar="COLUMN")] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Every method, the fitted law and every count of N, side by side.")
    ] = False,
    column: Column = None,
    level: shared.Level = 0.95,
    plot: Figure = None,
    as_json: shared.AsJson = False,
) -> int:
    """Find the best size on each budget, and how it grows with compute."""
    import scalefit as sf
    from scalefit.planning.agreement import agreement

    runs = shared.read_table(table, **shared.assignments("--column", column or (), str))
    if every:
        with shared.working("Walking every road"):
            roads = agreement(runs, budget=budget, level=level)
        if as_json:
            rows = json.loads(roads.to_json(orient="records"))
            shared.print_json({"roads": rows, "verdict": roads.attrs["verdict"]})
            return 0
        shown = roads.drop(columns=["N_lower", "N_upper", "n_budgets"])
        shown["remark"] = shown["remark"].fillna("").str.slice(0, 60)
        typer.echo(shown.to_string(index=False, na_rep="", float_format=lambda value: f"{value:.4g}"))
        typer.echo(roads.attrs["verdict"])
        return 0
    optima = sf.isoflop(runs, method=method.value, budget=budget)
    _draw(optima, plot)
    if as_json:
        shared.print_json(optima.to_dict(level))
    else:
        typer.echo(str(optima))
    return 0


def next_runs(
    source: Source = None,
    budget: Annotated[str, typer.Option(help="Compute of all new runs together [FLOP].")] = "",
    target: Annotated[
        str, typer.Option(help="What to make surer: loss (at the plan), N (its size), or a parameter such as E.")
    ] = "loss",
    C: Annotated[
        str | None, typer.Option("--C", help="Budget of the plan in view [FLOP]; 100 times the largest run.")
    ] = None,
    n_runs: Annotated[int, typer.Option(help="Most runs to propose.")] = 8,
    law: LawName = "chinchilla",
    column: Column = None,
    series: Annotated[str | None, typer.Option(help="Which series, for fits with shared exponents.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the runs to this csv file, for scalefit sweep.")] = None,
    as_json: shared.AsJson = False,
) -> int:
    """Choose the runs to train next, so that an answer becomes surest for their compute."""
    import scalefit as sf

    if not budget:
        raise typer.BadParameter("say how much compute the new runs may take, such as 1e19", param_hint="--budget")
    with shared.working("Choosing runs"):
        result = _result(source, law, None, column, 0)
        runs = sf.next_runs(result, budget, target=target, C=C, n_runs=n_runs, series=series)
    design = runs.attrs["design"]
    if out is not None:
        runs.to_csv(out, index=False)
    if as_json:
        shared.print_json({"runs": runs.to_dict(orient="records"), **design})
    else:
        typer.echo(runs.to_string(index=False, float_format=lambda value: f"{value:.4g}"))
        typer.echo(
            f"For {design['C_total']:.3g} FLOP the standard deviation of {design['target_name']} should fall from "
            f"{design['sd_before']:.3g} to {design['sd_after']:.3g}."
        )
    return 0 if result.trusted else ExitCode.UNTRUSTED


def _result(source: str | None, law: str, published: str | None, column: list[str] | None, bootstrap: int) -> Any:
    """Published constants, a saved result, or a fit to a table."""
    import scalefit as sf
    from scalefit.errors import ArgumentError

    if (source is None) == (published is None):
        raise ArgumentError("Pass a table of runs, a saved result, or constants by --published: one of them.")
    if source is None:
        return sf.published(law, published)
    if _is_saved(Path(source)):
        result = sf.load_result(source)
    else:
        result = sf.fit(shared.read_table(source, **shared.assignments("--column", column or (), str)), law)
    if bootstrap and isinstance(result, sf.FitResult) and result.draws is None and result.tangent is None:
        result = result.bootstrap(bootstrap)
    return result


def _is_saved(path: Path) -> bool:
    """Whether a file is a saved result; anything else is a table."""
    if path.suffix != ".json":
        return False
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(document, dict) and {"format", "scalefit", "law", "x"} <= set(document)


def _draw(answer: Any, path: Path | None) -> None:
    if path is not None:
        import matplotlib

        matplotlib.use("Agg")
        save_figure(answer.plot().figure, path)
