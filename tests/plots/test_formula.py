"""Every law's formula as math: matplotlib and a browser can both draw it, and it says the law's numbers."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from matplotlib.mathtext import MathTextParser

import scalefit as sf
from scalefit._formula import math_ml, math_text
from scalefit._latex import symbol

NAMES = sf.laws.names()


@pytest.mark.parametrize("name", NAMES)
def test_every_law_has_a_formula_that_can_be_drawn(name):
    law = sf.laws.get(name)
    values = [{}, *(constants.values for constants in law.published)]
    for one in values:
        text, page = math_text(law.formula, one), math_ml(law.formula, one)
        assert text.startswith("$"), "the formula is outside the grammar"
        MathTextParser("path").parse(text)
        assert ET.fromstring(page).tag == "math"


def test_numbers_stand_where_the_parameters_stood():
    law = sf.published("chinchilla", "besiroglu2024")
    page = "".join(ET.fromstring(math_ml(law.law.formula, law.constants.values)).itertext())
    assert page == "L(N,D)=1.82+482N−0.348+2090D−0.366"  # table 1 of Besiroglu et al., to three digits


def test_large_small_and_negative_numbers():
    said = math_text("L(N) = (N_c/N)^a + b N", {"N_c": 8.8e13, "a": -0.076, "b": -2e-7})
    assert said == r"$L(N) = (8.8 \times 10^{13} / N)^{-0.076}+(-2 \times 10^{-7})\,N$"
    assert math_text("y = a b", {"a": 2.0, "b": 3.0}) == r"$y = 2 \times 3$"


def test_numbers_with_exponents_are_powers_of_ten():
    assert math_text("L = 1e3 N^-a") == r"$L = 10^{3}\,N^{-a}$"
    assert math_text("L = 2.5e-3 N + 1E+2") == r"$L = 2.5 \times 10^{-3}\,N+10^{2}$"
    assert math_text("L = 2e3^a") == r"$L = (2 \times 10^{3})^{a}$"
    page = ET.fromstring(math_ml("L = 1e3 N^-a"))
    assert "".join(page.itertext()) == "L=103N−a" and page.find("msup/mrow/mn").text == "10"


@pytest.mark.parametrize("short", ["lam", "eps"])
def test_one_list_of_greek_letters(short):
    whole = {"lam": "lambda", "eps": "epsilon"}[short]
    assert math_text(f"L = {short} N") == math_text(f"L = {whole} N") != rf"$L = \mathrm{{{short}}}\,N$"
    assert math_ml(f"L = {short} N") == math_ml(f"L = {whole} N")
    assert symbol(short) == symbol(whole) == rf"$\{whole}$"
    assert symbol("pi") == r"$\pi$"


@pytest.mark.parametrize("odd", ["L = a ^", "", "{N}", "L = <script>"])
def test_what_is_outside_the_grammar_stays_text(odd):
    assert "<script" not in math_ml(odd) and "<math" not in math_ml(odd)
    assert "$" not in math_text(odd).replace(r"\$", "")
