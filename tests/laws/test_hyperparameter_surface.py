"""The loss over learning rate and batch: where its fits start, and what a plan chooses with it."""

import warnings

import numpy as np
import pytest

import scalefit as sf
from scalefit.laws._starts import bowl_starts

TRUE = dict(E=1.7, A=400.0, alpha=0.34, B=900.0, beta=0.31, q=0.013, s=0.02, x=-0.5)
TRUE |= dict(c=4.6, m=0.48, n=0.07, c_b=1.7, k=0.52)


def runs_near_the_best(n=120, noise=0.0, seed=0):
    rng = np.random.default_rng(seed)
    N, D = 10 ** rng.uniform(7.5, 9.5, n), 10 ** rng.uniform(9, 11, n)
    lr = TRUE["c"] * N ** -TRUE["m"] * D ** TRUE["n"] * np.exp(rng.uniform(-1, 1, n))
    batch = TRUE["c_b"] * D ** TRUE["k"] * np.exp(rng.uniform(-1, 1, n))
    columns = {"N": N, "D": D, "lr": lr, "batch_size": batch}
    loss = sf.laws.get("hyperparameter_surface").evaluate(columns, TRUE)
    return columns, loss * np.exp(noise * rng.standard_normal(n))


def test_starts_have_the_bowl():
    columns, loss = runs_near_the_best()
    law = sf.laws.get("hyperparameter_surface")
    best = min(
        (dict(zip(law.parameters, row, strict=True)) for row in bowl_starts(columns, loss)),
        key=lambda params: np.abs(law.evaluate(columns, params) - loss).max(),
    )
    for name, off in {"q": 0.002, "s": 0.002, "x": 0.1, "m": 0.05, "n": 0.05, "k": 0.05}.items():
        assert best[name] == pytest.approx(TRUE[name], abs=off), name
    assert np.abs(law.evaluate(columns, best) / loss - 1).max() < 0.02


def test_starts_are_possible_where_the_runs_bend_down():
    columns, loss = runs_near_the_best()
    down = loss - 0.2 * np.log(columns["lr"] / columns["lr"].mean()) ** 2
    rows = bowl_starts(columns, down + 1.0)
    law = sf.laws.get("hyperparameter_surface")
    low, high = np.array([parameter.bounds for parameter in law.parameters.values()]).T
    assert np.isfinite(rows).all() and (rows > low).all() and (rows < high).all()


def test_a_plan_chooses_learning_rate_and_batch():
    columns, loss = runs_near_the_best(noise=0.002)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sf.ScalefitWarning)
        result = sf.fit({**columns, "loss": loss}, "hyperparameter_surface")
        plan = sf.plan(result, C=1e21, choose={"lr": (1e-5, 1e-1), "batch_size": (1e4, 1e8)})
    best = {
        "lr": TRUE["c"] * plan.N ** -TRUE["m"] * plan.D ** TRUE["n"],
        "batch_size": TRUE["c_b"] * plan.D ** TRUE["k"],
    }
    for name, value in best.items():
        assert dict(plan.at)[name] == pytest.approx(value, rel=0.25), name
