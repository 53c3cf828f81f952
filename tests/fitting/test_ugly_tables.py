"""Any small table ends in a result that prints, or in one clear line: never in a traceback or a stray warning."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scalefit as sf
from scalefit.errors import ScalefitError

sizes = st.one_of(
    st.sampled_from([1e6, 1e8, 1e9, 3e9, 1e10, 1e12, 1e20, 1.0, -1.0, 0.0, math.nan, math.inf]),
    st.floats(1e5, 1e12),
)
losses = st.one_of(
    st.sampled_from([2.0, 2.1, 2.2, 3.0, 1e-300, 1e300, 1e12, -1.0, math.nan]),
    st.floats(1.5, 6.0),
)
runs = st.lists(st.tuples(sizes, sizes, losses, st.sampled_from("ab")), min_size=1, max_size=14)
laws = st.sampled_from(
    ["chinchilla", "kaplan", "power_law:N", "power_law:C", "broken_power_law:C", "over_training", "data_constrained"]
)


@settings(max_examples=60)
@given(
    runs,
    laws,
    st.sampled_from(["huber", "squared", "absolute"]),
    st.sampled_from(["log_loss", "loss"]),
    st.sampled_from(["pool", "shared"]),
)
def test_ugly_tables_end_in_a_result_or_one_line(rows, law, objective, on, by):
    table = pd.DataFrame(rows, columns=["N", "D", "loss", "series"])
    try:
        result = sf.fit(table, law, objective=objective, on=on, by=by)
    except ScalefitError as error:
        assert "\n" not in str(error)
        return
    assert str(result) and result.to_json()
    assert result.params.notna().all()
    assert result.n_runs + result.conventions.get("n_set_aside", 0) <= len(table)


@pytest.mark.parametrize("law", ["kaplan", "over_training", "broken_power_law:C", "data_constrained"])
@pytest.mark.parametrize("objective", ["huber", "squared", "absolute"])
def test_every_objective_fits_laws_outside_the_fast_path(law, objective):
    grid = [(N, D) for N in (1e8, 4e8, 1.6e9, 6e9) for D in (2e9, 1e10, 5e10, 2e11)]
    N, D = (pd.Series(values) for values in zip(*grid, strict=True))
    wobble = 1 + 0.004 * pd.Series([(7 * i) % 5 - 2 for i in range(len(N))])
    loss = (1.7 + 400 * N**-0.34 + 1800 * D**-0.36) * wobble
    result = sf.fit({"N": N, "D": D, "loss": loss}, law, objective=objective)
    assert abs(result.predict(**{k: 1e9 if k == "N" else 2e10 for k in ("N", "D")}) / 2.45 - 1) < 0.1
