"""How far can laws of mixtures be believed? Written to results/mixture.json.

Held-out mixtures, on two public tables that the project does not ship (SCALEFIT_DATA_DIR names their folder): five
groups of the Pile at 70M parameters after 30,000 steps (26 mixtures, 22 losses; yegcjs/mixinglaws) and 17 domains of
the Pile at 1M parameters (256 mixtures, 13 losses; sail-sg/regmix). Five folds: error of each law and of a line, their
rank correlation, and regret: of the held-out mixtures the one with the lowest predicted mean loss, against the lowest
measured. Simulated: five domains, five losses of known laws, noise of 0.5 % of which half is shared by the losses of a
run; whether intervals of shares, of the loss at the mixture found, and of a new run hold 90 %.

    python benchmarks/mixture.py                   # all; half an hour of one core
    python benchmarks/mixture.py --only story      # the worked table of the page; 20 seconds
    python benchmarks/mixture.py --only simulated --rounds 100
"""

from __future__ import annotations

import argparse
import json
import os
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

import scalefit as sf
from scalefit.mixture.simplex import interior, minimise, snapped
from scalefit.mixture.weighted import WeightedLoss

RESULTS = Path(__file__).parent / "results" / "mixture.json"
LAWS = ("data_mixing", "effective_mixture", "additive_mixture")
DOMAINS = ("academic", "prose", "dialogue", "symbolic", "internet")
NOISE, FOLDS = 0.005, 5


def five_domains() -> tuple[pd.DataFrame, list[str]]:
    raw = pd.read_csv(Path(os.environ["SCALEFIT_DATA_DIR"]) / "law_tables" / "mixture_5_domains_70M.csv.gz")
    losses = raw[raw.step == 30000].pivot_table(index="ratio", columns="sub", values="loss")
    shares = losses.index.to_series().str.split("-", expand=True).astype(float)
    shares.columns = [f"share_{name}" for name in DOMAINS]
    return pd.concat([shares, losses], axis=1).reset_index(drop=True), list(losses.columns)


def seventeen_domains() -> tuple[pd.DataFrame, list[str]]:
    raw = pd.read_csv(Path(os.environ["SCALEFIT_DATA_DIR"]) / "law_tables" / "mixture_17_domains_1M.csv.gz")
    names = [name for name in raw if name.startswith("metric/")]
    shares = raw.filter(like="train_")
    return pd.concat([shares.div(shares.sum(axis=1), axis=0), raw[names]], axis=1), names


def held_out(table: pd.DataFrame, losses: list[str], law: str) -> dict:
    """Errors of one law on held-out mixtures."""
    columns = [name for name in table if name not in losses]
    order = np.random.default_rng(0).permutation(len(table))
    predicted = np.full((len(table), len(losses)), np.nan)
    for part in np.array_split(order, FOLDS):
        train, test = table.drop(index=part), table.loc[part]
        for j, name in enumerate(losses):
            if law == "line":
                line = np.linalg.lstsq(train[columns], train[name], rcond=None)[0]
                predicted[part, j] = test[columns] @ line
            else:
                result = sf.fit(train, law, loss=name)
                predicted[part, j] = result.predict(r=test[columns].to_numpy())
    measured = table[losses].to_numpy()
    off = np.log(np.maximum(predicted, 1e-3) / measured)
    ranks = [pd.Series(predicted[:, j]).corr(pd.Series(measured[:, j]), method="spearman") for j in range(len(losses))]
    chosen = int(np.argmin(predicted.mean(axis=1)))
    mean = measured.mean(axis=1)
    single = [measured[np.argmin(predicted[:, j]), j] - measured[:, j].min() for j in range(len(losses))]
    return {
        "law": law,
        "rms": float(np.sqrt((off**2).mean(axis=0)).mean()),
        "median": float(np.median(np.abs(off))),
        "spearman": float(np.mean(ranks)),
        "regret_mean": float(mean[chosen] - mean.min()),
        "rank_of_chosen": int((mean < mean[chosen]).sum()) + 1,
        "regret_single": float(np.mean(single)),
        "spread_of_mean": float(mean.std()),
    }


def printed(table: pd.DataFrame) -> list[dict]:
    """The constants that Ye et al.'s notebook prints, against the losses nearest to them, and our fits to these."""
    near = dict(zip(DOMAINS, ("PubMed_Central", "Books3", "OpenSubtitles", "Github", "Wikipedia_en"), strict=True))
    rows = []
    for domain, loss in near.items():
        shares = table[[f"share_{name}" for name in DOMAINS]].to_numpy()
        theirs = sf.published("data_mixing", f"ye2024_{domain}").predict(r=shares)
        ours = sf.fit(table, "data_mixing", loss=loss).predict(r=shares)
        off = [float(np.sqrt(np.mean(np.log(np.asarray(p) / table[loss]) ** 2))) for p in (theirs, ours)]
        rows.append({"set": domain, "loss": loss, "printed": off[0], "fitted": off[1]})
    return rows


