"""Every law that a public table can be had for, fitted; written to results/laws.json.

Run from the project's root with SCALEFIT_DATA_DIR set:

    python benchmarks/laws.py
    python benchmarks/laws.py --laws routed vocabulary   # these again, the others as they are on file

Each table is fitted whole, against the constants that were published for it; and with the runs of the largest compute
kept aside, which the rest predicts. Times are CPU times of one thread, over that of Chinchilla's law on its 240 points.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import scalefit as sf

RESULTS = Path(__file__).parent / "results" / "laws.json"
HELD_OUT = 0.2
STARTS = 96
SEQUENCE = 2_048  # tokens, in the batches of Step Law
NEAR_BEST = 1.02  # of the lowest loss of a cell: further away no bowl holds


@dataclass(frozen=True)
class Case:
    """A law, a table for it and what is known of its constants."""

    law: str
    table: str
    runs: pd.DataFrame
    key: str = ""
    #: Values known from elsewhere than the law's published sets.
    known: dict[str, float] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    #: What the largest runs are largest in, where not in N times D.
    by: str = ""


def folder() -> Path:
    return Path(os.environ["SCALEFIT_DATA_DIR"])


def chinchilla_points() -> pd.DataFrame:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return sf.load_dataset("chinchilla_epoch", drop="authors")


def cases() -> Iterator[Case]:
    """Every case whose table is there."""
    points = chinchilla_points()
    yield Case("chinchilla", "chinchilla_epoch", points, "besiroglu2024")
    yield Case("kaplan", "chinchilla_epoch", points)
    yield Case("coupled", "chinchilla_epoch", points)
    repeats = pd.read_csv(folder() / "datablations" / "datablations_val_loss.csv")
    names = {"params_N": "N", "tokens_D": "D", "unique_tokens_U": "unique_tokens", "val_loss": "loss"}
    repeats = repeats.rename(columns=names)[[*names.values(), "epochs"]].astype(float)
    few = repeats[repeats["epochs"] <= 60]
    for law in ("data_constrained", "prescriptive", "practical"):
        keys = [c.key for c in sf.laws.get(law).published]
        yield Case(law, "datablations, to 60 epochs", few.drop(columns="epochs"))
        yield Case(law, "datablations", repeats.drop(columns="epochs"), keys[0])
    long = pd.read_csv(folder() / "gadre" / "gadre_losses_long.csv")
    for name, key in (("c4_original", "gadre2024_c4"), ("rpj", "gadre2024_redpajama")):
        part = long[(long["train_set"] == name) & long["val_set"].str.contains("c4_val/shard")]
        part = part.rename(columns={"params": "N", "tokens": "D"})[["N", "D", "loss"]]
        yield Case("over_training", f"gadre, {name}", part, key)
    routed = pd.read_csv(folder() / "law_tables" / "routed.csv")
    for router, key in (("RL-R", "clark2022_rlr"), ("S-Base", "clark2022_sbase")):
        yield Case("routed", router, routed[routed["router"] == router].drop(columns="router"), key, by="N n_experts")
    sweep = pd.read_csv(folder() / "steplaw" / "dense_lr_bs_loss.csv").rename(columns={"smooth loss": "smooth"})
    best = sweep.loc[sweep.groupby(["N", "D"])["smooth"].idxmin()].reset_index(drop=True)
    best["batch_tokens"] = best["bs"] * float(SEQUENCE)
    yield Case("step_law_lr", "step law, best of each cell", best[["N", "D", "lr"]], "li2025")
    yield Case("step_law_batch", "step law, best of each cell", best[["D", "batch_tokens"]], "li2025", by="D")
    near = sweep[sweep["smooth"] <= NEAR_BEST * sweep.groupby(["N", "D"])["smooth"].transform("min")]
    near = near.assign(batch_size=near["bs"] * float(SEQUENCE), loss=near["smooth"])
    near = near[["N", "D", "lr", "batch_size", "loss"]]
    known = {"c": 5.2, "m": 0.516, "n": 0.092, "c_b": 1.04, "k": 0.544, "q": 0.0131, "s": 0.0136, "x": -0.50}
    yield Case("hyperparameter_surface", "step law, within 2 %", near, known=known)
    down = pd.read_csv(folder() / "law_tables" / "gadre_downstream.csv.gz")
    down["error"] = 1.0 - down[[name for name in down if name.startswith("acc|")]].mean(axis=1)
    down = down.rename(columns={"loss|c4_val/shard-c4_val": "val_loss"})
    for name, key in (("c4_original", "ours_c4"), ("rpj", "ours_redpajama"), ("rw_original", "ours_refinedweb")):
        part = down[down["train"] == name]
        yield Case("downstream_error", f"gadre, {name}", part[["val_loss", "error"]], key, by="-val_loss")
    vocabulary = pd.read_csv(folder() / "law_tables" / "vocabulary.csv.gz")
    vocabulary = vocabulary[vocabulary["FLOPs"] >= 2.18e17]
    log_v = np.log(vocabulary["vocab_size"])
    table = pd.DataFrame(
        {
            "N_nonvocab": vocabulary["Non_vocab_parameters"],
            "N_vocab": vocabulary["vocab_size"] * vocabulary["embed_dim"],
            "D": vocabulary["num_characters"] * (0.00639222 * log_v**2 - 0.15811069 * log_v + 1.20470122),
            "unigram_normalised_loss": vocabulary["Lossu"],
        }
    )
    known = {"E": 5.5369, "alpha1": 0.43979, "alpha2": 1.0588}
    yield Case("vocabulary", "tao, tokens", table, known=known, options={"tied": {"beta": "alpha1"}}, by="N_nonvocab D")


def compute(case: Case) -> np.ndarray:
    """What the runs are ordered by: a product of columns; those named with a minus are the larger the smaller."""
    names = case.by.split() or ["N", "D"]
    out = np.zeros(len(case.runs))
    for name in names:
        column = np.log(case.runs[name.lstrip("-")].to_numpy(float))
        out += -column if name.startswith("-") else column
    return out


def measure(case: Case, unit: float) -> dict[str, Any]:
    """A row of the table."""
    law = sf.laws.get(case.law)
    start = time.process_time()
    result = sf.fit(case.runs, law, **case.options)
    seconds = time.process_time() - start
    many = sf.fit(case.runs, law, n_starts=STARTS, **case.options)
    published = dict(sf.published(case.law, case.key).constants.values) if case.key else case.known
    errors = result.std_errors
    apart = {
        name: (float(result.params[name]) - value) / float(errors[name])
        for name, value in published.items()
        if np.isfinite(errors.get(name, np.nan)) and errors[name] > 0
    }
    order = np.argsort(compute(case), kind="stable")
    n_train = round((1 - HELD_OUT) * len(order))
    train, test = case.runs.iloc[order[:n_train]], case.runs.iloc[order[n_train:]]
    target = law.target.name if law.target.name in case.runs else "loss"
    held_out: float | None
    try:
        held = sf.fit(train, law, **case.options)
        predicted = np.asarray(held.predict(**{name: test[name].to_numpy(float) for name in law.inputs}))
        truth = test[target].to_numpy(float)
        size = truth if law.target.scale == "log" else np.full(truth.size, float(np.std(case.runs[target])))
        held_out = float(np.mean(np.abs(predicted - truth) / size))
    except sf.FitError:
        held_out = None
    return {
        "law": case.law,
        "table": case.table,
        "n": len(case.runs),
        "objective": str(result.problem.objective),
        "objective_value": result.objective_value,
        "of_96_starts": many.objective_value / result.objective_value if result.objective_value > 0 else 1.0,
        "agree": result.certificate.n_agree,
        "starts": result.certificate.n_starts,
        "trusted": bool(result.trusted),
        "params": {str(name): float(value) for name, value in result.params.items()},
        "std_errors": {str(name): float(value) if np.isfinite(value) else None for name, value in errors.items()},
        "published": {"key": case.key or "see the script", "values": published} if published else None,
        "largest_distance": max(map(abs, apart.values()), default=None),
        "held_out": held_out,
        "relative_to": "the target" if law.target.scale == "log" else "its standard deviation",
        "time": seconds / unit,
    }


def tables(laws: Sequence[str]) -> list[dict[str, Any]]:
    points = chinchilla_points()
    times = []
    for _ in range(5):
        start = time.process_time()
        sf.fit(points, "chinchilla")
        times.append(time.process_time() - start)
    unit, rows = float(np.median(times)), []
    for case in (case for case in cases() if case.law in laws):
        row = measure(case, unit)
        rows.append(row)
        far = "-" if row["largest_distance"] is None else f"{row['largest_distance']:.1f} se"
        held = "-" if row["held_out"] is None else f"{100 * row['held_out']:.2f} %"
        print(
            f"{row['law']:<18} {row['table']:<28} n {row['n']:>5}  agree {row['agree']}/{row['starts']}  "
            f"96 starts x{row['of_96_starts']:.8f}  published {far:>8}  held out {held:>8}  time x{row['time']:.1f}"
            f"{'' if row['trusted'] else '  not trusted'}",
            flush=True,
        )
    return rows


def main() -> None:
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--laws", nargs="*", default=sf.laws.names(), choices=sf.laws.names())
    laws = parser.parse_args().laws
    kept = [row for row in json.loads(RESULTS.read_text())["tables"] if row["law"] not in laws]
    rows = sorted([*kept, *tables(laws)], key=lambda row: (row["law"], row["table"]))
    document = {"made_by": "benchmarks/laws.py", "tables": rows}
    document = json.loads(json.dumps(document), parse_float=lambda digits: float(f"{float(digits):.6g}"))
    RESULTS.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
