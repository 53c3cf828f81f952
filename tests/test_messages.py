"""Every error has its three parts as fields, and each face words the arguments in them in its own way."""

from __future__ import annotations

import ast
import pickle
import re
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from scalefit import errors
from scalefit.errors import ArgumentError, DataError, Mention, Note, ScalefitWarning, arg, way

PACKAGE = Path(__file__).parents[1] / "scalefit"
RAISED = {"ArgumentError", "DataError", "FitError", "MissingExtraError", "StoreError", "ScalefitError"}
FLAG = re.compile(r"(?<![\w-])--[a-z]")
#: What scalefit did, or did not.
DID = re.compile(
    r"^(nothing|none|it|this one|(no|the|what|finished) [\w'-]+( [\w'-]+){0,3}|the others) (was|were|is|are) |"
    r"^this one (did nothing|stopped and wrote nothing)|^{}$"
)
#: What to do: a way that begins with one of these, has a sentence or clause that does, or lists what is known.
TO_DO = re.compile(
    r"(?:^|[.;:,}?]\s|\b(?:or|and|to) )(?:then )?(?:Known|There are|It has|It reads|The table has|The harness|Columns|"
    r"Add|Ask|Begin|Change|Check|Choose|Collect|Compare|Convert|Copy|Correct|Count|Delete|Divide|Download|Draw|Drop|"
    r"Export|Fill|Fit|Fix|Forecast|Free|Give|Hold|Install|Keep|Leave|Let|Lower|Make|Name|Pass|Plan|Plot|Put|Raise|Read|"
    r"Register|Remove|Rename|Rescale|Round|Run|Save|Say|Score|See|Set|Split|Tie|Train|Use|Wait|Write)\b",
    re.IGNORECASE,
)


#: Words that readers stumble over; the field's own stand in their place: identify, state, costlier, approaches, repair.
STUMBLING = re.compile(
    r"\b(said|bears?|surer|dearer|foretold|foretells?|mend(?:s|ed)?|roads?|hence|thereby)\b", re.IGNORECASE
)
READ = [*sorted(PACKAGE.rglob("*.py")), *PACKAGE.rglob("*.js"), *PACKAGE.rglob("*.css")]
READ += sorted(page for page in (PACKAGE.parent / "docs").glob("*.md") if page.name != "lab-log.md")


@pytest.mark.parametrize("path", READ, ids=lambda path: str(path.relative_to(PACKAGE.parent)))
def test_words_are_plain(path):
    assert not STUMBLING.findall(path.read_text(encoding="utf-8"))


def test_a_word_that_readers_stumble_over_is_seen():
    assert STUMBLING.findall("what it said; Dearer runs; a tensor bears; Rhodes") == ["said", "Dearer", "bears"]


def raised(path: Path) -> list[tuple[int, ast.Call]]:
    """Line and call of each error of ours that a file makes."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and _name_of(node) in RAISED:
            found.append((node.lineno, node))
    return found


def _name_of(call: ast.Call) -> str:
    return getattr(call.func, "id", getattr(call.func, "attr", ""))


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_error_has_its_three_parts(path):
    for line, call in raised(path):
        assert len(call.args) == 3, f"{path.name}:{line}: what was seen, what scalefit did, what to do"
        for part in call.args:
            assert not (isinstance(part, ast.Constant) and not part.value), f"{path.name}:{line} leaves a part empty"
        _, did, do = call.args
        for text in _sentences(did):
            assert DID.search(text), f"{path.name}:{line} does not say what scalefit did: {text}"
        for text in _sentences(do):
            assert text == "{}" or TO_DO.search(text), f"{path.name}:{line} does not say what to do: {text}"


@pytest.mark.parametrize("path", sorted((PACKAGE / "cli").rglob("*.py")), ids=lambda path: path.name)
def test_misuse_of_the_command_line_says_what_was_seen(path):
    """The command line says of each what was done and what to do: "Nothing was done. See scalefit fit --help"."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and _name_of(node) == "BadParameter":
            for text in _sentences(node.args[0]):
                assert text == "{}" or re.search(r"^[a-z{-].*[^.]$", text), f"{path.name}:{node.lineno}: {text}"


def test_the_reader_of_messages_sees_what_is_missing():
    written = ast.parse("""(f"pass {arg('by')}" if known else "", "a" + reason, way("call", ""))""", mode="eval")
    assert _sentences(written.body) == ["pass {}", "", "a{}", "call"]
    assert DID.search("no law was fitted") and TO_DO.search("It has {}; add runs") and TO_DO.search("leave it out")
    for text in ("", "level={} must lie between 0 and 1", "too few runs"):
        assert not DID.search(text) and not TO_DO.search(text)


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_python_face_names_no_flags_and_spells_no_argument_by_hand(path):
    if "cli" in path.parts:
        return
    for line, call in raised(path):
        for part in call.args:
            for text in _plain_texts(part):
                assert "{arg(" not in text and "{way(" not in text, f"{path.name}:{line} is not an f-string"
                assert not FLAG.search(text), f"{path.name}:{line} names a flag: {text}"
                spelled = re.search(r"(?<![\w(, ])\b[a-z_]\w*=(?!=)|^[a-z_]\w*=(?!=)", text)
                assert not spelled, f"{path.name}:{line} spells an argument; mark it by arg(...): {text}"


