"""Approaches to the optimum on public and on simulated runs, and repeated data: the tables of docs/planning.md.

    SCALEFIT_DATA_DIR=... python benchmarks/approaches.py --out benchmarks/results/approaches.json

The data folder holds the public tables by the names of their projects: porian, gemstones, isoflops, forecast_benchmark.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import scalefit as sf
from scalefit.planning.repetition import mark_repetition

LAW = ("chinchilla", "besiroglu2024")
BUDGETS, SIZES, WIDTH, NOISE, LEVEL = (1e18, 3e18, 1e19, 3e19, 1e20), 11, 6.0, 0.003, 0.9
METHODS = ("parabola", "cubic", "local")
COLUMNS = ["N", "D", "C", "loss"]
#: Rows of Porian et al. (2024), arXiv:2406.19146: hyperparameters, warm-up, decay, what is counted; published exponent.
PORIAN = (
    ("Kaplan's count, training loss, long warm-up", ("base", "long", "kaplan", "kaplan"), 0.8353),
    ("the head counted too", ("base", "long", "kaplan", "standard"), 0.7065),
    ("short warm-up", ("base", "short", "kaplan", "standard"), 0.6020),
    ("decay over each run's own length", ("base", "short", "chinchilla", "standard"), 0.5715),
    ("tuned", ("tuned", "short", "const", "standard"), 0.4969),
)
#: Gemstones, arXiv:2502.06857, approach 1: exponents with and without embeddings.
GEMSTONES = {"with": 0.499380, "without": 0.626863}


def porian(folder: Path) -> list[dict[str, Any]]:
    """Exponents of N on Porian et al.'s isoFLOP points."""
    points = pd.read_csv(folder / "porian" / "porian_isoflop_points.csv")
    points = points.rename(columns={"n": "N", "tokens": "D", "flops": "C"})
    rows = []
    for name, (hparams, warmup, decay, count), published in PORIAN:
        keep = (points["hparams"] == hparams) & (points["warmup"] == warmup) & (points["decay"] == decay)
        runs = points[keep & (points["param_count"] == count)][COLUMNS]
        local, parabola = (sf.isoflop(runs, method=method) for method in ("local", "parabola"))
        low, high = local.interval(LEVEL).loc["exponent_N"]
        found = {"local": local.exponent_N, "lower": low, "upper": high, "parabola": parabola.exponent_N}
        rows.append({"runs": name, "published": published, **found})
    return rows


def gemstones(folder: Path) -> dict[str, dict[str, float]]:
    """Exponents of N from the envelope of Gemstones' curves."""
    curves = pd.read_json(folder / "gemstones" / "hot.jsonl", lines=True)
    names = {"params_active_precise": "N", "tokens": "D", "final_loss": "loss", "run_name": "run"}
    curves = curves.rename(columns=names)
    counts = {"with": curves["N"], "without": curves["N"] - 50304 * curves["width"]}
    found = {}
    for name, size in counts.items():
        optima = sf.envelope(curves.assign(N=size)[["run", "N", "D", "loss"]])
        low, high = optima.interval(LEVEL).loc["exponent_N"]
        found[name] = {"published": GEMSTONES[name], "exponent": optima.exponent_N, "lower": low, "upper": high}
    return found


def outliers(folder: Path) -> list[dict[str, Any]]:
    """Exponents of N with and without the rows that Open-Athena labels as outliers."""
    table = pd.read_csv(folder / "isoflops" / "isoflops.csv")
    table = table.rename(columns={"params": "N", "tokens": "D", "budget": "C"})
    rows = []
    for name, part in table.groupby("experiment", sort=False):
        every, kept = (sf.isoflop(t[COLUMNS], method="local") for t in (part, part[~part["outlier"]]))
        low, high = every.interval(LEVEL).loc["exponent_N"]
        ends = {"exponent": every.exponent_N, "without": kept.exponent_N, "lower": low, "upper": high}
        rows.append({"runs": str(name), "labelled": int(part["outlier"].sum()), **ends})
    return rows


def simulated(tables: int) -> dict[str, dict[str, float]]:
    """Errors of the exponent and of its interval on isoFLOP grids about the optimum of a known law."""
    law = sf.published(*LAW)
    truth = law.params["beta"] / (law.params["alpha"] + law.params["beta"])
    C, share = np.meshgrid(BUDGETS, np.geomspace(1 / WIDTH, WIDTH, SIZES), indexing="ij")
    N = (share * [[sf.plan(law, C=budget).N] for budget in BUDGETS]).ravel()
    D = C.ravel() / (6 * N)
    clean = law.predict(N=N, D=D)
    found: dict[str, list[tuple[float, float, float]]] = {method: [] for method in METHODS}
    for seed in range(tables):
        loss = clean * np.exp(NOISE * np.random.default_rng(seed).standard_normal(N.size))
        runs = {"N": N, "D": D, "C": C.ravel(), "loss": loss}
        for method in METHODS:
            optima = sf.isoflop(runs, method=method)  # type: ignore[arg-type]
            found[method].append((optima.exponent_N, *optima.interval(LEVEL).loc["exponent_N"]))
    out = {}
    for method, rows in found.items():
        exponent, low, high = np.array(rows).T
        out[method] = {
            "rms_error": float(np.sqrt(np.mean((exponent - truth) ** 2))),
            "median_width": float(np.median(high - low)),
            "coverage": float(np.mean((low < truth) & (truth < high))),
        }
    return out


def repetition(folder: Path) -> dict[str, Any]:
    """R_D* of the data_constrained law on Muennighoff et al.'s runs, with and without the rows that rise."""
    runs = pd.read_csv(folder / "forecast_benchmark" / "datablations_repeat.csv")
    marked = mark_repetition(runs[["N", "D", "unique_tokens", "loss"]])
    parts = {"every": marked, "falling": marked[~marked["rising"]], "short": marked[marked["epochs"] <= 20]}
    out: dict[str, Any] = {"rows": len(marked), "rising": int(marked["rising"].sum())}
    for name, part in parts.items():
        result = sf.fit(part, "data_constrained", tied={"beta": "alpha"})
        low, high = result.conf_int(0.95).loc["R_D"]
        numbers = {"R_D": result.params["R_D"], "se": result.std_errors["R_D"], "lower": low, "upper": high}
        out[name] = {**{key: float(value) for key, value in numbers.items()}, "trusted": result.trusted}
    untied = sf.fit(parts["falling"], "data_constrained")
    # Its error knows of no bounds; the parameter does.
    low, high = np.clip(untied.conf_int(0.95).loc["R_N"], *untied.law.parameters["R_N"].bounds)
    out["R_N_untied"] = {"lower": float(low), "upper": float(high)}
    return out


def plain(value: Any) -> Any:
    """Numbers as JSON holds them; what is not finite becomes null."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, float | np.floating):
        return float(f"{value:.6g}") if np.isfinite(value) else None
    return value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=int, default=150)
    parser.add_argument("--out", type=Path, default=None)
    options = parser.parse_args()
    folder = Path(os.environ["SCALEFIT_DATA_DIR"])
    report = {
        "level": LEVEL,
        "porian": porian(folder),
        "gemstones": gemstones(folder),
        "outliers": outliers(folder),
        "tables": options.tables,
        "noise": NOISE,
        "simulated": simulated(options.tables),
        "repetition": repetition(folder),
    }
    text = json.dumps(plain(report), indent=1) + "\n"
    print(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
