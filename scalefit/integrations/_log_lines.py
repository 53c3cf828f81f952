"""Logs that are lines of text: what trainers print, one pattern per tool."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

_NUMBER = r"([-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+|nan|inf))"
BITS = math.log(2)  # fairseq logs losses in bits: its perplexity is 2 to the loss


@dataclass(frozen=True)
class LineFormat:
    """How one tool prints.

    Attributes
    ----------
    begins : str
        Pattern of a line that only this tool prints; its presence tells the kind of a log.
    lines : mapping
        Pattern of a line with the step in its first group, to {column: pattern of its number}.
    total : str
        Pattern with the planned number of steps in its first group, if the tool prints it.
    unit : str
        Unit of the validation losses.
    scale : float
        Factor from what is printed to [nat/token].
    """

    begins: str
    lines: Mapping[str, Mapping[str, str]]
    total: str = ""
    unit: str = "nat/token"
    scale: float = 1.0
    notes: tuple[str, ...] = field(default=())


def _value(name: str, gap: str = r"\s*[:=]?\s*") -> str:
    return name + gap + _NUMBER


_JSON_LOSS = r'"{}":\s*"?' + _NUMBER
FORMATS: dict[str, LineFormat] = {
    "modded_nanogpt": LineFormat(
        r"^step:\d+/\d+ ",
        {r"step:(\d+)/\d+ ": {"val_loss": _value("val_loss:"), "train_loss": _value("train_loss:")}},
        r"^step:\d+/(\d+) ",
    ),
    "llm_c": LineFormat(
        r"^s:\d+ (tel|trl|eval):",
        {r"s:(\d+) ": {"val_loss": _value("tel:"), "train_loss": _value("trl:"), "lr": _value("lr:"),
                       "grad_norm": _value("norm:")}},
    ),
    "nanogpt": LineFormat(
        r"^(iter \d+: loss|step \d+: train loss)",
        {r"iter (\d+): loss": {"train_loss": r"loss " + _NUMBER},
         r"step (\d+): train loss": {"train_loss": r"train loss " + _NUMBER, "val_loss": r"val loss " + _NUMBER}},
    ),
    "build_nanogpt": LineFormat(
        r"^\d+ (train|val) [\d.]+\s*$",
        {r"(\d+) train ": {"train_loss": r"train " + _NUMBER}, r"(\d+) val ": {"val_loss": r"val " + _NUMBER}},
    ),
    "megatron": LineFormat(
        r"iteration\s+\d+/\s*\d+ \|.*lm[ _]loss",
        {r".*?iteration\s+(\d+)/\s*\d+ \|": {"train_loss": _value("lm[ _]loss:"), "lr": _value("learning rate:"),
                                             "grad_norm": _value("grad norm:")},
         r".*?validation (?:loss|results) at iteration\s+(\d+)(?!.* on test set)": {
             "val_loss": r"lm[ _]loss value:\s*" + _NUMBER}},
        r"iteration\s+\d+/\s*(\d+) \|",
    ),
    "torchtitan": LineFormat(
        r"step:\s*\d+\s+loss:\s*[\d.]+\s+grad_norm:",
        {r".*?(?<!validate )step:\s*(\d+)\s+loss:": {"train_loss": r"(?<!_)loss:\s*" + _NUMBER,
                                                     "grad_norm": r"grad_norm:\s*" + _NUMBER,
                                                     "lr": r"lr:\s*" + _NUMBER},
         r".*?validate step:\s*(\d+)": {"val_loss": r"loss:\s*" + _NUMBER}},
    ),
    "nanochat": LineFormat(
        r"^step \d+/\d+ \(.*\) \| (?:train )?loss: ",
        {r"step (\d+)/\d+ ": {"train_loss": r"loss: " + _NUMBER, "lr": r"lrm: " + _NUMBER},
         r"[Ss]tep (\d+) \| Validation bpb": {"val_loss": r"Validation bpb:\s*" + _NUMBER}},
        r"^step \d+/(\d+) ",
        "bit/byte",
    ),
    "fairseq": LineFormat(
        r"\| (train_inner|train|valid) \| (\{|epoch \d+)",
        {r'.*\| train_inner \| \{.*"num_updates": "(\d+)"': {"train_loss": _JSON_LOSS.format("loss"),
                                                             "lr": _JSON_LOSS.format("lr"),
                                                             "grad_norm": _JSON_LOSS.format("gnorm")},
         r'.*\| valid \| \{.*"valid_num_updates": "(\d+)"': {"val_loss": _JSON_LOSS.format("valid_loss")},
         r".*\| train_inner \| epoch .*num_updates=(\d+)": {"train_loss": r"\bloss=" + _NUMBER,
                                                           "lr": r"\blr=" + _NUMBER,
                                                           "grad_norm": r"\bgnorm=" + _NUMBER},
         r".*\| valid \| epoch .*\| num_updates (\d+)": {"val_loss": r"\| loss " + _NUMBER}},
        scale=BITS,
        notes=("fairseq logs bits; the losses were multiplied by ln 2.",),
    ),
    "hf_stdout": LineFormat(
        r"(?:^|\s|>>|\])\{'(?:eval_)?loss': (?!.*global_step)",
        {r".*?\{'(?=.*'epoch': '?([\d.]+))": {"train_loss": r"'loss': '?" + _NUMBER,
                                             "val_loss": r"'eval_loss': '?" + _NUMBER,
                                             "lr": r"'learning_rate': '?" + _NUMBER,
                                             "grad_norm": r"'grad_norm': '?" + _NUMBER}},
    ),
}  # fmt: skip
COUNTS_EPOCHS = ("hf_stdout",)


def kind_of_lines(text: str) -> str | None:
    """Return the tool that prints such lines; source code before them does not matter."""
    for kind, form in FORMATS.items():
        if re.search(form.begins, text, re.M):
            return kind
    return None


def read_lines(kind: str, text: str) -> pd.DataFrame:
    """Collect the numbers of a log, in its own order; ``attrs`` hold what it states about the run."""
    form = FORMATS[kind]
    compiled = [(re.compile(k), {c: re.compile(p) for c, p in v.items()}) for k, v in form.lines.items()]
    step = "epoch" if kind in COUNTS_EPOCHS else "step"
    rows = []
    for line in text.splitlines():
        for head, columns in compiled:
            if (match := head.match(line)) is None:
                continue
            row = {step: float(match.group(1))}
            for column, pattern in columns.items():
                if (found := pattern.search(line)) is not None:
                    value = float(found.group(1))
                    scale = form.scale if column.endswith("loss") else 1.0
                    row[column] = math.inf if value != value else value * scale
            if len(row) > 1:
                rows.append(row)
            break
    table = pd.DataFrame(rows, columns=[step, "train_loss", "val_loss", "lr", "grad_norm"], dtype=float)
    unit, notes = form.unit, list(form.notes)
    if unit != "nat/token" and table["val_loss"].notna().any():
        table["train_loss"] = math.nan
        notes.append(
            f"The training loss [nat/token] is left out: it does not compare with a validation loss in {unit}."
        )
    elif unit != "nat/token":
        unit = "nat/token"
    table.attrs |= {"loss_unit": unit, "notes": notes}
    totals = re.findall(form.total, text, re.M) if form.total else []
    if totals:
        table.attrs["total_steps"] = float(totals[-1])
    return table
