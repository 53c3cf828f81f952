"""What a table says must not hang on the last bits of its numbers: a table and the same moved by rounding agree."""

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit._numeric import excess_over_hull, levelled, settings
from scalefit.comparison.holdouts import folds
from scalefit.fitting.mixed_columns import _nested
from scalefit.laws import get

LAW = sf.published("chinchilla", "besiroglu2024")


def moved(values, seed=0):
    """The same numbers, up to two units of their last place away."""
    return values * (1 + np.random.default_rng(seed).integers(-2, 3, len(values)) * 2.2e-16)


def grid(noise=0.0):
    N, D = (part.ravel() for part in np.meshgrid(np.geomspace(5e7, 2e9, 5), np.geomspace(2e9, 1e11, 5)))
    loss = LAW.predict(N=N, D=D) * np.exp(noise * np.random.default_rng(1).standard_normal(N.size))
    return pd.DataFrame({"N": N, "D": D, "loss": loss})


def beside(border):
    return np.array([np.nextafter(border, 0.0), border, np.nextafter(border, np.inf)])


def test_values_beside_the_border_of_a_digit_are_one_level():
    pair = beside(1.0000000005)
    assert len(set(np.round(pair, 9))) == 2 and len(set(levelled(pair))) == 1
    odd = levelled(np.array([np.inf, 2.0, np.nan, 0.0, 2.0 * (1 + 1e-10), 2.0 * (1 + 1e-8), -np.inf, np.nan, 1e-300]))
    np.testing.assert_array_equal(odd, [np.inf, 2.0, np.nan, 0.0, 2.0, 2.0 * (1 + 1e-8), -np.inf, np.nan, 1e-300])
    assert levelled(np.array([0.0, 1e-17, 0.5]), least=1.0).tolist() == [0.0, 0.0, 0.5]
    assert levelled(np.zeros(0)).size == 0


def test_settings_tell_rows_apart_by_every_column():
    names = np.array(["a", "b", "a", "a"], dtype=object)
    assert settings([np.array([0.3, 0.3, 0.1 + 0.2, 0.4]), names]).tolist() == [0, 1, 0, 2]
    assert settings([np.array([np.nan, 1.0, np.nan])]).tolist() == [1, 0, 1]


def test_a_hull_sees_one_budget_on_both_sides_of_a_border():
    log_c = np.repeat(np.round(np.log(np.geomspace(1e18, 1e20, 4)), 9) + 0.5e-9, 6)
    log_l = 1.0 - 0.05 * (log_c - log_c[0]) + np.random.default_rng(0).uniform(0, 0.1, log_c.size)
    exact = excess_over_hull(log_c, log_l)
    for seed in range(3):
        np.testing.assert_allclose(excess_over_hull(moved(log_c, seed), log_l), exact, atol=1e-9)


def test_copies_on_both_sides_of_a_border_are_copies():
    low, _, high = beside(3.4567890123450)
    ends = [f"{value:.12g}" for value in (low, high)]
    checked = sf.check_runs({"N": [1e8, 4e8, 1e8], "D": [2e9] * 3, "loss": [low, 3.0, high]})
    assert len(set(ends)) == 2 and checked.set_aside == ((2, "repeats row 0"),)


def test_a_setting_computed_in_two_orders_is_no_sweep():
    runs = pd.concat([grid(0.01).assign(lr=3e-4), grid(0.011).assign(lr=0.1 * 0.003)], ignore_index=True)
    assert runs["lr"].nunique() == 2 and "swept" not in {note.code for note in sf.fit(runs).notes}


def test_sizes_that_differ_by_rounding_are_one_size():
    runs = grid(0.001)
    runs["C"] = 8.0 * runs["N"] * runs["D"]
    runs["N"] = moved(runs["N"].to_numpy())
    assert runs["N"].nunique() > 5 and len(sf.forecast(runs).conventions["cost"]["N"]) == 5
    kinds = np.where(np.log(runs["N"]) > np.log(2e8), "deep", "flat")
    assert _nested(get("chinchilla"), {"N": runs["N"].to_numpy()}, kinds) == "N"


def test_runs_at_a_limit_of_compute_are_within_it():
    compute = 1e18 * 3.0 ** np.arange(12) / 7
    for seed in range(3):
        for fold, same in zip(
            *(folds("largest_C", part, 3, 0) for part in (compute, moved(compute, seed))), strict=True
        ):
            assert fold.train.tolist() == same.train.tolist() and fold.test.tolist() == same.test.tolist()
    result = sf.fit(grid(0.001))
    most = result.seen()["C"][1]
    for at in beside(3.0 * most):  # three times the largest run is still near it
        assert "beyond_reach" not in {note.code for note in sf.plan(result, C=at).notes}


@pytest.mark.parametrize("seed", [0, 1])
def test_a_table_without_noise_prints_nothing_that_is_rounding(seed):
    B = np.repeat(np.geomspace(1e18, 1e20, 5), 5)
    N = np.concatenate([np.array([25e6, 50e6, 1e8, 2e8, 4e8]) * times for times in (1, 2, 4, 8, 16)])
    D = B / (6 * N)
    runs = pd.DataFrame({"N": N, "D": D, "loss": LAW.predict(N=N, D=D)})
    again = runs.apply(lambda column: moved(column.to_numpy(), seed))
    printed = [
        str(sf.fit(table)).split("data ")[0] + str(sf.fit(table)).split("Converged")[1] for table in (runs, again)
    ]
    assert printed[0] == printed[1]


def test_recipes_whose_losses_differ_by_rounding_are_equal():
    runs = grid(0.001)
    other = runs.assign(loss=moved(runs["loss"].to_numpy()), recipe="b")
    both = pd.concat([runs.assign(recipe="a"), other], ignore_index=True)
    assert (other["loss"] != runs["loss"]).any()
    assert "its loss is lower in 0 of 25 cells, on average 0 nat/token" in str(sf.compare_recipes(both, baseline="a"))


def test_a_forecast_keeps_the_runs_of_its_middle_budget_together():
    N = np.concatenate([np.array([25e6, 50e6, 1e8, 2e8, 4e8]) * times for times in (1, 2, 4, 8, 16)])
    D = np.repeat([1e18, 3e18, 1e19, 3e19, 1e20], 5) / (6 * N)
    loss = LAW.predict(N=N, D=D) * np.exp(0.004 * np.random.default_rng(27).standard_normal(25))
    tables = [{"N": N, "D": tokens, "loss": loss} for tokens in (D, 6 * N * D / N / 6, moved(D))]
    params = [sf.forecast(table).params.to_numpy() for table in tables]
    for other in params[1:]:
        np.testing.assert_allclose(other, params[0], rtol=1e-6)
