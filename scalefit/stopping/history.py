"""What is learned from finished runs: priors for the next one, and a correction from runs of the same recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np

from scalefit._typing import Array, ArrayLike
from scalefit.errors import DataError
from scalefit.schedules import Schedule
from scalefit.stopping.posterior import TAIL, CurveSummary, Posterior, extrapolate, summarize
from scalefit.stopping.priors import RATE, RATE_SLOPE, RHO_SLOPE, Priors, measured_rate, widened

MIN_HISTORY = 3  # earlier runs of the recipe before their errors correct a forecast
MAX_HISTORY = 24  # the nearest in length and schedule enter; more cost time and add little
MIN_ANNEAL = 0.3  # a run must have lowered its rate by this part of the peak to say what annealing gains
WHOLE = 0.05  # a finished run is fitted from this part of its progress on: its exponent needs the early curve
KEPT_POINTS = 400  # points kept of a finished run
FRACTIONS = (0.25, 0.5, 0.75)  # where forecasts are calibrated
LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
SPREAD_FLOORS = {"gain_spread": 0.35, "rate_gain_spread": 0.2, "log_rho_spread": 1.75, "rate_log_rho_spread": 1.0}
EXPONENT_SPREAD = 0.25  # of log a; measured: .3 is worse at a quarter and half of a run, .2 at three quarters
HISTORY_WIDENING = 1.25  # the runs that correct a forecast also set its priors: their errors are a little too small
#: Where learning starts: loose, and what is not learned (the gain's slope in rho, the slope's prior) stays.
START = Priors(
    gain=0.18,
    gain_spread=0.4,
    gain_slope=0.25,
    rate_gain=0.18,
    rate_gain_spread=0.4,
    rate_log_rho=0.0,
    rate_log_rho_spread=1.75,
    exponent=0.48,
    exponent_spread=0.35,
    log_rho=0.0,
    log_rho_spread=1.75,
    slope=0.25,
    slope_spread=0.5,
    asymptote=2.8,
    asymptote_spread=0.4,
    z_levels=LEVELS,
    z_quantiles=tuple(NormalDist().inv_cdf((1 + level) / 2) for level in LEVELS),
    n_runs=0,
    source="nothing",
)
FEATURE_SCALE = np.array([0.35, 0.6])  # of log slope and log length: runs this far apart count half as much


@dataclass(frozen=True, slots=True, eq=False)
class FinishedRun:
    """A run that has ended: its schedule and its curve, thinned.

    ``adam_rate`` is its peak learning rate [1/step] if it is known and the optimizer is Adam or AdamW.
    """

    schedule: Schedule
    steps: Array
    loss: Array
    total: float
    adam_rate: float | None = None

    @property
    def final(self) -> float:
        """Loss at the end [nat/token]."""
        return float(self.loss[-1])

    @classmethod
    def from_curve(
        cls,
        schedule: Schedule,
        steps: ArrayLike,
        loss: ArrayLike,
        total: float | None = None,
        adam_rate: float | None = None,
    ) -> FinishedRun:
        """Sort, drop what is not finite, and thin.

        Raises
        ------
        DataError
            Fewer than four usable points, or a curve that stops before 90 % of the run.
        """
        t, y = np.asarray(steps, dtype=float), np.asarray(loss, dtype=float)
        keep = np.isfinite(t) & np.isfinite(y)
        t, latest = np.unique(t[keep][::-1], return_index=True)
        y = y[keep][::-1][latest]
        end = schedule.total if total is None else float(total)
        if len(t) < 4:
            raise DataError(
                f"A history run has {len(t)} finite losses",
                "nothing was learned from it",
                "Give four or more, or leave it out",
            )
        if t[-1] < 0.9 * end:
            raise DataError(
                f"A history run ends at step {t[-1]:g} of {end:g}; only finished runs teach",
                "nothing was learned from it",
                "Leave it out, or give it the plan it really followed",
            )
        if len(t) > KEPT_POINTS:
            pick = np.unique(
                np.r_[np.linspace(0, len(t) - 1, KEPT_POINTS // 2), np.geomspace(1, len(t), KEPT_POINTS // 2) - 1]
            ).astype(int)
            t, y = t[np.unique(pick)], y[np.unique(pick)]
        return cls(schedule, t, y, end, adam_rate)

    def until(self, fraction: float, tail: float = TAIL) -> CurveSummary | None:
        """CurveSummary of the first part of the run."""
        stop = int(np.searchsorted(self.steps, fraction * self.total, side="right"))
        return summarize(self.schedule, self.steps[:stop], self.loss[:stop], tail=tail)

    @property
    def healthy(self) -> bool:
        """Whether it ended near its own best."""
        return self.final <= float(self.loss.min()) + 0.1


@dataclass(frozen=True, slots=True)
class _Traits:
    """What one finished run says about the priors; `log_gain` at rho = 1, the last two at the rate `RATE`.

    None without an anneal, or where the rate is not known or not among those measured.
    """

    log_exponent: float
    log_rho: float | None
    log_gain: float | None
    rate_gain: float | None = None
    rate_rho: float | None = None


def _traits(run: FinishedRun, priors: Priors) -> _Traits | None:
    seen = run.until(1.0, WHOLE)
    if seen is None:
        return None
    post = extrapolate(seen, run.schedule, [run.total], widened(priors))
    if 1 - float(run.schedule.lr(run.total)) < MIN_ANNEAL or post.gain <= 0.02:
        return _Traits(post.log_exponent, None, None)
    gain = float(np.log(post.gain) - priors.gain_slope * post.log_rho)
    if (rate := measured_rate(run.adam_rate)) is None:
        return _Traits(post.log_exponent, post.log_rho, gain)
    away = float(np.log(rate / RATE))
    rate_gain, rate_rho = float(np.log(post.gain)) - RATE_SLOPE * away, post.log_rho - RHO_SLOPE * away
    return _Traits(post.log_exponent, post.log_rho, gain, rate_gain, rate_rho)


def _pool(groups: Sequence[Array], centre: float | None, spread: float, floor: float) -> tuple[float, float]:
    """Mean and standard deviation over groups that each count nearly once; `centre` enters as one more run."""
    filled = [group for group in groups if len(group)]
    means = [float(group.mean()) for group in filled]
    weights = [len(group) / (len(group) + 3) for group in filled]  # a group of one says a quarter of the whole
    variances = [float(np.mean((group - group.mean()) ** 2)) for group in filled]
    if centre is not None:  # one group: shrink towards the shipped value by one run's weight
        group = filled[0] if filled else np.zeros(0)
        mean = (centre + group.sum()) / (1 + len(group))
        return float(mean), float(max(np.sqrt((spread**2 + np.sum((group - mean) ** 2)) / (1 + len(group))), floor))
    mean = float(np.average(means, weights=weights))
    between = float(np.average((np.array(means) - mean) ** 2, weights=weights))
    within = float(np.average(variances, weights=weights))
    return mean, float(max(np.sqrt(between * len(means) / max(len(means) - 1, 1) + within), floor))


def learn_priors(runs: Mapping[str, Sequence[FinishedRun]], start: Priors, source: str) -> Priors:
    """Learn priors from finished runs of several sources, each source counting nearly once.

    Parameters
    ----------
    runs : mapping
        Source to its finished runs.
    start : Priors
        Supplies what is not learned, and a loose prior for the fits to the finished runs.
    source : str
        What to say about where the result comes from.

    Returns
    -------
    Priors
        With the conformal table of `start`; `calibrated` learns that.
    """
    traits = [[t for run in group if run.healthy and (t := _traits(run, start))] for group in runs.values()]
    gain = [np.array([t.log_gain for t in group if t.log_gain is not None]) for group in traits]
    rate_gain = [np.array([t.rate_gain for t in group if t.rate_gain is not None]) for group in traits]
    rate_rho = [np.array([t.rate_rho for t in group if t.rate_rho is not None]) for group in traits]
    rho = [np.array([t.log_rho for t in group if t.log_rho is not None]) for group in traits]
    exponent = [np.array([t.log_exponent for t in group]) for group in traits]
    log_gain, gain_spread = _pool(gain, None, 0.0, SPREAD_FLOORS["gain_spread"])
    known = any(map(len, rate_gain))
    log_rate_gain, rate_gain_spread = _pool(rate_gain if known else gain, None, 0.0, SPREAD_FLOORS["rate_gain_spread"])
    rate_log_rho, rate_log_rho_spread = _pool(
        rate_rho if known else rho, None, 0.0, SPREAD_FLOORS["rate_log_rho_spread"]
    )
    log_exponent, _ = _pool(exponent, None, 0.0, EXPONENT_SPREAD)
    log_rho, log_rho_spread = _pool(rho, None, 0.0, SPREAD_FLOORS["log_rho_spread"])
    return replace(
        start,
        gain=float(np.exp(log_gain)),
        gain_spread=gain_spread,
        rate_gain=float(np.exp(log_rate_gain)),
        rate_gain_spread=rate_gain_spread,
        rate_log_rho=rate_log_rho,
        rate_log_rho_spread=rate_log_rho_spread,
        exponent=float(np.exp(log_exponent)),
        exponent_spread=EXPONENT_SPREAD,
        log_rho=log_rho,
        log_rho_spread=log_rho_spread,
        n_runs=sum(len(group) for group in traits),
        source=source,
    )


def scaled_errors(runs: Sequence[FinishedRun], priors: Priors) -> Array:
    """Absolute errors of forecasts at 25, 50 and 75 % of each run, in predicted standard deviations."""
    errors = []
    for run in runs:
        for fraction in FRACTIONS:
            seen = run.until(fraction)
            if seen is not None and run.healthy:
                post = extrapolate(seen, run.schedule, [run.total], priors)
                errors.append(abs(float(post.mean[0]) - run.final) / float(post.sd[0]))
    return np.array(errors)


def calibrated(errors: Mapping[str, Array], priors: Priors, least: int = 20) -> Priors:
    """Return `priors` with a conformal table that holds for the worst source with at least `least` forecasts.

    A new source is a draw among sources, not among curves, so the table is the largest of the sources' own
    quantiles rather than the quantile of the pooled errors; and with few sources it is never narrower than
    the posterior itself claims.
    """
    each = [np.quantile(e, LEVELS) for e in errors.values() if len(e) >= least]
    if not each:
        each = [np.quantile(np.concatenate(list(errors.values())), LEVELS)]
    normal = [NormalDist().inv_cdf((1 + level) / 2) for level in LEVELS]
    table = np.max(np.array([*each, np.array(normal)]), axis=0)
    return replace(priors, z_levels=LEVELS, z_quantiles=tuple(float(z) for z in table))


def learn_and_calibrate(runs: Mapping[str, Sequence[FinishedRun]], source: str) -> Priors:
    """Priors from `runs`, with a conformal table from forecasts of each source by priors of the others.

    Parameters
    ----------
    runs : mapping
        Source to its finished runs; at least two sources.
    source : str
        What to say about where the result comes from.

    Returns
    -------
    Priors
    """
    errors = {}
    for name, group in runs.items():
        others = {key: value for key, value in runs.items() if key != name}
        errors[name] = scaled_errors(group, learn_priors(others, START, ""))
    return calibrated(errors, learn_priors(runs, START, source))


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """Finished runs of the same recipe and the priors that they sharpen."""

    runs: tuple[FinishedRun, ...]
    priors: Priors

    @classmethod
    def learn(cls, runs: Sequence[FinishedRun], base: Priors, schedule: Schedule, total: float) -> History:
        """Sharpen `base` with `runs`; the nearest `MAX_HISTORY` in length and schedule are kept."""
        usable = [run for run in runs if run.healthy]
        if len(usable) > MAX_HISTORY:
            part = np.linspace(0, 1, 21)
            own = schedule.lr(part * total)

            def distance(run: FinishedRun) -> float:
                shape = float(np.mean(np.abs(run.schedule.lr(part * run.total) - own)))
                return abs(float(np.log(run.total / total))) + 5 * shape

            usable = sorted(usable, key=distance)[:MAX_HISTORY]
        if not usable:
            return cls((), base)
        traits = [t for run in usable if (t := _traits(run, base))]
        gain = np.array([t.log_gain for t in traits if t.log_gain is not None])
        rho = np.array([t.log_rho for t in traits if t.log_rho is not None])
        exponent = np.array([t.log_exponent for t in traits])
        rate_gain = np.array([t.rate_gain for t in traits if t.rate_gain is not None])
        rate_rho = np.array([t.rate_rho for t in traits if t.rate_rho is not None])
        log_gain, gain_spread = _pool([gain], float(np.log(base.gain)), base.gain_spread, 0.1)
        log_rate_gain, rate_spread = _pool([rate_gain], float(np.log(base.rate_gain)), base.rate_gain_spread, 0.1)
        rate_log_rho, rate_rho_spread = _pool([rate_rho], base.rate_log_rho, base.rate_log_rho_spread, 0.3)
        log_rho, log_rho_spread = _pool([rho], base.log_rho, base.log_rho_spread, 0.3)
        log_exponent, exponent_spread = _pool([exponent], float(np.log(base.exponent)), base.exponent_spread, 0.12)
        priors = replace(
            base,
            gain=float(np.exp(log_gain)),
            gain_spread=min(gain_spread, 0.6),
            rate_gain=float(np.exp(log_rate_gain)),
            rate_gain_spread=min(rate_spread, 0.6),
            rate_log_rho=rate_log_rho,
            rate_log_rho_spread=rate_rho_spread,
            log_rho=log_rho,
            log_rho_spread=log_rho_spread,
            exponent=float(np.exp(log_exponent)),
            exponent_spread=exponent_spread,
            n_runs=len(usable),
            source=f"{len(usable)} earlier runs of the recipe, and {base.source}",
        )
        return cls(tuple(usable), priors)

    def at_rate(self, rate: float | None) -> Priors:
        """Priors of a run by its peak learning rate under Adam, where that of every earlier run is known too."""
        known = all(measured_rate(run.adam_rate) is not None for run in self.runs)
        return self.priors.at_rate(rate) if known else self.priors

    def correction(self, fraction: float, post: Posterior, total: float, priors: Priors) -> Correction | None:
        """What forecasts of the finished runs, made at the same part of them, got wrong.

        `priors` are those of `post`; where they are for its peak rate, each finished run is forecast by its own.
        Their errors are regressed (ridge, nearer runs count more) on the slope at that point and the length
        of the run, and read off at the present run's. None with fewer than `MIN_HISTORY` usable runs.
        """
        errors, features = [], []
        for run in self.runs:
            seen = run.until(fraction)
            if seen is None:
                continue
            own = priors.at_rate(run.adam_rate) if priors.for_rate else priors
            past = extrapolate(seen, run.schedule, [run.total], own)
            errors.append(run.final - float(past.mean[0]))
            features.append([np.log(max(past.slope, 0.02)), np.log(run.total)])
        if len(errors) < MIN_HISTORY:
            return None
        e = np.array(errors)
        here = np.array([np.log(max(post.slope, 0.02)), np.log(total)])
        away = (np.array(features) - here) / FEATURE_SCALE
        X = np.column_stack([np.ones(len(e)), away])
        weight = 1 / (1 + 0.25 * (away**2).sum(axis=1))
        ridge = np.linalg.inv((X * weight[:, None]).T @ X + np.diag([1.0, 2.0, 2.0]))
        hat = X @ ridge @ (X * weight[:, None]).T
        coefficient = ridge @ (X * weight[:, None]).T @ e
        left_out = (e - X @ coefficient) / np.clip(1 - np.diag(hat), 0.3, 1.0)
        # Two pseudo-observations at half the posterior's own spread keep a few lucky runs from promising too much.
        variance = (weight @ left_out**2 + 2 * (0.5 * float(post.sd[-1])) ** 2) / (weight.sum() + 2)
        sd = HISTORY_WIDENING * float(np.sqrt(variance * (1 + ridge[0, 0])))
        return Correction(float(coefficient[0]), sd, float(weight.sum() + 2), len(e))


@dataclass(frozen=True, slots=True)
class Correction:
    """Shift of the forecast and its standard deviation [nat/token], degrees of freedom, number of runs."""

    shift: float
    sd: float
    dof: float
    n_runs: int
