"""The sections that look ahead: the planner's controls and data, plans by budget, runs that would teach most."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit import _text as words
from scalefit.reporting.findings import LEVELS, Findings
from scalefit.reporting.html import Markup, join, table, tag
from scalefit.reporting.sections import section, why_not

if TYPE_CHECKING:
    from scalefit.planning.result import Plan

_STEP = 0.01  # of log10


def planner(found: Findings) -> Markup:
    """Sliders and answers, or why there are none."""
    title = "Planner"
    if isinstance(found.planned, str) or isinstance(found.planner, str):
        return section("planner", title, why_not(str(found.planner)))
    spans = _ranges(found, found.planned)
    controls = tag(
        "div",
        _control("C", "Compute [FLOP]", "training and serving together; such as 1e24", spans["C"]),
        _control("inference", "Inference tokens", "tokens to be served: none, or such as 5T", spans["inference"]),
        _control("unique", "Unique tokens", "distinct training tokens: unlimited, or such as 200B", spans["unique"]),
        tag(
            "div",
            tag(
                "div",
                tag("label", "Level of the intervals", for_="level"),
                tag("select", *(_option(level, found.level) for level in sorted({*LEVELS, found.level})), id="level"),
                class_="row",
            ),
            class_="control",
        ),
        tag("button", "Reset", type="button", id="reset"),
        tag("p", "The same in Python:", class_="hint"),
        tag("pre", tag("code", id="call"), tabindex="0", aria_label="The same plan in Python"),
        class_="controls",
        role="group",
        aria_label="What to plan for",
    )
    answers = tag(
        "dl",
        *(_answer(key, said) for key, said in (("N", "Parameters N"), ("D", "Tokens D"), ("loss", "Loss"))),
        class_="answers",
        id="answers",
    )
    drawn = tag("svg", id="budget", viewBox="0 0 560 300", role="img", aria_label="Loss over size at this budget")
    shown = tag(
        "div",
        answers,
        tag("p", id="planner-facts"),
        tag("ul", id="planner-notes"),
        tag("div", drawn, class_="plot"),
        tag("p", id="flat", class_="remark"),
        tag("p", id="spoken", class_="unseen", role="status", aria_live="polite"),
    )
    lead = (
        "Lowest loss for a budget of training and serving, computed in this page from the fitted law and its bootstrap "
        "draws, as sf.plan computes it. Nothing is sent anywhere."
    )
    none = tag("noscript", tag("p", "The planner needs JavaScript; the table below does not.", class_="absent"))
    return section("planner", title, none, tag("div", controls, shown, class_="planner"), lead=lead)


def _ranges(found: Findings, plan: Plan) -> dict[str, tuple[float, float]]:
    """Ends of the sliders [log10]: around the largest run's compute, and around the planned run's tokens."""
    seen, planned = math.log10(float(found.columns["C"].max())), math.log10(plan.D)
    return {
        "C": (math.floor(seen) - 2.0, math.ceil(seen) + 5.0),
        "inference": (math.floor(planned) - 2.0, math.ceil(planned) + 5.0),
        "unique": (math.ceil(planned) - 2.0, math.ceil(planned) + 3.0),
    }


def payload(found: Findings) -> dict[str, Any] | None:
    """What the page's scripts read, without the laws' scripts."""
    if isinstance(found.planned, str) or isinstance(found.planner, str):
        return None
    kept = {key: value for key, value in found.planner.items() if key != "scripts"}
    return {**kept, "start": {"C": found.planned.asked}}


def _option(level: float, chosen: float) -> Markup:
    return tag("option", words.percent(level), value=repr(level), selected=level == chosen)


def _control(key: str, label: str, hint: str, span: tuple[float, float]) -> Markup:
    return tag(
        "div",
        tag(
            "div",
            tag("label", label, for_=key),
            tag(
                "input",
                type="text",
                id=f"{key}-typed",
                aria_label=f"{label}, typed",
                aria_describedby=f"{key}-hint",
                autocomplete="off",
                spellcheck="false",
            ),
            class_="row",
        ),
        tag("input", type="range", id=key, min=span[0], max=span[1], step=_STEP, aria_describedby=f"{key}-hint"),
        tag("p", hint, id=f"{key}-hint", class_="hint"),
        class_="control",
    )


def _answer(key: str, label: str) -> Markup:
    return tag(
        "div",
        tag("dt", label),
        tag("dd", tag("data", id=f"out-{key}", value=""), class_="big"),
        tag(
            "dd",
            "[",
            tag("data", id=f"out-{key}-lower", value=""),
            ", ",
            tag("data", id=f"out-{key}-upper", value=""),
            "]",
            class_="between",
        ),
    )


def plan_table(found: Findings) -> Markup:
    """Plans for a range of budgets."""
    title, lead = "What a budget buys", "Lowest loss that a training budget buys, by the fitted law."
    if isinstance(found.plans, str) or isinstance(found.planned, str):
        return section("plans", title, why_not(str(found.plans)))
    planned, seen = found.planned.asked, float(found.columns["C"].max())
    calibrated = {} if isinstance(found.forecasts, str) else {row["C"]: row for row in found.forecasts}
    rows = []
    for plan in found.plans:
        here = tag("span", "planned", class_="badge") if plan.asked == planned else None
        row: list[Any] = [
            join([words.power(plan.asked), " ", here]),
            words.times(plan.asked / seen),
            _with(words.count(plan.N), plan.N_interval, words.count),
            _with(words.count(plan.D), plan.D_interval, words.count),
            f"{plan.tokens_per_param:.3g}",
            _with(f"{plan.loss:.4f}", (plan.lower, plan.upper), words.loss),
        ]
        if calibrated:
            ahead = calibrated[plan.asked]
            row.append(_with(words.loss(ahead["loss"]), (ahead["lower"], ahead["upper"]), words.loss))
        rows.append(row)
    head = ["budget [FLOP]", "of the largest run", "parameters N", "tokens D", "D / N", "loss by the law"]
    caption = f"Plans by budget, with {words.percent(found.level)} intervals"
    said = "Beyond three times the largest run the law's intervals assume that its form holds, which is untested. "
    if calibrated:
        head.append("loss by sf.forecast")
        said += "sf.forecast's are as wide as such jumps have turned out to need on other tables: quote those."
    else:
        said += f"Read them as the least that is uncertain. No calibrated forecast: {found.forecasts}"
    return section("plans", title, table(head, rows, caption), tag("p", said, class_="remark"), lead=lead)


def _with(value: str, between: tuple[float | None, float | None] | None, form: Any) -> Markup:
    if between is None or between[0] is None:
        return tag("span", value)
    return join([value, tag("small", words.between(*between, form), class_="interval")])


def next_runs(found: Findings) -> Markup:
    """Runs that determine the planned run's loss best, for no more compute than the largest run took."""
    title = "Runs that would teach most"
    if isinstance(found.next_runs, str):
        return section("next", title, why_not(found.next_runs))
    frame = found.next_runs
    rows = [
        (str(i), words.count(row["N"]), words.count(row["D"]), words.power(row["C"]), f"{100 * row['gain']:.2g} %")
        for i, row in enumerate(frame.to_dict("records"), start=1)
    ]
    head = ("run", "parameters N", "tokens D", "C [FLOP]", "variance it removes")
    design = frame.attrs["design"]
    less = 1 - design["sd_after"] / design["sd_before"]
    lead = (
        f"For no more compute than the largest run took, these runs determine the planned run's loss best: "
        f"they lower the standard deviation of its loss by {100 * less:.2g} %."
    )
    return section("next", title, table(head, rows, "Next runs, in the order to train"), lead=lead)


def minimum_loss(found: Findings) -> Markup:
    """What every published law says of the planned run, beside the fit's and the floor."""
    title = "Least loss of the planned run, by law"
    if isinstance(found.minimum_loss, str):
        return section("minimum", title, why_not(found.minimum_loss))
    said = found.minimum_loss
    rows = [
        (
            f"{row['law']} {row['constants']}".strip(),
            f"{row['loss']:.4g}",
            "–" if np.isnan(row["lower"]) else words.between(row["lower"], row["upper"], lambda v: f"{v:.4g}"),
            "yes" if row["holds_here"] else "no",
            row["range"],
        )
        for row in said.table.to_dict("records")
    ]
    head = ("law", "loss [nat/token]", f"{words.percent(said.level)} interval", "holds here", "what its runs covered")
    caption = (
        f"Least loss of {words.count(said.plan['N'])} parameters, {said.plan['n_layers']:g} layers, "
        f"{said.plan['d_emb']:g} wide, on {words.count(said.plan['D'])} tokens"
    )
    return section("minimum", title, table(head, rows, caption, words=(3, 4)), lead=said.verdict)
