"""The planner of published laws: a page without a server whose numbers are sf.plan's."""

from __future__ import annotations

import pytest

import scalefit as sf
from scalefit.reporting.published import planning_laws, published_page

QUESTIONS = [
    {"C": 1e22},
    {"C": 3.7e24, "inference_tokens": 2e12},
    {"C": 6e23, "unique_tokens": 2e11},
    {"C": 1e23, "inference_tokens": 5e12, "unique_tokens": 2e11},
]
LABELS = [label for label, _ in planning_laws()]


class Saved:
    """Written like a report."""

    def __init__(self, html):
        self.html = html

    def save(self, path):
        path.write_text(self.html, encoding="utf-8")


@pytest.fixture(scope="module")
def page():
    return Saved(published_page())


def test_it_holds_every_law_that_plans(page):
    assert len(LABELS) >= 15 and LABELS[0] == "chinchilla:besiroglu2024"
    for label in LABELS:
        assert f'value="{label}"' in page.html
    assert page.html.count("http") == page.html.count("http-equiv") and len(page.html) < 300_000


def test_its_numbers_are_those_of_plan(open_tab, page):
    tab = open_tab(page)
    for label in LABELS:
        tab.page.select_option("#model", label)
        law = sf.published(*label.split(":"))
        for question in QUESTIONS:
            plan = sf.plan(law, **question)
            served, unique = question.get("inference_tokens"), question.get("unique_tokens")
            answer = tab.ask(
                C=question["C"],
                inference="none" if served is None else f"{served:g}",
                unique="unlimited" if unique is None else f"{unique:g}",
            )
            assert answer["loss"] == pytest.approx(plan.loss, rel=1e-9), (label, question)
            assert answer["N"] == pytest.approx(plan.N, rel=1e-6) and answer["D"] == pytest.approx(plan.D, rel=1e-6)
    tab.assert_quiet()


def test_it_has_no_intervals_and_says_what_it_does_not_know(open_tab, page):
    tab = open_tab(page)
    assert tab.page.locator("#answers .between:visible").count() == 0 and tab.page.is_hidden("#level")
    tab.ask(C="1e26")
    assert "times the largest size" in tab.page.inner_text("#planner-notes")
    assert tab.page.text_content("#call").endswith("sf.plan(result, C=1e+26)")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_fits_every_screen(open_tab, page, width, scheme):
    tab = open_tab(page, viewport={"width": width, "height": 844}, color_scheme=scheme, is_mobile=width < 500)
    assert tab.page.evaluate("() => document.documentElement.scrollWidth") <= width
    assert tab.page.is_visible("#answers") and tab.page.locator("#budget polyline").count() == 1
