"""scalefit: scaling laws you can trust, from a table of training runs to the next run.

Public names load on first use (PEP 562), so ``import scalefit`` costs little more than numpy.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

# name -> module that defines it; one line a name, so that additions do not collide.
_LAZY = {
    "CheckedRuns": "scalefit.tables.runs",
    "DataError": "scalefit.errors",
    "FitError": "scalefit.errors",
    "FitResult": "scalefit.fitting.result",
    "Floor": "scalefit.memory.floor",
    "Law": "scalefit.laws",
    "Note": "scalefit.errors",
    "Parameter": "scalefit.laws",
    "ScalefitError": "scalefit.errors",
    "ScalefitWarning": "scalefit.errors",
    "average": "scalefit.comparison.average",
    "check_runs": "scalefit.tables.runs",
    "isoflop": "scalefit.optima.isoflop",
    "compare": "scalefit.comparison.compare",
    "list_datasets": "scalefit.datasets",
    "load_dataset": "scalefit.datasets",
    "envelope": "scalefit.optima.envelope",
    "fit": "scalefit.fitting.fit",
    "forecast": "scalefit.forecasting.forecast",
    "ForecastResult": "scalefit.forecasting.result",
    "load_forecast": "scalefit.forecasting.loading",
    "load_result": "scalefit.fitting.schema",
    "loss_floor": "scalefit.memory.floor",
    "next_runs": "scalefit.planning.next_runs",
    "plan": "scalefit.planning.plan",
    "published": "scalefit.laws",
    "read_runs": "scalefit.tables.runs",
    "Monitor": "scalefit.stopping.monitor",
    "RunPlan": "scalefit.stopping.run_plan",
    "Schedule": "scalefit.schedules",
    "load_monitor": "scalefit.stopping.schema",
    "report": "scalefit.reporting.report",
}
_SUBMODULES = {"counting", "laws", "memory"}

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
