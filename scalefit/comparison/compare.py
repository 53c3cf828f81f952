"""sf.compare: which law best predicts runs that it has not seen, and whether the difference means anything."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import numpy as np

from scalefit._arguments import check_count, check_level, one_of
from scalefit._calls import explained
from scalefit.comparison.holdouts import Fold, folds, needs_compute
from scalefit.comparison.scores import Record, gap_of, row_of, stacking, verdict
from scalefit.errors import ArgumentError, DataError, FitError, ScalefitWarning, arg
from scalefit.fitting.fit import fit
from scalefit.fitting.mixtures import laws_over
from scalefit.fitting.objectives import Kind, Scale
from scalefit.fitting.runs import Runs, lacking, read
from scalefit.fitting.weights import is_rule
from scalefit.flops import QUANTITIES
from scalefit.forecasting.calibration import CALIBRATED_LAW
from scalefit.forecasting.suitability import FEWEST_RUNS
from scalefit.laws import get
from scalefit.laws._base import Law
from scalefit.laws._declarations import Target
from scalefit.predictor import Predictor
from scalefit.tables.runs import name_columns
from scalefit.tables.series import several_series

if TYPE_CHECKING:
    import pandas as pd

FORECAST = "forecast"


@dataclass(frozen=True, slots=True)
class Contender:
    """What is compared: a law, fitted to the runs of each fold, or the forecast from them.

    Parameters
    ----------
    law : type of Law
        Of the forecast, the one that it was calibrated with.
    forecasts : bool
        Whether it is the forecast.
    """

    law: type[Law]
    forecasts: bool = False

    @property
    def fewest(self) -> int:
        """Runs that it needs."""
        return FEWEST_RUNS if self.forecasts else len(self.law.parameters) + 2

    def learn(self, table: Mapping[str, Any], unit: str, options: Mapping[str, Any]) -> Predictor:
        """What it predicts with, from the runs of a fold."""
        from scalefit.forecasting.forecast import forecast

        if self.forecasts:
            ahead: Any = forecast(table, loss_unit=unit)
            return ahead  # type: ignore[no-any-return]
        fitted: Any = fit(table, self.law, **options)
        return fitted.by_covariance()  # type: ignore[no-any-return]


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


@explained
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
        Laws by name, or laws of your own; ``"forecast"`` stands for :func:`scalefit.forecast`.
    holdout : str
        ``"largest_C"`` trains on the cheapest runs, up to C_max / 3, / 10 and / 30, and tests on those beyond twice
        the largest of them; ``"k-fold"`` (or ``"10-fold"``), ``"leave-one-budget-out"``, and ``"rolling"``, which
        walks up in compute.
    level : float
        Level of the intervals whose coverage and score are reported.
    seed : int
        Seed of the shuffle of k-fold.
    by : "pool", optional
        Treat several series as one; without it they are an error, because their losses cannot be compared.
    **fit_options
        Passed to every fit (``objective``, ``delta``, ``on``, ``weights``, ...), so that every law minimises the same.

    Returns
    -------
    DataFrame
        One row per law, best first: ``law``, ``rmse`` and ``mae`` [nat/token], ``mean_relative_error`` and ``bias``
        (relative; positive where the law predicts too much), ``coverage`` and ``interval_score`` [nat/token] of the
        intervals, ``weight`` (stacking: the average with the least squared error on the held-out runs), then the
        diagnostics ``n_params``, ``folds``, ``failed``, ``trusted`` (share of folds), ``gap`` (its absolute error
        minus the best law's, in standard errors over folds, or over runs if folds are few). Errors are means over
        folds of means over runs.
        A law whose columns are missing is last, with NaN; ``attrs["failures"]`` names the columns.
        ``attrs["verdict"]`` says what the table does and does not show; ``attrs["predictions"]`` holds every
        held-out prediction.

    Raises
    ------
    ArgumentError
        No law, one law twice, or an unknown holdout.
    DataError
        The table lacks columns for every law.
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
    named = _named(laws)
    check_level(level)
    seed = check_count("seed", seed, least=0)
    if not one_of(by, (None, "pool")):
        raise ArgumentError(
            f"{arg('by', by)} is not known, as a comparison is of one series", "nothing was compared", "Known: 'pool'"
        )
    if fit_options.get("prior") is not None and len(named) > 1:
        raise ArgumentError(
            f"{arg('prior')} is for one law's parameters: laws with different objectives are not comparable",
            "none was fitted",
            "Leave it out",
        )
    target = _target_of(named)
    if mixed := [name for name, one in named.items() if one.law.shares]:
        runs, over = laws_over(runs, [named[name].law for name in mixed], columns, inputs)
        named, columns, inputs = {**named, **dict(zip(mixed, map(Contender, over), strict=True))}, None, None
    runs = name_columns(runs, columns, inputs, _declared(named.values(), target))
    yardstick = ("C",) if needs_compute(holdout) else ()
    absent = _absent_inputs(runs, named, yardstick, target)
    present = {name: one for name, one in named.items() if name not in absent}
    options: dict[str, Any] = dict(fit_options)
    given = options.pop("weights", None)
    rule = given if isinstance(given, str) and is_rule(given) else None  # each fold's fit applies it to its own runs
    order, declared = _inputs_of(present.values(), yardstick), _declared(present.values(), target)
    table = read(runs, order, declared, None if rule else given)
    if len(labels := table.series_labels) > 1 and by is None:
        raise several_series(FitError, labels, "nothing was fitted", f"pass {arg('by', 'pool')} to ignore it")
    fewest = max(one.fewest for one in present.values())
    parts = folds(holdout, table.columns.get("C", np.ones(table.loss.size)), fewest, seed)
    records = {name: _predict(one, table, parts, level, {**options, "weights": rule}) for name, one in present.items()}
    if all(len(record.failed) == len(parts) for record in records.values()):
        first = next(iter(records))
        raise FitError(
            f"No law could be fitted to the training runs of any of the {len(parts)} folds",
            "nothing was compared",
            f"See why: {first}, {records[first].failed[0]}",
        )
    blank = np.full(sum(fold.test.size for fold in parts), np.nan)
    for name, reason in absent.items():
        n_params = len(named[name].law.parameters)
        records[name] = Record(blank, blank, blank, 0, (reason,) * len(parts), n_params)
    return _ranking(records, table, parts, target, level, holdout)


def _ranking(
    records: Mapping[str, Record], runs: Runs, parts: Sequence[Fold], target: Target, level: float, holdout: str
) -> pd.DataFrame:
    """The table of a comparison, best law first, with its verdict, failures and predictions in ``attrs``."""
    import pandas as pd

    tested = np.concatenate([fold.test for fold in parts])
    fold_of = np.concatenate([np.full(fold.test.size, i) for i, fold in enumerate(parts)])
    loss, truth = runs.loss, runs.loss[tested]
    size = truth if target.scale == "log" else np.full(truth.size, max(float(np.std(loss)), 1e-300))
    table = pd.DataFrame([row_of(name, record, truth, size, fold_of, level) for name, record in records.items()])
    constant = np.concatenate([np.full(fold.test.size, np.median(loss[fold.train])) for fold in parts])
    table["weight"] = stacking(np.stack([record.loss for record in records.values()]), truth, fold_of, constant, size)
    table = table.sort_values(["failed", "mae"], kind="stable", ignore_index=True)
    best = records[table["law"].iloc[0]]
    table["gap"] = [gap_of(records[name], best, truth, fold_of, tested) for name in table["law"]]
    order = ["law", "rmse", "mae", "mean_relative_error", "bias", "coverage", "interval_score", "weight"]
    table = table[[*order, "n_params", "folds", "failed", "trusted", "gap"]]
    predictions = pd.DataFrame({"row": runs.labels[tested], "fold": [parts[i].name for i in fold_of]})
    predictions["loss"] = truth
    for name, record in records.items():
        predictions[name] = record.loss
    table.attrs["verdict"] = verdict(table, parts)
    table.attrs["holdout"] = holdout
    reasons = {name: list(dict.fromkeys(record.failed)) for name, record in records.items()}
    table.attrs["failures"] = {name: why for name, why in reasons.items() if why}
    table.attrs["predictions"] = predictions.to_dict("list")
    return table


def _named(laws: Any) -> dict[str, Contender]:
    if isinstance(laws, (str, type)):
        laws = [laws]
    if not isinstance(laws, Iterable):
        raise ArgumentError(
            f"{arg('laws', laws)} is not a list of laws",
            "nothing was compared",
            "Give ['chinchilla', 'kaplan'], for one",
        )
    given = laws.items() if isinstance(laws, Mapping) else ((None, law) for law in laws)
    pairs = []
    for name, law in given:
        ahead = one_of(law, (FORECAST,))
        one = Contender(get(CALIBRATED_LAW if ahead else law), ahead)
        pairs.append((name if name is not None else FORECAST if ahead else str(one.law), one))
    if not pairs:
        raise ArgumentError(
            "laws is empty", "nothing was compared", "Name at least one law, and two or more to compare"
        )
    names = [name for name, _ in pairs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ArgumentError(
            f"laws names {', '.join(twice)} twice",
            "nothing was compared",
            "Give each once, or a mapping of names to laws",
        )
    for law in (one.law for _, one in pairs):
        if law.choices and ":" not in law.name:
            raise ArgumentError(
                f"{law.name} lacks its variable", "nothing was compared", f"Write {law.name}:C, for one"
            )
    return dict(pairs)


def _target_of(named: Mapping[str, Contender]) -> Target:
    """What all the laws predict.

    Raises
    ------
    ArgumentError
        They predict different things.
    """
    targets = {name: one.law.target for name, one in named.items()}
    if len({target.name for target in targets.values()}) > 1:
        text = ", ".join(f"{name} predicts {target.name}" for name, target in targets.items())
        raise ArgumentError(f"{text}: these are not comparable", "nothing was compared", "Name laws of one target")
    return next(iter(targets.values()))


def _declared(contenders: Iterable[Contender], target: Target) -> dict[str, Any]:
    """What the laws say of their inputs and target, for the reading of the table."""
    every = {key: value for one in contenders for key, value in one.law.declarations.items()}
    return {**every, "loss": target}


def _inputs_of(contenders: Iterable[Contender], yardstick: Iterable[str]) -> list[str]:
    """Columns that the laws and the holdouts read: N, D and C first."""
    inputs = set(yardstick).union(*(one.law.inputs for one in contenders))
    return [key for key in QUANTITIES if key in inputs] + sorted(inputs - set(QUANTITIES))


def _absent_inputs(
    runs: Any, named: Mapping[str, Contender], yardstick: tuple[str, ...], target: Target
) -> dict[str, str]:
    """Laws whose columns the table lacks, and what it lacks; an error where it lacks those of every law."""

    def lacks(contenders: Iterable[Contender]) -> DataError | None:
        contenders = list(contenders)
        return lacking(runs, _inputs_of(contenders, yardstick), _declared(contenders, target))

    every = lacks(named.values())
    if every is None:
        return {}
    absent = {name: str(error) for name, one in named.items() if (error := lacks([one])) is not None}
    if len(absent) in (0, len(named)):
        raise every
    return absent


def _predict(
    contender: Contender, runs: Runs, parts: Sequence[Fold], level: float, options: Mapping[str, Any]
) -> Record:
    """Predictions of each fold's runs by what was learned from the others."""
    found, trusted, failed = [], 0, []
    law = contender.law
    unit = runs.conventions.get("loss_unit", "nat/token")
    for fold in parts:
        part, held_out = runs.part(fold.train), runs.part(fold.test)
        table = {**part.columns, "loss": part.loss}
        table |= {} if part.weights is None else {"weight": part.weights}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ScalefitWarning)
                result = contender.learn(table, unit, options)
                where: dict[str, Any] = {key: held_out.columns[key] for key in law.inputs}
                interval = result.predict_interval(level=level, **where)
            found.append(interval[["loss", "lower", "upper"]].to_numpy(float).T)
            trusted += bool(result.trusted)
        except FitError as error:
            found.append(np.full((3, fold.test.size), np.nan))
            failed.append(f"{fold.name}: {error}")
    values = np.concatenate(found, axis=1)
    return Record(values[0], values[1], values[2], trusted, tuple(failed), len(law.parameters))
