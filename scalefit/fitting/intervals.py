"""Intervals for the loss of a new run: the law's own uncertainty, and the noise of runs about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from scalefit._arguments import broadcast, check_level, one_of
from scalefit._numeric import settled
from scalefit._typing import Array, ArrayLike
from scalefit._warn import warn_user
from scalefit.errors import ArgumentError, Note, arg, way
from scalefit.extrapolation import NEAR, times_largest
from scalefit.fitting.bootstrap import prediction_slopes
from scalefit.fitting.clusters import student
from scalefit.fitting.noise import NoiseTrend, compute_of, find_trend
from scalefit.fitting.objectives import Objective
from scalefit.fitting.solution import Solution
from scalefit.flops import QUANTITIES, SIZES
from scalefit.laws._inputs import check_inputs
from scalefit.predictor import Kind

if TYPE_CHECKING:
    import pandas as pd

#: Share within one standard deviation of a normal distribution.
_ONE_SIGMA = 0.6827
#: Share of the runs' span by which an input other than sizes and compute may leave them unremarked (a guess).
_OUTSIDE = 0.25


def predict_interval(
    result: Solution, *, level: float = 0.9, series: str | None = None, kind: Kind = "new_run", **inputs: ArrayLike
) -> pd.DataFrame:
    """Interval for the target of a new run, or for the law's own value.

    The law's part is Student's t with robust errors, or the percentiles of bootstrap draws; the noise is the
    quantile of the residuals, widened by sqrt(n / (n - p)), and follows compute where the residuals do; the two
    add in squares, on the scale of the law's target: in logarithms for a loss, in log-odds for a share, plainly for a
    difference. Where predicting too much and too little cost different amounts, the law is an edge of the runs, and a
    new run's interval is about their middle.

    Parameters
    ----------
    result : Solution
        The fit.
    level : float
        Coverage wanted.
    series : str, optional
        Which series, for fits with ``by="shared"``.
    kind : {"new_run", "mean"}
        An interval for a new run, or for the law's own value without the noise of a run.
    **inputs : array_like
        The law's inputs, such as N [parameters] and D [tokens].

    Returns
    -------
    DataFrame
        ``loss``, ``lower``, ``upper``, ``se_parameter`` and ``se_noise``, all in the target's unit [nat/token for a
        loss]; ``loss`` holds the target, whatever its name. Notes on extrapolation are in ``frame.attrs["notes"]``, and
        are given as warnings too.
    """
    import pandas as pd

    check_level(level)
    if not one_of(kind, ("new_run", "mean")):
        raise ArgumentError(f"{arg('kind', kind)} is not known", "nothing was predicted", "Pass 'new_run' or 'mean'")
    columns = check_inputs(result.law, times_largest(result.seen, inputs))
    shape, flat = broadcast(columns)
    group, scale = result._group(series), target_scale(result)
    loss = np.broadcast_to(result._predict(flat, result.x, group)[0], (int(np.prod(shape)),))
    slopes = prediction_slopes(result, flat, group, scale)
    cov, draws = np.nan_to_num(result.free_cov), result.interval_draws
    se = np.sqrt(np.maximum(np.einsum("mi,ij,mj->m", slopes, cov, slopes), 0.0))
    tail, centre = (1 - level) / 2, scale.link(loss)
    if draws is not None:
        with np.errstate(all="ignore"):
            paths = scale.link(result._predict(flat, draws, group))
        low, high = np.nanquantile(paths, [tail, 1 - tail], axis=0)
        below, above = np.maximum(centre - low, 0.0), np.maximum(high - centre, 0.0)
    else:
        below = above = student(result, tail, slopes) * se
    middle, down, up = (0.0, 0.0, 0.0) if kind == "mean" else _noise(result, level, flat)
    steep = np.abs(scale.link_slope(loss))
    _, lower_sd, upper_sd = _noise(result, _ONE_SIGMA, flat)
    low_end, high_end = result.law.target.range
    # Clipped, an interval of what cannot be would have no width: as if it were known exactly.
    possible = np.where((loss >= low_end) & (loss <= high_end), 1.0, np.nan)
    out = pd.DataFrame(
        {
            "loss": loss,
            "lower": possible * np.clip(scale.unlink(centre + middle - np.hypot(below, down)), low_end, high_end),
            "upper": possible * np.clip(scale.unlink(centre + middle + np.hypot(above, up)), low_end, high_end),
            "se_parameter": se / steep,
            "se_noise": 0.5 * (lower_sd + upper_sd) / steep,
        }
    )
    notes = [*extrapolation_notes(result, flat), *_impossible_notes(result, loss[np.isnan(possible)])]
    out.attrs["notes"] = notes
    for note in notes:
        warn_user(note.template)
    return out


def target_scale(result: Solution) -> Objective:
    """The scale on which runs scatter about a law: that of its target, whatever the objective was on."""
    return Objective(on=result.law.target.on)


def relative_residuals(result: Solution) -> Array:
    """Residuals (n_runs,) on the scale of the target, whatever the objective was: of the logarithm, for a loss."""
    scale, problem = target_scale(result), result.problem
    if problem.objective.on == scale.on:
        return result.residuals
    with np.errstate(all="ignore"):
        predicted = problem.objective.unlink(problem.objective.link(problem.loss) + result.residuals)
        return np.asarray(scale.link(predicted) - scale.link(problem.loss))


def misses_of(result: Solution) -> tuple[Array, str]:
    """How far the law is off at each run (n_runs,), and in what: % of a target on a log scale, else its own unit."""
    scale, residual = target_scale(result), relative_residuals(result)
    if scale.log:
        return np.asarray(100 * np.expm1(residual)), "%"
    loss = result.problem.loss
    return np.asarray(scale.unlink(scale.link(loss) + residual) - loss), result.target.unit.replace("-", "")


def noise_of(result: Solution, level: float, columns: Mapping[str, Array] | None = None) -> float | Array:
    """Half-width that holds `level` of the residuals, corrected for the parameters fitted to them.

    Where the noise goes with compute, that at the inputs `columns` (m,), or at the runs' mean compute without them.
    """
    sizes, trend = np.abs(relative_residuals(result)), trend_of(result)
    compute = None if trend is None else compute_of(result.problem.raw_columns)
    if trend is not None and compute is not None:
        sizes = sizes / trend.factor(compute)
    half = float(_rank(sizes, level) * _widening(result))
    asked = None if columns is None else compute_of(columns)
    return half if trend is None or asked is None else half * trend.factor(asked)


def trend_of(result: Solution) -> NoiseTrend | None:
    """Return the power of compute that the noise goes with, where the residuals show one."""
    if result.problem.objective.lopsided:
        return None
    return find_trend(result.problem, relative_residuals(result), result.n_free)


def _noise(result: Solution, level: float, columns: Mapping[str, Array]) -> tuple[float, float | Array, float | Array]:
    """Middle of the runs' scatter about the law, and how far down and up from there `level` of it reaches."""
    if not result.problem.objective.lopsided:
        half = noise_of(result, level, columns)
        return 0.0, half, half
    runs = -relative_residuals(result)
    middle = float(np.median(runs))
    tail, wider = (1 - level) / 2, _widening(result)
    down, up = (_rank(sign * (runs - middle), 1 - tail) * wider for sign in (-1, 1))
    return middle, max(down, 0.0), max(up, 0.0)


