"""The coupled law has Chinchilla's and Kaplan's laws at its ends, and its fits find what made the table."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scalefit as sf

COUPLED = sf.laws.get("coupled")
N, D = (axis.ravel() for axis in np.meshgrid(np.geomspace(1e7, 1e10, 9), np.geomspace(1e8, 1e12, 9)))


@pytest.mark.parametrize("key", ["hoffmann2022", "hoffmann2022_tex", "besiroglu2024"])
def test_coupling_one_is_chinchilla(key):
    published = sf.published("chinchilla", key)
    loss = COUPLED.loss(N, D, **published.constants.values, g=1.0)
    np.testing.assert_allclose(loss, published.predict(N=N, D=D), rtol=1e-13)


@given(st.floats(0.03, 0.5), st.floats(0.03, 0.5), st.floats(11, 16), st.floats(11, 16))
def test_no_floor_and_beta_equal_to_coupling_is_kaplan(alpha_N, alpha_D, log_N_c, log_D_c):
    N_c, D_c = 10**log_N_c, 10**log_D_c
    kaplan = sf.laws.get("kaplan").loss(N, D, N_c, alpha_N, D_c, alpha_D)
    coupled = COUPLED.loss(N, D, 0.0, N_c ** (alpha_N / alpha_D), alpha_N, D_c, alpha_D, alpha_D)
    np.testing.assert_allclose(coupled, kaplan, rtol=1e-10)


def test_kaplans_published_constants():
    c = sf.published("kaplan", "kaplan2020").constants.values
    ours = COUPLED.loss(
        1.5e9, 22e9, 0.0, c["N_c"] ** (c["alpha_N"] / c["alpha_D"]), c["alpha_N"], c["D_c"], c["alpha_D"], c["alpha_D"]
    )
    assert ours == pytest.approx(sf.published("kaplan", "kaplan2020").predict(N=1.5e9, D=22e9), rel=1e-12)


def test_a_small_coupling_takes_the_larger_term():
    values = dict(E=1.7, alpha=0.3, beta=0.3, g=0.06)
    A, B = 400.0 ** (1 / 0.06), 400.0 ** (1 / 0.06)
    loss = COUPLED.loss(N, D, A=A, B=B, **values)
    larger = 1.7 + 400.0 * np.maximum(N**-0.3, D**-0.3)
    np.testing.assert_allclose(loss, larger, rtol=0.03)


@pytest.mark.parametrize("g", [0.25, 0.5, 1.0])
def test_recovers_what_made_a_noisy_table(g):
    rng = np.random.default_rng(1)
    n, d = 10 ** rng.uniform(7, 10, 300), 10 ** rng.uniform(9, 12, 300)
    values = dict(E=1.7, alpha=0.32, beta=0.28, g=g)
    A, B = 300.0 ** (1 / g), 400.0 ** (1 / g)
    loss = COUPLED.loss(n, d, A=A, B=B, **values) * np.exp(0.003 * rng.standard_normal(300))
    result = sf.fit({"N": n, "D": d, "loss": loss}, "coupled", objective="squared")
    assert result.trusted
    for name, value in values.items():
        assert abs(result.params[name] - value) < 4 * result.std_errors[name], name


def test_nests_chinchilla_on_a_real_table(external_data):
    """A richer law never ends above the one it holds."""
    import pandas as pd

    runs = pd.read_csv(external_data / "forecast_benchmark" / "gemstones.csv")[["N", "D", "loss"]]
    rich, plain = (sf.fit(runs, law, delta=1e-2, n_starts=6) for law in ("coupled", "chinchilla"))
    assert rich.objective_value <= plain.objective_value * (1 + 1e-9)
    assert 0.3 < rich.params["g"] < 0.6
