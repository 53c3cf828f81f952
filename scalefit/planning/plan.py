"""sf.plan: what to train next, from a law and one question."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from scalefit._arguments import check_level, check_mapping, check_quantity
from scalefit._typing import AnyArray, Array
from scalefit.errors import ArgumentError, Note, ScalefitWarning
from scalefit.planning import allocation
from scalefit.planning.choose import choose_inputs
from scalefit.planning.deployment import Hardware, as_hardware
from scalefit.planning.limits import (
    ABSOLUTE,
    compute_notes,
    losses_between,
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
from scalefit.predictor import Predictor, predictor_of

if TYPE_CHECKING:
    import pandas as pd

Budgets = Sequence[float | str] | AnyArray
#: An optimum with fewer parameters or tokens than this lies at the edge of the search.
_EDGE = 2.0


@overload
def plan(
    result: Any,
    *,
    C: float | str | None = None,
    loss: float | None = None,
    N: float | str | None = None,
    D: float | str | None = None,
    ratio: float | None = None,
    fixed: Mapping[str, float | str] | None = None,
    at: Mapping[str, float | str] | None = None,
    choose: Mapping[str, tuple[float, float]] | None = None,
    inference_tokens: float | str = 0,
    unique_tokens: float | str | None = None,
    hardware: Hardware | str | None = None,
    level: float = 0.9,
    series: str | None = None,
) -> Plan: ...


@overload
def plan(
    result: Any,
    *,
    C: Budgets,
    loss: float | None = None,
    N: float | str | None = None,
    D: float | str | None = None,
    ratio: float | None = None,
    fixed: Mapping[str, float | str] | None = None,
    at: Mapping[str, float | str] | None = None,
    choose: Mapping[str, tuple[float, float]] | None = None,
    inference_tokens: float | str = 0,
    unique_tokens: float | str | None = None,
    hardware: Hardware | str | None = None,
    level: float = 0.9,
    series: str | None = None,
) -> pd.DataFrame: ...


def plan(
    result: Any,
    *,
    C: float | str | Budgets | None = None,
    loss: float | None = None,
    N: float | str | None = None,
    D: float | str | None = None,
    ratio: float | None = None,
    fixed: Mapping[str, float | str] | None = None,
    at: Mapping[str, float | str] | None = None,
    choose: Mapping[str, tuple[float, float]] | None = None,
    inference_tokens: float | str = 0,
    unique_tokens: float | str | None = None,
    hardware: Hardware | str | None = None,
    level: float = 0.9,
    series: str | None = None,
) -> Plan | pd.DataFrame:
    """Plan a run: exactly one of C, loss, N, D and ratio fixes the question.

    Parameters
    ----------
    result : FitResult, PublishedLaw, or anything that predicts
        The law. Bootstrap draws give the intervals, or else the fit's robust covariance; published laws have none.
        What it predicts says what is best: a loss is made low, an accuracy high, a setting is not planned for.
    C : float, str or sequence of them
        Compute for training and serving together [FLOP]; the plan has the best target it buys. Several give a table.
    loss : float
        Loss to reach [nat/token]; the plan is the cheapest.
    N, D : float or str
        Size [parameters] or tokens [tokens]; the plan is the one that is optimal for its own cost.
    ratio : float
        Tokens per parameter; the plan is the budget for which this ratio is optimal.
    fixed : mapping, optional
        Holds ``N``, ``D`` or ``ratio`` at a value while C or loss is asked: ``fixed={"ratio": 20}``.
    at : mapping, optional
        Values of the law's other inputs: ``at={"n_experts": 8}``.
    choose : mapping, optional
        Other inputs that the plan chooses on a budget, each with its range: ``choose={"n_experts": (1, 64)}``.
    inference_tokens : float or str
        Tokens to be served over the model's life, at 2 N FLOP each [tokens].
    unique_tokens : float or str, optional
        Distinct tokens there are [tokens]; training beyond them repeats them.
    hardware : Hardware or str, optional
        Devices: device-hours and money, and what a served FLOP costs against a trained one.
    level : float
        Coverage of the intervals.
    series : str, optional
        Which series, for fits with ``by="shared"``.

    Returns
    -------
    Plan
        Or, where C is a sequence, a DataFrame with one row per budget: ``C N D loss lower upper tokens_per_param``, the
        intervals of N and D, and the inputs chosen; ``attrs["plans"]`` holds the plans. A law in C alone answers
        ``C=`` and ``loss=``, with NaN for N and D.

    Raises
    ------
    ArgumentError
        Not exactly one question, a value that makes no sense, a budget absurdly far from the runs, a loss that the law
        never reaches, an optimum at the edge of the search, or a law whose target is a setting.

    Examples
    --------
    >>> import scalefit as sf
    >>> plan = sf.plan(sf.published("chinchilla", "hoffmann2022_tex"), C=5.76e23)
    >>> f"{plan.N:.3g} {plan.D:.3g} {plan.tokens_per_param:.1f} {plan.loss:.3f}"
    '4.04e+10 2.38e+12 58.9 1.917'
    """
    if C is not None and not isinstance(C, str) and np.ndim(C) > 0:
        budgets = [check_quantity("C", one) for one in np.ravel(np.asarray(C, dtype=object))]
        if not budgets or np.ndim(C) != 1:
            raise ArgumentError(f"C={C!r:.80} must be a budget or a list of them. No plan was made. Give [1e21, 1e22].")
        options: dict[str, Any] = {
            "at": at,
            "choose": choose,
            "series": series,
            "hardware": hardware,
            "level": level,
            "fixed": fixed,
        }
        options |= {"inference_tokens": inference_tokens, "unique_tokens": unique_tokens}
        the_question({"C": budgets[0], "loss": loss, "N": N, "D": D, "ratio": ratio})
        return _table([plan(result, C=one, **options) for one in budgets])
    question, asked = the_question({"C": C, "loss": loss, "N": N, "D": D, "ratio": ratio})
    level = check_level(level)
    held = _held(question, fixed)
    serve = check_quantity("inference_tokens", inference_tokens, zero=True)
    wall = None if unique_tokens is None else check_quantity("unique_tokens", unique_tokens)
    devices = as_hardware(hardware)
    request = _Request(question, asked, held, serve, wall, devices, level, series, type(result).__name__)
    predictor = predictor_of(result)
    if at:
        predictor = predictor.at(**check_mapping("at", at, "{'n_experts': 8}"))
    if choose:
        predictor, chosen = choose_inputs(
            predictor, choose, question, lambda found: (_plan(found, request).loss, sense_of(found.law))
        )
    else:
        chosen = {}
    return replace(_plan(predictor, request), chosen=tuple(chosen))


@dataclass(frozen=True, slots=True)
class _Request:
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


def _plan(predictor: Predictor, request: _Request) -> Plan:
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
    return Plan(
        **_common(predictor, request),
        N=n,
        D=d,
        C=allocation.TRAIN * n * d,
        loss=value,
        tokens_per_param=d / n,
        lower=lower,
        upper=upper,
        **_intervals(best, by_n, level),
        exponent_N=float(by_n[0]),
        exponent_D=float(by_d[0]),
        serving_flops=allocation.SERVE * n * serve,
        total_flops=allocation.TRAIN * n * d + allocation.SERVE * n * serve,
        epochs=None if wall is None else d / wall,
        interval_source=surface.source,
        notes=(
            *reach_notes(predictor, n, d),
            *_trust(predictor),
            *surface.notes,
            *notes,
            *_repeats(wall, d, surface),
        ),
        surface=surface,
    )


def _common(predictor: Predictor, request: _Request) -> dict[str, Any]:
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
        "target": "loss" if predictor.law is None else predictor.law.target.name,
        "unit": "nat/token" if predictor.law is None else predictor.law.target.unit,
        "params_convention": str(predictor.conventions.get("params") or "total").replace("-", "_"),
        "result": predictor,
    }


def _in_compute(predictor: Predictor, request: _Request) -> Plan:
    """Plan of a law in C alone: what loss a budget reaches, or what budget reaches a loss; N and D stay open."""
    law, question, asked = predictor.law, request.question, request.asked
    assert law is not None
    if question not in ("C", "loss") or request.held or request.serve or request.wall is not None:
        raise ArgumentError(
            f"Law {law.name} reads C alone: it says nothing of N, D, serving or repeated tokens, and no plan was made. "
            "Ask with C= or loss=, or fit a law in N and D."
        )
    refuse_absurd(predictor, question, asked)
    draws = predictor.draws(N_DRAWS)
    point = {str(key): float(value) for key, value in predictor.params.items()}
    names = {name: name if name in point else f"{name}[{request.series}]" for name in law.parameters}
    if not set(names.values()) <= set(point):
        raise ArgumentError(f"series={request.series!r}: pass series= one of {', '.join(predictor.series)}; no plan "
                            "was made.")  # fmt: skip
    rest = {name: draws[key].to_numpy(float) if len(draws) else np.empty(0) for name, key in names.items()}
    params = {name: np.concatenate([[point[key]], rest[name]]) for name, key in names.items()}
    k, sense = 1 + len(draws), sense_of(law)

    def value(log_c: Array) -> Array:
        with np.errstate(all="ignore"):
            return np.asarray(law.evaluate({"C": np.exp(log_c)}, params), float)

    if question == "C":
        found = np.full(k, np.log(asked))
    else:
        found = allocation.bisect(lambda u: sense * (value(u) - asked), k, 0.0, float(np.log(ABSOLUTE)))
        if np.isnan(found[0]):
            ends = value(np.zeros(k))[0], value(np.full(k, np.log(ABSOLUTE)))[0]
            raise ArgumentError(
                f"loss={asked:.6g} is reached at no budget: from 1 to {ABSOLUTE:.0e} FLOP the law goes from "
                f"{ends[0]:.6g} to {ends[1]:.6g}. No plan was made. Ask for a value between them."
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
        notes=(*compute_notes(predictor, C), *_trust(predictor)),
        surface=None,
    )


def _table(plans: list[Plan]) -> pd.DataFrame:
    """One row per plan."""
    import pandas as pd

    rows = []
    for one in plans:
        row: dict[str, Any] = {"C": one.asked}
        row |= {key: getattr(one, key) for key in ("N", "D", "loss", "lower", "upper", "tokens_per_param")}
        for name, span in (("N", one.N_interval), ("D", one.D_interval)):
            row[f"{name}_lower"], row[f"{name}_upper"] = span or (np.nan, np.nan)
        rows.append({**row, **{name: one.at[name] for name in one.chosen}})
    frame = pd.DataFrame(rows)
    frame.attrs["plans"] = plans
    return frame


def the_question(given: Mapping[str, Any]) -> tuple[str, float]:
    """The one question, and its value."""
    asked = {key: value for key, value in given.items() if value is not None}
    if len(asked) != 1:
        seen = ", ".join(f"{key}={value!r}" for key, value in asked.items()) or "none of them"
        raise ArgumentError(
            f"Exactly one of C=, loss=, N=, D= and ratio= fixes the question; got {seen}, and no plan was made. To "
            f"hold N, D or the ratio on a budget, pass fixed={{'ratio': 20}} beside C= or loss=."
        )
    ((question, value),) = asked.items()
    return question, check_quantity(question, value)


def _held(question: str, fixed: Any) -> dict[str, float]:
    """What is held at a value beside the question."""
    held = check_mapping("fixed", fixed, "{'ratio': 20}")
    if held and (question not in ("C", "loss") or len(held) > 1 or not set(held) <= {"N", "D", "ratio"}):
        raise ArgumentError(
            f"Holding {', '.join(map(str, held))} beside {question}= fixes no plan, and none was made. fixed= holds "
            f"one of N, D or ratio, beside C= or loss=. Pass fixed={{'ratio': 20}}, for one."
        )
    return {key: check_quantity(f"fixed[{key!r}]", value) for key, value in held.items()}


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
    if np.isfinite(n) and np.isfinite(d) and n >= 1 and d >= 1:
        if not held and question in ("C", "loss") and min(n, d) < _EDGE:
            what = "parameter" if n < d else "token"
            raise ArgumentError(
                f"{question}={asked:.6g}: under this law the best use of a budget lies at the edge of the search "
                f"(N = {n:.3g}, D = {d:.3g}: ever fewer {what}s), so the law does not weigh N against D there. No plan "
                "was made. Check what the law predicts, or hold one of them: fixed={'ratio': 20}."
            )
        needed = allocation.TRAIN * n * d
        if question != "C" and needed > ABSOLUTE:
            raise ArgumentError(
                f"{question}={asked:.6g} takes {needed:.2g} FLOP under this law, more than anybody can train "
                f"({ABSOLUTE:.0e} is where plans end). No plan was made. Ask for less."
            )
        return
    if question == "loss":
        lowest = surface.first().loss(np.array([[1e25]]), np.array([[1e30]]))[0, 0]
        stays = "above" if surface.sense < 0 else "below"
        with_held = f" with {', '.join(f'{k}={v:.4g}' for k, v in held.items())}" if held else ""
        raise ArgumentError(
            f"loss={asked:.6g} is never reached{with_held}: at any size and length the law stays {stays} {lowest:.6g}. "
            f"No plan was made. Ask for a {'higher' if surface.sense < 0 else 'lower'} loss."
        )
    if question == "ratio":
        probe = [allocation.on_budget(surface.first(), C, weighed) for C in (1e18, 1e28)]
        low, high = (float(p.D[0] / p.N[0]) for p in probe)
        raise ArgumentError(
            f"ratio={asked:.4g} tokens per parameter is optimal on no budget: from 1e18 to 1e28 FLOP the optimum goes "
            f"from {low:.3g} to {high:.3g}. No plan was made. Hold it on a budget instead: plan(result, C=..., "
            f"fixed={{'ratio': {asked:.4g}}})."
        )
    if question == "C":
        what = f" after serving {serve:.3g} tokens" if serve else ""
        raise ArgumentError(
            f"C={asked:.3g} FLOP trains nothing{what}: not one parameter on one token. No plan was made. Raise C."
        )
    raise ArgumentError(
        f"{question}={asked:.4g} is optimal on no budget under this law, and no plan was made. Ask with C=, and "
        f"fixed={{'{question}': {asked:.4g}}} to hold it."
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
    if predictor.trusted:
        return []
    text = "The fit behind this plan must not be trusted (print it for the reasons), and neither must the plan."
    return [Note("untrusted", "error", text)]


def _repeats(wall: float | None, d: float, surface: Surface) -> list[Note]:
    if wall is None or d <= wall * 1.0001:
        return []
    law = "the borrowed constants" if surface.law is None else f"the law {surface.law.name}"
    text = (
        f"The plan sees each token {d / wall:.3g} times, by {law}. Laws of repetition hold while the loss still falls; "
        f"with many epochs it can rise again, which this one does not model. Watch the validation loss; see "
        f"epoch_returns()."
    )
    return [Note("repeated_data", "info" if d < 4 * wall else "warning", text, {"epochs": d / wall})]
