"""sf.forecast: from a table of small runs to the loss of a large one, with an interval calibrated on other tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np

from scalefit._arguments import one_of
from scalefit._text import known
from scalefit._typing import AnyArray, Array
from scalefit.errors import ArgumentError, FitError, Note, arg, way
from scalefit.fitting.identifiability import repeated_notes, sweep_notes
from scalefit.fitting.layout import Layout
from scalefit.fitting.objectives import Objective
from scalefit.fitting.per_series import each_series
from scalefit.fitting.priors import Prior, penalty_of
from scalefit.fitting.problem import Problem
from scalefit.fitting.solver import solve
from scalefit.flops import SIZES, training_flops
from scalefit.forecasting.calibration import ForecastCalibration, shipped
from scalefit.forecasting.causes import cause_notes
from scalefit.forecasting.correlated_errors import Discrepancy, compute, fit_correlated, left_over
from scalefit.forecasting.result import ForecastResult
from scalefit.forecasting.suitability import check_varied, choose, size_notes, thin
from scalefit.laws import get
from scalefit.laws._base import Law
from scalefit.tables.series import several_series

#: The first guess is a robust fit: Huber's band on the log loss, weights by compute, the prior at this noise.
_BAND, _COMPUTE_POWER, _FIRST_NOISES = 0.01, 0.5, (0.02, 0.003)
_SMALL = 40
_FEW_RUNS = 8


@overload
def forecast(
    runs: Any,
    *,
    loss_unit: str | None = None,
    prior: Prior | Mapping[str, tuple[float, float]] | Literal["shipped"] | None = "shipped",
    by: Literal["pool"] | None = None,
    law: str | type[Law] | None = None,
    constants: ForecastCalibration | None = None,
    columns: Mapping[str, str | float] | None = None,
    inputs: Mapping[str, str | float] | None = None,
) -> ForecastResult: ...


@overload
def forecast(
    runs: Any,
    *,
    loss_unit: str | None = None,
    prior: Prior | Mapping[str, tuple[float, float]] | Literal["shipped"] | None = "shipped",
    by: Literal["series"],
    law: str | type[Law] | None = None,
    constants: ForecastCalibration | None = None,
    columns: Mapping[str, str | float] | None = None,
    inputs: Mapping[str, str | float] | None = None,
) -> dict[Any, ForecastResult]: ...


def forecast(
    runs: Any,
    *,
    loss_unit: str | None = None,
    prior: Prior | Mapping[str, tuple[float, float]] | Literal["shipped"] | None = "shipped",
    by: Literal["series", "pool"] | None = None,
    law: str | type[Law] | None = None,
    constants: ForecastCalibration | None = None,
    columns: Mapping[str, str | float] | None = None,
    inputs: Mapping[str, str | float] | None = None,
) -> ForecastResult | dict[Any, ForecastResult]:
    """Forecast the loss of larger runs from a table of smaller ones.

    The coupled law is fitted with a prior over (E, alpha, beta, g) learned from public tables and with errors that
    neighbouring runs share (see :mod:`scalefit.forecasting.correlated_errors`), so that a hundred small runs do not
    outvote the few large ones. Intervals were calibrated on forecasts of other tables' larger runs. Where the
    table cannot identify the coupled law, a law of compute takes its place; ``result.reason`` and a note say so.

    Parameters
    ----------
    runs : DataFrame, path, or mapping of columns
        One row per run: N [parameters], D [tokens] (or C [FLOP] with one of them) and ``loss`` [nat/token]; read as
        :func:`scalefit.read_runs` reads. Where it has a column ``weight``, runs count by it.
    columns, inputs : mapping, optional
        Columns by name, ``columns={"N": "params_total"}``, and what else the law reads,
        ``inputs={"n_experts": "config.moe.n"}``; as :func:`scalefit.read_runs` takes them.
    loss_unit : str, optional
        Unit of the loss, where the table does not say; any but ``"nat/token"`` takes the prior off E, whose size
        depends on it.
    prior : Prior, mapping or "shipped", optional
        A prior of your own over parameters of the coupled law; None for none.
    by : {"series", "pool"}, optional
        A forecast for each series of the table, as a dict; series too small for one are left out and named in a
        warning. Or one that takes them for one series. Several series without it are an error.
    law : str or type of Law, optional
        A law of your own choice in the coupled law's place, with any inputs: errors that neighbouring runs share are
        modelled in the same way. The prior is then on E alone, where the law has it; the intervals were calibrated
        with the coupled law.
    constants : ForecastCalibration, optional
        In place of the shipped ones (the benchmark leaves groups of tables out of them).

    Returns
    -------
    ForecastResult
        Predicts like a :class:`FitResult`; or a dict of them by series.

    Raises
    ------
    FitError
        The table does not identify a forecast; the message says why.
    DataError
        The table cannot be read.

    Examples
    --------
    >>> import numpy as np, scalefit as sf
    >>> N, D = (axis.ravel() for axis in np.meshgrid(np.geomspace(5e7, 1e9, 5), np.geomspace(2e9, 4e10, 5)))
    >>> law = sf.published("chinchilla", "besiroglu2024")
    >>> result = sf.forecast({"N": N, "D": D, "loss": law.predict(N=N, D=D)})
    >>> abs(result.predict(N=7e9, D=2e11) / law.predict(N=7e9, D=2e11) - 1) < 0.01
    True
    """
    from scalefit.tables.labels import every_column
    from scalefit.tables.runs import LOSS_UNITS, check_for_fit, name_columns, read_runs

    if one_of(loss_unit, ("perplexity",)):
        raise ArgumentError(
            f"{arg('loss_unit', 'perplexity')} is read, not forecast",
            "nothing was forecast",
            "Read it first: " + way("read_runs(..., loss_unit='perplexity')", "scalefit fit --loss-unit perplexity"),
        )
    if not one_of(loss_unit, (None, *LOSS_UNITS)):
        raise ArgumentError(
            f"{arg('loss_unit', loss_unit)} is not known", "nothing was forecast", known(loss_unit, LOSS_UNITS)
        )
    if not one_of(by, (None, "series", "pool")):
        raise ArgumentError(
            f"{arg('by', by)} is not known, as a forecast is of one series",
            "nothing was forecast",
            f"Pass {arg('by', 'series')} for a dict of them, or {arg('by', 'pool')} to take them for one",
        )
    learned: Prior | Literal["shipped"] | None = "shipped" if one_of(prior, ("shipped",)) else Prior.of(prior)
    if not isinstance(constants, ForecastCalibration | None):
        raise ArgumentError(
            f"{arg('constants', constants)} must be a ForecastCalibration", "nothing was forecast", "Leave them out"
        )
    own_law = None if law is None else get(law)
    reads = SIZES if own_law is None else own_law.inputs
    runs = name_columns(runs, columns, inputs)
    if isinstance(runs, (str, Path)):
        runs = read_runs(runs)
    checked = check_for_fit(runs, reads)
    arrays = {key: np.asarray(checked.columns[key], float) for key in reads}
    every = every_column(runs, checked)
    loss = np.asarray(checked.columns["loss"], float)
    conventions = dict(checked.conventions)
    conventions["loss_unit"] = loss_unit or conventions.get("loss_unit", "nat/token")
    weight = checked.columns.get("weight")
    weight = None if weight is None else np.asarray(weight, float)
    series = checked.columns.get("series")
    labels = list(dict.fromkeys(np.asarray(series).tolist())) if series is not None else []
    if len(labels) > 1 and by is None:
        raise several_series(
            FitError,
            labels,
            "nothing was forecast",
            f"pass {arg('by', 'series')} for a forecast each",
            f"{arg('by', 'pool')} to ignore it",
        )
    chosen = shipped() if constants is None else constants

    def noted(table: Mapping[str, AnyArray]) -> list[Note]:
        chosen_law = own_law or get("coupled")
        return [*checked.notes, *repeated_notes(chosen_law, table), *sweep_notes(chosen_law, table)]

    if by != "series":
        table = _Table(arrays, loss, weight, checked.row_labels, conventions, every)
        return _forecast(table, noted(checked.columns), learned, chosen, own_law)
    if series is None:
        raise ArgumentError(
            f"{arg('by', 'series')} needs a column named series, and this table has none",
            "nothing was forecast",
            f"Name it: {arg('series', '...')}",
        )

    def one(label: Any) -> ForecastResult:
        at = np.flatnonzero(np.asarray(series) == label)
        part = {key: column[at] for key, column in arrays.items()}
        own = None if weight is None else weight[at]
        notes = noted({key: np.asarray(column)[at] for key, column in checked.columns.items()})
        beside = {key: column[at] for key, column in every.items()}
        table = _Table(part, loss[at], own, checked.row_labels[at], conventions, beside)
        return _forecast(table, notes, learned, chosen, own_law)

    return each_series(labels, one, "a forecast")


@dataclass(frozen=True, slots=True, eq=False)
class _Table:
    """Runs of one series: the law's inputs, losses, weights, row labels, conventions, and every other column."""

    columns: dict[str, Array]
    loss: Array
    weight: Array | None
    labels: AnyArray
    conventions: dict[str, Any]
    every: dict[str, AnyArray]


