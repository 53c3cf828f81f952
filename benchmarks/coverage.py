"""Do the intervals hold what they claim? Coverage on simulated tables, written to results/coverage.json.

Truth: the Chinchilla law with the constants of Besiroglu et al. (2024, arXiv:2404.10102). Designs: iso-FLOP budgets as
in Hoffmann et al. (2022), and sizes scattered freely. Noise of the log loss: Student's t with 3 degrees of freedom,
whose scale falls from 1.2 % at the smallest compute to 0.3 % at the largest (as the residuals of the 245 published
points do, roughly). For each table the law is fitted as anybody would, and it is counted how often the intervals
hold the true parameters, and the losses of new runs with the same noise inside the table's range.

    python benchmarks/coverage.py                 # 200 tables a cell, as quoted
    python benchmarks/coverage.py --tables 1000   # finer, slower
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np

import scalefit as sf

RESULTS = Path(__file__).parent / "results" / "coverage.json"
TRUTH = sf.published("chinchilla", "besiroglu2024")
LEVEL = 0.9
TARGET = (0.85, 0.95)
NEW_RUNS = 50
DEGREES = 3
CELLS = [
    (kind, n, options)
    for options in ({}, {"objective": "squared"})
    for kind in ("isoflop", "scatter")
    for n in (60, 240)
]
BUDGETS = np.geomspace(6e18, 3e21, 10)


def design(kind: str, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Sizes and tokens (n,): a decade of N about each budget's optimum, or a free scatter over the same range."""
    if kind == "isoflop":
        C = np.resize(BUDGETS, n)
        N = 0.09 * C**0.51 * 10 ** rng.uniform(-0.5, 0.5, n)
        return N, C / (6 * N)
    return 10 ** rng.uniform(7.7, 10.2, n), 10 ** rng.uniform(9, 11.3, n)


def noise(N: np.ndarray, D: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Noise of the log loss (n,); its scale falls as C^-0.2."""
    scale = 0.012 * np.clip(6 * N * D / 6e18, 1.0, 1000.0) ** -0.2
    return scale * rng.standard_t(DEGREES, N.size) / np.sqrt(DEGREES / (DEGREES - 2))


def simulate(kind: str, n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    N, D = design(kind, n, rng)
    return {"N": N, "D": D, "loss": TRUTH.predict(N=N, D=D) * np.exp(noise(N, D, rng))}


def cover(kind: str, n: int, tables: int, resamples: int, options: dict, seed: int) -> dict:
    """Coverage of one cell, with robust and with bootstrap errors."""
    truth = TRUTH.params
    held: dict[str, list] = {"robust": [], "bootstrap": []}
    new: dict[str, list] = {"robust": [], "bootstrap": []}
    width: dict[str, list] = {"robust": [], "bootstrap": []}
    untrusted = 0
    for k in range(tables):
        rng = np.random.default_rng([seed, n, k])
        runs, fresh = simulate(kind, n, rng), simulate(kind, NEW_RUNS, rng)
        result = sf.fit(runs, "chinchilla", **options)
        untrusted += not result.trusted
        for name, fitted in (("robust", result), ("bootstrap", result.bootstrap(resamples, seed=k))):
            interval = fitted.conf_int(LEVEL)
            held[name].append(((interval["lower"] <= truth) & (truth <= interval["upper"])).to_numpy())
            width[name].append(interval.loc["alpha", "upper"] - interval.loc["alpha", "lower"])
            band = fitted.predict_interval(N=fresh["N"], D=fresh["D"], level=LEVEL)
            new[name].append(np.mean((band["lower"] <= fresh["loss"]) & (fresh["loss"] <= band["upper"])))
    objective = options.get("objective", "huber")
    out = {"design": kind, "n": n, "tables": tables, "objective": objective, "untrusted": untrusted}
    for name in held:
        share = np.mean(held[name], axis=0)
        out[name] = {
            "new_run": float(np.mean(new[name])),
            "parameters": {key: float(value) for key, value in zip(truth.index, share, strict=True)},
            "median_width_alpha": float(np.median(width[name])),
        }
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=int, default=200)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--merge", type=Path, nargs="+", help="write the cells of these documents as one; run nothing")
    parser.add_argument("--cell", nargs=2, metavar=("DESIGN", "N"), help="only this cell")
    arguments = parser.parse_args()
    if arguments.merge:
        parts = [json.loads(path.read_text()) for path in arguments.merge]
        merged = {**parts[0], "cells": [cell for part in parts for cell in part["cells"]]}
        arguments.output.write_text(json.dumps(merged, indent=1) + "\n")
        return
    warnings.simplefilter("ignore", sf.ScalefitWarning)
    cells = []
    for kind, n, options in CELLS:
        if arguments.cell and [kind, str(n)] != arguments.cell:
            continue
        start = time.process_time()
        cell = cover(kind, n, arguments.tables, arguments.resamples, options, arguments.seed)
        cells.append({**cell, "cpu_seconds": round(time.process_time() - start, 1)})
        for name in ("robust", "bootstrap"):
            shares = [cell[name]["new_run"], *cell[name]["parameters"].values()]
            text = "  ".join(f"{share:.3f}" for share in shares)
            verdict = "ok" if TARGET[0] <= min(shares) and max(shares) <= TARGET[1] else "OUT"
            print(f"{kind:8s} n={n:<4d} {cell['objective']:8s} {name:10s} {text}  {verdict}", flush=True)
        document = {
            "level": LEVEL,
            "target": TARGET,
            "tables": arguments.tables,
            "resamples": arguments.resamples,
            "seed": arguments.seed,
            "scalefit": sf.__version__,
            "numpy": np.__version__,
            "cells": cells,
        }
        arguments.output.parent.mkdir(exist_ok=True)
        arguments.output.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
