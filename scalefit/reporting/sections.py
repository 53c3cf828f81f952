"""The sections of the page, each from the findings it shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit import _text as words
from scalefit._formula import math_ml
from scalefit.fitting.printing import parameter_rows
from scalefit.flops import QUANTITIES
from scalefit.plots.residuals import miss_label
from scalefit.reporting import figures
from scalefit.reporting.html import Markup, join, table, tag

if TYPE_CHECKING:
    from scalefit.optima.result import Optima
    from scalefit.reporting.findings import Findings

_PLANS = (
    "Plans: the lowest loss for 6 N D FLOP of training and 2 N FLOP per served token. By the forecast: its law with "
    "posterior draws, and loss intervals calibrated on other tables (sf.forecast). By the law alone: percentiles over "
    "the draws above."
)
_ISOFLOP = (
    "IsoFLOP optima: a parabola of the loss over ln N on each budget (approach 2 of Hoffmann et al. 2022), and a power "
    "law through their lowest points."
)
_MARKS = {"error": "✕", "warning": "!", "info": "i"}


def section(name: str, title: str, *children: Any, lead: str | None = None) -> Markup:
    """One section with its heading."""
    head = tag("h2", title, id=f"{name}-title")
    return tag(
        "section",
        head,
        None if lead is None else tag("p", lead, class_="lead"),
        *children,
        id=name,
        aria_labelledby=f"{name}-title",
    )


def why_not(reason: str) -> Markup:
    """The sentence in place of what a section cannot show."""
    return tag("p", reason, class_="absent")


class Absent(Markup):
    """A section that does not apply to the table: its title and the reason, for the fold at the end of the page."""

    __slots__ = ()


def absent(name: str, title: str, reason: str) -> Absent:
    """What stands in the place of a section that cannot be had from the table."""
    head = tag("h3", title, id=f"{name}-title")
    return Absent(tag("section", head, why_not(reason), id=name, aria_labelledby=f"{name}-title", class_="missing"))


def folded(missing: Sequence[Absent]) -> Markup:
    """Everything that the table does not give, with the reasons, in one fold."""
    opened = tag("summary", f"{words.several(len(missing), 'section')} that this table does not allow, and why")
    return section("absent", "Not in this report", tag("details", opened, *missing))


def formula(formula: str, values: Mapping[str, float] | None = None) -> Markup:
    """A formula as MathML, which browsers draw without script or font."""
    return Markup(math_ml(formula, values))


def law_formula(found: Findings) -> Markup:
    """The fitted law with its numbers; with its letters for what is not determined, or each series' own."""
    known = found.result.params.drop(list(found.result.certificate.undetermined), errors="ignore")
    values = {} if found.result.series else {str(name): float(value) for name, value in known.items()}
    return formula(found.result.law.formula, values)


def notes(found: Findings) -> Markup:
    """Every note, the most severe first, with what to do."""
    items = [
        tag(
            "li",
            tag("span", _MARKS[note.severity], class_="mark", aria_hidden="true"),
            tag(
                "div", tag("strong", f"{note.severity}, {what}: {note.code.replace('_', ' ')}"), tag("p", note.message)
            ),
            class_=note.severity,
        )
        for what, note in found.notes
    ]
    body = tag("ul", *items, class_="notes") if items else why_not("Nothing unusual was found in the table or the fit.")
    return section("notes", "Notes, and what to do", body)


def parameters(found: Findings) -> Markup:
    """Parameters with errors and intervals."""
    head, *rows = parameter_rows(found.result, found.level)
    shown = table(["parameter", *head[1:]], rows, "Parameters of the fitted law", words=(5,))
    strong = [f"{a} and {b}: {value:+.2f}" for a, b, value in found.result.correlations[:3] if abs(value) > 0.8]
    strong_line = (
        tag("p", f"Strong correlations: {'; '.join(strong)}. Read such parameters together.") if strong else None
    )
    formulas = [
        tag("p", formula(found.result.law.formula), class_="formula"),
        tag("p", law_formula(found), class_="formula"),
    ]
    return section("parameters", "The fitted law", *formulas, shown, strong_line)


