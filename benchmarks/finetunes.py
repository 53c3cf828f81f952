"""Advice on fine-tunes: fits the constants of the rules, and scores them split by base model.

    SCALEFIT_DATA_DIR=... python benchmarks/finetunes.py [--fit] [--folds 10]

``--fit`` writes scalefit/stopping/_finetunes.json from every run; the scores are cross-validated: each base model is
judged by constants from the others.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import expit

import scalefit as sf
import scalefit.stopping
from scalefit.stopping import evaluations, overfit, regression
from scalefit.stopping.evaluations import Evaluations

TARGET = Path(scalefit.stopping.__file__).with_name("_finetunes.json")
OVERFIT, HEALTHY = 0.05, 0.02  # ends so far above, or within, its best [nat/token]
FRACTIONS = (0.25, 0.5, 0.75)
REACHED = 0.9  # part of the plan that a run must reach for its end to be forecast
IMPLAUSIBLE = 13.0  # another unit


@dataclass(frozen=True)
class FineTune:
    """One run of the table."""

    key: int
    base: str
    generative: bool
    whole: Evaluations
    logged: np.ndarray  # training loss beside each evaluation, NaN where none is
    schedule: sf.Schedule
    epochs: float | None

    def until(self, n: int) -> Evaluations:
        """Return the first `n` evaluations."""
        w = self.whole
        return Evaluations(w.steps[:n], w.loss[:n], w.train[:n], w.total, w.warmup)

    @property
    def overfit(self) -> bool:
        """Level (median of three) ends well above its best, training lower at the end than there."""
        v, train = self.whole.loss, self.whole.train
        level = np.array([np.median(v[max(i - 2, 0) : i + 1]) for i in range(len(v))]) if len(v) > 3 else v
        b = int(np.argmin(level))
        known = np.isfinite(train[-1]) and np.isfinite(train[b])
        return bool(level[-1] > level[b] + OVERFIT and known and train[-1] < train[b])

    @property
    def ends_above(self) -> bool:
        """Its last loss alone stands so far above its best; a training loss not known at both ends says nothing.

        Wider than `overfit`: it takes in a high last evaluation, and runs whose training loss was logged late or never.
        """
        v, train = self.whole.loss, self.logged
        b = int(np.argmin(v))
        known = np.isfinite(train[-1]) and np.isfinite(train[b])
        return bool(v[-1] > v[b] + OVERFIT and not (known and train[-1] >= train[b]))

    @property
    def healthy(self) -> bool:
        """Whether it ends near its best."""
        return bool(self.whole.loss[-1] < self.whole.loss.min() + HEALTHY)


def load(path: str | None = None) -> list[FineTune]:
    """Read the runs with three or more evaluations."""
    table = pd.read_csv(path or Path(os.environ["SCALEFIT_DATA_DIR"]) / "finetunes/finetunes.csv.gz")
    table = table[np.isfinite(table.val_loss) & (table.val_loss > 0) & (table.step > 0)]
    runs = []
    for key, part in table.groupby("curve"):
        part = part.sort_values("step").drop_duplicates("step")
        first, total = part.iloc[0], float(part.total.iloc[0])
        if len(part) < 3 or not total >= part.step.max():
            continue
        warmup = min(float(np.nan_to_num(first.warmup)), total / 2)
        kind = str(first.scheduler)
        if kind == "cosine":
            schedule = sf.Schedule.cosine(total, warmup=warmup)
        elif kind.startswith("constant"):
            schedule = sf.Schedule.constant(total, warmup=warmup)
        else:
            schedule = sf.Schedule.linear(total, warmup=warmup)
        steps, train = part.step.to_numpy(float), part.train_loss.to_numpy(float)
        known = np.isfinite(train)
        loss = part.val_loss.to_numpy(float)
        at = evaluations.at_evaluations(steps, loss, steps[known], train[known])
        whole = Evaluations(steps, loss, at, total, warmup)
        epochs = float(first.epochs) if first.epochs > 0 else None
        runs.append(FineTune(int(key), str(first.base), bool(first.generative), whole, train, schedule, epochs))
    return runs


# -- fits -------------------------------------------------------------------------------------------
def posterior_rows(run: FineTune) -> list[tuple[np.ndarray, float, float]]:
    """Features at every evaluation past the best, whether a later one was better, and weight: a run counts once."""
    rows, v = [], run.whole.loss
    for n in range(2, len(v)):
        part = run.until(n)
        if part.best < n - 1:
            rows.append((overfit.features(part), float(v[n:].min() < v[:n].min() - overfit.BETTER)))
    return [(x, y, 1 / len(rows)) for x, y in rows]


def fit_logistic(x: np.ndarray, y: np.ndarray, weight: np.ndarray, ridge: float = 1e-3) -> np.ndarray:
    """Return the coefficients of a weighted logistic regression by Newton's method."""
    beta = np.zeros(x.shape[1])
    for _ in range(50):
        p = expit(x @ beta)
        step = np.linalg.solve(
            (x * (weight * p * (1 - p))[:, None]).T @ x + ridge * np.eye(len(beta)),
            x.T @ (weight * (y - p)) - ridge * beta,
        )
        beta += step
        if np.abs(step).max() < 1e-9:
            break
    return beta


