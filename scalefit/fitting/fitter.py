"""sf.fit: from a table of runs to a law with a certificate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from scalefit._typing import AnyArray, Array, ArrayLike
from scalefit.errors import ArgumentError, FitError
from scalefit.fitting.certificate import Certificate, certify
from scalefit.fitting.checks import refuse
from scalefit.fitting.newton import Minimum, minimise
from scalefit.fitting.objectives import Kind, Objective, Scale
from scalefit.fitting.power_sum import model_of
from scalefit.fitting.problem import Problem
from scalefit.fitting.result import FitResult
from scalefit.fitting.starts import find_starts, subset
from scalefit.laws import get
from scalefit.laws._base import Law

_LARGE = 10_000
_SUBSET = 2_048
_SECOND_SUBSET = 20_000
_N_STARTS = 3
#: Root mean square residual below which a table is taken to be free of noise.
_EXACT = 1e-12


def fit(
    runs: Any,
    law: str | type[Law] | Sequence[str] = "chinchilla",
    *,
    objective: Kind = "huber",
    delta: float = 1e-3,
    on: Scale = "log_loss",
    weights: str | ArrayLike | None = None,
    fixed: Mapping[str, float] | None = None,
    tied: Mapping[str, str] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    prior: Any = None,
    by: Literal["series", "shared", "pool"] | None = None,
    seed: int = 0,
    n_starts: int = _N_STARTS,
) -> Any:
    """Fit a law to a table of finished runs.

    Parameters
    ----------
    runs : DataFrame, path, or mapping of columns
        One row a run, with the law's inputs (N [parameters], D [tokens], C [FLOP], ...) and ``loss`` [nat/token];
        read as :func:`scalefit.read_runs` reads.
    law : str, Law or sequence
        A law's name, a law of your own, or a list of a law and constraints such as
        ``["chinchilla", "beta = 0.9 * alpha"]``, which lmfit solves.
    objective : {"huber", "squared", "absolute"}
        Penalty on residuals; half squares within `delta` for ``"huber"``.
    delta : float
        Half-width of Huber's band, in units of the residual.
    on : {"log_loss", "loss"}
        What residuals are taken of.
    weights : str or array_like (n,), optional
        Weights of the runs, or the column that holds them; the column ``weight`` is used where there is one.
    fixed : mapping, optional
        Parameters held at a value, ``{"E": 1.7}``.
    tied : mapping, optional
        Parameters made equal, ``{"beta": "alpha"}``; any other expression goes through lmfit.
    bounds : mapping, optional
        Bounds in place of the law's, ``{"E": (0, 3)}``.
    prior : Prior or mapping, optional
        Informative priors, part of the objective; see :mod:`scalefit.fitting.priors`.
    by : {"series", "shared", "pool"}, optional
        What to do with several series in one table: a result each (a dict), shared exponents with own coefficients,
        or one fit that ignores them. Several series without it are an error.
    seed : int
        Seed of anything random (nothing in the fit itself is).
    n_starts : int
        Starts to polish.

    Returns
    -------
    FitResult
        Or, with ``by="series"``, a dict of them by series.

    Raises
    ------
    DataError
        The table cannot be read.
    FitError
        The table cannot bear this law; the message says why.
    ArgumentError
        An argument makes no sense.

    Examples
    --------
    >>> import numpy as np, scalefit as sf
    >>> N, D = np.meshgrid([1e8, 4e8, 1.6e9], [2e9, 1e10, 5e10])
    >>> loss = sf.published("chinchilla", "besiroglu2024").predict(N=N.ravel(), D=D.ravel())
    >>> result = sf.fit({"N": N.ravel(), "D": D.ravel(), "loss": loss}, "chinchilla")
    >>> result.params.round(3).to_dict()["alpha"]
    0.348
    """
    from scalefit.tables import check_runs

    goal = Objective(objective, float(delta), on)
    if not isinstance(law, (str, type)):
        law, tied = _split_constraints(law, tied)
    chosen = get(law)
    if chosen.choices and ":" not in chosen.name:
        chosen = chosen.on(_choose_input(chosen, runs))
    runs, weight_column = _with_weights(runs, weights)
    checked = check_runs(runs, chosen.inputs)
    # Runs stand in the order of their row labels, so that a resample does not depend on how the table was sorted.
    row_labels = np.asarray(checked.row_labels)
    order = _label_order(row_labels)
    row_labels = row_labels[order]
    columns = {key: np.asarray(checked.columns[key], float)[order] for key in chosen.inputs}
    loss = np.asarray(checked.columns["loss"], float)[order]
    weight = checked.columns[weight_column][order] if weight_column in checked.columns else None
    if isinstance(weights, str) and weight is None:
        raise ArgumentError(f"weights={weights!r}: the table has no such numeric column. Name one, or pass an array.")
    notes = list(checked.notes)
    series = checked.columns.get("series")
    series = None if series is None else np.asarray(series)[order]
    labels = list(dict.fromkeys(series.tolist())) if series is not None else []
    if by not in (None, "series", "shared", "pool"):
        raise ArgumentError(f"by={by!r} is not one of 'series', 'shared', 'pool'.")
    if len(labels) > 1 and by is None:
        raise FitError(
            f"The table holds {len(labels)} series ({', '.join(map(str, labels[:8]))}): their losses do not compare. "
            f"Pass by='series' for a law each, by='shared' for shared exponents, or by='pool' to ignore it."
        )
    if by == "series":
        if series is None:
            raise ArgumentError("by='series' needs a column named series; this table has none.")
        frame = {**columns, "loss": loss, **({"weight": weight} if weight is not None else {})}
        options: dict[str, Any] = dict(objective=objective, delta=delta, on=on, fixed=fixed, tied=tied, bounds=bounds)
        options.update(prior=prior, seed=seed, n_starts=n_starts)
        out = {}
        for label in labels:
            rows = series == label
            try:
                out[label] = fit({key: value[rows] for key, value in frame.items()}, chosen, **options)
            except FitError as error:
                raise FitError(f"Series {label!r}: {error}") from error
        return out
    shared = by == "shared" and len(labels) > 1
    everything = np.arange(loss.size)
    groups = tuple(np.flatnonzero(series == label) for label in labels) if shared else (everything,)
    if weight is not None:
        weight = _check_weights(np.asarray(weight, float), loss.size)
    expressions = {k: v for k, v in (tied or {}).items() if v not in chosen.parameters}
    layout = _Layout(chosen, dict(fixed or {}), dict(tied or {}), dict(bounds or {}), len(groups), labels, expressions)
    pinned = set(layout.fixed) | (set(layout.tied) if not shared else set()) | _prior_names(prior)
    notes += refuse(chosen, columns, loss, layout.n_free, pinned)
    problem = layout.problem(columns, loss, goal, weight, groups, prior_names=_prior_names(prior))
    tangent = None
    if expressions:
        from scalefit.fitting.lmfit_bridge import fit_with_expressions

        x, tangent, certificate = fit_with_expressions(problem, expressions, dict(bounds or {}), n_starts)
    else:
        if prior is not None:
            from scalefit.fitting.priors import with_prior

            problem = with_prior(problem, prior, lambda p: _solve(p, layout.bounds, layout.names, n_starts)[0])
        x, certificate = _solve(problem, layout.bounds, layout.names, n_starts)
    conventions = {**checked.conventions}
    return FitResult(
        law=chosen,
        problem=problem,
        x=x,
        names=layout.names,
        certificate=certificate,
        row_labels=row_labels,
        series=tuple(map(str, labels)) if shared else (),
        conventions=conventions,
        bounds=dict(bounds or {}),
        fixed=dict(fixed or {}),
        tied=dict(tied or {}),
        table_notes=tuple(notes),
        seed=seed,
        tangent=tangent,
    )


class _Layout:
    """Which parameters are free, and where they stand in the free vector."""

    def __init__(
        self,
        law: type[Law],
        fixed: dict[str, float],
        tied: dict[str, str],
        bounds: dict[str, tuple[float, float]],
        n_groups: int,
        labels: list[Any],
        expressions: Mapping[str, str],
    ) -> None:
        names = list(law.parameters)
        for argument, given in (("fixed", fixed), ("tied", tied), ("bounds", bounds)):
            unknown = [key for key in given if key not in names]
            if unknown:
                raise ArgumentError(f"{argument}={unknown!r}: {law.name} has {', '.join(names)}.")
        for key, value in fixed.items():
            if not np.isfinite(value):
                raise ArgumentError(f"fixed={{{key!r}: {value!r}}} must be a finite number.")
        for key, (low, high) in bounds.items():
            if not low < high:
                raise ArgumentError(f"bounds={{{key!r}: {(low, high)}}} must be (lower, upper) with lower < upper.")
        simple = {key: other for key, other in tied.items() if key not in expressions}
        for key, other in simple.items():
            if key == other or other in simple or key in fixed or law.parameters[key].log != law.parameters[other].log:
                raise ArgumentError(f"tied={{{key!r}: {other!r}}}: tie a free parameter to another of the same kind.")
        self.law, self.fixed, self.tied, self.bounds = law, fixed, tied, bounds
        self.index = np.full((n_groups, len(names)), -1)
        self.values = np.zeros((n_groups, len(names)))
        found: list[str] = []
        for j, name in enumerate(names):
            if name in fixed:
                self.values[:, j] = fixed[name]
            elif name not in simple:
                own = n_groups > 1 and law.parameters[name].own
                for group in range(n_groups):
                    if own or group == 0:
                        found.append(f"{name}[{labels[group]}]" if own else name)
                    self.index[group, j] = len(found) - 1
        for key, other in simple.items():
            at, source = names.index(key), names.index(other)
            self.index[:, at], self.values[:, at] = self.index[:, source], self.values[:, source]
        self.names = tuple(found)
        self.n_free = len(found)
        if not found:
            raise ArgumentError("Every parameter is fixed: there is nothing to fit.")

    def problem(
        self,
        columns: dict[str, Array],
        loss: Array,
        objective: Objective,
        weights: Array | None,
        groups: tuple[AnyArray, ...],
        prior_names: set[str],
    ) -> Problem:
        """Return the problem, in units of the inputs' geometric means where no constraint forbids it."""
        units = {key: 1.0 for key in self.law.inputs}
        constrained = prior_names | set(self.fixed) | set(self.bounds) | set(self.tied) | set(self.tied.values())
        if self.law.rescale is not None and not constrained & _scale_dependent(self.law):
            for key in self.law.inputs:
                if key in ("N", "D", "C"):
                    units[key] = float(np.exp(np.mean(np.log(columns[key]))))
            if "unique_tokens" in units:
                units["unique_tokens"] = units["D"]
        scaled = {key: column / units[key] for key, column in columns.items()}
        return Problem(self.law, scaled, loss, objective, weights, groups, self.index, self.values, units)