def fit_figure(found: Findings) -> Markup:
    """Runs and law."""
    result = found.result
    sizes = found.columns.get("N")
    main = tag(
        "figure",
        figures.fit_figure(result, found.level, found.shown),
        figures.legend(sizes),
        tag("figcaption", "Runs and the law. Hover over a run, or focus the figure and press the arrow keys."),
    )
    return section("fit", "The runs and the law", main)


def residuals(found: Findings) -> Markup:
    """Residuals and profiles."""
    result = found.result
    rest = [tag("div", figure, class_="plot") for figure in figures.residual_figures(result, found.shown)]
    drawn = tag(
        "figure",
        tag("div", *rest, class_="pair"),
        tag("figcaption", "Residuals: a bend in the medians means that the law misfits; more runs will not remove it."),
    )
    profiles = [tag("div", figure, class_="plot") for figure in figures.profile_figures(result, found.level)]
    text = (
        f"Profiles: the objective along one parameter, with the others refitted; the {words.percent(found.level)} "
        f"interval is shaded. A flat profile means that the runs do not determine its parameter."
    )
    profiled = (
        tag("figure", tag("div", *profiles, class_="few"), tag("figcaption", text))
        if profiles
        else why_not("Profiles are not available with several series or expression constraints.")
    )
    return section("residuals", "Residuals and profiles", drawn, profiled)


def isoflop(found: Findings, unit: str) -> Markup:
    """IsoFLOP curves, or why the table gives none."""
    title = "IsoFLOP curves"
    if isinstance(found.isoflop, str):
        return absent("isoflop", title, found.isoflop)
    from scalefit.optima.result import isoflop_data

    optima = found.isoflop
    low, high = optima.interval(found.level).loc["exponent_N"].to_numpy(float)
    rows = [
        (
            words.power(row["C"]),
            words.count(row["N"]),
            words.count(row["D"]),
            f"{row['D'] / row['N']:.3g}",
            f"{row['loss']:.4f}",
            row["n_runs"],
        )
        for row in optima.optima.to_dict("records")
    ]
    head = ("budget [FLOP]", "best N", "best D", "D / N", "loss", "runs")
    text = (
        "Directly from the runs, without the fitted law: the best size grows as C to the power "
        f"{optima.exponent_N:.3f} "
        f"({words.percent(found.level)}: {low:.3f} to {high:.3f})."
    )
    drawn = tag("figure", figures.isoflop_figure(isoflop_data(optima), _numbers(optima, found), unit))
    remarks = [tag("li", note.message) for note in optima.notes]
    return section(
        "isoflop",
        title,
        drawn,
        table(head, rows, "Optima of the budgets"),
        tag("ul", *remarks, class_="remarks") if remarks else None,
        lead=text,
    )


def _numbers(optima: Optima, found: Findings) -> list[list[int | None]]:
    """Place among the runs shown of the run behind each point, by budget; None where it is not shown."""
    number = {label: i for i, label in enumerate(found.result.row_labels[found.shown].tolist())}
    return [[number.get(labels[0]) for labels in curve.labels] for curve in optima.curves]


def comparison(found: Findings) -> Markup:
    """Laws with their errors on the runs of the largest compute, which they did not see."""
    title, frame = "Other laws on the same runs", found.comparison
    if isinstance(frame, str):
        return absent("comparison", title, frame)
    keys = [key for key in _COMPARED if key in frame.columns]
    rows = []
    for row in frame.to_dict("records"):
        here = tag("span", "this report", class_="badge") if row["law"] == found.result.law.name else None
        rows.append((join([row["law"], " ", here]), *(_COMPARED[key][1](float(row[key])) for key in keys)))
    remark = tag(
        "p",
        "Each law was fitted to the runs of less compute and predicted those of more. Behind: how much larger its "
        "error is than that of the best law, in standard errors. Coverage: the share of those runs inside its "
        f"intervals, at best {words.percent(found.level)}.",
        class_="remark",
    )
    return section(
        "comparison",
        title,
        table(["law", *(_COMPARED[key][0] for key in keys)], rows, "Errors on held-out runs, best law first"),
        remark,
        lead=str(frame.attrs.get("verdict", "")) or None,
    )


def _percent(value: float) -> str:
    return "–" if np.isnan(value) else f"{100 * value:.3g} %"


