"""Causes of misses that sf.forecast knows: embeddings counted in N, and repeated tokens. results/forecast_causes.json.

Run from the project's root with SCALEFIT_DATA_DIR set: python benchmarks/forecast_causes.py

Embeddings: the two public tables that give both counts are forecast with each, the prior learned without their source.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from forecast_learning import KEPT, priors
from forecast_tables import Split, read_splits

import scalefit as sf
from scalefit.forecasting.calibration import ForecastCalibration, shipped

RESULTS = Path(__file__).parent / "results" / "forecast_causes.json"
LEVEL = 0.9


def measured(forecast: sf.ForecastResult, loss: np.ndarray, **inputs: np.ndarray) -> dict[str, float]:
    """Mean error and width [%] of a forecast of some runs, and the share that its intervals hold."""
    table = forecast.predict_interval(level=LEVEL, **inputs)
    held = (table["lower"] <= loss) & (loss <= table["upper"])
    return {
        "n_test": len(loss),
        "error": 100 * float(np.abs(table["loss"] / loss - 1).mean()),
        "bias": 100 * float((table["loss"] / loss - 1).mean()),
        "held": float(held.mean()),
        "width": 100 * float(((table["upper"] - table["lower"]) / loss).mean()),
    }


def by_count(split: Split) -> list[dict[str, Any]]:
    """One split forecast with embeddings counted in N, and without."""
    prior, compute = priors({split.group})
    constants = ForecastCalibration(prior, compute, KEPT, shipped().interval, shipped().provenance)
    share = float((1 - split.train.N_non_embedding / split.train.N).median())
    rows = []
    for name in ("N", "N_non_embedding"):
        runs = split.train[[name, "D", "loss"]].rename(columns={name: "N"})
        forecast = sf.forecast(runs, loss_unit=split.unit, constants=constants)
        D, loss = (split.test[key].to_numpy(float) for key in ("D", "loss"))
        found = measured(forecast, loss, N=split.test[name].to_numpy(float), D=D)
        rows.append({"table": split.table, "cut": split.cut, "count": name, "share": share, **found})
    return rows


def embeddings() -> list[dict[str, Any]]:
    """Means over the series of each table and cut."""
    both = [split for split in read_splits() if split.train.get("N_non_embedding", pd.Series([np.nan])).notna().all()]
    rows = pd.DataFrame([row for split in both for row in by_count(split)])
    found = rows.groupby(["table", "cut", "count"]).mean()
    found["n_test"] = rows.groupby(["table", "cut", "count"]).n_test.sum()
    return found.reset_index().to_dict("records")


def main() -> None:
    warnings.simplefilter("ignore")
    document = {"made_by": "benchmarks/forecast_causes.py", "embeddings": embeddings()}
    plain = json.loads(json.dumps(document), parse_float=lambda text: round(float(text), 4))
    RESULTS.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(plain, indent=1))


if __name__ == "__main__":
    main()
