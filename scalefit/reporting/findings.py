"""All content of a report, computed once: fit, plans, comparison, isoFLOP curves, floor, and the planner's data.

What a table does not allow is replaced by a sentence that says why, so that no section is half filled.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from scalefit import _text as words
from scalefit._typing import AnyArray, Array
from scalefit.errors import ArgumentError, Note, ScalefitError, ScalefitWarning, by_severity, way
from scalefit.extrapolation import times_largest
from scalefit.fitting.fit import fit
from scalefit.fitting.printing import verdict
from scalefit.fitting.result import FitResult
from scalefit.flops import QUANTITIES
from scalefit.forecasting.forecast import forecast
from scalefit.forecasting.result import ForecastResult
from scalefit.planning.limits import largest
from scalefit.planning.loss_surface import surface_of
from scalefit.predictor import Predictor
from scalefit.reporting.planner_data import planner_data

if TYPE_CHECKING:
    import pandas as pd

    from scalefit.memory.floor import Floor
    from scalefit.optima.result import Optima
    from scalefit.planning.architecture import Architecture
    from scalefit.planning.minimum_loss import MinimumLoss
    from scalefit.planning.result import Plan

T = TypeVar("T")

#: Budgets of the plan table, in multiples of the largest run's compute.
MULTIPLES = (0.1, 1.0, 3.0, 10.0, 30.0, 100.0, 1000.0)
#: The planned run where none is named: this many times the largest run's compute.
NEXT = 10.0
#: Laws held against the fitted one.
RIVALS = ("chinchilla", "coupled", "kaplan", "power_law:C", "forecast")
#: Runs drawn and listed at most, so that the page of a large table stays small.
MOST_SHOWN = 1500
#: A run is recommended from so many runs per free parameter, and where the best size is known within such a factor.
RUNS_PER_PARAMETER, WIDEST = 2, 10.0
NOT_YET = "No plan was made."
_NAMES = ("run", "run_name", "name", "run_id", "model", "exp_name", "experiment", "id")
_SHAPE = ("n_layers", "d_emb", "T_max")


@dataclass(frozen=True, eq=False)
class Findings:
    """What the page shows; a string in place of a value says why there is none.

    Attributes
    ----------
    result : FitResult
        The fit, with bootstrap draws where they can be had.
    names : list of str
        Run names by the rows of the fit.
    level : float
        Coverage of every interval.
    plans : list of Plan or str
        Plans for a range of budgets; the planned run is among them.
    planned : Plan or str
        The planned run by the law.
    headline : Plan or str
        The planned run as the page recommends it: by the calibrated forecast where there is one, else by the law.
    refused : str or None
        Why no run is recommended, where the law can plan.
    forecast : ForecastResult or str
        What :attr:`headline` is by, and :attr:`ahead`.
    ahead : list of Plan or str
        The same budgets by ``sf.forecast``, whose intervals are calibrated on such jumps.
    next_runs : DataFrame or str
        Runs that would determine the planned run's loss best.
    comparison : DataFrame or str
        Laws with their errors on runs held out.
    isoflop : Optima or str
        IsoFLOP curves.
    floor : (Floor, Architecture) or str
        The associative-memory floor of the planned run.
    minimum_loss : MinimumLoss or str
        What every published law says of the planned run.
    planner : dict or str
        What the page's own planner needs, by what predicts: ``"forecast"``, where there is one, and ``"law"``.
    """

    result: FitResult
    names: list[str]
    level: float
    plans: list[Plan] | str
    planned: Plan | str
    headline: Plan | str
    refused: str | None
    forecast: ForecastResult | str
    ahead: list[Plan] | str
    next_runs: pd.DataFrame | str
    comparison: pd.DataFrame | str
    isoflop: Optima | str
    floor: tuple[Floor, Architecture] | str
    minimum_loss: MinimumLoss | str
    planner: dict[str, Any] | str

    @cached_property
    def shown(self) -> AnyArray:
        """Rows of the fit that are drawn and listed: all, or where there are too many, every k-th by loss."""
        order = np.argsort(self.result.problem.loss, kind="stable")
        picked = order[np.unique(np.linspace(0, order.size - 1, min(order.size, MOST_SHOWN)).astype(int))]
        return np.sort(picked)

    @cached_property
    def notes(self) -> list[tuple[str, Note]]:
        """Every note with what it is on: fit, forecast, or plan as recommended; the most severe first."""
        ahead = () if isinstance(self.forecast, str) else self.forecast.notes
        plan = () if isinstance(self.headline, str) else self.headline.notes
        known: dict[tuple[str, str], tuple[str, Note]] = {}
        for what, notes in (("fit", self.result.notes), ("forecast", ahead), ("plan", plan)):
            for note in notes:
                known.setdefault((note.code, note.message), (what, note))
        return sorted(known.values(), key=lambda pair: by_severity(pair[1]))

    @cached_property
    def doubts(self) -> list[Note]:
        """Warnings for the verdict: none where there is only that a calibrated forecast reaches beyond the runs."""
        expected = set() if isinstance(self.forecast, str) else {"beyond_reach"}
        warned = [note for _, note in self.notes if note.severity == "warning"]
        return warned if {note.code for note in warned} - expected else []

    @property
    def verdict(self) -> str:
        """Whether to believe the page, in a few words."""
        sentence = verdict(self.result, self.doubts)
        return sentence if self.refused is None or not self.result.trusted else f"{sentence}; no run is recommended"

    @cached_property
    def columns(self) -> dict[str, Array]:
        """Inputs of the runs in parameters, tokens and FLOP."""
        return self.result.runs()


def find(
    runs: pd.DataFrame,
    law: Any,
    *,
    level: float,
    budget: float | str | None,
    draws: int,
    seed: int,
    at: Mapping[str, Any],
    options: Mapping[str, Any],
) -> Findings:
    """Fit a law to a table as :func:`scalefit.read_runs` returns it, and find what follows; plans hold inputs `at`."""
    result = fit(runs, law, seed=seed, **options)
    try:
        result = result.bootstrap(draws, cluster="shared")
    except ArgumentError:
        pass  # expression constraints: robust errors stay
    seen, held = largest(result), result.at(**at) if at else result
    plannable = or_why(lambda: surface_of(held))
    wide: Plan | str = plannable if isinstance(plannable, str) else NOT_YET
    if not isinstance(plannable, str):
        asked = times_largest(result.seen, {"budget": budget})["budget"] or float(f"{NEXT * seen['C']:.3g}")
        wide = or_why(lambda: _plan(held, asked, level))
    by_forecast = wide if isinstance(wide, str) else or_why(lambda: _ahead(runs, wide.asked, level, at))
    predicts, best = (by_forecast, wide) if isinstance(by_forecast, str) else by_forecast
    planned = wide
    if not isinstance(wide, str) and not isinstance(best, str):
        planned = or_why(lambda: _recommended(result, wide, best, () if isinstance(predicts, str) else predicts.notes))
    plans = planned if isinstance(planned, str) else _plans(held, _budgets(planned.asked, seen["C"]), level)
    headline = planned if isinstance(planned, str) or isinstance(best, str) else best
    ahead = plans
    if not isinstance(plans, str):
        budgets = [plan.asked for plan in plans]
        ahead = predicts if isinstance(predicts, str) else _plans(predicts, budgets, level)
    return Findings(
        result=result,
        names=_names(runs, result),
        level=level,
        plans=plans,
        planned=planned,
        headline=headline,
        refused=planned if isinstance(planned, str) and not isinstance(plannable, str) else None,
        forecast=predicts,
        ahead=ahead,
        next_runs=wide if isinstance(wide, str) else or_why(lambda: _next_runs(held, wide, seen["C"])),
        comparison=or_why(lambda: _compare(runs, result, level)),
        isoflop=or_why(lambda: _isoflop(runs)),
        floor=headline if isinstance(headline, str) else or_why(lambda: _floor(runs, headline)),
        minimum_loss=headline if isinstance(headline, str) else or_why(lambda: _minimum_loss(headline)),
        planner=planned
        if isinstance(planned, str)
        else or_why(
            lambda: planner_data(
                result, held, None if isinstance(ahead, str) else predicts, level, _call(law, seed, draws, at, options)
            )
        ),
    )


def or_why(make: Callable[[], T]) -> T | str:
    """The value, or the sentence in which scalefit refuses it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ScalefitWarning)  # what is warned of is in the notes
        try:
            return make()
        except ScalefitError as error:
            return str(error)


