"""The notebooks are executed, show figures, and their code still runs."""

import json
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "examples" / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_executed_and_runs(path):
    cells = json.loads(path.read_text())["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    shown = [kind for cell in code for output in cell["outputs"] for kind in output.get("data", {"text": ""})]
    assert all(cell["execution_count"] for cell in code) and "image/png" in shown
    assert not any(output["output_type"] == "error" for cell in code for output in cell["outputs"])
    names: dict = {}
    for cell in code:
        exec("".join(cell["source"]), names)


def test_there_are_two():
    assert len(NOTEBOOKS) == 2
