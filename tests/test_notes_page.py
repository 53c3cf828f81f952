"""The page of notes has every code that the package gives, and no other."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "notes.md").read_text()


def given() -> set[str]:
    """Codes that stand as text in calls of Note."""
    codes = set()
    for path in (ROOT / "scalefit").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Note") and node.args:
                first = node.args[0]
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    codes.add(first.value)
    return codes


def shown() -> set[str]:
    rows = [line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `")]
    return {code for row in rows for code in re.findall(r"`(\w+)`", row)}


def test_every_code_is_explained():
    assert not given() - shown(), "add these codes to docs/notes.md, with what to do"


def test_no_explained_code_is_dead():
    source = "".join(path.read_text() for path in (ROOT / "scalefit").rglob("*.py"))
    assert not {code for code in shown() if f'"{code}"' not in source}
