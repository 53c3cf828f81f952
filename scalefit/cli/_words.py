"""Errors in the words of the shell: the library says loss='val', the command line has --loss val."""

from __future__ import annotations

import re
from collections.abc import Collection

_RENAMED = {"fixed": "--fix", "tied": "--tie", "bounds": "--bound", "n_starts": "--starts"}
_PHRASES = {
    r"Pass the runs of one: runs\[runs\['series'\] == '([^']*)'\]": r"Keep the runs of one: --only '\1'",
    r"or one series at a time": r"or keep one with --only NAME",
    r"Compare laws on one series at a time": r"Compare laws on one series, kept with --only NAME",
}
_ARGUMENT = re.compile(
    r"\b(?P<name>[A-Za-z_]\w*)="
    r"(?P<value>\{'(?P<key>\w+)': (?P<item>[\w.+-]+|\((?P<low>[\w.+-]+), (?P<high>[\w.+-]+)\))\}"
    r"|\{\.\.\.\}|\['(?P<listed>[^']*)'\]|'[^']*'|-?\d[\w.+-]*|\.\.\.)?"
)


def for_the_shell(text: str, options: Collection[str]) -> str:
    """Put the arguments that a message names as options, where the command has them.

    Examples
    --------
    >>> for_the_shell("Name the column with loss=. Or fix one (fixed={'E': ...}).", {"--loss", "--fix"})
    'Name the column with --loss. Or fix one (--fix E=...).'
    >>> for_the_shell("bounds={'E': (3.0, 1.0)} and fixed=['Q']; delta=-1.0", {"--bound", "--fix", "--delta"})
    '--bound E=3.0:1.0 and --fix Q; --delta -1.0'
    >>> for_the_shell("Pass by='pool'.", {"--loss"})
    "Pass by='pool'."
    """
    text = text.replace("that to_json wrote", "that scalefit fit --save wrote")
    if "--only" in options:
        for said, better in _PHRASES.items():
            text = re.sub(said, better, text)

    def as_option(found: re.Match[str]) -> str:
        name, value = found["name"], found["value"] or ""
        option = _RENAMED.get(name, "--" + name.replace("_", "-"))
        if name == "fixed" and "--hold" in options:
            option = "--hold"
        if option not in options:
            return found[0]
        if found["key"]:
            value = f"{found['key']}={found['item'] if found['low'] is None else found['low'] + ':' + found['high']}"
        elif found["listed"] is not None:
            value = found["listed"]
        elif value == "{...}":
            value = "NAME=VALUE"
        return f"{option} {value.strip(chr(39))}".rstrip() if value else option

    return _ARGUMENT.sub(as_option, text)
