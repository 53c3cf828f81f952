"""Intervals for the loss of a new run: the law's own uncertainty, and the noise of runs about it."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from scalefit._arguments import broadcast, check_level
from scalefit._typing import Array, ArrayLike
from scalefit.errors import Note, ScalefitWarning
from scalefit.fitting.bootstrap import prediction_slopes
from scalefit.fitting.clusters import quantiles
from scalefit.fitting.solution import Solution
from scalefit.laws._inputs import check_inputs

if TYPE_CHECKING:
    import pandas as pd

#: Predictions beyond this many times the largest training compute, N or D are extrapolation.
REACH = 3.0


def predict_interval(
    result: Solution, *, level: float = 0.9, series: str | None = None, **inputs: ArrayLike
) -> pd.DataFrame:
    """Interval for the loss of a new run.

    The law's part is Student's t with robust errors, or the percentiles of bootstrap draws; the noise is the
    quantile of the residuals, widened by sqrt(n / (n - p)); the two add in squares.

    Parameters
    ----------
    result : Solution
        The fit.
    level : float
        Coverage wanted.
    series : str, optional
        Which series, for fits with ``by="shared"``.
    **inputs : array_like
        The law's inputs, such as N [parameters] and D [tokens].

    Returns
    -------
    DataFrame
        ``loss``, ``lower``, ``upper`` [nat/token], ``se_parameter`` and ``se_noise`` [nat/token]. Notes on
        extrapolation are in ``frame.attrs["notes"]`` and are also warned of.
    """
    import pandas as pd

    check_level(level)
    columns = check_inputs(result.law, inputs)
    shape, flat = broadcast(columns)
    group = result._group(series)
    loss = np.broadcast_to(result._predict(flat, result.x, group)[0], (int(np.prod(shape)),))
    slopes = prediction_slopes(result, flat, group)
    cov, draws = np.nan_to_num(result.free_cov), result.interval_draws
    se = np.sqrt(np.maximum(np.einsum("mi,ij,mj->m", slopes, cov, slopes), 0.0))
    tail = (1 - level) / 2
    if draws is not None:
        paths = np.log(result._predict(flat, draws, group))
        low, high = np.quantile(paths, [tail, 1 - tail], axis=0)
        below, above = np.maximum(np.log(loss) - low, 0.0), np.maximum(high - np.log(loss), 0.0)
    else:
        below = above = quantiles(result, 1 - tail, slopes) * se
    noise = noise_of(result, level)
    lower = loss * np.exp(-np.hypot(below, noise))
    with np.errstate(over="ignore"):  # runs that say nothing allow any loss
        upper = loss * np.exp(np.hypot(above, noise))
    out = pd.DataFrame(
        {
            "loss": loss,
            "lower": lower,
            "upper": upper,
            "se_parameter": loss * se,
            "se_noise": loss * noise_of(result, 0.6827),
        }
    )
    notes = extrapolation_notes(result, flat)
    out.attrs["notes"] = notes
    for note in notes:
        warnings.warn(note.message, ScalefitWarning, stacklevel=3)
    return out


def relative_residuals(result: Solution) -> Array:
    """Residuals of the log loss (n_runs,), whatever the objective was."""
    if result.problem.objective.log:
        return result.residuals
    return np.asarray(np.log1p(result.residuals / result.problem.loss))


def noise_of(result: Solution, level: float) -> float:
    """Half-width that holds `level` of the residuals, corrected for the parameters fitted to them."""
    sizes = np.abs(relative_residuals(result))
    n, p = sizes.size, result.n_free
    rank = min(1.0, level * (n + 1) / n)
    return float(np.quantile(sizes, rank) * np.sqrt(n / max(n - p, 1)))


def extrapolation_notes(result: Solution, columns: dict[str, Array]) -> list[Note]:
    """Say by how much the predictions leave the range of the runs."""
    keys: list[tuple[str, ...]] = [(key,) for key in ("C", "N", "D") if key in columns]
    if {"N", "D"} <= set(columns):
        keys = [("N", "D"), *keys]

    def reach(part: tuple[str, ...]) -> float:
        asked = sum(np.log(columns[key] / result.problem.units[key]) for key in part)
        seen = sum(np.log(result.problem.columns[key]) for key in part)
        return float(np.exp(min(np.max(asked, initial=-np.inf) - np.max(seen), 700.0)))

    ratio, part = max(((reach(part), part) for part in keys), key=lambda item: item[0], default=(0.0, ()))
    if ratio <= REACH:
        return []
    what = part[0] if part in (("N",), ("D",)) else "compute"
    text = (
        f"The largest prediction is {ratio:.3g} times the largest run's {what}: that is extrapolation. The interval "
        f"holds the law's form for true; intervals of this kind covered 40 to 60 % where 90 % was claimed. "
        f"Use sf.forecast for intervals calibrated on such jumps."
    )
    return [Note("extrapolation", "warning", text, {"ratio": ratio})]
