"""sf.fit: from a table of runs to a law with a certificate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, overload

import numpy as np

from scalefit._arguments import check_count, check_mapping, check_number, one_of
from scalefit._calls import explained
from scalefit._text import known
from scalefit._typing import Array, ArrayLike
from scalefit.errors import ArgumentError, FitError, arg
from scalefit.fitting.certificate import Certificate
from scalefit.fitting.collection import Fits, fit_each, loss_columns
from scalefit.fitting.identifiability import (
    refuse,
    refuse_thin_series,
    repeated_notes,
    sweep_notes,
    unexplained_problem,
    unexplained_spread,
)
from scalefit.fitting.information import narrow_problem, refuse_too_few_settings, too_narrow
from scalefit.fitting.layout import Layout, in_raw_units, within_bounds
from scalefit.fitting.mixed_columns import mixed_notes, unread_sizes
from scalefit.fitting.mixtures import held_constants, refuse_few_mixtures, with_shares
from scalefit.fitting.objectives import Kind, Objective, Scale, sides_of
from scalefit.fitting.per_series import each_part
from scalefit.fitting.problem import Problem
from scalefit.fitting.result import FitResult
from scalefit.fitting.runs import Runs, choose_input, read
from scalefit.fitting.shipped import prior_of
from scalefit.fitting.solver import LARGE, solve
from scalefit.laws import get
from scalefit.laws._base import Law
from scalefit.tables.series import several_series

#: Starts to polish; more where the objective has several basins, as on few runs.
_STARTS, _STARTS_ON_FEW, _FEW = 3, 8, 100
#: A law without closed forms has basins side by side on any number of runs: of 1,000 random tables for each of eight
#: such laws, 8 starts and 3 missed the lowest on up to 13; of those, 16 miss one at most (benchmarks/optimum.py).
_STARTS_OF_BASINS = 16
#: Runs below which a law with basins between them is started from still more.
_VERY_FEW = 40


@overload
def fit(
    runs: Any,
    law: str | type[Law] | Law | Sequence[str] = "chinchilla",
    *,
    objective: Kind = "huber",
    delta: float = 1e-3,
    on: Scale | None = None,
    overestimate_penalty: float = 1.0,
    quantile: float | None = None,
    weights: str | ArrayLike | None = None,
    fixed: Mapping[str, float] | None = None,
    tied: Mapping[str, str] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    prior: Any = None,
    by: Literal["shared", "pool"] | None = None,
    seed: int = 0,
    n_starts: int | None = None,
    columns: Mapping[str, str | float] | None = None,
    inputs: Mapping[str, Any] | None = None,
    loss: str | None = None,
) -> FitResult: ...


@overload
def fit(
    runs: Any,
    law: str | type[Law] | Law | Sequence[str] = "chinchilla",
    *,
    loss: Sequence[str],
    objective: Kind | None = None,
    delta: float = 1e-3,
    on: Scale | None = None,
    overestimate_penalty: float = 1.0,
    quantile: float | None = None,
    weights: str | ArrayLike | None = None,
    fixed: Mapping[str, float] | None = None,
    tied: Mapping[str, str] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    prior: Any = None,
    seed: int = 0,
    n_starts: int | None = None,
    columns: Mapping[str, str | float] | None = None,
    inputs: Mapping[str, Any] | None = None,
) -> Fits: ...


@overload
def fit(
    runs: Any,
    law: str | type[Law] | Law | Sequence[str] = "chinchilla",
    *,
    objective: Kind = "huber",
    delta: float = 1e-3,
    on: Scale | None = None,
    overestimate_penalty: float = 1.0,
    quantile: float | None = None,
    weights: str | ArrayLike | None = None,
    fixed: Mapping[str, float] | None = None,
    tied: Mapping[str, str] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    prior: Any = None,
    by: Literal["series"],
    seed: int = 0,
    n_starts: int | None = None,
    columns: Mapping[str, str | float] | None = None,
    inputs: Mapping[str, Any] | None = None,
    loss: str | None = None,
) -> dict[Any, FitResult]: ...


@explained
def fit(
    runs: Any,
    law: str | type[Law] | Law | Sequence[str] = "chinchilla",
    *,
    objective: Kind | None = None,
    delta: float = 1e-3,
    on: Scale | None = None,
    overestimate_penalty: float = 1.0,
    quantile: float | None = None,
    weights: str | ArrayLike | None = None,
    fixed: Mapping[str, float] | None = None,
    tied: Mapping[str, str] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    prior: Any = None,
    by: Literal["series", "shared", "pool"] | None = None,
    seed: int = 0,
    n_starts: int | None = None,
    columns: Mapping[str, str | float] | None = None,
    inputs: Mapping[str, Any] | None = None,
    loss: str | Sequence[str] | None = None,
) -> FitResult | dict[Any, FitResult] | Fits:
    """Fit a law to a table of finished runs.

    Parameters
    ----------
    runs : DataFrame, path, or mapping of columns
        One row per run, with the law's inputs (N [parameters], D [tokens], C [FLOP], ...) and ``loss`` [nat/token];
        read as :func:`scalefit.read_runs` reads.
    law : str, Law or sequence
        A law's name, a law of your own (the class, or ``"mylaw.py:Mine"`` for the class in a file, which is run), or a
        list of a law and constraints such as ``["chinchilla", "beta = 0.9 * alpha"]``, which lmfit solves.
    objective : {"huber", "squared", "absolute", "quantile"}, optional
        Penalty on residuals; half squares within `delta` for ``"huber"``. By default as the law says: Huber's for most.
    delta : float
        Half-width of Huber's band, in units of the residual.
    on : {"log_loss", "loss", "logit"}, optional
        What residuals are computed from: the logarithm of the target, the target itself, or its log-odds. By default as
        the law's target says, which is the logarithm for losses.
    overestimate_penalty : float
        Cost of predicting too much relative to predicting too little: 10 makes the law follow the lower envelope
        of the runs, for tables in which some runs are poorly tuned. The floor and the predictions
        are then those of the best runs, not of the typical one.
    quantile : float, optional
        Of ``objective="quantile"``: the share of the runs that lie below the law; 0.5, the median, by default.
    weights : str or array_like (n,), optional
        Weights of the runs, or the name of the column that holds them; a column ``weight`` is used by default. A Series
        is matched to the runs of a DataFrame by its index. A rule multiplies the column ``weight``: a power of any
        column, such as ``"C^0.5"``, or ``"frontier"`` for weights that fall with distance from the best loss at the
        same compute.
    fixed : mapping, optional
        Parameters fixed at a value, ``{"E": 1.7}``.
    tied : mapping, optional
        Parameters made equal, ``{"beta": "alpha"}``; any other expression is solved by lmfit.
    bounds : mapping, optional
        Bounds that replace the law's, ``{"E": (0, 3)}``; None for an end keeps the law's bound.
    prior : Prior or mapping, optional
        Informative priors, part of the objective; see :mod:`scalefit.fitting.priors`.
    columns, inputs : mapping, optional
        Columns by name, ``columns={"N": "params_total"}``, and what else the law reads,
        ``inputs={"n_experts": "config.moe.n"}``; as :func:`scalefit.read_runs` takes them. Shares of a mixture are
        named together, ``inputs={"r": ["share_web", "share_code"]}`` or ``{"r": "share_*"}``; by default they are
        found by a common prefix or suffix and a sum of 1.
    loss : str or list of str, optional
        The column of the loss; or several columns, or a pattern such as ``"loss_*"``: each loss then gets a law of its
        own from the same runs, and the result is a :class:`scalefit.Fits` with joint draws.
    by : {"series", "shared", "pool"}, optional
        With several series in one table: one result per series (a dict), shared exponents with own coefficients,
        or one fit that ignores them. Several series without it are an error.
    seed : int
        Seed of later random draws, such as those of the bootstrap; the fit itself is not random.
    n_starts : int, optional
        Starts to polish; by default 3, and 8 on fewer than 100 runs, where the objective has several basins. A law
        that is no sum of powers has 16 or more (3 again on more than 10,000 runs).

    Returns
    -------
    FitResult
        Or, with several losses, :class:`scalefit.Fits`; with ``by="series"``, a dict of them by
        series; series that do not identify the law are left out and named in a warning.

    Raises
    ------
    DataError
        The table cannot be read.
    FitError
        The table does not identify this law; the message says why.
    ArgumentError
        An argument has a value that is not allowed.

    Examples
    --------
    >>> import numpy as np, scalefit as sf
    >>> N, D = np.meshgrid([1e8, 4e8, 1.6e9], [2e9, 1e10, 5e10])
    >>> loss = sf.published("chinchilla", "besiroglu2024").predict(N=N.ravel(), D=D.ravel())
    >>> result = sf.fit({"N": N.ravel(), "D": D.ravel(), "loss": loss}, "chinchilla")
    >>> result.params.round(3).to_dict()["alpha"]
    0.348
    """
    if loss is not None:
        names = loss_columns(runs, loss)
        if not isinstance(loss, str) or len(names) > 1:
            options: dict[str, Any] = {"objective": objective, "delta": delta, "on": on, "weights": weights}
            options |= {"fixed": fixed, "tied": tied, "bounds": bounds, "prior": prior, "by": by, "seed": seed}
            options |= {"n_starts": n_starts, "columns": columns, "inputs": inputs}
            options |= {"overestimate_penalty": overestimate_penalty, "quantile": quantile}
            return fit_each(names, lambda name: fit(runs, law, loss=name, **options), by)
        columns = {**check_mapping("columns", columns, "{'N': 'params_total'}"), "loss": names[0]}
    fixed = check_mapping("fixed", fixed, "{'E': 1.7}")
    tied = check_mapping("tied", tied, "{'beta': 'alpha'}")
    bounds = check_mapping("bounds", bounds, "{'E': (0, 3)}")
    if not isinstance(law, (str, type, Law)):
        law, tied = _split_constraints(law, tied)
    chosen = get(law)
    parts = {"parameters": chosen.parameters, "inputs": chosen.inputs, "loss": "loss" in dir(chosen)}
    if absent := [part for part, there in parts.items() if not there]:
        raise ArgumentError(
            f"{arg('law', shown=chosen.__name__)} has no {' and no '.join(absent)}",
            "nothing was fitted",
            "Give it sf.Parameter attributes, inputs, and a static method loss that takes both",
        )
    if chosen.shares:
        runs, chosen = with_shares(runs, chosen, columns, inputs)
    elif columns or inputs:
        from scalefit.tables.runs import name_columns

        runs = name_columns(runs, columns, inputs, chosen.reads())
    if chosen.choices and ":" not in chosen.name:
        chosen = chosen.on(choose_input(chosen, runs))
    kind = chosen.objective if objective is None else objective
    objective_ = Objective(
        kind,
        check_number("delta", delta),
        chosen.target.on if on is None else on,
        sides=sides_of(kind, overestimate_penalty, quantile),
    )
    if not one_of(by, (None, "series", "shared", "pool")):
        raise ArgumentError(
            f"{arg('by', by)} is not known",
            "nothing was fitted",
            f"{known(by, ('series', 'shared', 'pool'))}. Name a column of kinds when the table is read, "
            f"read_runs(..., {arg('series', 'router')}), and pass {arg('by', 'series')}",
        )
    table = read(runs, chosen.inputs, chosen.reads(), weights)
    labels = table.series_labels
    if len(labels) > 1 and by is None:
        raise several_series(
            FitError,
            labels,
            "nothing was fitted",
            f"pass {arg('by', 'series')} for a law each",
            f"{arg('by', 'shared')} for shared exponents",
            f"{arg('by', 'pool')} to ignore it",
        )
    request = _Request(
        chosen,
        objective_,
        fixed,
        tied,
        bounds,
        prior,
        check_count("seed", seed, least=0),
        None if n_starts is None else check_count("n_starts", n_starts),
    )
    if by != "series":
        return _fit(table, request, labels if by == "shared" and len(labels) > 1 else [])
    return each_part(table, lambda part: _fit(part, request, []), chosen.name)


@dataclass(frozen=True, slots=True)
class _Request:
    """What the caller asked for."""

    law: type[Law]
    objective: Objective
    fixed: dict[str, float]
    tied: dict[str, str]
    bounds: dict[str, tuple[float, float]]
    prior: Any
    seed: int
    n_starts: int | None


def _fit(table: Runs, request: _Request, shared: list[Any]) -> FitResult:
    """Fit one law to one table; `shared` lists the series that have coefficients of their own."""
    law, loss = request.law, table.loss
    groups = tuple(np.flatnonzero(table.series == label) for label in shared) or (np.arange(loss.size),)
    expressions = {key: text for key, text in request.tied.items() if text not in law.parameters}
    if law.shares:
        held = held_constants(law, table.columns, loss, {*request.fixed, *request.tied, *request.tied.values()})
        request = replace(request, fixed={**request.fixed, **held})
    layout = Layout(law, request.fixed, request.tied, request.bounds, len(groups), shared, expressions)
    request = replace(request, prior=prior_of(request.prior, law, table.conventions))
    prior_names = set() if request.prior is None else set(request.prior.names)
    pinned = set(request.fixed) | prior_names | (set() if shared else set(request.tied))
    request.objective.demand(loss)
    refuse_thin_series(law, {str(label): g.size for label, g in zip(shared, groups, strict=False)}, set(request.fixed))
    notes = [*table.notes, *repeated_notes(law, table.table), *sweep_notes(law, table.table)]
    notes += unread_sizes(law, table.table)
    if law.shares:
        refuse_few_mixtures(law, table.columns, layout.n_free)
    notes += refuse(law, table.columns, loss, layout.n_free, pinned, set(request.fixed))
    problem = layout.problem(table.columns, loss, request.objective, table.weights, groups, prior_names)
    refuse_too_few_settings(problem, layout.names, prior_names)

    few = loss.size < _FEW and not expressions  # lmfit takes its time for each start
    many = 0 if expressions else max(law.n_starts, law.n_starts_on_few if loss.size < _VERY_FEW else 0)
    usual = max(_STARTS_ON_FEW if few else _STARTS, many)
    if not (law.terms or expressions) and loss.size <= LARGE:
        usual = max(usual, _STARTS_OF_BASINS)
    n_starts = usual if request.n_starts is None else request.n_starts

    def search(problem: Problem) -> tuple[Array, Array | None, Certificate]:
        if not expressions:
            x, certificate = solve(problem, request.bounds, layout.names, n_starts)
            return x, None, certificate
        from scalefit.fitting.lmfit_bridge import fit_with_expressions

        return fit_with_expressions(problem, expressions, request.bounds, n_starts)

    if prior_names:
        from scalefit.fitting.priors import with_prior

        problem = with_prior(problem, request.prior, lambda free: search(free)[0])
    x, tangent, certificate = search(problem)
    centred, centred_x = problem, x
    if not within_bounds(problem, x[None])[0]:
        # A coefficient's bounds are those of the table's units: there they can be obeyed.
        problem = in_raw_units(problem)
        x, tangent, certificate = search(problem)
    if (found := unexplained_problem(unexplained_spread(problem, x, layout.n_free))) is not None:
        certificate = replace(certificate, problems=(*certificate.problems, found))
    if tangent is None and (narrow := too_narrow(centred, centred_x, centred.bounds(request.bounds), layout.n_free)):
        certificate = replace(
            certificate,
            problems=(*certificate.problems, narrow_problem(narrow)),
            undetermined=tuple(dict.fromkeys((*certificate.undetermined, *narrow))),
        )
    if not shared:
        notes += mixed_notes(law, table.table, problem.residuals(x[None])[0])
    return FitResult(
        law=law,
        problem=problem,
        x=x,
        names=layout.names,
        certificate=certificate,
        row_labels=table.labels,
        series=tuple(map(str, shared)),
        conventions=table.conventions,
        bounds=request.bounds,
        fixed=request.fixed,
        tied=request.tied,
        table_notes=tuple(notes),
        seed=request.seed,
        tangent=tangent,
    )


def _split_constraints(law: Sequence[str], tied: Mapping[str, str] | None) -> tuple[str, dict[str, str]]:
    """Split ["chinchilla", "beta = 0.9 * alpha"] into the law and its constraints."""
    items = list(law) if isinstance(law, Sequence) else []
    if not items or not all(isinstance(item, (str, type)) for item in items):
        raise ArgumentError(
            f"{arg('law', law)} is neither a law's name nor a Law, nor a list of a law and constraints like 'beta = "
            "alpha'",
            "nothing was fitted",
            "Give one of these",
        )
    out = dict(tied or {})
    for item in items[1:]:
        name, sign, expression = str(item).partition("=")
        if not sign or not expression.strip():
            raise ArgumentError(
                f"Constraint {item!r} is not a constraint", "nothing was fitted", "Write 'parameter = expression'"
            )
        out[name.strip()] = expression.strip()
    return items[0], out
