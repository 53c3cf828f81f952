"""The printed page of a forecast: verdict, law, parameters, and losses along the compute-optimal frontier."""

from __future__ import annotations

from typing import Any

from scalefit._text import folded, trust
from scalefit.errors import ArgumentError
from scalefit.fitting.printing import meaning_of, note_line, number
from scalefit.flops import QUANTITIES, counted, quantity
from scalefit.forecasting.larger import falls_short, most_times

#: Compute beyond the largest run at which a forecast is printed.
_SHOWN_RATIOS = (3.0, 10.0, 30.0, 100.0)


def as_text(result: Any, level: float = 0.9) -> str:
    """Return the printed forecast."""
    warned = sum(note.severity == "warning" for note in result.notes)
    penalty = result.problem.penalty
    conventions = result.conventions
    lines = [
        f"TRUST: {trust(result.trusted, warned, '' if result.trusted else 'see the errors below')}",
        folded(f"Forecast by {result.law.name}  {result.law.formula}"),
        folded(f"{result.n_runs} runs {_reach(result)} · converged: {'yes' if result.success else 'NO'}"),
        folded(f"Prior: {penalty if penalty is not None else 'none'}"),
        folded(
            f"{_counted(result)}{_predicted(result)} · errors shared by neighbours, "
            f"{100 * result.discrepancy.amplitude:.2g} % over {result.discrepancy.length:g} in "
            + ", ".join(f"ln {name}" for name in result.inputs)
        ),
        "",
    ]
    rows: list[tuple[str, ...]] = [("", "value", "se", "meaning")]
    for name, value in result.params.items():
        se = float(result.std_errors[str(name)])
        meaning = meaning_of(result.law.parameters[str(name)], conventions)
        rows.append((str(name), number(float(value), se), number(se, se), meaning))
    lines += _aligned(rows)
    lines += _along_frontier(result, level)
    if result.notes:
        lines += ["", "Notes", *(note_line(note) for note in result.notes)]
    return "\n".join(lines)


def _counted(result: Any) -> str:
    return f"{counted(result.conventions)} · " if set(QUANTITIES) & set(result.law.inputs) else ""


def _predicted(result: Any) -> str:
    target = result.target
    return f"loss in {target.unit}" if target.of_loss else str(target.label())


def _reach(result: Any) -> str:
    """Return how far the runs reach: in compute where the law knows it, else in each of its inputs."""
    seen = result.seen()
    if "C" in seen:
        return f"up to {result.largest_compute:.3g} FLOP"
    way, end = ("down", 0) if falls_short(result) else ("up", 1)
    return f"{way} to " + ", ".join(f"{name} = {quantity(name, seen[name][end])}" for name in result.inputs)


def _along_frontier(result: Any, level: float) -> list[str]:
    try:
        shown = [ratio for ratio in _SHOWN_RATIOS if ratio <= most_times(result)]
        columns = result.larger_runs(shown)
    except ArgumentError:  # a law with other inputs: no budget alone fixes a run
        return []
    if not shown:
        return []
    table = result.predict_interval(level=level, **columns)
    sizes = list(columns)
    scaled = "compute" if "C" in result.seen() else ""
    target = result.target
    digits = ".3f" if target.of_loss else ".4g"  # a learning rate is 0.000 in three decimals
    rows = [(scaled, *sizes, target.name, f"{100 * level:g} % interval", "parameters", "law", "noise")]
    for i, ratio in enumerate(shown):
        row = table.iloc[i]
        cells = [f"{row[key]:{'.4f' if target.of_loss else '.2g'}}" for key in ("se_parameter", "se_law", "se_noise")]
        where = [quantity(name, float(columns[name][i])) for name in sizes]
        interval = f"[{row['lower']:{digits}}, {row['upper']:{digits}}]"
        rows.append((f"{ratio:g} x", *where, f"{row['loss']:{digits}}", interval, *cells))
    return ["", "Beyond the largest run (the last three columns are standard errors)", *_aligned(rows)]


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
