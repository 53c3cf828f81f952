"""Scores of laws on runs that they were not fitted to, and what they show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit._typing import AnyArray, Array
from scalefit.comparison.holdouts import Fold

if TYPE_CHECKING:
    import pandas as pd

_CLEAR = 2.0  # standard errors


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """Out-of-sample predictions of one law: arrays over all tested runs, NaN where it could not be fitted."""

    loss: Array
    lower: Array
    upper: Array
    trusted: int
    failed: tuple[str, ...]
    n_params: int


def _mean(values: Array, fold_of: Array) -> float:
    """Mean over folds of means over runs, of the folds that have values."""
    means = [values[fold_of == i].mean() for i in np.unique(fold_of)]
    kept = [value for value in means if np.isfinite(value)]
    return float(np.mean(kept)) if kept else float("nan")


def row_of(name: str, record: Record, truth: Array, size: Array, fold_of: Array, level: float) -> dict[str, Any]:
    """Scores of one law; `size` (n,) is what errors are relative to."""
    error = record.loss - truth
    miss = np.maximum(record.lower - truth, 0.0) + np.maximum(truth - record.upper, 0.0)
    inside = np.where(np.isfinite(record.loss), (truth >= record.lower) & (truth <= record.upper), np.nan)
    n_folds = int(fold_of.max()) + 1
    return {
        "law": name,
        "rmse": float(np.sqrt(_mean(error**2, fold_of))),
        "mae": _mean(np.abs(error), fold_of),
        "mean_relative_error": _mean(np.abs(error) / size, fold_of),
        "bias": _mean(error / size, fold_of),
        "coverage": _mean(inside, fold_of),
        "interval_score": _mean(record.upper - record.lower + 2.0 / (1.0 - level) * miss, fold_of),
        "n_params": record.n_params,
        "folds": n_folds,
        "failed": len(record.failed),
        "trusted": record.trusted / n_folds,
    }


def stacking(
    predicted: Array, truth: Array, fold_of: Array, constant: Array | None = None, size: Array | None = None
) -> Array:
    """Weights (laws,) on the simplex with the least squared relative error.

    Laws that failed anywhere get none. Nor do laws that err more than the median of their training losses, or ten times
    as much as the best: a blend would use them only to shift the others.
    """
    from scipy.optimize import minimize

    size = truth if size is None else size
    usable = np.isfinite(predicted).all(axis=1)
    off = np.array([_mean(np.abs(row - truth) / size, fold_of) for row in predicted])
    limit = 10 * float(np.nanmin(off, initial=np.inf))
    if constant is not None:
        limit = min(limit, _mean(np.abs(constant - truth) / size, fold_of))
    usable &= (off <= limit) | (off <= np.nanmin(off, initial=np.inf))
    weight = np.zeros(len(predicted))
    if usable.sum() == 0:
        return weight
    share = 1.0 / np.sqrt(np.bincount(fold_of)[fold_of])
    error = (predicted[usable] - truth) / size * share
    k = int(usable.sum())
    # The weights sum to one, so the error of the blend is the blend of the errors: a small quadratic programme.
    gram = error @ error.T
    gram = gram / max(float(np.trace(gram)), 1e-300)
    start = np.full(k, 1.0 / k)
    found = minimize(
        lambda w: w @ gram @ w,
        start,
        jac=lambda w: 2 * gram @ w,
        bounds=[(0.0, 1.0)] * k,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1.0, "jac": lambda w: np.ones(k)},
        method="SLSQP",
        options={"ftol": 1e-12, "maxiter": 500},
    )
    best = np.maximum(found.x if found.success else np.eye(k)[np.argmin(np.diag(gram))], 0.0)
    weight[usable] = best / best.sum()
    return weight


def gap_of(record: Record, best: Record, truth: Array, fold_of: Array, run_of: AnyArray) -> float:
    """Absolute error above the best law's, in standard errors.

    The units are folds where there are five or more; else runs, each once, however many folds hold it out.
    """
    difference = np.abs(record.loss - truth) - np.abs(best.loss - truth)
    ok = np.isfinite(difference)
    if record is best or ok.sum() < 3:
        return 0.0 if record is best else float("nan")
    unit_of = fold_of if np.unique(fold_of[ok]).size >= 5 else run_of
    units = np.array([difference[ok & (unit_of == i)].mean() for i in np.unique(unit_of[ok])])
    se = float(units.std(ddof=1) / np.sqrt(units.size))
    return float(units.mean() / se) if se > 0 else 0.0


def verdict(table: pd.DataFrame, parts: Sequence[Fold]) -> str:
    """What a comparison shows, in a sentence or two."""
    best = table.iloc[0]
    n = len({int(i) for fold in parts for i in fold.test})
    lead = f"{best['law']} has an error of {100 * best['mean_relative_error']:.2f} % on {n} held-out runs"
    lead += f" in {len(parts)} folds"
    if best["failed"]:
        return f"No law could be fitted in every fold: nothing is decided. {lead}."
    rivals = [
        str(row["law"])
        for _, row in table.iloc[1:].iterrows()
        if not row["failed"] and not (row["gap"] >= _CLEAR)  # NaN counts as undecided
    ]
    if len(table) == 1:
        text = f"{lead}."
    elif rivals:
        text = f"Too close to call between {best['law']} and {', '.join(rivals)}: {lead}, and the others are within "
        text += f"{_CLEAR:g} standard errors."
    else:
        second = table.iloc[1]
        text = f"{lead}; the next best is {second['law']} with {100 * second['mean_relative_error']:.2f} %."
    few = " Few runs were held out: read this with care." if n < 10 else ""
    lost = [str(row["law"]) for _, row in table.iterrows() if row["failed"]]
    return text + few + (f" Could not be fitted in some fold: {', '.join(lost)}." if lost else "")
