"""The balance of N and D: along which curve training and held-out loss begin to agree.

Niu et al. (2024) say N = O(D^2) at fixed width, and D^4 where the width grows with N; D counts distinct tokens. The gap
between held-out and training loss is measured over a grid of models and of amounts of distinct data, all trained for
the same number of steps, and log gap = a + b log N - c log D gives the curve of equal gap, N ~ D^(c/b).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from scalefit.training.config import (
    CorpusConfig,
    EvaluationConfig,
    ModelConfig,
    OptimizerConfig,
    RunConfig,
    RuntimeConfig,
    ScheduleConfig,
)
from scalefit.training.experiments.finding import Finding, losses_at_end, outlook, train_to_end
from scalefit.training.trained import load_trained

TITLE = "Balance: the gap between training and held-out loss over N and D"
SIZES: dict[str, dict[str, Any]] = {
    "tiny": {"shapes": ((1, 16), (1, 32)), "distinct": (8_000, 16_000), "tokens": 30_000, "T_max": 64},
    "small": {
        "shapes": ((1, 16), (2, 32), (2, 64), (3, 96)), "distinct": (16_000, 32_000, 65_000, 130_000),
        "tokens": 400_000, "T_max": 64,
    },
    "full": {
        "shapes": ((2, 64), (4, 128), (6, 256), (6, 384), (8, 512)),
        "distinct": (500_000, 1_000_000, 2_000_000, 4_000_000, 8_000_000), "tokens": 40_000_000, "T_max": 128,
    },
}  # fmt: skip


def run(settings: dict[str, Any], store: Path) -> Finding:
    """Train the grid and fit the exponent of the curve of equal gap."""
    rows = []
    for n_layers, d_emb in settings["shapes"]:
        for distinct in settings["distinct"]:
            config = RunConfig(
                model=ModelConfig(n_layers=n_layers, d_emb=d_emb, n_heads=max(1, d_emb // 32), T_max=settings["T_max"]),
                corpus=CorpusConfig(
                    source="markov", order=2, n_states=64, branching=4, n_tokens=distinct, val_fraction=0.5
                ),
                optimizer=OptimizerConfig(lr=5e-3, batch_size=16, weight_decay=0.0),
                schedule=ScheduleConfig(tokens=(settings["tokens"],)),
                evaluation=EvaluationConfig(tokens=60_000, curve_points=0),
                runtime=RuntimeConfig(keep_weights=True),
                series="balance",
            )
            row = train_to_end(config, store).rows[-1]
            train_loss, _ = load_trained(config, store).loss("train", tokens=60_000)
            rows.append(
                {
                    "N": row["N"],
                    "distinct_tokens": row["unique_tokens"],
                    "D": row["D"],
                    "epochs": row["epochs"],
                    **losses_at_end(row, train_loss),
                    "gap": row["loss"] - train_loss,
                    "status": row["status"],
                }
            )
            last = row
    exponent, error, used = equal_gap_exponent(rows)
    if math.isnan(exponent):
        measured = f"Only {used} cells have a gap above 0.01 nat: too few to fit the curve of equal gap."
    else:
        measured = (
            f"Over {used} cells with a gap above 0.01 nat the curve of equal gap is N ~ D^{exponent:.2f} (standard "
            f"error {error:.2f}); the paper says D^2 at fixed width and its formulas, read consistently, D^4."
        )
        distance = {power: abs(exponent - power) / error for power in (2, 4)}
        measured += " " + " ".join(f"D^{power} is {away:.1f} standard errors away." for power, away in distance.items())
    lowest = min(row["train_loss"] for row in rows)
    memory = "below H(data), which only memory can explain" if lowest < last["H_data"] else "above H(data)"
    verdict = (
        f"{outlook(last)} H(data) = {last['H_data']:.4f} nat/token. {measured} The lowest training loss is "
        f"{lowest:.3f}, {memory}. The exponent holds for this source, these steps and this range; it is one "
        "measurement, not a law."
    )
    return Finding(TITLE, rows, verdict, lambda figure: _draw(figure, rows))


def equal_gap_exponent(rows: list[dict[str, Any]]) -> tuple[float, float, int]:
    """Fit log gap = a + b log N - c log D; return c/b, its standard error (delta method) and the cells used.

    Examples
    --------
    >>> rows = [{"N": n, "distinct_tokens": d, "gap": n**0.5 / d} for n in (10.0, 99.0) for d in (1.0, 5.0, 9.0)]
    >>> round(equal_gap_exponent(rows)[0], 3)
    2.0
    """
    kept = [row for row in rows if row["gap"] > 0.01 and math.isfinite(row["gap"])]
    design = np.array([[1.0, math.log(row["N"]), -math.log(row["distinct_tokens"])] for row in kept])
    if len(kept) < 4 or np.linalg.matrix_rank(design) < 3:
        return math.nan, math.nan, len(kept)
    target = np.log([row["gap"] for row in kept])
    solution, *_ = np.linalg.lstsq(design, target, rcond=None)
    residual = target - design @ solution
    cov = residual @ residual / max(1, len(kept) - 3) * np.linalg.inv(design.T @ design)
    b, c = solution[1], solution[2]
    slope = np.array([0.0, -c / b**2, 1 / b])
    return float(c / b), float(math.sqrt(slope @ cov @ slope)), len(kept)


def _draw(figure: Any, rows: list[dict[str, Any]]) -> None:
    axes = figure.subplots()
    for N in sorted({row["N"] for row in rows}):
        mine = [row for row in rows if row["N"] == N]
        axes.plot([r["distinct_tokens"] for r in mine], [r["gap"] for r in mine], "o-", label=f"N = {N:,}")
    axes.axhline(0.0, color="black", linewidth=0.5)
    axes.set(xscale="log", xlabel="distinct tokens", ylabel="held-out minus training loss [nat/token]", title=TITLE)
    axes.legend()
