"""Logs of text lines by an unknown tool: every ``name: value`` or ``name=value`` beside a step."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pandas as pd

from scalefit._text import shortlist
from scalefit.integrations._log_columns import LOSS_LIKE, is_loss, is_validation, plain

_NUMBER = r"[-+]?(?:\d{1,3}(?:\.\d{3})+,\d+|\d[\d,]*\.?\d*(?:[eE][-+]?\d+)?|\.\d+|nan|inf)"
#: A counter and how far it has come: step=100/2000, "iter 100", "Epoch 3/10"; not that of an evaluation's batches.
_COUNTER = re.compile(
    r"(?<!eval )(?<!val )(?<!validation )(?<!validate )(?<!eval: )(?<!val: )(?<!validation: )(?<!validating: )"
    r"(?<![\w/.])"
    r"(global_?step|num_updates|steps?|iterations?|iters?|updates?|batch|epochs?)"
    r"(?:/max_steps)?['\"]?\s*[:=#]?\s*['\"\[]?(\d[\d,]*)(?:\.0(?!\d))?(?:\s*/\s*(\d[\d,]*))?(?![\d.]*[eE%\w])",
    re.I,
)
_ORDER = (("global_step", "globalstep", "num_updates", "step", "steps", "update", "updates"),
          ("iteration", "iterations", "iter", "iters"), ("epoch", "epochs"), ("batch",))  # fmt: skip
_PAIR = re.compile(
    r"(?:^|(?<=[\s,|;\[({<>:\-]))['\"]?((?:[A-Za-z_][\w./()\-]* ){0,3}?[A-Za-z_][\w./()\-]*)'?\"?\s*[:=]\s*[\['\"]?("
    + _NUMBER
    + r")(?![\w:/%]|-\d)",
    re.I,
)
_SPACED = re.compile(
    r"\b((?:train|training|val|valid|validation|eval|test|dev)[ _]?loss(?:/[\w.-]+)?) (" + _NUMBER + r")(?![\w:/%])",
    re.I,
)
#: A name that could end a sentence ("new best loss 3.2") only after a mark or a number, and before a decimal.
_SPACED_BARE = re.compile(
    r"(?:^|(?<=[|,;:)\]>])|(?<=[\d|,;:)\]>-] )|(?<=[|,;:)\]>]  ))"
    r"(loss|train|val|valid) +([-+]?\d+\.\d+(?:[eE][-+]?\d+)?|nan|inf)(?![\w:/%])",
    re.I,
)
_SPACED_RATE = re.compile(
    r"(?:^|(?<=[\s|,;]))(lr|learning[ _]rate) +(\d*\.\d+(?:[eE]-?\d+)?|\d+[eE]-\d+)(?![\w:/%])", re.I
)
_SPLITS = ("train", "val", "valid")  # "train 3.4" is a loss
_BARE = ("loss", "nll", "ppl", "perplexity", "ce", "cross_entropy", "bpb")
#: A step or epoch in any form, also one that is not read.
_AT = re.compile(r"(?<![a-z])(?:step|update|iteration|iter|epoch|batch)s?[\s:=#,\[]*\d", re.I)
_LONGEST = 2000  # characters of a line that are looked at


def read_pairs(text: str) -> pd.DataFrame | None:
    """Read a log as records: a step or epoch, and the values after names on its line and the next ones.

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
    places: list[tuple[float | None, float | None]] = []  # epoch and steps of an epoch, by row
    totals: dict[str, float] = {}
    lines = [line[:_LONGEST] for line in text.splitlines()]
    counters = [_counters(line) for line in lines]
    inner = {count.rank for found in counters for count in found[1:] if not count.epoch}
    epoch: float | None = None
    for line, found in zip(lines, counters, strict=True):
        epoch = next((count.at for count in found if count.epoch), epoch)
        # The length is that of the counter that counts: "iter 400/16000 step 100" says nothing of the steps to come.
        first = [count for count in found if not count.epoch and count.rank not in inner][:1]
        first += [count for count in found if count.epoch]
        totals |= {"epoch" if count.epoch else "step": count.total for count in first if count.total is not None}
        # "iter 400: val loss", where other lines say "iter 400 step 100": it belongs to the step before.
        if found and not (rows and found[0].rank in inner and "step" in rows[-1]):
            name = "epoch" if found[0].epoch else "step"
            if not rows or rows[-1].get(name) != found[0].at or (name == "step" and places[-1][0] != epoch):
                rows.append({name: found[0].at})
                places.append((epoch, found[0].total))
        stated = dict(_pairs(line))
        counted = bool(found) and not found[0].epoch and bool(rows)
        if counted and any(is_loss(key) and rows[-1].get(key, value) != value for key, value in stated.items()):
            rows.append({name: rows[-1][name] for name in ("step", "epoch") if name in rows[-1]})  # another rank's
            places.append(places[-1])
        if rows:
            rows[-1].update(stated)
    names = {name for row in rows for name in ("step", "epoch") if name in row}
    if not names:
        return None
    _count_on(rows, places, totals)
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
    """The first line that names a loss at a step or an epoch, whether or not `read_pairs` can read it."""
    lines = (line[:_LONGEST].strip() for line in text.splitlines())
    return next((line for line in lines if _AT.search(line) and LOSS_LIKE.search(line)), None)


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
    note = f"Values with an epoch before the first step were left out: {shortlist(dict.fromkeys(early), 3)}."
    return kept, [note] if early else []