def truths(law: str) -> list[dict[str, float]]:
    """Parameters of five losses, each lowered most by a domain of its own."""
    rng, found = np.random.default_rng(3), []
    for j, own in enumerate(DOMAINS):
        if law == "data_mixing":
            effects = {f"t_{name}": float(rng.normal(0, 0.5)) for name in DOMAINS}
            found.append({"c": 2.0 + 0.3 * j, "k": 0.8, **effects, f"t_{own}": -float(rng.uniform(3, 6))})
        elif law == "effective_mixture":
            worth = {f"w_{name}": float(np.exp(rng.normal(-2, 0.7))) for name in DOMAINS}
            found.append({"E": 1.5 + 0.3 * j, "A": 0.8, "g": 0.35, **worth, f"w_{own}": 1.0})
        else:
            strength = {f"C_{name}": float(np.exp(rng.normal(-1.2, 0.4))) for name in DOMAINS}
            powers = {f"g_{name}": float(rng.uniform(0.4, 0.9)) for name in DOMAINS}
            found.append({"E": 1.5 + 0.3 * j, **strength, f"C_{own}": 1.2, **powers})
    return found


def simulated(truth: str, law: str, n: int, rounds: int) -> dict:
    """Coverage of the intervals on tables of a known law."""
    chosen = sf.laws.get(truth).over(DOMAINS)
    true = WeightedLoss([chosen] * 5, truths(truth), np.full(5, 0.2), DOMAINS, [{}] * 5)
    lower, upper = np.zeros(5), np.ones(5)
    ends = minimise(true.value, true.derivatives, interior(lower, upper)[None], lower, upper, 0.1)
    best = snapped(ends, lower, upper)
    counts: dict[str, list[float]] = {}
    for k in range(rounds):
        rng = np.random.default_rng([k, n])
        shares = rng.dirichlet(np.full(5, 0.8), n)
        shares[shares < 0.02] = 0.0
        shares /= shares.sum(axis=1, keepdims=True)

        def noise(size: int, rng: np.random.Generator = rng) -> np.ndarray:
            return np.exp(NOISE * np.sqrt(0.5) * (rng.standard_normal(size) + rng.standard_normal((5, size))))

        table = pd.DataFrame(shares, columns=[f"share_{name}" for name in DOMAINS])
        for name, values in zip(DOMAINS, true.each(shares) * noise(n), strict=True):
            table[f"loss_{name}"] = values
        found = sf.optimal_mixture(sf.fit(table, law, loss="loss_*"), seed=k)
        here = float(true.value(found.shares[None])[0])
        run = float(true.weights @ (true.each(found.shares[None]) * noise(1))[:, 0])
        gains = [float(true.value(c.mixture[None])[0]) - here for c in found.comparisons]
        inside = (found.interval[0] - 1e-4 <= best[0]) & (best[0] <= found.interval[1] + 1e-4)
        row = {
            "shares": inside.mean(),
            "loss": found.law_interval[0] <= here <= found.law_interval[1],
            "run": found.lower <= run <= found.upper,
            "gain_best": found.comparisons[0].lower <= gains[0] <= found.comparisons[0].upper,
            "gain_mean": found.comparisons[1].lower <= gains[1] <= found.comparisons[1].upper,
            "regret": here - float(true.value(best)[0]),
            "error": found.loss - here,
            "width": (found.interval[1] - found.interval[0]).mean(),
            "trusted": found.trusted,
        }
        for key, value in row.items():
            counts.setdefault(key, []).append(float(value))
    return {"truth": truth, "law": law, "n": n, "rounds": rounds, **{k: float(np.mean(v)) for k, v in counts.items()}}


def story() -> dict[str, str]:
    """What the worked table of docs/mixture.md prints: every mixture allowed, then the ranges of the runs."""
    fits = sf.fit(seventeen_domains()[0], "data_mixing", loss="metric/*")
    return {"free": str(sf.optimal_mixture(fits)), "tried": str(sf.optimal_mixture(fits, bounds="tried"))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--only", choices=("tables", "story", "simulated"))
    options = parser.parse_args()
    document = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    warnings.simplefilter("ignore", sf.ScalefitWarning)
    if options.only in (None, "story"):
        document["story"] = story()
        RESULTS.write_text(json.dumps(document, indent=1) + "\n")
    if options.only in (None, "tables"):
        tables = {"5 domains, 70M": five_domains(), "17 domains, 1M": seventeen_domains()}
        document["held_out"] = [
            {"table": name, "mixtures": len(table), "losses": len(losses), **held_out(table, losses, law)}
            for name, (table, losses) in tables.items()
            for law in ("line", *LAWS)
        ]
        document["printed"] = printed(tables["5 domains, 70M"][0])
        RESULTS.write_text(json.dumps(document, indent=1) + "\n")
    if options.only in (None, "simulated"):
        cells = [("data_mixing", "data_mixing", 24), *((law, law, 48) for law in LAWS)]
        cells += [("effective_mixture", "data_mixing", 48), ("data_mixing", "effective_mixture", 48)]
        document["simulated"] = []
        for cell in cells:
            document["simulated"].append(simulated(*cell, options.rounds))
            print(document["simulated"][-1], flush=True)
            RESULTS.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
