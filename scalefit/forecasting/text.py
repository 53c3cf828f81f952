"""What a forecast says of itself: notes and the printed page."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalefit.errors import Note
from scalefit.fitting.identifiability import unexplained_notes, unexplained_problem, unexplained_spread
from scalefit.fitting.printing import note_line, number
from scalefit.fitting.schema import plain_label
from scalefit.forecasting.result import ForecastResult

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
    left = unexplained_spread(result.problem, fitted.x, len(result.names))
    if (found := unexplained_problem(left)) is not None:
        text = f"{found[0].upper()}{found[1:]}. Do not use this forecast: check that N, D and the loss belong together."
        notes.append(Note("untrusted", "error", text, {"share": left}))
    notes += unexplained_notes(left)
    given = 1.0 if result.problem.weights is None else result.problem.weights / result.problem.weights.max()
    out = np.flatnonzero(fitted.share < OUTLIER * given)
    if out.size:
        rows = [plain_label(label) for label in result.row_labels[out]]
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
    trust = (
        "NO" if not result.trusted else f"with care ({warned} warning{'s' if warned > 1 else ''})" if warned else "yes"
    )
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
    raw = result.problem.raw_columns
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
