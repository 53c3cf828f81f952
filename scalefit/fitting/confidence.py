"""Intervals of parameters from their standard errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scalefit.laws._base import Law

if TYPE_CHECKING:
    import pandas as pd


def interval_around(law: type[Law], params: pd.Series[float], half: pd.Series[float]) -> pd.DataFrame:
    """Intervals ``lower`` and ``upper`` of half-widths `half`, in logarithms for what is positive by nature."""
    import pandas as pd

    names = [str(name) for name in params.index]
    log = np.array([law.parameters[name.split("[")[0]].log for name in names]) & (params.to_numpy() > 0)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        factor = np.exp(half / params)
        lower = np.where(log, params / factor, params - half)
        upper = np.where(log, params * factor, params + half)
    return pd.DataFrame({"lower": lower, "upper": upper}, index=names)