def _plan(result: Predictor, C: float, level: float) -> Plan:
    from scalefit.planning.plan import plan

    return plan(result, C=C, level=level)


def _ahead(runs: pd.DataFrame, C: float, level: float, at: Mapping[str, Any]) -> tuple[ForecastResult, Plan]:
    """The forecast, and its plan for the budget; a forecast knows nothing of what is held."""
    if at:
        raise ArgumentError(
            f"The calibrated forecast is of N and D alone, and the runs differ in {', '.join(at)} too",
            "no forecast was made",
            f"Forecast runs of one {next(iter(at))} by themselves",
        )
    predicts = forecast(runs)
    return predicts, _plan(predicts, C, level)


def _budgets(budget: float, most: float) -> list[float]:
    """Budgets around the largest run's and up to the planned one and beyond [FLOP]."""
    budgets = sorted({most * multiple for multiple in MULTIPLES} | {budget})
    return [C for C in budgets if C == budget or abs(np.log(C / budget)) > 0.1]


def _plans(result: Predictor, budgets: Sequence[float], level: float) -> list[Plan] | str:
    """Plans for budgets; those that have none are left out."""
    found = [or_why(lambda C=C: _plan(result, C, level)) for C in budgets]  # type: ignore[misc]
    return [item for item in found if not isinstance(item, str)] or str(found[0])


def _names(runs: pd.DataFrame, result: FitResult) -> list[str]:
    """What the table calls its runs, or their row numbers."""
    lower = {str(name).lower(): name for name in runs.columns}
    column = next((lower[name] for name in _NAMES if name in lower and lower[name] not in QUANTITIES), None)
    labels = result.row_labels
    if column is None:
        return [f"row {label}" for label in labels]
    value = runs[column].dropna()
    named = dict(zip(value.index, value, strict=True))
    return [str(named.get(label, f"row {label}")) for label in labels]


