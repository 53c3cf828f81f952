"""The planner of published laws as one page: nothing to install, no table, no server."""

from __future__ import annotations

from collections.abc import Iterator

from scalefit import _text as words
from scalefit._formula import math_ml
from scalefit.errors import ArgumentError
from scalefit.laws import get, names, published
from scalefit.laws._published import PublishedLaw
from scalefit.planning.loss_surface import weighs_size_against_tokens
from scalefit.reporting.html import Markup, join, table, tag
from scalefit.reporting.planner_data import published_model
from scalefit.reporting.planning_sections import planner_markup, without_scripts
from scalefit.reporting.report import page_script, whole_page
from scalefit.reporting.sections import section

#: What the page starts with.
FIRST, BUDGET = ("chinchilla", "besiroglu2024"), 1e22
#: Ends of the sliders [log10].
_SPANS = {"C": (18.0, 28.0), "inference": (9.0, 17.0), "unique": (9.0, 15.0)}


def planning_laws() -> Iterator[tuple[str, PublishedLaw]]:
    """Published constants of every law of the loss that weighs size against tokens, by ``law:key``, the first first."""
    found = []
    for name in names():
        law = get(name)
        if weighs_size_against_tokens(law):
            found += [(name, constants.key) for constants in law.published]
    for name, key in sorted(found, key=lambda pair: pair != FIRST):
        one = published(name, key)
        if one.target.is_loss:  # the page is in one unit
            yield f"{name}:{key}", one


def published_page(title: str = "Plan with published laws") -> str:
    """The page, which computes what :func:`scalefit.plan` computes for published laws.

    Examples
    --------
    >>> page = published_page()
    >>> "chinchilla:besiroglu2024" in page, "<title>Plan with published laws</title>" in page
    (True, True)
    """
    laws, models = {}, {}
    for label, law in planning_laws():
        try:
            name, key = label.split(":")
            model = published_model(law, f"result = sf.published({name!r}, {key!r})", label.replace(":", "_"))
        except ArgumentError:  # its arithmetic cannot be translated
            continue
        laws[label], models[label] = law, model
    options = [tag("option", _title(label, law), value=label) for label, law in laws.items()]
    row = tag("div", tag("label", "Published law", for_="model"), class_="row")
    chooser = tag("div", row, tag("select", *options, id="model"), class_="control")
    lead = (
        "The lowest loss for a budget of training and serving, by a published law, as sf.plan computes it. Published "
        "laws have no intervals. Losses of different corpora and tokenizers cannot be compared."
    )
    body = join(
        [
            planner_markup(chooser, (), None, _SPANS, lead),
            section("laws", "The laws", table(*_table(laws), "Published constants of this page", words=(1, 2))),
        ]
    )
    data = {
        "planner": {"models": without_scripts(models), "start": {"C": BUDGET}},
        "target": "loss",
        "unit": "nat/token",
        "runs": None,
        "numbers": None,
    }
    subtitle = join(["Nothing to install: everything is computed on this page, and nothing is sent anywhere."])
    return whole_page(title, subtitle, {"planner": "Planner", "laws": "The laws"}, body, page_script(models), data)


def _title(label: str, law: PublishedLaw) -> str:
    corpus = f" ({law.constants.corpus.split(',')[0]})" if law.constants.corpus else ""
    return f"{label.replace(':', ', ')}{corpus}"


def _table(laws: dict[str, PublishedLaw]) -> tuple[tuple[str, ...], list[tuple[str | Markup, ...]]]:
    """Head and rows: what each law says, where from, and where its runs were."""
    rows: list[tuple[str | Markup, ...]] = []
    for label, law in laws.items():
        formula = Markup(math_ml(law.law.formula, law.constants.values))
        spans = [
            f"{key} {words.count(low)} to {words.count(high)}" for key, (low, high) in law.seen().items() if key in "ND"
        ]
        counted = law.constants.params.replace("_", "-")
        named = join([label.replace(":", ", "), tag("span", formula, class_="formula interval")])
        rows.append((named, law.constants.source, f"{', '.join(spans) or '–'}; {counted}"))
    return ("law", "source", "its runs, and what N counts"), rows