def end_rows(run: FineTune) -> list[tuple[np.ndarray, np.ndarray, float, float]]:
    """Features of mean and scale, the logarithm of end over now, and the part of the plan, at every evaluation."""
    w = run.whole
    if w.steps[-1] < REACHED * w.total:
        return []
    end, rows = float(w.loss[-1]), []
    for n in range(1, len(w)):
        if w.loss[n - 1] > IMPLAUSIBLE:
            continue
        mean, scale = regression.features(run.until(n), w.total)
        rows.append((mean, scale, float(np.log(end / w.loss[n - 1])), 1.0))
    return [(m, s, y, 1 / len(rows)) for m, s, y, _ in rows]


def fit_end(mean: np.ndarray, scale: np.ndarray, y: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Maximise the Student-t likelihood; a run counts once."""
    p, nu = mean.shape[1], regression.DOF
    weight = weight / weight.sum()

    def loss(b: np.ndarray) -> tuple[float, np.ndarray]:
        s = scale @ b[p:]
        z = (y - mean @ b[:p]) * np.exp(-s)
        value = weight @ ((nu + 1) / 2 * np.log1p(z**2 / nu) + s) + 1e-5 * b @ b
        pull = (nu + 1) * z / (nu + z**2)
        gradient = np.r_[-(weight * pull * np.exp(-s)) @ mean, (weight * (1 - pull * z)) @ scale] + 2e-5 * b
        return float(value), gradient

    start = np.zeros(p + scale.shape[1])
    start[p] = -2.0
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 2000})
    return found.x[:p], found.x[p:]


def learn(runs: list[FineTune]) -> dict:
    """Fit every constant to `runs`."""
    rows = [row for run in runs for row in posterior_rows(run)]
    x, y, weight = (np.array(column) for column in zip(*rows, strict=True))
    bare = [overfit.FEATURES.index(name) for name in overfit.WITHOUT_TRAINING]
    ends = [row for run in runs for row in end_rows(run)]
    mean, scale = fit_end(*(np.array(column) for column in zip(*ends, strict=True)))
    return {
        "better_later": {"names": overfit.FEATURES, "coefficients": fit_logistic(x, y, weight).round(6).tolist()},
        "better_later_without_training": {
            "names": overfit.WITHOUT_TRAINING,
            "coefficients": fit_logistic(x[:, bare], y, weight).round(6).tolist(),
        },
        "end": {
            "mean_names": regression.MEAN, "mean": mean.round(6).tolist(),
            "scale_names": regression.SCALE, "log_scale": scale.round(6).tolist(),
        },
        "provenance": {
            "made_by": "benchmarks/finetunes.py --fit",
            "source": f"{len(runs)} fine-tunes of public model cards, {len({r.base for r in runs})} base models",
            "what": "regression coefficients; no curve is copied",
        },
    }  # fmt: skip


# -- scores -----------------------------------------------------------------------------------------
def replay(run: FineTune, constants: dict) -> tuple[dict, list[dict]]:
    """Advise at every evaluation through the public API, until stopped; and forecast at the fractions."""
    plan = sf.RunPlan(schedule=run.schedule, epochs=run.epochs)
    monitor, w = sf.Monitor(plan), run.whole
    at, states, impossible, cells = None, None, 0, []
    wanted = {int(np.searchsorted(w.steps, f * w.total, side="right")) - 1: f for f in reversed(FRACTIONS)}
    with mock.patch.object(evaluations, "fitted_constants", lambda: constants), \
         mock.patch.object(overfit, "fitted_constants", lambda: constants), \
         mock.patch.object(regression, "fitted_constants", lambda: constants):  # fmt: skip
        for i, (step, value, train) in enumerate(zip(w.steps, w.loss, w.train, strict=True)):
            given = {"train_loss": float(train)} if np.isfinite(train) else {}
            monitor.update(step=float(step), val_loss=float(value), **given)
            if at is not None and i not in wanted:
                continue
            advice = monitor.advise()
            end = advice.final
            impossible += end is not None and not (0 <= end.lower <= end.upper and end.loss > 0)
            if at is None and advice.action in ("stop", "rollback"):
                at, states = i, advice.state
            if i in wanted and w.steps[-1] >= REACHED * w.total and value <= IMPLAUSIBLE and i < len(w) - 1:
                final = float(w.loss[-1])
                cells.append({
                    "key": run.key, "generative": run.generative, "healthy": run.healthy, "fraction": wanted[i],
                    "error": np.nan if end is None else abs(end.loss - final), "last": abs(value - final),
                    "covered": np.nan if end is None else end.lower <= final <= end.upper,
                    "method": "none" if end is None else end.method.split(" ")[0], "n": i + 1,
                })  # fmt: skip
    best_all = float(w.loss.min())
    return {
        "key": run.key, "n": len(w), "overfit": run.overfit, "ends_above": run.ends_above,
        "healthy": run.healthy, "generative": run.generative,
        "stopped": at is not None, "state": states, "impossible": impossible,
        "lost": 0.0 if at is None else float(w.loss[: at + 1].min()) - best_all,
        "saved": 0.0 if at is None else 1 - float(w.steps[at]) / w.total,
    }, cells  # fmt: skip


def summary(stops: pd.DataFrame, cells: pd.DataFrame) -> dict:
    """Return the figures that the documentation prints."""
    over, fine, short = stops[stops.overfit], stops[stops.healthy], stops[stops.overfit & (stops.n <= 7)]
    halted, above = stops[stops.stopped & (stops.overfit | stops.healthy)], stops[stops.ends_above]
    wider = stops[stops.stopped & (stops.ends_above | stops.healthy)]

    def part(frame: pd.DataFrame) -> dict:
        return {
            str(f): {
                "cells": len(c), "mae": round(float(c.error.mean()), 4),
                "last_value": round(float(c["last"].mean()), 4),
                "median": round(float(c.error.median()), 4), "covered": round(float(c.covered.mean()), 3),
            }
            for f, c in frame.groupby("fraction")
        }  # fmt: skip

    def share(values: pd.Series) -> float:
        return round(float(values.mean()), 4) if len(values) else 0.0

    return {
        "runs": len(stops), "overfit": len(over), "healthy": len(fine),
        "overfit_stopped": share(over.stopped), "overfit_stopped_of_7_or_fewer": share(short.stopped),
        "steps_saved": share(over.saved), "healthy_stopped": share(fine.stopped),
        "healthy_generative_stopped": share(fine[fine.generative].stopped),
        "stops_that_lost_0.01": share(halted.lost > 0.01), "largest_loss_of_a_stop": round(float(halted.lost.max()), 3),
        "ends_above": {
            "runs": len(above), "stopped": share(above.stopped), "steps_saved": share(above.saved),
            "stops_that_lost_0.01": share(wider.lost > 0.01),
        },
        "impossible_forecasts": int(stops.impossible.sum()),
        "states_of_stops": {str(k): int(v) for k, v in halted.state.value_counts().items()},
        "healthy_states_of_stops": {str(k): int(v) for k, v in fine[fine.stopped].state.value_counts().items()},
        "forecasts": part(cells), "forecasts_healthy": part(cells[cells.healthy]),
        "forecasts_generative": part(cells[cells.generative]),
        "methods": {str(k): int(v) for k, v in cells.method.value_counts().items()},
    }  # fmt: skip


def cross_validated(runs: list[FineTune], folds: int, learner: Callable[[list[FineTune]], dict] = learn) -> dict:
    """Score the rules, each base model by constants from the others; bases are dealt to `folds` by their size."""
    sizes = pd.Series([run.base for run in runs]).value_counts()
    loads, fold_of = [0] * folds, {}
    for base, size in sizes.items():
        fold_of[base] = int(np.argmin(loads))
        loads[fold_of[base]] += int(size)
    stops, cells = [], []
    for fold in range(folds):
        constants = learner([run for run in runs if fold_of[run.base] != fold])
        for run in runs:
            if fold_of[run.base] == fold:
                stop, found = replay(run, constants)
                stops.append(stop)
                cells += found
    return summary(pd.DataFrame(stops), pd.DataFrame(cells))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--file")
    parser.add_argument("--fit", action="store_true", help="write the constants that scalefit ships")
    parser.add_argument("--folds", type=int, default=10)
    parser.add_argument("--out", default=str(Path(__file__).with_name("results") / "finetunes.json"))
    arguments = parser.parse_args()
    runs = load(arguments.file)
    if arguments.fit:
        TARGET.write_text(json.dumps(learn(runs), indent=1) + "\n", encoding="utf-8")
        print(TARGET.read_text())
        return
    found = cross_validated(runs, arguments.folds)
    Path(arguments.out).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
