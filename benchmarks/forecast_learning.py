"""What sf.forecast learns from other tables: the prior, the size of a law's error, and the spread of intervals.

Everything here can leave groups of tables out, so that a forecast of a table knows nothing of its source project.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import asdict, replace
from functools import cache
from itertools import product

import numpy as np
import pandas as pd
from forecast_tables import GROUPS, OTHER_UNIT, Split, balance_weights, read_series, read_splits

import scalefit as sf
from scalefit.fitting.priors import Prior
from scalefit.forecasting.correlated_errors import Discrepancy
from scalefit.forecasting.forecast import Constants
from scalefit.forecasting.result import Spread

NAMES = ("E", "alpha", "beta", "g")
#: Each series is fitted under a prior this wide [log], so that what its runs do not say stays finite.
WIDE_MEAN, WIDE_SD = np.log([1.7, 0.3, 0.3, 0.5]), 2.0
#: The spread between groups is drawn towards this one [log-sd], which counts as many groups as said.
PRIOR_SD, PRIOR_GROUPS = 0.3, 3.0
#: Candidates for the size of a law's error; round numbers around the first.
CANDIDATES = (
    Discrepancy(),
    Discrepancy(amplitude=0.01),
    Discrepancy(length=6.0, amplitude=0.02),
    Discrepancy(length=6.0),
)
_FLOORS, _GROWTHS = (0.0, 0.002, 0.004), (0.0, 0.002)
_FREEDOMS = (3.0, 4.0, 6.0, 10.0, 30.0)
_LEVEL = 0.9
#: Share of the calibration sources' runs that a 90 % interval must hold: with seven or eight sources the quantile
#: rests on one or two of them, and a source that was left out is covered less than those that were not.
_AIM = 0.93


@cache
def series_likelihoods() -> list[tuple[str, np.ndarray, np.ndarray]]:
    """(group, precision, precision times mean) of ln (E, alpha, beta, g) in the likelihood of each series."""
    out = []
    for table, _, runs in read_series():
        names = NAMES[1:] if table in OTHER_UNIT else NAMES
        at = [NAMES.index(name) for name in names]
        k = len(names)
        wide = Prior(names, WIDE_MEAN[at], WIDE_SD**2 * np.eye(k), log=True, source="wide")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = sf.fit(runs[["N", "D", "loss"]], "coupled", delta=1e-2, weights="C^0.5", prior=wide)
        problem = result.problem
        information = problem.evaluate(result.x[None], None)[3][0] / problem.penalty.scale
        slots = [result.names.index(name) for name in names]
        # E is a logarithm inside already; for the others d ln p = dp / p.
        factor = np.array([1.0 if name == "E" else 1.0 / result.x[s] for name, s in zip(names, slots, strict=True)])
        posterior = np.linalg.inv(information)[np.ix_(slots, slots)] * np.outer(factor, factor)
        mean = np.log([result.params[name] for name in names])
        precision = np.linalg.inv(posterior) - np.eye(k) / WIDE_SD**2
        value, vector = np.linalg.eigh(precision)
        precision = vector @ np.diag(np.maximum(value, 1e-9)) @ vector.T
        shift = np.linalg.solve(posterior, mean) - WIDE_MEAN[at] / WIDE_SD**2
        full, right = np.zeros((4, 4)), np.zeros(4)
        full[np.ix_(at, at)], right[at] = precision, shift
        out.append((GROUPS[table], full, right))
    return out


def learn_prior(without: Iterable[str] = ()) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance between groups, by expectation-maximisation (Gaussian series about a Gaussian prior)."""
    left = set(without)
    used = [item for item in series_likelihoods() if item[0] not in left]
    groups = [group for group, _, _ in used]
    weight = np.array([1.0 / groups.count(group) for group in groups])
    n_groups = weight.sum()
    mean, cov = WIDE_MEAN.copy(), PRIOR_SD**2 * np.eye(4)
    for _ in range(500):
        inverse = np.linalg.inv(cov)
        covs = [np.linalg.inv(precision + inverse) for _, precision, _ in used]
        means = [c @ (right + inverse @ mean) for c, (_, _, right) in zip(covs, used, strict=True)]
        mean = np.average(means, axis=0, weights=weight)
        total = sum(w * (c + np.outer(m - mean, m - mean)) for w, c, m in zip(weight, covs, means, strict=True))
        cov = (total + PRIOR_GROUPS * PRIOR_SD**2 * np.eye(4)) / (n_groups + PRIOR_GROUPS)
    return mean, cov


def priors(without: Iterable[str] = ()) -> tuple[Prior, Prior]:
    """Prior of the coupled law, and of L = E + A C^-alpha, whose exponent is alpha beta / (alpha + beta) on average."""
    mean, cov = learn_prior(without)
    kept = [group for group in dict.fromkeys(GROUPS.values()) if group not in set(without)]
    source = f"learned from {len(kept)} public sources"
    draws = np.random.default_rng(0).multivariate_normal(mean, cov, 20_000)
    alpha, beta = np.exp(draws[:, 1]), np.exp(draws[:, 2])
    pair = np.stack([draws[:, 0], np.log(alpha * beta / (alpha + beta))])
    compute = Prior(("E", "alpha"), pair.mean(axis=1), np.cov(pair), True, source)
    return Prior(NAMES, mean, cov, True, source), compute


