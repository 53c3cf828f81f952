"""Pages made at build time: one a law from the registry, the API from the public names, the experiments' verdicts.

Nothing here is edited by hand; the pages are written to ``docs/laws``, ``docs/experiments`` and ``docs/api.md``,
which git ignores.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import scalefit as sf

HERE = Path(__file__).parent
#: Chapters of the API page, by the module that defines a name.
CHAPTERS = (
    ("Tables and data sets", ("scalefit.tables", "scalefit.datasets")),
    ("Laws", ("scalefit.laws",)),
    ("Fitting", ("scalefit.fitting.fitter", "scalefit.fitting.result", "scalefit.fitting.saving")),
    ("Forecast and compare", ("scalefit.fitting.forecaster", "scalefit.fitting.comparison")),
    ("Planning", ("scalefit.planning",)),
    ("The associative memory", ("scalefit.memory",)),
    ("Live runs", ("scalefit.stopping",)),
    ("Report", ("scalefit.reporting",)),
    ("Errors and notes", ("scalefit.errors",)),
    ("Other names", ("scalefit",)),
)


#: Units of the inputs, for axes.
UNITS = {"N": "N [parameters]", "D": "D [tokens]", "C": "C [FLOP]"}


def on_config(config: Any) -> None:
    """Put every law's page into the navigation, behind their index."""
    for entry in config["nav"] or ():
        if "Laws" in entry:
            entry["Laws"] = ["laws/index.md", *(f"laws/{name}.md" for name in sf.laws.names())]


def on_pre_build(config: Any) -> None:
    """Write the generated pages (the hook that mkdocs calls)."""
    write_laws(HERE / "laws")
    (HERE / "api.md").write_text(api_page(), encoding="utf-8")
    write_experiments(HERE / "experiments")


def write_experiments(folder: Path) -> None:
    """Write one page of what the experiments of ``scalefit experiment`` found, with their figures."""
    folder.mkdir(exist_ok=True)
    lines = ["# Experiments", "", "What `scalefit experiment NAME` found, as it wrote it.", ""]
    for verdict in sorted((HERE.parent / "benchmarks" / "results").glob("*/verdict.md")):
        name = verdict.parent.name
        text = re.sub(r"^# ", "## ", verdict.read_text(encoding="utf-8"))
        lines += [text, f"![{name}]({name}.png)", ""]
        (folder / f"{name}.png").write_bytes((verdict.parent / "figure.png").read_bytes())
    (folder / "index.md").write_text("\n".join(lines), encoding="utf-8")


def public_targets() -> dict[str, str]:
    """Public name to the dotted path that documents it."""
    out = {}
    for name in sf.__all__:
        value = getattr(sf, name)
        if name.startswith("_"):
            continue
        module = value.__name__ if inspect.ismodule(value) else f"{value.__module__}.{value.__qualname__}"
        out[name] = module
    return out


def api_page() -> str:
    """Return the API page: every public name once."""
    left = public_targets()
    lines = ["# API", "", "Every public name of `import scalefit as sf`, from its docstring.", ""]
    for title, prefixes in CHAPTERS:
        found = [name for name, target in left.items() if target.startswith(prefixes)]
        if found:
            lines += [f"## {title}", ""]
        for name in sorted(found, key=str.lower):
            lines += [f"::: {left.pop(name)}", ""]
    return "\n".join(lines)


def write_laws(folder: Path) -> None:
    """Write one page and one figure a law, and their index."""
    folder.mkdir(exist_ok=True)
    rows = [
        "# Laws",
        "",
        "Each law is one file, found by being there.",
        "",
        "| law | formula | published |",
        "|---|---|---|",
    ]
    for name in sf.laws.names():
        law = sf.laws.get(name)
        keys = ", ".join(c.key for c in law.published) or "none"
        rows.append(f"| [{name}]({name}.md) | `{law.formula}` | {keys} |")
        draw_law(law, folder / f"{name}.svg")
        (folder / f"{name}.md").write_text(law_page(law), encoding="utf-8")
    (folder / "index.md").write_text("\n".join(rows) + "\n", encoding="utf-8")


