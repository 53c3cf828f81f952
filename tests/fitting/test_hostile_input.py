"""Whatever the table, a fit ends in a result or in one clear error: no traceback of another kind, no silent NaN."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated import simulate

import scalefit as sf
from scalefit.fitting.certificate import _unit_eigen

LAWS = ["chinchilla", "kaplan", "power_law:N", "over_training"]
wild = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([0.0, -1.0, 1e-300, 1e300, 5e-324, 1.7976931348623157e308, 1.0, 2.0]),
)


@st.composite
def tables(draw):
    """Up to 24 runs at a few sizes, losses over up to four decades; the numbers come from one drawn seed."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    n, decades = draw(st.integers(5, 24)), draw(st.sampled_from([0.01, 0.3, 4.0]))
    few = 10 ** rng.uniform(5, 12, draw(st.integers(1, 4)))
    spread = 10 ** (draw(st.sampled_from([0.0, 0.5])) * rng.uniform(-1, 1, (2, n)))
    return {
        "N": rng.choice(few, n) * spread[0],
        "D": rng.choice(few, n) * spread[1],
        "loss": 10 ** rng.uniform(0, decades, n),
    }


def check(result):
    """No number that a person would read is NaN, unless the result says so itself."""
    values = result.params
    assert np.isfinite(values).all(), values
    assert np.isfinite(result.objective_value)
    text = str(result)
    assert result.law.name in text and ("TRUST: NO" in text) == (not result.trusted)
    for name, se in result.std_errors.items():
        said = name in result.certificate.at_bound or not result.certificate.identified
        if name in result.certificate.undetermined:  # the page then says so in place of digits
            said = any(line.split()[:3] == [name, "not", "determined"] for line in text.splitlines())
        tied_to_one = any(bound in result.certificate.at_bound for bound in result.names)
        assert np.isfinite(se) or said or tied_to_one, (name, se)
    result._repr_html_()
    inputs = {key: 1e9 for key in result.law.inputs}
    frame = result.predict_interval(**inputs)
    assert not frame.isna().any().any()
    assert frame["lower"][0] <= frame["loss"][0] <= frame["upper"][0]


