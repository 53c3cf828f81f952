"""The loss floor of plans: the paper's numbers, both conventions, tables, and refusals."""

from __future__ import annotations

import dataclasses
import json
import math
import time
import warnings

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.errors import ArgumentError, DataError, ScalefitWarning
from scalefit.memory import critical_radius, log_partition, loss
from scalefit.memory.floor import FLOOR_COLUMNS

SMALL = dict(N=124e6, D=9e9, n_layers=12, d_emb=768, T_max=1024)
CHINCHILLA = dict(N=70e9, D=1.4e12, n_layers=80, d_emb=8192, T_max=2048)


@pytest.mark.parametrize(("D", "log_z", "at_upper"), [(9e9, 8.629, 8.629), (9e7, 4.024, 4.042), (9e6, 1.721, 1.900)])
def test_gpt2_small_on_three_sizes_of_data(D, log_z, at_upper):
    floor = sf.loss_floor(**SMALL | {"D": D})
    assert floor.log_z_upper == pytest.approx(log_z, abs=5e-4)
    assert floor.loss_at_z_upper == pytest.approx(at_upper, abs=5e-4)
    assert floor.loss_upper == math.inf  # log Z + 1/Z at the lower end, where 1/Z is beyond a float
    assert floor.loss_lower == 1.0
    assert floor.loss_at_z_lower == math.inf
    assert floor.regime == "over_filled"
    assert floor.log_z_lower == pytest.approx(floor.log_z_upper - floor.radius**2)


def test_chinchilla():
    assert sf.loss_floor(**CHINCHILLA).loss_at_z_upper == pytest.approx(11.453, abs=5e-4)


def test_the_exact_z_of_gpt2_small():
    """At the volume radius Z is e^-46037: the theory is decided by the radius."""
    assert sf.loss_floor(**SMALL).log_z == pytest.approx(-46037, abs=1)


def test_both_readings_of_balance():
    """GPT-2 small, A = 12, D = 9e9: 2.7e15 at fixed width (printed), 8.3e22 where the width grows."""
    exact, printed = (sf.loss_floor(**SMALL, convention=c) for c in ("exact", "paper"))
    D, T, width, layers = 9e9, 1024, 768, 12
    assert printed.balanced_params == pytest.approx(12 * layers * width * D**2 / (math.pi * T**3))
    assert exact.balanced_params == pytest.approx(12 * layers * D**4 / (math.pi**2 * T**6))
    assert (printed.balanced_params, exact.balanced_params) == (
        pytest.approx(2.7e15, rel=0.02),
        pytest.approx(8.3e22, rel=0.01),
    )
    assert exact.balanced_tokens == pytest.approx(T * math.sqrt(T * width * math.pi))


def test_at_the_balance_the_upper_z_is_one():
    floor = sf.loss_floor(**SMALL)
    balanced = sf.loss_floor(**SMALL | {"D": floor.balanced_tokens})
    assert balanced.log_z_upper == pytest.approx(0.0, abs=1e-6)
    assert balanced.regime == "balanced"
    assert balanced.loss_at_z_upper == pytest.approx(1.0)
    # the width at which the plan's data balance, and the parameters of that width
    width = 9e9**2 / (math.pi * 1024**3)
    wide = sf.loss_floor(N=floor.balanced_params, D=9e9, n_layers=12, d_emb=round(width), T_max=1024)
    assert wide.log_z_upper == pytest.approx(0.0, abs=1e-6)
    assert floor.balanced_params == pytest.approx(12 * 12 * width**2)


