"""The notebooks are executed, show figures, and what is stored in them is what their code prints today."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import re
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "examples" / "notebooks").glob("*.ipynb"))
TIMING = re.compile(r"\b\d+(\.\d+)? ?(ms|s|seconds|min)\b")


def code_cells(path):
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]


def words(text, kind):
    """Text without its spacing and timings; of HTML what a reader sees."""
    if kind == "text/html":
        text = re.sub(r"<style.*?</style>|<[^>]+>", " ", text, flags=re.DOTALL)
    return TIMING.sub("some time", " ".join(text.split()))


def stored(cell):
    """What a cell shows, by kind: printed text, and the value of its last line as text and as HTML."""
    shown = {"printed": "".join("".join(o["text"]) for o in cell["outputs"] if o["output_type"] == "stream")}
    for output in cell["outputs"]:
        shown |= {kind: "".join(text) for kind, text in output.get("data", {}).items() if kind.startswith("text/")}
    return {kind: words(text, kind) for kind, text in shown.items()}


def run(cell, names):
    """What a cell shows when it is run here."""
    tree = ast.parse("".join(cell["source"]))
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    printed = io.StringIO()
    value = None
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, "cell", "exec"), names)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
    shown = {"printed": printed.getvalue()}
    if value is not None:
        shown["text/plain"] = repr(value)
        html = getattr(value, "_repr_html_", lambda: None)()
        shown |= {"text/html": html} if html else {}
    return {kind: words(text, kind) for kind, text in shown.items()}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_a_notebook_shows_is_what_happens(path):
    cells = code_cells(path)
    kinds = [kind for cell in cells for output in cell["outputs"] for kind in output.get("data", {})]
    assert all(cell["execution_count"] for cell in cells) and "image/png" in kinds
    names: dict = {}
    compared = 0
    for number, cell in enumerate(cells, 1):
        assert not any(output["output_type"] == "error" for output in cell["outputs"])
        want, got = stored(cell), run(cell, names)
        assert got == want, f"{path.name}, code cell {number}: run examples/notebooks/_make.py"
        compared += sum(bool(text) for text in want.values())
    assert compared >= 3


def test_a_notebook_that_lies_is_caught():
    cell = {"source": ["x = 2\n", "print('fitted in 0.12 s:', x)\n", "x + 1"]}
    outputs = [
        {"output_type": "stream", "text": ["fitted in 3.4 s: 2\n"]},
        {"output_type": "execute_result", "data": {"text/plain": ["3"]}},
    ]
    assert run(cell, {}) == stored({"outputs": outputs})
    outputs[1]["data"]["text/plain"] = ["4"]
    assert run(cell, {}) != stored({"outputs": outputs})


def test_the_cells_are_those_of_the_script_that_makes_them():
    """A cell that was edited in the notebook would be lost when it is made again."""
    script = (NOTEBOOKS[0].parent / "_make.py").read_text()
    lists = [ast.literal_eval(node.value) for node in ast.parse(script).body if isinstance(node, ast.Assign)]
    made = {text for cells in lists for text in cells}
    for path in NOTEBOOKS:
        for cell in json.loads(path.read_text())["cells"]:
            assert "".join(cell["source"]) in made, path.name


def test_there_are_two():
    assert len(NOTEBOOKS) == 2
