"""sf.fit_downstream: metrics of larger models from a table of models with losses and metrics."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from scalefit._arguments import check_mapping, check_number, one_of
from scalefit._calls import explained
from scalefit._text import known, shortlist
from scalefit.downstream.judgement import FEWEST
from scalefit.downstream.metrics import metric_values
from scalefit.downstream.models import AVERAGE, Models
from scalefit.downstream.result import DownstreamResult
from scalefit.errors import ArgumentError, DataError, FitError, Note, arg, note_record
from scalefit.fitting.per_series import each_series
from scalefit.fitting.runs import read
from scalefit.flops import QUANTITIES, SIZES
from scalefit.forecasting.forecast import forecast
from scalefit.predictor import predictor_of
from scalefit.tables.series import several_series

if TYPE_CHECKING:
    import pandas as pd

#: Fewest different losses of a curve: it has three parameters.
_FEWEST_LOSSES = 4
_UP = {"acc", "accuracy", "score", "exact", "em", "f1", "pass", "auc", "auroc", "match", "correct", "top1", "top5"}
_DOWN = {"err", "error", "wer", "errors"}


@overload
def fit_downstream(
    runs: Any,
    *,
    metric: str | Iterable[str] = "accuracy",
    loss: str | None = None,
    chance: float | Mapping[str, float] | None = None,
    better: Literal["higher", "lower"] | None = None,
    range: tuple[float, float] = (0.0, 1.0),
    loss_result: Any = None,
    loss_unit: str | None = None,
    same_loss: bool | None = None,
    by: Literal["pool"] | None = None,
    columns: Mapping[str, str | float] | None = None,
    inputs: Mapping[str, str | float] | None = None,
) -> DownstreamResult: ...


@overload
def fit_downstream(
    runs: Any,
    *,
    metric: str | Iterable[str] = "accuracy",
    loss: str | None = None,
    chance: float | Mapping[str, float] | None = None,
    better: Literal["higher", "lower"] | None = None,
    range: tuple[float, float] = (0.0, 1.0),
    loss_result: Any = None,
    loss_unit: str | None = None,
    same_loss: bool | None = None,
    by: Literal["series"],
    columns: Mapping[str, str | float] | None = None,
    inputs: Mapping[str, str | float] | None = None,
) -> dict[Any, DownstreamResult]: ...


@explained
def fit_downstream(
    runs: Any,
    *,
    metric: str | Iterable[str] = "accuracy",
    loss: str | None = None,
    chance: float | Mapping[str, float] | None = None,
    better: Literal["higher", "lower"] | None = None,
    range: tuple[float, float] = (0.0, 1.0),
    loss_result: Any = None,
    loss_unit: str | None = None,
    same_loss: bool | None = None,
    by: Literal["series", "pool"] | None = None,
    columns: Mapping[str, str | float] | None = None,
    inputs: Mapping[str, str | float] | None = None,
) -> DownstreamResult | dict[Any, DownstreamResult]:
    """Predict metrics on tasks (accuracy, error) of larger models: the loss from N and D, the metric from the loss.

    The loss is forecast with calibrated intervals (:func:`scalefit.forecast`). The metric is a curve in the loss: flat,
    an exponential or a sigmoid above the guessing rate, averaged by evidence. Each task is judged first: a task that
    does not scale predictably is named, and its interval is the whole range.

    Parameters
    ----------
    runs : DataFrame, path, or mapping of columns
        One row per model: N [parameters], D [tokens], the loss, and one column per task.
    loss : str, optional
        Column of the loss behind the metrics, such as the validation loss [nat/token] or a task's own bits per byte;
        by default the usual names are tried.
    metric : str or list of str
        Column of the metric, several columns, or a pattern such as ``"acc|*"``; for several, the average is predicted
        too.
    chance : float or mapping, optional
        Share that guessing gets right (0.25 for four choices, even if the metric is an error), or a mapping of task to
        that share. By default it is estimated, and reported as an estimate.
    better : {"higher", "lower"}, optional
        Which direction is better; by default recognised from names such as ``accuracy`` and ``error``.
    range : (float, float)
        Range of the metric; ``(0, 100)`` for percentages (`chance` is then one too).
    loss_result : Predictor, optional
        A prediction of that loss instead of the forecast from these models, for instance from more models.
    loss_unit : str, optional
        Unit of the loss, as :func:`scalefit.read_runs` takes it.
    same_loss : bool, optional
        Whether all losses are of one text with one tokenizer. By default columns such as ``tokenizer`` decide.
    by : {"series", "pool"}, optional
        One result per series of the table, as a dict; or one result for all series pooled. Several series without it
        are an error, because models of other data have other curves.
    columns, inputs : mapping, optional
        Columns by name, ``columns={"N": "params_total"}``, as :func:`scalefit.read_runs` takes them.

    Returns
    -------
    DownstreamResult
        ``table`` (per task: predictable or the reason why not), ``predict(N=, D=)``, ``predict_interval``,
        ``predict_tasks``, ``approaches`` (comparison with one step), ``sample``, ``plot()``; or a dict of them by
        series.

    Raises
    ------
    ArgumentError
        An argument is not allowed, or the direction of the metric is not clear.
    DataError
        A column is missing, values leave the range, or the losses are not comparable.
    FitError
        There are too few models, or their loss cannot be forecast.

    Notes
    -----
    Measured coverage, and the errors for the mean and for single tasks, are in docs/downstream.md.

    Examples
    --------
    >>> import numpy as np, scalefit as sf
    >>> N, D = (a.ravel() for a in np.meshgrid(np.geomspace(2e7, 1e9, 5), np.geomspace(1e9, 3e10, 5)))
    >>> loss = np.asarray(sf.published("chinchilla", "besiroglu2024").predict(N=N, D=D))
    >>> accuracy = 0.25 + 0.7 / (1 + np.exp(3 * (loss - 2.6)))
    >>> noisy = accuracy + np.random.default_rng(0).normal(0, 0.005, N.size)
    >>> runs = {"N": N, "D": D, "val_loss": loss, "accuracy": noisy}
    >>> found = sf.fit_downstream(runs, loss="val_loss", metric="accuracy", chance=0.25)
    >>> found.table["predictable"].tolist()
    [True]
    >>> row = found.predict_interval(N=3e9, D=1e11).iloc[0]
    >>> ahead = sf.published("chinchilla", "besiroglu2024").predict(N=3e9, D=1e11)
    >>> bool(row["lower"] < 0.25 + 0.7 / (1 + np.exp(3 * (ahead - 2.6))) < row["upper"])
    True
    """
    span = _span(range)
    if not one_of(by, (None, "series", "pool")):
        raise ArgumentError(f"{arg('by', by)} is not known", "nothing was fitted", "Pass 'series' or 'pool'")
    if same_loss not in (None, True, False):
        raise ArgumentError(
            f"{arg('same_loss', same_loss)} is neither True nor False", "nothing was fitted", "Pass one"
        )
    first = None if loss_result is None else predictor_of(loss_result, "A downstream fit")
    frame = _read(runs, loss, loss_unit, columns, inputs, first is None)
    names = _tasks(frame, metric)
    higher = _direction(names, better)
    rates = _chances(names, chance, span)
    _refuse_other_losses(frame, same_loss)
    labels = list(dict.fromkeys(frame["series"])) if "series" in frame else []

    def one(part: pd.DataFrame) -> DownstreamResult:
        return _fit(part, names, rates, higher, span, first, same_loss)

    if by == "series":
        if not labels:
            raise ArgumentError(
                f"{arg('by', 'series')} needs a column series, and there is none", "nothing was fitted", "Name it"
            )
        return each_series(labels, lambda label: one(_part(frame, label)), "a downstream fit")
    if len(labels) > 1 and by is None:
        raise several_series(
            FitError,
            labels,
            "nothing was fitted",
            f"pass {arg('by', 'series')} for a result each",
            f"{arg('by', 'pool')} to ignore it",
        )
    return one(frame)


def _read(
    runs: Any, loss: str | None, loss_unit: str | None, columns: Any, inputs: Any, needs_inputs: bool
) -> pd.DataFrame:
    """The table as read; a frame that was read before keeps what it states."""
    import pandas as pd

    from scalefit.tables.checks import usable_runs
    from scalefit.tables.runs import read_for_fit

    ready = isinstance(runs, pd.DataFrame) and "scalefit" in runs.attrs and loss in (None, "loss")
    if ready and not columns and not inputs and loss_unit is None:
        frame: pd.DataFrame = runs
    else:
        try:
            frame = read_for_fit(runs, loss=loss, loss_unit=loss_unit, columns=columns, inputs=inputs)
        except DataError:
            if needs_inputs:
                raise
            frame = _without_inputs(runs, loss, loss_unit)
    return usable_runs(frame, SIZES if _have_inputs(frame) else ())


def _have_inputs(frame: pd.DataFrame) -> bool:
    return sum(name in frame for name in QUANTITIES) >= 2


def _without_inputs(runs: Any, loss: str | None, loss_unit: str | None) -> pd.DataFrame:
    """A table of losses and metrics alone."""
    from scalefit.tables.reader import Request, read

    table = read(runs, Request({"loss": loss}, loss_unit=loss_unit, incomplete="keep", inputs=("loss",)), None)
    table.frame.attrs["scalefit"] = {
        **table.conventions,
        "set_aside": [{"row": row, "reason": why} for row, why in table.set_aside],
        "notes": [note_record(note) for note in table.notes],
        "rows_told": False,
    }
    return table.frame


def _part(frame: pd.DataFrame, label: Any) -> pd.DataFrame:
    part: pd.DataFrame = frame[frame["series"] == label].copy()
    part.attrs.update(frame.attrs)
    return part


def _span(given: Any) -> tuple[float, float]:
    try:
        low, high = (check_number("range", value) for value in given)
    except (TypeError, ValueError):
        raise ArgumentError(
            f"{arg('range', given)} is not a pair of numbers", "nothing was fitted", "Pass (0, 1)"
        ) from None
    if not (np.isfinite([low, high]).all() and low < high):
        raise ArgumentError(f"{arg('range', given)} is not a range", "nothing was fitted", "Pass (lower, upper)")
    return low, high


def _tasks(frame: pd.DataFrame, metric: Any) -> list[str]:
    """Names of the columns that hold metrics."""
    asked = [metric] if isinstance(metric, str) else list(metric) if isinstance(metric, Iterable) else []
    if not asked or not all(isinstance(name, str) for name in asked):
        raise ArgumentError(
            f"{arg('metric', metric)} names no columns", "nothing was fitted", "Pass a name, or several"
        )
    own = [str(name) for name in frame.columns if name not in (*QUANTITIES, "loss", "series", "status", "weight")]
    found: list[str] = []
    for name in asked:
        hits = [name] if name in own else fnmatch.filter(own, name)
        if not hits:
            raise DataError(
                f"The table has no column {name!r:.60} of a metric",
                "nothing was fitted",
                f"It has: {shortlist(own, 12)}. Pass {arg('metric')} with one of them, several, or a pattern: 'acc|*'",
            )
        found += hits
    names = list(dict.fromkeys(found))
    if AVERAGE in names and len(names) > 1:
        raise DataError(
            f"A task is called {AVERAGE!r}, as the mean of all is here", "nothing was fitted", "Rename or leave out one"
        )
    return names


def _direction(names: list[str], better: Any) -> bool:
    """Whether more is better."""
    if better is not None:
        if not one_of(better, ("higher", "lower")):
            raise ArgumentError(
                f"{arg('better', better)} is not known", "nothing was fitted", "Pass 'higher' or 'lower'"
            )
        return bool(better == "higher")
    stated = {name: set(re.split(r"[^a-z0-9]+", name.lower())) for name in names}
    up = [name for name in names if stated[name] & _UP and not stated[name] & _DOWN]
    down = [name for name in names if stated[name] & _DOWN and not stated[name] & _UP]
    if len(up) == len(names) or len(down) == len(names):
        return bool(up)
    unclear = next(name for name in names if name not in (up if len(up) >= len(down) else down))
    raise ArgumentError(
        f"Whether more or less is better is not clear from the name {unclear!r:.60}",
        "nothing was fitted",
        f"Pass {arg('better', 'higher')} for accuracies, {arg('better', 'lower')} for errors",
    )


def _chances(names: list[str], chance: Any, span: tuple[float, float]) -> dict[str, float | None]:
    """Guessing rate per task, in the metric's unit, as a share that is right."""
    given = dict.fromkeys(names, chance)
    if isinstance(chance, Mapping):
        given = {**dict.fromkeys(names), **check_mapping("chance", chance, "{'task': 0.25}")}
        strange = [name for name in chance if name not in names]
        if strange:
            raise ArgumentError(
                f"chance names {strange[0]!r:.60}, which is not a metric here",
                "nothing was fitted",
                known(strange[0], names, 12),
            )
    found = {name: None if rate is None else check_number("chance", rate) for name, rate in given.items()}
    for name, rate in found.items():
        if rate is not None and not span[0] <= rate < span[1]:
            raise ArgumentError(
                f"{arg('chance', shown=f'{rate:g}')} of {name} is not within the range {span[0]:g} to {span[1]:g}",
                "nothing was fitted",
                "Give the share that guessing gets right, such as 0.25 for four choices",
            )
    return found