def _scale_dependent(law: type[Law]) -> set[str]:
    """Parameters whose values change with the units of the inputs."""
    assert law.rescale is not None
    params = law.example()
    moved = law.rescale(params, {key: 2.0 for key in law.inputs})
    return {key for key in params if moved[key] != params[key]}


def _solve(
    problem: Problem, bounds: Mapping[str, tuple[float, float]], names: tuple[str, ...], n_starts: int
) -> tuple[Array, Certificate]:
    """Best free vector (p,) and its certificate."""
    lower, upper = problem.bounds(bounds)
    starts = np.clip(find_starts(problem, max(1, n_starts)), lower, upper)
    floor = 0.5 * _EXACT**2 * problem.loss.size
    if problem.loss.size > _LARGE:
        small = subset(problem, _SUBSET)
        coarse = _descend(small, starts, lower, upper, floor)
        # Every start that shares the best end is one point on the full table: polish the distinct ends only.
        value = coarse.value
        point = coarse.x[[int(np.argmin(value))]]
        if problem.loss.size > 2 * _SECOND_SUBSET:
            point = _descend(subset(problem, _SECOND_SUBSET), point, lower, upper, floor).x
        if not problem.law.terms:
            problem = replace(problem, second_order=problem.curvature(point[0]))
        ends = _descend(problem, point, lower, upper, floor)
        same = value <= value.min() * (1 + 1e-6)
        rest = np.where(same, ends.value[0], ends.value[0] * value / max(value.min(), 1e-300))
        ends = Minimum(
            np.where(same[:, None], ends.x, coarse.x),
            rest,
            np.where(same, ends.decrement, coarse.decrement),
            np.where(same, ends.converged, coarse.converged),
            coarse.steps,
        )
    else:
        ends = _descend(problem, starts, lower, upper, floor)
    best = int(np.argmin(ends.value))
    x = ends.x[best]
    with np.errstate(all="ignore"):
        _, gradient, hessian, information = model_of(problem).evaluate(x[None], None)
    held = (x <= lower) | (x >= upper)
    certificate = certify(ends, hessian[0], information[0], names, held, bool(ends.value[best] <= 1e6 * floor))
    if not np.isfinite(ends.value[best]):
        raise FitError(f"{problem.law.name} has no finite objective anywhere near these runs. Check their units.")
    return x, certificate


