"""Shared exponents: the arrow's Newton step is the plain one's, and so is the fit."""

import numpy as np
import pandas as pd
import pytest
from simulated import simulate

import scalefit as sf
from scalefit.fitting import solver
from scalefit.fitting.arrow import arrow_of, arrow_step
from scalefit.fitting.newton import _definite_step


def layout(k, q=3, r=2):
    """Index of k series with q coefficients of their own and r shared exponents, in the order of a fit's."""
    own = np.arange(k * q).reshape(q, k).T
    return np.concatenate([own, np.tile(k * q + np.arange(r), (k, 1))], axis=1)


def arrows(index, b, seed=0):
    """Definite matrices (b, p, p) of that shape, and right-hand sides."""
    rng, p = np.random.default_rng(seed), index.max() + 1
    matrix = np.zeros((b, p, p))
    for row in index:
        part = rng.standard_normal((b, row.size, 2 * row.size))
        matrix[:, row[:, None], row] += part @ np.swapaxes(part, 1, 2)
    return matrix, rng.standard_normal((b, p))


@pytest.mark.parametrize("k", [4, 7, 40])
def test_the_step_is_the_plain_one(k):
    index = layout(k)
    matrix, g = arrows(index, 5)
    damping = np.array([0.0, 1e-3, 0.1, 1.0, 100.0])
    plain, ok = _definite_step(matrix, g, damping)
    step, good = arrow_step(matrix, g, damping, arrow_of(index))
    assert ok.all() and good.all()
    np.testing.assert_allclose(step, plain, rtol=1e-9, atol=1e-12 * np.abs(plain).max())


@pytest.mark.parametrize("harm", ["block", "corner", "nan", "held"])
def test_what_is_not_definite_is_told_row_by_row(harm):
    index = layout(6)
    matrix, g = arrows(index, 3)
    if harm == "nan":
        matrix[1, 0, 0] = np.nan
    elif harm == "held":  # a parameter at its bound: a unit row, and nothing to do
        matrix[1, 4], matrix[1, :, 4], matrix[1, 4, 4], g[1, 4] = 0.0, 0.0, 1.0, 0.0
    else:
        at = 0 if harm == "block" else index.max()
        matrix[1, at, at] *= -1
    step, good = arrow_step(matrix, g, np.zeros(3), arrow_of(index))
    assert good.tolist() == [True, harm == "held", True]
    assert harm != "held" or step[1, 4] == 0.0


def test_few_series_and_unlike_ones_have_no_arrow():
    assert arrow_of(layout(3)) is None
    index = layout(5)
    index[2, 0] = -1  # fixed in one series alone
    assert arrow_of(index) is None


def test_a_shared_fit_is_the_same_by_either_way(monkeypatch):
    runs = pd.concat([simulate(12, seed=k).assign(series=f"s{k}") for k in range(6)], ignore_index=True)
    fast = sf.fit(runs, by="shared")
    monkeypatch.setattr(solver, "arrow_of", lambda index: None)
    plain = sf.fit(runs, by="shared")
    assert fast.objective_value == pytest.approx(plain.objective_value, rel=1e-10)
    np.testing.assert_allclose(fast.params, plain.params, rtol=1e-6)
    assert fast.certificate.trusted == plain.certificate.trusted


def test_series_that_share_nothing_are_fitted_each_by_itself():
    """With both exponents fixed there is no shared part, and the arrow had nothing to reshape."""
    runs = pd.concat([simulate(12, seed=k).assign(series=f"s{k}") for k in range(5)], ignore_index=True)
    fixed = {"alpha": 0.34, "beta": 0.37}
    together = sf.fit(runs, by="shared", fixed=fixed)
    for label, alone in sf.fit(runs, by="series", fixed=fixed).items():
        for name in ("E", "A", "B"):
            assert together.params[f"{name}[{label}]"] == pytest.approx(alone.params[name], rel=1e-6)
