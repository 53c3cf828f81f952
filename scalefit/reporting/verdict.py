"""The top of the page: whether to believe the fit, what to train, and the numbers that people come for."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit import _text as words
from scalefit.reporting.html import Markup, join, tag
from scalefit.reporting.planning_sections import held_inputs
from scalefit.reporting.sections import formula

if TYPE_CHECKING:
    from scalefit.planning.result import Plan
    from scalefit.reporting.findings import Findings


def summary(found: Findings) -> Markup:
    """The verdict in words, and the numbers that people come for."""
    result = found.result
    if not result.trusted:
        kind, mark, head = "bad", "✕", "Do not use this fit"
        text = f"{'; '.join(result.certificate.problems)}."
        text = text[0].upper() + text[1:] + " The numbers below help to find the cause; do not quote them."
    elif found.refused is not None:
        kind, mark, head = "care", "!", "No run is recommended"
        text = found.refused + (f" Also {_warned(found)}: read the notes." if found.doubts else "")
    elif found.doubts:
        kind, mark, head = "care", "!", f"Use with care: {_warned(found)}"
        text = "The search found the optimum, and the runs determine every parameter. "
        text += "Read the notes before you quote numbers."
    else:
        kind, mark, head = "good", "✓", "This fit can be used"
        text = "The search found the optimum, the runs determine every parameter, and nothing unusual was found."
    body = [tag("p", text), tag("p", _reach_sentence(found))]
    if not isinstance(found.headline, str):
        body.append(tag("p", _plan_sentence(found.headline, found)))
    card = tag(
        "div",
        tag("span", mark, class_="mark", aria_hidden="true"),
        tag("div", tag("h2", head, id="verdict-title"), *body),
        class_=f"verdict {kind}",
    )
    return tag("section", card, _tiles(found), _downloads(), id="verdict", aria_labelledby="verdict-title")


def _warned(found: Findings) -> str:
    """How many warnings are listed, and on what."""
    on = Counter(what for what, note in found.notes if note.severity == "warning")
    first, *rest = (f"{number} {{}}on the {what}" for what, number in on.items())
    word = "warning " if next(iter(on.values())) == 1 else "warnings "
    return ", ".join([first.format(word), *(part.format("") for part in rest)])


def _downloads() -> Markup:
    """Buttons that the page's script shows."""
    kinds = (("csv", "Runs as CSV"), ("json", "Numbers as JSON"))
    buttons = [tag("button", words_, type="button", id=f"get-{kind}") for kind, words_ in kinds]
    return tag("p", "Download: ", *buttons, class_="downloads", hidden=True)


def _reach_sentence(found: Findings) -> str:
    result, columns = found.result, found.columns
    spans = []
    for key, form, unit in (("N", words.count, "parameters"), ("D", words.count, "tokens"), ("C", words.power, "FLOP")):
        if key in columns:
            spans.append(f"{form(float(columns[key].min()))} to {form(float(columns[key].max()))} {unit}")
    c = result.certificate
    from scalefit.fitting.intervals import misses_of

    miss, unit = misses_of(result)
    within = f"{float(np.median(np.abs(miss))):.2g} {unit}".strip()
    reach = f", of {', '.join(spans)}" if spans else ""
    return (
        f"The law {result.law.name} was fitted to {result.n_runs} runs{reach}. {c.agreement} starts "
        f"ended at the same optimum; half of the runs are within {within} of the law."
    )


def _plan_sentence(plan: Plan, found: Findings) -> str:
    seen = float(found.columns["C"].max())
    ratio = plan.asked / seen
    where = f"{words.times(ratio)} the largest run" if abs(ratio - 1) > 0.01 else "that of the largest run"
    held = f", and {held_inputs(plan)}" if plan.at else ""
    beyond = " That is extrapolation." if ratio > 3 else ""
    begun = (
        f"With {words.power(plan.asked)} FLOP, {where}{held}, train {words.count(plan.N)} parameters on "
        f"{words.count(plan.D)} tokens, {plan.tokens_per_param:.3g} per parameter, and expect a loss of {_loss(plan)}"
    )
    if isinstance(found.planned, str) or isinstance(found.ahead, str):
        return f"{begun}.{beyond} There is no calibrated forecast: {found.ahead}"
    return (
        f"{begun}, by the calibrated forecast.{beyond} The fitted law alone says {_loss(found.planned)}, which assumes "
        "that its form is exactly right."
    )


def _loss(plan: Plan) -> str:
    if plan.lower is None:
        return f"{plan.loss:.3f}"
    return f"{plan.loss:.3f} ({words.percent(plan.level)}: {plan.lower:.3f} to {plan.upper:.3f})"


def _tiles(found: Findings) -> Markup | None:
    result, plan, level = found.result, found.headline, words.percent(found.level)
    tiles: list[tuple[str, Any, str]] = []
    if not isinstance(plan, str):
        by = "fitted law" if isinstance(found.ahead, str) else "calibrated forecast"
        span = "" if plan.lower is None else f"{level}: {plan.lower:.3f} to {plan.upper:.3f}"
        tiles.append((f"loss of the planned run, {by}", f"{plan.loss:.3f}", span))
    for name in ("E", "alpha", "beta"):
        if name in result.params.index:
            low, high = result.conf_int(found.level).loc[name].to_numpy(float)
            parameter = result.law.parameters[name]
            if name in result.certificate.undetermined:
                tiles.append((parameter.meaning, join([formula(name), " is not determined"]), ""))
                continue
            value = join([formula(name), f" = {result.params[name]:.3g}"])
            tiles.append((parameter.meaning, value, f"{level}: {low:.3g} to {high:.3g}"))
    if not isinstance(plan, str) and np.isfinite(plan.exponent_N):
        between = plan.exponent_N_interval
        span = "" if between is None else f"{level}: {between[0]:.2f} to {between[1]:.2f}"
        grows = join(["N* ∝ C", tag("sup", f"{plan.exponent_N:.2f}")])
        tiles.append(("growth of the best size with compute", grows, span))
    if not tiles:
        return None
    first = 0 if isinstance(plan, str) else 1
    cells = [
        tag(
            "div",
            tag("dt", meaning),
            tag("dd", value),
            tag("dd", span, class_="between"),
            class_="headline" if i < first else None,
        )
        for i, (meaning, value, span) in enumerate(tiles)
    ]
    return tag("dl", *cells, class_="tiles")
