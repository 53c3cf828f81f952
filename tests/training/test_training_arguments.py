"""What a person may pass to the harness by mistake."""

from __future__ import annotations

import pandas as pd
import pytest

import scalefit as sf
from scalefit.training import SweepConfig, sweep, train


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (None, "NoneType lacks D and N"),
        (pd.DataFrame({"N": [1e5]}), "lacks D"),
        (pd.DataFrame({"N": [], "D": []}), "lacks rows"),
        (pd.DataFrame({"N": [float("nan")], "D": [1e6]}), "Row 0 of the table has N=nan"),
        (pd.DataFrame({"N": ["x"], "D": [1e6]}), "N='x' is not a number"),
    ],
)
def test_a_sweep_needs_sizes_and_tokens(table, words):
    with pytest.raises(sf.ScalefitError, match=words):
        SweepConfig.from_table(table)


def test_columns_serve_as_a_table():
    columns = {"N": [1e5, 2e5], "D": [1e6, 1e6]}
    assert SweepConfig.from_table(columns) == SweepConfig.from_table(pd.DataFrame(columns))


def test_configs_are_configs(tmp_path):
    with pytest.raises(sf.ScalefitError, match="config is a int; nothing was run. Make a RunConfig"):
        train(3, tmp_path)
    with pytest.raises(sf.ScalefitError, match="config is a NoneType; nothing was run. Make a SweepConfig"):
        sweep(None, tmp_path)
