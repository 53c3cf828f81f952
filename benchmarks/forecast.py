"""How well forecasts of larger runs hold on public tables, against what people use today.

Run from the project's root with SCALEFIT_DATA_DIR set: python benchmarks/forecast.py. It writes
benchmarks/results/forecast.json and docs/forecast.md. Everything that sf.forecast learned is learned again for each
group of tables without that group: prior, size of the law's error, and calibration of the intervals.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
from forecast_baselines import AVERAGED, POINT, SPREAD, bootstrap_intervals, coupled_with_prior, plain_interval
from forecast_learning import CANDIDATES, KEPT, learn, one_forecast
from forecast_page import write_page
from forecast_tables import GROUPS, fingerprint, overall, read_splits, scores

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


def run() -> tuple[dict[str, pd.DataFrame], dict[str, str], float]:
    """Rows of every method; the candidate chosen for each group; mean seconds of one sf.forecast with intervals."""
    rows: dict[str, list[dict[str, object]]] = defaultdict(list)
    chosen, spent, refused = {}, [], []
    for group in dict.fromkeys(GROUPS.values()):
        constants, _ = learn({group}, KEPT)
        chosen[group] = str(constants.interval)
        print(group, chosen[group], file=sys.stderr, flush=True)
        for split in read_splits():
            if split.group != group:
                continue
            start = time.process_time()
            table = one_forecast(split, constants, LEVEL)
            spent.append(time.process_time() - start)
            if table is None:
                refused.append(f"{split.table} {split.series} {split.cut}")
                continue
            columns = (table[name].to_numpy() for name in ("predicted", "lower", "upper"))
            record(rows[OURS], split, *columns)
            known = {name: method(split) for name, method in POINT.items()}
            known["average of four laws"] = np.mean([known[name] for name in AVERAGED], axis=0)
            known["coupled + weights C^0.5 + prior"] = coupled_with_prior(split, constants.prior)
            known["the same, likelihood x 0.2"] = coupled_with_prior(split, constants.prior, 0.2)
            for name, values in known.items():
                record(rows[name], split, values, values, values)
            intervals = bootstrap_intervals(split, LEVEL)
            every = np.array([known[name] for name in SPREAD])
            intervals["spread over five laws"] = (np.median(every, axis=0), every.min(axis=0), every.max(axis=0))
            intervals["coupled, robust errors + noise"] = plain_interval(split, LEVEL)
            for name, parts in intervals.items():
                record(rows[name], split, *parts)
    return {name: pd.DataFrame(part) for name, part in rows.items()}, chosen, float(np.mean(spent))


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
    warnings.simplefilter("ignore")
    rows, chosen, seconds = run()
    methods = {name: summary(part) for name, part in rows.items()}
    intervals = [name for name, part in rows.items() if (part.upper > part.lower).any()]
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
    target = ROOT / "benchmarks" / "results" / "forecast.json"
    target.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")
    write_page(plain, ROOT / "docs" / "forecast.md")
    print(json.dumps(plain["methods"][OURS]["overall"]))


if __name__ == "__main__":
    main()