def _recommended(result: FitResult, planned: Plan, best: Plan, ahead: Sequence[Note]) -> Plan:
    """The law's plan, unless the runs do not say what to train.

    Parameters
    ----------
    result : FitResult
        The fit.
    planned, best : Plan
        The planned run by the law, and as the page would recommend it.
    ahead : sequence of Note
        Notes on the forecast behind `best`.

    Raises
    ------
    ArgumentError
        Too few runs, a fit or forecast without trust, or an interval of the best size, by the forecast or by the law
        alone, that spans more than a decade.
    """
    least = RUNS_PER_PARAMETER * len(result.names)
    do = "Add runs of other sizes and lengths: the runs that would teach most are listed below"
    if not result.trusted:
        raise ArgumentError("The fit must not be trusted", "no run is recommended", "Read the verdict and the notes")
    severe = next((note for note in (*ahead, *best.notes) if note.severity == "error"), None)
    if severe is not None:
        raise ArgumentError("The forecast must not be trusted", "no run is recommended", severe.template)
    if result.n_runs < least:
        raise ArgumentError(
            f"{result.n_runs} runs are too few to plan with: a law of {len(result.names)} parameters needs {least}",
            "no run is recommended",
            do,
        )
    for plan, by in ((planned, "the fitted law"), (best, "the calibrated forecast")):
        span = plan.N_interval
        if span is not None and span[1] > WIDEST * span[0]:
            raise ArgumentError(
                f"The best size for {words.power(plan.asked)} FLOP lies anywhere from {words.count(span[0])} to "
                f"{words.count(span[1])} parameters by {by} ({words.percent(plan.level)} interval)",
                "no run is recommended",
                do,
            )
    return planned


def _next_runs(result: Predictor, planned: Plan, budget: float) -> pd.DataFrame:
    from scalefit.planning.next_runs import next_runs

    if not result.trusted:
        raise ArgumentError(
            "A fit without trust cannot tell which run would help", "no run was chosen", "Read the notes"
        )
    return next_runs(result, budget, C=planned.asked, n_runs=5)


def _compare(runs: pd.DataFrame, result: FitResult, level: float) -> pd.DataFrame:
    from scalefit.comparison.compare import compare

    others = [name for name in RIVALS if name != result.law.name]
    return compare(runs, [result.law, *others], holdout="largest_C", level=level)


def _isoflop(runs: pd.DataFrame) -> Optima:
    from scalefit.optima.isoflop import isoflop

    optima = isoflop(runs)
    placed = int(optima.optima["n_runs"].sum())
    if placed < len(runs) / 2:
        raise ArgumentError(
            f"Only {placed} of {len(runs)} runs lie on a budget with a lowest point between smaller and larger models: "
            "they were not made for isoFLOP curves",
            "no isoFLOP curve was drawn",
            "Run several sizes on each of a few budgets",
        )
    return optima


def _floor(runs: pd.DataFrame, planned: Plan) -> tuple[Floor, Architecture]:
    import pandas as pd

    from scalefit.memory.floor import loss_floor

    if not set(_SHAPE) <= set(runs.columns):
        missing = [name for name in _SHAPE if name not in runs.columns]
        raise ArgumentError(
            f"The floor depends on the shape of a model, and this table has no {', '.join(missing)}",
            "none was computed",
            f"Add the columns {', '.join(_SHAPE)} to it, or ask scalefit floor for one plan",
        )
    known: dict[str, int] = {}
    for name in ("T_max", "vocab_size"):
        if name in runs.columns:
            values = pd.to_numeric(runs[name], errors="coerce")[runs["loss"].notna()].dropna()
            if len(values):
                known[name] = int(values[runs.loc[values.index, "loss"].idxmin()])
    shape = planned.shape(**known)
    floor = loss_floor(
        N=shape.counts.total,
        D=planned.D,
        n_layers=shape.n_layers,
        d_emb=shape.d_emb,
        T_max=shape.T_max,
        vocab_size=shape.vocab_size,
        d_ff=shape.d_ff,
    )
    return floor, shape


def _minimum_loss(planned: Plan) -> MinimumLoss:
    found = planned.minimum_loss
    if found is None:
        raise ArgumentError(
            "Published laws predict losses in nat/token of transformers with a vocabulary of 50257; the planned run "
            "has another unit or shape",
            "none was asked",
            f"Ask {way('sf.minimum_loss', 'scalefit minimum-loss')} for a shape of your own",
        )
    return found


def _call(law: Any, seed: int, draws: int, at: Mapping[str, Any], options: Mapping[str, Any]) -> str:
    """The lines of Python that give this fit."""
    name = law.__name__ if isinstance(law, type) else repr(law)
    text = "".join(f", {key}={value!r}" for key, value in {**options, "seed": seed}.items())
    held = f".at({', '.join(f'{key}={value!r}' for key, value in at.items())})" if at else ""
    return f"result = sf.fit(runs, {name}{text}).bootstrap({draws}, cluster='shared'){held}"