def _forecast(
    table: _Table,
    notes: list[Note],
    prior: Prior | Literal["shipped"] | None,
    constants: ForecastCalibration,
    own_law: type[Law] | None,
) -> ForecastResult:
    columns, loss, weight, conventions = table.columns, table.loss, table.weight, table.conventions
    law: str | type[Law]
    if own_law is not None:
        check_varied(own_law, columns, loss)
        law, reason = own_law, ""
        if own_law.name != "coupled":
            text = (
                f"{own_law.name} was asked for. The width of intervals was learned from forecasts by the coupled law; "
                f"on this law it was not checked."
            )
            notes = [*notes, Note("own_law", "info", text, {"law": own_law.name})]
    else:
        notes = [*notes, *size_notes(columns, constants)]
        law, reason = choose(columns, loss)
    if reason:
        notes.append(Note("fallback", "warning", reason, {"law": law}))
        slope, intercept = np.polyfit(np.log(columns["N"]), np.log(columns["D"]), 1)
        conventions = {**conventions, "line": [float(intercept), float(slope)]}
        columns = {"C": training_flops(columns["N"], columns["D"])}
    if prior == "shipped":
        given: Prior | None = constants.prior if not reason else constants.compute_prior
        if own_law is not None and own_law.name != "coupled":
            given = _on_E(constants.prior) if _has_positive_E(own_law) else None
        if given is not None and "E" in given.names and conventions["loss_unit"] != "nat/token":
            given = _without(given, "E")
            notes.append(
                Note(
                    "prior_without_E",
                    "info",
                    f"The loss is in {conventions['loss_unit']}, so the prior on E, which is in nat/token, was "
                    f"dropped. Pass losses in nat/token to use it.",
                )
            )
    else:
        given = None if reason else prior
    if loss.size < _FEW_RUNS:
        n_free = len(get(law).parameters)
        text = f"{loss.size} runs say little of {n_free} parameters: most of this forecast is the prior. Add runs."
        notes.append(Note("few_runs", "warning", text, {"n_runs": int(loss.size)}))
    kept = thin(columns, loss)
    if kept.size < loss.size:
        text = (
            f"{kept.size} of {loss.size} runs were used, those of most compute and closest to the frontier first: "
            f"neighbouring runs share their error, so more of them add almost nothing."
        )
        notes.append(Note("thinned", "info", text, {"used": int(kept.size), "n_runs": int(loss.size)}))
    problem, names = _problem(law, {k: v[kept] for k, v in columns.items()}, loss[kept], weight, kept, given)
    fitted = fit_best(problem, names, constants.discrepancy)
    beside = {key: column[kept] for key, column in table.every.items()}
    left = left_over(problem, fitted, constants.discrepancy)
    causes, recipe_spread = cause_notes(beside, left, str(conventions.get("params", "total")))
    notes += causes
    return ForecastResult(
        law=problem.law,
        problem=problem,
        fitted=fitted,
        names=names,
        discrepancy=constants.discrepancy,
        spread=constants.interval,
        row_labels=np.asarray(table.labels)[kept],
        conventions=conventions,
        table_notes=tuple(notes),
        reason=reason,
        recipe_spread=recipe_spread,
    )


