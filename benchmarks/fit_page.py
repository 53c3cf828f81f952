"""Write the measured tables of docs/benchmarks.md and docs/uncertainty.md from results/fit.json and coverage.json.

python benchmarks/fit_page.py          # rewrite what stands between the markers of both pages
python benchmarks/fit_page.py --check  # exit 1 where a page does not show what was measured
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs"
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


PAGES = {"benchmarks.md": ("fit", speed), "uncertainty.md": ("coverage", coverage)}


def rendered(page: str) -> str:
    """The page with its measured part made anew."""
    name, render = PAGES[page]
    text = (DOCS / page).read_text(encoding="utf-8")
    head, rest = text.split(START.format(name))
    tail = rest.split(END, 1)[1]
    document = json.loads((HERE / "results" / f"{name}.json").read_text(encoding="utf-8"))
    return head + START.format(name) + render(document) + END + tail


def main() -> None:
    for page in PAGES:
        text = rendered(page)
        if "--check" in sys.argv and text != (DOCS / page).read_text(encoding="utf-8"):
            raise SystemExit(f"docs/{page} does not show what was measured: run python benchmarks/fit_page.py")
        (DOCS / page).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
