"""From a checked question to its plan: the allocation, its intervals and its notes."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalefit._typing import Array
from scalefit.errors import ArgumentError, Note, ScalefitWarning, arg
from scalefit.planning import allocation
from scalefit.planning.deployment import Hardware
from scalefit.planning.limits import (
    ABSOLUTE,
    compute_notes,
    cost_notes,
    held_notes,
    losses_between,
    past_best_notes,
    reach_notes,
    refuse_absurd,
    refuse_absurd_answer,
)
from scalefit.planning.loss_surface import (
    N_DRAWS,
    Surface,
    estimate_at,
    forecast_correction,
    refuse_settings,
    sense_of,
    surface_of,
)
from scalefit.planning.result import Interval, Plan
from scalefit.predictor import Predictor

#: Warnings of a fit or forecast that change how far a plan from it can be believed: what its runs and columns are, and
#: what the runs leave open. Not what was dealt with (rows set aside, outliers), what a plan says by itself (how far
#: beyond the runs it lies), or what concerns single parameters.
_CARRIED = frozenset(
    "mixed_recipes recipe_effect mixed_runs mixed_series untuned_rate short_runs embeddings_counted points_along_runs "
    "few_runs one_degree narrow_range collinear small_models fallback scatter unexplained_spread lack_of_fit "
    "inconsistent_compute implausible_unit few_tokens implausible_loss low_losses mixed_units unknown_unit "
    "largest_size_off".split()
)
#: An optimum with fewer parameters or tokens than this lies at the edge of the search.
_EDGE = 2.0


@dataclass(frozen=True, slots=True)
class Request:
    """The question, once checked."""

    question: str
    asked: float
    held: Mapping[str, float]
    serve: float
    wall: float | None
    devices: Hardware | None
    level: float
    series: str | None
    kind: str


def solve_for(predictor: Predictor, request: Request) -> Plan:
    """Return the plan that answers a question."""
    question, asked, held, serve, wall = request.question, request.asked, request.held, request.serve, request.wall
    devices, level, series = request.devices, request.level, request.series
    refuse_settings(predictor.law)
    if predictor.law is not None and set(predictor.inputs) == {"C"}:
        return _in_compute(predictor, request)
    surface = surface_of(predictor, series=series, unique_tokens=wall)
    refuse_absurd(predictor, question, asked)
    weighed = serve * (1.0 if devices is None else devices.serving_weight)

    def solve(value: float) -> allocation.Allocation:
        best = _answer(surface, question, value, held, weighed)
        _refuse_nowhere(surface, best, question, asked, held, serve, weighed)
        return best

    if question == "loss":
        best, correction = allocation.reach_loss(predictor, surface, series, asked, solve)
    else:
        best = solve(asked)
        correction = forecast_correction(predictor, surface, float(best.N[0]), float(best.D[0]), series)
    n, d = float(best.N[0]), float(best.D[0])
    refuse_absurd_answer(predictor, question, asked, allocation.TRAIN * n * d)
    by_n, by_d = (np.full(surface.n_rows, np.nan),) * 2
    if not held:
        by_n, by_d = allocation.exponents(surface, best, weighed)
    value = correction * estimate_at(surface, n, d)
    lower, upper, notes = losses_between(predictor, surface, n, d, value, level, series)
    low_high = _intervals(best, by_n, level)
    if predictor.undetermined:  # what the runs leave open has no interval that could be claimed
        low_high = dict.fromkeys(low_high, (0.0, np.inf))
        low_high["exponent_N_interval"] = None
        lower, upper = None, None
    return Plan(
        **_common(predictor, request),
        N=n,
        D=d,
        C=allocation.TRAIN * n * d,
        loss=value,
        tokens_per_param=d / n,
        lower=lower,
        upper=upper,
        **low_high,
        exponent_N=float(by_n[0]),
        exponent_D=float(by_d[0]),
        serving_flops=allocation.SERVE * n * serve,
        total_flops=allocation.TRAIN * n * d + allocation.SERVE * n * serve,
        epochs=None if wall is None else d / wall,
        interval_source=surface.source,
        notes=(
            *reach_notes(predictor, n, d),
            *held_notes(predictor),
            *cost_notes(predictor),
            *past_best_notes(surface, n, d),
            *_trust(predictor),
            *surface.notes,
            *notes,
            *_repeats(wall, d, surface),
        ),
        surface=surface,
    )


def _common(predictor: Predictor, request: Request) -> dict[str, Any]:
    """Fields of a plan that the question and the law give."""
    return {
        "level": request.level,
        "question": request.question,
        "asked": request.asked,
        "fixed": request.held,
        "at": dict(predictor.held_inputs),
        "inference_tokens": request.serve,
        "unique_tokens": request.wall,
        "hardware": request.devices,
        "series": request.series,
        "law": request.kind if predictor.law is None else predictor.law.name,
        "target": predictor.target.name,
        "unit": predictor.target.unit,
        "params_convention": str(predictor.conventions.get("params") or "total").replace("-", "_"),
        "result": predictor,
    }


def _in_compute(predictor: Predictor, request: Request) -> Plan:
    """Plan of a law in C alone: what loss a budget reaches, or what budget reaches a loss; N and D stay open."""
    law, question, asked = predictor.law, request.question, request.asked
    assert law is not None
    refused = request.wall is not None and not predictor.calibrated  # a forecast knows D along the runs' line
    if refused or question not in ("C", "loss") or request.held or request.serve:
        raise ArgumentError(
            f"Law {law.name} reads C alone: it does not cover N, D, serving or repeated tokens",
            "no plan was made",
            f"Ask with {arg('C')} or {arg('loss')}, or fit a law in N and D",
        )
    if request.wall is not None:
        predictor = predictor.at(unique_tokens=request.wall)
    refuse_absurd(predictor, question, asked)
    draws = predictor.draws(N_DRAWS)
    point = {str(key): float(value) for key, value in predictor.params.items()}
    names = {name: name if name in point else f"{name}[{request.series}]" for name in law.parameters}
    if not set(names.values()) <= set(point):
        raise ArgumentError(
            f"{arg('series', request.series)} is not a series of this fit",
            "no plan was made",
            f"Pass one of {', '.join(predictor.series)}",
        )
    rest = {name: draws[key].to_numpy(float) if len(draws) else np.empty(0) for name, key in names.items()}
    params = {name: np.concatenate([[point[key]], rest[name]]) for name, key in names.items()}
    k, sense = 1 + len(draws), sense_of(law)

    def value(log_c: Array) -> Array:
        columns = {"C": np.exp(log_c)}
        with np.errstate(all="ignore"):
            found = np.asarray(law.evaluate(columns, params), float)
            if not predictor.calibrated:
                return found
            # What a forecast adds to its law: a correction learned from the runs, and what repeats cost.
            return np.asarray(found * predictor.predict(**columns) / law.evaluate(columns, point))

    if question == "C":
        found = np.full(k, np.log(asked))
    else:
        found = allocation.bisect(lambda u: sense * (value(u) - asked), k, 0.0, float(np.log(ABSOLUTE)))
        if np.isnan(found[0]):
            ends = value(np.zeros(k))[0], value(np.full(k, np.log(ABSOLUTE)))[0]
            raise ArgumentError(
                f"{arg('loss', shown=f'{asked:.6g}')} is reached at no budget: from 1 to {ABSOLUTE:.0e} FLOP the law "
                f"goes from {ends[0]:.6g} to {ends[1]:.6g}",
                "no plan was made",
                "Ask for a value between them",
            )
    C = float(np.exp(found[0]))
    refuse_absurd_answer(predictor, question, asked, C)
    series: dict[str, Any] = {} if request.series is None else {"series": request.series}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ScalefitWarning)
        row = predictor.predict_interval(level=request.level, C=C, **series).iloc[0]
    interval = None
    if k > 2 and question == "loss":
        tail = (1 - request.level) / 2
        ends_c = np.sort(np.exp(np.where(np.isnan(found[1:]), np.inf, found[1:])))
        low, high = np.quantile(ends_c, tail, method="lower"), np.quantile(ends_c, 1 - tail, method="higher")
        interval = (float(low), float(high))
    nan = float("nan")
    return Plan(
        **_common(predictor, request),
        N=nan,
        D=nan,
        C=C,
        loss=float(row["loss"]),
        tokens_per_param=nan,
        lower=None if np.isnan(row["lower"]) else float(row["lower"]),
        upper=None if np.isnan(row["upper"]) else float(row["upper"]),
        N_interval=None,
        D_interval=None,
        C_interval=interval,
        exponent_N=nan,
        exponent_D=nan,
        exponent_N_interval=None,
        serving_flops=0.0,
        total_flops=C,
        epochs=None,
        interval_source=str(draws.attrs.get("source", "none")),
        notes=(*compute_notes(predictor, C), *held_notes(predictor), *_trust(predictor)),
        surface=None,
    )


def _answer(
    surface: Surface, question: str, asked: float, held: Mapping[str, float], served: float
) -> allocation.Allocation:
    if held:
        return allocation.constrained(surface, question, asked, held, served)
    if question == "C":
        return allocation.on_budget(surface, asked, served)
    if question == "loss":
        return allocation.for_loss(surface, asked, served)
    return allocation.through(surface, question, asked, served)


def _refuse_nowhere(
    surface: Surface,
    best: allocation.Allocation,
    question: str,
    asked: float,
    held: Mapping[str, float],
    serve: float,
    weighed: float,
) -> None:
    """Say why the estimate has no plan, where it has none."""
    n, d = best.N[0], best.D[0]
    if np.isfinite(n) and np.isfinite(d) and min(n, d) >= 1 - 1e-6:  # at the edge one of them is 1 but for rounding
        if not held and question in ("C", "loss") and min(n, d) < _EDGE:
            what = "parameter" if n < d else "token"
            raise ArgumentError(
                f"{arg(question, shown=f'{asked:.6g}')}: under this law the best use of a budget lies at the edge of "
                f"the search (N = {n:.3g}, D = {d:.3g}: ever fewer {what}s), so the law does not weigh N against D "
                "there",
                "no plan was made",
                f"Check what the law predicts, or hold one of them: {arg('fixed', {'ratio': 20})}",
            )
        needed = allocation.TRAIN * n * d
        if question != "C" and needed > ABSOLUTE:
            raise ArgumentError(
                f"{arg(question, shown=f'{asked:.6g}')} takes {needed:.2g} FLOP under this law, more than anybody "
                f"can train ({ABSOLUTE:.0e} is where plans end)",
                "no plan was made",
                "Ask for less",
            )
        return
    if question == "loss":
        lowest = surface.first().loss(np.array([[1e25]]), np.array([[1e30]]))[0, 0]
        stays = "above" if surface.sense < 0 else "below"
        with_held = f" with {', '.join(f'{k} = {v:.4g}' for k, v in held.items())}" if held else ""
        raise ArgumentError(
            f"{arg('loss', shown=f'{asked:.6g}')} is never reached{with_held}: at any size and length the law stays "
            f"{stays} {lowest:.6g}",
            "no plan was made",
            f"Ask for a {'higher' if surface.sense < 0 else 'lower'} loss",
        )
    if question == "ratio":
        probe = [allocation.on_budget(surface.first(), C, weighed) for C in (1e18, 1e28)]
        low, high = (float(p.D[0] / p.N[0]) for p in probe)
        raise ArgumentError(
            f"{arg('ratio', shown=f'{asked:.4g}')} tokens per parameter is optimal on no budget: from 1e18 to 1e28 "
            f"FLOP the optimum goes from {low:.3g} to {high:.3g}",
            "no plan was made",
            f"Hold it on a budget instead: {arg('C', ...)} and {arg('fixed', {'ratio': float(f'{asked:.4g}')})}",
        )
    if question == "C":
        what = f" after serving {serve:.3g} tokens" if serve else ""
        raise ArgumentError(
            f"{arg('C', shown=f'{asked:.3g}')} FLOP trains nothing{what}: not one parameter on one token",
            "no plan was made",
            "Raise C",
        )
    raise ArgumentError(
        f"{arg(question, shown=f'{asked:.4g}')} is optimal on no budget under this law",
        "no plan was made",
        f"Ask with {arg('C')}, and {arg('fixed', {question: float(f'{asked:.4g}')})} to hold it",
    )


def _intervals(best: allocation.Allocation, exponent: Array, level: float) -> dict[str, Any]:
    """Percentiles of the optimum over the draws; infinite where draws have no plan."""
    names = {"N_interval": best.N, "D_interval": best.D, "C_interval": allocation.TRAIN * best.N * best.D}
    names["exponent_N_interval"] = exponent
    if best.N.size < 3:
        return dict.fromkeys(names)
    tail = (1 - level) / 2
    out: dict[str, Interval | None] = {}
    for name, values in names.items():
        # A draw without a plan (a loss below its floor) counts as infinitely large.
        rows = np.sort(np.where(np.isnan(values[1:]), np.inf, values[1:]))
        picks = [float(np.quantile(rows, q, method="lower" if q < 0.5 else "higher")) for q in (tail, 1 - tail)]
        out[name] = (picks[0], picks[1])
    if np.isnan(exponent[0]):
        out["exponent_N_interval"] = None
    return out


def _trust(predictor: Predictor) -> list[Note]:
    """What speaks against the fit behind a plan speaks against the plan."""
    # A forecast counts repeats by itself.
    codes = _CARRIED if predictor.calibrated else {*_CARRIED, "repeated_tokens"}
    carried = {note.message: note for note in predictor.notes if note.code in codes and note.severity == "warning"}
    notes = list(carried.values())
    if not predictor.trusted:
        text = "The fit behind this plan must not be trusted (print it for the reasons), and neither must the plan."
        notes.append(Note("untrusted", "error", text))
    return notes


def _repeats(wall: float | None, d: float, surface: Surface) -> list[Note]:
    if wall is None or d <= wall * 1.0001:
        return []
    law = "the borrowed constants" if surface.law is None else f"the law {surface.law.name}"
    rises = surface.law is not None and surface.law.direction.get("D", -1) == 0
    text = (
        f"The plan sees each token {d / wall:.3g} times, by {law}. Laws of repetition hold while the loss still falls; "
        f"with many epochs it can rise again, which this one {'models' if rises else 'does not model'}. Watch the "
        "validation loss; see epoch_returns()."
    )
    return [Note("repeated_data", "info" if d < 4 * wall else "warning", text, {"epochs": d / wall})]