def _problem(
    law: str | type[Law],
    columns: dict[str, Array],
    loss: Array,
    weight: Array | None,
    kept: AnyArray,
    prior: Prior | None,
) -> tuple[Problem, tuple[str, ...]]:
    chosen = get(law)
    layout = Layout(chosen, {}, {}, {}, 1, [], {})
    goal = Objective("huber", _BAND, "log_loss")
    rows = (np.arange(loss.size),)
    problem = layout.problem(
        columns, loss, goal, None if weight is None else weight[kept], rows, set(prior.names) if prior else set()
    )
    if prior is not None:
        problem = replace(problem, penalty=penalty_of(problem, prior, 1.0))
    return problem, layout.names


def fit_best(problem: Problem, names: tuple[str, ...], about: Discrepancy) -> Any:
    """Fit from a robust first guess; from two, under two sizes of noise, on small tables: the better posterior wins."""
    share = compute(problem.columns) / compute(problem.columns).max()
    weights = share**_COMPUTE_POWER * (1.0 if problem.weights is None else problem.weights)
    best = None
    points: list[Array] = []
    for noise in _FIRST_NOISES[: 2 if problem.loss.size <= _SMALL else 1]:
        penalty = None if problem.penalty is None else replace(problem.penalty, scale=noise**2)
        x, _ = solve(replace(problem, weights=weights, penalty=penalty), {}, names, 3)
        if any(np.abs(x - other).max() < 1e-3 for other in points):
            continue
        points.append(x)
        fitted = fit_correlated(problem, x, about)
        if best is None or fitted.evidence > best.evidence:
            best = fitted
    return best


def _has_positive_E(law: type[Law]) -> bool:
    return "E" in law.parameters and law.parameters["E"].log


def _on_E(prior: Prior) -> Prior | None:
    """The prior's own distribution of E."""
    return _kept(prior, [prior.names.index("E")]) if "E" in prior.names else None


def _without(prior: Prior, name: str) -> Prior | None:
    return _kept(prior, [i for i, other in enumerate(prior.names) if other != name])


def _kept(prior: Prior, keep: list[int]) -> Prior | None:
    if not keep:
        return None
    names = tuple(prior.names[i] for i in keep)
    return Prior(names, prior.mean[keep], prior.cov[np.ix_(keep, keep)], prior.log, prior.source)
