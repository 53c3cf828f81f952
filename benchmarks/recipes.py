"""Does the interval of a compute multiplier hold what it claims? Written to results/recipes.json, a round at a time.

Truth: the Chinchilla law with the constants of Besiroglu et al. (2024, arXiv:2404.10102); the second recipe is the
first at (k_N N, k_D D), with ln(k_N / k_D) drawn with standard deviation 0.2, and its exponent alpha 0.02 higher or its
floor 1 % lower in a third of the cells each. Noise of the log loss 0.3 %: independent, four fifths of its variance
shared by the two runs of a pair, or seven tenths by the runs of a size. Tables: iso-FLOP budgets, a grid, a ladder at
20 tokens per parameter (each with cells of its own, but for errors of pairs), and iso-FLOP budgets with the same
cells. Read at the centre of
the runs, at the largest, and ten times beyond.

Beside them a public table: Muon against the Adam family and against AdamW alone in Marin's speedruns
(github.com/WhenWen/marin at 4dec0f6, Apache-2.0), which is not a part of the project (SCALEFIT_DATA_DIR).

    python benchmarks/recipes.py --rounds 10     # 10 rounds over all 576 cells (quoted: seeds 0 and 2)
    python benchmarks/recipes.py --rounds 200    # finer; goes on where the file stops
    python benchmarks/recipes.py --public        # only renew the public table in the results
    python benchmarks/recipes.py --muon          # only renew Muon over AdamW in the project's own runs
    python benchmarks/recipes.py --other         # only renew the other truths
    python benchmarks/recipes.py --low           # only renew losses far below those of language models
    python benchmarks/recipes.py --checked       # only renew the cells that many more tables were drawn of
    python benchmarks/recipes.py --uneven        # only renew recipes of unequal numbers of runs
    python benchmarks/recipes.py --null          # only renew how often "better" is said where nothing is
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

import scalefit as sf

KEPT = ("public", "muon", "other", "low", "checked", "uneven", "null")
RESULTS = Path(__file__).parent / "results" / "recipes.json"
LAW = sf.published("chinchilla", "besiroglu2024")
LEVEL, NOISE, TARGET = 0.9, 0.003, (0.85, 0.97)
FACTORS = {
    "truth": (0.8, 1.0, 1.25, 2.0),
    "n": (4, 6, 12, 25),
    "design": ("isoflop", "grid", "ladder", "paired"),
    "noise": ("iid", "pair", "size"),
    "laws": ("equal", "alpha", "floor"),
}
#: Other truths than the law that is fitted and than noise alike for all runs: two seeds, without 4 runs and 0.8 and 2.
OTHER = {
    "terms coupled, g 0.5": {"coupling": 0.5},
    "terms coupled, g 2": {"coupling": 2.0},
    "noise as C^-0.2": {"falling": 0.2},
}
#: Cells that looked too narrow, too wide or too often "better" in some 40 tables, drawn again with other seeds.
CHECKED = (
    ("paired", 12, "floor", "iid", NOISE),
    ("paired", 25, "floor", "iid", NOISE),
    ("paired", 6, "alpha", "iid", NOISE),
    ("isoflop", 12, "equal", "iid", NOISE),
    ("isoflop", 4, "equal", "iid", NOISE),
    ("paired", 4, "equal", "iid", NOISE),
    ("paired", 4, "equal", "iid", 0.01),
)
#: Runs of the baseline and of the other recipe; iso-FLOP budgets from 1e18 on in both, some cells shared.
UNEVEN = ((25, 6), (6, 25), (12, 6), (25, 4))
MIDDLE = 3e19  # compute at which falling noise is 0.3 % [FLOP]
WHERE = ("centre", "largest", "beyond")
SHAPES = {4: (4, 1), 6: (3, 2), 12: (4, 3), 25: (5, 5)}


def cells() -> list[dict]:
    return [dict(zip(FACTORS, values, strict=True)) for values in itertools.product(*FACTORS.values())]


def design(kind: str, n: int, low: float | None = None) -> tuple[np.ndarray, np.ndarray]:
    if kind == "ladder":
        N = np.geomspace(1.5e8, 2.9e9, n)
        return N, 20 * N
    if kind == "grid":
        a, b = {4: (2, 2), 6: (3, 2), 12: (4, 3), 25: (5, 5)}[n]
        N, D = np.meshgrid(np.geomspace(1e8, 2.5e9, a), np.geomspace(2e9, 6.7e10, b))
        return N.ravel(), D.ravel()
    budgets, k = SHAPES[n]
    C = np.repeat(np.geomspace(low or (1e18 if n > 6 else 1e19), 1e21, budgets), k)
    shape = np.tile(np.geomspace(0.35, 2.8, k), budgets) if k > 1 else np.tile([0.5, 2.0], budgets // 2)
    N = shape * 0.05 * C**0.51
    return N, C / 6 / N


class Recipe:
    """E + A (k_N N)^-alpha + B (k_D D)^-beta, with what differs turning about the geometric means of the runs.

    With a coupling g the two terms x and y make (x^(1/g) + y^(1/g))^g.
    """

    def __init__(self, cell: dict | None, split: float, N: np.ndarray, coupling: float = 1.0) -> None:
        self.coupling = coupling
        self.E, self.A, self.alpha, self.B, self.beta = (float(LAW.params[k]) for k in ("E", "A", "alpha", "B", "beta"))
        if cell is None:
            return
        gain = math.log(cell["truth"])
        self.A *= math.exp(-self.alpha * (gain + split) / 2)
        self.B *= math.exp(-self.beta * (gain - split) / 2)
        if cell["laws"] == "alpha":
            self.alpha += 0.02
            self.A *= math.exp(0.02 * float(np.log(N).mean()))
        if cell["laws"] == "floor":
            self.E *= 0.99

    def loss(self, N: np.ndarray, D: np.ndarray) -> np.ndarray:
        """Loss without noise."""
        of_N, of_D = self.A * N**-self.alpha, self.B * D**-self.beta
        return self.E + (of_N ** (1 / self.coupling) + of_D ** (1 / self.coupling)) ** self.coupling

    def along(self, log_C: float, ratio: float | None) -> float:
        """Loss at a compute, at the optimum or at a ratio of tokens to parameters."""
        C = math.exp(log_C)
        if ratio is None and self.coupling != 1.0:
            N = 0.05 * C**0.51 * np.exp(np.linspace(-4, 4, 801))
            loss = self.loss(N, C / 6 / N)
            i = int(np.clip(loss.argmin(), 1, 799))
            a, b, c = loss[i - 1 : i + 2]  # the lowest point of a parabola through three
            return float(b - (a - c) ** 2 / (8 * (a - 2 * b + c)))
        if ratio is None:
            g = (self.alpha * self.A / self.beta / self.B) ** (1 / (self.alpha + self.beta))
            N = g * (C / 6) ** (self.beta / (self.alpha + self.beta))
        else:
            N = math.sqrt(C / 6 / ratio)
        return float(self.loss(np.float64(N), np.float64(C / 6 / N)))


def true_multiplier(a: Recipe, b: Recipe, C: float, ratio: float | None) -> float:
    log_C = math.log(C)
    low, high, wanted = log_C - 25, log_C + 25, b.along(log_C, ratio)
    for _ in range(70):
        middle = (low + high) / 2
        low, high = (middle, high) if a.along(middle, ratio) > wanted else (low, middle)
    return math.exp(low - log_C)


def one_table(
    cell: dict,
    seed: int,
    *,
    coupling: float = 1.0,
    falling: float = 0.0,
    noise: float = NOISE,
    other: int | None = None,
) -> dict:
    rng = np.random.default_rng([seed, cells().index(cell)] + ([] if other is None else [other]))
    N, D = design(cell["design"], cell["n"], None if other is None else 1e18)
    other_N, other_D = (N, D) if other is None else design(cell["design"], other, 1e18)
    if cell["design"] != "paired" and cell["noise"] != "pair":
        jitter = np.exp((0.15 if cell["design"] == "ladder" else 0.25) * rng.standard_normal(len(N)))
        other_N = N * jitter
        other_D = 20 * other_N if cell["design"] == "ladder" else D / jitter * np.exp(0.2 * rng.standard_normal(len(N)))
        if cell["design"] == "grid":
            other_N = N * 1.1
    a = Recipe(None, 0.0, N, coupling)
    b = Recipe(cell, 0.2 * rng.standard_normal(), np.r_[N, other_N], coupling)
    errors = [rng.standard_normal(len(N)), rng.standard_normal(len(other_N))]
    if cell["noise"] == "pair":
        shared = rng.standard_normal(len(N))
        errors = [np.sqrt(0.2) * row + np.sqrt(0.8) * shared for row in errors]
    if cell["noise"] == "size":
        for row, sizes in zip(errors, (N, other_N), strict=True):
            _, which = np.unique(np.round(np.log(sizes), 4), return_inverse=True)
            row[:] = np.sqrt(0.3) * row + np.sqrt(0.7) * rng.standard_normal(which.max() + 1)[which]
    sizes = ((N, D), (other_N, other_D))
    errors = [row * (6 * n * d / MIDDLE) ** -falling for row, (n, d) in zip(errors, sizes, strict=True)]
    tables = {
        "a": {"N": N, "D": D, "loss": a.loss(N, D) * np.exp(noise * errors[0])},
        "b": {"N": other_N, "D": other_D, "loss": b.loss(other_N, other_D) * np.exp(noise * errors[1])},
    }
    found = sf.compare_recipes(tables, baseline="a", level=LEVEL)
    row = found.table.loc["b"]
    at = {"centre": float(row["C_centre"]), "largest": float(row["C"]), "beyond": 10 * float(row["C"])}
    read = found.multiplier(C=list(at.values()))
    ratio = 20.0 if cell["design"] == "ladder" else None
    record: dict = {**cell, "seed": seed, "verdict_better": " is better:" in str(row["verdict"])}
    for (name, C), (_, got) in zip(at.items(), read.iterrows(), strict=True):
        truth = true_multiplier(a, b, C, ratio)
        record[name] = [truth, float(got["multiplier"]), float(got["lower"]), float(got["upper"])]
    return record


def summarise(records: list[dict]) -> dict:
    """Coverage and median width of the log multiplier, pooled over every other factor."""

    def of(part: list[dict]) -> dict:
        out: dict = {"tables": len(part)}
        for where in WHERE:
            truth, _, lower, upper = np.array([r[where] for r in part]).T
            hit = (lower <= truth) & (truth <= upper)
            width = np.log(upper) - np.log(np.maximum(lower, 1e-9))
            out[where] = {"coverage": round(float(hit.mean()), 3), "width": round(float(np.median(width)), 3)}
        return out

    by_part = {"all": of(records)}
    for name, values in FACTORS.items():
        for value in values:
            part = [r for r in records if r[name] == value]
            if part:
                by_part[f"{name} {value}"] = of(part)
    kinds = itertools.product(*(FACTORS[name] for name in ("design", "n", "laws")))
    parts = {kind: [r for r in records if (r["design"], r["n"], r["laws"]) == kind] for kind in kinds}
    each = {" ".join(map(str, kind)): of(part) for kind, part in parts.items() if part}
    least = {name: min(cell[where]["coverage"] for where in WHERE) for name, cell in each.items()}
    by_part["weakest"] = {name: each[name] for name in sorted(least, key=lambda name: least[name])[:3]}
    null = [r for r in records if r["truth"] == 1.0 and r["laws"] == "equal"]
    if null:
        by_part["false better"] = {
            "tables": len(null),
            "verdict": round(float(np.mean([r["verdict_better"] for r in null])), 3),
            **{w: round(float(np.mean([r[w][2] > 1 for r in null])), 3) for w in WHERE},
        }
    return by_part


def public(path: Path) -> dict:
    """Multipliers over the Adam family, and of each variant over AdamW: at the centre, at the largest, ten times on."""
    table = pd.read_csv(path)
    table["variant"] = table["run_id"].str.partition("_scaling")[0]
    found: dict = {"runs": len(table), "N": [int(table["N"].min()), int(table["N"].max())], "rows": []}
    found["ratio"] = float((table["D"] / table["N"]).mean())
    for column, baseline in (("series", "adam_family"), ("variant", "adamw_llama")):
        parts = {name: part[["N", "D", "loss"]] for name, part in table.groupby(column)}
        runs = {name: sf.read_runs(part, loss_unit="bit/byte") for name, part in parts.items()}
        compared = sf.compare_recipes(runs, baseline=baseline, level=LEVEL)
        for name, row in compared.table.iterrows():
            C = float(row["C"])
            far = compared.multiplier(C=10 * C).set_index("recipe").loc[name]
            ends = [("centre", row, "_centre"), ("largest", row, ""), ("beyond", far, "")]
            read = {where: [float(of[k + tail]) for k in ("multiplier", "lower", "upper")] for where, of, tail in ends}
            about = {"recipe": name, "baseline": baseline, "runs": len(runs[name]), "C": C}
            found["rows"].append({**about, **read, "verdict": str(row["verdict"])})
    return found


def muon() -> list[dict]:
    """Muon over AdamW in the project's own runs: a text or facts, and a shape, at a time."""
    table = pd.read_csv(Path(__file__).parent.parent / "data" / "scalefit_modern" / "runs.csv")
    rows = []
    for (series, family), part in table.groupby(["series", "family"]):
        runs = {name: runs[["N", "D", "loss"]] for name, runs in part.groupby("optimizer")}
        compared = sf.compare_recipes(runs, baseline="adamw", branches=True, same_loss=True, level=LEVEL)
        row = compared.table.loc["muon"]
        read = {
            where: [float(row[k + tail]) for k in ("multiplier", "lower", "upper")]
            for where, tail in (("centre", "_centre"), ("largest", ""))
        }
        about = {"series": str(series), "family": str(family), "runs": [len(runs["adamw"]), len(runs["muon"])]}
        codes = [note.code for note in compared.notes if note.severity != "info"]
        lost = {f"C_{where}": float(row[k]) for where, k in (("centre", "C_centre"), ("largest", "C"))}
        gaps = {"loss_gap": [float(row[k]) for k in ("loss_gap", "loss_gap_lower", "loss_gap_upper")]}
        rows.append({**about, **read, **lost, **gaps, "verdict": str(row["verdict"]), "notes": codes})
    return rows


