"""Answers of the numeric core on made tables and curves, as one JSON document: run once per kernel and compared."""

from __future__ import annotations

import json
import sys
import warnings
from typing import Any

import numpy as np
import pandas as pd

import scalefit as sf
from scalefit.memory import DistanceEnergy, ModernHopfield, log_partition

RUNS = {"N": 3e10, "D": 2e12}


def tables() -> dict[str, tuple[str, pd.DataFrame]]:
    """Tables by name, each with its law: grids, ladders and isoFLOP runs, clean, noisy and pooled."""
    made: dict[str, tuple[str, pd.DataFrame]] = {}
    laws = {"chinchilla": "besiroglu2024", "kaplan": "kaplan2020", "over_training": "gadre2024_c4"}
    for law, key in laws.items():
        truth = sf.published(law, key)
        for seed, (noise, n) in enumerate([(0.001, 24), (0.005, 60), (0.02, 120)]):
            rng = np.random.default_rng(seed)
            N, D = 10 ** rng.uniform(7.5, 10, n), 10 ** rng.uniform(9.5, 11.5, n)
            loss = truth.predict(N=N, D=D) * np.exp(noise * rng.standard_normal(n))
            made[f"{law} {noise}"] = law, pd.DataFrame({"N": N, "D": D, "loss": loss})
    chinchilla = made["chinchilla 0.005"][1]
    made["coupled"] = "coupled", chinchilla
    made["compute"] = (
        "power_law:C",
        pd.DataFrame({"C": np.geomspace(1e18, 1e21, 12)}).assign(
            loss=lambda t: 1.7 + 30 * t["C"] ** -0.09 * np.exp(0.002 * np.random.default_rng(4).standard_normal(12))
        ),
    )
    x = np.geomspace(1e6, 1e12, 24)
    bend = 1.5 + 40 * x**-0.3 * (1 + (x / 1e9) ** 2) ** (-0.25 / 2)
    noise = np.exp(0.002 * np.random.default_rng(5).standard_normal(24))
    made["bend"] = "broken_power_law:N", pd.DataFrame({"N": x, "loss": bend * noise})
    narrow = chinchilla.assign(N=2.15e9 * (1 + 0.001 * np.arange(60) / 60))
    made["hardly varied"] = "chinchilla", narrow
    made["few"] = "chinchilla", chinchilla.head(7)
    return made


def fits() -> dict[str, Any]:
    """Objective, verdict, notes, predictions and print of each fit; a refusal is its words."""
    found: dict[str, Any] = {}
    for name, (law, table) in tables().items():
        try:
            result = sf.fit(table, law)
        except sf.FitError as error:
            found[name] = {"refused": str(error)}
            continue
        trusted = result.certificate.trusted
        answer: dict[str, Any] = {"trusted": trusted, "notes": [note.code for note in result.notes]}
        if trusted:
            at = {key: RUNS.get(key, 1e23) for key in result.law.inputs}
            interval = result.predict_interval(**at).iloc[0]
            answer |= {
                "objective": result.objective_value,
                "predicted": [float(interval[c]) for c in ("loss", "lower", "upper")],
                "text": str(result),
            }
        found[name] = answer
    return found


def forecasts() -> dict[str, Any]:
    """Forecasts and plans from them, and plans from fits and from published laws."""
    found: dict[str, Any] = {}
    for name in ("chinchilla 0.001", "chinchilla 0.005", "kaplan 0.005", "over_training 0.02"):
        forecast = sf.forecast(tables()[name][1])
        row = forecast.predict_interval(**RUNS).iloc[0]
        found[f"forecast {name}"] = {
            "loss": [float(row[c]) for c in ("loss", "lower", "upper")],
            "notes": [note.code for note in forecast.notes],
        }
    fitted = sf.fit(tables()["chinchilla 0.005"][1])
    for name, law in {"fit": fitted, "published": sf.published("chinchilla", "besiroglu2024")}.items():
        plan = sf.plan(law, C=1e22)
        found[f"plan {name}"] = {"N": plan.N, "D": plan.D, "loss": plan.loss, "text": str(plan)}
    return found


def curves() -> dict[str, list[tuple[float, float, float]]]:
    """Live runs by name: step, validation and training loss. Several have slopes of exactly zero."""
    steps = np.arange(200, 10_001, 200.0)
    falling = 2.4 + 8 * steps**-0.5
    rng = np.random.default_rng(3)
    flat = np.full(50, 2.9)
    made = {"healthy": (falling, falling - 0.05), "noisy": (falling + 0.01 * rng.standard_normal(50), falling)}
    for name, floor in {"overfit, loss of zero": 0.0, "overfit, flat": 0.01}.items():
        train = np.maximum(floor, 2.4 - 2.4 * steps / 8000)
        train[15:] = np.where(floor, floor, train[15:])
        made[name] = falling + 4e-8 * np.maximum(steps - 3000, 0) ** 2, train
    made["rising, train flat"] = falling + 4e-8 * np.maximum(steps - 3000, 0) ** 2, np.full(50, 0.3)
    made["diverging"] = (
        falling + 1e-7 * np.maximum(steps - 5000, 0) ** 2,
        falling + 1e-7 * np.maximum(steps - 5000, 0) ** 2,
    )
    made["plateau"] = np.maximum(falling, flat), np.maximum(falling, flat)
    return {
        name: [(float(s), float(v), float(t)) for s, v, t in zip(steps, val, train, strict=True)]
        for name, (val, train) in made.items()
    }


def advice() -> dict[str, Any]:
    """Action, state, reasons and forecast at every evaluation of each curve."""
    found: dict[str, Any] = {}
    for name, rows in curves().items():
        for unique in (None, 5e5):
            schedule = sf.Schedule.constant(10_000, warmup=100)
            plan = sf.RunPlan(schedule=schedule, tokens_per_step=1000, unique_tokens=unique)
            monitor, said, ends = sf.Monitor(plan), [], []
            for step, val, train in rows:
                monitor.update(step=step, val_loss=val, train_loss=train)
                now = monitor.advise()
                said.append(f"{now.action} {now.state} {' '.join(reason.code for reason in now.reasons)}")
                ends.append(None if now.final is None else [now.final.loss, now.final.lower, now.final.upper])
            found[f"advice {name} {unique}"] = {"said": said, "ends": ends, "text": str(now)}
    return found


def memory() -> dict[str, Any]:
    """Energies, partition functions and floors."""
    rng = np.random.default_rng(7)
    patterns, x = rng.standard_normal((12, 8)), rng.standard_normal((5, 8))
    floor = sf.loss_floor(N=124e6, D=9e9, n_layers=12, d_emb=768, T_max=1024)
    return {
        "energies": [np.asarray(e(patterns).energy(x)).tolist() for e in (ModernHopfield, DistanceEnergy)],
        "partition": float(log_partition(96, 6.0, 1e6, "exact")),
        "floor": {"lower": floor.loss_lower, "regime": str(floor.regime), "text": str(floor)},
    }


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    answers = {"fits": fits(), "forecasts": forecasts(), "advice": advice(), "memory": memory()}
    json.dump(answers, sys.stdout)