_PLAIN = Spread(0.0, 0.0, 1.0, 1e6)


@cache
def forecast_rows(group: str, without: frozenset[str], about: Discrepancy) -> pd.DataFrame:
    """Forecasts of a group's splits with a prior that leaves groups out: a row a test run."""
    prior, compute = priors(without)
    constants = Constants(prior, compute, about, _PLAIN, {})
    parts = [one_forecast(split, constants) for split in read_splits() if split.group == group]
    return pd.concat(parts, ignore_index=True)


def one_forecast(split: Split, constants: Constants, level: float = _LEVEL) -> pd.DataFrame:
    """Forecast of one split."""
    result = sf.forecast(split.train[["N", "D", "loss"]], loss_unit=split.unit, constants=constants)
    table = result.predict_interval(N=split.test.N.to_numpy(), D=split.test.D.to_numpy(), level=level)
    table = table.rename(columns={"loss": "predicted"})
    table["loss"], table["ratio"] = split.test.loss.to_numpy(), split.ratio
    table["table"], table["series"], table["cut"] = split.table, split.series, split.cut
    return table


def learn_discrepancy(without: Iterable[str] = ()) -> tuple[Discrepancy, Spread, pd.DataFrame]:
    """Candidate and spread with the least interval score on the other groups, each forecast without its own group."""
    left = frozenset(without)
    groups = [group for group in dict.fromkeys(GROUPS.values()) if group not in left]
    found = []
    for about in CANDIDATES:
        rows = pd.concat([forecast_rows(group, left | {group}, about) for group in groups], ignore_index=True)
        score, spread = learn_spread(rows)
        found.append((score, about, spread, rows))
    _, about, spread, rows = min(found, key=lambda item: item[0])
    return about, spread, rows


def learn_spread(rows: pd.DataFrame) -> tuple[float, Spread]:
    """Calibrate intervals on forecasts: floor and growth by interval score, the factor by coverage at 90 %."""
    error = np.abs(np.log(rows.predicted / rows.loss)).to_numpy()
    weight = balance_weights(rows)
    beyond = np.log(np.maximum(rows.ratio.to_numpy(), 1.0))
    inner = np.sqrt(rows.se_parameter**2 + rows.se_law**2 + rows.se_noise**2).to_numpy() / rows.predicted.to_numpy()
    found = []
    for floor, growth in product(_FLOORS, _GROWTHS):
        sd = np.hypot(inner, floor + growth * beyond)
        ratio = quantile(error / sd, weight, _AIM)
        half = ratio * sd
        score = float(np.average(2 * half + 20 * np.maximum(error - half, 0), weights=weight))
        freedom = min(_FREEDOMS, key=lambda nu: _miscoverage(error / sd, weight, ratio, nu))
        unit = Spread(floor, growth, 1.0, freedom)
        found.append((score, replace(unit, factor=ratio / unit.quantile(_LEVEL))))
    return min(found, key=lambda item: item[0])


def _miscoverage(scaled: np.ndarray, weight: np.ndarray, ratio: float, freedom: float) -> float:
    """Sum of misses of nominal 50, 80 and 95 %, with the factor that is right at 90 %."""
    unit = Spread(0.0, 0.0, 1.0, freedom)
    out = 0.0
    for level in (0.5, 0.8, 0.95):
        inside = scaled <= ratio * unit.quantile(level) / unit.quantile(_LEVEL)
        out += abs(float(np.average(inside, weights=weight)) - level)
    return out


def quantile(values: np.ndarray, weights: np.ndarray, q: float) -> float:
    """Weighted quantile."""
    order = np.argsort(values)
    share = np.cumsum(weights[order]) / weights.sum()
    return float(values[order][np.searchsorted(share, q)])


def learn(without: Iterable[str] = ()) -> tuple[Constants, pd.DataFrame]:
    """Return everything that sf.forecast ships, without some groups, and the forecasts it was calibrated on."""
    left = frozenset(without)
    about, spread, rows = learn_discrepancy(left)
    prior, compute = priors(left)
    return Constants(prior, compute, about, spread, {}), rows


def document(constants: Constants, provenance: dict[str, object]) -> dict[str, object]:
    """Return constants as JSON holds them."""

    def of(prior: Prior) -> dict[str, object]:
        rounded = {"mean": np.round(prior.mean, 4).tolist(), "cov": np.round(prior.cov, 5).tolist()}
        return {"names": list(prior.names), **rounded, "source": prior.source}

    spread = {key: round(value, 4) for key, value in asdict(constants.spread).items()}
    return {
        "prior": of(constants.prior),
        "compute_prior": of(constants.compute_prior),
        "discrepancy": asdict(constants.discrepancy),
        "interval": spread,
        "provenance": provenance,
    }
