"""sf.report: a self-contained page about a table of runs."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any, Literal

from scalefit._arguments import check_count, check_level, check_mapping, check_quantity, multiple_of_largest, one_of
from scalefit._calls import explained, unknown_argument
from scalefit.errors import ArgumentError, DataError, Note, arg, note_record
from scalefit.fitting.fit import fit
from scalefit.fitting.intervals import misses_of
from scalefit.fitting.result import FitResult
from scalefit.flops import FORWARD, QUANTITIES, TRAIN, counted
from scalefit.laws import get
from scalefit.reporting import sections
from scalefit.reporting.beside import Found, find_beside
from scalefit.reporting.findings import Findings, find, or_why
from scalefit.reporting.html import Markup, Page, csp_hash, join, json_text, tag, text
from scalefit.reporting.planning_sections import minimum_loss, next_runs, payload, plan_table, planner
from scalefit.reporting.verdict import summary
from scalefit.tables.runs import read_for_fit
from scalefit.tables.series import names_of_series, runs_of, several_series

if TYPE_CHECKING:
    import pandas as pd

#: Draws in the page: what sf.plan uses, so that both compute the same intervals.
DRAWS = 500
_POLICY = (
    "default-src 'none'; img-src data:; style-src {style}; script-src {script}; base-uri 'none'; form-action 'none'"
)


@dataclass(frozen=True, slots=True, eq=False)
class Report(Page):
    """A page about a table of runs; made by :func:`scalefit.report`.

    Attributes
    ----------
    html : str
        The page.
    result : FitResult
        The fit behind the page, with the bootstrap draws that its planner uses.
    verdict : str
        Whether to trust it: ``yes``, ``with care`` or ``NO``, and why, by the notes on fit, forecast and plan.
    notes : tuple of Note
        Those notes, the most severe first.
    """

    result: FitResult
    verdict: str
    notes: tuple[Note, ...] = ()

    @property
    def trusted(self) -> bool:
        """Whether the fit can be trusted."""
        return self.result.trusted

    def __repr__(self) -> str:
        return f"<Report of {self.result.n_runs} runs, {len(self.html):,} characters>"


@explained
def report(
    runs: str | Path | pd.DataFrame | Mapping[str, Any],
    path: str | Path | None = None,
    *,
    law: Any = "chinchilla",
    title: str | None = None,
    budget: float | str | None = None,
    at: Mapping[str, float | str] | None = None,
    only: str | None = None,
    by: Literal["pool"] | None = None,
    level: float = 0.9,
    seed: int = 0,
    columns: Mapping[str, str | float] | None = None,
    inputs: Mapping[str, str | float] | None = None,
    **options: Any,
) -> Report:
    """Fit a law to a table of runs and write a full report on it as one HTML page.

    The page needs no network and no other file. It holds the verdict in words, the planned run by the calibrated
    forecast, the fit with its residuals and profiles, a planner that computes in the page what :func:`scalefit.plan`
    computes, plans for a range of budgets, isoFLOP curves, other laws on held-out runs, the planned run by published
    laws, its associative-memory floor, notes, methods and citations; and recipes, swept settings and accuracies on
    tasks if the table has them. If a table does not allow a section, the page says why.

    Parameters
    ----------
    runs : path, DataFrame, or mapping of columns
        Finished runs, as :func:`scalefit.read_runs` reads or returns them: N [parameters], D [tokens], loss.
    path : str or Path, optional
        Where to write the page; :meth:`Report.save` does it later.
    columns, inputs : mapping, optional
        Columns by name, ``columns={"N": "params_total"}``, and what else the law reads,
        ``inputs={"n_experts": "config.moe.n"}``; as :func:`scalefit.read_runs` takes them.
    law : str or type of Law
        Law to fit.
    title : str, optional
        Title of the page; by default the name of the table.
    budget : float or str, optional
        Compute of the planned run [FLOP]; by default ten times that of the largest run.
    at : mapping, optional
        Values of what the law reads beside N and D, for the planned runs: ``at={"n_experts": 8}``. Without them a law
        of such inputs has no plans.
    only : str, optional
        Label of the series to report on, if the table holds several.
    by : {"pool"}, optional
        Fit several series as one.
    level : float
        Coverage of every interval.
    seed : int
        Seed of the bootstrap.
    **options
        Further options of :func:`scalefit.fit`: ``objective``, ``delta``, ``on``, ``overestimate_penalty``,
        ``quantile``, ``weights``, ``fixed``, ``tied``, ``bounds``, ``prior``, ``n_starts``.

    Returns
    -------
    Report

    Raises
    ------
    DataError
        The table cannot be read, or has no usable row.
    FitError
        The law cannot be fitted to these runs; no page is made.
    ArgumentError
        An argument that is not allowed, or several series without `only` or `by`.

    Examples
    --------
    >>> import numpy as np, scalefit as sf
    >>> N, D = (a.ravel() for a in np.meshgrid(np.geomspace(1e8, 4e9, 5), np.geomspace(2e9, 2e11, 5)))
    >>> noise = np.random.default_rng(0).normal(0, 0.002, N.size)
    >>> loss = sf.published("chinchilla", "besiroglu2024").predict(N=N, D=D) * np.exp(noise)
    >>> page = sf.report({"N": N, "D": D, "loss": loss}, title="A grid")
    >>> page.trusted, "<title>A grid</title>" in page.html
    (True, True)
    """
    level, seed = check_level(level), check_count("seed", seed, least=0)
    _check_options(options)
    if title is not None and not isinstance(title, str):
        raise ArgumentError(f"{arg('title', title)} is not text", "no page was made", "Pass a string")
    held = check_mapping("at", at, "{'n_experts': 8}") if at else {}
    compute = budget if multiple_of_largest(budget) is not None or budget is None else check_quantity("budget", budget)
    declared = get(law[0] if isinstance(law, list | tuple) and law else law).reads()
    known = "scalefit" in getattr(runs, "attrs", {}) and not columns and not inputs  # what was read before
    read: Any = runs if known else read_for_fit(runs, columns=columns, inputs=inputs, declared=declared)
    table = _one_series(read, only, by)
    found = find(table, law, level=level, budget=compute, draws=DRAWS, seed=seed, at=held, options=options)
    source = _source(runs) + (f", {only}" if only is not None else "")
    beside = find_beside(table, level, or_why)
    page = _page(found, beside, title or f"Scaling report: {source}", source)
    made = Report(page, found.result, found.verdict, tuple(note for _, note in found.notes))
    if path is not None:
        made.save(path)
    return made


def _check_options(options: Mapping[str, Any]) -> None:
    """Refuse an option that fits do not have, with the argument of a report that is near it."""
    there = [name for call in (report, fit) for name in inspect.signature(call).parameters if name != "options"]
    for name in options:
        if name not in there:
            raise unknown_argument("report", name, there)


def _one_series(table: pd.DataFrame, only: str | None, by: str | None) -> pd.DataFrame:
    """The rows of one series, or of all as one; without the column, so that no part meets several."""
    if not one_of(by, (None, "pool")):
        raise ArgumentError(
            f"{arg('by', by)} does not make one law of several series, and a page is about one law",
            "no page was made",
            f"Pass {arg('by', 'pool')}, or {arg('only')} for one series at a time",
        )
    labels = names_of_series(table)
    if only is not None:
        table = runs_of(table, only)
    elif len(labels) > 1 and by is None:
        raise several_series(
            DataError,
            labels,
            "no page was made",
            f"on all as one, {arg('by', 'pool')}",
            one=f"report on one, {arg('only', labels[0])}",
        )
    if not table.index.is_unique:
        table = table.reset_index(drop=True)  # rows are known by their labels
    return table.drop(columns="series", errors="ignore")


def _source(runs: Any) -> str:
    """What the table is called."""
    if isinstance(runs, str | Path):
        return Path(runs).name
    return str(dict(getattr(runs, "attrs", {}).get("scalefit", {})).get("source", "the table"))


def _page(found: Findings, beside: tuple[Found, ...], title: str, source: str) -> str:
    from scalefit import __version__

    result, stated = found.result, dict(found.result.conventions or {})
    target = result.target
    unit = target.unit.replace("-", "")
    sizes = [counted(stated), f"C is {stated.get('flops', '6ND')}"] if "C" in found.columns else []
    about = {
        "made with": f"scalefit {__version__}",
        "table": f"{source}, {result.n_runs} runs, data {result.data_digest}",
        "conventions": "; ".join([*sizes, f"losses in {unit}" if target.of_loss else target.label()]),
    }
    parts = {
        "verdict": ("Verdict", summary(found)),
        "fit": ("Fit", sections.fit_figure(found)),
        "planner": ("Planner", planner(found)),
        "plans": ("Budgets", plan_table(found)),
        "notes": ("Notes", sections.notes(found)),
        "next": ("Next runs", next_runs(found)),
        **{one.kind.key: (one.kind.title, one.section(found.headline, found.level)) for one in beside},
        "parameters": ("Parameters", sections.parameters(found)),
        "residuals": ("Residuals", sections.residuals(found)),
        "isoflop": ("IsoFLOP", sections.isoflop(found, unit)),
        "comparison": ("Other laws", sections.comparison(found)),
        "minimum": ("Least loss", minimum_loss(found)),
        "floor": ("Floor", sections.floor(found)),
        "runs": ("Runs", sections.runs_table(found)),
        "methods": ("Methods", sections.methods(found, about)),
    }
    missing = [part for _, part in parts.values() if isinstance(part, sections.Absent)]
    held = {key: part for key, part in parts.items() if part[1] not in missing}
    if missing:
        held["absent"] = ("Not given", sections.folded(missing))
    subtitle = [result.law.name, ": ", sections.law_formula(found), f" · {result.n_runs} runs"]
    numbers = {"made_with": f"scalefit {__version__}", "table": about["table"], **_numbers(found)}
    data = {
        "runs": _runs(found),
        "planner": payload(found),
        "target": target.name,
        "unit": unit,
        "relative": misses_of(result)[1] == "%",
        "numbers": numbers,
    }
    return whole_page(
        title,
        join(subtitle),
        {key: name for key, (name, _) in held.items()},
        join(part for _, part in held.values()),
        _script(found),
        data,
    )


def whole_page(
    title: str, subtitle: Markup, contents: Mapping[str, str], body: Markup, script: str, data: Mapping[str, Any]
) -> str:
    """A page that needs nothing but itself: its style, script and data stand in it, and its policy allows no other."""
    from scalefit import __version__

    style = _asset("page.css")
    return Template(_asset("page.html")).substitute(
        policy=text(_POLICY.format(style=csp_hash(style), script=csp_hash(script))),
        generator=text(f"scalefit {__version__}"),
        title=text(title),
        subtitle=subtitle,
        contents=join(tag("a", name, href=f"#{key}") for key, name in contents.items()),
        body=body,
        footer=text(f"Made with scalefit {__version__}. This page does not use the network."),
        style=style,
        script=script,
        data=json_text(data),
    )


def _numbers(found: Findings) -> dict[str, Any]:
    """What the page says, for programs: parameters with intervals, the planned run, plans by budget."""
    result, interval = found.result, found.result.conf_int(found.level)
    plans = [] if isinstance(found.plans, str) else found.plans
    ahead = [] if isinstance(found.ahead, str) else found.ahead
    keys = ("asked", "N", "D", "loss", "lower", "upper", "N_interval", "D_interval")
    return {
        "law": result.law.name,
        "formula": result.law.formula,
        "n_runs": result.n_runs,
        "trusted": result.trusted,
        "verdict": found.verdict,
        "forecast": found.forecast if isinstance(found.forecast, str) else {"trusted": found.forecast.trusted},
        "level": found.level,
        "params": {
            str(name): {"value": value, "lower": low, "upper": high}
            for (name, value), (low, high) in zip(result.params.items(), interval.to_numpy(float), strict=True)
        },
        "planned": found.planned if isinstance(found.planned, str) else found.planned.asked,
        "plans": [
            {"by": by, **{key: getattr(plan, key) for key in keys}}
            for by, several in (("forecast", ahead), ("law", plans))
            for plan in several
        ],
        "notes": [{"on": what, **note_record(note)} for what, note in found.notes],
    }


def _script(found: Findings) -> str:
    """All scripts in one: the laws, the planner's arithmetic, the page, the controls."""
    return page_script({} if isinstance(found.planner, str) else found.planner)


