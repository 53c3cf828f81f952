"""Whether each refit of resampled runs ends at its optimum, and an interrupt ends them."""

from __future__ import annotations

import numpy as np
import pytest

import scalefit as sf
from scalefit.fitting.bootstrap import _Refits, resample_counts
from scalefit.fitting.solver import descend
from scalefit.fitting.starts import find_starts

#: Noise of the log loss that needs no generator.
STEPS = np.array([3, -5, 1, 8, -2, -7, 4, 0, -4, 6, -1, -3, 5, 2, -6, 7, -8, 1, -1, 3, 0, -2, 4, -4, 2, -3, 6]) * 1e-3


def grid():
    N, D = (a.ravel() for a in np.meshgrid(np.geomspace(5e7, 5e9, 6), np.geomspace(2e9, 2e11, 6)))
    loss = sf.published("chinchilla", "besiroglu2024").predict(N=N, D=D) * np.exp(np.resize(STEPS, 36))
    return {"N": N, "D": D, "loss": loss}


def random_table(n, seed):
    rng = np.random.default_rng(seed)
    N, D = 10 ** rng.uniform(7.5, 10, n), 10 ** rng.uniform(9.5, 11.5, n)
    loss = sf.published("chinchilla", "besiroglu2024").predict(N=N, D=D) * np.exp(0.005 * rng.standard_normal(n))
    return {"N": N, "D": D, "loss": loss}


@pytest.mark.parametrize(
    ("table", "few"),
    [(grid(), 0), (random_table(20, 0), 0), (random_table(12, 1), 0.03)],
    ids=["grid", "20", "12"],
)
def test_refits_of_few_runs_end_no_higher_than_searches_from_afar(table, few):
    """One resample of 36 runs, and 27 of 300 of 12 runs, ended in a higher basin: no other start was tried."""
    result = sf.fit(table)
    problem, n = result.problem, len(table["loss"])
    weights = resample_counts(n, 200, 1)
    refits = _Refits(result)
    x, _ = refits.run(weights)
    found = problem.value(x, weights)
    lowest = np.full(200, np.inf)
    for start in find_starts(problem, 3, result.bounds):
        ends = descend(problem, np.repeat(start[None], 200, axis=0), refits.lower, refits.upper, weights=weights)
        lowest = np.minimum(lowest, ends.value)
    excess = found / lowest - 1
    higher, lower = (excess > 1e-6).mean(), (excess < -1e-6).mean()
    assert higher <= few and higher <= lower  # where kinks leave many minima, more are missed from afar
    assert excess.max() < 0.1
