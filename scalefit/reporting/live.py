"""sf.report_run: a self-contained page about a live run: its curve, the forecast of its end, and advice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scalefit import _text as words
from scalefit._arguments import check_level
from scalefit._calls import explained
from scalefit.errors import ArgumentError, ScalefitError, arg
from scalefit.plots.curves import Branch, MonitorFigure
from scalefit.reporting.figures import both
from scalefit.reporting.html import Markup, Page, join, table, tag
from scalefit.reporting.report import page_script, whole_page
from scalefit.reporting.sections import section, why_not
from scalefit.reporting.svg import Axis, Figure
from scalefit.schedules import Schedule
from scalefit.stopping.advice import Advice
from scalefit.stopping.monitor import Monitor

#: A cooldown from now is shown beside the plan: this share of the planned steps, where it ends before the plan does.
_COOLDOWN = 0.1
_POINTS = 600
_KINDS = {"continue": "good", "wait": "care", "cooldown_now": "care", "stop": "bad", "rollback": "bad"}
_MARKS = {"good": "✓", "care": "!", "bad": "✕"}
_PLAN = "plan"


@dataclass(frozen=True, slots=True, eq=False)
class RunReport(Page):
    """A page about a live run; made by :func:`scalefit.report_run`.

    Attributes
    ----------
    html : str
        The page.
    advice : Advice
        The advice on the page.
    """

    advice: Advice

    def __repr__(self) -> str:
        return f"<RunReport: {self.advice.action} at step {self.advice.step:g}, {len(self.html):,} characters>"


@explained
def report_run(
    monitor: Monitor,
    path: str | Path | None = None,
    *,
    title: str | None = None,
    what_if: Mapping[str, Schedule] | None = None,
    level: float = 0.9,
) -> RunReport:
    """Write an HTML page about a live run: verdict, curve with the forecast's band, comparison of schedules, advice.

    The page needs no network and no other file. Write it again to update it.

    Parameters
    ----------
    monitor : Monitor
        The run so far.
    path : str or Path, optional
        Where to write the page; :meth:`RunReport.save` does it later.
    title : str, optional
        Title of the page.
    what_if : dict of str to Schedule, optional
        Other schedules from here on; by default a cooldown that begins now.
    level : float
        Probability of the intervals.

    Returns
    -------
    RunReport

    Raises
    ------
    ArgumentError
        Not a monitor, a level outside (0, 1), `what_if` without schedules, or a schedule that ends before the latest
        step.

    Examples
    --------
    >>> import scalefit as sf
    >>> monitor = sf.Monitor(sf.RunPlan(schedule=sf.Schedule.wsd(20_000, warmup=500)))
    >>> for step in range(500, 10_001, 250):
    ...     monitor.update(step=step, val_loss=3.05 + 9 * step**-0.45)
    >>> page = sf.report_run(monitor, title="My run")
    >>> page.advice.action, "<title>My run</title>" in page.html
    ('continue', True)
    """
    if not isinstance(monitor, Monitor):
        raise ArgumentError(
            f"{arg('monitor', type(monitor).__name__)} is not a Monitor",
            "no page was made",
            "Pass the sf.Monitor of the run; sf.report makes the page of a table of finished runs",
        )
    level = check_level(level)
    if title is not None and not isinstance(title, str):
        raise ArgumentError(f"{arg('title', title)} is not text", "no page was made", "Pass a string")
    picture, advice = monitor.figure(_cooldown(monitor) if what_if is None else what_if, level), monitor.advise(level)
    made = RunReport(_page(monitor, picture, advice, title or "A live run"), advice)
    if path is not None:
        made.save(path)
    return made


def _cooldown(monitor: Monitor) -> dict[str, Schedule]:
    """A cooldown from the latest step, where one can be had before the planned end."""
    step, length = monitor.last_step, _COOLDOWN * monitor.plan.steps
    if not (step > 0 and step + length < monitor.plan.steps):
        return {}
    try:
        return {f"cool down over the next {length:,.0f} steps": monitor.plan.schedule.cooldown_from(step, length)}
    except ScalefitError:  # the rate is zero already
        return {}


def _page(monitor: Monitor, picture: MonitorFigure, advice: Advice, title: str) -> str:
    parts = {
        "verdict": ("Advice", _verdict(monitor, advice)),
        "curve": ("Curve", _curve(picture)),
        "ends": ("Schedules", _ends(picture)),
        "reasons": ("Reasons", _reasons(monitor, advice)),
        "floors": ("Floors", _floors(advice, picture.unit)),
        "run": ("The run", _facts(monitor, advice)),
    }
    held = {key: part for key, part in parts.items() if part[1] is not None}
    data = {
        "runs": {"step": picture.steps, f"loss [{picture.unit}]": picture.loss},
        "planner": None,
        "target": "loss",
        "unit": picture.unit,
        "numbers": advice.as_dict(),
    }
    done = f"step {max(advice.step, 0):,.0f}"
    done += f" of {monitor.plan.steps:,.0f}" if _end_known(monitor) else ""
    contents = {key: name for key, (name, _) in held.items()}
    return whole_page(title, join([done]), contents, join(part for _, part in held.values()), page_script({}), data)


def _end_known(monitor: Monitor) -> bool:
    """Whether a plan or the log says how long the run will be."""
    return not any(note.details.get("length_known") is False for note in monitor.notes)


def _verdict(monitor: Monitor, advice: Advice) -> Markup:
    kind = _KINDS[advice.action]
    head = f"{advice.action.replace('_', ' ').capitalize()}: the run is {_STATES.get(advice.state, advice.state)}"
    body = [tag("p", reason.text) for reason in advice.reasons[:1]]
    card = tag(
        "div",
        tag("span", _MARKS[kind], class_="mark", aria_hidden="true"),
        tag("div", tag("h2", head, id="verdict-title"), *body),
        class_=f"verdict {kind}",
    )
    tiles = []
    if advice.final is not None:
        final = advice.final
        span = f"{words.percent(final.level)}: {final.lower:.3f} to {final.upper:.3f}"
        where = "the planned end, step" if _end_known(monitor) else "twice the run so far, step"
        tiles.append((f"loss at {where} {final.step:,.0f}", f"{final.loss:.3f}", span))
    if advice.loss is not None:
        tiles.append(("loss now, smoothed", f"{advice.loss:.3f}", monitor.plan.loss_unit))
    unit = monitor.plan.loss_unit
    tiles += [(f"gain {name.replace('_', ' ')}", f"{value:.3g}", unit) for name, value in advice.gain.items()]
    cells = [
        tag("div", tag("dt", label), tag("dd", value), tag("dd", span, class_="between"), class_=_headline(i, advice))
        for i, (label, value, span) in enumerate(tiles)
    ]
    kinds = (("csv", "Curve as CSV"), ("json", "Advice as JSON"))
    buttons = [tag("button", label, type="button", id=f"get-{key}") for key, label in kinds]
    return tag(
        "section",
        card,
        tag("dl", *cells, class_="tiles") if cells else None,
        tag("p", "Download: ", *buttons, class_="downloads", hidden=True),
        id="verdict",
        aria_labelledby="verdict-title",
    )


_STATES = {
    "wait": "too young to judge",
    "plateau": "on a plateau",
    "spike": "in a spike",
    "second_descent": "in a second descent",
    "off_distribution": "unlike the runs that the forecast was tuned on",
}


def _headline(i: int, advice: Advice) -> str | None:
    return "headline" if i == 0 and advice.final is not None else None


def _curve(picture: MonitorFigure) -> Markup:
    """The logged curve, forecast paths with their bands, and floors."""
    if not len(picture.steps):
        return section("curve", "The curve", why_not("No loss was reported yet."))
    values = [picture.settled, *(np.concatenate([b.lower, b.upper]) for b in picture.branches)]
    values.append(np.array(list(picture.floors.values()), float))
    every = np.concatenate(values)
    every = every[np.isfinite(every)]
    pad = 0.05 * float(np.ptp(every)) + 1e-3
    low, high = float(every.min()) - pad, float(every.max()) + pad
    last = max([float(picture.steps[-1]), *(float(branch.steps[-1]) for branch in picture.branches)])
    x = Axis(0.0, 1.03 * max(last, 1.0), "step", write=lambda value: f"{value:,.0f}", about=5)
    y = Axis(low, high, f"loss [{picture.unit}]")
    drawn = both(lambda shape: _drawn(picture, Figure(x, y, "Loss over steps, with its forecast", right=86, **shape)))
    parts = [f"{_named(b)}: dashed" if b.name == _PLAN else f"{b.name}: dotted" for b in picture.branches]
    drawings = f" ({'; '.join(parts)})" if parts else ""
    caption = f"Logged losses and forecasts{drawings}; bands cover {words.percent(picture.level)}."
    return section("curve", "The curve", tag("figure", drawn, tag("figcaption", caption)))


def _drawn(picture: MonitorFigure, figure: Figure) -> Markup:
    y = figure.y
    for name, value in picture.floors.items():
        if y.low < value < y.high:
            figure.rule(y=value)
            figure.note(f"{name.replace('_', ' ')}: {value:.3f}", "bottom")
    for branch in picture.branches:
        low, high = np.clip(branch.lower, y.low, y.high), np.clip(branch.upper, y.low, y.high)
        figure.band(branch.steps, low, high, _painted(branch))
    thin = np.unique(np.linspace(0, len(picture.steps) - 1, min(len(picture.steps), _POINTS)).astype(int))
    inside = thin[(picture.loss[thin] >= y.low) & (picture.loss[thin] <= y.high)]
    figure.line(picture.steps[inside], picture.loss[inside], "run")
    for branch in picture.branches:
        figure.line(branch.steps, np.clip(branch.loss, y.low, y.high), _painted(branch))
        figure.mark(float(branch.steps[-1]), float(np.clip(branch.loss[-1], y.low, y.high)))
    figure.end_labels((float(b.steps[-1]), float(b.loss[-1]), f"{b.loss[-1]:.3f}") for b in picture.branches)
    return figure.render(description=f"{len(picture.steps)} losses, the latest {picture.loss[-1]:.4g} {picture.unit}.")


def _painted(branch: Branch) -> str:
    return "ahead" if branch.name == _PLAN else "instead"


def _named(branch: Branch) -> str:
    return "planned schedule" if branch.name == _PLAN else branch.name


def _ends(picture: MonitorFigure) -> Markup | None:
    """Where each schedule is expected to end."""
    if not picture.branches:
        return None
    rows = [
        (
            _named(one),
            f"{one.steps[-1]:,.0f}",
            f"{one.loss[-1]:.4f}",
            words.between(float(one.lower[-1]), float(one.upper[-1]), lambda value: f"{value:.4f}"),
        )
        for one in picture.branches
    ]
    head = ("schedule", "ends at step", f"loss [{picture.unit}]", f"{words.percent(picture.level)} interval")
    return section("ends", "Where it would end", table(head, rows, "Schedules from here on"))


def _reasons(monitor: Monitor, advice: Advice) -> Markup:
    """Every finding with its assumption, and what was noted of the log."""
    items = []
    for reason in advice.reasons:
        assumed = tag("p", f"Assumes: {reason.assumption}", class_="remark") if reason.assumption else None
        text = tag("div", tag("strong", reason.code.replace("_", " ")), tag("p", reason.text), assumed)
        items.append(tag("li", tag("span", "i", class_="mark", aria_hidden="true"), text, class_="info"))
    known = {reason.text for reason in advice.reasons}
    for note in (note for note in monitor.notes if note.message not in known):
        text = tag("div", tag("strong", f"{note.severity}: {note.code.replace('_', ' ')}"), tag("p", note.message))
        items.append(tag("li", tag("span", "!", class_="mark", aria_hidden="true"), text, class_=note.severity))
    body = tag("ul", *items, class_="notes") if items else why_not("Nothing unusual was found.")
    return section("reasons", "Why", body)


def _floors(advice: Advice, unit: str) -> Markup | None:
    """Losses that the run cannot, or should not, go below."""
    if not advice.floors:
        return None
    rows = [(name.replace("_", " "), f"{value:.4f}") for name, value in advice.floors.items()]
    lead = "For orientation: the advice never stops a run because of a floor."
    return section("floors", "Floors", table(("floor", f"loss [{unit}]"), rows, "Floors of this run"), lead=lead)


def _facts(monitor: Monitor, advice: Advice) -> Markup:
    """What was planned, and how the forecast was made."""
    plan = monitor.plan
    steps = f"{plan.steps:,.0f}" if _end_known(monitor) else "not known"
    known: dict[str, Any] = {"planned steps": steps, "schedule": plan.schedule.kind}
    for key, form in (("n_params", words.count), ("tokens_per_step", words.count), ("unique_tokens", words.count)):
        value = getattr(plan, key)
        if value is not None:
            known[key.replace("_", " ").replace("n params", "parameters")] = form(float(value))
    if advice.final is not None:
        known |= {"forecast": advice.final.method, "calibrated on": advice.final.calibrated_on}
        known["earlier runs of the recipe"] = str(advice.final.n_history)
    facts = tag("dl", *(join([tag("dt", key), tag("dd", value)]) for key, value in known.items()), class_="facts")
    return section("run", "The run and the method", facts)
