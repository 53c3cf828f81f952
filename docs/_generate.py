"""Pages made at build time: one per law from the registry, the API from the public names, the experiments' verdicts.

Nothing here is edited by hand; the pages are written to folders and files of ``docs`` that git ignores (see
.gitignore).
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import re
import sys
from html import unescape
from pathlib import Path
from typing import Any

import scalefit as sf
from scalefit.plots._axes import COLOURS
from scalefit.reporting.published import published_page

HERE = Path(__file__).parent
#: Chapters of the API, one page each: file, title, modules whose public names it holds, further names it documents.
CHAPTERS: tuple[tuple[str, str, tuple[str, ...], tuple[str, ...]], ...] = (
    (
        "data",
        "Tables, data sets, counting",
        ("scalefit.tables", "scalefit.collecting", "scalefit.datasets", "scalefit.counting", "scalefit.flops"),
        (),
    ),
    ("laws", "Laws", ("scalefit.laws",), ()),
    (
        "fit",
        "Fitting",
        ("scalefit.fitting", "scalefit.saving", "scalefit.predictor"),
        ("scalefit.fitting.certificate.Certificate", "scalefit.fitting.priors.Prior"),
    ),
    (
        "forecast",
        "Forecasting, comparing, averaging",
        ("scalefit.forecasting", "scalefit.comparison", "scalefit.downstream"),
        ("scalefit.comparison.average.Average",),
    ),
    (
        "plan",
        "Planning",
        ("scalefit.planning", "scalefit.optima", "scalefit.tuning", "scalefit.mixture"),
        (
            "scalefit.planning.result.Plan",
            "scalefit.planning.plan_settings.PlannedSettings",
            "scalefit.optima.result.Optima",
            "scalefit.planning.deployment.Hardware",
            "scalefit.planning.architecture.Architecture",
            "scalefit.planning.approaches.agreement",
            "scalefit.planning.repetition.mark_repetition",
        ),
    ),
    (
        "stopping",
        "Live runs",
        ("scalefit.stopping", "scalefit.schedules"),
        (
            "scalefit.stopping.advice.Advice",
            "scalefit.stopping.advice.Forecast",
            "scalefit.stopping.advice.Reason",
            "scalefit.integrations.logs.read_log",
            "scalefit.integrations.logs.replay",
            "scalefit.integrations.huggingface.AdviceCallback",
            "scalefit.integrations.lightning.AdviceCallback",
        ),
    ),
    ("memory", "The associative memory", ("scalefit.memory",), ()),
    ("training", "Training", ("scalefit.training",), ()),
    ("corpora", "Corpora", ("scalefit.corpora",), ("scalefit.corpora.exponent_result.data_exponent",)),
    (
        "report",
        "The report",
        ("scalefit.reporting",),
        ("scalefit.reporting.report.Report", "scalefit.reporting.live.RunReport"),
    ),
    (
        "errors",
        "Errors and notes",
        ("scalefit.errors",),
        ("scalefit.errors.ArgumentError", "scalefit.errors.MissingExtraError"),
    ),
)


def on_config(config: Any) -> None:
    """Put every law's page and every chapter of the API into the navigation, behind their index."""
    for entry in config["nav"] or ():
        if "Laws" in entry:
            entry["Laws"] = ["laws/index.md", *(f"laws/{name}.md" for name in sf.laws.names())]
        if "API" in entry:
            entry["API"] = ["api.md", *({title: f"api/{file}.md"} for file, title, *_ in CHAPTERS)]


def on_page_content(html: str, **_: Any) -> str:
    """Leave out the roles of docstrings (:func: and the like), which this site's renderer shows as they stand."""
    html = re.sub(r":math:<code>(.*?)</code>", lambda found: _mathml(unescape(found[1]), "inline"), html)
    return re.sub(r":(?:func|class|meth|mod|attr|data|exc):(?=<code>)", "", html)


def on_pre_build(config: Any) -> None:
    """Write the generated pages (the hook that mkdocs calls)."""
    write_laws(HERE / "laws")
    write_api(HERE)
    write_experiments(HERE / "experiments")
    (HERE / "claims.md").write_text(claims_page(), encoding="utf-8")
    _beside("_gallery").write_gallery(HERE)
    _beside("_exponents").draw(HERE.parent / "benchmarks", HERE / "gallery" / "exponents.png")
    (HERE / "planner-page.html").write_text(published_page(), encoding="utf-8")
    write_notebooks(HERE / "notebooks")


