"""sf.forecast: the loss of a large run from a table of small ones, with an interval calibrated on other tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, overload

import numpy as np

from scalefit._arguments import one_of
from scalefit._calls import explained
from scalefit._numeric import robust_sd
from scalefit._text import known
from scalefit._typing import Array
from scalefit.errors import ArgumentError, FitError, Note, arg, way
from scalefit.fitting.identifiability import sweep_notes
from scalefit.fitting.layout import Layout
from scalefit.fitting.objectives import Objective
from scalefit.fitting.per_series import each_part
from scalefit.fitting.priors import Prior, penalty_of
from scalefit.fitting.problem import Problem
from scalefit.fitting.runs import Runs, read
from scalefit.fitting.solver import solve
from scalefit.flops import SIZES
from scalefit.forecasting.calibration import CALIBRATED_LAW, ForecastCalibration, shipped
from scalefit.forecasting.causes import cause_notes
from scalefit.forecasting.correlated_errors import CorrelatedFit, Discrepancy, Frontier, compute, fit_correlated
from scalefit.forecasting.costs import costs_of, with_costs
from scalefit.forecasting.own_noise import left_over, own_noise
from scalefit.forecasting.repeats import Repeats, repeats_notes, with_repeats
from scalefit.forecasting.result import ForecastResult
from scalefit.forecasting.shipped_prior import shipped_prior
from scalefit.forecasting.suitability import (
    COMPUTE_LAW,
    check_varied,
    few_notes,
    instead_of_calibrated,
    own_law_notes,
    size_notes,
    thin,
    thinned_notes,
)
from scalefit.laws import get
from scalefit.laws._base import Law
from scalefit.tables.series import several_series

#: The first guess is a robust fit: Huber's band on the log loss, weights by compute, the prior at this noise.
_BAND, _COMPUTE_POWER, _FIRST_NOISES = 0.01, 0.5, (0.02, 0.003)
#: Largest table that is fitted from both first guesses (a guess: a second one costs as much as the first).
_SMALL = 40
#: A run is raised to the others' frontier where it lies further below a law than this many times their scatter, which
#: is drawn towards 1 %, as by 8 runs, so that few that a law goes through do not make the next one bad (guesses).
_FAR, _USUAL_SCATTER, _SCATTER_RUNS = 6.0, 0.01, 8.0


@overload
def forecast(
    runs: Any,
    *,
    law: str | type[Law] | None = None,
    loss_unit: str | None = None,
    prior: Prior | Mapping[str, tuple[float, float]] | Literal["shipped"] | None = "shipped",
    by: Literal["pool"] | None = None,
    constants: ForecastCalibration | None = None,
    columns: Mapping[str, str | float] | None = None,
    inputs: Mapping[str, str | float] | None = None,
) -> ForecastResult: ...


@overload
def forecast(
    runs: Any,
    *,
    law: str | type[Law] | None = None,
    loss_unit: str | None = None,
    prior: Prior | Mapping[str, tuple[float, float]] | Literal["shipped"] | None = "shipped",
    by: Literal["series"],
    constants: ForecastCalibration | None = None,
    columns: Mapping[str, str | float] | None = None,
    inputs: Mapping[str, str | float] | None = None,
) -> dict[Any, ForecastResult]: ...


@explained
def forecast(
    runs: Any,
    *,
    law: str | type[Law] | None = None,
    loss_unit: str | None = None,
    prior: Prior | Mapping[str, tuple[float, float]] | Literal["shipped"] | None = "shipped",
    by: Literal["series", "pool"] | None = None,
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
        Unit of the loss, if the table does not state it; any but ``"nat/token"`` removes the prior on E, whose size
        depends on it.
    prior : Prior, mapping or "shipped", optional
        A prior of your own over parameters of the coupled law; None for no prior.
    by : {"series", "pool"}, optional
        A forecast for each series of the table, as a dict; series too small for one are left out and named in a
        warning. Or one that takes them for one series. Several series without it are an error.
    law : str or type of Law, optional
        A law of your choice instead of the coupled law, with any inputs: errors that neighbouring runs share are
        modelled in the same way. The prior is then on E alone, where the law has it; the intervals were calibrated
        with the coupled law.
    constants : ForecastCalibration, optional
        Constants that replace the shipped ones (the benchmark leaves groups of tables out of them).

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
    from scalefit.tables.runs import name_columns

    _refuse_unknown(loss_unit, by, constants)
    learned: Prior | Literal["shipped"] | None = "shipped" if one_of(prior, ("shipped",)) else Prior.of(prior)
    calibrated = get(CALIBRATED_LAW)
    own_law = None if law is None else get(law)
    asked = own_law or calibrated
    declared = asked.reads()
    table = read(name_columns(runs, columns, inputs, declared), asked.inputs, declared)
    if loss_unit is not None:  # stated here, so not assumed
        notes = tuple(note for note in table.notes if note.code != "assumed_unit")
        assumed = [key for key in table.conventions["assumed"] if key != "loss_unit"]
        conventions = {**table.conventions, "loss_unit": loss_unit, "assumed": assumed}
        table = replace(table, notes=notes, conventions=conventions)
    if len(labels := table.series_labels) > 1 and by is None:
        raise several_series(
            FitError,
            labels,
            "nothing was forecast",
            f"pass {arg('by', 'series')} for a forecast each",
            f"{arg('by', 'pool')} to ignore it",
        )
    chosen = shipped() if constants is None else constants

    def one(part: Runs) -> ForecastResult:
        notes = (*part.notes, *sweep_notes(asked, part.table))
        return _forecast(replace(part, notes=notes), learned, chosen, own_law)

    return one(table) if by != "series" else each_part(table, one, "a forecast", "nothing was forecast")


def _refuse_unknown(loss_unit: str | None, by: str | None, constants: ForecastCalibration | None) -> None:
    """Refuse arguments that are not known."""
    from scalefit.tables.runs import LOSS_UNITS

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
    if not isinstance(constants, ForecastCalibration | None):
        raise ArgumentError(
            f"{arg('constants', constants)} must be a ForecastCalibration", "nothing was forecast", "Leave them out"
        )


def _forecast(
    table: Runs,
    prior: Prior | Literal["shipped"] | None,
    constants: ForecastCalibration,
    own_law: type[Law] | None,
) -> ForecastResult:
    """Forecast from the runs of one series."""
    notes, n_runs = list(table.notes), table.loss.size
    law, reason = get(CALIBRATED_LAW), ""
    if own_law is not None:
        check_varied(own_law, table.columns, table.loss)
        notes += own_law_notes(own_law)
        law = own_law
    else:
        notes += size_notes(table.columns, constants)
        reason = instead_of_calibrated(table.columns, table.loss)
    table, more = with_costs(table)
    notes += more
    table, repeats = with_repeats(table, on_line=bool(reason))
    notes += repeats_notes(table, repeats)
    if reason:
        table, repeats = _along_compute(table, repeats)
        law = get(COMPUTE_LAW)
        notes.append(Note("fallback", "warning", reason, {"law": law.name}))
    if prior == "shipped":
        unit, lowest = str(table.conventions["loss_unit"]), float(table.loss.min())
        given, more = shipped_prior(constants, law, unit, fallback=bool(reason), lowest=lowest)
        notes += more
    else:
        given = None if reason else prior
    notes += few_notes(n_runs, law)
    kept = thin(table.columns, table.loss)
    table = table.part(kept)
    notes += thinned_notes(table.loss.size, n_runs)
    problem, names = _problem(law, table, given)
    fitted = fit_best(problem, names, constants.discrepancy)
    left = left_over(problem, fitted, constants.discrepancy)
    causes, recipe_spread = cause_notes(table.table, left, str(table.conventions.get("params", "total")))
    return ForecastResult(
        law=problem.law,
        problem=problem,
        fitted=fitted,
        names=names,
        discrepancy=constants.discrepancy,
        spread=constants.interval,
        row_labels=table.labels,
        conventions=table.conventions,
        table_notes=(*notes, *causes),
        reason=reason,
        recipe_spread=recipe_spread,
        repeats=None if repeats is None else repeats.part(kept),
    )


def _along_compute(table: Runs, repeats: Repeats | None) -> tuple[Runs, Repeats | None]:
    """The runs with their compute in place of N and D, which move together along a line [log]."""
    N, D = (table.columns[key] for key in SIZES)
    cost, seen = costs_of(table.conventions), D if repeats is None else repeats.seen
    slope, intercept = np.polyfit(np.log(N), np.log(seen), 1)
    conventions = {**table.conventions, "line": [float(intercept), float(slope)]}
    if repeats is not None:
        repeats = replace(repeats, seen=cost.train(N, seen), of="C")
    return replace(table, columns={"C": cost.train(N, D)}, conventions=conventions), repeats


def _problem(law: type[Law], table: Runs, prior: Prior | None) -> tuple[Problem, tuple[str, ...]]:
    layout = Layout(law, {}, {}, {}, 1, [], {})
    goal = Objective("huber", _BAND, "log_loss")
    rows = (np.arange(table.loss.size),)
    names = set(prior.names) if prior else set()
    problem = layout.problem(table.columns, table.loss, goal, table.weights, rows, names)
    if prior is not None:
        problem = replace(problem, penalty=penalty_of(problem, prior, 1.0))
    return problem, layout.names


def fit_best(problem: Problem, names: tuple[str, ...], about: Discrepancy) -> CorrelatedFit:
    """Fit from a robust first guess; from two, under two sizes of noise, on small tables: the better posterior wins."""
    share = compute(problem.columns) / compute(problem.columns).max()
    weights = share**_COMPUTE_POWER * (1.0 if problem.weights is None else problem.weights)
    best, frontier = None, Frontier(np.zeros(problem.loss.size))
    points: list[Array] = []
    for noise in _FIRST_NOISES[: 2 if problem.loss.size <= _SMALL else 1]:
        penalty = None if problem.penalty is None else replace(problem.penalty, scale=noise**2)
        x, _ = solve(replace(problem, weights=weights, penalty=penalty), {}, names, 3)
        if any(np.abs(x - other).max() < 1e-3 for other in points):
            continue
        if not points:
            frontier = Frontier(_raised(problem, x))
        points.append(x)
        fitted = fit_correlated(problem, x, about, frontier)
        if best is None or fitted.evidence > best.evidence:
            best = fitted
    assert best is not None  # there is at least one first guess
    # Of noisy runs the lucky ones are the frontier, and trusting them more than the others would lower every forecast.
    luck = max(own_noise(problem, best, about)[3] - about.noise, 0.0)
    return best if luck == 0 else fit_correlated(problem, best.x, about, replace(frontier, luck=luck))


def _raised(problem: Problem, x: Array) -> Array:
    """By how much log losses (n,) far below a law's are raised to where they are not: bad runs make no frontier."""
    missed = problem.residuals(x[None])[0]
    n = missed.size
    usual = np.sqrt((n * robust_sd(missed) ** 2 + _SCATTER_RUNS * _USUAL_SCATTER**2) / (n + _SCATTER_RUNS))
    return np.asarray(np.maximum(missed - _FAR * usual, 0.0))
