"""What a forecast says of itself: notes, the printed page, and the JSON file it is kept in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from scalefit import __version__
from scalefit._files import as_path, write_whole
from scalefit.errors import ArgumentError, DataError, Note
from scalefit.fitting.discrepancy import Discrepancy, assemble
from scalefit.fitting.forecast_result import ForecastResult, Spread
from scalefit.fitting.objectives import Objective
from scalefit.fitting.printing import note_line, number
from scalefit.fitting.priors import penalty_from_document
from scalefit.fitting.problem import Problem
from scalefit.fitting.saving import SavedNote, Strict, load_note, save_note
from scalefit.laws import get

FORMAT = 1
_KIND = "forecast"
#: Weight left to a run [share], below which it is called an outlier: it misses by over four times its noise.
OUTLIER = 0.5
_SHOWN_RATIOS = (3.0, 10.0, 30.0, 100.0)


def notes_of(result: ForecastResult) -> tuple[Note, ...]:
    """Return every note on a forecast, the gravest first."""
    notes = list(result.table_notes)
    fitted, n = result.fitted, result.n_runs
    if not fitted.converged:
        text = "The search for the posterior mode did not converge. Do not use these numbers; look at the table."
        notes.append(Note("untrusted", "error", text))
    given = 1.0 if result.problem.weights is None else result.problem.weights / result.problem.weights.max()
    out = np.flatnonzero(fitted.share < OUTLIER * given)
    if out.size:
        rows = [_plain(label) for label in result.row_labels[out]]
        shown = ", ".join(map(str, rows[:8])) + (", ..." if len(rows) > 8 else "")
        text = (
            f"{out.size} of {n} runs (rows {shown}) miss the law and their neighbours by over four times the noise; "
            f"they were given less than half of their weight. Look at them."
        )
        notes.append(Note("outliers", "warning", text, {"rows": rows}))
    if result.law.name == "coupled":
        at = result.names.index("g")
        g, se = float(fitted.x[at]), float(np.sqrt(fitted.cov[at, at]))
        if abs(g - 1.0) < se and se < 0.5:
            text = (
                f"The coupling is {g:.2f} ± {se:.2f}: on this table the additive law of Chinchilla (g = 1) does as "
                f"well. sf.compare says which forecasts better."
            )
            notes.append(Note("additive", "info", text, {"g": g, "se": se}))
    order = {"error": 0, "warning": 1, "info": 2}
    return tuple(sorted(notes, key=lambda note: order[note.severity]))


def as_text(result: ForecastResult, level: float = 0.9) -> str:
    """Return the printed forecast: verdict, law, parameters, and losses along the frontier."""
    warned = sum(note.severity == "warning" for note in result.notes)
    trust = "NO" if not result.trusted else f"with care ({warned} warnings)" if warned else "yes"
    penalty = result.problem.penalty
    head = f"Forecast by {result.law.name}  {result.law.formula}"
    said = result.conventions
    lines = [
        f"{head:<80}{result.n_runs} runs up to {result.largest_compute:.3g} FLOP",
        f"Prior: {penalty if penalty is not None else 'none'}",
        f"N counts {said.get('params', 'total')} parameters · loss in {said.get('loss_unit', 'nat/token')} · errors "
        f"shared by neighbours, {100 * result.discrepancy.amplitude:.2g} % over {result.discrepancy.length:g} in ln N, "
        f"ln D",
        f"Converged: {'yes' if result.success else 'NO'}   TRUST: {trust}",
        "",
    ]
    rows: list[tuple[str, ...]] = [("", "value", "se", "meaning")]
    for name, value in result.params.items():
        se = float(result.std_errors[str(name)])
        parameter = result.law.parameters[str(name)]
        unit = f", {parameter.unit}" if parameter.unit != "-" else ""
        rows.append((str(name), number(float(value), se), number(se, se), parameter.meaning + unit))
    lines += _aligned(rows)
    columns = frontier(result, np.array(_SHOWN_RATIOS))
    table = result.predict_interval(level=level, **columns)
    sizes = [name for name in ("C", "N", "D") if name in columns]
    rows = [("compute", *sizes, "loss", f"{100 * level:g} % interval", "parameters", "law", "noise")]
    for i, ratio in enumerate(_SHOWN_RATIOS):
        row = table.iloc[i]
        cells = [f"{row[key]:.4f}" for key in ("se_parameter", "se_law", "se_noise")]
        where = [f"{columns[name][i]:.2e}" for name in sizes]
        interval = f"[{row['lower']:.3f}, {row['upper']:.3f}]"
        rows.append((f"{ratio:g} x", *where, f"{row['loss']:.3f}", interval, *cells))
    lines += ["", "Beyond the largest run (the last three columns are standard errors)", *_aligned(rows)]
    if result.notes:
        lines += ["", "Notes", *(note_line(note) for note in result.notes)]
    return "\n".join(lines)


def frontier(result: ForecastResult, ratios: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Inputs (m,) of the compute-optimal runs at multiples of the largest run's compute, by the fitted law."""
    compute = result.largest_compute * ratios
    if "C" in result.law.inputs:
        return {"C": compute}
    raw = result._raw()
    middle = 0.5 * np.log(raw["D"] / raw["N"]).mean()
    shift = np.linspace(-5.0, 5.0, 401)[:, None]
    # Sizes within e^5 of the mean ratio of tokens to parameters; the law has one minimum along constant compute.
    N = np.sqrt(compute / 6.0) * np.exp(-middle + shift)
    D = compute / (6.0 * N)
    best = np.argmin(result.law.evaluate({"N": N, "D": D}, {str(k): v for k, v in result.params.items()}), axis=0)
    at = np.arange(compute.size)
    return {"N": N[best, at], "D": D[best, at]}


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    last = len(widths) - 1
    return [
        "  ".join(
            cell.ljust(width) if i in (0, last) and rows[0][0] == "" else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _plain(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else value


# -- files -----------------------------------------------------------------------------------------------------


class _SavedForecast(Strict):
    """The file's schema, format 1."""

    kind: str
    format: int
    scalefit: str
    law: str
    reason: str
    n_runs: int
    params: dict[str, float]
    std_errors: dict[str, float]
    trusted: bool
    notes: list[SavedNote]
    x: list[float]
    names: list[str]
    columns: dict[str, list[float]]
    units: dict[str, float]
    loss: list[float]
    weights: list[float] | None
    share: list[float]
    converged: bool
    prior: dict[str, Any] | None
    discrepancy: dict[str, float]
    spread: dict[str, float]
    row_labels: list[Any]
    conventions: dict[str, Any]
    table_notes: list[SavedNote]


def document(result: ForecastResult) -> dict[str, Any]:
    """Return the forecast as plain data, ready for JSON."""
    problem, fitted = result.problem, result.fitted
    saved = _SavedForecast(
        kind=_KIND,
        format=FORMAT,
        scalefit=__version__,
        law=result.law.name,
        reason=result.reason,
        n_runs=result.n_runs,
        params={str(key): float(value) for key, value in result.params.items()},
        std_errors={str(key): float(value) for key, value in result.std_errors.items()},
        trusted=result.trusted,
        notes=[save_note(note) for note in result.notes],
        x=fitted.x.tolist(),
        names=list(result.names),
        columns={key: column.tolist() for key, column in problem.columns.items()},
        units=dict(problem.units),
        loss=problem.loss.tolist(),
        weights=None if problem.weights is None else problem.weights.tolist(),
        share=fitted.share.tolist(),
        converged=fitted.converged,
        prior=None if problem.penalty is None else problem.penalty.document(),
        discrepancy={name: float(getattr(result.discrepancy, name)) for name in Discrepancy.__dataclass_fields__},
        spread={name: float(getattr(result.spread, name)) for name in Spread.__dataclass_fields__},
        row_labels=[_plain(label) for label in result.row_labels],
        conventions=dict(result.conventions),
        table_notes=[save_note(note) for note in result.table_notes],
    )
    return saved.model_dump(mode="json")


def to_json(result: ForecastResult, path: str | Path | None) -> str:
    """Return the JSON text; written whole to `path` where one is given."""
    text = json.dumps(document(result), indent=1, allow_nan=True)
    if path is not None:
        write_whole(path, text)
    return text


def load_forecast(path: str | Path) -> ForecastResult:
    """Read a forecast that :meth:`ForecastResult.to_json` wrote.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    ForecastResult
        Predicts as the one saved.

    Raises
    ------
    DataError
        Not such a file, or written by a newer format.
    """
    try:
        raw = json.loads(as_path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}. Name a file that to_json wrote.") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not a saved forecast: {error}.") from error
    if not isinstance(raw, dict) or raw.get("kind") != _KIND or raw.get("format") != FORMAT:
        raise DataError(f"{path} is not a forecast of format {FORMAT}; for fits there is load_result.")
    try:
        saved = _SavedForecast.model_validate_json(json.dumps(raw))
        law = get(saved.law)
    except (ValidationError, ArgumentError) as error:
        raise DataError(f"{path} is not a saved forecast: {str(error).splitlines()[0]}.") from error
    n, p = len(saved.loss), len(law.parameters)
    lengths = {n, len(saved.share), len(saved.row_labels), *(len(column) for column in saved.columns.values())}
    if lengths != {n} or len(saved.x) != p or set(saved.columns) != set(law.inputs):
        raise DataError(f"{path} does not fit the law {law.name}: its columns or parameters differ.")
    problem = Problem(
        law=law,
        columns={key: np.array(saved.columns[key]) for key in law.inputs},
        loss=np.array(saved.loss),
        objective=Objective("huber", 0.01, "log_loss"),
        weights=None if saved.weights is None else np.array(saved.weights),
        groups=(np.arange(n),),
        index=np.arange(p)[None],
        fixed=np.zeros((1, p)),
        units=saved.units,
        penalty=None if saved.prior is None else penalty_from_document(saved.prior),
    )
    numbers = {**saved.discrepancy, "rounds": int(saved.discrepancy["rounds"])}
    about = Discrepancy(**numbers)  # type: ignore[arg-type]
    return ForecastResult(
        law=law,
        problem=problem,
        fitted=assemble(problem, np.array(saved.x), np.array(saved.share), about, saved.converged),
        names=tuple(saved.names),
        discrepancy=about,
        spread=Spread(**saved.spread),
        row_labels=np.array(saved.row_labels),
        conventions=saved.conventions,
        table_notes=tuple(load_note(note) for note in saved.table_notes),
        reason=saved.reason,
    )
