"""The command line: a thin face over the public names; every heavy import happens inside a command.

Each module of this folder that has a ``register(app)`` function adds its commands, by being there.
Exit codes: 0 done, 1 bad input (one clear line), 2 usage, 3 a fit that must not be trusted, 130 interrupted.
"""

from __future__ import annotations

import errno
import importlib
import os
import pkgutil
import sys
import sysconfig
import warnings
from enum import IntEnum
from pathlib import Path
from typing import Any

import typer

from scalefit.cli._words import in_shell
from scalefit.errors import ScalefitError, Wording, in_python, plainly, speak


class ExitCode(IntEnum):
    """What the process says to the shell."""

    DONE = 0
    BAD_INPUT = 1
    USAGE = 2
    UNTRUSTED = 3
    INTERRUPTED = 130


def build_app() -> typer.Typer:
    """Return the application with every command module registered."""
    app = typer.Typer(
        name="scalefit",
        help="Fit scaling laws, forecast and plan runs, and advise on live ones.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
        context_settings={"help_option_names": ["--help", "-h"]},
    )

    @app.callback(invoke_without_command=True)
    def root(version: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:
        if version:
            typer.echo(_provenance())
            raise typer.Exit()

    # What starts with an underscore serves the others, and may load numpy: half of what a command takes to start.
    for info in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name):
        if info.name.startswith("_"):
            continue
        module = importlib.import_module(f"{__name__}.{info.name}")
        if hasattr(module, "register"):
            module.register(app)
    return app


def _provenance() -> str:
    """Version, and what a wrong number depends on: the interpreter, the numeric libraries and where they run from."""
    import platform
    from importlib.metadata import PackageNotFoundError, version
    from pathlib import Path

    import scalefit

    parts = [f"Python {platform.python_version()}"]
    for name in ("numpy", "scipy", "pandas", "torch"):
        try:
            parts.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return f"scalefit {scalefit.__version__} ({', '.join(parts)}; {Path(scalefit.__file__).parent})"


def _built(app: typer.Typer, words: list[str]) -> Any:
    """Typer's command: with one subcommand where it is named, since all of them take as long as a fit to build."""
    named = {
        one.name or typer.main.get_command_name(getattr(one.callback, "__name__", "")): one
        for one in app.registered_commands
    }
    if words and words[0] in named:
        app.registered_commands, app.registered_groups = [named[words[0]]], []
    return typer.main.get_command(app)


def _called(command: Any, words: list[str]) -> tuple[Any, list[str]]:
    """Return the command that was called, and the words that name it."""
    path: list[str] = []
    for word in words:
        if word in getattr(command, "commands", {}):
            command = command.commands[word]
            path.append(word)
    return command, path


def _warned(message: Any, words: Wording) -> str:
    """A warning in the words of the shell; those of other libraries as they are."""
    return plainly(getattr(message, "template", str(message)), words)


def _outside(error: BaseException) -> str:
    """File and line where an error arose in a law of the user's own; nothing where it arose in a library."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = "" if trace is None else trace.tb_frame.f_code.co_filename
    own = Path(__file__).parents[1]
    if trace is None or not where.endswith(".py") or own in Path(where).parents or not Path(where).is_file():
        return ""
    libraries = {Path(path) for path in (*sysconfig.get_paths().values(), sys.prefix) if path}
    return "" if libraries & set(Path(where).resolve().parents) else f"{where}, line {trace.tb_lineno},"


def main(args: list[str] | None = None) -> None:
    """Run the command line and exit with a named code; bad input never ends in a traceback."""
    words: Wording = in_python
    command: Any = None
    path: list[str] = []
    try:
        given = args or sys.argv[1:]
        root = _built(build_app(), given)
        command, path = _called(root, given)
        words = in_shell(command.params)
        speak(words)
        warnings.showwarning = lambda message, *_, **__: typer.echo(f"warning: {_warned(message, words)}", err=True)
        code = root(args=args, prog_name="scalefit", standalone_mode=False)
        if code == ExitCode.INTERRUPTED:  # typer catches the interrupt itself
            raise KeyboardInterrupt
        sys.exit(int(code or 0))
    except ScalefitError as error:
        typer.echo(f"scalefit: {error.worded(words)}", err=True)
        sys.exit(ExitCode.BAD_INPUT)
    except SystemExit as ended:
        # a reader that has gone away, as head -1 does, is no fault; typer calls it one
        sys.exit(ExitCode.DONE if getattr(ended.__context__, "errno", None) == errno.EPIPE else ended.code)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(ExitCode.DONE)
    except (OSError, UnicodeError, MemoryError) as error:
        text = " ".join(str(error).split()) or type(error).__name__
        typer.echo(f"scalefit: {text}", err=True)
        sys.exit(ExitCode.BAD_INPUT)
    except KeyboardInterrupt:
        typer.echo("scalefit: interrupted", err=True)
        sys.exit(ExitCode.INTERRUPTED)
    except Exception as error:  # typer's own usage errors, whichever click it vendors
        if hasattr(error, "exit_code") and hasattr(error, "format_message"):
            if not error.format_message().strip():  # no command was typed, and the help stands above
                sys.exit(int(error.exit_code))
            from scalefit.cli._misuse import told

            typer.echo(f"scalefit: {told(error, command, path)}", err=True)
            sys.exit(int(error.exit_code))
        if os.environ.get("SCALEFIT_DEBUG"):
            raise
        seen = " ".join(f"{type(error).__name__}: {error}".split())
        theirs = _outside(error)
        if theirs:
            typer.echo(f"scalefit: {theirs} raised {seen:.300}. Nothing more was done. Correct that file.", err=True)
            sys.exit(ExitCode.BAD_INPUT)
        typer.echo(
            f"scalefit: an error of scalefit's own, not of your input: {seen:.300}. Nothing more was done. "
            f"Run again with SCALEFIT_DEBUG=1 for the traceback, and report it with scalefit --version.",
            err=True,
        )
        sys.exit(ExitCode.BAD_INPUT)
    finally:
        speak(in_python)
