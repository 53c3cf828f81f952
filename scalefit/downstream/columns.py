"""Columns of a table that hold accuracies, found by their names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from scalefit.downstream.judgement import FEWEST_UNKNOWN

if TYPE_CHECKING:
    import pandas as pd

_ACCURACY = {"acc", "accuracy"}
_ABOUT = {"std", "stderr", "se", "sem", "err", "error", "ci", "n", "train"}


def accuracy_columns(runs: pd.DataFrame) -> list[str]:
    """Names of the columns that say that they are accuracies, are shares, and are there for enough models.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"acc|arc": [0.3] * 8, "acc_stderr": [0.01] * 8, "accuracy": [40.0] * 8})
    >>> accuracy_columns(table)
    ['acc|arc']
    """
    import pandas as pd

    found = []
    for name in map(str, runs.columns):
        words = set(re.split(r"[^a-z0-9]+", name.lower()))
        if not words & _ACCURACY or words & _ABOUT:
            continue
        values = pd.to_numeric(runs[name], errors="coerce").to_numpy(float)
        known = values[np.isfinite(values)]
        if known.size >= FEWEST_UNKNOWN and known.min() >= 0 and known.max() <= 1:
            found.append(name)
    return found