def test_the_ends_of_z_decide_the_lower_loss():
    under = sf.loss_floor(**SMALL | {"D": 1024 * 500})
    assert under.regime == "under_filled"
    assert under.loss_lower == under.loss_at_z_upper == pytest.approx(loss(under.log_z_upper))
    assert under.loss_lower > 1.0
    tiny = sf.loss_floor(**SMALL | {"D": 9e9}, radius=0.01, dimension="token")
    assert tiny.loss_lower == tiny.loss_upper == math.inf
    # one dimension and many patterns: both ends of Z lie above one
    over = sf.loss_floor(N=1e6, D=1e6, n_layers=1, d_emb=1, T_max=1, radius="volume")
    assert over.log_z_lower > 0
    assert over.loss_lower == pytest.approx(loss(over.log_z_lower))
    assert over.loss_lower == over.loss_at_z_lower < over.loss_upper


def test_the_printed_convention():
    exact, printed = (sf.loss_floor(**SMALL, convention=c) for c in ("exact", "paper"))
    assert printed.log_z_upper == exact.log_z_upper
    assert printed.log_z_lower == pytest.approx(exact.log_z_upper - exact.radius)
    assert printed.loss_at_z_upper == pytest.approx(exact.loss_at_z_upper + math.log(12))
    assert printed.log_z == pytest.approx(log_partition(1024 * 768, printed.radius, 9e9 / 1024, "paper"))


def test_dimension_and_radius():
    token = sf.loss_floor(**SMALL, dimension="token")
    assert token.dim == 768 and isinstance(token.dim, int)
    assert token.radius == pytest.approx(math.sqrt(768 / (2 * math.pi * math.e)))
    critical = sf.loss_floor(**SMALL, radius="critical")
    assert critical.radius == pytest.approx(critical_radius(1024 * 768, 9e9 / 1024))
    assert critical.log_z == pytest.approx(0.0, abs=1e-8)
    assert critical.loss_lower == 1.0
    assert math.isnan(critical.balanced_params)
    measured = sf.loss_floor(**SMALL, dimension="token", radius=10)
    assert (measured.radius, measured.radius_kind) == (10.0, "measured")
    again = sf.loss_floor(**SMALL | {"D": 1e9}, radius=sf.loss_floor(**SMALL).radius)
    assert again.log_z_upper == pytest.approx(sf.loss_floor(**SMALL | {"D": 1e9}).log_z_upper, abs=1e-7)
    assert again.balanced_tokens == pytest.approx(sf.loss_floor(**SMALL).balanced_tokens, rel=1e-5)


def test_implied_parameters_and_when_they_warn():
    assert sf.loss_floor(**SMALL, vocab_size=50257).implied_params == 124_439_808
    assert sf.loss_floor(**SMALL).implied_params == 12 * (12 * 768**2 + 13 * 768) + 2 * 768
    assert sf.loss_floor(**SMALL).notes == ()
    with pytest.warns(ScalefitWarning, match="N is 50M but the blocks alone have 85.06M"):
        low = sf.loss_floor(**SMALL | {"N": 5e7})
    assert low.notes[0].code == "architecture_mismatch"
    sf.loss_floor(**SMALL | {"N": 1e9})  # without a vocabulary the blocks are only a lower limit
    with pytest.warns(ScalefitWarning, match="whole architecture"):
        sf.loss_floor(**SMALL | {"N": 1.6e8}, vocab_size=50257)
    narrow = sf.loss_floor(N=7.5e7, D=9e9, n_layers=12, d_emb=768, T_max=1024, d_ff=2304)
    assert narrow.implied_params == 12 * (4 * 768**2 + 2 * 768 * 2304 + 9 * 768 + 2304) + 2 * 768


def test_the_memoriser_and_the_assumptions():
    floor = sf.loss_floor(**SMALL)
    d = 9e9 / 1024
    assert floor.memoriser_loss == pytest.approx(math.log(d) / 1024)
    text = " ".join(floor.assumptions)
    for part in ("Assumption 1", "Assumption 3", "hypothesis", "over-parameterised", "tokenizer", "sequence"):
        assert part in text
    assert "as printed" in " ".join(sf.loss_floor(**SMALL, convention="paper").assumptions)