def attempt(runs, law="chinchilla", **options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", sf.ScalefitWarning)
        try:
            result = sf.fit(runs, law, **options)
        except sf.ScalefitError as error:
            assert str(error).strip()
            return None
        check(result)
        return result


@settings(max_examples=3)
@given(tables(), st.sampled_from(LAWS))
def test_noise_alone(runs, law):
    attempt(runs, law)


@settings(max_examples=6)
@given(
    tables(),
    st.dictionaries(st.sampled_from(["E", "A", "alpha", "beta"]), st.floats(0, 3), max_size=3),
    st.sampled_from([None, {"beta": "alpha"}, {"B": "A"}]),
    st.sampled_from([None, {"E": (0.5, 2.0)}, {"alpha": (0.0, 0.1), "beta": (2.0, 3.0)}]),
)
def test_constraints(runs, fixed, tied, bounds):
    attempt(runs, fixed=fixed, tied=tied, bounds=bounds)


@settings(max_examples=6)
@given(st.lists(st.one_of(st.just(0.0), st.floats(0, 1e6), st.floats()), min_size=60, max_size=60))
def test_weights(weights):
    attempt(simulate(), weights=weights)


@settings(max_examples=6)
@given(st.floats(0, 5), st.integers(0, 10_000), st.integers(7, 40))
def test_noise_of_any_size(noise, seed, n):
    result = attempt(simulate(n, noise=noise, seed=seed))
    if result is not None and noise < 0.01 and n >= 30:
        assert result.trusted


@settings(max_examples=6)
@given(tables(), st.integers(0, 3))
def test_bootstrap_of_whatever_fits(runs, seed):
    result = attempt(runs)
    if result is not None:
        drawn = result.bootstrap(20, seed=seed)
        assert np.isfinite(drawn.resamples).all() and np.isfinite(drawn.conf_int()).all().all()
        str(drawn)


@settings(max_examples=6)
@given(
    st.lists(
        st.fixed_dictionaries(
            {}, optional={key: st.one_of(st.none(), st.text(max_size=4), wild) for key in ("N", "D", "loss", "series")}
        ),
        max_size=12,
    )
)
def test_records_of_anything(records):
    attempt(records)


# -- tables that once went wrong --------------------------------------------------------------------------------------


def grid():
    rng = np.random.default_rng(1)
    runs = simulate()
    return runs["N"].to_numpy(), runs["D"].to_numpy(), np.exp(0.004 * rng.standard_normal(60))


def test_a_table_without_a_floor_is_solved_at_nothing():
    """In logarithms E = 0 is infinitely far: descent stopped 0.02 % above the optimum and did not converge."""
    N, D, noise = grid()
    result = sf.fit({"N": N, "D": D, "loss": 40 * N**-0.1 * noise})
    assert result.certificate.converged and "E" in result.certificate.at_bound
    without = sf.fit({"N": N, "D": D, "loss": 40 * N**-0.1 * noise}, fixed={"E": 0.0})
    assert result.objective_value == pytest.approx(without.objective_value, rel=1e-9)


def test_an_input_without_effect_makes_the_law_untrusted():
    N, D, noise = grid()
    result = sf.fit({"N": N, "D": D, "loss": (1.7 + 2000 * D**-0.366) * noise * (N / 1e8) ** 0.02})
    said = " ".join((*result.certificate.problems, *result.certificate.at_bound))
    assert not result.trusted and "alpha" in said


def test_a_series_of_two_runs_does_not_break_the_starts():
    runs = pd.concat([simulate(seed=1).assign(series="a"), simulate(3, seed=2).assign(series="b")], ignore_index=True)
    result = sf.fit(runs, by="shared")
    assert np.isfinite(result.params).all()


@pytest.mark.filterwarnings("ignore:.*were set aside")
def test_one_absurd_loss_is_set_aside_and_named():
    runs = simulate()
    runs.loc[3, "loss"] = 1e300
    result = sf.fit(runs)
    assert result.n_runs == 59 and "set_aside" in [note.code for note in result.notes]


def test_losses_below_a_tenth_scale_like_any_other():
    runs = simulate()
    small = sf.fit(runs.assign(loss=runs["loss"] * 0.01))
    large = sf.fit(runs)
    assert small.params["alpha"] == pytest.approx(large.params["alpha"], rel=1e-5)
    assert small.params["E"] == pytest.approx(0.01 * large.params["E"], rel=1e-5)


def test_no_noise_gives_no_influence_and_no_disagreement():
    runs = simulate(noise=0.0)
    for objective in ("huber", "squared", "absolute"):
        result = sf.fit(runs, objective=objective)
        assert result.trusted and {note.code for note in result.notes} <= {"ridge"}
        assert result.params["beta"] == pytest.approx(0.36585, rel=1e-6)


def test_constant_losses_are_refused():
    N, D, _ = grid()
    with pytest.raises(sf.FitError, match="nothing to fit"):
        sf.fit({"N": N, "D": D, "loss": np.full(60, 2.0)})


def test_the_order_of_rows_does_not_matter():
    runs = simulate()
    shuffled = runs.sample(frac=1, random_state=3)
    pd.testing.assert_series_equal(sf.fit(shuffled).params, sf.fit(runs).params, check_exact=True)


def test_units_of_the_inputs_only_move_the_coefficients():
    runs = simulate()
    first, second = sf.fit(runs), sf.fit(runs.assign(N=runs["N"] * 1e3, D=runs["D"] / 1e2))
    for name in ("E", "alpha", "beta"):
        assert second.params[name] == pytest.approx(first.params[name], rel=1e-6)
    assert second.params["A"] == pytest.approx(first.params["A"] * 1e3 ** first.params["alpha"], rel=1e-5)


def test_a_hessian_that_is_rounding_is_judged_not_raised():
    """Older LAPACKs do not converge on such a matrix, met where two laws were pooled without noise."""
    rounding = np.array([[0, -1e-19, 2e-19], [-1e-19, -6e-19, 1e-19], [2e-19, 1e-19, 0]])
    values, _ = _unit_eigen(rounding)
    assert values[0] == -np.inf
    values, vectors = _unit_eigen(np.diag([1e-250, 0.0, 1e200]))
    assert values.tolist() == [0, 1, 1] and np.abs(vectors).sum() == 3


def test_series_that_are_left_out_are_grouped_by_reason():
    rng = np.random.default_rng(0)
    law = sf.published("chinchilla", "besiroglu2024")
    parts = []
    for name, n in {"a": 6, "b": 6, "c": 5, "whole": 25}.items():
        N, D = (x.ravel()[:n] for x in np.meshgrid(np.geomspace(1e8, 3e9, 5), np.geomspace(1e9, 6e10, 5)))
        loss = law.predict(N=N, D=D) * np.exp(0.003 * rng.standard_normal(n))
        parts.append(pd.DataFrame({"N": N, "D": D, "loss": loss, "series": name}))
    with pytest.warns(sf.ScalefitWarning) as caught:
        assert list(sf.fit(pd.concat(parts), by="series")) == ["whole"]
    (text,) = [str(w.message) for w in caught if "left out" in str(w.message)]
    assert text.count("are too few for") == 1 and "'a', 'b', 'c' (3): for example 'a': 6 runs" in text
    assert "such as power_law:C" in text
