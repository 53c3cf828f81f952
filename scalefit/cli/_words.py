"""Errors and warnings in the words of the shell: the library marks its arguments, each command has options for them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from scalefit.cli._shared import COLUMNS_PANEL
from scalefit.errors import Mention, Wording
from scalefit.flops import QUANTITIES

#: Options whose names are not those of the arguments; the first that the command has.
_OPTIONS = {
    "fixed": ("--fix", "--hold"),
    "tied": ("--tie",),
    "bounds": ("--bound",),
    "n_starts": ("--starts",),
    "columns": ("--column",),
    "inputs": ("--input",),
    "laws": ("--law", "--laws"),
    "weights": ("--weight",),
    "path": ("--out", "--save"),
    "n_layers": ("--layers",),
    "T_max": ("--context",),
}


def in_shell(parameters: Iterable[Any]) -> Wording:
    """Return what words a marked argument as an option of the command that has these parameters.

    Examples
    --------
    >>> from scalefit.errors import ArgumentError, arg
    >>> class Option:
    ...     opts, rich_help_panel = ["--fix"], None
    >>> error = ArgumentError(
    ...     f"{arg('fixed', {'Q': 1.0})} names no parameter",
    ...     "nothing was fitted",
    ...     ("name another", f"use {arg('tied')}"),
    ... )
    >>> print(error.worded(in_shell([Option()])))
    --fix Q=1.0 names no parameter; nothing was fitted. Name another.
    """
    parameters = list(parameters)
    panels = {option: getattr(p, "rich_help_panel", None) for p in parameters for option in p.opts}

    def word(mention: Mention) -> str | None:
        if mention.kind == "way":
            flags = re.match(r"(?:pass )?\W*(--[\w-]+)", mention.shell)
            return None if flags and flags[1] not in panels else mention.shell
        option = _option(mention.name, panels)
        if mention.kind == "column" and panels.get(option or "") != COLUMNS_PANEL:
            named = f"--column {mention.name}={mention.shell or 'NAME'}"
            return named if "--column" in panels else None
        if (
            mention.kind == "argument"
            and mention.name in QUANTITIES
            and panels.get(option or "") == COLUMNS_PANEL
            and "--at" in panels
        ):
            return None  # a point is asked for by --at, and this option names a column
        return option if option is None else f"{option} {mention.shell}".rstrip()

    return word


def _option(name: str, known: Iterable[str]) -> str | None:
    spelled = (*_OPTIONS.get(name, ()), f"--{name}", f"--{name.replace('_', '-')}")
    return next((option for option in spelled if option in known), None)
