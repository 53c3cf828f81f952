"""The sections that look ahead: the planner's controls and data, plans by budget, runs that would teach most."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit import _text as words
from scalefit.reporting.findings import Findings
from scalefit.reporting.html import Markup, join, table, tag
from scalefit.reporting.planner_data import LEVELS
from scalefit.reporting.sections import absent, section

if TYPE_CHECKING:
    from scalefit.planning.result import Plan

_STEP = 0.01  # of log10


def planner(found: Findings) -> Markup:
    """Sliders and answers, or why there are none."""
    if isinstance(found.planned, str) or isinstance(found.planner, str):
        return absent("planner", "Planner", str(found.planner))
    lead = "The lowest loss for a budget of training and serving, as sf.plan computes it. Nothing is sent anywhere."
    if found.planned.at:
        lead += f" Held: {held_inputs(found.planned)}."
    switch = _switch(found)
    return planner_markup(switch, sorted({*LEVELS, found.level}), found.level, _ranges(found, found.planned), lead)


def held_inputs(plan: Plan) -> str:
    """What a plan holds of the law's other inputs, in words."""
    return ", ".join(f"{name} at {value:.4g}" for name, value in plan.at.items())


_SOURCES = {"forecast": "calibrated forecast", "law": "fitted law alone"}


def _switch(found: Findings) -> Markup:
    """Forecast or law; the forecast is chosen where there is one."""
    names = [name for name in _SOURCES if name in found.planner]
    choices = [
        tag(
            "label",
            tag("input", type="radio", name_="model", value=name, checked=i == 0),
            f" {_SOURCES[name]}" if name == "forecast" else f" {_SOURCES[name]} ({found.result.law.name})",
        )
        for i, name in enumerate(names)
    ]
    return tag("fieldset", tag("legend", "Predict with"), *choices, id="model", class_="switch")


def planner_markup(
    chooser: Markup, levels: Sequence[float], level: float | None, spans: Mapping[str, tuple[float, float]], lead: str
) -> Markup:
    """The planner's section: answers, then controls, then what else is known of the plan.

    Parameters
    ----------
    chooser : Markup
        What predicts: an element ``#model`` with a value, or with radio buttons.
    levels : sequence of float
        Levels of the intervals on offer; none where there are no intervals.
    level : float or None
        The one chosen.
    spans : mapping
        Ends of the sliders ``C``, ``inference``, ``unique`` [log10].
    lead : str
        What the section is.
    """
    chosen = [_option(share, share == level) for share in levels] or [_option(0.9, True)]
    row = tag(
        "div", tag("label", "Level of the intervals", for_="level"), tag("select", *chosen, id="level"), class_="row"
    )
    controls = tag(
        "div",
        chooser,
        _control("C", "Compute [FLOP]", "training and serving together; such as 1e24", spans["C"], "", ""),
        _control(
            "inference", "Inference tokens", "tokens to be served: none, or such as 5T", spans["inference"], "none", ""
        ),
        _control(
            "unique", "Unique tokens", "distinct training tokens: unlimited, or 200B", spans["unique"], "", "unlimited"
        ),
        tag("div", row, class_="control", hidden=not levels),
        tag("p", tag("button", "Reset", type="button", id="reset")),
        class_="controls",
        role="group",
        aria_label="What to plan for",
    )
    answers = tag(
        "dl",
        *(_answer(key, text) for key, text in (("N", "Parameters N"), ("D", "Tokens D"), ("loss", "Loss"))),
        class_="answers",
        id="answers",
    )
    drawn = tag("svg", id="budget", viewBox="0 0 560 300", role="img", aria_label="Loss over size at this budget")
    code = tag("pre", tag("code", id="call"), tabindex="0", aria_label="The same plan in Python")
    shown = tag(
        "div",
        tag("p", id="planner-facts"),
        tag("ul", id="planner-notes"),
        tag("div", drawn, class_="plot"),
        tag("p", id="flat", class_="remark"),
        tag("details", tag("summary", "The same in Python"), code),
        tag("p", id="spoken", class_="unseen", role="status", aria_live="polite"),
        id="shown",
    )
    none = tag("noscript", tag("p", "The planner needs JavaScript; the table below does not.", class_="absent"))
    text = tag("div", answers, tag("p", id="unread", class_="wrong", role="alert"), class_="answered")
    return section("planner", "Planner", none, tag("div", text, controls, shown, class_="planner"), lead=lead)


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
    return {"models": without_scripts(found.planner), "start": {"C": found.planned.asked}}


def without_scripts(models: Mapping[str, Any]) -> dict[str, Any]:
    """Models as data."""
    return {name: {k: v for k, v in model.items() if k != "scripts"} for name, model in models.items()}


