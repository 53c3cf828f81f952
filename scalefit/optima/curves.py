"""Runs by budget: grouping, near-duplicates, noise, and runs far off their curve."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalefit._numeric import levelled, robust_sd
from scalefit._typing import AnyArray, Array
from scalefit.errors import ArgumentError, DataError, arg
from scalefit.fitting.runs import Runs
from scalefit.tables.series import several_series

#: Budgets closer than this [ln C] are one; runs of one budget spread over no more than four times it.
SAME_BUDGET = 0.1
#: Sizes closer than this [ln N] are one point of a curve.
SAME_SIZE = 0.01
#: Runs further above their budget's lowest loss than this [ln loss] say little of the noise near the optimum.
_NEAR = 0.2
#: Standard deviations of the noise: off the curve, and above the same size with fewer tokens.
_STRANGE, _RISES = 6.0, 5.0


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """The runs of one budget by size.

    Attributes
    ----------
    C : float
        The budget [FLOP].
    x, y : ndarray (n,)
        ln N and ln loss; sizes within 1 % are averaged.
    log_D : ndarray (n,)
        ln of the tokens.
    labels : list of tuple
        Row labels behind each point.
    """

    C: float
    x: Array
    y: Array
    log_D: Array
    labels: list[tuple[Any, ...]]


def gather(C: Array, nominal: Array | None = None) -> AnyArray:
    """Number of its budget (n,) for each run.

    Raises
    ------
    DataError
        The runs do not gather on budgets.
    """
    if nominal is not None:
        return np.asarray(np.unique(levelled(nominal), return_inverse=True)[1])
    order = np.argsort(C)
    log_c = np.log(C[order])
    number = np.concatenate([[0], np.cumsum(np.diff(log_c) > SAME_BUDGET)])
    group = np.empty(C.size, int)
    group[order] = number
    widths = [float(np.ptp(log_c[number == g])) for g in range(int(number[-1]) + 1)]
    if max(widths) > 4 * SAME_BUDGET:
        wide = int(np.argmax(widths))
        low, high = np.exp(log_c[number == wide][[0, -1]])
        raise DataError(
            f"The runs do not share a few budgets: {int((number == wide).sum())} of {C.size} fill {low:.3g} to "
            f"{high:.3g} FLOP without a gap of {SAME_BUDGET:.0%}",
            "nothing was computed",
            f"Name the column of nominal budgets, {arg('budget', '...')}, or pass runs with several D per N to "
            "sf.envelope",
        )
    return group


def nominal_budgets(columns: dict[str, AnyArray], name: str) -> Array:
    """Nominal budget (n,) [FLOP] of each run.

    Raises
    ------
    ArgumentError
        The column is not there, or holds something that is not a budget.
    """
    if not isinstance(name, str) or name not in columns or columns[name].dtype.kind not in "iuf":
        raise ArgumentError(
            f"{arg('budget', name)} is not a numeric column of this table",
            "nothing was computed",
            f"It has {', '.join((key for key, value in columns.items() if value.dtype.kind in 'iuf'))}",
        )
    nominal = np.asarray(columns[name], float)
    bad = ~(np.isfinite(nominal) & (nominal > 0))
    if bad.any():
        raise ArgumentError(
            f"Column {name!r} holds {nominal[bad][0]:g} as a budget, in {int(bad.sum())} of {bad.size} runs",
            "nothing was computed",
            f"Correct them, or leave {arg('budget')} out to gather the runs by their C",
        )
    return nominal


def refuse_several_series(table: Runs) -> None:
    """Refuse a table of several corpora or tokenizers.

    Raises
    ------
    ArgumentError
        With the names of the series.
    """
    if len(labels := sorted(table.series_labels)) > 1:
        raise several_series(ArgumentError, labels, "nothing was computed")


def curves_of(columns: dict[str, AnyArray], labels: AnyArray, group: AnyArray, budget: Array | None) -> list[Curve]:
    """One curve per budget, cheapest first, from columns N, D, C and loss."""
    found = []
    for g in range(int(group.max()) + 1):
        rows = np.flatnonzero(group == g)
        x = np.log(columns["N"][rows])
        order = np.argsort(x, kind="stable")
        rows, x = rows[order], x[order]
        cut = np.concatenate([[0], np.cumsum(np.diff(x) > SAME_SIZE)])
        value = columns["C"] if budget is None else budget

        def mean(values: Array, cut: AnyArray = cut) -> Array:
            return np.asarray(np.bincount(cut, weights=values) / np.bincount(cut))

        found.append(
            Curve(
                C=float(np.exp(np.mean(np.log(value[rows])))),
                x=mean(x),
                y=mean(np.log(columns["loss"][rows])),
                log_D=mean(np.log(columns["D"][rows])),
                labels=[tuple(labels[rows[cut == k]].tolist()) for k in range(int(cut[-1]) + 1)],
            )
        )
    return sorted(found, key=lambda curve: curve.C)


def _left_out(x: Array, y: Array) -> Iterator[tuple[int, float, float]]:
    """Points with two neighbours either side, their distance from the cubic through these four, and its scale."""
    n = x.size
    for i in range(2, n - 2):
        around = [i - 2, i - 1, i + 1, i + 2]
        weight = np.array([np.prod([(x[i] - x[k]) / (x[j] - x[k]) for k in around if k != j]) for j in around])
        yield i, float(y[i] - weight @ y[around]), float(np.sqrt(1 + weight @ weight))


def noise_of(curves: list[Curve]) -> float:
    """Standard deviation of ln loss about smooth curves, near their lowest points; NaN where nothing shows it.

    Each run is compared with the cubic through its four neighbours; the median makes outliers harmless.
    """
    scaled = []
    for curve in curves:
        near = curve.y <= curve.y.min() + _NEAR
        scaled += [abs(gap) / scale for i, gap, scale in _left_out(curve.x, curve.y) if near[i]]
    return robust_sd(np.array(scaled)) if len(scaled) >= 3 else float("nan")


def strange_runs(curves: list[Curve], noise: float) -> list[dict[str, Any]]:
    """Points far off the smooth curve through their neighbours, or above the same size with fewer tokens."""
    found: list[dict[str, Any]] = []
    if not noise > 0:
        return found
    for curve in curves:
        keep = np.flatnonzero(curve.y <= curve.y.min() + 2 * _NEAR)
        for _ in range(max(1, keep.size // 5)):
            gaps = list(_left_out(curve.x[keep], curve.y[keep]))
            if not gaps:
                break
            # Dropping the odd one smooths the others: of the bad ones take that whose removal leaves the smoothest.
            bad = [i for i, gap, scale in gaps if abs(gap) / scale > _STRANGE * noise]
            if not bad:
                break

            def left(i: int, keep: AnyArray = keep, curve: Curve = curve) -> float:
                rest = np.delete(keep, i)
                return max((abs(g) / s for _, g, s in _left_out(curve.x[rest], curve.y[rest])), default=0.0)

            worst = min(bad, key=left)
            gap, scale = next((g, s) for i, g, s in gaps if i == worst)
            at = int(keep[worst])
            found.append(_strange(curve, at, float(gap), float(abs(gap) / scale / noise)))
            keep = np.delete(keep, worst)
    named = {item["row"] for item in found}
    return found + [item for item in _rising(curves, noise) if item["row"] not in named]


def _rising(curves: list[Curve], noise: float) -> list[dict[str, Any]]:
    """Points whose loss lies above that of the same size on a smaller budget, which has fewer tokens."""
    found = []
    before = np.empty((3, 0))
    for curve in curves:
        kept = []
        for at in range(curve.x.size):
            x, log_d, y = before
            fewer = y[(np.abs(x - curve.x[at]) <= SAME_SIZE) & (log_d < curve.log_D[at] - SAME_SIZE)]
            gap = float(curve.y[at] - fewer.min(initial=np.inf))
            if gap > _RISES * np.sqrt(2.0) * noise:
                found.append(_strange(curve, at, gap, gap / np.sqrt(2.0) / noise))
            else:
                kept.append(at)
        before = np.concatenate([before, np.stack([curve.x, curve.log_D, curve.y])[:, kept]], axis=1)
    return found


def _strange(curve: Curve, at: int, gap: float, sigmas: float) -> dict[str, Any]:
    return {
        "row": curve.labels[at][0],
        "C": curve.C,
        "N": float(np.exp(curve.x[at])),
        "loss": float(np.exp(curve.y[at])),
        "off_curve": gap,
        "sigmas": sigmas,
    }
