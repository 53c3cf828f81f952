"""Do intervals for new runs hold where noise falls with compute? Measured into results/falling_noise.json.

Truth: the Chinchilla law with the constants of Besiroglu et al. (2024, arXiv:2404.10102). Designs: isoFLOP budgets, a
grid, and a ladder about 20 tokens per parameter. Noise of the log loss is 0.4 % at mid-table and goes as C to a power,
0, -0.1 or -0.2 (over three decades of compute a factor of 2 or 4), normal or Student's t with 4 degrees of freedom.
Counted: how often the interval of level 0.9 for a new run holds its loss, at the smallest budget, at mid-table, at the
largest and at ten times that, and how often noise was found to go with compute.

    OMP_NUM_THREADS=1 python benchmarks/falling_noise.py              # 300 tables a cell, as quoted
    OMP_NUM_THREADS=1 python benchmarks/falling_noise.py --one-size   # the same, were noise taken to be of one size
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
from scalefit.fitting import intervals

RESULTS = Path(__file__).parent / "results" / "falling_noise.json"
TRUTH = sf.published("chinchilla", "besiroglu2024")
LEVEL, TARGET = 0.9, (0.85, 0.95)
NOISE = 0.004
RUNS = {"isoFLOP": 60, "grid": 36, "ladder": 24}
POWERS = (0.0, -0.1, -0.2)
WHERE = ("smallest", "middle", "largest", "beyond")
LOW, HIGH = 6e18, 6e21


def design(kind: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Sizes and tokens over three decades of compute."""
    n = RUNS[kind]
    if kind == "grid":
        sizes, tokens = np.geomspace(1.5e8, 5e9, 6), np.geomspace(6e9, 2e11, 6)
        return tuple(a.ravel() for a in np.meshgrid(sizes, tokens))  # type: ignore[return-value]
    C = np.resize(np.geomspace(LOW, HIGH, 6), n) if kind == "isoFLOP" else np.geomspace(LOW, HIGH, n)
    N = 0.09 * C**0.51 * 10 ** rng.uniform(-0.5, 0.5, n)
    return N, C / (6 * N)


def noise_at(N: Any, D: Any, power: float, error: Any) -> Any:
    return NOISE * (6 * N * D / np.sqrt(LOW * HIGH)) ** power * error


def one(kind: str, power: float, seed: int) -> dict[str, Any]:
    """Whether the intervals of one table's fit hold new runs."""
    rng = np.random.default_rng([list(RUNS).index(kind), round(-10 * power), seed])
    heavy = rng.random() < 0.5

    def errors(n: int) -> np.ndarray:
        return rng.standard_t(4, n) / np.sqrt(2) if heavy else rng.standard_normal(n)

    N, D = design(kind, rng)
    result = sf.fit({"N": N, "D": D, "loss": TRUTH.predict(N=N, D=D) * np.exp(noise_at(N, D, power, errors(N.size)))})
    C = np.array([LOW, np.sqrt(LOW * HIGH), HIGH, 10 * HIGH])
    if kind == "grid":
        C = np.array([1, np.sqrt(1e3), 1e3, 1e4]) * 6 * N.min() * D.min()
    n = 0.09 * C**0.51
    band = result.predict_interval(N=n, D=C / 6 / n, level=LEVEL)
    fresh = TRUTH.predict(N=n, D=C / 6 / n) * np.exp(noise_at(n, C / 6 / n, power, errors(4)))
    held = (band["lower"] <= fresh) & (fresh <= band["upper"])
    widths = np.log(band["upper"] / band["lower"])
    row: dict[str, Any] = {"found": intervals.trend_of(result) is not None}
    for name, flag, width in zip(WHERE, held, widths, strict=True):
        row[name], row[f"{name}_width"] = bool(flag), float(width)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=int, default=300, help="tables a cell")
    parser.add_argument("--one-size", action="store_true", help="look for no trend")
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", sf.ScalefitWarning)
    if arguments.one_size:
        intervals.find_trend = lambda *_: None  # type: ignore[assignment]
    cells = []
    for kind in RUNS:
        for power in POWERS:
            start = time.process_time()
            rows = [one(kind, power, seed) for seed in range(arguments.tables)]
            cell: dict[str, Any] = {"design": kind, "runs": RUNS[kind], "power": power, "tables": len(rows)}
            cell |= {name: float(np.mean([row[name] for row in rows])) for name in (*WHERE, "found")}
            cell |= {f"{name}_width": float(np.median([row[f"{name}_width"] for row in rows])) for name in WHERE}
            cells.append({**cell, "cpu_seconds": round(time.process_time() - start, 1)})
            shares = "  ".join(f"{name} {cell[name]:.3f} ({100 * cell[f'{name}_width']:.2f} %)" for name in WHERE)
            print(f"{kind:8s} {power:5.1f}  {shares}  found {cell['found']:.3f}", flush=True)
    document = {"level": LEVEL, "target": TARGET, "noise": NOISE, "scalefit": sf.__version__, "cells": cells}
    if not arguments.one_size:
        arguments.output.parent.mkdir(exist_ok=True)
        arguments.output.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
