"""Advice on pre-training runs that repeat their data: 2.8B models on C4 and OSCAR, 1 to 44 epochs (datablations).

    SCALEFIT_DATA_DIR=... python benchmarks/repeated.py

Each curve is replayed through the Monitor with its schedule (cosine to a tenth, 1 % warm-up) and its distinct tokens.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd

import scalefit as sf

FRACTIONS = (0.25, 0.5, 0.75)
SPACING = 0.005  # of the run between evaluations: about 200 of them


def replay(table: pd.DataFrame, said: bool) -> dict:
    """Forecasts at the fractions, and the first stop or rollback; `said`: the plan holds the distinct tokens."""
    tokens, loss = table.token_num.to_numpy(float), table.loss.to_numpy(float)
    total = float(tokens[-1])
    batch = total / 10_000
    unique = float(table.tokens_per_epoch.iloc[0])
    plan = sf.RunPlan(
        schedule=sf.Schedule.cosine(10_000, warmup=100, final=0.1), tokens_per_step=batch, optimizer="adam",
        unique_tokens=unique if said else None,
    )  # fmt: skip
    monitor, left, last, seen = sf.Monitor(plan), list(FRACTIONS), -1.0, {}
    stop = None
    for step, value in zip(tokens / batch, loss, strict=True):
        if step < last + SPACING * 10_000:
            continue
        while left and step > left[0] * 10_000:
            fraction, end = left.pop(0), monitor.advise().final
            if end is not None:
                half = (end.upper - end.lower) / 2
                found = (end.loss - loss[-1], end.lower <= loss[-1] <= end.upper, end.method.split(" ")[0], half)
                seen[fraction] = found
        monitor.update(step=float(step), val_loss=float(value))
        last = step
        advice = monitor.advise()
        if stop is None and advice.action in ("stop", "rollback"):
            at = tokens / batch <= step
            stop = {"state": advice.state, "at": round(float(step) / 10_000, 3),
                    "forgone": round(float(loss[at].min() - loss.min()), 4)}  # fmt: skip
    return {"forecasts": seen, "stop": stop}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default=str(Path(__file__).with_name("results") / "repeated.json"))
    arguments = parser.parse_args()
    curves = pd.read_csv(Path(os.environ["SCALEFIT_DATA_DIR"]) / "curves_repeated/curves.csv.gz")
    rows, stops = [], []
    for (data, epochs), table in curves.groupby(["data", "epochs"]):
        for said in (True, False):
            found = replay(table.sort_values("token_num"), said)
            for fraction, forecast in found["forecasts"].items():
                rows.append((data, epochs, said, fraction, *forecast))
            if found["stop"]:
                stops.append({"data": data, "epochs": int(epochs), "epochs_said": said, **found["stop"]})
    table = pd.DataFrame(rows, columns="data epochs said fraction error covered method half".split())
    result = {"stops": stops, "curves": int(curves.groupby(["data", "epochs"]).ngroups), "errors": []}
    groups = pd.cut(table.epochs, [0, 1, 5, 7, 14, 44], labels=["1", "2-5", "7", "14", "44"])
    for (said, group, fraction), part in table.groupby(["said", groups, "fraction"], observed=True):
        result["errors"].append(
            {
                "epochs_said": bool(said),
                "epochs": str(group),
                "fraction": float(fraction),
                "curves": len(part),
                "mae": round(float(part.error.abs().mean()), 4),
                "bias": round(float(part.error.mean()), 4),
                "covered": round(float(np.mean(part.covered.astype(float))), 2),
                "half_width": round(float(part.half.mean()), 3),
                "method": part.method.mode()[0],
            }
        )
    Path(arguments.out).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(table_text(result))


def table_text(result: dict) -> str:
    """The result for people."""
    lines = [str(stop) for stop in result["stops"]]
    frame = pd.DataFrame(result["errors"])
    return "\n".join([*lines, frame.to_string(index=False)])


if __name__ == "__main__":
    main()
