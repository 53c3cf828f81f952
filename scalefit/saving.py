"""Read saved results (fits, forecasts, averages, ...); each is checked against its schema and its law."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from scalefit._calls import explained
from scalefit._digests import KEY, check_digest
from scalefit._records import check_format, load_note, not_saved
from scalefit._typing import Array
from scalefit.comparison.average import FORMAT as AVERAGE_FORMAT
from scalefit.comparison.average import Average, average
from scalefit.downstream.chain import FORMAT as CHAIN_FORMAT
from scalefit.downstream.chain import Chain, chain
from scalefit.downstream.result import DownstreamResult
from scalefit.downstream.schema import models_from
from scalefit.errors import ArgumentError, DataError
from scalefit.fitting.certificate import NOT_UPWARDS, Certificate
from scalefit.fitting.collection import FORMAT as FITS_FORMAT
from scalefit.fitting.collection import Fits
from scalefit.fitting.objectives import Objective
from scalefit.fitting.problem import Problem
from scalefit.fitting.result import FitResult
from scalefit.fitting.schema import FORMAT, SavedFit, law_of, read_saved
from scalefit.fitting.solver import ROUNDING
from scalefit.forecasting.loading import forecast_from
from scalefit.forecasting.result import ForecastResult
from scalefit.laws import published
from scalefit.laws._base import Law
from scalefit.laws._registry import known
from scalefit.predictor import Predictor

Saved = FitResult | ForecastResult | Average | Chain | DownstreamResult | Fits

#: What a saved average and a saved chain hold, beside their digest.
_AVERAGE = {"kind", "format", "scalefit", "weights", "results"}
_CHAIN = {"kind", "format", "scalefit", "through", "loss", "metric"}


@explained
def load_result(path: str | Path, law: str | type[Law] | None = None) -> Saved:
    """Read a result that ``to_json`` of a fit, several fits, a forecast, an average, a chain or a downstream fit wrote.

    Parameters
    ----------
    path : str or Path
        The file, or the text that ``to_json()`` returned.
    law : str or type of Law, optional
        The law, where it is not one of scalefit's own: the class, ``"mylaw.py:Mine"``, or the name by which an
        installed package gives it. A file holds only the law's name; loading never runs code that a file names.

    Returns
    -------
    FitResult, ForecastResult, Average, Chain, DownstreamResult or Fits
        Equal to the one saved, to the last digit.

    Raises
    ------
    DataError
        Not a saved result, a newer format, or a law that must be given by `law`.
    """
    raw, name = read_saved(path)
    if isinstance(raw, dict) and KEY in raw and raw.get("format") == FORMAT:
        check_digest(raw, name)
    result = _result_from(raw, name, law)  # which says what is wrong with a file that has none
    check_digest(raw, name)
    return result


def _result_from(raw: Any, path: str | Path, law: str | type[Law] | None = None) -> Saved:
    """Return the result that a file held, whichever kind it is of."""
    kind = raw.get("kind") if isinstance(raw, dict) else None
    if kind == "forecast":
        return forecast_from(raw, path, law)
    if kind == "average":
        return _average_from(raw, path, law)
    if kind == "fits":
        return _fits_from(raw, path, law)
    if kind == "chain":
        return _chain_from(raw, path, law)
    if kind == "downstream":
        first, models = models_from(raw, path)
        return DownstreamResult(_step_from(first, path, law), models)
    return _fit_from(raw, path, law)


def _chain_from(raw: dict[str, Any], path: str | Path, law: str | type[Law] | None) -> Chain:
    """Return the chain that a file held."""
    if raw.get("format") != CHAIN_FORMAT or set(raw) - {KEY} != _CHAIN:
        raise DataError(
            f"{path} is not a chain of format {CHAIN_FORMAT}", "it was not read", "Save it again with to_json"
        )
    first, second = (_step_from(raw[step], f"{path}, {step}", law) for step in ("loss", "metric"))
    try:
        found = chain(first, second)
    except ArgumentError as error:
        raise not_saved(path, error, "chain") from error
    if found.through != raw["through"]:
        raise DataError(
            f"{path} was changed: its steps do not meet in {raw['through']!r:.40}",
            "it was not read",
            "Save it again",
        )
    return found


def _step_from(raw: Any, path: str | Path, law: str | type[Law] | None) -> Predictor:
    """Return a step of a chain: a saved result, or published constants, with what was held."""
    if not isinstance(raw, dict):
        raise DataError(f"{path} holds {type(raw).__name__} in place of a result", "it was not read", "Save it again")
    rest = {key: value for key, value in raw.items() if key != "held_inputs"}
    of = str(rest.get("law"))
    try:
        if rest.get("kind") == "published" and (own := known(of)) is not None:
            found: Predictor = published(own.name, str(rest.get("key")))
        else:
            read = _result_from(rest, path, law if known(of) is None else None)
            if isinstance(read, Fits):
                raise DataError(
                    f"{path} holds fits of several losses", "it was not read", "Save a chain of one of them"
                )
            found = read
        held = raw.get("held_inputs")
        return found.at(**held) if isinstance(held, dict) else found
    except ArgumentError as error:
        raise not_saved(path, error) from error


def _fit_from(raw: Any, path: str | Path, law: str | type[Law] | None) -> FitResult:
    check_format(raw, FORMAT, path)
    try:
        saved = SavedFit.model_validate_json(json.dumps(raw))
    except ValidationError as error:
        raise not_saved(path, error) from error
    chosen = law_of(saved.law, law, path)
    with np.errstate(over="ignore"):  # a changed number may be beyond a float once its unit is on it
        misfit = _misfit(saved, chosen)
    if misfit is not None:
        raise DataError(
            f"{path} does not fit the law {chosen.name}: its {misfit} cannot be right",
            "it was not read",
            "Fit and save again",
        )
    try:
        result = _restored(saved, chosen)
        told = {str(key): float(value) for key, value in result.params.items()}
        agrees = set(told) == set(saved.params) and all(
            np.isclose(told[key], value, rtol=1e-6, equal_nan=True) for key, value in saved.params.items()
        )
    except (KeyError, TypeError, ValueError, IndexError, ArithmeticError, np.linalg.LinAlgError) as error:
        raise not_saved(path, error) from error
    if not agrees:
        raise DataError(
            f"{path} was changed: its parameters disagree with the optimum it holds",
            "it was not read",
            "Fit again",
        )
    with np.errstate(all="ignore"):
        value = result.objective_value
    if not np.isclose(value, saved.objective_value, rtol=1e-6, atol=result.problem.cost_of(ROUNDING)):
        raise DataError(
            f"{path}: the objective that {chosen.name} has at its optimum is {value:.6g}, and was "
            f"{saved.objective_value:.6g} when it was saved",
            "it was not read",
            "The law has another formula since, or the file was changed. Fit again",
        )
    if result.data_digest != saved.data:
        raise DataError(
            f"{path} was changed: its runs have digest {result.data_digest}, not {saved.data:.20}",
            "it was not read",
            "Fit again",
        )
    return result


def _misfit(saved: SavedFit, law: type[Law]) -> str | None:
    """Name of the first entry that contradicts the others or the law."""
    n, p, n_groups = len(saved.loss), len(saved.names), len(saved.groups or [[]])
    shape = (n_groups, len(law.parameters))
    index = saved.index
    positions = sorted({at for row in index for at in row} - {-1})
    columns = [*saved.columns.values(), saved.loss, *([] if saved.weights is None else [saved.weights])]
    rows = sorted(row for group in saved.groups or [list(range(n))] for row in group)
    tests = {
        "columns": set(saved.columns) == set(law.inputs) and all(len(column) == n for column in columns),
        "runs": n > 0 and saved.n_runs == n and all(np.isfinite(column).all() for column in columns),
        "inputs": all(
            _admitted(law, key, _array(saved.columns[key]) * saved.units[key])
            for key in law.inputs
            if key in saved.columns and key in saved.units
        ),
        "losses": bool(law.target.admits(saved.loss).all()),
        "weights": saved.weights is None or min(saved.weights, default=0.0) >= 0,
        "units": set(saved.units) == set(law.inputs) and _positive(saved.units.values()),
        "index": len(index) == n_groups and all(len(row) == shape[1] for row in index) and positions == list(range(p)),
        "fixed_values": [len(row) for row in saved.fixed_values] == [shape[1]] * n_groups,
        "names": all(name in _names_of(saved, law, at) for at, name in enumerate(saved.names)),
        "x": len(saved.x) == p > 0 and bool(np.isfinite(saved.x).all()),
        "groups": rows == list(range(n)) and len(saved.series) == (n_groups if saved.groups else 0),
        "row_labels": len(saved.row_labels) == n,
        "draws": saved.draws is None or {len(draw) for draw in saved.draws} == {p} and np.isfinite(saved.draws).all(),
        "sides": _positive(saved.sides),
        "tangent": saved.tangent is None or [len({len(row) for row in saved.tangent}), len(saved.tangent)] == [1, p],
        "prior": saved.prior is None or len(saved.prior.at) == len(saved.prior.inner) == len(saved.prior.names),
    }
    return next((name for name, passed in tests.items() if not passed), None)


def _names_of(saved: SavedFit, law: type[Law], at: int) -> set[str]:
    """What a free parameter may be called: parameters that are tied to each other share one place."""
    return {
        f"{name}[{saved.series[group]}]" if saved.groups and law.parameters[name].own else name
        for group, row in enumerate(saved.index)
        for name, place in zip(law.parameters, row, strict=False)
        if place == at and (group < len(saved.series) or not saved.groups)
    }


def _admitted(law: type[Law], key: str, values: Array) -> bool:
    """Whether an input's values make sense, those at an end of its range but for rounding included."""
    admits = law.declarations[key].admits
    return bool((admits(values) | admits(values * (1 + 1e-9)) | admits(values * (1 - 1e-9))).all())