def test_it_prints_like_a_result():
    text = str(sf.loss_floor(**SMALL))
    for part in (
        "hypothesis",
        "1 nat/token or more: no upper limit",
        "8.629 nat/token",
        "N and n_layers do not enter",
        "over_filled: log Z at most 6.144 (d / n_layers each)",
        "over_filled",
        "no information",
        "1.61M",
        "8.3×10²²",
        "Assumed",
    ):
        assert part in text
    assert repr(sf.loss_floor(**SMALL)) == "<Floor 1 nat/token or more: no upper limit; over_filled; exact>"
    assert sf.loss_floor(**SMALL)._repr_html_().startswith("<pre>Loss floor")
    with pytest.warns(ScalefitWarning):
        assert "architecture_mismatch" in str(sf.loss_floor(**SMALL | {"N": 1e6}))
    assert "not defined" in str(sf.loss_floor(**SMALL, radius="critical"))


def test_it_is_frozen_and_json_able():
    floor = sf.loss_floor(**SMALL)
    with pytest.raises(dataclasses.FrozenInstanceError):
        floor.N = 1.0
    record = json.loads(json.dumps(floor.to_dict(), allow_nan=False))
    assert record["loss_at_z_lower"] is None
    assert record["log_z_upper"] == floor.log_z_upper
    assert isinstance(floor, sf.Floor)


def test_a_table_of_plans_equals_its_rows():
    plans = pd.DataFrame([SMALL, CHINCHILLA, SMALL | {"D": 9e6}], index=["a", "b", "b"])
    plans["vocab_size"] = [50257, np.nan, 50257]
    for convention in ("exact", "paper"):
        table = sf.loss_floor(plans, convention=convention)
        assert list(table.index) == ["a", "b", "b"]
        assert list(table.columns) == [*plans.columns, *FLOOR_COLUMNS]
        for i, row in enumerate(plans.to_dict("records")):
            vocab = row.pop("vocab_size")
            one = sf.loss_floor(**row, vocab_size=None if np.isnan(vocab) else int(vocab), convention=convention)
            for name in FLOOR_COLUMNS:
                got, want = table[name].iloc[i], getattr(one, name)
                assert got == want if isinstance(want, str) else got == pytest.approx(want)
    assert "loss_lower" not in plans.columns


@pytest.mark.parametrize("radius", ["volume", "critical", 10.0])
def test_a_hundred_thousand_plans(radius):
    """Vectorised: a plan of a table costs less than a tenth of a plan by itself."""
    rng = np.random.default_rng(0)
    k = 100_000
    width = rng.integers(1, 64, size=k) * 64
    plans = pd.DataFrame({"N": 1e13, "D": 10 ** rng.uniform(9, 13, k), "n_layers": rng.integers(1, 100, k)})
    plans["d_emb"], plans["T_max"] = width, 2 ** rng.integers(5, 13, k)

    start = time.process_time()
    assert np.isfinite(sf.loss_floor(plans, radius=radius)["log_z_upper"]).all()
    together = (time.process_time() - start) / k
    start = time.process_time()
    for plan in plans[:100].to_dict("records"):
        sf.loss_floor(**plan, radius=radius)
    alone = (time.process_time() - start) / 100
    assert together < alone / 10


@pytest.mark.parametrize("dtype", ["float32", "object", "nullable"])
def test_any_kind_of_column_is_taken(dtype):
    plans = pd.DataFrame([SMALL, CHINCHILLA])
    plans = plans.convert_dtypes() if dtype == "nullable" else plans.astype(dtype)
    np.testing.assert_allclose(sf.loss_floor(plans)["loss_at_z_upper"], [8.629, 11.453], atol=1e-3)


def test_no_plan_is_too_large():
    floor = sf.loss_floor(N=1e300, D=1e300, n_layers=10**6, d_emb=10**7, T_max=10**6)
    assert floor.balanced_params == math.inf
    assert np.isfinite(floor.log_z_upper)
    assert sf.loss_floor(**SMALL, radius=1e200).log_z_lower == -math.inf
    assert "no data balance this shape" in str(sf.loss_floor(**SMALL, radius="critical"))


