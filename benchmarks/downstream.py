"""How well are accuracies of larger models predicted, and do the intervals hold? Written to results/downstream.json.

Public part: models of Gadre et al. (2024, arXiv:2403.08540; mlfoundations/scaling, MIT) below 1B, three training
sets, 46 tasks and their mean; the table is not a part of the project (SCALEFIT_DATA_DIR). For each training set larger
models are held out: the quarter of most compute, all of 412M (sizes up to 154M remain, or two of them), or all of 154M
and more (two sizes remain). The held-out models' losses are not used: they are forecast from N and D.

Simulated part: Chinchilla's law with the constants of Besiroglu et al. (2024) and 0.5 % of noise in the loss; tasks
that are sigmoids of the loss with random places, steepness, ceilings and guessing rates, tasks at chance, and tasks
that move without the loss; scatter of 0.5, 1 or 2 %; from small models (two decades of compute) to models of up to ten
times as much.

Few models: 6 to 40 of them over one to three decades of compute, tasks that scale and tasks that do not, and models of
twice and ten times the compute of the most expensive one.

    python benchmarks/downstream.py              # all parts
    python benchmarks/downstream.py --tables 8   # fewer simulated tables
    python benchmarks/downstream.py --few        # only renew the part of few models
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

import scalefit as sf
from scalefit.downstream.models import AVERAGE

RESULTS = Path(__file__).parent / "results" / "downstream.json"
LEVEL = 0.9
LAW = sf.published("chinchilla", "besiroglu2024")
SPLITS = {
    "quarter of most compute": lambda g: (g["C"] < g["C"].quantile(0.75), g["C"] >= g["C"].quantile(0.75)),
    "all of 412M": lambda g: (g["N"] < 4e8, g["N"] > 4e8),
    "all of 154M and more": lambda g: (g["N"] < 1.5e8, g["N"] > 1.5e8),
    "all of 412M, from 79M and 154M": lambda g: ((g["N"] > 5e7) & (g["N"] < 4e8), g["N"] > 4e8),
    "all of 412M, from 11M and 154M": lambda g: ((g["N"] < 4e8) & ~g["N"].between(5e7, 1e8), g["N"] > 4e8),
}


def score(found: sf.DownstreamResult, held: pd.DataFrame) -> list[dict]:
    """One row per task: errors, coverage and width on the held-out models, of two steps, of one, and of a flat line."""
    rows = []
    N, D = (held[key].to_numpy(float) for key in ("N", "D"))
    best = found.models.loss.argsort(kind="stable")[: max(2, len(found.models.loss) // 4)]
    truth = {name: held[name].to_numpy(float) for name in found.models.metrics}
    if len(truth) > 1:
        truth[AVERAGE] = np.mean(list(truth.values()), axis=0)
    x = found._rival.x(N, D)
    for name in found.tasks:
        judged = found.judgements[name]
        row = {"task": name, "predictable": judged.predictable, "reason": judged.reason.split(":")[0].split(" (")[0]}
        seen = found.models.to_metric(found.models.shares[name])
        row["flat"] = float(np.abs(truth[name] - np.nanmean(seen[best])).mean())
        row["level"] = float(np.abs(truth[name]).mean())
        if name in found.curves:
            band = found.predict_interval(N=N, D=D, level=LEVEL, task=name)
            inside = (band["lower"] <= truth[name]) & (truth[name] <= band["upper"])
            row |= {"error": float(np.abs(band["loss"] - truth[name]).mean()), "covered": float(inside.mean())}
            row["width"] = float((band["upper"] - band["lower"]).mean())
            straight = found.models.to_metric(found._rival.curves[name].median(x))
            row["one_step"] = float(np.abs(straight - truth[name]).mean())
        rows.append(row)
    return rows


def public(path: Path) -> list[dict]:
    """Every training set and split."""
    table = pd.read_csv(path)
    table["C"] = 6.0 * table["N"] * table["D"]
    rows = []
    for data, runs in table.groupby("train"):
        for split, parts in SPLITS.items():
            small, held = (runs[part] for part in parts(runs))
            found = sf.fit_downstream(small, loss="loss|c4_val/shard-c4_val", metric="acc|*", same_loss=True)
            jump = float(held["C"].max() / small["C"].max())
            about = {"data": data, "split": split, "models": len(small), "held": len(held), "jump": jump}
            rows += [{**about, **row} for row in score(found, held)]
    return rows


def story(path: Path) -> dict:
    """Models trained on C4: from 24 of up to 154M, the 7 of 412M and a few tasks of the most expensive of them."""
    table = pd.read_csv(path)
    runs = table[table["train"] == "c4_original"]
    small, held = runs[runs["N"] < 4e8], runs[runs["N"] > 4e8].sort_values("D")
    found = sf.fit_downstream(small, loss="loss|c4_val/shard-c4_val", metric="acc|*", same_loss=True)
    tasks = [name for name in runs if name.startswith("acc|")]
    band = found.predict_interval(N=held["N"].to_numpy(float), D=held["D"].to_numpy(float), level=LEVEL)
    rows = [
        {"D": float(D), "truth": float(truth), **{key: float(row[key]) for key in ("loss", "lower", "upper")}}
        for D, truth, row in zip(held["D"], held[tasks].mean(axis=1), band.to_dict("records"), strict=True)
    ]
    last = held.iloc[-1]
    single = found.predict_tasks(N=float(last["N"]), D=float(last["D"]), level=LEVEL)
    names = [name for name in found.predictable if name != AVERAGE]
    shown = [
        {
            "task": name,
            "truth": float(last[name]),
            **{k: float(single.loc[name, k]) for k in ("value", "lower", "upper")},
        }
        for name in names
    ]
    judged = found.judgements
    named = {name: judged[name].reason for name in tasks if not judged[name].predictable}
    return {"models": len(small), "average": rows, "tasks": shown, "named": named}


def simulated_table(rng: np.random.Generator, scatter: float) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, str]]:
    """Small models, larger ones, and what kind each task is of."""
    C, shape = (a.ravel() for a in np.meshgrid(np.geomspace(1e18, 1e20, 5), [0.3, 0.7, 1.5, 3.0]))
    far, ratio = (a.ravel() for a in np.meshgrid(1e20 * np.array([2.0, 5.0, 10.0]), [0.7, 1.5]))
    N = np.r_[0.05 * shape * C**0.51, 0.05 * ratio * far**0.51]
    D = np.r_[C, far] / 6 / N
    loss = np.asarray(LAW.predict(N=N, D=D)) * np.exp(0.005 * rng.standard_normal(N.size))
    columns, kinds = {"N": N, "D": D, "val_loss": loss}, {}
    shared = rng.standard_normal(N.size)
    for i in range(12):
        kind = ("scales",) * 8 + ("at chance",) * 2 + ("moves without the loss",) * 2
        name, chance = f"acc {i}", float(rng.choice([0.0, 0.25, 0.5]))
        own = 0.8**0.5 * rng.standard_normal(N.size) + 0.2**0.5 * shared
        if kind[i] == "scales":
            place, steep = rng.uniform(2.0, 3.4), np.exp(rng.normal(np.log(2.0), 0.4))
            value = chance + rng.uniform(0.5, 1.0) * (1 - chance) / (1 + np.exp(steep * (loss - place)))
        else:
            value = np.full(N.size, chance if kind[i] == "at chance" else rng.uniform(0.3, 0.7))
        size = scatter if kind[i] != "moves without the loss" else 4 * scatter
        columns[name], kinds[name] = np.clip(value + size * own, 0, 1), kind[i]
        kinds[name + " chance"] = str(chance)
    frame = pd.DataFrame(columns)
    return frame.iloc[: C.size], frame.iloc[C.size :], kinds


def simulated(tables: int) -> list[dict]:
    """Tables of each scatter, with the guessing rate known and not."""
    rows = []
    for scatter in (0.005, 0.01, 0.02):
        for k in range(tables):
            rng = np.random.default_rng([k, int(1e4 * scatter)])
            small, held, kinds = simulated_table(rng, scatter)
            for known in (True, False):
                names = [name for name in small if name.startswith("acc")]
                chance = {name: float(kinds[name + " chance"]) for name in names} if known else None
                found = sf.fit_downstream(small, loss="val_loss", metric=names, chance=chance, same_loss=True)
                about = {"scatter": scatter, "table": k, "known": known}
                rows += [{**about, "kind": kinds.get(row["task"], AVERAGE), **row} for row in score(found, held)]
    return rows


def few_table(rng: np.random.Generator, n: int, decades: float, scatter: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """`n` models, and two of twice and ten times the compute of the most expensive: columns are tasks by kind."""
    C = np.geomspace(1e20 / 10**decades, 1e20, n)
    N = 0.05 * np.exp(rng.uniform(-1, 1, n)) * C**0.51
    ahead = np.array([2.0, 10.0])
    N, C = np.r_[N, N[-1] * ahead**0.5], np.r_[C, C[-1] * ahead]
    loss = np.asarray(LAW.predict(N=N, D=C / 6 / N))
    gain, steep = 0.75 * rng.uniform(0.6, 1.0), np.exp(rng.normal(np.log(2.0), 0.4))
    tasks = {
        "scales": 0.25 + gain / (1 + np.exp(steep * (loss - rng.uniform(2.3, 3.2)))),
        "begins late": 0.25 + gain / (1 + np.exp(3 * steep * (loss - rng.uniform(1.9, 2.2)))),
        "is done": 0.25 + 0.73 / (1 + np.exp(4 * (loss - rng.uniform(3.3, 3.8)))),
        "at chance": np.full(n + 2, 0.25),
        "gets worse": 0.2 + 0.1 * loss,
        "moves without the loss": rng.uniform(0.3, 0.7) + 3 * scatter * rng.standard_normal(n + 2),
    }
    noisy = {f"acc {k}": np.clip(v + scatter * rng.standard_normal(n + 2), 0, 1) for k, v in tasks.items()}
    seen = loss * np.exp(0.003 * rng.standard_normal(n + 2))
    frame = pd.DataFrame({"N": N, "D": C / 6 / N, "val_loss": seen, **noisy})
    return frame.iloc[:n], frame.iloc[n:]


def few(tables: int) -> list[dict]:
    """By number of models and kind of task: share called predictable, and what is known at 2 and 10 times holds."""
    rows = []
    for n in (6, 8, 12, 20, 40):
        told: dict[str, list[list[float]]] = {}
        for k, decades, scatter in itertools.product(range(tables), (1.0, 2.0, 3.0), (0.005, 0.02)):
            small, held = few_table(
                np.random.default_rng([k, n, int(decades), int(1e4 * scatter)]), n, decades, scatter
            )
            names = [name for name in small if name.startswith("acc")]
            found = sf.fit_downstream(small, loss="val_loss", metric=names, chance=0.25, same_loss=True)
            at = [found.predict_tasks(N=model["N"], D=model["D"], level=LEVEL) for _, model in held.iterrows()]
            for name in names:
                row = [float(found.judgements[name].predictable), float(found.scaling[name].predictable)]
                for asked, truth in zip(at, held[name], strict=True):
                    ends = asked.loc[name]
                    row += [float(ends["known"]), float(ends["lower"] <= truth <= ends["upper"])]
                    row += [float(ends["upper"] - ends["lower"])]
                told.setdefault(name.removeprefix("acc "), []).append(row)
        for kind, records in told.items():
            table = np.array(records)
            cell = {"n": n, "kind": kind, "tables": len(table)}
            cell |= {"predictable": float(table[:, 0].mean()), "curve": float(table[:, 1].mean())}
            for i, ahead in ((2, "2"), (5, "10")):
                known = table[table[:, i] > 0]
                cell[f"known_{ahead}"] = float(table[:, i].mean())
                cell[f"covered_{ahead}"] = float(known[:, i + 1].mean()) if len(known) else None
                cell[f"width_{ahead}"] = float(np.median(known[:, i + 2])) if len(known) else None
            rows.append(cell)
    return rows


def mean(frame: pd.DataFrame, name: str) -> float | None:
    return None if frame.empty or frame[name].isna().all() else float(frame[name].mean())


def summary(rows: list[dict], by: list[str]) -> list[dict]:
    """One row per cell: predictable tasks, those named, and the average."""
    frame, out = pd.DataFrame(rows), []
    for key, cell in frame.groupby(by, sort=False):
        single, lead = cell[cell["task"] != AVERAGE], cell[cell["task"] == AVERAGE]
        able, named = single[single["predictable"]], single[~single["predictable"]]
        row = dict(zip(by, key if isinstance(key, tuple) else (key,), strict=True))
        row |= {"tasks": len(single), "predictable": len(able), "covered": mean(able, "covered")}
        row |= {f"able_{name}": mean(able, name) for name in ("error", "one_step", "flat", "width")}
        row |= {f"named_{name}": mean(named, name) for name in ("error", "flat", "covered")}
        row |= {"average_error": mean(lead, "error"), "average_covered": mean(lead, "covered")}
        row |= {"average_one_step": mean(lead, "one_step"), "average_flat": mean(lead, "flat")}
        row["average_relative"] = float((lead["error"] / (1 - lead["level"])).mean())
        if "jump" in cell:
            row["jump"] = float(cell["jump"].mean())
        out.append(row)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=int, default=40, help="simulated tables per scatter")
    parser.add_argument("--few", action="store_true", help="only renew the part of few models")
    parser.add_argument("--story", action="store_true", help="only renew the worked story in the results")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", sf.ScalefitWarning)
    document: dict = {"level": LEVEL, "tables": arguments.tables}
    path = Path(os.environ.get("SCALEFIT_DATA_DIR", "data")) / "law_tables" / "gadre_downstream.csv.gz"
    if arguments.story:
        document = json.loads(RESULTS.read_text()) | {"story": story(path)}
        RESULTS.write_text(json.dumps(document, indent=1) + "\n")
        return
    document["few"] = few(max(1, arguments.tables // 4))
    if arguments.few:
        document = json.loads(RESULTS.read_text()) | {"few": document["few"]}
        RESULTS.write_text(json.dumps(document, indent=1) + "\n")
        return
    if path.exists():
        document["story"] = story(path)
        rows = public(path)
        document["public"] = summary(rows, ["split"])
        document["public_sets"] = summary(rows, ["split", "data"])
        frame = pd.DataFrame(rows)
        named = frame[(frame["task"] != AVERAGE) & ~frame["predictable"]]
        document["reasons"] = {str(k): int(v) for k, v in named["reason"].value_counts().items()}
    else:
        print(f"{path} is not there: the public part is left out")
    rows = simulated(arguments.tables)
    document["simulated"] = summary([row for row in rows if row["kind"] in ("scales", AVERAGE)], ["scatter", "known"])
    frame = pd.DataFrame(rows)
    kinds = frame[frame["kind"] != AVERAGE].groupby(["kind", "known"])["predictable"].mean()
    document["called_predictable"] = [
        {"kind": kind, "known": bool(known), "share": float(share)} for (kind, known), share in kinds.items()
    ]
    RESULTS.write_text(json.dumps(document, indent=1) + "\n")
    for name in ("public", "public_sets", "simulated", "called_predictable", "few"):
        if name in document:
            print(name + "\n" + pd.DataFrame(document[name]).round(4).to_string() + "\n")
    print(document.get("reasons"))


if __name__ == "__main__":
    main()