def law_page(law: type[sf.Law]) -> str:
    """Return a law's page from its docstring, parameters and published constants."""
    text = inspect.getdoc(law) or ""
    body = re.split(r"\nReferences\n-+\n", text)[0].split("\nExamples\n")[0]
    body = re.sub(r"\.\. math::\s*\n?((?:[ \t]+.*\n|\n(?=[ \t]))+|.*)", _display_math, body)
    body = re.sub(r":math:`([^`]*)`", lambda match: _mathml(match[1], "inline"), body)
    body = re.sub(r":\w+:`([^`]*)`", r"`\1`", body)
    body = body.replace("``", "`").replace(" [1]_", "").replace(" [2]_", "")
    lines = [f"# {law.name}", "", f"`{law.formula}`", "", body, ""]
    lines += [f"![loss of {law.name}]({law.name}.svg)", "", "## Parameters", ""]
    lines += ["| parameter | meaning | unit | bounds |", "|---|---|---|---|"]
    for name, parameter in law.parameters.items():
        low, high = parameter.bounds
        lines.append(f"| `{name}` | {parameter.meaning} | {parameter.unit} | {low:g} to {high:g} |")
    lines.append("")
    if law.published:
        lines += ["## Published constants", ""]
        for c in law.published:
            values = ", ".join(f"{key} = {value:.7g}" for key, value in c.values.items())
            corpus = f" Corpus: {c.corpus}." if c.corpus else ""
            lines += [f"**{c.key}**: {values}  ", f"Source: {c.source.rstrip('.')}.  "]
            lines += [" ".join(f"N counts {c.params} parameters.{corpus} {c.remark or ''}".split()), ""]
    references = re.search(r"\nReferences\n-+\n(.*?)(?:\n\n[A-Z]|\Z)", text, re.S)
    if references:
        cleaned = re.sub(r"\n\s+", " ", references[1].strip())
        lines += [
            "## References",
            "",
            *[f"- {item.strip()}" for item in re.split(r"\.\. \[\d+\]", cleaned) if item.strip()],
        ]
    if law.bibtex:
        lines += ["", "```bibtex", _one_field_a_line(law.bibtex), "```"]
    return "\n".join(lines) + "\n"


def _display_math(match: re.Match[str]) -> str:
    return f'\n<div class="formula">{_mathml(match[1], "block")}</div>\n'


def _one_field_a_line(entry: str) -> str:
    """A BibTeX entry as people keep it."""
    return re.sub(r",\s+(\w+)\s*=", r",\n  \1 = ", entry.strip()).removesuffix("}") + "\n}"


def _mathml(latex: str, display: str) -> str:
    """Formula as MathML, which browsers draw by themselves: no script, no request."""
    from latex2mathml.converter import convert

    formula = str(convert(" ".join(latex.split()), display=display))
    return formula if display == "block" else f"<span>{formula}</span>"  # a line may begin with it and go on in text


def draw_law(law: type[sf.Law], path: Path) -> None:
    """Draw the law's loss against its first input, for three values of the second."""
    import numpy as np
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    params = dict(law.published[0].values) if law.published else law.example()
    chosen = sf.published(law.name, law.published[0].key).law if law.published else law
    x = np.geomspace(1e7, 1e12, 200) if chosen.inputs[0] != "C" else np.geomspace(1e16, 1e25, 200)
    figure = Figure(figsize=(6, 3.4), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots()
    shape = {"n_layers": 24.0, "d_emb": 1024.0, "T_max": 1024.0}
    many = bool({"D", "unique_tokens"} & set(chosen.inputs[1:]))
    for D, style in ((1e10, ":"), (1e11, "--"), (1e12, "-")) if many else ((1e12, "-"),):
        columns = {key: {"D": D, "unique_tokens": min(D, 1e11), **shape}.get(key, x) for key in chosen.inputs[1:]}
        loss = np.broadcast_to(chosen.evaluate({chosen.inputs[0]: x, **columns}, params), x.shape)
        axes.plot(x, loss, style, color="#3949ab", label={1e10: "10B", 1e11: "100B", 1e12: "1T"}[D])
    axes.set(xscale="log", xlabel=UNITS[chosen.inputs[0]], ylabel="loss [nat/token]")
    if many:
        axes.legend(frameon=False, title=UNITS["D"])
    figure.savefig(path, metadata={"Date": None})
