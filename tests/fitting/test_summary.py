"""Statistics against closed forms and quadrature; summaries, LaTeX and fits side by side."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize_scalar

import scalefit as sf
from scalefit.fitting.likelihood import log_likelihood
from scalefit.fitting.objectives import Objective

RESIDUALS = 0.01 * np.random.default_rng(0).standard_t(3, 60)
ONES = np.ones(60)


@pytest.fixture(scope="module")
def runs():
    rng = np.random.default_rng(1)
    N, D = (a.ravel() for a in np.meshgrid(np.geomspace(1e8, 1e10, 6), np.geomspace(2e9, 2e11, 6)))
    loss = sf.published("chinchilla", "besiroglu2024").predict(N=N, D=D) * np.exp(0.003 * rng.standard_normal(36))
    return sf.read_runs({"N": N, "D": D, "loss": loss})


def test_squares_are_gauss_and_absolute_values_laplace():
    gauss = -30 * (np.log(2 * np.pi * np.mean(RESIDUALS**2)) + 1)
    laplace = -60 * (np.log(2 * np.mean(np.abs(RESIDUALS))) + 1)
    assert log_likelihood(Objective("squared"), RESIDUALS, ONES) == pytest.approx(gauss, abs=1e-6)
    assert log_likelihood(Objective("absolute"), RESIDUALS, ONES) == pytest.approx(laplace, abs=1e-6)


@pytest.mark.parametrize("delta", [1e-4, 3e-3, 0.05])
def test_huber_is_its_own_density(delta):
    """The normaliser by adaptive quadrature, the scale by a search of its own."""
    objective = Objective("huber", delta=delta)

    def negative(log_tau):
        tau = np.exp(log_tau)
        inner = quad(lambda r: np.exp(-0.5 * r * r / tau), 0, delta)[0]
        tail = tau / delta * np.exp(-0.5 * delta**2 / tau)
        return 60 * np.log(2 * (inner + tail)) + objective.cost(RESIDUALS).sum() / tau

    want = -minimize_scalar(negative, bounds=(-25, 0), method="bounded", options={"xatol": 1e-10}).fun
    assert log_likelihood(objective, RESIDUALS, ONES) == pytest.approx(want, abs=1e-3)


def test_weights_scale_the_variance():
    """A run of weight w has variance 1/w times that of the others; only ratios of weights matter."""
    w = np.random.default_rng(2).uniform(0.2, 5, 60)
    variance = np.mean(w * RESIDUALS**2) / w
    want = np.sum(-0.5 * (np.log(2 * np.pi * variance) + RESIDUALS**2 / variance))
    assert log_likelihood(Objective("squared"), RESIDUALS, ONES, w) == pytest.approx(want, abs=1e-6)
    assert log_likelihood(Objective("squared"), RESIDUALS, ONES, 7 * w) == pytest.approx(want, abs=1e-6)


def test_the_right_scale_and_law_have_the_lower_aic(runs):
    """Noise is a share of the loss and the law is Chinchilla's: AIC says both."""
    right = sf.fit(runs, "chinchilla", objective="squared")
    assert right.statistics["AIC"] < sf.fit(runs, "kaplan", objective="squared").statistics["AIC"] - 10
    narrow = sf.fit(runs, "chinchilla", objective="squared", on="loss")
    assert right.statistics["AIC"] < narrow.statistics["AIC"]
    n, k = 36, 6
    residual = right.residuals
    gauss = -n / 2 * (np.log(2 * np.pi * np.mean(residual**2)) + 1) - np.log(runs["loss"]).sum()
    assert right.statistics["AIC"] == pytest.approx(2 * k - 2 * gauss, abs=1e-6)
    assert right.statistics["AICc"] == pytest.approx(2 * k - 2 * gauss + 2 * k * (k + 1) / (n - k - 1), abs=1e-6)
    assert right.statistics["BIC"] == pytest.approx(k * np.log(n) - 2 * gauss, abs=1e-6)
    spread = np.log(runs["loss"])
    assert right.statistics["R2"] == pytest.approx(1 - (residual**2).sum() / ((spread - spread.mean()) ** 2).sum())


def test_a_table_without_noise_has_no_likelihood():
    N, D = (a.ravel() for a in np.meshgrid([1e8, 1e9, 1e10], [1e10, 1e11, 1e12]))
    loss = sf.published("chinchilla", "besiroglu2024").predict(N=N, D=D)
    result = sf.fit({"N": N, "D": D, "loss": loss})
    assert result.statistics[["log likelihood", "AIC", "AICc", "BIC"]].isna().all()
    assert result.statistics["R2"] == pytest.approx(1)
    assert "nan" not in str(result.summary())


def test_a_summary_is_page_table_and_latex(runs):
    result = sf.fit(runs, "chinchilla", fixed={"E": 1.8172})
    found = result.summary(level=0.8)
    assert str(found).startswith("TRUST: ") and "AICc" in str(found) and "80 % interval" in str(found)
    assert found.table.loc["E", "value"] == 1.8172 and found.table.loc["beta", "lower"] < result.params["beta"]
    text = result.to_latex(level=0.8)
    assert text.startswith(r"\begin{tabular}{lrrr}") and r"80 \% interval" in text and r"$\alpha$ &" in text
    assert text.count(r"\\") == 1 + 5 + 5


def test_what_is_not_determined_has_no_digits():
    N = 1e9 * np.geomspace(0.1, 10, 12)
    flat = sf.fit({"N": N, "D": N * np.tile([5, 20, 80], 4), "loss": 3 + 1e-3 * np.cos(np.arange(12))})
    assert not flat.trusted and flat.certificate.undetermined
    name = flat.certificate.undetermined[0]
    assert np.isnan(flat.summary().table.loc[name]).all() and "not determined" in flat.to_latex()
    assert sf.summary_table([flat]).loc[name].tolist() == ["not determined"]


def test_fits_side_by_side(runs):
    fits = {"first_law": sf.fit(runs, "chinchilla"), "other": sf.fit(runs, "kaplan")}
    table = sf.summary_table(fits)
    assert table.columns.tolist() == ["first_law", "other"] and table.loc["N_c", "first_law"] == ""
    assert table.loc["data"].nunique() == 1 and set(table.loc["TRUST"]) <= {"yes", "with care", "NO"}
    assert r"first\_law" in sf.summary_table(fits, latex=True)
    twice = sf.summary_table([fits["other"], fits["other"]])
    assert twice.columns.tolist() == ["kaplan 1", "kaplan 2"]
    for wrong, options in (([], {}), ([3], {}), ([fits["other"]], {"names": ["a", "b"]})):
        with pytest.raises(ValueError, match="[Nn]o table was made"):
            sf.summary_table(wrong, **options)
