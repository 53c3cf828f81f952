"""The claims table: complete against the paper, computed and not quoted, with the verdicts that the numbers give."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

import scalefit as sf
from scalefit.memory import _claims_loss
from scalefit.memory._claim import Claim, Found
from scalefit.memory.claims import COLUMNS


@pytest.fixture(scope="module")
def table():
    return sf.memory.claims().set_index("claim")


@pytest.fixture(scope="module")
def zipf_table():
    return sf.memory.claims("cabannes2024").set_index("claim")


def test_every_numbered_thing_of_the_paper_has_a_row(table):
    wanted = {
        "eq.": range(1, 15),
        "lemma": range(1, 6),
        "prop.": range(1, 5),
        "table": (1, 2),
        "figure": range(1, 5),
        "remark": range(1, 4),
    }
    missing = {f"{kind} {number}" for kind, numbers in wanted.items() for number in numbers} - set(table.index)
    assert not missing and table.index.is_unique and (table["computed"].str.len() > 10).all()


def test_a_correction_is_right_wherever_one_is_offered(table):
    corrected = table[table["exact"] != ""]
    assert set(corrected["verdict"]) == {"fails; the corrected form holds"}


def test_what_holds_and_what_fails(table):
    verdicts = table["verdict"]
    assert set(verdicts[["prop. 1", "prop. 2", "lemma 1", "lemma 4", "lemma 5", "eq. 7", "table 2"]]) == {"holds"}
    assert set(verdicts[["prop. 4", "figure 2"]]) == {"fails"}
    assert verdicts["figure 3"] == "not decided by computing"  # the two readings of the patterns disagree


def test_the_numbers_are_those_of_the_functions(table):
    assert "-0.916" in table.loc["prop. 4", "computed"] and "3.394" in table.loc["prop. 4", "computed"]
    assert "113.58" in table.loc["eq. 12", "computed"] and "430.3" in table.loc["eq. 12", "computed"]
    assert "173.9 to 273.9" in table.loc["figure 2", "computed"]
    assert "0.466" in table.loc["figure 3", "computed"]


def test_a_wrong_correction_would_be_seen(monkeypatch):
    """The verdict follows the computation: with the printed formula in the exact one's place the correction fails."""
    printed = _claims_loss.log_ball_integral
    monkeypatch.setattr(_claims_loss, "log_ball_integral", lambda n, r, convention="exact": printed(n, r, "paper"))
    found = _claims_loss.eq_12()
    assert (found.printed_holds, found.exact_holds) == (False, False)
    row = next(claim for claim in _claims_loss.CLAIMS if claim.claim == "eq. 12")
    assert row.verdict(found) == "fails, and so does the corrected form"


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (Found("", None), "not decided by computing"),
        (Found("", True), "holds"),
        (Found("", False), "fails"),
        (Found("", False, True), "fails; the corrected form holds"),
    ],
)
def test_verdicts(found, verdict):
    assert Claim("", "", "", lambda: found, "").verdict(found) == verdict


def test_the_command_prints_every_row(table):
    from scalefit.cli import build_app

    runner = CliRunner()
    record = json.loads(runner.invoke(build_app(), ["theory", "--json"]).stdout)
    assert [row["claim"] for row in record["claims"]] == list(table.index)
    assert set(record["claims"][0]) == set(COLUMNS)


def test_claims_about_facts_under_zipfs_law(zipf_table):
    verdicts = zipf_table["verdict"]
    for name in ("capacity term", "data term", "store, thresholded", "store, weighted", "store, all", "tie"):
        assert verdicts[name] == "holds", zipf_table.loc[name, "computed"]
    assert verdicts["data term, few keys"] == "fails; the corrected form holds"
    assert verdicts["transformers"] == verdicts["minimax"] == "not decided by computing"
    assert "0.0060490" in zipf_table.loc["capacity term", "computed"]


def test_an_unknown_paper_is_one_clear_error():
    with pytest.raises(sf.ScalefitError, match="Known: niu2024, cabannes2024"):
        sf.memory.claims("nobody1999")
