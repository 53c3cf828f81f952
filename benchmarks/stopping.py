"""Benchmark of the advice on live runs: forecasts, bands, false alarms, cost.

Every prior and every interval is learned without the source it is tested on.

    SCALEFIT_DATA_DIR=... python benchmarks/stopping.py [--parts forecasts laws alarms cost]
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path

import numpy as np
import pandas as pd
from stopping_data import Curve, by_source, load_curves

import scalefit as sf
from scalefit.errors import DataError
from scalefit.stopping.curve_laws import CURVE_LAWS, fit_curve
from scalefit.stopping.forecast import Forecaster
from scalefit.stopping.history import MIN_HISTORY, History, learn_and_calibrate
from scalefit.stopping.posterior import summarize
from scalefit.stopping.priors import Priors

FRACTIONS = (0.25, 0.5, 0.75)
MIN_CELLS = 15  # curves a group needs to count in the balanced mean
LEVEL = 0.9


def prefix(curve: Curve, fraction: float) -> tuple[np.ndarray, np.ndarray]:
    """Return what has been logged by `fraction` of the run."""
    keep = curve.steps <= fraction * curve.total
    return curve.steps[keep], curve.loss[keep]


def forecast(curve: Curve, fraction: float, history: History, rated: bool = True) -> dict[str, float] | None:
    """Forecast the end with given priors and history; `rated`: the plan holds the peak rate where it is known."""
    plan = sf.RunPlan(schedule=curve.schedule, optimizer=curve.optimizer, peak_lr=curve.peak_lr if rated else None)
    seen = summarize(curve.schedule, *prefix(curve, fraction))
    if seen is None:
        return None
    end = Forecaster.build(plan, seen, history).at_end(curve.schedule, curve.total, LEVEL)
    return {"loss": end.loss, "lower": end.lower, "upper": end.upper, "n_history": end.n_history}


def recipe_history(curve: Curve, curves: list[Curve], priors: Priors) -> History | None:
    """Earlier runs of the recipe: same schedule group, another model or learning rate; None with too few."""
    runs = [c.finished() for c in curves if c.group == curve.group and c.family != curve.family and c.healthy]
    return History.learn(runs, priors, curve.schedule, curve.total) if len(runs) >= MIN_HISTORY else None


def other_methods(curve: Curve, fraction: float) -> dict[str, float]:
    """Last value, and every curve law fitted freely to the prefix."""
    t, y = prefix(curve, fraction)
    out = {"last_value": float(np.mean(y[t >= t[-1] * 0.96])) if len(t) else np.nan}
    for name in CURVE_LAWS:
        try:
            out[name] = float(fit_curve(name, curve.schedule, t, y).predict(curve.total)[0])
        except DataError:
            out[name] = np.nan
    return out


NAMES = ["key", "source", "group", "name", "healthy", "fraction", "final", "method", "loss", "lower", "upper"]


def as_table(rows: list[tuple]) -> pd.DataFrame:
    """Rows as a table with errors; what could not be forecast counts as wrong by one nat."""
    table = pd.DataFrame(rows, columns=NAMES)
    table["error"] = (table.loss - table.final).abs().fillna(1).clip(upper=1)
    table["covered"] = (table.lower <= table.final) & (table.final <= table.upper)
    table["half_width"] = (table.upper - table.lower) / 2
    return table


def head(curve: Curve, fraction: float) -> tuple:
    """First columns of a row."""
    return (curve.key, curve.source, curve.group, curve.name, curve.healthy, fraction, curve.final)


def run_forecasts(curves: list[Curve]) -> dict:
    """Forecasts without and with history, by priors of the other sources."""
    sources = sorted({c.source for c in curves})
    priors = {s: learn_and_calibrate(by_source(curves, without=s), source=f"all sources but {s}") for s in sources}
    rows = []
    for curve in curves:
        own = priors[curve.source]
        recipe = recipe_history(curve, curves, own)
        for fraction in FRACTIONS:
            found = {"no_history": forecast(curve, fraction, History((), own))}
            found["rate_unsaid"] = forecast(curve, fraction, History((), own), rated=False)
            if recipe is not None:
                found["history"] = forecast(curve, fraction, recipe)
            for method, value in found.items():
                end = value or {"loss": np.nan, "lower": np.nan, "upper": np.nan}
                rows.append((*head(curve, fraction), method, end["loss"], end["lower"], end["upper"]))
    table = as_table(rows)
    groups = group_errors(table)
    out = {"balanced_mae": nested(groups.groupby(["method", "fraction"]).mean()), "per_group_mae": {}, "per_source": {}}
    for method in ("no_history", "rate_unsaid", "history"):
        out["per_group_mae"][method] = nested(groups[method])
        part = table[table.healthy & (table.method == method)].groupby("source")
        out["per_source"][method] = {
            "coverage": part.covered.mean().round(3).to_dict(),
            "mean_half_width": part.half_width.mean().round(4).to_dict(),
            "cells": part.size().to_dict(),
            "largest_error": part.error.max().round(3).to_dict(),
        }
        size = table[table.healthy & (table.method == method)].groupby("group").key.nunique()
        large = table[table.healthy & (table.method == method) & table.group.isin(size[size >= MIN_CELLS].index)]
        cells = large.groupby(["fraction", "group"])
        out.setdefault("per_group_coverage", {})[method] = nested(cells.covered.mean())
        out.setdefault("per_group_half_width", {})[method] = nested(cells.half_width.mean())
        balanced = cells[["covered", "half_width"]].mean().groupby("fraction").mean()
        out.setdefault("balanced_bands", {})[method] = {
            str(f): {k: round(float(v), 4) for k, v in row.items()} for f, row in balanced.iterrows()
        }
    return out


def run_laws(curves: list[Curve]) -> dict:
    """Last value, and every curve law fitted freely to the prefix."""
    rows = []
    for curve in curves:
        for fraction in FRACTIONS:
            for method, loss in other_methods(curve, fraction).items():
                rows.append((*head(curve, fraction), method, loss, np.nan, np.nan))
    groups = group_errors(as_table(rows))
    return {"balanced_mae": nested(groups.groupby(["method", "fraction"]).mean())}


def group_errors(table: pd.DataFrame) -> pd.Series:
    """Mean error per method, fraction and group with enough curves."""
    size = table.groupby("group").key.nunique()
    large = table[table.group.isin(size[size >= MIN_CELLS].index)]
    return large.groupby(["method", "fraction", "group"]).error.mean()


def nested(series: pd.Series) -> dict:
    """{fraction: {row: value}} of a two-level series, rounded for people."""
    return {
        str(k): {str(i): round(float(v), 4) for i, v in part.droplevel(0).items()}
        for k, part in series.groupby(level=0)
    }


def patience_stops(loss: np.ndarray, patience: int, min_delta: float = 0.0) -> bool:
    """Whether default early stopping would have ended the run before its last evaluation."""
    best, waited = np.inf, 0
    for value in loss[:-1]:
        if value < best - min_delta:
            best, waited = value, 0
        else:
            waited += 1
            if waited >= patience:
                return True
    return False


def run_alarms(curves: list[Curve], every: int) -> dict:
    """Advice at every evaluation of every `every`-th curve, through the public API."""
    states: dict[str, int] = {}
    alarmed, found, worst, calls, begin = [], False, 0.0, 0, time.process_time()
    chosen = [c for i, c in enumerate(curves) if i % every == 0 or not c.healthy]
    for curve in chosen:
        plan = sf.RunPlan(schedule=curve.schedule, optimizer=curve.optimizer, peak_lr=curve.peak_lr)
        monitor = sf.Monitor(plan)
        first = None
        for step, loss in zip(curve.steps, curve.loss, strict=True):
            monitor.update(step=step, val_loss=loss)
            advice = monitor.advise()
            calls += 1
            states[advice.state] = states.get(advice.state, 0) + 1
            alarm = advice.action in ("stop", "rollback") or advice.state == "diverging"
            if alarm and first is None:
                first = (float(step), advice.state)
            if curve.healthy and advice.state in ("healthy", "plateau"):
                worst = max(worst, abs(advice.final.loss - curve.final))
        if curve.healthy and first:
            alarmed.append([curve.name, *first])
        found |= bool(first) and not curve.healthy
    healthy = [c for c in chosen if c.healthy]
    return {
        "healthy_curves": len(healthy),
        "healthy_alarmed": alarmed,
        "diverged_curve_found": found,
        "advices": calls,
        "states": states,
        "largest_error_while_called_healthy": round(worst, 3),
        "ms_per_update_and_advise": round((time.process_time() - begin) / calls * 1000, 2),
        "patience_1_would_stop": round(float(np.mean([patience_stops(c.loss, 1) for c in healthy])), 3),
        "patience_3_delta_0.01_would_stop": round(
            float(np.mean([patience_stops(c.loss, 3, 0.01) for c in healthy])), 3
        ),
    }


def resident_mb() -> float:
    """Memory in use now [MB]; its peak would hide what an earlier part freed (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def run_cost(updates: int) -> dict:
    """CPU time of one update and advise at 10,000 points; memory after many updates."""
    schedule = sf.Schedule.cosine(10_000, warmup=100)
    rng = np.random.default_rng(0)
    monitor = sf.Monitor(sf.RunPlan(schedule=schedule))
    noise = rng.normal(0, 0.005, 10_001)
    for step in range(1, 10_000):
        loss = 2.8 + 10 * step**-0.45 + noise[step]
        monitor.update(step=step, val_loss=loss, train_loss=loss, lr=float(schedule.lr(step)))
    times = []
    for step in range(10_000, 10_020):
        begin = time.process_time()
        monitor.update(step=step, val_loss=2.96, train_loss=2.96)
        monitor.advise()
        times.append(time.process_time() - begin)
    long = sf.Monitor(sf.RunPlan(schedule=sf.Schedule.constant(updates)))
    begin, before = time.process_time(), resident_mb()
    for step in range(updates):
        long.update(step=step, train_loss=3.0)
    return {
        "ms_per_update_and_advise_at_10000": round(1000 * float(np.median(times)), 2),
        "updates": updates,
        "seconds": round(time.process_time() - begin, 1),
        "memory_growth_mb": round(resident_mb() - before, 1),
        "points_kept": len(long.curve("train")[0]),
        "state_mb": round(len(long.to_json()) / 2**20, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder")
    parser.add_argument("--parts", nargs="+", default=["forecasts", "laws", "alarms", "cost"])
    parser.add_argument("--alarms-every", type=int, default=1, help="advise along every so manyth curve")
    parser.add_argument("--updates", type=int, default=10_000_000)
    parser.add_argument("--out", default=str(Path(__file__).with_name("results") / "stopping.json"))
    arguments = parser.parse_args()
    curves = load_curves(arguments.folder)
    run = {
        "forecasts": lambda: run_forecasts(curves),
        "laws": lambda: run_laws(curves),
        "alarms": lambda: run_alarms(curves, arguments.alarms_every),
        "cost": lambda: run_cost(arguments.updates),
    }
    out = Path(arguments.out)
    for part in arguments.parts:
        found = run[part]()
        result = json.loads(out.read_text()) if out.exists() else {}
        out.write_text(json.dumps({**result, "curves": len(curves), part: found}, indent=1) + "\n", encoding="utf-8")
        print(part, json.dumps(found, indent=1), flush=True)


if __name__ == "__main__":
    main()
