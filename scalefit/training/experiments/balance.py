"""The balance of N and D: the curve along which training and held-out loss begin to agree.

Niu et al. (2024) say N = O(D^2) at fixed width, and D^4 where the width grows with N; D counts distinct tokens. The gap
between held-out and training loss is measured over a grid of models and of amounts of distinct data, all trained for
the same number of steps, and log gap = a + b log N - c log D gives the curve of equal gap, N ~ D^(c/b).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

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
    measured = describe(equal_gap_exponent(rows))
    lowest = min(row["train_loss"] for row in rows)
    memory = "below H(data), which only memory can explain" if lowest < last["H_data"] else "above H(data)"
    verdict = (
        f"{outlook(last)} H(data) = {last['H_data']:.4f} nat/token. {measured} The lowest training loss is "
        f"{lowest:.3f}, {memory}. It is one source, one seed and "
        "one learning rate for all sizes; epochs fall as distinct tokens grow, so the two are confounded."
    )
    return Finding(TITLE, rows, verdict, lambda figure: _draw(figure, rows))


class EqualGap(NamedTuple):
    """The curve of equal gap N ~ D^exponent, with the error and the test of its form.

    Attributes
    ----------
    exponent : float
        c / b of log gap = a + b log N - c log D.
    error : float
        Its standard error: the delta method's, or that of the exponent when one size or one amount of data is left
        out at a time (a jackknife over both), whichever is larger.
    used : int
        Cells with a gap above 0.01 nat.
    form_error : float
        The delta method's error alone, right only where the log-linear form holds.
    curvature_p : float
        p of the F test of the three quadratic terms; small: the form is rejected. NaN with too few cells.
    """

    exponent: float
    error: float
    used: int
    form_error: float = math.nan
    curvature_p: float = math.nan


def equal_gap_exponent(rows: list[dict[str, Any]]) -> EqualGap:
    """Fit log gap = a + b log N - c log D; the exponent c/b, its error, and whether the form holds.

    Examples
    --------
    >>> rows = [{"N": n, "distinct_tokens": d, "gap": n**0.5 / d} for n in (10.0, 99.0) for d in (1.0, 5.0, 9.0)]
    >>> round(equal_gap_exponent(rows).exponent, 3)
    2.0
    """
    kept = [row for row in rows if row["gap"] > 0.01 and math.isfinite(row["gap"])]
    if len(kept) < 4 or np.linalg.matrix_rank(_design(kept)) < 3:
        return EqualGap(math.nan, math.nan, len(kept))
    solution, cov, squares = _fitted(kept)
    b, c = solution[1], solution[2]
    slope = np.array([0.0, -c / b**2, 1 / b])
    form_error = float(math.sqrt(slope @ cov @ slope))
    spread = math.sqrt(_jackknife(kept, "N") + _jackknife(kept, "distinct_tokens"))
    return EqualGap(float(c / b), max(form_error, spread), len(kept), form_error, _curvature(kept, squares))


def describe(gap: EqualGap) -> str:
    """Return what the curve of equal gap says about each claimed exponent."""
    if math.isnan(gap.exponent):
        return f"Only {gap.used} cells have a gap above 0.01 nat: too few to fit the curve of equal gap."
    away = {power: abs(gap.exponent - power) / gap.error for power in (1, 2, 4)}
    nearest = min(away, key=lambda power: away[power])
    favours = {1: "the null, N ~ D", 2: "the printed D^2", 4: "the corrected D^4"}[nearest]
    text = (
        f"Over {gap.used} cells with a gap above 0.01 nat the curve of equal gap is N ~ D^{gap.exponent:.2f} (standard "
        f"error {gap.error:.2f}, {gap.form_error:.2f} if the log-linear form held). The paper says D^2 at fixed width; "
        "its formulas, read consistently, D^4; no theory at all, one parameter for each token, D^1. These are "
        f"{away[2]:.1f}, {away[4]:.1f} and {away[1]:.1f} standard errors away: of the three it favours {favours}."
    )
    if gap.curvature_p < 0.05:
        text += (
            f" The log-linear form itself is rejected (quadratic terms, p = {gap.curvature_p:.1g}): the exponent "
            "depends on where it is measured."
        )
    return text


def _design(rows: list[dict[str, Any]]) -> Any:
    return np.array([[1.0, math.log(row["N"]), -math.log(row["distinct_tokens"])] for row in rows])


def _fitted(rows: list[dict[str, Any]]) -> tuple[Any, Any, float]:
    """Coefficients (3,), their covariance (3, 3) and the sum of squares."""
    design, target = _design(rows), np.log([row["gap"] for row in rows])
    solution, *_ = np.linalg.lstsq(design, target, rcond=None)
    residual = target - design @ solution
    squares = float(residual @ residual)
    return solution, squares / max(1, len(rows) - 3) * np.linalg.inv(design.T @ design), squares


def _jackknife(rows: list[dict[str, Any]], column: str) -> float:
    """Variance of the exponent when one level of a column is left out at a time; 0 where no level can be."""
    levels = sorted({row[column] for row in rows})
    parts = [[row for row in rows if row[column] != level] for level in levels]
    parts = [part for part in parts if len(part) >= 4 and np.linalg.matrix_rank(_design(part)) == 3]
    if len(parts) < len(levels) or len(parts) < 3:
        return 0.0
    found = np.array([s[2] / s[1] for s, _, _ in map(_fitted, parts)])
    return float((len(parts) - 1) / len(parts) * ((found - found.mean()) ** 2).sum())


def _curvature(rows: list[dict[str, Any]], squares: float) -> float:
    from scipy.special import fdtrc

    design = _design(rows)
    design = design - np.array([0.0, *design[:, 1:].mean(axis=0)])
    full = np.column_stack([design, design[:, 1] ** 2, design[:, 2] ** 2, design[:, 1] * design[:, 2]])
    left = len(rows) - full.shape[1]
    if left < 2 or np.linalg.matrix_rank(full) < full.shape[1]:
        return math.nan
    target = np.log([row["gap"] for row in rows])
    residual = target - full @ np.linalg.lstsq(full, target, rcond=None)[0]
    rest = float(residual @ residual)
    if rest <= 1e-20 * float(target @ target):
        return math.nan
    return float(fdtrc(3, left, (squares - rest) / 3 / (rest / left)))


def _draw(figure: Any, rows: list[dict[str, Any]]) -> None:
    axes = figure.subplots()
    for N in sorted({row["N"] for row in rows}):
        mine = [row for row in rows if row["N"] == N]
        axes.plot([r["distinct_tokens"] for r in mine], [r["gap"] for r in mine], "o-", label=f"N = {N:,}")
    axes.axhline(0.0, color="black", linewidth=0.5)
    axes.set(xscale="log", xlabel="distinct tokens", ylabel="held-out minus training loss [nat/token]", title=TITLE)
    axes.legend()
