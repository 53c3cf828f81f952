"""Recipe columns: the settings in which runs differ, and the usual ones."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pandas as pd

from scalefit.collecting.records import Run, number

_SEEDS = ("seed", "random_seed", "global_seed", "train_seed", "data_seed")
#: Settings that have a column although they are the same in every run.
_USUAL = frozenset(
    "lr learning_rate max_lr peak_lr batch_size global_batch_size weight_decay warmup_steps warmup_iters optimizer "
    "schedule scheduler lr_scheduler_type dropout n_layer n_layers num_hidden_layers n_embd d_model hidden_size "
    "block_size seq_len vocab_size dataset tokenizer beta1 beta2 max_steps max_iters epochs num_train_epochs "
    "device n_devices n_gpus dtype series unique_tokens".split()
)
#: Columns of the table itself, and what is there under another name.
_FIXED = tuple("run N D C loss loss_se loss_unit loss_from loss_column status seed steps seconds store source".split())
_INTERNAL = ("stored_parameters", "settings")


def seed(run: Run) -> Any:
    """The seed of a run; NaN if it is unknown."""
    for name in _SEEDS:
        for key, value in {**run.config, **run.ready}.items():
            if key.replace("/", ".").rsplit(".", 1)[-1] == name and (found := number(value)) is not None:
                return int(found) if found == int(found) else found
    return math.nan


def settings(run: Run) -> dict[str, Any]:
    """Settings and ready columns that have no column of their own in the table."""
    found = {f"config.{key}" if key in _FIXED else key: value for key, value in run.config.items()}
    found |= {key: value for key, value in run.ready.items() if key not in (*_FIXED, *_INTERNAL)}
    return {key: value for key, value in found.items() if key not in ("config.seed", "config.status")}


def table_of(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """A table of rows whose ``settings`` become columns where they differ or are usual."""
    seen: dict[str, set[Any]] = {}
    held: Counter[str] = Counter()
    for row in rows:
        for key, value in row["settings"].items():
            held[key] += 1
            values = seen.setdefault(key, set())
            if len(values) < 2:
                values.add(value if isinstance(value, (str, int, float, bool)) else str(value))
    n = len(rows)
    stores = {row["store"] for row in rows}
    whole = stores <= {"table", "scalefit"}  # these have the columns that their makers wanted
    kept = [
        key
        for key, values in seen.items()
        if whole or len(values) > 1 or held[key] < n or key.rsplit(".", 1)[-1].lower() in _USUAL
    ]
    names = _short(kept)
    plain = []
    for row in rows:
        before = {key: value for key, value in row.items() if key not in ("settings", "store", "source")}
        chosen = {names[key]: row["settings"].get(key) for key in kept}
        plain.append({**before, **chosen, "store": row["store"], "source": row["source"]})
    table = pd.DataFrame(plain)
    for column in ("N", "D", "C", "loss", "loss_se", "steps", "seconds"):
        table[column] = pd.to_numeric(table[column], errors="coerce").astype(float)
    return table


def _short(keys: list[str]) -> dict[str, str]:
    """The last part of each joined name, where only one ends so and no other column is called that."""
    ends = Counter(key.rsplit(".", 1)[-1] for key in keys)
    names = {}
    for key in keys:
        end = key.rsplit(".", 1)[-1]
        names[key] = end if ends[end] == 1 and end not in _FIXED else key
    return names
