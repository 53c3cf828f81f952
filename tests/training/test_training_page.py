"""The page on training: its Python runs, its sweep config is valid, its commands exist."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from scalefit.cli import build_app
from scalefit.training import SweepConfig

PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_python_blocks_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    codes = blocks("py")
    assert codes
    for code in codes:
        exec(compile(code, "docs/training.md", "exec"), {})


def test_sweep_config_is_valid() -> None:
    (text,) = blocks("toml")
    assert SweepConfig.from_dict(tomllib.loads(text)).sizes[0].seeds == (0, 1, 2)


def test_commands_exist() -> None:
    lines = "".join(blocks("sh")).splitlines()
    assert lines
    for line in lines:
        words = [word for word in line.split("#")[0].split() if not word.startswith("-")]
        depth = 3 if words[1] == "sweep" else 2
        result = CliRunner().invoke(build_app(), [*words[1:depth], "--help"])
        assert result.exit_code == 0, line


def test_examples_in_docstrings_run() -> None:
    import doctest
    import importlib
    import pkgutil

    import scalefit.training

    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    tried = 0
    for info in pkgutil.walk_packages(scalefit.training.__path__, "scalefit.training."):
        found = doctest.testmod(importlib.import_module(info.name), optionflags=flags)
        assert found.failed == 0, info.name
        tried += found.attempted
    assert tried >= 15
