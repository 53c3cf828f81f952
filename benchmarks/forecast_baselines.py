"""What people use today to forecast a larger run, each as predictions for the test runs of a split."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from forecast_tables import Split

import scalefit as sf
from scalefit._numeric import excess_over_hull
from scalefit.fitting.priors import Prior

COLUMNS = ["N", "D", "loss"]
#: Runs this close to the lower hull [log loss] are the frontier.
_ON_FRONTIER = 0.005
_RESAMPLES = 200


def best_train_loss(split: Split) -> np.ndarray:
    """No law at all."""
    return np.full(len(split.test), split.train.loss.min())


def fit_or_compute(split: Split, law: str, **options: object) -> tuple[sf.FitResult, dict[str, np.ndarray]]:
    """A fit and the inputs of the test runs; a law of compute where the settings are too few for the law."""
    N, D = split.test.N.to_numpy(), split.test.D.to_numpy()
    try:
        return sf.fit(split.train[COLUMNS], law, **options), {"N": N, "D": D}
    except sf.FitError:
        return _law_of_compute(6.0 * (split.train.N * split.train.D).to_numpy(), split.train.loss.to_numpy()), {
            "C": 6.0 * N * D
        }


def _law_of_compute(C: np.ndarray, loss: np.ndarray) -> sf.FitResult:
    """Least squares of L(C) = E + A C^-alpha; with two budgets a line, and no floor."""
    budgets = np.unique(np.round(np.log(C), 6)).size
    return sf.fit({"C": C, "loss": loss}, "power_law:C", objective="squared", fixed={"E": 0.0} if budgets < 3 else None)


def _fitted(law: str, **options: object) -> Callable[[Split], np.ndarray]:
    def predict(split: Split) -> np.ndarray:
        result, where = fit_or_compute(split, law, **options)
        return np.asarray(result.predict(**where))

    return predict


def frontier(split: Split) -> np.ndarray:
    """L(C) = E + A C^-alpha through the runs near the lower hull of log loss over log compute."""
    runs = split.train
    log_c = np.log(6.0 * runs.N * runs.D).to_numpy()
    excess = excess_over_hull(log_c, np.log(runs.loss.to_numpy()))
    near = excess <= max(_ON_FRONTIER, np.sort(excess)[min(7, len(runs) - 1)])
    result = _law_of_compute(np.exp(log_c[near]), runs.loss.to_numpy()[near])
    return np.asarray(result.predict(C=6.0 * split.test.N.to_numpy() * split.test.D.to_numpy()))


#: Kaplan's law with a floor is the coupled law with beta = g.
POINT: dict[str, Callable[[Split], np.ndarray]] = {
    "best training loss": best_train_loss,
    "chinchilla, alpha = beta, least squares": _fitted("chinchilla", objective="squared", tied={"beta": "alpha"}),
    "kaplan": _fitted("kaplan", delta=1e-2),
    "chinchilla, least squares": _fitted("chinchilla", objective="squared"),
    "kaplan + E": _fitted("coupled", delta=1e-2, tied={"beta": "g"}),
    "chinchilla, Huber 1e-3": _fitted("chinchilla"),
    "chinchilla, overestimates x10": _fitted("chinchilla", overestimate_penalty=10.0),
    "chinchilla, overestimates x10, absolute errors": _fitted(
        "chinchilla", objective="absolute", on="loss", overestimate_penalty=10.0
    ),
    "L(C) on the frontier": frontier,
    "coupled, Huber 1e-2": _fitted("coupled", delta=1e-2),
    "coupled, overestimates x10": _fitted("coupled", delta=1e-2, overestimate_penalty=10.0),
    "coupled, frontier weights": _fitted("coupled", delta=1e-2, weights="frontier"),
}
AVERAGED = ("chinchilla, Huber 1e-3", "kaplan", "kaplan + E", "L(C) on the frontier")
SPREAD = (*AVERAGED, "coupled, Huber 1e-2")


def coupled_with_prior(split: Split, prior: Prior, temper: float = 1.0) -> np.ndarray:
    """Coupled law, weights C^0.5 and the prior, whose pull is divided by `temper`; no shared errors."""
    kept = [i for i, name in enumerate(prior.names) if split.unit == "nat/token" or name != "E"]
    names = tuple(prior.names[i] for i in kept)
    cov = prior.cov[np.ix_(kept, kept)] * temper
    given = Prior(names, prior.mean[kept], cov, True, prior.source)
    return _fitted("coupled", delta=1e-2, weights="C^0.5", prior=given)(split)


def bootstrap_intervals(split: Split, level: float) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Prediction, lower and upper of today's default: case bootstrap of Chinchilla, without and with noise."""
    result, where = fit_or_compute(split, "chinchilla")
    result = result.bootstrap(n=_RESAMPLES, seed=0)
    paths = result._predict(where, result.resamples, 0)
    tail = (1 - level) / 2
    low, high = np.quantile(paths, [tail, 1 - tail], axis=0)
    noisy = result.predict_interval(level=level, **where)
    center = np.asarray(result.predict(**where))
    return {
        "case bootstrap, chinchilla": (center, low, high),
        "case bootstrap + residual noise": (center, noisy["lower"].to_numpy(), noisy["upper"].to_numpy()),
    }


def plain_interval(split: Split, level: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coupled law with robust errors and residual noise."""
    result, where = fit_or_compute(split, "coupled", delta=1e-2)
    table = result.predict_interval(level=level, **where)
    return table["loss"].to_numpy(), table["lower"].to_numpy(), table["upper"].to_numpy()
