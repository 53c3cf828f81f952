"""Best settings from sweeps: larger cells from smaller ones on public sweeps, and coverage on simulated ones.

python benchmarks/hyperparameters.py DATA [--tables 24]   # DATA holds steplaw/, law_tables/ and porian/

Loss lost: the loss of a held-out cell, interpolated at the predicted settings, less the lowest interpolated loss of
that cell. It is a local quadratic at every run (of the runs within a factor of 2.2), and a cubic between them.
"""

from __future__ import annotations

import argparse
import itertools
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import scalefit as sf
from scalefit.planning.published_rules import recipes

HERE = Path(__file__).parent
LEVEL = 0.9
TARGET = (0.82, 0.98)
CONTEXT = 2048
_NEAR = 0.8


def cell_surface(cell: pd.DataFrame) -> tuple[Callable[[np.ndarray], np.ndarray], float]:
    """Loss of a cell at (ln lr, ln batch), and the lowest."""
    from scipy.interpolate import CloughTocher2DInterpolator

    cell = cell[cell["loss"] < 1.15 * cell["loss"].min()]
    x, y = np.log(cell[["lr", "batch_size"]].to_numpy(float)), cell["loss"].to_numpy(float)
    smooth = y.copy()
    for i, at in enumerate(x):
        u = (x - at) / _NEAR
        weight = np.maximum(1 - (u**2).sum(axis=1), 0) ** 2
        near = weight > 0
        if near.sum() >= 9:
            u = u[near]
            basis = np.column_stack([np.ones(len(u)), u, u**2, u[:, 0] * u[:, 1]])
            smooth[i] = np.linalg.lstsq(
                basis.T @ (basis * weight[near, None]), basis.T @ (weight * y)[near], rcond=1e-9
            )[0][0]
    found = CloughTocher2DInterpolator(x, smooth)
    low, high = x.min(axis=0), x.max(axis=0)
    grid = np.stack(np.meshgrid(*[np.linspace(a, b, 81) for a, b in zip(low, high, strict=True)]), axis=-1).reshape(
        -1, 2
    )

    def loss(at: np.ndarray) -> np.ndarray:
        values = found(np.clip(at, low, high))
        return np.where(np.isfinite(values), values, y.max())

    return loss, float(np.nanmin(found(grid)))


def rules(N: float, D: float, C: float) -> dict[str, tuple[float, float]]:
    """Learning rate and batch in sequences by published rules."""
    step, ladder = (recipes(N, D)[name] for name in ("step_law", "olmo_ladder"))
    seek = [sf.published(f"deepseek_{name}").predict(C=C) for name in ("lr", "batch")]
    return {
        "Step Law": (step.learning_rate, step.batch_tokens / CONTEXT),
        "DeepSeek": (float(seek[0]), float(seek[1]) / CONTEXT),
        "OLMo ladder": (ladder.learning_rate, ladder.batch_tokens / CONTEXT),
    }


def held_out(
    runs: pd.DataFrame, n_cells: tuple[int, ...], C_of: Callable[[pd.DataFrame], pd.Series]
) -> list[dict[str, Any]]:
    """Predict the largest cells from the n cheapest."""
    runs = runs.astype({"N": float, "D": float})
    groups = {key: part for key, part in runs.groupby(["N", "D"])}
    compute = {key: float(C_of(part).iloc[0]) for key, part in groups.items()}
    order = sorted(groups, key=compute.__getitem__)
    surfaces = {key: cell_surface(part) for key, part in groups.items()}
    own = fitted(runs).optima.set_index(["N", "D"])
    rows = []
    for n in n_cells:
        train, test = order[:n], order[n:]
        table = pd.concat([groups[key] for key in train])
        row: dict[str, Any] = {"cells": n, "held_out": len(test), "beyond": compute[order[-1]] / compute[train[-1]]}
        lost: dict[str, list[float]] = {}
        inside = {"lr": 0, "batch_size": 0}
        fits = {"cells": fitted(table), "surface": fitted(table, method="surface")}
        optima = fits["cells"].optima
        copied = optima.loc[(optima["N"] * optima["D"]).idxmax()]
        best_runs = log_linear(optima)
        for key in test:
            N, D = key
            asked = rules(N, D, compute[key])
            for method, fit in fits.items():
                one = fit.predict(N=N, D=D).iloc[0]
                asked[f"scalefit, {method}"] = (one["lr"], one["batch_size"])
                if method == "cells":
                    for name in inside:
                        inside[name] += int(one[f"{name}_lower"] <= own.loc[key, name] <= one[f"{name}_upper"])
            asked["best runs, least squares"] = best_runs(N, D)
            asked["largest cell's best, copied"] = (copied["lr"], copied["batch_size"])
            surface, lowest = surfaces[key]
            for name, pair in asked.items():
                lost.setdefault(name, []).append(float(surface(np.log([pair]))[0]) - lowest)
        row["lost"] = {name: {"mean": float(np.mean(v)), "largest": float(np.max(v))} for name, v in lost.items()}
        row["inside"] = {name: count / len(test) for name, count in inside.items()}
        rows.append(row)
    return rows


