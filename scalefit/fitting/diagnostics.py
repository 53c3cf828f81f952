"""Collect what a reader must know of a result: table, bounds, ridges, replicates, influence, extrapolation."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalefit._plain import plain
from scalefit._text import listing, shortlist
from scalefit._typing import Array
from scalefit.errors import Note, Severity, arg, by_severity
from scalefit.fitting.bootstrap import MANY_FAILED
from scalefit.fitting.certificate import enough
from scalefit.fitting.identifiability import (
    bound_notes,
    outlier_notes,
    replicate_note,
    ridge_notes,
    unexplained_notes,
    unexplained_spread,
)
from scalefit.fitting.intervals import trend_of
from scalefit.fitting.solution import Solution

#: Where these were noted, runs at the same inputs differ in something else, and their scatter is not noise.
_NO_REPLICATES = {"unread_size", "repeated_tokens", "swept", "mixed_runs"}
_MOVED = 1.0  # standard errors
_INFLUENCE_RUNS = 20_000


def notes_of(result: Solution) -> tuple[Note, ...]:
    """Return every note on a result, the most severe first."""
    certificate, law = result.certificate, result.law
    notes = list(result.table_notes)
    for problem in certificate.problems:
        notes.append(
            Note(
                "untrusted",
                "error",
                f"{problem[0].upper()}{problem[1:]}. Do not use these numbers: {_way_out(result)}.",
            )
        )
    if certificate.weak and certificate.identified:
        names = " and ".join(certificate.weak[:3])
        notes.append(
            Note(
                "weakly_identified",
                "warning",
                f"The runs hardly tell {names} apart (condition number {certificate.condition:.1e}). Predictions "
                f"inside the range hold; do not read these parameters one by one. "
                f"{_way_out(result, 'Add runs, or fix one of them')}.",
                {"parameters": list(certificate.weak), "condition": certificate.condition},
            )
        )
    if not enough(certificate.n_agree, certificate.n_starts):
        notes.append(
            Note(
                "starts_disagree",
                "warning",
                f"Only {certificate.n_agree} of {certificate.n_starts} searches reached the best objective. Fit again "
                f"with {arg('n_starts', 4 * certificate.n_starts)} and see whether it improves.",
                {"n_agree": certificate.n_agree, "n_starts": certificate.n_starts},
            )
        )
    if result.n_free + 1 < result.n_runs < 2.5 * result.n_free:
        text = (
            f"{result.n_runs} runs are few for {result.n_free} parameters: many resamples are fitted exactly, so "
            f"intervals are rough. Add runs, or fix parameters."
        )
        notes.append(Note("few_runs", "warning", text, {"n_runs": result.n_runs, "n_free": result.n_free}))
    notes += bound_notes(law, certificate.at_bound, result.natural(result.x))
    if certificate.identified:
        notes += ridge_notes(result.correlations)
    if result.problem.objective.lopsided:
        notes.append(_envelope_note(result))
    shared = result.shared_noise
    if shared is not None and certificate.trusted:
        notes.append(_shared_noise_note(result, shared))
    notes += _trend_notes(result)
    notes += unexplained_notes(unexplained_spread(result.problem, result.x, result.n_free))
    if certificate.trusted:
        notes += outlier_notes(result.problem, result.x, result.row_labels)
    if len(result.problem.groups) == 1:
        raw = result.problem.raw_columns
        if not _NO_REPLICATES & {note.code for note in notes}:
            notes += replicate_note(raw, _centred(result), result.n_free)
        notes += _influence_notes(result)
    if result.draws_about and result.draws_about["failed"]:
        failed, n = result.draws_about["failed"], result.draws_about["n"]
        notes.append(
            Note(
                "bootstrap_failures",
                "warning" if failed > MANY_FAILED * n else "info",
                f"{failed} of {n} resamples did not converge (a component vanished in them); the intervals "
                f"include them. More runs make such resamples rare.",
                {"failed": failed, "n": n},
            )
        )
    return tuple(sorted(notes, key=by_severity))


_USUAL_WAY_OUT = "add runs that vary what is confounded, fix or tie parameters, or fit a simpler law"


def _shared_noise_note(result: Solution, shared: Any) -> Note:
    """That runs share noise, and how the intervals take it into account; a warning where they do not."""
    ask = f"For a bootstrap pass {arg('cluster', 'shared')}."
    severity: Severity = "info"
    if result.resamples is None:
        how = f"Robust errors take this into account: {shared.n_clusters} clusters, with Student's t for so few. {ask}"
    elif result.draws_about is not None and result.draws_about["clusters"]:
        how = f"The bootstrap takes this into account: it draws whole clusters, of {shared.n_clusters}."
    else:
        severity, how = "warning", f"This bootstrap drew runs one by one: its intervals may be too narrow. {ask}"
    text = (
        f"Runs of the same {shared.by} share their noise ({shared.share:.0%} of its variance, likelihood ratio "
        f"{shared.ratio:.1f}). {how}"
    )
    details = {"by": shared.by, "share": shared.share, "ratio": shared.ratio, "clusters": shared.n_clusters}
    return Note("shared_noise", severity, text, details)


def _way_out(result: Solution, usual: str = _USUAL_WAY_OUT) -> str:
    """What to do about parameters that are open: hold those that other runs determine, where the law has such."""
    law, fixed = result.law, set(result.fixed or {})
    if not set(law.hold_first) - fixed:
        return usual
    how = f"hold {listing(law.hold_first)} ({arg('fixed')}) {law.hold_from}"
    return how[0].upper() + how[1:] if usual[0].isupper() else how


def _envelope_note(result: Solution) -> Note:
    """Say what a law is that follows an edge of the runs."""
    below, middle = float((result.residuals > 0).mean()), float(np.median(-result.residuals))
    on = result.problem.objective.on
    off = f"{100 * np.expm1(middle):+.2g} %" if on == "log_loss" else f"{middle:+.2g}" + " log-odds" * (on == "logit")
    text = (
        f"The law follows an edge of the runs: {below:.0%} of them are below it, and the median run is {off} away. The "
        "floor and the predictions are those of this edge; intervals of a new run are centred on the middle of the "
        "runs. Compare such laws by held-out runs."
    )
    return Note("envelope", "info", text, {"below": below, "middle": middle})


def _centred(result: Solution) -> Array:
    """Residuals (n_runs,), those of an edge about their middle."""
    residual = result.residuals
    return residual - np.mean(residual) if result.problem.objective.lopsided else residual


def _trend_notes(result: Solution) -> list[Note]:
    """Say that runs of more compute scatter less, or more, about the law."""
    trend = trend_of(result)
    if trend is None or not result.certificate.trusted or result.exact:
        return []
    ends = trend.factor(np.array([trend.lower, trend.upper]))
    less, times = ("less", ends[0] / ends[1]) if ends[0] > ends[1] else ("more", ends[1] / ends[0])
    text = (
        f"Runs with more compute scatter {less} around the law: as C^{trend.power:.2f}, a factor of {times:.1f} over "
        "the table. Intervals for new runs take this into account; beyond the runs they assume constant noise."
    )
    return [Note("noise_by_compute", "info", text, {"power": trend.power, "t": trend.t})]


def _influence_notes(result: Solution) -> list[Note]:
    """Name the few runs that move a parameter most, where they move it by over a standard error."""
    from scalefit.fitting.bootstrap import influence_of

    if not result.certificate.trusted or result.n_runs > _INFLUENCE_RUNS or result.exact:
        return []
    found = influence_of(result)
    if found is None:
        return []
    name, without, moved, positions = found
    if not np.isfinite(moved) or moved < _MOVED:
        return []
    rows = [plain(value) for value in result.row_labels[positions]]
    shown = shortlist(rows)
    text = f"rows {shown}) decide" if len(rows) > 1 else f"row {shown}) decides"
    them = "them" if len(rows) > 1 else "it"
    return [
        Note(
            "influential_runs",
            "warning",
            f"{len(rows)} of {result.n_runs} runs ({text} {name}: without {them} {name} goes from "
            f"{result.params[name]:.3f} to {without:.3f}, {moved:.1f} standard errors. Look at {them}, and report "
            f"the fit both ways.",
            {"parameter": name, "rows": rows, "with": float(result.params[name]), "without": without},
        )
    ]
