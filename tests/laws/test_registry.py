"""The registry, published constants against the papers' own numbers, and laws of one's own."""

import numpy as np
import pytest

import scalefit as sf
from scalefit.errors import ArgumentError


def test_names_are_found_by_being_there():
    expected = {"power_law", "kaplan", "chinchilla", "data_constrained", "over_training", "broken_power_law"}
    assert expected <= set(sf.laws.names())
    assert all(not name.startswith("_") for name in sf.laws.names())


@pytest.mark.parametrize(
    ("key", "loss"),
    [("hoffmann2022", 1.93665), ("hoffmann2022_tex", 1.92085), ("besiroglu2024", 1.97342)],
)
def test_chinchilla_at_70b(key, loss):
    """Values published by Epoch (analyzing-chinchilla) and Open-Athena (scaling-law-analysis)."""
    assert sf.published("chinchilla", key).predict(N=70e9, D=1.4e12) == pytest.approx(loss, abs=5e-6)


def test_muennighoff_golden_values():
    """huggingface/datablations, README: parametric fit."""
    law = sf.published("data_constrained")
    assert law.predict(N=6.34e9, D=242e9, unique_tokens=25e9) == pytest.approx(2.2256440889984477, rel=1e-9)
    assert law.predict(N=8.67e9, D=178e9, unique_tokens=25e9) == pytest.approx(2.2269634075087867, rel=1e-9)


def test_gadre_notebook_check(external_data):
    """mlfoundations/scaling prints 0.7103 % for 1.4B at 640 tokens a parameter and 0.7320 % for 6.9B at 20."""
    import pandas as pd

    runs = pd.read_csv(external_data / "forecast_benchmark" / "gadre.csv")
    runs = runs[(runs.series == "rpj") & (runs.N > 1e9)]
    law = sf.published("over_training", "gadre2024_redpajama")
    error = 100 * np.abs(law.predict(N=runs.N.values, D=runs.D.values) / runs.loss.values - 1)
    ratio = (runs.D / runs.N).round().to_numpy()
    assert error[(ratio == 640)].item() == pytest.approx(0.7103, abs=2e-4)
    assert error[(runs.N > 5e9).to_numpy()].item() == pytest.approx(0.7320, abs=2e-4)


def test_kaplan_table_2():
    law = sf.published("kaplan", "kaplan2020")
    assert law.predict(N=1e60, D=22e9) == pytest.approx((1.8e13 / 22e9) ** 0.103, rel=1e-9)


def test_constants_of_one_variable_are_found_without_its_letter():
    """The letter at the end of a key says the variable, which `power_law:N` says too."""
    assert sf.published("power_law:N", "charles2025_dp").predict(N=1e10) == pytest.approx(2.0201046, rel=1e-7)
    assert sf.published("power_law:D", "kaplan2020").constants.key == "kaplan2020_D"
    with pytest.raises(ArgumentError, match="Did you mean 'charles2025_dp_N'"):
        sf.published("power_law", "charles2025_dp")


def test_available_names_laws_that_claim_to_hold():
    keys = [law.constants.key for law in sf.laws.available(N=7e9, D=2e11)]
    assert "hoffmann2022" in keys and "kaplan2020" not in keys
    assert sf.laws.available(N=1.0, D=1.0) == []


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: sf.laws.get("chinchila"), "chinchilla"),
        (lambda: sf.laws.get("power_law:Q"), "C, N, D"),
        (lambda: sf.laws.get("chinchilla:N"), "fixed"),
        (lambda: sf.published("chinchilla", "nobody"), "besiroglu2024"),
        (lambda: sf.published("chinchilla", "hoffmann2022").predict(N=1e9), "D=..."),
        (lambda: sf.published("chinchilla", "hoffmann2022").predict(N=-1, D=1e9), "positive"),
        (lambda: sf.laws.get(3), "neither"),
    ],
)
def test_mistakes_are_named(call, said):
    with pytest.raises(ValueError, match=said.replace(".", r"\.")):
        call()


def test_a_law_whose_signature_disagrees_is_refused_when_defined():
    with pytest.raises(TypeError, match="in order"):

        class Bad(sf.Law):
            inputs = ("N",)
            a = sf.Parameter("a", (0, 1))

            @staticmethod
            def loss(N, b):
                return b


def test_a_law_of_ones_own_fits():
    class Exponential(sf.Law):
        inputs = ("D",)
        formula = "L(D) = E + B exp(-D/D_0)"
        E = sf.Parameter("floor", (0.0, 10.0), log=True, linear=True)
        B = sf.Parameter("gain", (0.0, 10.0), log=True, linear=True)
        D_0 = sf.Parameter("scale", (1e6, 1e12), (1e8, 1e9, 1e10), unit="tokens", log=True)

        @staticmethod
        def loss(D, E, B, D_0):
            return E + B * np.exp(-D / D_0)

    D = np.geomspace(1e8, 3e10, 30)
    result = sf.fit({"D": D, "loss": Exponential.loss(D, 2.0, 1.5, 3e9)}, Exponential)
    assert result.params["D_0"] == pytest.approx(3e9, rel=1e-6)


def test_available_reads_sizes_as_people_type_them():
    assert sf.laws.available("7B", D="200B") == sf.laws.available(N=7e9, D=2e11) != []
    with pytest.raises(ValueError, match="N=-1"):
        sf.laws.available(N=-1, D=2e10)


def test_constants_of_another_unit_say_so_and_stay_out_of_lists_in_nats():
    """A loss per byte beside losses per token would be taken for one of them."""
    from scalefit.planning.minimum_loss import _candidates
    from scalefit.reporting.published import planning_laws

    law = sf.published("chinchilla", "minicpm2024_average")
    plan = sf.plan(law, C=1e21)
    assert law.target.unit == plan.unit == "per byte" and "per byte" in str(plan) and not law.target.is_loss
    assert "chinchilla:minicpm2024_average" not in [label for label, _ in planning_laws()]
    assert "minicpm2024_average" not in [one.constants.key for one in _candidates()]


def test_print_of_constants_says_what_was_checked_and_hides_no_unknown_range():
    assert "checked against its paper: no" in str(sf.published("vocabulary", "tao2024"))
    assert "∞" not in str(sf.published("sparse", "frantar2023_t5"))


def test_the_variable_of_a_law_is_read_in_either_case():
    assert sf.laws.get("POWER_LAW:n") is not None and sf.laws.get("Power-Law:n").inputs == ("N",)
    with pytest.raises(sf.ScalefitError, match="Known: C, N, D"):
        sf.laws.get("power_law:x")


def test_a_later_set_of_constants_does_not_take_the_name_of_a_law_from_its_own():
    assert sf.published("kaplan").constants.key == "kaplan2020"
    assert sf.published("kaplan", "ouyang2024_pythia16").constants.key == "ouyang2024_pythia16"
    with pytest.raises(sf.ScalefitError, match="vocabulary has 2 published sets"):
        sf.published("vocabulary")
