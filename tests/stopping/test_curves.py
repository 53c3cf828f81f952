"""Curve laws: recovery of their own curves, limits, and the solver."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalefit import DataError, Schedule
from scalefit._numeric import solve_nonnegative
from scalefit.errors import ArgumentError
from scalefit.stopping.annealing import anneal_response, tissue_momentum
from scalefit.stopping.curve_laws import CURVE_LAWS, fit_curve

SCHEDULE = Schedule.wsd(20_000, warmup=200)
STEPS = np.arange(400, 20_001, 100.0)


def shapes_on_grid(law):
    return {name: values[len(values) // 2] for name, values in law.grid.items()}


@pytest.mark.parametrize("law", CURVE_LAWS.values(), ids=CURVE_LAWS)
def test_a_law_finds_its_own_curve(law):
    params = {name: p.example for name, p in law.parameters.items()} | shapes_on_grid(law)
    params["A"] = 5.0
    fit = fit_curve(law, SCHEDULE, STEPS, law.loss(SCHEDULE, STEPS, **params))
    assert fit.rmse < 2e-3
    np.testing.assert_allclose(fit.predict(STEPS[-1]), law.loss(SCHEDULE, STEPS[-1], **params), atol=5e-3)


@pytest.mark.parametrize("law", CURVE_LAWS.values(), ids=CURVE_LAWS)
def test_a_law_says_what_its_parameters_are(law):
    assert law.formula and law.__doc__
    assert set(law.grid) | set(law.linear()) == set(law.parameters)
    for parameter in law.parameters.values():
        assert parameter.meaning and parameter.bounds[0] < parameter.bounds[1]


def test_tissue_momentum_is_the_sum_of_the_paper():
    steps = np.arange(0, 2001)
    schedule = Schedule.cosine(2000)
    eta, m, s2, total = schedule.lr(steps), 0.0, 0.0, [0.0]
    for before, now in zip(eta[:-1], eta[1:], strict=True):
        m = 0.999 * m + (before - now)
        s2 += m
        total.append(s2 * 0.001)
    np.testing.assert_allclose(tissue_momentum(schedule, steps)[::100], np.array(total)[::100], atol=2e-3)


def test_anneal_response_is_the_sum_of_the_paper():
    """Luo et al. (2025): sum of (eta_{k-1} - eta_k) [1 - (1 + c eta_k^-gamma S_k)^-beta]."""
    schedule = Schedule.linear(2000, final=0.1)
    steps = np.arange(0, 2001)
    eta = schedule.lr(steps)
    area = np.concatenate([[0], np.cumsum(eta[1:])])
    c, beta, gamma = 0.1, 0.6, 0.3
    t = 1500
    k = np.arange(1, t + 1)
    since = area[t] - area[k - 1]
    direct = np.sum((eta[k - 1] - eta[k]) * (1 - (1 + c * eta[k] ** -gamma * since) ** -beta))
    knots = Schedule.from_knots(steps[::5], eta[::5])
    found = anneal_response(knots, t, rate=c, exponent=beta, gamma=gamma)[0, 0]
    assert found == pytest.approx(direct, rel=0.01)


def test_response_is_between_nothing_and_everything():
    response = anneal_response(SCHEDULE, STEPS, saturation=[0.0, 1.5, 15.0])
    assert response.shape == (3, len(STEPS))
    assert np.all(response[:, STEPS <= 16_000] == 0)
    assert np.all(np.diff(response, axis=1) >= -1e-12) and np.all(response < 1)
    half = np.searchsorted(STEPS, 18_000)
    assert response[2, half] < response[1, half] < response[0, half]  # saturation delays the gain


def test_failure_1_a_vanishing_s2_does_not_explode():
    """S2 of 1e-17 on the prefix once made C explode and the forecast miss by 224 nats."""
    schedule = Schedule.from_knots([0, 200, 9_999, 10_000, 20_000], [0, 1, 1, 1 - 1e-13, 0])
    steps = np.arange(400, 10_001, 100.0)
    fit = fit_curve("tissue", schedule, steps, 3 + 9 * steps**-0.45)
    assert abs(fit.predict(20_000)[0] - 3.1) < 0.5


def test_priors_are_ridge_rows():
    constant = Schedule.constant(20_000, warmup=200)
    curve = 3 + 9 * constant.area(STEPS) ** -0.45
    free = fit_curve("tissue", constant, STEPS, curve)
    held = fit_curve("tissue", constant, STEPS, curve, prior={"C": (0.2, 0.05)})
    assert free.params["C"] == pytest.approx(0, abs=1e-6) and held.params["C"] == pytest.approx(0.2, abs=1e-3)


@given(st.integers(0, 10_000))
def test_solver_beats_every_other_feasible_point(seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(8, 3))
    gram, moment = X.T @ X + 1e-6 * np.eye(3), rng.normal(size=3)
    b = solve_nonnegative(gram, moment)
    assert np.all(b[1:] >= 0)

    def cost(v):
        return 0.5 * v @ gram @ v - moment @ v

    for other in rng.normal(size=(50, 3)):
        other[1:] = np.abs(other[1:])
        assert cost(b) <= cost(other) + 1e-9


def test_bad_requests():
    with pytest.raises(ArgumentError, match="Known: power"):
        fit_curve("nothing", SCHEDULE, STEPS, STEPS)
    with pytest.raises(DataError, match="Wait for more"):
        fit_curve("tissue", SCHEDULE, STEPS[:2], STEPS[:2])