def _plain_texts(node: ast.expr) -> list[str]:
    """Literal text of a message, without that of `arg` and `way`."""
    if isinstance(node, ast.Constant):
        return [str(node.value)]
    if isinstance(node, ast.JoinedStr):
        return ["".join("{}" if isinstance(v, ast.FormattedValue) else str(v.value) for v in node.values)]
    if isinstance(node, (ast.Tuple, ast.BinOp)):
        parts = node.elts if isinstance(node, ast.Tuple) else [node.left, node.right]
        return [text for part in parts for text in _plain_texts(part)]
    return []


def _sentences(node: ast.expr) -> list[str]:
    """Each wording that a part of a message may have, with {} for what is put in."""
    if isinstance(node, ast.Tuple):
        return [text for part in node.elts for text in _sentences(part)]
    if isinstance(node, ast.IfExp):
        return _sentences(node.body) + _sentences(node.orelse)
    if isinstance(node, ast.BinOp):
        return [a + b for a in _sentences(node.left) for b in _sentences(node.right)]
    if isinstance(node, ast.Call) and _name_of(node) == "way":
        return [text for part in node.args for text in _sentences(part) if text]  # a face may lack one
    return _plain_texts(node) or ["{}"]


def in_flags(mention: Mention) -> str | None:
    """A face that has --level alone."""
    return f"--level {mention.shell}".strip() if mention.name == "level" else None


def test_each_face_has_its_words():
    error = ArgumentError(
        f"{arg('level', 2)} is too large",
        "nothing was computed",
        (f"give {arg('level')}", f"pass {arg('by', 'pool')}", way("call sf.plan", "run scalefit plan")),
    )
    assert error.argument == ("level",)
    assert (error.seen, error.did) == ("level=2 is too large", "nothing was computed")
    assert str(error).endswith("nothing was computed. Give level=, pass by='pool', or call sf.plan.")
    assert error.worded(in_flags) == "--level 2 is too large; nothing was computed. Give --level."


def test_what_a_face_lacks_has_its_name():
    error = ArgumentError(f"{arg('by', 'size')} is not known", "nothing was fitted", "Leave it out")
    assert error.worded(in_flags) == "by size is not known; nothing was fitted. Leave it out."


@pytest.mark.parametrize(
    ("value", "python", "shell"),
    [
        ({"E": ...}, "fixed={'E': ...}", "E=..."),
        ({"E": (3.0, 1.0)}, "fixed={'E': (3.0, 1.0)}", "E=3.0:1.0"),
        (["Q", "R"], "fixed=['Q', 'R']", "Q,R"),
        ("two words", "fixed='two words'", "'two words'"),
        (None, "fixed=None", "None"),
        ("\x02mark\x03", r"fixed='\x02mark\x03'", r"'\x02mark\x03'"),
    ],
)
def test_values_in_both_spellings(value, python, shell):
    found: list[Mention] = []
    errors.worded(arg("fixed", value), lambda mention: found.append(mention) or "")
    assert (found[0].python, found[0].shell) == (python, shell)


def test_errors_and_warnings_survive_other_processes():
    error = DataError(f"{arg('loss')} names a column", "nothing was read", "Name it").about("a.csv")
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error) == "a.csv: loss= names a column; nothing was read. Name it."
    assert again.argument == ("loss",) and again.worded(in_flags) == error.worded(in_flags)
    warning = ScalefitWarning(f"Pass {arg('by', 'pool')}.")
    assert str(pickle.loads(pickle.dumps(warning))) == str(warning) == "Pass by='pool'."


def speaking(path: Path) -> list[tuple[int, str]]:
    """Line and text of each literal in a function that makes notes, without docstrings and marked arguments."""
    found: list[tuple[int, str]] = []
    for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(function, ast.FunctionDef):
            continue
        calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
        if not any(getattr(call.func, "id", "") == "Note" for call in calls):
            continue
        marked = {id(n) for call in calls if getattr(call.func, "id", "") in ("arg", "way") for n in ast.walk(call)}
        marked |= {id(function.body[0].value)} if isinstance(function.body[0], ast.Expr) else set()
        for node in ast.walk(function):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in marked:
                found.append((node.lineno, node.value))
    return found


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_notes_mark_their_arguments_too(path):
    for line, text in speaking(path):
        spelled = re.search(r"\b[a-zA-Z_]\w*=(?=['\d.({\[;,)]|$)|\bsf\.[a-z]|read_runs\(", text)
        assert not spelled or " " not in text, f"{path.name}:{line} spells Python in a note; mark it: {text}"


def test_a_note_speaks_the_language_of_its_face(capsys):
    note = Note("starts", "info", f"One start; give {arg('level', 0.5)} or {way('sf.plan', 'scalefit plan')}")
    assert note.message == "One start; give level=0.5 or sf.plan" and str(note).endswith(note.message)
    assert note.about("a run").message == f"a run: {note.message}"
    errors.speak(in_flags)
    try:
        assert str(note) == "[info] starts: One start; give --level 0.5 or scalefit plan"
    finally:
        errors.speak(errors.in_python)
    again = pickle.loads(pickle.dumps(note))  # noqa: S301
    assert again == note and again.template == note.template and replace(note, code="other").message == note.message
    assert asdict(note) == errors.note_record(note) and "\x02" not in str(asdict(note))