def _positive(values: Iterable[float]) -> bool:
    return all(0 < value < float("inf") for value in values)


def _restored(saved: SavedFit, law: type[Law]) -> FitResult:
    penalty = None
    if saved.prior is not None:
        from scalefit.fitting.priors import penalty_from_document

        penalty = penalty_from_document(saved.prior.model_dump())
    groups = saved.groups or [list(range(len(saved.loss)))]
    problem = Problem(
        law=law,
        columns={key: _array(saved.columns[key]) for key in law.inputs},
        loss=_array(saved.loss),
        objective=Objective(saved.objective, saved.delta, saved.on, sides=saved.sides),  # type: ignore[arg-type]
        weights=None if saved.weights is None else _array(saved.weights),
        groups=tuple(np.array(rows, int) for rows in groups),
        index=np.array(saved.index, int),
        fixed=_array(saved.fixed_values),
        units=saved.units,
        penalty=penalty,
    )
    judged: dict[str, Any] = saved.certificate.model_dump()
    judged = {key: tuple(value) if isinstance(value, list) else value for key, value in judged.items()}
    # JSON has no infinity: a decrement or condition number without limit, and curvature that there is none of.
    flat = NOT_UPWARDS in judged["problems"]
    unlimited = {"decrement": np.inf, "condition": np.inf, "curvature": -np.inf if flat else np.inf}
    judged |= {key: limit for key, limit in unlimited.items() if judged[key] is None}
    return FitResult(
        law=law,
        problem=problem,
        x=_array(saved.x),
        names=tuple(saved.names),
        certificate=Certificate(**judged),
        row_labels=np.array(saved.row_labels),
        series=tuple(saved.series),
        conventions=saved.conventions,
        bounds={
            key: (-np.inf if low is None else low, np.inf if high is None else high)
            for key, (low, high) in saved.bounds.items()
        },
        fixed=saved.fixed,
        tied=saved.tied,
        table_notes=tuple(load_note(note) for note in saved.table_notes),
        seed=saved.seed,
        resamples=None if saved.draws is None else _array(saved.draws),
        draws_about=None if saved.draws_about is None else saved.draws_about.model_dump(),
        tangent=None if saved.tangent is None else _array(saved.tangent),
    )


