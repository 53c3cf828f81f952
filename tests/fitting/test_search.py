"""Whether searches end at the optimum: narrow valleys, tables without noise, few runs."""

from __future__ import annotations

import numpy as np
import pytest

import scalefit as sf


def narrow(seed):
    """A decade of N and less of D under 2 % of noise: six parameters are a long bent valley there."""
    rng = np.random.default_rng(seed)
    N, D = (axis.ravel() for axis in np.meshgrid(np.geomspace(1e8, 1e9, 5), np.geomspace(5e9, 4e10, 5)))
    loss = sf.published("chinchilla", "besiroglu2024").predict(N=N, D=D) * np.exp(0.02 * rng.standard_normal(25))
    return {"N": N, "D": D, "loss": loss}


@pytest.mark.parametrize("seed", [0, 6, 9, 30])
def test_a_narrow_valley_is_followed_to_its_end(seed):
    """Searches gave up after 150 steps, and the fit was called untrusted for it."""
    result = sf.fit(narrow(seed), "coupled")
    assert result.certificate.converged and result.trusted
    assert result.certificate.curvature > -1e-6 and result.certificate.decrement < 1e-8


@pytest.mark.parametrize("objective", ["huber", "squared", "absolute"])
@pytest.mark.parametrize("law", ["chinchilla", "kaplan", "over_training", "coupled"])
def test_tables_without_noise_are_recovered_to_rounding(law, objective):
    for seed in range(4):
        rng = np.random.default_rng(seed)
        chosen = sf.laws.get(law)
        N, D = 10 ** rng.uniform(7.3, 9.8, 40), 10 ** rng.uniform(9, 11.3, 40)
        truth = {"coupled": {"E": 1.7, "A": 3e4, "alpha": 0.3, "B": 3e5, "beta": 0.28, "g": 0.5}}.get(law)
        truth = truth or dict(chosen.published[0].values)
        truth |= {key: truth[key] * np.exp(0.05 * rng.standard_normal()) for key in truth}
        loss = chosen.evaluate({"N": N, "D": D}, truth)
        result = sf.fit({"N": N, "D": D, "loss": loss}, law, objective=objective)
        np.testing.assert_allclose(result.predict(N=N, D=D), loss, rtol=1e-11)
        assert result.trusted


@pytest.mark.parametrize("objective", ["huber", "squared", "absolute"])
def test_the_size_of_the_weights_changes_nothing(objective):
    runs = narrow(1)
    at = {"N": runs["N"], "D": runs["D"]}
    plain = sf.fit(runs, objective=objective)
    for size in (1e-9, 1e9):
        other = sf.fit(runs, objective=objective, weights=np.full(25, size))
        np.testing.assert_allclose(other.predict(**at), plain.predict(**at), rtol=1e-7)
        np.testing.assert_allclose(other.std_errors, plain.std_errors, rtol=1e-3)
        assert other.certificate.problems == plain.certificate.problems
