"""``scalefit fit`` and ``scalefit predict``: a table in, a law out; a law in, losses out."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scalefit._files import is_saved
from scalefit._text import folded
from scalefit.cli import ExitCode
from scalefit.cli import _shared as shared
from scalefit.cli._points import Point, inputs_of, value_of
from scalefit.cli._points import points as read_points
from scalefit.errors import note_record
from scalefit.flops import quantity

if TYPE_CHECKING:
    import pandas as pd

    from scalefit.fitting.result import FitResult


class Goal(StrEnum):
    """Penalties on residuals."""

    huber = "huber"
    squared = "squared"
    absolute = "absolute"
    quantile = "quantile"


class Scale(StrEnum):
    """What residuals are computed from."""

    log_loss = "log_loss"
    loss = "loss"
    logit = "logit"


class By(StrEnum):
    """What to do with several series."""

    series = "series"
    shared = "shared"
    pool = "pool"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(fit)
    app.command()(predict)


@shared.takes_columns
def fit(
    table: shared.Table,
    columns: shared.Columns,
    law: Annotated[
        str,
        typer.Option(help="Law to fit: one of scalefit laws, or mylaw.py:Mine.", autocompletion=shared.laws_beginning),
    ] = "chinchilla",
    objective: Annotated[Goal | None, typer.Option(help="Penalty on residuals; Huber's for most laws.")] = None,
    delta: Annotated[float, typer.Option(help="Half-width of Huber's band.")] = 1e-3,
    on: Annotated[
        Scale | None, typer.Option(help="Scale of the residuals; by default that of the law's target.")
    ] = None,
    overestimate_penalty: Annotated[
        float, typer.Option(help="Cost of predicting too much relative to too little: 10 for the lower envelope.")
    ] = 1.0,
    quantile: Annotated[
        float | None, typer.Option(help="With --objective quantile: share of the runs below the law; 0.5 by default.")
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="Weights by rule: C^0.5, loss_sem^-2, frontier; or a column.", metavar="RULE")
    ] = None,
    fix: Annotated[list[str] | None, typer.Option(help="Hold a parameter: E=1.7. Repeatable.")] = None,
    tie: Annotated[
        list[str] | None, typer.Option(help="Tie a parameter: beta=alpha, or an expression. Repeatable.")
    ] = None,
    bound: Annotated[list[str] | None, typer.Option(help="Bound a parameter: E=0:3. Repeatable.")] = None,
    prior: Annotated[list[str] | None, typer.Option(help="Prior mean:sd: E=1.7:0.1. Repeatable.")] = None,
    by: Annotated[By | None, typer.Option(help="What to do with several series.")] = None,
    bootstrap: Annotated[int, typer.Option(help="Resamples for bootstrap intervals; 0 for robust errors.")] = 0,
    cluster: Annotated[
        str | None,
        typer.Option(help="Column of runs to resample together, or shared: those that share noise.", metavar="COLUMN"),
    ] = None,
    starts: Annotated[
        int | None,
        typer.Option(help="Starts to polish; by default more for few runs, and for laws that are no sum of powers."),
    ] = None,
    level: shared.Level = 0.9,
    seed: Annotated[int, typer.Option(help="Seed of the resamples.")] = 0,
    save: Annotated[Path | None, typer.Option(*shared.OUT, help="Write the result here, for scalefit predict.")] = None,
    plot: shared.Figure = None,
    log_y: shared.LogY = False,
    force: shared.Force = False,
    as_json: shared.AsJson = False,
) -> int:
    """Fit a law to a table of finished runs and say whether to believe it (exit code 3: do not)."""
    from scalefit.fitting.fit import fit as fit_law

    if bootstrap < 0 or bootstrap == 1:
        raise typer.BadParameter(f"{bootstrap} resamples: use 0, or 1000 and more", param_hint="--bootstrap")
    if cluster and not bootstrap:
        raise typer.BadParameter("needs --bootstrap", param_hint="--cluster")
    shared.may_write("--save", save, "result", [table], force=force)
    shared.may_write("--plot", plot, "figure", [table], force=force)
    options: dict[str, Any] = {
        "objective": None if objective is None else objective.value,
        "delta": delta,
        "on": None if on is None else on.value,
        "overestimate_penalty": overestimate_penalty,
        "quantile": quantile,
        "weights": weights,
        "fixed": shared.assignments("--fix", fix or (), shared.quantity) or None,
        "tied": shared.assignments("--tie", tie or (), str) or None,
        "bounds": shared.assignments("--bound", bound or (), shared.pair) or None,
        "prior": shared.assignments("--prior", prior or (), shared.pair) or None,
        "by": by.value if by else None,
        "seed": seed,
        "n_starts": starts,
    }
    with shared.working(f"Fitting {law}"), shared.rows_in_print(not as_json):
        runs = shared.read_table(table, laws=[law], **columns)
        found = fit_law(runs, law, **options)
    results: dict[str | None, FitResult] = found if isinstance(found, dict) else {None: found}
    if bootstrap:
        labels = None if cluster is None else _cluster(runs, cluster)
        for key, result in results.items():
            with shared.working(f"Refitting {bootstrap} resamples") as progress:
                results[key] = result.bootstrap(bootstrap, seed=seed, cluster=labels, progress=progress)
    written = {kind: shared.files_of(path, results) for kind, path in (("Result", save), ("Figure", plot)) if path}
    for option, kind, made in (("--save", "result", "Result"), ("--plot", "figure", "Figure")):
        for path in written.get(made, {}).values():
            shared.may_write(option, path, kind, [table], force=force)
    for label, result in results.items():
        if save is not None:
            result.to_json(written["Result"][label])
        if plot is not None:
            result.plot(written["Figure"][label], log_y=log_y)
    if as_json:
        documents = {label: summary(result, level) for label, result in results.items()}
        shared.print_json(documents[None] if None in documents else {"series": documents})
    else:
        _print(results, level, written)
    return 0 if all(result.trusted for result in results.values()) else ExitCode.UNTRUSTED


def _print(results: Mapping[str | None, FitResult], level: float, written: Mapping[str, Mapping[Any, Path]]) -> None:
    """Print each fit under its series, and the files that were written."""
    from scalefit.fitting.printing import as_text

    for label, result in results.items():
        head = "" if label is None else f"=== {label}\n"
        typer.echo(head + as_text(result, result.notes, level) + ("" if label is None else "\n"))
    for kind, files in written.items():
        typer.echo(f"\n{kind}: {', '.join(map(str, files.values()))}")


def summary(result: FitResult, level: float) -> dict[str, Any]:
    """Return what ``scalefit fit --json`` prints of a result."""
    from dataclasses import asdict

    from scalefit.fitting.printing import verdict

    interval = result.conf_int(level)
    certificate = {**asdict(result.certificate), "trusted": result.trusted, "identified": result.certificate.identified}
    return {
        "law": result.law.name,
        "formula": result.law.formula,
        "params": result.params,
        "std_errors": result.std_errors,
        "intervals": {
            "level": level,
            "method": "robust" if result.resamples is None else "bootstrap",
            "lower": interval["lower"],
            "upper": interval["upper"],
        },
        "objective": result.problem.objective.named(result.law.target.name),
        "objective_value": result.objective_value,
        "n_runs": result.n_runs,
        "data": result.data_digest,
        "success": result.success,
        "trusted": result.trusted,
        "verdict": verdict(result, result.notes),
        "notes": [note_record(note) for note in result.notes],
        "certificate": certificate,
        "correlations": [[a, b, value] for a, b, value in result.correlations],
        "fixed": result.fixed or {},
        "tied": result.tied or {},
        "conventions": {key: result.conventions[key] for key in _STATED if key in (result.conventions or {})}
        if result.conventions
        else {},
        "bootstrap": result.draws_about,
        "seed": result.seed,
    }


_STATED = ("params", "flops", "loss_unit", "assumed", "source", "guessed", "stated", "n_rows", "n_set_aside")


def _cluster(runs: pd.DataFrame, column: str) -> Any:
    from scalefit.errors import DataError

    if column not in runs and column == "shared":
        return column  # the groups that the fit finds
    if column not in runs:
        raise DataError(
            f"There is no column {column!r} to resample by",
            "nothing was resampled",
            f"The table has {', '.join(map(str, runs))}",
        )
    return runs[column]


def predict(
    result: Annotated[
        str | None, typer.Argument(help="A result that scalefit fit or forecast wrote with --save.")
    ] = None,
    law: Annotated[
        str | None,
        typer.Option(
            help="A law, to use published constants instead of a result; or the law of the result, if it is not one of "
            "scalefit's: mylaw.py:Mine.",
            autocompletion=shared.laws_beginning,
        ),
    ] = None,
    published: Annotated[
        str | None,
        typer.Option(
            help="Published constants to use: hoffmann2022.",
            metavar="KEY",
            autocompletion=shared.constants_beginning,
        ),
    ] = None,
    N: Annotated[list[str] | None, typer.Option("--N", help="Parameters: 7e9 or 7B. Repeatable.")] = None,
    D: Annotated[list[str] | None, typer.Option("--D", help="Tokens: 2e12 or 2T. Repeatable.")] = None,
    C: Annotated[list[str] | None, typer.Option("--C", help="Compute in FLOP. Repeatable.")] = None,
    at: Annotated[
        list[str] | None,
        typer.Option(help="A point with any inputs: N=7B,D=2T,unique_tokens=1T; or 10x the largest run. Repeatable."),
    ] = None,
    series: Annotated[str | None, typer.Option(help="Which series, for fits with shared exponents.")] = None,
    level: shared.Level = 0.9,
    as_json: shared.AsJson = False,
) -> int:
    """Predict losses from a saved result, with intervals for a new run, or from published constants."""
    if (result is not None and published is not None) or (result is None and law is None and published is None):
        raise typer.BadParameter("give a saved result, or a paper's constants by --published", param_hint="RESULT")
    points = _points(N, D, C, at)
    if result is not None:
        return _predict_saved(result, law, points, series, level, as_json)
    source = shared.published_law(law, published)
    inputs = _columns(inputs_of(points, source))
    table = {"loss": source.predict(**inputs)}
    if as_json:
        rows = _records({**inputs, **table})
        about = {"law": source.law.name, "published": source.constants.key, "source": source.source}
        shared.print_json({**_only(rows), **about, "params": source.params, "predictions": rows})
    else:
        name, unit = _target_of(source)
        for row in _records({**inputs, **table}):
            typer.echo(f"{_place(row)}  {name} {row['loss']:.4f}{unit}")
        typer.echo(f"\n{source}\nPublished constants carry no interval for a new run.")
    return 0


def _predict_saved(
    path: str, law: str | None, points: list[Point], series: str | None, level: float, as_json: bool
) -> int:
    import warnings

    from scalefit.errors import DataError
    from scalefit.fitting.collection import Fits
    from scalefit.saving import load_result

    shared.refuse_law(path)
    if Path(path).exists() and not Path(path).is_dir() and not is_saved(Path(path)):
        raise DataError(
            f"{path} is not a saved result",
            "nothing was predicted",
            "If it is a table of runs, fit it first with scalefit fit and save the result, or ask scalefit forecast",
        )
    result = load_result(path, law)
    if isinstance(result, Fits):
        raise DataError(f"{path} holds fits of several losses", "nothing was predicted", "Save one: fits['loss_web']")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the notes are printed below
        inputs = _columns(inputs_of(points, result))
        asked: dict[str, Any] = inputs if series is None else {**inputs, "series": series}
        frame = result.predict_interval(level=level, **asked)
    notes = frame.attrs["notes"]
    rows = _records({**inputs, **{str(name): frame[name].to_numpy() for name in frame}})
    if as_json:
        shared.print_json(
            {
                **_only(rows),
                "law": _laws_of(result),
                "level": level,
                "trusted": result.trusted,
                "predictions": rows,
                "notes": [note_record(note) for note in notes],
            }
        )
    else:
        name, unit = _target_of(result)
        for row in rows:
            known = row["lower"] == row["lower"]
            span = f"[{row['lower']:.4f}, {row['upper']:.4f}]{unit}" if known else "not known"
            typer.echo(f"{_place(row)}  {name} {row['loss']:.4f}  {100 * level:.3g} % interval {span}")
        for note in notes:
            typer.echo(f"\n{folded(str(note))}")
        if not result.trusted:
            problems = "; ".join(str(note).split(": ", 1)[1] for note in result.notes if note.severity == "error")
            typer.echo(f"\nDo not trust this fit: {problems}", err=True)
    return 0 if result.trusted else ExitCode.UNTRUSTED


def _only(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Numbers of a lone prediction, for those who asked for one and look for ``loss``."""
    return rows[0] if len(rows) == 1 else {}


