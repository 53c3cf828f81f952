"""Fits, forecasts and averages on disk and in words: each reads back as the kind it was, and says the same."""

import json

import numpy as np
import pandas as pd
import pytest

import scalefit as sf


@pytest.fixture(scope="module")
def runs():
    C = np.repeat(np.geomspace(1e18, 3e20, 5), 5)
    N = np.sqrt(C / 120) * np.tile(np.geomspace(0.3, 3, 5), 5)
    loss = sf.published("chinchilla", "besiroglu2024").predict(N=N, D=C / 6 / N)
    noise = np.exp(0.003 * np.random.default_rng(0).standard_normal(25))
    table = pd.DataFrame({"params": N, "D": C / 6 / N, "loss": loss * noise})
    return sf.read_runs(table, N="params", params="non_embedding")


@pytest.fixture(scope="module")
def forecast(runs):
    return sf.forecast(runs)


@pytest.fixture(scope="module")
def blend(runs, forecast):
    return sf.average([sf.fit(runs, "chinchilla"), sf.fit(runs, "kaplan"), forecast], weights=[2, 1, 1])


AT = {"N": [1e9, 7e9], "D": [2e10, 2e12]}


def test_an_average_reads_back_to_the_last_digit(blend, tmp_path):
    path = tmp_path / "blend.json"
    text = blend.to_json(path)
    again = sf.load_result(path)
    assert type(again) is type(blend) and path.read_text() == text == again.to_json()
    np.testing.assert_array_equal(again.predict(**AT), blend.predict(**AT))
    pd.testing.assert_frame_equal(again.predict_interval(**AT, level=0.8), blend.predict_interval(**AT, level=0.8))
    assert again.notes == blend.notes and again.trusted == blend.trusted and repr(again) == repr(blend)


@pytest.mark.parametrize(
    "harm",
    [
        lambda d: d.update(format=2),
        lambda d: d.update(results="three"),
        lambda d: d.update(weights=[1, 2]),
        lambda d: d.update(weights=["a", "b", "c"]),
        lambda d: d["results"].pop(),
        lambda d: d["results"][0].update(loss=[]),
        lambda d: d["results"].__setitem__(0, 7),
        lambda d: d.update(remark="mine"),
    ],
    ids=["format", "results", "weights", "words", "fewer", "broken", "number", "unknown"],
)
def test_averages_that_are_none(blend, tmp_path, harm):
    document = json.loads(blend.to_json())
    harm(document)
    path = tmp_path / "blend.json"
    path.write_text(json.dumps(document))
    with pytest.raises(sf.DataError, match="blend.json"):
        sf.load_result(path)


def test_an_average_tells_what_its_parts_tell(blend, forecast):
    """Conventions, citations each once, and the notes of a jump, under the law's name."""
    assert blend.conventions["params"] == "non_embedding" == sf.plan(blend, C=1e21).params_convention
    cited = blend.cite()
    for part in blend.results:
        assert all(line in cited for line in part.cite().splitlines())
    assert cited.count("@software{scalefit") == 1
    notes = blend.predict_interval(N=1e12, D=2e13).attrs["notes"]
    assert {"chinchilla: ", "kaplan: "} <= {note.message[: note.message.index(":") + 2] for note in notes}
    assert "beyond_reach" in [note.code for note in sf.plan(blend, C=1e24).notes]


def test_a_saved_average_serves_the_command_line(blend, tmp_path, capsys):
    from scalefit.cli import main

    path = tmp_path / "blend.json"
    blend.to_json(path)

    def run(*words):
        with pytest.raises(SystemExit) as stop:
            main([*map(str, words), "--json"])
        return stop.value.code, json.loads(capsys.readouterr().out)

    code, said = run("predict", path, "--N", "1B", "--D", "20B")
    assert said["predictions"][0]["loss"] == pytest.approx(blend.predict(N=1e9, D=2e10))
    assert code == 0 and said["law"] == "chinchilla + kaplan + coupled"
    code, said = run("plan", path, "--C", "1e21")
    assert code == 0 and said["loss"] == pytest.approx(sf.plan(blend, C=1e21).loss)


def test_intervals_of_a_forecasts_parameters(forecast):
    """Normal about the mode in the error's own scale: they hold it, widen with the level, and keep signs."""
    table = forecast.conf_int()
    assert list(table.columns) == ["lower", "upper"] and list(table.index) == list(forecast.params.index)
    wide = forecast.conf_int(0.99)
    assert (table["lower"] < forecast.params).all() and (forecast.params < table["upper"]).all()
    assert (wide["lower"] < table["lower"]).all() and (wide["upper"] > table["upper"]).all()
    half = 1.6448536269514722
    assert table.loc["alpha", "upper"] - forecast.params["alpha"] == pytest.approx(half * forecast.std_errors["alpha"])
    ratio = np.log(table.loc["A", "upper"] / forecast.params["A"])
    assert ratio == pytest.approx(half * forecast.std_errors["A"] / forecast.params["A"]) and wide.loc["A", "lower"] > 0
    for level in (0, 1, 90, "x"):
        with pytest.raises(ValueError, match="level="):
            forecast.conf_int(level)


def test_a_forecast_cites_its_law(forecast):
    assert "@software{scalefit" in forecast.cite() and forecast.law.bibtex in forecast.cite()


def test_levels_close_to_one_widen_every_interval(runs, forecast, blend):
    last = float(np.nextafter(1, 0))
    for result in (forecast, blend, sf.fit(runs, "chinchilla")):
        near, far = (result.predict_interval(N=1e9, D=2e10, level=level).iloc[0] for level in (0.999, last))
        assert far["upper"] > near["upper"] and far["lower"] < near["lower"]


def test_the_text_of_a_document_is_read_as_its_file_is(runs):
    for saved in (sf.fit(runs), sf.forecast(runs), sf.average([sf.fit(runs), sf.fit(runs, "kaplan")])):
        again = sf.load_result(saved.to_json())
        assert again.predict(N=1e10, D=1e11) == saved.predict(N=1e10, D=1e11)
    assert sf.load_forecast(sf.forecast(runs).to_json()).n_runs == len(runs)
    with pytest.raises(sf.DataError, match="^The text is not a saved result: .*; it was not read. Name"):
        sf.load_result('{"format": ')
