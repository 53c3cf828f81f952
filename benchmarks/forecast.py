"""How well forecasts of larger runs hold on public tables, against what people use today.

Run from the project's root with SCALEFIT_DATA_DIR set: python benchmarks/forecast.py. It writes
benchmarks/results/forecast.json and docs/forecast.md. Everything that sf.forecast learned is learned again for each
group of tables without that group: prior, size of the law's error, and calibration of the intervals.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from forecast_baselines import AVERAGED, POINT, SPREAD, bootstrap_intervals, coupled_with_prior, plain_interval
from forecast_learning import CANDIDATES, KEPT, learn, one_forecast
from forecast_page import write_page
from forecast_tables import GROUPS, Split, fingerprint, overall, read_splits, scores

from scalefit.fitting.priors import Prior

LEVEL = 0.9
OURS = "sf.forecast"
BANDS = ((0, 3.5, "up to 3.5x"), (3.5, 12, "3.5 to 12x"), (12, 60, "12 to 60x"), (60, np.inf, "over 60x"))
ROOT = Path(__file__).parent.parent


def record(rows: list[dict[str, object]], split: object, predicted: object, lower: object, upper: object) -> None:
    """Add a row for each test run of a split."""
    test = split.test
    for i in range(len(test)):
        row = {"table": split.table, "series": split.series, "cut": split.cut, "loss": test.loss.iloc[i]}
        row |= {"ratio": split.ratio[i], "predicted": predicted[i], "lower": lower[i], "upper": upper[i]}
        rows.append(row)


def of_group(group: str, ours_alone: bool) -> tuple[dict[str, list[dict[str, object]]], str, list[float]]:
    """Rows of every method on the tables of a group; the calibration used; seconds of each sf.forecast."""
    warnings.simplefilter("ignore")
    rows: dict[str, list[dict[str, object]]] = defaultdict(list)
    spent = []
    constants, _ = learn({group}, KEPT)
    for split in read_splits():
        if split.group != group:
            continue
        start = time.process_time()
        table = one_forecast(split, constants, LEVEL)
        spent.append(time.process_time() - start)
        if table is None:  # refused
            continue
        columns = (table[name].to_numpy() for name in ("predicted", "lower", "upper"))
        record(rows[OURS], split, *columns)
        if not ours_alone:
            for name, parts in of_others(split, constants.prior).items():
                record(rows[name], split, *parts)
    print(group, constants.interval, file=sys.stderr, flush=True)
    return dict(rows), str(constants.interval), spent


def of_others(split: Split, prior: Prior) -> dict[str, tuple[np.ndarray, ...]]:
    """Predictions and intervals of the other methods for one split."""
    known = {name: method(split) for name, method in POINT.items()}
    known["average of four laws"] = np.mean([known[name] for name in AVERAGED], axis=0)
    known["coupled + weights C^0.5 + prior"] = coupled_with_prior(split, prior)
    known["the same, likelihood x 0.2"] = coupled_with_prior(split, prior, 0.2)
    found = {name: (values, values, values) for name, values in known.items()}
    found |= bootstrap_intervals(split, LEVEL)
    every = np.array([known[name] for name in SPREAD])
    found["spread over five laws"] = (np.median(every, axis=0), every.min(axis=0), every.max(axis=0))
    found["coupled, robust errors + noise"] = plain_interval(split, LEVEL)
    return found


def run(ours_alone: bool, jobs: int) -> tuple[dict[str, pd.DataFrame], dict[str, str], float]:
    """Rows of every method; the calibration for each group; mean seconds of one sf.forecast with intervals."""
    groups = list(dict.fromkeys(GROUPS.values()))
    with ProcessPoolExecutor(jobs) as pool:
        found = list(pool.map(of_group, groups, [ours_alone] * len(groups)))
    names = dict.fromkeys(name for rows, _, _ in found for name in rows)
    frames = {name: pd.DataFrame([row for rows, _, _ in found for row in rows.get(name, [])]) for name in names}
    chosen = {group: calibration for group, (_, calibration, _) in zip(groups, found, strict=True)}
    return frames, chosen, float(np.mean([second for _, _, spent in found for second in spent]))


def summary(rows: pd.DataFrame) -> dict[str, object]:
    """Overall scores, by table, and by ratio of compute."""
    table = scores(rows)
    out: dict[str, object] = {"overall": overall(table), "tables": table.to_dict("index")}
    out["ratios"] = {}
    for low, high, name in BANDS:
        part = rows[(rows.ratio > low) & (rows.ratio <= high)]
        out["ratios"][name] = {**overall(scores(part)), "n_test": len(part)}
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--ours", action="store_true", help="sf.forecast alone; the others as the results file has them"
    )
    parser.add_argument("--jobs", type=int, default=1, help="groups of tables at a time")
    options = parser.parse_args()
    target = ROOT / "benchmarks" / "results" / "forecast.json"
    rows, chosen, seconds = run(options.ours, options.jobs)
    methods = {name: summary(part) for name, part in rows.items()}
    intervals = [name for name, part in rows.items() if (part.upper > part.lower).any()]
    if options.ours:
        kept = json.loads(target.read_text(encoding="utf-8"))
        methods, intervals = {**kept["methods"], **methods}, kept["intervals"]
    document = {
        "made_by": "benchmarks/forecast.py",
        "level": LEVEL,
        "sha256": fingerprint(),
        "candidates": [str(about) for about in CANDIDATES],
        "chosen_without_group": chosen,
        "cpu_seconds_per_forecast": round(seconds, 3),
        "intervals": intervals,
        "methods": methods,
    }
    plain = json.loads(json.dumps(document), parse_float=lambda text: round(float(text), 4))
    target.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")
    write_page(plain, ROOT / "docs" / "forecast.md")
    print(json.dumps(plain["methods"][OURS]["overall"]))


if __name__ == "__main__":
    main()