def _laws_of(result: Any) -> str:
    """Name of the law, or of those that an average blends."""
    from scalefit.comparison.average import Average
    from scalefit.predictor import behind

    blend = behind(result, Average)
    parts = (result,) if blend is None else blend.results
    return " + ".join(type(part).__name__ if part.law is None else str(part.law.name) for part in parts)


def _target_of(result: Any) -> tuple[str, str]:
    """What a saved result predicts, and its unit after a blank."""
    unit = result.target.unit
    return result.target.name, "" if unit == "-" else f" {unit}"


def _points(N: list[str] | None, D: list[str] | None, C: list[str] | None, at: list[str] | None) -> list[Point]:
    """The points asked for; one value of an input holds for every value of the others."""
    given = {name: values for name, values in (("N", N), ("D", D), ("C", C)) if values}
    if at:
        if given:
            raise typer.BadParameter("give points with --at or inputs with --N --D --C, not both", param_hint="--at")
        return read_points(at)
    if not given:
        raise typer.BadParameter("say where: --N 7B --D 2T, --at N=7B,D=2T or --at 10x", param_hint="--N")
    columns = {name: [_quantity(f"--{name}", text) for text in values] for name, values in given.items()}
    length = max(map(len, columns.values()))
    for name, values in columns.items():
        if len(values) not in (1, length):
            raise typer.BadParameter(f"{len(values)} values where others have {length}", param_hint=f"--{name}")
    return [{name: values[i % len(values)] for name, values in columns.items()} for i in range(length)]


def _columns(points: list[dict[str, float]]) -> dict[str, list[float]]:
    if len({frozenset(point) for point in points}) > 1:
        raise typer.BadParameter("every point must name the same inputs", param_hint="--at")
    return {name: [point[name] for point in points] for name in points[0]}


def _quantity(option: str, text: str) -> float | str:
    try:
        return value_of(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error


def _records(columns: dict[str, Any]) -> list[dict[str, float]]:
    names = list(columns)
    return [dict(zip(names, map(float, row), strict=True)) for row in zip(*columns.values(), strict=True)]


def _place(row: dict[str, float]) -> str:
    results = ("loss", "lower", "upper")
    return "  ".join(f"{k} {quantity(k, v)}" for k, v in row.items() if k not in results and not k.startswith("se_"))