def _refuse_other_losses(frame: pd.DataFrame, same_loss: bool | None) -> None:
    from scalefit.tables.columns import SAYS_WHAT_LOSS

    if same_loss is False:
        raise DataError(
            f"{arg('same_loss', False)}: losses of other text or by another tokenizer have no curve in common",
            "nothing was fitted",
            "Use one loss for all models, in bits per byte where tokenizers differ",
        )
    for name in () if same_loss else SAYS_WHAT_LOSS:
        values = sorted({str(value) for value in frame[name].dropna()}) if name in frame else []
        if len(values) > 1:
            raise DataError(
                f"The models differ in {name} ({', '.join(values[:4])}), so their losses are not comparable",
                "nothing was fitted",
                f"Use one loss for all (bits per byte where tokenizers differ), or pass {arg('same_loss', True)} if "
                "you know that they compare",
            )


def _fit(
    frame: pd.DataFrame,
    names: list[str],
    rates: dict[str, float | None],
    higher: bool,
    span: tuple[float, float],
    first: Any,
    same_loss: bool | None,
) -> DownstreamResult:
    have_inputs = _have_inputs(frame)
    if first is None and not have_inputs:
        raise DataError(
            "The table has no N and D to predict the loss from",
            "nothing was fitted",
            f"Name their columns, or pass {arg('loss_result')} with a prediction of the loss",
        )
    bare = frame.drop(columns="series", errors="ignore")
    bare.attrs.update(frame.attrs)
    table = read(bare, SIZES if have_inputs else ())
    columns, loss = table.columns, table.loss
    rows = frame.loc[table.labels.tolist()]
    metrics = {name: metric_values(rows[name], name, span) for name in names}
    notes = [*table.notes]
    usable = np.asarray(np.isfinite(np.stack(list(metrics.values()))).any(axis=0))
    if not usable.all():
        text = f"{int((~usable).sum())} of {len(usable)} models have no metric and were left out of the curves."
        notes.append(Note("no_metric", "info", text, {"n": int((~usable).sum())}))
    if usable.sum() < FEWEST:
        raise FitError(
            f"{int(usable.sum())} models with a metric are too few for a curve",
            "nothing was fitted",
            f"Add models, to {FEWEST} or more",
        )
    if len(np.unique(np.round(np.log(loss[usable]), 3))) < _FEWEST_LOSSES:
        raise FitError(
            f"The models have fewer than {_FEWEST_LOSSES} different losses, too few for a curve",
            "nothing was fitted",
            "Add models of other sizes or tokens",
        )
    if same_loss is None:
        remark = "Assumed: all losses are of the same text, by the same tokenizer. Numbers alone cannot show it."
        notes.append(Note("same_loss", "info", remark))
    step = first if first is not None else forecast({**columns, "loss": loss}, loss_unit=table.conventions["loss_unit"])
    every = Models(
        inputs=columns,
        loss=loss,
        metrics=metrics,
        chance=rates,
        higher=higher,
        span=span,
        labels=table.labels,
        conventions=dict(table.conventions),
        notes=tuple(notes),
    )
    return DownstreamResult(step, every.part(usable))