def _rank(sizes: Array, level: float) -> float:
    n = sizes.size
    return float(np.quantile(sizes, min(1.0, level * (n + 1) / n)))


def _widening(result: Solution) -> float:
    n = result.n_runs
    return float(np.sqrt(n / max(n - result.n_free, 1)))


def extrapolation_notes(result: Solution, columns: dict[str, Array]) -> list[Note]:
    """Say by how much the predictions leave the range of the runs."""
    keys: list[tuple[str, ...]] = [(key,) for key in ("C", "N", "D") if key in columns]
    if set(SIZES) <= set(columns):
        keys = [SIZES, *keys]

    def reach(part: tuple[str, ...]) -> float:
        asked = sum(np.log(columns[key] / result.problem.units[key]) for key in part)
        seen = sum(np.log(result.problem.columns[key]) for key in part)
        return settled(np.exp(min(np.max(asked, initial=-np.inf) - np.max(seen), 700.0)))

    ratio, part = max(((reach(part), part) for part in keys), key=lambda item: item[0], default=(0.0, ()))
    if ratio <= NEAR:
        return _outside_notes(result, columns)
    what = part[0] if part in (("N",), ("D",)) else "compute"
    text = (
        f"The largest prediction is {ratio:.3g} times the largest run's {what}: that is extrapolation. The interval "
        f"assumes that the law's form holds; intervals of this kind covered 40 to 60 % where 90 % was claimed. "
        f"Use {way('sf.forecast', 'scalefit forecast')} for intervals calibrated on such jumps."
    )
    return [Note("extrapolation", "warning", text, {"ratio": ratio})]


def _outside_notes(result: Solution, columns: Mapping[str, Array]) -> list[Note]:
    """Say which other inputs lie far outside the runs: by a quarter of their span, or of that of their logarithms."""
    law, outside = result.law, {}
    for name, declared in law.declarations.items():
        if name in (*QUANTITIES, "unique_tokens") or (law.shares and name.startswith(f"{law.shares}_")):
            continue  # compute has a note of its own, and so has a mixture
        scaled = np.log if declared.log_axis else np.asarray
        runs = np.asarray(result.problem.raw_columns[name], float)
        low, high = float(runs.min()), float(runs.max())
        if low == high:
            continue  # then no parameter of it is determined, which the fit says
        ends = scaled(np.array([low, high]))
        off = np.maximum(ends[0] - scaled(columns[name]), scaled(columns[name]) - ends[1])
        if off.max(initial=-np.inf) > _OUTSIDE * (ends[1] - ends[0]):
            outside[name] = (float(columns[name][int(np.argmax(off))]), low, high)
    if not outside:
        return []
    words = ", ".join(
        f"{name} {value:.4g} (runs: {low:.4g} to {high:.4g})" for name, (value, low, high) in outside.items()
    )
    text = (
        f"A prediction leaves the runs in {words}: that is extrapolation, and the interval assumes that the law's form "
    )
    return [Note("extrapolation", "warning", f"{text}holds there. Add a run nearer to it.", {"outside": list(outside)})]


def _impossible_notes(result: Solution, values: Array) -> list[Note]:
    """Say that a law left the values that its target can have."""
    if not values.size:
        return []
    target = result.law.target
    text = (
        f"The law gives {target.name} {values[0]:.4g} at {values.size} of the points, outside {target.range[0]:g} to "
        f"{target.range[1]:g}: it is not valid there, and has no interval. Predict closer to the runs."
    )
    return [Note("impossible_value", "warning", text, {"n": int(values.size), "value": float(values[0])})]
