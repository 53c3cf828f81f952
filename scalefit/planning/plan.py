"""sf.plan: what to train next, from a law and one question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from scalefit._arguments import check_level, check_mapping, check_quantity, multiple_of_largest
from scalefit._calls import explained
from scalefit._typing import AnyArray
from scalefit.errors import ArgumentError, arg
from scalefit.extrapolation import times_largest
from scalefit.flops import SIZES
from scalefit.planning.choose import choose_inputs, chosen_notes
from scalefit.planning.deployment import Hardware, as_hardware
from scalefit.planning.loss_surface import sense_of, wall_of
from scalefit.planning.plan_settings import check_hyperparameters
from scalefit.planning.result import Plan
from scalefit.planning.solve import Request, solve_for
from scalefit.planning.source import resolved
from scalefit.predictor import predictor_of
from scalefit.tuning.result import Hyperparameters

if TYPE_CHECKING:
    import pandas as pd

Budgets = Sequence[float | str] | AnyArray


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
    hyperparameters: Hyperparameters | None = None,
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
    hyperparameters: Hyperparameters | None = None,
    level: float = 0.9,
    series: str | None = None,
) -> pd.DataFrame: ...


@explained
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
    hyperparameters: Hyperparameters | None = None,
    level: float = 0.9,
    series: str | None = None,
) -> Plan | pd.DataFrame:
    """Plan a run: exactly one of C, loss, N, D and ratio fixes the question.

    Parameters
    ----------
    result : FitResult, PublishedLaw, anything that predicts, or a table
        The law. A table (a path or DataFrame) is fitted by Chinchilla's law first; a path may be a saved result.
        Bootstrap draws give the intervals, or else the fit's robust covariance; published laws have none.
        A loss is minimised and an accuracy maximised; laws of a setting, such as a learning rate, give no plan.
    C : float, str or sequence of them
        Compute for training and serving together [FLOP]; the plan has the best target for it. Several give a table.
    loss : float
        Loss to reach [nat/token]; the plan is the cheapest.
    N, D : float or str
        Size [parameters] or tokens [tokens]; the plan is the budget for which it is optimal.
    ratio : float
        Tokens per parameter; the plan is the budget for which this ratio is optimal.
    fixed : mapping, optional
        Fixes ``N``, ``D`` or ``ratio`` together with C or loss: ``fixed={"ratio": 20}``.
    at : mapping, optional
        Values of the law's other inputs: ``at={"n_experts": 8}``.
    choose : mapping, optional
        Other inputs that the plan chooses on a budget, each with its range: ``choose={"n_experts": (1, 64)}``.
    inference_tokens : float or str
        Tokens to be served over the model's life, at 2 N FLOP each [tokens].
    unique_tokens : float or str, optional
        Distinct tokens available [tokens]; training on more repeats them.
    hardware : Hardware or str, optional
        Devices: they give device-hours, money, and the cost of a served FLOP relative to a trained one.
    hyperparameters : Hyperparameters, optional
        Result of ``sf.fit_hyperparameters`` on a sweep: the plan then has one learning rate, batch and so on, each
        with an interval, instead of those of published rules.
    level : float
        Coverage of the intervals.
    series : str, optional
        Which series, for fits with ``by="shared"``.

    Returns
    -------
    Plan
        Or, where C is a sequence, a DataFrame with one row per budget: ``C N D loss lower upper tokens_per_param``, the
        intervals of N and D, the inputs chosen, and the settings of `hyperparameters`; ``attrs["plans"]`` holds the
        plans. A law in C alone answers ``C=`` and ``loss=``, with NaN for N and D.

    Raises
    ------
    ArgumentError
        Not exactly one question, a value that is not allowed, a budget absurdly far from the runs, a loss that the law
        never reaches, an optimum at the edge of the search, or a law whose target is a setting.

    Examples
    --------
    >>> import scalefit as sf
    >>> plan = sf.plan(sf.published("chinchilla", "hoffmann2022_tex"), C=5.76e23)
    >>> f"{plan.N:.3g} {plan.D:.3g} {plan.tokens_per_param:.1f} {plan.loss:.3f}"
    '4.04e+10 2.38e+12 58.9 1.917'
    """
    if C is not None and not isinstance(C, str) and np.ndim(C) > 0:
        result = resolved(result)
        every = np.ravel(np.asarray(C, dtype=object))
        budgets = [check_quantity("C", times_largest(predictor_of(result).seen, {"C": one})["C"]) for one in every]
        if not budgets or np.ndim(C) != 1:
            raise ArgumentError(
                f"{arg('C', C)} must be a budget or a list of them", "no plan was made", "Give [1e21, 1e22]"
            )
        options: dict[str, Any] = {"at": at, "choose": choose, "fixed": fixed, "hardware": hardware, "level": level}
        options |= {
            "hyperparameters": hyperparameters,
            "series": series,
            "inference_tokens": inference_tokens,
            "unique_tokens": unique_tokens,
        }
        the_question({"C": budgets[0], "loss": loss, "N": N, "D": D, "ratio": ratio})
        return _table([plan(result, C=one, **options) for one in budgets])
    question, asked = the_question({"C": C, "loss": loss, "N": N, "D": D, "ratio": ratio})
    result = resolved(result)
    level = check_level(level)
    held = _held(question, fixed)
    serve = check_quantity("inference_tokens", inference_tokens, zero=True)
    wall = None if unique_tokens is None else check_quantity("unique_tokens", unique_tokens)
    devices, tuned = as_hardware(hardware), check_hyperparameters(hyperparameters)
    predictor = predictor_of(result)
    asked = check_quantity(question, times_largest(predictor.seen, {question: asked})[question])
    if at:
        predictor = predictor.at(**check_mapping("at", at, "{'n_experts': 8}"))
    wall = wall_of(predictor, wall)
    request = Request(question, asked, held, serve, wall, devices, level, series, type(result).__name__)
    if choose:
        predictor, chosen = choose_inputs(
            predictor, choose, question, lambda found: (solve_for(found, request).loss, sense_of(found.law))
        )
    else:
        chosen = {}
    found = replace(solve_for(predictor, request), chosen=tuple(chosen))
    if choose:
        found = replace(found, notes=(*found.notes, *chosen_notes(predictor.law, chosen, choose)))
    return found if tuned is None else found.with_hyperparameters(tuned)


def _table(plans: list[Plan]) -> pd.DataFrame:
    """One row per plan."""
    import pandas as pd

    rows = []
    for one in plans:
        row: dict[str, Any] = {"C": one.asked}
        row |= {key: getattr(one, key) for key in ("N", "D", "loss", "lower", "upper", "tokens_per_param")}
        for name, span in (("N", one.N_interval), ("D", one.D_interval)):
            row[f"{name}_lower"], row[f"{name}_upper"] = span or (np.nan, np.nan)
        settings = {} if one.settings is None else one.settings.values
        rows.append({**row, **{name: one.at[name] for name in one.chosen}, **settings})
    frame = pd.DataFrame(rows)
    frame.attrs["plans"] = plans
    return frame


def the_question(given: Mapping[str, Any]) -> tuple[str, Any]:
    """The one question, and its value; a multiple of the largest run is left as text."""
    asked = {key: value for key, value in given.items() if value is not None}
    if len(asked) != 1:
        seen = ", ".join(arg(key, value) for key, value in asked.items()) or "none of them"
        raise ArgumentError(
            f"Exactly one of {arg('C')}, {arg('loss')}, {arg('N')}, {arg('D')} and {arg('ratio')} fixes the "
            f"question; got {seen}",
            "no plan was made",
            f"To fix N, D or the ratio on a budget, pass {arg('fixed', {'ratio': 20})} with {arg('C')} or "
            f"{arg('loss')}",
        )
    ((question, value),) = asked.items()
    return question, check_quantity(question, value) if multiple_of_largest(value) is None else value


def _held(question: str, fixed: Any) -> dict[str, float]:
    """What is held at a value beside the question."""
    held = check_mapping("fixed", fixed, "{'ratio': 20}")
    if held and (question not in ("C", "loss") or len(held) > 1 or not set(held) <= {*SIZES, "ratio"}):
        raise ArgumentError(
            f"{', '.join(map(str, held))} cannot be fixed together with {arg(question)}",
            "none was made",
            f"Fix one of N, D or ratio, such as {arg('fixed', {'ratio': 20})}, with {arg('C')} or {arg('loss')}",
        )
    return {key: check_quantity(f"fixed[{key!r}]", value) for key, value in held.items()}