def _fits_from(raw: dict[str, Any], path: str | Path, law: str | type[Law] | None = None) -> Fits:
    """Return the fits of several losses that a file held."""
    if raw.get("format") != FITS_FORMAT or not isinstance(raw.get("results"), dict) or not raw["results"]:
        raise DataError(
            f"{path} holds no fits of format {FITS_FORMAT}", "it was not read", "Save them again with to_json"
        )
    return Fits({name: _fit_from(one, f"{path}, {name}", law) for name, one in raw["results"].items()})


def _array(values: Any) -> Array:
    return np.array(values, float)


def _average_from(raw: dict[str, Any], path: str | Path, law: str | type[Law] | None = None) -> Average:
    """Return the blend that a file held."""
    if raw.get("format") != AVERAGE_FORMAT or set(raw) - {KEY} != _AVERAGE:
        raise DataError(
            f"{path} is not an average of format {AVERAGE_FORMAT}", "it was not read", "Save it again with to_json"
        )
    if not isinstance(raw["results"], list):
        raise DataError(
            f"{path} holds {type(raw['results']).__name__} in place of its results",
            "it was not read",
            "Save it again with to_json",
        )
    parts = []
    for k, one in enumerate(raw["results"]):
        of = str(one.get("law")) if isinstance(one, dict) else ""
        parts.append(_result_from(one, f"{path}, result {k}", law if known(of) is None else None))
    try:
        return average(parts, raw["weights"])
    except (ArgumentError, TypeError) as error:
        raise not_saved(path, error, "average") from error