def test_an_empty_table_stays_empty():
    table = sf.loss_floor(pd.DataFrame(columns=["N", "D", "n_layers", "d_emb", "T_max"], dtype=float))
    assert table.shape == (0, 5 + len(FLOOR_COLUMNS))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"N": -1}, "N=-1 must be positive and finite"),
        ({"N": 0}, "N=0"),
        ({"N": float("nan")}, "N=nan"),
        ({"N": "124X"}, "N=.*124X"),
        ({"N": True}, "N=True"),
        ({"N": None}, "N missing"),
        ({"D": math.inf}, "D=inf"),
        ({"D": 10}, "D=10 with T_max 1024: less than one training sequence"),
        ({"D": [1e9, 2e9]}, r"D has shape \(2,\); nothing was computed. Pass many plans as a DataFrame"),
        ({"n_layers": 1.5}, "n_layers=1.5 must be a positive integer"),
        ({"n_layers": None}, "n_layers missing"),
        ({"d_emb": 0}, "d_emb=0"),
        ({"T_max": -4}, "T_max=-4"),
        ({"vocab_size": 0}, "vocab_size=0"),
        ({"vocab_size": math.nan}, "vocab_size=nan"),
        ({"d_ff": 2.5}, "d_ff=2.5"),
        ({"radius": -1.0}, "radius=-1"),
        ({"radius": "measured"}, "radius='measured'"),
        ({"radius": math.nan}, "radius=nan"),
        ({"radius": None}, "radius=None"),
        ({"radius": [1.0, 2.0]}, r"radius has shape \(2,\)"),
        ({"N": 10**400}, "N=1000"),
        ({"T_max": pd.NA}, "T_max=<NA>"),
        ({"convention": "printed"}, "convention='printed'"),
        ({"dimension": "layer"}, "dimension='layer'"),
        ({"patterns": "both"}, "patterns='both'"),
    ],
)
def test_bad_plans_are_named(change, message):
    with pytest.raises(ArgumentError, match=message):
        sf.loss_floor(**SMALL | change)


@pytest.mark.parametrize(("D", "z", "regime"), [(9e9, 465.97, "over"), (9e7, 4.662, "over"), (9e6, 0.4662, "under")])
def test_patterns_split_over_the_layers(D, z, regime):
    """Section 4.1 divides the data set over the layers: the smallest of the paper's three runs is under-filled."""
    split, whole = (sf.loss_floor(**SMALL | {"D": D}, patterns=p) for p in ("split", "replicated"))
    assert math.exp(split.log_z_upper) == pytest.approx(z, rel=1e-3)
    assert split.regime == f"{regime}_filled" and whole.regime == "over_filled"
    assert split.log_z_upper == pytest.approx(whole.log_z_upper - math.log(12))
    assert split.balanced_tokens == pytest.approx(12 * whole.balanced_tokens)
    assert f"{split.regime}: log Z at most" in str(whole) and "over_filled: log Z at most" in str(split)


@pytest.mark.parametrize("patterns", ["split", "replicated"])
@pytest.mark.parametrize("convention", ["exact", "paper"])
@pytest.mark.parametrize("radius", [0.05, 0.5, 3.0])
def test_every_z_within_its_bounds_gives_an_allowed_loss(patterns, convention, radius):
    """log Z + 1/Z is convex in Z, so its extremes over [Z_lower, Z_upper] are 1 or the ends."""
    reading = dict(patterns=patterns, convention=convention)
    floor = sf.loss_floor(N=1e6, D=4e4, n_layers=4, d_emb=2, T_max=4, radius=radius, **reading)
    inside = np.array([loss(z) for z in np.linspace(floor.log_z_lower, floor.log_z_upper, 2001)])
    layer = math.log(4) if patterns == "split" or convention == "paper" else 0.0
    assert (inside + layer).max() <= floor.loss_upper * (1 + 1e-12)
    assert inside.min() >= (floor.loss_lower - (layer if convention == "exact" else 0.0)) * (1 - 1e-12)


