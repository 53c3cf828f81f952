"""sf.compare: which law predicts the runs it has not seen, and whether the difference means anything."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict, Unpack, cast

import numpy as np

from scalefit._arguments import check_count, check_level, one_of
from scalefit._text import shortlist
from scalefit._typing import AnyArray, Array
from scalefit.comparison.holdouts import Fold, folds
from scalefit.errors import ArgumentError, DataError, FitError, ScalefitWarning
from scalefit.fitting.fit import fit
from scalefit.fitting.objectives import Kind, Scale
from scalefit.fitting.result import FitResult
from scalefit.fitting.runs import by_label
from scalefit.fitting.weights import is_rule, weights_of, with_weights
from scalefit.laws import get
from scalefit.laws._base import Law

if TYPE_CHECKING:
    import pandas as pd

FORECAST = "forecast"
_CLEAR = 2.0  # standard errors


@dataclass(frozen=True, slots=True, eq=False)
class _Record:
    """Out-of-sample predictions of one law: arrays over all tested runs, NaN where it could not be fitted."""

    loss: Array
    lower: Array
    upper: Array
    trusted: int
    failed: tuple[str, ...]
    n_params: int


class FitOptions(TypedDict, total=False):
    """Options of :func:`scalefit.fit` that hold for every law compared."""

    objective: Kind
    delta: float
    on: Scale
    overestimate_penalty: float
    quantile: float
    weights: Any
    fixed: Mapping[str, float]
    tied: Mapping[str, str]
    bounds: Mapping[str, tuple[float, float]]
    prior: Any
    n_starts: int


def compare(
    runs: Any,
    laws: Sequence[str | type[Law]] | Mapping[str, str | type[Law]] = ("chinchilla", "kaplan", "coupled"),
    *,
    holdout: str = "largest_C",
    level: float = 0.9,
    seed: int = 0,
    by: str | None = None,
    columns: Mapping[str, str | float] | None = None,
    inputs: Mapping[str, str | float] | None = None,
    **fit_options: Unpack[FitOptions],
) -> pd.DataFrame:
    """Compare laws by how they predict runs that they were not fitted to.

    Parameters
    ----------
    runs : DataFrame, path, or mapping of columns
        One table of one series, read as :func:`scalefit.fit` reads it.
    columns, inputs : mapping, optional
        Columns by name, ``columns={"N": "params_total"}``, and what else the law reads,
        ``inputs={"n_experts": "config.moe.n"}``; as :func:`scalefit.read_runs` takes them.
    laws : sequence of str or Law, or mapping of names to them
        Laws by name, or of your own; ``"forecast"`` stands for :func:`scalefit.forecast`.
    holdout : str
        ``"largest_C"`` trains on the cheapest runs, up to C_max / 3, / 10 and / 30, and tests on those beyond twice
        the dearest of them; ``"k-fold"`` (or ``"10-fold"``), ``"leave-one-budget-out"``, and ``"rolling"``, which
        walks up in compute.
    level : float
        Level of the intervals that coverage and interval score are of.
    seed : int
        Of the shuffle of k-fold.
    by : "pool", optional
        Take several series for one; without it they are an error, for their losses do not compare.
    **fit_options
        Passed to every fit (``objective``, ``delta``, ``on``, ``weights``, ...), so that every law minimises the same.

    Returns
    -------
    DataFrame
        A row a law, best first: ``law``, ``rmse`` and ``mae`` [nat/token], ``mean_relative_error`` and ``bias``
        (relative, positive where the law predicts too much), ``coverage`` and ``interval_score`` [nat/token] of the
        intervals, ``weight`` (stacking: the blend with the least squared error on the held-out runs), then the
        diagnostics ``n_params``, ``folds``, ``failed``, ``trusted`` (share of folds), ``gap`` (its absolute error
        minus the best law's, in standard errors over folds, or over runs where folds are few). Errors are means over
        folds of means over runs.
        A law whose columns the table lacks stands last, with NaN, and ``attrs["failures"]`` says what it lacks.
        ``attrs["verdict"]`` says in words what the table does and does not show; ``attrs["predictions"]`` holds every
        held-out prediction.

    Raises
    ------
    ArgumentError
        No law, one law twice, or an unknown holdout.
    DataError
        The table has not the columns of any of the laws.
    FitError
        Several series, or no fold leaves enough runs.

    Examples
    --------
    >>> import numpy as np, scalefit as sf
    >>> N, D = (axis.ravel() for axis in np.meshgrid(np.geomspace(5e7, 1e10, 7), np.geomspace(1e9, 2e11, 7)))
    >>> loss = sf.published("chinchilla", "besiroglu2024").predict(N=N, D=D)
    >>> table = sf.compare({"N": N, "D": D, "loss": loss}, ["kaplan", "chinchilla"])
    >>> table["law"].tolist()
    ['chinchilla', 'kaplan']
    """
    options: dict[str, Any] = dict(fit_options)
    import pandas as pd

    from scalefit.tables.runs import check_for_fit, name_columns

    named = _named(laws)
    check_level(level)
    seed = check_count("seed", seed, least=0)
    if not one_of(by, (None, "pool")):
        raise ArgumentError(
            f"by={by!r} is not known, as a comparison is of one series; nothing was compared. Known: 'pool'."
        )
    if "prior" in options and options["prior"] is not None and len(named) > 1:
        raise ArgumentError(
            "prior= speaks of one law's parameters: laws under different objectives do not compare, and none was "
            "fitted. Leave it out."
        )
    runs = name_columns(runs, columns, inputs)
    given = options.pop("weights", None)
    runs = with_weights(runs, given)
    absent = _absent_inputs(runs, named)
    borne = {name: law for name, law in named.items() if name not in absent}
    order = _inputs_of(borne.values())
    checked = check_for_fit(runs, order)
    arrays = {key: np.asarray(checked.columns[key], float) for key in order}
    loss = np.asarray(checked.columns["loss"], float)
    if isinstance(given, str) and is_rule(given):
        options["weights"], given = given, None
    weight = weights_of(checked.columns, given)
    if weight is not None:
        arrays["weight"] = weight
    series = checked.columns.get("series")
    labels = [] if series is None else list(dict.fromkeys(np.asarray(series).tolist()))
    if len(labels) > 1 and by is None:
        raise FitError(
            f"The table holds {len(labels)} series ({shortlist(labels)}): their losses do not compare. "
            "Nothing was fitted. Compare laws on one series at a time, or pass by='pool' to ignore it."
        )
    fewest = max(4 if law == FORECAST else len(get(law).parameters) + 2 for law in borne.values())
    order_of = by_label(checked.row_labels)
    arrays = {key: column[order_of] for key, column in arrays.items()}
    loss, rows = loss[order_of], checked.row_labels[order_of]
    parts = folds(holdout, arrays["C"], fewest, seed)
    unit = checked.conventions.get("loss_unit", "nat/token")
    records = {
        name: _predict(law, arrays, loss, parts, level, unit, dict(options) if law != FORECAST else {})
        for name, law in borne.items()
    }
    if all(len(record.failed) == len(parts) for record in records.values()):
        first = next(iter(records))
        raise FitError(
            f"No law could be fitted to the training runs of any of the {len(parts)} folds, so nothing was compared. "
            f"{first}, {records[first].failed[0]}"
        )
    tested = np.concatenate([fold.test for fold in parts])
    blank = np.full(tested.size, np.nan)
    for name, reason in absent.items():
        n_params = len(get(named[name]).parameters)
        records[name] = _Record(blank, blank, blank, 0, (reason,) * len(parts), n_params)
    fold_of = np.concatenate([np.full(fold.test.size, i) for i, fold in enumerate(parts)])
    truth = loss[tested]
    table = pd.DataFrame([_row(name, record, truth, fold_of, level) for name, record in records.items()])
    constant = np.concatenate([np.full(fold.test.size, np.median(loss[fold.train])) for fold in parts])
    table["weight"] = _stacking(np.stack([record.loss for record in records.values()]), truth, fold_of, constant)
    table = table.sort_values(["failed", "mae"], kind="stable", ignore_index=True)
    best = records[table["law"].iloc[0]]
    table["gap"] = [_gap(records[name], best, truth, fold_of, tested) for name in table["law"]]
    order = ["law", "rmse", "mae", "mean_relative_error", "bias", "coverage", "interval_score", "weight"]
    table = table[[*order, "n_params", "folds", "failed", "trusted", "gap"]]
    predictions = pd.DataFrame({"row": rows[tested], "fold": [parts[i].name for i in fold_of]})
    predictions["loss"] = truth
    for name, record in records.items():
        predictions[name] = record.loss
    table.attrs["verdict"] = verdict(table, parts)
    table.attrs["holdout"] = holdout
    reasons = {name: list(dict.fromkeys(record.failed)) for name, record in records.items()}
    table.attrs["failures"] = {name: said for name, said in reasons.items() if said}
    table.attrs["predictions"] = predictions.to_dict("list")
    return table


def _named(laws: Any) -> dict[str, str | type[Law]]:
    if isinstance(laws, (str, type)):
        laws = [laws]
    if not isinstance(laws, Iterable):
        raise ArgumentError(
            f"laws={laws!r:.80} is no list of laws; nothing was compared. Give ['chinchilla', 'kaplan'], for one."
        )
    given = laws.items() if isinstance(laws, Mapping) else ((None, law) for law in laws)
    found = [(name, law if one_of(law, (FORECAST,)) else get(law)) for name, law in given]
    pairs = [(str(law) if name is None else name, law) for name, law in found]
    if not pairs:
        raise ArgumentError(
            "laws is empty, so nothing was compared. Name at least one law, and two or more to compare."
        )
    names = [name for name, _ in pairs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ArgumentError(
            f"laws names {', '.join(twice)} twice; nothing was compared. Give each once, or a mapping of names to laws."
        )
    for _, law in pairs:
        if not isinstance(law, str) and law.choices and ":" not in law.name:
            raise ArgumentError(f"{law.name} lacks its variable; nothing was compared. Write {law.name}:C, for one.")
    return dict(pairs)


def _inputs_of(laws: Iterable[str | type[Law]]) -> list[str]:
    """Columns that the laws and the holdouts read: N, D and C first."""
    inputs: set[str] = {"C"}
    for law in laws:
        inputs |= {"N", "D"} if law == FORECAST else set(get(law).inputs)
    return [key for key in ("N", "D", "C") if key in inputs] + sorted(inputs - {"N", "D", "C"})


def _absent_inputs(runs: Any, named: Mapping[str, str | type[Law]]) -> dict[str, str]:
    """Laws whose columns the table lacks, and what it lacks; an error where it lacks those of every law."""
    from scalefit.tables.runs import check_runs

    try:
        check_runs(runs, _inputs_of(named.values()))
    except DataError as error:
        absent = {}
        for name, law in named.items():
            try:
                check_runs(runs, _inputs_of([law]))
            except DataError as one:
                absent[name] = str(one)
        if len(absent) in (0, len(named)):
            raise error
        return absent
    return {}


def _predict(
    law: str | type[Law],
    columns: Mapping[str, Array],
    loss: Array,
    parts: Sequence[Fold],
    level: float,
    unit: str,
    options: dict[str, Any],
) -> _Record:
    from scalefit.forecasting.forecast import forecast

    found, trusted, failed = [], 0, []
    n_params = 6 if law == FORECAST else len(get(law).parameters)
    for fold in parts:
        train = {key: column[fold.train] for key, column in columns.items()}
        where = {key: columns[key][fold.test] for key in (("N", "D") if law == FORECAST else get(law).inputs)}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ScalefitWarning)
                table = {**train, "loss": loss[fold.train]}
                result = forecast(table, loss_unit=unit) if law == FORECAST else fit(table, law, **options)
                if isinstance(result, FitResult):
                    result = result.by_covariance()
                interval = result.predict_interval(level=level, **cast(dict[str, Any], where))
            found.append(interval[["loss", "lower", "upper"]].to_numpy(float).T)
            trusted += bool(result.trusted)
        except FitError as error:
            found.append(np.full((3, fold.test.size), np.nan))
            failed.append(f"{fold.name}: {error}")
    values = np.concatenate(found, axis=1)
    return _Record(values[0], values[1], values[2], trusted, tuple(failed), n_params)


def _mean(values: Array, fold_of: Array) -> float:
    """Mean over folds of means over runs, of the folds that have values."""
    means = [values[fold_of == i].mean() for i in np.unique(fold_of)]
    kept = [value for value in means if np.isfinite(value)]
    return float(np.mean(kept)) if kept else float("nan")


def _row(name: str, record: _Record, truth: Array, fold_of: Array, level: float) -> dict[str, Any]:
    error = record.loss - truth
    miss = np.maximum(record.lower - truth, 0.0) + np.maximum(truth - record.upper, 0.0)
    inside = np.where(np.isfinite(record.loss), (truth >= record.lower) & (truth <= record.upper), np.nan)
    n_folds = int(fold_of.max()) + 1
    return {
        "law": name,
        "rmse": float(np.sqrt(_mean(error**2, fold_of))),
        "mae": _mean(np.abs(error), fold_of),
        "mean_relative_error": _mean(np.abs(error) / truth, fold_of),
        "bias": _mean(error / truth, fold_of),
        "coverage": _mean(inside, fold_of),
        "interval_score": _mean(record.upper - record.lower + 2.0 / (1.0 - level) * miss, fold_of),
        "n_params": record.n_params,
        "folds": n_folds,
        "failed": len(record.failed),
        "trusted": record.trusted / n_folds,
    }


def _stacking(predicted: Array, truth: Array, fold_of: Array, constant: Array | None = None) -> Array:
    """Weights (laws,) on the simplex with the least squared relative error.

    Laws that failed anywhere get none. Nor do laws that err more than the median of their training losses, or ten times
    as much as the best: a blend would use them only to shift the others.
    """
    from scipy.optimize import minimize

    usable = np.isfinite(predicted).all(axis=1)
    off = np.array([_mean(np.abs(row / truth - 1.0), fold_of) for row in predicted])
    limit = 10 * float(np.nanmin(off, initial=np.inf))
    if constant is not None:
        limit = min(limit, _mean(np.abs(constant / truth - 1.0), fold_of))
    usable &= (off <= limit) | (off <= np.nanmin(off, initial=np.inf))
    weight = np.zeros(len(predicted))
    if usable.sum() == 0:
        return weight
    share = 1.0 / np.sqrt(np.bincount(fold_of)[fold_of])
    error = (predicted[usable] / truth - 1.0) * share
    k = int(usable.sum())
    # The weights sum to one, so the error of the blend is the blend of the errors: a small quadratic programme.
    gram = error @ error.T
    gram = gram / max(float(np.trace(gram)), 1e-300)
    start = np.full(k, 1.0 / k)
    found = minimize(
        lambda w: w @ gram @ w,
        start,
        jac=lambda w: 2 * gram @ w,
        bounds=[(0.0, 1.0)] * k,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1.0, "jac": lambda w: np.ones(k)},
        method="SLSQP",
        options={"ftol": 1e-12, "maxiter": 500},
    )
    best = np.maximum(found.x if found.success else np.eye(k)[np.argmin(np.diag(gram))], 0.0)
    weight[usable] = best / best.sum()
    return weight


def _gap(record: _Record, best: _Record, truth: Array, fold_of: Array, run_of: AnyArray) -> float:
    """Absolute error above the best law's, in standard errors.

    The units are folds where there are five or more; else runs, each once, however many folds hold it out.
    """
    difference = np.abs(record.loss - truth) - np.abs(best.loss - truth)
    ok = np.isfinite(difference)
    if record is best or ok.sum() < 3:
        return 0.0 if record is best else float("nan")
    unit_of = fold_of if np.unique(fold_of[ok]).size >= 5 else run_of
    units = np.array([difference[ok & (unit_of == i)].mean() for i in np.unique(unit_of[ok])])
    se = float(units.std(ddof=1) / np.sqrt(units.size))
    return float(units.mean() / se) if se > 0 else 0.0


def verdict(table: pd.DataFrame, parts: Sequence[Fold]) -> str:
    """What a comparison shows, in a sentence or two."""
    best = table.iloc[0]
    n = len({int(i) for fold in parts for i in fold.test})
    said = f"{best['law']} errs {100 * best['mean_relative_error']:.2f} % on {n} held-out runs in {len(parts)} folds"
    if best["failed"]:
        return f"No law could be fitted in every fold: nothing is decided. {said}."
    rivals = [
        str(row["law"])
        for _, row in table.iloc[1:].iterrows()
        if not row["failed"] and not (row["gap"] >= _CLEAR)  # NaN counts as undecided
    ]
    if len(table) == 1:
        text = f"{said}."
    elif rivals:
        text = f"Too close to call between {best['law']} and {', '.join(rivals)}: {said}, and the others are within "
        text += f"{_CLEAR:g} standard errors."
    else:
        second = table.iloc[1]
        text = f"{said}; the next, {second['law']}, errs {100 * second['mean_relative_error']:.2f} %."
    few = " Few runs were held out: read this with care." if n < 10 else ""
    lost = [str(row["law"]) for _, row in table.iterrows() if row["failed"]]
    return text + few + (f" Could not be fitted in some fold: {', '.join(lost)}." if lost else "")
