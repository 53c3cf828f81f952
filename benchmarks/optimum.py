"""Does a fit end at the optimum? Random tables for every law against an independent search; results/optimum.json.

Each table is drawn from the law itself at random constants, with noise and a few bad runs, by one of the designs that
people use: isoFLOP curves, a grid, a ladder, and one variable alone. The other search shares no code with the fit:
random starts, least squares reweighted towards Huber's penalty for all of them at once, and BFGS in whitened variables
from the lowest few and from the truth. A fit misses where its objective is above the other's by more than 1e-6.

    OMP_NUM_THREADS=1 python benchmarks/optimum.py --tables 100
    OMP_NUM_THREADS=1 python benchmarks/optimum.py --tables 1000 --processes 8 --laws coupled kaplan
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize

import scalefit as sf

RESULTS = Path(__file__).parent / "results" / "optimum.json"
DELTA, TOLERANCE = 1e-3, 1e-6
STARTS, POLISHED = 96, 6
Values = dict[str, Any]


# -- tables ------------------------------------------------------------------------------------------------------------


def design(rng: np.random.Generator, n: int) -> tuple[str, np.ndarray, np.ndarray]:
    """About n pairs of parameters and tokens."""
    kind = ("isoFLOP", "grid", "ladder")[rng.integers(3)]
    low, decades = 10 ** rng.uniform(6.5, 8), rng.uniform(1.2, 3)
    if kind == "isoFLOP":
        budgets = int(min(rng.integers(3, 8), max(2, n // 3)))
        budget = np.repeat(10 ** np.linspace(17.5, 17.5 + 1.2 * decades, budgets), -(-n // budgets))[:n]
        N = np.sqrt(budget / 120) * 10 ** rng.uniform(-0.8, 0.8, n)
        return kind, N, budget / 6 / N
    if kind == "grid":
        side = max(3, int(np.sqrt(n)))
        sizes = np.geomspace(low, low * 10**decades, side)
        tokens = np.geomspace(20 * low, 20 * low * 10 ** rng.uniform(1.2, 3), max(3, n // side))
        N, D = (axis.ravel() for axis in np.meshgrid(sizes, tokens))
        return kind, N[: max(n, 9)], D[: max(n, 9)]
    N = np.geomspace(low, low * 10**decades, n) * np.exp(0.1 * rng.standard_normal(n))
    return kind, N, N * 20 * 2 ** rng.uniform(-3, 5, n)


def shares(rng: np.random.Generator, size: Any = None) -> np.ndarray:
    return rng.uniform(0.03, 1.0, size)


def truth_of(law: str, rng: np.random.Generator, columns: Values) -> Values:
    """Random constants, for inputs in units of their geometric means (where N = D = C = 1 is mid-table)."""
    E, a, b = rng.uniform(0.8, 2.2), rng.uniform(0.1, 1.5), rng.uniform(0.1, 1.5)
    alpha, beta = rng.uniform(0.15, 0.6, 2)
    if law == "chinchilla":
        return dict(E=E, A=a, alpha=alpha, B=b, beta=beta)
    if law == "over_training":
        return dict(E=E, A=a, B=b * np.sqrt(6) ** alpha, alpha=alpha)
    if law == "data_constrained":
        repeats = dict(R_D=10 ** rng.uniform(0.5, 1.8), R_N=10 ** rng.uniform(0.3, 1.3))
        return dict(E=E, A=a, alpha=alpha, B=b, beta=beta, **repeats)
    if law == "coupled":
        g = rng.uniform(0.25, 1.2)
        return dict(E=E, A=a ** (1 / g), alpha=alpha, B=b ** (1 / g), beta=beta, g=g)
    if law == "kaplan":
        top, other, ratio = rng.uniform(2, 3.5), shares(rng), rng.uniform(0.05, 0.25, 2)
        return dict(N_c=top ** (1 / ratio[0]), alpha_N=ratio[0], D_c=(top * other) ** (1 / ratio[1]), alpha_D=ratio[1])
    if law == "power_law":
        return dict(E=E, A=a, alpha=alpha)
    x = np.log(next(iter(columns.values())))
    c0, kind = rng.uniform(0.15, 0.45), rng.integers(3)
    c1 = (rng.uniform(0.1, 0.5), -c0 * rng.uniform(0.3, 0.8), -c0 * rng.uniform(1.2, 1.8))[kind]
    d1, f1 = np.exp(np.quantile(x, rng.uniform(0.2, 0.8))), rng.uniform(0.15, 1.0)
    return dict(E=E, A=a * np.exp(c1 * f1 * np.logaddexp(0, -np.log(d1) / f1)), c0=c0, c1=c1, d1=d1, f1=f1)


LAWS = ("broken_power_law", "chinchilla", "coupled", "data_constrained", "kaplan", "over_training", "power_law")


def table_of(name: str, seed: int) -> tuple[str, Any, dict[str, np.ndarray], Values]:
    """Design, law, the runs (inputs and loss) and the constants they were drawn from."""
    rng = np.random.default_rng([LAWS.index(name), seed])
    n = int(np.exp(rng.uniform(np.log(8), np.log(500))))
    kind, N, D = design(rng, n)
    law, columns = sf.laws.get(name), {"N": N, "D": D}
    if law.choices:
        key = law.choices[rng.integers(len(law.choices))]
        law, kind = law.on(key), "one variable"
        low, decades = {"N": 6.5, "D": 8, "C": 16}[key], rng.uniform(2, 6)
        columns = {key: 10 ** (low + decades * (np.linspace(0, 1, n) if rng.random() < 0.5 else rng.random(n)))}
    elif "unique_tokens" in law.inputs:
        columns["unique_tokens"] = D / np.maximum(1, 10 ** rng.uniform(-0.5, 1.7, N.size))
    unit = {key: float(np.exp(np.log(value).mean())) for key, value in columns.items()}
    if "unique_tokens" in unit:
        unit["unique_tokens"] = unit["D"]
    scaled = {key: value / unit[key] for key, value in columns.items()}
    truth = truth_of(name, rng, scaled)
    size = 10 ** rng.uniform(-3, -2)
    error = rng.standard_normal(N.size if not law.choices else n) if rng.random() < 0.5 else None
    error = rng.standard_t(4, len(next(iter(columns.values())))) / 1.4 if error is None else error
    if rng.random() < 0.2:
        error[rng.random(error.size) < 0.05] += 15
    loss = law.evaluate(scaled, truth) * np.exp(size * error)
    return kind, law, {**columns, "loss": loss}, truth


# -- the other search --------------------------------------------------------------------------------------------------


class Search:
    """Random starts, reweighted least squares for all at once, BFGS for the lowest: nothing of the fit's own."""

    def __init__(self, law: Any, columns: dict[str, np.ndarray], loss: np.ndarray) -> None:
        self.law, self.loss, self.y = law, loss, np.log(loss)
        self.unit = {key: float(np.exp(np.log(value).mean())) for key, value in columns.items()}
        if "unique_tokens" in self.unit:
            self.unit["unique_tokens"] = self.unit["D"]
        self.columns = {key: value / self.unit[key] for key, value in columns.items()}
        self.names = list(law.parameters)
        self.log = np.array([p.log for p in law.parameters.values()])

    def residuals(self, x: np.ndarray) -> np.ndarray:
        """Residuals of the log loss (b, n) at rows of parameters (b, p), positive ones as logarithms."""
        values = {k: np.exp(x[:, [j]]) if self.log[j] else x[:, [j]] for j, k in enumerate(self.names)}
        return np.log(self.law.evaluate(self.columns, values)) - self.y

    def slopes(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Residuals (b, n) and their slopes (b, p, n) by central differences."""
        out = []
        for j in range(x.shape[1]):
            step = np.zeros(x.shape[1])
            step[j] = 1e-6
            out.append((self.residuals(x + step) - self.residuals(x - step)) / 2e-6)
        return self.residuals(x), np.stack(out, axis=1)

    def value(self, x: np.ndarray) -> np.ndarray:
        """Huber's penalty summed over the runs (b,)."""
        size = np.abs(self.residuals(x))
        inner = np.minimum(size, DELTA)
        return np.nan_to_num((inner * (size - inner / 2)).sum(axis=1), nan=np.inf, posinf=np.inf)

    def box(self) -> tuple[np.ndarray, np.ndarray]:
        """Bounds in these units, wide; whether the law's own are kept is looked at in the end."""
        lower, upper = (np.array([p.bounds[k] for p in self.law.parameters.values()], float) for k in (0, 1))
        inner = [np.where(self.log, np.log(np.maximum(side, 1e-300)), side) for side in (lower, upper)]
        return np.where(self.log & (lower == 0), np.log(1e-10), inner[0]), inner[1]

    def allowed(self, x: np.ndarray) -> bool:
        """Whether natural values lie within the law's bounds."""
        values = dict(zip(self.names, np.where(self.log, np.exp(x), x), strict=True))
        natural = self.law.rescale(values, {k: 1 / u for k, u in self.unit.items()}) if self.law.rescale else values
        pairs = ((natural[k], p.bounds) for k, p in self.law.parameters.items())
        return all(low - 1e-9 * abs(low) <= v <= high * (1 + 1e-9) for v, (low, high) in pairs)

    def random(self, rng: np.random.Generator, m: int) -> np.ndarray:
        """Random starts (m, p) over everything that the law could mean on these runs."""
        middle = float(np.median(self.loss))
        E = self.loss.min() * rng.choice([0.02, 1.0], m) * rng.uniform(0.1, 0.98, m)
        a, b = (np.maximum(middle - E, 0.05 * middle) * shares(rng, m) for _ in range(2))
        alpha, beta = 10 ** rng.uniform(-1.5, 0.2, (2, m))
        log_x = np.log(next(iter(self.columns.values())))
        g = 10 ** rng.uniform(-1.2, 0.5, m)
        found: dict[str, np.ndarray] = dict(E=E, A=a, B=b, alpha=alpha, beta=beta, R_D=10 ** rng.uniform(0, 2.5, m))
        found |= dict(R_N=10 ** rng.uniform(0, 2.5, m), alpha_N=alpha / 3, alpha_D=beta / 3)
        found |= dict(N_c=(middle * shares(rng, m)) ** (3 / alpha), D_c=(middle * shares(rng, m)) ** (3 / beta))
        if "g" in self.names:
            found |= dict(g=g, A=a ** (1 / g), B=b ** (1 / g))
        if "d1" in self.names:
            c0, after, f1 = 10 ** rng.uniform(-1.5, 0.2, m), rng.uniform(-0.7, 1.0, m), 10 ** rng.uniform(-1.3, 0.4, m)
            d1 = rng.uniform(log_x.min() - 0.5, log_x.max() + 0.5, m)
            term = (after - c0) * f1 * np.logaddexp(0, -d1 / f1)
            found |= dict(c0=c0, c1=after - c0, d1=np.exp(d1), f1=f1, A=a * np.exp(term))
        table = np.stack([found[name] for name in self.names], axis=1)
        return np.where(self.log, np.log(np.maximum(table, 1e-290)), table)

    def squares(self, x: np.ndarray, steps: int, delta: float) -> np.ndarray:
        """Levenberg and Marquardt's steps of reweighted least squares, every row at once."""
        low, high = self.box()
        damping, x = np.full(len(x), 1e-2), np.clip(x, low, high)

        def height(r: np.ndarray) -> np.ndarray:
            size = np.abs(r)
            inner = np.minimum(size, delta)
            return np.nan_to_num((inner * (size - inner / 2)).sum(axis=1), nan=np.inf, posinf=np.inf)

        r, J = self.slopes(x)
        f = height(r)
        for _ in range(steps):
            w = 1 / np.maximum(np.abs(r), delta)
            M, g = (J * w[:, None]) @ np.swapaxes(J, 1, 2), (J @ (w * r)[:, :, None])[:, :, 0]
            held = ((x <= low) & (g > 0)) | ((x >= high) & (g < 0))
            free = ~held
            M = np.nan_to_num(M * free[:, :, None] * free[:, None, :])
            g = np.nan_to_num(np.where(held, 0.0, g))
            at = np.arange(x.shape[1])
            M[:, at, at] += damping[:, None] * M[:, at, at] + 1e-12 * (1 + M[:, at, at]) + held
            step = np.clip(-np.linalg.solve(M, g[:, :, None])[:, :, 0], -3, 3)
            new = np.clip(x + step, low, high)
            r_new, J_new = self.slopes(new)
            f_new = height(r_new)
            better = f_new < f
            x, f = np.where(better[:, None], new, x), np.where(better, f_new, f)
            r, J = np.where(better[:, None], r_new, r), np.where(better[:, None, None], J_new, J)
            damping = np.clip(np.where(better, damping / 4, damping * 5), 1e-10, 1e8)
        return x

    def polish(self, x: np.ndarray) -> np.ndarray:
        """BFGS in variables in which the runs' information is about the unit matrix; what is at a bound stays."""
        low, high = self.box()
        for _ in range(3):
            r, J = (part[0] for part in self.slopes(x[None]))
            free = (x > low) & (x < high)
            M = (J[free] / np.maximum(np.abs(r), DELTA)) @ J[free].T
            values, vectors = np.linalg.eigh(np.nan_to_num(M))
            basis = vectors / np.sqrt(np.maximum(values, 1e-12 * values[-1]) + 1e-300) * np.sqrt(len(r))
            start = x

            def point(z: np.ndarray, start=start, free=free, basis=basis) -> np.ndarray:
                out = start.copy()
                out[free] += basis @ z
                return np.clip(out, low, high)

            def height(z: np.ndarray, free=free, basis=basis, point=point) -> tuple[float, np.ndarray]:
                r, J = (part[0] for part in self.slopes(point(z)[None]))
                size = np.abs(r)
                inner = np.minimum(size, DELTA)
                psi = np.clip(r, -DELTA, DELTA)
                return float(np.nan_to_num((inner * (size - inner / 2)).sum(), nan=1e300)) / DELTA, (
                    basis.T @ (J[free] @ psi) / DELTA
                )

            end = minimize(height, np.zeros(int(free.sum())), jac=True, method="BFGS", options={"gtol": 1e-9})
            moved = point(end.x)
            if not self.value(moved[None])[0] < self.value(x[None])[0] * (1 - 1e-9):
                break
            x = moved
        return x

    def run(self, rng: np.random.Generator, truth: Values) -> float:
        """Lowest objective within the law's bounds."""
        at = np.array([truth[name] for name in self.names], float)
        at = np.where(self.log, np.log(np.maximum(at, 1e-300)), at)
        with np.errstate(all="ignore"):
            x = self.squares(np.concatenate([self.random(rng, STARTS), at[None]]), 25, 1.0)
            x = self.squares(np.concatenate([x, at[None]]), 40, DELTA)
            order = np.argsort(self.value(x))
            picked: list[int] = []
            for k in order:
                if all(abs(self.value(x[[k]])[0] / self.value(x[[j]])[0] - 1) > 1e-3 for j in picked):
                    picked.append(int(k))
                if len(picked) == POLISHED:
                    break
            ends = [self.polish(x[k]) for k in picked]
            return min((float(self.value(end[None])[0]) for end in ends if self.allowed(end)), default=float("inf"))


# -- the comparison ----------------------------------------------------------------------------------------------------


def one(name: str, seed: int) -> dict[str, Any]:
    """One table: what the fit and the other search reach."""
    warnings.simplefilter("ignore")
    kind, law, runs, truth = table_of(name, seed)
    row: dict[str, Any] = {"law": name, "seed": seed, "design": kind, "n": len(runs["loss"])}
    start = time.process_time()
    try:
        result = sf.fit(runs, law)
    except sf.FitError as error:
        return {**row, "refused": str(error)[:120]}
    row["fit_seconds"] = time.process_time() - start
    start = time.process_time()
    columns = {key: value for key, value in runs.items() if key != "loss"}
    best = Search(law, columns, runs["loss"]).run(np.random.default_rng(seed), truth)
    ours = result.objective_value
    return {
        **row,
        "seconds": time.process_time() - start,
        "ratio": ours / best,
        "miss": bool(ours > best * (1 + TOLERANCE) + 1e-12),
        "lower": bool(best > ours * (1 + TOLERANCE) + 1e-12),
        "trusted": bool(result.certificate.trusted),
        "agree": f"{result.certificate.n_agree} of {result.certificate.n_starts}",
    }


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    out = []
    for law in dict.fromkeys(row["law"] for row in rows):
        fitted = [row for row in rows if row["law"] == law and "refused" not in row]
        misses = [row for row in fitted if row["miss"]]
        out.append(
            {
                "law": law,
                "fitted": len(fitted),
                "refused": sum(row["law"] == law for row in rows) - len(fitted),
                "trusted": sum(row["trusted"] for row in fitted),
                "misses": len(misses),
                "trusted_misses": sum(row["trusted"] for row in misses),
                "worst_ratio": max((row["ratio"] for row in misses), default=1.0),
                "other_search_misses": sum(row["lower"] for row in fitted),
                "median_fit_ms": float(1e3 * np.median([row["fit_seconds"] for row in fitted])) if fitted else None,
            }
        )
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=int, default=100, help="tables a law")
    parser.add_argument("--first", type=int, default=0, help="number of the first table")
    parser.add_argument("--laws", nargs="*", default=LAWS, choices=LAWS)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for law in arguments.laws:
        work: Callable[[int], dict[str, Any]] = partial(one, law)
        seeds = range(arguments.first, arguments.first + arguments.tables)
        if arguments.processes > 1:
            with ProcessPoolExecutor(arguments.processes) as pool:
                rows += pool.map(work, seeds, chunksize=4)
        else:
            rows += map(work, seeds)
        found = summary(rows)[-1]
        print(
            f"{law:18} {found['fitted']:4} fitted, {found['refused']:3} refused, {found['trusted']:4} trusted; "
            f"{found['misses']} misses ({found['trusted_misses']} trusted, up to {found['worst_ratio']:.4g} times); "
            f"the other search misses {found['other_search_misses']}; {found['median_fit_ms'] or 0:.0f} ms a fit",
            flush=True,
        )
        arguments.output.parent.mkdir(exist_ok=True)
        kept = [row for row in rows if row.get("miss")]
        document = {"starts": STARTS, "tolerance": TOLERANCE, "laws": summary(rows), "misses": kept}
        arguments.output.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
