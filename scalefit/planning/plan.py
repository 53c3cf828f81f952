"""sf.plan: what to train next, from a law and one question."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from scalefit._arguments import check_level, check_mapping, check_quantity
from scalefit._typing import Array
from scalefit.errors import ArgumentError, Note
from scalefit.planning import allocation
from scalefit.planning.carried import carried_over, estimate_at, reach_loss
from scalefit.planning.deployment import Hardware, as_hardware
from scalefit.planning.limits import ABSOLUTE, losses_between, reach_notes, refuse_absurd, refuse_absurd_answer
from scalefit.planning.loss_surface import Surface, surface_of
from scalefit.planning.result import Interval, Plan


def plan(
    result: Any,
    *,
    C: float | str | None = None,
    loss: float | None = None,
    N: float | str | None = None,
    D: float | str | None = None,
    ratio: float | None = None,
    fixed: Mapping[str, float | str] | None = None,
    inference_tokens: float | str = 0,
    unique_tokens: float | str | None = None,
    hardware: Hardware | str | None = None,
    level: float = 0.9,
    series: str | None = None,
) -> Plan:
    """Plan a run: exactly one of C, loss, N, D and ratio fixes the question.

    Parameters
    ----------
    result : FitResult, PublishedLaw, or anything that predicts
        The law. Bootstrap draws give the intervals, or else the fit's robust covariance; published laws have none.
    C : float or str
        Compute for training and serving together [FLOP]; the plan has the lowest loss it buys.
    loss : float
        Loss to reach [nat/token]; the plan is the cheapest.
    N, D : float or str
        Size [parameters] or tokens [tokens]; the plan is the one that is optimal for its own cost.
    ratio : float
        Tokens per parameter; the plan is the budget for which this ratio is optimal.
    fixed : mapping, optional
        Holds ``N``, ``D`` or ``ratio`` at a value while C or loss is asked: ``fixed={"ratio": 20}``.
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

    Raises
    ------
    ArgumentError
        Not exactly one question, a value that makes no sense, a budget absurdly far from the runs, or a loss that
        the law never reaches.

    Examples
    --------
    >>> import scalefit as sf
    >>> plan = sf.plan(sf.published("chinchilla", "hoffmann2022_tex"), C=5.76e23)
    >>> f"{plan.N:.3g} {plan.D:.3g} {plan.tokens_per_param:.1f} {plan.loss:.3f}"
    '4.04e+10 2.38e+12 58.9 1.917'
    """
    question, asked = the_question({"C": C, "loss": loss, "N": N, "D": D, "ratio": ratio})
    level = check_level(level)
    held = _held(question, fixed)
    serve = check_quantity("inference_tokens", inference_tokens, zero=True)
    wall = None if unique_tokens is None else check_quantity("unique_tokens", unique_tokens)
    devices = as_hardware(hardware)
    surface = surface_of(result, series=series, unique_tokens=wall)
    refuse_absurd(result, question, asked)
    weighed = serve * (1.0 if devices is None else devices.serving_weight)

    def solve(value: float) -> allocation.Allocation:
        best = _answer(surface, question, value, held, weighed)
        _refuse_nowhere(surface, best, question, asked, held, serve, weighed)
        return best

    if question == "loss":
        best, carried = reach_loss(result, surface, series, asked, solve)
    else:
        best = solve(asked)
        carried = carried_over(result, surface, float(best.N[0]), float(best.D[0]), series)
    n, d = float(best.N[0]), float(best.D[0])
    refuse_absurd_answer(result, question, asked, allocation.TRAIN * n * d)
    by_n, by_d = (np.full(surface.n_rows, np.nan),) * 2
    if not held:
        by_n, by_d = allocation.exponents(surface, best, weighed)
    value = carried * estimate_at(surface, n, d)
    open_ones = getattr(getattr(result, "certificate", None), "undetermined", ())
    lower, upper, notes = losses_between(result, surface, n, d, value, level, series)
    low_high = _intervals(best, by_n, level)
    if open_ones:  # what the runs leave open has no interval that could be claimed
        low_high = dict.fromkeys(low_high, (0.0, np.inf))
        low_high["exponent_N_interval"] = None
        lower, upper = None, None
    conventions = dict(getattr(result, "conventions", None) or {})
    counts = conventions.get("params") or getattr(getattr(result, "constants", None), "params", None) or "total"
    return Plan(
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
        level=level,
        question=question,
        asked=asked,
        fixed=held,
        inference_tokens=serve,
        serving_flops=allocation.SERVE * n * serve,
        total_flops=allocation.TRAIN * n * d + allocation.SERVE * n * serve,
        unique_tokens=wall,
        epochs=None if wall is None else d / wall,
        hardware=devices,
        series=series,
        law=str(getattr(result, "law", type(result).__name__)),
        params_convention=str(counts).replace("-", "_"),
        interval_source=surface.source,
        notes=(*reach_notes(result, n, d), *_trust(result), *surface.notes, *notes, *_repeats(wall, d)),
        result=result,
        surface=surface,
    )


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
        needed = allocation.TRAIN * n * d
        if question != "C" and needed > ABSOLUTE:
            raise ArgumentError(
                f"{question}={asked:.6g} takes {needed:.2g} FLOP under this law, more than anybody can train "
                f"({ABSOLUTE:.0e} is where plans end). No plan was made. Ask for less."
            )
        return
    if question == "loss":
        lowest = surface.first().loss(np.array([[1e25]]), np.array([[1e30]]))[0, 0]
        with_held = f" with {', '.join(f'{k}={v:.4g}' for k, v in held.items())}" if held else ""
        raise ArgumentError(
            f"loss={asked:.6g} is never reached{with_held}: at any size and length the law stays above {lowest:.6g}. "
            "No plan was made. Ask for a higher loss."
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


def _intervals(best: allocation.Allocation, exponent: Array, level: float) -> dict[str, Interval | None]:
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


def _trust(result: Any) -> list[Note]:
    if getattr(result, "trusted", True):
        return []
    text = "The fit behind this plan must not be trusted (print it for the reasons), and neither must the plan."
    return [Note("untrusted", "error", text)]


def _repeats(wall: float | None, d: float) -> list[Note]:
    if wall is None or d <= wall * 1.0001:
        return []
    text = (
        f"The plan sees each token {d / wall:.3g} times. Laws of repetition hold while the loss still falls; with "
        f"many epochs it can rise again, which no law here models. Watch the validation loss; see epoch_returns()."
    )
    return [Note("repeated_data", "info" if d < 4 * wall else "warning", text, {"epochs": d / wall})]
