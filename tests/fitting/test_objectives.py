"""Absolute errors and priors: the bootstrap, the profile and the errors under each objective."""

from __future__ import annotations

import numpy as np
import pytest
from simulated import simulate

import scalefit as sf
from scalefit.fitting.objectives import Objective

OBJECTIVES = ["huber", "squared", "absolute"]


def test_each_resample_of_absolute_errors_is_its_own_optimum(runs):
    """Refitted by smoothed slopes of the wrong size, resamples ended about 1 % above their optima."""
    result = sf.fit(runs, objective="absolute")
    drawn = result.bootstrap(4, seed=np.random.RandomState(0))
    rs = np.random.RandomState(0)
    for draw in drawn.resamples:
        counts = np.bincount(rs.choice(60, 60), minlength=60).astype(float)
        alone = sf.fit(runs.assign(weight=counts)[counts > 0], objective="absolute")
        assert result.problem.value(draw[None], counts)[0] == pytest.approx(alone.objective_value, rel=1e-8)


def test_profile_of_absolute_errors_is_a_refit_at_each_value(runs):
    result = sf.fit(runs, objective="absolute")
    table = result.profile("alpha", n=5)
    for value, height in zip(table["value"], table["objective_value"], strict=True):
        refit = sf.fit(runs, objective="absolute", fixed={"alpha": value}, n_starts=8)
        assert height == pytest.approx(refit.objective_value, rel=1e-6)


def test_errors_under_absolute_objective_are_those_of_the_bootstrap():
    result = sf.fit(simulate(400), objective="absolute")
    drawn = result.bootstrap(300, seed=0)
    for name in ("E", "alpha", "beta"):
        assert result.std_errors[name] == pytest.approx(drawn.std_errors[name], rel=0.35)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_prior_pulls_alike_under_every_objective(runs, objective):
    """A likelihood of absolute errors has unit noise, not noise squared: the prior took the fit over."""
    free = sf.fit(runs, objective=objective)
    pulled = sf.fit(runs, objective=objective, prior={"E": (free.params["E"] + 0.3, 0.03)})
    move = pulled.params["E"] - free.params["E"]
    assert 0.02 < move < 0.15


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("draws", [0, 400])
def test_where_only_the_prior_speaks_its_width_is_the_error(objective, draws):
    """A run of noise-free losses in one decade of D says nothing of E and beta: what is known of them is the prior."""
    N, D = (axis.ravel() for axis in np.meshgrid(np.geomspace(1e8, 1e9, 4), np.geomspace(1e10, 1.3e10, 3)))
    loss = sf.published("chinchilla", "besiroglu2024").predict(N=N, D=D)
    loss *= np.exp(0.01 * np.random.default_rng(0).standard_normal(12))
    prior = {"E": (1.8, 0.02), "alpha": (0.35, 0.01), "beta": (0.37, 0.005)}
    result = sf.fit({"N": N, "D": D, "loss": loss}, objective=objective, prior=prior)
    result = result.bootstrap(draws, seed=0) if draws else result
    assert result.std_errors["beta"] == pytest.approx(0.005, rel=0.2)


def test_intervals_with_a_prior_hold_truths_drawn_from_it():
    """Without the prior's own luck in the errors, nominal 95 % held 80 % of the exponents."""
    hits = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        truth = {"E": 1.8 + 0.1 * rng.standard_normal()}
        truth |= {name: at + 0.03 * rng.standard_normal() for name, at in (("alpha", 0.35), ("beta", 0.37))}
        N, D = 10 ** rng.uniform(7.5, 10, 16), 10 ** rng.uniform(9, 11.5, 16)
        loss = truth["E"] + 480 * N ** -truth["alpha"] + 2000 * D ** -truth["beta"]
        loss *= np.exp(0.02 * rng.standard_normal(16))
        prior = {"E": (1.8, 0.1), "alpha": (0.35, 0.03), "beta": (0.37, 0.03)}
        interval = sf.fit({"N": N, "D": D, "loss": loss}, objective="squared", prior=prior).conf_int(0.95)
        hits += [interval["lower"][name] <= value <= interval["upper"][name] for name, value in truth.items()]
    assert np.mean(hits) > 0.9


def test_intervals_from_few_runs_hold_what_they_claim():
    """Five of twelve residuals are zero by construction; taken for a high density, nominal 90 % held 85 %."""
    law = sf.published("chinchilla", "besiroglu2024")
    hits = []
    for seed in range(80):
        rng = np.random.default_rng(seed)
        C = np.resize(np.geomspace(6e18, 3e21, 4), 12)
        N = 0.09 * C**0.51 * 10 ** rng.uniform(-0.5, 0.5, 12)
        loss = law.predict(N=N, D=C / (6 * N)) * np.exp(0.01 * rng.standard_t(3, 12))
        interval = sf.fit({"N": N, "D": C / (6 * N), "loss": loss}).conf_int(0.9)
        known = interval["lower"].notna()
        hits += ((interval["lower"] <= law.params) & (law.params <= interval["upper"]))[known].tolist()
    assert 0.9 < np.mean(hits) < 0.97


@pytest.mark.parametrize("objective", ["huber", "absolute"])
def test_errors_on_many_runs_are_those_of_medians(objective):
    # Koenker & Bassett 1978, doi:10.2307/1913643: J'J inverse over (2 f(0))^2, with f(0) = 2 / (pi sqrt(3)) for
    # Student's t of 3 degrees; under Huber's band of a tenth of the scale the difference is below a hundredth.
    rng = np.random.default_rng(0)
    D, scale = 10 ** rng.uniform(8, 12, 40_000), 0.02
    loss = (1.8 + 400 * D**-0.3) * np.exp(scale * rng.standard_t(3, D.size))
    result = sf.fit({"D": D, "loss": loss}, "power_law", objective=objective, delta=0.1 * scale)
    slopes = result.problem.jacobian(result.x[None])[1][0]
    expected = np.linalg.inv(slopes @ slopes.T) * (scale * np.pi * np.sqrt(3) / 4) ** 2
    assert np.diag(result.free_cov) == pytest.approx(np.diag(expected), rel=0.12)  # errors to 6 %


def test_a_quantile_is_named_by_its_share_whatever_the_sides_add_up_to():
    assert str(Objective("quantile", sides=(1.0, 3.0))) == "quantile 0.75 of log loss"


def test_residuals_of_log_odds_are_brought_to_the_scale_of_the_target():
    """They were divided by the loss, as differences of losses are."""
    from scalefit.fitting.intervals import relative_residuals

    rng = np.random.default_rng(0)
    N, D = (axis.ravel() for axis in np.meshgrid(np.geomspace(1e8, 1e10, 6), np.geomspace(2e9, 2e11, 5)))
    loss = 0.2 * sf.published("chinchilla", "besiroglu2024").predict(N=N, D=D) * np.exp(0.01 * rng.standard_normal(30))
    result = sf.fit({"N": N, "D": D, "loss": loss}, objective="squared", on="logit")
    np.testing.assert_allclose(relative_residuals(result), np.log(result.predict(N=N, D=D) / loss), atol=1e-12)
    with pytest.raises(sf.FitError, match="30 of 30 runs do not lie between 0 and 1, as on='logit' needs"):
        sf.fit({"N": N, "D": D, "loss": 5 * loss}, on="logit")
