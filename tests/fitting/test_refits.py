"""Whether each refit of resampled runs ends at its optimum, and an interrupt ends them."""

from __future__ import annotations

import numpy as np
import pytest

import scalefit as sf
from scalefit.fitting.bootstrap import _Refits, resample_counts
from scalefit.fitting.solver import descend

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


@pytest.mark.parametrize("table", [grid(), random_table(12, 1), random_table(20, 0)], ids=["grid", "12", "20"])
def test_no_refit_of_few_runs_ends_above_what_other_starts_find(table):
    """One resample of 36 runs, and 27 of 300 of 12 runs, ended in a higher basin: the other starts were not tried."""
    result = sf.fit(table)
    problem, n = result.problem, len(table["loss"])
    weights = resample_counts(n, 200, 1)
    refits = _Refits(result)
    x, _ = refits.run(weights)
    found = problem.value(x, weights)
    for start in refits.others:
        ends = descend(problem, np.repeat(start[None], 200, axis=0), refits.lower, refits.upper, weights=weights)
        assert (found <= ends.value * (1 + 1e-6)).all()
