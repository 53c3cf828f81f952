"""Do plans hold what they claim where the sizes hardly differ? results/narrow.json, and a table in docs/uncertainty.md.

Truth: the Chinchilla law with the constants of Besiroglu et al. (2024, arXiv:2404.10102). Each table is a grid of four
to six sizes about 5e8 parameters on five to six numbers of tokens, with noise of the log loss of 0.3 %; its sizes lie
within .04 to 2 decades. The law is fitted as anybody would, and a plan is asked for 1e21 FLOP, five times the largest
run's compute and more. Counted: fits that are not trusted, plans that say "not known" or are refused, and of the
intervals of the other plans how many hold the true optimum N* and D* and the loss of a new run trained as planned.

    OMP_NUM_THREADS=1 python benchmarks/narrow.py               # 200 tables a design, as quoted
    OMP_NUM_THREADS=1 python benchmarks/narrow.py --first 200 --output /tmp/other.json    # other tables
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import scalefit as sf

RESULTS = Path(__file__).parent / "results" / "narrow.json"
TRUTH = sf.published("chinchilla", "besiroglu2024")
LEVEL, TARGET = 0.9, (0.85, 0.95)
DECADES = (0.04, 0.1, 0.18, 0.3, 0.48, 0.7, 1.0, 1.4, 2.0)
NOISE, BUDGET = 0.003, 1e21
CENTRE = 5e8
#: From this factor between its ends on, an interval for N or D is printed as not known.
OPEN = 1e6


def table(decades: float, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """One grid of sizes within `decades` and tokens within one to two decades, with losses."""
    sizes = CENTRE * np.geomspace(10 ** (-decades / 2), 10 ** (decades / 2), rng.integers(4, 7))
    tokens = 4e9 * np.geomspace(1, 10 ** rng.uniform(1.2, 2.0), rng.integers(5, 7))
    N, D = (axis.ravel() for axis in np.meshgrid(sizes, tokens))
    error = rng.standard_normal(N.size) if rng.random() < 0.5 else rng.standard_t(4, N.size) / np.sqrt(2)
    return {"N": N, "D": D, "loss": TRUTH.predict(N=N, D=D) * np.exp(NOISE * error)}


def one(decades: float, seed: int) -> dict[str, Any]:
    """What fit and plan say of one table, and whether it is so."""
    rng = np.random.default_rng([round(100 * decades), seed])
    runs = table(decades, rng)
    best = sf.plan(TRUTH, C=BUDGET)
    try:
        result = sf.fit(runs)
        row: dict[str, Any] = {"trusted": bool(result.trusted)}
        plan = sf.plan(result, C=BUDGET, level=LEVEL)
    except sf.ScalefitError as error:
        return {"trusted": False, "known": False, "refused": str(error)[:80]}
    row["known"] = bool(plan.lower is not None and plan.N_interval[1] < OPEN * plan.N_interval[0])
    fresh = TRUTH.predict(N=plan.N, D=plan.D) * np.exp(NOISE * rng.standard_normal())
    spans = {"N": (plan.N_interval, best.N), "D": (plan.D_interval, best.D), "loss": ((plan.lower, plan.upper), fresh)}
    for name, ((low, high), truth) in spans.items():
        if row["known"]:
            row[name] = bool(low <= truth <= high)
            row[f"{name}_width"] = float(np.log(high / low)) if low > 0 else float("inf")
    return {**row, "source": plan.interval_source}


def summary(decades: float, rows: list[dict[str, Any]]) -> dict[str, Any]:
    known = [row for row in rows if row["known"]]
    out: dict[str, Any] = {
        "decades": decades,
        "tables": len(rows),
        "trusted": sum(row["trusted"] for row in rows),
        "not_known": len(rows) - len(known),
        "refits": sum(row["source"] == "refits" for row in known),
    }
    for name in ("N", "D", "loss"):
        out[name] = float(np.mean([row[name] for row in known])) if known else None
        out[f"{name}_width"] = float(np.median([row[f"{name}_width"] for row in known])) if known else None
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=int, default=200, help="tables a design")
    parser.add_argument("--first", type=int, default=0, help="number of the first table")
    parser.add_argument("--decades", type=float, nargs="*", default=DECADES)
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", sf.ScalefitWarning)
    cells = []
    for decades in arguments.decades:
        start = time.process_time()
        seeds = range(arguments.first, arguments.first + arguments.tables)
        cell = summary(decades, [one(decades, seed) for seed in seeds])
        cells.append({**cell, "cpu_seconds": round(time.process_time() - start, 1)})
        shares = "  ".join(f"{name} {cell[name]:.3f}" for name in ("N", "D", "loss") if cell[name] is not None)
        print(
            f"{decades:5.2f} decades: not known {cell['not_known']} of {cell['tables']}  {shares}  {cells[-1]}",
            flush=True,
        )
        document = {"level": LEVEL, "target": TARGET, "noise": NOISE, "budget": BUDGET, "scalefit": sf.__version__}
        arguments.output.parent.mkdir(exist_ok=True)
        arguments.output.write_text(json.dumps({**document, "cells": cells}, indent=1) + "\n")


if __name__ == "__main__":
    main()