def _descend(problem: Problem, starts: Array, lower: Array, upper: Array, floor: float) -> Minimum:
    """Minimise from every start, through a sequence of bands where the objective's own is too narrow to follow."""
    goal = problem.objective
    if goal.kind == "squared":
        bands: tuple[Objective, ...] = (goal,)
    else:
        with np.errstate(all="ignore"):
            spread = float(np.median(np.abs(problem.residuals(starts[:1]))))
        bands = goal.bands(max(spread, 1e-12))
    ends = None
    for band in bands:
        stage = problem if band == goal else replace(problem, objective=band)
        points = starts if ends is None else ends.x
        ends = minimise(model_of(stage), points, lower, upper, floor=floor, rivals=len(bands) == 1)
    assert ends is not None
    return replace(ends, value=problem.value(ends.x)) if bands[-1] != goal else ends


def _choose_input(law: type[Law], runs: Any) -> str:
    """Input of a one-variable law: the first of its choices that the table names."""
    names = getattr(runs, "columns", None)
    names = list(names) if names is not None else list(runs) if isinstance(runs, Mapping) else []
    return next((choice for choice in law.choices if choice in names), law.choices[0])


def _with_weights(runs: Any, weights: str | ArrayLike | None) -> tuple[Any, str | None]:
    """Return the runs with their weights as a column, and that column's name."""
    if isinstance(weights, str):
        return runs, weights
    if weights is None:
        names = getattr(runs, "columns", runs if isinstance(runs, Mapping) else ())
        return runs, "weight" if "weight" in names else None
    values = np.asarray(weights, float)
    if isinstance(runs, Mapping):
        return {**runs, "weight": values}, "weight"
    if not hasattr(runs, "assign"):
        from scalefit.tables import read_runs

        runs = read_runs(runs)
    if len(runs) != values.size:
        raise ArgumentError(f"weights has {values.size} entries, the table {len(runs)} runs: give one a run.")
    return runs.assign(weight=values), "weight"


