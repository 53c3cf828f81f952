"""Small numerical helpers that stand in for slower calls of numpy and scipy: they give the same numbers."""

import subprocess
import sys

import numpy as np
import pytest

from scalefit._numeric import eliminate, excess_over_hull, means_differ, median, rank_correlation


@pytest.mark.parametrize("p", [1, 2, 5, 9])
def test_elimination_solves_definite_systems_and_tells_others_by_their_pivots(p):
    rng = np.random.default_rng(p)
    part = rng.standard_normal((7, p, 2 * p))
    matrices, right = part @ np.swapaxes(part, 1, 2), rng.standard_normal((7, p))
    matrices[3] *= -1
    systems = np.empty((p, p + 1, 7))
    systems[:, :p], systems[:, p] = matrices.transpose(1, 2, 0), right.T
    pivots, solution = eliminate(systems)
    np.testing.assert_allclose(solution.T, np.linalg.solve(matrices, right[..., None])[..., 0], rtol=1e-8)
    assert (pivots > 0).all(axis=0).tolist() == [at != 3 for at in range(7)]


@pytest.mark.parametrize("n", [1, 2, 7, 240])
def test_median_is_numpys(n):
    values = np.random.default_rng(n).standard_normal((3, n))
    values[1, 0] = np.nan
    np.testing.assert_array_equal(median(values), np.median(values, axis=1))


@pytest.mark.parametrize("ties", [False, True])
def test_rank_correlation_is_scipys(ties):
    from scipy.stats import spearmanr

    rng = np.random.default_rng(3)
    x = rng.standard_normal(30)
    y = x + rng.standard_normal(30)
    if ties:
        x, y = x.round(), y.round()
    found = spearmanr(x, y)
    assert rank_correlation(x, y) == pytest.approx((found.statistic, found.pvalue), rel=1e-9)
    assert rank_correlation(x, np.exp(x)) == pytest.approx((1.0, 0.0), abs=1e-12)
    assert np.isnan(rank_correlation(x, np.ones(30))).all()


def test_means_differ_as_scipy_has_it():
    from scipy.stats import f_oneway

    rng = np.random.default_rng(4)
    groups = [5 + 0.3 * k + rng.standard_normal(4 + k) for k in range(4)]
    assert means_differ(groups) == pytest.approx(f_oneway(*groups).pvalue, rel=1e-9)
    assert means_differ([np.zeros(3), np.ones(3)]) == 0.0
    assert np.isnan(means_differ([np.ones(3), np.ones(3)]))


def test_fits_and_forecasts_do_without_scipy_stats():
    """Its import takes longer than both."""
    code = (
        "import sys, numpy as np, scalefit as sf\n"
        "N, D = (part.ravel() for part in np.meshgrid(np.geomspace(1e7, 1e9, 5), np.geomspace(1e9, 1e11, 5)))\n"
        "loss = 1.8 + 400 * N**-0.34 + 400 * D**-0.28 + 1e-3 * np.random.default_rng(0).standard_normal(25)\n"
        "runs = {'N': N, 'D': D, 'loss': loss, 'warmup': np.arange(1, 26)}\n"
        "runs['optimizer'] = ['adamw', 'muon'] * 12 + ['adamw']\n"
        "print(sf.fit(runs), sf.forecast(runs))\n"
        "sys.exit('scipy.stats' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_the_hull_of_budgets_does_not_hang_on_the_last_bits_of_compute():
    rng = np.random.default_rng(0)
    log_c = np.repeat(np.log(np.geomspace(1e18, 1e20, 4)), 6)
    log_l = 1.0 - 0.05 * (log_c - log_c[0]) + rng.uniform(0, 0.1, log_c.size)
    exact = excess_over_hull(log_c, log_l)
    for seed in range(5):
        moved = log_c * (1 + 1e-16 * np.random.default_rng(seed).integers(-4, 5, log_c.size))
        np.testing.assert_allclose(excess_over_hull(moved, log_l), exact, atol=1e-9)
