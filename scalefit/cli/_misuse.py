"""What was wrong with the words of a command, in one line that is the same for every release of typer and click."""

from __future__ import annotations

import re
from typing import Any

from scalefit._text import nearest, several

#: What people type, and the options that mean it; the first that the command has is named.
_MEANT = {
    "--compute": ("--C", "--budget"),
    "--budget": ("--C",),
    "--flop": ("--C", "--budget"),
    "--tokens": ("--D",),
    "--parameters": ("--N",),
    "--n-params": ("--N",),
    "--size": ("--N",),
    "--gpus": ("--devices",),
    "--gpu": ("--hardware",),
    "--device": ("--hardware",),
    "--cost": ("--price",),
    "--output": ("--out", "--save"),
    "--model": ("--law",),
    "--alpha": ("--level",),
    "--confidence": ("--level",),
    "--figure": ("--plot",),
    "--group": ("--series",),
    "--steps": ("--total-steps",),
    "--schedule": ("--plan",),
    "--dollars": ("--money",),
}


def told(error: Any, command: Any, path: list[str]) -> str:
    """What was wrong, the value included, and where the options of the command are listed."""
    text = " ".join(error.format_message().split())
    text = _value(_named(_unknown(text, command), error), error)
    extra = re.match(r"Got unexpected extra argument\S* \((.*)\)", text)
    if extra:
        text = f"Got {several(len(extra[1].split()), 'unexpected extra argument')} ({extra[1]})"
        if any(option.startswith("-") for each in command.params for option in each.opts):
            text += ": name the option that it is for, or quote a name with spaces"
    end = "" if text.endswith(("?", ".")) else "."
    return f"{text}{end} Nothing was done. See {' '.join(['scalefit', *path, '--help'])}."


def _unknown(text: str, command: Any) -> str:
    """What was probably meant by a command or an option that is not there."""
    typed = re.match(r"No such (option|command):? '?([^\s']+)", text)
    if not typed:
        return text
    options = [option for each in command.params for option in (*each.opts, *each.secondary_opts)]
    if typed[1] == "command":
        return f"No such command '{typed[2]}'. {nearest(typed[2], command.commands)}".strip()
    meant = [option for option in _MEANT.get(typed[2], ()) if option in options]
    guess = f"Did you mean {meant[0]}? " if meant else nearest(typed[2], options).replace("'", "")
    return f"No such option: {typed[2]}. {guess}".strip()


def _named(text: str, error: Any) -> str:
    """The option or argument as it is typed, without the environment variable that it does not have."""
    parameter = getattr(error, "param", None)
    if parameter is None or getattr(error, "param_hint", None) is not None:
        return text
    options = [option for option in parameter.opts if option.startswith("-")] or [parameter.name]
    hint = " / ".join(f"'{option}'" for option in options)
    stated = r"^(Missing \w+|Invalid value for) '[^']*'(?: / '[^']*')*(?: \(env var: '\w*'\))?"
    return re.sub(stated, lambda found: f"{found[1]} {hint}", text)


def _value(text: str, error: Any) -> str:
    """The value that was typed, and what it is not."""
    why = error.__cause__ or error.__context__
    if hasattr(why, "errors"):  # pydantic's, which leave out the value
        value = repr(str(why.errors()[0].get("input")))
        text = text.replace("Value error, ", "")
        text = re.sub(r"Input should be ([^,]*).*", lambda found: f"{value:.80} is not {found[1]}", text)
    return text.replace("is not a valid float", "is not a valid number")
