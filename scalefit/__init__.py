"""scalefit: scaling laws you can trust, from a table of training runs to the next run.

Public names load on first use (PEP 562), so ``import scalefit`` costs little more than numpy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what an editor and mypy see; tests/test_public_types.py holds it equal to _LAZY
    from scalefit import counting as counting
    from scalefit import flops as flops
    from scalefit import laws as laws
    from scalefit import memory as memory
    from scalefit.collecting.collect import collect as collect
    from scalefit.comparison.average import average as average
    from scalefit.comparison.compare import compare as compare
    from scalefit.comparison.overlay import plot as plot
    from scalefit.comparison.recipes import compare_recipes as compare_recipes
    from scalefit.comparison.recipes_result import RecipeComparison as RecipeComparison
    from scalefit.corpora.entropy import entropy_bounds as entropy_bounds
    from scalefit.corpora.entropy_result import EntropyBounds as EntropyBounds
    from scalefit.corpora.exponent import predict_exponent as predict_exponent
    from scalefit.corpora.exponent_result import ExponentPrediction as ExponentPrediction
    from scalefit.datasets import list_datasets as list_datasets
    from scalefit.datasets import load_dataset as load_dataset
    from scalefit.downstream.chain import Chain as Chain
    from scalefit.downstream.chain import chain as chain
    from scalefit.downstream.fit import fit_downstream as fit_downstream
    from scalefit.downstream.result import DownstreamResult as DownstreamResult
    from scalefit.errors import DataError as DataError
    from scalefit.errors import FitError as FitError
    from scalefit.errors import Note as Note
    from scalefit.errors import ScalefitError as ScalefitError
    from scalefit.errors import ScalefitWarning as ScalefitWarning
    from scalefit.fitting.collection import Fits as Fits
    from scalefit.fitting.fit import fit as fit
    from scalefit.fitting.result import FitResult as FitResult
    from scalefit.fitting.side_by_side import summary_table as summary_table
    from scalefit.forecasting.forecast import forecast as forecast
    from scalefit.forecasting.loading import load_forecast as load_forecast
    from scalefit.forecasting.result import ForecastResult as ForecastResult
    from scalefit.laws import Input as Input
    from scalefit.laws import Law as Law
    from scalefit.laws import Parameter as Parameter
    from scalefit.laws import Shares as Shares
    from scalefit.laws import Target as Target
    from scalefit.laws import published as published
    from scalefit.memory.floor import Floor as Floor
    from scalefit.memory.floor import loss_floor as loss_floor
    from scalefit.mixture.optimal_mixture import optimal_mixture as optimal_mixture
    from scalefit.mixture.result import OptimalMixture as OptimalMixture
    from scalefit.optima.envelope import envelope as envelope
    from scalefit.optima.isoflop import isoflop as isoflop
    from scalefit.planning.minimum_loss import MinimumLoss as MinimumLoss
    from scalefit.planning.minimum_loss import minimum_loss as minimum_loss
    from scalefit.planning.next_runs import next_runs as next_runs
    from scalefit.planning.plan import plan as plan
    from scalefit.predictor import Predictor as Predictor
    from scalefit.reporting.live import report_run as report_run
    from scalefit.reporting.report import report as report
    from scalefit.saving import load_result as load_result
    from scalefit.schedules import Schedule as Schedule
    from scalefit.stopping.monitor import Monitor as Monitor
    from scalefit.stopping.monitor import load_monitor as load_monitor
    from scalefit.stopping.run_plan import RunPlan as RunPlan
    from scalefit.tables.checks import CheckedRuns as CheckedRuns
    from scalefit.tables.checks import check_runs as check_runs
    from scalefit.tables.runs import read_runs as read_runs
    from scalefit.tuning.hyperparameters import fit_hyperparameters as fit_hyperparameters
    from scalefit.tuning.result import Hyperparameters as Hyperparameters

__version__ = "0.1.0"

# name -> module that defines it; one line a name, so that additions do not collide.
_LAZY = {
    "CheckedRuns": "scalefit.tables.checks",
    "DataError": "scalefit.errors",
    "FitError": "scalefit.errors",
    "FitResult": "scalefit.fitting.result",
    "Fits": "scalefit.fitting.collection",
    "Floor": "scalefit.memory.floor",
    "Input": "scalefit.laws",
    "Law": "scalefit.laws",
    "Note": "scalefit.errors",
    "Parameter": "scalefit.laws",
    "Predictor": "scalefit.predictor",
    "ScalefitError": "scalefit.errors",
    "ScalefitWarning": "scalefit.errors",
    "Shares": "scalefit.laws",
    "Target": "scalefit.laws",
    "average": "scalefit.comparison.average",
    "check_runs": "scalefit.tables.checks",
    "collect": "scalefit.collecting.collect",
    "isoflop": "scalefit.optima.isoflop",
    "compare": "scalefit.comparison.compare",
    "compare_recipes": "scalefit.comparison.recipes",
    "RecipeComparison": "scalefit.comparison.recipes_result",
    "entropy_bounds": "scalefit.corpora.entropy",
    "EntropyBounds": "scalefit.corpora.entropy_result",
    "predict_exponent": "scalefit.corpora.exponent",
    "ExponentPrediction": "scalefit.corpora.exponent_result",
    "list_datasets": "scalefit.datasets",
    "load_dataset": "scalefit.datasets",
    "envelope": "scalefit.optima.envelope",
    "fit": "scalefit.fitting.fit",
    "fit_hyperparameters": "scalefit.tuning.hyperparameters",
    "Hyperparameters": "scalefit.tuning.result",
    "forecast": "scalefit.forecasting.forecast",
    "ForecastResult": "scalefit.forecasting.result",
    "load_forecast": "scalefit.forecasting.loading",
    "load_result": "scalefit.saving",
    "chain": "scalefit.downstream.chain",
    "Chain": "scalefit.downstream.chain",
    "fit_downstream": "scalefit.downstream.fit",
    "DownstreamResult": "scalefit.downstream.result",
    "loss_floor": "scalefit.memory.floor",
    "MinimumLoss": "scalefit.planning.minimum_loss",
    "minimum_loss": "scalefit.planning.minimum_loss",
    "next_runs": "scalefit.planning.next_runs",
    "optimal_mixture": "scalefit.mixture.optimal_mixture",
    "OptimalMixture": "scalefit.mixture.result",
    "plan": "scalefit.planning.plan",
    "plot": "scalefit.comparison.overlay",
    "published": "scalefit.laws",
    "read_runs": "scalefit.tables.runs",
    "Monitor": "scalefit.stopping.monitor",
    "RunPlan": "scalefit.stopping.run_plan",
    "Schedule": "scalefit.schedules",
    "load_monitor": "scalefit.stopping.monitor",
    "report": "scalefit.reporting.report",
    "report_run": "scalefit.reporting.live",
    "summary_table": "scalefit.fitting.side_by_side",
}
_SUBMODULES = {"counting", "flops", "laws", "memory"}

__all__ = ["__version__", *_LAZY, *_SUBMODULES]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        value = getattr(importlib.import_module(_LAZY[name]), name)
    elif name in _SUBMODULES:
        value = importlib.import_module(f"scalefit.{name}")
    else:
        raise AttributeError(f"module 'scalefit' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
