"""Which column of a log holds what, by the names that tools give."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from scalefit.errors import DataError, arg

LOSSES = ("val_loss", "train_loss")
COLUMNS = ("train_loss", "val_loss", "lr", "grad_norm")  # of the table that a log becomes, beside step
# Names that tools use, after lower-casing and reducing everything but letters to underscores.
NAMES = {
    "step": ("global_step", "trainer_global_step", "train_global_step", "step", "_step", "iter", "iteration", "steps",
             "current_steps", "num_updates", "iterations", "iters", "train_step", "training_step", "training_steps",
             "optimizer_step", "optimizer_steps", "update", "updates", "n_iter"),
    "epoch": ("epoch", "epochs", "train_epoch"),
    "val_loss": ("val_loss", "eval_loss", "valid_loss", "validation_loss", "loss_val", "loss_eval", "loss_valid",
                 "loss_validation", "dev_loss", "heldout_loss", "held_out_loss", "test_loss", "val", "valid",
                 "validation", "eval", "dev"),
    "train_loss": ("train_loss", "loss", "training_loss", "loss_train", "loss_training", "train_loss_step",
                   "loss_step", "lm_loss", "train", "training"),
    "lr": ("lr", "learning_rate", "train_lr", "train_learning_rate", "lr_adamw", "lr_adam", "optim_lr",
           "optim_lr_group", "lrm"),
    "tokens": ("tokens", "n_tokens", "tokens_seen", "train_tokens", "total_tokens", "consumed_tokens", "num_tokens"),
    "grad_norm": ("grad_norm", "norm", "train_grad_norm", "gradient_norm", "gnorm"),
}  # fmt: skip
STEPS = frozenset(re.sub(r"[^a-z]+", "_", name).strip("_") for name in NAMES["step"])
_HELD_OUT = re.compile(r"(^|[^a-z])(val|valid|validation|eval|evaluation|test|dev|held_?out)([^a-z]|$)", re.I)
LOSS_LIKE = re.compile(
    r"((^|[^a-z])(loss|ce|nll|cross_?entropy(loss)?|bpb|ppl|perplexity)|(?-i:[a-z](CrossEntropy(Loss)?|Loss|Perplexity)))"
    r"([^a-z]|$)",
    re.I,
)
_STATISTIC = re.compile(r"__(MIN|MAX|std|mean)$")
_BYTES = re.compile(r"bpb|bpc|bits?[ _/-]*(per)?[ _/-]*(byte|char)", re.I)
_BITS, _PERPLEXITY = re.compile(r"(^|[^a-z])bits?([^a-z]|$)", re.I), re.compile(r"ppl|perplexity", re.I)
_NO_LOSS = re.compile(
    r"rewards/|scale|aux|balanc|z[ _-]?loss|router|(^|[^a-z])(best|lowest)([^a-z]|$)"
    r"|(^|[^a-z])(pg|policy|actor|critic|vf|value|kl|surrogate)([^a-z]|$)|(?<!cross)(^|[^a-z])entropy[ _-]?loss",
    re.I,
)


def plain(name: Any) -> str:
    """Return a name in lower case, everything but letters reduced to underscores."""
    return re.sub(r"[^a-z]+", "_", str(name).lower()).strip("_")


def numbers(column: pd.Series[Any], decimal: str = ".") -> pd.Series[Any]:
    """Numbers of a column of text; a written "nan" becomes infinity, an empty cell NaN.

    Thousands in the forms 1,000, 1 000, 1_000 and 1'000, and 1.000 where `decimal` is a comma, are read where three
    digits follow every sign; `_log_decimals.decimal_marks` finds `decimal`.
    """
    text = column.where(column.notna(), "").astype(str).str.strip()
    spaced = text.str.fullmatch(r"[-+]?\d{1,3}([ _'\u2019\u00a0\u202f]\d{3})+([.,]\d*)?")
    text = text.where(~spaced, text.str.replace(r"[ _'\u2019\u00a0\u202f]", "", regex=True))
    if decimal == ",":
        grouped = text.str.fullmatch(r"[-+]?\d{1,3}(\.\d{3})+(,\d*)?")
        text = text.where(~grouped, text.str.replace(".", "", regex=False)).str.replace(",", ".", regex=False)
    else:
        grouped = text.str.fullmatch(r"[-+]?\d{1,3}(,\d{3})+(\.\d*)?")
        text = text.where(~grouped, text.str.replace(",", "", regex=False))
    values = pd.to_numeric(text, errors="coerce")
    return values.where(text.str.lower() != "nan", np.inf).astype(float)


def is_validation(name: Any) -> bool:
    """Whether a column's name says that its data were held out."""
    return bool(_HELD_OUT.search(str(name)))