_COMPARED: dict[str, tuple[str, Callable[[float], str]]] = {
    "mean_relative_error": ("mean error", _percent),
    "bias": ("bias", lambda value: "–" if np.isnan(value) else f"{100 * value:+.2f} %"),
    "rmse": ("rmse", words.loss),
    "coverage": ("coverage", _percent),
    "interval_score": ("interval score", words.loss),
    "gap": ("behind", lambda value: "–" if np.isnan(value) else f"{value:.1f} se"),
}


def floor(found: Findings) -> Markup:
    """The associative-memory floor of the planned run."""
    title = "Associative-memory floor of the planned run"
    if isinstance(found.floor, str):
        return absent("floor", title, found.floor)
    limit, shape = found.floor
    rows = [
        ("shape", f"{shape.n_layers} layers, d_emb {shape.d_emb}, T_max {shape.T_max}, vocabulary {shape.vocab_size}"),
        ("loss allowed", limit.allowed),
        ("loss at the largest Z", f"{limit.loss_at_z_upper:.4g} nat/token"),
        ("regime", limit.regime.replace("_", " ")),
        ("balanced tokens", f"{words.count(limit.balanced_tokens)} for this shape"),
        ("a memoriser's loss", f"{limit.memoriser_loss:.4g} nat/token at least"),
    ]
    assumed = tag("details", tag("summary", "What this assumes"), tag("ul", *(tag("li", a) for a in limit.assumptions)))
    return section(
        "floor",
        title,
        table(("quantity", "value"), rows, "Floor of the planned run", words=(1,)),
        assumed,
        lead="A hypothesis of Niu et al. (2024). Do not plan with it: public runs have gone below it.",
    )


def runs_table(found: Findings) -> Markup:
    """Every run behind the fit, for those who read numbers rather than points."""
    result, columns = found.result, found.columns
    from scalefit.fitting.intervals import misses_of

    (miss, unit), loss = misses_of(result), result.problem.loss
    forms: dict[str, Callable[[float], str]] = dict.fromkeys(columns, "{:.4g}".format)
    forms |= {"N": words.count, "D": words.count, "C": words.power}
    inputs = [key for key in (*QUANTITIES, *result.law.inputs) if key in columns]
    inputs = list(dict.fromkeys(inputs))
    form = "{:+.2f} %" if unit == "%" else "{:+.2g}"
    rows = [
        (
            found.names[i],
            result.row_labels[i],
            *(forms[key](float(columns[key][i])) for key in inputs),
            f"{loss[i]:.4f}" if unit == "%" and loss[i] > 0.1 else f"{loss[i]:.4g}",
            form.format(miss[i]),
        )
        for i in found.shown
    ]
    head = ("run", "row", *inputs, result.target.label(), miss_label(unit))
    some = "" if len(rows) == result.n_runs else f" of {result.n_runs}, evenly spaced by loss"
    opened = tag("details", tag("summary", f"Show {len(rows)} runs{some}"), table(head, rows, "Runs of the fit"))
    return section("runs", "The runs", opened)


def methods(found: Findings, about: dict[str, str]) -> Markup:
    """How the numbers came about, and what to cite."""
    result = found.result
    problem = result.problem
    errors = (
        f"percentiles of {result.resamples.shape[0]} case resamples, each refitted"
        if result.resamples is not None
        else "robust (sandwich) errors with Student's t"
    )
    sentences = [
        f"Fit: {problem.objective.named(problem.law.target.name)}, objective "
        f"{result.objective_value:.6g} at the optimum; seed {result.seed}.",
        f"Intervals of parameters: {errors}. Intervals of predictions are for a new run: the law's uncertainty and the "
        f"scatter of runs around it, added in quadrature. Level: {words.percent(found.level)} throughout.",
        *([] if isinstance(found.plans, str) else [_PLANS]),
        *([] if isinstance(found.isoflop, str) else [_ISOFLOP]),
        f"Verdict: {found.verdict}. A fit is not trusted if the search did not converge, the "
        "objective has no minimum there, the runs cannot separate parameters, or the law leaves most of what was "
        "measured unexplained.",
    ]
    facts = tag("dl", *(join([tag("dt", key), tag("dd", value)]) for key, value in about.items()), class_="facts")
    cite = tag("details", tag("summary", "BibTeX"), tag("pre", result.cite(), tabindex="0"), open=True)
    return section("methods", "Methods and citations", tag("ul", *(tag("li", s) for s in sentences)), facts, cite)
