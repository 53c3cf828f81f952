"""How a result prints: verdict first, then value ± error [interval], correlations, notes with what to do."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from scalefit._arguments import LEVEL
from scalefit._text import folded, trust
from scalefit.errors import Note
from scalefit.fitting.solution import Solution
from scalefit.flops import QUANTITIES, counted

_ROUNDING = 1e-20  # objective per run of a table without noise


def verdict(result: Solution, notes: Sequence[Note]) -> str:
    """``yes``, ``with care`` or ``NO``, with the number of notes behind it."""
    problems = "" if result.trusted else "; ".join(result.certificate.problems)
    return trust(result.trusted, sum(note.severity == "warning" for note in notes), problems)


def as_text(result: Solution, notes: Sequence[Note], level: float = LEVEL) -> str:
    """Return the printed result."""
    c, rows = result.certificate, parameter_rows(result, level)
    condition = "-" if c.undetermined else f"{c.condition:.0e}"
    lines = [
        folded(f"TRUST: {verdict(result, notes)}"),
        folded(f"{result.law.name}  {result.law.formula}"),
        folded(f"{result.n_runs} runs, {result.n_free} free parameters · {_method_line(result)}"),
        folded(_convention_line(result)),
        f"Converged: {'yes' if c.converged else 'NO'} · starts that agree: {c.agreement} · "
        f"at a bound: {', '.join(c.at_bound) or 'none'} · condition: {condition}",
        "",
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(row[i].rjust(widths[i]) for i in range(1, 4)), row[4].ljust(widths[4])]
        lines.append("  ".join([*cells, row[5]]).rstrip())
    strong = [f"{a}~{b} {value:+.2f}" for a, b, value in result.correlations[:3] if abs(value) > 0.8]
    if strong:
        lines += ["", "Strong correlations: " + ", ".join(strong)]
    if notes:
        lines += ["", "Notes", *(note_line(note) for note in notes)]
    return "\n".join(lines)


def as_html(result: Solution, notes: Sequence[Note], level: float = LEVEL) -> str:
    """Return the result as a small HTML fragment; every text in it is escaped."""
    head, *body = parameter_rows(result, level)
    cells = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    table = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in body)
    remarks = "".join(f"<li>{html.escape(str(note))}</li>" for note in notes)
    return (
        f"<div><b>Trust: {html.escape(verdict(result, notes))}</b><br>"
        f"<b>{html.escape(result.law.name)}</b> {html.escape(result.law.formula)}<br>"
        f"{html.escape(_method_line(result))}<br>{html.escape(_convention_line(result))}"
        f"<table><tr>{cells}</tr>{table}</table><ul>{remarks}</ul></div>"
    )


def number(value: float, error: float = np.nan) -> str:
    """A value with as many digits as its error allows (two digits of the error), else five significant ones."""
    if not np.isfinite(value):
        return "-"
    if not (np.isfinite(error) and error > 0):
        return f"{value:.5g}"
    places = 1 - int(np.floor(np.log10(error)))
    if abs(value) >= 1e6 or (value != 0 and abs(value) < 1e-4):
        digits = int(np.clip(np.floor(np.log10(abs(value) or 1)) + places, 1, 8))
        return f"{value:.{digits}e}"
    if places < 0 and value:
        # Digits far beyond the error would be noise, and hang on the processor: four are enough to read on.
        value = round(value, min(0, max(places, 3 - int(np.floor(np.log10(abs(value)))))))
    return f"{value:.{min(max(places, 0), 12)}f}"


def meaning_of(parameter: Any, conventions: Mapping[str, Any] | None) -> str:
    """What a parameter means, and its unit: of a loss, that of the table."""
    unit = parameter.unit
    if unit == "nat/token":  # the law's usual unit; the table's may be another
        unit = str((conventions or {}).get("loss_unit", unit))
    return str(parameter.meaning) + (f", {unit}" if unit != "-" else "")


def parameter_rows(result: Solution, level: float) -> list[tuple[str, ...]]:
    """Head and body of the table of parameters: name, value, error, interval, bounds, meaning."""
    interval = result.conf_int(level)
    rows: list[tuple[str, ...]] = [("", "value", "se", f"{level:.0%} interval".replace("%", " %"), "bounds", "meaning")]
    for key, value in result.params.items():
        name = str(key)
        base = name.split("[")[0]
        parameter = result.law.parameters[base]
        se = float(result.std_errors[name])
        se = 0.0 if result.exact or se < 1e-9 * abs(value) else se  # a table without noise: rounding is not an error
        meaning = meaning_of(parameter, result.conventions)
        bounds = (result.bounds or {}).get(base, parameter.bounds)
        if name in result.certificate.undetermined:
            rows.append((name, "not determined", "-", "", f"[{bounds[0]:g}, {bounds[1]:g}]", meaning))
            continue
        if base in (result.fixed or {}):
            middle = ("fixed", "")
        elif base in (result.tied or {}):
            middle = (number(se, se), f"tied: {(result.tied or {})[base]}")
        elif not np.isfinite(se):
            middle = ("at bound" if name in result.certificate.at_bound else "-", "")
        else:
            low, high = interval.loc[[name]].to_numpy(float)[0]
            ends = ", ".join(number(end, max(se, 1e-4 * abs(end)) if se else 0.0) for end in (low, high))
            middle = (number(se, se), f"[{ends}]")
        rows.append((name, number(value, se), *middle, f"[{bounds[0]:g}, {bounds[1]:g}]", meaning))
    return rows


def _method_line(result: Solution) -> str:
    problem = result.problem
    errors = "robust errors"
    if result.shared_noise is not None:
        errors += f" by {result.shared_noise.by} ({result.shared_noise.n_clusters} clusters)"
    elif result.interval_draws is not None:
        errors += f", intervals of {len(result.interval_draws)} refits"
    if result.resamples is not None:
        errors = f"bootstrap errors ({result.resamples.shape[0]} resamples)"
    weights = " · weighted" if problem.weights is not None else ""
    prior = f" · prior: {problem.penalty}" if problem.penalty is not None else ""
    value = f"{result.objective_value:.6g}" if result.objective_value > _ROUNDING * result.n_runs else "0"
    return f"{problem.objective.named(problem.law.target.name)} · objective {value}{weights}{prior} · {errors}"


def _convention_line(result: Solution) -> str:
    stated = dict(result.conventions or {})
    parts = []
    sized = set(QUANTITIES) & set(result.law.inputs)
    if sized and "params" in stated:
        parts.append(counted(stated))
    if sized and "flops" in stated:
        given = any(note.code == "inconsistent_compute" for note in result.table_notes)
        parts.append("C as the table gives it" if given else f"C is {stated['flops']}")
    target = result.target
    parts.append(f"loss in {target.unit}" if result.law.target.is_loss else target.label())
    parts.append(f"data {result.data_digest}")
    return " · ".join(parts)


def note_line(note: Note) -> str:
    """Return a note wrapped to the page."""
    return folded(f"  {note}")
