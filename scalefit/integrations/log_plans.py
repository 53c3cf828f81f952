"""A plan for a run from its log alone: length, epochs and schedule as far as the log shows them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from scalefit._arguments import check_quantity
from scalefit._typing import Array
from scalefit.errors import ArgumentError, Note, arg
from scalefit.schedules import Schedule
from scalefit.stopping.run_plan import RunPlan

LEAST_RATES = 5  # logged rates before a schedule is looked for
CLOSE = 0.01  # a schedule is recognised if every rate is this close to it, relative to the peak
LENGTHS = 400  # lengths tried where the log does not say how long the run will be
LONGEST = 50.0  # the longest of them, in lengths of the log


def plan_from_log(table: pd.DataFrame, total_steps: float | None = None) -> tuple[RunPlan, list[Note]]:
    """Return a plan for the run behind a table of `read_log`, and notes on what was assumed.

    Parameters
    ----------
    table : DataFrame
        As `read_log` gave it, with its ``attrs``.
    total_steps : float, optional
        Steps that the run will have; by default what the log states.

    Raises
    ------
    ArgumentError
        `total_steps` is given for a log that counts epochs, or the log goes beyond it.
    """
    stated, counts = table.attrs, str(table.attrs.get("counts", "steps"))
    last = float(table["step"].max())
    total = stated.get("total_steps") if counts == "steps" else stated.get("epochs")
    origin = f"The log says {total:g} {counts}." if total else ""
    if total_steps is not None:
        total = _given_length(total_steps, last, counts)
        origin = f"The run is to have {total:g} steps, as given."
    schedule, length_known, text = _schedule(table, float(total) if total else None, origin, max(last, 1.0), counts)
    if not length_known:
        text += f" Nothing says how long the run will be: the forecast is for twice the {counts} so far."
    rates = table["lr"].to_numpy(dtype=float)
    values: dict[str, Any] = {"schedule": schedule, "loss_unit": stated.get("loss_unit", "nat/token")}
    if stated.get("epochs"):
        values["epochs"] = float(stated["epochs"])
    elif counts == "epochs":
        values["epochs"] = schedule.total
    if np.isfinite(rates).any() and stated.get("kind") != "nanochat" and float(np.nanmax(rates)) > 0:
        values["peak_lr"] = float(np.nanmax(rates)) / max(float(schedule.lr(table["step"]).max()), 1e-12)
    details = {"total": schedule.total, "kind": schedule.kind, "length_known": length_known}
    notes = [Note("plan_from_log", "info", text.strip(), details)]
    return RunPlan(**values), notes


def _given_length(total_steps: float, last: float, counts: str) -> float:
    if counts != "steps":
        raise ArgumentError(
            f"{arg('total_steps', total_steps)} is given, and the log counts {counts}",
            "nothing was judged",
            "Say its length in a plan",
        )
    total = check_quantity("total_steps", total_steps)
    if total < last:
        raise ArgumentError(
            f"{arg('total_steps', total)} is less than the log's last step, {last:g}",
            "nothing was judged",
            "Give the steps of the whole run",
        )
    return total


def _schedule(
    table: pd.DataFrame, total: float | None, origin: str, last: float, counts: str
) -> tuple[Schedule, bool, str]:
    """Schedule, whether its length is known, and what it rests on; `origin` says where the length is from."""
    logged = table[["step", "lr"]].dropna()
    steps, rates = logged["step"].to_numpy(dtype=float), logged["lr"].to_numpy(dtype=float)
    end = max(total or 2 * last, last)
    if len(steps) < LEAST_RATES or rates.max() <= 0:
        text = f"{origin} Too few learning rates are logged, so a constant one is assumed."
        return Schedule.constant(end), total is not None, text
    peak = float(rates.max())
    relative = rates / peak
    warmup = _warmup(steps, relative)
    lengths = np.array([end]) if total else np.unique(np.r_[end, last * np.geomspace(1.0, LONGEST, LENGTHS)])
    fits = []
    for kind, length, candidate in _candidates(lengths, warmup, last, end):
        rate = candidate.lr(steps)
        fits.append((float(np.abs(relative - rate / max(float(rate.max()), 1e-12)).max()), kind, length, candidate))
    fits.sort(key=lambda fit: (round(fit[0], 6), fit[1], fit[2]))
    off, kind, length, best = fits[0]
    if off > CLOSE:
        past = Schedule.from_log(steps, rates)
        x, y = np.r_[past.knot_steps, end], np.r_[past.knot_lr, past.knot_lr[-1]]
        kept = np.r_[np.diff(x) > 0, True]
        text = f"{origin} The logged rates follow no schedule that scalefit knows; the last one is assumed to stay."
        return Schedule.from_knots(x[kept], y[kept]), total is not None, text
    if kind == "constant":
        text = f"{origin} The logged rate is constant so far; a decay still to come would lower the loss further."
        return best, total is not None, text
    if total:
        text = f"{origin} The logged rates are those of a {kind} schedule (largest difference {off:.1%} of the peak)."
        return best, True, text
    alike = [fit for fit in fits if fit[0] <= CLOSE and fit[1] != "constant"]
    shortest, longest = min(fit[2] for fit in alike), max(fit[2] for fit in alike)
    if longest > 1.3 * shortest:
        text = (
            f"The logged rates fall, but fit schedules that end anywhere from step {shortest:.4g} to {longest:.4g}; "
            f"the best is {kind}."
        )
    else:
        between = "" if longest - shortest < 0.5 else f" ({shortest:.4g} to {longest:.4g})"
        text = f"The logged rates are those of a {kind} schedule over {length:.4g} {counts}{between}."
    return best, True, text


def _warmup(steps: Array, relative: Array) -> float:
    """End of a linear warm-up that is in the log, or 0 [steps]."""
    first = int(np.argmax(relative >= 1 - 1e-6))
    if first == 0 or np.any(np.diff(relative[: first + 1]) < 0):
        return 0.0
    if not np.all(steps[:first] > 0):
        return float(steps[first])
    rise = relative[:first] / steps[:first]
    if float(np.ptp(rise)) > 0.05 * float(rise.max()):
        return float(steps[first])
    return float(min(1 / np.median(rise), steps[first]))


def _candidates(lengths: Array, warmup: float, last: float, end: float) -> list[tuple[str, float, Schedule]]:
    """Schedules that trainers use, of every length tried."""
    found = [("constant", end, Schedule.constant(end, warmup=warmup))]
    for length in map(float, lengths):
        if length <= warmup or length < last:
            continue
        found.append(("linear", length, Schedule.linear(length, warmup=warmup)))
        found += [("cosine", length, Schedule.cosine(length, warmup=warmup, final=final)) for final in (0.0, 0.1)]
    return found
