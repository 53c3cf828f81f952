"""What Tab completes in bash, zsh and fish: commands, options, choices, laws, constants, data sets, and files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def shell(tmp_path):
    """Run a script in a shell that has `scalefit` on its path and completion loaded, in a folder with one table."""
    program = tmp_path / "bin" / "scalefit"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nfrom scalefit.cli import main\nmain()\n")
    program.chmod(0o755)
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "runs.csv").write_text("N,D,loss\n")
    search = f"{program.parent}{os.pathsep}{os.environ['PATH']}"

    def run(name, script, **extra):
        if shutil.which(name) is None:
            pytest.skip(f"{name} is not installed")
        environment = {**os.environ, "PATH": search, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path), **extra}
        done = subprocess.run(
            [name, "-c", script], capture_output=True, text=True, timeout=120, env=environment, cwd=tmp_path / "here"
        )
        assert done.returncode == 0 and not done.stderr, done.stderr
        return done.stdout.splitlines()

    return run


CASES = [
    ("f", {"fit", "forecast", "floor"}, {"plan"}),
    ("fit --obj", {"--objective"}, {"--law"}),
    ("fit --objective h", {"huber"}, {"squared"}),
    ("fit --law c", {"chinchilla", "coupled"}, {"kaplan"}),
    ("compare runs.csv --law k", {"kaplan"}, {"chinchilla"}),
    ("laws over", {"over_training"}, {"chinchilla"}),
    ("predict --law chinchilla --published h", {"hoffmann2022", "hoffmann2022_tex"}, {"kaplan2020"}),
    ("plan --published besi", {"besiroglu2024"}, {"hoffmann2022"}),
    ("datasets rep", {"reported_losses"}, {"scalefit_cpu"}),
]


def test_bash(shell):
    lines = [["scalefit", *line.split(" ")] for line, *_ in CASES]
    asked = "".join(
        f"COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; _scalefit_completion scalefit; "
        'echo "${COMPREPLY[*]}" | tr "\\n" " "; echo\n'
        for words in lines
    )
    found = shell("bash", 'eval "$(scalefit --show-completion)"; complete -p scalefit >/dev/null || exit 1\n' + asked)
    for (line, offered, left_out), row in zip(CASES, found, strict=True):
        assert offered <= set(row.split()) and not left_out & set(row.split()), (line, row)


def test_bash_offers_files_where_it_has_nothing_better(shell):
    assert shell("bash", "scalefit --show-completion | tail -1") == [
        "complete -o default -F _scalefit_completion scalefit"
    ]
    script = (
        'eval "$(scalefit --show-completion)"; COMP_WORDS=(scalefit fit ru); COMP_CWORD=2; '
        '_scalefit_completion scalefit; echo "${#COMPREPLY[@]} better"'
    )
    assert shell("bash", script) == ["0 better"]


@pytest.mark.parametrize(("line", "offered", "left_out"), [CASES[0], CASES[3], ("fit ru", {"runs.csv"}, {"fit"})])
def test_fish(shell, line, offered, left_out):
    script = f"scalefit --show-completion | source; complete -C 'scalefit {line}'"
    found = {row.split("\t")[0] for row in shell("fish", script)}
    assert offered <= found and not left_out & found


@pytest.mark.parametrize(("line", "offered", "left_out"), [CASES[0], CASES[3]])
def test_zsh(shell, line, offered, left_out):
    """The line that zsh evaluates, as its own completion function asks for it; its script is parsed by zsh."""
    script = (
        "scalefit --show-completion > s.zsh && zsh -n s.zsh && grep -c 'compdef _scalefit_completion scalefit' s.zsh"
    )
    assert shell("zsh", script) == ["1"]
    asked = {"_TYPER_COMPLETE_ARGS": f"scalefit {line}", "_SCALEFIT_COMPLETE": "complete_zsh"}
    found = " ".join(shell("zsh", "scalefit; true", **asked))
    assert all(f'"{name}"' in found for name in offered) and not any(f'"{name}"' in found for name in left_out)


def test_zsh_offers_files_where_it_has_nothing_better(shell):
    asked = {"_TYPER_COMPLETE_ARGS": "scalefit fit ru", "_SCALEFIT_COMPLETE": "complete_zsh"}
    assert shell("zsh", "scalefit; true", **asked) == ["_files"]
