"""Every flag, command, function and argument that a message names is there to be used."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import typer

import scalefit
from scalefit.cli import _words, build_app

PACKAGE = Path(scalefit.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
#: Flags of other programs, and those that people type for ours and are told the right one.
OTHERS = ("training/provenance.py", "cli/_misuse.py")
NAMED = re.compile(r"(?<![\w-])--[a-zA-Z][\w-]*")
FUNCTION = re.compile(r"\bsf\.([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)")
COMMAND = re.compile(r"\bscalefit ([a-z][a-z-]*)\b([^.;,]*)")


@cache
def commands() -> dict[str, frozenset[str]]:
    """Options of each command; those of a command's own commands count as its own."""
    found: dict[str, frozenset[str]] = {}

    def walk(command: Any, name: str) -> frozenset[str]:
        options = {o for p in command.params for o in (*p.opts, *p.secondary_opts)} | {"--help", "--version"}
        for child, its in getattr(command, "commands", {}).items():
            options |= walk(its, child)
        found.setdefault(name, frozenset(options))
        return frozenset(options)

    walk(typer.main.get_command(build_app()), "")
    return found


@cache
def parameters() -> frozenset[str]:
    """Names of the parameters of every function, method and class."""
    found: set[str] = set()
    for module in pkgutil.walk_packages(scalefit.__path__, "scalefit."):
        try:
            values = vars(importlib.import_module(module.name))
        except Exception:  # a module whose extra is not installed here
            continue
        for value in [v for v in values.values() if getattr(v, "__module__", None) == module.name]:
            members = [getattr(m, "__func__", m) for m in vars(value).values()] if inspect.isclass(value) else []
            for maker in [value, *members]:
                if inspect.isclass(maker) or inspect.isfunction(maker):
                    try:
                        found |= set(inspect.signature(maker).parameters)
                    except (ValueError, TypeError):  # a class without a signature, such as an enumeration
                        continue
    return frozenset(found)


@cache
def texts(path: Path) -> list[tuple[int, str]]:
    """Line and text of each string that a module may print: neither docstrings nor what they hold."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            inside.add(id(body[0].value))
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [str(p.value) if isinstance(p, ast.Constant) else "{}" for p in node.values]
            found.append((node.lineno, "".join(parts)))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            found.append((node.lineno, node.value))
    return found


@cache
def marked(path: Path) -> list[tuple[int, str]]:
    """Line and name of each argument that `arg` marks by a name known beforehand."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "arg" and node.args:
            names = node.args[0]
            if isinstance(names, ast.Constant):
                found.append((node.lineno, str(names.value)))
    return found


def every(read: Callable[[Path], list[tuple[int, str]]]) -> list[tuple[str, str]]:
    """What `read` finds in each module, with its place."""
    return [(f"{path.relative_to(PACKAGE)}:{line}", text) for path in FILES for line, text in read(path)]


def test_every_flag_in_a_message_is_an_option():
    for where, text in every(texts):
        for flag in NAMED.findall("" if where.startswith(OTHERS) else text):
            assert flag in commands()[""], f"{where} names {flag}, which no command has: {text}"


def test_every_command_in_a_message_takes_the_options_beside_it():
    for where, text in every(texts):
        for command, rest in COMMAND.findall(text):
            options = commands().get(command)
            for flag in NAMED.findall(rest):
                assert options and flag in options, f"{where}: scalefit {command} has no {flag}: {text}"


def test_every_function_in_a_message_is_public():
    for where, text in every(texts):
        for dotted in FUNCTION.findall(text):
            value: Any = scalefit
            for name in dotted.split("."):
                value = getattr(value, name, None)
            assert value is not None, f"{where} names sf.{dotted}, which is not there: {text}"


def test_every_marked_argument_is_a_parameter():
    for where, name in every(marked):
        plain = re.match(r"[A-Za-z_]\w*", name)
        assert plain and plain[0] in parameters(), f"{where} marks {name}, which no function takes"


def test_every_spelling_of_an_argument_is_an_option():
    """One of the options that stand for an argument is there; the others are those of other commands."""
    for name, spelled in _words._OPTIONS.items():
        assert set(spelled) <= commands()[""], f"{name} is worded by {spelled}"


def test_what_is_not_there_is_seen():
    assert len(every(texts)) > 4000 and len(every(marked)) > 300
    assert NAMED.findall("Give --bust, or -o; a--b") == ["--bust"]
    assert FUNCTION.findall("call sf.fits or result.at") == ["fits"]
    assert COMMAND.findall("Write it with scalefit fit --save r.json, or --out") == [("fit", " --save r")]
    assert "--save" in commands()["fit"] and "--bust" not in commands()[""] and "levels_of" not in parameters()
