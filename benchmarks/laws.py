"""Every law that a public table can be had for, fitted; and every law's own starts against 96 random ones.

Run from the project's root with SCALEFIT_DATA_DIR set:

    python benchmarks/laws.py                     # the tables: results/laws.json
    python benchmarks/laws.py --starts 2          # 2 simulated tables per law against 96 random starts (minutes)
    python benchmarks/laws.py --starts 2 --only joint_moe ptq

Each table is fitted whole, against the constants that were published for it; and with the runs of the largest compute
kept aside, which the rest predicts. Times are CPU times of one thread, over that of Chinchilla's law on its 240 points.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import time
import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import scalefit as sf
from scalefit.fitting.solver import descend
from scalefit.laws._base import Law

RESULTS = Path(__file__).parent / "results" / "laws.json"
HELD_OUT = 0.2
STARTS = 96
#: An objective lower than ours by more than this share is one that our starts missed.
MISSED = 1e-6
#: Rows of the simulated tables, noise [log loss, or shares of the target's spread], rows of the largest grid.
SIZES, NOISE, MOST = (8, 14, 30, 80, 200, 500), 0.003, 4_000
SEQUENCE = 2_048  # tokens, in the batches of Step Law


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


def tables() -> list[dict[str, Any]]:
    points = chinchilla_points()
    times = []
    for _ in range(5):
        start = time.process_time()
        sf.fit(points, "chinchilla")
        times.append(time.process_time() - start)
    unit, rows = float(np.median(times)), []
    for case in cases():
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


# -- starts ------------------------------------------------------------------------------------------------------


def variants() -> list[type[Law]]:
    """Every law, those of one variable in each, those of mixtures left out: their tables are shares."""
    found = []
    for name in sf.laws.names():
        law = sf.laws.get(name)
        if not law.shares:
            found += [law.on(choice) for choice in law.choices] or [law]
    return found


def truth(law: type[Law], rng: np.random.Generator) -> dict[str, float]:
    """A published set or the law's example, a little off, inside the bounds."""
    sets = [dict(c.values) for c in law.published if set(c.values) == set(law.parameters)]
    values = sets[rng.integers(len(sets))] if sets and ":" not in law.name else law.example()
    if ":" in law.name:
        typical = law.declarations[law.inputs[0]].typical
        centre = float(np.sqrt(typical[0] * typical[-1]))
        exponent = next(name for name in ("alpha", "c0") if name in values)
        values["A"] = centre ** values[exponent]
        values |= {"d1": centre} if "d1" in values else {}
    out = {}
    for name, parameter in law.parameters.items():
        value, z = float(values[name]), float(rng.standard_normal())
        moved = value * np.exp(0.15 * z) if parameter.log else value * (1 + 0.05 * z)
        out[name] = float(np.clip(moved, *parameter.bounds))
    return out


