"""Plans of runs that share noise, and of few runs: intervals of the optimum hold it as often as they claim."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.errors import ScalefitWarning

LAW = dict(E=1.8172, A=482.01, alpha=0.3478, B=2085.43, beta=0.3658)


def truth(N, D):
    return LAW["E"] + LAW["A"] * N ** -LAW["alpha"] + LAW["B"] * D ** -LAW["beta"]


def best_size(C):
    a, b = LAW["alpha"], LAW["beta"]
    return (a * LAW["A"] / (b * LAW["B"])) ** (1 / (a + b)) * (C / 6) ** (b / (a + b))


def table(seed, share):
    """A grid whose runs of one size (or one setting, run three times) share most of their noise."""
    rng = np.random.default_rng([seed, 8, ord("p")])
    sizes, per = (7, 5) if share == "size" else (4, 4)
    N, D = (a.ravel() for a in np.meshgrid(np.geomspace(3e7, 3e9, sizes), np.geomspace(1e9, 1e11, per)))
    if share == "size":
        noise = np.tile(0.004 * rng.normal(size=sizes), per) + 0.001 * rng.normal(size=N.size)
    else:
        N, D, own = np.tile(N, 3), np.tile(D, 3), np.tile(0.004 * rng.normal(size=N.size), 3)
        noise = own + 0.001 * rng.normal(size=N.size)
    return pd.DataFrame({"N": N, "D": D, "loss": truth(N, D) * np.exp(noise)})


def nine_runs():
    N = np.array([5e7, 1e8, 2e8, 4e8, 8e8, 2e8, 2e8, 2e8, 2e8])
    D = np.array([1e10] * 5 + [1e9, 3e9, 3e10, 1e11])
    noise = np.exp(0.0005 * np.random.default_rng(1).standard_normal(9))
    return sf.fit({"N": N, "D": D, "loss": truth(N, D) * noise})


@pytest.mark.parametrize("share", ["size", "setting"])
def test_a_plan_from_a_table_allows_for_noise_that_runs_share(share):
    """Resampled one by one these runs held the best size in 14 and 13 of 24 tables, where 90 % was claimed."""
    held = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ScalefitWarning)
        for seed in range(24):
            runs = table(seed, share)
            C = 10 * float((6 * runs["N"] * runs["D"]).max())
            low, high = sf.plan(runs, C=C).N_interval
            held += low <= best_size(C) <= high
    assert held >= 18  # .9 of 24 is 21.6, with a standard error of 1.5


def test_draws_of_few_runs_have_the_freedom_of_the_runs():
    """Normal draws of 9 runs for 5 parameters make the ends of 90 % come 1.3 times too close."""
    result = nine_runs().by_covariance()
    assert result.shared_noise is None and result.n_runs - result.n_free == 4
    drawn = result.draws(20_000)["beta"]
    half = (np.quantile(drawn, 0.95) - np.quantile(drawn, 0.05)) / 2
    assert half / float(result.std_errors["beta"]) == pytest.approx(
        2.132, rel=0.05
    )  # Student's t of 4 degrees of freedom; normal: 1.645


def test_a_bootstrap_draws_the_groups_that_were_found():
    result = sf.fit(table(1, "size"))
    assert result.shared_noise.by == "N" and result.shared_noise.n_clusters == 7
    few = result.bootstrap(200, cluster="shared")  # seven are too few to draw from
    assert few.resamples is None and few.draws(50).attrs["source"] == "robust covariance"
    single = result.bootstrap(200, seed=0)
    (note,) = (note for note in single.notes if note.code == "shared_noise")
    assert "drew runs one by one" in note.message and "cluster='shared'" in note.message
    setting = sf.fit(table(2, "setting"))
    assert setting.shared_noise.n_clusters >= 4
    rng = np.random.default_rng(3)
    N, D = (a.ravel() for a in np.meshgrid(np.geomspace(3e7, 3e9, 12), np.geomspace(1e9, 1e11, 4)))
    noise = np.tile(0.004 * rng.normal(size=12), 4) + 0.001 * rng.normal(size=48)
    many = sf.fit({"N": N, "D": D, "loss": truth(N, D) * np.exp(noise)})
    assert many.shared_noise.by == "N" and many.shared_noise.n_clusters == 12
    drawn = many.bootstrap(200, seed=0, cluster="shared")
    assert np.allclose(drawn.resamples, many.bootstrap(200, seed=0, cluster=np.tile(np.arange(12), 4)).resamples)
    (note,) = (note for note in drawn.notes if note.code == "shared_noise")
    assert "draws whole clusters" in note.message
    alone = nine_runs()
    assert alone.shared_noise is None and alone.bootstrap(50, seed=0, cluster="shared").resamples is not None
