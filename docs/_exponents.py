"""The figure of docs/validation.md: exponents that theories predict against measured ones, made with the site."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from scalefit.plots._axes import COLOURS, MARKERS, log_axis, new_figure


def points(benchmarks: Path) -> dict[str, list[tuple[float, float, tuple[float, float]]]]:
    """Theory and measurement to predicted exponent, measured one, and the range of the predicted one."""
    sys.path.insert(0, str(benchmarks))
    try:
        from zipf_page import exponents
    finally:
        sys.path.remove(str(benchmarks))
    found: dict[str, list[tuple[float, float, tuple[float, float]]]] = {}
    for row in exponents():
        for name, value in row["exact"].items():
            measured = row["loss"] if row["ladder"] == "data" else row["error"]
            found.setdefault(f"Zipf, {row['ladder']}: {name}", []).append((value, measured, (value, value)))
    document = json.loads((benchmarks / "results" / "exponents.json").read_text())
    texts = {row["name"]: row for row in document["predict"] if row["exponent"] is not None}
    for row in texts.values():
        found.setdefault("text: best n-gram", []).append((row["exponent"], row["n_gram"][-1], tuple(row["interval"])))
    for row in document["ladders"]:
        text = texts.get(row["name"])
        if "predicted" in row:
            point = (row["predicted"][-1], row["largest"]["exponents"][-1], (row["predicted"][-1],) * 2)
            found.setdefault("Zipf, data, one pass: the unseen mass", []).append(point)
        elif text:
            point = (text["exponent"], row["largest"]["exponents"][-1], tuple(text["interval"]))
            family = {"gpt2": "GPT-2", "llama": "Llama"}[row["recipe"].split("-")[0]]
            found.setdefault(f"text: largest {family}", []).append(point)
    return found


def draw(benchmarks: Path, path: Path) -> Any:
    """Draw the points about the line on which a theory is right."""
    figure = new_figure((7.0, 5.5))
    axes = figure.add_subplot()
    for k, (name, some) in enumerate(points(benchmarks).items()):
        predicted, measured = [x for x, *_ in some], [y for _, y, _ in some]
        below = [x - low for x, _, (low, _) in some]
        above = [high - x for x, _, (_, high) in some]
        axes.errorbar(
            predicted, measured, xerr=(below, above), fmt=MARKERS[k], color=COLOURS[k], label=name, elinewidth=1
        )
    axes.plot([0.05, 3], [0.05, 3], color="0.4", lw=1, zorder=0)
    axes.text(0.95, 0.85, "prediction = measurement", ha="left", va="top", color="0.3", fontsize=9)
    log_axis(axes, "x", label="predicted exponent")
    log_axis(axes, "y", label="measured exponent")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=110)
    return figure
