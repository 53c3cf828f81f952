"""Every error says what was seen, what scalefit did, and what to do: read from the source, so that none is missed."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "scalefit"
RAISED = {"ArgumentError", "DataError", "FitError", "MissingExtraError", "BadParameter"}
#: What scalefit did, or did not.
DID = re.compile(r"(?i)\b(nothing|neither|none|no [\w'-]+( [\w'-]+)?) (was|were|is) |\b(was|were|is) (not|left|read) ")
#: What to do: a sentence that begins with one of these, or a list of what is known.
TO_DO = re.compile(
    r"(?:^|[.;:,}]\s|\bor )(?:then )?(?:Known|There are|It has|The table has|Add|Ask|Begin|Change|Check|Choose|Compare|"
    r"Convert|Copy|Correct|Delete|Divide|Download|Drop|Export|Fetch|Fit|Fix|Forecast|Free|Give|Hold|Install|Keep|Leave|Look|"
    r"Lower|Make|Mend|Move|Name|Pass|Plan|Predict|Put|Raise|Plot|Read|Register|Remove|Rename|Report|Run|Save|Say|Score|Set|Split|Tie|Use|Wait|"
    r"Write)\b",
    re.IGNORECASE,
)


def messages(source: str) -> list[tuple[int, str]]:
    """Line and words of each error raised with a sentence of its own; fragments that another one completes are not."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Call) and node.args):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        words = _words(node.args[0])
        if name in RAISED and words.endswith("."):
            found.append((node.lineno, words))
    return found


def _words(node: ast.expr) -> str:
    """The text of a message, with {} for what is put in."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(map(_words, node.values))
    if isinstance(node, ast.BinOp):
        return _words(node.left) + _words(node.right)
    if isinstance(node, ast.IfExp):
        return _words(node.body)
    return "{}"


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_error_has_its_three_parts(path):
    for line, words in messages(path.read_text(encoding="utf-8")):
        assert DID.search(words), f"{path.name}:{line} does not say what scalefit did: {words}"
        assert TO_DO.search(words), f"{path.name}:{line} does not say what to do: {words}"


def test_the_reader_of_messages_sees_what_is_missing():
    two_parts = 'raise ArgumentError(f"level={level!r} must lie between 0 and 1.")\nraise DataError("a " + reason)\n'
    assert [words for _, words in messages(two_parts)] == ["level={} must lie between 0 and 1."]
    assert not DID.search("level={} must lie between 0 and 1.")
    assert not TO_DO.search("level={} must lie between 0 and 1. Nothing was computed.")
