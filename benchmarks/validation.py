"""Hold laws against our own points: fit on the cheap runs, score on the costly ones.

Writes results/validation.json and docs/validation.md:

    python benchmarks/validation.py

Every table of our own runs (data/scalefit_*) is taken. Each series, and each recipe of it, is split by compute: the
quarter of its cells with the largest C is held out. And where the entropy of the source is known, each law's
irreducible loss E is held against it, with its interval.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import scalefit as sf

LAWS = ("kaplan", "chinchilla", "associative_memory", "associative_memory_effective")
AVERAGED = ("kaplan", "chinchilla")
HELD_OUT = 0.25
LEVEL = 0.9
#: Intervals that hold 90 % hold fewer than 7 of 11 independent cells once in 360 times.
TOO_FEW = 0.6
#: What benchmarks/measured_pages.py fills in from other measurements: run it after this.
OTHERS = (
    "\n## Theories that predict exponents\n\n![Predicted against measured exponents](gallery/exponents.png)\n\n"
    "Each point is one corpus, Zipf exponent or recipe; bars span what a text predicts over the choices of its "
    "estimate. On the line a theory is right.\n\n<!-- measured: zipf -->\n<!-- end -->\n"
    "\nFrom a text alone ([how](corpus.md)):\n\n<!-- measured: exponents -->\n<!-- end -->\n"
)
ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "validation.json"


def cells(runs: Any) -> Any:
    """One row per cell (N, D): finished branches, the mean over seeds."""
    kept = runs[(runs["status"] == "finished") & (runs["kind"] == "branch")]
    keys = ["N", "D", "C", "n_layers", "d_emb", "T_max", "vocab_size"]
    return kept.groupby(keys, as_index=False)["loss"].mean().sort_values("C", ignore_index=True)


def validate(series: str, runs: Any, entropy: float | None) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Score the laws on the costly quarter; return the scores and the values of E."""
    table = cells(runs)
    n_test = max(3, round(HELD_OUT * len(table)))
    cheap, costly = table.iloc[:-n_test], table.iloc[-n_test:]
    results: dict[str, Any] = {}
    scores, floors = [], []
    for law in LAWS:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                result = sf.fit(cheap, law, seed=0)
            except sf.ScalefitError as error:
                scores.append({"series": series, "law": law, "refused": str(error).split(". ")[0]})
                continue
            results[law] = result
            predicted = result.predict_interval(**inputs(result.law, costly), level=LEVEL)
        scores.append({"series": series, "law": law, **held(predicted, costly), "trusted": result.certificate.trusted})
        if "E" in result.params:
            floors.append(floor(series, law, "cheap runs", cheap, entropy))
            floors.append(floor(series, law, "all runs", table, entropy))
    if all(law in results for law in AVERAGED):
        scores += [
            {"series": series, "law": f"average of {' and '.join(AVERAGED)}{said}", **score(blend, costly)}
            for said, blend in blends(cheap, [results[law] for law in AVERAGED], costly).items()
        ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        forecast = sf.forecast(cheap)
    predicted = forecast.predict_interval(**inputs(forecast.law, costly), level=LEVEL)
    scores.append({"series": series, "law": "sf.forecast", **held(predicted, costly), "trusted": forecast.trusted})
    flat = np.full(len(costly), cheap["loss"].min())
    scores.append({"series": series, "law": "no law: the best cheap loss", **score(flat, costly)})
    for row in scores:
        row |= {"fitted": len(cheap), "held_out": len(costly), "C_ratio": float(costly["C"].max() / cheap["C"].max())}
    return scores, floors


def blends(cheap: Any, results: list[Any], costly: Any) -> dict[str, Any]:
    """Averages of results at the held-out cells: in equal parts, and by how the laws did on the costlier cheap runs."""
    at = inputs(results[0].law, costly)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compared = sf.compare(cheap, [result.law.name for result in results], holdout="largest_C").set_index("law")
    weights = [compared.loc[result.law.name, "weight"] for result in results]
    said = ", ".join(f"{weight:.2f}" for weight in weights)
    return {
        ", equal parts": sf.average(results).predict(**at),
        f", weights of sf.compare ({said})": sf.average(results, weights).predict(**at),
    }


def score(predicted: Any, costly: Any) -> dict[str, float]:
    """Errors on the held-out cells [nat/token], and relative."""
    error = predicted - costly["loss"].to_numpy()
    return {
        "rmse": float(np.sqrt(np.mean(error**2))),
        "bias": float(error.mean()),
        "mean_relative_error": float(np.abs(error / costly["loss"].to_numpy()).mean()),
    }


def held(predicted: Any, costly: Any) -> dict[str, float]:
    """Errors of the forecasts, the share of the cells inside their intervals, and how wide these are (relative)."""
    loss = costly["loss"].to_numpy()
    inside = (predicted["lower"] <= loss) & (loss <= predicted["upper"])
    width = (predicted["upper"] - predicted["lower"]) / predicted["loss"]
    return {**score(predicted["loss"].to_numpy(), costly), "inside": float(inside.mean()), "width": float(width.mean())}


def inputs(law: Any, costly: Any) -> dict[str, Any]:
    """The columns that a law reads."""
    return {name: costly[name].to_numpy() for name in law.inputs}


def floor(series: str, law: str, on: str, table: Any, entropy: float | None) -> dict[str, Any]:
    """A law's E with its 95 % interval, against H(data)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = sf.fit(table, law, seed=0)
        interval = result.conf_int(level=0.95).loc["E"]
    lower, upper = float(interval["lower"]), float(interval["upper"])
    return {
        "series": series,
        "law": law,
        "fitted_on": on,
        "cells": len(table),
        "E": float(result.params["E"]),
        "lower": lower,
        "upper": upper,
        "H_data": entropy,
        "covered": None if entropy is None or not math.isfinite(lower) else lower <= entropy <= upper,
    }


def markdown(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> str:
    """Return a table."""

    def cell(value: Any) -> str:
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return ""
        if isinstance(value, bool):
            return "yes" if value else "no"
        return f"{value:.4f}" if isinstance(value, float) else str(value)

    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return "\n".join(lines + ["| " + " | ".join(cell(row.get(name)) for name in columns) + " |" for row in rows])


def series_of(sources: list[Path]) -> Iterator[tuple[str, Any]]:
    """Name and rows of each series; of each recipe of it, where the table has several."""
    import pandas as pd

    for source in sources:
        runs = pd.read_csv(source)
        for names, rows in runs.groupby(["series", "recipe"] if "recipe" in runs else ["series"]):
            yield ", ".join(names), rows


def main(page: Path) -> None:
    """Validate every series and write the numbers and the page."""
    sources = sorted((ROOT / "data").glob("scalefit_*/runs.csv"))
    named = [str(source.relative_to(ROOT)) for source in sources]
    tables = " and ".join(f"`{name}`" for name in named)
    scores: list[dict[str, Any]] = []
    floors: list[dict[str, Any]] = []
    spread = []
    for series, rows in series_of(sources):
        known = rows["H_data"].dropna()
        found = validate(series, rows, float(known.iloc[0]) if len(known) else None)
        scores += found[0]
        floors += found[1]
        repeated = rows[rows["kind"] == "branch"].groupby(["N", "D"])["loss"].agg(["std", "count"])
        repeated = repeated[repeated["count"] >= 3]
        spread.append(
            f"{series}: {math.sqrt((repeated['std'] ** 2).mean()):.4f} nat/token over {len(repeated)} cells "
            f"(median {repeated['std'].median():.4f})"
        )
    RESULTS.write_text(json.dumps({"sources": named, "scores": scores, "floors": floors}, indent=1) + "\n")
    best = min((row for row in scores if "rmse" in row), key=lambda row: row["rmse"])
    short = [
        f"{row['law']} on {row['series']} ({row['inside']:.0%})"
        for row in scores
        if row.get("trusted") and row["inside"] < TOO_FEW
    ]
    page.write_text(
        "# Validation on our own points\n\n"
        f"Made by `python benchmarks/validation.py` from {tables}; do not edit.\n\n"
        "In each series the quarter of the (N, D) cells with the largest C is held out, and the laws are fitted on the "
        "rest (one row per cell, the mean over seeds; finished cooldown branches only). `C_ratio` is the largest "
        "held-out C over the largest fitted one, `inside` the share of held-out cells in the 90 % interval of a new "
        "run, `width` its mean width over the loss.\n\n## Held-out error [nat/token]\n\n"
        + markdown(
            scores,
            (
                "series",
                "law",
                "rmse",
                "bias",
                "mean_relative_error",
                "inside",
                "width",
                "trusted",
                "fitted",
                "held_out",
                "C_ratio",
                "refused",
            ),
        )
        + f"\n\nBest: {best['law']} on {best['series']}, {best['rmse']:.4f}. "
        "Spread between seeds (root mean square), which no law can beat: "
        + "; ".join(spread)
        + f". Trusted, and yet with fewer than {TOO_FEW:.0%} of the cells inside: "
        + (", ".join(short) or "none")
        + ".\n\n## The irreducible loss against the truth\n\n"
        + markdown(floors, ("series", "law", "fitted_on", "cells", "E", "lower", "upper", "H_data", "covered"))
        + "\n\n`H_data` is the exact entropy of the source; it is unknown for text. `covered` says whether the 95 % "
        "interval of E holds it; the intervals take the cells as independent, which cells of one trunk are not. "
        "These models are small (below a million parameters) and short-trained: where E lies above H(data), the law "
        "takes for irreducible what the models of this range could not learn. Laws without a row here have no such "
        "constant: Kaplan's loss falls to 0, and the associative-memory floor moves with D.\n" + OTHERS
    )
    print(page.read_text())


if __name__ == "__main__":
    main(ROOT / "docs" / "validation.md")
