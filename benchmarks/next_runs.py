"""What next_runs gains over an isoFLOP grid and over random runs at equal FLOPs, by simulation.

A pilot of three isoFLOP budgets is drawn from a known law with noise, extra runs are chosen in four ways for the same
compute, the law is fitted again, and its answer about a plan far above is held against the truth.

    python benchmarks/next_runs.py --repeats 200 --out benchmarks/results/next_runs.json
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pandas as pd

import scalefit as sf
from scalefit.planning.allocation import on_budget
from scalefit.planning.loss_surface import surface_of

PILOT = (1e17, 3e17, 1e18)
EXTRA, AHEAD, N_RUNS, NOISE = 2e19, 1e22, 8, 0.004
CHINCHILLA = dict(E=1.81686, A=482.00572, alpha=0.34781, B=2085.43420, beta=0.36585)


class Truth:
    """The law that the simulated runs follow."""

    def __init__(self, g: float) -> None:
        # The coupled law L = E + (a^(1/g) + b^(1/g))^g of the two terms of Chinchilla; g = 1 is Chinchilla itself.
        self.g = g

    def predict(self, N, D):
        """Loss [nat/token]."""
        c, g = CHINCHILLA, self.g
        a, b = c["A"] * np.asarray(N, float) ** -c["alpha"], c["B"] * np.asarray(D, float) ** -c["beta"]
        return c["E"] + (a ** (1 / g) + b ** (1 / g)) ** g


def isoflop_rows(budgets, n, centre, width=5.0):
    rows = []
    for budget in budgets:
        N = centre(budget) * np.geomspace(1 / width, width, n)
        rows.append(pd.DataFrame({"N": N, "D": budget / (6 * N)}))
    return pd.concat(rows, ignore_index=True)


def observed(truth, runs, rng):
    loss = truth.predict(runs["N"], runs["D"]) * np.exp(NOISE * rng.standard_normal(len(runs)))
    return runs[["N", "D"]].assign(loss=loss)


def random_runs(pilot, rng):
    """Runs log-uniform over the candidates' range, until the compute is spent or the number is reached."""
    ratio = np.log(np.clip([(pilot.D / pilot.N).min(), (pilot.D / pilot.N).max()], 1, 1000))
    low, high = np.log((6 * pilot.N * pilot.D).min()), np.log(EXTRA)
    chosen, spent = [], 0.0
    for _ in range(1000):
        if len(chosen) == N_RUNS:
            break
        C, r = np.exp(rng.uniform(low, high)), np.exp(rng.uniform(*ratio))
        if spent + C > EXTRA:
            continue
        N = np.sqrt(C / (6 * r))
        chosen.append((N, r * N))
        spent += C
    runs = pd.DataFrame(chosen, columns=["N", "D"])
    # Equal FLOPs: what is left goes to all of them alike.
    return runs * np.sqrt(EXTRA / spent)


def one(truth, law, target, rng):
    """Errors of the answer about the plan after each way to spend the extra compute."""
    ideal = on_budget(surface_of(truth), 1e18)
    drift = ideal.N[0] * 1.4  # nobody knows the optimum beforehand: the grids are centred 40 % off

    def centre(budget):
        return drift * (budget / 1e18) ** 0.5

    pilot = observed(truth, isoflop_rows(PILOT, 6, centre), rng)
    first = sf.fit(pilot, law)
    per_run = EXTRA / N_RUNS
    designs = {
        "nothing": None,
        "isoflop, one budget": isoflop_rows((per_run,), N_RUNS, centre),
        "isoflop, two budgets": isoflop_rows((per_run * 0.4, per_run * 1.6), N_RUNS // 2, centre),
        "random": random_runs(pilot, rng),
        "next_runs": sf.next_runs(first, EXTRA, target=target, C=AHEAD, n_runs=N_RUNS),
    }
    best = on_budget(surface_of(truth), AHEAD)
    lowest = float(truth.predict(best.N[0], best.D[0]))
    out = {}
    for name, runs in designs.items():
        table = pilot if runs is None else pd.concat([pilot, observed(truth, runs, rng)], ignore_index=True)
        again = sf.fit(table, law)
        plan = sf.plan(again, C=AHEAD)
        out[name] = {
            "ln_loss": np.log(again.predict(N=best.N[0], D=best.D[0]) / lowest),
            "ln_N": np.log(plan.N / best.N[0]),
            "E": again.params["E"] - CHINCHILLA["E"],
            "regret": float(truth.predict(plan.N, plan.D)) - lowest,
            "flops": 0.0 if runs is None else float((6 * runs["N"] * runs["D"]).sum()),
        }
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--out", type=Path, default=None)
    options = parser.parse_args()
    report = {"repeats": options.repeats, "noise": NOISE, "extra": EXTRA, "ahead": AHEAD, "scenarios": []}
    for g, law, target in ((1.0, "chinchilla", "loss"), (1.0, "chinchilla", "N"), (0.7, "chinchilla", "loss")):
        started, rows = time.process_time(), []
        for seed in range(options.repeats):
            try:
                rows.append(one(Truth(g), law, target, np.random.default_rng(seed)))
            except sf.ScalefitError as error:
                print(f"seed {seed}: {error}")
        table = {}
        for name in rows[0]:
            frame = pd.DataFrame([row[name] for row in rows])
            table[name] = {
                "rmse_ln_loss": float(np.sqrt((frame["ln_loss"] ** 2).mean())),
                "mae_ln_loss": float(frame["ln_loss"].abs().mean()),
                "rmse_ln_N": float(np.sqrt((frame["ln_N"] ** 2).mean())),
                "mae_ln_N": float(frame["ln_N"].abs().mean()),
                "mae_E": float(frame["E"].abs().mean()),
                "mean_regret": float(frame["regret"].mean()),
                "mean_flops": float(frame["flops"].mean()),
            }
        scenario = {"truth_g": g, "fitted": law, "target": target, "designs": table, "n": len(rows)}
        report["scenarios"].append({**scenario, "cpu_s": time.process_time() - started})
        print(f"truth g={g}, fitted {law}, target {target}, {len(rows)} repeats")
        print(pd.DataFrame(table).T.to_string(float_format=lambda v: f"{v:.4g}"))
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
