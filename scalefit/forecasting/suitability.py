"""Which law a table identifies, which of its runs to use, and notes on their size."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from scalefit._numeric import excess_over_hull
from scalefit._typing import AnyArray, Array
from scalefit.errors import FitError, Note, way
from scalefit.fitting.identifiability import unexplained
from scalefit.flops import training_flops
from scalefit.forecasting.calibration import CALIBRATED_LAW, ForecastCalibration
from scalefit.forecasting.correlated_errors import compute
from scalefit.laws import get
from scalefit.laws._base import Law

#: The law that takes the calibrated one's place where N and D move together.
COMPUTE_LAW = "power_law:C"
#: Runs below which there is no forecast, below which a note says that most of it is the prior (guesses), and above
#: which more runs are not used: 400 take seconds, and neighbours share their error.
FEWEST_RUNS, _FEW_RUNS, _MOST_RUNS = 4, 8, 400
#: Share of ln D that ln N leaves unexplained, below which the effects of the two are not told apart.
_COLLINEAR = 0.02
#: Spread of ln N or ln D, or share of an input, within which it is one value (a guess: rounding is less, a step more).
_CONSTANT = 1e-3
#: Excess over the frontier [log loss] above which a run says little of a compute-optimal one.
_FAR = 0.1


def size_notes(columns: Mapping[str, Array], constants: ForecastCalibration) -> list[Note]:
    """Say where every run is smaller than any that the prior and the intervals were learned from."""
    largest, smallest = float(columns["N"].max()), float(constants.provenance.get("smallest_N", 0.0))
    if largest >= smallest:
        return []
    # On our own runs below 1e6 parameters the 90 % intervals held 63 of 90 cells in twelve series (docs/validation.md).
    text = (
        f"The largest model has {largest:.3g} parameters; the prior and the width of the intervals were learned from "
        f"models of {smallest:.3g} and more, and the intervals may be too narrow here. Check that N counts single "
        f"parameters, and add larger runs."
    )
    return [Note("small_models", "warning", text, {"largest": largest, "smallest": smallest})]


def instead_of_calibrated(columns: Mapping[str, Array], loss: Array) -> str:
    """Why the table identifies no more than the law of compute, or "" where it identifies the calibrated one.

    Raises
    ------
    FitError
        It identifies neither.
    """
    n = loss.size
    if n < FEWEST_RUNS:
        raise FitError(
            f"{n} runs do not identify a forecast: at least {FEWEST_RUNS} are needed, 20 or more are sensible",
            "none was made",
            "Add runs",
        )
    if np.ptp(np.log(loss)) < 1e-9:
        raise FitError(
            f"All {n} losses are {loss[0]:.6g}: there is nothing to extrapolate",
            "no forecast was made",
            "Check the loss column",
        )
    log_n, log_d = np.log(columns["N"]), np.log(columns["D"])
    if np.ptp(log_n + log_d) < 0.1:
        budget = float(training_flops(1.0, np.exp(np.median(log_n + log_d))))
        raise FitError(
            f"All {n} runs have one compute budget ({budget:.3g} FLOP): nothing in "
            "them says how loss falls with compute",
            "none was forecast",
            "Add runs at two or more other budgets, a factor of 3 apart",
        )
    for key, values in (("N", log_n), ("D", log_d)):
        if np.ptp(values) < _CONSTANT:
            other = "D" if key == "N" else "N"
            raise FitError(
                f"{key} is {np.exp(values[0]):.4g} in all {n} runs: they do not show what a larger {key} does",
                "no loss was forecast",
                f"Add runs that vary {key}, or fit power_law:{other} for runs at this {key}",
            )
    left, slope = unexplained(log_d, log_n)
    if left < _COLLINEAR:
        what = "tokens per parameter are the same in every run" if abs(slope - 1) < 0.05 else f"D follows N^{slope:.2f}"
        return (
            f"N and D move together ({what}), so their effects cannot be separated: a law of compute replaced "
            f"the coupled law. It is valid along this line only; add runs at other ratios to predict elsewhere."
        )
    return ""


def own_law_notes(law: type[Law]) -> list[Note]:
    """Say that intervals were learned with another law than the one asked for."""
    if law is get(CALIBRATED_LAW):
        return []
    text = (
        f"The law is {law.name}, as requested. The width of intervals was learned with the {CALIBRATED_LAW} law, and "
        "was not checked with this one."
    )
    notes = [Note("own_law", "info", text, {"law": law.name})]
    (first, *others), sense = law.inputs, law.target.sense
    if not others and law.direction.get(first, 0) * sense < 0:
        text = (
            f"Better runs have less {first}, and a forecast widens its intervals towards more: they are too narrow "
            f"ahead, and parameters are off. Use "
            f"{way(f'sf.fit(runs, {law.name!r})', f'scalefit fit runs.csv --law {law.name}')} and its intervals."
        )
        notes.append(Note("wrong_way", "error", text, {"law": law.name, "input": first}))
    return notes


def few_notes(n_runs: int, law: type[Law]) -> list[Note]:
    """Say that few runs leave most of a forecast to the prior."""
    if n_runs >= _FEW_RUNS:
        return []
    n_free = len(law.parameters)
    text = f"{n_runs} runs say little about {n_free} parameters: most of this forecast is the prior. Add runs."
    return [Note("few_runs", "warning", text, {"n_runs": n_runs})]


def thinned_notes(used: int, n_runs: int) -> list[Note]:
    """Say how many runs of a large table were used."""
    if used >= n_runs:
        return []
    text = (
        f"{used} of {n_runs} runs were used, those of most compute and closest to the frontier first: neighbouring "
        f"runs share their error, so more of them add almost nothing."
    )
    return [Note("thinned", "info", text, {"used": used, "n_runs": n_runs})]


def check_varied(law: type[Law], columns: Mapping[str, Array], loss: Array) -> None:
    """Refuse a table on which an input of the law never changes, or with too few runs."""
    n = loss.size
    fewest = max(FEWEST_RUNS, len(law.parameters) - 2)
    if n < fewest:
        raise FitError(
            f"{n} runs do not identify {law.name}: at least {fewest} are needed", "none was forecast", "Add runs"
        )
    still = [key for key, column in columns.items() if np.ptp(column) <= _CONSTANT * np.abs(column).max()]
    if still or np.ptp(np.log(loss)) < 1e-9:
        raise FitError(
            f"{', '.join(still) or 'loss'} is the same in all {n} runs: they do not show what it does under {law.name}",
            "no loss was forecast",
            "Add runs that vary it",
        )


def thin(columns: Mapping[str, Array], loss: Array) -> AnyArray:
    """Rows to use: all, or on large tables a share that favours large compute and the frontier."""
    n = loss.size
    if n <= _MOST_RUNS:
        return np.arange(n)
    log_c = np.log(compute(columns))
    urgency = np.exp(-0.25 * (log_c.max() - log_c)) / (1.0 + excess_over_hull(log_c, np.log(loss)) / _FAR)
    # Systematic sampling along compute with unequal shares: every region keeps some runs, and always the same ones.
    order = np.argsort(log_c, kind="stable")
    share = np.minimum(_MOST_RUNS * urgency / urgency.sum(), 1.0)[order]
    picked = np.diff(np.floor(np.concatenate([[0.0], np.cumsum(share)]) + 1e-9)) > 0
    return np.sort(order[picked])
