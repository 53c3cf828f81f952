"""Clean the text of a log: colours, container records, table frames, tensor brackets."""

from __future__ import annotations

import json
import re

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x08")
_TENSOR = re.compile(r"\btensor\(\[?([-+]?[\d.]+(?:e[-+]?\d+)?|nan|inf)\]?(?:,[^()]*(?:<[^<>]*>)?)?\)", re.I)
_FRAME = re.compile(r"[\s+\-=|┌┬┐├┼┤└┴┘─┏┳┓┡╇┩╞╪╡┗┻┛━╔╦╗╠╬╣╚╩╝═╟╫╢]+")
_SIDES = re.compile("[│┃║]")
_LINE_KEYS = ("log", "message", "msg", "textPayload")  # Docker, Kubernetes and cloud logs
_REWARD = re.compile(r"(?<![\w.])(?:[\w.]+/)*rewards?(?:/mean|_std|_mean)?['\"]?\s*[:=]\s*['\"]?[-\d]")
_LOOKED_AT = 5  # records that tell whether they hold lines


def clean(text: str) -> str:
    """Return the lines that the tool printed."""
    text = _TENSOR.sub(r"\1", _ESCAPES.sub("", _lines_of_records(text)))
    return _without_frame(text)


def _lines_of_records(text: str) -> str:
    """Take printed lines out of JSON records such as {"log": "step 100 ...", "stream": "stdout"}."""
    if not text.lstrip().startswith("{"):
        return text
    records = []
    for number, line in enumerate(filter(str.strip, text.splitlines())):
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        key = next((k for k in _LINE_KEYS if isinstance(record, dict) and isinstance(record.get(k), str)), None)
        if number < _LOOKED_AT and (key is None or any(isinstance(value, (int, float)) for value in record.values())):
            return text  # records of numbers, or none at all
        if key is not None:
            records.append(record[key].rstrip("\n"))
    return "\n".join([*records, ""])


def _without_frame(text: str) -> str:
    """Turn a table drawn with lines (tabulate, rich) into one set apart by bars."""
    lines = text.strip().splitlines()
    if not lines or not re.match(r"[+┌┏╔╒]", lines[0]) or not _FRAME.fullmatch(lines[0]):
        return text
    kept = [_SIDES.sub("|", line).strip() for line in lines if line.strip() and not _FRAME.fullmatch(line)]
    if not kept or any(not line.startswith("|") for line in kept):
        return text
    return "\n".join([kept[0], "|" + "---|" * (kept[0].count("|") - 1), *kept[1:], ""])


def remarks(text: str) -> list[str]:
    """What the log as a whole states about its losses."""
    if _REWARD.search(text) is None:
        return []
    return ["The log has rewards: a loss of reinforcement learning need not fall, and advice on it says little."]