def page_script(models: Mapping[str, Any], *more: str) -> str:
    """Laws of the models, and the scripts that every page has."""
    scripts = {name: source for model in models.values() for name, source in model["scripts"].items()}
    laws = ",\n".join(f"{name}: {source}" for name, source in scripts.items())
    costs = f"const TRAIN = {TRAIN:g}, SERVE = {FORWARD:g}; // FLOP per parameter and token"
    parts = [f"const LAWS = {{\n{laws}\n}};", costs, *map(_asset, ("planner.js", "page.js", "controls.js")), *more]
    return '"use strict";\n(() => {\n' + "\n".join(parts) + "})();\n"


def _runs(found: Findings) -> dict[str, Any]:
    """The runs as the page's hover reads them."""
    loss, (miss, unit) = found.result.problem.loss, misses_of(found.result)
    keys = dict.fromkeys((*QUANTITIES, *found.result.law.inputs))
    columns: dict[str, Any] = {key: found.columns[key] for key in keys if key in found.columns}
    columns |= {"loss": loss, "predicted": loss * (1 + miss / 100) if unit == "%" else loss + miss}
    return {"name": [found.names[i] for i in found.shown], **{key: v[found.shown] for key, v in columns.items()}}


def _asset(name: str) -> str:
    return files("scalefit.reporting").joinpath(name).read_text(encoding="utf-8")