def find(columns: Sequence[Any], name: str, wanted: str | None) -> Any:
    """Column for `name`: the one asked for, a usual name, a W&B export's "run - name", or one "section/name".

    Raises
    ------
    DataError
        The column asked for is not there, or several fit.
    """
    if wanted is not None:
        if wanted not in columns:
            raise DataError(
                f"There is no column {wanted!r} among {listed(columns)}", "nothing was read", "Name one of them"
            )
        return wanted
    usual = [column for column in columns if " - " not in str(column) and not _STATISTIC.search(str(column))]
    if name == "train_loss":
        usual = [column for column in usual if not is_validation(column)]
    for candidate in NAMES[name]:
        if same := [column for column in usual if plain(column) == plain(candidate)]:
            if name not in LOSSES:
                return same[0]
            apart = [column for column in same if not re.search(r"\d", str(column))]
            if len(same) > 1 and (not apart or any(re.search(r"\.\d+$", str(c)) for c in same)):
                raise _several(name, same)
            return (apart or same)[0]
    known = set(map(plain, NAMES[name]))
    exports = [c for c in columns if " - " in str(c) and not _STATISTIC.search(str(c))]
    found = [c for c in exports if plain(str(c).rsplit(" - ", 1)[1]) in known]
    if not found:  # a section of the tracker's own before the name: Metrics/loss
        found = [c for c in usual if "/" in str(c) and plain(str(c).split("/")[-1]) in known]
        if name == "val_loss":
            found += [c for c in usual if "/" in str(c) and c not in found and is_loss(c) and is_validation(c)]
        elif name == "train_loss":
            found += [c for c in usual if "/" in str(c) and c not in found and is_loss(c)]
        elif len(found) > 1:
            return None
    if not found and name in LOSSES:  # a loss by another name: val_bpb, val_ppl
        found = [c for c in usual if is_loss(c) and is_validation(c) == (name == "val_loss")]
    found = [c for c in found if not _PERPLEXITY.search(str(c))] or found  # beside a loss, a perplexity is the same
    if len(found) > 1:
        raise _several(name, found)
    return found[0] if found else None


def _several(name: str, found: Sequence[Any]) -> DataError:
    how = f"Choose one: {arg('val' if name == 'val_loss' else 'train', str(found[0]))}"
    what = "runs or losses" if name in LOSSES else "columns"
    return DataError(f"Several {what} fit {name}: {listed(found)}", "nothing was read", how)


def is_loss(column: Any) -> bool:
    """Whether a column's name speaks of a loss.

    A loss scale, a best loss so far, auxiliary losses of experts and objectives of reinforcement learning do not count.
    """
    name = str(column)
    return bool(LOSS_LIKE.search(name)) and not _NO_LOSS.search(name)


def in_nats(values: pd.Series[Any], column: Any) -> tuple[pd.Series[Any], str, str]:
    """Return losses, their unit, and a note on the conversion; a perplexity becomes its logarithm."""
    if _PERPLEXITY.search(str(column)):
        logs = np.log(values.where(values > 0))
        return logs, "nat/token", f"{column} is a perplexity; its logarithm was taken."
    if _BYTES.search(str(column)):
        return values, "bit/byte", f"{column} is in bit/byte, and is judged as such."
    if _BITS.search(str(column)):
        return values * np.log(2), "nat/token", f"{column} is taken to be in bit/token; it was multiplied by ln 2."
    return values, "nat/token", ""


def listed(columns: Iterable[Any], most: int = 12) -> str:
    """Names of the first columns, cut where they are too long to be names."""
    names = [text if len(text := str(column)) <= 40 else text[:37] + "..." for column in columns]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(names[:most]) or "none") + more
