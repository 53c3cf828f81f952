"""next_runs: exact linear design on a case that is solved by hand, budget and range kept, better than doing nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_runs import grid

import scalefit as sf
from scalefit.planning.next_runs import _exchange, _greedy, _in_order, _Problem


@pytest.fixture(scope="module")
def pilot():
    return sf.fit(grid(budgets=(1e17, 3e17, 1e18), n=6, width=5, noise=0.004, seed=3))


def small_problem(seed=0, m=12, k=400):
    rng = np.random.default_rng(seed)
    coordinates = rng.standard_normal((k, 3))
    slopes = rng.standard_normal((m, 3))
    answer = coordinates @ np.array([1.0, -0.5, 0.2])
    return (
        _Problem.of(answer, coordinates @ slopes.T, np.full(m, 0.3), rng.uniform(1, 3, m)),
        answer,
        coordinates,
        slopes,
    )


def test_variances_are_those_of_a_gaussian_posterior():
    """Against the textbook posterior of the coordinates with their sample covariance."""
    problem, answer, coordinates, slopes = small_problem()
    g, X = answer - answer.mean(), coordinates - coordinates.mean(0)
    prior = X.T @ X / len(X)
    c = np.linalg.solve(prior, X.T @ g / len(X))
    for chosen in ([], [2], [2, 7, 11]):
        precision = np.linalg.inv(prior) + slopes[chosen].T @ slopes[chosen] / 0.3
        assert problem.variance(chosen) == pytest.approx(c @ np.linalg.inv(precision) @ c, rel=1e-9)
        removed = problem.removed(chosen)
        assert removed[5] == pytest.approx(problem.variance(chosen) - problem.variance([*chosen, 5]), rel=1e-8)


@pytest.mark.parametrize("seed", range(5))
def test_the_search_finds_the_best_set_of_a_small_case(seed):
    """Every set of three within the budget is tried."""
    from itertools import combinations

    problem = small_problem(seed)[0]
    total = 6.0
    every = [list(s) for r in (1, 2, 3) for s in combinations(range(12), r) if problem.cost[list(s)].sum() <= total]
    best = min(problem.variance(s) for s in every)
    starts = [_greedy(problem, total, 3, price, share) for price in (0.0, 0.5, 1.0) for share in (1.0, 0.5, 0.34)]
    found = min(problem.variance(_exchange(problem, s, total)) for s in starts if s)
    assert found <= best * 1.05
    order, left = _in_order(problem, starts[0])
    assert sorted(order) == sorted(starts[0]) and (np.diff(left) <= 1e-12).all()


@settings(max_examples=15)
@given(log_b=st.floats(18, 21), target=st.sampled_from(["loss", "N", "E", "alpha"]))
def test_what_comes_back(pilot, log_b, target):
    runs = sf.next_runs(pilot, 10**log_b, target=target, C=1e22, n_runs=5)
    assert list(runs.columns) == ["N", "D", "C", "gain"] and 1 <= len(runs) <= 5
    assert runs["C"].sum() <= 10**log_b * (1 + 1e-9)
    np.testing.assert_allclose(runs["C"], 6 * runs["N"] * runs["D"])
    assert (runs["gain"] >= 0).all() and runs["gain"].sum() <= 1
    design = runs.attrs["design"]
    assert design["sd_after"] < design["sd_before"]
    assert 1 - (design["sd_after"] / design["sd_before"]) ** 2 == pytest.approx(runs["gain"].sum(), rel=1e-6)
    assert not runs.duplicated(["N", "D"]).any()
    ratio = (runs["D"] / runs["N"]).to_numpy()
    seen = grid(budgets=(1e17, 3e17, 1e18), n=6, width=5)
    assert ratio.min() > (seen.D / seen.N).min() * 0.9 and ratio.max() < (seen.D / seen.N).max() * 1.1


def test_more_compute_makes_surer(pilot):
    after = [sf.next_runs(pilot, b, C=1e22).attrs["design"]["sd_after"] for b in (1e18, 1e19, 1e20)]
    assert after[0] > after[1] > after[2]


def test_the_same_fit_gives_the_same_runs(pilot):
    assert sf.next_runs(pilot, "1e19").equals(sf.next_runs(pilot, 1e19))


def test_the_new_runs_do_help():
    """Trained, they bring the loss at the plan closer to the truth than the pilot alone did (12 pilots)."""
    law = sf.published("chinchilla", "besiroglu2024")
    errors = []
    for seed in range(12):
        table = grid(budgets=(1e17, 3e17, 1e18), n=6, width=5, noise=0.004, seed=seed)
        first = sf.fit(table)
        runs = sf.next_runs(first, 2e19, C=1e22)
        noise = np.exp(0.004 * np.random.default_rng(seed + 100).standard_normal(len(runs)))
        new = runs[["N", "D", "C"]].assign(loss=law.predict(N=runs["N"], D=runs["D"]) * noise)
        both = sf.fit({key: np.concatenate([table[key], new[key]]) for key in ("N", "D", "loss")})
        truth = sf.plan(law, C=1e22)
        errors.append([abs(r.predict(N=truth.N, D=truth.D) - truth.loss) for r in (first, both)])
    before, after = np.mean(errors, axis=0)
    assert after < 0.7 * before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"budget": 1e10}, "less than the cheapest run"),
        ({"budget": -1}, "positive"),
        ({"budget": 1e19, "target": "happiness"}, "Known: loss, N, E, A"),
        ({"budget": 1e19, "n_runs": 0}, "at least 1"),
        ({"budget": 1e19, "noise": 0}, "positive"),
    ],
)
def test_refusals_say_why(pilot, options, words):
    with pytest.raises(ValueError, match=words):
        sf.next_runs(pilot, **options)


def test_an_answer_that_is_not_in_doubt_is_refused():
    table = grid(budgets=(1e17, 3e17, 1e18), n=6, width=5, noise=0.004)
    held = sf.fit(table, fixed={"E": 1.7})
    with pytest.raises(ValueError, match="no doubt about ln E.*Choose another target"):
        sf.next_runs(held, 1e19, target="E")
    assert len(sf.next_runs(held, 1e19, target="loss")) > 0


def test_published_laws_do_not_say_what_they_do_not_know():
    with pytest.raises(ValueError, match="Pass what sf.fit"):
        sf.next_runs(sf.published("chinchilla", "besiroglu2024"), 1e19)


def test_a_budget_beyond_the_world_is_refused(pilot):
    with pytest.raises(ValueError, match=r"budget=1e\+40 is more than anybody can train"):
        sf.next_runs(pilot, budget=1e40)
    with pytest.raises(ValueError, match="budget=.* times the largest run"):
        sf.next_runs(pilot, budget=1e30)