def _option(level: float, chosen: bool) -> Markup:
    return tag("option", words.percent(level), value=repr(level), selected=chosen)


def _control(key: str, label: str, hint: str, span: tuple[float, float], first: str, last: str) -> Markup:
    ends = (first or words.power(10 ** span[0], 1), last or words.power(10 ** span[1], 1))
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
        tag("p", *(tag("span", end) for end in ends), class_="ends", aria_hidden="true"),
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
    title = "What a budget buys"
    if isinstance(found.plans, str) or isinstance(found.planned, str):
        return absent("plans", title, str(found.plans))
    planned, seen = found.planned.asked, float(found.columns["C"].max())
    lead = "The lowest loss for each training budget, by the calibrated forecast."
    by_law, head = {plan.asked: plan for plan in found.plans}, ["loss", "loss by the law alone"]
    shown = found.plans if isinstance(found.ahead, str) else found.ahead
    if isinstance(found.ahead, str):
        lead, head = "The lowest loss for each training budget, by the fitted law.", ["loss"]
    rows = []
    for plan in shown:
        here = tag("span", "planned", class_="badge") if plan.asked == planned else None
        losses = [plan] if isinstance(found.ahead, str) else [plan, by_law[plan.asked]]
        rows.append(
            [
                join([words.power(plan.asked), " ", here]),
                words.times(plan.asked / seen),
                _with(words.count(plan.N), plan.N_interval, words.count),
                _with(words.count(plan.D), plan.D_interval, words.count),
                f"{plan.tokens_per_param:.3g}",
                *(_with(words.loss(one.loss), (one.lower, one.upper), words.loss) for one in losses),
            ]
        )
    head = ["budget [FLOP]", "of the largest run", "parameters N", "tokens D", "D / N", *head]
    caption = f"Plans by budget, with {words.percent(found.level)} intervals"
    text = "Beyond three times the largest run, the law's intervals assume that its form is right, which is untested. "
    if isinstance(found.ahead, str):
        text += f"The true uncertainty is larger. No calibrated forecast: {found.ahead}"
    else:
        text += "Quote the forecast: its intervals are calibrated on such jumps on public tables."
    return section("plans", title, table(head, rows, caption), tag("p", text, class_="remark"), lead=lead)


def _with(value: str, between: tuple[float | None, float | None] | None, form: Any) -> Markup:
    if between is None or between[0] is None:
        return tag("span", value)
    return join([value, tag("small", words.between(*between, form), class_="interval")])


def next_runs(found: Findings) -> Markup:
    """Runs that determine the planned run's loss best, for no more compute than the largest run took."""
    title = "Runs that would teach most"
    if isinstance(found.next_runs, str):
        return absent("next", title, found.next_runs)
    frame = found.next_runs
    rows = [
        (str(i), words.count(row["N"]), words.count(row["D"]), words.power(row["C"]), f"{100 * row['gain']:.2g} %")
        for i, row in enumerate(frame.to_dict("records"), start=1)
    ]
    head = ("run", "parameters N", "tokens D", "C [FLOP]", "variance it removes")
    design = frame.attrs["design"]
    less = 1 - design["sd_after"] / design["sd_before"]
    lead = (
        f"For at most the compute of the largest run, these runs reduce the uncertainty of the planned run most: "
        f"the standard deviation of its loss falls by {100 * less:.2g} %."
    )
    return section("next", title, table(head, rows, "Next runs, in the order to train"), lead=lead)


def minimum_loss(found: Findings) -> Markup:
    """What every published law says of the planned run, beside the fit's and the floor."""
    title = "Least loss of the planned run, by law"
    if isinstance(found.minimum_loss, str):
        return absent("minimum", title, found.minimum_loss)
    least = found.minimum_loss
    rows = [
        (
            f"{row['law']} {row['constants']}".strip(),
            f"{row['loss']:.4g}",
            "–" if np.isnan(row["lower"]) else words.between(row["lower"], row["upper"], lambda v: f"{v:.4g}"),
            "yes" if row["holds_here"] else "no",
            row["range"],
        )
        for row in least.table.to_dict("records")
    ]
    head = ("law", "loss [nat/token]", f"{words.percent(least.level)} interval", "holds here", "what its runs covered")
    caption = (
        f"Least loss of {words.count(least.plan['N'])} parameters, {least.plan['n_layers']:g} layers, "
        f"{least.plan['d_emb']:g} wide, on {words.count(least.plan['D'])} tokens"
    )
    return section("minimum", title, table(head, rows, caption, words=(3, 4)), lead=least.verdict)
