"""Everything a report says, computed once: fit, plans, comparison, isoFLOP curves, floor, and the planner's data.

What cannot be said of a table is held as the sentence that says why, so that a section never stands half filled.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from scalefit._typing import AnyArray, Array
from scalefit.errors import ArgumentError, ScalefitError, ScalefitWarning, way
from scalefit.fitting.fit import fit
from scalefit.fitting.result import FitResult
from scalefit.flops import QUANTITIES, SIZES
from scalefit.planning.allocation import two_powers
from scalefit.planning.limits import largest
from scalefit.planning.loss_surface import surface_of

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
#: Levels that the planner offers beside the report's own.
LEVELS = (0.5, 0.8, 0.9, 0.95)
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
        The planned run.
    forecasts : list of dict or str
        What ``sf.forecast`` expects of each plan: C, loss, lower, upper.
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
        What the page's own planner needs.
    """

    result: FitResult
    names: list[str]
    level: float
    plans: list[Plan] | str
    planned: Plan | str
    forecasts: list[dict[str, float]] | str
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
    def columns(self) -> dict[str, Array]:
        """Inputs of the runs in parameters, tokens and FLOP."""
        return self.result.runs()


def find(
    runs: pd.DataFrame,
    law: Any,
    *,
    level: float,
    budget: float | None,
    draws: int,
    seed: int,
    options: Mapping[str, Any],
) -> Findings:
    """Fit a law to a table as :func:`scalefit.read_runs` returns it, and find what follows."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*were set aside")  # the page lists these rows
        result = fit(runs, law, seed=seed, **options)
    try:
        result = result.bootstrap(draws)
    except ArgumentError:
        pass  # expression constraints: robust errors stay
    seen = largest(result)
    plannable = or_why(lambda: surface_of(result))
    if isinstance(plannable, str):
        planned: Plan | str = plannable
    else:
        planned = or_why(lambda: _plan(result, budget or NEXT * seen["C"], level))
    plans = planned if isinstance(planned, str) else _plans(result, planned.asked, seen["C"], level)
    return Findings(
        result=result,
        names=_names(runs, result),
        level=level,
        plans=plans,
        planned=planned,
        forecasts=plans if isinstance(plans, str) else or_why(lambda: _forecasts(runs, plans, level)),
        next_runs=planned if isinstance(planned, str) else or_why(lambda: _next_runs(result, planned, seen["C"])),
        comparison=or_why(lambda: _compare(runs, result, level)),
        isoflop=or_why(lambda: _isoflop(runs)),
        floor=planned if isinstance(planned, str) else or_why(lambda: _floor(runs, planned)),
        minimum_loss=planned if isinstance(planned, str) else or_why(lambda: _minimum_loss(planned)),
        planner=planned
        if isinstance(planned, str)
        else or_why(lambda: _planner(result, level, _call(law, seed, draws, options))),
    )


def or_why(make: Callable[[], T]) -> T | str:
    """The value, or the sentence in which scalefit refuses it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ScalefitWarning)  # what is warned of is in the notes
        try:
            return make()
        except ScalefitError as error:
            return str(error)


def _plan(result: FitResult, C: float, level: float) -> Plan:
    from scalefit.planning.plan import plan

    return plan(result, C=C, level=level)


def _plans(result: FitResult, budget: float, most: float, level: float) -> list[Plan] | str:
    """Plans around the largest run and up to the planned one and beyond; budgets that have none are left out."""
    budgets = sorted({most * multiple for multiple in MULTIPLES} | {budget})
    kept = [C for i, C in enumerate(budgets) if C == budget or abs(np.log(C / budget)) > 0.1]
    found = [or_why(lambda C=C: _plan(result, C, level)) for C in kept]  # type: ignore[misc]
    return [item for item in found if not isinstance(item, str)] or str(found[0])


def _names(runs: pd.DataFrame, result: FitResult) -> list[str]:
    """What the table calls its runs, or their row numbers."""
    lower = {str(name).lower(): name for name in runs.columns}
    column = next((lower[name] for name in _NAMES if name in lower and lower[name] not in QUANTITIES), None)
    labels = result.row_labels
    if column is None:
        return [f"row {label}" for label in labels]
    said = runs[column].dropna()
    named = dict(zip(said.index, said, strict=True))
    return [str(named.get(label, f"row {label}")) for label in labels]


def _forecasts(runs: pd.DataFrame, plans: list[Plan], level: float) -> list[dict[str, float]]:
    """The calibrated forecast of each plan."""
    from scalefit.forecasting.forecast import forecast

    N, D = (np.array([getattr(plan, key) for plan in plans]) for key in SIZES)
    frame = forecast(runs).predict_interval(N=N, D=D, level=level)
    found = zip(plans, frame["loss"], frame["lower"], frame["upper"], strict=True)
    return [{"C": plan.asked, "loss": float(a), "lower": float(b), "upper": float(c)} for plan, a, b, c in found]


def _next_runs(result: FitResult, planned: Plan, budget: float) -> pd.DataFrame:
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


def _call(law: Any, seed: int, draws: int, options: Mapping[str, Any]) -> str:
    """The lines of Python that give this fit."""
    name = law.__name__ if isinstance(law, type) else repr(law)
    said = "".join(f", {key}={value!r}" for key, value in {**options, "seed": seed}.items())
    return f"result = sf.fit(runs, {name}{said}).bootstrap({draws})"


def _planner(result: FitResult, level: float, call: str) -> dict[str, Any]:
    """Parameters and draws, the runs' noise, and the laws as scripts: all that sf.plan works with."""
    from scalefit.fitting.intervals import noise_of, trend_of
    from scalefit.laws import published
    from scalefit.reporting.formula import script_of

    if result.resamples is None:
        raise ArgumentError(
            "This fit has no bootstrap draws for the planner's intervals", "no planner was made", "Ask sf.plan"
        )
    own, repeated = surface_of(result), surface_of(result, unique_tokens=1.0)
    if own.law is None or own.params is None or repeated.law is None or repeated.params is None:
        raise ArgumentError(
            "This law has no parameters that a page could compute with", "no planner was made", "Ask sf.plan"
        )
    names, powers, trend = list(own.law.parameters), two_powers(own.law), trend_of(result)
    knows_repetition = "unique_tokens" in own.law.inputs
    repeats = published("data_constrained", "muennighoff2023").constants.values["R_D"]
    own_form = {
        "law": "own",
        "inputs": own.law.inputs,
        "rows": np.stack([own.params[name] for name in names], axis=1),
        "powers": powers and [names.index(name) for name in powers],
        "repeats": knows_repetition,
        "R_D": None,
    }
    # A law that knows nothing of repetition borrows it: as another law with constants added, or as fewer tokens.
    repeated_form = {
        "law": "repeated",
        "inputs": repeated.law.inputs,
        "extra": [float(repeated.params[name][0]) for name in repeated.law.parameters if name not in names],
        "powers": None,
        "R_D": repeats if repeated.law is own.law and not knows_repetition else None,
    }
    return {
        "own": own_form,
        "repeated": repeated_form,
        "scripts": {"own": script_of(own.law), "repeated": script_of(repeated.law)},
        "borrowed": [note.message for note in repeated.notes],
        "noise": [(share, float(noise_of(result, share))) for share in sorted({*LEVELS, level})],
        "trend": None if trend is None else asdict(trend),
        "seen": largest(result),
        "R_D": repeats,
        "call": call,
    }
