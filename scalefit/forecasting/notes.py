"""Notes on a forecast: convergence, outliers, scatter, jumps beyond the runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalefit._numeric import settled
from scalefit._plain import plain
from scalefit._text import shortlist
from scalefit._typing import AnyArray, Array, ArrayLike
from scalefit.errors import Note, by_severity, way
from scalefit.extrapolation import CALIBRATED
from scalefit.fitting.identifiability import unexplained_notes, unexplained_problem, unexplained_spread
from scalefit.fitting.problem import Problem
from scalefit.flops import SIZES
from scalefit.forecasting.calibration import IntervalCalibration
from scalefit.forecasting.correlated_errors import CorrelatedFit
from scalefit.forecasting.own_noise import Step

#: Times what the other runs miss by [their robust sd, or the usual noise where that is more], from which a run is odd.
#: On twelve public tables none to two runs are; on simulated ones without a bad run hardly ever any.
ODD = 6.0
#: Factor on intervals from which a note tells of the scatter behind it (a choice: half as wide again).
_WIDE = 1.5
_OFF_LINE = np.log(1.5)


@dataclass(frozen=True, slots=True, eq=False)
class ForecastFacts:
    """The facts behind the notes.

    Parameters
    ----------
    problem, fitted, names, row_labels, table_notes :
        As a ForecastResult has them.
    widening : float
        Factor on intervals beyond the runs.
    scatter : float
        Scatter of the runs about the forecast [log loss].
    odd : ndarray (n,)
        How far each run misses, as :func:`scalefit.forecasting.own_noise.oddness` counts it.
    step : Step
        How far the runs of the largest size, or the most compute, lie above what the others say.
    """

    problem: Problem
    fitted: CorrelatedFit
    names: tuple[str, ...]
    row_labels: AnyArray
    table_notes: tuple[Note, ...]
    widening: float
    scatter: float
    odd: Array
    step: Step


def notes_of(facts: ForecastFacts, spread: IntervalCalibration) -> tuple[Note, ...]:
    """Return every note on a forecast, the most severe first."""
    notes = list(facts.table_notes)
    fitted, n = facts.fitted, facts.problem.loss.size
    if not fitted.converged:
        text = "The search for the posterior mode did not converge. Do not use these numbers; look at the table."
        notes.append(Note("untrusted", "error", text))
    left = unexplained_spread(facts.problem, fitted.x, len(facts.names))
    if (found := unexplained_problem(left)) is not None:
        text = f"{found[0].upper()}{found[1:]}. Do not use this forecast: check that N, D and the loss belong together."
        notes.append(Note("untrusted", "error", text, {"share": left}))
    notes += unexplained_notes(left)
    if (out := np.flatnonzero(np.abs(facts.odd) > ODD)).size:
        rows = [plain(label) for label in facts.row_labels[out]]
        high = int((facts.odd[out] > 0).sum())
        where = "above" if high == out.size else "below" if high == 0 else f"{high} above, {out.size - high} below"
        text = (
            f"{out.size} of {n} runs (row{'s' if out.size > 1 else ''} {shortlist(rows)}) "
            f"{'are' if out.size > 1 else 'is'} over {ODD:g} times as far from the law and neighbours as the others "
            f"({where}); they hardly count. Check them for errors."
        )
        notes.append(Note("outliers", "warning", text, {"rows": rows}))
    if facts.widening > _WIDE and spread.power > 0:
        text = (
            f"Runs scatter {100 * facts.scatter:.2g} % around the forecast, {facts.scatter / spread.pivot:.2g} times "
            f"as much as in well-tuned tables; intervals beyond the runs were made {facts.widening:.2g} times as wide. "
            f"Tune the runs, or forecast those of one recipe."
        )
        notes.append(Note("scatter", "warning", text, {"scatter": facts.scatter, "factor": facts.widening}))
    if facts.step.told:
        step, sd = facts.step.height, facts.step.sd
        where, those = (
            ("of the largest size", "the size") if facts.step.by == "N" else ("of most compute", "the compute")
        )
        text = (
            f"What is {where} lies {100 * abs(step):.2g} ± {100 * sd:.2g} % {'above' if step > 0 else 'below'} what "
            f"the other runs say, which was added to the intervals: something besides {those} may have changed there, "
            "and larger runs may follow either. Check the recipe of those runs, and forecast runs of one recipe."
        )
        notes.append(Note("largest_size_off", "warning", text, {"step": step, "sd": sd, "by": facts.step.by}))
    if facts.problem.law.coupling:
        at = facts.names.index(facts.problem.law.coupling)
        g, se = float(fitted.x[at]), float(np.sqrt(fitted.cov[at, at]))
        if abs(g - 1.0) < se and se < 0.5:
            text = (
                f"The coupling is {g:.2f} ± {se:.2f}: on this table the additive law of Chinchilla (g = 1) fits as "
                f"well. {way('sf.compare', 'scalefit compare')} says which law forecasts better."
            )
            notes.append(Note("additive", "info", text, {"g": g, "se": se}))
    return tuple(sorted(notes, key=by_severity))


def jump_notes(
    reason: str, conventions: Mapping[str, Any], inputs: Mapping[str, ArrayLike], ratios: Array
) -> list[Note]:
    """Say where predictions lie beyond what was calibrated, or off the line that a law of compute holds along."""
    notes = []
    ratio = settled(ratios.max(initial=0.0))
    if ratio > CALIBRATED:
        text = (
            f"The largest prediction is {ratio:.3g} times the largest run's compute. Intervals were calibrated on "
            f"jumps up to {CALIBRATED:g}; beyond, they grow at the same rate, which is untested. "
            f"Train runs closer to it first ({way('sf.next_runs', 'scalefit next-runs')} says which)."
        )
        notes.append(Note("beyond_calibration", "warning", text, {"ratio": ratio}))
    if reason and set(SIZES) <= set(inputs) and "line" in conventions:
        intercept, slope = conventions["line"]
        off = np.abs(np.log(np.asarray(inputs["D"], float)) - intercept - slope * np.log(inputs["N"]))
        if float(np.max(off)) > _OFF_LINE:
            text = (
                f"A prediction is a factor of {float(np.exp(np.max(off))):.3g} off the line of D over N that every "
                f"run follows; this law of compute is not valid there. Add runs at that ratio."
            )
            notes.append(Note("off_line", "error", text))
    return notes
