"""The associative-memory law against Chinchilla and Kaplan, in sample and on held-out larger runs.

Reads three public tables whose widths and depths are known from the runs' names, split by compute: a law is fitted to
the cheaper runs and judged on runs that cost 3, 10, 30, ... times as much as the most expensive of them. Each series
of a table is fitted by itself with the same objective, Huber (1e-3) on log loss. Prints a table and writes JSON.

    python benchmarks/associative_memory.py DIR [--out benchmarks/results/associative_memory.json]

DIR holds one csv a table (steplaw, gemstones, gadre: run_id, series, N, D, loss) and splits.csv (table, series, cut,
run_id, split).
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import scalefit as sf

LAWS = ("chinchilla", "kaplan", "associative_memory", "associative_memory_effective")
#: Where each table's run names hold width and depth; every one of them was trained at a context of 2048 tokens.
SHAPES = {
    "steplaw": (r"_h(\d+)_", r"_numl(\d+)_"),
    "gemstones": (r"^(\d+)x", r"x(\d+)@"),
    "gadre": (r"d=(\d+)_", r"_l=(\d+)_"),
}
T_MAX = 2048.0


def read(folder: Path, name: str) -> pd.DataFrame:
    runs = pd.read_csv(folder / f"{name}.csv")
    width, depth = SHAPES[name]
    runs["d_emb"] = runs["run_id"].str.extract(width, expand=False).astype(float)
    runs["n_layers"] = runs["run_id"].str.extract(depth, expand=False).astype(float)
    # A few large models are named by their size; their shape is not in the name, and they are left out for every law.
    return runs.dropna(subset=["d_emb", "n_layers"]).assign(T_max=T_MAX)


def errors(result: Any, runs: pd.DataFrame) -> dict[str, float]:
    inputs = {key: runs[key].to_numpy(float) for key in result.law.inputs}
    relative = np.asarray(result.predict(**inputs)) / runs["loss"].to_numpy() - 1.0
    return {"rms": float(np.sqrt(np.mean(relative**2))), "bias": float(relative.mean())}


def score(train: pd.DataFrame, test: pd.DataFrame | None, law: str) -> dict[str, Any]:
    try:
        result = sf.fit(train.drop(columns="series"), law)
    except sf.FitError as error:
        return {"law": law, "n_train": len(train), "refused": str(error)}
    row: dict[str, Any] = {"law": law, "n_train": len(train), "params": result.params.to_dict()}
    row |= {"std_errors": result.std_errors.to_dict(), "objective_value": result.objective_value}
    row |= {"trusted": result.trusted, "notes": sorted(note.code for note in result.notes)}
    row["in_sample"] = errors(result, train)
    if test is not None:
        row |= {"n_test": len(test), "held_out": errors(result, test)}
    return row


def measure(folder: Path) -> list[dict[str, Any]]:
    splits = pd.read_csv(folder / "splits.csv")
    rows = []
    for name in SHAPES:
        for series, runs in read(folder, name).groupby("series"):
            here = splits[(splits["table"] == name) & (splits["series"] == series)]
            parts: list[tuple[Any, pd.DataFrame, pd.DataFrame | None]] = [("all", runs, None)]
            for cut, part in here.groupby("cut"):
                which = part.set_index("run_id")["split"].reindex(runs["run_id"]).to_numpy()
                if (which == "test").any():
                    parts.append((cut, runs[which == "train"], runs[which == "test"]))
            for cut, train, test in parts:
                for law in LAWS:
                    rows.append({"table": name, "series": series, "cut": str(cut), **score(train, test, law)})
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    frame = pd.DataFrame(
        {
            "runs": f"{r['table']}, {r['series']}",
            "cut": r["cut"],
            "n": f"{r['n_train']}" + (f" + {r['n_test']}" if "n_test" in r else ""),
            "law": r["law"],
            "rms": f"{100 * r.get('held_out', r['in_sample'])['rms']:.2f}" if "in_sample" in r else "refused",
        }
        for r in rows
    )
    wide = frame.pivot_table(index=["runs", "cut", "n"], columns="law", values="rms", aggfunc="first", sort=False)
    head = "| runs | compute beyond | runs (fit + held out) | " + " | ".join(LAWS) + " |"
    lines = [head, "|" + "---|" * (3 + len(LAWS))]
    for (runs, cut, n), values in wide.iterrows():
        beyond = "in sample" if cut == "all" else f"{cut} times"
        lines.append(f"| {runs} | {beyond} | {n} | " + " | ".join(values[law] for law in LAWS) + " |")
    return "\n".join(lines)


def rounded(value: Any) -> Any:
    """Keep six digits: the last ones of a fit are the machine's."""
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    if isinstance(value, list):
        return [rounded(part) for part in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/associative_memory.json"))
    options = parser.parse_args()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sf.ScalefitWarning)
        rows = measure(options.folder)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    document = {"objective": "Huber(1e-3) on log loss", "python": sys.version.split()[0], "rows": rows}
    options.out.write_text(json.dumps(rounded(document), indent=1) + "\n")
    print("Relative rms error of the loss [%]\n")
    print(table(rows))


if __name__ == "__main__":
    main()