def _beside(name: str) -> Any:
    """A module beside this one; mkdocs loads hooks by path, so its folder is on no search path."""
    spec = importlib.util.spec_from_file_location(f"scalefit_docs{name}", HERE / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def write_notebooks(folder: Path) -> None:
    """The notebooks of the examples as pages, with the outputs that they hold; a test compares these with a run."""
    from nbconvert import MarkdownExporter

    for path in sorted((HERE.parent / "examples" / "notebooks").glob("*.ipynb")):
        text, resources = MarkdownExporter().from_filename(str(path), {"unique_key": path.stem})
        folder.mkdir(exist_ok=True)
        for name, data in resources["outputs"].items():
            (folder / name).write_bytes(data)
        (folder / f"{path.stem}.md").write_text(text, encoding="utf-8")


def claims_page() -> str:
    """Every claim of the papers on associative memories, computed while the page is made."""
    lines = [
        "# The papers' claims, one by one",
        "",
        "`scalefit theory` and `sf.memory.claims()` compute these tables anew.",
    ]
    for paper, title, page in (
        ("niu2024", "Niu et al. (2024)", "[the theory's page](theory.md)"),
        ("cabannes2024", "Cabannes et al. (2024)", "[the page on facts under Zipf's law](zipf.md)"),
    ):
        lines += _claims_of(paper, title, page)
    return "\n".join(lines) + "\n"


def _claims_of(paper: str, title: str, page: str) -> list[str]:
    table = sf.memory.claims(paper)
    counts = "; ".join(f"{count} {verdict}" for verdict, count in table["verdict"].value_counts().items())
    lines = ["", f"## {title}", "", f"{counts}. The reasons are on {page}."]
    lines += ["", "| claim | printed | right | computed | verdict | see |", "|---|---|---|---|---|---|"]
    for row in table.to_dict("records"):
        cells = [str(row[name]).replace("|", "\\|") for name in ("claim", "printed", "exact", "computed", "verdict")]
        lines.append("| " + " | ".join([*cells, "" if row["how"] == "-" else f"`{row['how']}`"]) + " |")
    return lines


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
    """Public name, as it stands behind ``sf.``, to the dotted path that documents it; one thing has one path.

    Names of the public modules and of training are among them; the latter are read without importing torch.
    """
    import scalefit.training as training

    found = {name: getattr(sf, name) for name in sf.__all__ if not name.startswith("_")}
    for name, module in tuple(found.items()):
        if inspect.ismodule(module):
            found |= {f"{name}.{inner}": getattr(module, inner) for inner in _public_in(module)}
    paths = {name: _path_of(value) for name, value in found.items()}
    return paths | {f"training.{name}": f"{training.__name__}.{home}.{name}" for name, home in training._LAZY.items()}


def _public_in(module: Any) -> list[str]:
    """Names that a module offers: those of ``__all__``, or the functions and classes that it defines."""
    own = [name for name, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__]
    return [name for name in getattr(module, "__all__", own) if not name.startswith("_")]


def _path_of(value: Any) -> str:
    return str(value.__name__) if inspect.ismodule(value) else f"{value.__module__}.{value.__qualname__}"


def docstring(path: str) -> str:
    """Return what a dotted path is documented by, from its source alone."""
    package = Path(sf.__file__).parent
    names = path.split(".")[1:]
    for length in range(len(names), -1, -1):
        file = package.joinpath(*names[:length])
        file = file / "__init__.py" if file.is_dir() else file.with_suffix(".py")
        if file.is_file():
            tree: Any = ast.parse(file.read_text(encoding="utf-8"))
            for name in names[length:]:
                named = [node for node in tree.body if getattr(node, "name", None) == name]
                tree = named[-1]  # overloads come before what they are overloads of
            return ast.get_docstring(tree) or ""
    raise LookupError(f"{path} names nothing in scalefit. Correct CHAPTERS in docs/_generate.py.")


def chapters() -> dict[str, list[str]]:
    """File of each chapter to the dotted paths on its page: each public path is on one page, once."""
    left = dict.fromkeys(public_targets().values())
    public = set(left)
    pages = {}
    for file, _, modules, further in CHAPTERS:
        found = [path for path in left if path in modules or path.startswith(tuple(f"{name}." for name in modules))]
        for path in found:
            del left[path]
        pages[file] = sorted({*found, *further}, key=lambda path: _place(path, public))
    if left:
        raise LookupError(f"No chapter of docs/_generate.py holds {', '.join(left)}; name its module in CHAPTERS.")
    return pages


def _place(path: str, public: set[str]) -> tuple[bool, bool, bool, str]:
    """Where a name stands on its page: modules, then public functions, public classes, and what those return."""
    name = path.split(".")[-1]
    return path.count(".") > 1, path not in public, name[0].isupper(), name.lower()


def write_api(folder: Path) -> None:
    """Write one page a chapter, and the index, which keeps the anchors of the time when all was on one page."""
    (folder / "api").mkdir(exist_ok=True)
    (folder / "api.md").write_text(api_index(), encoding="utf-8")
    for file, paths in chapters().items():
        (folder / "api" / f"{file}.md").write_text(api_page(file, paths), encoding="utf-8")


def api_index() -> str:
    """Return the index: every public name, what it is for, and where it is documented."""
    names: dict[str, list[str]] = {}
    for name, path in public_targets().items():
        names.setdefault(path, []).append(name)
    pages = chapters()
    lines = ["# API", "", "Every public name of `import scalefit as sf`, by chapter, from its docstring.", ""]
    for file, title, *_ in CHAPTERS:
        lines += [f"## [{title}](api/{file}.md)", "", "| name | what it is |", "|---|---|"]
        for path in pages[file]:
            shown = "sf." + min(names[path], key=lambda name: _away(name, path)) if path in names else path
            about = re.sub(r":\w+:`~?([^`]*)`", r"`\1`", docstring(path).split("\n\n")[0]).replace("``", "`")
            meaning = " ".join(about.replace("|", "\\|").split())
            lines.append(f'| <a id="{path}"></a>[`{shown}`](api/{file}.md#{path}) | {meaning} |')
        lines.append("")
    return "\n".join(lines)


def _away(name: str, path: str) -> tuple[bool, int]:
    """How far a public name is from the place that defines it: `counting.x` before `memory.x`, which is the same."""
    return not path.startswith(f"scalefit.{name.rpartition('.')[0]}"), len(name)


def api_page(file: str, paths: list[str]) -> str:
    """Return the page of one chapter."""
    title = next(title for name, title, *_ in CHAPTERS if name == file)
    lines = [f"# {title}", ""]
    for path in paths:
        lines += [f"::: {path}", ""]
        if path.count(".") == 1:  # a module: its members are listed by themselves, each once
            lines[-1:] = ["    options:", "      members: false", ""]
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
    body = re.sub(r"\.\. math::(.*(?:\n+[ \t]+.*)*)", _display_math, body)
    body = re.sub(r":math:`([^`]*)`", lambda match: _mathml(match[1], "inline"), body)
    body = re.sub(r":\w+:`([^`]*)`", r"`\1`", body)
    body = body.replace("``", "`").replace(" [1]_", "").replace(" [2]_", "")
    lines = [f"# {law.name}", "", f"`{law.formula}`", "", body, ""]
    lines += [f"![{law.target.name} of {law.name}]({law.name}.svg)", "", "## Inputs", ""]
    lines += ["| input | meaning | unit | values |", "|---|---|---|---|"]
    for name, declared in law.declarations.items():
        lines.append(f"| `{name}` | {declared.meaning} | {declared.unit} | {declared.allowed} |")
    way = {-1: "lower is better", 1: "higher is better", 0: "a setting, with nothing to minimise"}[law.target.sense]
    lines += ["", f"Gives {law.target.label()}: {way}.", "", "## Parameters", ""]
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
            unit = f" Loss {c.loss_unit}." if c.loss_unit else ""
            lines += [" ".join(f"N counts {c.params} parameters.{unit}{corpus} {c.remark or ''}".split()) + "  "]
            lines += [
                f"Evidence: {c.evidence}. Checked against its paper: {c.checked or 'it prints no value to compare'}.",
                "",
            ]
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
    first, *others = chosen.declarations
    declared = chosen.declarations[first]
    low, high = float(min(declared.typical)), float(max(declared.typical))
    logarithmic = declared.log_axis and low > 0
    x = np.geomspace(low, high, 200) if logarithmic else np.linspace(low, high, 200)
    figure = Figure(figsize=(6, 3.4), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots()
    typical = {key: sorted(chosen.declarations[key].typical) for key in others}
    held = {key: values[len(values) // 2] for key, values in typical.items()}
    moved = others[0] if others else ""
    for value, style in zip(typical[moved][-3:], (":", "--", "-"), strict=False) if moved else ((0.0, "-"),):
        columns = {**held, moved: value} if moved else {}
        if "unique_tokens" in columns:
            columns["unique_tokens"] = np.minimum(columns.get("D", x), columns["unique_tokens"])
        target = np.broadcast_to(chosen.evaluate({first: x, **columns}, params), x.shape)
        axes.plot(x, target, style, color=COLOURS[0], label=f"{value:g}")
    axes.set(xscale="log" if logarithmic else "linear", xlabel=declared.label(first), ylabel=chosen.target.label())
    if moved:
        axes.legend(frameon=False, title=chosen.declarations[moved].label(moved))
    figure.savefig(path, metadata={"Date": None})
