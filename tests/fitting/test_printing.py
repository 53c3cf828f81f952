"""What a result prints, against files in tests/reports; SCALEFIT_REWRITE_REPORTS=1 rewrites them."""

from __future__ import annotations

import os
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.fitting.printing import number

REPORTS = Path(__file__).parent.parent / "reports"
#: Noise of the log loss that needs no generator: fixed steps, no pattern along a grid of 6 by 6.
STEPS = np.array([3, -5, 1, 8, -2, -7, 4, 0, -4, 6, -1, -3, 5, 2, -6, 7, -8, 1, -1, 3, 0, -2, 4, -4, 2, -3, 6]) * 1e-3


def grid(steps=1.0):
    N, D = (a.ravel() for a in np.meshgrid(np.geomspace(5e7, 5e9, 6), np.geomspace(2e9, 2e11, 6)))
    loss = sf.published("chinchilla", "besiroglu2024").predict(N=N, D=D) * np.exp(steps * np.resize(STEPS, 36))
    return pd.DataFrame({"N": N, "D": D, "loss": loss})


def outliers():
    runs = grid()
    runs.loc[:1, "loss"] *= 1.25
    return runs


def two_series():
    return pd.concat([grid().assign(series="pile"), grid().assign(series="c4", loss=grid()["loss"] * 1.07)])


def without_an_effect_of_size():
    runs = grid()
    return runs.assign(loss=(1.8 + 2085 * runs["D"] ** -0.366) * np.exp(np.resize(STEPS, 36)))


def where_size_hurts():
    runs = without_an_effect_of_size()
    return runs.assign(loss=runs["loss"] * (runs["N"] / 5e7) ** 0.05)


CASES = {
    "plain": lambda: sf.fit(grid()),
    "bootstrap": lambda: sf.fit(grid()).bootstrap(200, seed=1),
    "least_squares": lambda: sf.fit(grid(), objective="squared", on="loss"),
    "fixed_and_tied": lambda: sf.fit(grid(), fixed={"E": 1.8}, tied={"beta": "alpha"}),
    "at_bound": lambda: sf.fit(grid(), bounds={"E": (0, 1.5)}),
    "prior": lambda: sf.fit(grid(), prior={"E": (1.8, 0.05)}),
    "influential_runs": lambda: sf.fit(outliers(), objective="squared"),
    "shared": lambda: sf.fit(two_series(), by="shared"),
    "no_effect_of_size": lambda: sf.fit(without_an_effect_of_size()),
    "untrusted": lambda: sf.fit(where_size_hurts()),
    "power_law": lambda: sf.fit(grid(), "power_law:C"),
    "expression": lambda: sf.fit(grid(), ["chinchilla", "beta = 0.9 * alpha"]),
    "no_noise": lambda: sf.fit(grid(0.0)),
}


@pytest.mark.parametrize("name", CASES)
def test_prints_what_the_report_shows(name):
    text = str(CASES[name]()) + "\n"
    path = REPORTS / f"{name}.txt"
    if os.environ.get("SCALEFIT_REWRITE_REPORTS"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")
    assert max(map(len, text.splitlines())) <= 150


def test_every_report_has_its_case():
    assert {path.stem for path in REPORTS.glob("*.txt")} == set(CASES)


class Tags(HTMLParser):
    """Collects every tag, attribute and text."""

    def __init__(self):
        super().__init__()
        self.seen, self.texts = [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, attrs))

    def handle_data(self, data):
        self.texts.append(data)


def test_html_escapes_whatever_a_table_or_a_law_brings():
    evil = "<script>alert(1)</script>"

    class Evil(sf.Law):
        """A law whose texts are markup."""

        name = evil
        inputs = ("N",)
        formula = f"L(N) = E + A N^-alpha {evil}"
        E = sf.Parameter(f"floor {evil}", (0.0, 10.0), unit='"><img src=x>', log=True, linear=True)
        A = sf.Parameter("coefficient", (1e-3, 1e6), log=True, linear=True)
        alpha = sf.Parameter("exponent", (0.0, 3.0))

        @staticmethod
        def loss(N, E, A, alpha):
            return E + A * N**-alpha

    runs = grid().assign(series=evil)
    runs.index = [f"{evil}{k}" for k in range(36)]
    runs.attrs["scalefit"] = {"params": evil, "flops": "6ND", "loss_unit": evil}
    html = sf.fit(runs, Evil)._repr_html_()
    parsed = Tags()
    parsed.feed(html)
    assert {tag for tag, _ in parsed.seen} <= {"div", "b", "br", "table", "tr", "th", "td", "ul", "li"}
    assert evil in " ".join(parsed.texts) and "<script" not in html


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (1.8172, 0.0257, "1.817"),
        (477.8, 124.5, "478"),
        (2143.4, 1293.0, "2143"),
        (12345678.0, 1.2e6, "1.23e+07"),
        (0.000012345, 1.1e-7, "1.234e-05"),
        (0.5, 0.0, "0.5"),
        (np.nan, 1.0, "-"),
        (1.5, np.nan, "1.5"),
        (0.0, 0.01, "0.000"),
        (1.6056451e19, 5.86541044e20, "1.6e+19"),
        (5.86541044e20, 5.86541044e20, "5.9e+20"),
        (1.43787978e21, 5.86541044e20, "1.44e+21"),
        (612400.515306485, 8.2e9, "612400"),
        (612400.140717651, 8.2e9, "612400"),
        (820.49, 150.0, "820"),
    ],
)
def test_numbers_have_the_digits_that_their_errors_allow(value, error, text):
    assert number(value, error) == text


def test_citations_name_the_law_and_the_methods():
    text = sf.fit(grid()).cite()
    assert "2203.15556" in text and "2404.10102" in text
    assert "2404.10102" not in sf.fit(grid(), objective="squared").cite()


def test_what_n_counts_is_an_assumption_until_it_is_stated():
    N, D = (axis.ravel() for axis in np.meshgrid(np.geomspace(5e7, 1e9, 4), np.geomspace(2e9, 4e10, 4)))
    runs = {"N": N, "D": D, "loss": 1.7 + 400 / N**0.34 + 400 / D**0.28}
    said = sf.read_runs(runs, params="total")
    for make in (lambda table: sf.fit(table, "chinchilla"), sf.forecast):
        assert "N counts total parameters (assumed)" in str(make(runs))
        assert "N counts total parameters ·" in str(make(said))
