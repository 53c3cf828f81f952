"""Logs that are lines of text and of no tool known here: every ``name: value`` or ``name=value`` beside a step."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd

from scalefit._text import shortlist
from scalefit.integrations._log_columns import is_loss, is_validation, plain

_NUMBER = r"[-+]?(?:\d{1,3}(?:\.\d{3})+,\d+|\d[\d,]*\.?\d*(?:[eE][-+]?\d+)?|\.\d+|nan|inf)"
#: A counter and how far it has come: step=100/2000, "iter 100", "Epoch 3/10"; not that of an evaluation's batches.
_COUNTER = re.compile(
    r"(?<!eval )(?<!val )(?<!validation )(?<!validate )(?<![\w/.])"
    r"(global_?step|num_updates|steps?|iterations?|iters?|updates?|batch|epochs?)"
    r"\s*[:=#]?\s*\[?(\d[\d,]*)(?:\s*/\s*(\d[\d,]*))?(?![\d.]*[eE%\w])",
    re.I,
)
_ORDER = (("global_step", "globalstep", "num_updates", "step", "steps", "update", "updates"),
          ("iteration", "iterations", "iter", "iters"), ("epoch", "epochs"), ("batch",))  # fmt: skip
_PAIR = re.compile(
    r"(?:^|(?<=[\s,|;\[({<>:\-]))((?:[A-Za-z_][\w./()\-]* ){0,3}?[A-Za-z_][\w./()\-]*)'?\"?\s*[:=]\s*[\['\"]?("
    + _NUMBER
    + r")(?![\w:/%]|-\d)",
    re.I,
)
_SPACED = re.compile(
    r"\b((?:train|training|val|valid|validation|eval|test|dev)[ _]?loss) (" + _NUMBER + r")(?![\w:/%])", re.I
)
_BARE = ("loss", "nll", "ppl", "perplexity", "ce", "cross_entropy", "bpb")
#: A step or epoch in any form, also one that is not read.
_AT = re.compile(r"(?<![a-z])(?:step|update|iteration|iter|epoch|batch)s?[\s:=#,\[]*\d", re.I)
_LONGEST = 2000  # characters of a line that are looked at


def read_pairs(text: str) -> pd.DataFrame | None:
    """Read a log as records: a step or epoch, and what stands behind names on its line and those that follow.

    Parameters
    ----------
    text : str
        The log.

    Returns
    -------
    DataFrame or None
        A column ``step`` (or ``epoch``), and one of text for each name; None where no line has a counter.
        ``attrs["total_steps"]`` is the planned length, if the counter tells it; ``attrs["notes"]`` says what was left
        out.
    """
    rows: list[dict[str, Any]] = []
    totals: dict[str, float] = {}
    for line in text.splitlines():
        line = line[:_LONGEST]
        counter = _counter(line)
        if counter is not None:
            name, at, total = counter
            if not rows or rows[-1].get(name) != at:
                rows.append({name: at})
            if total is not None:
                totals[name] = total
        if not rows:
            continue
        for key, value in _pairs(line):
            rows[-1][key] = value
    names = {name for row in rows for name in ("step", "epoch") if name in row}
    if not names:
        return None
    notes: list[str] = []
    if len(names) == 2:  # "Epoch 3" above or below its steps: the steps count
        rows, notes = _at_steps(rows)
    table = pd.DataFrame(rows, dtype=object)
    table.attrs["notes"] = notes
    if "step" in names and "epoch" in table:
        table = table.drop(columns="epoch")
    if (total := totals.get("step")) is not None and "step" in names:
        table.attrs["total_steps"] = total
    return table


def line_of_loss(text: str) -> str | None:
    """The first line that speaks of a loss at a step or an epoch, whether or not `read_pairs` can read it."""
    lines = (line[:_LONGEST].strip() for line in text.splitlines())
    return next((line for line in lines if _AT.search(line) and is_loss(line)), None)


def _at_steps(rows: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[str]]:
    """Put what epochs say at the last step before it, and say what has no place.

    A training loss of an epoch is a mean over it, and has none where steps have theirs.
    """
    kept: list[dict[str, Any]] = []
    trained = any(_is_training(key) for row in rows if "step" in row for key in row)
    early = []
    for row in rows:
        if "step" in row:
            kept.append(row)
            continue
        stated = {key: value for key, value in row.items() if key != "epoch" and not (trained and _is_training(key))}
        if kept:
            kept[-1] |= {key: value for key, value in stated.items() if key not in kept[-1]}
        else:
            early += [key for key in stated if is_loss(key)]
    note = f"What stands beside an epoch before the first step was left out: {shortlist(dict.fromkeys(early), 3)}."
    return kept, [note] if early else []


def _is_training(key: str) -> bool:
    return is_loss(key) and not is_validation(key)


def _counter(line: str) -> tuple[str, float, float | None] | None:
    """Step or epoch that a line names, the most telling one, and its total."""
    found = {match[1].lower(): match for match in reversed(list(_COUNTER.finditer(line)))}
    for names in _ORDER:
        for name in names:
            if name in found:
                match = found[name]
                total = float(match[3].replace(",", "")) if match[3] and match[3].strip(",") else None
                return "epoch" if name.startswith("epoch") else "step", float(match[2].replace(",", "")), total
    return None


def _pairs(line: str) -> list[tuple[str, str]]:
    """Names and values of a line; a bare loss on a line that speaks of validation is a validation loss."""
    found = [(match.start(1), match[1], match[2]) for pattern in (_SPACED, _PAIR) for match in pattern.finditer(line)]
    found = [(at, key, value) for at, key, value in found if _COUNTER.match(f"{key}={value}") is None]
    if not found:
        return []
    head = line[: min(at for at, _, _ in found)]
    held_out = is_validation(head) and "train" not in head.lower()
    return [(f"val_{key}" if held_out and plain(key) in _BARE else key, value.rstrip(",")) for _, key, value in found]