def fitted(runs: pd.DataFrame, **options: Any) -> sf.Hyperparameters:
    return sf.fit_hyperparameters(runs, T_max=CONTEXT, batch_unit="sequences", **options)


def log_linear(optima: pd.DataFrame) -> Callable[[float, float], tuple[float, float]]:
    """The usual way: a regression through the best run of each cell."""
    x = np.column_stack([np.ones(len(optima)), np.log(optima[["N", "D"]])])
    found = [np.linalg.lstsq(x, np.log(optima[f"{name}_best_run"]), rcond=None)[0] for name in ("lr", "batch_size")]
    return lambda N, D: tuple(float(np.exp(b @ [1, np.log(N), np.log(D)])) for b in found)  # type: ignore[return-value]


def laws_of(fit: sf.Hyperparameters) -> dict[str, Any]:
    laws = fit.laws
    kept = [
        "coefficient",
        *(f"{one}{end}" for one in ("N", "D") for end in ("", "_lower", "_upper", "_droppable")),
        "scatter",
    ]
    return {str(name): {key: float(row[key]) for key in kept} for name, row in laws.iterrows()}


BOWLS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "quadratic": lambda u: 0.5 * u**2,
    "steeper above": lambda u: np.exp(u) - u - 1,
    "two powers": lambda u: (0.3 * np.exp(1.2 * u) + 1.2 * np.exp(-0.3 * u) - 1.5) / (0.36 * 1.5),
}
DESIGNS = {"12 cells": (4, 3), "6 cells": (3, 2)}
SWEEPS = {"lr, 5 values": (5, 1), "lr, 9 values": (9, 1), "lr x batch, 6 x 5": (6, 5)}


def made(bowl: str, design: str, sweep: str, scatter: float, noise: float, bend: float, seed: int) -> tuple[Any, Any]:
    """A sweep with a known optimum: the table, and the function that gives ln lr* without its scatter."""
    rng = np.random.default_rng(seed)
    n_N, n_D = DESIGNS[design]
    n_lr, n_batch = SWEEPS[sweep]
    sizes, ratios = np.geomspace(5e7, 4e8, n_N), np.geomspace(10, 160, n_D)

    def best(N: Any, D: Any) -> Any:
        return np.log(1.79 * N**-0.713 * D**0.307) + 0.5 * bend * np.log(N / 1.4e8) ** 2

    rows, truth = [], {}
    for N in sizes:
        for D in N * ratios:
            star = best(N, D) + scatter * rng.standard_normal()
            batch_star = np.log(0.58 * D**0.571 / CONTEXT) + scatter * rng.standard_normal()
            truth[N, D] = star
            h = 0.04 * np.exp(0.25 * rng.standard_normal(2))
            step = np.log(2.0) * (4 / (n_lr - 1) if n_lr > 5 else 1.0)
            grid = np.log(2.0) * np.round((star + rng.uniform(-0.5, 0.5)) / np.log(2.0))
            for lr in grid + step * (np.arange(n_lr) - (n_lr - 1) / 2):
                batches = (
                    [batch_star] if n_batch == 1 else batch_star + rng.uniform(-0.3, 0.3) + np.log(2) * np.arange(-2, 3)
                )
                for b in batches:
                    u, v = lr - star, b - batch_star
                    loss = 2 + 400 * N**-0.35 + 400 * D**-0.3 + h[0] * BOWLS[bowl](np.array(u))
                    if n_batch > 1:
                        loss += 0.5 * h[1] * v**2 - 0.4 * np.sqrt(h[0] * h[1]) * u * v
                    rows.append((N, D, np.exp(lr), np.exp(b), loss + noise * rng.standard_normal()))
    return pd.DataFrame(rows, columns=["N", "D", "lr", "batch_size", "loss"]), (best, truth)


