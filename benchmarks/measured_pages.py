"""Write the measured tables of README.md, docs/benchmarks.md and docs/uncertainty.md from the files in results/.

python benchmarks/measured_pages.py          # rewrite what stands between the markers of each page
python benchmarks/measured_pages.py --check  # exit 1 where a page does not show what was measured
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent
START, END = "<!-- measured: {} -->\n", "<!-- end -->"
NAMES = {"isoflop": "iso-FLOP", "scatter": "scattered"}


def speed(document: dict[str, Any]) -> str:
    lines = ["| task | ours | against | ours [ms] | theirs [s] | ratio | goal | quality gate |", "|---" * 8 + "|"]
    remarks = []
    for row in document["rows"]:
        gate = f"{row['gate']}: {'passed' if row['passed'] else 'FAILED'}"
        times = f"{row['seconds'] * 1e3:.1f} | {row['baseline_seconds']:.0f}"
        cells = (row["task"], row["ours"], row["baseline"], times, f"{row['ratio']:,.0f}", f"{row['goal']:,}", gate)
        lines.append(f"| {' | '.join(cells)} |")
        remark = f"- {row['baseline']}: {row['remark']}."
        if "baseline_objective" in row:
            remark += f" Objective {row['objective']:.12f} against {row['baseline_objective']:.12f}."
        if remark not in remarks:
            remarks.append(remark)
    return "\n".join([*lines, "", *remarks]) + "\n"


def coverage(document: dict[str, Any]) -> str:
    low, high = document["target"]
    lines = ["| design | runs | objective | errors | new run | E | A | alpha | B | beta |", "|---" * 10 + "|"]
    out = total = 0
    for cell in document["cells"]:
        for errors in ("robust", "bootstrap"):
            shares = [cell[errors]["new_run"], *cell[errors]["parameters"].values()]
            total += len(shares)
            out += sum(not low <= share <= high for share in shares)
            shown = " | ".join(f"{share:.3f}" if low <= share <= high else f"**{share:.3f}**" for share in shares)
            lines.append(f"| {NAMES[cell['design']]} | {cell['n']} | {cell['objective']} | {errors} | {shown} |")
    error = (0.09 / document["tables"]) ** 0.5
    said = (
        f"{document['tables']} tables a row, {document['resamples']} resamples each, {document['level']} claimed. "
        f"{out} of {total} shares lie outside [{low}, {high}] (bold); the counting error of a share is {error:.3f}."
    )
    return "\n".join([*lines, "", said]) + "\n"


def peers(fit: dict[str, Any], forecast: dict[str, Any], stopping: dict[str, Any], training: dict[str, Any]) -> str:
    """What a newcomer asks of each part, against the usual way of doing it."""
    lines = ["| task | scalefit | the usual way |", "|---" * 3 + "|"]

    def add(task: str, ours: str, *theirs: str) -> None:
        lines.append(f"| {task} | {ours} | {'; '.join(theirs)} |")

    recipe, refits, package = (
        next(row for row in fit["rows"] if row["ours"].startswith(ours) and row["baseline"].startswith(theirs))
        for ours, theirs in (("sf.fit", "published"), ("result.bootstrap", "BFGS"), ("sf.fit", "PyPI"))
    )
    add(
        "fit the 240 points of arXiv:2404.10102 to the optimum",
        f"{recipe['seconds'] * 1e3:.0f} ms of CPU",
        f"published recipe (L-BFGS-B, 4,500 starts): {recipe['baseline_seconds']:.0f} s",
        f"`chinchilla` 0.2.0 of PyPI: {package['baseline_seconds']:.0f} s, objective "
        f"{package['baseline_objective'] / package['objective'] - 1:.0e} higher".replace("e-0", "e-"),
    )
    add("4,000 bootstrap refits", f"{refits['seconds']:.2f} s", f"BFGS: {refits['baseline_seconds']:.0f} s")
    methods = forecast["methods"]
    ours, huber = (methods[name]["overall"] for name in ("sf.forecast", "chinchilla, Huber 1e-3"))
    resampled = methods["case bootstrap, chinchilla"]["overall"]
    add(
        "mean error for larger runs, eight public tables",
        f"{ours['percent']:.2f} % (`sf.forecast`)",
        f"Chinchilla's law by least squares: {methods['chinchilla, least squares']['overall']['percent']:.2f} %",
        f"by Huber loss: {huber['percent']:.2f} %",
    )
    add(
        "of these, inside the 90 % interval",
        f"{ours['coverage']:.0%} (width {ours['width']:.1f} %)",
        f"bootstrap of Chinchilla's law: {resampled['coverage']:.0%} (width {resampled['width']:.1f} %)",
    )
    halfway, laws = stopping["forecasts"]["balanced_mae"], stopping["laws"]["balanced_mae"]
    add(
        f"final loss foretold halfway, {stopping['curves']} public curves",
        f"off by {halfway['no_history']['0.5']:.3f} nat, {halfway['history']['0.5']:.3f} with a history",
        f"last value: {laws['last_value']['0.5']:.3f}",
        f"multi-power law, fitted freely: {laws['multi_power']['0.5']:.3f}",
    )
    add(
        f"healthy ones of {stopping['curves']} curves stopped on the way",
        f"{len(stopping['alarms']['healthy_alarmed'])} of {stopping['alarms']['healthy_curves']}",
        f"patience of 3 evaluations at 0.01: {stopping['alarms']['patience_3_delta_0.01_would_stop']:.0%}",
    )
    ratios = sorted(row["ratio"] for row in training["speed"].values() if isinstance(row, dict))
    add(
        "tokens/s of training GPT-2s of 12k to 0.9M parameters, one CPU core",
        f"{ratios[0]:.1f} to {ratios[-1]:.1f} x (the smallest)",
        "`transformers` GPT2LMHeadModel: 1",
    )
    return "\n".join(lines) + "\n"


#: By page: the marker of its measured part, what renders it, and the files in results/ that it takes.
PAGES = {
    "README.md": ("peers", peers, ("fit", "forecast", "stopping", "training")),
    "docs/benchmarks.md": ("fit", speed, ("fit",)),
    "docs/uncertainty.md": ("coverage", coverage, ("coverage",)),
}


def rendered(page: str) -> str:
    """The page with its measured part made anew."""
    name, render, files = PAGES[page]
    head, rest = (ROOT / page).read_text(encoding="utf-8").split(START.format(name))
    tail = rest.split(END, 1)[1]
    documents = [json.loads((HERE / "results" / f"{file}.json").read_text(encoding="utf-8")) for file in files]
    return head + START.format(name) + render(*documents) + END + tail


def main() -> None:
    for page in PAGES:
        text = rendered(page)
        if "--check" in sys.argv and text != (ROOT / page).read_text(encoding="utf-8"):
            raise SystemExit(f"{page} does not show what was measured: run python benchmarks/measured_pages.py")
        (ROOT / page).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