def test_a_measured_radius_of_ten():
    """The paper's own measurement for GPT-2 medium allows 174 nats and more, where the model has about 2.9."""
    medium = dict(N=355e6, D=9e9, n_layers=24, d_emb=1024, T_max=1024)
    floor = sf.loss_floor(**medium, radius=10, dimension="token")
    assert (floor.loss_lower, floor.loss_upper) == (pytest.approx(173.9, abs=0.05), pytest.approx(273.9, abs=0.05))
    assert "not defined at this radius\n" in str(floor)


def test_bad_tables_are_named():
    plans = pd.DataFrame([SMALL, SMALL | {"D": 10.0}, SMALL | {"D": 20.0}])
    with pytest.warns(ScalefitWarning, match=r"2 of 3 rows make no plan and were set aside: row 1: D = 10 with T_max"):
        assert len(sf.loss_floor(plans)) == 1
    with pytest.raises(DataError, match="No row of the table makes a plan: row 1: D = 10 with T_max 1024"):
        sf.loss_floor(plans[1:])
    with pytest.raises(DataError, match="no column D"):
        sf.loss_floor(plans.drop(columns="D"))
    with pytest.raises(DataError, match="several columns N, D"):
        sf.loss_floor(pd.concat([plans, plans], axis=1))
    with pytest.raises(ArgumentError, match=r"N is a dict; .* Pass one plan as loss_floor\(\*\*plan\)"):
        sf.loss_floor(SMALL)
    with pytest.warns(ScalefitWarning, match="1 of 3 rows make no plan and were set aside: row 1: D = nan"):
        assert list(sf.loss_floor(plans.assign(D=pd.array([1e9, pd.NA, 1e9], dtype="Float64"))).index) == [0, 2]
    with pytest.raises(DataError, match="already has regime"):
        sf.loss_floor(plans.assign(regime="x"))
    with pytest.raises(ArgumentError, match="came with D"):
        sf.loss_floor(plans, D=1e9)
    with pytest.raises(DataError, match="row 0: n_layers = 2.5"):
        sf.loss_floor(plans.assign(n_layers=2.5))
    with pytest.warns(ScalefitWarning, match="3 of 3 plans do not fit"), warnings.catch_warnings():
        sf.loss_floor(plans.assign(D=9e9, N=1.0))


def test_a_plan_as_people_type_it():
    typed = sf.loss_floor("124M", "9B", 12, 768, 1024, "50257", None, "exact", "sequence", "volume")
    assert typed == sf.loss_floor(**SMALL, vocab_size=50257) and typed.N == 124e6 and typed.vocab_size == 50257
    with pytest.raises(ArgumentError, match="D="):
        sf.loss_floor(**SMALL | {"D": "nine"})


def test_tables_of_plans_from_a_mapping_or_a_file(tmp_path):
    plans = pd.DataFrame([SMALL, CHINCHILLA])
    expected = sf.loss_floor(plans)["loss_at_z_upper"].tolist()
    assert sf.loss_floor(plans.to_dict("list"))["loss_at_z_upper"].tolist() == expected
    plans.rename(columns={"N": "n_params", "d_emb": "d_model", "T_max": "context"}).to_csv(tmp_path / "p.csv")
    for source in (tmp_path / "p.csv", str(tmp_path / "p.csv")):
        assert sf.loss_floor(source)["loss_at_z_upper"].tolist() == expected
    with pytest.raises(DataError, match=r"nope\.csv"):
        sf.loss_floor("nope.csv")
    with pytest.raises(DataError, match="one length"):
        sf.loss_floor({"N": [1e8, 2e8], "D": [1e9]})
