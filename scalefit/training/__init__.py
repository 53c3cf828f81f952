"""Train small language models over grids of N and D and write the table that the fits read.

Needs the extra ``scalefit-lm[train]``. Nothing else in scalefit imports this package.
"""

from __future__ import annotations

import importlib
from typing import Any

_LAZY = {
    "CorpusConfig": "config",
    "EvaluationConfig": "config",
    "ModelConfig": "config",
    "OptimizerConfig": "config",
    "RunConfig": "config",
    "RuntimeConfig": "config",
    "ScheduleConfig": "config",
    "load_config": "config_files",
    "load_trained": "trained",
    "open_corpus": "data.corpus",
    "RunRecord": "store",
    "train": "loop",
    "SweepConfig": "sweeps.grid",
    "sweep": "sweeps.run",
}
__all__ = sorted(_LAZY)


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
