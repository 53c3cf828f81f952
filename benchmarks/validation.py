"""Hold laws against our own points: fit on the cheap runs, score on the costly ones.

Writes results/validation.json and docs/validation.md:

    python benchmarks/validation.py

Every table of our own runs (data/scalefit_*) is taken. Each series, and each recipe of it, is split by compute: the
quarter of its cells with the largest C is held out. And where the entropy of the source is known, each law's
irreducible loss E is held against it, with its interval.
"""

from __future__ import annotations

import itertools
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
    "Each point is one corpus, Zipf exponent or recipe; bars show the range of the prediction over the choices of its "
    "estimate. On the line, prediction and measurement agree.\n\n<!-- measured: zipf -->\n<!-- end -->\n"
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
            {"series": series, "law": f"average of {' and '.join(AVERAGED)}{sentence}", **score(blend, costly)}
            for sentence, blend in blends(cheap, [results[law] for law in AVERAGED], costly).items()
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
    sentence = ", ".join(f"{weight:.2f}" for weight in weights)
    return {
        ", equal parts": sf.average(results).predict(**at),
        f", weights of sf.compare ({sentence})": sf.average(results, weights).predict(**at),
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
        # to the digits that are printed: an interval that begins at E = 0 begins a hair above it
        "covered": None if entropy is None or not math.isfinite(lower) else round(lower, 4) <= entropy <= upper,
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


def multipliers(sources: list[Path]) -> Iterator[dict[str, Any]]:
    """Compute multipliers of recipes that differ in the family or in the optimiser alone."""
    import pandas as pd

    for source in sources:
        runs = pd.read_csv(source)
        if "recipe" not in runs:
            continue
        for series, rows in runs[(runs["kind"] == "branch") & (runs["status"] == "finished")].groupby("series"):
            table = rows.groupby(["recipe", "N", "D", "C"], as_index=False)["loss"].mean()
            for baseline, recipe in itertools.combinations(sorted(table["recipe"].unique()), 2):
                if len({*baseline.split("-")} & {*recipe.split("-")}) != 1:
                    continue
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    pair = table[table["recipe"].isin((baseline, recipe))]
                    found = sf.compare_recipes(pair, recipe="recipe", baseline=baseline)
                row = found.table.loc[recipe].to_dict()
                yield {"series": series, "recipe": recipe, "over": baseline, "verdict": found.verdict, **row}


def compared(rows: list[dict[str, Any]]) -> str:
    """The multipliers as a table."""
    lines = [
        "| series | recipe | over | at the most expensive common run | at the centre of the runs |",
        "|---" * 5 + "|",
    ]
    for row in rows:
        cells = [
            f"{row['multiplier' + at]:.2f} [{row['lower' + at]:.2f}, {row['upper' + at]:.2f}]"
            if math.isfinite(row["multiplier" + at])
            else "not determined"
            for at in ("", "_centre")
        ]
        lines.append(f"| {row['series']} | {row['recipe']} | {row['over']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def seeds(rows: Any) -> dict[str, float]:
    """How far runs of one cell that differ by their seed lie apart [nat/token]."""
    repeated = rows[rows["kind"] == "branch"].groupby(["N", "D"])["loss"].agg(["std", "count"])
    repeated = repeated[repeated["count"] >= 3]
    rms = math.sqrt((repeated["std"] ** 2).mean())
    return {"rms": rms, "median": float(repeated["std"].median()), "cells": len(repeated)}


def shown(law: str) -> str:
    """Column of a law on the page: one for the averages, of which that by weights is shown."""
    return "average by sf.compare" if "weights of" in law else law


def errors(document: dict[str, Any]) -> str:
    """One row per series, one column per law: the error, and how many cells the 90 % interval holds."""
    by: dict[str, dict[str, dict[str, Any]]] = {}
    for row in document["scores"]:
        if "equal parts" not in row["law"]:
            by.setdefault(row["series"], {})[shown(row["law"])] = row
    laws = list(dict.fromkeys(law for rows in by.values() for law in rows))
    out = []
    for series, rows in by.items():
        one = next(iter(rows.values()))
        cells: dict[str, Any] = {"series": series, "fitted": one["fitted"], "held out": one["held_out"]}
        cells["C ratio"] = f"{one['C_ratio']:.1f}"
        for law, row in rows.items():
            if "refused" in row:
                cells[law] = "refused"
                continue
            inside = f" ({round(row['inside'] * row['held_out'])})" if "inside" in row else ""
            cells[law] = f"{row['mean_relative_error']:.1%}{inside}{'' if row.get('trusted', True) else ' !'}"
        cells["seeds"] = f"{document['seeds'][series]['rms']:.3f}"
        out.append(cells)
    return markdown(out, ("series", "fitted", "held out", "C ratio", *laws, "seeds"))


def verdict(document: dict[str, Any]) -> str:
    """What the table says, first."""
    lines = []
    for law in ("sf.forecast", "chinchilla", "kaplan", "no law: the best cheap loss"):
        rows = [row for row in document["scores"] if row["law"] == law and "refused" not in row]
        middle = float(np.median([row["mean_relative_error"] for row in rows]))
        held_ = sum(round(row.get("inside", 0) * row["held_out"]) for row in rows)
        interval = f"; its 90 % intervals contain {held_} of {sum(row['held_out'] for row in rows)} cells"
        lines.append(f"- {law}: {middle:.1%}{interval if 'inside' in rows[0] else ''}")
    low = [
        f"{row['law']} on {row['series']} ({row['inside']:.0%})"
        for row in document["scores"]
        if row.get("trusted") and row["inside"] < TOO_FEW
    ]
    sentence = (
        f"No error in the certificate of the fit, but fewer than {TOO_FEW:.0%} of the cells inside the intervals: "
        f"{', '.join(low) or 'none'}. Every model here is smaller than those that the forecast's intervals were "
        "learned from, and the forecast says so (`small_models`). GPT-2 shapes on books stay for a long time on a "
        f"plateau near the loss from the last token alone ({document['bigram']:.2f} nat, the best such n-gram of "
        "`results/exponents.json`), and leave it late: no law predicts that."
    )
    return "Median over the series of the mean relative error:\n\n" + "\n".join(lines) + "\n\n" + sentence


def page_of(document: dict[str, Any]) -> str:
    """The page, without what benchmarks/measured_pages.py fills in."""
    tables = " and ".join(f"`{name}`" for name in document["sources"])
    return (
        "# Validation on our own points\n\n"
        f"Made by `python benchmarks/validation.py` from {tables}; do not edit.\n\n"
        "In each series, the quarter of the (N, D) cells with the largest C is held out, and the laws are fitted to "
        "the "
        "rest (one row per cell, the mean over seeds; finished cooldown branches only).\n\n"
        f"{verdict(document)}\n\n## Held-out error\n\n{errors(document)}\n\n"
        "Mean relative error; in brackets, the number of held-out cells inside the 90 % interval of a new run; ! marks "
        "a fit that should not be trusted. C ratio: the largest held-out C over the largest fitted one. Seeds: the "
        "root "
        "mean square spread between seeds [nat/token], which no law can beat.\n\n"
        "## Which recipe needs less compute\n\nCompute multipliers of a recipe over another by `sf.compare_recipes`, "
        "with "
        "90 % intervals. A multiplier of 2 means that the other recipe needs twice the compute for the same loss.\n\n"
        f"{compared(document['recipes'])}\n\n"
        "## The irreducible loss against the truth\n\n"
        + markdown(
            document["floors"], ("series", "law", "fitted_on", "cells", "E", "lower", "upper", "H_data", "covered")
        )
        + "\n\n`H_data` is the exact entropy of the source; it is unknown for text. `covered` says whether the 95 % "
        "interval of E contains it; the intervals assume independent cells, but cells of one trunk are not "
        "independent. "
        "These models are small (below a million parameters) and trained briefly: if E is above H(data), the law "
        "counts "
        "as irreducible what such models could not learn. Laws without a row here have no such "
        "constant: Kaplan's loss falls to 0, and the associative-memory floor changes with D.\n" + OTHERS
    )


def main(page: Path) -> None:
    """Validate every series and write the numbers and the page."""
    sources = sorted((ROOT / "data").glob("scalefit_*/runs.csv"))
    document: dict[str, Any] = {"sources": [str(source.relative_to(ROOT)) for source in sources]}
    document |= {"scores": [], "floors": [], "seeds": {}, "recipes": list(multipliers(sources))}
    for series, rows in series_of(sources):
        known = rows["H_data"].dropna()
        found = validate(series, rows, float(known.iloc[0]) if len(known) else None)
        document["scores"] += found[0]
        document["floors"] += found[1]
        document["seeds"][series] = seeds(rows)
    texts = json.loads((RESULTS.parent / "exponents.json").read_text())["predict"]
    document["bigram"] = next(row["losses"][1] for row in texts if row["name"] == "73 books")
    RESULTS.write_text(json.dumps(document, indent=1) + "\n")
    page.write_text(page_of(document))
    print(page.read_text())


if __name__ == "__main__":
    main(ROOT / "docs" / "validation.md")
