"""Results as files: the same to the last bit, and nothing but such files."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from simulated import simulate

import scalefit as sf


def two_series():
    return pd.concat([simulate(seed=k).assign(series=name) for k, name in enumerate(("a", "b"))], ignore_index=True)


FITS = {
    "plain": lambda: sf.fit(simulate()),
    "kaplan": lambda: sf.fit(simulate(), "kaplan"),
    "power_law": lambda: sf.fit(simulate(), "power_law:D"),
    "squared_fixed": lambda: sf.fit(simulate(), objective="squared", on="loss", fixed={"E": 1.8}),
    "tied_bounds": lambda: sf.fit(simulate(), tied={"beta": "alpha"}, bounds={"E": (0, 1.5)}),
    "weights": lambda: sf.fit(simulate(), weights=np.linspace(1, 3, 60)),
    "prior": lambda: sf.fit(simulate(), prior={"E": (1.8, 0.05)}),
    "shared": lambda: sf.fit(two_series(), by="shared"),
    "expression": lambda: sf.fit(simulate(), ["chinchilla", "beta = 0.9 * alpha"]),
    "text_labels": lambda: sf.fit(simulate().set_axis([f"run {k}" for k in range(60)])),
    "large": lambda: sf.fit(simulate(12_000)),
}


@pytest.mark.parametrize("name", FITS)
def test_round_trip_is_equal_to_the_last_bit(name, tmp_path):
    result = FITS[name]()
    path = tmp_path / "result.json"
    text = result.to_json(path)
    assert path.read_text() == text
    loaded = sf.load_result(path)
    pd.testing.assert_series_equal(loaded.params, result.params, check_exact=True)
    pd.testing.assert_frame_equal(loaded.cov, result.cov, check_exact=True)
    pd.testing.assert_frame_equal(loaded.conf_int(), result.conf_int(), check_exact=True)
    assert loaded.objective_value == result.objective_value
    assert loaded.certificate == result.certificate
    assert [note.code for note in loaded.notes] == [note.code for note in result.notes]
    assert str(loaded) == str(result)
    assert list(loaded.row_labels) == list(result.row_labels)
    inputs = {key: 3e9 for key in result.law.inputs}
    series = result.series[0] if result.series else None
    assert loaded.predict(**inputs, series=series) == result.predict(**inputs, series=series)
    frames = [r.predict_interval(**inputs, series=series) for r in (loaded, result)]
    pd.testing.assert_frame_equal(*frames, check_exact=True)


def test_bootstrap_after_a_round_trip_draws_the_same(tmp_path):
    result = sf.fit(simulate())
    result.to_json(tmp_path / "r.json")
    loaded = sf.load_result(tmp_path / "r.json")
    first, second = result.bootstrap(40, seed=7), loaded.bootstrap(40, seed=7)
    np.testing.assert_array_equal(first.resamples, second.resamples)
    first.to_json(tmp_path / "b.json")
    np.testing.assert_array_equal(sf.load_result(tmp_path / "b.json").resamples, first.resamples)
    pd.testing.assert_frame_equal(sf.load_result(tmp_path / "b.json").conf_int(), first.conf_int(), check_exact=True)


class Saturating(sf.Law):
    """L(D) = E + B / (1 + D / D_c)."""

    inputs = ("D",)
    formula = "L(D) = E + B / (1 + D / D_c)"
    E = sf.Parameter("irreducible loss", (0.0, 10.0), unit="nat/token", log=True, linear=True)
    B = sf.Parameter("loss to gain", (1e-3, 1e3), unit="nat/token", log=True, linear=True)
    D_c = sf.Parameter("tokens at half gain", (1e3, 1e15), (1e7, 1e9, 1e11), unit="tokens", log=True)

    @staticmethod
    def loss(D, E, B, D_c):
        return E + B / (1 + D / D_c)


def test_a_law_of_ones_own_is_handed_to_load_result(tmp_path):
    D = np.geomspace(1e8, 1e12, 40)
    noise = np.exp(0.003 * np.random.default_rng(0).standard_normal(40))
    result = sf.fit({"D": D, "loss": Saturating.loss(D, 1.7, 2.0, 3e9) * noise}, Saturating)
    assert result.params["D_c"] == pytest.approx(3e9, rel=0.05)
    result.to_json(tmp_path / "r.json")
    with pytest.raises(sf.DataError, match="law="):
        sf.load_result(tmp_path / "r.json")
    assert sf.load_result(tmp_path / "r.json", law=Saturating).predict(D=1e10) == result.predict(D=1e10)
    with pytest.raises(sf.DataError, match="the law given is 'chinchilla'"):
        sf.load_result(tmp_path / "r.json", law=sf.laws.get("chinchilla"))


@pytest.fixture(scope="module")
def saved():
    return json.loads(sf.fit(simulate()).to_json())


def damage(document, key, value):
    return json.dumps({**document, key: value})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("format", 2),
        ("format", "1"),
        ("law", "../../etc/passwd"),
        ("law", 3),
        ("x", ["a"]),
        ("x", "__import__('os')"),
        ("x", [1.0]),
        ("x", [float("nan")] * 5),
        ("loss", [1.0]),
        ("loss", [-1.0] * 60),
        ("columns", {}),
        ("columns", {"N": [1.0] * 60, "D": [0.0] * 60}),
        ("objective", "cubed"),
        ("delta", -1.0),
        ("index", [[9, 9, 9, 9, 9]]),
        ("index", [[0]]),
        ("index", []),
        ("units", {}),
        ("units", {"N": 0.0, "D": 1.0}),
        ("certificate", {}),
        ("names", ["E"]),
        ("groups", [[0, 1, 400]]),
        ("fixed_values", []),
        ("draws", [[1.0, 2.0]]),
        ("prior", {"names": ["E"]}),
        ("tangent", [[1.0]]),
        ("surprise", 1),
        ("row_labels", [1]),
        ("n_runs", "many"),
    ],
    ids=str,
)
def test_a_damaged_file_is_one_clear_error(saved, tmp_path, key, value):
    path = tmp_path / "r.json"
    path.write_text(damage(saved, key, value))
    with pytest.raises(sf.DataError, match=r"r\.json"):
        sf.load_result(path)


@pytest.mark.parametrize("content", [b"", b"\x00\xff", b"[]", b"null", b"3", b"{", b'{"format": 1}', b"[" * 100_000])
def test_what_is_not_a_result_is_one_clear_error(tmp_path, content):
    path = tmp_path / "r.json"
    path.write_bytes(content)
    with pytest.raises(sf.DataError):
        sf.load_result(path)


def test_a_missing_file_and_a_cut_one(saved, tmp_path):
    with pytest.raises(sf.DataError, match=r"nowhere\.json"):
        sf.load_result(tmp_path / "nowhere.json")
    path = tmp_path / "r.json"
    text = json.dumps(saved)
    for cut in np.linspace(1, len(text) - 1, 12, dtype=int):
        path.write_text(text[:cut])
        with pytest.raises(sf.DataError):
            sf.load_result(path)


def test_saving_leaves_no_half_written_file(tmp_path):
    result = sf.fit(simulate())
    with pytest.raises(sf.DataError, match="cannot be written"):
        result.to_json(tmp_path / "no" / "such" / "folder.json")
    path = tmp_path / "r.json"
    path.write_text("old")
    result.to_json(path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["r.json"]


def test_the_digest_names_the_runs(runs, tmp_path):
    result = sf.fit(runs)
    assert sf.fit(runs.sample(frac=1, random_state=0)).data_digest == result.data_digest
    other = runs.copy()
    other.loc[0, "loss"] *= 1.001
    assert sf.fit(other).data_digest != result.data_digest
    path = tmp_path / "result.json"
    saved = json.loads(result.to_json(path))
    saved["loss"][0] *= 1.001
    path.write_text(json.dumps(saved))
    with pytest.raises(sf.DataError, match="was changed"):
        sf.load_result(path)
