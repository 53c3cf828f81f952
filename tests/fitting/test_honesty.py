"""What the runs do not determine is refused, untrusted, or given an interval as wide as it is."""

import numpy as np
import pytest

import scalefit as sf

LAW = sf.published("chinchilla", "besiroglu2024")


def table(N, D, noise=0.003, seed=0, shared=None):
    N, D = (a.ravel() for a in np.meshgrid(N, D))
    rng = np.random.default_rng(seed)
    error = noise * rng.standard_normal(N.size)
    if shared is not None:
        error = (error + noise * rng.standard_normal(shared.max() + 1)[shared]) / np.sqrt(2)
    return {"N": N, "D": D, "loss": LAW.predict(N=N, D=D) * np.exp(error)}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("swap", [False, True])
def test_two_settings_of_an_input_are_refused(seed, swap):
    many, few = np.geomspace(1e8, 3e9, 7), np.array([1e10, 4e10])
    with pytest.raises(sf.FitError, match="takes 2 distinct values"):
        sf.fit(table(few / 10, many * 10, seed=seed) if swap else table(many, few, seed=seed))


@pytest.mark.parametrize("law", ["chinchilla", "coupled"])
def test_fewer_settings_than_parameters_are_refused_however_often_they_were_run(law):
    """Three settings on no one ratio, four runs of each: the losses have three levels, the law five and more."""
    N, D = np.tile([1.5e8, 3e8, 6e8], 4), np.tile([2.6e9, 6e9, 1.04e10], 4)
    loss = LAW.predict(N=N, D=D) * np.exp(0.01 * np.random.default_rng(0).standard_normal(12))
    with pytest.raises(sf.FitError, match="3 distinct settings of N and D"):
        sf.fit({"N": N, "D": D, "loss": loss}, law)


def test_a_prior_counts_where_settings_are_few():
    """Three settings and priors of three of five parameters: what is left can be told."""
    N, D = np.tile([1.5e8, 3e8, 6e8], 4), np.tile([2.6e9, 6e9, 1.04e10], 4)
    loss = LAW.predict(N=N, D=D) * np.exp(0.01 * np.random.default_rng(0).standard_normal(12))
    runs = {"N": N, "D": D, "loss": loss}
    prior = {"E": (1.8, 0.1), "alpha": (0.35, 0.03), "beta": (0.37, 0.03)}
    assert sf.fit(runs, prior=prior).predict(N=6e8, D=1.04e10) == pytest.approx(loss[2::3].mean(), rel=0.02)
    with pytest.raises(sf.FitError, match="cannot be told apart"):
        sf.fit(runs, prior={"E": (1.8, 0.1)})


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("half", [1.0006, 1.05, 1.228])
def test_an_input_too_narrow_for_its_exponent_is_not_trusted(half, seed):
    result = sf.fit(table(5e8 * np.geomspace(1 / half, half, 4), np.geomspace(4e9, 6e10, 5), seed=seed))
    assert not result.trusted and "alpha" in result.certificate.undetermined
    assert "not determined" in str(result)
    try:
        plan = sf.plan(result, C=1e21)
    except sf.ScalefitError as error:  # an exponent that nothing holds can put the optimum at the edge: no plan
        assert "edge of the search" in str(error)
    else:
        assert plan.N_interval == (0.0, np.inf) and "not known" in str(plan)


@pytest.mark.parametrize("seed", range(6))
def test_a_wide_input_is_trusted(seed):
    result = sf.fit(table(5e8 * np.geomspace(0.1, 10, 4), np.geomspace(4e9, 6e11, 5), seed=seed))
    assert result.trusted and not result.certificate.undetermined


def test_a_narrow_input_without_noise_is_trusted():
    assert not sf.fit(table(5e8 * np.geomspace(0.8, 1.2, 5), np.geomspace(4e9, 6e10, 5), 0.0)).certificate.undetermined


@pytest.mark.parametrize("seed", range(4))
def test_intervals_respect_bounds(seed):
    result = sf.fit(table(5e8 * np.geomspace(0.6, 1.7, 4), np.geomspace(4e9, 6e10, 5), 0.01, seed))
    interval = result.conf_int().dropna()
    for name, row in interval.iterrows():
        low, high = LAW.law.parameters[name].bounds
        assert low <= row["lower"] <= row["upper"] <= high * (1 + 1e-9)


def test_six_clusters_give_a_wider_interval_not_a_refusal():
    groups = np.arange(60) % 6
    rng = np.random.default_rng(0)
    C = np.resize(np.geomspace(6e18, 3e21, 6), 60)
    N = 0.09 * C**0.51 * 10 ** rng.uniform(-0.5, 0.5, 60)
    error = 0.003 * rng.standard_normal(60) + 0.003 * rng.standard_normal(6)[groups]
    result = sf.fit({"N": N, "D": C / (6 * N), "loss": LAW.predict(N=N, D=C / (6 * N)) * np.exp(error)})
    plain = sf.fit({"N": N, "D": C / (6 * N), "loss": LAW.predict(N=N, D=C / (6 * N)) * np.exp(error)})
    plain.__dict__["shared_noise"] = None
    width = lambda frame: (frame["upper"] - frame["lower"])["E"]  # noqa: E731
    assert width(result.conf_int(cluster=groups)) > width(plain.conf_int())
    assert np.isfinite(result.bootstrap(50, cluster=groups).conf_int().to_numpy()).all()
    assert result.shared_noise is not None and result.shared_noise.by == "C"
    assert "shared_noise" in {note.code for note in result.notes}
    assert "by C (6 clusters)" in " ".join(str(result).split())


def test_only_a_fixed_floor_saves_a_run():
    """A prior on E leaves it free: four runs for three parameters were fitted, "with the pinned floor"."""
    runs = {"N": np.geomspace(1e8, 1e10, 4), "loss": [3.0, 2.78, 2.63, 2.52]}
    with pytest.raises(sf.FitError, match="4 runs are too few for 3 free parameters .* at least 5 are needed"):
        sf.fit(runs, "power_law:N", prior={"E": (1.8, 0.1)})
    three = {key: value[:3] for key, value in runs.items()}
    notes = {note.code: note.message for note in sf.fit(three, "power_law:N", fixed={"E": 1.8}).notes}
    assert "3 runs for 2 free parameters leave one degree of freedom" in notes["one_degree"]


def test_fit_and_forecast_take_the_same_priors():
    runs = table(np.geomspace(5e7, 5e9, 6), np.geomspace(2e9, 2e11, 6))
    given = {"E": (1.8, 0.05)}
    for prior in (given, sf.Prior.from_mapping(given) if hasattr(sf, "Prior") else given, "shipped", None):
        assert np.isfinite(sf.fit(runs, prior=prior).params["alpha"])
        assert np.isfinite(sf.forecast(runs, prior=prior).predict(N=1e10, D=2e11))


def test_a_law_that_errs_by_nearly_all_of_the_loss_gets_no_weight():
    from scalefit.comparison.scores import stacking

    truth, fold = np.linspace(2.0, 3.0, 12), np.repeat([0, 1, 2], 4)
    predicted = np.stack([truth * 0.99, truth * 1.93])
    assert stacking(predicted, truth, fold, np.full(12, 3.5)).tolist() == [1.0, 0.0]
