"""The tables and splits that forecasts are learned from and measured on, and how scores are balanced over them."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

#: Source project of each table; whatever is learned for a table leaves its whole group out.
GROUPS = {
    "chinchilla": "hoffmann",
    "datablations_unique": "datablations",
    "gadre": "gadre",
    "gemstones": "gemstones",
    "llama3_isoflop": "llama3",
    "marin_isoflop": "marin",
    "porian_rw": "porian",
    "steplaw": "steplaw",
    "crp_small": "crpvathanasiou",
    "marin_speedrun": "marin",
    "shibuki_isoflop": "shibuki",
    "tokar_sweep": "tokar",
}
#: The tables of exercises and small projects, whose runs are less well tuned; they came after the method was made.
FRESH = ("crp_small", "marin_speedrun", "shibuki_isoflop", "tokar_sweep")
#: Tables whose loss is not in nat/token.
OTHER_UNIT = {"llama3_isoflop", "marin_speedrun"}


@dataclass(frozen=True)
class Split:
    """One forecast to make: train on the cheap runs of a series, test on the expensive ones."""

    table: str
    series: str
    cut: int
    train: pd.DataFrame
    test: pd.DataFrame

    @property
    def group(self) -> str:
        """Source project."""
        return GROUPS[self.table]

    @property
    def unit(self) -> str:
        """Unit of the loss, as sf.forecast takes it."""
        return "other" if self.table in OTHER_UNIT else "nat/token"

    @property
    def ratio(self) -> np.ndarray:
        """Compute of the test runs over the most expensive training run's."""
        return self.test.C.to_numpy() / self.train.C.max()


def folder(table: str) -> Path:
    """Folder of a table."""
    return Path(os.environ["SCALEFIT_DATA_DIR"]) / ("forecast_fresh" if table in FRESH else "forecast_benchmark")


@cache
def read_table(table: str) -> pd.DataFrame:
    """Runs of one table."""
    return pd.read_csv(folder(table) / f"{table}.csv")


@cache
def read_series() -> list[tuple[str, str, pd.DataFrame]]:
    """(table, series, runs) of every series."""
    out = []
    for table in GROUPS:
        out += [(table, str(name), part) for name, part in read_table(table).groupby("series")]
    return out


@cache
def read_splits() -> list[Split]:
    """Every split that has a run to test on."""
    plans = [pd.read_csv(folder(table) / "splits.csv") for table in ("chinchilla", FRESH[0])]
    out = []
    for (table, series, cut), part in pd.concat(plans).groupby(["table", "series", "cut"]):
        runs = read_table(str(table))
        runs = runs[runs.series == series].set_index("run_id")
        train = runs.loc[part[part.split == "train"].run_id]
        test = runs.loc[part[part.split == "test"].run_id]
        if len(test):
            out.append(Split(str(table), str(series), int(cut), train, test))
    return out


def fingerprint() -> dict[str, str]:
    """sha256 of every file read."""
    files = [folder(table) / f"{table}.csv" for table in GROUPS]
    files += [folder(table) / "splits.csv" for table in ("chinchilla", FRESH[0])]
    return {f"{path.parent.name}/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def balance_weights(rows: pd.DataFrame) -> np.ndarray:
    """Weights (n,) under which runs count equally in a split, splits in a series, series in a table, tables in all."""
    split = rows.groupby(["table", "series", "cut"]).loss.transform("size")
    cuts = rows.groupby(["table", "series"]).cut.transform("nunique")
    series = rows.groupby("table").series.transform("nunique")
    return (1.0 / (split * cuts * series)).to_numpy()


def scores(rows: pd.DataFrame) -> pd.DataFrame:
    """Balanced scores by table: percent, nats, bias, worst [%], and of intervals coverage, width and score [%]."""
    out = pd.DataFrame(index=sorted(rows.table.unique()))
    error = rows.predicted / rows.loss - 1
    values = {
        "percent": 100 * error.abs(),
        "nats": (rows.predicted - rows.loss).abs(),
        "bias": 100 * error,
    }
    if "lower" in rows:
        miss = np.maximum(rows.lower - rows.loss, 0) + np.maximum(rows.loss - rows.upper, 0)
        width = rows.upper - rows.lower
        values["coverage"] = ((rows.loss >= rows.lower) & (rows.loss <= rows.upper)).astype(float)
        values["width"] = 100 * width / rows.loss
        values["interval_score"] = 100 * (width + 20 * miss) / rows.loss
    keys = ["table", "series", "cut"]
    for name, value in values.items():
        cell = value.groupby([rows[key] for key in keys]).mean()
        out[name] = cell.groupby(level=[0, 1]).mean().groupby(level=0).mean()
    out["worst"] = (100 * error.abs()).groupby(rows.table).max()
    out["n_test"] = rows.groupby("table").size()
    return out


def overall(table: pd.DataFrame) -> dict[str, float]:
    """Mean over tables; nats without those in other units; worst is the worst."""
    out = {name: float(table[name].mean()) for name in table if name not in ("worst", "n_test")}
    out["nats"] = float(table.drop(index=[name for name in sorted(OTHER_UNIT) if name in table.index]).nats.mean())
    out["worst"] = float(table.worst.max())
    return out