def others() -> dict:
    """Coverage under the other truths."""
    chosen = [cell for cell in cells() if cell["n"] > 4 and cell["truth"] in (1.0, 1.25)]
    return {
        name: summarise([one_table(cell, seed, **options) for seed in (500, 501) for cell in chosen])["all"]
        for name, options in OTHER.items()
    }


def checked(tables: int) -> list[dict]:
    """Coverage of the cells in `CHECKED` with the exact (Clopper-Pearson) 95 % interval of each share."""
    from scipy.stats import binomtest

    rows = []
    for design_, n, laws, noise, size in CHECKED:
        cell = {"design": design_, "n": n, "laws": laws, "noise": noise}
        drawn = [
            one_table({"truth": truth, **{k: cell[k] for k in ("n", "design", "noise", "laws")}}, seed, noise=size)
            for seed in range(1000, 1000 + tables // len(FACTORS["truth"]))
            for truth in FACTORS["truth"]
        ]
        row: dict = {**cell, "size": size, "tables": len(drawn)}
        for where in WHERE:
            truth, _, lower, upper = np.array([r[where] for r in drawn]).T
            hits = int(((lower <= truth) & (truth <= upper)).sum())
            ends = binomtest(hits, len(drawn)).proportion_ci(0.95)
            row[where] = [hits / len(drawn), float(ends.low), float(ends.high), float(np.median(np.log(upper / lower)))]
        null = [r for r in drawn if r["truth"] == 1.0]
        row["better"] = [float(np.mean([r["verdict_better"] for r in null])), len(null)] if laws == "equal" else None
        rows.append(row)
        print(row, flush=True)
    return rows


def _share(hits: int, tables: int) -> list[float]:
    """A share with its exact (Clopper-Pearson) 95 % interval, and the tables."""
    from scipy.stats import binomtest

    ends = binomtest(hits, tables).proportion_ci(0.95)
    return [hits / tables, float(ends.low), float(ends.high), tables]


def uneven(tables: int) -> list[dict]:
    """Coverage where one recipe has more runs than the other."""
    rows = []
    for (n, other), laws in itertools.product(UNEVEN, ("equal", "floor")):
        truths = FACTORS["truth"] * (tables // len(FACTORS["truth"]) // (1 if laws == "equal" else 4))
        drawn = [
            one_table({"truth": truth, "n": n, "design": "paired", "noise": "iid", "laws": laws}, 3000 + i, other=other)
            for i, truth in enumerate(truths)
        ]
        row: dict = {"n": [n, other], "laws": laws}
        for where in WHERE:
            truth, _, lower, upper = np.array([r[where] for r in drawn]).T
            row[where] = _share(int(((lower <= truth) & (truth <= upper)).sum()), len(drawn))
            row[where].append(float(np.median(np.log(upper / lower))))
        same = [r["verdict_better"] for r in drawn if r["truth"] == 1.0 and laws == "equal"]
        row["better"] = _share(sum(same), len(same)) if same else None
        rows.append(row)
        print(row, flush=True)
    return rows


def null(tables: int, more: int) -> dict:
    """How often "better" is said where no recipe is better and the laws are equal, by design, n and noise.

    The cells that say it most often are drawn again with other seeds: the worst of many is high by chance too.
    """
    told = {}

    def count(cell: dict, seeds: range) -> list[int]:
        drawn = [one_table(cell, seed) for seed in seeds]
        better = [r["verdict_better"] for r in drawn]
        return [sum(better), *(sum(r[where][2] > 1 for r in drawn) for where in WHERE[:2]), len(drawn)]

    for d, n, noise in itertools.product(FACTORS["design"], FACTORS["n"], FACTORS["noise"]):
        cell = {"truth": 1.0, "n": n, "design": d, "noise": noise, "laws": "equal"}
        told[d, n, noise] = (cell, count(cell, range(4000, 4000 + tables)))
        print(d, n, noise, told[d, n, noise][1], flush=True)
    worst = sorted(told, key=lambda key: told[key][1][:3], reverse=True)[:4]
    again = {" ".join(map(str, key)): count(told[key][0], range(5000, 5000 + more)) for key in worst}
    names, total = ("verdict", *WHERE[:2]), np.sum([counts for _, counts in told.values()], axis=0)

    def shares(counts: list[int]) -> dict:
        return {name: _share(int(hits), int(counts[3])) for name, hits in zip(names, counts, strict=False)}

    return {"all": shares(list(total)), "cells": len(told), "worst": {k: shares(v) for k, v in again.items()}}


def low() -> list[dict]:
    """Losses from 0.04 nat on, as of facts that can be known: floors of 0 to 0.3, exponents to 0.9, noise 3 %."""
    rows = []
    for floor, truth, side in itertools.product((0.0, 0.02, 0.3), (0.8, 1.0, 1.5), (3, 5)):
        told = []
        for seed in range(40):
            rng = np.random.default_rng([seed, int(100 * floor), int(10 * truth), side])
            alpha, beta = rng.uniform(0.35, 0.9), rng.uniform(0.3, 0.7)
            N, D = (axis.ravel() for axis in np.meshgrid(np.geomspace(1e3, 1.3e5, side), np.geomspace(3e4, 6e5, side)))
            runs = {}
            for name, gain in (("a", 1.0), ("b", truth**0.5)):
                loss = floor + 0.3 * (N * gain / 3e3) ** -alpha + 0.3 * (D * gain / 1e5) ** -beta
                runs[name] = {"N": N, "D": D, "loss": loss * np.exp(0.03 * rng.standard_normal(N.size))}
            row = sf.compare_recipes(runs, baseline="a", level=LEVEL).table.loc["b"]
            held = [row[f"lower{at}"] <= truth <= row[f"upper{at}"] for at in ("_centre", "")]
            told.append([*held, not np.isfinite(row["multiplier"]), row["lower"] > 1])
        centre, largest, open_, better = np.mean(told, axis=0).tolist()
        found = {"centre": centre, "largest": largest, "not determined": open_, "called better": better}
        rows.append({"floor": floor, "truth": truth, "n": side**2, "tables": len(told), **found})
    return rows


def write(records: list[dict], failed: list[str], kept: dict) -> None:
    document = {
        "level": LEVEL,
        "noise": NOISE,
        "target": TARGET,
        "summary": summarise(records),
        "failed": failed,
        **kept,
        "records": [_as_row(record) for record in records],
    }
    RESULTS.write_text(json.dumps(document).replace("], [", "],\n[") + "\n")


def _as_row(record: dict) -> list:
    """Cell by number, seed, verdict, and at each place the truth, the multiplier and its ends."""
    cell = cells().index({name: record[name] for name in FACTORS})
    ends = [round(x, 4) if math.isfinite(x) else None for where in WHERE for x in record[where]]
    return [cell, record["seed"], int(record["verdict_better"]), *ends]


def _from_row(row: list) -> dict:
    cell, seed, better, *ends = row
    unknown = [math.nan, math.nan, 0.0, math.inf]
    parts = {where: ends[4 * i : 4 * i + 4] for i, where in enumerate(WHERE)}
    told = {k: [u if x is None else x for x, u in zip(part, unknown, strict=True)] for k, part in parts.items()}
    return {**cells()[cell], "seed": seed, "verdict_better": bool(better), **told}


def read() -> tuple[list[dict], list[str], dict]:
    if not RESULTS.exists():
        return [], [], {}
    document = json.loads(RESULTS.read_text())
    return (
        [_from_row(row) for row in document["records"]],
        document["failed"],
        {k: document[k] for k in KEPT if k in document},
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--public", action="store_true", help="only renew the public table in the results")
    parser.add_argument("--muon", action="store_true", help="only renew Muon over AdamW in the project's own runs")
    parser.add_argument("--other", action="store_true", help="only renew the other truths in the results")
    parser.add_argument("--low", action="store_true", help="only renew the low losses in the results")
    parser.add_argument("--checked", type=int, nargs="?", const=200, help="only renew the cells drawn again, so often")
    parser.add_argument("--uneven", type=int, nargs="?", const=200, help="only renew unequal numbers of runs, so often")
    parser.add_argument("--null", type=int, nargs="?", const=12, help="only renew where nothing is better, so often")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    records, failed, kept = read()
    asked = (
        arguments.public,
        arguments.muon,
        arguments.other,
        arguments.low,
        arguments.checked,
        arguments.uneven,
        arguments.null,
    )
    part = any(asked)
    if arguments.muon or not (part or kept.get("muon")):
        kept["muon"] = muon()
    if arguments.other or not (part or kept.get("other")):
        kept["other"] = others()
    if arguments.low or not (part or kept.get("low")):
        kept["low"] = low()
    if arguments.checked or not (part or kept.get("checked")):
        kept["checked"] = checked(arguments.checked or 200)
    if arguments.uneven or not (part or kept.get("uneven")):
        kept["uneven"] = uneven(arguments.uneven or 200)
    if arguments.null or not (part or kept.get("null")):
        kept["null"] = null(arguments.null or 12, 100)
    path = Path(os.environ.get("SCALEFIT_DATA_DIR", "data")) / "forecast_fresh" / "marin_speedrun.csv"
    if path.exists() and (arguments.public or not part):
        kept["public"] = public(path)
    elif not path.exists():
        print(f"{path} is not there: what was measured on it is kept as it is")
    if part:
        write(records, failed, kept)
        return
    done = {(*(r[k] for k in FACTORS), r["seed"]) for r in records}
    for seed in range(arguments.rounds):
        for i, cell in enumerate(cells()):
            if (*cell.values(), seed) in done:
                continue
            try:
                records.append(one_table(cell, seed))
            except sf.ScalefitError as error:
                failed.append(f"{cell} {seed}: {error}")
            if i % 48 == 47:
                write(records, failed, kept)
        write(records, failed, kept)
    print(json.dumps(summarise(records), indent=1))


if __name__ == "__main__":
    main()
