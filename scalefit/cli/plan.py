"""``scalefit plan``, ``isoflop``, ``envelope`` and ``next-runs``: from a table or a saved result to the next run."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scalefit._files import is_saved, save_figure
from scalefit._text import folded
from scalefit.cli import ExitCode
from scalefit.cli import _shared as shared
from scalefit.errors import ArgumentError, DataError

if TYPE_CHECKING:
    from scalefit.optima.result import Optima
    from scalefit.planning.deployment import Hardware

Source = Annotated[str | None, typer.Argument(help="Table of runs, or a result that scalefit fit --save wrote.")]
LawName = Annotated[
    str | None,
    typer.Option(
        help="Law to fit to a table (chinchilla where not given), or that --published is of. Of a saved result: its "
        "own, where it is not one of scalefit's (mylaw.py:Mine).",
        autocompletion=shared.laws_beginning,
    ),
]
Series = Annotated[str | None, typer.Option(help="Which series, for saved fits with shared exponents.", metavar="NAME")]
Bootstrap = Annotated[int, typer.Option(help="Resamples for the intervals; 0 for robust errors.")]


class Method(StrEnum):
    """Ways to find the optimum of a budget."""

    parabola = "parabola"
    cubic = "cubic"
    local = "local"


class Approach(StrEnum):
    """Ways to find the optimum of a budget between curves."""

    local = "local"
    lowest = "lowest"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("plan")(plan)
    app.command("isoflop")(isoflop)
    app.command("envelope")(envelope)
    app.command("next-runs")(next_runs)


@shared.takes_columns
def plan(
    columns: shared.Columns,
    source: Source = None,
    C: Annotated[
        str | None,
        typer.Option("--C", help="Compute for training and serving together [FLOP], or 10x that of the largest run."),
    ] = None,
    loss: Annotated[float | None, typer.Option(help="Loss to reach [nat/token].")] = None,
    N: Annotated[str | None, typer.Option("--N", help="Parameters: 7e9 or 7B.")] = None,
    D: Annotated[str | None, typer.Option("--D", help="Tokens: 2e12 or 2T.")] = None,
    ratio: Annotated[float | None, typer.Option(help="Tokens per parameter.")] = None,
    hold: Annotated[list[str] | None, typer.Option(help="Fix N, D or ratio with --C or --loss: ratio=20.")] = None,
    at: Annotated[list[str] | None, typer.Option(help="Value of another input of the law: n_experts=8.")] = None,
    choose: Annotated[
        list[str] | None, typer.Option(help="Another input that the plan chooses on a budget: n_experts=1:64.")
    ] = None,
    inference_tokens: Annotated[str, typer.Option(help="Tokens to be served over the model's life.")] = "0",
    unique_tokens: Annotated[str | None, typer.Option(help="Distinct tokens available.")] = None,
    hardware: Annotated[str | None, typer.Option(help="Device, such as h100, for hours and money.")] = None,
    peak: Annotated[
        str | None, typer.Option(help="Peak of one device [FLOP/s], for one that is not in the list: 3.6e14.")
    ] = None,
    mfu: Annotated[
        float | None, typer.Option(help="Share of the device's peak that training reaches; 0.4 by default.")
    ] = None,
    serving_mfu: Annotated[float | None, typer.Option(help="Share that serving reaches; --mfu by default.")] = None,
    price: Annotated[float | None, typer.Option(help="Price of a device-hour.")] = None,
    currency: Annotated[str | None, typer.Option(help="Currency of the price: USD, EUR.")] = None,
    serving_price: Annotated[
        float | None, typer.Option(help="Price of a device-hour of serving; --price by default.")
    ] = None,
    devices: Annotated[
        int | None, typer.Option(help="Devices, for days of training.", metavar="COUNT", parser=shared.whole)
    ] = None,
    money: Annotated[float | None, typer.Option(help="A budget in money instead of --C; needs --price.")] = None,
    hours: Annotated[float | None, typer.Option(help="A budget in device-hours instead of --C.")] = None,
    hyperparameters: Annotated[
        Path | None, typer.Option(help="Fitted settings that scalefit hyperparameters --save wrote.", metavar="FILE")
    ] = None,
    law: LawName = None,
    published: Annotated[
        str | None,
        typer.Option(
            help="Plan with a paper's constants: hoffmann2022_tex.",
            metavar="KEY",
            autocompletion=shared.constants_beginning,
        ),
    ] = None,
    series: Series = None,
    bootstrap: Bootstrap = 500,
    level: shared.Level = 0.9,
    save: Annotated[Path | None, typer.Option(*shared.OUT, help="Write the plan here as JSON.")] = None,
    plot: shared.Figure = None,
    force: shared.Force = False,
    as_json: shared.AsJson = False,
) -> int:
    """Plan a run: exactly one of --C, --loss, --N, --D and --ratio fixes the question.

    Columns of the table are named by --column N=n_params here, because --N and the like say what is planned.
    """
    import scalefit as sf
    from scalefit.planning.plan import the_question

    asked: dict[str, Any] = {"C": C, "loss": loss, "N": N, "D": D, "ratio": ratio}
    held = shared.assignments("--hold", hold or (), shared.quantity)
    options: dict[str, Any] = {"mfu": mfu, "serving_mfu": serving_mfu, "devices": devices}
    options |= {"price": price, "serving_price": serving_price, "currency": currency}
    device = _device(hardware, peak, options)
    if money is not None or hours is not None:
        asked = {"C": _compute(device, asked, money=money, hours=hours)}
    the_question(asked)  # before any fit is waited for
    shared.may_write("--out", save, "result", [source, hyperparameters], force=force)
    shared.may_write("--plot", plot, "figure", [source, hyperparameters], force=force)
    tuned = None if hyperparameters is None else sf.Hyperparameters.load(hyperparameters)
    with shared.working("Planning"):
        result = _result(source, law, published, columns, series, bootstrap)
        answer = sf.plan(
            result,
            **asked,
            fixed=held or None,
            at=shared.assignments("--at", at or (), shared.quantity) or None,
            choose=shared.assignments("--choose", choose or (), _span) or None,
            inference_tokens=inference_tokens,
            unique_tokens=unique_tokens,
            hardware=device,
            hyperparameters=tuned,
            level=level,
            series=series,
        )
        _draw(answer, plot)
        if save is not None:
            answer.to_json(save)
    if as_json:
        shared.print_json(answer.to_dict())
    else:
        typer.echo(str(answer))
        _say(save, "Plan")
        _say(plot, "Figure")
    return 0 if answer.trusted else ExitCode.UNTRUSTED


@shared.takes_columns
def isoflop(
    table: shared.Table,
    columns: shared.Columns,
    method: Annotated[Method, typer.Option(help="How the optimum of a budget is found.")] = Method.parabola,
    budget: Annotated[str | None, typer.Option(help="Column of nominal budgets.", metavar="COLUMN")] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Every method, the fitted law and every count of N, side by side.")
    ] = False,
    curves: Annotated[
        Path | None, typer.Option(help="Table of training curves for the envelope, with --all.", metavar="FILE")
    ] = None,
    level: shared.Level = 0.9,
    plot: shared.Figure = None,
    force: shared.Force = False,
    as_json: shared.AsJson = False,
) -> int:
    """Find the best size on each budget, and how it grows with compute."""
    import scalefit as sf
    from scalefit.planning.approaches import agreement

    if curves is not None and not every:
        raise typer.BadParameter("needs --all; scalefit envelope looks at curves alone", param_hint="--curves")
    if plot is not None and every:
        raise typer.BadParameter("draws one method; leave --all out", param_hint="--plot")
    shared.may_write("--plot", plot, "figure", [table], force=force)
    runs = shared.read_table(table, **columns)
    if every:
        with shared.working("Trying every approach"):
            approaches = agreement(runs, curves=curves, budget=budget, level=level)
        if as_json:
            rows = json.loads(approaches.to_json(orient="records"))
            shared.print_json({"approaches": rows, "verdict": approaches.attrs["verdict"]})
            return 0
        shown = approaches.drop(columns=["N_lower", "N_upper", "n_budgets"])
        shown["remark"] = shown["remark"].fillna("").str.slice(0, 60)
        typer.echo(shared.aligned(shown))
        typer.echo(approaches.attrs["verdict"])
        return 0
    return _show(sf.isoflop(runs, method=method.value, budget=budget), level, plot, as_json)


@shared.takes_columns
def envelope(
    table: Annotated[
        str, typer.Argument(help="Table of training curves: run, N, D and loss, one row per measurement.")
    ],
    columns: shared.Columns,
    run: Annotated[
        str, typer.Option(help="Column that tells runs apart; by their N where there is none.", metavar="COLUMN")
    ] = "run",
    method: Annotated[
        Approach, typer.Option(help="Interpolate across sizes, or take the lowest curve, as published.")
    ] = Approach.local,
    n_budgets: Annotated[int, typer.Option(help="How many budgets to look at.")] = 64,
    level: shared.Level = 0.9,
    plot: shared.Figure = None,
    force: shared.Force = False,
    as_json: shared.AsJson = False,
) -> int:
    """Find the best size at each compute from training curves, and how it grows (approach 1 of Hoffmann et al.)."""
    import scalefit as sf

    shared.may_write("--plot", plot, "figure", [table], force=force)
    curves = shared.read_table(table, **columns)
    if run != "run":
        if run not in curves:
            has = ", ".join(map(str, curves))
            raise DataError(
                f"There is no column {run!r} to tell runs apart", "nothing was computed", f"The table has {has}"
            )
        curves = curves.assign(run=curves[run])
    with shared.working("Following the envelope"):
        optima = sf.envelope(curves, method=method.value, n_budgets=n_budgets)
    return _show(optima, level, plot, as_json)


def _show(optima: Optima, level: float, plot: Path | None, as_json: bool) -> int:
    from scalefit.optima.result import optima_text

    _draw(optima, plot)
    if as_json:
        shared.print_json(optima.to_dict(level))
    else:
        typer.echo(optima_text(optima, level))
        _say(plot, "Figure")
    return 0


@shared.takes_columns
def next_runs(
    columns: shared.Columns,
    source: Source = None,
    budget: Annotated[str, typer.Option(help="Compute of all new runs together [FLOP].")] = "",
    target: Annotated[
        str, typer.Option(help="What to make more certain: loss (at the plan), N (its size), or a parameter such as E.")
    ] = "loss",
    C: Annotated[
        str | None, typer.Option("--C", help="Budget of the plan in view [FLOP]; 100 times the largest run.")
    ] = None,
    n_runs: Annotated[int, typer.Option(help="Most runs to propose.")] = 8,
    law: LawName = None,
    series: Series = None,
    out: Annotated[
        Path | None, typer.Option(*shared.OUT, help="Write the runs to this csv file, for scalefit sweep.")
    ] = None,
    force: shared.Force = False,
    as_json: shared.AsJson = False,
) -> int:
    """Choose the runs to train next, so that they determine an answer best for their compute."""
    import scalefit as sf
    from scalefit._arguments import check_quantity, multiple_of_largest

    if not budget:
        raise typer.BadParameter("say how much compute the new runs may take, such as 1e19", param_hint="--budget")
    shared.may_write("--out", out, "table", [source])
    if multiple_of_largest(budget) is None:
        check_quantity("budget", budget)  # before any fit is waited for
    with shared.working("Choosing runs"):
        result = _result(source, law, None, columns, series, 0)
        runs = sf.next_runs(result, budget, target=target, C=C, n_runs=n_runs, series=series)
    design = runs.attrs["design"]
    if out is not None:
        shared.write_table("--out", out, runs, [source], force)
    if as_json:
        shared.print_json({"runs": runs.to_dict(orient="records"), **design})
    else:
        start = f"For {design['C_total']:.3g} FLOP the standard deviation of {design['target_name']} should fall from "
        typer.echo(folded(f"{start}{design['sd_before']:.3g} to {design['sd_after']:.3g}.") + "\n")
        typer.echo(shared.aligned(runs))
        typer.echo("gain: share of its variance that a run removes, given those above it")
    return 0 if result.trusted else ExitCode.UNTRUSTED


def _device(name: str | None, peak: str | None, options: dict[str, Any]) -> Hardware | None:
    """The device that the options describe; those that are not given are as `Hardware` has them."""
    from scalefit._arguments import check_quantity
    from scalefit.planning.deployment import Hardware

    given = {key: value for key, value in options.items() if value is not None}
    if peak is not None:
        return Hardware(peak=check_quantity("peak", peak), name=name or "device", **given)
    if name is not None:
        return Hardware.named(name, **given)
    for key in given:
        option = f"--{key.replace('_', '-')}"
        raise typer.BadParameter("it has no effect without --hardware or --peak", param_hint=option)
    return None


def _compute(device: Hardware | None, asked: dict[str, Any], *, money: float | None, hours: float | None) -> float:
    """Compute [FLOP] that money or device-hours buy."""
    option = "--hours" if money is None else "--money"
    others = [f"--{key}" for key, value in asked.items() if value is not None]
    if others:
        raise typer.BadParameter(f"a budget and {others[0]} are two questions; give one of them", param_hint=option)
    if device is None:
        raise typer.BadParameter("it needs --hardware or --peak", param_hint=option)
    return device.compute(hours=hours, money=money)


def _result(
    source: str | None,
    law: str | None,
    published: str | None,
    columns: shared.Columns,
    series: str | None,
    bootstrap: int,
) -> Any:
    """Published constants, a saved result, or a fit to a table; options that belong to another of them are refused."""
    import scalefit as sf

    if source is None and published is None and law is None or source is not None and published is not None:
        both = f"{source} and --published {published} were both given"
        seen = "There is nothing to plan by" if source is None else both
        raise ArgumentError(
            seen,
            "nothing was computed",
            "Pass a table of runs, a saved result, or constants by --published: one of them",
        )
    is_table = source is not None and not is_saved(Path(source))
    if columns and not is_table:
        named = ", ".join(f"{name}={column}" for name, column in columns.items())
        raise typer.BadParameter(f"{named}: columns are named of a table, and there is none", param_hint="--column")
    if is_table and series is not None:
        raise typer.BadParameter(
            "belongs to a saved fit of several series; --only chooses the runs of one in a table", param_hint="--series"
        )
    if source is None:
        return shared.published_law(law, published)
    shared.refuse_law(source)
    if is_table:
        result: Any = sf.fit(shared.read_table(source, laws=[law or "chinchilla"], **columns), law or "chinchilla")
    else:
        result = sf.load_result(source, law)
    from scalefit.fitting.result import fit_behind

    fit = fit_behind(result)
    if bootstrap and fit is not None and fit.resamples is None and fit.tangent is None:
        result = fit.bootstrap(bootstrap, cluster="shared")
    return result


def _span(text: str) -> tuple[float, float]:
    """A range, from:to."""
    low, _, high = text.partition(":")
    return shared.quantity(low), shared.quantity(high)


def _say(path: Path | None, what: str) -> None:
    if path is not None:
        typer.echo(f"{what}: {path}")


def _draw(answer: Any, path: Path | None) -> None:
    if path is not None:
        save_figure(answer.plot().figure, path)
