"""Causes of misses that sf.forecast knows: embeddings counted in N, and repeated tokens. results/forecast_causes.json.

Run from the project's root with SCALEFIT_DATA_DIR set: python benchmarks/forecast_causes.py

Embeddings: the two public tables that give both counts are forecast with each, the prior learned without their source.

Repeated tokens: the C4 runs of datablations. A forecast is made of those of one epoch, or of up to four, and asked for
those of more, up to 64. How wide its intervals must be is learned on three of four groups of distinct tokens and
measured on the fourth. The prior comes from other sources, the law of repetition (its R_D*) from these very runs.
"""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from forecast_learning import KEPT, priors
from forecast_tables import Split, read_splits

import scalefit as sf
from scalefit.forecasting.calibration import ForecastCalibration, shipped
from scalefit.forecasting.repeats import MOST_EPOCHS, SPREAD, effective, spread

RESULTS = Path(__file__).parent / "results" / "forecast_causes.json"
LEVEL = 0.9
#: Groups of distinct tokens, of which one is left out at a time; bands of epochs that are shown.
UNIQUE, EPOCHS = (0, 2e8, 8e8, 2.5e9, np.inf), (1.01, 4.2, 8.5, 16.5, MOST_EPOCHS)
#: Share of the runs of every group that 90 % intervals must hold; exponents tried.
AIM = 0.9
OF_REPEATS, OF_SIZE = (0.0, 0.2, 0.4, 0.6, 0.8), (0.2, 0.4, 0.6, 0.8, 1.0, 1.2)


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


def repeating_runs(most: float) -> pd.DataFrame:
    """Runs of more than `most` epochs, forecast from the others: errors and half-widths [log loss]."""
    runs = pd.read_csv(Path(os.environ["SCALEFIT_DATA_DIR"]) / "forecast_benchmark" / "datablations_repeat.csv")
    runs = runs.assign(epochs=runs.D / runs.unique_tokens)[runs.loss < 9]  # above lies what diverged
    prior, compute = priors({"datablations"})
    constants = ForecastCalibration(prior, compute, KEPT, shipped().interval, shipped().provenance)
    train, test = runs[runs.epochs <= most], runs[(runs.epochs > most) & (runs.epochs <= MOST_EPOCHS)]
    forecast = sf.forecast(train[["N", "D", "unique_tokens", "loss"]], constants=constants)
    N, D, unique, loss = (test[key].to_numpy(float) for key in ("N", "D", "unique_tokens", "loss"))

    def intervals(tokens: np.ndarray, drawn: np.ndarray) -> tuple[np.ndarray, ...]:
        found = forecast.predict_interval(level=LEVEL, N=N, D=tokens, unique_tokens=drawn)
        held = ((found["lower"] <= loss) & (loss <= found["upper"])).to_numpy()
        lower, upper = np.log(found["lower"] / loss).to_numpy(), np.log(found["upper"] / loss).to_numpy()
        return np.log(found["loss"] / loss).to_numpy(), (upper - lower) / 2, held, (upper + lower) / 2

    new, plain, public = intervals(D, D), intervals(effective(D, unique), effective(D, unique)), intervals(D, unique)
    gap = spread(N, D, unique, lambda N, D: np.log(forecast.predict(N=N, D=D, unique_tokens=D)), (0.0, 0.0, 0.0))
    out = pd.DataFrame({"epochs": test.epochs, "excess": N / unique, "gap": gap, "of": pd.cut(unique, UNIQUE).codes})
    names = ("new", "plain", "public")
    for name, (error, half, held, middle) in zip(names, (new, plain, public), strict=True):
        out[f"{name}_error"], out[f"{name}_half"], out[f"{name}_held"], out[f"{name}_middle"] = (
            error,
            half,
            held,
            middle,
        )
    return out


def half_width(rows: pd.DataFrame, by: tuple[float, ...]) -> np.ndarray:
    """Half-widths under other constants of the spread."""
    sd = np.exp(by[0]) * (rows.epochs - 1) ** by[1] * (1 + rows.excess) ** by[2] * rows.gap
    return np.hypot(rows.plain_half, shipped().interval.quantile(LEVEL) * sd).to_numpy()


def learn_spread(rows: pd.DataFrame) -> tuple[float, float, float]:
    """Exponents by the mean log of the interval score, the size by coverage; groups of distinct tokens count alike."""
    groups = [(rows.of == group).to_numpy() for group in rows.of.unique()]
    weight = 1 / rows.groupby("of").of.transform("size").to_numpy()
    error, best = rows.plain_middle.abs().to_numpy(), (np.inf, (0.0, 0.0, 0.0))
    for repeats in OF_REPEATS:
        for size in OF_SIZE:
            low, high = -9.0, 1.0
            for _ in range(30):
                middle = 0.5 * (low + high)
                held = error <= half_width(rows, (middle, repeats, size))
                enough = min(held[group].mean() for group in groups) >= AIM
                low, high = (low, middle) if enough else (middle, high)
            half = half_width(rows, (high, repeats, size))
            score = np.average(np.log(2 * half + 20 * np.maximum(error - half, 0)), weights=weight)
            best = min(best, (float(score), (high, repeats, size)))
    return best[1]


def repeats() -> dict[str, Any]:
    """Constants, and runs held by bands of epochs: tokens taken for new, by the public call, and a group left out."""
    found: dict[str, Any] = {"spread": list(learn_spread(repeating_runs(1.01))), "shipped": list(SPREAD), "bands": []}
    for most in (1.01, 4.2):
        rows = repeating_runs(most)
        rows["left_half"] = 0.0
        for group in sorted(rows.of.unique()):
            here = (rows.of == group).to_numpy()
            rows.loc[here, "left_half"] = half_width(rows[here], learn_spread(rows[~here]))
        rows["left_error"] = rows.plain_error
        rows["left_held"] = rows.plain_middle.abs() <= rows.left_half
        for low, high in zip(EPOCHS[:-1], EPOCHS[1:], strict=True):
            part = rows[(rows.epochs > max(low, most)) & (rows.epochs <= high)]
            if len(part) == 0:
                continue
            band: dict[str, Any] = {"trained_on": most, "above": low, "up_to": high, "runs": len(part)}
            for name in ("new", "public", "left"):
                error, half = part[f"{name}_error"].abs(), part[f"{name}_half"]
                band[name] = {
                    "error": 100 * float(error.mean()),
                    "held": float(part[f"{name}_held"].mean()),
                    "half": 100 * float(half.median()),
                }
            found["bands"].append(band)
    return found


def main() -> None:
    warnings.simplefilter("ignore")
    document = {"made_by": "benchmarks/forecast_causes.py", "embeddings": embeddings(), "repeats": repeats()}
    plain = json.loads(json.dumps(document), parse_float=lambda text: round(float(text), 4))
    RESULTS.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(plain, indent=1))


if __name__ == "__main__":
    main()
