"""The layout: imports flow one way, modules stay short, nothing unsafe is loaded."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import scalefit as sf
from scalefit.comparison.average import Average
from scalefit.laws import PublishedLaw
from scalefit.predictor import Held, Predictor

LAW_NAMES = set(sf.laws.names())
ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "scalefit"
MODULES = sorted(PACKAGE.rglob("*.py"))

# A part may import the parts before it, and itself. Whatever is not named is common ground: errors, counting, typing.
ORDER = ["plots", "tables", "memory", "laws", "fitting", "forecasting", "optima", "comparison", "downstream", "saving"]
ORDER += ["mixture", "tuning", "planning", "stopping", "report"]
PARTS = {
    "tables": ("tables", "datasets"),
    "laws": ("laws",),
    "memory": ("memory",),
    "fitting": ("fitting",),
    "forecasting": ("forecasting",),
    "comparison": ("comparison",),
    "downstream": ("downstream",),
    "optima": ("optima",),
    "saving": ("saving",),
    "mixture": ("mixture",),
    "tuning": ("tuning",),
    "planning": ("planning",),
    "stopping": ("stopping",),
    "training": ("training",),
    "corpora": ("corpora",),
    "integrations": ("integrations",),
    "collecting": ("collecting",),
    "plots": ("plots",),
    "report": ("reporting",),
    "cli": ("cli", "__main__"),
}
PART_OF = {module: part for part, modules in PARTS.items() for module in modules}


def part(path: Path) -> str | None:
    return PART_OF.get(path.relative_to(PACKAGE).parts[0].removesuffix(".py"))


def imported(path: Path) -> list[tuple[str, bool]]:
    """Return each module of scalefit that a file imports, and whether that happens when the file is imported."""
    tree = ast.parse(path.read_text())
    late = {
        id(node)
        for f in ast.walk(tree)
        if isinstance(f, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(f)
    }
    late |= {
        id(node)
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and "TYPE_CHECKING" in ast.unparse(branch.test)
        for node in ast.walk(branch)
    }
    package = ["scalefit", *path.relative_to(PACKAGE).parts[:-1]]
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            stem = ".".join(filter(None, [base, node.module]))
            names = [stem, *(f"{stem}.{alias.name}" for alias in node.names)]
        else:
            continue
        found += [(name, id(node) not in late) for name in names if name.split(".")[0] == "scalefit"]
    return found


def targets(path: Path, *, only_at_import: bool = False) -> set[str]:
    names = {name for name, at_import in imported(path) if at_import or not only_at_import}
    return {PART_OF[name.split(".")[1]] for name in names if len(name.split(".")) > 1 and name.split(".")[1] in PART_OF}


def test_the_parts_are_all_known():
    top = {path.name.removesuffix(".py") for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}
    common = {
        "__init__",
        "_arguments",
        "_calls",
        "_digests",
        "_files",
        "_knots",
        "_names",
        "_formula",
        "_latex",
        "_plain",
        "_numeric",
        "_records",
        "_text",
        "_typing",
        "_warn",
        "errors",
        "counting",
        "extrapolation",
        "flops",
        "predictor",
        "schedules",
        "_data",
        "__pycache__",
    }
    assert top - set(PART_OF) <= common, "name the new module in PARTS, so that its imports are watched"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_flow_one_way(path):
    here = part(path)
    seen = targets(path)
    if here in ORDER:
        later = set(ORDER[ORDER.index(here) + 1 :])
        assert not seen & later, f"{here} comes before {sorted(seen & later)}"
    if here != "cli":
        assert "cli" not in seen, "nothing imports the command line"
    if here not in ("cli", "training", "corpora"):
        assert "training" not in seen, "nothing above the training harness imports it"
    if here not in (None, "cli", "corpora"):  # the door names it
        assert "corpora" not in seen, "what is measured on a corpus is read by people"
    if here not in ("cli", "integrations", "collecting"):
        assert "integrations" not in seen, "nothing imports the adapters"


def circles(graph: dict[str, set[str]]) -> list[frozenset[str]]:
    """Sets of modules that reach one another (Tarjan's strongly connected components of two or more)."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    trail: list[str] = []
    found = []

    def visit(module):
        number[module] = low[module] = len(number)
        trail.append(module)
        for other in sorted(graph[module]):
            if other not in number:
                visit(other)
            if other in trail:
                low[module] = min(low[module], low[other])
        if low[module] == number[module]:
            part = trail[trail.index(module) :]
            del trail[trail.index(module) :]
            if len(part) > 1:
                found.append(frozenset(part))

    for module in graph:
        if module not in number:
            visit(module)
    return found


def test_nothing_forms_a_circle():
    """Imports inside functions and for types count: two files that need each other are one file."""

    def name(path):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        return ".".join(["scalefit", *(parts[:-1] if parts[-1] == "__init__" else parts)])

    doors = {name(path) for path in MODULES if path.name == "__init__.py"}  # they name what stands in their folder
    modules = {name(path): path for path in MODULES}
    graph = {
        module: set()
        if module in doors
        else {n for n, _ in imported(path) if n in modules and n not in {module, *doors}}
        for module, path in modules.items()
    }
    found = [sorted(part) for part in circles(graph)]
    assert not found, f"a circle of imports: {found}"


def test_a_circle_is_seen():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == [frozenset({"b", "c"})]


RESULTS = (Predictor, sf.FitResult, sf.ForecastResult, Average, Held, PublishedLaw, sf.Monitor, sf.Fits)
#: What results have, but for what tables, mappings and modules of the command line have as well.
MEMBERS = {name for kind in RESULTS for name in dir(kind) if not name.startswith("_")}
MEMBERS -= {*dir(dict), "to_dict", "register", "columns"}


#: Where a result's class is looked at: to refuse an argument, to read a file of one or of several fits, to be the door.
DOORS = {"comparison/average.py", "fitting/side_by_side.py", "mixture/arguments.py", "reporting/live.py", "saving.py"}
DOORS |= {"cli/fit.py", "predictor.py"}


def probes(source: str, *, door: bool = False) -> list[str]:
    """Questions to a result what it is, to a law what it is called, and to prose what it means."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("hasattr", "getattr") and len(node.args) > 1:
            asked = getattr(node.args[1], "value", None)
            if asked in MEMBERS or re.search(r"\b(result|fit|part|predictor|forecast)$", ast.unparse(node.args[0])):
                found.append(ast.unparse(node))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance" and not door:
            kinds = {leaf.id for leaf in ast.walk(node.args[1]) if isinstance(leaf, ast.Name)}
            found += [ast.unparse(node)] * bool(kinds & ({kind.__name__ for kind in RESULTS} - {"Predictor"}))
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            read = any(isinstance(op, ast.In | ast.NotIn) for op in node.ops)
            found += [ast.unparse(node)] * (read and ast.unparse(node.comparators[0]).endswith(".meaning"))
            words = {leaf.value for side in sides for leaf in ast.walk(side) if isinstance(leaf, ast.Constant)}
            asks = any(re.search(r"law(?:\.name)?$", ast.unparse(side)) for side in sides)
            if asks and words & LAW_NAMES:
                found.append(ast.unparse(node))
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_results_are_not_probed_and_laws_not_asked_by_name(path):
    """What predicts is a Predictor, and what a law can do is declared; `predictor.py` is the door that looks."""
    assert path.name == "predictor.py" or not probes(path.read_text(), door=str(path.relative_to(PACKAGE)) in DOORS)


def test_a_probe_is_seen():
    assert len(probes("hasattr(x, 'predict_interval'), getattr(self.result, 'a'), law.name != 'coupled'")) == 3
    assert len(probes("isinstance(x, FitResult | Mapping), isinstance(x, Predictor), 'exponent' in p.meaning")) == 2
    assert not probes("isinstance(x, FitResult)", door=True)
    assert len(probes("own_law in ('kaplan', 'chinchilla'), getattr(x, name), hasattr(x, 'shape')")) == 1


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_are_short(path):
    assert len(path.read_text().splitlines()) <= 400, "a module over 400 lines is two modules"


def test_tables_become_arrays_in_one_place():
    """One maker of arrays for fits, forecasts, comparisons and optima: fitting/runs.py."""
    readers = {"check_runs", "check_for_fit"}
    found = {
        str(path.relative_to(PACKAGE))
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in readers
    }
    assert found == {"fitting/runs.py"}


def literal_sizes(source: str) -> list[str]:
    """Sets of N, D and C written out where something is decided: `flops` declares them, an `Input` the others."""
    tree = ast.parse(source)
    asked = {id(n.comparators[0]) for n in ast.walk(tree) if isinstance(n, ast.Compare)}
    sets = [n for n in ast.walk(tree) if isinstance(n, ast.Set) or (id(n) in asked and isinstance(n, ast.Tuple))]
    words = [(n, {getattr(one, "value", None) for one in n.elts}) for n in sets]
    return [ast.unparse(n) for n, held in words if {"N", "D"} <= held]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_what_is_a_size_is_declared_once(path):
    assert not literal_sizes(path.read_text())


def test_a_literal_set_of_sizes_is_seen():
    found = literal_sizes("{'N', 'D'} <= set(x), name in ('N', 'D', 'C'), frame[['N', 'D']], {'N', 'teacher_loss'}")
    assert found == ["{'N', 'D'}", "('N', 'D', 'C')"]


SPEED_UPS = {"gradient", "rescale", "starts", "in_shares"}  # what a law may bring to be fitted faster, and need not


def lines_of_code(path: Path, *, without: set[str] = frozenset()) -> int:
    """Count lines that hold code: no docstrings, comments or blank lines, no published constants."""
    tree = ast.parse(path.read_text())
    skipped: set[int] = set()
    for node in ast.walk(tree):
        names = {getattr(node, "name", ""), *(getattr(t, "id", "") for t in getattr(node, "targets", ()))}
        constant = isinstance(node, ast.Expr) and isinstance(getattr(node, "value", None), ast.Constant)
        if constant or names & {"published", "bibtex", *without}:
            first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))])
            skipped |= set(range(first, node.end_lineno + 1))
    lines = path.read_text().splitlines()
    return sum(
        bool(line.strip()) and not line.strip().startswith("#") and number not in skipped
        for number, line in enumerate(lines, start=1)
    )


LAWS = [path for path in sorted((PACKAGE / "laws").glob("*.py")) if not path.name.startswith("_")]


@pytest.mark.parametrize("path", [*LAWS, PACKAGE / "laws/_template.py"], ids=lambda path: path.stem)
def test_a_law_is_one_short_file(path):
    assert lines_of_code(path, without=SPEED_UPS) < 60
    assert lines_of_code(path) < 100


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_unsafe_is_used(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = {alias.name.split(".")[0] for alias in node.names} | {
                (getattr(node, "module", "") or "").split(".")[0]
            }
            assert not names & {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in ("eval", "exec", "compile", "pd.read_pickle", "pandas.read_pickle", "np.random.seed")
            for keyword in node.keywords:
                safe = keyword.arg != "allow_pickle" or getattr(keyword.value, "value", None) is False
                assert safe and not (keyword.arg == "weights_only" and getattr(keyword.value, "value", None) is False)


def test_the_checks_see_what_they_should(tmp_path, monkeypatch):
    """The reader of imports and the counter of lines are themselves checked on a made-up module."""
    package = tmp_path / "scalefit"
    (package / "laws").mkdir(parents=True)
    file = package / "laws/x.py"
    file.write_text(
        '"""Doc."""\nfrom ..fitting import y\nimport scalefit.cli\n\ndef f():\n    from scalefit.plots import z\n'
    )
    monkeypatch.setattr(f"{__name__}.PACKAGE", package)
    assert targets(file) == {"fitting", "cli", "plots"}
    assert targets(file, only_at_import=True) == {"fitting", "cli"}
    assert lines_of_code(file) == 4 and lines_of_code(file, without={"f"}) == 2
