"""scalefit report on tables of several series: one, each, or all as one."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import scalefit as sf


def simulate(seed):
    N, D = (axis.ravel() for axis in np.meshgrid(np.geomspace(5e7, 1e10, 5), np.geomspace(1e9, 2e11, 5)))
    loss = sf.published("chinchilla", "besiroglu2024").predict(N=N, D=D)
    loss = loss * np.exp(0.003 * np.random.default_rng(seed).standard_normal(N.size))
    return pd.DataFrame({"N": N, "D": D, "loss": loss})


@pytest.fixture
def two(tmp_path):
    path = tmp_path / "runs.csv"
    pd.concat([simulate(0).assign(series="a"), simulate(1).assign(series="b")]).to_csv(path, index=False)
    return path


def test_several_series_are_an_error_that_names_the_choice(run, two, tmp_path):
    code, out, err = run("report", two, "--out", tmp_path / "page.html")
    assert code == 1 and "2 series (a, b)" in err and not out and not (tmp_path / "page.html").exists()


def test_a_page_for_each(run, two, tmp_path):
    code, out, _ = run("report", two, "--by", "series", "--out", tmp_path / "page.html", "--json")
    said = json.loads(out)["series"]
    assert code == 0 and set(said) == {"a", "b"}
    for label, seed in (("a", 0), ("b", 1)):
        path = tmp_path / f"page-{label}.html"
        assert said[label]["path"] == str(path) and said[label]["n_runs"] == 25
        page = path.read_text(encoding="utf-8")
        assert f"runs.csv, {label}" in page and f"{sf.fit(simulate(seed)).params['E']:.3g}" in page


def test_one_of_them_and_all_as_one(run, two, tmp_path):
    page = ("--out", tmp_path / "page.html", "--json")
    assert json.loads(run("report", two, "--only", "b", *page)[1])["n_runs"] == 25
    assert json.loads(run("report", two, "--by", "pool", *page)[1])["n_runs"] == 50
    assert run("report", two, "--only", "b", "--by", "series", *page)[0] == 2
    code, _, err = run("report", two, "--only", "c", *page)
    assert code == 1 and "It has a, b" in err


def test_rows_without_a_series_are_not_pooled_with_the_others(tmp_path):
    """As sf.fit, which calls them "(none)"."""
    mixed = pd.concat([simulate(0).assign(series="a"), simulate(1).assign(series=None)], ignore_index=True)
    with pytest.raises(sf.DataError, match=r"2 series \(\(none\), a\)"):
        sf.report(mixed)
    assert sf.report(mixed, only="a").result.n_runs == 25


def test_a_series_without_a_report_is_named_and_the_others_are_made(run, tmp_path):
    path, page = tmp_path / "runs.csv", tmp_path / "page.html"
    few, flat = simulate(1).head(3).assign(series="a few"), simulate(2).assign(series="flat", loss=3.0)
    pd.concat([few, simulate(0).assign(series="good"), flat]).to_csv(path, index=False)
    code, out, err = run("report", path, "--by", "series", "--out", page)
    assert code == 0 and out.startswith("=== good") and (tmp_path / "page-good.html").exists()
    assert "2 of 3 series could not be fitted" in err and "'a few': 3 runs are" in err and "'flat': All 25" in err
    assert not (tmp_path / "page-a_few.html").exists()
    code, out, _ = run("report", path, "--by", "series", "--out", page, "--json")
    said = json.loads(out)
    assert code == 0 and set(said["series"]) == {"good"} and set(said["refused"]) == {"a few", "flat"}


def test_no_series_that_can_be_fitted_is_an_error(run, tmp_path):
    path = tmp_path / "runs.csv"
    pd.concat([simulate(n).head(3).assign(series=f"s{n}") for n in range(2)]).to_csv(path, index=False)
    code, out, err = run("report", path, "--by", "series", "--out", tmp_path / "page.html")
    assert code == 1 and not out and "No series can be fitted; no page was made. 's0', 's1' (2): 3 runs" in err


def test_the_reasons_for_care_are_printed_and_rows_are_told_of_once(run, tmp_path):
    table = simulate(0).astype(object)
    table.loc[3, "loss"], table.loc[5, "loss"] = "3,1", None
    table.to_csv(tmp_path / "runs.csv", index=False)
    page = ("report", tmp_path / "runs.csv", "--out", tmp_path / "page.html")
    _, out, err = run(*page)
    assert "set_aside: 2 of 25 rows" in out and not err
    code, out, err = run(*page, "--json")
    assert json.loads(out) and err.count("were set aside") == 1 and "2 of 25 rows" in err
    with pytest.warns(sf.ScalefitWarning, match="2 of 25 rows") as told:
        made = sf.report(tmp_path / "runs.csv")
    assert len(told) == 1 and "set_aside" in {note.code for note in made.notes}


def test_one_curve_of_a_line_plot_has_its_live_page(run, tmp_path):
    steps = np.arange(100, 5001, 100)
    curves = {f"lr=0.00{i} - val/loss": 2.5 + 0.1 * i + 12 * (steps + 50.0) ** -0.45 for i in (1, 2)}
    pd.DataFrame({"Step": steps, **curves}).to_csv(tmp_path / "plot.csv", index=False)
    live = ("report", tmp_path / "plot.csv", "--live", "--out", tmp_path / "page.html")
    code, _, err = run(*live)
    assert code == 1 and "Choose one: --val 'lr=0.001 - val/loss'" in err
    code, out, _ = run(*live, "--val", "lr=0.002 - val/loss")
    assert code == 0 and "Report: " in out
    code, out, _ = run(*live, "--val", "lr=0.002 - val/loss", "--total-steps", 8000, "--force")
    assert code == 0 and "planned end, step 8,000" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert run("report", tmp_path / "plot.csv", "--val", "loss")[0] == 2
    assert run("report", tmp_path / "plot.csv", "--total-steps", 8000)[0] == 2
