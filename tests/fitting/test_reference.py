"""Fits against published digits: Besiroglu et al. (2024) and two independent programs for least squares."""

import numpy as np
import pytest

import scalefit as sf


def test_huber_optimum_of_the_240_points(hoffmann240):
    result = sf.fit(hoffmann240, "chinchilla")
    assert result.objective_value <= 0.0010182740178006 * (1 + 1e-9)
    assert result.params["E"] == pytest.approx(1.8172181, abs=1e-4)
    assert result.params["alpha"] == pytest.approx(0.347310499, abs=2e-5)
    assert result.params["beta"] == pytest.approx(0.367172432, abs=2e-5)
    assert result.certificate.n_agree == result.certificate.n_starts and result.trusted


def test_huber_optimum_of_all_245_points(hoffmann245):
    assert sf.fit(hoffmann245).objective_value == pytest.approx(0.001826010523, rel=1e-6)


def test_least_squares_on_the_loss(hoffmann240):
    """vpnls and simple-scaling-laws agree on these to 8 digits."""
    result = sf.fit(hoffmann240, objective="squared", on="loss")
    assert result.params["E"] == pytest.approx(1.8828136, abs=2e-6)
    assert result.params["alpha"] == pytest.approx(0.35761509, abs=2e-7)
    assert result.params["beta"] == pytest.approx(0.42762062, abs=2e-7)


def test_published_bootstrap_intervals(hoffmann240):
    result = sf.fit(hoffmann240).bootstrap(n=4000, seed=np.random.RandomState(42))
    interval = result.conf_int(level=0.95)
    for name, low, high in (("alpha", 0.317, 0.373), ("beta", 0.331, 0.415), ("E", 1.769, 1.871)):
        assert interval.loc[name, "lower"] == pytest.approx(low, abs=1e-3)
        assert interval.loc[name, "upper"] == pytest.approx(high, abs=1e-3)
    # Standard deviations of the published draws (notebook of analyzing-chinchilla, cell 25).
    published = {"E": 0.02566, "A": 124.52232, "B": 1293.28410, "alpha": 0.01540, "beta": 0.02060}
    for name, se in published.items():
        assert result.std_errors[name] == pytest.approx(se, rel=0.01)


def test_resampled_refits_match_an_exhaustive_search(hoffmann240):
    """No start anywhere on a wide grid finds a lower objective on resampled tables."""
    from scalefit.fitting.bootstrap import resample_counts
    from scalefit.fitting.newton import minimise
    from scalefit.fitting.power_sum import model_of

    result = sf.fit(hoffmann240)
    weights = resample_counts(240, 12, seed=3)
    lower, upper = result.problem.bounds()
    warm = minimise(model_of(result.problem), np.repeat(result.x[None], 12, 0), lower, upper, weights=weights)
    rng = np.random.default_rng(0)
    starts = np.column_stack(
        [rng.uniform(low, high, 60) for low, high in ((-1, 1), (-4, 1), (0, 1.5), (-4, 1), (0, 1.5))]
    )
    for k in range(12):
        many = minimise(model_of(result.problem), starts, lower, upper, weights=np.repeat(weights[k][None], 60, 0))
        assert many.value.min() >= warm.value[k] * (1 - 1e-10)


def test_kaplan_form_has_one_optimum_from_many_starts(hoffmann240):
    few, many = sf.fit(hoffmann240, "kaplan"), sf.fit(hoffmann240, "kaplan", n_starts=24)
    assert few.objective_value == pytest.approx(many.objective_value, rel=1e-10)


@pytest.mark.parametrize("delta", [1e-1, 1e-2, 1e-4, 1e-5])
def test_bands_from_wide_to_narrow(hoffmann240, delta):
    result = sf.fit(hoffmann240, delta=delta)
    more = sf.fit(hoffmann240, delta=delta, n_starts=10)
    assert result.objective_value <= more.objective_value * (1 + 1e-7)
    assert result.certificate.converged


def test_absolute_errors_beat_every_neighbour(hoffmann240):
    result = sf.fit(hoffmann240, objective="absolute")
    rng = np.random.default_rng(0)
    cost = result.problem.value(result.x + 1e-4 * rng.standard_normal((400, 5)))
    assert cost.min() >= result.objective_value * (1 - 1e-9)


def test_errors_of_a_law_that_misses_are_those_of_the_bootstrap(hoffmann240):
    """Curvature by chance took nearly all that the runs know of alpha_N: its error was twice the bootstrap's."""
    result = sf.fit(hoffmann240, "kaplan")
    drawn = result.bootstrap(300, seed=0)
    assert result.std_errors["alpha_N"] == pytest.approx(drawn.std_errors["alpha_N"], rel=0.3)