def design(law: type[Law], n: int, kind: str, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Inputs of n runs: a grid of typical values, or scattered between them."""
    axes = []
    for declared in law.declarations.values():
        low, high = float(declared.typical[0]), float(declared.typical[-1])
        positive = low > 0 and not declared.zero
        if kind == "grid":
            count = max(2, round(min(n, MOST) ** (1 / len(law.inputs))) + 1)
            axis = np.geomspace(low, high, count) if positive else np.linspace(low, high, count)
        else:
            u = rng.uniform(size=n)
            axis = low * (high / low) ** u if positive else low + (high - low) * u
        axes.append(np.unique(np.round(axis)) if declared.integer and kind == "grid" else axis)
    if kind == "grid":
        rows = np.array(list(itertools.product(*axes)))
        rows = rows[rng.permutation(len(rows))[:n]]
        columns = dict(zip(law.inputs, rows.T, strict=True))
    else:
        columns = dict(zip(law.inputs, axes, strict=True))
    for name, declared in law.declarations.items():
        if declared.integer:
            columns[name] = np.round(columns[name])
        if isinstance(declared.optional, str):
            columns[name] = columns[declared.optional] / rng.choice([1.0, 2.0, 4.0, 16.0, 64.0], len(columns[name]))
    return columns


def simulate(law: type[Law], n: int, kind: str, rng: np.random.Generator) -> tuple[dict[str, Any], dict[str, float]]:
    """A table and its true parameters."""
    from scalefit.fitting.objectives import Objective

    true, columns = truth(law, rng), design(law, n, kind, rng)
    scale = Objective(on=law.target.on)
    with np.errstate(all="ignore"):
        value = np.asarray(law.evaluate(columns, true), float)
    keep = law.target.admits(value)
    middle = scale.link(value[keep])
    spread = 1.0 if scale.log else max(float(np.std(middle)), 1e-12)
    noisy = scale.unlink(middle + NOISE * spread * rng.standard_normal(middle.size))
    kept = law.target.admits(noisy)
    return {**{k: v[keep][kept] for k, v in columns.items()}, law.target.name: noisy[kept]}, true


def random_starts(result: sf.FitResult, true: dict[str, float], rng: np.random.Generator) -> np.ndarray:
    """The truth and random free vectors: between and beyond the law's own starting values, within the bounds."""
    problem = result.problem
    lower, upper = problem.bounds(result.bounds)
    values: dict[str, Any] = {}
    for name, parameter in problem.law.parameters.items():
        grid = np.asarray(parameter.starts, float)
        low, high = float(grid.min()), float(grid.max())
        if parameter.log:
            low, high = np.log(max(low, 1e-12)) - 1.0, np.log(max(high, 1e-12)) + 1.0
            values[name] = np.exp(rng.uniform(low, high, STARTS))
        else:
            margin = 0.3 * (high - low) + 1e-3
            values[name] = rng.uniform(low - margin, high + margin, STARTS)
        values[name][0] = true[name]
    units = problem.units
    if problem.law.rescale is not None and any(unit != 1.0 for unit in units.values()):
        values = problem.law.rescale(values, dict(units))
    inner = problem.free(values)
    x = np.stack([inner[j] for j in np.flatnonzero(problem.index[0] >= 0)], axis=1)
    return np.clip(np.nan_to_num(x), lower, upper)


def try_starts(law: type[Law], n_tables: int) -> dict[str, Any]:
    """Misses of a law's own starts on simulated tables."""
    rng = np.random.default_rng(zlib.crc32(law.name.encode()))
    tried = missed = trusted = refused = 0
    worst = 1.0
    for k in range(n_tables):
        n = max(SIZES[k % len(SIZES)], len(law.parameters) + 4)
        runs, true = simulate(law, n, ("grid", "scattered")[(k // len(SIZES) + k) % 2], rng)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                result = sf.fit(runs, law)
        except sf.ScalefitError:
            refused += 1
            continue
        problem = result.problem
        lower, upper = problem.bounds(result.bounds)
        with np.errstate(all="ignore"):
            best = descend(problem, random_starts(result, true, rng), lower, upper)
            found = float(np.nanmin(problem.value(best.x)))
        tried += 1
        ours = result.objective_value
        if found < ours * (1 - MISSED) and ours - found > problem.cost_of(1e-9):
            missed += 1
            trusted += bool(result.trusted)
            worst = max(worst, ours / found if found > 0 else np.inf)
    row = {"law": law.name, "tables": tried, "refused": refused, "missed": missed, "trusted_misses": trusted}
    row["worst"] = worst if np.isfinite(worst) else None
    print(f"{law.name:<30} tables {tried:>3}  refused {refused:>2}  missed {missed:>2}  of them trusted {trusted:>2}  "
          f"worst x{worst:.4g}", flush=True)  # fmt: skip
    return row


def write(part: str, rows: list[dict[str, Any]], key: Callable[[dict[str, Any]], Any]) -> None:
    """Put rows into the results, in the place of those of the same key."""
    document = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    fresh = {key(row) for row in rows}
    old = [row for row in document.get(part, []) if key(row) not in fresh]
    document |= {"made_by": "benchmarks/laws.py", part: sorted([*old, *rows], key=key)}
    text = json.dumps(document)
    document = json.loads(text, parse_float=lambda digits: float(f"{float(digits):.6g}"))
    RESULTS.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, metavar="TABLES", help="simulated tables per law; without it, the tables")
    parser.add_argument("--only", nargs="*", help="laws to look at")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    if arguments.starts is None:
        write("tables", tables(), lambda row: (row["law"], row["table"]))
        return
    chosen = [law for law in variants() if not arguments.only or law.name in arguments.only]
    for law in chosen:
        write("starts", [try_starts(law, arguments.starts)], lambda row: row["law"])


if __name__ == "__main__":
    main()
