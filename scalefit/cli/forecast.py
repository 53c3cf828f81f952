"""``scalefit forecast`` and ``scalefit compare``: what a larger run will lose, and which law to ask."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scalefit._files import save_figure
from scalefit._text import PAGE, folded
from scalefit.cli import ExitCode
from scalefit.cli import _shared as shared
from scalefit.cli._points import inputs_of
from scalefit.cli._points import points as read_points
from scalefit.flops import SIZES, quantity

if TYPE_CHECKING:
    import pandas as pd

    from scalefit.forecasting.result import ForecastResult


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(forecast)
    app.command()(compare)


@shared.takes_columns
def forecast(
    table: shared.Table,
    columns: shared.Columns,
    at: Annotated[
        list[str] | None,
        typer.Option(help="Point to predict: N=7e9,D=2e12; C=1e24, at the best N and D; or 10x the largest run."),
    ] = None,
    level: shared.Level = 0.9,
    no_prior: Annotated[bool, typer.Option("--no-prior", help="Do not use the shipped prior.")] = False,
    law: Annotated[
        str | None, typer.Option(help="A law to use instead of the coupled law.", autocompletion=shared.laws_beginning)
    ] = None,
    save: Annotated[Path | None, typer.Option(*shared.OUT, help="Write the forecast here as JSON.")] = None,
    register_at: Annotated[
        Path | None,
        typer.Option("--register", help="Write down the prediction of the one --at, to be scored later."),
    ] = None,
    plot: shared.Figure = None,
    log_y: shared.LogY = False,
    force: shared.Force = False,
    as_json: shared.AsJson = False,
) -> int:
    """Forecast the loss of larger runs, with calibrated intervals (exit code 3: do not trust it)."""
    from scalefit.forecasting.forecast import forecast as make_forecast

    points = read_points(at or ())
    points_meant = {name: columns[name] for name in SIZES if name in columns and _is_number(columns[name])}
    if at is None and "N" in points_meant:
        typed = " ".join(f"--{name} {value}" for name, value in points_meant.items())
        point = ",".join(f"{name}={points_meant.get(name, '...')}" for name in SIZES)
        raise typer.BadParameter(f"{typed} would set every run's; a point to predict is --at {point}", param_hint="--N")
    shared.may_write("--save", save, "result", [table], force=force)
    shared.may_write("--plot", plot, "figure", [table], force=force)
    with shared.working("Forecasting"), shared.rows_in_print(not as_json):
        runs = shared.read_table(table, laws=[] if law is None else [law], **columns)
        several = "series" in runs and runs["series"].nunique() > 1
        unit = "other" if columns.get("loss_unit") == "other" else None
        prior = None if no_prior else "shipped"
        found = make_forecast(runs, loss_unit=unit, prior=prior, law=law, by="series" if several else None)  # type: ignore[arg-type]
    results: dict[str | None, ForecastResult] = (
        {str(label): result for label, result in found.items()} if isinstance(found, dict) else {None: found}
    )
    paths = (save, plot, register_at)
    saved, drawn, registered = (shared.files_of(path, results) if path else {} for path in paths)
    outputs = (("--save", "result", saved), ("--plot", "figure", drawn), ("--register", "result", registered))
    for option, kind, files in outputs:
        for path in files.values():
            shared.may_write(option, path, kind, [table], force=force)
    documents = {}
    for label, result in results.items():
        asked = inputs_of(points, result)
        predictions = _predict(result, asked, level)
        documents[label] = _document(result, predictions)
        if not as_json:
            _print(result, asked, predictions, label, level)
        if saved:
            result.to_json(saved[label])
        if registered:
            _register(result, asked, registered[label], level)
        if drawn:
            save_figure(result.plot(level=level, at=asked, log_y=log_y).figure, drawn[label])
        if not as_json:
            made = [("Forecast", saved), ("Figure", drawn), ("Registered", registered)]
            typer.echo("".join(f"{what}: {files[label]}\n" for what, files in made if files), nl=False)
    if as_json:
        shared.print_json(documents[None] if None in documents else {"series": documents})
    return 0 if all(result.trusted for result in results.values()) else ExitCode.UNTRUSTED


def _is_number(text: str) -> bool:
    try:
        shared.quantity(text)
    except ValueError:
        return False
    return True


def _register(result: ForecastResult, points: list[dict[str, float]], path: Path, level: float) -> None:
    from scalefit.errors import ArgumentError
    from scalefit.forecasting.larger import inputs_at

    if len(points) > 1:
        raise ArgumentError(
            f"--register writes down one run, and {len(points)} were given", "nothing was registered", "Give one --at"
        )
    inputs = inputs_at(result, points[0]) if points else {}
    result.register(path, level=level, **inputs)


def _predict(result: ForecastResult, points: list[dict[str, float]], level: float) -> list[dict[str, Any]]:
    from scalefit.forecasting.larger import inputs_at

    out = []
    for point in points:
        inputs = inputs_at(result, point)
        table = result.predict_interval(level=level, **inputs)  # type: ignore[arg-type]
        notes = [str(note) for note in table.attrs["notes"]]
        values = {str(key): float(value) for key, value in table.iloc[0].items()}
        out.append({**point, **inputs, **values, "level": level, "notes": notes})
    return out


def _document(result: ForecastResult, predictions: list[dict[str, Any]]) -> dict[str, Any]:
    from scalefit.errors import note_record

    return {
        "law": result.law.name,
        "params": result.params,
        "std_errors": result.std_errors,
        "n_runs": result.n_runs,
        "largest_compute": result.largest_compute,
        "reason": result.reason,
        "trusted": result.trusted,
        "notes": [note_record(note) for note in result.notes],
        "predictions": predictions,
    }


def _print(
    result: ForecastResult,
    points: list[dict[str, float]],
    predictions: list[dict[str, Any]],
    label: str | None,
    level: float,
) -> None:
    if label is not None:
        typer.echo(f"== {label} ==")
    typer.echo(result.text(level))
    target, digits = result.target, ".4f" if result.target.of_loss else ".4g"
    for point, row in zip(points, predictions, strict=True):
        sizes = ", ".join(f"{key} = {quantity(key, row[key])}" for key in SIZES if key in row)
        drawn_on = f", from {quantity('D', row['unique_tokens'])} distinct tokens" if "unique_tokens" in row else ""
        compute = f"C = {quantity('C', row['C'])}" if "C" in row else ""
        where = (" at the best " if not set(SIZES) & set(point) else ", ").join(filter(None, (compute, sizes)))
        span = f"{100 * level:g} % interval [{row['lower']:{digits}}, {row['upper']:{digits}}]"
        typer.echo(f"\n{where}{drawn_on}: {target.name} {row['loss']:{digits}}  {span}")
        parts = ", ".join(f"{name} {row[f'se_{name}']:{digits}}" for name in ("parameter", "law", "noise"))
        typer.echo(f"  standard errors: {parts}")
        for note in row["notes"]:
            typer.echo(folded(f"  {note}"))


@shared.takes_columns
def compare(
    table: shared.Table,
    columns: shared.Columns,
    law: Annotated[
        list[str] | None,
        typer.Option(
            "--law",
            "--laws",
            help="Law to compare, or forecast. Repeatable; without it, the usual ones.",
            autocompletion=shared.laws_beginning,
        ),
    ] = None,
    holdout: Annotated[
        str, typer.Option(help="largest_C, k-fold (or 10-fold), leave-one-budget-out, or rolling.")
    ] = "largest_C",
    delta: Annotated[float, typer.Option(help="Half-width of Huber's band.")] = 1e-3,
    level: shared.Level = 0.9,
    seed: Annotated[int, typer.Option(help="Seed of k-fold.")] = 0,
    as_json: shared.AsJson = False,
) -> int:
    """Compare laws by how they predict runs that they were not fitted to."""
    from scalefit.comparison.compare import FORECAST
    from scalefit.comparison.compare import compare as compare_laws

    named = [name.strip() for item in law or () for name in item.split(",") if name.strip()]
    laws = named or ["chinchilla", "kaplan", "coupled", FORECAST]
    with shared.working("Comparing laws"):
        runs = shared.read_table(table, laws=[name for name in laws if name != FORECAST], **columns)
        found = compare_laws(runs, laws, holdout=holdout, level=level, seed=seed, delta=delta)
    if as_json:
        stated = {key: found.attrs[key] for key in ("verdict", "holdout", "failures")}
        shared.print_json({**stated, "level": level, "laws": found.to_dict("records")})
        return 0
    typer.echo(folded(found.attrs["verdict"]) + "\n")
    typer.echo(_as_text(found))
    for name, reasons in found.attrs["failures"].items():
        typer.echo("\n" + folded(f"{name} could not be fitted: {reasons[0]}"))
    return 0


def _as_text(found: pd.DataFrame) -> str:
    named = {"mean_relative_error": "error %", "bias": "bias %", "n_params": "params"}
    shown = found.drop(columns=["rmse"] + ([] if found["failed"].any() else ["failed"])).rename(columns=named)
    shown[["error %", "bias %"]] *= 100
    return shown.to_string(index=False, line_width=PAGE, float_format=lambda value: f"{value:.3f}", na_rep="-")