def _is_training(key: str) -> bool:
    return is_loss(key) and not is_validation(key)


@dataclass(frozen=True, slots=True)
class _Count:
    """Where a line is by one counter, of how much; `rank` is the counter's place in `_ORDER`."""

    rank: int
    at: float
    total: float | None

    @property
    def epoch(self) -> bool:
        return "epoch" in _ORDER[self.rank]


def _counters(line: str) -> list[_Count]:
    """Steps and epochs that a line names, the most telling one first."""
    found = {match[1].lower(): match for match in reversed(list(_COUNTER.finditer(line)))}
    counts = []
    for rank, names in enumerate(_ORDER):
        if (match := next((found[name] for name in names if name in found), None)) is not None:
            total = float(match[3].replace(",", "")) if match[3] and match[3].strip(",") else None
            counts.append(_Count(rank, float(match[2].replace(",", "")), total))
    return counts


def _count_on(
    rows: list[dict[str, Any]], places: list[tuple[float | None, float | None]], totals: dict[str, float]
) -> None:
    """Count steps that begin again in each epoch, as in "Epoch [2/4], Step [100/1000]", through all epochs."""
    steps = [(row, *place) for row, place in zip(rows, places, strict=True) if "step" in row]
    known = [(row, epoch, length) for row, epoch, length in steps if epoch is not None and length is not None]
    if not known or len(known) < len(steps) or len({length for _, _, length in known}) > 1:
        return
    length = known[0][2]
    again = any(later[1] > earlier[1] and later[0]["step"] <= earlier[0]["step"] for earlier, later in pairwise(known))
    if not again or max(row["step"] for row, _, _ in known) > length:
        return
    first = 0 if any(epoch == 0 for _, epoch, _ in known) else 1
    for row, epoch, _ in known:
        row["step"] += (epoch - first) * length
    totals.pop("step", None)
    if "epoch" in totals:
        totals["step"] = totals["epoch"] * length


def _pairs(line: str) -> list[tuple[str, str]]:
    """Names and values of a line; a bare loss on a line that speaks of validation is a validation loss."""
    found = [
        (match.start(1), match[1], match[2])
        for pattern in (_SPACED_BARE, _SPACED, _SPACED_RATE, _PAIR)
        for match in pattern.finditer(line)
    ]
    # "train:120" in a logger's words is a line of code.
    found = [row for row in found if plain(row[1]) not in _SPLITS or not row[2].isdigit()]
    found = [(at, f"{key}_loss" if plain(key) in _SPLITS else key, value) for at, key, value in found]
    found = [(at, key, value) for at, key, value in found if _COUNTER.match(f"{key.split(' ')[-1]}={value}") is None]
    if not found:
        return []
    head = line[: min(at for at, _, _ in found)]
    held_out = is_validation(head) and "train" not in head.lower()
    return [(f"val_{key}" if held_out and plain(key) in _BARE else key, value.rstrip(",")) for _, key, value in found]
