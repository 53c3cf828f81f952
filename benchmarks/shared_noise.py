"""Do intervals hold where runs share their noise? results/shared_noise.json, and a table in docs/uncertainty.md.

Truth: the Chinchilla law with the constants of Besiroglu et al. (2024, arXiv:2404.10102). Designs: six isoFLOP budgets
of ten runs each on a ladder of sizes, and a grid of six sizes on six numbers of tokens, each twice the last (so that
its diagonals are budgets). Noise of the log loss: 0.42 % in all, half of its variance shared by the runs of a budget,
by those of a size, or by none. Counted: how often intervals hold E, alpha, beta and the loss of a new run (with a
shock of its own, at mid-table and at ten times the largest compute), and how often shared noise is found.

    OMP_NUM_THREADS=1 python benchmarks/shared_noise.py              # 300 tables a cell, as quoted
    OMP_NUM_THREADS=1 python benchmarks/shared_noise.py --first 300 --output /tmp/other.json    # other tables
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

RESULTS = Path(__file__).parent / "results" / "shared_noise.json"
TRUTH = sf.published("chinchilla", "besiroglu2024")
LEVEL, TARGET = 0.9, (0.85, 0.95)
NOISE, SHARE = 0.0042, 0.5
CELLS = [(design, by) for design in ("isoFLOP", "grid") for by in ("budget", "size", "none")]
KEYS = ("E", "alpha", "beta", "inside", "beyond")


def runs_of(design: str) -> tuple[np.ndarray, np.ndarray]:
    """Sizes and tokens of one design."""
    if design == "grid":
        return tuple(a.ravel() for a in np.meshgrid(1e8 * 2.0 ** np.arange(6), 4e9 * 2.0 ** np.arange(6)))
    ladder = 5e7 * 1.35 ** np.arange(22)
    N, C = [], []
    for budget in np.geomspace(1e19, 1e21, 6):
        nearest = np.sort(np.argsort(np.abs(np.log(ladder / (0.09 * budget**0.51))), kind="stable")[:10])
        N.append(ladder[nearest])
        C.append(np.full(10, budget))
    sizes = np.concatenate(N)
    return sizes, np.concatenate(C) / (6 * sizes)


def noise_of(N: np.ndarray, D: np.ndarray, by: str, rng: np.random.Generator) -> np.ndarray:
    """Noise of the log loss (n,), part of it one shock a budget or a size."""
    own = rng.standard_normal(N.size)
    if by == "none":
        return NOISE * own
    labels = np.unique(np.round(np.log(N * D if by == "budget" else N), 6), return_inverse=True)[1]
    return NOISE * (np.sqrt(1 - SHARE) * own + np.sqrt(SHARE) * rng.standard_normal(labels.max() + 1)[labels])


def one(design: str, by: str, seed: int) -> dict[str, Any]:
    """Whether the intervals of one table's fit hold the truth, and what noise was found."""
    rng = np.random.default_rng([CELLS.index((design, by)), seed])
    N, D = runs_of(design)
    result = sf.fit({"N": N, "D": D, "loss": TRUTH.predict(N=N, D=D) * np.exp(noise_of(N, D, by, rng))})
    interval = result.conf_int(LEVEL)
    row: dict[str, Any] = {"found": result.shared_noise.by if result.shared_noise is not None else None}
    for name in ("E", "alpha", "beta"):
        row[name] = bool(interval.loc[name, "lower"] <= TRUTH.params[name] <= interval.loc[name, "upper"])
    row["width"] = float(interval.loc["E", "upper"] - interval.loc["E", "lower"])
    middle = float(np.exp(np.log(N).mean())), float(np.exp(np.log(D).mean()))
    last = float(6 * (N * D).max()) * 10
    far = 0.09 * last**0.51
    for name, (n, d) in (("inside", middle), ("beyond", (far, last / (6 * far)))):
        band = result.predict_interval(N=n, D=d, level=LEVEL).iloc[0]
        fresh = TRUTH.predict(N=n, D=d) * np.exp(NOISE * rng.standard_normal())
        row[name] = bool(band["lower"] <= fresh <= band["upper"])
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=int, default=300, help="tables a cell")
    parser.add_argument("--first", type=int, default=0, help="number of the first table")
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", sf.ScalefitWarning)
    cells = []
    for design, by in CELLS:
        start = time.process_time()
        rows = [one(design, by, seed) for seed in range(arguments.first, arguments.first + arguments.tables)]
        cell: dict[str, Any] = {"design": design, "by": by, "tables": len(rows)}
        cell |= {name: float(np.mean([row[name] for row in rows])) for name in KEYS}
        cell["width"] = float(np.median([row["width"] for row in rows]))
        cell["found"] = {k: sum(row["found"] == k for row in rows) for k in ("C", "N", "D")}
        cells.append({**cell, "cpu_seconds": round(time.process_time() - start, 1)})
        shares = "  ".join(f"{name} {cell[name]:.3f}" for name in KEYS)
        print(f"{design:8s} {by:7s} {shares}  width {cell['width']:.3f}  found {cell['found']}", flush=True)
        document = {"level": LEVEL, "target": TARGET, "noise": NOISE, "share": SHARE, "scalefit": sf.__version__}
        arguments.output.parent.mkdir(exist_ok=True)
        arguments.output.write_text(json.dumps({**document, "cells": cells}, indent=1) + "\n")


if __name__ == "__main__":
    main()
