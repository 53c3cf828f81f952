"""README and docs: every python block runs and prints what the page says; so does every scalefit command."""

from __future__ import annotations

import doctest
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [page for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))) if page.name != "lab-log.md"]
FENCE = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100", "NO_COLOR": "1"}
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def blocks(page: Path, language: str) -> list[tuple[int, str]]:
    text = page.read_text()
    return [(text[: m.start(2)].count("\n"), m[2]) for m in FENCE.finditer(text) if m[1] == language]


def run_python(page: Path) -> dict:
    names: dict = {"__name__": "__main__"}
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner(optionflags=FLAGS, verbose=False)
    for line, code in blocks(page, "python"):
        if ">>>" not in code:
            exec(compile("\n" * line + code, str(page), "exec"), names)
            continue
        code = re.sub(r"^\n(?=(?!>>>|\.\.\. ).)", "<BLANKLINE>\n", code, flags=re.MULTILINE)  # pages show blank lines
        report: list[str] = []
        test = parser.get_doctest(code, names, page.name, str(page), line)
        result = runner.run(test, out=report.append, clear_globs=False)
        names = test.globs
        assert result.failed == 0, "".join(report)
    return names


#: Files that a page takes for granted, made before its commands run.
TAKEN_FOR_GRANTED = {
    "planning.md": """
runs.to_csv("runs.csv", index=False)
sizes, tokens = (a.ravel() for a in np.meshgrid(np.geomspace(2e7, 2e9, 7), np.geomspace(1e8, 1e11, 30), indexing="ij"))
curves = {"experiment": np.repeat(list("abcdefg"), 30), "N": sizes, "D": tokens}
import pandas as pd
pd.DataFrame(curves | {"loss": result.predict(N=sizes, D=tokens)}).to_csv("curves.csv", index=False)
""",
}


def commands(page: Path) -> list[tuple[int, str, str]]:
    """Line, command and expected output: a console block shows both, a bash block commands alone."""
    found = []
    for line, text in blocks(page, "console"):
        found += [(line, *pair) for pair in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE)]
    for line, text in blocks(page, "bash"):
        found += [(line, command, "") for command in text.splitlines() if command.strip()]
    return found


def run_commands(page: Path) -> None:
    checker = doctest.OutputChecker()
    for line, command, want in commands(page):
        if not command.startswith("scalefit "):
            continue
        words = [sys.executable, "-m", *shlex.split(command, comments=True)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=600, env=ENVIRONMENT)
        said = done.stdout + done.stderr
        assert checker.check_output(want, said, FLAGS) or not want, f"{page.name}:{line}: {command}\n{said}"
        assert done.returncode in (0, 3) or want, f"{page.name}:{line}: {command}\n{said}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_shows_is_what_happens(page, tmp_path, monkeypatch):
    import matplotlib

    matplotlib.use("Agg")
    monkeypatch.chdir(tmp_path)
    if (ROOT / "data").is_dir():
        (tmp_path / "data").symlink_to(ROOT / "data")
    names = run_python(page)
    exec(TAKEN_FOR_GRANTED.get(page.name, ""), names)
    run_commands(page)


def test_links_between_pages_lead_somewhere():
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    made = {ROOT / line for line in ignored if line.startswith("docs/")}  # by docs/_generate.py
    found = 0
    for page in (*PAGES, ROOT / "CONTRIBUTING.md"):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            path = Path(os.path.normpath(page.parent / target))
            assert made & {path, *path.parents} or path.exists(), f"{page.name} links to {target}"
            found += 1
    assert found > 50


def test_contributing_fits_a_screen():
    lines = (ROOT / "CONTRIBUTING.md").read_text().splitlines()
    assert len(lines) <= 40 and lines[2].startswith("**Adding a law: copy `scalefit/laws/_template.py`**")
    assert (ROOT / "scalefit/laws/_template.py").is_file()


def test_the_runner_catches_a_page_that_lies(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```python\nx = 2\n```\n\n```python\n>>> x + 1\n3\n\n>>> print('a\\n\\nb')\na\n\nb\n```\n")
    run_python(page)
    page.write_text("```python\n>>> 1 + 1\n3\n```\n")
    with pytest.raises(AssertionError, match="Got"):
        run_python(page)
    page.write_text("```console\n$ scalefit datasets nothing\nfine\n```\n")
    with pytest.raises(AssertionError, match="no data set"):
        run_commands(page)
