"""Parameters of a forecast's law in natural units: their values, covariance and draws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit._typing import Array
from scalefit.predictor import random_draws

if TYPE_CHECKING:
    import pandas as pd


def natural(result: Any, x: Array) -> dict[str, Any]:
    """Parameters at a free vector x (p,), in parameters, tokens and FLOP."""
    values = {key: value.ravel()[0] for key, value in result.problem.values(x[None], 0).items()}
    inverse = {key: 1.0 / unit for key, unit in result.problem.units.items()}
    return result.law.rescale(values, inverse) if result.law.rescale is not None else values


def covariance(result: Any) -> pd.DataFrame:
    """Posterior covariance (p, p), by complex steps through the change of units."""
    import pandas as pd

    step, x = 1e-30, result.fitted.x
    columns = []
    for i in range(x.size):
        moved = x.astype(complex)
        moved[i] += 1j * step
        columns.append([np.imag(value) / step for value in natural(result, moved).values()])
    jac = np.array(columns).T
    names = list(result.params.index)
    return pd.DataFrame(jac @ result.fitted.cov @ jac.T, index=names, columns=names)


def draws(result: Any, n: int) -> pd.DataFrame:
    """Draws from the posterior, one row per draw."""
    import pandas as pd

    steps = random_draws(result.fitted.x, result.fitted.cov, n, 0)
    values = {key: value.ravel() for key, value in result.problem.values(steps, 0).items()}
    if result.law.rescale is not None:
        values = result.law.rescale(values, {key: 1.0 / unit for key, unit in result.problem.units.items()})
    frame = pd.DataFrame({name: np.broadcast_to(value, (n,)) for name, value in values.items()})
    frame.attrs["source"] = "posterior"
    return frame