def simulate(tables: int) -> dict[str, Any]:
    """Coverage and width of intervals of the optima, and of the learning rate beyond the cells."""
    records = []
    cells = list(itertools.product(BOWLS, DESIGNS, SWEEPS, (0.0, 0.1), (0.0015, 0.004), (0.0, 0.04)))
    per = max(1, tables * 6 // len(cells))
    seed = 0
    for bowl, design, sweep, scatter, noise, bend in cells:
        for _ in range(per):
            seed += 1
            table, (best, truth) = made(bowl, design, sweep, scatter, noise, bend, seed)
            if "batch" not in sweep:
                table = table.drop(columns="batch_size")
            for method in ("cells", "surface"):
                record: dict[str, Any] = {
                    "bowl": bowl,
                    "design": design,
                    "sweep": sweep,
                    "scatter": scatter,
                    "noise": noise,
                }
                record |= {"law": "bent" if bend else "straight", "method": method}
                try:
                    of = ("lr", "batch_size") if "batch" in sweep else "lr"
                    unit = {"batch_unit": "sequences"} if "batch" in sweep else {}
                    fit = sf.fit_hyperparameters(table, of, method=method, **unit)
                except sf.FitError as error:
                    records.append({**record, "refused": str(error)[:80]})
                    continue
                optima = fit.optima
                star = np.array([truth[key] for key in zip(optima["N"], optima["D"], strict=True)])
                log = np.log(optima[["lr", "lr_lower", "lr_upper"]].to_numpy())
                record["cells"] = float(np.mean((log[:, 1] <= star) & (star <= log[:, 2])))
                record["cells_width"] = float(np.median(log[:, 2] - log[:, 1]))
                record["left_out"] = len(fit.left_out)
                rng = np.random.default_rng(10**6 + seed)
                N, D = float(table["N"].max()), float(table["D"].max())
                for name, factor in (("compute", 10**0.5), ("both", 10.0)):
                    at = (N * factor, D * factor)
                    row = fit.predict(N=at[0], D=at[1]).iloc[0]
                    new = best(*at) + scatter * rng.standard_normal()
                    record[name] = float(np.log(row["lr_lower"]) <= new <= np.log(row["lr_upper"]))
                    record[f"{name}_width"] = float(np.log(row["lr_upper"] / row["lr_lower"]))
                    record[f"{name}_error"] = float(abs(np.log(row["lr"]) - new))
                records.append(record)
    frame = pd.DataFrame(records)
    return {"tables": int(len(frame) / 2), "summary": summary(frame)}


def summary(frame: pd.DataFrame) -> dict[str, Any]:
    def cell(part: pd.DataFrame) -> dict[str, Any]:
        out: dict[str, Any] = {"tables": len(part), "refused": int(part["cells"].isna().sum())}
        for name in ("cells", "compute", "both"):
            out[name] = {"coverage": float(part[name].mean()), "width": float(part[f"{name}_width"].median())}
        return out

    ours = frame[frame["method"] == "cells"]
    found = {"all": cell(ours)}
    for factor in ("bowl", "design", "sweep", "scatter", "noise", "law"):
        for value, part in ours.groupby(factor, sort=False):
            found[f"{factor} {value}"] = cell(part)
    found["method surface, all"] = cell(frame[frame["method"] == "surface"])
    return found


def porian(data: Path) -> str:
    """What is said of a table in which no setting was swept."""
    try:
        sf.fit_hyperparameters(data / "porian" / "porian_isoflop_points.csv", columns={"N": "n", "D": "tokens"})
    except sf.ScalefitError as error:
        return str(error)
    raise SystemExit("a table without a sweep was fitted")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--tables", type=int, default=24, help="simulated tables, in tens per factor")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    names = {"smooth loss": "loss", "bs": "batch_size"}
    dense = pd.read_csv(arguments.data / "steplaw" / "dense_lr_bs_loss.csv")[
        ["N", "D", "lr", "bs", "smooth loss"]
    ].rename(columns=names)
    moe = pd.read_csv(arguments.data / "law_tables" / "steplaw_moe.csv")
    as_total = fitted(moe.rename(columns={**names, "loss": "train"}))
    moe = moe[["Na", "D", "lr", "bs", "smooth loss"]].rename(columns={**names, "Na": "N"})
    document: dict[str, Any] = {"level": LEVEL, "target": TARGET}
    for name, runs in (("dense", dense), ("moe", moe)):
        fit = fitted(runs)
        off = fit.penalty(N=runs["N"].max(), D=runs["D"].max(), by_factor=2)
        document[name] = {
            "runs": len(runs),
            "cells": int(fit.used.sum()),
            "laws": laws_of(fit),
            "surface": laws_of(fitted(runs, method="surface")),
            "shapes": fit.model.shapes.tolist(),
            "off_by_2": off.drop(columns=["N", "D"]).to_dict("records"),
            "held_out": held_out(runs, (5, 6, 8, 10), lambda part: 6 * part["N"] * part["D"]),
        }
        for row in document[name]["held_out"]:
            print(name, row["cells"], f"x{row['beyond']:.1f}", row["inside"])
            for method, value in row["lost"].items():
                print(f"  {method:28s} {value['mean']:.4f} {value['largest']:.4f}")
    document["moe_by_total"] = {
        "trusted": as_total.trusted,
        "notes": [n.code for n in as_total.notes if n.severity != "info"],
    }
    document["porian"] = porian(arguments.data)
    document["simulated"] = simulate(arguments.tables)
    for name, cell in document["simulated"]["summary"].items():
        shown = " ".join(
            f"{key} {cell[key]['coverage']:.3f} ({cell[key]['width']:.2f})" for key in ("cells", "compute", "both")
        )
        print(f"{name:28s} {cell['tables']:5d} {cell['refused']:3d} {shown}")
    (HERE / "results" / "hyperparameters.json").write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
