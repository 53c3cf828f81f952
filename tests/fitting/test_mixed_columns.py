"""Runs that differ in a column the law does not read: named, and no replicates of each other."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import scalefit as sf

LAW = sf.published("chinchilla", "besiroglu2024")


def runs(seed=0, **kinds):
    """A grid, once for each kind of the one column given, each with its factor on the loss."""
    rng = np.random.default_rng(seed)
    N, D = (axis.ravel() for axis in np.meshgrid(np.geomspace(1e8, 3e9, 4), np.geomspace(2e9, 5e10, 4)))
    ((name, factors),) = kinds.items()
    truth = LAW.predict(N=N, D=D)
    parts = [
        pd.DataFrame(
            {
                "N": N,
                "D": D,
                "loss": factor * truth * np.exp(0.003 * rng.standard_normal(16)),
                name: kind,
            }
        )
        for kind, factor in factors.items()
    ]
    return pd.concat(parts, ignore_index=True)


def codes(result):
    return {note.code: note for note in result.notes}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    "kinds",
    [
        {"recipe": {"base": 1.0, "new": 0.98}},
        {"optimizer": {"adamw": 1.0, "muon": 0.97, "soap": 0.985}},
        {"weight_bits": {4: 1.03, 8: 1.005, 16: 1.0}},
    ],
)
def test_the_column_that_explains_the_gap_is_named(kinds, seed):
    """They were called replicates, within which the law fits."""
    ((name, factors),) = kinds.items()
    found = codes(sf.fit(runs(seed, **kinds)))
    assert "replicates" not in found and found["mixed_runs"].details["column"] == name
    assert f"Runs differ by {name}" in found["mixed_runs"].message and "by='series'" in found["mixed_runs"].message
    assert set(found["mixed_runs"].details["means"]) == {str(kind) for kind in factors}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("slope", [0.0, 0.012])
def test_kinds_are_compared_at_the_same_settings(seed, slope):
    """The law's own misfit was larger than the gap, so a richer law was advised: two routers pooled."""
    table = runs(seed, router={"hash": 1.0, "top": 1.0 if slope else 1.007})
    top, z = table["router"] == "top", np.log(table["N"] / table["N"].median())
    table["loss"] *= np.exp(slope * z * top + 0.03 * np.sin(9 * np.log(table["N"] * table["D"])))
    found = codes(sf.fit(table))
    assert found["mixed_runs"].details["column"] == "router" and "lack_of_fit" not in found
    assert {"router", "mixed_runs"} & set(codes(sf.fit(table.drop(columns="router")))) == set()


@pytest.mark.parametrize("seed", range(12))
def test_a_column_without_effect_is_not(seed):
    found = codes(sf.fit(runs(seed, recipe={"a": 1.0, "b": 1.0})))
    assert "mixed_runs" not in found and found.keys() & {"replicates", "lack_of_fit"}


def test_what_size_fixes_is_not_a_recipe():
    """Layers follow N, so they can only trace what the law's form misses."""
    table = runs(recipe={"a": 1.0})
    table["n_layers"] = table["N"].rank(method="dense").astype(int)
    table["loss"] *= np.where(table["n_layers"] == 2, 1.02, 1.0)
    assert "mixed_runs" not in codes(sf.fit(table))
    table["trunk"] = table["N"].map("{:.0f}".format) + np.where(np.arange(len(table)) % 2, "a", "b")
    assert "mixed_runs" not in codes(sf.fit(pd.concat([table, table.assign(loss=table["loss"] * 1.001)])))


def test_a_file_and_a_mapping_say_the_same(tmp_path):
    table = runs(recipe={"base": 1.0, "new": 0.98})
    table.to_csv(tmp_path / "runs.csv", index=False)
    for source in (table, table.to_dict("list"), tmp_path / "runs.csv", sf.read_runs(tmp_path / "runs.csv")):
        assert "mixed_runs" in codes(sf.fit(source))


def test_a_recipe_that_goes_with_size_is_named_though_no_test_can_tell():
    """Both fall on the same runs: whatever the residuals say, the law's exponent of N is that of two recipes."""
    table = runs(layout={"wide": 1.0, "narrow": 1.0}).drop(columns="layout")
    kinds = np.unique(table["N"], return_inverse=True)[1] % 2
    table["optimizer"] = np.where(kinds, "adamw", "muon")
    note = next(note for note in sf.fit(table).notes if note.code == "mixed_runs")
    assert "optimizer goes with N, so the runs do not separate the two effects" in note.message
    assert "mixed_runs" not in codes(sf.fit(table.rename(columns={"optimizer": "layout"})))


def test_a_label_of_the_mixture_is_not_a_recipe():
    """It goes with the shares that the law reads, as it must."""
    rng = np.random.default_rng(0)
    shares = np.repeat(rng.dirichlet([2, 2], 8), 3, axis=0)
    table = pd.DataFrame(shares, columns=["share_web", "share_code"])
    table["loss"] = (1.8 + 0.9 * (shares @ [1, 0.3]) ** -0.3) * np.exp(0.002 * rng.standard_normal(24))
    table["mixture"] = np.repeat([f"mix{i}" for i in range(8)], 3)
    assert "mixed_runs" not in codes(sf.fit(table, "effective_mixture"))


@pytest.mark.parametrize(("law", "severity"), [("power_law:D", "warning"), ("power_law:C", "info")])
def test_runs_that_differ_in_a_size_that_the_law_does_not_read_are_no_replicates(law, severity):
    """On a grid of sizes and ratios, runs of one D or one C are not runs of one setting."""
    N, ratio = (a.ravel() for a in np.meshgrid(1e8 * 2.0 ** np.arange(5), 5 * 2.0 ** np.arange(5)))
    noise = np.random.default_rng(0).normal(0, 0.003, N.size)
    truth = sf.published("chinchilla", "besiroglu2024").predict(N=N, D=N * ratio)
    table = {"N": N, "D": N * ratio, "loss": truth * np.exp(noise)}
    found = {note.code: note for note in sf.fit(table, law).notes}
    assert found["unread_size"].severity == severity and "replicates" not in found and "lack_of_fit" not in found
    assert "unread_size" not in {note.code for note in sf.fit(table, "chinchilla").notes}
    one_length = {"N": N[:5], "D": np.full(5, 3e9), "loss": truth[:5]}  # each N once
    assert "unread_size" not in {note.code for note in sf.fit(one_length, "power_law:N").notes}