def _label_order(labels: AnyArray) -> AnyArray:
    """Order of numeric labels; the given order where labels are text."""
    if labels.dtype.kind in "iuf" and labels.size > 1 and (labels[1:] < labels[:-1]).any():
        return np.argsort(labels, kind="stable")
    return np.arange(labels.size)


def _check_weights(weights: Array, n: int) -> Array:
    if weights.shape != (n,) or not np.isfinite(weights).all() or (weights < 0).any() or not weights.any():
        raise ArgumentError("weights must be finite, not negative, and not all zero, one a run.")
    return weights


def _split_constraints(law: Sequence[str], tied: Mapping[str, str] | None) -> tuple[str, dict[str, str]]:
    """Split ["chinchilla", "beta = 0.9 * alpha"] into the law and its constraints."""
    items = list(law)
    if not items or not all(isinstance(item, (str, type)) for item in items):
        raise ArgumentError(f"law={law!r}: give a name, a Law, or a list of a law and constraints like 'beta = alpha'.")
    out = dict(tied or {})
    for item in items[1:]:
        name, sign, expression = str(item).partition("=")
        if not sign or not expression.strip():
            raise ArgumentError(f"Constraint {item!r} must read 'parameter = expression'.")
        out[name.strip()] = expression.strip()
    return items[0], out


def _prior_names(prior: Any) -> set[str]:
    if prior is None:
        return set()
    return set(prior if isinstance(prior, Mapping) else prior.names)
