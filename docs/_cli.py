"""The page of the command line, made at build time from the commands themselves; git ignores ``docs/cli.md``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

HERE = Path(__file__).parent


def on_pre_build(config: Any) -> None:
    """Write the page (the hook that mkdocs calls)."""
    (HERE / "cli.md").write_text(cli_page(), encoding="utf-8")


def cli_page() -> str:
    """Every command with its usage, arguments and options, as ``--help`` says them."""
    from scalefit.cli import build_app

    root: Any = typer.main.get_command(build_app())
    lines = [
        "# Command line",
        "",
        "Every command takes `--help`, and every command with a result takes `--json`. Exit codes: 0 done,",
    ]
    lines += ["1 bad input, 2 a wrong option, 3 a result that should not be trusted, 130 interrupted.", ""]
    rows = [f"| [`{name}`](#scalefit-{name}) | {_first(command.help)} |" for name, command in root.commands.items()]
    lines += ["| command | what it does |", "|---|---|", *rows, ""]
    for name, command in root.commands.items():
        lines += _command(f"scalefit {name}", command)
    return "\n".join(lines)


def _command(name: str, command: Any) -> list[str]:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and "--help" not in p.opts and not p.hidden]
    usage = " ".join([name, *(f"{p.name.upper()}" if p.required else f"[{p.name.upper()}]" for p in arguments)])
    lines = [
        f"## {name}",
        "",
        "```",
        f"{usage}{' [OPTIONS]' if options else ''}",
        "```",
        "",
        (command.help or "").strip(),
        "",
    ]
    if arguments or options:
        context = typer.Context(command)
        records = [(p.name.upper(), p.help or "") for p in arguments]
        records += [p.get_help_record(context) for p in options]
        lines += ["| | |", "|---|---|", *(f"| `{_cell(names)}` | {_cell(meaning)} |" for names, meaning in records), ""]
    return lines


def _cell(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


def _first(text: str | None) -> str:
    """The first sentence."""
    return _cell((text or "").strip().split("\n\n")[0])
