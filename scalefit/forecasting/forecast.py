"""sf.forecast: from a table of small runs to the loss of a large one, with an interval calibrated on other tables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from scalefit._arguments import one_of
from scalefit._numeric import excess_over_hull
from scalefit._typing import AnyArray, Array
from scalefit.errors import ArgumentError, FitError, Note
from scalefit.fitting.identifiability import each_series, repeated_notes, sweep_notes, unexplained
from scalefit.fitting.layout import Layout
from scalefit.fitting.objectives import Objective
from scalefit.fitting.priors import Prior, penalty_of
from scalefit.fitting.problem import Problem
from scalefit.fitting.solver import solve
from scalefit.forecasting.correlated_errors import Discrepancy, compute, fit_correlated
from scalefit.forecasting.result import ForecastResult, Spread
from scalefit.laws import get

_FILE = Path(__file__).with_name("_forecast_prior.json")
#: The first guess is a robust fit: Huber's band on the log loss, weights by compute, the prior at this noise.
_BAND, _COMPUTE_POWER, _FIRST_NOISES = 0.01, 0.5, (0.02, 0.003)
_SMALL = 40
_FEWEST_RUNS = 4
_FEW_RUNS = 8
_MOST_RUNS = 400
#: Share of ln D that ln N leaves unexplained, below which the effects of the two are not told apart.
_COLLINEAR = 0.02
_CONSTANT = 1e-3
#: Excess over the frontier [log loss] above which a run says little of a compute-optimal one.
_FAR = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Constants:
    """What was learned from other tables: prior, sizes of a law's error, calibration of the intervals."""

    prior: Prior
    compute_prior: Prior
    discrepancy: Discrepancy
    spread: Spread
    provenance: Mapping[str, Any]


@cache
def shipped() -> Constants:
    """Return the constants that come with scalefit."""
    return constants_from(json.loads(_FILE.read_text(encoding="utf-8")))


def constants_from(saved: Mapping[str, Any]) -> Constants:
    """Return constants from their document."""
    priors = []
    for key in ("prior", "compute_prior"):
        part = saved[key]
        mean, cov = np.array(part["mean"], float), np.array(part["cov"], float)
        priors.append(Prior(tuple(part["names"]), mean, cov, True, part["source"]))
    spread = Spread(**saved["interval"])
    return Constants(priors[0], priors[1], Discrepancy(**saved["discrepancy"]), spread, saved["provenance"])


def forecast(
    runs: Any,
    *,
    loss_unit: str | None = None,
    prior: Prior | Mapping[str, tuple[float, float]] | Literal["shipped"] | None = "shipped",
    by: Literal["series", "pool"] | None = None,
    constants: Constants | None = None,
) -> Any:
    """Forecast the loss of larger runs from a table of smaller ones.

    The coupled law is fitted with a prior over (E, alpha, beta, g) learned from public tables and with errors that
    neighbouring runs share (see :mod:`scalefit.forecasting.correlated_errors`), so that a hundred small runs do not
    outvote the few large ones. Intervals were calibrated on forecasts of other tables' larger runs. Where the
    table cannot identify the coupled law, a law of compute takes its place; ``result.reason`` and a note say so.

    Parameters
    ----------
    runs : DataFrame, path, or mapping of columns
        One row a run: N [parameters], D [tokens] (or C [FLOP] with one of them) and ``loss`` [nat/token]; read as
        :func:`scalefit.read_runs` reads. Where it has a column ``weight``, runs count by it.
    loss_unit : str, optional
        Unit of the loss, where the table does not say; any but ``"nat/token"`` takes the prior off E, whose size
        depends on it.
    prior : Prior, mapping or "shipped", optional
        A prior of your own over parameters of the coupled law; None for none.
    by : {"series", "pool"}, optional
        A forecast for each series of the table, as a dict; series that cannot bear one are left out and named in a
        warning. Or one that takes them for one series. Several series without it are an error.
    constants : Constants, optional
        In place of the shipped ones (the benchmark leaves groups of tables out of them).

    Returns
    -------
    ForecastResult
        Predicts like a :class:`FitResult`; or a dict of them by series.

    Raises
    ------
    FitError
        The table cannot bear a forecast; the message says why.
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
    from scalefit.tables.runs import LOSS_UNITS, check_runs

    if one_of(loss_unit, ("perplexity",)):
        raise ArgumentError(
            "loss_unit='perplexity' is read, not forecast, and nothing was forecast. Pass read_runs(..., "
            "loss_unit='perplexity')."
        )
    if not one_of(loss_unit, (None, *LOSS_UNITS)):
        raise ArgumentError(
            f"loss_unit={loss_unit!r} is not known; nothing was forecast. Known: {', '.join(LOSS_UNITS)}."
        )
    if not one_of(by, (None, "series", "pool")):
        raise ArgumentError(
            f"by={by!r} is not known, as a forecast is of one series; nothing was forecast. Pass by='series' for a "
            "dict of them, or by='pool' to take them for one."
        )
    known: Prior | Literal["shipped"] | None = "shipped" if one_of(prior, ("shipped",)) else Prior.of(prior)
    if not isinstance(constants, Constants | None):
        raise ArgumentError(
            f"constants={constants!r:.80} are none that constants_from made; nothing was forecast. Leave them out."
        )
    checked = check_runs(runs, ("N", "D"))
    columns = {key: np.asarray(checked.columns[key], float) for key in ("N", "D")}
    loss = np.asarray(checked.columns["loss"], float)
    conventions = dict(checked.conventions)
    conventions["loss_unit"] = loss_unit or conventions.get("loss_unit", "nat/token")
    weight = checked.columns.get("weight")
    weight = None if weight is None else np.asarray(weight, float)
    series = checked.columns.get("series")
    labels = list(dict.fromkeys(np.asarray(series).tolist())) if series is not None else []
    if len(labels) > 1 and by is None:
        raise FitError(
            f"The table holds {len(labels)} series ({', '.join(map(str, labels[:8]))}): their losses do not compare. "
            "Nothing was forecast. Pass by='series' for a forecast each, or by='pool' to ignore it."
        )
    chosen = shipped() if constants is None else constants

    def noted(table: Mapping[str, AnyArray]) -> list[Note]:
        law = get("coupled")
        return [*checked.notes, *repeated_notes(law, table), *sweep_notes(law, table)]

    if by != "series":
        notes = noted(checked.columns)
        return _forecast(columns, loss, weight, checked.row_labels, conventions, notes, known, chosen)
    if series is None:
        raise ArgumentError(
            "by='series' needs a column named series, and this table has none. Nothing was forecast. Name it: "
            "series='...'."
        )

    def one(label: Any) -> ForecastResult:
        at = np.flatnonzero(np.asarray(series) == label)
        part = {key: column[at] for key, column in columns.items()}
        own = None if weight is None else weight[at]
        notes = noted({key: np.asarray(column)[at] for key, column in checked.columns.items()})
        return _forecast(part, loss[at], own, checked.row_labels[at], conventions, notes, known, chosen)

    return each_series(labels, one, "a forecast")


def _forecast(
    columns: dict[str, Array],
    loss: Array,
    weight: Array | None,
    labels: AnyArray,
    conventions: dict[str, Any],
    notes: list[Note],
    prior: Prior | Literal["shipped"] | None,
    constants: Constants,
) -> ForecastResult:
    notes = [*notes, *_size_notes(columns, constants)]
    law, reason = _choose(columns, loss)
    if reason:
        notes.append(Note("fallback", "warning", reason, {"law": law}))
        slope, intercept = np.polyfit(np.log(columns["N"]), np.log(columns["D"]), 1)
        conventions = {**conventions, "line": [float(intercept), float(slope)]}
        columns = {"C": 6.0 * columns["N"] * columns["D"]}
    if prior == "shipped":
        given: Prior | None = constants.prior if not reason else constants.compute_prior
        if conventions["loss_unit"] != "nat/token":
            given = _without(given, "E") if given is not None else None
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
        text = f"{loss.size} runs say little of six parameters: most of this forecast is the prior. Add runs."
        notes.append(Note("few_runs", "warning", text, {"n_runs": int(loss.size)}))
    kept = _thin(columns, loss)
    if kept.size < loss.size:
        text = (
            f"{kept.size} of {loss.size} runs were used, those of most compute and closest to the frontier first: "
            f"neighbouring runs share their error, so more of them add almost nothing."
        )
        notes.append(Note("thinned", "info", text, {"used": int(kept.size), "n_runs": int(loss.size)}))
    problem, names = _problem(law, {k: v[kept] for k, v in columns.items()}, loss[kept], weight, kept, given)
    fitted = fit_best(problem, names, constants.discrepancy)
    return ForecastResult(
        law=problem.law,
        problem=problem,
        fitted=fitted,
        names=names,
        discrepancy=constants.discrepancy,
        spread=constants.spread,
        row_labels=np.asarray(labels)[kept],
        conventions=conventions,
        table_notes=tuple(notes),
        reason=reason,
    )


def _size_notes(columns: Mapping[str, Array], constants: Constants) -> list[Note]:
    """Say where every run is smaller than any that the prior and the intervals were learned from."""
    largest, smallest = float(columns["N"].max()), float(constants.provenance.get("smallest_N", 0.0))
    if largest >= smallest:
        return []
    # On data/scalefit_cpu, below 1e6 parameters, the intervals held 11 of 11 and 6 of 11 cells (docs/validation.md).
    text = (
        f"The largest model has {largest:.3g} parameters; the prior and the width of the intervals were learned from "
        f"models of {smallest:.3g} and more, and the intervals may be too narrow here. Check that N counts single "
        f"parameters, and add larger runs."
    )
    return [Note("small_models", "warning", text, {"largest": largest, "smallest": smallest})]


def _choose(columns: Mapping[str, Array], loss: Array) -> tuple[str, str]:
    """Name of the law that the table bears, and why it is not the coupled one (or "")."""
    n = loss.size
    if n < _FEWEST_RUNS:
        raise FitError(
            f"{n} runs cannot bear a forecast: at least {_FEWEST_RUNS} are needed, 20 or more are sensible. None was "
            f"made. Add runs."
        )
    if np.ptp(np.log(loss)) < 1e-9:
        raise FitError(
            f"All {n} losses are {loss[0]:.6g}: there is nothing to extrapolate, and no forecast was made. Check the "
            f"loss column."
        )
    log_n, log_d = np.log(columns["N"]), np.log(columns["D"])
    if np.ptp(log_n + log_d) < 0.1:
        raise FitError(
            f"All {n} runs have one compute budget ({6 * np.exp(np.median(log_n + log_d)):.3g} FLOP): nothing in them "
            "says how loss falls with compute, and none was forecast. Add runs at two or more other budgets, a "
            "factor of 3 apart."
        )
    for key, values in (("N", log_n), ("D", log_d)):
        if np.ptp(values) < _CONSTANT:
            other = "D" if key == "N" else "N"
            raise FitError(
                f"{key} is {np.exp(values[0]):.4g} in all {n} runs: nothing in them says what a larger {key} does, "
                f"and no loss was forecast. Add runs that vary {key}, or fit power_law:{other} for runs at this {key}."
            )
    left, slope = unexplained(log_d, log_n)
    if left < _COLLINEAR:
        what = "tokens per parameter are the same in every run" if abs(slope - 1) < 0.05 else f"D follows N^{slope:.2f}"
        return "power_law:C", (
            f"N and D move together ({what}), so their effects cannot be told apart: a law of compute took the coupled "
            f"law's place. It holds along this line only; add runs at other ratios to leave it."
        )
    return "coupled", ""


def _problem(
    law: str, columns: dict[str, Array], loss: Array, weight: Array | None, kept: AnyArray, prior: Prior | None
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


def _thin(columns: Mapping[str, Array], loss: Array) -> AnyArray:
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


def _without(prior: Prior, name: str) -> Prior:
    keep = [i for i, other in enumerate(prior.names) if other != name]
    names = tuple(prior.names[i] for i in keep)
    return Prior(names, prior.mean[keep], prior.cov[np.ix_(keep, keep)], prior.log, prior.source)
